//! Which objects have still to be told their verdict, the most urgent first.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use crate::control::Report;
use crate::objects::Key;
use crate::verdict::Verdict;

/// An object: its kind, and its name.
pub(super) type Id = (&'static str, Key);

/// How urgent it is, the most urgent first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Rank {
    /// Somebody changed it and waits for the verdict.
    Edited,
    /// It was not there before.
    New,
    /// It was there when this replica began to write.
    Waiting,
}

/// The queue of one report. What is known of the reports before decides who comes first.
#[derive(Debug, Default)]
pub(super) struct Queue {
    report: Option<Arc<Report>>,
    /// The generation of each object in the last report.
    seen: HashMap<Id, i64>,
    /// Who was changed or is new, and has not been told.
    urgent: HashMap<Id, Rank>,
    /// Places in the verdicts of the report.
    places: VecDeque<usize>,
}

impl Queue {
    /// Looks through a report for all that is due.
    pub(super) fn plan(&mut self, report: &Arc<Report>, is_due: impl Fn(&Verdict) -> bool) {
        let is_first = self.report.is_none();
        let mut seen = HashMap::with_capacity(report.verdicts.len());
        let mut due = Vec::new();
        for (place, verdict) in report.verdicts.iter().enumerate() {
            let id = id(verdict);
            match self.seen.get(&id) {
                Some(generation) if *generation == verdict.generation => {}
                Some(_) => drop(self.urgent.insert(id.clone(), Rank::Edited)),
                None if is_first => {}
                None => drop(self.urgent.insert(id.clone(), Rank::New)),
            }
            if is_due(verdict) {
                due.push((self.urgent.get(&id).copied().unwrap_or(Rank::Waiting), place));
            } else {
                self.urgent.remove(&id);
            }
            seen.insert(id, verdict.generation);
        }
        self.urgent.retain(|id, _| seen.contains_key(id));
        due.sort_unstable();
        self.places = due.into_iter().map(|(_, place)| place).collect();
        self.seen = seen;
        self.report = Some(Arc::clone(report));
    }

    /// Whether this is the queue of a report.
    pub(super) fn is_of(&self, report: &Arc<Report>) -> bool {
        self.report.as_ref().is_some_and(|own| Arc::ptr_eq(own, report))
    }

    /// The place of the verdict that is told next.
    pub(super) fn next(&mut self) -> Option<usize> {
        self.places.pop_front()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.places.is_empty()
    }

    /// An object was told.
    pub(super) fn told(&mut self, id: &Id) {
        self.urgent.remove(id);
    }

    /// Whether the last report speaks of an object.
    pub(super) fn knows(&self, id: &Id) -> bool {
        self.seen.contains_key(id)
    }
}

/// Of which object a verdict speaks.
pub(super) fn id(verdict: &Verdict) -> Id {
    (verdict.kind, verdict.key())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::verdict::{Exports, State};

    fn report(objects: &[(&str, i64)]) -> Arc<Report> {
        let verdict = |(name, generation): &(&str, i64)| Verdict {
            kind: "CaddyRoute",
            namespace: "shop".into(),
            name: (*name).into(),
            generation: *generation,
            state: State::Accepted,
            hosts: Vec::new(),
            secure: Vec::new(),
            findings: Vec::new(),
            exports: Exports::default(),
            last_good: None,
        };
        Arc::new(Report {
            is_ready: true,
            verdicts: objects.iter().map(verdict).collect(),
            ..Report::default()
        })
    }

    /// Who comes in which order, all being due but those named.
    #[track_caller]
    fn check(queue: &mut Queue, objects: &[(&str, i64)], settled: &[&str], expected: &[&str]) {
        let report = report(objects);
        queue.plan(&report, |verdict| !settled.contains(&&*verdict.name));
        assert!(queue.is_of(&report));
        let order: Vec<&str> = std::iter::from_fn(|| queue.next())
            .map(|place| &*report.verdicts[place].name)
            .collect();
        assert_eq!(order, expected);
    }

    #[test]
    fn edits_come_before_what_is_new_and_what_waits() {
        let mut queue = Queue::default();
        check(&mut queue, &[("a", 1), ("b", 1), ("c", 1)], &[], &["a", "b", "c"]);
        let later = [("a", 1), ("b", 1), ("c", 2), ("d", 1)];
        check(&mut queue, &later, &[], &["c", "d", "a", "b"]);
        // It stays urgent until it is told.
        check(&mut queue, &later, &["a"], &["c", "d", "b"]);
        check(&mut queue, &later, &["c"], &["d", "a", "b"]);
        check(&mut queue, &later, &[], &["d", "a", "b", "c"]);
        // One that is new and then changed, and one that is gone.
        check(&mut queue, &[("a", 1), ("d", 2)], &[], &["d", "a"]);
        queue.told(&("CaddyRoute", Key::new("shop", "d")));
        check(&mut queue, &[("a", 1), ("d", 2)], &[], &["a", "d"]);
        assert!(!queue.knows(&("CaddyRoute", Key::new("shop", "c"))));
    }
}
