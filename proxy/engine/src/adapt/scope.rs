//! A block of directives while it is read: which matchers have names in it, and where its mistakes go.

use std::collections::{BTreeSet, HashMap};
use std::rc::Rc;

use fairway_caddyfile::{Args, Block, Diagnostic, Segment, Token, suggest};

use super::consolidate::consolidate;
use super::matcher::{self, Named};
use super::order::{Item, Order};
use super::tenancy::{self, Judgement};
use super::{GlobalOptions, SideFiles};
use crate::cluster::Cluster;
use crate::config::{Errors, Log, Route, TlsConnectionPolicy};
use crate::directives::bind::Bind;
use crate::directives::{DIRECTIVES, Directive, Parse};
use crate::handlers::subroute;
use crate::matchers::Set;

/// What a directive says about its site, beside routes.
#[derive(Debug)]
pub(crate) enum SiteValue {
    /// `handle_errors`
    Errors(Errors),
    /// `tls`: how TLS is spoken.
    TlsPolicy(TlsConnectionPolicy),
    /// `tls`: how the certificate is got; the policy's subjects are the site's.
    Automation(crate::config::Policy),
    /// `tls CERT KEY`: a certificate of files, with the tag by which the policy chooses it.
    CertificateFiles {
        certificate: String,
        key: String,
        tag: String,
    },
    /// `tls { load FOLDER }`: certificates of all files in folders.
    CertificateFolders(Vec<String>),
    /// `tls force_automate`
    ForceAutomate,
    /// `acme_server { ca NAME }`: an authority of one's own.
    Authority(String),
    /// `log`
    Log(SiteLog),
    /// `bind`: where the site listens.
    Bind(Bind),
}

/// A `log` directive.
#[derive(Debug)]
pub(crate) struct SiteLog {
    /// The logger's name; one is made up without it.
    pub name: Option<String>,
    /// The hosts it is for, if not those of the site.
    pub hostnames: Vec<String>,
    /// `no_hostname`: it is for no host by itself.
    pub no_hostname: bool,
    pub log: Log,
}

/// What all blocks of one file share.
#[derive(Default)]
pub(crate) struct Shared {
    pub diagnostics: Vec<Diagnostic>,
    pub options: GlobalOptions,
    /// The order of directives, after `order`.
    pub order: Order,
    /// The names of the file's named routes.
    pub named_routes: Vec<String>,
    /// The tags given to certificates of files, by their paths: `cert0`, `cert1`.
    pub certificate_tags: HashMap<String, String>,
    /// The other objects, if the text belongs to one of a cluster.
    pub cluster: Option<Rc<dyn Cluster>>,
    /// Certificates that are to be copied into the config.
    pub side_files: SideFiles,
    /// How many loggers of sites got a name by their number: `log0`, `log1`.
    pub numbered_loggers: usize,
}

/// A block of directives while it is read.
pub(crate) struct Scope<'a> {
    pub shared: &'a mut Shared,
    /// Numbers the groups of the site.
    groups: &'a mut u32,
    /// The named routes that were invoked, for the servers that need them.
    pub invoked: &'a mut Vec<String>,
    /// By name, with `@`.
    matchers: Rc<Named>,
    /// The files that the site or named route was read from, in the order of their names.
    files: Option<BTreeSet<String>>,
}

impl<'a> Scope<'a> {
    /// The outermost block of a site or named route.
    pub(crate) fn new(shared: &'a mut Shared, groups: &'a mut u32, invoked: &'a mut Vec<String>) -> Self {
        Self {
            shared,
            groups,
            invoked,
            matchers: Rc::default(),
            files: None,
        }
    }

    /// The files that the outermost block was read from; none if it comes from no file.
    pub(crate) fn files(&self) -> impl Iterator<Item = String> {
        self.files.iter().flatten().cloned()
    }

    /// Takes note of a mistake, or a warning, and goes on.
    pub(crate) fn report(&mut self, diagnostic: Diagnostic) {
        self.shared.diagnostics.push(diagnostic);
    }

    /// Takes note of a mistake if there is one.
    pub(crate) fn check<T>(&mut self, result: Result<T, Diagnostic>) -> Option<T> {
        result.map_err(|mistake| self.report(mistake)).ok()
    }

    /// Reads a matcher if the next argument is one: `*`, a path, or `@name`. `Ok(None)` leaves the argument where it
    /// is; `Some(None)` is `*`.
    #[expect(
        clippy::option_option,
        reason = "no matcher, the matcher for all, and a set are three things"
    )]
    pub(crate) fn matcher_token(&mut self, args: &mut Args<'_>) -> Result<Option<Option<Set>>, Diagnostic> {
        let Some(token) = args.peek() else { return Ok(None) };
        let set = self.matcher(token)?;
        if set.is_some() {
            args.next_arg();
        }
        Ok(set)
    }

    /// The matcher that a token names, if it looks like one.
    #[expect(
        clippy::option_option,
        reason = "no matcher, the matcher for all, and a set are three things"
    )]
    pub(crate) fn matcher(&mut self, token: &Token) -> Result<Option<Option<Set>>, Diagnostic> {
        if token.text == "*" {
            return Ok(Some(None));
        }
        if token.text.starts_with('/') {
            let path = crate::matchers::path::Config(vec![token.text.clone()]);
            return Ok(Some(Some(Set {
                path: Some(path),
                ..Set::default()
            })));
        }
        if !token.text.starts_with('@') {
            return Ok(None);
        }
        if let Some(defined) = self.matchers.get(&token.text) {
            return Ok(Some(Some(defined.set.clone())));
        }
        let name = &token.text;
        Err(Diagnostic::error(
            "unknown-matcher",
            token,
            format!("there is no matcher `{name}` here"),
        )
        .label("not defined in this block or around it")
        .did_you_mean(suggest(name, self.matchers.keys().map(String::as_str))))
    }

    /// Reads the lines of a directive's block as directives; they run in the order of the table.
    pub(crate) fn subroute(&mut self, args: &Args<'_>) -> subroute::Config {
        self.block(args.segment().block.as_ref(), true)
    }

    /// The same; they run in the order in which they are written.
    pub(crate) fn subroute_as_written(&mut self, args: &Args<'_>) -> subroute::Config {
        self.block(args.segment().block.as_ref(), false)
    }

    /// Reads directives that all give routes, in the order of the table.
    pub(crate) fn routes(&mut self, segments: &[Segment]) -> Vec<Route> {
        self.routes_of_block(segments, true)
    }

    fn block(&mut self, block: Option<&Block>, sorted: bool) -> subroute::Config {
        subroute::Config {
            routes: self.routes_of_block(block.map_or(&[][..], |block| &block.segments), sorted),
            ..subroute::Config::default()
        }
    }

    fn routes_of_block(&mut self, segments: &[Segment], sorted: bool) -> Vec<Route> {
        let (items, values) = self.items(segments);
        for (segment, values) in &values {
            // As in Caddy, such a handler is taken here, but its authority is none of the config's.
            let authority = |value: &SiteValue| matches!(value, SiteValue::Authority(_));
            if sorted && values.iter().all(authority) {
                continue;
            }
            let name = &segment.name.text;
            let message = format!("`{name}` belongs directly into a site, not into a block of it");
            self.report(Diagnostic::error("misplaced-directive", *segment, message));
        }
        self.assemble(items, sorted)
    }

    /// Reads directives: those that give routes, and what the others say about the site.
    pub(crate) fn items<'s>(
        &mut self,
        segments: &'s [Segment],
    ) -> (Vec<Item>, Vec<(&'s Segment, Vec<SiteValue>)>) {
        if self.files.is_none() {
            self.files = Some(files_of(segments));
        }
        let outer = Rc::clone(&self.matchers);
        for segment in segments
            .iter()
            .filter(|segment| segment.name.text.starts_with('@'))
        {
            let defined = matcher::define(segment, Rc::make_mut(&mut self.matchers));
            self.check(defined);
        }
        let (mut items, mut values) = (Vec::new(), Vec::new());
        for segment in segments
            .iter()
            .filter(|segment| !segment.name.text.starts_with('@'))
        {
            let read = self.directive(segment, &mut items);
            if let Some(Some(value)) = self.check(read) {
                values.push((segment, value));
            }
        }
        self.matchers = outer;
        (items, values)
    }

    /// Reads a directive, if its author may write it.
    fn directive(
        &mut self,
        segment: &Segment,
        items: &mut Vec<Item>,
    ) -> Result<Option<Vec<SiteValue>>, Diagnostic> {
        let Judgement { refused, unlisted } = tenancy::judge(segment);
        if !refused.is_empty() {
            self.shared.diagnostics.extend(refused);
            return Ok(None);
        }
        let values = self.read(find(segment)?, segment, items)?;
        unlisted.map_or(Ok(values), Err)
    }

    fn read(
        &mut self,
        directive: &Directive,
        segment: &Segment,
        items: &mut Vec<Item>,
    ) -> Result<Option<Vec<SiteValue>>, Diagnostic> {
        let mut args = Args::new(segment);
        let routes = match directive.parse {
            Parse::Handler(parse) => {
                let set = self.matcher_token(&mut args)?.flatten();
                vec![Route::new(set, parse(args, self)?)]
            }
            Parse::Routes(parse) => {
                let set = self.matcher_token(&mut args)?.flatten();
                parse(args, set, self)?
            }
            Parse::RoutesAndSite(parse) => {
                let set = self.matcher_token(&mut args)?.flatten();
                let (routes, values) = parse(args, set, self)?;
                items.extend(Item::of(directive.name, segment, routes));
                return Ok(Some(values).filter(|values| !values.is_empty()));
            }
            Parse::OwnMatcher(parse) => parse(args, self)?,
            Parse::Site(parse) => return parse(args, self).map(Some),
        };
        items.extend(Item::of(directive.name, segment, routes));
        Ok(None)
    }

    /// Puts routes in their order, gives those that exclude each other a group, and joins neighbours.
    pub(crate) fn assemble(&mut self, mut items: Vec<Item>, sorted: bool) -> Vec<Route> {
        if sorted {
            self.shared.order.sort(&mut items);
        }
        // The groups are numbered in this order, whether used or not; a rewrite always has one, so that it is never
        // joined with its neighbours.
        for name in ["handle", "rewrite", "root"] {
            let members = items.iter().filter(|item| item.directive == name).count();
            if members > 1 || name == "rewrite" {
                let group = self.next_group();
                for item in items.iter_mut().filter(|item| item.directive == name) {
                    item.routes
                        .iter_mut()
                        .for_each(|route| route.group = Some(group.clone()));
                }
            }
        }
        consolidate(items.into_iter().flat_map(|item| item.routes))
    }

    /// A group's name, new in this site.
    pub(crate) fn next_group(&mut self) -> String {
        let group = format!("group{}", self.groups);
        *self.groups += 1;
        group
    }
}

/// The files that lines were read from, those of snippets included.
fn files_of(segments: &[Segment]) -> BTreeSet<String> {
    let mut files = BTreeSet::new();
    for segment in segments {
        segment.tokens(&mut |token| {
            if let Some(path) = token.home.path().and_then(std::path::Path::to_str)
                && !files.contains(path)
            {
                files.insert(path.to_owned());
            }
        });
    }
    files
}

/// The directive that a line names.
fn find(segment: &Segment) -> Result<&'static Directive, Diagnostic> {
    let name = segment.name.text.as_str();
    let Some(directive) = DIRECTIVES.iter().find(|directive| directive.name == name) else {
        let message = format!("there is no directive `{name}`");
        let diagnostic = Diagnostic::error("unknown-directive", segment, message).label("not known here");
        return Err(match instead(name) {
            Some(help) => diagnostic.help(help),
            None => diagnostic.did_you_mean(suggest(name, DIRECTIVES.iter().map(|known| known.name))),
        });
    };
    Ok(directive)
}

/// What to write in place of something that is no mistyped directive: a word of another server, or another part of a
/// Caddyfile.
fn instead(name: &str) -> Option<String> {
    if name.starts_with('/') {
        return Some(format!(
            "the directive comes first, and then the path: `respond {name} …`"
        ));
    }
    let is_address = name.contains("://")
        || name.starts_with(':')
        || name.contains('.') && !name.contains(['/', '{']) && !name.ends_with('.');
    if is_address {
        return Some("an address begins a site of its own; close the one before with `}`".into());
    }
    let (_, help) = ELSEWHERE.iter().find(|(word, _)| *word == name)?;
    Some((*help).into())
}

/// Words of other servers, and of the first Caddy.
const ELSEWHERE: &[(&str, &str)] = &[
    ("add_header", "write `header NAME VALUE`"),
    (
        "allow",
        "write a matcher `@name remote_ip RANGE`, and `abort` what it does not match",
    ),
    ("auth_basic", "write `basic_auth { … }`"),
    (
        "deny",
        "write a matcher `@name remote_ip RANGE`, and `abort @name`",
    ),
    ("error_page", "write `handle_errors STATUS { … }`"),
    ("errors", "write `handle_errors { … }`"),
    ("fastcgi", "write `php_fastcgi UPSTREAM`"),
    ("fastcgi_pass", "write `php_fastcgi UPSTREAM`"),
    ("gzip", "write `encode gzip`"),
    (
        "if",
        "write a matcher `@name …`, and the name behind the directive",
    ),
    ("index", "write `file_server { index … }`"),
    ("limits", "write `request_body { max_size … }`"),
    (
        "listen",
        "the address in front of the site says where it is served",
    ),
    ("location", "write `handle PATH { … }`"),
    ("proxy", "write `reverse_proxy UPSTREAM`"),
    ("proxy_pass", "write `reverse_proxy UPSTREAM`"),
    (
        "proxy_set_header",
        "write `header_up NAME VALUE` into the block of `reverse_proxy`",
    ),
    ("return", "write `redir TARGET` or `respond STATUS`"),
    ("server", "the address of a site stands in front of its `{`"),
    ("server_name", "the address in front of the site says its name"),
    ("ssl_certificate", "write `tls CERT KEY`"),
    (
        "websocket",
        "write `reverse_proxy UPSTREAM`, which passes WebSockets on",
    ),
];

/// What the tests of single directives share: nothing said before.
#[cfg(test)]
pub(crate) fn test_shared() -> Shared {
    Shared::default()
}
