//! Every code that a diagnostic may have, those about objects of a cluster included: one list, so that a code has one
//! meaning everywhere. `docs/diagnostics.md` shows each of them.

/// The codes and what they mean, sorted. A line each, which a test reads.
#[rustfmt::skip]
pub const CODES: &[(&str, &str)] = &[
    ("address-brace", "an address and the `{` behind it are one word"),
    ("address-comma", "addresses are separated by a comma alone"),
    ("address-missing", "a comma announces an address that does not come"),
    ("ambiguous-site", "two sites have the same address"),
    ("anonymous-block", "a block within the block of an import has no name"),
    ("brace-on-new-line", "a `{` begins a line"),
    ("close-brace-on-line", "a `}` ends the line of a directive"),
    ("comment-joins-lines", "a comment ends in a backslash, and so takes the next line in"),
    ("conflicting-addresses", "addresses, or an address and the settings of its site, exclude each other"),
    ("conflicting-options", "two settings exclude each other"),
    ("definition-without-block", "a snippet or named route has no block"),
    ("deprecated", "a name of old that has a new one"),
    ("directive-as-address", "a directive stands where an address belongs"),
    ("duplicate-matcher", "a matcher is defined twice"),
    ("duplicate-named-route", "a named route is defined twice"),
    ("duplicate-option", "a setting is given twice"),
    ("duplicate-snippet", "a snippet is defined twice"),
    ("empty-braces", "`{}` stands at the end of a line"),
    ("failed", "what was asked for could not be done; the message says why, and there is no place in a text"),
    ("global-options-not-first", "a block without an address is not the first of the file"),
    ("heredoc-incomplete", "the end of a heredoc never comes"),
    ("heredoc-indentation", "a line of a heredoc is indented less than its end"),
    ("heredoc-marker-invalid", "the marker of a heredoc has characters that it cannot have"),
    ("heredoc-marker-missing", "a heredoc has no marker"),
    ("heredoc-too-many-angles", "a heredoc begins with more than two `<`"),
    ("host-conflict", "a host belongs to another namespace"),
    ("host-held-by", "an older object of the other kind serves a host"),
    ("import-argument-deprecated", "an argument of a snippet is written in the old way"),
    ("import-argument-range", "a snippet names arguments that the import does not give"),
    ("import-cycle", "an import leads back to itself"),
    ("import-empty", "an imported file holds nothing"),
    ("import-no-match", "no file fits the pattern of an import"),
    ("import-not-found", "an import names neither a snippet nor a file"),
    ("import-pattern", "the pattern of an import has too many wildcards"),
    ("import-too-deep", "imports lead through too many others"),
    ("import-too-large", "what an import brings is too large"),
    ("import-unreadable", "an imported file cannot be read"),
    ("invalid-address", "an address cannot be served"),
    ("invalid-host", "the host of an Ingress is not one"),
    ("invalid-path", "the path of an Ingress is not one"),
    ("invalid-value", "a value is not of the kind that is needed"),
    ("last-good-not-kept", "the last good text is too large to be kept over a restart"),
    ("matcher-outside-site", "a matcher is defined outside of all sites"),
    ("misplaced-directive", "a directive stands in a block where it has no meaning"),
    ("missing-argument", "an argument is missing"),
    ("missing-port", "a Service has several ports, and none is named"),
    ("name-taken", "an older object of the namespace defines the same name"),
    ("named-route-cycle", "a named route invokes itself"),
    ("nested-too-deep", "blocks lie too deep within each other"),
    ("no-certificate", "nothing gives a site its certificate"),
    ("no-grant", "a Service or Secret of another namespace is not granted"),
    ("not-exported", "a snippet or named route of another namespace is not exported to this one"),
    ("not-formatted", "a file is not laid out as `fairway fmt` does"),
    ("not-in-a-cluster", "what a snippet of the operator says has no meaning in an object of a cluster"),
    ("not-servable", "a text reads well, but what it says cannot be served"),
    ("not-yet", "a part of Caddy that Fairway does not have"),
    ("operator-only", "only the operator of the cluster may say this"),
    ("path-held-by", "an older Ingress serves the same path"),
    ("path-twice", "an Ingress has the same path twice"),
    ("pattern-too-large", "a regular expression or an expression takes too much room"),
    ("port-not-found", "a Service has no such port"),
    ("secret-broken", "a Secret holds no usable certificate"),
    ("secret-not-found", "there is no such Secret"),
    ("service-not-found", "there is no such Service"),
    ("snippet-refused", "a snippet of another object cannot be used"),
    ("source-too-long", "a text is too long"),
    ("stray-close-brace", "a `}` closes nothing, and is passed over"),
    ("tenant-environment", "only the operator's texts may read the environment"),
    ("tenant-file-import", "only the operator's texts may import files"),
    ("text-after-close-brace", "something follows a `}` on its line"),
    ("text-after-open-brace", "something follows a `{` on its line"),
    ("tls-without-host", "a site for every host cannot have the certificate of a Secret"),
    ("too-many-imports", "a file imports too often"),
    ("too-many-mistakes", "there are more mistakes than are told"),
    ("too-many-patterns", "an object has too many regular expressions"),
    ("too-many-tokens", "a text has too many words"),
    ("unclosed-block", "a block is never closed"),
    ("unclosed-quote", "a quote is never closed"),
    ("unexpected-argument", "there is an argument too many"),
    ("unexpected-block", "a directive takes no block"),
    ("unexpected-close-brace", "a `}` closes no block"),
    ("unknown-annotation", "an annotation of this name has no effect"),
    ("unknown-backend", "a backend of an Ingress is neither a Service nor a CaddyRoute"),
    ("unknown-directive", "there is no such directive"),
    ("unknown-matcher", "there is no matcher of this name"),
    ("unknown-matcher-kind", "there is no such kind of matcher"),
    ("unknown-named-route", "there is no named route of this name"),
    ("unknown-option", "there is no such global option"),
    ("unknown-snippet", "there is no snippet of this name"),
    ("unknown-subdirective", "a directive has no such line in its block"),
    ("unreadable-manifest", "a document of YAML cannot be read, or is no object"),
    ("unsupported-address", "an address that a cluster does not serve"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn are_sorted_and_in_kebab_case() {
        assert!(CODES.windows(2).all(|pair| pair[0].0 < pair[1].0), "{CODES:?}");
        let is_kebab = |code: &str| code.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'-');
        assert!(
            CODES
                .iter()
                .all(|(code, meaning)| is_kebab(code) && !meaning.is_empty())
        );
    }
}
