//! The list. What is not on it is refused; a new directive or matcher must be put here, and a test says so.

use super::Lines::{Copied, Directives, Fields, Named, Variables};
use super::Message::{Request, Response, Upstream};
use super::Rest::{Any, Choice, CopiedFields, Field, Only, Size, Variable};
use super::Rule::{Allowed, Refused};
use super::reasons::{
    AUTHORITY, BODY, CERTIFICATES, CLIENT_CERTIFICATE, ENVIRONMENT, FILES, INNER, ISSUERS, LISTENER, LOGGERS,
    OWN_CERTIFICATE, POOL_FILES, PROXY_PROTOCOL, PUSH, SECRETS_LOG, SYSTEM, TEMPLATES, TIMEOUTS, TRACING,
    TRUSTED_PROXIES, UPSTREAMS, VERIFICATION,
};
use super::{Rest, Rule, Why, Word};

/// The directives.
pub(crate) const DIRECTIVES: &[Word] = &[
    allowed("abort"),
    refused("acme_server", &AUTHORITY),
    allowed("basic_auth"),
    allowed("basicauth"),
    refused("bind", &LISTENER),
    allowed("copy_response"),
    allowed("copy_response_headers"),
    allowed("encode"),
    allowed("error"),
    refused("file_server", &FILES),
    parts("forward_auth", Any, Named(&[PROXY, FORWARD_AUTH])),
    refused("fs", &FILES),
    parts("handle", Any, Directives),
    parts("handle_errors", Any, Directives),
    parts("handle_path", Any, Directives),
    parts(
        "header",
        Field(Response),
        Fields(&[allowed("defer"), allowed("match")]),
    ),
    parts("intercept", Any, Named(&[HANDLED])),
    allowed("invoke"),
    parts("log", Only(&[], LOGGERS), Named(&[LOG])),
    allowed("log_append"),
    refused("log_name", &LOGGERS),
    allowed("log_skip"),
    allowed("map"),
    allowed("method"),
    refused("metrics", &INNER),
    refused("php_fastcgi", &FILES),
    refused("push", &PUSH),
    allowed("redir"),
    allowed("request_body"),
    parts("request_header", Field(Request), Named(&[])),
    allowed("respond"),
    parts("reverse_proxy", Any, Named(&[PROXY])),
    allowed("rewrite"),
    refused("root", &FILES),
    parts("route", Any, Directives),
    allowed("skip_log"),
    refused("templates", &TEMPLATES),
    refused("timeouts", &TIMEOUTS),
    parts("tls", Only(&["internal"], CERTIFICATES), Named(&[TLS])),
    refused("tracing", &TRACING),
    refused("try_files", &FILES),
    allowed("uri"),
    parts("vars", Variable, Variables),
];

/// The matchers. Those of responses, `@name` in a proxy's block, are allowed.
pub(crate) const MATCHERS: &[Word] = &[
    allowed("client_ip"),
    allowed("expression"),
    refused("file", &FILES),
    allowed("header"),
    allowed("header_regexp"),
    allowed("host"),
    allowed("method"),
    allowed("not"),
    allowed("path"),
    allowed("path_regexp"),
    allowed("protocol"),
    allowed("query"),
    allowed("remote_ip"),
    allowed("tls"),
    allowed("url_pattern"),
    allowed("vars"),
    allowed("vars_regexp"),
];

/// Placeholders by the begin of their full names; the first that fits counts. Others are values of `map`.
pub(crate) const PLACEHOLDERS: &[Placeholders] = &[
    placeholders("env.", Some(ENVIRONMENT)),
    placeholders("file.", Some(FILES)),
    placeholders("system.", Some(SYSTEM)),
    placeholders("http.request.body", Some(BODY)),
    placeholders("http.request.tls.client.certificate_", Some(CLIENT_CERTIFICATE)),
    placeholders("http.request.", None),
    placeholders("http.vars.", None),
    placeholders("http.regexp.", None),
    placeholders("http.error.", None),
    placeholders("http.reverse_proxy.", None),
    placeholders("http.intercept.", None),
    placeholders("http.matchers.", None),
    placeholders("http.response.", None),
    placeholders("http.auth.user.", None),
    placeholders("http.", Some(SYSTEM)),
    placeholders("time.now", None),
    placeholders("time.", Some(SYSTEM)),
    placeholders("caddy.", Some(SYSTEM)),
    placeholders("tls.", Some(SYSTEM)),
];

/// Headers that say how a message is framed, or hold for one connection only.
pub(crate) const FRAMING: &[&str] = &[
    "connection",
    "content-length",
    "http2-settings",
    "keep-alive",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// The largest buffer of one request, in bytes.
pub(crate) const BUFFER: u64 = 1 << 20;

/// Variables that handlers of the operator read.
pub(crate) const VARIABLES: &[&str] = &["fs", "root"];

/// Names of placeholders.
pub(crate) struct Placeholders {
    /// What their names begin with.
    pub begin: &'static str,
    pub refused: Option<Why>,
}

/// The lines of `reverse_proxy`.
const PROXY: &[Word] = &[
    allowed("@"),
    refused("dynamic", &UPSTREAMS),
    allowed("fail_duration"),
    allowed("flush_interval"),
    parts("handle_response", Any, Directives),
    parts("header_down", Field(Response), Named(&[])),
    parts("header_up", Field(Upstream), Named(&[])),
    allowed("health_body"),
    allowed("health_fails"),
    allowed("health_follow_redirects"),
    parts("health_headers", Any, Fields(&[])),
    allowed("health_interval"),
    allowed("health_method"),
    allowed("health_passes"),
    allowed("health_path"),
    allowed("health_port"),
    allowed("health_request_body"),
    allowed("health_status"),
    allowed("health_timeout"),
    refused("health_upstream", &UPSTREAMS),
    allowed("health_uri"),
    allowed("lb_policy"),
    allowed("lb_retries"),
    allowed("lb_retry_match"),
    allowed("lb_try_duration"),
    allowed("lb_try_interval"),
    allowed("max_fails"),
    allowed("method"),
    allowed("replace_status"),
    parts("request_buffers", Size(BUFFER), Named(&[])),
    parts("response_buffers", Size(BUFFER), Named(&[])),
    allowed("rewrite"),
    parts("stream_buffer_size", Size(BUFFER), Named(&[])),
    allowed("stream_close_delay"),
    allowed("stream_timeout"),
    allowed("to"),
    parts(
        "transport",
        Choice(&[
            parts("http", Any, Named(&[TRANSPORT])),
            refused("fastcgi", &FILES),
        ]),
        Named(&[]),
    ),
    refused("trusted_proxies", &TRUSTED_PROXIES),
    allowed("unhealthy_latency"),
    allowed("unhealthy_request_count"),
    allowed("unhealthy_status"),
    allowed("verbose_logs"),
];

/// The lines of `forward_auth` beside those of `reverse_proxy`.
const FORWARD_AUTH: &[Word] = &[allowed("uri"), parts("copy_headers", CopiedFields, Copied)];

/// The lines of `intercept`.
const HANDLED: &[Word] = &[
    allowed("@"),
    parts("handle_response", Any, Directives),
    allowed("replace_status"),
];

/// The lines of `transport http`.
const TRANSPORT: &[Word] = &[
    allowed("compression"),
    allowed("dial_fallback_delay"),
    allowed("dial_timeout"),
    allowed("expect_continue_timeout"),
    refused("forward_proxy_url", &UPSTREAMS),
    allowed("keepalive"),
    allowed("keepalive_idle_conns"),
    allowed("keepalive_idle_conns_per_host"),
    allowed("keepalive_interval"),
    refused("local_address", &UPSTREAMS),
    allowed("max_conns_per_host"),
    parts("max_response_header", Size(BUFFER), Named(&[])),
    refused("network_proxy", &UPSTREAMS),
    refused("proxy_protocol", &PROXY_PROTOCOL),
    parts("read_buffer", Size(BUFFER), Named(&[])),
    allowed("read_timeout"),
    refused("resolvers", &UPSTREAMS),
    allowed("response_header_timeout"),
    allowed("tls"),
    refused("tls_client_auth", &OWN_CERTIFICATE),
    allowed("tls_curves"),
    allowed("tls_except_ports"),
    refused("tls_insecure_skip_verify", &VERIFICATION),
    allowed("tls_renegotiation"),
    allowed("tls_server_name"),
    allowed("tls_timeout"),
    parts("tls_trust_pool", Choice(POOLS), Named(&[])),
    refused("tls_trusted_ca_certs", &POOL_FILES),
    allowed("versions"),
    parts("write_buffer", Size(BUFFER), Named(&[])),
    allowed("write_timeout"),
];

/// Where authorities that are trusted come from.
const POOLS: &[Word] = &[
    parts("combined", Any, Named(&[SOURCES])),
    refused("file", &POOL_FILES),
    refused("http", &POOL_FILES),
    allowed("inline"),
    refused("pki_intermediate", &POOL_FILES),
    refused("pki_root", &POOL_FILES),
    refused("storage", &POOL_FILES),
    refused("system", &POOL_FILES),
];

/// The sources of a combined pool: the same without another combination.
const SOURCES: &[Word] = &[parts(
    "source",
    Choice(&[
        refused("file", &POOL_FILES),
        refused("http", &POOL_FILES),
        allowed("inline"),
        refused("pki_intermediate", &POOL_FILES),
        refused("pki_root", &POOL_FILES),
        refused("storage", &POOL_FILES),
        refused("system", &POOL_FILES),
    ]),
    Named(&[]),
)];

/// The lines of `log`.
const LOG: &[Word] = &[
    refused("core", &LOGGERS),
    allowed("format"),
    refused("hostnames", &LOGGERS),
    allowed("level"),
    allowed("no_hostname"),
    refused("output", &LOGGERS),
    allowed("sampling"),
];

/// The lines of `tls`.
const TLS: &[Word] = &[
    allowed("alpn"),
    refused("ca", &ISSUERS),
    refused("ca_root", &ISSUERS),
    allowed("ciphers"),
    parts("client_auth", Any, Named(&[CLIENT_AUTH])),
    allowed("curves"),
    refused("dns", &ISSUERS),
    refused("dns_challenge_override_domain", &ISSUERS),
    refused("dns_ttl", &ISSUERS),
    refused("eab", &ISSUERS),
    refused("force_automate", &ISSUERS),
    refused("get_certificate", &CERTIFICATES),
    refused("insecure_secrets_log", &SECRETS_LOG),
    refused("issuer", &ISSUERS),
    refused("key_type", &ISSUERS),
    refused("load", &CERTIFICATES),
    refused("on_demand", &ISSUERS),
    refused("propagation_delay", &ISSUERS),
    refused("propagation_timeout", &ISSUERS),
    allowed("protocols"),
    refused("renewal_window_ratio", &ISSUERS),
    refused("resolvers", &ISSUERS),
    refused("reuse_private_keys", &ISSUERS),
];

/// The lines of `client_auth`.
const CLIENT_AUTH: &[Word] = &[
    allowed("mode"),
    parts("trust_pool", Choice(POOLS), Named(&[])),
    allowed("trusted_ca_cert"),
    refused("trusted_ca_cert_file", &POOL_FILES),
    allowed("trusted_leaf_cert"),
    refused("trusted_leaf_cert_file", &POOL_FILES),
    parts(
        "verifier",
        Choice(&[parts("leaf", Choice(LEAVES), Named(&[LEAVES]))]),
        Named(&[]),
    ),
];

/// Where the certificates of single clients come from.
const LEAVES: &[Word] = &[
    refused("file", &POOL_FILES),
    refused("folder", &POOL_FILES),
    allowed("pem"),
];

const fn allowed(word: &'static str) -> Word {
    Word { word, rule: Allowed }
}

const fn refused(word: &'static str, why: &'static Why) -> Word {
    let Why { reason, instead } = *why;
    Word {
        word,
        rule: Refused(Why { reason, instead }),
    }
}

const fn parts(word: &'static str, rest: Rest, lines: super::Lines) -> Word {
    Word {
        word,
        rule: Rule::Parts(rest, lines),
    }
}

const fn placeholders(begin: &'static str, refused: Option<Why>) -> Placeholders {
    Placeholders { begin, refused }
}
