//! Which upstream gets a request: the policies of `lb_policy`.

mod parse;
mod services;

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use hmac::{Hmac, KeyInit, Mac};
use http::{HeaderName, HeaderValue};
use rand::random_range;
use serde::{Deserialize, Serialize};
use sha2::Sha256;
use smallvec::SmallVec;
use xxhash_rust::xxh64::Xxh64;

use super::config::is_default;
use super::pool::Members;
use super::upstreams::{Upstream, now};
use crate::compile::CompileError;
use crate::exchange::Exchange;
use crate::paths;
use crate::values::Duration;

pub(super) use parse::parse;

/// A policy as JSON: Caddy's `http.reverse_proxy.selection_policies.*`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "policy", rename_all = "snake_case")]
pub enum Policy {
    /// Any available one.
    Random(NoOptions),
    /// Of some random ones that with the fewest requests.
    RandomChoose(RandomChoose),
    /// The one with the fewest requests.
    LeastConn(NoOptions),
    /// One after the other.
    RoundRobin(NoOptions),
    /// One after the other, some more often.
    WeightedRoundRobin(WeightedRoundRobin),
    /// The first that is available.
    First(NoOptions),
    /// Always the same for a peer.
    IpHash(NoOptions),
    /// Always the same for a client.
    ClientIpHash(NoOptions),
    /// Always the same for a target.
    UriHash(NoOptions),
    /// Always the same for a value in the query.
    Query(QueryHash),
    /// Always the same for a header's value.
    Header(HeaderHash),
    /// Always the same for a client that keeps cookies.
    Cookie(CookieHash),
}

/// A policy without options.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NoOptions {}

/// `random_choose`
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RandomChoose {
    /// How many are looked at, at least 2. 2.
    #[serde(skip_serializing_if = "is_default")]
    pub choose: i64,
}

/// `weighted_round_robin`
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct WeightedRoundRobin {
    /// How often each upstream has its turn in a round, in the order of the upstreams.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub weights: Vec<i64>,
}

/// `query`
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct QueryHash {
    /// The parameter.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub key: String,
    /// What chooses for requests without it; `random` without one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fallback: Option<Box<Policy>>,
}

/// `header`
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct HeaderHash {
    /// The header.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub field: String,
    /// What chooses for requests without it; `random` without one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fallback: Option<Box<Policy>>,
}

/// `cookie`
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct CookieHash {
    /// The cookie's name. `lb`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// The key under which addresses are hashed into its value.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub secret: String,
    /// How long the client keeps it; until its session ends at 0.
    #[serde(skip_serializing_if = "Duration::is_zero")]
    pub max_age: Duration,
    /// What chooses for requests without it; `random` without one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fallback: Option<Box<Policy>>,
}

/// The run-time form.
#[derive(Debug)]
pub(super) enum Selection {
    Random,
    RandomChoose(usize),
    LeastConn,
    RoundRobin,
    WeightedRoundRobin(Box<[u32]>),
    First,
    IpHash,
    ClientIpHash,
    UriHash,
    Query(Box<str>, Box<Selection>),
    Host(Box<Selection>),
    Header(HeaderName, Box<Selection>),
    Cookie(Cookie),
}

/// A cookie that names an upstream.
#[derive(Debug)]
pub(super) struct Cookie {
    name: Box<str>,
    max_age: Option<u64>,
    /// For each upstream.
    values: Box<[Box<str>]>,
    fallback: Box<Selection>,
}

/// What was chosen.
#[derive(Debug, PartialEq)]
pub(super) struct Choice {
    pub index: usize,
    /// The cookie by which the client comes back to it.
    pub cookie: Option<HeaderValue>,
}

impl Policy {
    /// Makes it ready for upstreams with these addresses.
    pub(super) fn compile(&self, dials: &[&str]) -> Result<Selection, CompileError> {
        let fallback = |policy: &Option<Box<Policy>>| match policy {
            Some(policy) => policy.compile(dials).map(Box::new),
            None => Ok(Box::new(Selection::Random)),
        };
        Ok(match self {
            Self::Random(_) => Selection::Random,
            Self::RandomChoose(config) => match config.choose {
                0 => Selection::RandomChoose(2),
                choose => match usize::try_from(choose) {
                    Ok(choose) if choose >= 2 => Selection::RandomChoose(choose),
                    _ => return Err(CompileError::new("random_choose: at least 2 are to be chosen")),
                },
            },
            Self::LeastConn(_) => Selection::LeastConn,
            Self::RoundRobin(_) => Selection::RoundRobin,
            Self::WeightedRoundRobin(config) => {
                let weight = |&weight: &i64| u32::try_from(weight).ok().filter(|&weight| weight <= 1 << 20);
                let weights = config.weights.iter().map(weight).collect::<Option<Box<[u32]>>>();
                let weights = weights.ok_or_else(|| {
                    CompileError::new("weighted_round_robin: weights are from 0 to 1048576")
                })?;
                if weights.len() > 4095 || weights.len() > 1 && weights.iter().all(|&weight| weight == 0) {
                    let message =
                        "weighted_round_robin: a weight above 0 is needed, and at most 4095 weights";
                    return Err(CompileError::new(message));
                }
                Selection::WeightedRoundRobin(weights)
            }
            Self::First(_) => Selection::First,
            Self::IpHash(_) => Selection::IpHash,
            Self::ClientIpHash(_) => Selection::ClientIpHash,
            Self::UriHash(_) => Selection::UriHash,
            Self::Query(config) if config.key.is_empty() => {
                return Err(CompileError::new("query: a key is needed"));
            }
            Self::Query(config) => Selection::Query(config.key.as_str().into(), fallback(&config.fallback)?),
            Self::Header(config) if config.field.eq_ignore_ascii_case("host") => {
                Selection::Host(fallback(&config.fallback)?)
            }
            Self::Header(config) => {
                let name = config.field.parse();
                let name = name.map_err(|_| CompileError::new(format!("`{}` is no header", config.field)))?;
                Selection::Header(name, fallback(&config.fallback)?)
            }
            Self::Cookie(config) => {
                Selection::Cookie(Cookie::compile(config, dials, fallback(&config.fallback)?)?)
            }
        })
    }
}

impl Cookie {
    fn compile(config: &CookieHash, dials: &[&str], fallback: Box<Selection>) -> Result<Self, CompileError> {
        let name = match config.name.as_str() {
            "" => "lb",
            name => name,
        };
        let is_token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
        if !name.bytes().all(is_token) {
            return Err(CompileError::new(format!("`{name}` cannot be a cookie's name")));
        }
        Ok(Self {
            name: name.into(),
            max_age: config.max_age.to_std().map(|age| age.as_secs()),
            values: dials
                .iter()
                .map(|dial| cookie_value(&config.secret, dial))
                .collect(),
            fallback,
        })
    }

    fn select(&self, members: &Members, robin: &AtomicU32, exchange: &Exchange, at: u64) -> Option<Choice> {
        if let Some(value) = cookie(exchange, &self.name) {
            let is_it =
                |(upstream, hash): (&Arc<Upstream>, &str)| upstream.is_available(at) && is_equal(hash, value);
            let mut pairs = members
                .upstreams
                .iter()
                .zip(self.values.iter().map(|hash| &**hash));
            if let Some(index) = pairs.position(is_it) {
                return Some(Choice { index, cookie: None });
            }
        }
        let mut choice = self.fallback.select(members, robin, exchange)?;
        choice.cookie = HeaderValue::try_from(self.header(choice.index, is_secure(exchange))).ok();
        Some(choice)
    }

    fn header(&self, index: usize, secure: bool) -> String {
        let age = self.max_age.filter(|&age| age > 0);
        let age = age.map_or(String::new(), |age| format!("; Max-Age={age}"));
        let site = if secure {
            "Secure; SameSite=None"
        } else {
            "SameSite=Lax"
        };
        format!(
            "{}={}; Path=/{age}; HttpOnly; {site}",
            self.name, self.values[index]
        )
    }
}

impl Selection {
    /// Chooses one of the available upstreams, if there is one.
    pub(super) fn select(&self, members: &Members, robin: &AtomicU32, exchange: &Exchange) -> Option<Choice> {
        let at = now();
        let pool = &*members.upstreams;
        let available = || {
            let numbered = pool.iter().enumerate();
            numbered.filter(|(_, upstream)| upstream.is_available(at))
        };
        let index = match self {
            Self::Random => any(available().map(|(index, _)| index)),
            Self::RandomChoose(count) => {
                let mut chosen: SmallVec<[usize; 8]> = SmallVec::new();
                for (seen, (index, _)) in available().enumerate() {
                    if seen < *count {
                        chosen.push(index);
                    } else if let Some(place) = chosen.get_mut(random_range(0..=seen)) {
                        *place = index;
                    }
                }
                least_requests(pool, chosen.into_iter())
            }
            Self::LeastConn => least_requests(pool, available().map(|(index, _)| index)),
            Self::RoundRobin => {
                let turn = || robin.fetch_add(1, Ordering::Relaxed).wrapping_add(1) as usize % pool.len();
                pool.iter()
                    .map(|_| turn())
                    .find(|&index| pool[index].is_available(at))
            }
            Self::WeightedRoundRobin(weights) if !members.services.is_empty() => {
                services::weighted(weights, members, robin, at)
            }
            Self::WeightedRoundRobin(weights) if weights.len() < 2 => (!pool.is_empty()).then_some(0),
            Self::WeightedRoundRobin(weights) => weighted(weights, pool, robin, at),
            Self::First if !members.services.is_empty() => services::first(members, robin, at),
            Self::First => available().map(|(index, _)| index).next(),
            Self::IpHash => by_hash(available(), &exchange.connection.remote.ip().to_string()),
            Self::ClientIpHash => by_hash(available(), &exchange.client_ip.to_string()),
            Self::UriHash => by_hash(available(), exchange.original_target().path_and_query()),
            Self::Query(key, fallback) => {
                let (pairs, _) = paths::parse_query(exchange.target().query().unwrap_or_default());
                let values: Vec<String> = pairs
                    .into_iter()
                    .filter(|(name, _)| **name == **key)
                    .map(|(_, value)| value)
                    .collect();
                match values.join(",").as_str() {
                    "" => return fallback.select(members, robin, exchange),
                    value => by_hash(available(), value),
                }
            }
            Self::Host(fallback) => match &*exchange.host {
                "" => return fallback.select(members, robin, exchange),
                host => by_hash(available(), host),
            },
            Self::Header(name, fallback) => match exchange.headers.get(name).map(HeaderValue::as_bytes) {
                None | Some(b"") => return fallback.select(members, robin, exchange),
                Some(value) => by_hash(available(), value),
            },
            Self::Cookie(cookie) => return cookie.select(members, robin, exchange, at),
        };
        index.map(|index| Choice { index, cookie: None })
    }
}

/// One of them, each as likely as the others.
fn any(indexes: impl Iterator<Item = usize>) -> Option<usize> {
    let mut chosen = None;
    for (seen, index) in indexes.enumerate() {
        if seen == 0 || random_range(0..=seen) == 0 {
            chosen = Some(index);
        }
    }
    chosen
}

/// The one with the fewest requests, any of them if they are several.
fn least_requests(pool: &[Arc<Upstream>], indexes: impl Iterator<Item = usize>) -> Option<usize> {
    let mut best: Option<(usize, usize)> = None;
    let mut equals = 0;
    for index in indexes {
        let requests = pool[index].endpoint.requests();
        match best {
            Some((_, fewest)) if requests > fewest => {}
            Some((_, fewest)) if requests == fewest => {
                equals += 1;
                if random_range(0..=equals) == 0 {
                    best = Some((index, requests));
                }
            }
            _ => {
                best = Some((index, requests));
                equals = 0;
            }
        }
    }
    best.map(|(index, _)| index)
}

/// As in Caddy: the turn gives a place among the upstreams with a weight, which is then counted off among those that
/// are also available, so that a failure moves turns to neighbours. Upstreams beyond the weights have none.
fn weighted(weights: &[u32], pool: &[Arc<Upstream>], robin: &AtomicU32, at: u64) -> Option<usize> {
    let total: u32 = weights.iter().sum();
    let turn = robin.fetch_add(1, Ordering::Relaxed).wrapping_add(1) % total;
    let mut sum = 0;
    let place = weights.iter().filter(|&&weight| weight > 0).position(|weight| {
        sum += weight;
        turn < sum
    })?;
    let able = || {
        let weighted = pool.iter().zip(weights).enumerate();
        weighted.filter(|(_, (upstream, weight))| **weight > 0 && upstream.is_available(at))
    };
    let count = able().count();
    let (index, _) = able().nth(place.checked_rem(count)?)?;
    Some(index)
}

/// The highest of the hashes of address and key: the others' coming and going does not matter.
fn by_hash<'p>(
    pool: impl Iterator<Item = (usize, &'p Arc<Upstream>)>,
    key: &(impl AsRef<[u8]> + ?Sized),
) -> Option<usize> {
    let hash = |upstream: &Upstream| {
        let mut hasher = Xxh64::new(0);
        hasher.update(upstream.text.as_bytes());
        hasher.update(key.as_ref());
        hasher.digest()
    };
    let mut best: Option<(u64, usize)> = None;
    for (index, upstream) in pool {
        let hash = hash(upstream);
        if best.is_none_or(|(highest, _)| hash > highest) {
            best = Some((hash, index));
        }
    }
    best.map(|(_, index)| index)
}

fn cookie_value(secret: &str, dial: &str) -> Box<str> {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).expect("HMAC takes keys of any length");
    mac.update(dial.as_bytes());
    let digits = mac.finalize().into_bytes();
    let digit = |nibble: u8| char::from_digit(nibble.into(), 16).expect("four bits are below 16");
    let hex: String = digits
        .iter()
        .flat_map(|byte| [digit(byte >> 4), digit(byte & 15)])
        .collect();
    hex.into()
}

/// Compares in a time that does not tell how much is equal.
fn is_equal(left: &str, right: &str) -> bool {
    let pairs = left.bytes().zip(right.bytes());
    left.len() == right.len() && pairs.fold(0, |different, (left, right)| different | (left ^ right)) == 0
}

fn cookie<'a>(exchange: &'a Exchange, name: &str) -> Option<&'a str> {
    let headers = exchange.headers.get_all(http::header::COOKIE).iter();
    let lines = headers.filter_map(|header| header.to_str().ok());
    let mut pairs = lines
        .flat_map(|line| line.split(';'))
        .filter_map(|pair| pair.trim().split_once('='));
    pairs.find(|(key, _)| *key == name).map(|(_, value)| value)
}

fn is_secure(exchange: &Exchange) -> bool {
    let forwarded = || exchange.headers.get_all("x-forwarded-proto").iter().next_back();
    exchange.connection.tls.is_some()
        || exchange.trusted_proxy && forwarded().is_some_and(|proto| proto.as_bytes() == b"https")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::sync::Arc;

    use super::*;
    use crate::handlers::reverse_proxy::upstreams::{Address, Endpoint, FailurePolicy};
    use crate::test_util::exchange;

    fn pool(count: usize) -> Members {
        let policy = FailurePolicy {
            lifetime: std::time::Duration::from_hours(1),
            max_fails: 1,
        };
        let upstream = |number| {
            let dial = format!("10.0.0.{number}:80");
            Arc::new(Upstream {
                address: Address::new(&dial).unwrap(),
                text: dial.into(),
                max_requests: Some(10),
                endpoint: Arc::new(Endpoint::new(Some(policy))),
                transport: None,
            })
        };
        (0..count).map(upstream).collect::<Box<[_]>>().into()
    }

    fn selection(policy: &str, pool: &Members) -> Selection {
        let policy: Policy = serde_json::from_str(policy).unwrap();
        let dials: Vec<&str> = pool.upstreams.iter().map(|upstream| &*upstream.text).collect();
        policy.compile(&dials).unwrap()
    }

    /// What is chosen one after the other.
    fn choose(policy: &str, pool: &Members, request: &str, times: usize) -> Vec<Option<usize>> {
        let (selection, robin, exchange) = (selection(policy, pool), AtomicU32::new(0), exchange(request));
        let choices = (0..times).map(|_| selection.select(pool, &robin, &exchange));
        choices.map(|choice| choice.map(|choice| choice.index)).collect()
    }

    fn set(choices: Vec<Option<usize>>) -> BTreeSet<usize> {
        choices.into_iter().flatten().collect()
    }

    const POLICIES: [&str; 12] = [
        r#"{"policy":"random"}"#,
        r#"{"policy":"random_choose","choose":3}"#,
        r#"{"policy":"least_conn"}"#,
        r#"{"policy":"round_robin"}"#,
        r#"{"policy":"weighted_round_robin","weights":[1,2,3]}"#,
        r#"{"policy":"first"}"#,
        r#"{"policy":"ip_hash"}"#,
        r#"{"policy":"client_ip_hash"}"#,
        r#"{"policy":"uri_hash"}"#,
        r#"{"policy":"query","key":"a"}"#,
        r#"{"policy":"header","field":"X-A"}"#,
        r#"{"policy":"cookie"}"#,
    ];

    #[test]
    fn no_policy_chooses_what_is_not_available() {
        let request = "GET /?a=b\nX-A: b";
        for policy in POLICIES {
            let pool = pool(3);
            pool.upstreams[0].endpoint.fail(now());
            pool.upstreams[2].endpoint.miss(1);
            assert_eq!(
                set(choose(policy, &pool, request, 20)),
                BTreeSet::from([1]),
                "{policy}"
            );
            let full: Vec<_> = (0..10).map(|_| pool.upstreams[1].endpoint.begin()).collect();
            assert_eq!(choose(policy, &pool, request, 1), [None], "{policy}");
            drop(full);
            assert_eq!(choose(policy, &pool, request, 1), [Some(1)], "{policy}");
            assert_eq!(
                choose(policy, &Members::default(), request, 1),
                [None],
                "{policy}"
            );
        }
    }

    #[test]
    fn random_reaches_all() {
        for policy in &POLICIES[..3] {
            assert_eq!(set(choose(policy, &pool(3), "GET /", 300)).len(), 3, "{policy}");
        }
    }

    #[test]
    fn fewest_requests_win() {
        let pool = pool(3);
        let _held = [
            pool.upstreams[0].endpoint.begin(),
            pool.upstreams[0].endpoint.begin(),
            pool.upstreams[2].endpoint.begin(),
        ];
        assert_eq!(set(choose(POLICIES[2], &pool, "GET /", 20)), BTreeSet::from([1]));
        assert_eq!(set(choose(POLICIES[1], &pool, "GET /", 20)), BTreeSet::from([1]));
    }

    #[test]
    fn rounds_begin_at_the_second() {
        let found = choose(POLICIES[3], &pool(3), "GET /", 4);
        assert_eq!(found, [Some(1), Some(2), Some(0), Some(1)]);
        let found = choose(POLICIES[4], &pool(3), "GET /", 6);
        assert_eq!(found, [Some(1), Some(1), Some(2), Some(2), Some(2), Some(0)]);
        let single = r#"{"policy":"weighted_round_robin","weights":[1]}"#;
        assert_eq!(choose(single, &pool(3), "GET /", 2), [Some(0), Some(0)]);
    }

    #[test]
    fn upstreams_beyond_the_weights_get_nothing() {
        let pool = pool(3);
        pool.upstreams[0].endpoint.fail(now());
        let two = r#"{"policy":"weighted_round_robin","weights":[1,0]}"#;
        assert_eq!(choose(two, &pool, "GET /", 1), [None]);
        let two = r#"{"policy":"weighted_round_robin","weights":[1,1]}"#;
        assert_eq!(set(choose(two, &pool, "GET /", 4)), BTreeSet::from([1]));
    }

    /// Endpoints of Services, as many of each as said.
    fn services(counts: &[usize]) -> Members {
        let mut members = pool(counts.iter().sum());
        let mut start = 0;
        let range = |&count: &usize| {
            start += count;
            start - count..start
        };
        members.services = counts.iter().map(range).collect();
        members
    }

    #[track_caller]
    fn check_services(policy: &str, counts: &[usize], away: &[usize], expected: &[usize]) {
        let members = services(counts);
        for &index in away {
            members.upstreams[index].endpoint.fail(now());
        }
        let found = choose(policy, &members, "GET /", expected.len());
        let expected: Vec<_> = expected.iter().map(|&index| Some(index)).collect();
        assert_eq!(found, expected, "{policy} {counts:?} without {away:?}");
    }

    #[test]
    fn first_takes_the_first_service_with_an_endpoint() {
        let first = POLICIES[5];
        check_services(first, &[2, 2], &[], &[0, 1, 0, 1]);
        check_services(first, &[2, 2], &[0], &[1, 1]);
        check_services(first, &[2, 2], &[0, 1], &[2, 3, 2]);
        check_services(first, &[0, 1], &[], &[0, 0]);
        assert_eq!(choose(first, &services(&[0, 0]), "GET /", 1), [None]);
    }

    #[test]
    fn weights_are_of_services() {
        let weights = |weights: &str| format!(r#"{{"policy":"weighted_round_robin","weights":{weights}}}"#);
        check_services(&weights("[2,1]"), &[2, 2], &[], &[0, 1, 2, 0, 1, 3]);
        check_services(&weights("[1,1]"), &[3, 1], &[], &[0, 3, 1, 3, 2, 3, 0]);
        check_services(&weights("[2,1]"), &[2, 2], &[0, 1], &[2, 3, 2]);
        check_services(&weights("[2,1]"), &[0, 1], &[], &[0, 0]);
        check_services(&weights("[1,0]"), &[1, 1], &[], &[0, 0]);
        check_services(&weights("[1,1]"), &[1, 1, 1], &[], &[0, 1, 0, 1]);
        check_services(&weights("[3]"), &[2], &[], &[0, 1, 0]);
        check_services(&weights("[3]"), &[2], &[0], &[1, 1]);
        assert_eq!(choose(&weights("[1,0]"), &services(&[0, 1]), "GET /", 1), [None]);
        assert_eq!(choose(&weights("[1,1]"), &services(&[0, 0]), "GET /", 1), [None]);
    }

    #[test]
    fn other_policies_see_all_endpoints_of_services() {
        for policy in &POLICIES[..4] {
            let found = set(choose(policy, &services(&[1, 2]), "GET /", 300));
            assert_eq!(found.len(), 3, "{policy}");
        }
    }

    #[test]
    fn hashes_stay_when_others_go() {
        for (policy, request) in [
            (POLICIES[6], "GET /"),
            (POLICIES[7], "GET /"),
            (POLICIES[8], "GET /x?y"),
            (POLICIES[9], "GET /?a=1&a=2"),
            (POLICIES[10], "GET /\nX-A: c"),
            (r#"{"policy":"header","field":"Host"}"#, "GET /\nHost: h"),
        ] {
            let pool = pool(5);
            let chosen = set(choose(policy, &pool, request, 5));
            assert_eq!(chosen.len(), 1, "{policy}");
            let other = (0..5).find(|index| !chosen.contains(index)).unwrap();
            pool.upstreams[other].endpoint.fail(now());
            assert_eq!(set(choose(policy, &pool, request, 5)), chosen, "{policy}");
        }
    }

    #[test]
    fn hashes_spread() {
        let pool = pool(4);
        let chosen: BTreeSet<usize> = (0..64)
            .flat_map(|number| set(choose(POLICIES[8], &pool, &format!("GET /{number}"), 1)))
            .collect();
        assert_eq!(chosen.len(), 4);
    }

    #[test]
    fn missing_keys_fall_back() {
        for policy in [
            r#"{"policy":"query","key":"a","fallback":{"policy":"first"}}"#,
            r#"{"policy":"header","field":"X-A","fallback":{"policy":"first"}}"#,
            r#"{"policy":"header","field":"Host","fallback":{"policy":"first"}}"#,
            r#"{"policy":"cookie","fallback":{"policy":"first"}}"#,
        ] {
            assert_eq!(choose(policy, &pool(3), "GET /?b=c", 1), [Some(0)], "{policy}");
        }
    }

    #[test]
    fn cookies_lead_back() {
        let pool = pool(3);
        let policy = r#"{"policy":"cookie","secret":"s","max_age":"1m","fallback":{"policy":"first"}}"#;
        let (selection, robin) = (selection(policy, &pool), AtomicU32::new(0));
        let first = selection.select(&pool, &robin, &exchange("GET /")).unwrap();
        let value = cookie_value("s", "10.0.0.0:80");
        let expected = format!("lb={value}; Path=/; Max-Age=60; HttpOnly; SameSite=Lax");
        assert_eq!(first.cookie.unwrap(), expected);
        let value = cookie_value("s", "10.0.0.2:80");
        let back = exchange(&format!("GET /\nCookie: a=b; lb={value}"));
        let choice = selection.select(&pool, &robin, &back).unwrap();
        assert_eq!(
            choice,
            Choice {
                index: 2,
                cookie: None
            }
        );
        pool.upstreams[2].endpoint.fail(now());
        let choice = selection.select(&pool, &robin, &back).unwrap();
        assert_eq!((choice.index, choice.cookie.is_some()), (0, true));
    }

    #[test]
    fn cookies_are_secure_behind_tls() {
        let pool = pool(1);
        let (selection, robin) = (selection(r#"{"policy":"cookie"}"#, &pool), AtomicU32::new(0));
        let mut request = exchange("GET /\nX-Forwarded-Proto: https");
        request.trusted_proxy = true;
        let cookie = selection.select(&pool, &robin, &request).unwrap().cookie.unwrap();
        assert!(
            cookie
                .to_str()
                .unwrap()
                .ends_with("; HttpOnly; Secure; SameSite=None")
        );
    }

    #[test]
    fn configs_that_cannot_work_are_refused() {
        for policy in [
            r#"{"policy":"random_choose","choose":1}"#,
            r#"{"policy":"weighted_round_robin","weights":[0,0]}"#,
            r#"{"policy":"weighted_round_robin","weights":[-1,2]}"#,
            r#"{"policy":"query"}"#,
            r#"{"policy":"header"}"#,
            r#"{"policy":"cookie","name":"a b"}"#,
        ] {
            let parsed: Policy = serde_json::from_str(policy).unwrap();
            assert!(parsed.compile(&["a:80"]).is_err(), "{policy}");
        }
        for policy in [r#"{"policy":"best"}"#, r#"{"policy":"first","x":1}"#, "{}"] {
            assert!(serde_json::from_str::<Policy>(policy).is_err(), "{policy}");
        }
    }
}
