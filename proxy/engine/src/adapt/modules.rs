//! The one door for modules that Caddy does not have by itself: a name here says which arguments a Caddyfile gives it.
//!
//! A module behind the door adapts as it does with a Caddy that was built with it. What runs it is another matter.

use fairway_caddyfile::{Args, Diagnostic, suggest};
use serde_json::Value as Json;

use super::settings::{named, put};

/// A module, and what its line looks like.
struct Module {
    /// Where it belongs: `dns.providers`.
    namespace: &'static str,
    /// Its name in it.
    name: &'static str,
    /// The fields that its arguments fill, in order; each may be left out, with those behind it.
    arguments: &'static [&'static str],
}

/// All that are known.
const MODULES: &[Module] = &[
    // Without an effect, for tests of configs.
    Module {
        namespace: "dns.providers",
        name: "mock",
        arguments: &["argument"],
    },
];

/// Reads a DNS provider: its name and its arguments, up to the end of the line.
pub(crate) fn dns_provider(args: Args<'_>) -> Result<Json, Diagnostic> {
    read("dns.providers", "a DNS provider", "name", args).map_err(|mistake| {
        if mistake.code == "not-yet" && mistake.help.is_none() {
            mistake.help("let another program get the certificate, and name its files with `tls CERT KEY`")
        } else {
            mistake
        }
    })
}

/// Reads the name of a module of a namespace, and its arguments. `what` says what is named, `key` is the key for the
/// name in the JSON.
fn read(namespace: &str, what: &str, key: &str, mut args: Args<'_>) -> Result<Json, Diagnostic> {
    let name = args.required(what)?;
    let known = || MODULES.iter().filter(|module| module.namespace == namespace);
    let Some(module) = known().find(|module| module.name == name.text) else {
        let message = format!("`{}` is not {what} that Fairway knows", name.text);
        let suggestion = suggest(&name.text, known().map(|module| module.name));
        return Err(Diagnostic::error("not-yet", name, message).did_you_mean(suggestion));
    };
    let mut object = named(key, module.name);
    for field in module.arguments {
        if let Some(argument) = args.next_arg() {
            put(&mut object, field, argument.text.as_str());
        }
    }
    args.finish_line()?;
    Ok(object.into())
}

#[cfg(test)]
mod tests {
    use fairway_caddyfile::{Options, Origin, Source, parse};

    use super::*;

    #[track_caller]
    fn check(arguments: &str, expected: &str) {
        let text = format!(":80\ndns {arguments}\n");
        let source = Source::new(Origin::operator("Caddyfile"), "Caddyfile", text);
        let parsed = parse(source, &Options::default());
        let read = dns_provider(Args::new(&parsed.file.sites[0].block.segments[0]));
        let found = read.map_or_else(|mistake| mistake.one_line(), |module| module.to_string());
        assert_eq!(found, expected, "{arguments}");
    }

    #[test]
    fn reads_the_arguments_that_a_module_declares() {
        check("mock", r#"{"name":"mock"}"#);
        check("mock foo", r#"{"name":"mock","argument":"foo"}"#);
        check(r#"mock """#, r#"{"name":"mock"}"#);
    }

    #[test]
    fn mistakes_are_told() {
        for (arguments, mistake) in [
            ("", "2:1: `dns` needs a DNS provider"),
            (
                "mock a b",
                "2:12: `dns` takes no further argument, but `b` follows",
            ),
            ("mock {\na\n}", "2:10: `dns` takes no block"),
            (
                "mok",
                "2:5: `mok` is not a DNS provider that Fairway knows; did you mean `mock`?",
            ),
            (
                "cloudflare",
                "2:5: `cloudflare` is not a DNS provider that Fairway knows; let another program get the certificate, and name its files with `tls CERT KEY`",
            ),
        ] {
            check(arguments, &format!("Caddyfile:{mistake}"));
        }
    }
}
