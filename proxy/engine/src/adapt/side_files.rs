//! Files whose content becomes a part of the config: certificates that lines of `client_auth` name in an old spelling.
//!
//! They are read before any directive is, since only the parser's caller can read files. Only a file that an operator
//! names is read.

use std::collections::HashMap;
use std::io;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use fairway_caddyfile::{Diagnostic, Files, Segment, Tier, Token};
use serde_json::Value as Json;

use super::settings::invalid;

/// The lines that name such a file.
const LINES: [&str; 2] = ["trusted_ca_cert_file", "trusted_leaf_cert_file"];

/// What was found in the files, by their names.
#[derive(Default)]
pub(crate) struct SideFiles(HashMap<String, Result<Vec<Json>, String>>);

impl SideFiles {
    /// Reads the files that the directives of a site name.
    pub(crate) fn collect(&mut self, segments: &[Segment], files: &dyn Files) {
        let tls = segments.iter().filter(|segment| segment.name.text == "tls");
        let client_auth = tls
            .flat_map(Segment::lines)
            .filter(|line| line.name.text == "client_auth");
        for line in client_auth.flat_map(Segment::lines) {
            let Some(file) = line.args.first() else { continue };
            if LINES.contains(&line.name.text.as_str()) && line.lowest_tier() == Tier::Operator {
                let name = file.text.clone();
                let read = || certificates(files.read(Path::new(&file.text)));
                self.0.entry(name).or_insert_with(read);
            }
        }
    }

    /// The certificates of a file, each as base64 of its DER.
    pub(crate) fn certificates(&self, file: &Token) -> Result<Vec<Json>, Diagnostic> {
        match self.0.get(&file.text) {
            Some(Ok(certificates)) => Ok(certificates.clone()),
            Some(Err(cause)) => Err(invalid(file, cause)),
            None => Err(invalid(file, "is a file that could not be read")),
        }
    }
}

/// The certificates of a PEM file.
fn certificates(content: io::Result<Vec<u8>>) -> Result<Vec<Json>, String> {
    let content = content.map_err(|cause| format!("cannot be read: {cause}"))?;
    let text = String::from_utf8_lossy(&content);
    let mut found = Vec::new();
    let mut rest = &*text;
    while let Some((kind, body, after)) = next_block(rest) {
        let bare: String = body.split_whitespace().collect();
        if kind != "CERTIFICATE" || STANDARD.decode(&bare).is_err() {
            return Err("holds something that is no certificate".to_owned());
        }
        found.push(bare.into());
        rest = after;
    }
    if found.is_empty() {
        return Err("holds no certificate".to_owned());
    }
    Ok(found)
}

/// The next block of a PEM text: its kind, what is in it, and what follows it.
fn next_block(text: &str) -> Option<(&str, &str, &str)> {
    let (_, begun) = text.split_once("-----BEGIN ")?;
    let (kind, body) = begun.split_once("-----")?;
    let (body, after) = body.split_once("-----END ")?;
    let (_, after) = after.split_once("-----")?;
    Some((kind, body, after))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use fairway_caddyfile::{Options, Origin, Source};
    use serde_json::json;

    use super::*;

    /// Two files in memory.
    struct Memory;

    impl Files for Memory {
        fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
            let text = match path.to_str() {
                Some("two.pem") => {
                    "a word\n-----BEGIN CERTIFICATE-----\nAA\nBB\n-----END CERTIFICATE-----\n\
                     -----BEGIN CERTIFICATE-----\r\nCCCC\r\n-----END CERTIFICATE-----"
                }
                Some("key.pem") => "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----",
                Some("text") => "nothing",
                _ => return Err(io::ErrorKind::NotFound.into()),
            };
            Ok(text.into())
        }

        fn list(&self, _folder: &Path) -> io::Result<Vec<String>> {
            Err(io::ErrorKind::NotFound.into())
        }

        fn exists(&self, _path: &Path) -> bool {
            false
        }
    }

    #[track_caller]
    fn check(origin: Arc<Origin>, lines: &str, expected: &Json) {
        let text = format!("a.test {{\ntls {{\nclient_auth {{\n{lines}\n}}\n}}\n}}\n");
        let source = Source::new(origin, "Caddyfile", text);
        let options = Options {
            files: &Memory,
            ..Options::default()
        };
        let adapted = crate::adapt(source, &options);
        let found = if let Some(mistake) = adapted.diagnostics.first() {
            json!(mistake.one_line())
        } else {
            let mut config = serde_json::to_value(adapted.config).unwrap();
            let policies = &mut config["apps"]["http"]["servers"]["srv0"]["tls_connection_policies"];
            policies[0]["client_authentication"].take()
        };
        assert_eq!(&found, expected, "{lines}");
    }

    #[test]
    fn certificates_become_a_part_of_the_config() {
        let operator = || Origin::operator("Caddyfile");
        check(
            operator(),
            "trusted_ca_cert A\ntrusted_ca_cert_file two.pem\ntrusted_ca_cert_file two.pem",
            &json!({"ca": {
                "provider": "inline", "trusted_ca_certs": ["A", "AABB", "CCCC", "AABB", "CCCC"]
            }}),
        );
        check(
            operator(),
            "trusted_leaf_cert A\ntrusted_leaf_cert_file two.pem",
            &json!({"trusted_leaf_certs": ["A", "AABB", "CCCC"]}),
        );
    }

    #[test]
    fn mistakes_are_told() {
        for (file, mistake) in [
            ("key.pem", "`key.pem` holds something that is no certificate"),
            ("text", "`text` holds no certificate"),
            ("none", "`none` cannot be read: entity not found"),
        ] {
            let lines = format!("trusted_ca_cert_file {file}");
            let expected = json!(format!("Caddyfile:4:22: {mistake}"));
            check(Origin::operator("Caddyfile"), &lines, &expected);
        }
    }

    #[test]
    fn a_tenant_s_file_is_not_read() {
        let help = "write the authority's certificate into the text: `inline { trust_der BASE64 }`";
        let message = "`trusted_ca_cert_file` is for the operator of the cluster only";
        let expected = format!("Caddyfile:4:1: {message}; {help}");
        let tenant = Origin::tenant("CaddyRoute shop/api", "shop");
        check(tenant, "trusted_ca_cert_file two.pem", &json!(expected));
    }
}
