//! Why something is refused, and what to do instead, as authors and `docs/tenancy.md` are told.

use super::Why;

const SNIPPET: &str = "ask the operator of the cluster for a snippet that does it, and import that";

pub(crate) const NOT_LISTED: Why = Why {
    reason: "tenants may write only what is known to be safe beside other tenants",
    instead: SNIPPET,
};

pub(crate) const FILES: Why = Why {
    reason: "the files of the proxy belong to all of its tenants",
    instead: "serve files from a Service of your own: `reverse_proxy NAME`",
};

pub(crate) const LISTENER: Why = Why {
    reason: "all sites share the listeners",
    instead: "leave it out; every site is served on the ports of the cluster's proxy",
};

pub(crate) const AUTHORITY: Why = Why {
    reason: "a certificate authority is trusted by more than one tenant",
    instead: SNIPPET,
};

pub(crate) const INNER: Why = Why {
    reason: "the metrics of the proxy tell of all tenants",
    instead: "leave it out; the operator of the cluster collects them",
};

pub(crate) const PUSH: Why = Why {
    reason: "pushed requests count against nobody's limits",
    instead: "send a `Link` header with `rel=preload`: `header Link \"</app.css>; rel=preload; as=style\"`",
};

pub(crate) const TEMPLATES: Why = Why {
    reason: "templates read files and the environment of the proxy",
    instead: "let the Service behind the proxy render its pages",
};

pub(crate) const TIMEOUTS: Why = Why {
    reason: "a connection is shared by the sites that a client asks for on it",
    instead: "write `read_timeout` and `write_timeout` in the `transport http` of `reverse_proxy`",
};

pub(crate) const TRACING: Why = Why {
    reason: "where traces go, and how many, is set for the whole proxy",
    instead: "leave it out; the operator of the cluster switches tracing on",
};

pub(crate) const LOGGERS: Why = Why {
    reason: "loggers and the places that they write to are shared",
    instead: "leave it out; the access log goes where the operator of the cluster sends it",
};

pub(crate) const UPSTREAMS: Why = Why {
    reason: "it could lead requests to addresses other than those of your Services",
    instead: "name a Service: `reverse_proxy NAME:PORT`",
};

pub(crate) const PROXY_PROTOCOL: Why = Why {
    reason: "connections to upstreams are shared, and it names one client for all of them",
    instead: "read the client's address from `X-Forwarded-For`",
};

pub(crate) const OWN_CERTIFICATE: Why = Why {
    reason: "certificates of files, and accounts, belong to the proxy",
    instead: SNIPPET,
};

pub(crate) const TRUSTED_PROXIES: Why = Why {
    reason: "who is believed about a client's address is decided for the whole cluster",
    instead: "leave it out; the operator of the cluster sets `trusted_proxies`",
};

pub(crate) const VERIFICATION: Why = Why {
    reason: "a certificate that nobody checks protects nothing",
    instead: "trust the authority of the upstream: `tls_trust_pool inline`",
};

pub(crate) const CERTIFICATES: Why = Why {
    reason: "certificates of files, and accounts, belong to the proxy",
    instead: "name a Secret in `spec.tls`, or write `tls internal`",
};

pub(crate) const ISSUERS: Why = Why {
    reason: "who issues certificates, and how many, is set for the whole cluster",
    instead: "name a Secret in `spec.tls`, or write `tls internal`",
};

pub(crate) const SECRETS_LOG: Why = Why {
    reason: "it writes the keys of connections into a file",
    instead: "leave it out",
};

pub(crate) const POOL_FILES: Why = Why {
    reason: "files, stores and authorities of the proxy are not the tenant's",
    instead: "write the authority's certificate into the text: `inline { trust_der BASE64 }`",
};

pub(crate) const ENVIRONMENT: Why = Why {
    reason: "the environment of the proxy holds secrets of others",
    instead: "write the value itself, or ask the operator of the cluster for a snippet that holds it",
};

pub(crate) const SYSTEM: Why = Why {
    reason: "it tells about the proxy, not about a request",
    instead: "use a placeholder of the request, such as `{host}` or `{http.request.uuid}`",
};

pub(crate) const BODY: Why = Why {
    reason: "it holds whole bodies in memory",
    instead: "let the Service behind the proxy look at bodies",
};

pub(crate) const CLIENT_CERTIFICATE: Why = Why {
    reason: "a whole certificate tells more about a person than an application needs",
    instead: "use `{tls_client_subject}`, `{tls_client_serial}` or `{tls_client_fingerprint}`",
};

pub(crate) const FRAMING_FIELDS: Why = Why {
    reason: "the header says how messages follow each other on a connection, which the proxy knows best",
    instead: "leave it out",
};

pub(crate) const BUFFERS: Why = Why {
    reason: "all tenants share the memory of the proxy",
    instead: "take at most 1MiB, or leave it out: bodies are passed on as they come",
};

pub(crate) const SEARCHES: Why = Why {
    reason: "an expression that is made for each request costs as much as a client wants",
    instead: "write the expression without placeholders; the replacement may have some",
};

pub(crate) const FIELD_NAMES: Why = Why {
    reason: "a name that is made for each request could be that of any header",
    instead: "write the name of the header itself; its value may have placeholders",
};

pub(crate) const HOST: Why = Why {
    reason: "the host decides which site a request belongs to",
    instead: "tell it to the upstream only: `header_up Host NAME` in `reverse_proxy`",
};

pub(crate) const RESERVED_VARIABLES: Why = Why {
    reason: "the operator's snippets find files by the variables `root` and `fs`",
    instead: "choose another name, without placeholders",
};
