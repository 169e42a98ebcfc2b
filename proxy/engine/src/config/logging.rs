//! `logging`: what is logged where.

use indexmap::IndexMap;
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

/// Loggers by name.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Logging {
    /// `default` is the log of the process.
    #[serde(skip_serializing_if = "IndexMap::is_empty")]
    pub logs: IndexMap<String, Log>,
}

/// A logger.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Log {
    /// Where to: `{"output": "stdout"}`
    #[serde(skip_serializing_if = "Option::is_none")]
    pub writer: Option<Json>,
    /// How: `{"format": "json"}`
    #[serde(skip_serializing_if = "Option::is_none")]
    pub encoder: Option<Json>,
    /// A core of one's own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub core: Option<Json>,
    /// From which level on: `DEBUG`, `INFO`, `WARN`, `ERROR`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub level: Option<String>,
    /// Only some of many like entries.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sampling: Option<Json>,
    /// Which entries, by the name of their source.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub include: Option<Vec<String>>,
    /// Which not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exclude: Option<Vec<String>>,
}
