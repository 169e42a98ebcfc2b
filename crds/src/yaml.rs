//! The YAML that teaches our kinds to a cluster.

use kube::CustomResourceExt;
use serde_json::{Number, Value};

use crate::CaddyRoute;

/// What stands above the definitions.
const HEADER: &str = "# The kinds that Fairway adds to a cluster. Printed by `fairway crd`; the types behind it are in crds/src.\n";

/// The `CustomResourceDefinition` of every kind as YAML, the same bytes at every call.
///
/// # Panics
///
/// Never: the definitions are constants, and the tests print them.
pub fn yaml() -> String {
    let body = serde_saphyr::to_string(&definition()).expect("a definition is plain data");
    format!("{HEADER}{body}")
}

/// The `CustomResourceDefinition` of `CaddyRoute`.
pub(crate) fn definition() -> Value {
    let mut definition = serde_json::to_value(CaddyRoute::crd()).expect("a definition is plain data");
    tidy(&mut definition);
    definition
}

/// Joins the lines of each paragraph of a description, which are broken where the source is, and writes whole
/// numbers as such: the API server's type for bounds is a float. Lets no field be null: a null that an author
/// writes is then dropped by the API server, as in every kind of its own, and not stored.
fn tidy(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            fields.retain(|name, value| name != "nullable" || !value.is_boolean());
            for (name, value) in fields {
                match value {
                    Value::String(text) if name == "description" => *text = joined(text),
                    _ => tidy(value),
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(tidy),
        Value::Number(number) => {
            if let Some(whole) = number
                .as_f64()
                .filter(|float| number.is_f64() && float.fract() == 0.0)
            {
                *number = Number::from(whole as i64);
            }
        }
        Value::Null | Value::Bool(_) | Value::String(_) => {}
    }
}

/// A text with one line for each paragraph.
fn joined(text: &str) -> String {
    let paragraphs = text.split("\n\n").map(|paragraph| paragraph.replace('\n', " "));
    paragraphs.collect::<Vec<_>>().join("\n\n")
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    /// What the annotation holds in which `kubectl apply` keeps what it applied last.
    const ANNOTATIONS: usize = 256 * 1024;

    #[test]
    fn the_committed_copy_is_what_the_types_say() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("caddyroutes.yaml");
        if std::env::var("UPDATE_EXPECT").is_ok_and(|value| value == "1") {
            std::fs::write(&path, yaml()).expect("the copy can be written");
        }
        let copy = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(
            copy == yaml(),
            "crds/caddyroutes.yaml is old: run this test with UPDATE_EXPECT=1, read the diff"
        );
    }

    #[test]
    fn the_same_bytes_come_at_every_call() {
        assert_eq!(yaml(), yaml());
    }

    #[test]
    fn the_text_says_what_the_definition_says() {
        let read: Value = serde_saphyr::from_str(&yaml()).expect("YAML");
        assert_eq!(read, definition());
    }

    #[test]
    fn applying_from_the_client_has_room() {
        let annotation = serde_json::to_string(&definition()).expect("JSON");
        assert!(annotation.len() < ANNOTATIONS / 4, "{} bytes", annotation.len());
    }

    #[test]
    fn lines_of_a_paragraph_are_joined() {
        assert_eq!(joined("one\ntwo\n\nthree\nfour"), "one two\n\nthree four");
        assert_eq!(joined(""), "");
    }

    #[test]
    fn no_field_may_be_null() {
        let mut value =
            serde_json::json!({"a": {"type": "string", "nullable": true}, "nullable": {"type": "null"}});
        tidy(&mut value);
        assert_eq!(
            value.to_string(),
            r#"{"a":{"type":"string"},"nullable":{"type":"null"}}"#
        );
    }

    #[test]
    fn whole_numbers_have_no_fraction() {
        let mut value = serde_json::json!({"minimum": 1.0, "half": 0.5, "most": 3});
        tidy(&mut value);
        assert_eq!(value.to_string(), r#"{"minimum":1,"half":0.5,"most":3}"#);
    }
}
