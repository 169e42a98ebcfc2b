//! Shell patterns, as Go's `path.Match` has them.

/// A pattern with an unfinished class or escape.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the pattern has an unfinished `[...]` or `\\`")]
pub struct PatternError;

/// Whether a pattern matches the whole of a name.
///
/// `*` stands for any text without `/`, `?` for one character but `/`, `[a-z]` and `[^a-z]` for one character of
/// a class or outside of it, and `\` takes away the meaning of the next character. A wrong pattern is refused
/// whatever the name is. Takes time in proportion to pattern times name at most.
pub fn glob_match(pattern: &str, name: &str) -> Result<bool, PatternError> {
    let (mut pattern, mut name) = (pattern.as_bytes(), name.as_bytes());
    while !pattern.is_empty() {
        let (star, chunk, rest) = split_chunk(pattern);
        pattern = rest;
        if star && chunk.is_empty() {
            return Ok(!name.contains(&b'/'));
        }
        // Only the last chunk must reach the end of the name.
        let fits = |left: &[u8]| left.is_empty() || !rest.is_empty();
        let mut left = match_chunk(chunk, name)?.filter(|left| fits(left));
        if left.is_none() && star {
            for start in 1..=name.len() {
                if name[start - 1] == b'/' {
                    break;
                }
                left = match_chunk(chunk, &name[start..])?.filter(|left| fits(left));
                if left.is_some() {
                    break;
                }
            }
        }
        match left {
            Some(left) => name = left,
            None => return check_chunks(pattern).map(|()| false),
        }
    }
    Ok(name.is_empty())
}

/// Checks what is left of a pattern without a name.
fn check_chunks(mut pattern: &[u8]) -> Result<(), PatternError> {
    while !pattern.is_empty() {
        let (_, chunk, rest) = split_chunk(pattern);
        match_chunk(chunk, b"")?;
        pattern = rest;
    }
    Ok(())
}

/// Splits off whether stars come first, and what comes up to the next star.
fn split_chunk(pattern: &[u8]) -> (bool, &[u8], &[u8]) {
    let stars = pattern.iter().take_while(|byte| **byte == b'*').count();
    let pattern = &pattern[stars..];
    let mut in_class = false;
    let mut at = 0;
    while let Some(byte) = pattern.get(at) {
        match byte {
            b'\\' => at += 1,
            b'[' => in_class = true,
            b']' => in_class = false,
            b'*' if !in_class => break,
            _ => {}
        }
        at += 1;
    }
    let (chunk, rest) = pattern.split_at(at.min(pattern.len()));
    (stars > 0, chunk, rest)
}

/// Matches a chunk without stars against the beginning of a name; gives what is left of the name. The chunk is
/// read to its end even after a mismatch, to find its mistakes.
fn match_chunk<'n>(mut chunk: &[u8], mut name: &'n [u8]) -> Result<Option<&'n [u8]>, PatternError> {
    let mut failed = false;
    while let Some(operator) = chunk.first().copied() {
        failed |= name.is_empty();
        chunk = &chunk[1..];
        match operator {
            b'[' => {
                let (wanted, len) = if failed { (0, 0) } else { decode(name) };
                name = &name[len..];
                let negated = chunk.first() == Some(&b'^');
                chunk = &chunk[usize::from(negated)..];
                let (found, rest) = match_class(chunk, wanted)?;
                chunk = rest;
                failed |= found == negated;
            }
            b'?' => {
                if !failed {
                    failed = name[0] == b'/';
                    name = &name[decode(name).1..];
                }
            }
            literal => {
                let literal = match literal {
                    b'\\' => {
                        let (escaped, rest) = chunk.split_first().ok_or(PatternError)?;
                        chunk = rest;
                        *escaped
                    }
                    plain => plain,
                };
                if !failed {
                    failed = name[0] != literal;
                    name = &name[1..];
                }
            }
        }
    }
    Ok((!failed).then_some(name))
}

/// Reads the ranges of a class up to its `]`; says whether `wanted` is in one, and what follows.
fn match_class(mut chunk: &[u8], wanted: u32) -> Result<(bool, &[u8]), PatternError> {
    let mut found = false;
    let mut first = true;
    loop {
        if chunk.first() == Some(&b']') && !first {
            return Ok((found, &chunk[1..]));
        }
        first = false;
        let (low, rest) = class_char(chunk)?;
        let (high, rest) = if rest[0] == b'-' {
            class_char(&rest[1..])?
        } else {
            (low, rest)
        };
        found |= (low..=high).contains(&wanted);
        chunk = rest;
    }
}

/// Reads one character of a class, after which there must be more.
fn class_char(chunk: &[u8]) -> Result<(u32, &[u8]), PatternError> {
    let chunk = match chunk.first() {
        None | Some(b'-' | b']') => return Err(PatternError),
        Some(b'\\') => &chunk[1..],
        Some(_) => chunk,
    };
    if chunk.is_empty() {
        return Err(PatternError);
    }
    let (character, len) = decode(chunk);
    let rest = &chunk[len..];
    if rest.is_empty() {
        Err(PatternError)
    } else {
        Ok((character, rest))
    }
}

/// The first character of a text that is not empty, and its length. A star may have stopped within a character;
/// the bytes there count as one replacement character each.
fn decode(text: &[u8]) -> (u32, usize) {
    let longest = &text[..text.len().min(4)];
    let first = longest
        .utf8_chunks()
        .next()
        .and_then(|chunk| chunk.valid().chars().next());
    match first {
        Some(character) => (u32::from(character), character.len_utf8()),
        None => (u32::from(char::REPLACEMENT_CHARACTER), 1),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(pattern: &str, name: &str, expected: Result<bool, PatternError>) {
        assert_eq!(glob_match(pattern, name), expected, "{pattern:?} on {name:?}");
    }

    #[test]
    fn many_stars_end_soon() {
        let name = "a".repeat(20_000);
        check(&format!("{}b", "*a".repeat(500)), &name, Ok(false));
        check(&format!("{}b", "*a".repeat(500)), &format!("{name}b"), Ok(true));
    }

    #[test]
    fn wrong_patterns_are_refused() {
        for pattern in [
            "[", "[]", "[a", "[a-", "[a-]", "[-a]", "[\\", "\\", "a[", "*[", "a*b[",
        ] {
            check(pattern, "a", Err(PatternError));
        }
    }
}
