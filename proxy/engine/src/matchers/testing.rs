//! What the tests of matchers share: a matcher as it is written, and a request to ask it about.

use std::sync::Arc;

use fairway_caddyfile::{Options, Origin, Source, parse};

use super::{Set, Unanswered, match_all};
use crate::adapt::matcher::read_lines;
use crate::body::Body;
use crate::error::HandlerError;
use crate::exchange::{Connection, Exchange, Tls};

/// The set that lines of a definition named `m` give, or the mistake in one line.
pub(crate) fn read(lines: &str) -> Result<Set, String> {
    let source = Source::new(
        Origin::operator("Caddyfile"),
        "Caddyfile",
        format!(":80\n{lines}\n"),
    );
    let parsed = parse(source, &Options::default());
    if let Some(mistake) = parsed.diagnostics.first() {
        return Err(mistake.message.clone());
    }
    let mut set = Set::default();
    read_lines(&parsed.file.sites[0].block.segments, "m", &mut set).map_err(|mistake| mistake.message)?;
    Ok(set)
}

/// Whether reading the lines gives this JSON.
#[track_caller]
pub(crate) fn check_json(lines: &str, expected: &str) {
    let set = read(lines).unwrap_or_else(|mistake| panic!("{lines}: {mistake}"));
    let json = serde_json::to_value(&set).unwrap();
    assert_eq!(
        json,
        serde_json::from_str::<serde_json::Value>(expected).unwrap(),
        "{lines}"
    );
    assert_eq!(
        serde_json::from_value::<Set>(json).unwrap(),
        set,
        "{lines}: read back"
    );
}

/// Whether the lines are refused for this reason.
#[track_caller]
pub(crate) fn check_refused(lines: &str, expected: &str) {
    assert_eq!(read(lines), Err(expected.to_owned()), "{lines}");
}

/// Whether the lines are read, and refused when compiled, for a reason that holds these words.
#[track_caller]
pub(crate) fn check_not_compiled(lines: &str, expected: &str) {
    let set = read(lines).unwrap_or_else(|mistake| panic!("{lines}: {mistake}"));
    let error = set.compile().expect_err(lines).to_string();
    assert!(error.contains(expected), "{lines}: {error}");
}

/// Whether a request matches: `METHOD TARGET`, then headers, `Name: value`, one a line.
#[track_caller]
pub(crate) fn check(lines: &str, request: &str, expected: bool) {
    let found = ask(lines, &mut exchange(request));
    assert_eq!(found, Ok(expected), "{lines}: {request}");
}

/// What the lines say of a request.
#[track_caller]
pub(crate) fn ask(lines: &str, exchange: &mut Exchange) -> Result<bool, HandlerError> {
    let set = read(lines).unwrap_or_else(|mistake| panic!("{lines}: {mistake}"));
    let matchers = set.compile().unwrap_or_else(|error| panic!("{lines}: {error}"));
    loop {
        match match_all(&matchers, exchange) {
            Ok(answer) => return Ok(answer),
            Err(Unanswered::Error(error)) => return Err(error),
            Err(Unanswered::NeedsFiles(lookup)) => {
                let answer = lookup.run();
                exchange.files.push((*lookup, answer));
            }
        }
    }
}

/// A request from 192.0.2.1 without TLS.
pub(crate) fn exchange(request: &str) -> Exchange {
    with_connection(request, "192.0.2.1:1234", None)
}

/// A request on a connection from an address, perhaps with TLS.
pub(crate) fn with_connection(request: &str, remote: &str, tls: Option<Tls>) -> Exchange {
    let mut lines = request.lines();
    let (method, target) = lines.next().unwrap().split_once(' ').unwrap();
    let mut builder = http::Request::builder().method(method).uri(target);
    for line in lines {
        let (name, value) = line.split_once(": ").unwrap();
        builder = builder.header(name, value);
    }
    let local = "192.0.2.9:80".parse().unwrap();
    let connection = Connection::new(remote.parse().unwrap(), local, tls);
    Exchange::new(builder.body(Body::Empty).unwrap(), Arc::new(connection))
}
