//! `fairway render`: the merged config of a folder of manifests, and what is wrong with its objects.

use std::path::Path;
use std::sync::Arc;

use anyhow::Context;

use crate::check_manifests;
use crate::cli::Format;
use crate::diagnostics::Summary;
use crate::embedded::Places;
use crate::manifests::Manifests;
use crate::render::Renderer;
use crate::stdout;
use crate::verdict::State;

/// Prints the config to standard output, problems and verdicts to standard error; an error if an object is not served
/// as it is written.
pub(crate) fn render(folder: &Path, format: Format) -> anyhow::Result<()> {
    let mut manifests = Manifests::new(folder);
    let (snapshot, problems) = manifests.read()?;
    let rendered = Renderer::default().render(&Arc::new(snapshot));
    let json = serde_json::to_string_pretty(&rendered.config).context("printing the config")?;
    stdout::print(json + "\n")?;
    match format {
        Format::Text => {
            for problem in &problems {
                eprintln!("{problem}\n");
            }
            for verdict in rendered.verdicts.iter().filter(|it| !it.findings.is_empty()) {
                eprintln!("{}\n", verdict.lines().join("\n"));
            }
        }
        Format::Json => {
            // Files that cannot be read are problems already.
            let files = crate::manifests::files(folder)?;
            let given: Vec<_> = files
                .iter()
                .flat_map(|file| check_manifests::read(std::slice::from_ref(file)))
                .flatten()
                .collect();
            let places = Places::of(&given);
            check_manifests::print(&rendered.verdicts, &problems, &manifests, &places, format);
        }
    }
    let unserved = rendered.verdicts.iter().filter(|it| it.state != State::Accepted);
    match problems.len() + unserved.count() {
        0 => Ok(()),
        1 => Err(Summary("one object is not served as it is written".to_owned()).into()),
        bad => Err(Summary(format!("{bad} objects are not served as they are written")).into()),
    }
}
