//! Archives in the form that every reader knows (ustar), with fixed times and owners.

/// Bytes of a block; everything in an archive fills whole ones.
const BLOCK: usize = 512;
/// Bytes that a name may have in the header. Ours are shorter.
const NAME: usize = 100;

/// An archive that is being written.
#[derive(Default)]
pub(crate) struct Archive(Vec<u8>);

impl Archive {
    /// Adds a folder that everybody may read.
    pub(crate) fn folder(&mut self, name: &str) {
        self.0.extend(header(&format!("{name}/"), 0o755, 0, b'5'));
    }

    /// Adds a file. `mode` is that of Unix.
    pub(crate) fn file(&mut self, name: &str, mode: u32, content: &[u8]) {
        self.0.extend(header(name, mode, content.len(), b'0'));
        self.0.extend(content);
        self.0.resize(self.0.len().next_multiple_of(BLOCK), 0);
    }

    /// The whole archive: two empty blocks end it.
    pub(crate) fn finish(mut self) -> Vec<u8> {
        self.0.resize(self.0.len() + 2 * BLOCK, 0);
        self.0
    }
}

/// Owner and group are root, the time is 1970.
fn header(name: &str, mode: u32, size: usize, kind: u8) -> [u8; BLOCK] {
    assert!(name.len() <= NAME, "the names in an image are short");
    let mut block = [0; BLOCK];
    let mut put = |at: usize, bytes: &[u8]| block[at..at + bytes.len()].copy_from_slice(bytes);
    put(0, name.as_bytes());
    put(100, format!("{mode:07o}").as_bytes());
    put(108, b"0000000"); // owner
    put(116, b"0000000"); // group
    put(124, format!("{size:011o}").as_bytes());
    put(136, b"00000000000"); // time
    put(148, b"        "); // what the sum is counted with in its own place
    put(156, &[kind]);
    put(257, b"ustar\x0000");
    let sum: u32 = block.iter().map(|byte| u32::from(*byte)).sum();
    block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    block
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;
    use std::process::Command;

    use super::*;

    /// What the system's own `tar` makes of an archive.
    #[test]
    fn others_can_unpack_it() {
        let mut archive = Archive::default();
        archive.folder("etc");
        archive.file("etc/empty", 0o644, b"");
        archive.file("etc/block", 0o644, &[7; BLOCK]);
        archive.file("program", 0o755, &[9; BLOCK + 1]);
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("a.tar");
        fs::write(&file, archive.finish()).unwrap();
        let listed = Command::new("tar")
            .arg("-tvf")
            .arg(&file)
            .env("TZ", "UTC")
            .output()
            .unwrap();
        let lines = String::from_utf8(listed.stdout).unwrap();
        let lines: Vec<Vec<&str>> = lines
            .lines()
            .map(|line| line.split_whitespace().collect())
            .collect();
        assert_eq!(
            lines,
            [
                ["drwxr-xr-x", "0/0", "0", "1970-01-01", "00:00", "etc/"],
                ["-rw-r--r--", "0/0", "0", "1970-01-01", "00:00", "etc/empty"],
                ["-rw-r--r--", "0/0", "512", "1970-01-01", "00:00", "etc/block"],
                ["-rwxr-xr-x", "0/0", "513", "1970-01-01", "00:00", "program"],
            ]
        );
        let unpacked = Command::new("tar")
            .arg("-xf")
            .arg(&file)
            .arg("-C")
            .arg(folder.path())
            .output()
            .unwrap();
        assert_eq!(String::from_utf8_lossy(&unpacked.stderr), "");
        assert_eq!(fs::read(folder.path().join("etc/empty")).unwrap(), b"");
        assert_eq!(fs::read(folder.path().join("etc/block")).unwrap(), [7; BLOCK]);
        let program = folder.path().join("program");
        assert_eq!(fs::read(&program).unwrap(), [9; BLOCK + 1]);
        assert_eq!(
            fs::metadata(&program).unwrap().permissions().mode() & 0o777,
            0o755
        );
    }

    #[test]
    #[should_panic(expected = "names in an image are short")]
    fn a_name_that_does_not_fit_is_not_cut() {
        Archive::default().file(&"a".repeat(NAME + 1), 0o644, b"");
    }
}
