//! `reverse_proxy` as a Caddyfile has it.

use fairway_caddyfile::{Args, Diagnostic, Segment, Tier, Token, suggest};

use super::address::{self, MAX_UPSTREAMS, Scheme};
use super::config::{
    ActiveHealthChecks, Config, DynamicUpstreams, HealthChecks, KubernetesUpstreams, LoadBalancing,
    PassiveHealthChecks, Upstream,
};
use super::sources::MAX_SERVICES;
use super::transport::{self, HttpTransport};
use super::{PRIVATE_RANGES, dynamic, handle_response, selection};
use crate::adapt::Scope;
use crate::adapt::tenancy;
use crate::cluster::{ServiceName, ServicePort};
use crate::handlers::headers;
use crate::matchers::{MATCHERS, Set, not};
use crate::values::{Duration, Size};

/// The subdirectives, for suggestions.
const SUBDIRECTIVES: &[&str] = &[
    "dynamic",
    "fail_duration",
    "flush_interval",
    "handle_response",
    "header_down",
    "header_up",
    "health_body",
    "health_fails",
    "health_follow_redirects",
    "health_headers",
    "health_interval",
    "health_method",
    "health_passes",
    "health_path",
    "health_port",
    "health_request_body",
    "health_status",
    "health_timeout",
    "health_upstream",
    "health_uri",
    "lb_policy",
    "lb_retries",
    "lb_retry_match",
    "lb_try_duration",
    "lb_try_interval",
    "max_fails",
    "method",
    "replace_status",
    "request_buffers",
    "response_buffers",
    "rewrite",
    "stream_buffer_size",
    "stream_close_delay",
    "stream_timeout",
    "to",
    "transport",
    "trusted_proxies",
    "unhealthy_latency",
    "unhealthy_request_count",
    "unhealthy_status",
    "verbose_logs",
];

/// Reads a `reverse_proxy` on top of a config. The lines whose names are in `own` were read by another directive, which
/// it stands for.
pub(crate) fn parse(
    mut args: Args<'_>,
    scope: &mut Scope<'_>,
    base: Config,
    own: &[&str],
) -> Result<Config, Diagnostic> {
    let mut reader = Reader {
        config: base,
        own,
        scheme: None,
        services: Vec::new(),
        plain: None,
        transport: None,
    };
    reader.upstreams(args.remaining(), scope)?;
    let mut responses = handle_response::Reader::default();
    for line in args.block() {
        if own.contains(&line.name.text.as_str()) || responses.line(line)? {
            continue;
        }
        reader.line(line, args, scope)?;
    }
    let handlers = responses.finish(scope)?;
    reader.config.handle_response.extend(handlers);
    reader.finish(args)
}

struct Reader<'s> {
    config: Config,
    own: &'s [&'s str],
    /// The scheme of the upstreams so far, and the address that has it.
    scheme: Option<(Scheme, &'s Token)>,
    /// The Services so far, and where they are named.
    services: Vec<(ServicePort, &'s Token)>,
    /// An address that is no Service.
    plain: Option<&'s Token>,
    transport: Option<(transport::Config, &'s Token)>,
}

impl<'s> Reader<'s> {
    fn upstreams(&mut self, addresses: &'s [Token], scope: &mut Scope<'_>) -> Result<(), Diagnostic> {
        for token in addresses {
            match in_cluster(token, scope)? {
                Some((scheme, name)) => {
                    self.scheme(scheme, token)?;
                    self.service(&name, token, scope)?;
                }
                None => self.plain(token)?,
            }
            if let (Some((_, service)), Some(plain)) = (self.services.first(), self.plain) {
                let message = "Services and other upstreams cannot be mixed in one `reverse_proxy`";
                let first = if std::ptr::eq(plain, token) {
                    service
                } else {
                    plain
                };
                return Err(Diagnostic::error("conflicting-options", token, message)
                    .context(first, "the other kind here"));
            }
        }
        Ok(())
    }

    /// Takes note of a scheme, which is to be that of all upstreams.
    fn scheme(&mut self, scheme: Scheme, token: &'s Token) -> Result<(), Diagnostic> {
        if let Some((other, first)) = self
            .scheme
            .filter(|(other, _)| *other != scheme && *other != Scheme::None)
        {
            let message = match scheme {
                Scheme::None => format!(
                    "all upstreams must have the same scheme; `{}` lacks `{}://`",
                    token.text,
                    other.as_str()
                ),
                _ => format!(
                    "all upstreams must have the same scheme; `{}://` follows `{}://`",
                    scheme.as_str(),
                    other.as_str()
                ),
            };
            return Err(Diagnostic::error("conflicting-options", token, message)
                .context(first, "another scheme here"));
        }
        self.scheme = Some((scheme, token));
        Ok(())
    }

    /// Asks which Service port a name means.
    fn service(
        &mut self,
        name: &ServiceName<'_>,
        token: &'s Token,
        scope: &mut Scope<'_>,
    ) -> Result<(), Diagnostic> {
        let Some(cluster) = scope.shared.cluster.clone() else {
            let message = "the text belongs to a cluster, but its Services are not known";
            return Err(Diagnostic::error("invalid-value", token, message));
        };
        let (port, notice) = cluster
            .service(name, &token.origin)
            .map_err(|notice| notice.error(token))?;
        if let Some(notice) = notice {
            scope.report(notice.warning(token));
        }
        if let Some((_, first)) = self.services.iter().find(|(known, _)| *known == port) {
            let message = format!("Service {port} is named twice");
            return Err(Diagnostic::error("duplicate-option", token, message).context(first, "first here"));
        }
        if self.services.len() == MAX_SERVICES {
            let message = format!("there are more than {MAX_SERVICES} Services");
            return Err(Diagnostic::error("invalid-value", token, message));
        }
        self.services.push((port, token));
        Ok(())
    }

    /// Reads an upstream that is no Service.
    fn plain(&mut self, token: &'s Token) -> Result<(), Diagnostic> {
        let (scheme, dials) = address::parse(&token.text).map_err(|message| {
            let message = format!("upstream `{}`: {message}", token.text);
            Diagnostic::error("invalid-value", token, message)
        })?;
        self.scheme(scheme, token)?;
        if self.config.upstreams.len() + dials.len() > MAX_UPSTREAMS {
            let message = format!("there are more than {MAX_UPSTREAMS} upstreams");
            return Err(Diagnostic::error("invalid-value", token, message));
        }
        let upstream = |dial| Upstream {
            dial,
            max_requests: 0,
        };
        self.config.upstreams.extend(dials.into_iter().map(upstream));
        self.plain = Some(token);
        Ok(())
    }

    fn line(&mut self, line: &'s Segment, outer: Args<'s>, scope: &mut Scope<'_>) -> Result<(), Diagnostic> {
        let mut args = Args::new(line);
        let name = line.name.text.as_str();
        match name {
            "to" => self.upstreams(args.remaining_required("an upstream")?, scope)?,
            "dynamic" => {
                if self.config.dynamic_upstreams.is_some() {
                    return Err(args.error("duplicate-option", "there is a `dynamic` already"));
                }
                self.config.dynamic_upstreams = Some(dynamic::parse(args)?);
                return Ok(());
            }
            "transport" => {
                if self.transport.is_some() || self.config.transport.is_some() {
                    return Err(args.error("duplicate-option", "there is a `transport` already"));
                }
                self.transport = Some((transport::parse(args)?, &line.name));
                return Ok(());
            }
            "header_up" => {
                let headers = self.config.headers.get_or_insert_default();
                headers::parse_op(&mut args, headers.request.get_or_insert_default())?;
            }
            "header_down" => {
                let headers = self.config.headers.get_or_insert_default();
                headers::parse_op(&mut args, &mut headers.response.get_or_insert_default().ops)?;
            }
            "method" => self.config.rewrite.get_or_insert_default().method = text(&mut args, "a method")?,
            "rewrite" => self.config.rewrite.get_or_insert_default().uri = text(&mut args, "a target")?,
            "trusted_proxies" => {
                for range in args.remaining() {
                    match range.text.as_str() {
                        "private_ranges" => {
                            let ranges = PRIVATE_RANGES.iter().map(|&range| range.to_owned());
                            self.config.trusted_proxies.extend(ranges);
                        }
                        text => self.config.trusted_proxies.push(text.to_owned()),
                    }
                }
            }
            "flush_interval" => self.config.flush_interval = number_or_duration(&mut args)?,
            "stream_timeout" => self.config.stream_timeout = number_or_duration(&mut args)?,
            "stream_close_delay" => self.config.stream_close_delay = number_or_duration(&mut args)?,
            "request_buffers" => self.config.request_buffers = size_or_unlimited(&mut args)?,
            "response_buffers" => self.config.response_buffers = size_or_unlimited(&mut args)?,
            "stream_buffer_size" => self.config.stream_buffer_size = size_or_unlimited(&mut args)?,
            "verbose_logs" => {
                if self.config.verbose_logs {
                    return Err(args.error("duplicate-option", "there is a `verbose_logs` already"));
                }
                self.config.verbose_logs = true;
            }
            _ if name.starts_with("lb_") && SUBDIRECTIVES.contains(&name) => {
                return load_balancing(self.config.load_balancing.get_or_insert_default(), args);
            }
            _ if name.starts_with("health_") && SUBDIRECTIVES.contains(&name) => {
                let checks: &mut HealthChecks = self.config.health_checks.get_or_insert_default();
                return active(checks.active.get_or_insert_default(), args);
            }
            _ if SUBDIRECTIVES.contains(&name) => {
                let checks: &mut HealthChecks = self.config.health_checks.get_or_insert_default();
                return passive(checks.passive.get_or_insert_default(), args);
            }
            _ => return Err(outer.unknown_subdirective(line, SUBDIRECTIVES.iter().chain(self.own).copied())),
        }
        args.finish_line()
    }

    /// Brings the scheme of the addresses and the transport together.
    fn finish(mut self, args: Args<'_>) -> Result<Config, Diagnostic> {
        if let Some((_, first)) = self.services.first() {
            if self.config.dynamic_upstreams.is_some() {
                let message = "Services and `dynamic` cannot be mixed in one `reverse_proxy`";
                return Err(Diagnostic::error("conflicting-options", *first, message));
            }
            let services = self.services.into_iter().map(|(port, _)| port);
            self.config.dynamic_upstreams = Some(DynamicUpstreams::Kubernetes(KubernetesUpstreams {
                services: services.collect(),
            }));
        }
        let scheme = self.scheme.map_or(Scheme::None, |(scheme, _)| scheme);
        let (given, at) = match self.transport.take() {
            Some((config, token)) => (Some(config), token),
            None => (self.config.transport.take(), args.name()),
        };
        let mut transport = match given {
            None => HttpTransport::default(),
            Some(transport::Config::Http(config)) => *config,
            Some(fastcgi @ transport::Config::Fastcgi(_)) => {
                if let (Scheme::Https | Scheme::H2c, Some((_, address))) = (scheme, self.scheme) {
                    let scheme = scheme.as_str();
                    let message = format!(
                        "FastCGI is spoken without TLS and HTTP/2, but the upstreams are `{scheme}://`"
                    );
                    return Err(Diagnostic::error("conflicting-options", address, message)
                        .context(at, "FastCGI here"));
                }
                self.config.transport = Some(fastcgi);
                return Ok(self.config);
            }
        };
        match scheme {
            Scheme::Https => {
                transport.tls.get_or_insert_default();
            }
            Scheme::H2c => transport.versions = vec!["h2c".to_owned(), "2".to_owned()],
            Scheme::Http if transport.tls.is_some() => {
                let message = "the upstreams are `http://`, but the transport speaks TLS";
                let diagnostic = Diagnostic::error("conflicting-options", at, message);
                return Err(match self.scheme {
                    Some((_, address)) => diagnostic.context(address, "plain HTTP here"),
                    None => diagnostic,
                });
            }
            Scheme::Http | Scheme::None => {}
        }
        if transport != HttpTransport::default() {
            self.config.transport = Some(transport::Config::Http(Box::new(transport)));
        }
        Ok(self.config)
    }
}

/// The Service that an upstream's text names, if its author's upstreams are Services and this is one.
fn in_cluster<'t>(
    token: &'t Token,
    scope: &Scope<'_>,
) -> Result<Option<(Scheme, ServiceName<'t>)>, Diagnostic> {
    let origin = &token.origin;
    let is_in_cluster = scope.shared.cluster.is_some() && origin.namespace.is_some();
    if origin.tier == Tier::Operator && !is_in_cluster {
        return Ok(None);
    }
    address::service::parse(&token.text, origin.tier).map_err(|notice| notice.error(token))
}

fn load_balancing(config: &mut LoadBalancing, mut args: Args<'_>) -> Result<(), Diagnostic> {
    match args.name().text.as_str() {
        "lb_policy" => {
            if config.selection_policy.is_some() {
                return Err(args.error("duplicate-option", "there is an `lb_policy` already"));
            }
            config.selection_policy = Some(selection::parse(args)?);
            return Ok(());
        }
        "lb_retries" => config.retries = number(&mut args)?,
        "lb_try_duration" => config.try_duration = duration(&mut args)?,
        "lb_try_interval" => config.try_interval = duration(&mut args)?,
        _ => {
            config.retry_match.push(matcher_set(args)?);
            return Ok(());
        }
    }
    args.finish_line()
}

/// Reads a set of request matchers: one on the line, or those of the block.
fn matcher_set(mut args: Args<'_>) -> Result<Set, Diagnostic> {
    let inline = args.next_arg().map(|first| Segment {
        name: first.clone(),
        args: args.remaining().to_vec(),
        block: args.segment().block.clone(),
    });
    let lines: Vec<Segment> = match inline {
        Some(line) => not::spelled_out(&line),
        None => args.block().iter().flat_map(not::spelled_out).collect(),
    };
    let mut by_name: Vec<(&str, Vec<&Segment>)> = Vec::new();
    for line in &lines {
        let name = line.name.text.as_str();
        match by_name.iter_mut().find(|(known, _)| *known == name) {
            Some((_, lines)) => lines.push(line),
            None => by_name.push((name, vec![line])),
        }
    }
    let mut set = Set::default();
    for (name, lines) in by_name {
        let Some(entry) = MATCHERS.iter().find(|entry| entry.name == name) else {
            let message = format!("there is no matcher `{name}`");
            return Err(Diagnostic::error("unknown-matcher", lines[0], message)
                .did_you_mean(suggest(name, MATCHERS.iter().map(|entry| entry.name))));
        };
        lines.iter().try_for_each(|line| tenancy::judge_matcher(line))?;
        (entry.parse)(&lines, "", &mut set)?;
    }
    Ok(set)
}

fn active(config: &mut ActiveHealthChecks, mut args: Args<'_>) -> Result<(), Diagnostic> {
    match args.name().text.as_str() {
        "health_uri" => config.uri = text(&mut args, "a path")?,
        "health_path" => config.path = text(&mut args, "a path")?,
        "health_upstream" => {
            let token = args.required("an address")?;
            let port = crate::paths::split_host_port(&token.text)
                .ok()
                .map(|(_, port)| port.parse::<u16>());
            if !matches!(port, Some(Ok(_))) {
                let message = format!("`{}` is not a host with a port", token.text);
                return Err(Diagnostic::error("invalid-value", token, message));
            }
            config.upstream.clone_from(&token.text);
        }
        "health_port" => {
            if !config.upstream.is_empty() {
                let message = "`health_port` means nothing with `health_upstream`";
                return Err(args.error("conflicting-options", message));
            }
            config.port = number(&mut args)?;
        }
        "health_headers" => {
            args.finish()?;
            for line in args.block() {
                let mut words = Args::new(line);
                let values: Vec<String> = words.remaining().iter().map(|value| value.text.clone()).collect();
                words.finish_line()?;
                let known = config.headers.entry(line.name.text.clone()).or_default();
                if values.is_empty() {
                    known.push(String::new());
                }
                known.extend(values);
            }
            return Ok(());
        }
        "health_method" => config.method = text(&mut args, "a method")?,
        "health_request_body" => config.body = text(&mut args, "a body")?,
        "health_interval" => config.interval = duration(&mut args)?,
        "health_timeout" => config.timeout = duration(&mut args)?,
        "health_status" => config.expect_status = status(args.required("a status")?)?,
        "health_body" => config.expect_body = text(&mut args, "a regular expression")?,
        "health_follow_redirects" => config.follow_redirects = true,
        "health_passes" => config.passes = number(&mut args)?,
        _ => config.fails = number(&mut args)?,
    }
    args.finish_line()
}

fn passive(config: &mut PassiveHealthChecks, mut args: Args<'_>) -> Result<(), Diagnostic> {
    match args.name().text.as_str() {
        "max_fails" => config.max_fails = number(&mut args)?,
        "fail_duration" => config.fail_duration = duration(&mut args)?,
        "unhealthy_request_count" => config.unhealthy_request_count = number(&mut args)?,
        "unhealthy_latency" => config.unhealthy_latency = duration(&mut args)?,
        _ => {
            for code in args.remaining_required("a status")? {
                config.unhealthy_status.push(status(code)?);
            }
        }
    }
    args.finish_line()
}

/// The next argument as text.
pub(super) fn text(args: &mut Args<'_>, what: &str) -> Result<String, Diagnostic> {
    args.required(what).map(|token| token.text.clone())
}

/// The next argument as a duration.
pub(crate) fn duration(args: &mut Args<'_>) -> Result<Duration, Diagnostic> {
    let token = args.required("a duration")?;
    Duration::parse(&token.text).map_err(|error| {
        let message = format!("`{}` is not a duration: {error}", token.text);
        Diagnostic::error("invalid-value", token, message)
    })
}

/// The next argument as a whole number.
pub(super) fn number(args: &mut Args<'_>) -> Result<i64, Diagnostic> {
    let token = args.required("a number")?;
    token.text.parse().map_err(|_| {
        let message = format!("`{}` is not a whole number", token.text);
        Diagnostic::error("invalid-value", token, message)
    })
}

/// The next argument as a size in bytes.
pub(crate) fn size(args: &mut Args<'_>) -> Result<i64, Diagnostic> {
    let token = args.required("a size")?;
    let size = Size::parse(&token.text).map_err(|error| error.to_string());
    size.and_then(|size| i64::try_from(size.0).map_err(|_| "the size is out of range".to_owned()))
        .map_err(|error| {
            let message = format!("`{}` is not a size: {error}", token.text);
            Diagnostic::error("invalid-value", token, message)
        })
}

fn size_or_unlimited(args: &mut Args<'_>) -> Result<i64, Diagnostic> {
    if args.peek().is_some_and(|token| token.text == "unlimited") {
        args.next_arg();
        return Ok(-1);
    }
    size(args)
}

/// A number is one of nanoseconds.
fn number_or_duration(args: &mut Args<'_>) -> Result<Duration, Diagnostic> {
    if let Some(number) = args.peek().and_then(|token| token.text.parse().ok()) {
        args.next_arg();
        return Ok(Duration(number));
    }
    duration(args)
}

/// Reads `404` or `4xx`.
fn status(token: &Token) -> Result<i64, Diagnostic> {
    let text = token.text.as_str();
    let digits = text
        .strip_suffix("xx")
        .filter(|class| class.len() == 1)
        .unwrap_or(text);
    digits.parse().map_err(|_| {
        let message = format!("`{text}` is neither a status nor a class such as `5xx`");
        Diagnostic::error("invalid-value", token, message)
    })
}
