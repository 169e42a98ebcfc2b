//! Writes the container image: one static program, the authorities that it trusts, and nothing else.
//!
//! What it is for: `make image` needs no container builder, and the same program always gives the same bytes: no time, no
//! path and no user of the machine gets in. What it must not know: how the program was built, and any crate of the
//! product. Where to start reading: [`layout`], which says what an image consists of.

mod layout;
mod program;
mod roots;
mod tar;

use std::path::Path;
use std::{env, fs};

use anyhow::{Context, bail};

const USAGE: &str = "usage: fairway-image PROGRAM IMAGE.tar [NAME:TAG]";

fn main() -> anyhow::Result<()> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let version = env!("CARGO_PKG_VERSION");
    let usual = format!("fairway.dev/fairway:{version}");
    let (program, output, name) = match arguments.as_slice() {
        [program, output] => (program, output, &usual),
        [program, output, name] => (program, output, name),
        _ => bail!(USAGE),
    };
    let bytes = fs::read(program).with_context(|| format!("reading {program}"))?;
    let image = layout::image(&bytes, name, version).with_context(|| format!("packing {program}"))?;
    write(Path::new(output), &image.archive).with_context(|| format!("writing {output}"))?;
    println!("{output}");
    println!("image    {name}");
    println!("digest   {}", image.digest);
    println!(
        "size     {} to pull, {} unpacked",
        mebibytes(image.pulled),
        mebibytes(image.unpacked)
    );
    Ok(())
}

/// Puts the file into its place whole: nobody imports half an image.
fn write(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let unfinished = path.with_extension("tar.new");
    fs::write(&unfinished, bytes)?;
    fs::rename(&unfinished, path)
}

fn mebibytes(bytes: usize) -> String {
    format!("{:.1} MiB", bytes as f64 / f64::from(1 << 20))
}
