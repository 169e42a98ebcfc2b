//! What an upstream does with a request.

use super::case::unescape;

/// A line `[METHOD] PATHGLOB action...` of an `== upstream` section.
#[derive(Clone, Debug, Default)]
pub struct Rule {
    method: Option<String>,
    path: String,
    /// The status, one for each hit; the last stays.
    pub(super) status: Vec<u16>,
    pub(super) headers: Vec<(String, String)>,
    pub(super) body: Option<Vec<u8>>,
    pub(super) trailer: Option<(String, String)>,
    pub(super) early: Option<String>,
    pub(super) is_chunked: bool,
    pub(super) is_websocket: bool,
    /// Closes without an answer.
    pub(super) drops: bool,
    /// Closes after so many bytes of the body.
    pub(super) drops_after: Option<usize>,
}

impl Rule {
    pub(super) fn parse(line: &str) -> Result<Self, String> {
        let mut rule = Self::default();
        let mut words = words(line)?.into_iter().peekable();
        rule.method = words.next_if(|word| word.bytes().all(|byte| byte.is_ascii_uppercase()));
        rule.path = words.next().ok_or_else(|| format!("`{line}`: expected a path"))?;
        for word in words {
            let (name, value) = word.split_once('=').unwrap_or((&word, ""));
            match name {
                "status" => {
                    rule.status = value
                        .split(',')
                        .map(|code| code.parse().map_err(|_| format!("`{word}`: expected numbers")))
                        .collect::<Result<_, _>>()?;
                }
                "header" => rule.headers.push(header(value)?),
                "body" => rule.body = Some(unescape(value)),
                "fill" => {
                    let length = value
                        .parse()
                        .map_err(|_| format!("`{word}`: expected a number"))?;
                    rule.body = Some(b"0123456789".iter().copied().cycle().take(length).collect());
                }
                "trailer" => rule.trailer = Some(header(value)?),
                "early" => rule.early = Some(value.to_owned()),
                "chunked" => rule.is_chunked = true,
                "ws" => rule.is_websocket = true,
                "drop" => rule.drops = true,
                "drop_after" => {
                    rule.drops_after = Some(
                        value
                            .parse()
                            .map_err(|_| format!("`{word}`: expected a number"))?,
                    );
                }
                _ => return Err(format!("unknown action `{word}`")),
            }
        }
        Ok(rule)
    }

    pub(super) fn fits(&self, method: &str, path: &str) -> bool {
        self.method.as_deref().is_none_or(|own| own == method) && glob(&self.path, path)
    }
}

fn header(text: &str) -> Result<(String, String), String> {
    let (name, value) = text
        .split_once(':')
        .ok_or_else(|| format!("`{text}`: expected Name: value"))?;
    Ok((name.trim().to_owned(), value.trim().to_owned()))
}

/// `*` stands for any text.
fn glob(pattern: &str, text: &str) -> bool {
    let Some((before, after)) = pattern.split_once('*') else {
        return pattern == text;
    };
    let Some(rest) = text.strip_prefix(before) else {
        return false;
    };
    (0..=rest.len())
        .filter(|at| rest.is_char_boundary(*at))
        .any(|at| glob(after, &rest[at..]))
}

/// Words separated by blanks; double quotes keep blanks together.
pub(super) fn words(line: &str) -> Result<Vec<String>, String> {
    let mut words = Vec::new();
    let mut word = String::new();
    let (mut started, mut quoted) = (false, false);
    for char in line.chars() {
        match char {
            '"' => {
                quoted = !quoted;
                started = true;
            }
            ' ' | '\t' if !quoted => {
                if started {
                    words.push(std::mem::take(&mut word));
                }
                started = false;
            }
            _ => {
                word.push(char);
                started = true;
            }
        }
    }
    if quoted {
        return Err(format!("`{line}`: no closing quote"));
    }
    if started {
        words.push(word);
    }
    Ok(words)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rule_fits_by_method_and_path() {
        let rule = Rule::parse("POST /a/*/z status=500,200 header=\"K: v w\"").unwrap();
        assert!(rule.fits("POST", "/a/b/c/z"));
        assert!(!rule.fits("GET", "/a/b/z"));
        assert!(!rule.fits("POST", "/a/z"));
        assert_eq!(rule.status, [500, 200]);
        assert_eq!(rule.headers, [("K".to_owned(), "v w".to_owned())]);
    }

    #[test]
    fn what_is_not_understood_is_named() {
        for (line, expected) in [
            ("GET", "expected a path"),
            ("/ statsu=1", "unknown action `statsu=1`"),
            ("/ status=x", "expected numbers"),
            ("/ header=x", "expected Name: value"),
            ("/ body=\"x", "no closing quote"),
        ] {
            let error = Rule::parse(line).expect_err(line);
            assert!(error.contains(expected), "{error}");
        }
    }
}
