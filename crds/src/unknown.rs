//! Fields that the schema does not know.
//!
//! The API server drops them from what it stores, and kubectl refuses them before. What is read from a file has
//! neither before it, so a misspelt `secretname` would be lost without a word.

use std::sync::LazyLock;

use serde_json::Value;

use crate::bounds;
use crate::yaml::definition;

static SCHEMA: LazyLock<Value> =
    LazyLock::new(|| definition()["spec"]["versions"][0]["schema"]["openAPIV3Schema"].clone());

/// The fields of a `CaddyRoute` that the API server would drop, as paths such as `spec.tls[0].secretname`; none if
/// it would keep all. A long list is cut.
///
/// What stands in `metadata` is every kind's, and not looked at.
pub fn unknown_fields(object: &Value) -> Vec<String> {
    let mut found = Vec::new();
    let fields = object.as_object().into_iter().flatten();
    for (name, value) in
        fields.filter(|(name, _)| !["apiVersion", "kind", "metadata"].contains(&name.as_str()))
    {
        field(&SCHEMA, name, value, "", &mut found);
    }
    found.truncate(bounds::DIAGNOSTICS);
    found
}

/// Looks up a field of an object whose schema and path are given, and goes down into it.
fn field(parent: &Value, name: &str, value: &Value, path: &str, found: &mut Vec<String>) {
    let dot = if path.is_empty() { "" } else { "." };
    let path = format!("{path}{dot}{}", bounds::cut(name.to_owned(), bounds::WORD));
    match parent["properties"].get(name) {
        Some(schema) => below(schema, value, &path, found),
        None if found.len() < bounds::DIAGNOSTICS => found.push(path),
        None => {}
    }
}

/// Goes down into a value. The depth is that of the schema, whatever the value is.
fn below(schema: &Value, value: &Value, path: &str, found: &mut Vec<String>) {
    match value {
        Value::Object(fields) if schema["type"] == "object" => {
            for (name, value) in fields {
                field(schema, name, value, path, found);
            }
        }
        Value::Array(items) if schema["type"] == "array" => {
            for (index, value) in items.iter().enumerate() {
                below(&schema["items"], value, &format!("{path}[{index}]"), found);
            }
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[track_caller]
    fn check(object: &Value, expected: &[&str]) {
        assert_eq!(unknown_fields(object), expected);
    }

    #[test]
    fn known_fields_are_kept() {
        check(&json!({}), &[]);
        check(
            &json!({"apiVersion": "x", "kind": "y", "metadata": {"any": {"thing": 1}}}),
            &[],
        );
        check(
            &json!({"spec": {"caddyfile": "", "tls": [{"hosts": ["a"], "secretName": "b"}], "exportTo": []}}),
            &[],
        );
        check(
            &json!({"status": {"conditions": [{"type": "Ready", "status": "True"}], "lastGood": null}}),
            &[],
        );
    }

    #[test]
    fn misspelt_fields_are_named() {
        check(&json!({"specs": {}}), &["specs"]);
        check(&json!({"spec": {"Caddyfile": ""}}), &["spec.Caddyfile"]);
        let tls = json!([{"hosts": []}, {"secretname": "b", "host": "c"}]);
        check(
            &json!({"spec": {"tls": tls}}),
            &["spec.tls[1].secretname", "spec.tls[1].host"],
        );
        check(
            &json!({"status": {"conditions": [{"kind": ""}]}}),
            &["status.conditions[0].kind"],
        );
    }

    #[test]
    fn values_of_another_type_are_no_business_of_this_check() {
        check(&json!("text"), &[]);
        check(&json!({"spec": "text"}), &[]);
        check(&json!({"spec": ["text"]}), &[]);
        check(
            &json!({"spec": {"tls": {"hosts": []}, "caddyfile": {"a": 1}}}),
            &[],
        );
    }

    #[test]
    fn long_lists_and_long_names_are_cut() {
        let many: serde_json::Map<String, Value> = (0..1000).map(|n| (format!("f{n}"), json!(1))).collect();
        assert_eq!(unknown_fields(&json!({"spec": many})).len(), bounds::DIAGNOSTICS);
        let found = unknown_fields(&json!({"x".repeat(10_000): 1}));
        assert_eq!(found[0].chars().count(), bounds::WORD);
    }
}
