//! `basic_auth`: only who knows a password goes on; everybody else gets a 401.
//!
//! ```caddyfile
//! basic_auth [<matcher>] [bcrypt|argon2id [<realm>]] {
//!     <username> <hashed password>
//! }
//! ```
//!
//! ```caddyfile
//! admin.example.com {
//!     basic_auth {
//!         alice $2a$14$Zkx19XLiW6VYouLHR5NmfOFU0z2GTNmpkT/5qqR7hx4IjWJPDhjvG
//!     }
//! }
//! ```
//!
//! The user's name is `{http.auth.user.id}` afterwards. Passwords are only ever kept as hashes: as their tools print
//! them, or in base64 once more, which Caddy once wanted. A name that nobody has takes as long to refuse as a wrong
//! password does. Whatever cannot be understood lets nobody in.
//!
//! `basicauth` is the old name.

mod cache;
mod hash;

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use fairway_caddyfile::{Args, Diagnostic};
use http::HeaderValue;
use http::header::{AUTHORIZATION, HeaderMap, WWW_AUTHENTICATE};
use serde::{Deserialize, Serialize};

use crate::adapt::Scope;
use crate::compile::CompileError;
use crate::directives::{Directive, Parse};
use crate::error::HandlerError;
use crate::exchange::Exchange;
use crate::handlers::Flow;
use crate::template::{Template, Value};
use crate::world::World;

use cache::Cache;
use hash::Hash;

pub(crate) const DIRECTIVE: Directive = Directive {
    name: "basic_auth",
    parse: Parse::Handler(parse),
};

pub(crate) const DIRECTIVE_OLD_NAME: Directive = Directive {
    name: "basicauth",
    parse: Parse::Handler(parse),
};

/// Caddy's `http.handlers.authentication`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Who can tell who a client is. Without any, nobody is let in.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub providers: Option<Providers>,
}

/// The providers by name; there is one.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Providers {
    /// Basic authentication.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub http_basic: Option<HttpBasic>,
}

/// Caddy's `http.authentication.providers.http_basic`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct HttpBasic {
    /// How the passwords are hashed. Default: bcrypt.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hash: Option<HashConfig>,
    /// Who may come in.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub accounts: Vec<Account>,
    /// What the client is told the password is for. Default: `restricted`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub realm: String,
    /// If there, results are remembered, so that the same password is not hashed for every request.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hash_cache: Option<HashCache>,
}

/// How passwords are hashed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HashConfig {
    /// The algorithm.
    pub algorithm: Algorithm,
}

/// An algorithm that hashes passwords.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Algorithm {
    /// bcrypt, of a cost of at most 16.
    #[default]
    Bcrypt,
    /// Argon2id.
    Argon2id,
}

/// A user.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Account {
    /// The name.
    pub username: String,
    /// The hashed password: it begins with `$`, or is base64 of such a text.
    pub password: String,
}

/// The switch of the cache; it has no settings.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HashCache {}

impl fmt::Debug for Account {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Account({}: [redacted])", self.username)
    }
}

fn parse(mut args: Args<'_>, scope: &mut Scope<'_>) -> Result<super::Config, Diagnostic> {
    if args.name().text == DIRECTIVE_OLD_NAME.name {
        let message = "`basicauth` is the old name of `basic_auth`";
        scope.report(Diagnostic::warning("deprecated", args.name(), message).help("write `basic_auth`"));
    }
    let algorithm = match args.next_arg() {
        None => Algorithm::Bcrypt,
        Some(token) => match token.text.as_str() {
            "bcrypt" => Algorithm::Bcrypt,
            "argon2id" => Algorithm::Argon2id,
            other => {
                let message = format!("there is no hash algorithm `{other}`");
                return Err(Diagnostic::error("invalid-value", token, message)
                    .help("known are `bcrypt` and `argon2id`")
                    .did_you_mean(fairway_caddyfile::suggest(other, ["bcrypt", "argon2id"])));
            }
        },
    };
    let realm = args.next_arg().map(|token| token.text.clone());
    args.finish()?;
    let mut accounts = Vec::new();
    for line in args.block() {
        let read = account(Args::new(line), algorithm, scope);
        accounts.extend(scope.check(read));
    }
    Ok(super::Config::Authentication(Config {
        providers: Some(Providers {
            http_basic: Some(HttpBasic {
                hash: Some(HashConfig { algorithm }),
                accounts,
                realm: realm.unwrap_or_default(),
                hash_cache: Some(HashCache {}),
            }),
        }),
    }))
}

/// A line of the block: a user and a hashed password.
fn account(mut args: Args<'_>, algorithm: Algorithm, scope: &mut Scope<'_>) -> Result<Account, Diagnostic> {
    let username = args.name();
    if username.text.is_empty() {
        return Err(args.error("invalid-value", "a username must not be empty"));
    }
    let password = args.required("a hashed password")?;
    args.finish_line()?;
    if password.text.is_empty() {
        return Err(args.error_at(password, "invalid-value", "a hashed password must not be empty"));
    }
    let is_hash = || Hash::parse(algorithm, &decode(&password.text)?).map_err(|error| error.to_string());
    if !password.text.contains('{')
        && let Err(error) = is_hash()
    {
        let message = format!("nobody can log in as `{}`: {error}", username.text);
        let help = "passwords are written as hashes; `caddy hash-password` makes them";
        scope.report(Diagnostic::warning("invalid-value", password, message).help(help));
    }
    Ok(Account {
        username: username.text.clone(),
        password: password.text.clone(),
    })
}

/// Takes the base64 off a hash that has one around it.
fn decode(password: &str) -> Result<String, String> {
    if password.starts_with('$') {
        return Ok(password.to_owned());
    }
    let bytes = STANDARD
        .decode(password)
        .map_err(|_| "the password is neither a hash nor base64 of one".to_owned())?;
    // What is not text is no hash either; that it lets nobody in is found out by whoever reads it.
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

impl Config {
    pub(crate) fn compile(&self) -> Result<Authentication, CompileError> {
        let basic = self
            .providers
            .as_ref()
            .and_then(|providers| providers.http_basic.as_ref());
        let basic = basic.map(HttpBasic::compile).transpose();
        Ok(Authentication {
            basic: basic.map_err(|error| error.within("authentication"))?,
        })
    }
}

impl HttpBasic {
    fn compile(&self) -> Result<Basic, CompileError> {
        let algorithm = self.hash.map(|hash| hash.algorithm).unwrap_or_default();
        let mut accounts = HashMap::with_capacity(self.accounts.len());
        for account in &self.accounts {
            let username = known_at_load(&account.username)?;
            let within =
                |message: String| CompileError::new(message).within(format_args!("user `{username}`"));
            let password = decode(&known_at_load(&account.password)?).map_err(within)?;
            if username.is_empty() || password.is_empty() {
                return Err(CompileError::new("a user needs a name and a hashed password"));
            }
            let hash = match Hash::parse(algorithm, &password) {
                Ok(hash) => hash,
                Err(error) if error.is_too_expensive() => return Err(within(error.to_string())),
                Err(error) => Hash::Broken(error.to_string().into()),
            };
            if accounts
                .insert(username.as_bytes().into(), Arc::new(hash))
                .is_some()
            {
                return Err(CompileError::new(format!("the user `{username}` is there twice")));
            }
        }
        let realm = if self.realm.is_empty() {
            "restricted"
        } else {
            &self.realm
        };
        let challenge = HeaderValue::try_from(format!("Basic realm=\"{realm}\""));
        let dearest = accounts.values().max_by_key(|hash| hash.cost());
        let nobody = dearest.map_or_else(|| Hash::Broken("there are no users".into()), |hash| hash.nobody());
        Ok(Basic {
            nobody: Arc::new(nobody),
            accounts,
            challenge: challenge
                .map_err(|_| CompileError::new(format!("the realm `{realm}` does not fit into a header")))?,
            cache: self.hash_cache.map(|HashCache {}| Arc::default()),
        })
    }
}

/// Fills what is known without a request: `{env.NAME}`, if it is all there is.
fn known_at_load(text: &str) -> Result<String, CompileError> {
    let template = Template::new(text);
    if let Some(literal) = template.literal() {
        return Ok(literal.to_owned());
    }
    let name = template
        .sole_placeholder()
        .and_then(|placeholder| placeholder.name().strip_prefix("env."));
    let Some(name) = name else {
        return Err(CompileError::new(
            "in a name or a password the only placeholder may be `{env.NAME}`, and nothing beside it",
        ));
    };
    Ok(std::env::var(name).unwrap_or_default())
}

/// The run-time form. Without a provider nobody is let in.
#[derive(Debug)]
pub(crate) struct Authentication {
    basic: Option<Basic>,
}

#[derive(Debug)]
struct Basic {
    /// By name.
    accounts: HashMap<Box<[u8]>, Arc<Hash>>,
    /// What is hashed for a name that nobody has; as dear as the dearest account.
    nobody: Arc<Hash>,
    challenge: HeaderValue,
    cache: Option<Arc<Cache>>,
}

struct Credentials {
    username: Vec<u8>,
    password: Vec<u8>,
}

impl Authentication {
    /// Lets those in whose password is right. Dropping the future midway may leave a hash to be finished elsewhere;
    /// its result is remembered or forgotten, and does no harm.
    pub(crate) async fn handle<W: World>(
        &self,
        exchange: &mut Exchange,
        world: &W,
    ) -> Result<Flow<'_>, HandlerError> {
        if let Some(basic) = &self.basic {
            let credentials = credentials(&exchange.headers);
            if let Some(credentials) = credentials
                && let Some(user) = basic.verify(credentials, exchange, world).await
            {
                exchange.values.set("http.auth.user.id", Value::Text(user.into()));
                return Ok(Flow::Next);
            }
            exchange
                .response_headers
                .insert(WWW_AUTHENTICATE, basic.challenge.clone());
        }
        Err(HandlerError::new(401, "not authenticated"))
    }
}

impl Basic {
    /// The name of the user, if the password is right.
    async fn verify<W: World>(
        &self,
        credentials: Credentials,
        exchange: &mut Exchange,
        world: &W,
    ) -> Option<String> {
        let Credentials { username, password } = credentials;
        let account = self.accounts.get(username.as_slice());
        let hash = Arc::clone(account.unwrap_or(&self.nobody));
        if let (Some(_), Hash::Broken(message)) = (account, &*hash) {
            exchange
                .values
                .set("http.auth.http_basic.error", Value::Text(message.clone()));
            return None;
        }
        let same = match &self.cache {
            None => world.blocking(move || hash.verify(&password)).await,
            Some(cache) => {
                let key = cache::Key::new(&hash, &password);
                if let Some(same) = cache.get(&key) {
                    same
                } else {
                    let cache = Arc::clone(cache);
                    // Whoever waited in line may find that the one before it has done the work.
                    let work = move || {
                        cache.get(&key).unwrap_or_else(|| {
                            let same = hash.verify(&password);
                            cache.put(key, same);
                            same
                        })
                    };
                    world.blocking(work).await
                }
            }
        };
        (same && account.is_some())
            .then(|| String::from_utf8(username).ok())
            .flatten()
    }
}

/// What the client says it is.
fn credentials(headers: &HeaderMap) -> Option<Credentials> {
    let value = headers.get(AUTHORIZATION)?.as_bytes();
    let (scheme, encoded) = value.split_at_checked("Basic ".len())?;
    if !scheme.eq_ignore_ascii_case(b"Basic ") {
        return None;
    }
    let mut username = STANDARD.decode(encoded).ok()?;
    let colon = username.iter().position(|byte| *byte == b':')?;
    let password = username.split_off(colon + 1);
    username.pop();
    Some(Credentials { username, password })
}

#[cfg(test)]
mod tests;
