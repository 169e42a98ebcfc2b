//! `fairway render`: the merged config of a folder of manifests, and what is wrong with its objects.

use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, bail};

use crate::manifests::Manifests;
use crate::render::Renderer;
use crate::stdout;
use crate::verdict::State;

/// Prints the config to standard output, problems and verdicts to standard error; an error if an object is not served
/// as it is written.
pub(crate) fn render(folder: &Path) -> anyhow::Result<()> {
    let (snapshot, problems) = Manifests::new(folder).read()?;
    let rendered = Renderer::default().render(&Arc::new(snapshot));
    let json = serde_json::to_string_pretty(&rendered.config).context("printing the config")?;
    stdout::print(json + "\n")?;
    for problem in &problems {
        eprintln!("{problem}\n");
    }
    let mut bad = problems.len();
    for verdict in &rendered.verdicts {
        bad += usize::from(verdict.state != State::Accepted);
        if !verdict.findings.is_empty() {
            eprintln!("{}\n", verdict.lines().join("\n"));
        }
    }
    match bad {
        0 => Ok(()),
        1 => bail!("one object is not served as it is written"),
        bad => bail!("{bad} objects are not served as they are written"),
    }
}
