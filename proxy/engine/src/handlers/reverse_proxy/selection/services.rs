//! The policies that choose among Services first, and then among the endpoints of one.

use std::ops::Range;
use std::sync::atomic::{AtomicU32, Ordering};

use smallvec::SmallVec;

use super::super::pool::Members;

/// The first Service with an available endpoint; its endpoints have their turns.
pub(super) fn first(members: &Members, robin: &AtomicU32, at: u64) -> Option<usize> {
    let able = |service: &&Range<usize>| available(members, service, at).next().is_some();
    let service = members.services.iter().find(able)?;
    take(members, service, at, robin.fetch_add(1, Ordering::Relaxed))
}

/// Services with an available endpoint have turns as often as their weights say, and so have the endpoints of each.
/// Services beyond the weights have none; a single weight means the first Service alone.
pub(super) fn weighted(weights: &[u32], members: &Members, robin: &AtomicU32, at: u64) -> Option<usize> {
    let weights = if weights.len() < 2 { &[1] } else { weights };
    let weighted = members.services.iter().zip(weights.iter().copied());
    let able: SmallVec<[(&Range<usize>, u32); 8]> = weighted
        .filter(|(service, weight)| *weight > 0 && available(members, service, at).next().is_some())
        .collect();
    let total: u32 = able.iter().map(|(_, weight)| weight).sum();
    let count = robin.fetch_add(1, Ordering::Relaxed);
    let mut turn = count.checked_rem(total)?;
    for (service, weight) in able {
        if turn < weight {
            let rounds = count / total;
            return take(
                members,
                service,
                at,
                rounds.wrapping_mul(weight).wrapping_add(turn),
            );
        }
        turn -= weight;
    }
    None
}

/// The available endpoint of a Service whose turn it is.
fn take(members: &Members, service: &Range<usize>, at: u64, turn: u32) -> Option<usize> {
    let count = available(members, service, at).count();
    let index = available(members, service, at).nth((turn as usize).checked_rem(count)?);
    // One may have become unavailable since they were counted.
    index.or_else(|| available(members, service, at).next())
}

fn available<'m>(
    members: &'m Members,
    service: &Range<usize>,
    at: u64,
) -> impl Iterator<Item = usize> + use<'m> {
    let endpoints = service.clone();
    endpoints.filter(move |&index| members.upstreams[index].is_available(at))
}
