//! `request_body` limits the body of a request, or replaces it.
//!
//! ```caddyfile
//! request_body [<matcher>] {
//!     max_size      <size>
//!     read_timeout  <duration>
//!     write_timeout <duration>
//!     set           <text>
//! }
//! ```
//!
//! A limit counts when the body is read: whoever reads beyond `max_size` gets 413, whoever waits beyond `read_timeout` 408.
//! A text that is set may hold placeholders, and comes before the limits. `write_timeout` is not there yet.
//! Caddy: `http.handlers.request_body`.
//!
//! ```caddyfile
//! request_body /upload/* {
//!     max_size 10MB
//! }
//! ```

use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};

use bytes::{Bytes, BytesMut};
use fairway_caddyfile::{Args, Diagnostic};
use http::HeaderValue;
use http::header::{CONTENT_LENGTH, TRANSFER_ENCODING};
use http_body::{Body as _, Frame, SizeHint};
use http_body_util::BodyExt as _;
use serde::{Deserialize, Serialize};

use super::reverse_proxy::read_size;
use crate::adapt::Scope;
use crate::body::{Body, BodyError, ClientFault};
use crate::compile::CompileError;
use crate::directives::{Directive, Parse};
use crate::error::HandlerError;
use crate::exchange::Exchange;
use crate::template::{Template, Unknown};
use crate::values::Duration;
use crate::world::World;

pub(crate) const DIRECTIVE: Directive = Directive {
    name: "request_body",
    parse: Parse::Handler(parse),
};

/// How much of a body is held for placeholders, in bytes; to read a longer one for them is refused with 413.
const HELD: u64 = 1024 * 1024;

/// Limits of a body, and what to replace it by.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// The most bytes that can be read; 0: any number.
    #[serde(skip_serializing_if = "is_zero")]
    pub max_size: i64,
    /// How long reading may take, from this handler on.
    #[serde(skip_serializing_if = "Duration::is_zero")]
    pub read_timeout: Duration,
    /// How long the response may take; it is not served yet.
    #[serde(skip_serializing_if = "Duration::is_zero")]
    pub write_timeout: Duration,
    /// The body instead of what the client sent; may hold placeholders.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub set: String,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it so")]
fn is_zero(number: &i64) -> bool {
    *number == 0
}

fn parse(args: Args<'_>, _scope: &mut Scope<'_>) -> Result<super::Config, Diagnostic> {
    let mut config = Config::default();
    args.finish()?;
    for line in args.block() {
        let mut words = Args::new(line);
        match line.name.text.as_str() {
            "max_size" => config.max_size = read_size(&mut words)?,
            "read_timeout" => config.read_timeout = timeout(&mut words)?,
            "write_timeout" => config.write_timeout = timeout(&mut words)?,
            "set" => config.set.clone_from(&words.required("a text")?.text),
            _ => {
                let known = ["max_size", "read_timeout", "write_timeout", "set"];
                return Err(args.unknown_subdirective(line, known));
            }
        }
        words.finish_line()?;
    }
    Ok(super::Config::RequestBody(config))
}

/// A duration as Go reads it: Caddy's `d` for days is not known here.
fn timeout(words: &mut Args<'_>) -> Result<Duration, Diagnostic> {
    let token = words.required("a duration")?;
    Duration::parse_without_days(&token.text).map_err(|error| {
        let message = format!("`{}` is not a duration: {error}", token.text);
        Diagnostic::error("invalid-value", token, message)
    })
}

/// The run-time form.
#[derive(Debug)]
pub(crate) struct RequestBody {
    max_size: Option<u64>,
    read_timeout: Option<std::time::Duration>,
    set: Option<Template>,
}

impl Config {
    pub(crate) fn compile(&self) -> Result<RequestBody, CompileError> {
        if self.write_timeout.to_std().is_some() {
            return Err(CompileError::new("`write_timeout` is not there yet").within("request_body"));
        }
        Ok(RequestBody {
            max_size: u64::try_from(self.max_size).ok().filter(|&size| size > 0),
            read_timeout: self.read_timeout.to_std(),
            set: (!self.set.is_empty()).then(|| Template::new(&self.set)),
        })
    }
}

impl RequestBody {
    /// Puts the limits around the body; nothing is read.
    pub(crate) fn handle<W: World>(&self, exchange: &mut Exchange, world: &W) {
        if let Some(template) = &self.set {
            let text = template.fill(exchange, Unknown::Empty).into_owned();
            exchange.headers.remove(TRANSFER_ENCODING);
            let length = HeaderValue::from(text.len());
            exchange.headers.insert(CONTENT_LENGTH, length);
            exchange.body = text.into();
        }
        let mut body = exchange.body.take();
        let too_long = |limit: &u64| body.size_hint().upper().is_none_or(|length| length > *limit);
        let left = self.max_size.filter(too_long);
        if let Some(limit) = self.read_timeout
            && matches!(body, Body::Stream(_))
        {
            body = world.within(body, limit);
        } else if left.is_none() {
            exchange.body = body;
            return;
        }
        exchange.body = Body::stream(Limited {
            inner: body,
            limit: left,
            left: left.unwrap_or(u64::MAX),
            fault: Arc::clone(exchange.client_fault.get_or_insert_default()),
        });
    }
}

/// Reads the whole body, so that placeholders can tell it. Dropping the future loses what was read.
pub(crate) async fn hold(exchange: &mut Exchange) -> Result<(), HandlerError> {
    let mut stream = match exchange.body.take() {
        Body::Stream(stream) => stream,
        held => {
            exchange.body = held;
            return Ok(());
        }
    };
    let too_large = || HandlerError::from(&ClientFault::TooLarge(HELD));
    if stream.size_hint().exact().is_some_and(|length| length > HELD) {
        return Err(too_large());
    }
    let mut read = BytesMut::new();
    while let Some(frame) = stream.frame().await {
        let frame = frame.map_err(|error| match exchange.fault() {
            Some(fault) => fault.into(),
            None => HandlerError::new(400, format!("reading the request's body: {error}")),
        })?;
        let data = frame.into_data().unwrap_or_default();
        if (read.len() + data.len()) as u64 > HELD {
            return Err(too_large());
        }
        read.extend_from_slice(&data);
    }
    exchange.body = read.freeze().into();
    Ok(())
}

/// A body of which no more than a part can be read.
struct Limited {
    inner: Body,
    limit: Option<u64>,
    left: u64,
    /// Where others find out why it ended.
    fault: Arc<OnceLock<ClientFault>>,
}

impl Limited {
    fn fail(&self, fault: ClientFault) -> BodyError {
        let error = Box::new(fault.clone());
        // The first fault counts.
        let _ = self.fault.set(fault);
        error
    }
}

impl http_body::Body for Limited {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        if let Some(limit) = self.limit
            && self.inner.size_hint().lower() > self.left
        {
            // No need to wait for what is sure to be too much.
            return Poll::Ready(Some(Err(self.fail(ClientFault::TooLarge(limit)))));
        }
        let frame = std::task::ready!(Pin::new(&mut self.inner).poll_frame(context));
        Poll::Ready(match frame {
            Some(Ok(frame)) => {
                let length = frame.data_ref().map_or(0, Bytes::len) as u64;
                match (self.left.checked_sub(length), self.limit) {
                    (None, Some(limit)) => Some(Err(self.fail(ClientFault::TooLarge(limit)))),
                    (left, _) => {
                        self.left = left.unwrap_or_default();
                        Some(Ok(frame))
                    }
                }
            }
            Some(Err(error)) => Some(Err(match error.downcast::<ClientFault>() {
                Ok(fault) => self.fail(*fault),
                Err(error) => error,
            })),
            None => None,
        })
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use std::future::Future;
    use std::pin::pin;
    use std::task::Waker;

    use serde_json::json;

    use super::*;
    use crate::test_util::{NoWorld, answer, check_handlers as check, exchange, handlers};

    /// Chunks without a known length.
    struct Chunks(std::vec::IntoIter<&'static str>);

    impl http_body::Body for Chunks {
        type Data = Bytes;
        type Error = BodyError;

        fn poll_frame(
            mut self: Pin<&mut Self>,
            _context: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
            Poll::Ready(self.0.next().map(|chunk| match chunk {
                "fail" => Err("the client is gone".into()),
                "slow" => Err(Box::new(ClientFault::TooSlow(std::time::Duration::from_secs(1))) as BodyError),
                chunk => Ok(Frame::data(chunk.into())),
            }))
        }
    }

    fn now<T>(future: impl Future<Output = T>) -> T {
        match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(value) => value,
            Poll::Pending => panic!("nothing here waits"),
        }
    }

    /// What can be held of a body behind the handler: its text, or a status.
    #[track_caller]
    fn check_held(config: &Config, chunks: &[&'static str], expected: &str) {
        let mut exchange = exchange("POST /x");
        exchange.body = Body::stream(Chunks(Vec::from(chunks).into_iter()));
        config.compile().unwrap().handle(&mut exchange, &NoWorld);
        let held = match now(hold(&mut exchange)) {
            Ok(()) => Template::new("{http.request.body}")
                .fill(&exchange, Unknown::Keep)
                .into_owned(),
            Err(error) => error.status.to_string(),
        };
        assert_eq!(held, expected, "{config:?}: {chunks:?}");
    }

    #[test]
    fn options_are_read() {
        check("request_body", &json!([{"handler": "request_body"}]));
        check(
            "request_body {\nmax_size 1MiB\nread_timeout 1s\nwrite_timeout 1m\nset \"{a} b\"\n}",
            &json!([{
                "handler": "request_body",
                "max_size": 1_048_576,
                "read_timeout": 1_000_000_000,
                "write_timeout": 60_000_000_000_i64,
                "set": "{a} b",
            }]),
        );
    }

    #[test]
    fn mistakes_are_told() {
        for (line, mistake) in [
            (
                "request_body 1MB",
                "2:14: `request_body` takes no further argument, but `1MB` follows",
            ),
            ("request_body {\nmax_size\n}", "3:1: `max_size` needs a size"),
            (
                "request_body {\nmax_size 1 MB\n}",
                "3:12: `max_size` takes no further argument, but `MB` follows",
            ),
            (
                "request_body {\nset a b\n}",
                "3:7: `set` takes no further argument, but `b` follows",
            ),
            ("request_body {\nset\n}", "3:1: `set` needs a text"),
            (
                "request_body {\nmaxsize 1\n}",
                "3:1: `request_body` has no subdirective `maxsize`; did you mean `max_size`?",
            ),
        ] {
            check(line, &json!(format!("Caddyfile:{mistake}")));
        }
        let size = handlers("request_body {\nmax_size much\n}").to_string();
        assert!(size.contains("`much` is not a size"), "{size}");
        let timeout = handlers("request_body {\nread_timeout 1\n}").to_string();
        assert!(timeout.contains("`1` is not a duration"), "{timeout}");
        let write = Config {
            write_timeout: Duration(1),
            ..Config::default()
        };
        write.compile().unwrap_err();
    }

    #[test]
    fn no_more_can_be_read_than_the_limit() {
        let max = |max_size| Config {
            max_size,
            ..Config::default()
        };
        check_held(&max(0), &["0123", "456"], "0123456");
        check_held(&max(7), &["0123", "456"], "0123456");
        check_held(&max(6), &["0123", "456"], "413");
        check_held(&max(7), &["0123", "fail"], "400");
        check_held(&max(7), &["0123", "slow"], "408");
        check_held(&max(7), &[], "");
        let replaced = Config {
            max_size: 3,
            set: "{http.request.method}".to_owned(),
            ..Config::default()
        };
        check_held(&replaced, &["0123"], "413");
        let fits = Config {
            max_size: 4,
            ..replaced
        };
        check_held(&fits, &["0123456"], "POST");
    }

    #[test]
    fn no_more_is_held_than_the_bound() {
        let half: &'static str = "x".repeat(HELD as usize / 2).leak();
        check_held(&Config::default(), &[half, half], &half.repeat(2));
        check_held(&Config::default(), &[half, half, "x"], "413");
    }

    #[test]
    fn whoever_tells_the_body_finds_it() {
        let text = "request_body {\nset \"{method} ü\"\n}\nhandle {\nheader B {http.request.body_base64}\n\
                    @b vars {http.request.body} \"POST ü\"\nhandle @b {\nrespond 204\n}\nrespond 404\n}";
        assert_eq!(answer(text, "POST /"), (204, "b: UE9TVCDDvA==".to_owned()));
        assert_eq!(answer(text, "GET /").0, 404);
    }
}
