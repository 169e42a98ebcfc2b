//! Sites gathered into servers by their listeners.
//!
//! Each address of a site belongs to a listener; listeners that serve the same addresses of the same sites are one
//! server, named `srv0`, `srv1` and so on in the order of their listeners.

mod build;
mod logs;
mod named;
mod place;
mod policies;
pub(super) mod site;
#[cfg(test)]
mod tests;

use std::rc::Rc;
use std::sync::Arc;

use fairway_caddyfile::{Diagnostic, File, Options, Source, Span};
use indexmap::IndexMap;

use super::address::{Address, Ports};
use super::scope::Shared;
use super::{Adapted, SiteValue, https, logs as loggers, options, pki, shorthand, sorted};
use crate::config::{Config, Http, Server};
use crate::directives::DIRECTIVES;
use build::Builder;
use named::NamedRoutes;
pub(super) use named::flatten;
use site::Site;

/// A site as one server has it: a site whose addresses lie on several listeners is in several servers.
#[derive(Debug)]
pub(crate) struct SiteFacts {
    /// Those of its addresses that this server serves.
    pub keys: Vec<Address>,
    /// What its directives say beside routes, and where; shared by all servers that have the site.
    pub values: Rc<Vec<(Span, SiteValue)>>,
    /// The server: `srv0`.
    pub server: String,
    /// Where the server listens.
    pub listen: Vec<String>,
}

pub(super) fn adapt(source: Arc<Source>, options: &Options<'_>) -> Adapted {
    let mut parsed = fairway_caddyfile::parse(source, options);
    let file = &mut parsed.file;
    let names = file.named_routes.iter().map(|route| route.name.text.clone());
    let mut shared = Shared {
        diagnostics: parsed.diagnostics,
        named_routes: names.collect(),
        ..Shared::default()
    };
    if let Some(global) = &file.global {
        options::read(global, &mut shared);
    }
    remove_directives_as_addresses(file, &mut shared);
    let named = file.named_routes.iter_mut().map(|route| &mut route.block);
    let blocks = named.chain(file.sites.iter_mut().map(|site| &mut site.block));
    blocks.for_each(shorthand::apply);

    for site in &file.sites {
        shared.side_files.collect(&site.block.segments, options.files);
    }
    let config = config(file, &mut shared);
    Adapted {
        config,
        diagnostics: sorted(shared.diagnostics),
    }
}

fn config(file: &File, shared: &mut Shared) -> Config {
    let named = NamedRoutes::read(&file.named_routes, shared);
    let mut groups = 0;
    let mut sites: Vec<Site> = file
        .sites
        .iter()
        .map(|site| Site::read(site, shared, &mut groups))
        .collect();
    let invoked = sites.iter().flat_map(|site| &site.invoked);
    shared
        .diagnostics
        .extend(named.cycles(&file.named_routes, invoked));
    // Cloned, so that others may borrow what is shared while they look at them.
    let global = shared.options.clone();
    let ports = Ports {
        http: global.http_port.unwrap_or(80),
        https: global.https_port.unwrap_or(443),
    };

    let mut servers: IndexMap<String, Server> = IndexMap::new();
    let mut facts: Vec<SiteFacts> = Vec::new();
    let placed = place::place(&sites, &global.default_bind, ports, shared);
    for (number, placed) in placed.into_iter().enumerate() {
        let builder = Builder::new(&global, ports, &named, shared, &mut groups);
        let (mut server, mut of_server) = builder.build(placed, &mut sites);
        options::apply_to_server(&mut server, &global);
        let name =
            options::server_name(&server, &global).map_or_else(|| format!("srv{number}"), str::to_owned);
        for site in &mut of_server {
            site.server.clone_from(&name);
        }
        if servers.contains_key(&name)
            && let Some(key) = of_server.first().and_then(|site| site.keys.first())
        {
            let message = format!("the server of this site would be named `{name}`, as another one is");
            let mistake = Diagnostic::error("conflicting-options", &key.span, message);
            shared
                .diagnostics
                .push(mistake.help("choose another `name` in the `servers` options"));
        }
        facts.extend(of_server);
        servers.insert(name, server);
    }

    let mut config = Config::default();
    config.apps.http = (!servers.is_empty()).then(|| Http {
        servers,
        ..Http::default()
    });
    config.apps.tls = https::tls_app(&facts, shared);
    config.apps.pki = pki::app(&facts, &global);
    config.logging = loggers::logging(&facts, &global);
    options::apply_to_config(&mut config, &global);
    config
}

/// A directive outside of every site looks like the address of one.
pub(super) fn remove_directives_as_addresses(file: &mut File, shared: &mut Shared) {
    let is_directive = |name: &str| DIRECTIVES.iter().any(|directive| directive.name == name);
    file.sites.retain(|site| {
        let Some(key) = site.keys.iter().find(|key| is_directive(&key.text)) else {
            return true;
        };
        let message = format!(
            "`{}` is a directive, but stands where an address belongs",
            key.text
        );
        let diagnostic = Diagnostic::error("directive-as-address", key, message)
            .label("read as an address")
            .help("put it into a site: `example.com { … }`");
        shared.diagnostics.push(diagnostic);
        false
    });
}
