//! Joining connection policies that are for the same hosts, or say the same.

use fairway_caddyfile::{Diagnostic, Span};
use serde_json::Value as Json;

use crate::config::TlsConnectionPolicy as Policy;

type Written = (Option<Span>, Policy);

/// Whether a policy says anything but for whom it is.
pub(super) fn has_settings(policy: &Policy) -> bool {
    let settings = Policy {
        matches: None,
        drop: false,
        ..policy.clone()
    };
    settings != Policy::default()
}

/// Puts those for all hosts last, and joins what can be joined. Two that contradict each other are reported.
pub(super) fn join(mut policies: Vec<Written>, diagnostics: &mut Vec<Diagnostic>) -> Vec<Policy> {
    policies.sort_by_key(|(_, policy)| policy.matches.is_none());
    let mut at = 0;
    while at < policies.len() {
        match absorbed(&mut policies, at, diagnostics) {
            Some(other) => {
                policies.remove(other);
            }
            None => at += 1,
        }
    }
    policies.into_iter().map(|(_, policy)| policy).collect()
}

/// Joins another policy into the one at a place, if there is one that can be; which it was.
fn absorbed(policies: &mut [Written], at: usize, diagnostics: &mut Vec<Diagnostic>) -> Option<usize> {
    for other in (0..policies.len()).filter(|other| *other != at) {
        if policies[at].1 == policies[other].1 {
            return Some(other);
        }
        if other == at + 1 && join_names(policies, at) {
            return Some(other);
        }
        if policies[at].1.matches == policies[other].1.matches {
            let (from_span, from) = policies[other].clone();
            let (into_span, into) = &mut policies[at];
            if let Err(what) = join_settings(into, from) {
                let message = format!("two sets of TLS settings for the same hosts differ in {what}");
                if let Some(span) = from_span.as_ref().or(into_span.as_ref()) {
                    let mut diagnostic = Diagnostic::error("conflicting-options", span, message);
                    if let (Some(into), true) = (into_span.as_ref(), from_span.is_some()) {
                        diagnostic = diagnostic.context(into, "the other is here");
                    }
                    diagnostics.push(diagnostic);
                }
            }
            return Some(other);
        }
    }
    None
}

/// Joins a policy with the next if they differ in nothing but the names that they are for.
fn join_names(policies: &mut [Written], at: usize) -> bool {
    let names = |policy: &Policy| match policy.matches.as_ref() {
        Some(matches) if matches.len() == 1 => matches.get("sni").and_then(Json::as_array).cloned(),
        _ => None,
    };
    let settings = |policy: &Policy| Policy {
        matches: None,
        ..policy.clone()
    };
    let (policy, next) = (&policies[at].1, &policies[at + 1].1);
    let (Some(mut joined), Some(more)) = (names(policy), names(next)) else {
        return false;
    };
    if settings(policy) != settings(next) {
        return false;
    }
    joined.extend(more);
    policies[at].1.matches = Some([("sni".to_owned(), Json::Array(joined))].into_iter().collect());
    true
}

/// Takes over the settings of another policy for the same hosts; an error says what they disagree about.
fn join_settings(into: &mut Policy, from: Policy) -> Result<(), &'static str> {
    fn take<T: PartialEq>(
        into: &mut Option<T>,
        from: Option<T>,
        what: &'static str,
    ) -> Result<(), &'static str> {
        match (&into, from) {
            (_, None) => {}
            (None, from) => *into = from,
            (Some(into), Some(from)) if *into != from => return Err(what),
            _ => {}
        }
        Ok(())
    }
    // Caddy refuses settings about clients that come second.
    if into.client_authentication.is_none() && from.client_authentication.is_some() {
        return Err("`client_auth`");
    }
    take(&mut into.alpn, from.alpn, "`alpn`")?;
    take(&mut into.cipher_suites, from.cipher_suites, "`ciphers`")?;
    take(&mut into.curves, from.curves, "`curves`")?;
    take(&mut into.default_sni, from.default_sni, "`default_sni`")?;
    take(&mut into.fallback_sni, from.fallback_sni, "`fallback_sni`")?;
    take(&mut into.protocol_min, from.protocol_min, "`protocols`")?;
    take(&mut into.protocol_max, from.protocol_max, "`protocols`")?;
    let Some(from) = from.certificate_selection else {
        return Ok(());
    };
    let Some(into) = &mut into.certificate_selection else {
        into.certificate_selection = Some(from);
        return Ok(());
    };
    // Only tags can be joined, and only tags come from a Caddyfile.
    let others = |selection: &indexmap::IndexMap<String, Json>| {
        let mut selection = selection.clone();
        selection.shift_remove("any_tag");
        selection
    };
    if others(into) != others(&from) {
        return Err("their choice of certificates");
    }
    if let Some(Json::Array(more)) = from.get("any_tag")
        && let Json::Array(tags) = into
            .entry("any_tag".into())
            .or_insert_with(|| Json::Array(Vec::new()))
    {
        for tag in more {
            if !tags.contains(tag) {
                tags.push(tag.clone());
            }
        }
    }
    Ok(())
}
