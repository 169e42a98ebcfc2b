//! `protocol` matches the protocol that the request came by.
//!
//! ```caddyfile
//! protocol http|https|grpc|http/<version>[+]
//! ```
//!
//! `https` is a connection with TLS, `http` one without; `grpc` is a request whose `Content-Type` begins with
//! `application/grpc`; the versions are 1.0, 1.1, 2 and 3, and those with `+` also stand for later ones. Any other
//! text is taken and never matches, as in Caddy. The last line wins. JSON: `http.matchers.protocol`, a string.

use fairway_caddyfile::{Args, Diagnostic, Segment};
use http::Version;
use serde::{Deserialize, Serialize};

use crate::exchange::Exchange;
use crate::matchers::{Entry, Set};

pub(crate) const MATCHER: Entry = Entry {
    name: "protocol",
    parse,
};

/// The protocol, one of those above.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Config(pub String);

fn parse(lines: &[&Segment], _name: &str, set: &mut Set) -> Result<(), Diagnostic> {
    for line in lines {
        let mut args = Args::new(line);
        let protocol = args.required("a protocol")?;
        args.finish_line()?;
        set.protocol = Some(Config(protocol.text.clone()));
    }
    Ok(())
}

/// The run-time form.
#[derive(Debug)]
pub(crate) enum Protocol {
    Grpc,
    Tls,
    Plain,
    Exactly(Version),
    AtLeast(Version),
    Unknown,
}

impl Config {
    pub(crate) fn compile(&self) -> Protocol {
        match self.0.as_str() {
            "grpc" => Protocol::Grpc,
            "https" => Protocol::Tls,
            "http" => Protocol::Plain,
            "http/1.0" => Protocol::Exactly(Version::HTTP_10),
            "http/1.0+" => Protocol::AtLeast(Version::HTTP_10),
            "http/1.1" => Protocol::Exactly(Version::HTTP_11),
            "http/1.1+" => Protocol::AtLeast(Version::HTTP_11),
            "http/2" => Protocol::Exactly(Version::HTTP_2),
            "http/2+" => Protocol::AtLeast(Version::HTTP_2),
            "http/3" => Protocol::Exactly(Version::HTTP_3),
            "http/3+" => Protocol::AtLeast(Version::HTTP_3),
            _ => Protocol::Unknown,
        }
    }
}

impl Protocol {
    pub(crate) fn matches(&self, exchange: &Exchange) -> bool {
        match self {
            Self::Grpc => exchange
                .headers
                .get(http::header::CONTENT_TYPE)
                .is_some_and(|value| value.as_bytes().starts_with(b"application/grpc")),
            Self::Tls => exchange.connection.tls.is_some(),
            Self::Plain => exchange.connection.tls.is_none(),
            Self::Exactly(version) => exchange.version == *version,
            Self::AtLeast(version) => exchange.version >= *version,
            Self::Unknown => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use http::Version;

    use crate::exchange::Tls;
    use crate::matchers::testing::{ask, check, check_json, check_refused, exchange, with_connection};

    #[test]
    fn last_line_wins() {
        check_json("protocol http\nprotocol grpc", r#"{"protocol": "grpc"}"#);
        check_json("protocol http/1", r#"{"protocol": "http/1"}"#);
        check_refused("protocol", "`protocol` needs a protocol");
        check_refused(
            "protocol http https",
            "`protocol` takes no further argument, but `https` follows",
        );
        check_refused("protocol http {\n}", "`protocol` takes no block");
    }

    #[test]
    fn tells_tls_and_grpc() {
        check("protocol http", "GET /", true);
        check("protocol https", "GET /", false);
        let over_tls = || with_connection("GET /", "192.0.2.1:1", Some(Tls::default()));
        assert_eq!(ask("protocol https", &mut over_tls()), Ok(true));
        assert_eq!(ask("protocol http", &mut over_tls()), Ok(false));
        check(
            "protocol grpc",
            "POST /\nContent-Type: application/grpc+proto",
            true,
        );
        check("protocol grpc", "POST /\nContent-Type: text/plain", false);
        check("protocol grpc", "POST /", false);
    }

    #[test]
    fn tells_versions() {
        #[track_caller]
        fn check(protocol: &str, version: Version, expected: bool) {
            let mut exchange = exchange("GET /");
            exchange.version = version;
            assert_eq!(
                ask(&format!("protocol {protocol}"), &mut exchange),
                Ok(expected),
                "{protocol} {version:?}"
            );
        }
        check("http/1.0", Version::HTTP_10, true);
        check("http/1.0", Version::HTTP_11, false);
        check("http/1.0+", Version::HTTP_3, true);
        check("http/1.1", Version::HTTP_11, true);
        check("http/1.1+", Version::HTTP_10, false);
        check("http/1.1+", Version::HTTP_2, true);
        check("http/2", Version::HTTP_2, true);
        check("http/2", Version::HTTP_3, false);
        check("http/2+", Version::HTTP_11, false);
        check("http/2+", Version::HTTP_3, true);
        check("http/3", Version::HTTP_3, true);
        check("http/3+", Version::HTTP_2, false);
        check("http/1", Version::HTTP_11, false);
        check("HTTP", Version::HTTP_11, false);
    }
}
