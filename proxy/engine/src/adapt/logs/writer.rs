//! `output`: where a log goes.

use fairway_caddyfile::{Args, Diagnostic, Segment};
use serde_json::Value as Json;

use crate::adapt::settings::{
    Object, duration, flag, invalid, named, nanoseconds, nanoseconds_without_days, number, one_of, put,
    single, size, text,
};

const MEBIBYTE: u64 = 1 << 20;
const DAY: i64 = 24 * 60 * 60 * 1_000_000_000;

/// Reads `output NAME …`.
pub(super) fn read(mut args: Args<'_>) -> Result<Json, Diagnostic> {
    let name = args.required("where to: `stdout`, `stderr`, `discard`, `file` or `net`")?;
    let name = one_of(name, &["discard", "file", "net", "stderr", "stdout"])?;
    let mut writer = named("output", name);
    match name {
        "file" => {
            put(&mut writer, "filename", args.required("a file")?.text.as_str());
            args.finish()?;
            for line in args.block() {
                file(&args, line, &mut writer)?;
            }
        }
        "net" => {
            put(&mut writer, "address", args.required("an address")?.text.as_str());
            args.finish()?;
            for line in args.block() {
                let mut line_args = Args::new(line);
                match line.name.text.as_str() {
                    "dial_timeout" => put(&mut writer, "dial_timeout", nanoseconds(&mut line_args)?),
                    "soft_start" => put(&mut writer, "soft_start", flag(&line_args)?),
                    _ => return Err(args.unknown_subdirective(line, ["dial_timeout", "soft_start"])),
                }
            }
        }
        _ => args.finish_line()?,
    }
    Ok(writer.into())
}

const FILE: [&str; 13] = [
    "backup_time_format",
    "dir_mode",
    "mode",
    "roll_at",
    "roll_compression",
    "roll_disabled",
    "roll_interval",
    "roll_keep",
    "roll_keep_for",
    "roll_local_time",
    "roll_minutes",
    "roll_size",
    "roll_uncompressed",
];

fn file(around: &Args<'_>, line: &Segment, writer: &mut Object) -> Result<(), Diagnostic> {
    let mut args = Args::new(line);
    match line.name.text.as_str() {
        "mode" => {
            let mode = mode(&mut args)?;
            // A mode without any bit is the default, which is not printed.
            put(
                writer,
                "mode",
                if mode == 0 {
                    String::new()
                } else {
                    format!("{mode:04o}")
                },
            );
        }
        "dir_mode" => {
            let token = single(&mut args, "a mode")?;
            let word = token.text.trim();
            if !["inherit", "from_file"].contains(&word.to_lowercase().as_str()) {
                mode(&mut Args::new(line))?;
            }
            put(writer, "dir_mode", word);
        }
        "roll_disabled" => {
            flag(&args)?;
            writer.insert("roll".to_owned(), false.into());
        }
        "roll_uncompressed" => {
            flag(&args)?;
            writer.insert("roll_gzip".to_owned(), false.into());
        }
        "roll_size" => put(writer, "roll_size_mb", size(&mut args)?.div_ceil(MEBIBYTE)),
        "roll_compression" => {
            let token = single(&mut args, "a compression")?;
            let word = token.text.trim().to_lowercase();
            if !["gzip", "none", "zstd"].contains(&word.as_str()) {
                one_of(token, &["gzip", "none", "zstd"])?;
            }
            put(writer, "roll_compression", word);
        }
        "roll_local_time" => put(writer, "roll_local_time", flag(&args)?),
        "roll_keep" => put(writer, "roll_keep", number::<i64>(&mut args)?),
        "roll_keep_for" => {
            let keep = duration(&mut args)?.0;
            if keep < 0 {
                return Err(invalid(&line.args[0], "is less than nothing"));
            }
            put(writer, "roll_keep_days", keep / DAY + i64::from(keep % DAY != 0));
        }
        "roll_interval" => put(writer, "roll_interval", nanoseconds_without_days(&mut args)?),
        "roll_minutes" => {
            let minute = |text: String| text.parse::<i64>().ok().map(Json::from);
            put(writer, "roll_minutes", list(&mut args, minute)?);
        }
        "roll_at" => put(writer, "roll_at", list(&mut args, |text| Some(Json::from(text)))?),
        "backup_time_format" => put(writer, "backup_time_format", text(&mut args, "a format")?),
        _ => return Err(around.unknown_subdirective(line, FILE)),
    }
    Ok(())
}

/// The permissions of a file, in octal digits.
fn mode(args: &mut Args<'_>) -> Result<u32, Diagnostic> {
    let token = single(args, "a mode")?;
    u32::from_str_radix(token.text.trim(), 8).map_err(|_| invalid(token, "is no mode like 0644"))
}

/// Values with commas or spaces between them.
fn list(args: &mut Args<'_>, value: impl Fn(String) -> Option<Json>) -> Result<Vec<Json>, Diagnostic> {
    let tokens = args.remaining_required("values")?;
    args.no_block()?;
    let mut values = Vec::new();
    for token in tokens {
        for part in token.text.split(',').map(str::trim) {
            let read = Some(part.to_owned())
                .filter(|part| !part.is_empty())
                .and_then(&value);
            values.push(read.ok_or_else(|| invalid(token, "has a value of the wrong form"))?);
        }
    }
    Ok(values)
}
