//! Breaks a text in the ways that people do.

use super::random::Random;

/// Words that are wrong somewhere, or right in another place.
const WORDS: &[&str] = &[
    "",
    "{",
    "}",
    "{}",
    "\"\"",
    "x",
    "-1",
    "0",
    "1",
    "9",
    "99999",
    "1.5",
    "007",
    "0x1f",
    "99999999999999999999",
    "200",
    "4xx",
    "404",
    "600",
    "10s",
    "1d",
    "5x",
    "-5s",
    "1h30m",
    "off",
    "on",
    "true",
    "*",
    "@",
    "@a",
    "@undefined",
    "/",
    "/x",
    "/x*",
    "a.test",
    "http://",
    ":80",
    ":0",
    ":99999",
    "https://a.test:80",
    "localhost:1-3",
    "{host}",
    "{",
    "{unknown}",
    "\"a b\"",
    "`a b`",
    "import",
    "respond",
    "reverse_proxy",
    "handle",
    "route",
    "header",
    "tls",
    "log",
    "root",
    "file",
    "#",
    "# c",
    "<<E",
    ">",
    "+X",
    "-X",
    "?X",
    "!X",
    "~x",
    "a=b",
    "=",
    "a>b",
    "é",
    "10MB",
    "1KiB",
    "private_ranges",
    "10.0.0.0/8",
    "10.0.0.0/99",
    "::1",
    "unix//run/x",
    "ftp://x",
    "internal",
    "default",
    "h2c",
    "GET",
    "get",
    "snip_plain",
    "nr1",
    "\\",
    "a,b",
    "a,",
    ",",
];

/// A text with one to three mistakes.
pub(super) fn mutate(text: &str, random: &mut Random) -> String {
    let mut text = text.to_owned();
    for _ in 0..random.pick(&[1, 1, 1, 2, 3]) {
        text = if random.chance(65) {
            in_words(&text, random)
        } else if random.chance(70) {
            in_lines(&text, random)
        } else {
            in_characters(&text, random)
        };
    }
    text
}

/// The words of a text, and what stands between them, which is at the odd places.
pub(super) fn split_words(text: &str) -> Vec<&str> {
    let mut parts = Vec::new();
    let mut rest = text;
    let mut space = false;
    while !rest.is_empty() {
        let end = rest
            .find(|each: char| each.is_whitespace() != space)
            .unwrap_or(rest.len());
        parts.push(&rest[..end]);
        rest = &rest[end..];
        space = !space;
    }
    parts
}

fn in_words(text: &str, random: &mut Random) -> String {
    let mut parts: Vec<String> = split_words(text).into_iter().map(str::to_owned).collect();
    let count = parts.len().div_ceil(2);
    if count == 0 {
        return text.to_owned();
    }
    let at = random.below(count) * 2;
    let other = random.below(count) * 2;
    match random.below(8) {
        0 | 1 => parts[at].clear(),
        2 => parts[at] = format!("{0} {0}", parts[at]),
        3 if at + 2 < parts.len() => parts.swap(at, at + 2),
        4 => {
            let copied = parts[other].clone();
            parts[at] = copied;
        }
        5 => parts[at] = format!("{} {}", parts[at], random.pick(WORDS)),
        6 => {
            // A slip of the finger.
            let length = parts[at].chars().count();
            let slip = random.below(length.max(1));
            parts[at] = parts[at]
                .chars()
                .enumerate()
                .filter(|(place, _)| *place != slip)
                .map(|(_, each)| each)
                .collect();
        }
        _ => random.pick(WORDS).clone_into(&mut parts[at]),
    }
    parts.concat()
}

fn in_lines(text: &str, random: &mut Random) -> String {
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    if lines.is_empty() {
        return text.to_owned();
    }
    let at = random.below(lines.len());
    let other = random.below(lines.len());
    match random.below(7) {
        0 | 1 => {
            lines.remove(at);
        }
        2 => {
            let again = lines[at].clone();
            lines.insert(other, again);
        }
        3 => lines.swap(at, other),
        4 if at + 1 < lines.len() => {
            let next = lines.remove(at + 1);
            lines[at].push_str(&next);
        }
        5 => lines.truncate(at + 1),
        _ => lines.insert(
            at,
            (random.pick(&[
                "}",
                "{",
                "{ x",
                "foo {",
                "@x {",
                "\tbar 1",
                "import snip_plain",
                "()",
            ]))
            .to_owned(),
        ),
    }
    lines.join("\n") + "\n"
}

fn in_characters(text: &str, random: &mut Random) -> String {
    let mut characters: Vec<char> = text.chars().collect();
    if characters.is_empty() {
        return text.to_owned();
    }
    let at = random.below(characters.len());
    match random.below(3) {
        0 => {
            characters.remove(at);
        }
        1 => characters.insert(
            at,
            random.pick(&[
                '{', '}', '"', '`', '\\', '\n', ' ', '#', '@', '\t', '<', '\u{a0}', '\r', 'é',
            ]),
        ),
        _ => characters[at] = random.pick(&['{', '}', '"', '`', '\\', '\n', ' ', '0', '-', ',']),
    }
    characters.into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_and_what_is_between_them_make_the_text() {
        for text in ["", "a", " a", "a {\n\tb  c\n}\n", "\n\n"] {
            assert_eq!(split_words(text).concat(), text);
        }
        assert_eq!(split_words(" a b"), ["", " ", "a", " ", "b"]);
    }

    #[test]
    fn most_texts_become_others() {
        let text = "a.test {\n\trespond hi 200\n}\n";
        let changed = (0..500)
            .filter(|number| mutate(text, &mut Random::new(1, *number)) != text)
            .count();
        assert!(changed > 450, "{changed}");
        assert!(mutate("", &mut Random::new(1, 1)).len() < 100);
    }
}
