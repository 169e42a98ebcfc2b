//! Joining connection policies that are for the same hosts, or say the same.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};

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
///
/// A policy is joined with another for the same hosts, wherever that stands, and with the next if they differ in
/// nothing but their names. There may be as many policies as sites, so others are only looked through if there is
/// another for the same hosts.
pub(super) fn join(mut policies: Vec<Written>, diagnostics: &mut Vec<Diagnostic>) -> Vec<Policy> {
    policies.sort_by_key(|(_, policy)| policy.matches.is_none());
    let mut alike: HashMap<u64, usize> = HashMap::new();
    // Those to come, the next one last.
    let mut rest: Vec<Keyed> = policies.into_iter().rev().map(Keyed::new).collect();
    for policy in &rest {
        *alike.entry(policy.key).or_default() += 1;
    }
    let mut done: Vec<Keyed> = Vec::new();
    while let Some(mut policy) = rest.pop() {
        loop {
            let same = |other: &Keyed| other.policy.matches == policy.policy.matches;
            let has_same = alike[&policy.key] > 1;
            if has_same && let Some(at) = done.iter().position(same) {
                let other = done.remove(at);
                *alike.entry(other.key).or_default() -= 1;
                policy.absorb(other, diagnostics);
                // As in Caddy, what it can be joined with now is not looked for again.
                break;
            }
            let is_next_same = rest.last().is_some_and(same);
            if !is_next_same && let Some(next) = rest.last_mut() {
                let (key, next_key) = (policy.key, next.key);
                if policy.join_names(next) {
                    rest.pop();
                    *alike.entry(next_key).or_default() -= 1;
                    *alike.entry(key).or_default() -= 1;
                    *alike.entry(policy.key).or_default() += 1;
                    continue;
                }
            }
            let same = |other: &Keyed| other.policy.matches == policy.policy.matches;
            let Some(at) = rest.iter().rposition(same).filter(|_| has_same) else {
                break;
            };
            let other = rest.remove(at);
            *alike.entry(other.key).or_default() -= 1;
            policy.absorb(other, diagnostics);
        }
        done.push(policy);
    }
    done.into_iter().map(|keyed| keyed.policy).collect()
}

/// A policy, and a number that is equal for equal hosts.
struct Keyed {
    span: Option<Span>,
    policy: Policy,
    key: u64,
}

impl Keyed {
    fn new((span, policy): Written) -> Self {
        let key = match (&policy.matches, names(&policy)) {
            (_, Some(names)) => names.iter().fold(1, with_name),
            (None, None) => 0,
            (Some(_), None) => 2,
        };
        Self { span, policy, key }
    }

    /// Joins another for the same hosts into this one.
    fn absorb(&mut self, other: Self, diagnostics: &mut Vec<Diagnostic>) {
        if self.policy == other.policy {
            return;
        }
        if let Err(what) = join_settings(&mut self.policy, other.policy) {
            let message = format!("two sets of TLS settings for the same hosts differ in {what}");
            if let Some(span) = other.span.as_ref().or(self.span.as_ref()) {
                let mut diagnostic = Diagnostic::error("conflicting-options", span, message);
                if let (Some(own), true) = (self.span.as_ref(), other.span.is_some()) {
                    diagnostic = diagnostic.context(own, "the other is here");
                }
                diagnostics.push(diagnostic);
            }
        }
    }

    /// Takes over the names of another if they differ in nothing else.
    fn join_names(&mut self, other: &mut Self) -> bool {
        if names(&self.policy).is_none() || names(&other.policy).is_none() {
            return false;
        }
        // The names are many after many have been joined: they are put aside, not copied.
        let (own, others) = (self.policy.matches.take(), other.policy.matches.take());
        let is_same = self.policy == other.policy;
        self.policy.matches = own;
        other.policy.matches = others;
        if is_same
            && let Some(more) = names_mut(&mut other.policy).map(std::mem::take)
            && let Some(own) = names_mut(&mut self.policy)
        {
            self.key = more.iter().fold(self.key, with_name);
            own.extend(more);
        }
        is_same
    }
}

/// The key of hosts to which a name is added.
fn with_name(key: u64, name: &Json) -> u64 {
    let mut hasher = DefaultHasher::new();
    (key, name.as_str()).hash(&mut hasher);
    hasher.finish()
}

/// The names that a policy is for, if it asks for nothing else.
fn names(policy: &Policy) -> Option<&Vec<Json>> {
    let matches = policy.matches.as_ref().filter(|matches| matches.len() == 1)?;
    matches.get("sni")?.as_array()
}

fn names_mut(policy: &mut Policy) -> Option<&mut Vec<Json>> {
    policy.matches.as_mut()?.get_mut("sni")?.as_array_mut()
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
