//! Policies of automation put in order and joined.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::hash::{DefaultHasher, Hash, Hasher};

use serde_json::Value as Json;

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
    let mut drafts: Vec<Option<Draft>> = drafts.into_iter().map(Some).collect();
    let subjects = Subjects::new(&drafts);
    for at in 0..drafts.len() {
        let is_empty = drafts[at].as_ref().is_some_and(is_empty);
        if is_empty && is_needless(&drafts, at, &subjects) {
            drafts[at] = None;
        }
    }
    let mut alike = Alike::new(&drafts);
    for at in 0..drafts.len() {
        if let Some(draft) = drafts[at].take() {
            drafts[at] = join(draft, at, &mut drafts, &mut alike, &subjects);
        }
    }
    drafts.into_iter().flatten().map(|draft| draft.policy).collect()
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
    draft.policy.get_certificate.is_empty() && is_empty_but_for_managers(draft)
}

/// Whether it says at most who has the certificates already.
fn is_empty_but_for_managers(draft: &Draft) -> bool {
    let policy = &draft.policy;
    policy.issuers.is_empty()
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
fn is_needless(drafts: &[Option<Draft>], at: usize, subjects: &Subjects) -> bool {
    let Some(draft) = &drafts[at] else { return false };
    let shadowed = || {
        subjects
            .shadowed(drafts, at, draft)
            .and_then(|later| drafts[later].as_ref())
    };
    at + 1 == drafts.len() || shadowed().is_some_and(is_empty_but_for_managers)
}

/// Joins later policies into one, which stood at a place; nothing if a later one will do in its place.
fn join(
    mut draft: Draft,
    at: usize,
    drafts: &mut [Option<Draft>],
    alike: &mut Alike,
    subjects: &Subjects,
) -> Option<Draft> {
    // Kept while others are joined with it, so that many like sites cost no more than they are.
    let mut known: HashSet<String> = draft.policy.subjects.iter().cloned().collect();
    let mut implied = by_default(&draft);
    let mut later = alike.after(at, &draft, implied, drafts);
    while let Some(second) = later.pop_first() {
        let Some(other) = drafts[second]
            .as_ref()
            .filter(|other| same(&draft, implied, other))
        else {
            continue;
        };
        let (one, two) = (&draft.policy, &other.policy);
        if !one.subjects.is_empty() && two.subjects.is_empty() && one != two {
            // The later one is for all subjects; it will do, unless one in between would come first.
            let shadowed = subjects.shadowed(drafts, at, &draft);
            if shadowed.is_some_and(|shadowed| shadowed >= second) {
                return None;
            }
            continue;
        }
        let was_for_all = one.subjects.is_empty();
        let other = drafts[second].take().map(|other| other.policy.subjects);
        let new = other
            .into_iter()
            .flatten()
            .filter(|subject| known.insert(subject.clone()));
        draft.policy.subjects.extend(new);
        if was_for_all {
            implied = by_default(&draft);
            later.extend(alike.after(second, &draft, implied, drafts));
        }
    }
    Some(draft)
}

/// Which policies may say the same, by hashes of what [`same`] compares: many sites, each with a policy of its own, are
/// not compared each with each.
struct Alike {
    /// By all that they say.
    said: HashMap<u64, Vec<usize>>,
    /// Those whose issuer is implied to be `internal`, by all but their issuers.
    internal: HashMap<u64, Vec<usize>>,
}

impl Alike {
    fn new(drafts: &[Option<Draft>]) -> Self {
        let (mut said, mut internal) = (HashMap::new(), HashMap::new());
        for (at, draft) in drafts.iter().enumerate() {
            let Some(draft) = draft else { continue };
            let list: &mut Vec<usize> = said.entry(hash_of_all(draft)).or_default();
            list.push(at);
            if by_default(draft) == Some(Implied::Internal) {
                let list: &mut Vec<usize> = internal.entry(hash_of_others(draft)).or_default();
                list.push(at);
            }
        }
        Self { said, internal }
    }

    /// Those behind a place that may say the same as a policy. What lies before is forgotten.
    fn after(
        &mut self,
        at: usize,
        draft: &Draft,
        implied: Option<Implied>,
        drafts: &[Option<Draft>],
    ) -> BTreeSet<usize> {
        let is_later = |index: &usize| *index > at && drafts[*index].is_some();
        let said = self.said.get_mut(&hash_of_all(draft));
        let internal = if implied == Some(Implied::Internal) {
            self.internal.get_mut(&hash_of_others(draft))
        } else {
            None
        };
        let mut later = BTreeSet::new();
        for list in said.into_iter().chain(internal) {
            list.retain(is_later);
            later.extend(list.iter().copied());
        }
        later
    }
}

fn hash_of_all(draft: &Draft) -> u64 {
    let issuers: Vec<u64> = draft.policy.issuers.iter().map(hash_of_json).collect();
    hash_of((hash_of_others(draft), issuers))
}

/// Of all but the issuers.
fn hash_of_others(draft: &Draft) -> u64 {
    let policy = &draft.policy;
    let managers = format!("{:?}", policy.get_certificate);
    hash_of((
        managers,
        policy.must_staple,
        &policy.key_type,
        policy.on_demand,
        policy.reuse_private_keys,
    ))
}

/// The same for equal values: the order of a map's entries does not count.
fn hash_of_json(json: &Json) -> u64 {
    match json {
        Json::Array(values) => hash_of(values.iter().map(hash_of_json).collect::<Vec<_>>()),
        Json::Object(entries) => entries
            .iter()
            .map(|(name, value)| hash_of((name, hash_of_json(value))))
            .fold(0, u64::wrapping_add),
        value => hash_of(value.to_string()),
    }
}

fn hash_of(value: impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    value.hash(&mut hasher);
    hasher.finish()
}

/// Whether two policies say the same about their subjects; `implied` is who issues by default for the one.
fn same(one: &Draft, implied: Option<Implied>, other: &Draft) -> bool {
    #[cfg(test)]
    tests::count_step();
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
    #[cfg(test)]
    tests::count_step();
    let (a, b) = (&a.policy.subjects, &b.policy.subjects);
    let covered = |subject: &String| b.iter().any(|pattern| subjects::covers(pattern, subject));
    b.is_empty() || (!a.is_empty() && a.iter().all(covered))
}

/// Which policies are for which subjects, so that those that cover a subject are found without asking each.
struct Subjects {
    for_all: Vec<usize>,
    /// By the subject or pattern, in small letters.
    by_name: HashMap<String, Vec<usize>>,
    /// The most labels that are `*` at the begin of a pattern.
    most_stars: usize,
}

impl Subjects {
    fn new(drafts: &[Option<Draft>]) -> Self {
        let mut subjects = Self {
            for_all: Vec::new(),
            by_name: HashMap::new(),
            most_stars: 0,
        };
        for (at, draft) in drafts.iter().enumerate() {
            let names = draft.as_ref().map_or(&[][..], |draft| &draft.policy.subjects);
            if names.is_empty() {
                subjects.for_all.push(at);
            }
            for name in names {
                let stars = name.split('.').take_while(|label| *label == "*").count();
                subjects.most_stars = subjects.most_stars.max(stars);
                let places = subjects.by_name.entry(name.to_ascii_lowercase()).or_default();
                places.push(at);
            }
        }
        subjects
    }

    /// The first policy behind a place that would be for the same subjects as one.
    fn shadowed(&self, drafts: &[Option<Draft>], at: usize, draft: &Draft) -> Option<usize> {
        let first = |places: &Vec<usize>| {
            let later = &places[places.partition_point(|place| *place <= at)..];
            let shadows = |place: &&usize| {
                drafts[**place]
                    .as_ref()
                    .is_some_and(|later| is_subset(draft, later))
            };
            later.iter().find(shadows).copied()
        };
        // Whoever is for all of its subjects is for its first one.
        let names = draft.policy.subjects.first().map(|name| self.patterns(name));
        let named = names
            .into_iter()
            .flatten()
            .filter_map(|name| self.by_name.get(&name));
        named.chain([&self.for_all]).filter_map(first).min()
    }

    /// A subject, and the patterns that cover it, as far as there are any with as many stars.
    fn patterns(&self, subject: &str) -> Vec<String> {
        let subject = subject.to_ascii_lowercase();
        let (mut patterns, mut stars, mut rest) = (Vec::new(), String::new(), Some(subject.as_str()));
        for _ in 0..self.most_stars {
            let Some((label, after)) =
                rest.map(|rest| rest.split_once('.').map_or((rest, None), |(a, b)| (a, Some(b))))
            else {
                break;
            };
            if label.is_empty() {
                break;
            }
            stars.push_str(if stars.is_empty() { "*" } else { ".*" });
            patterns.push(match after {
                Some(after) => format!("{stars}.{after}"),
                None => stars.clone(),
            });
            rest = after;
        }
        patterns.push(subject);
        patterns
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use serde_json::json;

    use super::*;

    thread_local! {
        /// How often two policies were compared.
        static STEPS: Cell<usize> = const { Cell::new(0) };
    }

    pub(super) fn count_step() {
        STEPS.set(STEPS.get() + 1);
    }

    /// Consolidates the policies of that many sites; each has three kinds of neighbours.
    fn steps(sites: usize) -> usize {
        let drafts = (0..sites).map(|number| {
            let mut draft = Draft::default();
            draft.policy.subjects = vec![format!("s{number}.example.com")];
            draft.policy.issuers = match number % 4 {
                0 => vec![json!({"module": "acme", "email": format!("{number}@example.com")})],
                1 => vec![json!({"module": "internal"})],
                _ => Vec::new(),
            };
            if number % 4 == 2 {
                draft.policy.subjects = vec![format!("s{number}.local")];
            }
            draft
        });
        STEPS.set(0);
        let policies = consolidate(drafts.collect());
        assert_eq!(policies.len(), sites / 4 + 3);
        STEPS.get()
    }

    #[test]
    fn comparisons_grow_with_the_sites() {
        let (few, many) = (steps(400), steps(4000));
        assert!(few > 400 && many <= few * 11, "{few} and {many} comparisons");
    }

    #[track_caller]
    fn check_patterns(most_stars: usize, subject: &str, expected: &[&str]) {
        let subjects = Subjects {
            for_all: Vec::new(),
            by_name: HashMap::new(),
            most_stars,
        };
        let patterns = subjects.patterns(subject);
        assert_eq!(patterns, expected);
        for pattern in &patterns {
            assert!(subjects::covers(pattern, subject), "{pattern}");
        }
    }

    #[test]
    fn a_subject_has_as_many_patterns_as_there_may_be() {
        check_patterns(0, "A.test", &["a.test"]);
        check_patterns(1, "a.b.test", &["*.b.test", "a.b.test"]);
        check_patterns(9, "a.test", &["*.test", "*.*", "a.test"]);
        check_patterns(9, ".test", &[".test"]);
    }
}
