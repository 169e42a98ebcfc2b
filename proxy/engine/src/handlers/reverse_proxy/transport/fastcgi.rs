//! `transport fastcgi { … }`: upstreams that speak the protocol of PHP. It adapts, and is refused when compiled, for
//! now.

use std::collections::BTreeMap;

use fairway_caddyfile::{Args, Diagnostic, Segment};
use serde::{Deserialize, Serialize};

use crate::handlers::reverse_proxy::config::is_default;
use crate::handlers::reverse_proxy::parse::{duration, text};
use crate::values::Duration;

/// `transport fastcgi`
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct FastcgiTransport {
    /// The folder that scripts lie in. Default: `{http.vars.root}`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub root: String,
    /// Where a path is split into a script and what is passed to it; each ends the script. ASCII, in any case.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub split_path: Vec<String>,
    /// Whether links in the root are followed before the upstream is told of it.
    #[serde(skip_serializing_if = "is_default")]
    pub resolve_root_symlink: bool,
    /// Further variables; values may hold placeholders.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub env: BTreeMap<String, String>,
    /// How long a connection may take to be made. 3 s.
    #[serde(skip_serializing_if = "Duration::is_zero")]
    pub dial_timeout: Duration,
    /// How long one read may take; no limit at 0.
    #[serde(skip_serializing_if = "Duration::is_zero")]
    pub read_timeout: Duration,
    /// How long one write may take; no limit at 0.
    #[serde(skip_serializing_if = "Duration::is_zero")]
    pub write_timeout: Duration,
    /// Whether what the upstream writes to its error output is logged.
    #[serde(skip_serializing_if = "is_default")]
    pub capture_stderr: bool,
}

impl FastcgiTransport {
    /// The names of the options.
    pub(crate) const OPTIONS: [&'static str; 8] = [
        "capture_stderr",
        "dial_timeout",
        "env",
        "read_timeout",
        "resolve_root_symlink",
        "root",
        "split",
        "write_timeout",
    ];

    /// Reads the block of `transport fastcgi`.
    pub(super) fn parse(args: Args<'_>) -> Result<Self, Diagnostic> {
        args.finish()?;
        let mut transport = Self::default();
        for line in args.block() {
            if !transport.option(line)? {
                return Err(args.unknown_subdirective(line, Self::OPTIONS));
            }
        }
        Ok(transport)
    }

    /// Reads a line if it is an option; says whether it is.
    pub(crate) fn option(&mut self, line: &Segment) -> Result<bool, Diagnostic> {
        let mut args = Args::new(line);
        match line.name.text.as_str() {
            "root" => self.root = text(&mut args, "a path")?,
            "split" => {
                let delimiters = args.remaining_required("a delimiter such as `.php`")?;
                self.split_path = delimiters.iter().map(|token| token.text.clone()).collect();
            }
            "env" => {
                let name = text(&mut args, "a name and a value")?;
                self.env.insert(name, text(&mut args, "a name and a value")?);
            }
            "resolve_root_symlink" => self.resolve_root_symlink = true,
            "dial_timeout" => self.dial_timeout = duration(&mut args)?,
            "read_timeout" => self.read_timeout = duration(&mut args)?,
            "write_timeout" => self.write_timeout = duration(&mut args)?,
            "capture_stderr" => self.capture_stderr = true,
            _ => return Ok(false),
        }
        args.finish_line()?;
        Ok(true)
    }
}
