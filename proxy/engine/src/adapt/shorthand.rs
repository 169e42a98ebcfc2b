//! Short placeholder names: `{host}` for `{http.request.host}`.
//!
//! They are replaced in every word of a site, quoted or not, before anything else is read; addresses and global
//! options keep them. What is not known here stays as it is.

use fairway_caddyfile::Block;

/// Short names and what they stand for.
const NAMES: &[(&str, &str)] = &[
    ("host", "http.request.host"),
    ("hostport", "http.request.hostport"),
    ("port", "http.request.port"),
    ("orig_method", "http.request.orig_method"),
    ("orig_uri", "http.request.orig_uri"),
    ("orig_path", "http.request.orig_uri.path"),
    ("orig_dir", "http.request.orig_uri.path.dir"),
    ("orig_file", "http.request.orig_uri.path.file"),
    ("orig_query", "http.request.orig_uri.query"),
    ("orig_?query", "http.request.orig_uri.prefixed_query"),
    ("method", "http.request.method"),
    ("uri", "http.request.uri"),
    ("%uri", "http.request.uri_escaped"),
    ("path", "http.request.uri.path"),
    ("%path", "http.request.uri.path_escaped"),
    ("dir", "http.request.uri.path.dir"),
    ("file", "http.request.uri.path.file"),
    ("query", "http.request.uri.query"),
    ("%query", "http.request.uri.query_escaped"),
    ("?query", "http.request.uri.prefixed_query"),
    ("remote", "http.request.remote"),
    ("remote_host", "http.request.remote.host"),
    ("remote_port", "http.request.remote.port"),
    ("scheme", "http.request.scheme"),
    ("uuid", "http.request.uuid"),
    ("tls_cipher", "http.request.tls.cipher_suite"),
    ("tls_version", "http.request.tls.version"),
    ("tls_client_fingerprint", "http.request.tls.client.fingerprint"),
    ("tls_client_issuer", "http.request.tls.client.issuer"),
    ("tls_client_serial", "http.request.tls.client.serial"),
    ("tls_client_subject", "http.request.tls.client.subject"),
    (
        "tls_client_certificate_pem",
        "http.request.tls.client.certificate_pem",
    ),
    (
        "tls_client_certificate_der_base64",
        "http.request.tls.client.certificate_der_base64",
    ),
    ("upstream_hostport", "http.reverse_proxy.upstream.hostport"),
    ("client_ip", "http.vars.client_ip"),
];

/// Short beginnings, what they stand for, and whether dots may follow.
const BEGINNINGS: &[(&str, &str, bool)] = &[
    ("header.", "http.request.header.", false),
    ("cookie.", "http.request.cookie.", false),
    ("labels.", "http.request.host.labels.", false),
    ("path.", "http.request.uri.path.", false),
    ("file.", "http.request.uri.path.file.", false),
    ("query.", "http.request.uri.query.", false),
    ("re.", "http.regexp.", true),
    ("vars.", "http.vars.", false),
    ("rp.", "http.reverse_proxy.", true),
    ("resp.", "http.intercept.", true),
    ("err.", "http.error.", true),
    ("file_match.", "http.matchers.file.", false),
];

/// Replaces the short names in all lines of a block.
pub(crate) fn apply(block: &mut Block) {
    for segment in &mut block.segments {
        segment.tokens_mut(&mut |token| {
            if let Some(text) = expand(&token.text) {
                token.text = text;
            }
        });
    }
}

/// The short name that a placeholder, written in full, has; `{http.request.host}` is `host`.
pub(crate) fn short_name(placeholder: &str) -> Option<&'static str> {
    let long = placeholder.trim_matches(['{', '}']);
    let known = NAMES.iter().find(|(_, name)| *name == long);
    known.map(|(short, _)| *short)
}

/// The text with short names replaced; `None` if there are none in it.
fn expand(text: &str) -> Option<String> {
    let mut expanded: Option<String> = None;
    let mut kept = 0;
    for (close, _) in text.match_indices('}') {
        let Some(open) = text[kept..close].rfind('{').map(|at| kept + at) else {
            continue;
        };
        let Some(long) = long_name(&text[open + 1..close]) else {
            continue;
        };
        let expanded = expanded.get_or_insert_default();
        expanded.push_str(&text[kept..=open]);
        expanded.push_str(&long);
        kept = close;
    }
    expanded.map(|mut expanded| {
        expanded.push_str(&text[kept..]);
        expanded
    })
}

fn long_name(short: &str) -> Option<String> {
    if let Some((_, long)) = NAMES.iter().find(|(name, _)| *name == short) {
        return Some((*long).to_owned());
    }
    BEGINNINGS.iter().find_map(|(beginning, long, dots)| {
        let rest = short.strip_prefix(beginning)?;
        let fits =
            |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-') || *dots && byte == b'.';
        rest.bytes().all(fits).then(|| format!("{long}{rest}"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: &str) {
        assert_eq!(expand(text).as_deref().unwrap_or(text), expected, "{text}");
    }

    #[test]
    fn short_names_become_long() {
        check("{host}", "{http.request.host}");
        check(
            "https://{host}{uri}?x={?query}",
            "https://{http.request.host}{http.request.uri}?x={http.request.uri.prefixed_query}",
        );
        check("{client_ip}", "{http.vars.client_ip}");
        check("{{host}}", "{{http.request.host}}");
        check("{ {path}", "{ {http.request.uri.path}");
    }

    #[test]
    fn beginnings_become_long() {
        check("{header.X-A_b}", "{http.request.header.X-A_b}");
        check("{header.}", "{http.request.header.}");
        check("{re.name.1}", "{http.regexp.name.1}");
        check(
            "{path.0}{file.ext}",
            "{http.request.uri.path.0}{http.request.uri.path.file.ext}",
        );
        check("{err.status_code}", "{http.error.status_code}");
        check("{re.{host}}", "{re.{http.request.host}}");
    }

    #[test]
    fn others_stay() {
        check("host", "host");
        check(
            "{hosts} {Host} {http.request.host}",
            "{hosts} {Host} {http.request.host}",
        );
        check("{header.a.b}", "{header.a.b}");
        check("{header.a b}", "{header.a b}");
        check("{header.ä}", "{header.ä}");
        check("{env.HOME} {} } {", "{env.HOME} {} } {");
    }
}
