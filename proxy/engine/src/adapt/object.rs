//! The text of one object of a cluster, adapted by itself: its sites and named routes, or the directives of an
//! annotation. Unlike [`adapt()`](super::adapt()) it makes no servers: the controller puts the parts of all objects
//! together, so that none of them depends on its neighbours.

use std::rc::Rc;
use std::sync::Arc;

use fairway_caddyfile::{
    Diagnostic, File, NamedRoute as WrittenRoute, Options, Site as WrittenSite, Source, Span, Tier,
};

use super::scope::{Scope, Shared};
use super::servers::site::Site as ReadSite;
use super::servers::{flatten, remove_directives_as_addresses};
use super::{GlobalOptions, SiteValue, options, shorthand, sorted, tenancy};
use crate::cluster::Cluster;
use crate::config::{Errors, Policy, Route, TlsConnectionPolicy, Written};

/// What an object says.
#[derive(Debug, Default)]
pub struct AdaptedObject {
    /// The global options; only an operator's text has any.
    pub options: GlobalOptions,
    /// In the order of the text.
    pub sites: Vec<Site>,
    /// In the order of the text.
    pub named_routes: Vec<NamedRoute>,
    /// All mistakes and warnings, in the order of the text.
    pub diagnostics: Vec<Diagnostic>,
}

/// A site.
#[derive(Debug)]
pub struct Site {
    /// Its addresses.
    pub addresses: Vec<Address>,
    /// What it does with a request.
    pub routes: Vec<Route>,
    /// What it does with an error.
    pub errors: Vec<Route>,
    /// The full names of the named routes that it invokes.
    pub invoked: Vec<String>,
    /// How TLS is spoken with its hosts, if it says so.
    pub tls: Option<TlsConnectionPolicy>,
    /// How its certificates are got, if it says so.
    pub automation: Option<Policy>,
}

/// The address of a site: `[scheme://][host][:port]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address {
    /// `http`, `https` or nothing.
    pub scheme: String,
    /// In lower case; empty for every host.
    pub host: String,
    /// As written; empty for the scheme's.
    pub port: String,
    /// With its slash, or nothing.
    pub path: String,
    /// Where it is written.
    pub span: AddressSpan,
}

/// Where an address is written; of no account when addresses are compared.
#[derive(Clone, Debug)]
pub struct AddressSpan(pub Span);

impl PartialEq for AddressSpan {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Eq for AddressSpan {}

/// A named route.
#[derive(Debug)]
pub struct NamedRoute {
    /// Without its namespace.
    pub name: String,
    /// What `invoke` runs.
    pub route: Route,
    /// The full names of the named routes that it invokes itself.
    pub invoked: Vec<String>,
}

/// The directives of an annotation.
#[derive(Debug)]
pub struct AdaptedLines {
    /// What they do with a request.
    pub routes: Vec<Route>,
    /// The full names of the named routes that they invoke.
    pub invoked: Vec<String>,
    /// All mistakes and warnings, in the order of the text.
    pub diagnostics: Vec<Diagnostic>,
}

/// Adapts the Caddyfile of an object. Never fails, never panics; the work is bounded by the limits of the options.
pub fn adapt_object(source: Arc<Source>, options: &Options<'_>, cluster: Rc<dyn Cluster>) -> AdaptedObject {
    let origin = Arc::clone(source.origin());
    let mut parsed = fairway_caddyfile::parse(source, options);
    let file = &mut parsed.file;
    let names = file.named_routes.iter().map(|route| route.name.text.clone());
    let mut shared = Shared {
        diagnostics: parsed.diagnostics,
        named_routes: names.collect(),
        cluster: Some(cluster),
        ..Shared::default()
    };
    if let Some(global) = &file.global {
        if origin.tier == Tier::Operator {
            options::read(global, &mut shared);
        } else if let Some(at) = global.open.as_ref() {
            shared.diagnostics.push(
                Diagnostic::error(
                    "operator-only",
                    at,
                    "global options are for the operator of the cluster only",
                )
                .help("a site begins with its address: `shop.example.com { … }`"),
            );
        }
    }
    remove_directives_as_addresses(file, &mut shared);
    let named = file.named_routes.iter_mut().map(|route| &mut route.block);
    let blocks = named.chain(file.sites.iter_mut().map(|site| &mut site.block));
    blocks.for_each(shorthand::apply);
    let named = file.named_routes.iter().map(|route| &route.block);
    let blocks = named.chain(file.sites.iter().map(|site| &site.block));
    shared.diagnostics.extend(tenancy::bounded(blocks));
    let refused = tenancy::judge_addresses(file.sites.iter());
    shared.diagnostics.extend(refused);
    let File {
        sites, named_routes, ..
    } = file;
    let mut object = AdaptedObject {
        named_routes: named_routes
            .iter()
            .map(|route| named_route(route, &mut shared))
            .collect(),
        sites: sites.iter().map(|written| site(written, &mut shared)).collect(),
        ..AdaptedObject::default()
    };
    object.diagnostics = sorted(shared.diagnostics);
    object.options = shared.options;
    object
}

/// Adapts directives that stand alone, as in an annotation: the body of a `handle`. Bounded like [`adapt_object`].
pub fn adapt_lines(source: Arc<Source>, options: &Options<'_>, cluster: Rc<dyn Cluster>) -> AdaptedLines {
    let mut parsed = fairway_caddyfile::parse_lines(source, options);
    let mut shared = Shared {
        diagnostics: parsed.diagnostics,
        cluster: Some(cluster),
        ..Shared::default()
    };
    shorthand::apply(&mut parsed.block);
    shared
        .diagnostics
        .extend(tenancy::bounded([&parsed.block].into_iter()));
    let (mut groups, mut invoked) = (0, Vec::new());
    let routes = Scope::new(&mut shared, &mut groups, &mut invoked).routes(&parsed.block.segments);
    AdaptedLines {
        routes,
        invoked,
        diagnostics: sorted(shared.diagnostics),
    }
}

fn named_route(written: &WrittenRoute, shared: &mut Shared) -> NamedRoute {
    let (mut groups, mut invoked) = (0, Vec::new());
    let routes = Scope::new(shared, &mut groups, &mut invoked).routes(&written.block.segments);
    let mut route = flatten(routes);
    route.written = Written(Some(written.name.span.clone()));
    NamedRoute {
        name: written.name.text.clone(),
        route,
        invoked,
    }
}

/// Reads a site. Its groups are numbered from the first, so that it is the same wherever it stands.
fn site(written: &WrittenSite, shared: &mut Shared) -> Site {
    let mut groups = 0;
    let mut read = ReadSite::read(written, shared, &mut groups);
    shared.order.sort(&mut read.items);
    read.sort_errors();
    let mut invoked = std::mem::take(&mut read.invoked);
    let mut scope = Scope::new(shared, &mut groups, &mut invoked);
    let routes = scope.assemble(std::mem::take(&mut read.items), false);
    let errors = read
        .errors
        .drain(..)
        .flat_map(|Errors { routes }| routes)
        .collect();
    let addresses = read.keys.iter().map(|key| Address {
        scheme: key.scheme.clone(),
        host: key.host.clone(),
        port: key.port.clone(),
        path: key.path.clone(),
        span: AddressSpan(key.span.clone()),
    });
    let mut site = Site {
        addresses: addresses.collect(),
        routes,
        errors,
        invoked,
        tls: None,
        automation: None,
    };
    for (at, value) in Rc::try_unwrap(read.values).unwrap_or_default() {
        match value {
            SiteValue::TlsPolicy(policy) => site.tls = Some(policy),
            SiteValue::Automation(policy) => site.automation = Some(policy),
            SiteValue::Errors(_) => {}
            SiteValue::CertificateFiles { .. }
            | SiteValue::CertificateFolders(_)
            | SiteValue::Authority(_)
            | SiteValue::ForceAutomate
            | SiteValue::Log(_)
            | SiteValue::Bind(_) => {
                let message = "this has no meaning in an object of a cluster";
                shared
                    .diagnostics
                    .push(Diagnostic::error("not-in-a-cluster", &at, message));
            }
        }
    }
    site
}

#[cfg(test)]
mod tests {
    use fairway_caddyfile::{Limits, Origin};
    use serde_json::json;

    use super::*;
    use crate::cluster::{Notice, ServiceName, ServicePort};

    /// A cluster of one named route.
    struct One;

    impl Cluster for One {
        fn service(
            &self,
            name: &ServiceName<'_>,
            from: &Origin,
        ) -> Result<(ServicePort, Option<Notice>), Notice> {
            let port = ServicePort {
                namespace: name
                    .namespace
                    .or(from.namespace.as_deref())
                    .unwrap_or_default()
                    .into(),
                name: name.name.into(),
                port: name.port.unwrap_or_default().into(),
            };
            Ok((port, None))
        }

        fn named_route(&self, name: &str, _: &Origin) -> Result<String, Notice> {
            if name == "api" {
                return Ok("shop/api".into());
            }
            let message = format!("there is no named route `{name}`");
            Err(Notice {
                code: "unknown-named-route",
                message,
                help: None,
            })
        }
    }

    fn adapt(text: &str) -> AdaptedObject {
        let origin = Origin::tenant("CaddyRoute shop/shop", "shop");
        let source = Source::new(origin, "CaddyRoute shop/shop, spec.caddyfile", text);
        let options = Options {
            limits: Limits::object(),
            ..Options::default()
        };
        adapt_object(source, &options, Rc::new(One))
    }

    #[test]
    fn sites_stand_by_themselves() {
        let object = adapt(
            "a.test, http://b.test {\nhandle {\nrespond 1\n}\nhandle /x {\ninvoke api\n}\n}\n&(api) {\nrespond 2\n}\n",
        );
        assert!(object.diagnostics.is_empty(), "{:?}", object.diagnostics);
        let [site] = &object.sites[..] else {
            panic!("one site")
        };
        let hosts: Vec<_> = site
            .addresses
            .iter()
            .map(|key| (&*key.scheme, &*key.host))
            .collect();
        assert_eq!(hosts, [("", "a.test"), ("http", "b.test")]);
        assert_eq!(site.invoked, ["shop/api"]);
        assert_eq!(object.named_routes[0].name, "api");
        let routes = serde_json::to_value(&site.routes).unwrap();
        assert_eq!(routes[0]["match"], json!([{"path": ["/x"]}]));
        let inner = &routes[0]["handle"][0]["routes"][0]["handle"][0];
        assert_eq!(*inner, json!({"handler": "invoke", "name": "shop/api"}));
    }

    /// The codes of all mistakes.
    #[track_caller]
    fn check_refused(text: &str, codes: &[&str]) {
        let found: Vec<_> = adapt(text).diagnostics.iter().map(|found| found.code).collect();
        assert_eq!(found, codes, "{text}");
    }

    #[test]
    fn tenants_have_no_global_options_listeners_or_unknown_routes() {
        check_refused("{\nhttp_port 81\n}\na.test {\nrespond 1\n}", &["operator-only"]);
        check_refused("a.test {\nbind 0.0.0.0\n}", &["operator-only"]);
        check_refused("a.test {\ninvoke other\n}", &["unknown-named-route"]);
        check_refused(
            "a.test {\nrespnd 1\n}\nb.test {\nlog\n}",
            &["unknown-directive", "not-in-a-cluster"],
        );
    }

    #[test]
    fn lines_of_an_annotation_become_routes() {
        let origin = Origin::tenant("Ingress shop/web", "shop");
        let source = Source::new(origin, "Ingress shop/web, annotation", "header X y\ninvoke api\n");
        let lines = adapt_lines(source, &Options::default(), Rc::new(One));
        assert!(lines.diagnostics.is_empty(), "{:?}", lines.diagnostics);
        assert_eq!(lines.invoked, ["shop/api"]);
        assert_eq!(lines.routes.len(), 1);
    }
}
