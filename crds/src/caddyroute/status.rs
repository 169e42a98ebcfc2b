//! What the controller answers: the verdict on an object, on the object itself.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::bounds;
use crate::schema;

/// The condition that tells whether the text is right and the object may have its hosts.
pub const ACCEPTED: &str = "Accepted";
/// The condition that tells whether the proxy serves this generation.
pub const PROGRAMMED: &str = "Programmed";
/// The condition that tells whether all of it is served as written.
pub const READY: &str = "Ready";

/// What became of the object. Only the controller writes it.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct CaddyRouteStatus {
    /// The `metadata.generation` that this status is about. A lower number than that of the object means that its
    /// last change has not been judged yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub observed_generation: Option<i64>,

    /// `Accepted`: the text is right and the object may have its hosts. `Programmed`: the proxy serves this
    /// generation. `Ready`: all of it is served as written.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "schema::conditions")]
    pub conditions: Vec<Condition>,

    /// The hosts in one line, for `kubectl get`: the first few, and how many more there are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = bounds::MESSAGE))]
    pub host_summary: Option<String>,

    /// The hosts that the object holds, each with its certificate.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(
        length(max = bounds::HOSTS),
        extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["host"])
    )]
    pub hosts: Vec<HostStatus>,

    /// What other objects can use of this one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exports: Option<Exports>,

    /// Every mistake that was found, with its place and its fix; errors come first. A long list is cut.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = bounds::DIAGNOSTICS), extend("x-kubernetes-list-type" = "atomic"))]
    pub diagnostics: Vec<Diagnostic>,

    /// What is served instead while the current text is broken; absent when the current text is served. It is judged
    /// anew by today's rules whenever it is read, so writing it grants nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_good: Option<LastGood>,
}

/// A host, and how it is served.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct HostStatus {
    /// The host as the site names it; `*` stands for a site without a host.
    #[schemars(length(min = 1, max = bounds::NAME))]
    pub host: String,

    /// What TLS clients are shown.
    #[serde(default)]
    pub certificate: Certificate,
}

/// The certificate of a host.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Certificate {
    /// `None`: there is no source, the host is served by HTTP only. `Ready`: the certificate of the source is shown.
    /// `LastLoaded`: the source is gone or broken, and what it held last is shown. `Default`: the source is gone or
    /// broken, and the operator's default certificate is shown. `Refused`: there is nothing to show, handshakes are
    /// refused.
    #[serde(default)]
    #[schemars(schema_with = "schema::word")]
    pub state: CertificateState,

    /// The Secret that the certificate is to come from, in the namespace of the object.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = bounds::NAME))]
    pub secret_name: Option<String>,

    /// When the certificate that is shown expires.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_after: Option<Time>,

    /// What is wrong with the source.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = bounds::MESSAGE))]
    pub message: Option<String>,
}

/// What TLS clients of a host are shown.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum CertificateState {
    /// Nothing, because no source was named: HTTP only.
    #[default]
    None,
    /// The certificate of the source.
    Ready,
    /// What the source held before it went or broke.
    LastLoaded,
    /// The operator's default certificate, because the source is gone or broken.
    Default,
    /// Nothing: handshakes are refused.
    Refused,
    /// What a newer version wrote.
    #[serde(other)]
    Unknown,
}

/// What other objects can use.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Exports {
    /// The names of its snippets. Objects of its own namespace import them by this name, others by `namespace/name`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(
        length(max = bounds::EXPORTS),
        inner(length(min = 1, max = bounds::NAME)),
        extend("x-kubernetes-list-type" = "set")
    )]
    pub snippets: Vec<String>,

    /// The names of its named routes.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(
        length(max = bounds::EXPORTS),
        inner(length(min = 1, max = bounds::NAME)),
        extend("x-kubernetes-list-type" = "set")
    )]
    pub named_routes: Vec<String>,
}

/// One mistake: what is wrong, where, and how to put it right.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Diagnostic {
    /// `Error`: the text is refused. `Warning`: it works, but perhaps not as meant.
    #[schemars(schema_with = "schema::word")]
    pub severity: Severity,

    /// A stable name of this kind of mistake, such as `unknown-subdirective`.
    #[schemars(length(min = 1, max = bounds::WORD), regex(pattern = "^[a-z0-9]+(-[a-z0-9]+)*$"))]
    pub code: String,

    /// The field that it is in: `spec.caddyfile`, or another such as `spec.tls[0].secretName`.
    #[schemars(length(min = 1, max = bounds::FIELD))]
    pub field: String,

    /// The object that the field is of, as `namespace/name`, when it is not this one: an imported snippet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 2 * bounds::NAME + 1))]
    pub object: Option<String>,

    /// The line in the text, counted from 1; absent when the field is not a text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub line: Option<i32>,

    /// The column in that line, counted in characters from 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub column: Option<i32>,

    /// The line in which the place ends; absent when it is the one in which it begins.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub end_line: Option<i32>,

    /// The column behind the last character of the place.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub end_column: Option<i32>,

    /// What is wrong.
    #[schemars(length(min = 1, max = bounds::MESSAGE))]
    pub message: String,

    /// How to put it right.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = bounds::MESSAGE))]
    pub help: Option<String>,

    /// What else took part, such as the imports through which the place was reached.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(
        length(max = bounds::NOTES),
        inner(length(min = 1, max = bounds::MESSAGE)),
        extend("x-kubernetes-list-type" = "atomic")
    )]
    pub notes: Vec<String>,
}

/// How bad a mistake is.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Severity {
    /// The text is refused.
    #[default]
    Error,
    /// The text works, but perhaps not as meant.
    Warning,
    /// What a newer version wrote.
    #[serde(other)]
    Unknown,
}

/// The last text that was good, and that of every import it used: at most 128 KiB in all.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = json!([{
    "rule": format!("self.caddyfile.size() + (has(self.imports) ? self.imports.map(i, i.caddyfile.size()).sum() : 0) <= {}", bounds::CADDYFILE),
    "message": "the texts are more than 128 KiB in all",
}])))]
pub struct LastGood {
    /// The `metadata.generation` whose text it was.
    #[schemars(range(min = 0))]
    pub generation: i64,

    /// The text of the object itself.
    #[schemars(length(min = 1, max = bounds::CADDYFILE))]
    pub caddyfile: String,

    /// The texts of other objects that it imported from or whose named routes it invoked.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(
        length(max = bounds::IMPORTS),
        extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["namespace", "name"])
    )]
    pub imports: Vec<Import>,
}

/// Another object's text, as it was when this one was good.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Import {
    /// The namespace of the other object.
    #[schemars(length(min = 1, max = bounds::LABEL), regex(pattern = schema::NAMESPACE))]
    pub namespace: String,

    /// The name of the other object.
    #[schemars(length(min = 1, max = bounds::NAME), regex(pattern = schema::OBJECT_NAME))]
    pub name: String,

    /// Its text, or the part of it that was used.
    #[schemars(length(min = 1, max = bounds::CADDYFILE))]
    pub caddyfile: String,
}

impl LastGood {
    /// How many bytes all its texts have; those of more than [`bounds::CADDYFILE`] are not to be kept.
    pub fn bytes(&self) -> usize {
        let imports = self.imports.iter().map(|import| import.caddyfile.len());
        self.caddyfile.len() + imports.sum::<usize>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_of_a_newer_version_do_not_lose_the_object() {
        let state: CertificateState = serde_json::from_str(r#""Ordered""#).expect("a word");
        let severity: Severity = serde_json::from_str(r#""Hint""#).expect("a word");
        assert_eq!((state, severity), (CertificateState::Unknown, Severity::Unknown));
    }

    #[test]
    fn an_empty_status_says_nothing() {
        let text = serde_json::to_string(&CaddyRouteStatus::default()).expect("JSON");
        assert_eq!(text, "{}");
        let read: CaddyRouteStatus = serde_json::from_str("{}").expect("a status");
        assert_eq!(read, CaddyRouteStatus::default());
    }

    #[test]
    fn a_last_good_state_counts_every_text() {
        let import = |text: &str| Import {
            caddyfile: text.into(),
            ..Import::default()
        };
        let state = LastGood {
            caddyfile: "ä".into(),
            imports: vec![import("abc"), import("d")],
            generation: 1,
        };
        assert_eq!(state.bytes(), 6);
    }
}
