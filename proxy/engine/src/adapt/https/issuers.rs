//! Issuers of certificates: how their lines are read, and what they take over from global options.

#[cfg(test)]
mod tests;

use fairway_caddyfile::{Args, Diagnostic, Segment};
use serde_json::{Value as Json, json};

use crate::adapt::GlobalOptions;
use crate::adapt::modules;
use crate::adapt::settings::{
    Object, append, flag, inner, invalid, named, nanoseconds, number, one_of, only, put, text, texts,
};

/// The ACME endpoint that is tried second, if there is an email address.
const ZEROSSL: &str = "https://acme.zerossl.com/v2/DV90";

/// Reads `issuer NAME …`, `cert_issuer NAME …`.
pub(crate) fn read(mut args: Args<'_>) -> Result<Json, Diagnostic> {
    let name = args.required("an issuer: `acme`, `internal` or `zerossl`")?;
    let issuer = match one_of(name, &["acme", "internal", "zerossl"])? {
        "acme" => acme(args),
        "internal" => internal(&args),
        _ => zerossl(args),
    };
    issuer.map(Json::Object)
}

/// Reads `preferred_chains smallest`, `preferred_chains { root_common_name …; any_common_name … }`.
pub(crate) fn preferred_chains(mut args: Args<'_>) -> Result<Json, Diagnostic> {
    const KNOWN: [&str; 2] = ["any_common_name", "root_common_name"];
    if let Some(word) = args.next_arg() {
        one_of(word, &["smallest"])?;
        args.finish_line()?;
        return Ok(json!({"smallest": true}));
    }
    let mut chains = Object::new();
    for line in args.block() {
        let key = line.name.text.as_str();
        if !KNOWN.contains(&key) {
            return Err(args.unknown_subdirective(line, KNOWN));
        }
        let names = texts(&mut Args::new(line), "names")?;
        append(&mut chains, key, names.into_iter().map(Json::String));
        if chains.len() > 1 {
            let message = "`any_common_name` and `root_common_name` exclude each other";
            return Err(Diagnostic::error("conflicting-options", line, message));
        }
    }
    if chains.is_empty() {
        return Err(args.missing("`smallest` or a block with names"));
    }
    Ok(chains.into())
}

/// Lines about the DNS challenge, as they are spelled in every place.
pub(crate) const DNS_SETTINGS: [&str; 5] = [
    "dns_challenge_override_domain",
    "dns_ttl",
    "propagation_delay",
    "propagation_timeout",
    "resolvers",
];

/// Reads one of [`DNS_SETTINGS`] into the settings of the challenge.
pub(crate) fn dns_setting(line: &Segment, dns: &mut Object) -> Result<(), Diagnostic> {
    let mut args = Args::new(line);
    match line.name.text.as_str() {
        "dns_challenge_override_domain" => put(dns, "override_domain", text(&mut args, "a domain")?),
        "dns_ttl" => put(dns, "ttl", nanoseconds(&mut args)?),
        "resolvers" => put(dns, "resolvers", texts(&mut args, "addresses of DNS servers")?),
        // For ever is one nanosecond less than nothing.
        "propagation_timeout" if args.peek().is_some_and(|token| token.text == "-1") => {
            args.next_arg();
            args.finish_line()?;
            put(dns, "propagation_timeout", -1);
        }
        key => put(dns, key, nanoseconds(&mut args)?),
    }
    Ok(())
}

/// The settings of one challenge of an ACME issuer.
pub(crate) fn challenge<'i>(issuer: &'i mut Object, kind: &str) -> &'i mut Object {
    inner(inner(issuer, "challenges"), kind)
}

/// The issuers that a `tls` line stands for that says something about ACME without naming an issuer: the global ACME
/// issuers, or else the default ones, each with what the line says.
pub(crate) fn implied(said: &Object, options: &GlobalOptions) -> Vec<Json> {
    let mut issuers: Vec<Json> = options
        .cert_issuers
        .iter()
        .filter(|issuer| is_acme(issuer))
        .cloned()
        .collect();
    if issuers.is_empty() {
        issuers = match said.get("ca") {
            Some(_) => vec![json!({"module": "acme"})],
            None => defaults(said.get("email").and_then(Json::as_str)),
        };
    }
    for issuer in &mut issuers {
        if let Json::Object(issuer) = issuer {
            merge(issuer, said);
        }
    }
    issuers
}

/// The issuers of a policy without issuers.
pub(crate) fn defaults(email: Option<&str>) -> Vec<Json> {
    let mut issuers = vec![json!({"module": "acme"})];
    if let Some(email) = email.filter(|email| !email.trim().is_empty()) {
        issuers.push(json!({"module": "acme", "ca": ZEROSSL, "email": email}));
    }
    issuers
}

/// Gives to an ACME issuer what global options say and it does not.
pub(crate) fn fill_in(issuer: &mut Json, options: &GlobalOptions) {
    let acme = is_acme(issuer);
    let Some(issuer) = issuer.as_object_mut().filter(|_| acme) else {
        return;
    };
    let globals = [
        ("email", options.email.clone().map(Json::String)),
        ("ca", options.acme_ca.clone().map(Json::String)),
        ("external_account", options.acme_eab.clone()),
        ("preferred_chains", options.preferred_chains.clone()),
        (
            "certificate_lifetime",
            options.cert_lifetime.map(|lifetime| lifetime.0.into()),
        ),
    ];
    for (key, value) in globals {
        if let Some(value) = value.filter(|_| !issuer.contains_key(key)) {
            put(issuer, key, value);
        }
    }
    if let Some(root) = &options.acme_ca_root {
        add_once(issuer, "trusted_roots_pem_files", &[root.as_str().into()]);
    }
    if let Some(acme_dns) = &options.acme_dns {
        let dns = challenge(issuer, "dns");
        if let Some(provider) = acme_dns
            .provider
            .as_ref()
            .filter(|_| !dns.contains_key("provider"))
        {
            put(dns, "provider", provider.clone());
        }
    }
    let has_dns = issuer
        .get("challenges")
        .is_some_and(|all| all.get("dns").is_some());
    if has_dns {
        let dns = challenge(issuer, "dns");
        let is_on = options.acme_dns.is_some() || dns.contains_key("provider");
        if is_on && !dns.contains_key("resolvers") {
            put(dns, "resolvers", options.tls_resolvers.clone());
        }
        return;
    }
    for (kind, port) in [("http", options.http_port), ("tls-alpn", options.https_port)] {
        if let Some(port) = port {
            let challenge = challenge(issuer, kind);
            if !challenge.contains_key("alternate_port") {
                put(challenge, "alternate_port", port);
            }
        }
    }
    if let Some(bind) = options
        .default_bind
        .first()
        .and_then(|bind| bind.addresses.first())
    {
        let challenges = inner(issuer, "challenges");
        if !challenges.contains_key("bind_host") {
            put(challenges, "bind_host", bind.as_str());
        }
    }
}

/// Lets an ACME issuer answer challenges where a site listens, if it says nothing about that.
pub(crate) fn listen_on(issuer: &mut Json, address: &str) {
    let acme = is_acme(issuer);
    if let Some(issuer) = issuer.as_object_mut().filter(|_| acme) {
        let challenges = inner(issuer, "challenges");
        if !challenges.contains_key("bind_host") {
            put(challenges, "bind_host", address);
        }
    }
}

fn is_acme(issuer: &Json) -> bool {
    issuer["module"] == "acme"
}

/// Writes settings over those of an issuer; of challenges, each setting by itself; of roots, none is lost.
fn merge(issuer: &mut Object, said: &Object) {
    for (key, value) in said {
        match (key.as_str(), value) {
            ("trusted_roots_pem_files", Json::Array(roots)) => add_once(issuer, key, roots),
            ("challenges" | "http" | "tls-alpn" | "dns", Json::Object(said)) => {
                merge(inner(issuer, key), said);
            }
            _ => {
                issuer.insert(key.clone(), value.clone());
            }
        }
    }
}

fn add_once(issuer: &mut Object, key: &str, values: &[Json]) {
    for value in values {
        let known = issuer.get(key).and_then(Json::as_array);
        if !known.is_some_and(|known| known.contains(value)) {
            append(issuer, key, [value.clone()]);
        }
    }
}

/// `acme [URL] { … }`
fn acme(mut args: Args<'_>) -> Result<Object, Diagnostic> {
    let mut issuer = named("module", "acme");
    if let Some(url) = args.next_arg() {
        put(&mut issuer, "ca", url.text.as_str());
    }
    args.finish()?;
    for line in args.block() {
        acme_line(&args, line, &mut issuer)?;
    }
    Ok(issuer)
}

const ACME: [&str; 15] = [
    "alt_http_port",
    "alt_tlsalpn_port",
    "dir",
    "disable_http_challenge",
    "disable_tlsalpn_challenge",
    "distributed",
    "dns",
    "eab",
    "email",
    "lifetime",
    "preferred_chains",
    "profile",
    "test_dir",
    "timeout",
    "trusted_roots",
];

fn acme_line(args: &Args<'_>, line: &Segment, issuer: &mut Object) -> Result<(), Diagnostic> {
    let mut line_args = Args::new(line);
    match line.name.text.as_str() {
        "dir" if issuer.contains_key("ca") => {
            let message = "the directory of the issuer is already given";
            return Err(Diagnostic::error("duplicate-option", line, message));
        }
        "dir" => put(issuer, "ca", text(&mut line_args, "a URL")?),
        "test_dir" => put(issuer, "test_ca", text(&mut line_args, "a URL")?),
        "email" => put(issuer, "email", text(&mut line_args, "an address")?),
        "profile" => put(issuer, "profile", text(&mut line_args, "a name")?),
        "timeout" => put(issuer, "acme_timeout", nanoseconds(&mut line_args)?),
        "lifetime" => {
            let lifetime = nanoseconds(&mut line_args)?;
            if lifetime < 0 {
                return Err(invalid(&line.args[0], "is less than nothing"));
            }
            put(issuer, "certificate_lifetime", lifetime);
        }
        "disable_http_challenge" => put(challenge(issuer, "http"), "disabled", flag(&line_args)?),
        "disable_tlsalpn_challenge" => put(challenge(issuer, "tls-alpn"), "disabled", flag(&line_args)?),
        "distributed" => {
            only(&mut line_args, "false")?;
            inner(issuer, "challenges").insert("distributed".to_owned(), false.into());
        }
        "alt_http_port" => put(
            challenge(issuer, "http"),
            "alternate_port",
            number::<u16>(&mut line_args)?,
        ),
        "alt_tlsalpn_port" => {
            put(
                challenge(issuer, "tls-alpn"),
                "alternate_port",
                number::<u16>(&mut line_args)?,
            );
        }
        "eab" => put(issuer, "external_account", eab(line_args)?),
        "trusted_roots" => put(issuer, "trusted_roots_pem_files", texts(&mut line_args, "files")?),
        "preferred_chains" => put(issuer, "preferred_chains", preferred_chains(line_args)?),
        // Without a provider, that of the global options.
        "dns" if line.args.is_empty() => {
            line_args.no_block()?;
            challenge(issuer, "dns");
        }
        "dns" => put(
            challenge(issuer, "dns"),
            "provider",
            modules::read(&modules::DNS_PROVIDER, line_args)?,
        ),
        name if DNS_SETTINGS.contains(&name) => dns_setting(line, challenge(issuer, "dns"))?,
        _ => return Err(args.unknown_subdirective(line, ACME.into_iter().chain(DNS_SETTINGS))),
    }
    Ok(())
}

/// `eab KEY_ID MAC_KEY`
pub(crate) fn eab(mut args: Args<'_>) -> Result<Json, Diagnostic> {
    let id = args.required("the id of a key and the key")?;
    let key = args.required("the key itself")?;
    args.finish_line()?;
    Ok(json!({"key_id": id.text, "mac_key": key.text}))
}

/// `internal { ca NAME; lifetime DURATION; sign_with_root }`
fn internal(args: &Args<'_>) -> Result<Object, Diagnostic> {
    args.finish()?;
    let mut issuer = named("module", "internal");
    for line in args.block() {
        let mut line_args = Args::new(line);
        match line.name.text.as_str() {
            "ca" => put(
                &mut issuer,
                "ca",
                text(&mut line_args, "the name of an authority")?,
            ),
            "lifetime" => put(&mut issuer, "lifetime", nanoseconds(&mut line_args)?),
            "sign_with_root" => put(&mut issuer, "sign_with_root", flag(&line_args)?),
            _ => return Err(args.unknown_subdirective(line, ["ca", "lifetime", "sign_with_root"])),
        }
    }
    Ok(issuer)
}

/// `zerossl API_KEY { … }`
fn zerossl(mut args: Args<'_>) -> Result<Object, Diagnostic> {
    let mut issuer = named("module", "zerossl");
    put(
        &mut issuer,
        "api_key",
        args.required("a key of the API")?.text.as_str(),
    );
    args.finish()?;
    for line in args.block() {
        let mut line_args = Args::new(line);
        match line.name.text.as_str() {
            "validity_days" => put(&mut issuer, "validity_days", number::<u32>(&mut line_args)?),
            "alt_http_port" => put(&mut issuer, "alternate_http_port", number::<u16>(&mut line_args)?),
            "dns" => {
                let provider = modules::read(&modules::DNS_PROVIDER, line_args)?;
                put(inner(&mut issuer, "cname_validation"), "provider", provider);
            }
            name if name != "dns_challenge_override_domain" && DNS_SETTINGS.contains(&name) => {
                dns_setting(line, inner(&mut issuer, "cname_validation"))?;
            }
            _ => {
                let known = ["validity_days", "alt_http_port", "dns"];
                return Err(args.unknown_subdirective(line, known.into_iter().chain(DNS_SETTINGS)));
            }
        }
    }
    Ok(issuer)
}
