//! Names and values of headers in a config: ready to be put into a message if they hold no placeholder.

use std::borrow::Cow;

use http::{HeaderName, HeaderValue};

use crate::exchange::Exchange;
use crate::template::{Template, Unknown};

/// The name of a header.
#[derive(Debug)]
pub(crate) enum Name {
    /// As it is; none: no header can have that name, and so nothing is done.
    Fixed(Option<HeaderName>),
    /// With placeholders.
    Filled(Template),
}

impl Name {
    /// Reads a name.
    pub(crate) fn new(text: &str) -> Self {
        let template = Template::new(text);
        match template.literal() {
            Some(literal) => Self::Fixed(literal.parse().ok()),
            None => Self::Filled(template),
        }
    }

    /// The name for this request, if it can be one.
    pub(crate) fn get(&self, exchange: &Exchange, unknown: Unknown) -> Option<HeaderName> {
        match self {
            Self::Fixed(name) => name.clone(),
            Self::Filled(template) => template.fill(exchange, unknown).parse().ok(),
        }
    }

    /// Whether it is, or may become, this one.
    pub(crate) fn may_be(&self, name: &HeaderName) -> bool {
        match self {
            Self::Fixed(fixed) => fixed.as_ref() == Some(name),
            Self::Filled(_) => true,
        }
    }
}

/// The value of a header.
#[derive(Debug)]
pub(crate) enum Value {
    /// As it is.
    Fixed(HeaderValue),
    /// With placeholders.
    Filled(Template),
}

impl Value {
    /// Reads a value.
    pub(crate) fn new(text: &str) -> Self {
        let template = Template::new(text);
        match template.literal() {
            Some(literal) => Self::Fixed(header_value(literal)),
            None => Self::Filled(template),
        }
    }

    /// The value for this request.
    pub(crate) fn get(&self, exchange: &Exchange, unknown: Unknown) -> HeaderValue {
        match self {
            Self::Fixed(value) => value.clone(),
            Self::Filled(template) => header_value(&template.fill(exchange, unknown)),
        }
    }
}

/// A header's value of any text: line breaks and other control characters become spaces, and spaces at the ends go.
pub(crate) fn header_value(text: &str) -> HeaderValue {
    let control = |byte: u8| byte != b'\t' && byte.is_ascii_control();
    let clean = if text.bytes().any(control) {
        Cow::Owned(text.replace(|letter: char| letter != '\t' && letter.is_ascii_control(), " "))
    } else {
        Cow::Borrowed(text)
    };
    HeaderValue::from_str(clean.trim_matches([' ', '\t'])).expect("text without control characters")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_util::exchange;

    #[track_caller]
    fn check(text: &str, expected: &str) {
        let exchange = exchange("GET /p");
        assert_eq!(
            Value::new(text).get(&exchange, Unknown::Keep).as_bytes(),
            expected.as_bytes()
        );
    }

    #[test]
    fn values_can_go_into_a_message() {
        check(" a\nb\r\n ", "a b");
        check("é\u{7f}x", "é x");
        check("a\tb", "a\tb");
        check("{http.request.uri.path}!", "/p!");
        check("{nobody.knows}", "{nobody.knows}");
    }

    #[test]
    fn names_that_cannot_be_are_none() {
        let exchange = exchange("GET /p");
        let get = |text| Name::new(text).get(&exchange, Unknown::Keep);
        assert_eq!(get("X-{http.request.method}").unwrap(), "x-get");
        assert_eq!(get("X:"), None);
        assert_eq!(get("X{nobody.knows}"), None);
        assert!(Name::new("{http.request.method}").may_be(&http::header::HOST));
    }
}
