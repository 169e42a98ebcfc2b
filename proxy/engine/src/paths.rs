//! Paths, queries and host:port pairs, as Go reads and writes them.
//!
//! Matchers and rewrites decide on *decoded* text. Percent escapes may decode to bytes that are not UTF-8; Go
//! carries those along, our text is a `String`. So [`path_unescape`] and its siblings decode what is UTF-8 and
//! keep every other byte as its escape, in capitals: `%c3%a9%ff` becomes `é%FF`. Nothing is lost, but such text
//! must not be escaped again: what goes upstream is made from the raw path, never from kept escapes.

mod address;
mod escape;
mod glob;
mod target;

pub use address::{AddressError, join_host_port, split_host_port};
pub use escape::{
    EscapeError, MAX_QUERY_PARAMETERS, encode_query, escaped_path, parse_query, path_escape, path_unescape,
    query_escape, query_unescape,
};
pub use glob::{PatternError, glob_match};
pub use target::{decode_path, host_of, to_uri};

/// Stands in for what is between two slashes, since UTF-8 never contains it.
const EMPTY_ELEMENT: u8 = 0xff;

/// Cleans a URL path: resolves `.` and `..`, and keeps a slash at the end.
///
/// With `collapse_slashes`, repeated slashes become one; without, an empty element counts as an element, which
/// `..` removes like any other. A path without a leading slash stays relative, and an empty one becomes `.`.
pub fn clean_path(path: &str, collapse_slashes: bool) -> String {
    if collapse_slashes {
        return into_text(clean_but_last_slash(path.as_bytes()));
    }
    let mut filled = Vec::with_capacity(path.len() + 8);
    for (index, byte) in path.bytes().enumerate() {
        if byte == b'/' && index > 0 && path.as_bytes()[index - 1] == b'/' {
            filled.push(EMPTY_ELEMENT);
        }
        filled.push(byte);
    }
    let mut cleaned = clean_but_last_slash(&filled);
    cleaned.retain(|byte| *byte != EMPTY_ELEMENT);
    into_text(cleaned)
}

/// Joins a root folder and a request's decoded path into a file path that never leaves the root.
///
/// `..` in the request stops at the root. An empty root is `.`; a slash at the end of the request stays. Links in
/// the file system are not looked at.
pub fn sanitized_path_join(root: &str, request_path: &str) -> String {
    let root = if root.is_empty() { "." } else { root };
    let inside = clean(&format!("/{request_path}"));
    let mut joined = match inside.as_str() {
        "/" => clean(root),
        inside => clean(&format!("{root}{inside}")),
    };
    if request_path.len() > 1 && request_path.ends_with('/') {
        joined.push('/');
    }
    joined
}

/// The shortest path that means the same: one slash between elements, no `.`, and `..` only at the front of a
/// relative path.
pub fn clean(path: &str) -> String {
    into_text(clean_bytes(path.as_bytes()))
}

fn clean_bytes(path: &[u8]) -> Vec<u8> {
    let rooted = path.first() == Some(&b'/');
    let mut elements: Vec<&[u8]> = Vec::new();
    for element in path.split(|byte| *byte == b'/') {
        match element {
            b"" | b"." => {}
            b".." => match elements.last() {
                Some(last) if *last != b".." => {
                    elements.pop();
                }
                _ if rooted => {}
                _ => elements.push(element),
            },
            other => elements.push(other),
        }
    }
    let joined = elements.join(&b'/');
    match (rooted, joined.is_empty()) {
        (true, _) => [b"/".as_slice(), &joined].concat(),
        (false, true) => b".".to_vec(),
        (false, false) => joined,
    }
}

fn clean_but_last_slash(path: &[u8]) -> Vec<u8> {
    let mut cleaned = clean_bytes(path);
    if path.ends_with(b"/") && cleaned != b"/" {
        cleaned.push(b'/');
    }
    cleaned
}

fn into_text(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes).expect("whole elements of a string, joined by slashes")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde_json::{Value, json};

    use super::*;

    /// Recorded from Go and Caddy: `[function, argument, result]`, without a result for a refusal.
    const RECORDED: &str = include_str!("paths/recorded.jsonl");

    /// Calls one function in the form in which its results were recorded.
    fn call(function: &str, argument: &Value) -> Value {
        let text = || argument.as_str().unwrap();
        let part = |index: usize| argument[index].as_str().unwrap();
        match function {
            "clean" => json!([clean_path(text(), false), clean_path(text(), true)]),
            "glob" => json!(glob_match(part(0), part(1)).ok()),
            "path_escape" => json!(path_escape(text())),
            "query_escape" => json!(query_escape(text())),
            "escaped_path" => json!(escaped_path(text())),
            "path_unescape" => json!(path_unescape(text()).ok()),
            "query_unescape" => json!(query_unescape(text()).ok()),
            "sanitized" => json!(sanitized_path_join(part(0), part(1))),
            "split" => match split_host_port(text()) {
                Ok((host, port)) => json!([host, port, join_host_port(host, port)]),
                Err(_) => Value::Null,
            },
            "query" => {
                let (pairs, malformed) = parse_query(text());
                let mut grouped: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
                for (key, value) in &pairs {
                    grouped.entry(key).or_default().push(value);
                }
                let encoded = encode_query(pairs.iter().map(|(key, value)| (&**key, &**value)));
                json!([grouped, malformed, encoded])
            }
            other => panic!("no function {other}"),
        }
    }

    #[test]
    fn recorded_results_are_the_same() {
        let mut wrong = Vec::new();
        for line in RECORDED.lines() {
            let (function, argument, expected): (String, Value, Value) = serde_json::from_str(line).unwrap();
            let found = call(&function, &argument);
            if found != expected {
                wrong.push(format!("{function} {argument}: {found}, recorded {expected}"));
            }
        }
        assert!(
            wrong.is_empty(),
            "{} differences:\n{}",
            wrong.len(),
            wrong.join("\n")
        );
    }

    #[test]
    fn joined_paths_stay_inside() {
        for request in ["/../../x", "..", "a/../../../x", "/./../x/", "//..//..//x"] {
            let joined = sanitized_path_join("/srv/www", request);
            assert!(
                joined == "/srv/www" || joined.starts_with("/srv/www/"),
                "{request}: {joined}"
            );
        }
    }

    proptest::proptest! {
        #[test]
        fn no_text_panics(first in "\\PC*", second in "[a/.*?\\[\\]\\\\^%é-]*") {
            for (one, other) in [(&first, &second), (&second, &first)] {
                let _ = glob_match(one, other);
                let _ = path_unescape(one);
                let _ = split_host_port(one);
                clean_path(one, false);
                let joined = sanitized_path_join("/srv", one);
                proptest::prop_assert!(joined == "/srv" || joined.starts_with("/srv/"));
                let (in_path, in_query) = (path_escape(one), query_escape(one));
                proptest::prop_assert_eq!(path_unescape(&in_path).unwrap(), one.as_str());
                proptest::prop_assert_eq!(query_unescape(&in_query).unwrap(), one.as_str());
            }
        }
    }
}
