//! Modules of storage: the global option `storage`, and wherever else one is named.

use fairway_caddyfile::{Args, Diagnostic};
use serde_json::Value as Json;

use super::settings::{named, one_of, put, text};

/// Reads `file_system ROOT`, `file_system { root ROOT }`.
pub(crate) fn read(mut args: Args<'_>) -> Result<Json, Diagnostic> {
    let module = args.required("a kind of storage")?;
    one_of(module, &["file_system"])?;
    let mut root = args.next_arg().map(|token| token.text.clone());
    args.finish()?;
    for line in args.block() {
        if line.name.text != "root" {
            return Err(args.unknown_subdirective(line, ["root"]));
        }
        if root.is_some() {
            let message = "the root of the storage is already given";
            return Err(Diagnostic::error("duplicate-option", line, message));
        }
        root = Some(text(&mut Args::new(line), "a folder")?);
    }
    let Some(root) = root.filter(|root| !root.is_empty()) else {
        return Err(args.missing("a folder"));
    };
    let mut storage = named("module", "file_system");
    put(&mut storage, "root", root);
    Ok(storage.into())
}
