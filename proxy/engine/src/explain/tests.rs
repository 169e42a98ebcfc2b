use fairway_caddyfile::{Options, Origin, Source};

use super::*;
use crate::test_util;

/// The config of a Caddyfile without mistakes.
#[track_caller]
fn config(text: &str) -> Config {
    let source = Source::new(Origin::operator("Caddyfile"), "Caddyfile", text);
    let adapted = crate::adapt(source, &Options::default());
    assert!(!adapted.has_errors(), "{text}: {:?}", adapted.diagnostics);
    adapted.config
}

fn connection() -> Connection {
    Connection::new(
        "192.0.2.1:1234".parse().unwrap(),
        "192.0.2.2:80".parse().unwrap(),
        None,
    )
}

/// A request as one, from a method, a target and headers, one a line.
fn request(text: &str) -> http::Request<Body> {
    let exchange = test_util::exchange(text);
    let mut request = http::Request::new(Body::Empty);
    *request.method_mut() = exchange.method.clone();
    *request.uri_mut() = exchange.target().path_and_query().parse().unwrap();
    *request.headers_mut() = exchange.headers.clone();
    let host = exchange.host.parse().unwrap();
    request.headers_mut().insert(http::header::HOST, host);
    request
}

/// The steps of a request, one a line: where it is written, as what, what it does, and what the request is then.
fn told(explanation: &Explanation<'_>) -> String {
    let step = |step: &Step<'_>| {
        let at = step.at.map_or("-".to_owned(), |at| {
            format!("{}:{} {}", at.line(), at.column(), at.text())
        });
        format!("{at} | {} | {}", words(step.handler), step.request)
    };
    let lines: Vec<String> = explanation.steps.iter().map(step).collect();
    format!("{}\n{:?}", lines.join("\n"), explanation.end)
}

/// What is told of a request is as expected, and the request is served so.
#[track_caller]
fn check(text: &str, asked: &str, expected: &str) {
    let config = config(text);
    let registry = Registry::default();
    let explainer = Explainer::new(&config, &registry).unwrap();
    let explanation = explainer.explain("srv0", request(asked), connection()).unwrap();
    assert_eq!(told(&explanation), expected, "{text}");
}

fn status(status: u16) -> StatusCode {
    StatusCode::from_u16(status).unwrap()
}

/// How a request ends, held against the status with which it is served.
#[track_caller]
fn check_end(lines: &str, asked: &str, expected: &End) {
    let config = config(&format!(":80 {{\n{lines}\n}}\n"));
    let registry = Registry::default();
    let explainer = Explainer::new(&config, &registry).unwrap();
    let explanation = explainer.explain("srv0", request(asked), connection()).unwrap();
    assert_eq!(explanation.end, *expected, "{lines}");
    let (served, _) = match expected {
        // There is nobody to ask, or nothing to compare.
        End::Upstream | End::Waits | End::Aborted => return,
        _ => test_util::answer(lines, asked),
    };
    let told = match &explanation.end {
        End::Answered(answer) => answer.status,
        End::Failed(status) => *status,
        _ => StatusCode::OK,
    };
    assert_eq!(served, told.as_u16(), "{lines}");
}

fn answered(code: u16, text: Option<&str>) -> End {
    End::Answered(Answer {
        status: status(code),
        location: None,
        text: text.map(str::to_owned),
    })
}

const SHOP: &str = "\
(secure) {
	header X-Frame-Options DENY
}
&(api) {
	reverse_proxy api:8080 {
		lb_policy least_conn
	}
}
http://shop.test {
	import secure
	handle_path /api/* {
		invoke api
	}
	handle {
		respond \"hello\" 201
	}
}
";

#[test]
fn every_step_is_told_with_its_line() {
    check(
        SHOP,
        "GET /api/items?a=b\nhost: shop.test",
        "9:1 http://shop.test |  | GET /api/items?a=b
2:2 header X-Frame-Options DENY | headers of the answer: sets X-Frame-Options | GET /api/items?a=b
11:2 handle_path /api/* |  | GET /api/items?a=b
- | strips /api | GET /items?a=b
12:3 invoke api | runs the named route api | GET /items?a=b
5:2 reverse_proxy api:8080 | -> api:8080 | GET /items?a=b
Upstream",
    );
    check(
        SHOP,
        "GET /other\nhost: shop.test",
        "9:1 http://shop.test |  | GET /other
2:2 header X-Frame-Options DENY | headers of the answer: sets X-Frame-Options | GET /other
14:2 handle |  | GET /other
15:3 respond \"hello\" 201 | answers by itself | GET /other
Answered(Answer { status: 201, location: None, text: Some(\"hello\") })",
    );
    check(SHOP, "GET /\nhost: other.test", "\nUnanswered");
}

#[test]
fn errors_go_on_in_error_routes() {
    check(
        ":80 {\nrewrite /x /y\nerror /y 418\nhandle_errors {\nrespond {err.status_code}\n}\n}\n",
        "GET /x",
        "2:1 rewrite /x /y | rewrites to /y | GET /y
3:1 error /y 418 | fails on purpose | GET /y
4:1 handle_errors |  | GET /x
5:1 respond {err.status_code} | answers by itself | GET /x
Answered(Answer { status: 418, location: None, text: Some(\"418\") })",
    );
}

#[test]
fn responses_of_upstreams_are_taken_to_be_good() {
    let text = ":80 {\nreverse_proxy a:1 b:2 {\nlb_policy first\n@ok status 2xx\nhandle_response @ok {\nrespond yes\n}\n}\n}\n";
    check(
        text,
        "GET /",
        "2:1 reverse_proxy a:1 b:2 | -> a:1, b:2 | GET /
6:1 respond yes | answers by itself | GET /
Answered(Answer { status: 200, location: None, text: Some(\"yes\") })",
    );
    let config = config(text);
    let registry = Registry::default();
    let explainer = Explainer::new(&config, &registry).unwrap();
    let explanation = explainer.explain("srv0", request("GET /"), connection()).unwrap();
    assert_eq!(explanation.steps[0].sent, ["a:1"]);
}

#[test]
fn the_end_is_that_of_serving() {
    check_end("respond /a hi", "GET /a", &answered(200, Some("hi")));
    check_end("respond /a hi", "GET /b", &End::Unanswered);
    check_end("header X y", "GET /", &End::Unanswered);
    check_end("respond 204", "GET /", &answered(204, None));
    check_end("error 404", "GET /", &End::Failed(status(404)));
    check_end(
        "error 404\nhandle_errors {\nheader A b\n}",
        "GET /",
        &End::Failed(status(404)),
    );
    check_end(
        "error 404\nhandle_errors 5xx {\nrespond no\n}\nhandle_errors 404 {\nrespond yes\n}",
        "GET /",
        &answered(404, Some("yes")),
    );
    check_end("abort", "GET /", &End::Aborted);
    check_end(
        "root * /nowhere\nfile_server",
        "GET /x",
        &End::Failed(status(404)),
    );
    check_end("reverse_proxy a:1", "GET /", &End::Upstream);
    check_end(
        "@json header Accept application/json\nrespond @json 1\nrespond 2",
        "GET /\naccept: application/json",
        &answered(200, Some("1")),
    );
    check_end(
        "redir /a /b",
        "GET /a",
        &End::Answered(Answer {
            status: status(302),
            location: Some("/b".into()),
            text: None,
        }),
    );
    check_end(
        "basic_auth {\nbob $2a$14$Zkx19XLiW6VYouLHR5NmfOFU0z2GTNmpkT/5qqR7hx4IjWJPDhjvG\n}\nrespond in",
        "GET /",
        &End::Failed(status(401)),
    );
}

#[test]
fn an_answer_is_shown_from_its_beginning() {
    let long = "é".repeat(SHOWN + 1);
    let shown = format!("{}…", "é".repeat(SHOWN));
    check_end(&format!("respond {long}"), "GET /", &answered(200, Some(&shown)));
}

#[test]
fn an_unknown_server_is_not_explained() {
    let config = config(":80 {\nrespond hi\n}\n");
    let registry = Registry::default();
    let explainer = Explainer::new(&config, &registry).unwrap();
    let explanation = explainer.explain("srv1", request("GET /"), connection());
    assert!(explanation.is_none());
}
