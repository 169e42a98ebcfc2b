//! The media type of a file, by its name alone: what is in it is the business of whoever wrote it.

/// Types that are the same on every machine, whatever the table of `mime_guess` says.
const FIXED: [(&str, &str); 20] = [
    ("avif", "image/avif"),
    ("css", "text/css; charset=utf-8"),
    ("gif", "image/gif"),
    ("htm", "text/html; charset=utf-8"),
    ("html", "text/html; charset=utf-8"),
    ("ico", "image/vnd.microsoft.icon"),
    ("jpeg", "image/jpeg"),
    ("jpg", "image/jpeg"),
    ("js", "text/javascript; charset=utf-8"),
    ("json", "application/json"),
    ("mjs", "text/javascript; charset=utf-8"),
    ("pdf", "application/pdf"),
    ("png", "image/png"),
    ("svg", "image/svg+xml"),
    ("toml", "application/toml"),
    ("wasm", "application/wasm"),
    ("webp", "image/webp"),
    ("xml", "text/xml; charset=utf-8"),
    ("yaml", "application/yaml"),
    ("yml", "application/yaml"),
];

/// The type of a file name, or none if its ending is not known.
pub(super) fn of_name(path: &str) -> Option<String> {
    let name = path.rsplit('/').next().unwrap_or_default();
    let (_, ending) = name.rsplit_once('.')?;
    let ending = ending.to_ascii_lowercase();
    if let Some((_, fixed)) = FIXED.iter().find(|(known, _)| *known == ending) {
        return Some((*fixed).to_owned());
    }
    let guess = mime_guess::from_ext(&ending).first_raw()?;
    Some(if guess.starts_with("text/") && !guess.contains(';') {
        format!("{guess}; charset=utf-8")
    } else {
        guess.to_owned()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(path: &str, expected: Option<&str>) {
        assert_eq!(of_name(path).as_deref(), expected, "{path}");
    }

    #[test]
    fn the_ending_tells() {
        check("/a/b.html", Some("text/html; charset=utf-8"));
        check("b.HTML", Some("text/html; charset=utf-8"));
        check("a.txt", Some("text/plain; charset=utf-8"));
        check("a.csv", Some("text/csv; charset=utf-8"));
        check("a.min.js", Some("text/javascript; charset=utf-8"));
        check("a.json", Some("application/json"));
        check("a.woff2", Some("font/woff2"));
        check("a.tar.gz", Some("application/gzip"));
        check(".html", Some("text/html; charset=utf-8"));
    }

    #[test]
    fn what_is_not_known_has_none() {
        check("Makefile", None);
        check("a.", None);
        check("a.unknownending", None);
        check("a.html/b", None);
        check("", None);
    }
}
