//! How much of everything may stand in an object. The API server holds these bounds for authors; who writes a
//! status keeps them by [`cut`], because one text too long would have the whole status refused.
//!
//! Lengths of texts count characters, as the API server does.

/// A Caddyfile, and all texts of a last good state together.
///
/// Two of them, four bytes for a character and what the API server adds stay below the 1.5 MiB of a request to etcd.
pub const CADDYFILE: usize = 128 * 1024;
/// A DNS name, and a name of an object.
pub const NAME: usize = 253;
/// A DNS label, and a name of a namespace.
pub const LABEL: usize = 63;
/// A word of a closed list, a code of a diagnostic.
pub const WORD: usize = 64;
/// A path to a field of the object, such as `spec.tls[0].secretName`.
pub const FIELD: usize = 128;
/// A sentence in a status.
pub const MESSAGE: usize = 1024;
/// A message of a condition, as in every Kubernetes API.
pub const CONDITION_MESSAGE: usize = 32 * 1024;
/// A reason of a condition, as in every Kubernetes API.
pub const REASON: usize = 1024;
/// A type of a condition, as in every Kubernetes API.
pub const CONDITION_TYPE: usize = 316;

/// Entries of `spec.tls`, and hosts in each of them.
pub const TLS: usize = 64;
/// Namespaces in `spec.exportTo`.
pub const EXPORT_TO: usize = 256;
/// Conditions.
pub const CONDITIONS: usize = 16;
/// Hosts in a status.
pub const HOSTS: usize = 512;
/// Snippets, and named routes, in a status.
pub const EXPORTS: usize = 256;
/// Diagnostics in a status.
pub const DIAGNOSTICS: usize = 32;
/// Notes of a diagnostic.
pub const NOTES: usize = 8;
/// Imported objects whose texts a last good state keeps.
pub const IMPORTS: usize = 64;

/// Makes a text fit: one of more than `most` characters ends in `…` at that length.
pub fn cut(mut text: String, most: usize) -> String {
    if text.len() <= most || text.char_indices().nth(most).is_none() {
        return text;
    }
    let end = text
        .char_indices()
        .nth(most.saturating_sub(1))
        .map_or(0, |(at, _)| at);
    text.truncate(end);
    if most > 0 {
        text.push('…');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, most: usize, expected: &str) {
        assert_eq!(cut(text.to_owned(), most), expected);
    }

    #[test]
    fn texts_are_cut_by_characters() {
        check("", 0, "");
        check("a", 0, "");
        check("abc", 3, "abc");
        check("abcd", 3, "ab…");
        check("äöü", 3, "äöü");
        check("äöüß", 3, "äö…");
        check("ab", 1, "…");
    }
}
