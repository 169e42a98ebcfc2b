//! A server from its sites.

use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;

use fairway_caddyfile::Diagnostic;

use super::super::GlobalOptions;
use super::super::address::{Address, Ports};
use super::super::consolidate::consolidate;
use super::super::scope::{Scope, Shared};
use super::named::NamedRoutes;
use super::place::Placed;
use super::policies::{self, Policies};
use super::site::{self, Site};
use super::{SiteFacts, logs};
use crate::config::{AutomaticHttps, Errors, Route, Server, Written};
use crate::handlers::{Config, subroute};
use crate::matchers::Set;

/// What is needed to build a server.
pub(super) struct Builder<'b> {
    options: &'b GlobalOptions,
    ports: Ports,
    named: &'b NamedRoutes,
    shared: &'b mut Shared,
    groups: &'b mut u32,
}

impl<'b> Builder<'b> {
    pub(super) fn new(
        options: &'b GlobalOptions,
        ports: Ports,
        named: &'b NamedRoutes,
        shared: &'b mut Shared,
        groups: &'b mut u32,
    ) -> Self {
        Self {
            options,
            ports,
            named,
            shared,
            groups,
        }
    }

    /// Builds a server. The facts do not have its name yet.
    pub(super) fn build(mut self, mut placed: Placed, sites: &mut [Site]) -> (Server, Vec<SiteFacts>) {
        placed.sites.sort_by_cached_key(|placed| {
            let keys = &sites[placed.site].keys;
            site::precedence(&placed.keys.iter().map(|key| &keys[*key]).collect::<Vec<_>>())
        });
        let has_protocols = placed.protocols.iter().any(Option::is_some);
        let mut server = Server {
            listen: placed.listen,
            listen_protocols: Some(placed.protocols).filter(|_| has_protocols),
            automatic_https: automatic_https(self.options),
            ..Server::default()
        };
        let mut policies = Policies::new(self.options, self.ports, &server);
        let mut facts: Vec<SiteFacts> = Vec::new();
        let mut routes = Vec::new();
        let single = placed.sites.len() == 1;
        for placed in &placed.sites {
            let site = &mut sites[placed.site];
            let keys: Vec<Address> = placed.keys.iter().map(|key| site.keys[*key].clone()).collect();
            let borrowed: Vec<&Address> = keys.iter().collect();
            policies.add_site(&borrowed, &site.values, &mut server);
            self.add_routes(site, &borrowed, single, &mut routes, &mut server.errors);
            facts.push(SiteFacts {
                keys,
                values: Rc::clone(&site.values),
                server: String::new(),
                listen: server.listen.clone(),
            });
        }
        self.check_ambiguity(&facts);
        let invoked = placed.sites.iter().flat_map(|placed| &sites[placed.site].invoked);
        server.named_routes = self.named.reached(invoked);
        server.logs = logs::access_logs(&facts);
        let mistake = policies::conflicting_schemes(&facts, &server, self.ports, policies.any());
        self.shared.diagnostics.extend(mistake);
        policies.shield(&facts);
        server.tls_connection_policies = policies.finish(&mut self.shared.diagnostics);
        server.routes = consolidate(routes).into_iter().map(Arc::new).collect();
        (server, facts)
    }

    /// Adds the routes and error routes of a site. Those of a site that is alone and for all requests stand by
    /// themselves.
    fn add_routes(
        &mut self,
        site: &mut Site,
        keys: &[&Address],
        single: bool,
        list: &mut Vec<Route>,
        errors: &mut Option<Errors>,
    ) {
        let matchers = site::matchers(keys);
        let written = Written(keys.first().map(|key| key.span.clone()));
        self.shared.order.sort(&mut site.items);
        let mut invoked = Vec::new();
        let mut scope = Scope::new(self.shared, self.groups, &mut invoked);
        let routes = scope.assemble(site.items.clone(), false);
        append(list, routes, &matchers, single, &written);
        if !site.errors.is_empty() {
            site.sort_errors();
            let routes = site.errors.iter().flat_map(|errors| errors.routes.clone());
            let errors = errors.get_or_insert_with(Errors::default);
            append(&mut errors.routes, routes.collect(), &matchers, single, &written);
        }
    }

    /// Two sites of a server cannot have the same address: only the first would ever be asked.
    fn check_ambiguity(&mut self, sites: &[SiteFacts]) {
        let mut seen: HashMap<&str, (usize, &Address)> = HashMap::new();
        for (number, site) in sites.iter().enumerate() {
            for key in &site.keys {
                let (other, first) = *seen.entry(&key.original).or_insert((number, key));
                if other == number {
                    continue;
                }
                // Sites are sorted; the author reads from the top.
                let (first, second) = if key.span.start < first.span.start {
                    (key, first)
                } else {
                    (first, key)
                };
                let message = format!(
                    "ambiguous site definition: two sites have the address `{}`",
                    key.original
                );
                let diagnostic = Diagnostic::error("ambiguous-site", &second.span, message)
                    .label("again here")
                    .context(&first.span, "first here")
                    .help("put all directives of an address into one site");
                self.shared.diagnostics.push(diagnostic);
            }
        }
    }
}

/// Adds the routes of a site to those of a server.
fn append(list: &mut Vec<Route>, routes: Vec<Route>, matchers: &[Set], single: bool, written: &Written) {
    // A host matcher of a directive must not look like one of a site, for which there would be a certificate.
    let has_host = || {
        let mut sets = routes.iter().flat_map(|route| &route.matches);
        sets.any(|set| set.host.is_some())
    };
    if matchers.is_empty() && single && !has_host() {
        list.extend(routes);
    } else if !matchers.is_empty() || !routes.is_empty() {
        let subroute = subroute::Config {
            routes,
            ..subroute::Config::default()
        };
        let has_routes = !subroute.routes.is_empty();
        list.push(Route {
            matches: matchers.to_vec(),
            handle: has_routes
                .then_some(Config::Subroute(subroute))
                .into_iter()
                .collect(),
            // Sites do not cascade.
            terminal: true,
            written: written.clone(),
            ..Route::default()
        });
    }
}

/// What the global option `auto_https` says.
fn automatic_https(options: &GlobalOptions) -> Option<AutomaticHttps> {
    let has = |word: &str| options.auto_https.iter().any(|given| given == word);
    let given = AutomaticHttps {
        disable: has("off"),
        disable_redirects: has("disable_redirects"),
        disable_certificates: has("disable_certs"),
        ignore_loaded_certificates: has("ignore_loaded_certs"),
        ..AutomaticHttps::default()
    };
    Some(given).filter(|given| *given != AutomaticHttps::default())
}
