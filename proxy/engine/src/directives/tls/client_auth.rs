//! `client_auth`: certificates of clients.
//!
//! ```caddyfile
//! client_auth {
//!     mode request|require|verify_if_given|require_and_verify
//!     trust_pool SOURCE …
//!     verifier leaf …
//! }
//! ```
//!
//! Files, and authorities of the process, are for the operator of the cluster.

use fairway_caddyfile::{Args, Diagnostic};
use serde_json::Value as Json;

use crate::adapt::SideFiles;
use crate::adapt::settings::{Object, append, named, one_of, put, single, texts};
use crate::adapt::trust_pool;

const KNOWN: [&str; 7] = [
    "mode",
    "trust_pool",
    "trusted_ca_cert",
    "trusted_ca_cert_file",
    "trusted_leaf_cert",
    "trusted_leaf_cert_file",
    "verifier",
];

const MODES: [&str; 4] = ["request", "require", "verify_if_given", "require_and_verify"];

/// Reads the block; `side_files` has what is in the files that it names.
pub(super) fn read(args: &Args<'_>, side_files: &SideFiles) -> Result<Json, Diagnostic> {
    args.finish()?;
    let mut found = Object::new();
    // An old spelling of a pool: certificates in the text, and those of files.
    let mut inline = Vec::new();
    for line in args.block() {
        let mut line_args = Args::new(line);
        match line.name.text.as_str() {
            "mode" => put(
                &mut found,
                "mode",
                one_of(single(&mut line_args, "a mode")?, &MODES)?,
            ),
            "trusted_ca_cert" => {
                inline.push(Json::from(single(&mut line_args, "a certificate")?.text.as_str()));
            }
            "trusted_ca_cert_file" => {
                inline.extend(side_files.certificates(single(&mut line_args, "a file")?)?);
            }
            "trusted_leaf_cert" => {
                let certificate = single(&mut line_args, "a certificate")?.text.as_str();
                append(&mut found, "trusted_leaf_certs", [certificate.into()]);
            }
            "trusted_leaf_cert_file" => {
                let certificates = side_files.certificates(single(&mut line_args, "a file")?)?;
                append(&mut found, "trusted_leaf_certs", certificates);
            }
            "trust_pool" => put(&mut found, "ca", trust_pool::read(line_args)?),
            "verifier" => append(&mut found, "verifiers", [verifier(line_args)?]),
            _ => return Err(args.unknown_subdirective(line, KNOWN)),
        }
        if !inline.is_empty() && found.contains_key("ca") {
            let message = "the trusted authorities are given in two ways; write one `trust_pool`";
            return Err(Diagnostic::error("conflicting-options", line, message));
        }
    }
    if !inline.is_empty() {
        let mut pool = named("provider", "inline");
        put(&mut pool, "trusted_ca_certs", inline);
        put(&mut found, "ca", pool);
    }
    Ok(found.into())
}

/// `verifier leaf LOADER …`, `verifier leaf { LOADER … }`
fn verifier(mut args: Args<'_>) -> Result<Json, Diagnostic> {
    const LOADERS: [&str; 3] = ["file", "folder", "pem"];
    let kind = args.required("what is verified: `leaf`")?;
    one_of(kind, &["leaf"])?;
    let mut verifier = named("verifier", "leaf");
    if let Some(token) = args.next_arg() {
        append(
            &mut verifier,
            "leaf_certs_loaders",
            [loader(one_of(token, &LOADERS)?, args)?],
        );
        return Ok(verifier.into());
    }
    for line in args.block() {
        let Some(name) = LOADERS.iter().find(|name| **name == line.name.text) else {
            return Err(args.unknown_subdirective(line, LOADERS));
        };
        append(
            &mut verifier,
            "leaf_certs_loaders",
            [loader(name, Args::new(line))?],
        );
    }
    Ok(verifier.into())
}

fn loader(name: &str, mut args: Args<'_>) -> Result<Json, Diagnostic> {
    let key = match name {
        "file" => "files",
        "folder" => "folders",
        _ => "certificates",
    };
    let mut loader = named("loader", name);
    put(&mut loader, key, texts(&mut args, "certificates")?);
    Ok(loader.into())
}

#[cfg(test)]
mod tests {
    use fairway_caddyfile::{Options, Origin, Source};
    use serde_json::json;

    use super::*;

    #[track_caller]
    fn check(lines: &str, expected: Result<Json, &str>) {
        let text = format!(":443\nclient_auth {{\n{lines}\n}}\n");
        let source = Source::new(Origin::operator("Caddyfile"), "Caddyfile", text);
        let parsed = fairway_caddyfile::parse(source, &Options::default());
        let read = read(
            &Args::new(&parsed.file.sites[0].block.segments[0]),
            &SideFiles::default(),
        );
        let read = read.map_err(|mistake| mistake.one_line());
        assert_eq!(read, expected.map_err(str::to_owned), "{lines}");
    }

    #[test]
    fn pools_and_verifiers() {
        check("mode request", Ok(json!({"mode": "request"})));
        check(
            "trust_pool file a {\npem_file b c\n}",
            Ok(json!({"ca": {"provider": "file", "pem_files": ["a", "b", "c"]}})),
        );
        check(
            "trust_pool combined {\nsource inline {\ntrust_der A\n}\nsource system\n}",
            Ok(json!({"ca": {"provider": "combined", "sources": [
                {"provider": "inline", "trusted_ca_certs": ["A"]}, {"provider": "system"}
            ]}})),
        );
        check(
            "trusted_ca_cert A\ntrusted_ca_cert B",
            Ok(json!({"ca": {"provider": "inline", "trusted_ca_certs": ["A", "B"]}})),
        );
        check(
            "verifier leaf file a b\nverifier leaf {\nfolder c\nfile d\n}",
            Ok(json!({"verifiers": [
                {"verifier": "leaf", "leaf_certs_loaders": [{"loader": "file", "files": ["a", "b"]}]},
                {"verifier": "leaf", "leaf_certs_loaders": [
                    {"loader": "folder", "folders": ["c"]}, {"loader": "file", "files": ["d"]}
                ]}
            ]})),
        );
    }

    #[test]
    fn mistakes_are_told() {
        check("mode all", Err("Caddyfile:3:6: `all` is not known here"));
        check(
            "trust_pol file a",
            Err("Caddyfile:3:1: `client_auth` has no subdirective `trust_pol`; did you mean `trust_pool`?"),
        );
        check(
            "trust_pool file a\ntrusted_ca_cert B",
            Err("Caddyfile:4:1: the trusted authorities are given in two ways; write one `trust_pool`"),
        );
        check(
            "trust_pool inline",
            Err("Caddyfile:3:1: `trust_pool` needs a block with `trust_der`"),
        );
    }
}
