//! Policies as a Caddyfile has them: `lb_policy <name> [<options…>] { … }`.

use fairway_caddyfile::{Args, Diagnostic, suggest};

use super::{CookieHash, HeaderHash, NoOptions, Policy, QueryHash, RandomChoose, WeightedRoundRobin};
use crate::values::Duration;

const NAMES: &[&str] = &[
    "client_ip_hash",
    "cookie",
    "first",
    "header",
    "ip_hash",
    "least_conn",
    "query",
    "random",
    "random_choose",
    "round_robin",
    "uri_hash",
    "weighted_round_robin",
];

/// Reads what follows `lb_policy` or `fallback`.
pub(in super::super) fn parse(mut args: Args<'_>) -> Result<Policy, Diagnostic> {
    let name = args.required("a policy")?;
    let plain = |policy: fn(NoOptions) -> Policy| policy(NoOptions {});
    let policy = match name.text.as_str() {
        "random" => plain(Policy::Random),
        "least_conn" => plain(Policy::LeastConn),
        "round_robin" => plain(Policy::RoundRobin),
        "first" => plain(Policy::First),
        "ip_hash" => plain(Policy::IpHash),
        "client_ip_hash" => plain(Policy::ClientIpHash),
        "uri_hash" => plain(Policy::UriHash),
        "random_choose" => {
            let count = args.required("how many to choose from")?;
            let choose = count.text.parse().ok().filter(|&choose: &i64| choose >= 2);
            let choose = choose.ok_or_else(|| {
                let message = format!("`{}` is not a number of at least 2", count.text);
                Diagnostic::error("invalid-value", count, message)
            })?;
            Policy::RandomChoose(RandomChoose { choose })
        }
        "weighted_round_robin" => {
            let weights = args
                .remaining_required("a weight for each upstream")?
                .iter()
                .map(|weight| {
                    let number = weight.text.parse().ok().filter(|&number: &i64| number >= 0);
                    number.ok_or_else(|| {
                        let message =
                            format!("`{}` is not a weight: a number that is not negative", weight.text);
                        Diagnostic::error("invalid-value", weight, message)
                    })
                });
            let weights = weights.collect::<Result<_, _>>()?;
            Policy::WeightedRoundRobin(WeightedRoundRobin { weights })
        }
        "query" => {
            let key = args.required("the name of a query parameter")?.text.clone();
            args.finish()?;
            let fallback = options(args, None)?;
            return Ok(Policy::Query(QueryHash { key, fallback }));
        }
        "header" => {
            let field = args.required("a header's name")?.text.clone();
            args.finish()?;
            let fallback = options(args, None)?;
            return Ok(Policy::Header(HeaderHash { field, fallback }));
        }
        "cookie" => {
            let name = args.next_arg().map(|name| name.text.clone()).unwrap_or_default();
            let secret = args
                .next_arg()
                .map(|secret| secret.text.clone())
                .unwrap_or_default();
            args.finish()?;
            let mut max_age = Duration::ZERO;
            let fallback = options(args, Some(&mut max_age))?;
            return Ok(Policy::Cookie(CookieHash {
                name,
                secret,
                max_age,
                fallback,
            }));
        }
        other => {
            let message = format!("there is no policy `{other}`");
            return Err(Diagnostic::error("invalid-value", name, message)
                .did_you_mean(suggest(other, NAMES.iter().copied())));
        }
    };
    args.finish_line()?;
    Ok(policy)
}

/// Reads `fallback`, and `max_age` where it is known.
fn options(args: Args<'_>, mut max_age: Option<&mut Duration>) -> Result<Option<Box<Policy>>, Diagnostic> {
    let mut fallback = None;
    for line in args.block() {
        let mut words = Args::new(line);
        match (line.name.text.as_str(), &mut max_age) {
            ("fallback", _) => {
                if fallback.is_some() {
                    return Err(words.error("duplicate-option", "there is a `fallback` already"));
                }
                fallback = Some(Box::new(parse(words)?));
            }
            ("max_age", Some(max_age)) => {
                if !max_age.is_zero() {
                    return Err(words.error("duplicate-option", "there is a `max_age` already"));
                }
                let age = words.required("a duration")?;
                let parsed = Duration::parse(&age.text).ok().filter(|parsed| parsed.0 > 0);
                **max_age = parsed.ok_or_else(|| {
                    let message = format!("`{}` is not a duration above zero", age.text);
                    Diagnostic::error("invalid-value", age, message)
                })?;
                words.finish_line()?;
            }
            (_, Some(_)) => return Err(args.unknown_subdirective(line, ["fallback", "max_age"])),
            (_, None) => return Err(args.unknown_subdirective(line, ["fallback"])),
        }
    }
    Ok(fallback)
}
