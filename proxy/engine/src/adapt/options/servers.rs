//! `servers`: what servers are told beside their sites.

use fairway_caddyfile::{Args, Diagnostic, Segment, Token};
use serde_json::{Value as Json, json};

use super::GlobalOptions;
use crate::adapt::modules;
use crate::adapt::scope::Shared;
use crate::adapt::settings::{
    Object, append, duration, flag, nanoseconds, not_yet, number, one_of, only, put, size, text, texts,
};
use crate::config::{IpSource, ListenerWrapper, Logs, Server};
use crate::values::Duration;

/// A `servers` block.
#[derive(Clone, Debug, Default)]
pub(crate) struct ServerOptions {
    /// The listener of the servers that it is for; empty: all that no other block is for.
    pub listener: String,
    /// Their name.
    pub name: Option<String>,
    /// A server with nothing but these options.
    pub server: Server,
}

impl ServerOptions {
    /// Replaces the options of a server.
    pub(super) fn apply(&self, server: &mut Server) {
        let given = self.server.clone();
        server.listener_wrappers = given.listener_wrappers;
        server.read_timeout = given.read_timeout;
        server.read_header_timeout = given.read_header_timeout;
        server.write_timeout = given.write_timeout;
        server.idle_timeout = given.idle_timeout;
        server.keepalive_interval = given.keepalive_interval;
        server.keepalive_idle = given.keepalive_idle;
        server.keepalive_count = given.keepalive_count;
        server.max_header_bytes = given.max_header_bytes;
        server.enable_full_duplex = given.enable_full_duplex;
        server.protocols = given.protocols;
        server.strict_sni_host = given.strict_sni_host;
        server.trusted_proxies = given.trusted_proxies;
        server.client_ip_headers = given.client_ip_headers;
        server.expected_underscore_headers = given.expected_underscore_headers;
        server.expected_dot_headers = given.expected_dot_headers;
        server.packet_conn_wrappers = given.packet_conn_wrappers;
        server.trusted_proxies_strict = given.trusted_proxies_strict;
        server.trusted_proxies_unix = given.trusted_proxies_unix;
        server.metrics = given.metrics;
        server.allow_0rtt = given.allow_0rtt;
        if let Some(logs) = given.logs {
            let own = server.logs.get_or_insert_with(Logs::default);
            own.should_log_credentials |= logs.should_log_credentials;
            own.trace |= logs.trace;
        }
    }
}

/// The block for a server.
pub(super) fn find<'o>(server: &Server, options: &'o GlobalOptions) -> Option<&'o ServerOptions> {
    let fits = |block: &&ServerOptions| block.listener.is_empty() || server.listen.contains(&block.listener);
    options.servers.iter().find(fits)
}

/// `servers [LISTENER] { … }`
pub(super) fn read(mut args: Args<'_>, shared: &mut Shared) -> Result<(), Diagnostic> {
    let listener = args.next_arg();
    args.finish()?;
    let mut options = ServerOptions {
        listener: listener.map(|token| token.text.clone()).unwrap_or_default(),
        ..ServerOptions::default()
    };
    let earlier = &shared.options.servers;
    if earlier.iter().any(|other| other.listener == options.listener) {
        let message = match listener {
            Some(token) => format!("there are already `servers` options for `{}`", token.text),
            None => "there are already `servers` options for all listeners".to_owned(),
        };
        let token = listener.unwrap_or(args.name());
        return Err(Diagnostic::error("duplicate-option", token, message));
    }
    for line in args.block() {
        if line.name.text == "name" {
            let token = name(line, &options.listener)?;
            if earlier
                .iter()
                .any(|other| other.name.as_ref() == Some(&token.text))
            {
                let message = format!("there is already a server named `{}`", token.text);
                return Err(Diagnostic::error("duplicate-option", token, message));
            }
            options.name = Some(token.text.clone()).filter(|name| !name.is_empty());
        } else {
            read_line(&args, line, &mut options.server)?;
        }
    }
    shared.options.servers.push(options);
    Ok(())
}

const KNOWN: [&str; 23] = [
    "0rtt",
    "client_ip_headers",
    "enable_full_duplex",
    "expected_dot_headers",
    "expected_underscore_headers",
    "keepalive_count",
    "keepalive_idle",
    "keepalive_interval",
    "listener_wrappers",
    "log_credentials",
    "max_header_size",
    "metrics",
    "name",
    "packet_conn_wrappers",
    "protocols",
    "strict_sni_host",
    "timeouts",
    "trace",
    "trusted_proxies",
    "trusted_proxies_strict",
    "trusted_proxies_unix",
    "write_idle",
    "write_max_chunk",
];

fn read_line(args: &Args<'_>, line: &Segment, server: &mut Server) -> Result<(), Diagnostic> {
    let mut line_args = Args::new(line);
    match line.name.text.as_str() {
        "listener_wrappers" => {
            line_args.finish()?;
            for wrapper in line_args.block() {
                let wrappers = server.listener_wrappers.get_or_insert_default();
                wrappers.push(listener_wrapper(&line_args, wrapper)?);
            }
        }
        "packet_conn_wrappers" => {
            line_args.finish()?;
            let wrappers = line_args.block().iter();
            let wrappers = wrappers.map(|wrapper| modules::read_line(&modules::PACKET_CONN_WRAPPER, wrapper));
            let wrappers = wrappers.collect::<Result<Vec<_>, _>>()?;
            server.packet_conn_wrappers = (!wrappers.is_empty()).then(|| wrappers.into());
        }
        "timeouts" => timeouts(&line_args, server)?,
        "keepalive_interval" => server.keepalive_interval = some(duration(&mut line_args)?),
        "keepalive_idle" => server.keepalive_idle = some(duration(&mut line_args)?),
        "keepalive_count" => {
            let count: i32 = number(&mut line_args)?;
            server.keepalive_count = Some(i64::from(count)).filter(|count| *count != 0);
        }
        "max_header_size" => {
            let size = i64::try_from(size(&mut line_args)?).unwrap_or(i64::MAX);
            server.max_header_bytes = Some(size).filter(|size| *size != 0);
        }
        "enable_full_duplex" => server.enable_full_duplex = flag(&line_args)?,
        "log_credentials" => logs(server).should_log_credentials = flag(&line_args)?,
        "trace" => logs(server).trace = flag(&line_args)?,
        "protocols" => protocols(line_args, server)?,
        "strict_sni_host" => {
            let word = line_args.next_arg();
            line_args.finish_line()?;
            let word = word
                .map(|token| one_of(token, &["on", "insecure_off"]))
                .transpose()?;
            server.strict_sni_host = Some(word != Some("insecure_off"));
        }
        "trusted_proxies" => server.trusted_proxies = Some(trusted_proxies(line_args)?),
        "trusted_proxies_strict" => server.trusted_proxies_strict = Some(i64::from(flag(&line_args)?)),
        "trusted_proxies_unix" => server.trusted_proxies_unix = flag(&line_args)?,
        "client_ip_headers" => {
            let headers = server.client_ip_headers.get_or_insert_default();
            for token in line_args.remaining_required("names of headers")? {
                add_once(headers, token)?;
            }
            line_args.no_block()?;
        }
        "metrics" => server.metrics = Some(metrics(&line_args)?),
        "0rtt" => {
            only(&mut line_args, "off")?;
            server.allow_0rtt = Some(false);
        }
        name @ ("expected_dot_headers" | "expected_underscore_headers") => {
            let names = if name == "expected_dot_headers" {
                &mut server.expected_dot_headers
            } else {
                &mut server.expected_underscore_headers
            };
            names
                .get_or_insert_default()
                .extend(texts(&mut line_args, "names of headers")?);
        }
        _ => return Err(args.unknown_subdirective(line, KNOWN)),
    }
    Ok(())
}

/// `name NAME`
fn name<'a>(line: &'a Segment, listener: &str) -> Result<&'a Token, Diagnostic> {
    let mut args = Args::new(line);
    if listener.is_empty() {
        return Err(args.error("missing-argument", "`name` needs a listener after `servers`"));
    }
    crate::adapt::settings::single(&mut args, "a name")
}

fn listener_wrapper(around: &Args<'_>, line: &Segment) -> Result<ListenerWrapper, Diagnostic> {
    let args = Args::new(line);
    args.finish()?;
    let mut settings = Object::new();
    match line.name.text.as_str() {
        "tls" | "http_redirect" => args.no_block()?,
        "proxy_protocol" => {
            for line in args.block() {
                proxy_protocol(&args, line, &mut settings)?;
            }
        }
        _ => return Err(around.unknown_subdirective(line, ["http_redirect", "proxy_protocol", "tls"])),
    }
    Ok(ListenerWrapper {
        wrapper: line.name.text.clone(),
        settings: settings.into_iter().collect(),
    })
}

fn proxy_protocol(around: &Args<'_>, line: &Segment, settings: &mut Object) -> Result<(), Diagnostic> {
    let mut args = Args::new(line);
    match line.name.text.as_str() {
        "timeout" => put(settings, "timeout", nanoseconds(&mut args)?),
        key @ ("allow" | "deny") => {
            let ranges = args.remaining_required("addresses")?;
            args.no_block()?;
            append(
                settings,
                key,
                ranges.iter().map(|range| Json::from(range.text.as_str())),
            );
        }
        "fallback_policy" => {
            let policy = text(&mut args, "a policy")?.to_uppercase();
            let known = ["IGNORE", "USE", "REJECT", "REQUIRE", "SKIP"];
            if !known.contains(&policy.as_str()) {
                let lower = known.map(str::to_lowercase);
                return Err(one_of(&line.args[0], &lower.each_ref().map(String::as_str))
                    .err()
                    .unwrap_or_else(|| args.missing("a policy")));
            }
            // `ignore` is the default, which is not printed.
            put(
                settings,
                "fallback_policy",
                if policy == "IGNORE" { "" } else { &policy },
            );
        }
        _ => return Err(around.unknown_subdirective(line, ["allow", "deny", "fallback_policy", "timeout"])),
    }
    Ok(())
}

fn timeouts(args: &Args<'_>, server: &mut Server) -> Result<(), Diagnostic> {
    args.finish()?;
    for line in args.block() {
        let timeout = match line.name.text.as_str() {
            "read_body" => &mut server.read_timeout,
            "read_header" => &mut server.read_header_timeout,
            "write" => &mut server.write_timeout,
            "idle" => &mut server.idle_timeout,
            "read_body_idle" | "write_idle" | "write_max_chunk" => return Err(not_yet(line)),
            _ => return Err(args.unknown_subdirective(line, ["read_body", "read_header", "write", "idle"])),
        };
        *timeout = some(duration(&mut Args::new(line))?);
    }
    Ok(())
}

fn protocols(mut args: Args<'_>, server: &mut Server) -> Result<(), Diagnostic> {
    let protocols = server.protocols.get_or_insert_default();
    for token in args.remaining_required("protocols")? {
        one_of(token, &["h1", "h2", "h2c", "h3"])?;
        add_once(protocols, token)?;
    }
    args.no_block()
}

/// `trusted_proxies static RANGE…`
fn trusted_proxies(mut args: Args<'_>) -> Result<IpSource, Diagnostic> {
    const PRIVATE: [&str; 6] = [
        "192.168.0.0/16",
        "172.16.0.0/12",
        "10.0.0.0/8",
        "127.0.0.1/8",
        "fd00::/8",
        "::1",
    ];
    let source = args.required("a source of addresses: `static`")?;
    one_of(source, &["static"])?;
    let mut ranges = Vec::new();
    for token in args.remaining() {
        if token.text == "private_ranges" {
            ranges.extend(PRIVATE.map(str::to_owned));
        } else {
            ranges.push(token.text.clone());
        }
    }
    args.no_block()?;
    Ok(IpSource::Static { ranges })
}

fn metrics(args: &Args<'_>) -> Result<Json, Diagnostic> {
    args.finish()?;
    let mut metrics = json!({});
    for line in args.block() {
        if line.name.text != "per_host" {
            return Err(args.unknown_subdirective(line, ["per_host"]));
        }
        metrics["per_host"] = flag(&Args::new(line))?.into();
    }
    Ok(metrics)
}

fn add_once(list: &mut Vec<String>, token: &Token) -> Result<(), Diagnostic> {
    if list.contains(&token.text) {
        let message = format!("`{}` is given twice", token.text);
        return Err(Diagnostic::error("duplicate-option", token, message));
    }
    list.push(token.text.clone());
    Ok(())
}

fn logs(server: &mut Server) -> &mut Logs {
    server.logs.get_or_insert_with(Logs::default)
}

/// Zero is the default, which is not printed.
fn some(duration: Duration) -> Option<Duration> {
    Some(duration).filter(|duration| !duration.is_zero())
}
