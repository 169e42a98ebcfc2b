//! Character classes and single characters: `[...]`, `\d`, `\p{...}`, `[:alpha:]`, `\x41`.

use std::fmt::{self, Write as _};

use super::RegexError;

/// A class that matches nothing, for what only a surrogate could match.
pub(super) const NOTHING: &str = r"[^\x{0}-\x{10FFFF}]";

/// A class that matches every character.
const EVERYTHING: &str = r"[\x{0}-\x{10FFFF}]";

/// The characters between which those with case lie.
const FIRST_FOLDED: u32 = 0x41;
const LAST_FOLDED: u32 = 0x1_E943;

/// Go's names of Unicode categories and scripts, in their canonical spelling, and what the `regex` crate calls
/// them. Recorded from Go.
const UNICODE: &str = include_str!("unicode.tsv");

/// The classes that have a name between `[:` and `:]`, with the letters of `\d`, `\s` and `\w` first.
const NAMED: &[(&str, &str)] = &[
    ("d", "0-9"),
    ("s", r"\t\n\x0C\r\x20"),
    ("w", "0-9A-Za-z_"),
    ("alnum", "0-9A-Za-z"),
    ("alpha", "A-Za-z"),
    ("ascii", r"\x00-\x7F"),
    ("blank", r"\t\x20"),
    ("cntrl", r"\x00-\x1F\x7F"),
    ("digit", "0-9"),
    ("graph", "!-~"),
    ("lower", "a-z"),
    ("print", r"\x20-~"),
    ("punct", r"!-/:-@\[-`\{-~"),
    ("space", r"\t-\r\x20"),
    ("upper", "A-Z"),
    ("word", "0-9A-Za-z_"),
    ("xdigit", "0-9A-Fa-f"),
];

/// One class; it prints in the syntax of the `regex` crate.
pub(super) struct Class {
    negated: bool,
    items: Vec<Item>,
    /// How many characters its ranges hold among those that case folding looks at.
    pub(super) width: u32,
}

/// A part of a class, as it is written between brackets.
enum Item {
    /// One character or range, or several.
    Ranges(String),
    /// What is a class by itself, too.
    Nested(String),
}

impl fmt::Display for Class {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.items.as_slice(), self.negated) {
            ([], false) => return f.write_str(NOTHING),
            ([], true) => return f.write_str(EVERYTHING),
            ([Item::Nested(class)], false) => return f.write_str(class),
            _ => {}
        }
        f.write_str(if self.negated { "[^" } else { "[" })?;
        for Item::Ranges(text) | Item::Nested(text) in &self.items {
            f.write_str(text)?;
        }
        f.write_str("]")
    }
}

impl Item {
    fn named(negated: bool, ranges: &str) -> Self {
        if negated {
            Item::Nested(format!("[^{ranges}]"))
        } else {
            Item::Ranges(ranges.to_owned())
        }
    }

    fn property(negated: bool, property: &str) -> Self {
        Item::Nested(format!(r"\{}{{{property}}}", if negated { 'P' } else { 'p' }))
    }
}

/// Writes a character so that it means itself, inside a class and outside.
pub(super) fn write_char(out: &mut String, literal: char) {
    match literal {
        '\n' => out.push_str(r"\n"),
        '\r' => out.push_str(r"\r"),
        '\t' => out.push_str(r"\t"),
        '\0'..=' ' | '\x7f' => {
            write!(out, r"\x{:02X}", u32::from(literal)).expect("writing to a string cannot fail");
        }
        other => {
            if r"\.+*?()|[]{}^$#&-~".contains(other) {
                out.push('\\');
            }
            out.push(other);
        }
    }
}

/// Reads the class that begins with `[` at `*at`, and moves behind it.
pub(super) fn bracketed(pattern: &str, at: &mut usize) -> Result<Class, RegexError> {
    let start = *at;
    *at += 1;
    let negated = pattern[*at..].starts_with('^');
    *at += usize::from(negated);
    let mut items = Vec::new();
    let mut width: u32 = 0;
    let mut first = true;
    loop {
        let rest = &pattern[*at..];
        if rest.starts_with(']') && !first {
            *at += 1;
            return Ok(Class {
                negated,
                items,
                width,
            });
        }
        first = false;
        if let Some(item) = named(pattern, at)? {
            items.push(item);
            continue;
        }
        if let Some(class) = escaped(pattern, at)? {
            items.extend(class.items);
            continue;
        }
        let item_start = *at;
        let low = class_char(pattern, at, start)?;
        let mut high = low;
        let rest = &pattern[*at..];
        if rest.len() >= 2 && rest.starts_with('-') && !rest.starts_with("-]") {
            *at += 1;
            high = class_char(pattern, at, start)?;
            if high < low {
                return Err(RegexError::new(item_start, "the range ends before it begins"));
            }
        }
        width = width.saturating_add((high.min(LAST_FOLDED) + 1).saturating_sub(low.max(FIRST_FOLDED)));
        items.extend(range(low, high));
    }
}

/// Reads `\d`, `\D`, `\s`, `\S`, `\w`, `\W`, `\p` or `\P` at `*at`; nothing when something else is there.
pub(super) fn escaped(pattern: &str, at: &mut usize) -> Result<Option<Class>, RegexError> {
    let rest = &pattern[*at..];
    let Some(letter) = rest.strip_prefix('\\').and_then(|rest| rest.chars().next()) else {
        return Ok(None);
    };
    let item = match letter {
        'd' | 's' | 'w' | 'D' | 'S' | 'W' => {
            let name = &letter.to_ascii_lowercase().to_string();
            *at += 2;
            let ranges = named_ranges(name).expect("the letters are in the table");
            Item::named(letter.is_ascii_uppercase(), ranges)
        }
        'p' | 'P' => unicode(pattern, at, letter == 'P')?,
        _ => return Ok(None),
    };
    Ok(Some(Class {
        negated: false,
        items: vec![item],
        width: 0,
    }))
}

/// Reads the escape sequence of one character at `*at`; `None` stands for a surrogate, which no text holds.
pub(super) fn escaped_char(pattern: &str, at: &mut usize) -> Result<Option<char>, RegexError> {
    let start = *at;
    Ok(char::from_u32(escaped_code(pattern, at, start)?))
}

/// Go's names in canonical spelling, and the property of the `regex` crate for each.
pub(super) fn unicode_names() -> impl Iterator<Item = (&'static str, &'static str)> {
    UNICODE.lines().filter_map(|line| line.split_once('\t'))
}

/// The code point of a plain or escaped character in the class that begins at `class_start`.
fn class_char(pattern: &str, at: &mut usize, class_start: usize) -> Result<u32, RegexError> {
    let start = *at;
    match pattern[start..].chars().next() {
        None => Err(RegexError::new(class_start, "this class is not closed")),
        Some('\\') => escaped_code(pattern, at, start),
        Some(literal) => {
            *at += literal.len_utf8();
            Ok(u32::from(literal))
        }
    }
}

fn escaped_code(pattern: &str, at: &mut usize, start: usize) -> Result<u32, RegexError> {
    let mut chars = pattern[start + 1..].chars();
    let Some(letter) = chars.next() else {
        return Err(RegexError::new(start, r"a `\` at the end escapes nothing"));
    };
    let rest = chars.as_str();
    let unknown = || RegexError::new(start, format!(r"`\{letter}` is not an escape sequence"));
    let octal_digits = rest
        .bytes()
        .take(2)
        .take_while(|byte| matches!(byte, b'0'..=b'7'))
        .count();
    let (code, len) = match letter {
        '0'..='7' if letter == '0' || octal_digits > 0 => {
            let digits = &pattern[start + 1..start + 2 + octal_digits];
            (u32::from_str_radix(digits, 8).ok(), octal_digits)
        }
        'x' => {
            let (digits, len) = match rest.strip_prefix('{') {
                Some(braced) => match braced.split_once('}') {
                    Some((digits, _)) => (digits, digits.len() + 2),
                    None => ("", 0),
                },
                None => (rest.get(..2).unwrap_or(""), 2),
            };
            let hex = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_hexdigit());
            let digits = digits.trim_start_matches('0');
            let code = match digits {
                "" => Some(0),
                digits => u32::from_str_radix(digits, 16).ok(),
            };
            (code.filter(|code| hex && *code <= u32::from(char::MAX)), len)
        }
        'a' => (Some(0x07), 0),
        'f' => (Some(0x0c), 0),
        'n' => (Some(0x0a), 0),
        'r' => (Some(0x0d), 0),
        't' => (Some(0x09), 0),
        'v' => (Some(0x0b), 0),
        other if other.is_ascii() && !other.is_ascii_alphanumeric() => (Some(u32::from(other)), 0),
        _ => (None, 0),
    };
    let code = code.ok_or_else(unknown)?;
    *at = start + 2 + len;
    Ok(code)
}

/// Reads `[:name:]` at `*at`. Go looks for the end as far as the pattern goes, and takes `[` as itself without.
fn named(pattern: &str, at: &mut usize) -> Result<Option<Item>, RegexError> {
    let rest = &pattern[*at..];
    let Some(inner) = rest.strip_prefix("[:") else {
        return Ok(None);
    };
    let Some(end) = inner.find(":]") else {
        return Ok(None);
    };
    let name = &inner[..end];
    let (negated, plain) = match name.strip_prefix('^') {
        Some(plain) => (true, plain),
        None => (false, name),
    };
    let known = named_ranges(plain).filter(|_| plain.len() > 1);
    let Some(ranges) = known else {
        return Err(RegexError::new(*at, format!("`[:{name}:]` is not a class")));
    };
    *at += end + 4;
    Ok(Some(Item::named(negated, ranges)))
}

fn named_ranges(name: &str) -> Option<&'static str> {
    NAMED
        .iter()
        .find(|(known, _)| *known == name)
        .map(|(_, ranges)| *ranges)
}

/// Reads `\pL`, `\p{Greek}`, `\p{^Greek}` or their negations at `*at`.
fn unicode(pattern: &str, at: &mut usize, mut negated: bool) -> Result<Item, RegexError> {
    let start = *at;
    let rest = &pattern[start + 2..];
    let (name, len) = match rest.chars().next() {
        None => return Err(RegexError::new(start, r"`\p` takes a Unicode category or script")),
        Some('{') => match rest.find('}') {
            Some(end) => (&rest[1..end], end + 1),
            None => return Err(RegexError::new(start, r"this `\p{` is not closed")),
        },
        Some(letter) => (&rest[..letter.len_utf8()], letter.len_utf8()),
    };
    *at = start + 2 + len;
    let plain = match name.strip_prefix('^') {
        Some(plain) => {
            negated = !negated;
            plain
        }
        None => name,
    };
    let property = match canonical(plain).as_str() {
        "Any" => "Any",
        "Assigned" => {
            negated = !negated;
            "gc=Cn"
        }
        "Ascii" => "ASCII",
        "Cs" | "Surrogate" => {
            return Ok(Item::Nested(
                if negated { EVERYTHING } else { NOTHING }.to_owned(),
            ));
        }
        wanted => {
            let known = unicode_names().find(|(known, _)| *known == wanted);
            let (_, property) = known.ok_or_else(|| {
                RegexError::new(start, format!("`{plain}` is not a Unicode category or script"))
            })?;
            property
        }
    };
    Ok(Item::property(negated, property))
}

/// Go compares names without spaces, `-`, `_` and case.
fn canonical(name: &str) -> String {
    let mut letters = name.chars().filter(|letter| !matches!(letter, '_' | '-' | ' '));
    let first = letters.next().map(|first| first.to_ascii_uppercase());
    first
        .into_iter()
        .chain(letters.map(|letter| letter.to_ascii_lowercase()))
        .collect()
}

/// The range without the surrogates in it, if anything is left.
fn range(low: u32, high: u32) -> Option<Item> {
    let low = if (0xD800..0xE000).contains(&low) {
        0xE000
    } else {
        low
    };
    let high = if (0xD800..0xE000).contains(&high) {
        0xD7FF
    } else {
        high
    };
    let (low, high) = (char::from_u32(low)?, char::from_u32(high)?);
    if low > high {
        return None;
    }
    let mut text = String::new();
    write_char(&mut text, low);
    if low < high {
        text.push('-');
        write_char(&mut text, high);
    }
    Some(Item::Ranges(text))
}
