//! Which placeholders a tenant may write.

use fairway_caddyfile::{Diagnostic, Located, Span, Tier, Token};

use super::list::PLACEHOLDERS;
use super::{Why, refuse, refuse_word};
use crate::adapt::shorthand;
use crate::template::Template;

/// The first placeholder in a tenant's word that is not for tenants, refused. What only looks like one passes: JSON, a
/// regular expression, escaped braces.
pub(super) fn refused(token: &Token) -> Option<Diagnostic> {
    if token.origin.tier == Tier::Operator || !token.text.contains('{') {
        return None;
    }
    let template = Template::new(&token.text);
    let (name, why) = template
        .placeholders()
        .find_map(|placeholder| Some((placeholder.name(), why(placeholder.name())?)))?;
    Some(refusal(token, name, why))
}

/// The same for a word of a matcher: escapes do not count, nor does a brace that is missing, since some matchers take
/// texts apart in their own way.
pub(super) fn refused_anywhere(token: &Token) -> Option<Diagnostic> {
    if token.origin.tier == Tier::Operator {
        return None;
    }
    let (name, why) = find(&token.text)?;
    Some(refusal(token, name, why))
}

/// The same for a text that a word is turned into, such as a string of an expression; the message is at the word.
pub(crate) fn refused_in_text(text: &str, at: &impl Located) -> Option<Diagnostic> {
    let (name, why) = find(text)?;
    Some(refuse(at, &format!("{{{name}}}"), why))
}

/// The first name behind a brace that is not for tenants.
fn find(text: &str) -> Option<(&str, &'static Why)> {
    text.match_indices('{').find_map(|(at, _)| {
        let rest = &text[at + 1..];
        let name = &rest[..rest.find(['}', '{']).unwrap_or(rest.len())];
        Some((name, why(name)?))
    })
}

/// Why a placeholder is refused, if it is.
fn why(name: &str) -> Option<&'static Why> {
    let name = name.to_ascii_lowercase();
    let known = PLACEHOLDERS.iter().find(|known| name.starts_with(known.begin));
    known.and_then(|known| known.refused.as_ref())
}

/// Says it at the placeholder itself, if it stands in the text as it is.
fn refusal(token: &Token, name: &str, why: &Why) -> Diagnostic {
    let long = format!("{{{name}}}");
    let short = shorthand::short_name(&long).map(|short| format!("{{{short}}}"));
    let written = token.span.text();
    let called = short.filter(|short| written.contains(short)).unwrap_or(long);
    let at = written
        .find(&called)
        .filter(|_| token.span.source.origin().tier == Tier::Tenant);
    let Some(at) = at.and_then(|at| u32::try_from(at).ok()) else {
        return refuse_word(token, &called, why);
    };
    let start = token.span.start + at;
    let span = Span {
        source: token.span.source.clone(),
        start,
        end: start + u32::try_from(called.len()).unwrap_or(0),
    };
    refuse(&span, &called, why).imported(token.imports.clone())
}
