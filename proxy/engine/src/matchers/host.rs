//! `host` matches the host that the client asks for.
//!
//! ```caddyfile
//! host <hosts…>
//! ```
//!
//! Case does not count; port and brackets of an IPv6 address are not looked at; a dot at the end is. A label `*`
//! stands for exactly one label, wherever it is; `foo*` is nothing special. Hosts may hold placeholders. Names outside
//! of ASCII are not turned into their `xn--` form: they are to be written in it. JSON: `http.matchers.host`, a list.

use std::collections::HashSet;

use fairway_caddyfile::{Args, Diagnostic, Segment};
use serde::{Deserialize, Serialize};
use smallvec::SmallVec;

use crate::compile::CompileError;
use crate::exchange::Exchange;
use crate::matchers::{Entry, Set};
use crate::paths::host_of;
use crate::template::{Template, Unknown};

pub(crate) const MATCHER: Entry = Entry { name: "host", parse };

/// From how many exact names on they are looked up by hash.
const MANY: usize = 8;

/// The hosts, one of which the request must be for.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Config(pub Vec<String>);

fn parse(lines: &[&Segment], _name: &str, set: &mut Set) -> Result<(), Diagnostic> {
    let hosts = set.host.get_or_insert_default();
    for line in lines {
        let mut args = Args::new(line);
        let tokens = args.remaining_required("a host")?;
        hosts.0.extend(tokens.iter().map(|token| token.text.clone()));
        args.no_block()?;
    }
    Ok(())
}

/// The run-time form.
#[derive(Debug)]
pub(crate) struct Host {
    exact: Exact,
    /// Those with a `*`.
    wildcard: Box<[Box<str>]>,
    /// Those with placeholders.
    filled: Box<[Template]>,
}

/// Names in lower case.
#[derive(Debug)]
enum Exact {
    Few(Box<[Box<str>]>),
    Many(HashSet<Box<str>, foldhash::fast::RandomState>),
}

impl Config {
    pub(crate) fn compile(&self) -> Result<Host, CompileError> {
        let mut seen = HashSet::new();
        let (mut exact, mut wildcard, mut filled) = (Vec::new(), Vec::new(), Vec::new());
        for host in &self.0 {
            let lower = host.to_ascii_lowercase();
            if !seen.insert(lower.clone()) {
                return Err(CompileError::new(format!("`{host}` stands twice")).within("host"));
            }
            let template = Template::new(host);
            if template.literal().is_none() {
                filled.push(template);
            } else if lower.contains('*') {
                wildcard.push(lower.into_boxed_str());
            } else {
                exact.push(lower.into_boxed_str());
            }
        }
        let exact = if exact.len() < MANY {
            Exact::Few(exact.into())
        } else {
            Exact::Many(exact.into_iter().collect())
        };
        Ok(Host {
            exact,
            wildcard: wildcard.into(),
            filled: filled.into(),
        })
    }
}

impl Host {
    pub(crate) fn matches(&self, exchange: &Exchange) -> bool {
        let host = host_of(&exchange.host);
        let exact = match &self.exact {
            Exact::Few(names) => names.iter().any(|name| name.eq_ignore_ascii_case(host)),
            Exact::Many(names) => {
                let mut lower: SmallVec<[u8; 256]> = host.as_bytes().into();
                lower.make_ascii_lowercase();
                std::str::from_utf8(&lower).is_ok_and(|lower| names.contains(lower))
            }
        };
        exact
            || self.wildcard.iter().any(|pattern| fits(pattern, host))
            || self.filled.iter().any(|template| {
                let pattern = template.fill(exchange, Unknown::Empty);
                fits(&pattern, host)
            })
    }
}

/// Whether a host is what a pattern allows, label by label.
fn fits(pattern: &str, host: &str) -> bool {
    let (mut pattern, mut host) = (pattern.split('.'), host.split('.'));
    loop {
        match (pattern.next(), host.next()) {
            (None, None) => return true,
            (Some(wanted), Some(label)) if wanted == "*" || wanted.eq_ignore_ascii_case(label) => {}
            _ => return false,
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::matchers::testing::{check, check_json, check_not_compiled, check_refused};

    #[test]
    fn lines_add_up_in_order() {
        check_json("host b a\nhost *.c", r#"{"host": ["b", "a", "*.c"]}"#);
        check_refused("host", "`host` needs a host");
        check_refused("host a {\n}", "`host` takes no block");
        check_not_compiled("host a b A", "host: `A` stands twice");
    }

    /// The hosts, the request's host, the answer. Also asked with many more hosts beside.
    #[track_caller]
    fn check_host(hosts: &str, host: &str, expected: bool) {
        let request = format!("GET /\nHost: {host}");
        check(&format!("host {hosts}"), &request, expected);
        let more: Vec<String> = (0..100).map(|number| format!("{number}.other.test")).collect();
        check(&format!("host {hosts} {}", more.join(" ")), &request, expected);
    }

    #[test]
    fn compares_names() {
        check_host("example.com", "example.com", true);
        check_host("EXAMPLE.COM", "example.com", true);
        check_host("example.com", "EXAMPLE.com", true);
        check_host("example.com", "foo.example.com", false);
        check_host("foo.example.com", "example.com", false);
        check_host("example.com a.test", "a.test", true);
        check_host("a.test", "a.test:8080", true);
        check_host("a.test:8080", "a.test:8080", false);
        check_host("a.test", "a.test.", false);
        check_host("::1", "[::1]:80", true);
        check_host("::1", "[::1]", true);
        check_host("127.0.0.1", "127.0.0.1:80", true);
    }

    #[test]
    fn star_is_one_label() {
        check_host("*.example.com", "foo.example.com", true);
        check_host("*.example.com", "FOO.Example.com", true);
        check_host("*.example.com", "example.com", false);
        check_host("*.example.com", "foo.bar.example.com", false);
        check_host("foo.*.com", "foo.bar.com", true);
        check_host("*.*.com", "a.b.com", true);
        check_host("foo*.com", "foobar.com", false);
        check_host("*", "localhost", true);
        check_host("*", "a.b", false);
    }

    #[test]
    fn placeholders_are_filled() {
        let request = "GET /\nHost: a.test\nX-Host: A.test\nX-Star: *.test";
        check("host {http.request.header.X-Host}", request, true);
        check("host {http.request.header.X-Star}", request, true);
        check("host {http.request.header.X-Host}.de", request, false);
        check("host {unknown}", request, false);
    }
}
