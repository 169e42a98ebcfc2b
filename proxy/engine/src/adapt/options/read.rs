//! The table of global options, and how each is read.

use std::collections::HashMap;

use fairway_caddyfile::{Args, Diagnostic, suggest};
use serde_json::{Value as Json, json};

use super::servers;
use crate::adapt::https::issuers;
use crate::adapt::logs;
use crate::adapt::modules;
use crate::adapt::options::AcmeDns;
use crate::adapt::order::Position;
use crate::adapt::pki;
use crate::adapt::scope::Shared;
use crate::adapt::settings::{
    Object, duration, flag, invalid, number, one_of, only, put, ratio, single, text, texts,
};
use crate::adapt::storage;
use crate::directives::{DIRECTIVES, bind};

/// Reads an option into `shared.options`.
type Read = fn(Args<'_>, &mut Shared) -> Result<(), Diagnostic>;

/// All options.
pub(super) const OPTIONS: &[(&str, Read)] = &[
    ("debug", |_, shared| {
        shared.options.debug = true;
        Ok(())
    }),
    ("http_port", |mut args, shared| {
        set(&mut shared.options.http_port, number(&mut args))
    }),
    ("https_port", |mut args, shared| {
        set(&mut shared.options.https_port, number(&mut args))
    }),
    ("default_bind", default_bind),
    ("grace_period", |mut args, shared| {
        set(&mut shared.options.grace_period, duration(&mut args))
    }),
    ("shutdown_delay", |mut args, shared| {
        set(&mut shared.options.shutdown_delay, duration(&mut args))
    }),
    ("default_sni", |mut args, shared| {
        shared.options.default_sni = Some(text(&mut args, "a name")?).filter(|name| !name.is_empty());
        Ok(())
    }),
    ("fallback_sni", |mut args, shared| {
        shared.options.fallback_sni = Some(text(&mut args, "a name")?).filter(|name| !name.is_empty());
        Ok(())
    }),
    ("order", order),
    ("admin", admin),
    ("persist_config", |mut args, shared| {
        only(&mut args, "off")?;
        shared.options.persist_config_off = true;
        Ok(())
    }),
    ("storage", |args, shared| {
        set(&mut shared.options.storage, storage::read(args))
    }),
    ("storage_check", |mut args, shared| {
        only(&mut args, "off")?;
        shared.options.storage_check_off = true;
        Ok(())
    }),
    ("storage_clean_interval", storage_clean_interval),
    ("renew_interval", |mut args, shared| {
        set(&mut shared.options.renew_interval, duration(&mut args))
    }),
    ("ocsp_interval", |mut args, shared| {
        set(&mut shared.options.ocsp_interval, duration(&mut args))
    }),
    ("ocsp_stapling", |mut args, shared| {
        only(&mut args, "off")?;
        shared.options.ocsp_stapling_off = true;
        Ok(())
    }),
    ("local_certs", |args, shared| {
        // Also with a mistake behind it, so that nothing is said of issuers that nobody wants.
        shared.options.local_certs = true;
        args.finish_line()
    }),
    ("skip_install_trust", |args, shared| {
        shared.options.skip_install_trust = flag(&args)?;
        Ok(())
    }),
    ("auto_https", auto_https),
    ("email", |mut args, shared| {
        set(&mut shared.options.email, text(&mut args, "an address"))
    }),
    ("acme_ca", |mut args, shared| {
        set(&mut shared.options.acme_ca, text(&mut args, "a URL"))
    }),
    ("acme_ca_root", |mut args, shared| {
        set(&mut shared.options.acme_ca_root, text(&mut args, "a file"))
    }),
    ("acme_eab", acme_eab),
    ("acme_dns", acme_dns),
    ("dns", |args, shared| {
        set(
            &mut shared.options.dns,
            modules::read(&modules::DNS_PROVIDER, args),
        )
    }),
    ("cert_issuer", |args, shared| {
        shared.options.cert_issuers.push(issuers::read(args)?);
        Ok(())
    }),
    ("cert_lifetime", |mut args, shared| {
        set(&mut shared.options.cert_lifetime, duration(&mut args))
    }),
    ("preferred_chains", |args, shared| {
        set(
            &mut shared.options.preferred_chains,
            issuers::preferred_chains(args),
        )
    }),
    ("key_type", |mut args, shared| {
        set(&mut shared.options.key_type, text(&mut args, "a type of key"))
    }),
    ("renewal_window_ratio", |mut args, shared| {
        set(&mut shared.options.renewal_window_ratio, ratio(&mut args))
    }),
    ("on_demand_tls", on_demand_tls),
    ("tls_resolvers", |mut args, shared| {
        shared.options.tls_resolvers = texts(&mut args, "addresses of DNS servers")?;
        Ok(())
    }),
    ("ech", ech),
    ("events", events),
    ("filesystem", filesystem),
    ("pki", |args, shared| {
        set(&mut shared.options.pki, pki::read(args))
    }),
    ("metrics", metrics),
    ("servers", servers::read),
    ("log", log),
];

fn set<T>(option: &mut Option<T>, value: Result<T, Diagnostic>) -> Result<(), Diagnostic> {
    *option = Some(value?);
    Ok(())
}

/// `default_bind [ADDRESS…] { protocols … }`
fn default_bind(mut args: Args<'_>, shared: &mut Shared) -> Result<(), Diagnostic> {
    let mut bind = bind::read(&mut args)?;
    if bind.addresses.is_empty() {
        bind.addresses.push(String::new());
    }
    shared.options.default_bind.push(bind);
    Ok(())
}

/// `order DIRECTIVE first|last`, `order DIRECTIVE before|after DIRECTIVE`
fn order(mut args: Args<'_>, shared: &mut Shared) -> Result<(), Diagnostic> {
    let directive = args.required("a directive and its place")?;
    let place = args.required("a place: `first`, `last`, `before` or `after`")?;
    let place = one_of(place, &["first", "last", "before", "after"])?;
    let mut at = directive;
    let mut anchor = || {
        at = args.required("another directive")?;
        Ok(at.text.clone())
    };
    let position = match place {
        "first" => Position::First,
        "last" => Position::Last,
        "before" => Position::Before(anchor()?),
        _ => Position::After(anchor()?),
    };
    args.finish_line()?;
    // The mistake is in the first name, if that is none.
    if !DIRECTIVES.iter().any(|known| known.name == directive.text) {
        at = directive;
    }
    if let Position::Before(anchor) | Position::After(anchor) = &position
        && *anchor == directive.text
    {
        let message = format!("`{anchor}` cannot stand before or after itself");
        return Err(Diagnostic::error("invalid-value", at, message));
    }
    shared.order.apply(&directive.text, &position).map_err(|message| {
        let suggestion = suggest(&at.text, shared.order.0.iter().copied());
        Diagnostic::error("unknown-directive", at, message).did_you_mean(suggestion)
    })
}

/// `admin off`, `admin [ADDRESS] { origins …; enforce_origin }`
fn admin(mut args: Args<'_>, shared: &mut Shared) -> Result<(), Diagnostic> {
    let address = args.next_arg().map(|token| token.text.as_str());
    let address = address.filter(|address| !address.is_empty());
    if address == Some("off") {
        args.finish_line()?;
        shared.options.admin = Some(json!({"disabled": true}));
        return Ok(());
    }
    args.finish()?;
    let mut admin = Object::new();
    put(&mut admin, "listen", address.unwrap_or("localhost:2019"));
    for line in args.block() {
        let mut line_args = Args::new(line);
        match line.name.text.as_str() {
            "enforce_origin" => put(&mut admin, "enforce_origin", flag(&line_args)?),
            "origins" => put(&mut admin, "origins", texts(&mut line_args, "origins")?),
            _ => return Err(args.unknown_subdirective(line, ["enforce_origin", "origins"])),
        }
    }
    shared.options.admin = Some(admin.into());
    Ok(())
}

fn storage_clean_interval(mut args: Args<'_>, shared: &mut Shared) -> Result<(), Diagnostic> {
    let options = &mut shared.options;
    let off = args.peek().is_some_and(|token| token.text == "off");
    options.storage_clean_interval = if off {
        only(&mut args, "off")?;
        None
    } else {
        Some(duration(&mut args)?)
    };
    options.storage_clean_off = off;
    Ok(())
}

fn auto_https(mut args: Args<'_>, shared: &mut Shared) -> Result<(), Diagnostic> {
    const KNOWN: &[&str] = &["off", "disable_redirects", "disable_certs", "ignore_loaded_certs"];
    let tokens = args.remaining_required("what to leave out")?;
    args.no_block()?;
    let words = tokens.iter().map(|token| one_of(token, KNOWN).map(str::to_owned));
    shared.options.auto_https = words.collect::<Result<_, _>>()?;
    Ok(())
}

/// `acme_eab { key_id ID; mac_key KEY }`
fn acme_eab(args: Args<'_>, shared: &mut Shared) -> Result<(), Diagnostic> {
    args.finish()?;
    // Caddy prints both keys, be they empty.
    let mut eab = Object::new();
    eab.insert("key_id".to_owned(), "".into());
    eab.insert("mac_key".to_owned(), "".into());
    for line in args.block() {
        let key @ ("key_id" | "mac_key") = line.name.text.as_str() else {
            return Err(args.unknown_subdirective(line, ["key_id", "mac_key"]));
        };
        let value = text(&mut Args::new(line), "a value")?;
        eab.insert(key.to_owned(), value.into());
    }
    shared.options.acme_eab = Some(eab.into());
    Ok(())
}

/// `acme_dns PROVIDER …`; without a provider, the one of `dns`.
fn acme_dns(args: Args<'_>, shared: &mut Shared) -> Result<(), Diagnostic> {
    let provider = match args.peek() {
        Some(_) => Some(modules::read(&modules::DNS_PROVIDER, args)?),
        None => None,
    };
    args.no_block()?;
    let name = args.name().clone();
    shared.options.acme_dns = Some(AcmeDns { provider, name });
    Ok(())
}

/// `on_demand_tls { ask URL }`, `on_demand_tls { permission http URL }`
fn on_demand_tls(args: Args<'_>, shared: &mut Shared) -> Result<(), Diagnostic> {
    args.finish()?;
    let mut endpoint = None;
    for line in args.block() {
        let mut line_args = Args::new(line);
        match line.name.text.as_str() {
            "ask" => {}
            "permission" => {
                let module = line_args.required("who permits")?;
                one_of(module, &["http"])?;
            }
            gone @ ("interval" | "burst") => {
                let message = format!("`{gone}` is gone from `on_demand_tls`; remove the line");
                return Err(Diagnostic::error("unknown-subdirective", line, message));
            }
            _ => return Err(args.unknown_subdirective(line, ["ask", "permission"])),
        }
        if endpoint.is_some() {
            let message = "it is already said who permits certificates on demand";
            return Err(Diagnostic::error("duplicate-option", line, message));
        }
        endpoint = Some(text(&mut line_args, "a URL")?);
    }
    let endpoint = endpoint.ok_or_else(|| args.missing("a block with `ask`"))?;
    shared.options.on_demand_tls = Some(json!({"permission": {"module": "http", "endpoint": endpoint}}));
    Ok(())
}

/// `ech NAME… { dns PROVIDER … }`
fn ech(mut args: Args<'_>, shared: &mut Shared) -> Result<(), Diagnostic> {
    let names = args.remaining_required("the name that is shown in the open")?;
    let mut known = HashMap::new();
    for name in names {
        if let Some(first) = known.insert(name.text.as_str(), name) {
            let message = format!("`{}` is there twice", name.text);
            return Err(args
                .error_at(name, "duplicate-option", message)
                .context(&first.span, "here first"));
        }
    }
    let names: Vec<&str> = names.iter().map(|name| name.text.as_str()).collect();
    let mut publication = Vec::new();
    for line in args.block() {
        if line.name.text != "dns" {
            return Err(args.unknown_subdirective(line, ["dns"]));
        }
        let provider = modules::read(&modules::DNS_PROVIDER, Args::new(line))?;
        publication.push(json!({"configs": names, "publishers": {"dns": {"provider": provider}}}));
    }
    let configs: Vec<Json> = names.iter().map(|name| json!({"public_name": name})).collect();
    let mut ech = Object::new();
    put(&mut ech, "configs", configs);
    put(&mut ech, "publication", publication);
    shared.options.ech = Some(ech.into());
    Ok(())
}

/// `events { on EVENT HANDLER … }`
fn events(args: Args<'_>, shared: &mut Shared) -> Result<(), Diagnostic> {
    args.finish()?;
    let mut subscriptions = Vec::new();
    for line in args.block() {
        if line.name.text != "on" {
            return Err(args.unknown_subdirective(line, ["on"]));
        }
        let mut line_args = Args::new(line);
        let event = line_args.required("an event and its handler")?;
        let event = if event.text == "*" { "" } else { &event.text };
        let handler = modules::read(&modules::EVENT_HANDLER, line_args)?;
        subscriptions.push(json!({"events": [event], "handlers": [handler]}));
    }
    let mut events = Object::new();
    put(&mut events, "subscriptions", subscriptions);
    shared.options.events = Some(events.into());
    Ok(())
}

/// `filesystem NAME MODULE …`
fn filesystem(mut args: Args<'_>, shared: &mut Shared) -> Result<(), Diagnostic> {
    let name = args.required("a name and a file system")?;
    let mut filesystem = Object::new();
    put(&mut filesystem, "name", name.text.as_str());
    put(
        &mut filesystem,
        "file_system",
        modules::read(&modules::FILE_SYSTEM, args)?,
    );
    shared.options.filesystems.push(filesystem.into());
    Ok(())
}

fn metrics(args: Args<'_>, shared: &mut Shared) -> Result<(), Diagnostic> {
    const KNOWN: [&str; 3] = ["per_host", "observe_catchall_hosts", "otlp"];
    args.finish()?;
    let mut metrics = Object::new();
    for line in args.block() {
        let name = line.name.text.as_str();
        if !KNOWN.contains(&name) {
            return Err(args.unknown_subdirective(line, KNOWN));
        }
        put(&mut metrics, name, flag(&Args::new(line))?);
    }
    shared.options.metrics = Some(metrics.into());
    Ok(())
}

/// `log [NAME] { … }`: a logger of the process; without a name, the default one.
fn log(mut args: Args<'_>, shared: &mut Shared) -> Result<(), Diagnostic> {
    let token = args.next_arg().unwrap_or(args.name());
    let name = if args.segment().args.is_empty() {
        "default"
    } else {
        &token.text
    };
    args.finish()?;
    if shared.options.logs.iter().any(|(taken, _)| taken == name) {
        let message = format!("there is already a global logger `{name}`");
        return Err(Diagnostic::error("duplicate-option", token, message));
    }
    if name.is_empty() {
        return Err(invalid(
            single(&mut Args::new(args.segment()), "a name")?,
            "is no name",
        ));
    }
    let log = logs::read_global(args)?;
    shared.options.logs.push((name.to_owned(), log));
    Ok(())
}
