//! Makes a text that shows a difference as small as it can be.

use super::mutate::split_words;

/// The smallest text found that still `differs`: first without lines, then without words, as long as that helps.
#[must_use]
pub fn shrink(text: &str, mut differs: impl FnMut(&str) -> bool) -> String {
    let mut best = text.to_owned();
    // Each attempt costs a question; this many are enough for any text that is made here.
    let mut left = 3000;
    loop {
        let before = best.len();
        best = without(&best, split_lines, &mut left, &mut differs);
        best = without(&best, split_words, &mut left, &mut differs);
        if best.len() == before || left == 0 {
            return best;
        }
    }
}

/// Leaves out runs of parts, long runs first, down to single ones.
fn without(
    text: &str,
    split: fn(&str) -> Vec<&str>,
    left: &mut usize,
    differs: &mut impl FnMut(&str) -> bool,
) -> String {
    let mut parts: Vec<String> = split(text).into_iter().map(str::to_owned).collect();
    let mut run = parts.len().div_ceil(2);
    while run > 0 {
        let mut at = 0;
        while at < parts.len() {
            let end = (at + run).min(parts.len());
            let tried = [&parts[..at], &parts[end..]].concat();
            let candidate = tried.concat();
            if *left == 0 {
                return parts.concat();
            }
            *left -= 1;
            if candidate.len() < parts.concat().len() && differs(&candidate) {
                parts = tried;
            } else {
                at = end;
            }
        }
        run /= 2;
    }
    parts.concat()
}

fn split_lines(text: &str) -> Vec<&str> {
    text.split_inclusive('\n').collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_differs_is_left() {
        let text = "a.test {\n\trespond hi 200\n\tencode gzip\n}\nb.test\n";
        assert_eq!(shrink(text, |text| text.contains("hi")), "hi");
        let two = shrink(text, |text| text.contains("respond") && text.contains("b.test"));
        assert_eq!(two.split_whitespace().collect::<String>(), "respondb.test");
    }

    #[test]
    fn a_text_that_nothing_can_be_taken_from_stays() {
        assert_eq!(shrink("a b", |text| text == "a b"), "a b");
    }
}
