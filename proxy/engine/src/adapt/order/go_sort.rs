//! Go's stable sort, step by step.
//!
//! The relations that order routes are not transitive (and some hold both ways), so the result depends on how it is
//! sorted. Caddy sorts by insertion in pieces of twenty and merges these in place, which is the symmetric merge of Kim
//! and Kutzner.

/// The length of the pieces that are sorted by insertion.
const PIECE: usize = 20;

/// Sorts as Go's `sort.SliceStable` does. Whatever the relation, it ends, and loses nothing.
pub(crate) fn sort<T>(items: &mut [T], less: impl Fn(&T, &T) -> bool) {
    for piece in items.chunks_mut(PIECE) {
        insertion(piece, &less);
    }
    let mut sorted = PIECE;
    while sorted < items.len() {
        for pair in items.chunks_mut(2 * sorted).filter(|pair| pair.len() > sorted) {
            merge(pair, sorted, &less);
        }
        sorted *= 2;
    }
}

fn insertion<T>(items: &mut [T], less: &impl Fn(&T, &T) -> bool) {
    for end in 1..items.len() {
        let mut at = end;
        while at > 0 && less(&items[at], &items[at - 1]) {
            items.swap(at, at - 1);
            at -= 1;
        }
    }
}

/// Merges two sorted parts, of which the second begins at `middle`. Neither is empty.
fn merge<T>(items: &mut [T], middle: usize, less: &impl Fn(&T, &T) -> bool) {
    let length = items.len();
    if middle == 1 {
        let place = first(1, length, |at| !less(&items[at], &items[0]));
        items[..place].rotate_left(1);
        return;
    }
    if length - middle == 1 {
        let place = first(0, middle, |at| less(&items[middle], &items[at]));
        items[place..].rotate_right(1);
        return;
    }
    // Around the centre lies a stretch of the first part and one of the second that change places.
    let centre = length / 2;
    let mirror = centre + middle;
    let (low, high) = if middle > centre {
        (mirror - length, centre)
    } else {
        (0, middle)
    };
    let start = first(low, high, |at| less(&items[mirror - 1 - at], &items[at]));
    let end = mirror - start;
    if start < middle && middle < end {
        items[start..end].rotate_left(middle - start);
    }
    if 0 < start && start < centre {
        merge(&mut items[..centre], start, less);
    }
    if centre < end && end < length {
        merge(&mut items[centre..], end - centre, less);
    }
}

/// The first place in a range for which something holds, found by halving; the end of the range if there is none.
fn first(mut low: usize, mut high: usize, holds: impl Fn(usize) -> bool) -> usize {
    while low < high {
        let half = low.midpoint(high);
        if holds(half) {
            high = half;
        } else {
            low = half + 1;
        }
    }
    low
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[track_caller]
    fn check(length: usize, less: impl Fn(u32, u32) -> bool, expected: &[u32]) {
        let mut items: Vec<u32> = (0..length as u32).collect();
        sort(&mut items, |a, b| less(*a, *b));
        assert_eq!(items, expected, "{length}");
    }

    /// Recorded from Go.
    #[test]
    fn relations_that_hold_both_ways_end_as_in_go() {
        let reversed: Vec<u32> = (0..20).rev().collect();
        check(20, |_, _| true, &reversed);
        check(5, |_, _| true, &[4, 3, 2, 1, 0]);
        let reversed: Vec<u32> = (0..25).rev().collect();
        check(25, |_, _| true, &reversed);
        check(45, |a, b| (a * 7 + b * 13) % 5 < 2, MIXED_45);
        check(90, |a, b| (a * 11 + b * 3) % 7 < 3, MIXED_90);
    }

    const MIXED_45: &[u32] = &[
        0, 1, 20, 21, 22, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 23, 24, 25, 26, 40, 27, 28, 29,
        30, 31, 32, 33, 34, 35, 36, 37, 17, 41, 38, 18, 42, 39, 43, 44, 19,
    ];
    const MIXED_90: &[u32] = &[
        0, 40, 1, 41, 20, 2, 3, 60, 42, 43, 4, 5, 6, 7, 8, 44, 45, 46, 47, 80, 48, 81, 9, 10, 11, 49, 12, 50,
        51, 52, 53, 61, 62, 63, 64, 65, 82, 54, 55, 56, 57, 58, 66, 13, 21, 22, 23, 24, 25, 14, 15, 16, 17,
        83, 84, 85, 18, 26, 27, 28, 29, 67, 68, 69, 30, 70, 31, 32, 33, 34, 35, 71, 72, 73, 74, 86, 75, 87,
        36, 76, 37, 77, 19, 38, 39, 59, 78, 88, 79, 89,
    ];

    proptest! {
        #[test]
        fn sorts_stably(items in proptest::collection::vec((0_u8..20, any::<u16>()), 0..200)) {
            let mut expected = items.clone();
            expected.sort_by_key(|item| item.0);
            let mut sorted = items;
            sort(&mut sorted, |a, b| a.0 < b.0);
            prop_assert_eq!(sorted, expected);
        }
    }
}
