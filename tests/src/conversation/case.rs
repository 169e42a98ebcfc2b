//! The text of a case.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

pub use super::rule::Rule;
use super::rule::words;

/// One recorded conversation, as written.
#[derive(Clone, Debug, Default)]
pub struct Case {
    /// What the case pins.
    pub title: String,
    /// The config, with `@NAMES@`.
    pub caddyfile: String,
    /// Files for the server to read.
    pub files: Vec<CaseFile>,
    /// The environment of the server.
    pub env: BTreeMap<String, String>,
    /// What each upstream (1 to 4) does; without a rule it echoes.
    pub upstreams: BTreeMap<usize, Vec<Rule>>,
    /// What is sent, in this order.
    pub requests: Vec<Request>,
    /// The server must exit with a failure instead of serving.
    pub start_fails: bool,
}

/// A file that a case needs.
#[derive(Clone, Debug)]
pub struct CaseFile {
    /// Its path below its folder.
    pub name: String,
    /// Its content, without a final newline.
    pub text: String,
    /// It lies beside the Caddyfile instead of below `@ROOT@`.
    pub beside_config: bool,
}

/// The version of HTTP a request is sent with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Version {
    /// HTTP/1.0.
    Http10,
    /// HTTP/1.1.
    #[default]
    Http11,
    /// HTTP/2, over TLS.
    Http2,
    /// HTTP/2 with prior knowledge, over plain TCP.
    H2c,
}

impl Version {
    pub(super) fn is_multiplexed(self) -> bool {
        matches!(self, Self::Http2 | Self::H2c)
    }
}

/// One request line of a case. The flags are as written in its options.
#[derive(Clone, Debug, Default)]
pub struct Request {
    /// The line itself, as it stands in the record.
    pub line: String,
    /// Its method.
    pub method: String,
    /// Its target, usually a path.
    pub target: String,
    /// Its headers in order.
    pub headers: Vec<(String, String)>,
    /// Its body.
    pub body: Vec<u8>,
    /// The whole message instead, exactly as sent.
    pub raw: Option<String>,
    /// The version spoken.
    pub version: Version,
    /// Over TLS.
    pub is_tls: bool,
    /// The name asked for in the handshake: by default the host; `-` for none.
    pub sni: Option<String>,
    /// ALPN offered, if any.
    pub alpn: Vec<String>,
    /// The handshake is expected to fail.
    pub tls_fails: bool,
    /// Nothing is expected to listen.
    pub is_refused: bool,
    /// The port, by default that of HTTP or HTTPS.
    pub port: Option<String>,
    /// The client's address.
    pub source: Option<String>,
    /// The name of the connection that it shares.
    pub connection: Option<String>,
    /// The body goes in chunks.
    pub is_chunked: bool,
    /// No Host header of its own.
    pub has_no_host: bool,
    /// A WebSocket handshake, then one frame.
    pub is_websocket: bool,
    /// Also recorded, though left out otherwise.
    pub keep: Vec<String>,
    /// The body is not recorded.
    pub drops_body: bool,
}

impl Request {
    /// The host asked for.
    #[must_use]
    pub fn host(&self) -> &str {
        let own = self
            .headers
            .iter()
            .find(|(name, _)| name.eq_ignore_ascii_case("host"));
        own.map_or("localhost", |(_, value)| value.as_str())
    }
}

impl Case {
    /// Reads a case file.
    pub fn read(path: &Path) -> Result<Self, String> {
        let text = fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))?;
        Self::parse(&text)
    }

    /// Parses the text of a case; an error names what is not understood.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut case = Self::default();
        let mut sections: Vec<(&str, Vec<&str>)> = Vec::new();
        for line in text.lines() {
            if let Some(head) = line.strip_prefix("== ") {
                sections.push((head.trim(), Vec::new()));
            } else if let Some((_, lines)) = sections.last_mut() {
                lines.push(line);
            } else if let Some(title) = line.strip_prefix("# ")
                && case.title.is_empty()
            {
                title.trim().clone_into(&mut case.title);
            }
        }
        for (head, mut lines) in sections {
            while lines.last().is_some_and(|line| line.trim().is_empty()) {
                lines.pop();
            }
            case.section(head, &lines)?;
        }
        if case.caddyfile.is_empty() {
            return Err("no `== caddyfile` section".to_owned());
        }
        if case.title.is_empty() {
            return Err("no `# title` that says what the case pins".to_owned());
        }
        if case.requests.is_empty() != case.start_fails {
            return Err("a case has requests, or `== start fails`".to_owned());
        }
        Ok(case)
    }

    fn section(&mut self, head: &str, lines: &[&str]) -> Result<(), String> {
        let (kind, argument) = head.split_once(' ').unwrap_or((head, ""));
        match kind {
            "caddyfile" => self.caddyfile = lines.join("\n") + "\n",
            "file" | "config-file" => self.files.push(CaseFile {
                name: argument.trim().to_owned(),
                text: lines.join("\n"),
                beside_config: kind == "config-file",
            }),
            "env" => {
                for line in lines {
                    let (name, value) = line
                        .split_once('=')
                        .ok_or_else(|| format!("`{line}`: expected NAME=value"))?;
                    self.env.insert(name.trim().to_owned(), value.to_owned());
                }
            }
            "upstream" => {
                let number = argument
                    .trim()
                    .parse()
                    .map_err(|_| format!("`== {head}`: expected 1 to 4"))?;
                let rules = meaningful(lines).map(Rule::parse).collect::<Result<_, _>>()?;
                self.upstreams.insert(number, rules);
            }
            "requests" => {
                for line in meaningful(lines) {
                    self.requests.push(Request::parse(line)?);
                }
            }
            "start" if argument == "fails" => self.start_fails = true,
            _ => return Err(format!("unknown section `== {head}`")),
        }
        Ok(())
    }
}

fn meaningful<'a>(lines: &'a [&'a str]) -> impl Iterator<Item = &'a str> {
    lines
        .iter()
        .copied()
        .filter(|line| !line.trim().is_empty() && !line.starts_with('#'))
}

impl Request {
    fn parse(line: &str) -> Result<Self, String> {
        let mut request = Self {
            line: line.trim_end().to_owned(),
            ..Self::default()
        };
        let mut rest = line.trim_end();
        if let Some(inside) = rest.strip_prefix('[') {
            let (options, after) = inside
                .split_once("] ")
                .ok_or_else(|| format!("`{line}`: no closing `] `"))?;
            for option in words(options)? {
                request.option(&option)?;
            }
            rest = after;
        }
        if request.raw.is_some() {
            rest.split(' ')
                .next()
                .unwrap_or_default()
                .clone_into(&mut request.method);
            request.raw = Some(rest.to_owned());
            return Ok(request);
        }
        if let Some((head, body)) = rest.split_once(" << ") {
            request.body = unescape(body);
            rest = head;
        }
        let mut parts = rest.split(" | ");
        let head = parts.next().unwrap_or_default();
        let (method, target) = head
            .split_once(' ')
            .ok_or_else(|| format!("`{line}`: expected METHOD TARGET"))?;
        method.clone_into(&mut request.method);
        target.trim().clone_into(&mut request.target);
        for part in parts {
            let (name, value) = part
                .split_once(':')
                .ok_or_else(|| format!("`{part}`: expected Name: value"))?;
            request
                .headers
                .push((name.trim().to_owned(), value.trim().to_owned()));
        }
        Ok(request)
    }

    fn option(&mut self, option: &str) -> Result<(), String> {
        let (name, value) = option.split_once('=').unwrap_or((option, ""));
        let list = || value.split(',').map(str::to_owned).collect();
        match name {
            "https" => self.is_tls = true,
            "http" => {
                self.version = match value {
                    "1.0" => Version::Http10,
                    "1.1" => Version::Http11,
                    "2" => Version::Http2,
                    _ => return Err(format!("`{option}`: expected 1.0, 1.1 or 2")),
                };
            }
            "h2c" => self.version = Version::H2c,
            "sni" => self.sni = Some(value.to_owned()),
            "alpn" => self.alpn = list(),
            "tlsfail" => self.tls_fails = true,
            "refused" => self.is_refused = true,
            "port" => self.port = Some(value.to_owned()),
            "src" => self.source = Some(value.to_owned()),
            "conn" => self.connection = Some(value.to_owned()),
            "chunked" => self.is_chunked = true,
            "nohost" => self.has_no_host = true,
            "ws" => self.is_websocket = true,
            "raw" => self.raw = Some(String::new()),
            "keep" => self.keep = list(),
            "nobody" => self.drops_body = true,
            _ => return Err(format!("unknown option `{option}`")),
        }
        Ok(())
    }
}

/// The bytes of a text with `\n \r \t \\ \xNN`.
pub(super) fn unescape(text: &str) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('\\') {
        out.extend_from_slice(&rest.as_bytes()[..at]);
        let code = rest[at + 1..].chars().next();
        let (byte, length) = match code {
            Some('n') => (Some(b'\n'), 2),
            Some('r') => (Some(b'\r'), 2),
            Some('t') => (Some(b'\t'), 2),
            Some('\\') => (Some(b'\\'), 2),
            Some('x') => {
                let digits = rest.get(at + 2..at + 4);
                (digits.and_then(|digits| u8::from_str_radix(digits, 16).ok()), 4)
            }
            _ => (None, 1),
        };
        out.push(byte.unwrap_or(b'\\'));
        rest = &rest[at + if byte.is_some() { length } else { 1 }..];
    }
    out.extend_from_slice(rest.as_bytes());
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check_error(text: &str, expected: &str) {
        let error = Case::parse(text).expect_err("refused");
        assert!(error.contains(expected), "{error}");
    }

    #[test]
    fn a_case_has_its_sections() {
        let case = Case::parse(
            "# What it pins.\n== caddyfile\nhttp:// {\n\n}\n\n== file a/b.txt\nhi\n\n== env\nA=b=c\n== upstream 2\n\
             GET /x status=503\n\n== requests\n# a comment\n[https conn=a keep=date,etag] POST /x?y | A: b: c << 1\\r\\x41\n",
        )
        .unwrap();
        assert_eq!(case.title, "What it pins.");
        assert_eq!(case.caddyfile, "http:// {\n\n}\n");
        assert_eq!(
            (case.files[0].name.as_str(), case.files[0].text.as_str()),
            ("a/b.txt", "hi")
        );
        assert_eq!(case.env["A"], "b=c");
        assert_eq!(case.upstreams[&2].len(), 1);
        let request = &case.requests[0];
        assert!(request.is_tls);
        assert_eq!(request.connection.as_deref(), Some("a"));
        assert_eq!(request.keep, ["date", "etag"]);
        assert_eq!(
            (request.method.as_str(), request.target.as_str()),
            ("POST", "/x?y")
        );
        assert_eq!(request.headers, [("A".to_owned(), "b: c".to_owned())]);
        assert_eq!(request.body, b"1\rA");
    }

    #[test]
    fn a_raw_request_keeps_its_bytes() {
        let case =
            Case::parse("# t\n== caddyfile\nx\n== requests\n[raw] GET / HTTP/1.1\\r\\n\\r\\n\n").unwrap();
        assert_eq!(
            case.requests[0].raw.as_deref(),
            Some("GET / HTTP/1.1\\r\\n\\r\\n")
        );
    }

    #[test]
    fn what_is_not_understood_is_named() {
        check_error("# t\n== requests\nGET /\n", "no `== caddyfile` section");
        check_error("== caddyfile\nx\n== requests\nGET /\n", "no `# title`");
        check_error("# t\n== caddyfile\nx\n", "a case has requests");
        check_error(
            "# t\n== caddyfile\nx\n== start fails\n== requests\nGET /\n",
            "a case has requests",
        );
        check_error("# t\n== caddyfiel\nx\n", "unknown section `== caddyfiel`");
        check_error(
            "# t\n== caddyfile\nx\n== requests\n[htps] GET /\n",
            "unknown option `htps`",
        );
        check_error(
            "# t\n== caddyfile\nx\n== requests\n[http=3] GET /\n",
            "expected 1.0, 1.1 or 2",
        );
        check_error(
            "# t\n== caddyfile\nx\n== requests\nGET\n",
            "expected METHOD TARGET",
        );
        check_error(
            "# t\n== caddyfile\nx\n== requests\nGET / | nothing\n",
            "expected Name: value",
        );
        check_error("# t\n== caddyfile\nx\n== upstream a\n/ drop\n", "expected 1 to 4");
    }
}
