#![expect(clippy::needless_pass_by_value, reason = "`json!` reads better without a `&`")]

use std::cell::Cell;
use std::future::Future;
use std::pin::pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use serde_json::{Value as Json, json};

use super::*;
use crate::body::Body;
use crate::exchange::Connection;
use crate::handlers::reverse_proxy::transport::Transport;
use crate::test_util::handlers;
use crate::world::{Dial, SendError};

const SECRET1: &str = "$2a$05$.muFRdnDb08koDfuK1FqjuKxOd/iY/cJNlD0Lc4Tx4ZTVsCbyMUXy";
/// `alice:secret1`
const ALICE: &str = "Basic YWxpY2U6c2VjcmV0MQ==";

/// Does everything at once, and counts it.
#[derive(Default)]
struct Here(Cell<usize>);

impl World for Here {
    async fn send(
        &self,
        _: &Dial,
        _: &Arc<Transport>,
        _: http::Request<Body>,
    ) -> Result<http::Response<Body>, SendError> {
        unreachable!("nothing is sent")
    }

    async fn blocking<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> T {
        self.0.set(self.0.get() + 1);
        work()
    }

    fn file(&self, _: std::fs::File, _: u64, _: u64) -> Body {
        unreachable!("no file is read")
    }

    fn within(&self, body: Body, _limit: std::time::Duration) -> Body {
        body
    }

    async fn sleep(&self, _: Duration) {}
}

fn run<T>(future: impl Future<Output = T>) -> T {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => output,
        Poll::Pending => unreachable!("nothing to wait for"),
    }
}

fn exchange(authorization: Option<&str>) -> Exchange {
    let mut request = http::Request::builder().uri("/");
    if let Some(value) = authorization {
        request = request.header("Authorization", value);
    }
    let connection = Connection::new(([127, 0, 0, 1], 1).into(), ([127, 0, 0, 1], 2).into(), None);
    Exchange::new(request.body(Body::Empty).unwrap(), Arc::new(connection))
}

fn compile(config: Json) -> Result<Authentication, CompileError> {
    serde_json::from_value::<Config>(config).unwrap().compile()
}

fn basic(accounts: Json) -> Json {
    json!({"providers": {"http_basic": {"accounts": accounts, "hash_cache": {}}}})
}

/// The user, or the message of the refusal.
#[track_caller]
fn check(config: Json, authorization: Option<&str>, expected: Option<&str>) {
    let handler = compile(config).unwrap();
    let mut exchange = exchange(authorization);
    let result = run(handler.handle(&mut exchange, &Here::default()));
    let user = exchange.values.get("http.auth.user.id").map(Value::to_string);
    assert_eq!(user.as_deref(), expected, "{authorization:?}");
    match result {
        Ok(_) => assert!(expected.is_some()),
        Err(error) => {
            assert!(expected.is_none());
            assert_eq!(error.status, 401);
        }
    }
}

#[test]
fn who_knows_the_password_comes_in() {
    let alice = || basic(json!([{"username": "alice", "password": SECRET1}]));
    check(alice(), Some(ALICE), Some("alice"));
    check(alice(), Some(&ALICE.replace("Basic", "bASIC")), Some("alice"));
    let encoded = STANDARD.encode(SECRET1);
    check(
        basic(json!([{"username": "alice", "password": encoded}])),
        Some(ALICE),
        Some("alice"),
    );
}

#[test]
fn nobody_else_comes_in() {
    let alice = || basic(json!([{"username": "alice", "password": SECRET1}]));
    for wrong in [
        "alice:wrong",
        "alice:",
        "alice:secret1 ",
        "alicesecret1",
        "bob:secret1",
        ":secret1",
        ":",
    ] {
        check(alice(), Some(&format!("Basic {}", STANDARD.encode(wrong))), None);
    }
    for wrong in [
        "",
        "Basic",
        "Basic ",
        "Basic !!!",
        "Bearer YWxpY2U6c2VjcmV0MQ==",
        "BasicYWxpY2U6c2VjcmV0MQ==",
    ] {
        check(alice(), Some(wrong), None);
    }
    check(alice(), None, None);
    check(json!({}), Some(ALICE), None);
    check(json!({"providers": {}}), Some(ALICE), None);
    check(basic(json!([])), Some(ALICE), None);
    let no_hash = STANDARD.encode("secret1");
    check(
        basic(json!([{"username": "alice", "password": no_hash}])),
        Some(ALICE),
        None,
    );
}

#[test]
fn a_refusal_says_how_to_come_in() {
    let handler = compile(json!({"providers": {"http_basic": {"realm": "my realm"}}})).unwrap();
    let mut exchange = exchange(None);
    let refused = run(handler.handle(&mut exchange, &Here::default()));
    assert!(refused.is_err());
    assert_eq!(
        exchange.response_headers["www-authenticate"],
        "Basic realm=\"my realm\""
    );
}

#[test]
fn results_are_remembered() {
    let handler = compile(basic(json!([{"username": "alice", "password": SECRET1}]))).unwrap();
    let world = Here::default();
    for _ in 0..3 {
        assert!(run(handler.handle(&mut exchange(Some(ALICE)), &world)).is_ok());
    }
    assert_eq!(world.0.get(), 1);
}

#[test]
fn what_cannot_be_a_password_is_refused() {
    #[track_caller]
    fn refused(config: Json, expected: &str) {
        assert_eq!(compile(config).unwrap_err().to_string(), expected);
    }
    refused(
        basic(json!([{"username": "alice", "password": "plaintext"}])),
        "authentication: user `alice`: the password is neither a hash nor base64 of one",
    );
    refused(
        basic(json!([{"username": "alice", "password": SECRET1.replace("$05$", "$20$")}])),
        "authentication: user `alice`: the cost 20 of this bcrypt hash is too high, at most 16 is accepted",
    );
    refused(
        basic(json!([{"username": "a", "password": SECRET1}, {"username": "a", "password": SECRET1}])),
        "authentication: the user `a` is there twice",
    );
    refused(
        basic(json!([{"username": "", "password": SECRET1}])),
        "authentication: a user needs a name and a hashed password",
    );
}

#[test]
fn json_is_that_of_caddy() {
    let config = json!({"providers": {"http_basic": {
        "hash": {"algorithm": "argon2id"},
        "accounts": [{"username": "a", "password": "b"}],
        "realm": "r",
        "hash_cache": {},
    }}});
    let read: Config = serde_json::from_value(config.clone()).unwrap();
    assert_eq!(serde_json::to_value(&read).unwrap(), config);
    assert!(!format!("{read:?}").contains("\"b\""));
    assert_eq!(serde_json::to_value(Config::default()).unwrap(), json!({}));
}

#[track_caller]
fn adapts(line: &str, expected: Json) {
    assert_eq!(handlers(line), expected, "{line}");
}

#[test]
fn the_directive_becomes_the_json_of_caddy() {
    let expected =
        |http_basic: Json| json!([{"handler": "authentication", "providers": {"http_basic": http_basic}}]);
    adapts(
        &format!("basic_auth {{\nalice {SECRET1}\nbob {SECRET1}\n}}"),
        expected(json!({
            "hash": {"algorithm": "bcrypt"},
            "accounts": [{"username": "alice", "password": SECRET1}, {"username": "bob", "password": SECRET1}],
            "hash_cache": {},
        })),
    );
    adapts(
        "basic_auth argon2id \"my realm\" {\nalice {env.HASH}\n}",
        expected(json!({
            "hash": {"algorithm": "argon2id"},
            "accounts": [{"username": "alice", "password": "{env.HASH}"}],
            "realm": "my realm",
            "hash_cache": {},
        })),
    );
    adapts(
        "basic_auth",
        expected(json!({"hash": {"algorithm": "bcrypt"}, "hash_cache": {}})),
    );
}

#[test]
fn mistakes_are_told() {
    for (line, expected) in [
        (
            "basic_auth brypt",
            "2:12: there is no hash algorithm `brypt`; did you mean `bcrypt`?",
        ),
        (
            "basic_auth bcrypt a b",
            "2:21: `basic_auth` takes no further argument, but `b` follows",
        ),
        ("basic_auth {\nalice\n}", "3:1: `alice` needs a hashed password"),
        (
            "basic_auth {\nalice \"\"\n}",
            "3:7: a hashed password must not be empty",
        ),
        ("basic_auth {\n\"\" x\n}", "3:1: a username must not be empty"),
        (
            "basic_auth {\nalice a b\n}",
            "3:9: `alice` takes no further argument, but `b` follows",
        ),
        (
            "basic_auth {\nalice secret\n}",
            "3:7: nobody can log in as `alice`: the password is neither a hash nor base64 of one; \
             passwords are written as hashes; `caddy hash-password` makes them",
        ),
        (
            "basicauth",
            "2:1: `basicauth` is the old name of `basic_auth`; write `basic_auth`",
        ),
    ] {
        adapts(line, json!(format!("Caddyfile:{expected}")));
    }
}

#[test]
fn a_tenant_reads_no_environment() {
    use fairway_caddyfile::{Options, Origin, Source, parse};
    #[track_caller]
    fn check(origin: Arc<Origin>, expected: Option<&str>) {
        let text = ":80\nbasic_auth {\nalice {env.HASH}\n}\n";
        let parsed = parse(Source::new(origin, "Caddyfile", text), &Options::default());
        let mut shared = crate::adapt::test_shared();
        let (mut groups, mut invoked) = (0, Vec::new());
        Scope::new(&mut shared, &mut groups, &mut invoked).items(&parsed.file.sites[0].block.segments);
        let mistake = shared.diagnostics.first().map(|mistake| mistake.code);
        assert_eq!(mistake, expected);
    }
    check(Origin::operator("Caddyfile"), None);
    check(
        Origin::tenant("CaddyRoute shop/api", "shop"),
        Some("operator-only"),
    );
}
