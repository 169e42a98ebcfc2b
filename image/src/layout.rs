//! An image as the OCI lays it out, in one archive: `ctr images import`, `podman load` and `docker load` take it.
//!
//! | in the archive | what it is |
//! |---|---|
//! | `oci-layout` | the version of the layout |
//! | `index.json` | the name of the image, and the digest of its manifest |
//! | `blobs/sha256/…` | the manifest, the config (user, entry point) and the one layer, each under its digest |

use anyhow::Context;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::tar::Archive;
use crate::{program, roots};

/// Where the program lies in the image.
const PROGRAM: &str = "fairway";
/// As whom it runs: nobody that a machine knows. There is no `/etc/passwd`, and a number needs none.
const USER: &str = "65532:65532";
const CREATED: &str = "1970-01-01T00:00:00Z";
/// How hard to pack, of 10: what is beyond costs seconds and gains a hundredth.
const EFFORT: u8 = 7;

/// An image, whole.
pub(crate) struct Image {
    pub archive: Vec<u8>,
    /// That of its manifest, by which it can be pinned.
    pub digest: String,
    /// Bytes that a node loads, and those that it keeps.
    pub pulled: usize,
    pub unpacked: usize,
}

/// Makes the image of a static program under a name like `fairway.dev/fairway:1.2.3`.
pub(crate) fn image(bytes: &[u8], name: &str, version: &str) -> anyhow::Result<Image> {
    let architecture = program::architecture(bytes)?;
    let (repository, tag) = name
        .rsplit_once(':')
        .context("the name of an image is NAME:TAG")?;
    // Without its first part it would be looked for in a registry that is nobody's choice.
    if !repository.contains('/') || tag.is_empty() || tag.contains('/') {
        anyhow::bail!("the name of an image is HOST/NAME:TAG");
    }
    let layer = layer(bytes);
    let packed = gzip(&layer);
    let config = text(&json!({
        "architecture": architecture,
        "os": "linux",
        "created": CREATED,
        "config": {
            "Entrypoint": [format!("/{PROGRAM}")],
            "Cmd": ["run"],
            "Env": ["PATH=/"],
            "User": USER,
            "WorkingDir": "/",
            "Labels": {
                "org.opencontainers.image.title": "fairway",
                "org.opencontainers.image.version": version,
                "org.opencontainers.image.licenses": env!("CARGO_PKG_LICENSE"),
            },
        },
        "rootfs": {"type": "layers", "diff_ids": [digest(&layer)]},
        "history": [{"created": CREATED, "created_by": "fairway-image"}],
    }));
    let manifest = text(&json!({
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": blob("application/vnd.oci.image.config.v1+json", &config),
        "layers": [blob("application/vnd.oci.image.layer.v1.tar+gzip", &packed)],
    }));
    let mut entry = blob("application/vnd.oci.image.manifest.v1+json", &manifest);
    entry["platform"] = json!({"architecture": architecture, "os": "linux"});
    entry["annotations"] = json!({
        "io.containerd.image.name": name,
        "org.opencontainers.image.ref.name": tag,
    });
    let index = text(&json!({
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.index.v1+json",
        "manifests": [entry],
    }));
    let mut archive = Archive::default();
    archive.file("oci-layout", 0o644, br#"{"imageLayoutVersion":"1.0.0"}"#);
    archive.file("index.json", 0o644, &index);
    archive.folder("blobs");
    archive.folder("blobs/sha256");
    for bytes in [&config, &manifest, &packed] {
        archive.file(
            &format!("blobs/{}", digest(bytes).replace(':', "/")),
            0o644,
            bytes,
        );
    }
    Ok(Image {
        archive: archive.finish(),
        digest: digest(&manifest),
        pulled: config.len() + manifest.len() + packed.len(),
        unpacked: layer.len(),
    })
}

/// What is in the image.
fn layer(program: &[u8]) -> Vec<u8> {
    let mut archive = Archive::default();
    for (at, _) in roots::PATH.match_indices('/') {
        archive.folder(&roots::PATH[..at]);
    }
    archive.file(roots::PATH, 0o644, roots::pem().as_bytes());
    archive.file(PROGRAM, 0o755, program);
    archive.finish()
}

/// Packs without a time or a name. The packer is one in plain Rust: others choose by the processor, and their bytes differ.
fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut packed = b"\x1f\x8b\x08\0\0\0\0\0\0\xff".to_vec();
    packed.extend(miniz_oxide::deflate::compress_to_vec(bytes, EFFORT));
    packed.extend(crc32fast::hash(bytes).to_le_bytes());
    packed.extend((bytes.len() as u32).to_le_bytes());
    packed
}

fn text(value: &Value) -> Vec<u8> {
    value.to_string().into_bytes()
}

fn blob(kind: &str, bytes: &[u8]) -> Value {
    json!({"mediaType": kind, "digest": digest(bytes), "size": bytes.len()})
}

fn digest(bytes: &[u8]) -> String {
    let mut text = "sha256:".to_owned();
    for byte in Sha256::digest(bytes) {
        let digits = [byte >> 4, byte & 15].map(u32::from);
        text.extend(digits.iter().filter_map(|digit| char::from_digit(*digit, 16)));
    }
    text
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;
    use std::process::Command;

    use super::*;
    use crate::program::tests::elf;

    const NAME: &str = "example.test/some/fairway:1.2.3";

    /// The image of a tiny program, unpacked by the system's own `tar`.
    fn unpacked(program: &[u8]) -> (Image, tempfile::TempDir) {
        let image = image(program, NAME, "1.2.3").unwrap();
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("image.tar"), &image.archive).unwrap();
        untar(folder.path(), "image.tar", ".");
        (image, folder)
    }

    #[track_caller]
    fn untar(folder: &Path, file: &str, to: &str) {
        let status = Command::new("tar")
            .current_dir(folder)
            .args(["-xf", file, "-C", to])
            .status()
            .unwrap();
        assert!(status.success());
    }

    fn read(folder: &Path, path: &str) -> Value {
        serde_json::from_slice(&fs::read(folder.join(path)).unwrap()).unwrap()
    }

    /// The file of a digest, after a look at whether it is what the entry says.
    #[track_caller]
    fn follow(folder: &Path, entry: &Value) -> String {
        let named = entry["digest"].as_str().unwrap();
        let path = format!("blobs/{}", named.replace(':', "/"));
        let bytes = fs::read(folder.join(&path)).unwrap();
        assert_eq!(digest(&bytes), named);
        assert_eq!(bytes.len(), entry["size"]);
        path
    }

    #[test]
    fn every_digest_leads_to_what_it_names() {
        let program = elf(62, &[(1, &[1, 2, 3])]);
        let (image, folder) = unpacked(&program);
        let folder = folder.path();
        assert_eq!(read(folder, "oci-layout"), json!({"imageLayoutVersion": "1.0.0"}));
        let entry = &read(folder, "index.json")["manifests"][0];
        assert_eq!(entry["digest"], image.digest);
        assert_eq!(entry["platform"], json!({"architecture": "amd64", "os": "linux"}));
        assert_eq!(entry["annotations"]["io.containerd.image.name"], NAME);
        let manifest = read(folder, &follow(folder, entry));
        let config = read(folder, &follow(folder, &manifest["config"]));
        assert_eq!(config["config"]["User"], "65532:65532");
        assert_eq!(config["config"]["Entrypoint"], json!(["/fairway"]));
        assert_eq!(config["architecture"], "amd64");

        fs::create_dir(folder.join("root")).unwrap();
        untar(folder, &follow(folder, &manifest["layers"][0]), "root");
        assert_eq!(fs::read(folder.join("root/fairway")).unwrap(), program);
        let roots = fs::read_to_string(folder.join("root").join(roots::PATH)).unwrap();
        assert!(roots.starts_with("-----BEGIN CERTIFICATE-----\n"));
        let mut top: Vec<_> = fs::read_dir(folder.join("root"))
            .unwrap()
            .map(|one| one.unwrap().file_name())
            .collect();
        top.sort();
        assert_eq!(top, ["etc", "fairway"]);
    }

    #[test]
    fn the_layer_is_known_by_its_digest_before_it_was_packed() {
        let (_, folder) = unpacked(&elf(183, &[]));
        let folder = folder.path();
        let manifest = read(
            folder,
            &follow(folder, &read(folder, "index.json")["manifests"][0]),
        );
        let config = read(folder, &follow(folder, &manifest["config"]));
        let layer = follow(folder, &manifest["layers"][0]);
        let raw = Command::new("gzip")
            .arg("-dc")
            .stdin(fs::File::open(folder.join(layer)).unwrap())
            .output()
            .unwrap();
        assert!(raw.status.success());
        assert_eq!(config["rootfs"]["diff_ids"], json!([digest(&raw.stdout)]));
        assert_eq!(config["architecture"], "arm64");
    }

    #[test]
    fn the_same_program_gives_the_same_bytes() {
        let make = |program: &[u8]| image(program, NAME, "1.2.3").unwrap();
        let (one, two) = (elf(62, &[]), elf(62, &[(1, &[])]));
        assert_eq!(make(&one).archive, make(&one).archive);
        assert_ne!(make(&one).digest, make(&two).digest);
    }

    #[test]
    fn a_name_without_host_or_tag_is_refused() {
        for name in [
            "fairway",
            "fairway:1",
            "example.test/fairway",
            "example.test:5000/fairway",
            "example.test/fairway:",
        ] {
            assert!(image(&elf(62, &[]), name, "1").is_err(), "{name}");
        }
        assert!(image(b"no program", NAME, "1").is_err());
    }
}
