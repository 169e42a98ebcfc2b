//! Names of headers as Go writes them.

/// The form that a header's name has in Caddy's JSON: `content-type` becomes `Content-Type`. What cannot be a name
/// stays as it is.
pub fn canonical_header(name: &str) -> String {
    let token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    if !name.bytes().all(token) {
        return name.to_owned();
    }
    let mut upper = true;
    let canonical = name.chars().map(|letter| {
        let letter = if upper {
            letter.to_ascii_uppercase()
        } else {
            letter.to_ascii_lowercase()
        };
        upper = letter == '-';
        letter
    });
    canonical.collect()
}

#[cfg(test)]
mod tests {
    use super::canonical_header;

    #[test]
    fn names_are_written_as_go_does() {
        for (name, expected) in [
            ("content-type", "Content-Type"),
            ("ETAG", "Etag"),
            ("x--y_z", "X--Y_z"),
            ("a b", "a b"),
            ("{x}", "{x}"),
            ("é", "é"),
            ("", ""),
        ] {
            assert_eq!(canonical_header(name), expected);
        }
    }
}
