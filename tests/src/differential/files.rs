//! The files beside a made Caddyfile, which it may import or name, and the variables that it may read.

use std::io;
use std::path::Path;

/// Names and contents.
pub const FILES: &[(&str, &str)] = &[
    ("part.caddy", "respond /part part\nheader X-Part {args[0]}\n"),
    ("site.caddy", "part.test {\n\trespond part\n}\n"),
    ("parts/a.caddy", "header X-A a\n"),
    ("parts/b.caddy", "header X-B \"{args[1]}\"\n"),
    ("circle.caddy", "import circle.caddy\n"),
    ("empty.caddy", "\n"),
    (
        "ca.pem",
        "-----BEGIN CERTIFICATE-----\nMIIBejCCASGgAwIBAgIUTj1cM+XkDhc2UeYmJn2tzDsz3a8wCgYIKoZIzj0EAwIw\n-----END CERTIFICATE-----\n",
    ),
];

/// Names and values; no other variable is set.
pub const VARIABLES: &[(&str, &str)] = &[
    ("FW_HOST", "env.test"),
    ("FW_TWO", "one two"),
    ("FW_EMPTY", ""),
    ("FW_LINES", "header X-1 1\n\theader X-2 2"),
];

/// Writes the files to a folder.
pub fn write(folder: &Path) -> io::Result<()> {
    std::fs::create_dir_all(folder.join("parts"))?;
    FILES
        .iter()
        .try_for_each(|(name, text)| std::fs::write(folder.join(name), text))
}
