//! `transport http { … }` as a Caddyfile has it.

use fairway_caddyfile::{Args, Diagnostic, Segment};
use serde_json::json;

use super::config::{Config, HttpTransport, KeepAliveConfig, Resolver, TlsConfig};
use super::fastcgi::FastcgiTransport;
use crate::adapt::trust_pool;
use crate::handlers::reverse_proxy::parse::{duration, number, size, text};

/// The options, for suggestions.
const OPTIONS: &[&str] = &[
    "compression",
    "dial_fallback_delay",
    "dial_timeout",
    "expect_continue_timeout",
    "forward_proxy_url",
    "keepalive",
    "keepalive_idle_conns",
    "keepalive_idle_conns_per_host",
    "keepalive_interval",
    "local_address",
    "max_conns_per_host",
    "max_response_header",
    "network_proxy",
    "proxy_protocol",
    "read_buffer",
    "read_timeout",
    "resolvers",
    "response_header_timeout",
    "tls",
    "tls_client_auth",
    "tls_curves",
    "tls_except_ports",
    "tls_insecure_skip_verify",
    "tls_renegotiation",
    "tls_server_name",
    "tls_timeout",
    "tls_trust_pool",
    "tls_trusted_ca_certs",
    "versions",
    "write_buffer",
    "write_timeout",
];

/// Reads what follows `transport`.
pub(in super::super) fn parse(mut args: Args<'_>) -> Result<Config, Diagnostic> {
    let name = args.required("the name of a transport")?;
    match name.text.as_str() {
        "http" => {}
        "fastcgi" => return FastcgiTransport::parse(args).map(|config| Config::Fastcgi(Box::new(config))),
        other => {
            let message = format!("there is no transport `{other}`");
            return Err(Diagnostic::error("invalid-value", name, message));
        }
    }
    args.finish()?;
    let mut transport = HttpTransport::default();
    for line in args.block() {
        if !OPTIONS.contains(&line.name.text.as_str()) {
            return Err(args.unknown_subdirective(line, OPTIONS.iter().copied()));
        }
        option(&mut transport, line)?;
    }
    Ok(Config::Http(Box::new(transport)))
}

fn option(transport: &mut HttpTransport, line: &Segment) -> Result<(), Diagnostic> {
    let mut args = Args::new(line);
    match line.name.text.as_str() {
        "read_buffer" => transport.read_buffer_size = size(&mut args)?,
        "write_buffer" => transport.write_buffer_size = size(&mut args)?,
        "max_response_header" => transport.max_response_header_size = size(&mut args)?,
        "read_timeout" => transport.read_timeout = duration(&mut args)?,
        "write_timeout" => transport.write_timeout = duration(&mut args)?,
        "dial_timeout" => transport.dial_timeout = duration(&mut args)?,
        "dial_fallback_delay" => transport.dial_fallback_delay = duration(&mut args)?,
        "response_header_timeout" => transport.response_header_timeout = duration(&mut args)?,
        "expect_continue_timeout" => transport.expect_continue_timeout = duration(&mut args)?,
        "max_conns_per_host" => transport.max_conns_per_host = number(&mut args)?,
        "local_address" => transport.local_address = text(&mut args, "an IP address")?,
        "proxy_protocol" => transport.proxy_protocol = one_of(&mut args, &["v1", "v2"])?,
        "versions" => {
            let versions = args.remaining_required("a version: `1.1`, `2` or `h2c`")?;
            transport.versions = texts(versions);
        }
        "compression" => {
            if args.next_arg().is_some_and(|token| token.text == "off") {
                transport.compression = Some(false);
            }
        }
        "resolvers" => {
            let addresses = texts(args.remaining_required("the address of a resolver")?);
            transport.resolver = Some(Resolver { addresses });
        }
        "forward_proxy_url" => {
            let url = text(&mut args, "a URL")?;
            transport.network_proxy = Some(json!({"from": "url", "url": url}));
        }
        "network_proxy" => {
            transport.network_proxy = Some(match one_of(&mut args, &["none", "url"])?.as_str() {
                "none" => json!({"from": "none"}),
                _ => json!({"from": "url", "url": text(&mut args, "a URL")?}),
            });
        }
        name if name.starts_with("keepalive") => {
            return keepalive(transport.keep_alive.get_or_insert_default(), args);
        }
        _ => return tls(transport.tls.get_or_insert_default(), args),
    }
    args.finish_line()
}

fn keepalive(keepalive: &mut KeepAliveConfig, mut args: Args<'_>) -> Result<(), Diagnostic> {
    match args.name().text.as_str() {
        "keepalive" if args.peek().is_some_and(|token| token.text == "off") => {
            args.next_arg();
            keepalive.enabled = Some(false);
        }
        "keepalive" => keepalive.idle_timeout = duration(&mut args)?,
        "keepalive_interval" => keepalive.probe_interval = duration(&mut args)?,
        "keepalive_idle_conns" => keepalive.max_idle_conns = number(&mut args)?,
        _ => keepalive.max_idle_conns_per_host = number(&mut args)?,
    }
    args.finish_line()
}

fn tls(tls: &mut TlsConfig, mut args: Args<'_>) -> Result<(), Diagnostic> {
    match args.name().text.as_str() {
        "tls" => {}
        "tls_client_auth" => {
            let first = text(
                &mut args,
                "the name of a certificate, or its file and that of its key",
            )?;
            match args.next_arg() {
                Some(key) => {
                    tls.client_certificate_file = first;
                    tls.client_certificate_key_file.clone_from(&key.text);
                }
                None => tls.client_certificate_automate = first,
            }
        }
        "tls_insecure_skip_verify" => tls.insecure_skip_verify = true,
        "tls_curves" => tls.curves = texts(args.remaining_required("a curve")?),
        "tls_timeout" => tls.handshake_timeout = duration(&mut args)?,
        "tls_server_name" => tls.server_name = text(&mut args, "a name")?,
        "tls_renegotiation" => tls.renegotiation = one_of(&mut args, &["never", "once", "freely"])?,
        "tls_except_ports" => tls.except_ports = texts(args.remaining_required("a port")?),
        "tls_trusted_ca_certs" => {
            if tls.ca.is_some() {
                return Err(both_pools(args));
            }
            tls.root_ca_pem_files = texts(args.remaining_required("a file")?);
        }
        _ => return trust_pool(tls, args),
    }
    args.finish_line()
}

fn trust_pool(tls: &mut TlsConfig, args: Args<'_>) -> Result<(), Diagnostic> {
    if !tls.root_ca_pem_files.is_empty() {
        return Err(both_pools(args));
    }
    if tls.ca.is_some() {
        return Err(args.error("duplicate-option", "there is a `tls_trust_pool` already"));
    }
    tls.ca = Some(trust_pool::read(args)?);
    Ok(())
}

fn both_pools(args: Args<'_>) -> Diagnostic {
    let message = "`tls_trust_pool` and `tls_trusted_ca_certs` exclude each other";
    args.error("conflicting-options", message)
}

fn one_of(args: &mut Args<'_>, words: &[&'static str]) -> Result<String, Diagnostic> {
    let list = words.join("`, `");
    let token = args.required(&format!("one of `{list}`"))?;
    if words.contains(&token.text.as_str()) {
        return Ok(token.text.clone());
    }
    let message = format!("`{}` is none of `{list}`", token.text);
    Err(Diagnostic::error("invalid-value", token, message)
        .did_you_mean(fairway_caddyfile::suggest(&token.text, words.iter().copied())))
}

fn texts(tokens: &[fairway_caddyfile::Token]) -> Vec<String> {
    tokens.iter().map(|token| token.text.clone()).collect()
}
