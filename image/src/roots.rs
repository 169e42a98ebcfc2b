//! The certificate authorities that Mozilla trusts, as the file in which programs look for them.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

/// Characters of a line between the marks.
const LINE: usize = 64;

/// Where rustls looks for it, as OpenSSL does on Debian.
pub(crate) const PATH: &str = "etc/ssl/certs/ca-certificates.crt";

/// All of them in PEM. They come with the lock file, so that no machine puts its own in.
pub(crate) fn pem() -> String {
    let mut text = String::new();
    for certificate in webpki_root_certs::TLS_SERVER_ROOT_CERTS {
        text.push_str("-----BEGIN CERTIFICATE-----\n");
        let encoded = STANDARD.encode(certificate);
        for (index, character) in encoded.chars().enumerate() {
            if index > 0 && index % LINE == 0 {
                text.push('\n');
            }
            text.push(character);
        }
        text.push_str("\n-----END CERTIFICATE-----\n");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_root_is_there_in_lines_of_64() {
        let text = pem();
        assert!(webpki_root_certs::TLS_SERVER_ROOT_CERTS.len() > 100);
        assert_eq!(
            text.matches("-----BEGIN CERTIFICATE-----\n").count(),
            webpki_root_certs::TLS_SERVER_ROOT_CERTS.len()
        );
        assert!(text.lines().all(|line| !line.is_empty() && line.len() <= LINE));
        let first = text
            .split("-----\n")
            .nth(1)
            .unwrap()
            .trim_end_matches("-----END CERTIFICATE");
        let first = STANDARD.decode(first.replace('\n', "")).unwrap();
        assert_eq!(first, *webpki_root_certs::TLS_SERVER_ROOT_CERTS[0]);
    }
}
