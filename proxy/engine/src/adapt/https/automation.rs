//! How the certificates of a file's sites are got: `apps.tls`.

mod join;
#[cfg(test)]
mod tests;

use std::collections::{BTreeSet, HashSet};

use fairway_caddyfile::Diagnostic;
use serde_json::{Value as Json, json};

use super::{automations, hosts, is_forced, issuers, listens_elsewhere, subjects};
use crate::adapt::GlobalOptions;
use crate::adapt::scope::{Shared, SiteValue};
use crate::adapt::servers::SiteFacts;
use crate::config::{Automation, Policy, Tls};

/// A policy while it is made.
#[derive(Clone, Debug, Default, PartialEq)]
struct Draft {
    policy: Policy,
    /// The issuer is `internal` because of the names, not because someone said so.
    implied_internal: bool,
}

/// Makes `apps.tls` of the sites of all servers, which come in the order of the servers, and within a server in the
/// order of its routes. None if there is nothing to say. Mistakes go to `shared`.
pub(crate) fn tls_app(sites: &[SiteFacts], shared: &mut Shared) -> Option<Tls> {
    let options = shared.options.clone();
    let mut mistakes = Vec::new();
    let mut tls = Tls::default();
    let mut drafts = Drafts::new(&options, sites.first(), &mut mistakes);
    let mut automated = BTreeSet::new();
    for site in sites {
        if is_http_only(site, &options) {
            continue;
        }
        if is_forced(site) {
            automated.extend(hosts(site));
        }
        drafts.site(site, &mut mistakes);
    }
    let mut policies = drafts.finish();
    policies.extend(shown_names(&options));

    let hidden = hosts_beside_every_host(sites, &options);
    let internal: Vec<String> = hidden
        .iter()
        .filter(|host| !subjects::qualifies_for_public(host))
        .cloned()
        .collect();
    automated.extend(hidden);
    if !internal.is_empty() {
        policies.push(internal_only(Policy::default(), internal));
    }
    certificates(&mut tls, sites, &options, automated);

    for draft in &mut policies {
        issuers_of_globals(&mut draft.policy, &options);
        for issuer in &mut draft.policy.issuers {
            issuers::fill_in(issuer, &options);
        }
    }
    mistakes.extend(unknown_dns(&policies, &options));
    let policies = join::consolidate(policies);
    mistakes.extend(ambiguous(&policies, sites));
    let automation = Automation {
        policies,
        on_demand: options.on_demand_tls.clone(),
        ocsp_interval: interval(options.ocsp_interval),
        renew_interval: interval(options.renew_interval),
        storage_clean_interval: interval(options.storage_clean_interval),
    };
    tls.automation = Some(automation).filter(|automation| *automation != Automation::default());
    tls.encrypted_client_hello.clone_from(&options.ech);
    tls.dns.clone_from(&options.dns);
    tls.resolvers = Some(options.tls_resolvers).filter(|resolvers| !resolvers.is_empty());
    tls.disable_ocsp_stapling = options.ocsp_stapling_off;
    tls.disable_storage_check = options.storage_check_off;
    tls.disable_storage_clean = options.storage_clean_off;
    shared.diagnostics.extend(mistakes);
    Some(tls).filter(|tls| *tls != Tls::default())
}

/// The drafts of all sites. Sites for every host share one draft, the catch-all.
struct Drafts<'o> {
    options: &'o GlobalOptions,
    all: Vec<Draft>,
    /// Their places in the policies. Each site that shares the catch-all puts it there once more: an empty policy before
    /// it is then not the last.
    order: Vec<usize>,
    /// Which of them is the catch-all.
    catch_all: Option<usize>,
}

impl<'o> Drafts<'o> {
    fn new(options: &'o GlobalOptions, first: Option<&SiteFacts>, mistakes: &mut Vec<Diagnostic>) -> Self {
        if options.local_certs
            && !options.cert_issuers.is_empty()
            && let Some(key) = first.and_then(|site| site.keys.first())
        {
            let message = "the global options `local_certs` and `cert_issuer` exclude each other";
            mistakes.push(Diagnostic::error("conflicting-options", &key.span, message));
        }
        let base = base(options);
        Self {
            options,
            catch_all: base.as_ref().map(|_| 0),
            order: base.iter().map(|_| 0).collect(),
            all: base.into_iter().collect(),
        }
    }

    fn site(&mut self, site: &SiteFacts, mistakes: &mut Vec<Diagnostic>) {
        let for_all = hosts(site).is_empty();
        let shared = self.catch_all.filter(|_| for_all);
        let index = shared.unwrap_or_else(|| {
            self.all.push(base(self.options).unwrap_or_default());
            self.all.len() - 1
        });
        if for_all {
            self.catch_all = Some(index);
        }
        let draft = &mut self.all[index];
        apply(&mut draft.policy, site, shared.is_some(), mistakes);
        draft.policy.subjects = subjects_of(site, self.options.http_port());
        let split = split_internal(draft, site, mistakes);
        self.order.push(index);
        if let Some(split) = split {
            self.order.push(self.all.len());
            self.all.push(split);
        }
    }

    /// The drafts at their places; of those of the catch-all only the first and the last count.
    fn finish(self) -> Vec<Draft> {
        let is_catch_all = |index: &usize| Some(*index) == self.catch_all;
        let first = self.order.iter().position(is_catch_all);
        let last = self.order.iter().rposition(is_catch_all);
        let places = self.order.iter().enumerate();
        places
            .filter(|(at, index)| !is_catch_all(index) || Some(*at) == first || Some(*at) == last)
            .map(|(_, index)| self.all[*index].clone())
            .collect()
    }
}

/// The policy that global options describe; none without such options.
fn base(options: &GlobalOptions) -> Option<Draft> {
    let acme = options.acme_ca.is_some()
        || options.acme_ca_root.is_some()
        || options.acme_dns.is_some()
        || options.acme_eab.is_some()
        || options.preferred_chains.is_some();
    let others = !options.cert_issuers.is_empty()
        || options.local_certs
        || options.key_type.is_some()
        || options.ocsp_stapling_off
        || options.renewal_window_ratio.is_some();
    if !acme && !others {
        return None;
    }
    let mut issuers = options.cert_issuers.clone();
    if issuers.is_empty() && options.local_certs {
        issuers.push(json!({"module": "internal"}));
    }
    let policy = Policy {
        issuers,
        key_type: options.key_type.clone().filter(|key_type| !key_type.is_empty()),
        renewal_window_ratio: options.renewal_window_ratio,
        disable_ocsp_stapling: options.ocsp_stapling_off,
        ..Policy::default()
    };
    Some(Draft {
        policy,
        implied_internal: false,
    })
}

/// The policy of the names that clients show in the open: they need certificates, although no site has them.
fn shown_names(options: &GlobalOptions) -> Option<Draft> {
    let configs = options.ech.as_ref()?.get("configs")?.as_array()?;
    let names = configs.iter().filter_map(|config| config["public_name"].as_str());
    let mut draft = base(options).unwrap_or_default();
    draft.policy.subjects = names.filter(|name| !name.is_empty()).map(str::to_owned).collect();
    Some(draft)
}

/// Puts what a site's `tls` directives say into its policy.
fn apply(policy: &mut Policy, site: &SiteFacts, is_shared: bool, mistakes: &mut Vec<Diagnostic>) {
    let said: Vec<&Policy> = automations(site).collect();
    policy.on_demand |= said.iter().any(|said| said.on_demand);
    policy.reuse_private_keys |= said.iter().any(|said| said.reuse_private_keys);
    if let Some(key_type) = said.iter().find_map(|said| said.key_type.clone()) {
        policy.key_type = Some(key_type);
    }
    if let Some(ratio) = said.iter().find_map(|said| said.renewal_window_ratio) {
        policy.renewal_window_ratio = Some(ratio);
    }
    let issuers: Vec<Json> = said.iter().flat_map(|said| said.issuers.clone()).collect();
    if !issuers.is_empty() {
        if is_shared
            && policy.issuers != issuers
            && let Some(key) = site.keys.first()
        {
            let message = "the issuers of this site for every host conflict with those of another, or of the global options";
            mistakes.push(Diagnostic::error("conflicting-options", &key.span, message));
        }
        policy.issuers = issuers;
    }
    policy
        .get_certificate
        .extend(said.iter().flat_map(|said| said.get_certificate.clone()));
    for (_, value) in site.values.iter() {
        if let SiteValue::Bind(bind) = value {
            let address = bind.addresses.first().map_or("", String::as_str);
            for issuer in &mut policy.issuers {
                issuers::listen_on(issuer, address);
            }
        }
    }
}

/// The hosts of a site that HTTPS is spoken for, sorted.
fn subjects_of(site: &SiteFacts, http_port: u16) -> Vec<String> {
    let keys = site.keys.iter();
    let secure = keys.filter(|key| !key.host.is_empty() && key.scheme != "http" && !key.has_port(http_port));
    let hosts: BTreeSet<String> = secure.map(|key| key.host.clone()).collect();
    hosts.into_iter().collect()
}

/// What a host that nothing can have may be meant to be.
fn odd(host: &str) -> Option<&'static str> {
    if host.starts_with('(') || host.ends_with(')') {
        Some("the name of a snippet has no spaces: `(name) { … }`")
    } else if host.starts_with('&') {
        Some("a named route is written `&(name) { … }`")
    } else if host.starts_with('[') != host.ends_with(']') {
        Some("an IPv6 address stands between `[` and `]`")
    } else if host.contains(char::is_whitespace) {
        Some("an address has no spaces; several stand apart, with commas between them")
    } else {
        None
    }
}

/// If a policy without issuers is for public and internal names, takes the internal ones out, into one of their own.
fn split_internal(draft: &mut Draft, site: &SiteFacts, mistakes: &mut Vec<Diagnostic>) -> Option<Draft> {
    let policy = &mut draft.policy;
    if !policy.issuers.is_empty() {
        return None;
    }
    let (mut public, mut internal) = (Vec::new(), Vec::new());
    for subject in policy
        .subjects
        .iter()
        .filter(|subject| !subjects::is_tailscale(subject))
    {
        if !subjects::qualifies(subject)
            && let Some(key) = site.keys.iter().find(|key| key.host == *subject)
        {
            let message = format!("there can be no certificate for `{subject}`");
            let help = odd(subject)
                .unwrap_or("write `http://` in front of it, or `auto_https off` into the global options");
            mistakes.push(Diagnostic::error("invalid-address", &key.span, message).help(help));
        }
        if subjects::is_public(subject, policy.on_demand) {
            public.push(subject.clone());
        } else {
            internal.push(subject.clone());
        }
    }
    if public.is_empty() || internal.is_empty() {
        return None;
    }
    policy.subjects = public;
    Some(internal_only(policy.clone(), internal))
}

fn internal_only(mut policy: Policy, subjects: Vec<String>) -> Draft {
    policy.subjects = subjects;
    policy.issuers = vec![json!({"module": "internal"})];
    Draft {
        policy,
        implied_internal: true,
    }
}

/// Hosts that share a site with an address for every host: no route names them, so they are named here.
fn hosts_beside_every_host(sites: &[SiteFacts], options: &GlobalOptions) -> BTreeSet<String> {
    if options.auto_https_has("off") || options.auto_https_has("disable_certs") {
        return BTreeSet::new();
    }
    let for_all = sites.iter().filter(|site| hosts(site).is_empty());
    for_all
        .flat_map(|site| subjects_of(site, options.http_port()))
        .collect()
}

/// Whether nobody can speak TLS to a site.
fn is_http_only(site: &SiteFacts, options: &GlobalOptions) -> bool {
    site.keys.iter().all(|key| key.scheme == "http") || !listens_elsewhere(&site.listen, options.http_port())
}

/// Loaders of certificates.
fn certificates(tls: &mut Tls, sites: &[SiteFacts], options: &GlobalOptions, automated: BTreeSet<String>) {
    let (mut files, mut folders): (Vec<Json>, Vec<Json>) = (Vec::new(), Vec::new());
    for site in sites.iter().filter(|site| !is_http_only(site, options)) {
        for (_, value) in site.values.iter() {
            match value {
                SiteValue::CertificateFiles {
                    certificate,
                    key,
                    tag,
                } => {
                    files.push(json!({"certificate": certificate, "key": key, "tags": [tag]}));
                }
                SiteValue::CertificateFolders(names) => {
                    folders.extend(names.iter().cloned().map(Json::String));
                }
                _ => {}
            }
        }
    }
    let automated: Vec<Json> = automated.into_iter().map(Json::String).collect();
    for (loader, values) in [
        ("automate", automated),
        ("load_files", files),
        ("load_folders", folders),
    ] {
        if !values.is_empty() {
            let loaders = tls.certificates.get_or_insert_default();
            loaders.insert(loader.to_owned(), values.into());
        }
    }
}

/// Gives the default issuers, with the global settings of ACME, to a policy for public names without issuers.
fn issuers_of_globals(policy: &mut Policy, options: &GlobalOptions) {
    let has_globals = options.email.is_some()
        || options.acme_ca.is_some()
        || options.acme_ca_root.is_some()
        || options.acme_dns.is_some()
        || options.acme_eab.is_some()
        || options.preferred_chains.is_some();
    let is_public =
        |subject: &String| subjects::is_public(subject, policy.on_demand) && !subjects::is_tailscale(subject);
    if has_globals && policy.issuers.is_empty() && policy.subjects.iter().all(is_public) {
        policy.issuers = match options.acme_ca {
            Some(_) => vec![json!({"module": "acme"})],
            None => issuers::defaults(options.email.as_deref()),
        };
    }
}

/// An issuer takes the DNS challenge from `acme_dns`, which leaves the provider to `dns`, which is not there.
fn unknown_dns(drafts: &[Draft], options: &GlobalOptions) -> Option<Diagnostic> {
    let acme_dns = options.acme_dns.as_ref().filter(|_| options.dns.is_none())?;
    let mut issuers = drafts.iter().flat_map(|draft| &draft.policy.issuers);
    let lacks_provider = |issuer: &Json| {
        let dns = issuer.pointer("/challenges/dns");
        dns.is_some_and(|dns| dns.get("provider").is_none())
    };
    if !issuers.any(lacks_provider) {
        return None;
    }
    let message = "`acme_dns` names no DNS provider, and the global options have none either";
    let mistake = Diagnostic::error("missing-argument", &acme_dns.name, message);
    Some(mistake.help("write `acme_dns PROVIDER`, or add the option `dns PROVIDER`"))
}

fn interval(duration: Option<crate::values::Duration>) -> Option<Json> {
    duration
        .filter(|duration| !duration.is_zero())
        .map(|duration| duration.0.into())
}

/// Names that two policies want to get, which nobody could decide between.
fn ambiguous(policies: &[Policy], sites: &[SiteFacts]) -> Vec<Diagnostic> {
    let mut seen = HashSet::new();
    let subjects = policies.iter().flat_map(|policy| &policy.subjects);
    let twice = subjects.filter(|subject| !seen.insert(subject.as_str()));
    let mistake = |subject: &String| {
        let mut keys = sites
            .iter()
            .flat_map(|site| &site.keys)
            .filter(|key| key.host == *subject);
        let first = keys.next()?;
        let second = keys.next_back().unwrap_or(first);
        let message = format!("sites say different things about the certificate of `{subject}`");
        Some(
            Diagnostic::error("conflicting-options", &second.span, message)
                .context(&first.span, "the other site")
                .help("say the same in `tls` at both"),
        )
    };
    twice.filter_map(mistake).collect()
}
