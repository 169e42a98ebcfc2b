//! What a tenant may write: one list, and the judge that holds a text against it.
//!
//! The [`list`] says for each directive, matcher and placeholder whether a tenant may write it, and if not, why and
//! what to do instead; what it does not name is refused. `docs/tenancy.md` is made from it. The judge looks at every
//! directive before its own parser does. A line is judged by the lowest tier among its words, a block line by line: an
//! operator's line in a snippet stays the operator's, whoever imports it, and a word that a tenant puts into it makes it
//! the tenant's.

#[cfg(test)]
mod docs;
mod list;
mod patterns;
mod placeholders;
mod reasons;
#[cfg(test)]
mod tests;

use fairway_caddyfile::{Diagnostic, Located, Segment, Site, Span, Tier, Token};

use crate::template::{Placeholder, Template};
use crate::values::Size;
use list::{DIRECTIVES, FRAMING, MATCHERS, VARIABLES};
use reasons::NOT_LISTED;

pub(crate) use patterns::{bounded, is_too_large};
pub(crate) use placeholders::refused_in_text;

/// A word that a line begins with, and what a tenant may do with it.
pub(crate) struct Word {
    /// The word; `@` stands for every name of a matcher.
    pub word: &'static str,
    pub rule: Rule,
}

/// What a tenant may do.
pub(crate) enum Rule {
    /// Nothing.
    Refused(Why),
    /// Everything, in its block too.
    Allowed,
    /// What the rest of the line and the lines of the block say.
    Parts(Rest, Lines),
}

/// Why something is refused.
pub(crate) struct Why {
    pub reason: &'static str,
    /// What to do instead.
    pub instead: &'static str,
}

/// What may follow on the line.
pub(crate) enum Rest {
    Any,
    /// These words only.
    Only(&'static [&'static str], Why),
    /// The first word decides, for the block too.
    Choice(&'static [Word]),
    /// The field of a header comes first, behind a matcher.
    Field(Message),
    /// A size of at most so many bytes.
    Size(u64),
    /// Fields of headers, each perhaps with another name: `A>B`.
    CopiedFields,
    /// The name of a variable comes first, behind a matcher.
    Variable,
}

/// What may stand in the block.
pub(crate) enum Lines {
    /// Directives; each is judged when its turn comes.
    Directives,
    /// Lines that begin with these words.
    Named(&'static [&'static [Word]]),
    /// The fields of a response's headers, and these.
    Fields(&'static [Word]),
    /// Fields of headers, as in [`Rest::CopiedFields`].
    Copied,
    /// Names of variables.
    Variables,
}

/// What the headers belong to.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Message {
    /// A request on its way through the handlers.
    Request,
    /// What goes to an upstream; its host may differ from the client's.
    Upstream,
    Response,
}

/// The most refusals of one directive that are told.
const MOST: usize = 50;

/// What is to be said about a directive.
#[derive(Default)]
pub(crate) struct Judgement {
    /// What is surely refused.
    pub refused: Vec<Diagnostic>,
    /// The first word that the list does not know. It is refused if it means something; otherwise the parser has more
    /// to say about it.
    pub unlisted: Option<Diagnostic>,
}

/// Judges a directive.
pub(crate) fn judge(directive: &Segment) -> Judgement {
    let mut judge = Judge::default();
    if directive.lowest_tier() == Tier::Tenant {
        judge.named(&Line::of(directive), &[DIRECTIVES]);
    }
    judge.0
}

/// The placeholders in the addresses of sites that their authors may not write.
pub(crate) fn judge_addresses<'s>(sites: impl Iterator<Item = &'s Site>) -> Vec<Diagnostic> {
    let keys = sites.flat_map(|site| &site.keys);
    keys.filter_map(placeholders::refused_anywhere).collect()
}

/// Judges a line of a matcher.
pub(crate) fn judge_matcher(line: &Segment) -> Result<(), Diagnostic> {
    if line.lowest_tier() == Tier::Operator {
        return Ok(());
    }
    let mut judge = Judge::default();
    judge.named(&Line::of(line), &[MATCHERS]);
    line.tokens(&mut |token| judge.keep(placeholders::refused_anywhere(token)));
    let Judgement { refused, unlisted } = judge.0;
    refused.into_iter().next().or(unlisted).map_or(Ok(()), Err)
}

/// A line, or what is left of one behind a word that decides.
struct Line<'s> {
    /// What it is called: `trust_pool file`.
    called: String,
    name: &'s Token,
    rest: &'s [Token],
    block: &'s [Segment],
}

impl<'s> Line<'s> {
    fn of(segment: &'s Segment) -> Self {
        Self {
            called: segment.name.text.clone(),
            name: &segment.name,
            rest: &segment.args,
            block: segment.lines(),
        }
    }

    /// The words of the line behind the matcher.
    fn unmatched(&self) -> &'s [Token] {
        match self.rest {
            [first, rest @ ..] if first.text == "*" || first.text.starts_with(['@', '/']) => rest,
            rest => rest,
        }
    }

    /// Shows the words of the line, and those of its block.
    fn tokens(&self, visit: &mut dyn FnMut(&'s Token)) {
        fn within<'s>(segment: &'s Segment, visit: &mut dyn FnMut(&'s Token)) {
            visit(&segment.name);
            segment.args.iter().for_each(&mut *visit);
            segment.lines().iter().for_each(|line| within(line, visit));
        }
        visit(self.name);
        self.rest.iter().for_each(&mut *visit);
        self.block.iter().for_each(|line| within(line, visit));
    }

    /// The first word that a tenant wrote.
    fn tenants(&self) -> Option<&'s Token> {
        let mut first = None;
        self.tokens(&mut |token| {
            if token.origin.tier == Tier::Tenant {
                first.get_or_insert(token);
            }
        });
        first
    }
}

#[derive(Default)]
struct Judge(Judgement);

impl Judge {
    /// Judges a line by the rule of its first word.
    fn named(&mut self, line: &Line<'_>, lists: &[&[Word]]) {
        let name = line.name.text.as_str();
        let mut words = lists.iter().flat_map(|words| *words);
        if let Some(known) =
            words.find(|known| known.word == name || known.word == "@" && name.starts_with('@'))
        {
            self.line(line, &known.rule);
        } else {
            let unlisted = line.tenants().map(|token| refusal(token, line, &NOT_LISTED));
            self.0.unlisted = self.0.unlisted.take().or(unlisted);
        }
    }

    fn line(&mut self, line: &Line<'_>, rule: &Rule) {
        match rule {
            Rule::Refused(why) => self.keep(line.tenants().map(|token| refusal(token, line, why))),
            Rule::Allowed => self.placeholders(line),
            Rule::Parts(rest, lines) => {
                self.rest(line, rest);
                // Who decides what the block means judges the block as well.
                if !matches!(rest, Rest::Choice(_)) || line.rest.is_empty() {
                    self.lines(line.block, lines);
                }
            }
        }
    }

    fn rest(&mut self, line: &Line<'_>, rule: &Rest) {
        let name = line.name.origin.tier;
        let by_tenant = |token: &Token| token.origin.tier.min(name) == Tier::Tenant;
        if !matches!(rule, Rest::Choice(_)) {
            let words = [line.name].into_iter().chain(line.rest);
            words.for_each(|token| self.keep(placeholders::refused(token)));
        }
        match rule {
            Rest::Any => {}
            Rest::Only(words, why) => {
                let other = |token: &&Token| by_tenant(token) && !words.contains(&token.text.as_str());
                let first = line.rest.iter().find(other);
                self.keep(first.map(|token| refuse_word(token, &token.text, why)));
            }
            Rest::Choice(words) => {
                let Some((choice, rest)) = line.rest.split_first() else {
                    return;
                };
                let line = Line {
                    called: format!("{} {}", line.called, choice.text),
                    name: choice,
                    rest,
                    block: line.block,
                };
                self.named(&line, &[words]);
            }
            Rest::Field(message) => {
                let field = line.unmatched().first().filter(|token| by_tenant(token));
                self.keep(field.and_then(|token| refused_field(token, *message)));
                self.keep(refused_search(line.unmatched()));
            }
            Rest::Size(most) => {
                let first = line.rest.iter().find(|token| by_tenant(token));
                let refused = first.filter(|token| is_over(&token.text, *most));
                self.keep(refused.map(|token| refuse_word(token, &token.text, &reasons::BUFFERS)));
            }
            Rest::CopiedFields => {
                let fields = line.rest.iter().filter(|token| by_tenant(token));
                fields.for_each(|token| self.keep(refused_copy(token)));
            }
            Rest::Variable => {
                let name = line.unmatched().first().filter(|token| by_tenant(token));
                self.keep(name.and_then(refused_variable));
            }
        }
    }

    fn lines(&mut self, block: &[Segment], rule: &Lines) {
        for segment in block {
            let line = Line::of(segment);
            let by_tenant = segment.name.origin.tier == Tier::Tenant;
            match rule {
                Lines::Directives => {}
                Lines::Named(lists) => self.named(&line, lists),
                Lines::Fields(others) if others.iter().any(|other| other.word == segment.name.text) => {
                    self.named(&line, &[others]);
                }
                Lines::Fields(_) => {
                    self.placeholders(&line);
                    let refused = by_tenant.then(|| refused_field(&segment.name, Message::Response));
                    self.keep(refused.flatten());
                    let words: Vec<Token> = [line.name].into_iter().chain(line.rest).cloned().collect();
                    self.keep(refused_search(&words));
                }
                Lines::Copied => {
                    self.placeholders(&line);
                    let tokens = [line.name].into_iter().chain(line.rest);
                    tokens.for_each(|token| self.keep(by_tenant.then(|| refused_copy(token)).flatten()));
                }
                Lines::Variables => {
                    self.placeholders(&line);
                    self.keep(by_tenant.then(|| refused_variable(&segment.name)).flatten());
                }
            }
        }
    }

    /// Looks at every word of a line and its block.
    fn placeholders(&mut self, line: &Line<'_>) {
        line.tokens(&mut |token| self.keep(placeholders::refused(token)));
    }

    fn keep(&mut self, refused: Option<Diagnostic>) {
        if self.0.refused.len() < MOST {
            self.0.refused.extend(refused);
        }
    }
}

/// Refuses a line at the word that a tenant wrote.
fn refusal(at: &Token, line: &Line<'_>, why: &Why) -> Diagnostic {
    let refused = refuse_word(at, &line.called, why);
    if std::ptr::eq(at, line.name) {
        return refused;
    }
    refused.note("a word of the line does not come from the operator, and so the whole line does not")
}

/// Refuses a word of a tenant: where it stands in the tenant's text, or where that text imports what it was put into.
fn refuse_word(token: &Token, called: &str, why: &Why) -> Diagnostic {
    let is_tenants = |span: &Span| span.source.origin().tier == Tier::Tenant;
    if is_tenants(&token.span) {
        return refuse(token, called, why);
    }
    let mut steps = token.imports.iter().flat_map(|step| step.chain());
    match steps.find(|step| is_tenants(&step.span)) {
        Some(step) => refuse(&step.span, called, why)
            .imported(step.parent.clone())
            .note(format!(
                "in snippet `({})`, which is given a word of this text",
                step.name
            )),
        None => refuse(token, called, why),
    }
}

fn refuse(at: &impl Located, called: &str, why: &Why) -> Diagnostic {
    let message = format!("`{called}` is for the operator of the cluster only");
    Diagnostic::error("operator-only", at, message)
        .help(why.instead)
        .note(why.reason)
}

/// Refuses the function `file` of an expression.
pub(crate) fn refused_file(at: &impl Located) -> Diagnostic {
    refuse(at, "file", &reasons::FILES)
}

/// Whether an operation on a field may change how a message is framed.
fn refused_field(token: &Token, message: Message) -> Option<Diagnostic> {
    let text = token.text.strip_suffix(':').unwrap_or(&token.text);
    let why = reserved_field(text.trim_start_matches(['+', '-', '?', '>']), message)?;
    Some(refuse_word(token, &token.text, why))
}

/// Whether the search of `FIELD SEARCH REPLACEMENT` is made anew for each request.
fn refused_search(words: &[Token]) -> Option<Diagnostic> {
    let [_, search, _, ..] = words else { return None };
    let template = Template::new(&search.text);
    // `a{2}` is none; the names of those that are have dots.
    let mut names = template.placeholders().map(Placeholder::name);
    let refused = search.origin.tier == Tier::Tenant && names.any(|name| name.contains('.'));
    refused.then(|| refuse_word(search, &search.text, &reasons::SEARCHES))
}

/// Whether a size is more than tenants may have.
fn is_over(size: &str, most: u64) -> bool {
    size == "unlimited" || Size::parse(size).is_ok_and(|size| size.0 > most)
}

/// The same for a field that is copied into a request, perhaps under another name.
fn refused_copy(token: &Token) -> Option<Diagnostic> {
    let mut names = token.text.split('>');
    let why = names.find_map(|name| reserved_field(name, Message::Request))?;
    Some(refuse_word(token, &token.text, why))
}

/// Why a header is not for tenants, if it is not.
fn reserved_field(field: &str, message: Message) -> Option<&'static Why> {
    let field = field.to_ascii_lowercase();
    if field.contains('{') {
        Some(&reasons::FIELD_NAMES)
    } else if message == Message::Request && field == "host" {
        Some(&reasons::HOST)
    } else if FRAMING.iter().any(|framing| fits(&field, framing)) {
        Some(&reasons::FRAMING_FIELDS)
    } else {
        None
    }
}

/// Whether a field's name is this one, or has it among those that it removes with `*`.
fn fits(field: &str, framing: &str) -> bool {
    match (field.strip_prefix('*'), field.strip_suffix('*')) {
        (Some(_), Some(_)) => framing.contains(field.trim_matches('*')),
        (Some(end), None) => framing.ends_with(end),
        (None, Some(begin)) => framing.starts_with(begin),
        (None, None) => field == framing,
    }
}

/// Whether a variable is one that handlers of the operator read.
fn refused_variable(name: &Token) -> Option<Diagnostic> {
    let reserved = VARIABLES.contains(&name.text.as_str()) || name.text.contains('{');
    reserved.then(|| refuse_word(name, &name.text, &reasons::RESERVED_VARIABLES))
}
