//! `fairway adapt`: prints the JSON that a config means.

use serde::Serialize;

use crate::cli;
use crate::{diagnostics, envfile, load, stdout, validate};

/// Prints the JSON to standard output; mistakes and warnings go to standard error.
pub(crate) fn adapt(args: &cli::Adapt) -> anyhow::Result<()> {
    envfile::apply(&args.config.envfile)?;
    // Here, unlike elsewhere, whatever is named is taken for a Caddyfile.
    let adapter = args.config.adapter.or(Some(cli::Adapter::Caddyfile));
    let config = cli::Config {
        file: args.config.file.clone(),
        adapter,
        envfile: Vec::new(),
    };
    let loaded = load::load(&config)?;
    diagnostics::print(&loaded.warnings, args.format);
    if args.validate {
        validate::check(&loaded)?;
    }
    let mut json = Vec::new();
    if args.pretty {
        let indent = serde_json::ser::PrettyFormatter::with_indent(b"\t");
        loaded
            .config
            .serialize(&mut serde_json::Serializer::with_formatter(&mut json, indent))?;
    } else {
        serde_json::to_writer(&mut json, &loaded.config)?;
    }
    json.push(b'\n');
    stdout::print(json)
}
