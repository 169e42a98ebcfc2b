//! Whether a part of a config mentions the body of a request, which then must be read before placeholders can tell it.

use std::io;

use serde::Serialize;

/// What the names of those placeholders begin with.
const NAME: &[u8] = b"http.request.body";

/// Whether a part of a config has a text with such a placeholder in it.
pub(super) fn mentions_body(config: &impl Serialize) -> bool {
    // No name is cut in pieces: there is nothing in it that JSON must escape.
    serde_json::to_writer(Search, config).is_err()
}

/// Fails as soon as the name is written to it.
struct Search;

impl io::Write for Search {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let is_there = bytes.windows(NAME.len()).any(|window| window == NAME);
        if is_there {
            return Err(io::Error::other("found"));
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[track_caller]
    fn check(config: &serde_json::Value, expected: bool) {
        assert_eq!(mentions_body(config), expected, "{config}");
    }

    #[test]
    fn texts_and_names_mention_it() {
        check(&json!({"body": "{http.request.body}"}), true);
        check(&json!([{"a": ["\"ü{http.request.body_base64}\n"]}]), true);
        check(&json!({"{http.request.body}": ["x"]}), true);
        check(&json!({"body": "{http.request.uri} http.request.bod"}), false);
        check(&json!({}), false);
    }
}
