//! What placeholders tell of a client's certificate.
//!
//! Without a certificate they are known all the same, as in Caddy: as of a certificate in which nothing stands.

use std::borrow::Cow;
use std::fmt::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use sha2::{Digest, Sha256};

/// A certificate, read once per connection.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Certificate {
    /// The whole of it, as DER.
    pub der: Vec<u8>,
    /// The key itself, as its algorithm writes it.
    pub public_key: Vec<u8>,
    /// Whose it is, as RFC 2253 writes names: `CN=alice,O=Club`.
    pub subject: String,
    /// Who signed it.
    pub issuer: String,
    /// The serial number, decimal.
    pub serial: String,
    /// Further names of the subject: hosts,
    pub dns_names: Vec<String>,
    /// addresses of mail,
    pub emails: Vec<String>,
    /// of the network,
    pub ips: Vec<String>,
    /// and others.
    pub uris: Vec<String>,
}

/// What a placeholder asks of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    Fingerprint,
    PublicKey,
    PublicKeyDigest,
    Issuer,
    Serial,
    Subject,
    Pem,
    Base64,
    /// All further names of a kind, or one of them.
    Names(Kind, Option<usize>),
}

/// A kind of further names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Dns,
    Email,
    Ip,
    Uri,
}

impl Part {
    /// Of what follows `client.`.
    pub(crate) fn new(name: &str) -> Option<Self> {
        Some(match name {
            "fingerprint" => Self::Fingerprint,
            "public_key" => Self::PublicKey,
            "public_key_sha256" => Self::PublicKeyDigest,
            "issuer" => Self::Issuer,
            "serial" => Self::Serial,
            "subject" => Self::Subject,
            "certificate_pem" => Self::Pem,
            "certificate_der_base64" => Self::Base64,
            name => {
                let name = name.strip_prefix("san.")?;
                let (kind, index) = match name.split_once('.') {
                    Some((kind, index)) => (kind, Some(index.parse().ok()?)),
                    None => (name, None),
                };
                let kind = match kind {
                    "dns_names" => Kind::Dns,
                    "emails" => Kind::Email,
                    "ips" => Kind::Ip,
                    "uris" => Kind::Uri,
                    _ => return None,
                };
                Self::Names(kind, index)
            }
        })
    }

    /// What the certificate says, or what none says.
    pub(crate) fn text(self, certificate: Option<&Certificate>) -> Cow<'_, str> {
        let Some(certificate) = certificate else {
            return match self {
                Self::Serial => "<nil>".into(),
                Self::PublicKeyDigest => "".into(),
                _ => self.text_of(&Certificate::default()).into_owned().into(),
            };
        };
        self.text_of(certificate)
    }

    fn text_of(self, certificate: &Certificate) -> Cow<'_, str> {
        match self {
            Self::Fingerprint => hex(&Sha256::digest(&certificate.der)).into(),
            Self::PublicKey => hex(&certificate.public_key).into(),
            Self::PublicKeyDigest => hex(&Sha256::digest(&certificate.public_key)).into(),
            Self::Issuer => certificate.issuer.as_str().into(),
            Self::Serial => certificate.serial.as_str().into(),
            Self::Subject => certificate.subject.as_str().into(),
            Self::Pem => pem(&certificate.der).into(),
            Self::Base64 => BASE64.encode(&certificate.der).into(),
            Self::Names(kind, index) => {
                let names = match kind {
                    Kind::Dns => &certificate.dns_names,
                    Kind::Email => &certificate.emails,
                    Kind::Ip => &certificate.ips,
                    Kind::Uri => &certificate.uris,
                };
                match index {
                    Some(index) => names.get(index).map_or("", String::as_str).into(),
                    None => format!("[{}]", names.join(" ")).into(),
                }
            }
        }
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes
        .iter()
        .fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
            write!(text, "{byte:02x}").expect("writing to a string cannot fail");
            text
        })
}

fn pem(der: &[u8]) -> String {
    let encoded = BASE64.encode(der);
    let mut text = "-----BEGIN CERTIFICATE-----\n".to_owned();
    let mut rest = encoded.as_str();
    while !rest.is_empty() {
        let (line, after) = rest.split_at(rest.len().min(64));
        text.push_str(line);
        text.push('\n');
        rest = after;
    }
    text.push_str("-----END CERTIFICATE-----\n");
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(certificate: Option<&Certificate>, name: &str, expected: Option<&str>) {
        let found = Part::new(name).map(|part| part.text(certificate));
        assert_eq!(found.as_deref(), expected, "{name}");
    }

    #[test]
    fn certificates_are_told_of() {
        let certificate = Certificate {
            der: b"abc".to_vec(),
            public_key: vec![4, 255],
            subject: "CN=alice".to_owned(),
            serial: "4097".to_owned(),
            dns_names: vec!["a.test".to_owned(), "b.test".to_owned()],
            ..Certificate::default()
        };
        let certificate = Some(&certificate);
        check(certificate, "subject", Some("CN=alice"));
        check(certificate, "serial", Some("4097"));
        check(certificate, "public_key", Some("04ff"));
        let digest = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        check(certificate, "fingerprint", Some(digest));
        check(certificate, "certificate_der_base64", Some("YWJj"));
        check(certificate, "san.dns_names", Some("[a.test b.test]"));
        check(certificate, "san.dns_names.1", Some("b.test"));
        check(certificate, "san.dns_names.2", Some(""));
        check(certificate, "san.ips", Some("[]"));
        for unknown in ["", "san", "san.x", "san.ips.-1", "san.ips.x", "name"] {
            check(certificate, unknown, None);
        }
    }

    #[test]
    fn no_certificate_says_nothing() {
        check(None, "subject", Some(""));
        check(None, "serial", Some("<nil>"));
        check(None, "san.dns_names", Some("[]"));
        check(None, "san.emails.0", Some(""));
        check(None, "public_key", Some(""));
        check(None, "public_key_sha256", Some(""));
        let digest = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        check(None, "fingerprint", Some(digest));
        let empty = "-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----\n";
        check(None, "certificate_pem", Some(empty));
    }

    #[test]
    fn pem_has_lines_of_64_letters() {
        let text = pem(&[0; 60]);
        let lines: Vec<usize> = text.lines().map(str::len).collect();
        assert_eq!(lines, [27, 64, 16, 25]);
    }
}
