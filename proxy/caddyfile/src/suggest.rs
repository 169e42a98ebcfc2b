//! "Did you mean": the most similar word of a table.

/// Words longer than this are not compared; nobody mistypes them by a letter.
const LONGEST: usize = 64;

/// The word of `among` that `word` was probably meant to be, if one is near enough. The first wins a tie.
pub fn suggest<'a>(word: &str, among: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let word: Vec<char> = word
        .chars()
        .flat_map(char::to_lowercase)
        .take(LONGEST + 1)
        .collect();
    if word.is_empty() || word.len() > LONGEST {
        return None;
    }
    // About one mistake in three letters: `lb_polcy` finds `lb_policy`, `log` does not find `tls`.
    let allowed = word.len().div_ceil(3).min(word.len() - 1);
    let mut best: Option<(usize, &str)> = None;
    for candidate in among {
        let letters: Vec<char> = candidate
            .chars()
            .flat_map(char::to_lowercase)
            .take(LONGEST + 1)
            .collect();
        if letters.len().abs_diff(word.len()) > allowed || letters.len() > LONGEST {
            continue;
        }
        let distance = distance(&word, &letters);
        if distance <= allowed && best.is_none_or(|(least, _)| distance < least) {
            best = Some((distance, candidate));
        }
    }
    best.map(|(_, candidate)| candidate)
}

/// The number of letters to insert, drop, change, or swap with their neighbour.
fn distance(a: &[char], b: &[char]) -> usize {
    let mut before: Vec<usize> = vec![0; b.len() + 1];
    let mut last: Vec<usize> = (0..=b.len()).collect();
    for (i, &from) in a.iter().enumerate() {
        let mut row = vec![i + 1; b.len() + 1];
        for (j, &to) in b.iter().enumerate() {
            let change = last[j] + usize::from(from != to);
            row[j + 1] = change.min(last[j + 1] + 1).min(row[j] + 1);
            if i > 0 && j > 0 && from == b[j - 1] && a[i - 1] == to {
                row[j + 1] = row[j + 1].min(before[j - 1] + 1);
            }
        }
        before = std::mem::replace(&mut last, row);
    }
    last[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(word: &str, expected: Option<&str>) {
        let table = [
            "reverse_proxy",
            "respond",
            "lb_policy",
            "tls",
            "log",
            "root",
            "redir",
            "handle",
        ];
        assert_eq!(suggest(word, table), expected, "{word}");
    }

    #[test]
    fn finds_the_word_that_was_meant() {
        check("lb_polcy", Some("lb_policy"));
        check("reverse-proxy", Some("reverse_proxy"));
        check("repsond", Some("respond"));
        check("Handle", Some("handle"));
        check("rediect", Some("redir"));
        check("lgo", Some("log"));
    }

    #[test]
    fn stays_silent_when_nothing_is_near() {
        check("", None);
        check("x", None);
        check("encode", None);
        check(&"a".repeat(100_000), None);
    }
}
