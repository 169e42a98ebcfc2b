//! What a handler does, in words.

use crate::handlers::headers::Ops;
use crate::handlers::reverse_proxy::{self, DynamicUpstreams};
use crate::handlers::{Config, encode, headers, rewrite};

/// What a handler does to a request that passes it, in a few words that follow its name; of one that answers, how it
/// does. Empty for those that only hold routes.
pub fn words(handler: &Config) -> String {
    match handler {
        Config::AcmeServer(_) => "hands out certificates".into(),
        Config::Authentication(_) => "asks for a password".into(),
        Config::CopyResponse(_) => "gives the upstream's answer".into(),
        Config::CopyResponseHeaders(_) => "takes headers of the upstream's answer".into(),
        Config::Encode(config) => of_encode(config),
        Config::Error(_) => "fails on purpose".into(),
        Config::FileServer(config) if config.root.is_empty() => "serves files".into(),
        Config::FileServer(config) => format!("serves files of {}", config.root),
        Config::Headers(config) => of_headers(config),
        Config::Intercept(_) => "may change the answer".into(),
        Config::Invoke(config) => format!("runs the named route {}", config.name),
        Config::LogAppend(_) => "adds to the access log".into(),
        Config::Map(config) => format!("sets {} by {}", config.destinations.join(", "), config.source),
        Config::Metrics(_) => "shows metrics".into(),
        Config::Push(_) => "has no effect".into(),
        Config::StaticResponse(config) if config.abort => "closes the connection".into(),
        Config::StaticResponse(_) => "answers by itself".into(),
        Config::ReverseProxy(config) => of_proxy(config),
        Config::RequestBody(_) => "bounds the request's body".into(),
        Config::Rewrite(config) => of_rewrite(config),
        Config::Subroute(_) => String::new(),
        Config::Templates(_) => "fills in templates".into(),
        Config::Timeouts(_) => "sets timeouts".into(),
        Config::Tracing(_) => "traces".into(),
        Config::Vars(config) => {
            let names: Vec<&str> = config.0.keys().map(String::as_str).collect();
            format!("sets {}", names.join(", "))
        }
    }
}

fn of_encode(config: &encode::Config) -> String {
    let encode::Encodings { gzip, zstd } = &config.encodings;
    let names = [zstd.as_ref().map(|_| "zstd"), gzip.as_ref().map(|_| "gzip")];
    let names: Vec<&str> = names.into_iter().flatten().collect();
    format!("compresses the answer ({})", names.join(", "))
}

fn of_headers(config: &headers::Config) -> String {
    let request = config.request.as_ref();
    let response = config.response.as_ref().map(|response| &response.ops);
    let sides = [("request", request), ("answer", response)];
    let sides = sides.iter().filter_map(|(side, ops)| {
        let changes = changes((*ops)?);
        (!changes.is_empty()).then(|| format!("of the {side}: {changes}"))
    });
    let sides: Vec<String> = sides.collect();
    if sides.is_empty() {
        return "changes no header".into();
    }
    format!("headers {}", sides.join("; "))
}

/// What is done to which headers.
fn changes(ops: &Ops) -> String {
    let Ops {
        add,
        set,
        delete,
        replace,
    } = ops;
    let verbs: [(&str, Vec<&str>); 4] = [
        ("adds", add.keys().map(String::as_str).collect()),
        ("sets", set.keys().map(String::as_str).collect()),
        ("removes", delete.iter().map(String::as_str).collect()),
        ("changes", replace.keys().map(String::as_str).collect()),
    ];
    let verbs = verbs.iter().filter(|(_, names)| !names.is_empty());
    let verbs: Vec<String> = verbs
        .map(|(verb, names)| format!("{verb} {}", names.join(", ")))
        .collect();
    verbs.join(", ")
}

fn of_proxy(config: &reverse_proxy::Config) -> String {
    let mut names: Vec<String> = config
        .upstreams
        .iter()
        .map(|upstream| upstream.dial.clone())
        .collect();
    if let Some(DynamicUpstreams::Kubernetes(source)) = &config.dynamic_upstreams {
        let services = source.services.iter();
        names.extend(services.map(|service| {
            format!(
                "Service {}/{} port {}",
                service.namespace, service.name, service.port
            )
        }));
    }
    format!("-> {}", names.join(", "))
}

fn of_rewrite(config: &rewrite::Config) -> String {
    let rewrite::Config {
        method,
        uri,
        strip_path_prefix,
        strip_path_suffix,
        uri_substring,
        path_regexp,
        query,
    } = config;
    let mut said = Vec::new();
    if !method.is_empty() {
        said.push(format!("makes the method {method}"));
    }
    if !uri.is_empty() {
        said.push(format!("rewrites to {uri}"));
    }
    if !strip_path_prefix.is_empty() {
        said.push(format!("strips {strip_path_prefix}"));
    }
    if !strip_path_suffix.is_empty() {
        said.push(format!("strips {strip_path_suffix} at the end"));
    }
    if !uri_substring.is_empty() || !path_regexp.is_empty() {
        said.push("replaces parts of the path".into());
    }
    if query.is_some() {
        said.push("changes the query".into());
    }
    said.join(", ")
}
