//! `client_ip` matches the client's address: the peer's, or what a trusted proxy says.
//!
//! ```caddyfile
//! client_ip <ranges…>
//! ```
//!
//! Ranges are those of `remote_ip`. JSON: `http.matchers.client_ip`, `{"ranges": […]}`.

use fairway_caddyfile::{Diagnostic, Segment};
use serde::{Deserialize, Serialize};

use crate::compile::CompileError;
use crate::exchange::Exchange;
use crate::matchers::remote_ip::{Ranges, parse_ranges};
use crate::matchers::{Entry, Set};

pub(crate) const MATCHER: Entry = Entry {
    name: "client_ip",
    parse,
};

/// Where the client must be.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Addresses and networks, one of which must hold the client's address.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub ranges: Vec<String>,
}

fn parse(lines: &[&Segment], _name: &str, set: &mut Set) -> Result<(), Diagnostic> {
    let ranges = &mut set.client_ip.get_or_insert_default().ranges;
    lines.iter().try_for_each(|line| parse_ranges(line, ranges))
}

/// The run-time form.
#[derive(Debug)]
pub(crate) struct ClientIp(Ranges);

impl Config {
    pub(crate) fn compile(&self) -> Result<ClientIp, CompileError> {
        let ranges = Ranges::compile(&self.ranges).map_err(|error| error.within("client_ip"))?;
        Ok(ClientIp(ranges))
    }
}

impl ClientIp {
    pub(crate) fn matches(&self, exchange: &Exchange) -> bool {
        self.0.hold(exchange.client_ip, 0)
    }
}

#[cfg(test)]
mod tests {
    use crate::matchers::testing::{ask, check_json, check_not_compiled, check_refused, exchange};

    #[test]
    fn lines_add_up() {
        check_json(
            "client_ip 10.0.0.1\nclient_ip ::1",
            r#"{"client_ip": {"ranges": ["10.0.0.1", "::1"]}}"#,
        );
        check_refused("client_ip", "`client_ip` needs an address or a range");
        check_not_compiled("client_ip forwarded", "is neither an IP address nor a range");
    }

    #[test]
    fn looks_at_the_client() {
        let mut exchange = exchange("GET /");
        exchange.client_ip = "10.9.9.9".parse().unwrap();
        assert_eq!(ask("client_ip 10.0.0.0/8", &mut exchange), Ok(true));
        assert_eq!(ask("client_ip 192.0.2.1", &mut exchange), Ok(false));
        assert_eq!(ask("client_ip 10.0.0.0/8%1", &mut exchange), Ok(false));
    }
}
