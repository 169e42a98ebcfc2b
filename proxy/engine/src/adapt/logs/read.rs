//! The lines of a `log` block.

use fairway_caddyfile::{Args, Diagnostic, Segment};
use serde_json::Value as Json;

use super::{encoder, writer};
use crate::adapt::Scope;
use crate::adapt::scope::SiteLog;
use crate::adapt::settings::{Object, flag, named, nanoseconds, number, one_of, put, text, texts};
use crate::config::Log;

const COMMON: [&str; 5] = ["core", "format", "level", "output", "sampling"];

/// Reads the block of the global option; the name is read.
pub(crate) fn read_global(args: Args<'_>) -> Result<Log, Diagnostic> {
    let mut log = Log::default();
    for line in args.block() {
        let mut line_args = Args::new(line);
        match line.name.text.as_str() {
            "include" => extend(&mut log.include, texts(&mut line_args, "names of sources")?),
            "exclude" => extend(&mut log.exclude, texts(&mut line_args, "names of sources")?),
            name if COMMON.contains(&name) => common(line, &mut log)?,
            name @ ("hostnames" | "no_hostname") => {
                let message = format!("`{name}` is for the `log` of a site");
                return Err(Diagnostic::error("unknown-subdirective", line, message));
            }
            _ => {
                return Err(args.unknown_subdirective(line, COMMON.into_iter().chain(["include", "exclude"])));
            }
        }
    }
    Ok(log)
}

/// Reads the directive: `log [NAME] { … }`. A logger without a name gets a number, if it is not the default one.
///
/// Names are shared by all, and so they, other hosts and the place where a log goes are for the operator.
pub(crate) fn read_site(mut args: Args<'_>, scope: &mut Scope<'_>) -> Result<SiteLog, Diagnostic> {
    let name = args.next_arg();
    args.finish()?;
    let name = name.map(|token| token.text.clone());
    let mut site = SiteLog {
        name: name.filter(|name| !name.is_empty()),
        hostnames: Vec::new(),
        no_hostname: false,
        log: Log::default(),
    };
    for line in args.block() {
        let mut line_args = Args::new(line);
        match line.name.text.as_str() {
            "hostnames" => site.hostnames.extend(texts(&mut line_args, "hosts")?),
            "no_hostname" => site.no_hostname = flag(&line_args)?,
            name if COMMON.contains(&name) => common(line, &mut site.log)?,
            name @ ("include" | "exclude") => {
                let message = format!("`{name}` is for the `log` of the global options");
                return Err(Diagnostic::error("unknown-subdirective", line, message));
            }
            _ => {
                return Err(
                    args.unknown_subdirective(line, COMMON.into_iter().chain(["hostnames", "no_hostname"]))
                );
            }
        }
    }
    if site.log == Log::default() {
        return Ok(site);
    }
    let name = site.name.get_or_insert_with(|| {
        let number = scope.shared.numbered_loggers;
        scope.shared.numbered_loggers += 1;
        format!("log{number}")
    });
    site.log.include = Some(vec![format!("http.log.access.{name}")]);
    Ok(site)
}

/// A line that every `log` may have.
fn common(line: &Segment, log: &mut Log) -> Result<(), Diagnostic> {
    let mut args = Args::new(line);
    match line.name.text.as_str() {
        "output" => log.writer = Some(writer::read(args)?),
        "format" => log.encoder = Some(encoder::read(args)?),
        "level" => log.level = Some(text(&mut args, "a level")?),
        "sampling" => log.sampling = Some(sampling(&args)?),
        // `core`
        _ => {
            let module = args.required("a core: `noop` or `mock`")?;
            let name = one_of(module, &["mock", "noop"])?;
            args.finish()?;
            log.core = Some(named("module", name).into());
        }
    }
    Ok(())
}

fn sampling(args: &Args<'_>) -> Result<Json, Diagnostic> {
    args.finish()?;
    let mut sampling = Object::new();
    for line in args.block() {
        let mut line_args = Args::new(line);
        match line.name.text.as_str() {
            "interval" => put(&mut sampling, "interval", nanoseconds(&mut line_args)?),
            key @ ("first" | "thereafter") => put(&mut sampling, key, number::<i64>(&mut line_args)?),
            _ => return Err(args.unknown_subdirective(line, ["first", "interval", "thereafter"])),
        }
    }
    Ok(sampling.into())
}

fn extend(list: &mut Option<Vec<String>>, names: Vec<String>) {
    list.get_or_insert_default().extend(names);
}
