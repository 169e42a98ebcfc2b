//! Why a request over HTTP/1.1 failed.

use std::error::Error;
use std::fmt;
use std::io;

use fairway_engine::body::BodyError;

/// Why a request failed.
#[derive(Debug)]
pub(crate) enum Fault {
    /// The upstream closed the connection before any part of a response.
    Closed,
    /// It closed the connection within the response.
    Cut,
    /// The socket failed.
    Io(io::Error),
    /// The response is none of HTTP/1.1.
    Response(&'static str),
    /// The head of the response, or what else has a limit, is too long.
    TooLarge,
    /// It switched protocols, and was not asked to.
    Unasked,
    /// The body of the request cannot be sent.
    Body(BodyError),
}

impl Fault {
    /// Whether the request's body is to blame.
    pub(super) fn is_body(&self) -> bool {
        matches!(self, Self::Body(_))
    }

    /// Whether the connection ended and nothing else is wrong.
    pub(crate) fn is_loss(&self) -> bool {
        match self {
            Self::Closed | Self::Cut => true,
            Self::Io(error) => is_loss(error),
            _ => false,
        }
    }
}

/// Whether a socket failed because the other side is gone.
pub(crate) fn is_loss(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe | io::ErrorKind::UnexpectedEof
    )
}

impl From<io::Error> for Fault {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Closed => formatter.write_str("the upstream closed the connection without a response"),
            Self::Cut => {
                formatter.write_str("the upstream closed the connection before the end of the response")
            }
            Self::Io(error) => write!(formatter, "the connection failed: {error}"),
            Self::Response(what) => write!(formatter, "the upstream's response is not valid: {what}"),
            Self::TooLarge => formatter.write_str("the head of the upstream's response is too long"),
            Self::Unasked => formatter.write_str("the upstream switched protocols without being asked to"),
            Self::Body(error) => write!(formatter, "the request's body: {error}"),
        }
    }
}

impl Error for Fault {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Io(error) => Some(error),
            Self::Body(error) => Some(&**error),
            _ => None,
        }
    }
}
