//! What to listen on, read from a config: addresses, the server behind each, and its limits.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use fairway_engine::config::{Config, Server};
use fairway_engine::values::{Duration as ConfigDuration, NetworkAddress, NetworkAddressError};

use crate::names;
use crate::proxy_protocol::ProxyProtocol;

/// How many ports a range may have.
const MAX_PORTS: usize = 1000;

/// What to listen on, and how long the end may take.
#[derive(Clone, Debug, Default)]
pub struct Plan {
    /// In the order of the config.
    pub listeners: Vec<Listener>,
    /// How long requests and tunnels under way may take at the end; without end if absent.
    pub grace_period: Option<Duration>,
    /// How long to wait before the end begins.
    pub shutdown_delay: Option<Duration>,
}

/// One address.
#[derive(Clone, Debug)]
pub struct Listener {
    /// Where. Port 0 is any free one. `[::]` takes IPv4, too.
    pub address: SocketAddr,
    /// The server of the table that answers, by its name.
    pub server: Box<str>,
    /// Whether TLS may be spoken here. It is if the server has a TLS config; never on the HTTP port.
    pub may_tls: bool,
    /// The limits of its connections.
    pub settings: Arc<Settings>,
}

/// The limits of a server's connections.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// For the head of a request, counted from its first byte. 1 minute.
    pub read_header_timeout: Duration,
    /// Between two requests. 5 minutes.
    pub idle_timeout: Duration,
    /// For a whole response; none by default.
    pub write_timeout: Option<Duration>,
    /// Bytes of a request's head; what the HTTP library takes without it.
    pub max_header_bytes: Option<usize>,
    /// Whether HTTP/1 is spoken.
    pub h1: bool,
    /// Whether HTTP/2 is spoken over TLS.
    pub h2: bool,
    /// Whether HTTP/2 is spoken without TLS, by prior knowledge.
    pub h2c: bool,
    /// Whether the host must be the name that TLS was asked for.
    pub strict_sni_host: bool,
    /// Whether access logs show credentials.
    pub log_credentials: bool,
    /// Whether those who speak HTTP where TLS is spoken are redirected to HTTPS.
    pub http_redirect: bool,
    /// What is done with PROXY headers; none are looked for without it.
    pub proxy_protocol: Option<Arc<ProxyProtocol>>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            read_header_timeout: Duration::from_mins(1),
            idle_timeout: Duration::from_mins(5),
            write_timeout: None,
            max_header_bytes: None,
            h1: true,
            h2: true,
            h2c: false,
            strict_sni_host: false,
            log_credentials: false,
            http_redirect: false,
            proxy_protocol: None,
        }
    }
}

/// Why a config names no addresses to listen on.
#[derive(Debug, thiserror::Error)]
pub enum PlanError {
    /// A text that is no address.
    #[error("server {server}: listening on `{address}`")]
    Address {
        /// The server's name.
        server: Box<str>,
        /// As in the config.
        address: Box<str>,
        /// What is wrong with it.
        #[source]
        source: NetworkAddressError,
    },
    /// A host that has no address here.
    #[error("server {server}: looking up `{address}`")]
    Host {
        /// The server's name.
        server: Box<str>,
        /// As in the config.
        address: Box<str>,
        /// Why not.
        #[source]
        source: std::io::Error,
    },
    /// A part of Caddy that Fairway does not have.
    #[error("server {server}: {what} is not supported yet")]
    NotYet {
        /// The server's name.
        server: Box<str>,
        /// Which part.
        what: Box<str>,
    },
    /// Settings of a listener wrapper that make no sense.
    #[error("server {server}: listener wrapper `{wrapper}`: {message}")]
    Wrapper {
        /// The server's name.
        server: Box<str>,
        /// The name of the wrapper.
        wrapper: &'static str,
        /// What is wrong.
        message: Box<str>,
    },
    /// Two servers want one address.
    #[error("servers {first} and {second} both listen on {address}")]
    Twice {
        /// The address.
        address: SocketAddr,
        /// One of them.
        first: Box<str>,
        /// The other.
        second: Box<str>,
    },
}

/// Reads what to listen on from a config. Names of hosts are looked up, so this may block for a while.
pub fn plan(config: &Config) -> Result<Plan, PlanError> {
    let Some(http) = &config.apps.http else {
        return Ok(Plan::default());
    };
    let http_port = http.http_port.unwrap_or(80);
    let mut plan = Plan {
        listeners: Vec::new(),
        grace_period: duration(http.grace_period),
        shutdown_delay: duration(http.shutdown_delay),
    };
    for (name, server) in &http.servers {
        let settings = Arc::new(settings(name, server)?);
        let speaks_h2 = settings.h2;
        for (number, text) in server.listen.iter().enumerate() {
            let own = server
                .listen_protocols
                .as_ref()
                .and_then(|all| all.get(number)?.as_ref());
            let settings = own.map_or_else(
                || Arc::clone(&settings),
                |protocols| Arc::new(settings.speaking(protocols)),
            );
            // TLS offers the protocols of the server.
            if server.tls_connection_policies.is_some() && own.is_some_and(|_| settings.h2 != speaks_h2) {
                return Err(PlanError::NotYet {
                    server: name.as_str().into(),
                    what: "HTTP/2 over TLS on some of its addresses only".into(),
                });
            }
            for address in addresses(name, text)? {
                let same = |other: &&Listener| other.address == address && address.port() != 0;
                if let Some(other) = plan.listeners.iter().find(same) {
                    if *other.server == **name {
                        continue;
                    }
                    return Err(PlanError::Twice {
                        address,
                        first: other.server.clone(),
                        second: name.as_str().into(),
                    });
                }
                plan.listeners.push(Listener {
                    address,
                    server: name.as_str().into(),
                    may_tls: address.port() != http_port,
                    settings: Arc::clone(&settings),
                });
            }
        }
    }
    Ok(plan)
}

impl Settings {
    /// The same for a listener with protocols of its own.
    fn speaking(&self, protocols: &[String]) -> Self {
        let speaks = |protocol: &str| protocols.iter().any(|known| known == protocol);
        Self {
            h1: speaks("h1"),
            h2: speaks("h2"),
            h2c: speaks("h2c"),
            ..self.clone()
        }
    }
}

fn settings(name: &str, server: &Server) -> Result<Settings, PlanError> {
    let (proxy_protocol, http_redirect) = wrappers(name, server)?;
    if server.read_timeout.is_some_and(|limit| !limit.is_zero()) {
        return Err(PlanError::NotYet {
            server: name.into(),
            what: "a limit for reading the body of a request (`timeouts read_body`)".into(),
        });
    }
    let default = Settings::default();
    let speaks = |protocol: &str, default: bool| match &server.protocols {
        Some(protocols) if !protocols.is_empty() => protocols.iter().any(|known| known == protocol),
        _ => default,
    };
    let max_header_bytes = server.max_header_bytes.filter(|bytes| *bytes > 0);
    Ok(Settings {
        read_header_timeout: duration(server.read_header_timeout).unwrap_or(default.read_header_timeout),
        idle_timeout: duration(server.idle_timeout).unwrap_or(default.idle_timeout),
        write_timeout: duration(server.write_timeout),
        max_header_bytes: max_header_bytes.and_then(|bytes| usize::try_from(bytes).ok()),
        h1: speaks("h1", true),
        h2: speaks("h2", true),
        h2c: speaks("h2c", false),
        strict_sni_host: server
            .strict_sni_host
            .unwrap_or_else(|| asks_for_certificates(server)),
        log_credentials: server
            .logs
            .as_ref()
            .is_some_and(|logs| logs.should_log_credentials),
        http_redirect,
        proxy_protocol,
    })
}

/// What stands around the listeners of a server: perhaps the PROXY protocol, behind it perhaps the redirection of plain
/// HTTP, and TLS.
fn wrappers(name: &str, server: &Server) -> Result<(Option<Arc<ProxyProtocol>>, bool), PlanError> {
    let mut proxy_protocol = None;
    let (mut redirect, mut tls) = (false, false);
    for wrapper in server.listener_wrappers.iter().flatten() {
        let place = match wrapper.wrapper.as_str() {
            "tls" => {
                tls = true;
                continue;
            }
            "http_redirect" if !tls && wrapper.settings.is_empty() => {
                redirect = true;
                continue;
            }
            "proxy_protocol" if !tls && !redirect && proxy_protocol.is_none() => {
                let settings = ProxyProtocol::new(&wrapper.settings);
                proxy_protocol = Some(Arc::new(settings.map_err(|message| PlanError::Wrapper {
                    server: name.into(),
                    wrapper: "proxy_protocol",
                    message: message.into(),
                })?));
                continue;
            }
            "proxy_protocol" => " behind another one",
            "http_redirect" if tls => " behind another one",
            "http_redirect" => " with settings",
            _ => "",
        };
        return Err(PlanError::NotYet {
            server: name.into(),
            what: format!("listener wrapper `{}`{place}", wrapper.wrapper).into(),
        });
    }
    Ok((proxy_protocol, redirect))
}

/// Whether some clients have to show a certificate. Who is asked depends on the name in the handshake, so that a request
/// for another host would go around it.
fn asks_for_certificates(server: &Server) -> bool {
    let mut policies = server.tls_connection_policies.iter().flatten();
    policies.any(|policy| policy.client_authentication.is_some())
}

/// A positive duration; zero and less count as absent, as in Caddy.
fn duration(value: Option<ConfigDuration>) -> Option<Duration> {
    value
        .and_then(ConfigDuration::to_std)
        .filter(|duration| !duration.is_zero())
}

fn addresses(server: &str, text: &str) -> Result<Vec<SocketAddr>, PlanError> {
    let parsed = NetworkAddress::parse(text).map_err(|source| PlanError::Address {
        server: server.into(),
        address: text.into(),
        source,
    })?;
    let wildcard = match parsed.network.as_str() {
        "tcp" | "tcp6" => "::",
        "tcp4" => "0.0.0.0",
        network => {
            return Err(PlanError::NotYet {
                server: server.into(),
                what: format!("listening on `{network}` addresses").into(),
            });
        }
    };
    let ports = usize::from(parsed.end_port - parsed.start_port) + 1;
    if ports > MAX_PORTS {
        return Err(PlanError::NotYet {
            server: server.into(),
            what: format!("listening on more than {MAX_PORTS} ports by one address").into(),
        });
    }
    let host = if parsed.host.is_empty() {
        wildcard
    } else {
        &parsed.host
    };
    let ip = look_up(host).map_err(|source| PlanError::Host {
        server: server.into(),
        address: text.into(),
        source,
    })?;
    Ok((parsed.start_port..=parsed.end_port)
        .map(|port| SocketAddr::new(ip, port))
        .collect())
}

/// The address of a host; IPv4 if there is a choice.
fn look_up(host: &str) -> std::io::Result<IpAddr> {
    let found = names::addresses_now(host)?;
    found
        .first()
        .copied()
        .ok_or_else(|| std::io::ErrorKind::NotFound.into())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// Plans servers; gives `address server may_tls` for each listener, or the error.
    #[track_caller]
    fn check(servers: &serde_json::Value, expected: &[&str]) {
        let config = serde_json::from_value(json!({"apps": {"http": {"servers": servers}}})).unwrap();
        let planned = match plan(&config) {
            Ok(plan) => plan
                .listeners
                .iter()
                .map(|listener| format!("{} {} {}", listener.address, listener.server, listener.may_tls))
                .collect(),
            Err(error) => vec![error.to_string()],
        };
        assert_eq!(planned, expected);
    }

    #[test]
    fn addresses_of_every_form() {
        check(&json!({"a": {"listen": [":80"]}}), &["[::]:80 a false"]);
        check(
            &json!({"a": {"listen": ["127.0.0.1:443"]}}),
            &["127.0.0.1:443 a true"],
        );
        check(&json!({"a": {"listen": ["[::1]:8080"]}}), &["[::1]:8080 a true"]);
        check(&json!({"a": {"listen": ["tcp4/:80"]}}), &["0.0.0.0:80 a false"]);
        check(
            &json!({"a": {"listen": ["localhost:81"]}}),
            &["127.0.0.1:81 a true"],
        );
        check(
            &json!({"a": {"listen": [":80-82", ":81"]}}),
            &["[::]:80 a false", "[::]:81 a true", "[::]:82 a true"],
        );
    }

    #[test]
    fn what_cannot_be_listened_on_is_named() {
        check(
            &json!({"a": {"listen": [":x"]}}),
            &["server a: listening on `:x`"],
        );
        check(
            &json!({"a": {"listen": ["unix//run/a"]}}),
            &["server a: listening on `unix` addresses is not supported yet"],
        );
        check(
            &json!({"a": {"listen": [":1-65535"]}}),
            &["server a: listening on more than 1000 ports by one address is not supported yet"],
        );
        check(
            &json!({"a": {"listen": [":1"]}, "b": {"listen": [":1"]}}),
            &["servers a and b both listen on [::]:1"],
        );
        check(
            &json!({"a": {"listener_wrappers": [{"wrapper": "other"}]}}),
            &["server a: listener wrapper `other` is not supported yet"],
        );
        check(
            &json!({"a": {"listener_wrappers": [{"wrapper": "tls"}, {"wrapper": "http_redirect"}]}}),
            &["server a: listener wrapper `http_redirect` behind another one is not supported yet"],
        );
        check(
            &json!({"a": {"listener_wrappers": [{"wrapper": "tls"}, {"wrapper": "proxy_protocol"}]}}),
            &["server a: listener wrapper `proxy_protocol` behind another one is not supported yet"],
        );
        check(
            &json!({"a": {"listener_wrappers": [{"wrapper": "proxy_protocol", "allow": ["x"]}]}}),
            &["server a: listener wrapper `proxy_protocol`: \"x\" is no range like 10.0.0.0/8"],
        );
        check(
            &json!({"a": {"read_timeout": "1s"}}),
            &[
                "server a: a limit for reading the body of a request (`timeouts read_body`) is not supported yet",
            ],
        );
    }

    #[test]
    fn a_listener_may_have_its_own_protocols() {
        let servers = json!({"a": {
            "listen": [":1", ":2"], "listen_protocols": [["h1"], null], "protocols": ["h2"], "idle_timeout": "10s"
        }});
        let config = serde_json::from_value(json!({"apps": {"http": {"servers": servers}}})).unwrap();
        let listeners = plan(&config).unwrap().listeners;
        let spoken = |number: usize| (listeners[number].settings.h1, listeners[number].settings.h2);
        assert_eq!([spoken(0), spoken(1)], [(true, false), (false, true)]);
        assert_eq!(listeners[0].settings.idle_timeout, Duration::from_secs(10));
        check(
            &json!({"a": {"listen": [":1"], "listen_protocols": [["h1"]], "tls_connection_policies": [{}]}}),
            &["server a: HTTP/2 over TLS on some of its addresses only is not supported yet"],
        );
    }

    #[test]
    fn settings_have_caddys_defaults() {
        let read = |value| settings("a", &serde_json::from_value(value).unwrap()).unwrap();
        assert_eq!(read(json!({})), Settings::default());
        let set = read(json!({"protocols": ["h1", "h2c"], "idle_timeout": "10s", "max_header_bytes": 5000}));
        assert!(set.h1 && set.h2c && !set.h2);
        assert_eq!(set.idle_timeout, Duration::from_secs(10));
        assert_eq!(set.max_header_bytes, Some(5000));
    }

    #[test]
    fn where_clients_show_certificates_the_host_is_the_name_of_the_handshake() {
        let strict = |value| {
            let server = serde_json::from_value(value).unwrap();
            settings("a", &server).unwrap().strict_sni_host
        };
        let policies =
            json!([{"match": {"sni": ["a.test"]}, "client_authentication": {"mode": "require"}}, {}]);
        assert!(strict(json!({"tls_connection_policies": policies})));
        assert!(!strict(
            json!({"tls_connection_policies": policies, "strict_sni_host": false})
        ));
        assert!(!strict(json!({"tls_connection_policies": [{}]})));
        assert!(strict(
            json!({"tls_connection_policies": [{}], "strict_sni_host": true})
        ));
    }
}
