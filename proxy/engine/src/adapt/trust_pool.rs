//! Sources of authorities that are trusted: `trust_pool` of clients' certificates, `tls_trust_pool` of upstreams.
//!
//! ```caddyfile
//! trust_pool inline {
//!     trust_der <base64…>
//! }
//! trust_pool file [<file…>] {
//!     pem_file <file…>
//! }
//! trust_pool pki_root|pki_intermediate [<authority…>] {
//!     authority <authority…>
//! }
//! trust_pool storage [<key…>] {
//!     storage <module> …
//!     keys <key…>
//! }
//! trust_pool http [<url…>] {
//!     endpoints <url…>
//!     tls {
//!         ca <source> …
//!         insecure_skip_verify
//!         handshake_timeout <duration>
//!         server_name <name>
//!         renegotiation never|once|freely
//!     }
//! }
//! trust_pool system
//! trust_pool combined {
//!     source <source> …
//! }
//! ```
//!
//! Whatever is not written in the text itself is for the operator of a cluster. Caddy: `tls.ca_pool.source.*`.

use fairway_caddyfile::{Args, Diagnostic, Segment};
use serde_json::Value as Json;

use super::settings::{Object, append, flag, inner, named, nanoseconds, one_of, put, single, text, texts};
use super::storage;

const SOURCES: [&str; 8] = [
    "combined",
    "file",
    "http",
    "inline",
    "pki_intermediate",
    "pki_root",
    "storage",
    "system",
];

/// Reads the name of a source and what follows it.
pub(crate) fn read(mut args: Args<'_>) -> Result<Json, Diagnostic> {
    let source = one_of(args.required("where the authorities are")?, &SOURCES)?;
    let mut pool = named("provider", source);
    match source {
        "inline" => {
            args.finish()?;
            lists(&args, &[("trust_der", "trusted_ca_certs")], &mut pool)?;
            require(&args, &pool, "trusted_ca_certs", "trust_der")?;
        }
        "file" => {
            append_rest(&mut args, "pem_files", &mut pool);
            lists(&args, &[("pem_file", "pem_files")], &mut pool)?;
            require(&args, &pool, "pem_files", "pem_file")?;
        }
        "pki_root" | "pki_intermediate" => {
            append_rest(&mut args, "authority", &mut pool);
            lists(&args, &[("authority", "authority")], &mut pool)?;
            require(&args, &pool, "authority", "authority")?;
        }
        "storage" => {
            append_rest(&mut args, "pem_keys", &mut pool);
            for line in args.block() {
                stored(&args, line, &mut pool)?;
            }
        }
        "http" => {
            append_rest(&mut args, "endpoints", &mut pool);
            for line in args.block() {
                fetched(&args, line, &mut pool)?;
            }
        }
        "combined" => {
            args.finish()?;
            for line in args.block() {
                if line.name.text != "source" {
                    return Err(args.unknown_subdirective(line, ["source"]));
                }
                append(&mut pool, "sources", [read(Args::new(line))?]);
            }
            require(&args, &pool, "sources", "source")?;
        }
        _ => {
            args.finish()?;
            if !args.block().is_empty() {
                args.no_block()?;
            }
        }
    }
    Ok(pool.into())
}

/// Adds what is left of the line to a list.
fn append_rest(args: &mut Args<'_>, key: &str, pool: &mut Object) {
    let values: Vec<Json> = args
        .remaining()
        .iter()
        .map(|token| Json::from(token.text.as_str()))
        .collect();
    if !values.is_empty() {
        append(pool, key, values);
    }
}

/// Reads a block in which each line adds to a list: its name, and the key of the list.
fn lists(args: &Args<'_>, known: &[(&str, &str)], pool: &mut Object) -> Result<(), Diagnostic> {
    for line in args.block() {
        let Some((_, key)) = known.iter().find(|(name, _)| *name == line.name.text) else {
            return Err(args.unknown_subdirective(line, known.iter().map(|(name, _)| *name)));
        };
        let mut words = Args::new(line);
        append_rest(&mut words, key, pool);
        words.finish_line()?;
    }
    Ok(())
}

/// There must be something in a list, which a line of the block fills.
fn require(args: &Args<'_>, pool: &Object, key: &str, line: &str) -> Result<(), Diagnostic> {
    if pool.contains_key(key) {
        return Ok(());
    }
    Err(args.missing(&format!("a block with `{line}`")))
}

fn stored(around: &Args<'_>, line: &Segment, pool: &mut Object) -> Result<(), Diagnostic> {
    let mut args = Args::new(line);
    match line.name.text.as_str() {
        "storage" if pool.contains_key("storage") => {
            let message = "the storage is already given";
            return Err(Diagnostic::error("duplicate-option", line, message));
        }
        "storage" => put(pool, "storage", storage::read(args)?),
        "keys" => {
            append_rest(&mut args, "pem_keys", pool);
            args.finish_line()?;
        }
        _ => return Err(around.unknown_subdirective(line, ["keys", "storage"])),
    }
    Ok(())
}

fn fetched(around: &Args<'_>, line: &Segment, pool: &mut Object) -> Result<(), Diagnostic> {
    let mut args = Args::new(line);
    match line.name.text.as_str() {
        "endpoints" => {
            let endpoints = texts(&mut args, "a URL")?;
            append(pool, "endpoints", endpoints.into_iter().map(Json::String));
        }
        "tls" if pool.contains_key("tls") => {
            let message = "there is a `tls` already";
            return Err(Diagnostic::error("duplicate-option", line, message));
        }
        "tls" => {
            args.finish()?;
            let tls = inner(pool, "tls");
            for line in args.block() {
                fetched_over(&args, line, tls)?;
            }
        }
        _ => return Err(around.unknown_subdirective(line, ["endpoints", "tls"])),
    }
    Ok(())
}

/// A line of `tls` within `http`.
fn fetched_over(around: &Args<'_>, line: &Segment, tls: &mut Object) -> Result<(), Diagnostic> {
    const KNOWN: [&str; 5] = [
        "ca",
        "handshake_timeout",
        "insecure_skip_verify",
        "renegotiation",
        "server_name",
    ];
    let mut args = Args::new(line);
    match line.name.text.as_str() {
        "ca" => put(tls, "ca", read(args)?),
        "insecure_skip_verify" => put(tls, "insecure_skip_verify", flag(&args)?),
        "handshake_timeout" => put(tls, "handshake_timeout", nanoseconds(&mut args)?),
        "server_name" => put(tls, "server_name", text(&mut args, "a name")?),
        "renegotiation" => {
            let level = one_of(single(&mut args, "a level")?, &["never", "once", "freely"])?;
            put(tls, "renegotiation", level);
        }
        _ => return Err(around.unknown_subdirective(line, KNOWN)),
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use fairway_caddyfile::{Options, Origin, Source, parse};
    use serde_json::json;

    use super::*;

    #[track_caller]
    fn check(line: &str, expected: Result<Json, &str>) {
        let text = format!(":80\ntrust_pool {line}\n");
        let source = Source::new(Origin::operator("Caddyfile"), "Caddyfile", text);
        let parsed = parse(source, &Options::default());
        let read = read(Args::new(&parsed.file.sites[0].block.segments[0]));
        let read = read.map_err(|mistake| mistake.one_line());
        let expected = expected.map_err(|mistake| format!("Caddyfile:{mistake}"));
        assert_eq!(read, expected, "{line}");
    }

    #[test]
    fn reads_every_source() {
        for (line, expected) in [
            (
                "inline {\ntrust_der A B\ntrust_der C\n}",
                json!({"provider": "inline", "trusted_ca_certs": ["A", "B", "C"]}),
            ),
            (
                "file a {\npem_file b c\n}",
                json!({"provider": "file", "pem_files": ["a", "b", "c"]}),
            ),
            (
                "pki_root a {\nauthority b\n}",
                json!({"provider": "pki_root", "authority": ["a", "b"]}),
            ),
            (
                "pki_intermediate a",
                json!({"provider": "pki_intermediate", "authority": ["a"]}),
            ),
            ("storage", json!({"provider": "storage"})),
            (
                "storage a {\nkeys b c\nstorage file_system /d\n}",
                json!({
                    "provider": "storage", "pem_keys": ["a", "b", "c"],
                    "storage": {"module": "file_system", "root": "/d"}
                }),
            ),
            ("http", json!({"provider": "http"})),
            (
                "http a {\nendpoints b c\ntls {\nca system\ninsecure_skip_verify\nhandshake_timeout 1s\n\
                 server_name n\nrenegotiation once\n}\n}",
                json!({
                    "provider": "http", "endpoints": ["a", "b", "c"],
                    "tls": {
                        "ca": {"provider": "system"}, "insecure_skip_verify": true,
                        "handshake_timeout": 1_000_000_000, "server_name": "n", "renegotiation": "once"
                    }
                }),
            ),
            (
                "combined {\nsource system\nsource combined {\nsource file a\n}\n}",
                json!({"provider": "combined", "sources": [
                    {"provider": "system"},
                    {"provider": "combined", "sources": [{"provider": "file", "pem_files": ["a"]}]}
                ]}),
            ),
        ] {
            check(line, Ok(expected));
        }
    }

    #[test]
    fn mistakes_are_told() {
        for (line, mistake) in [
            ("", "2:1: `trust_pool` needs where the authorities are"),
            ("files a", "2:12: `files` is not known here; did you mean `file`?"),
            (
                "inline A",
                "2:19: `trust_pool` takes no further argument, but `A` follows",
            ),
            ("inline", "2:1: `trust_pool` needs a block with `trust_der`"),
            (
                "file {\npem_file\n}",
                "2:1: `trust_pool` needs a block with `pem_file`",
            ),
            (
                "file a {\npem b\n}",
                "3:1: `trust_pool` has no subdirective `pem`",
            ),
            (
                "storage {\nstorage file_system /a\nstorage file_system /b\n}",
                "4:1: the storage is already given",
            ),
            ("http {\nendpoints\n}", "3:1: `endpoints` needs a URL"),
            (
                "http {\ntls {\nrenegotiation often\n}\n}",
                "4:15: `often` is not known here",
            ),
            (
                "system a",
                "2:19: `trust_pool` takes no further argument, but `a` follows",
            ),
            ("system {\na\n}", "2:19: `trust_pool` takes no block"),
            ("combined", "2:1: `trust_pool` needs a block with `source`"),
        ] {
            check(line, Err(mistake));
        }
    }
}
