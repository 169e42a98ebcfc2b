//! Global options: the block without addresses at the top of a file.
//!
//! ```caddyfile
//! {
//!     http_port 8080
//!     email admin@example.com
//!     servers :443 {
//!         protocols h1 h2
//!     }
//! }
//! ```
//!
//! An option given twice takes its last value; `servers`, `log`, `cert_issuer`, `default_bind` and `order` add up.

mod read;
mod servers;

use fairway_caddyfile::{Args, Block, Diagnostic, Token, suggest};
use serde_json::{Value as Json, json};

use super::scope::Shared;
use super::settings::Object;
use crate::config::{Config, Http, Log, Server};
use crate::directives::bind::Bind;
use crate::values::Duration;

pub(crate) use servers::ServerOptions;

/// The global options block, read.
#[derive(Clone, Debug, Default)]
pub struct GlobalOptions {
    /// `debug`: loggers without a level log everything.
    pub debug: bool,
    /// `http_port`: the port that counts as HTTP.
    pub http_port: Option<u16>,
    /// `https_port`: the port that counts as HTTPS.
    pub https_port: Option<u16>,
    /// `default_bind`: where sites listen that do not say so.
    pub default_bind: Vec<Bind>,
    /// `grace_period`
    pub grace_period: Option<Duration>,
    /// `shutdown_delay`
    pub shutdown_delay: Option<Duration>,
    /// `default_sni`
    pub default_sni: Option<String>,
    /// `fallback_sni`
    pub fallback_sni: Option<String>,
    /// `admin`; kept for the JSON, not served.
    pub admin: Option<Json>,
    /// `persist_config off`
    pub persist_config_off: bool,
    /// `storage`
    pub storage: Option<Json>,
    /// `storage_check off`
    pub storage_check_off: bool,
    /// `storage_clean_interval off`
    pub storage_clean_off: bool,
    /// `storage_clean_interval`
    pub storage_clean_interval: Option<Duration>,
    /// `renew_interval`
    pub renew_interval: Option<Duration>,
    /// `ocsp_interval`
    pub ocsp_interval: Option<Duration>,
    /// `ocsp_stapling off`
    pub ocsp_stapling_off: bool,
    /// `local_certs`: certificates of one's own authority.
    pub local_certs: bool,
    /// `skip_install_trust`
    pub skip_install_trust: bool,
    /// `auto_https`: `off`, `disable_redirects`, `disable_certs`, `ignore_loaded_certs`.
    pub auto_https: Vec<String>,
    /// `email`
    pub email: Option<String>,
    /// `acme_ca`
    pub acme_ca: Option<String>,
    /// `acme_ca_root`
    pub acme_ca_root: Option<String>,
    /// `acme_eab`
    pub acme_eab: Option<Json>,
    /// `acme_dns`: the DNS challenge for all issuers over ACME.
    pub acme_dns: Option<AcmeDns>,
    /// `dns`: the DNS provider where none is named.
    pub dns: Option<Json>,
    /// `cert_issuer`, in order.
    pub cert_issuers: Vec<Json>,
    /// `cert_lifetime`
    pub cert_lifetime: Option<Duration>,
    /// `preferred_chains`
    pub preferred_chains: Option<Json>,
    /// `key_type`
    pub key_type: Option<String>,
    /// `renewal_window_ratio`
    pub renewal_window_ratio: Option<f64>,
    /// `on_demand_tls`
    pub on_demand_tls: Option<Json>,
    /// `tls_resolvers`
    pub tls_resolvers: Vec<String>,
    /// `pki`: authorities by name.
    pub pki: Option<Object>,
    /// `ech`: the names that are shown in the open.
    pub ech: Option<Json>,
    /// `events`
    pub events: Option<Json>,
    /// `filesystem`, in order.
    pub filesystems: Vec<Json>,
    /// `metrics`
    pub metrics: Option<Json>,
    /// `servers`, the longest listener first.
    pub(crate) servers: Vec<ServerOptions>,
    /// `log`: loggers by name; an empty one changes nothing.
    pub logs: Vec<(String, Log)>,
}

/// The global option `acme_dns`.
#[derive(Clone, Debug)]
pub struct AcmeDns {
    /// The provider; without it, that of the option `dns`.
    pub provider: Option<Json>,
    /// The name of the option, where it is written.
    pub name: Token,
}

impl GlobalOptions {
    /// The port that counts as HTTP.
    pub fn http_port(&self) -> u16 {
        self.http_port.unwrap_or(80)
    }

    /// Whether `auto_https` was given this word.
    pub fn auto_https_has(&self, word: &str) -> bool {
        self.auto_https.iter().any(|found| found == word)
    }
}

/// Reads the block; the values go to `shared.options`, `order` to `shared.order`, mistakes to the others.
pub(crate) fn read(block: &Block, shared: &mut Shared) {
    for segment in &block.segments {
        let name = segment.name.text.as_str();
        let read = if let Some((_, read)) = read::OPTIONS.iter().find(|(known, _)| *known == name) {
            read(Args::new(segment), shared)
        } else {
            let known = read::OPTIONS.iter().map(|(known, _)| *known);
            let message = format!("there is no global option `{name}`");
            let diagnostic = Diagnostic::error("unknown-option", segment, message);
            Err(diagnostic
                .label("not known here")
                .did_you_mean(suggest(name, known)))
        };
        shared.diagnostics.extend(read.err());
    }
    // Longest first, so that a block with a listener comes before the block for all.
    shared
        .options
        .servers
        .sort_by_key(|options| std::cmp::Reverse(options.listener.len()));
}

/// Applies what the `servers` options say about a server: the first block that fits, if there is one.
pub(crate) fn apply_to_server(server: &mut Server, options: &GlobalOptions) {
    if let Some(found) = servers::find(server, options) {
        found.apply(server);
    }
}

/// The name that a `servers` block gives to a server, in place of `srv0`.
pub(crate) fn server_name<'o>(server: &Server, options: &'o GlobalOptions) -> Option<&'o str> {
    servers::find(server, options)?.name.as_deref()
}

/// Applies what concerns the whole config: ports and times of the servers, admin, storage, trust.
pub(crate) fn apply_to_config(config: &mut Config, options: &GlobalOptions) {
    if let Some(http) = &mut config.apps.http {
        http.http_port = options.http_port.filter(|port| *port != 0);
        http.https_port = options.https_port.filter(|port| *port != 0);
        http.grace_period = options.grace_period.filter(|period| !period.is_zero());
        http.shutdown_delay = options.shutdown_delay.filter(|delay| !delay.is_zero());
        http.metrics.clone_from(&options.metrics);
        hoist_metrics(http);
    }
    config.storage.clone_from(&options.storage);
    config.admin.clone_from(&options.admin);
    if options.persist_config_off {
        let admin = config.admin.get_or_insert_with(|| json!({}));
        admin["config"] = json!({"persist": false});
    }
    config.apps.events.clone_from(&options.events);
    if !options.filesystems.is_empty() {
        config.apps.filesystems = Some(json!({"filesystems": options.filesystems}));
    }
}

/// Metrics are counted for all servers together, wherever they were asked for.
fn hoist_metrics(http: &mut Http) {
    for server in http.servers.values_mut() {
        let Some(metrics) = server.metrics.take() else {
            continue;
        };
        let per_host = |metrics: &Json| metrics["per_host"] == true;
        let any = per_host(&metrics) || http.metrics.as_ref().is_some_and(per_host);
        http.metrics = Some(if any { json!({"per_host": true}) } else { json!({}) });
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use fairway_caddyfile::{Options, Origin, Source};

    use super::*;
    use crate::adapt::order::Order;
    use crate::config::Apps;

    /// Reads the text as the lines of a global block.
    fn read_options(text: &str) -> Shared {
        let text = format!("{{\n{text}\n}}\n:443\n");
        let source = Source::new(Origin::operator("Caddyfile"), "Caddyfile", text);
        let parsed = fairway_caddyfile::parse(source, &Options::default());
        let mut shared = Shared::default();
        read(&parsed.file.global.unwrap(), &mut shared);
        shared
    }

    /// What the options make of a config with one server on `:443`.
    #[track_caller]
    fn check(text: &str, expected: Json) {
        let shared = read_options(text);
        let messages: Vec<_> = shared.diagnostics.iter().map(Diagnostic::one_line).collect();
        assert_eq!(messages, [""; 0], "{text}");
        let mut server = Server::default();
        server.listen.push(":443".to_owned());
        apply_to_server(&mut server, &shared.options);
        let name = server_name(&server, &shared.options).unwrap_or("srv0").to_owned();
        let servers = HashMap::from([(name, server)]).into_iter().collect();
        let http = Some(Http {
            servers,
            ..Http::default()
        });
        let mut config = Config {
            apps: Apps {
                http,
                ..Apps::default()
            },
            ..Config::default()
        };
        apply_to_config(&mut config, &shared.options);
        assert_eq!((serde_json::to_value(config).unwrap(), text), (expected, text));
    }

    #[track_caller]
    fn refuse(text: &str, code: &str, expected: &str) {
        let shared = read_options(text);
        let [mistake] = &shared.diagnostics[..] else {
            panic!("{text}: {} mistakes", shared.diagnostics.len())
        };
        assert_eq!(
            (mistake.code, mistake.one_line().as_str()),
            (code, expected),
            "{text}"
        );
    }

    fn server(fields: &Json) -> Json {
        let mut server = json!({"listen": [":443"]});
        for (key, value) in fields.as_object().unwrap() {
            server[key] = value.clone();
        }
        json!({"apps": {"http": {"servers": {"srv0": server}}}})
    }

    #[test]
    fn options_of_the_whole_config() {
        let text =
            "http_port 8080\nhttps_port 8443\ngrace_period 5s\nshutdown_delay 10s\nmetrics {\nper_host\n}";
        check(
            text,
            json!({"apps": {"http": {
                "http_port": 8080, "https_port": 8443, "grace_period": 5_000_000_000_i64,
                "shutdown_delay": 10_000_000_000_i64, "metrics": {"per_host": true},
                "servers": {"srv0": {"listen": [":443"]}}
            }}}),
        );
        let with = |key: &str, value: Json| {
            let mut config = server(&json!({}));
            config[key] = value;
            config
        };
        check("admin off", with("admin", json!({"disabled": true})));
        check("admin {\n}", with("admin", json!({"listen": "localhost:2019"})));
        check("admin \"\"", with("admin", json!({"listen": "localhost:2019"})));
        check("default_sni \"\"\nfallback_sni \"\"", server(&json!({})));
        check(
            "admin :2019 {\norigins a b\nenforce_origin\n}\npersist_config off",
            with(
                "admin",
                json!({"listen": ":2019", "enforce_origin": true, "origins": ["a", "b"], "config": {"persist": false}}),
            ),
        );
        check(
            "storage file_system /data",
            with("storage", json!({"module": "file_system", "root": "/data"})),
        );
    }

    #[test]
    fn options_of_servers() {
        check(
            "servers {\ntimeouts {\nread_body 1s\nread_header 2s\nwrite 3s\nidle 4s\n}\nmax_header_size 5KB\n}",
            server(&json!({
                "read_timeout": 1_000_000_000, "read_header_timeout": 2_000_000_000, "write_timeout": 3_000_000_000_i64,
                "idle_timeout": 4_000_000_000_i64, "max_header_bytes": 5000
            })),
        );
        check(
            "servers {\nlistener_wrappers {\nproxy_protocol {\ntimeout 2s\nallow 10.0.0.0/8\nfallback_policy skip\n}\ntls\n}\n}",
            server(&json!({"listener_wrappers": [
                {"wrapper": "proxy_protocol", "timeout": 2_000_000_000, "allow": ["10.0.0.0/8"], "fallback_policy": "SKIP"},
                {"wrapper": "tls"}
            ]})),
        );
        check(
            "servers {\ntrusted_proxies static 10.0.0.1 private_ranges\ntrusted_proxies_strict\nclient_ip_headers A B\n}",
            server(&json!({
                "trusted_proxies": {"source": "static", "ranges": [
                    "10.0.0.1", "192.168.0.0/16", "172.16.0.0/12", "10.0.0.0/8", "127.0.0.1/8", "fd00::/8", "::1"
                ]},
                "trusted_proxies_strict": 1, "client_ip_headers": ["A", "B"]
            })),
        );
        check(
            "servers {\nstrict_sni_host insecure_off\nprotocols h1 h2\n0rtt off\nlog_credentials\n}",
            server(&json!({
                "strict_sni_host": false, "protocols": ["h1", "h2"], "allow_0rtt": false,
                "logs": {"should_log_credentials": true}
            })),
        );
    }

    #[test]
    fn metrics_of_a_server_are_those_of_all() {
        let metrics = |metrics: Json| {
            let mut config = server(&json!({}));
            config["apps"]["http"]["metrics"] = metrics;
            config
        };
        check(
            "servers {\nmetrics {\nper_host\n}\n}\nmetrics",
            metrics(json!({"per_host": true})),
        );
        check("servers {\nmetrics\n}", metrics(json!({})));
    }

    #[test]
    fn a_block_with_a_listener_comes_first() {
        check("servers :80 {\nprotocols h1\n}", server(&json!({})));
        check(
            "servers {\nprotocols h1\n}\nservers :443 {\nname main\n}",
            json!({"apps": {"http": {"servers": {"main": {"listen": [":443"]}}}}}),
        );
    }

    #[test]
    fn order_moves_directives() {
        let order = |text: &str| {
            let shared = read_options(text);
            assert!(shared.diagnostics.is_empty(), "{text}");
            shared.order.0
        };
        let default = Order::default().0;
        assert_eq!(order("order respond first")[0], "respond");
        assert_eq!(*order("order vars last").last().unwrap(), "vars");
        // A directive that does not run may have a place, too.
        assert_eq!(order("order log first")[0], "log");
        let before = order("order respond before root");
        let at = |name: &str| before.iter().position(|found| *found == name).unwrap();
        assert_eq!(at("respond") + 1, at("root"));
        assert_eq!(before.len(), default.len());
    }

    #[test]
    fn mistakes_are_told() {
        let unknown = "Caddyfile:2:1: there is no global option `htp_port`; did you mean `http_port`?";
        refuse("htp_port 80", "unknown-option", unknown);
        let events = "Caddyfile:3:6: `exec` is no event handler that Fairway knows";
        refuse("events {\non x exec\n}", "not-yet", events);
        let files = "Caddyfile:2:14: `s3` is no file system that Fairway knows";
        refuse("filesystem x s3", "not-yet", files);
        let ech = "Caddyfile:2:1: `ech` needs the name that is shown in the open";
        refuse("ech", "missing-argument", ech);
        let port = "Caddyfile:2:11: `http` is no whole number";
        refuse("http_port http", "invalid-value", port);
        refuse(
            "http_port",
            "missing-argument",
            "Caddyfile:2:1: `http_port` needs a number",
        );
        let second = "Caddyfile:2:11: `email` takes no further argument, but `b` follows";
        refuse("email a@b b", "unexpected-argument", second);
        refuse(
            "renewal_window_ratio 1",
            "invalid-value",
            "Caddyfile:2:22: `1` is not between 0 and 1",
        );
        let listener = "Caddyfile:4:9: there are already `servers` options for `:443`";
        refuse(
            "servers :443 {\n}\nservers :443 {\n}",
            "duplicate-option",
            listener,
        );
        let name = "Caddyfile:3:1: `name` needs a listener after `servers`";
        refuse("servers {\nname a\n}", "missing-argument", name);
        let protocol = "Caddyfile:3:11: `h4` is not known here; did you mean `h1`?";
        refuse("servers {\nprotocols h4\n}", "invalid-value", protocol);
        let directive =
            "Caddyfile:2:7: `respnd` is not a directive that can be ordered; did you mean `respond`?";
        refuse("order respnd first", "unknown-directive", directive);
        let log = "Caddyfile:4:5: there is already a global logger `a`";
        refuse("log a {\n}\nlog a {\n}", "duplicate-option", log);
        let dns = "Caddyfile:2:10: `cloudflare` is no DNS provider that Fairway knows; let another program get the certificate, and name its files with `tls CERT KEY`";
        refuse("acme_dns cloudflare", "not-yet", dns);
    }
}
