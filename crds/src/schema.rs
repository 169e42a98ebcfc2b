//! Pieces of schema that several fields share, and those of types that are not ours.

use schemars::{Schema, SchemaGenerator, json_schema};

use crate::bounds;

/// The name of an object: a DNS name in lower case, its labels of any length.
pub(crate) const OBJECT_NAME: &str = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$";
/// A host that a certificate may be for: a DNS name in lower case, or `*.` and one.
pub(crate) const TLS_HOST: &str =
    r"^(\*\.)?[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?(\.[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?)*$";
/// The name of a namespace, or `*`.
pub(crate) const NAMESPACE_OR_ALL: &str = r"^(\*|[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?)$";
/// The name of a namespace.
pub(crate) const NAMESPACE: &str = r"^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$";
/// A word such as `LastLoaded`.
const WORD: &str = "^[A-Z][A-Za-z0-9]*$";

/// A word of a list that may grow.
///
/// The list itself is no part of the schema: a newer controller would have its whole status refused by a cluster
/// that still has the older schema.
pub(crate) fn word(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"type": "string", "minLength": 1, "maxLength": bounds::WORD, "pattern": WORD})
}

/// Conditions, with the bounds that every Kubernetes API has for them.
pub(crate) fn conditions(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "array",
        "maxItems": bounds::CONDITIONS,
        "x-kubernetes-list-type": "map",
        "x-kubernetes-list-map-keys": ["type"],
        "items": {
            "type": "object",
            "description": "One question about the object, and its answer.",
            "required": ["type", "status", "lastTransitionTime", "reason", "message"],
            "properties": {
                "type": {
                    "description": "The question.",
                    "type": "string",
                    "maxLength": bounds::CONDITION_TYPE,
                    "pattern": r"^([a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*/)?(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])$",
                },
                "status": {
                    "description": "The answer: `True`, `False` or `Unknown`.",
                    "type": "string",
                    "enum": ["True", "False", "Unknown"],
                },
                "reason": {
                    "description": "Why, in one word for programs.",
                    "type": "string",
                    "minLength": 1,
                    "maxLength": bounds::REASON,
                    "pattern": r"^[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?$",
                },
                "message": {
                    "description": "Why, in a sentence for people.",
                    "type": "string",
                    "maxLength": bounds::CONDITION_MESSAGE,
                },
                "lastTransitionTime": {
                    "description": "When the answer changed last.",
                    "type": "string",
                    "format": "date-time",
                },
                "observedGeneration": {
                    "description": "The `metadata.generation` that the answer is about.",
                    "type": "integer",
                    "format": "int64",
                    "minimum": 0,
                },
            },
        },
    })
}
