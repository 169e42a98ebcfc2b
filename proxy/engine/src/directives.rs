//! The ordered table of directives. Its order is meaning: it is the order in which the directives of a block run,
//! whatever the order in which they are written (Caddy's default order). Those without an order change the site.
//!
//! Who may write what is told by one list, [`tenancy`](crate::adapt::tenancy); what is not on it is the operator's alone.

mod abort;
pub(crate) mod bind;
mod forward_auth;
mod fs;
mod handle;
mod handle_errors;
mod handle_path;
mod log;
mod log_name;
mod log_skip;
mod method;
mod php_fastcgi;
mod redir;
mod root;
mod route;
mod tls;
mod try_files;
mod uri;

use fairway_caddyfile::{Args, Diagnostic};

use crate::adapt::{Scope, SiteValue};
use crate::config::Route;
use crate::handlers::{
    self, acme_server, authentication, copy_response, encode, error, file_server, headers, intercept, invoke,
    log_append, map, metrics, push, request_body, respond, reverse_proxy, rewrite, templates, timeouts,
    tracing, vars,
};
use crate::matchers::Set;

/// A directive: its name, and how it is read.
pub(crate) struct Directive {
    pub name: &'static str,
    pub parse: Parse,
}

/// Reads the arguments of a directive.
type Read<T> = fn(Args<'_>, &mut Scope<'_>) -> Result<T, Diagnostic>;

/// Reads the arguments of a directive behind its matcher.
type ReadMatched<T> = fn(Args<'_>, Option<Set>, &mut Scope<'_>) -> Result<T, Diagnostic>;

/// What a directive becomes.
pub(crate) enum Parse {
    /// One handler. The matcher in front of the arguments is read already.
    Handler(Read<handlers::Config>),
    /// Any number of routes, which stay together and in this order. The matcher, if there is one, is read already and
    /// handed over: it is for the directive to put it into its routes.
    Routes(ReadMatched<Vec<Route>>),
    /// The same, but the directive reads its matcher itself, with [`Scope::matcher_token`].
    OwnMatcher(Read<Vec<Route>>),
    /// Routes as with [`Routes`](Parse::Routes), and what it says about the site beside them; what it
    /// says is lost in a block of the site, and refused in a `route`.
    RoutesAndSite(ReadMatched<(Vec<Route>, Vec<SiteValue>)>),
    /// No route: it changes the site. Takes no matcher.
    Site(Read<Vec<SiteValue>>),
}

/// All directives: first those that run, in their order, then those that change the site.
pub(crate) const DIRECTIVES: &[Directive] = &[
    tracing::DIRECTIVE,
    map::DIRECTIVE,
    vars::DIRECTIVE,
    fs::DIRECTIVE,
    root::DIRECTIVE,
    log_append::DIRECTIVE,
    log_skip::DIRECTIVE_OLD_NAME,
    log_skip::DIRECTIVE,
    log_name::DIRECTIVE,
    headers::HEADER,
    copy_response::HEADERS,
    request_body::DIRECTIVE,
    timeouts::DIRECTIVE,
    redir::DIRECTIVE,
    method::DIRECTIVE,
    rewrite::DIRECTIVE,
    uri::DIRECTIVE,
    try_files::DIRECTIVE,
    authentication::DIRECTIVE_OLD_NAME,
    authentication::DIRECTIVE,
    forward_auth::DIRECTIVE,
    headers::REQUEST_HEADER,
    encode::DIRECTIVE,
    push::DIRECTIVE,
    intercept::DIRECTIVE,
    templates::DIRECTIVE,
    invoke::DIRECTIVE,
    handle::DIRECTIVE,
    handle_path::DIRECTIVE,
    route::DIRECTIVE,
    abort::DIRECTIVE,
    error::DIRECTIVE,
    copy_response::DIRECTIVE,
    respond::DIRECTIVE,
    metrics::DIRECTIVE,
    reverse_proxy::DIRECTIVE,
    php_fastcgi::DIRECTIVE,
    file_server::DIRECTIVE,
    acme_server::DIRECTIVE,
    // Not handlers, and so without an order.
    bind::DIRECTIVE,
    handle_errors::DIRECTIVE,
    log::DIRECTIVE,
    tls::DIRECTIVE,
];
