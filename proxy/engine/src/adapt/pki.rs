//! Certificate authorities of one's own: the global option `pki`, those that `acme_server` names, and `apps.pki`.

use fairway_caddyfile::{Args, Diagnostic, Segment};
use serde_json::{Map, Value as Json, json};

use super::GlobalOptions;
use super::scope::SiteValue;
use super::servers::SiteFacts;
use super::settings::{Object, inner, invalid, nanoseconds, put, single, text};

const KNOWN: [&str; 8] = [
    "intermediate",
    "intermediate_cn",
    "intermediate_lifetime",
    "maintenance_interval",
    "name",
    "renewal_window_ratio",
    "root",
    "root_cn",
];

/// Reads `pki { ca [NAME] { … } }`: authorities by name.
pub(crate) fn read(args: Args<'_>) -> Result<Object, Diagnostic> {
    args.finish()?;
    let mut authorities = Object::new();
    for line in args.block() {
        if line.name.text != "ca" {
            return Err(args.unknown_subdirective(line, ["ca"]));
        }
        let mut words = Args::new(line);
        let name = words.next_arg().map_or("", |token| &token.text);
        words.finish()?;
        let mut authority = Object::new();
        for line in words.block() {
            setting(&words, line, &mut authority)?;
        }
        let name = if name.is_empty() { "local" } else { name };
        authorities.insert(name.to_owned(), authority.into());
    }
    Ok(authorities)
}

/// Makes `apps.pki`; none if there is nothing to say.
pub(super) fn app(sites: &[SiteFacts], options: &GlobalOptions) -> Option<Json> {
    let mut authorities = options.pki.clone().unwrap_or_default();
    for (_, value) in sites.iter().flat_map(|site| site.values.iter()) {
        if let SiteValue::Authority(name) = value {
            authorities
                .entry(name)
                .or_insert_with(|| Json::Object(Map::new()));
        }
    }
    if options.skip_install_trust {
        // Without any, the default one would be made.
        if authorities.is_empty() && !options.auto_https_has("off") {
            inner(&mut authorities, "local");
        }
        for authority in authorities.values_mut() {
            authority["install_trust"] = false.into();
        }
    }
    (!authorities.is_empty()).then(|| json!({"certificate_authorities": authorities}))
}

fn setting(around: &Args<'_>, line: &Segment, authority: &mut Object) -> Result<(), Diagnostic> {
    let mut args = Args::new(line);
    match line.name.text.as_str() {
        "name" => put(authority, "name", text(&mut args, "a name")?),
        "root_cn" => put(authority, "root_common_name", text(&mut args, "a name")?),
        "intermediate_cn" => put(authority, "intermediate_common_name", text(&mut args, "a name")?),
        key @ ("intermediate_lifetime" | "maintenance_interval") => {
            put(authority, key, nanoseconds(&mut args)?);
        }
        "renewal_window_ratio" => {
            let token = single(&mut args, "a number")?;
            let ratio = token
                .text
                .parse()
                .ok()
                .filter(|ratio| *ratio > 0.0 && *ratio <= 1.0);
            let ratio: f64 = ratio.ok_or_else(|| invalid(token, "is not above 0 and at most 1"))?;
            // A whole number is written as one.
            put(
                authority,
                "renewal_window_ratio",
                if ratio < 1.0 { Json::from(ratio) } else { 1.into() },
            );
        }
        key @ ("root" | "intermediate") => {
            args.finish()?;
            let pair = inner(authority, key);
            for line in args.block() {
                key_pair(&args, line, pair)?;
            }
        }
        _ => return Err(around.unknown_subdirective(line, KNOWN)),
    }
    Ok(())
}

/// A line of `root { … }` or `intermediate { … }`.
fn key_pair(around: &Args<'_>, line: &Segment, pair: &mut Object) -> Result<(), Diagnostic> {
    let mut args = Args::new(line);
    let (key, what) = match line.name.text.as_str() {
        "cert" => ("certificate", "a file"),
        "key" => ("private_key", "a file"),
        "format" => ("format", "a format"),
        _ => return Err(around.unknown_subdirective(line, ["cert", "format", "key"])),
    };
    put(pair, key, text(&mut args, what)?);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::adapt::tests::{adapt, mistakes};

    #[track_caller]
    fn check(option: &str, expected: &Json) {
        let found = adapt(&format!("{{\n{option}\n}}\na.test {{\n}}"))["apps"]["pki"].take();
        let expected = if expected.is_null() {
            Json::Null
        } else {
            json!({"certificate_authorities": expected})
        };
        assert_eq!(found, expected, "{option}");
    }

    #[test]
    fn reads_authorities() {
        check("pki", &json!(null));
        check("pki {\n}", &json!(null));
        check("pki {\nca\n}", &json!({"local": {}}));
        check(
            "pki {\nca x {\nname X\nroot_cn R\nintermediate_cn I\nintermediate_lifetime 1h\nmaintenance_interval 2s\n\
             renewal_window_ratio 1\nroot {\ncert a\nkey b\nformat c\n}\nintermediate {\n}\n}\nca \"\" {\nname Y\n}\n}",
            &json!({
                "x": {
                    "name": "X", "root_common_name": "R", "intermediate_common_name": "I",
                    "intermediate_lifetime": 3_600_000_000_000_i64, "maintenance_interval": 2_000_000_000,
                    "renewal_window_ratio": 1, "intermediate": {},
                    "root": {"certificate": "a", "private_key": "b", "format": "c"}
                },
                "local": {"name": "Y"}
            }),
        );
    }

    #[test]
    fn trust_is_for_all_of_them() {
        let untrusted = json!({"install_trust": false});
        check("skip_install_trust", &json!({"local": untrusted}));
        check(
            "skip_install_trust\npki {\nca x\nca y\n}",
            &json!({"x": untrusted, "y": untrusted}),
        );
        check("auto_https off\nskip_install_trust", &json!(null));
    }

    #[test]
    fn mistakes_are_told() {
        for (option, mistake) in [
            ("pki x", "2:5: `pki` takes no further argument, but `x` follows"),
            (
                "pki {\ncas\n}",
                "3:1: `pki` has no subdirective `cas`; did you mean `ca`?",
            ),
            (
                "pki {\nca a b\n}",
                "3:6: `ca` takes no further argument, but `b` follows",
            ),
            (
                "pki {\nca {\nrenewal_window_ratio 1.1\n}\n}",
                "4:22: `1.1` is not above 0 and at most 1",
            ),
            ("pki {\nca {\nroot {\ncert\n}\n}\n}", "5:1: `cert` needs a file"),
            (
                "pki {\nca {\nroot {\nkeys a\n}\n}\n}",
                "5:1: `root` has no subdirective `keys`; did you mean `key`?",
            ),
        ] {
            let found = mistakes(&format!("{{\n{option}\n}}\na.test {{\n}}"));
            assert_eq!(found, [format!("Caddyfile:{mistake}")], "{option}");
        }
    }
}
