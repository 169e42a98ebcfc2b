//! `encode`: compresses responses for clients that can read it.
//!
//! ```caddyfile
//! encode [<matcher>] [<formats…>] {
//!     gzip [<level>]
//!     zstd [fastest|default|better|best] {
//!         level <level>
//!         disable_checksum
//!     }
//!     minimum_length <bytes>
//!     match <response matcher>
//! }
//! ```
//!
//! ```caddyfile
//! example.com {
//!     encode zstd gzip
//!     reverse_proxy web:8080
//! }
//! ```
//!
//! Without formats: zstd, then gzip. The client's wish counts first, then the order of the formats. A response goes
//! out as it is if it is encoded already, says `no-transform`, is a part of something, is not longer than
//! `minimum_length` (512), or is not one of those meant by `match`; without that, it must be of a type that is known
//! to shrink. What was compressed has an `ETag` of its own, with the name of the format at its end; that end is taken
//! off again when the client sends it back.

mod accept;
mod stream;

use std::sync::Arc;

use fairway_caddyfile::{Args, Diagnostic};
use http::header::{
    ACCEPT_RANGES, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_LENGTH, ETAG, HeaderMap, HeaderName, HeaderValue,
    IF_NONE_MATCH, VARY,
};
use http::{Method, StatusCode};
use http_body::Body as _;
use serde::{Deserialize, Serialize};

use crate::adapt::Scope;
use crate::body::Body;
use crate::compile::CompileError;
use crate::directives::{Directive, Parse};
use crate::exchange::Exchange;
use crate::handlers::Flow;
use crate::response_matcher::{self, ResponseMatcher};

pub(crate) use accept::accepted_encodings;
use stream::Format;

pub(crate) const DIRECTIVE: Directive = Directive {
    name: "encode",
    parse: Parse::Handler(parse),
};

/// Caddy's `http.handlers.encode`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// The formats to choose from.
    #[serde(skip_serializing_if = "Encodings::is_empty")]
    pub encodings: Encodings,
    /// Their order if the client has no wish. Default: zstd, gzip.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub prefer: Vec<String>,
    /// Only what is longer is compressed, in bytes. Default: 512.
    #[serde(skip_serializing_if = "is_zero")]
    pub minimum_length: i64,
    /// Which responses are meant. Default: those of a type that is known to shrink.
    #[serde(rename = "match", skip_serializing_if = "Option::is_none")]
    pub matcher: Option<response_matcher::Config>,
}

/// Formats by name.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Encodings {
    /// gzip
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gzip: Option<Gzip>,
    /// Zstandard
    #[serde(skip_serializing_if = "Option::is_none")]
    pub zstd: Option<Zstd>,
}

/// Caddy's `http.encoders.gzip`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Gzip {
    /// From 1, fast, to 9, small; -1 to -3 are other names for fast. Default: 5.
    #[serde(skip_serializing_if = "is_zero")]
    pub level: i64,
}

/// Caddy's `http.encoders.zstd`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Zstd {
    /// `fastest`, `default`, `better` or `best`. Default: `default`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub level: String,
    /// Whether a checksum ends it. Default: yes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub checksum: Option<bool>,
}

impl Encodings {
    fn is_empty(&self) -> bool {
        self.gzip.is_none() && self.zstd.is_none()
    }

    /// Switches a format on as it is by default; false if there is none of that name.
    fn add(&mut self, name: &str) -> bool {
        match name {
            "gzip" => self.gzip = Some(Gzip::default()),
            "zstd" => self.zstd = Some(Zstd::default()),
            _ => return false,
        }
        true
    }

    fn has(&self, name: &str) -> bool {
        match name {
            "gzip" => self.gzip.is_some(),
            "zstd" => self.zstd.is_some(),
            _ => false,
        }
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it so")]
fn is_zero(number: &i64) -> bool {
    *number == 0
}

/// The formats, in the order in which they are preferred by default.
const FORMATS: [&str; 2] = ["zstd", "gzip"];
const SUBDIRECTIVES: [&str; 4] = ["gzip", "zstd", "minimum_length", "match"];
const LEVELS: [&str; 4] = ["fastest", "default", "better", "best"];

/// The default of `minimum_length`.
const MINIMUM_LENGTH: u64 = 512;

fn parse(mut args: Args<'_>, _: &mut Scope<'_>) -> Result<super::Config, Diagnostic> {
    let mut config = Config::default();
    let formats = args.remaining();
    for line in args.block() {
        let mut words = Args::new(line);
        let name = line.name.text.as_str();
        match name {
            "minimum_length" => {
                let length = words.required("a length in bytes")?;
                config.minimum_length = number(length)?;
                words.finish_line()?;
            }
            "match" if config.matcher.is_some() => {
                let message = "`encode` has a response matcher already";
                return Err(words
                    .error("duplicate-option", message)
                    .help("put all conditions into one block"));
            }
            "match" => config.matcher = Some(response_matcher::parse(words)?),
            "gzip" => {
                let level = words.next_arg().map(number).transpose()?;
                words.finish_line()?;
                config.encodings.gzip = Some(Gzip {
                    level: level.unwrap_or_default(),
                });
                config.prefer.push(name.to_owned());
            }
            "zstd" => {
                config.encodings.zstd = Some(parse_zstd(words)?);
                config.prefer.push(name.to_owned());
            }
            _ => return Err(args.unknown_subdirective(line, SUBDIRECTIVES)),
        }
    }
    for format in formats {
        if !config.encodings.add(&format.text) {
            let message = format!("there is no encoding `{}`", format.text);
            return Err(Diagnostic::error("invalid-value", format, message)
                .help("known are `zstd` and `gzip`")
                .did_you_mean(fairway_caddyfile::suggest(&format.text, FORMATS)));
        }
        config.prefer.push(format.text.clone());
    }
    if config.prefer.is_empty() {
        for format in FORMATS {
            config.encodings.add(format);
            config.prefer.push(format.to_owned());
        }
    }
    Ok(super::Config::Encode(Box::new(config)))
}

fn parse_zstd(mut args: Args<'_>) -> Result<Zstd, Diagnostic> {
    let mut zstd = Zstd::default();
    if let Some(token) = args.next_arg() {
        zstd.level = level(token)?;
    }
    args.finish()?;
    for line in args.block() {
        let mut words = Args::new(line);
        match line.name.text.as_str() {
            "level" => {
                let token = words.required("a level")?;
                if !zstd.level.is_empty() {
                    return Err(words.error("duplicate-option", "the level of `zstd` is given already"));
                }
                zstd.level = level(token)?;
            }
            "disable_checksum" if zstd.checksum.is_some() => {
                return Err(words.error("duplicate-option", "the checksum is switched off already"));
            }
            "disable_checksum" => zstd.checksum = Some(false),
            _ => return Err(args.unknown_subdirective(line, ["level", "disable_checksum"])),
        }
        words.finish_line()?;
    }
    Ok(zstd)
}

fn level(token: &fairway_caddyfile::Token) -> Result<String, Diagnostic> {
    let text = token.text.as_str();
    if LEVELS.iter().any(|level| level.eq_ignore_ascii_case(text)) {
        return Ok(text.to_owned());
    }
    let message = format!("`{text}` is no level of zstd");
    Err(Diagnostic::error("invalid-value", token, message)
        .help("levels are `fastest`, `default`, `better` and `best`")
        .did_you_mean(fairway_caddyfile::suggest(text, LEVELS)))
}

fn number(token: &fairway_caddyfile::Token) -> Result<i64, Diagnostic> {
    token.text.parse().map_err(|_| {
        let message = format!("`{}` is no whole number", token.text);
        Diagnostic::error("invalid-value", token, message)
    })
}

impl Config {
    pub(crate) fn compile(&self) -> Result<Encode, CompileError> {
        self.offer().map_err(|error| error.within("encode"))
    }

    fn offer(&self) -> Result<Encode, CompileError> {
        let mut prefer: Vec<Box<str>> = Vec::new();
        for name in &self.prefer {
            if !self.encodings.has(name) {
                return Err(CompileError::new(format!(
                    "`{name}` is preferred, but not switched on"
                )));
            }
            if prefer.iter().any(|known| **known == **name) {
                return Err(CompileError::new(format!("`{name}` is preferred twice")));
            }
            prefer.push(name.as_str().into());
        }
        if prefer.is_empty() {
            let offered = FORMATS.into_iter().filter(|name| self.encodings.has(name));
            prefer.extend(offered.map(Box::from));
        }
        let gzip = self.encodings.gzip.as_ref().map(Gzip::format).transpose()?;
        let zstd = self.encodings.zstd.as_ref().map(Zstd::format).transpose()?;
        let minimum_length = match self.minimum_length {
            0 => MINIMUM_LENGTH,
            length => u64::try_from(length).map_err(|_| {
                CompileError::new(format!("`minimum_length` must not be negative, as {length} is"))
            })?,
        };
        let settings = Settings {
            minimum_length,
            matcher: self.matcher.as_ref().map(response_matcher::Config::compile),
        };
        Ok(Encode {
            gzip,
            zstd,
            prefer: prefer.into(),
            settings: Arc::new(settings),
        })
    }
}

impl Gzip {
    fn format(&self) -> Result<Format, CompileError> {
        let level = match self.level {
            0 | -1 => 5,
            -3..=-2 => 1,
            level @ 1..=9 => level as u32,
            level => {
                let message = format!("the level of gzip must be from -3 to 9, {level} is not");
                return Err(CompileError::new(message));
            }
        };
        Ok(Format::Gzip { level })
    }
}

impl Zstd {
    fn format(&self) -> Result<Format, CompileError> {
        let level = match self.level.to_ascii_lowercase().as_str() {
            "" | "default" => 3,
            "fastest" => 1,
            "better" => 7,
            "best" => 11,
            level => return Err(CompileError::new(format!("`{level}` is no level of zstd"))),
        };
        Ok(Format::Zstd {
            level,
            checksum: self.checksum.unwrap_or(true),
        })
    }
}

/// The run-time form.
#[derive(Debug)]
pub(crate) struct Encode {
    gzip: Option<Format>,
    zstd: Option<Format>,
    prefer: Box<[Box<str>]>,
    settings: Arc<Settings>,
}

#[derive(Debug)]
struct Settings {
    minimum_length: u64,
    /// None: by content type.
    matcher: Option<ResponseMatcher>,
}

impl Encode {
    /// Chooses a format; what becomes of the response is decided when it is there.
    pub(crate) fn handle(&self, exchange: &mut Exchange) -> Flow<'_> {
        if exchange.method != Method::CONNECT
            && may_transform(&exchange.headers)
            && let Some(format) = self.choose(&exchange.headers)
        {
            restore_etag(&mut exchange.headers, format.name());
            exchange.filters.push(super::Filter::Encode(Pending {
                format,
                settings: Arc::clone(&self.settings),
                in_error: exchange.error.is_some(),
            }));
        }
        Flow::Next
    }

    fn choose(&self, headers: &HeaderMap) -> Option<Format> {
        let accepted = accepted_encodings(headers, &self.prefer);
        accepted.into_iter().find_map(|name| match name.as_str() {
            "gzip" => self.gzip,
            "zstd" => self.zstd,
            _ => None,
        })
    }
}

fn may_transform(headers: &HeaderMap) -> bool {
    let cache_control = headers.get(CACHE_CONTROL).map_or(&b""[..], HeaderValue::as_bytes);
    !cache_control.windows(12).any(|window| window == b"no-transform")
}

/// Takes our end off the `ETag` that the client sends back: whoever made it does not know of it.
fn restore_etag(headers: &mut HeaderMap, format: &str) {
    let Some(etag) = headers.get(IF_NONE_MATCH).and_then(|etag| etag.to_str().ok()) else {
        return;
    };
    let ours = etag.strip_suffix('"').and_then(|etag| etag.strip_suffix(format));
    let ours = ours.and_then(|etag| etag.strip_suffix('-'));
    if let Some(before) = ours.filter(|_| !etag.starts_with("W/"))
        && let Ok(restored) = HeaderValue::try_from(format!("{before}\""))
    {
        headers.insert(IF_NONE_MATCH, restored);
    }
}

/// What is done to the response: compression in the chosen format, if the response is one of those meant.
#[derive(Debug)]
pub struct Pending {
    format: Format,
    settings: Arc<Settings>,
    /// Whether it is an error route that compresses.
    in_error: bool,
}

impl Pending {
    pub(crate) fn apply(self, exchange: &mut Exchange, response: &mut super::Response) {
        // An error ends what was begun before it; its routes begin anew.
        if exchange.error.is_some() && !self.in_error {
            return;
        }
        let headers = &mut exchange.response_headers;
        if response.status == StatusCode::NOT_MODIFIED {
            vary(headers);
        }
        if !self.is_meant(response, headers) {
            return;
        }
        headers.remove(CONTENT_LENGTH);
        headers.remove(ACCEPT_RANGES);
        headers.insert(CONTENT_ENCODING, HeaderValue::from_static(self.format.name()));
        vary(headers);
        mark_etag(headers, self.format.name());
        // A HEAD request gets the headers of the compressed response; its body would be thrown away.
        response.body = if exchange.method == Method::HEAD {
            Body::Empty
        } else {
            self.format.compress(response.body.take())
        };
    }

    fn is_meant(&self, response: &super::Response, headers: &HeaderMap) -> bool {
        let status = response.status;
        if status.is_informational()
            || matches!(
                status,
                StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED | StatusCode::PARTIAL_CONTENT
            )
            || headers
                .get(CONTENT_ENCODING)
                .is_some_and(|encoding| !encoding.is_empty())
            || !may_transform(headers)
        {
            return false;
        }
        // A stream of unknown length may be long.
        let announced = headers
            .get(CONTENT_LENGTH)
            .and_then(|length| length.to_str().ok()?.parse().ok());
        let length = match &response.body {
            Body::Empty => Some(announced.unwrap_or(0)),
            body => body.size_hint().exact().or(announced),
        };
        length.is_none_or(|length| length > self.settings.minimum_length)
            && match &self.settings.matcher {
                Some(matcher) => matcher.matches(status, headers),
                None => shrinks(headers),
            }
    }
}

/// Says that the response depends on what the client accepts, if it is not said already.
fn vary(headers: &mut HeaderMap) {
    let said = headers.get_all(VARY).iter().any(|value| {
        let mut names = value.as_bytes().split(|byte| *byte == b',');
        names.any(|name| name.trim_ascii().eq_ignore_ascii_case(b"accept-encoding"))
    });
    if !said {
        headers.append(VARY, HeaderValue::from_static("Accept-Encoding"));
    }
}

/// A strong `ETag` names one sequence of bytes, so the compressed one needs another.
fn mark_etag(headers: &mut HeaderMap, format: &str) {
    let Some(etag) = headers.get(ETAG).map(HeaderValue::as_bytes) else {
        return;
    };
    if etag.is_empty() || etag.starts_with(b"W/") {
        return;
    }
    let before = etag.strip_suffix(b"\"").unwrap_or(etag);
    let marked = [before, b"-", format.as_bytes(), b"\""].concat();
    if let Ok(marked) = HeaderValue::from_bytes(&marked) {
        headers.insert(ETAG, marked);
    }
}

/// Whether the content is of a type that is known to shrink.
fn shrinks(headers: &HeaderMap) -> bool {
    const CONTENT_TYPE: HeaderName = http::header::CONTENT_TYPE;
    let mut types = headers.get_all(CONTENT_TYPE).iter();
    types.any(|value| {
        SHRINKING
            .iter()
            .any(|prefix| value.as_bytes().starts_with(prefix.as_bytes()))
    })
}

/// How the types begin that are known to shrink.
const SHRINKING: [&str; 35] = [
    "application/atom+xml",
    "application/eot",
    "application/font",
    "application/geo+json",
    "application/graphql+json",
    "application/graphql-response+json",
    "application/javascript",
    "application/json",
    "application/ld+json",
    "application/manifest+json",
    "application/opentype",
    "application/otf",
    "application/rss+xml",
    "application/truetype",
    "application/ttf",
    "application/vnd.api+json",
    "application/vnd.ms-fontobject",
    "application/wasm",
    "application/x-httpd-cgi",
    "application/x-javascript",
    "application/x-opentype",
    "application/x-otf",
    "application/x-perl",
    "application/x-protobuf",
    "application/x-ttf",
    "application/xhtml+xml",
    "application/xml",
    "font/ttf",
    "font/otf",
    "image/svg+xml",
    "image/vnd.microsoft.icon",
    "image/x-icon",
    "multipart/bag",
    "multipart/mixed",
    "text/",
];

#[cfg(test)]
mod tests;
