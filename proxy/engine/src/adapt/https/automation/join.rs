//! Policies of automation put in order and joined.

use std::collections::HashSet;

use super::Draft;
use crate::adapt::https::subjects;
use crate::config::Policy;

/// Puts policies in order, the most specific first, leaves out those that say nothing, and joins those that say the
/// same.
pub(super) fn consolidate(mut drafts: Vec<Draft>) -> Vec<Policy> {
    // If no policy says anything, the defaults say it all.
    if drafts.iter().all(is_empty) {
        return Vec::new();
    }
    sort(&mut drafts);
    let mut index = 0;
    while index < drafts.len() {
        if is_empty(&drafts[index]) && is_needless(&drafts, index) {
            drafts.remove(index);
        } else {
            index += 1;
        }
    }
    let mut first = 0;
    while first < drafts.len() {
        if !join(&mut drafts, first) {
            first += 1;
        }
    }
    drafts.into_iter().map(|draft| draft.policy).collect()
}

/// A stable sort that asks neighbours only: the order is not total, since policies may have nothing to do with each
/// other.
fn sort(drafts: &mut [Draft]) {
    let before = |a: &Draft, b: &Draft| {
        if is_subset(a, b) {
            true
        } else if is_subset(b, a) {
            false
        } else {
            a.policy.subjects.len() > b.policy.subjects.len()
        }
    };
    for end in 1..drafts.len() {
        let mut at = end;
        while at > 0 && before(&drafts[at], &drafts[at - 1]) {
            drafts.swap(at, at - 1);
            at -= 1;
        }
    }
}

/// Whether it says nothing about its subjects.
fn is_empty(draft: &Draft) -> bool {
    let policy = &draft.policy;
    policy.issuers.is_empty()
        && policy.get_certificate.is_empty()
        && !policy.must_staple
        && policy.renewal_window_ratio.is_none()
        && policy.key_type.is_none()
        && policy.storage.is_none()
        && !policy.on_demand
        && !policy.reuse_private_keys
        && !policy.disable_ocsp_stapling
        && policy.ocsp_overrides.is_none()
}

/// Whether an empty policy changes nothing: it is the last, or what it stands before is empty too, but for those who
/// have certificates already.
fn is_needless(drafts: &[Draft], index: usize) -> bool {
    if index + 1 == drafts.len() {
        return true;
    }
    let Some(shadowed) = shadowed(drafts, index) else {
        return false;
    };
    let mut rest = drafts[shadowed].clone();
    rest.policy.get_certificate.clear();
    is_empty(&rest)
}

/// Joins a policy with a later one, or drops one of the two; whether the policy at `first` is now another.
fn join(drafts: &mut Vec<Draft>, first: usize) -> bool {
    // Kept while others are joined with it, so that many like sites cost no more than they are.
    let mut known: HashSet<String> = drafts[first].policy.subjects.iter().cloned().collect();
    let mut implied = by_default(&drafts[first]);
    let mut second = first + 1;
    while second < drafts.len() {
        if !same(&drafts[first], implied, &drafts[second]) {
            second += 1;
            continue;
        }
        let (one, other) = (&drafts[first].policy, &drafts[second].policy);
        if !one.subjects.is_empty() && other.subjects.is_empty() && one != other {
            // The later one is for all subjects; it will do, unless one in between would come first.
            if shadowed(drafts, first).is_some_and(|shadowed| shadowed >= second) {
                drafts.remove(first);
                return true;
            }
            second += 1;
            continue;
        }
        let was_for_all = one.subjects.is_empty();
        let other = drafts.remove(second).policy.subjects;
        let new = other.into_iter().filter(|subject| known.insert(subject.clone()));
        drafts[first].policy.subjects.extend(new);
        if was_for_all {
            implied = by_default(&drafts[first]);
        }
    }
    false
}

/// Whether two policies say the same about their subjects; `implied` is who issues by default for the one.
fn same(one: &Draft, implied: Option<Implied>, other: &Draft) -> bool {
    let (a, b) = (&one.policy, &other.policy);
    a.get_certificate == b.get_certificate
        && a.must_staple == b.must_staple
        && a.key_type == b.key_type
        && a.on_demand == b.on_demand
        && a.reuse_private_keys == b.reuse_private_keys
        && a.renewal_window_ratio == b.renewal_window_ratio
        && same_issuers(one, implied, other)
}

fn same_issuers(one: &Draft, implied: Option<Implied>, other: &Draft) -> bool {
    let implied = (implied, by_default(other));
    if one.policy.issuers != other.policy.issuers {
        return implied == (Some(Implied::Internal), Some(Implied::Internal));
    }
    match implied {
        (Some(a), Some(b)) if one.policy.issuers.is_empty() => {
            a == b || a == Implied::Any || b == Implied::Any
        }
        _ => true,
    }
}

/// Who issues when nobody is named.
#[derive(Clone, Copy, PartialEq)]
enum Implied {
    Any,
    Public,
    Internal,
    Mixed,
}

fn by_default(draft: &Draft) -> Option<Implied> {
    let policy = &draft.policy;
    if draft.implied_internal {
        return Some(Implied::Internal);
    }
    if !policy.issuers.is_empty() {
        return None;
    }
    let public = policy
        .subjects
        .iter()
        .filter(|subject| subjects::is_public(subject, policy.on_demand));
    Some(match (public.count(), policy.subjects.len()) {
        (_, 0) => Implied::Any,
        (0, _) => Implied::Internal,
        (public, all) if public == all => Implied::Public,
        _ => Implied::Mixed,
    })
}

/// Whether all subjects of `a` are subjects of `b` too.
fn is_subset(a: &Draft, b: &Draft) -> bool {
    let (a, b) = (&a.policy.subjects, &b.policy.subjects);
    let covered = |subject: &String| b.iter().any(|pattern| subjects::covers(pattern, subject));
    b.is_empty() || (!a.is_empty() && a.iter().all(covered))
}

/// The first later policy that would be for the same subjects.
fn shadowed(drafts: &[Draft], index: usize) -> Option<usize> {
    (index + 1..drafts.len()).find(|later| is_subset(&drafts[index], &drafts[*later]))
}
