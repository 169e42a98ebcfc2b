//! `file_server`: serves files from a folder.
//!
//! ```caddyfile
//! file_server [<matcher>] [browse] {
//!     fs            <file system>
//!     root          <path>
//!     hide          <files…>
//!     index         <files…>
//!     browse        [<template file>] { … }
//!     precompressed [br] [zstd] [gzip]
//!     status        <status>
//!     etag_file_extensions <suffixes…>
//!     disable_canonical_uris
//!     pass_thru
//! }
//! ```
//!
//! ```caddyfile
//! example.com {
//!     root /srv/www
//!     file_server {
//!         hide *.key
//!     }
//! }
//! ```
//!
//! The root is that of `root`, or the working directory. `..` never leads out of it, but links do. A folder is served
//! by its index file; what is hidden does not exist. The Caddyfile is hidden by itself. Only for the operator: a
//! tenant has no files here.
//!
//! Folders are not listed yet, and there is no other file system than that of the machine.

mod content;
mod disk;
mod media_type;

use std::borrow::Cow;
use std::path::Path;

use fairway_caddyfile::{Args, Diagnostic};
use http::header::{ALLOW, CONTENT_TYPE, ETAG, HeaderName, HeaderValue, LOCATION, RETRY_AFTER, VARY};
use http::{Method, StatusCode};
use serde::{Deserialize, Serialize};

use crate::adapt::Scope;
use crate::body::Body;
use crate::compile::CompileError;
use crate::directives::{Directive, Parse};
use crate::error::HandlerError;
use crate::exchange::Exchange;
use crate::handlers::encode::accepted_encodings;
use crate::handlers::{Flow, Response};
use crate::paths;
use crate::template::{Template, Unknown};
use crate::values::StatusCode as ConfiguredStatus;
use crate::world::World;

use disk::{Found, Lookup, NotServed};

pub(crate) const DIRECTIVE: Directive = Directive {
    name: "file_server",
    parse: Parse::Handler(parse),
};

/// Caddy's `http.handlers.file_server`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// The file system; only that of the machine can be served.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub fs: String,
    /// The folder that is served. Default: `{http.vars.root}`, else the working directory.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub root: String,
    /// Names, paths and patterns of files that must look as if they did not exist.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub hide: Vec<String>,
    /// The files that stand for their folder. Default: `index.html`, `index.txt`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub index_names: Vec<String>,
    /// Lists folders without an index file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub browse: Option<Browse>,
    /// Whether paths are put right by a redirect: a slash at the end of a folder, none at that of a file. Default: yes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub canonical_uris: Option<bool>,
    /// The status of all answers with a file.
    #[serde(skip_serializing_if = "ConfiguredStatus::is_empty")]
    pub status_code: ConfiguredStatus,
    /// Whether the next handler gets what is not found.
    #[serde(skip_serializing_if = "is_false")]
    pub pass_thru: bool,
    /// The formats of which a compressed file may lie beside a file.
    #[serde(skip_serializing_if = "Precompressed::is_empty")]
    pub precompressed: Precompressed,
    /// Their order if the client has no wish.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub precompressed_order: Vec<String>,
    /// The suffixes of files that hold the `ETag` of a file.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub etag_file_extensions: Vec<String>,
}

/// How folders are listed.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Browse {
    /// The file of the page's template.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub template_file: String,
    /// Whether the targets of links are shown.
    #[serde(skip_serializing_if = "is_false")]
    pub reveal_symlinks: bool,
    /// By what, and in which direction.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub sort: Vec<String>,
    /// How many files are listed at most.
    #[serde(skip_serializing_if = "is_zero")]
    pub file_limit: i64,
}

/// Formats of compressed files, by name.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Precompressed {
    /// Brotli; its files end in `.br`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub br: Option<Sidecar>,
    /// gzip; its files end in `.gz`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gzip: Option<Sidecar>,
    /// Zstandard; its files end in `.zst`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub zstd: Option<Sidecar>,
}

/// A format of compressed files; whatever settings it has are those of compressing, and of no use here.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sidecar {}

impl Precompressed {
    fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// The switch of a format; none if it is not known.
    fn format(&mut self, name: &str) -> Option<&mut Option<Sidecar>> {
        match name {
            "br" => Some(&mut self.br),
            "gzip" => Some(&mut self.gzip),
            "zstd" => Some(&mut self.zstd),
            _ => None,
        }
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it so")]
fn is_false(truth: &bool) -> bool {
    !truth
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it so")]
fn is_zero(number: &i64) -> bool {
    *number == 0
}

/// Formats and the suffixes of their files.
const FORMATS: [(&str, &str); 3] = [("br", ".br"), ("zstd", ".zst"), ("gzip", ".gz")];

const SUBDIRECTIVES: [&str; 10] = [
    "fs",
    "root",
    "hide",
    "index",
    "browse",
    "precompressed",
    "status",
    "disable_canonical_uris",
    "pass_thru",
    "etag_file_extensions",
];

const SORTS: [&str; 6] = ["name", "namedirfirst", "size", "time", "asc", "desc"];

fn parse(mut args: Args<'_>, scope: &mut Scope<'_>) -> Result<super::Config, Diagnostic> {
    let mut config = Config::default();
    if let Some(word) = args.next_arg() {
        if word.text != "browse" {
            return Err(args.unexpected(word).help("only `browse` may stand here"));
        }
        config.browse = Some(Browse::default());
    }
    args.finish()?;
    for line in args.block() {
        let mut words = Args::new(line);
        match line.name.text.as_str() {
            "fs" => {
                let fs = words.required("a file system")?;
                if !config.fs.is_empty() {
                    return Err(words.error("duplicate-option", "the file system is given already"));
                }
                config.fs.clone_from(&fs.text);
            }
            "root" => config.root.clone_from(&words.required("a path")?.text),
            "hide" => config
                .hide
                .extend(texts(words.remaining_required("files to hide")?)),
            "index" => {
                config.index_names = texts(words.remaining_required("names of index files")?).collect();
            }
            "browse" => {
                if config.browse.is_some() {
                    return Err(words.error("duplicate-option", "`browse` is given already"));
                }
                config.browse = Some(browse(words)?);
                continue;
            }
            "precompressed" => {
                let formats = words.remaining();
                config.precompressed_order = if formats.is_empty() {
                    FORMATS.map(|(name, _)| name.to_owned()).into()
                } else {
                    texts(formats).collect()
                };
                for name in &config.precompressed_order {
                    if let Some(switch) = config.precompressed.format(name) {
                        *switch = Some(Sidecar {});
                    }
                }
                if let Some(unknown) = formats
                    .iter()
                    .find(|format| config.precompressed.format(&format.text).is_none())
                {
                    let message = format!("there is no format `{}` of compressed files", unknown.text);
                    let known = FORMATS.map(|(name, _)| name);
                    return Err(Diagnostic::error("invalid-value", unknown, message)
                        .help("known are `br`, `zstd` and `gzip`")
                        .did_you_mean(fairway_caddyfile::suggest(&unknown.text, known)));
                }
            }
            "status" => config.status_code = words.required("a status")?.text.as_str().into(),
            "disable_canonical_uris" => config.canonical_uris = Some(false),
            "pass_thru" => config.pass_thru = true,
            "etag_file_extensions" => {
                config.etag_file_extensions = texts(words.remaining_required("suffixes of files")?).collect();
            }
            _ => return Err(args.unknown_subdirective(line, SUBDIRECTIVES)),
        }
        words.finish_line()?;
    }
    hide_sources(&mut config.hide, scope);
    Ok(super::Config::FileServer(Box::new(config)))
}

fn texts(tokens: &[fairway_caddyfile::Token]) -> impl Iterator<Item = String> {
    tokens.iter().map(|token| token.text.clone())
}

fn browse(mut args: Args<'_>) -> Result<Browse, Diagnostic> {
    let mut browse = Browse::default();
    if let Some(template) = args.next_arg() {
        browse.template_file.clone_from(&template.text);
    }
    args.finish()?;
    for line in args.block() {
        let mut words = Args::new(line);
        match line.name.text.as_str() {
            "reveal_symlinks" if browse.reveal_symlinks => {
                let message = "`reveal_symlinks` stands twice";
                return Err(Diagnostic::error("duplicate-option", line, message).help("one is enough"));
            }
            "reveal_symlinks" => browse.reveal_symlinks = true,
            "sort" => {
                for word in words.remaining() {
                    if !SORTS.contains(&word.text.as_str()) {
                        let message = format!("folders cannot be sorted by `{}`", word.text);
                        return Err(Diagnostic::error("invalid-value", word, message)
                            .did_you_mean(fairway_caddyfile::suggest(&word.text, SORTS)));
                    }
                    browse.sort.push(word.text.clone());
                }
            }
            "file_limit" => {
                let limit = words.required("a number of files")?;
                if browse.file_limit != 0 {
                    return Err(words.error("duplicate-option", "`file_limit` is given already"));
                }
                browse.file_limit = limit.text.parse().map_err(|_| {
                    let message = format!("`{}` is no number of files", limit.text);
                    Diagnostic::error("invalid-value", limit, message)
                })?;
            }
            _ => return Err(args.unknown_subdirective(line, ["reveal_symlinks", "sort", "file_limit"])),
        }
        words.finish_line()?;
    }
    Ok(browse)
}

/// Hides the files that the site was read from.
fn hide_sources(hide: &mut Vec<String>, scope: &Scope<'_>) {
    for file in scope.files() {
        let file = paths::clean_path(&file, true);
        if disk::is_hidden(&file, hide) {
            continue;
        }
        // A name without a slash would hide all files of that name.
        hide.push(if file.contains('/') {
            file
        } else {
            format!("./{file}")
        });
    }
}

impl Config {
    pub(crate) fn compile(&self) -> Result<FileServer, CompileError> {
        self.ready().map_err(|error| error.within("file_server"))
    }

    fn ready(&self) -> Result<FileServer, CompileError> {
        if self.browse.is_some() {
            return Err(CompileError::new(
                "`browse`, which lists folders, is not there yet",
            ));
        }
        if !self.fs.is_empty() {
            let message = format!(
                "the file system `{}` is unknown, only that of the machine is there",
                self.fs
            );
            return Err(CompileError::new(message));
        }
        let mut formats = self.precompressed.clone();
        let suffixes = FORMATS
            .into_iter()
            .filter(|(name, _)| formats.format(name).is_some_and(|switch| switch.is_some()))
            .collect();
        let templates = |texts: &[String]| texts.iter().map(|text| Template::new(text)).collect();
        let root = if self.root.is_empty() {
            "{http.vars.root}"
        } else {
            &self.root
        };
        let default_index = ["index.html".to_owned(), "index.txt".to_owned()];
        let index = if self.index_names.is_empty() {
            &default_index[..]
        } else {
            &self.index_names
        };
        Ok(FileServer {
            root: Template::new(root),
            hide: templates(&self.hide),
            index: templates(index),
            canonical: self.canonical_uris != Some(false),
            status: (!self.status_code.is_empty()).then(|| Template::new(self.status_code.as_str())),
            pass_thru: self.pass_thru,
            suffixes,
            order: self
                .precompressed_order
                .iter()
                .map(|name| name.as_str().into())
                .collect(),
            etag_suffixes: self
                .etag_file_extensions
                .iter()
                .map(|suffix| suffix.as_str().into())
                .collect(),
        })
    }
}

/// The run-time form.
#[derive(Debug)]
pub(crate) struct FileServer {
    root: Template,
    hide: Box<[Template]>,
    index: Box<[Template]>,
    canonical: bool,
    status: Option<Template>,
    pass_thru: bool,
    /// The formats of compressed files, and their suffixes.
    suffixes: Box<[(&'static str, &'static str)]>,
    order: Box<[Box<str>]>,
    etag_suffixes: Box<[Box<str>]>,
}

impl FileServer {
    /// Answers with a file. Dropping the future midway may leave a look at the disk to be finished elsewhere.
    pub(crate) async fn handle<W: World>(
        &self,
        exchange: &mut Exchange,
        world: &W,
    ) -> Result<Flow<'_>, HandlerError> {
        let lookup = self.lookup(exchange);
        let found = match world.blocking(move || lookup.run()).await {
            Ok(found) => found,
            Err(problem) => return self.refuse(problem, exchange),
        };
        if let Some(location) = self.canonical_path(&found, exchange) {
            return Ok(Flow::Respond(redirect(exchange, &location)));
        }
        let headers = &mut exchange.response_headers;
        headers.append(VARY, HeaderValue::from_static("Accept-Encoding"));
        let is_readable = matches!(exchange.method, Method::GET | Method::HEAD);
        // An error page is shown whatever the request was.
        if !is_readable && exchange.error.is_none() {
            headers.append(ALLOW, HeaderValue::from_static("GET, HEAD"));
            return Err(HandlerError::new(405, "only GET and HEAD are served with files"));
        }
        let status = self.status(exchange)?;
        let mut response = content::serve(found, exchange, world);
        response.status = status.unwrap_or(response.status);
        Ok(Flow::Respond(response))
    }

    fn lookup(&self, exchange: &Exchange) -> Lookup {
        let fill = |template: &Template| template.fill(exchange, Unknown::Empty).into_owned();
        let accepted = if self.suffixes.is_empty() {
            Vec::new()
        } else {
            accepted_encodings(&exchange.headers, &self.order)
        };
        let suffix = |name: String| self.suffixes.iter().find(|(known, _)| *known == name).copied();
        let joined = paths::sanitized_path_join(&fill(&self.root), exchange.target().path());
        let path = match joined.strip_suffix('/') {
            Some("") | None => joined,
            Some(path) => path.to_owned(),
        };
        let has_etag = exchange
            .response_headers
            .get(ETAG)
            .is_some_and(|etag| !etag.is_empty());
        Lookup {
            path,
            hide: self.hide.iter().map(fill).collect(),
            index: self.index.iter().map(fill).collect(),
            formats: accepted.into_iter().filter_map(suffix).collect(),
            etag_suffixes: if has_etag {
                Box::default()
            } else {
                self.etag_suffixes.clone()
            },
        }
    }

    fn refuse(&self, problem: NotServed, exchange: &mut Exchange) -> Result<Flow<'_>, HandlerError> {
        Err(match problem {
            NotServed::NotFound if self.pass_thru => return Ok(Flow::Next),
            NotServed::NotFound => HandlerError::new(404, "file not found"),
            NotServed::Forbidden => HandlerError::new(403, "the file may not be read"),
            NotServed::InvalidPath => HandlerError::new(400, "this is no path of a file"),
            NotServed::Busy(message) => {
                // Not all at the same time, please.
                let seconds = HeaderValue::from(2 + u16::from(rand::random::<u8>() % 3));
                exchange.response_headers.insert(RETRY_AFTER, seconds);
                HandlerError::new(503, message)
            }
            NotServed::Failed(message) => HandlerError::new(500, message),
        })
    }

    /// Where the client has to go instead, if the path is not put as it should be. Only if the last element is the one
    /// that the client sent: a rewrite knows what it does.
    fn canonical_path(&self, found: &Found, exchange: &Exchange) -> Option<String> {
        let original = exchange.original_target().path();
        if !self.canonical || last_element(original) != last_element(exchange.target().path()) {
            return None;
        }
        match (found.is_index, original.strip_suffix('/')) {
            (true, None) => Some(format!("{original}/")),
            (false, Some(file)) => Some(file.to_owned()),
            _ => None,
        }
    }

    /// The status that replaces that of the file: the configured one, or that of the error that is handled.
    fn status(&self, exchange: &Exchange) -> Result<Option<StatusCode>, HandlerError> {
        let Some(template) = &self.status else {
            let of_error = |error: &HandlerError| StatusCode::from_u16(error.status);
            return Ok(exchange.error.as_ref().and_then(|error| of_error(error).ok()));
        };
        let text = template.fill(exchange, Unknown::Empty);
        let status = text.parse::<u16>().ok().filter(|status| *status >= 200);
        status
            .and_then(|status| StatusCode::from_u16(status).ok())
            .map(Some)
            .ok_or_else(|| HandlerError::internal(format!("`{text}` is no status of a file")))
    }
}

/// The last element of a path, whatever slashes follow it.
fn last_element(path: &str) -> &str {
    let path = path.trim_end_matches('/');
    path.rfind('/').map_or(path, |slash| &path[slash + 1..])
}

/// Sends the client to another path of this server.
fn redirect(exchange: &mut Exchange, path: &str) -> Response {
    let cleaned = paths::clean_path(path, true);
    let mut location: Cow<'_, str> = paths::escaped_path(&cleaned);
    if let Some(query) = exchange.target().query().filter(|query| !query.is_empty()) {
        location = format!("{location}?{query}").into();
    }
    let headers = &mut exchange.response_headers;
    let mut body = Body::Empty;
    if !headers.contains_key(CONTENT_TYPE) && matches!(exchange.method, Method::GET | Method::HEAD) {
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
        if exchange.method == Method::GET {
            body = format!(
                "<a href=\"{}\">Permanent Redirect</a>.\n\n",
                escape_html(&location)
            )
            .into();
        }
    }
    // What is escaped fits into a header; if it did not, nothing would be lost but the redirect.
    if let Ok(value) = HeaderValue::try_from(&*location) {
        headers.insert(LOCATION, value);
    }
    Response {
        status: StatusCode::PERMANENT_REDIRECT,
        body,
    }
}

fn escape_html(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&#34;"),
            '\'' => escaped.push_str("&#39;"),
            other => escaped.push(other),
        }
    }
    escaped
}

/// Sets a header to a text, or leaves it if the text does not fit into one.
fn set(headers: &mut http::HeaderMap, name: HeaderName, text: &str) {
    if let Ok(value) = HeaderValue::from_bytes(text.as_bytes()) {
        headers.insert(name, value);
    }
}

/// A path as text; what is not UTF-8 in it is replaced.
fn text(path: &Path) -> Cow<'_, str> {
    path.to_string_lossy()
}

#[cfg(test)]
mod tests;
