//! Whether a file is a program that runs where nothing but it is.

use anyhow::{Context, bail};

/// Segments of a program by which it asks for others.
const INTERPRETER: u32 = 3;
const DYNAMIC: u32 = 2;
/// The entry of a dynamic segment that names a library, and the one that ends it.
const NEEDED: u64 = 1;
const END: u64 = 0;

/// Gives the architecture of a static program, as images call it. An error says why it would not run.
pub(crate) fn architecture(bytes: &[u8]) -> anyhow::Result<&'static str> {
    let header = bytes
        .first_chunk::<64>()
        .context("this is no program: it is too short")?;
    if !header.starts_with(b"\x7fELF\x02\x01") {
        bail!("this is no 64-bit program of Linux");
    }
    let architecture = match u16::from_le_bytes([header[18], header[19]]) {
        62 => "amd64",
        183 => "arm64",
        other => bail!("there is no image for machine {other}"),
    };
    let table = usize::try_from(number(bytes, 32)?)?;
    let [size, count] = [54, 56].map(|at| usize::from(u16::from_le_bytes([header[at], header[at + 1]])));
    for index in 0..count {
        let segment = table
            .checked_add(index * size)
            .context("the segments end beyond the file")?;
        match u32::from_le_bytes(*chunk(bytes, segment)?) {
            INTERPRETER => bail!("it is not static: it asks for a dynamic linker"),
            DYNAMIC if needs_library(bytes, number(bytes, segment + 8)?, number(bytes, segment + 32)?)? => {
                bail!("it is not static: it asks for a library")
            }
            _ => {}
        }
    }
    Ok(architecture)
}

fn needs_library(bytes: &[u8], offset: u64, size: u64) -> anyhow::Result<bool> {
    let (start, size) = (usize::try_from(offset)?, usize::try_from(size)?);
    let end = start
        .checked_add(size)
        .context("a segment ends beyond the file")?;
    let segment = bytes.get(start..end).context("a segment ends beyond the file")?;
    let tags = segment
        .chunks_exact(16)
        .map(|entry| number(entry, 0).unwrap_or(END));
    Ok(tags.take_while(|tag| *tag != END).any(|tag| tag == NEEDED))
}

fn number(bytes: &[u8], at: usize) -> anyhow::Result<u64> {
    Ok(u64::from_le_bytes(*chunk(bytes, at)?))
}

fn chunk<const N: usize>(bytes: &[u8], at: usize) -> anyhow::Result<&[u8; N]> {
    let rest = bytes.get(at..).and_then(|rest| rest.first_chunk());
    rest.context("the file is cut off")
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// The smallest program: it has these segments, each of a type and with a content of 8-byte numbers.
    pub(crate) fn elf(machine: u16, segments: &[(u32, &[u64])]) -> Vec<u8> {
        let mut bytes = vec![0; 64 + 56 * segments.len()];
        bytes[..6].copy_from_slice(b"\x7fELF\x02\x01");
        bytes[18..20].copy_from_slice(&machine.to_le_bytes());
        bytes[32..40].copy_from_slice(&64_u64.to_le_bytes());
        bytes[54..56].copy_from_slice(&56_u16.to_le_bytes());
        bytes[56..58].copy_from_slice(&u16::try_from(segments.len()).unwrap().to_le_bytes());
        for (index, (kind, content)) in segments.iter().enumerate() {
            let at = 64 + 56 * index;
            let offset = bytes.len() as u64;
            bytes[at..at + 4].copy_from_slice(&kind.to_le_bytes());
            bytes[at + 8..at + 16].copy_from_slice(&offset.to_le_bytes());
            bytes[at + 32..at + 40].copy_from_slice(&(content.len() as u64 * 8).to_le_bytes());
            bytes.extend(content.iter().flat_map(|number| number.to_le_bytes()));
        }
        bytes
    }

    #[track_caller]
    fn check(bytes: &[u8], expected: Result<&str, &str>) {
        let found = architecture(bytes).map_err(|error| error.to_string());
        assert_eq!(found, expected.map_err(str::to_owned));
    }

    #[test]
    fn a_static_program_runs_anywhere() {
        check(&elf(62, &[]), Ok("amd64"));
        check(&elf(183, &[(1, &[])]), Ok("arm64"));
        // It relocates itself: a dynamic segment, but nothing is needed. What stands after its end is no entry.
        check(
            &elf(62, &[(1, &[]), (DYNAMIC, &[7, 1, END, 0, NEEDED, 9])]),
            Ok("amd64"),
        );
    }

    #[test]
    fn what_would_not_run_is_refused() {
        let linker = "it is not static: it asks for a dynamic linker";
        check(&elf(62, &[(1, &[]), (INTERPRETER, &[0])]), Err(linker));
        let library = "it is not static: it asks for a library";
        check(&elf(62, &[(DYNAMIC, &[7, 1, NEEDED, 9, END, 0])]), Err(library));
        check(&elf(40, &[]), Err("there is no image for machine 40"));
        check(b"#!/bin/sh\n", Err("this is no program: it is too short"));
        check(&[b' '; 100], Err("this is no 64-bit program of Linux"));
        let whole = elf(62, &[(DYNAMIC, &[END, 0])]);
        check(&whole[..70], Err("the file is cut off"));
        check(&whole[..whole.len() - 1], Err("a segment ends beyond the file"));
    }

    /// This test itself is linked as usual.
    #[test]
    fn a_program_of_the_system_is_refused() {
        let own = std::fs::read(std::env::current_exe().unwrap()).unwrap();
        check(&own, Err("it is not static: it asks for a dynamic linker"));
    }
}
