//! The one door for modules that Caddy does not have by itself: a name here says which arguments a Caddyfile gives it.
//!
//! A module behind the door adapts as it does with a Caddy that was built with it. What runs it is another matter.

use fairway_caddyfile::{Args, Diagnostic, Segment, Token, suggest};
use serde_json::Value as Json;

use super::settings::{named, put};

/// A kind of module that a Caddyfile names.
pub(crate) struct Kind {
    /// Where Caddy has such modules: `dns.providers`.
    namespace: &'static str,
    /// What one of them is called in a message: "DNS provider".
    what: &'static str,
    /// The key under which its name is in the JSON.
    key: &'static str,
    /// What else may be done, if nothing is known about a module.
    help: Option<&'static str>,
}

/// Makes DNS records, for the DNS challenge.
pub(crate) const DNS_PROVIDER: Kind = Kind {
    namespace: "dns.providers",
    what: "DNS provider",
    key: "name",
    help: Some("let another program get the certificate, and name its files with `tls CERT KEY`"),
};

/// Hears of events.
pub(crate) const EVENT_HANDLER: Kind = Kind {
    namespace: "events.handlers",
    what: "event handler",
    key: "handler",
    help: None,
};

/// Holds files.
pub(crate) const FILE_SYSTEM: Kind = Kind {
    namespace: "caddy.fs",
    what: "file system",
    key: "backend",
    help: None,
};

/// Stands around datagram listeners.
pub(crate) const PACKET_CONN_WRAPPER: Kind = Kind {
    namespace: "caddy.packetconns",
    what: "wrapper of datagram listeners",
    key: "wrapper",
    help: None,
};

/// Adds functions to templates.
pub(crate) const TEMPLATE_FUNCTIONS: Kind = Kind {
    namespace: "http.handlers.templates.functions",
    what: "extension of templates",
    key: "name",
    help: None,
};

/// A module, and what its line looks like.
struct Module {
    namespace: &'static str,
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

/// Reads the next argument as the name of a module, and what is left of the line as its arguments.
pub(crate) fn read(kind: &Kind, mut args: Args<'_>) -> Result<Json, Diagnostic> {
    let name = args.required(&format!("the name of a {}", kind.what))?;
    read_named(kind, name, args)
}

/// Reads a line that begins with the name of a module.
pub(crate) fn read_line(kind: &Kind, line: &Segment) -> Result<Json, Diagnostic> {
    read_named(kind, &line.name, Args::new(line))
}

fn read_named(kind: &Kind, name: &Token, mut args: Args<'_>) -> Result<Json, Diagnostic> {
    let known = || MODULES.iter().filter(|module| module.namespace == kind.namespace);
    let Some(module) = known().find(|module| module.name == name.text) else {
        let message = format!("`{}` is no {} that Fairway knows", name.text, kind.what);
        let suggestion = suggest(&name.text, known().map(|module| module.name));
        return Err(Diagnostic::error("not-yet", name, message)
            .help_if(kind.help)
            .did_you_mean(suggestion));
    };
    let mut object = named(kind.key, module.name);
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
        let read = super::read(&DNS_PROVIDER, Args::new(&parsed.file.sites[0].block.segments[0]));
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
            ("", "2:1: `dns` needs the name of a DNS provider"),
            (
                "mock a b",
                "2:12: `dns` takes no further argument, but `b` follows",
            ),
            ("mock {\na\n}", "2:10: `dns` takes no block"),
            (
                "mok",
                "2:5: `mok` is no DNS provider that Fairway knows; did you mean `mock`?",
            ),
            (
                "cloudflare",
                "2:5: `cloudflare` is no DNS provider that Fairway knows; let another program get the certificate, and name its files with `tls CERT KEY`",
            ),
        ] {
            check(arguments, &format!("Caddyfile:{mistake}"));
        }
    }
}
