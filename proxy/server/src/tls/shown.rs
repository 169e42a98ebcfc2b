//! What stands in a certificate that a client showed, in the words of Caddy's placeholders.

use std::fmt::Write as _;
use std::net::IpAddr;

use fairway_engine::exchange::certificate::Certificate;
use x509_parser::prelude::{FromDer, GeneralName, X509Certificate, X509Name};

/// How names are called that have a place of their own, in the order of RFC 2253: the last comes first.
const CALLED: [(&str, &str); 9] = [
    ("2.5.4.5", "SERIALNUMBER"),
    ("2.5.4.3", "CN"),
    ("2.5.4.17", "POSTALCODE"),
    ("2.5.4.9", "STREET"),
    ("2.5.4.8", "ST"),
    ("2.5.4.7", "L"),
    ("2.5.4.11", "OU"),
    ("2.5.4.10", "O"),
    ("2.5.4.6", "C"),
];

/// Reads a certificate; of one that cannot be read only the bytes are known.
pub(crate) fn shown(der: &[u8]) -> Certificate {
    let mut shown = Certificate {
        der: der.to_vec(),
        ..Certificate::default()
    };
    let Ok((_, certificate)) = X509Certificate::from_der(der) else {
        return shown;
    };
    shown.public_key = certificate.public_key().subject_public_key.data.to_vec();
    shown.subject = name(certificate.subject());
    shown.issuer = name(certificate.issuer());
    shown.serial = certificate.serial.to_string();
    let further = certificate.subject_alternative_name().ok().flatten();
    for further in further.iter().flat_map(|further| &further.value.general_names) {
        match further {
            GeneralName::DNSName(name) => shown.dns_names.push((*name).to_owned()),
            GeneralName::RFC822Name(name) => shown.emails.push((*name).to_owned()),
            GeneralName::URI(uri) => shown.uris.push((*uri).to_owned()),
            GeneralName::IPAddress(bytes) => shown.ips.extend(address(bytes)),
            _ => {}
        }
    }
    shown
}

fn address(bytes: &[u8]) -> Option<String> {
    let v4 = <[u8; 4]>::try_from(bytes).map(IpAddr::from);
    let address = v4.or_else(|_| <[u8; 16]>::try_from(bytes).map(IpAddr::from));
    Some(address.ok()?.to_canonical().to_string())
}

/// A name as Go writes it: fields that it knows in an order of their own, several of a kind joined with `+`, then the
/// others as they are encoded.
fn name(name: &X509Name<'_>) -> String {
    let all = || {
        name.iter_attributes().map(|attribute| {
            let text = attribute.as_str().unwrap_or_default();
            (attribute.attr_type().to_id_string(), text)
        })
    };
    let mut parts = Vec::new();
    for (id, called) in CALLED {
        let mut values: Vec<&str> = all().filter(|(of, _)| of == id).map(|(_, text)| text).collect();
        // Of these there is one in Go, the last.
        if matches!(called, "CN" | "SERIALNUMBER") {
            values.drain(..values.len().saturating_sub(1));
        }
        let values: Vec<String> = values
            .iter()
            .map(|text| format!("{called}={}", escaped(text)))
            .collect();
        if !values.is_empty() {
            parts.push(values.join("+"));
        }
    }
    let others = all().filter(|(id, _)| !CALLED.iter().any(|(known, _)| known == id));
    let mut others: Vec<String> = others
        .map(|(id, text)| format!("{id}=#{}", encoded(text)))
        .collect();
    others.reverse();
    parts.extend(others);
    parts.join(",")
}

fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let last = text.chars().count().saturating_sub(1);
    for (at, letter) in text.chars().enumerate() {
        let special = match letter {
            ',' | '+' | '"' | '\\' | '<' | '>' | ';' => true,
            ' ' => at == 0 || at == last,
            '#' => at == 0,
            _ => false,
        };
        if special {
            out.push('\\');
        }
        out.push(letter);
    }
    out
}

/// The hexadecimal DER of a text: a printable string if it can be one, else UTF-8.
fn encoded(text: &str) -> String {
    let printable = |byte: u8| byte.is_ascii_alphanumeric() || b" '()+,-./:=?".contains(&byte);
    let mut bytes = vec![if text.bytes().all(printable) { 0x13 } else { 0x0c }];
    let length = text.len().to_be_bytes();
    let length: Vec<u8> = length.into_iter().skip_while(|byte| *byte == 0).collect();
    match length[..] {
        [] => bytes.push(0),
        [short @ 0..=0x7f] => bytes.push(short),
        _ => {
            bytes.push(0x80 | length.len() as u8);
            bytes.extend(length);
        }
    }
    bytes.extend(text.bytes());
    bytes
        .iter()
        .fold(String::with_capacity(bytes.len() * 2), |mut hex, byte| {
            write!(hex, "{byte:02x}").expect("writing to a string cannot fail");
            hex
        })
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, DnType, KeyPair, SanType, SerialNumber};

    use super::*;

    #[test]
    fn everything_is_read() {
        let mut params = CertificateParams::default();
        params.serial_number = Some(SerialNumber::from(4097u64));
        params.distinguished_name = rcgen::DistinguishedName::new();
        let names = &mut params.distinguished_name;
        names.push(DnType::OrganizationName, "Clubs, Inc");
        names.push(DnType::CommonName, "alice");
        names.push(DnType::CustomDnType(vec![1, 2, 840, 113_549, 1, 9, 1]), "a@b");
        params.subject_alt_names = vec![
            SanType::DnsName("alice.test".try_into().unwrap()),
            SanType::Rfc822Name("alice@example.test".try_into().unwrap()),
            SanType::IpAddress("2001:db8::1".parse().unwrap()),
            SanType::URI("spiffe://a/b".try_into().unwrap()),
        ];
        let key = KeyPair::generate().unwrap();
        let der = params.self_signed(&key).unwrap().der().to_vec();
        let found = shown(&der);
        let name = "CN=alice,O=Clubs\\, Inc,1.2.840.113549.1.9.1=#0c03614062";
        assert_eq!(found.subject, name);
        assert_eq!(found.issuer, name);
        assert_eq!(found.serial, "4097");
        assert_eq!(found.dns_names, ["alice.test"]);
        assert_eq!(found.emails, ["alice@example.test"]);
        assert_eq!(found.ips, ["2001:db8::1"]);
        assert_eq!(found.uris, ["spiffe://a/b"]);
        assert_eq!(found.public_key, key.public_key_raw());
        assert_eq!(found.der, der);
    }

    #[test]
    fn what_cannot_be_read_says_nothing() {
        let found = shown(b"nothing");
        assert_eq!(found.subject, "");
        assert_eq!(found.der, b"nothing");
    }

    #[test]
    fn names_are_escaped() {
        for (text, expected) in [
            (" a ", "\\ a\\ "),
            ("#a#", "\\#a#"),
            ("a b", "a b"),
            ("a+\"", "a\\+\\\""),
        ] {
            assert_eq!(escaped(text), expected, "{text}");
        }
        assert_eq!(encoded("ab"), "13026162");
        assert!(encoded(&"é".repeat(100)).starts_with("0c81c8c3a9"));
    }
}
