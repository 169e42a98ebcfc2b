//! A request that a handler cannot answer: it goes to the error routes, or becomes a bare status.

use std::borrow::Cow;

/// Ends the chain of handlers. `handle_errors` sees it as `{err.status_code}` and `{err.message}`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{status}: {message}")]
pub struct HandlerError {
    /// The status that the client gets, unless an error route says otherwise.
    pub status: u16,
    /// What happened, for the log and `{err.message}`; never shown to the client by itself.
    pub message: Cow<'static, str>,
}

impl HandlerError {
    /// An error with a status and what happened.
    pub fn new(status: u16, message: impl Into<Cow<'static, str>>) -> Self {
        Self {
            status,
            message: message.into(),
        }
    }

    /// Something in this process or its config is not as it must be: 500.
    pub fn internal(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(500, message)
    }
}
