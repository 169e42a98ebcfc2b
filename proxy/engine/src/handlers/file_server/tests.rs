#![expect(clippy::needless_pass_by_value, reason = "`json!` reads better without a `&`")]

use std::fs::File;
use std::future::Future;
use std::io::{Read as _, Seek as _, SeekFrom};
use std::path::PathBuf;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, UNIX_EPOCH};

use http_body::Body as _;
use serde_json::{Value as Json, json};

use super::*;
use crate::handlers::reverse_proxy::transport::Transport;
use crate::test_util::{exchange, handlers};
use crate::world::{Dial, SendError};

/// Reads files at once.
struct Here;

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
        work()
    }

    fn file(&self, mut file: File, offset: u64, length: u64) -> Body {
        let mut bytes = Vec::new();
        file.seek(SeekFrom::Start(offset)).unwrap();
        file.take(length).read_to_end(&mut bytes).unwrap();
        bytes::Bytes::from(bytes).into()
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

/// A folder of files, gone with the value.
struct Site(PathBuf);

impl Site {
    fn new() -> Self {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let folder = std::env::temp_dir().join(format!("fairway-files-{}-{number}", std::process::id()));
        let site = Self(folder);
        for (name, text) in [
            ("f.txt", "0123456789"),
            ("a b.txt", "space"),
            ("é.txt", "accent"),
            ("plain", "no ending"),
            ("page.html", "<p>"),
            ("page.html.gz", "gzipped"),
            ("page.html.zst", "zst"),
            ("tag.css", "tagged"),
            ("tag.css.etag", "\"mine\"\n"),
            ("secret.key", "key"),
            ("dir/index.html", "in dir"),
            ("dir/f.txt", "f"),
            ("noindex/f.txt", "f"),
            ("a b/index.html", "in a b"),
            ("empty.txt", ""),
        ] {
            let path = site.0.join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(&path, text).unwrap();
            // 2024-01-02 03:04:05 UTC
            let date = UNIX_EPOCH + Duration::from_secs(1_704_164_645);
            File::options()
                .write(true)
                .open(&path)
                .unwrap()
                .set_modified(date)
                .unwrap();
        }
        site
    }

    /// Serves a request; all that comes out.
    fn get(&self, config: &Json, request: &str) -> Answer {
        self.serve(config, exchange(request))
    }

    fn serve(&self, config: &Json, mut exchange: Exchange) -> Answer {
        let mut config: Config = serde_json::from_value(config.clone()).unwrap();
        config.root = self.0.to_str().unwrap().to_owned();
        let handler = config.compile().unwrap();
        let (status, body) = match run(handler.handle(&mut exchange, &Here)) {
            Ok(Flow::Respond(response)) => (response.status.as_u16(), read(response.body)),
            Ok(_) => (0, "next".to_owned()),
            Err(error) => (error.status, format!("error: {}", error.message)),
        };
        Answer {
            status,
            body,
            headers: exchange.response_headers,
        }
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

struct Answer {
    status: u16,
    body: String,
    headers: http::HeaderMap,
}

impl Answer {
    fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }
}

fn read(mut body: Body) -> String {
    let mut all = Vec::new();
    let mut context = Context::from_waker(Waker::noop());
    while let Poll::Ready(Some(frame)) = Pin::new(&mut body).poll_frame(&mut context) {
        all.extend_from_slice(frame.unwrap().data_ref().unwrap());
    }
    String::from_utf8(all).unwrap()
}

#[track_caller]
fn check(config: Json, request: &str, status: u16, body: &str) {
    let answer = Site::new().get(&config, request);
    assert_eq!((answer.status, answer.body.as_str()), (status, body), "{request}");
}

const NOT_FOUND: &str = "error: file not found";

#[test]
fn serves_files_by_their_decoded_names() {
    check(json!({}), "GET /f.txt", 200, "0123456789");
    check(json!({}), "GET /a%20b.txt", 200, "space");
    check(json!({}), "GET /%C3%A9.txt", 200, "accent");
    check(json!({}), "GET /dir/", 200, "in dir");
    check(json!({}), "GET /empty.txt", 200, "");
    check(json!({"index_names": ["f.txt"]}), "GET /noindex/", 200, "f");
}

#[test]
fn serves_nothing_else() {
    check(json!({}), "GET /none", 404, NOT_FOUND);
    check(json!({}), "GET /a%2520b.txt", 404, NOT_FOUND);
    check(json!({}), "GET /noindex/", 404, NOT_FOUND);
    check(json!({}), "GET /noindex", 404, NOT_FOUND);
    check(
        json!({}),
        "GET /../../../../../../../../etc/passwd",
        404,
        NOT_FOUND,
    );
    check(
        json!({}),
        "GET /%2e%2e/%2e%2e/%2e%2e/%2e%2e/etc/passwd",
        404,
        NOT_FOUND,
    );
    check(
        json!({}),
        "GET /dir/..%2f..%2f..%2f..%2f..%2fetc/passwd",
        404,
        NOT_FOUND,
    );
    check(
        json!({}),
        "GET /a%00b.txt",
        400,
        "error: this is no path of a file",
    );
    check(json!({}), "GET /f.txt/x", 400, "error: this is no path of a file");
    check(json!({"pass_thru": true}), "GET /none", 0, "next");
    check(
        json!({}),
        "POST /f.txt",
        405,
        "error: only GET and HEAD are served with files",
    );
    check(json!({}), "POST /none", 404, NOT_FOUND);
}

#[test]
fn what_is_hidden_does_not_exist() {
    check(json!({"hide": ["*.key"]}), "GET /secret.key", 404, NOT_FOUND);
    check(json!({"hide": ["dir"]}), "GET /dir/f.txt", 404, NOT_FOUND);
    check(json!({"hide": ["index.html"]}), "GET /dir/", 404, NOT_FOUND);
    check(json!({"hide": ["./secret.key"]}), "GET /secret.key", 200, "key");
    let site = Site::new();
    let hide = json!({"hide": [format!("{}/dir/", site.0.display())]});
    assert_eq!(site.get(&hide, "GET /dir/f.txt").status, 404);
    assert_eq!(site.get(&hide, "GET /noindex/f.txt").status, 200);
}

#[test]
fn headers_are_those_of_caddy() {
    let site = Site::new();
    let answer = site.get(&json!({}), "GET /f.txt");
    assert_eq!(answer.header("content-type"), "text/plain; charset=utf-8");
    assert_eq!(answer.header("content-length"), "10");
    assert_eq!(answer.header("accept-ranges"), "bytes");
    assert_eq!(answer.header("last-modified"), "Tue, 02 Jan 2024 03:04:05 GMT");
    assert_eq!(answer.header("etag"), "\"cy3vy63hrojka\"");
    assert_eq!(answer.header("vary"), "Accept-Encoding");
    let answer = site.get(&json!({}), "HEAD /f.txt");
    assert_eq!((answer.header("content-length"), &*answer.body), ("10", ""));
    let answer = site.get(&json!({}), "GET /plain");
    assert_eq!(answer.header("content-type"), "");
    let answer = site.get(&json!({}), "PUT /f.txt");
    assert_eq!((answer.header("allow"), answer.header("etag")), ("GET, HEAD", ""));
    let answer = site.get(
        &json!({"etag_file_extensions": [".none", ".etag"]}),
        "GET /tag.css",
    );
    assert_eq!(answer.header("etag"), "\"mine\"");
}

#[test]
fn paths_are_put_right() {
    #[track_caller]
    fn location(config: Json, request: &str, expected: &str) {
        let answer = Site::new().get(&config, request);
        assert_eq!(answer.header("location"), expected, "{request}");
        assert_eq!(answer.status == 308, !expected.is_empty(), "{request}");
    }
    location(json!({}), "GET /dir?x=1", "/dir/?x=1");
    location(json!({}), "GET /dir/f.txt/", "/dir/f.txt");
    location(json!({}), "GET /a%20b", "/a%20b/");
    location(json!({}), "GET //dir", "/dir/");
    location(json!({}), "GET /dir/", "");
    location(json!({}), "GET /dir/index.html", "");
    location(json!({}), "GET /noindex", "");
    location(json!({"canonical_uris": false}), "GET /dir", "");
    let answer = Site::new().get(&json!({}), "GET /dir");
    assert_eq!(answer.body, "<a href=\"/dir/\">Permanent Redirect</a>.\n\n");

    // A rewrite to a folder is meant as it is.
    let mut rewritten = exchange("GET /x");
    rewritten.set_target("/dir").unwrap();
    assert_eq!(Site::new().serve(&json!({}), rewritten).status, 200);
}

#[test]
fn conditions_are_kept() {
    #[track_caller]
    fn check(conditions: &str, status: u16) {
        let answer = Site::new().get(&json!({}), &format!("GET /f.txt\n{conditions}"));
        assert_eq!(answer.status, status, "{conditions}");
    }
    let etag = "\"cy3vy63hrojka\"";
    check(&format!("If-None-Match: {etag}"), 304);
    check(&format!("If-None-Match: \"x\", W/{etag}"), 304);
    check("If-None-Match: *", 304);
    check("If-None-Match: \"x\"", 200);
    check("If-None-Match: broken", 200);
    check("If-Modified-Since: Tue, 02 Jan 2024 03:04:05 GMT", 304);
    check("If-Modified-Since: Tue, 02 Jan 2024 03:04:04 GMT", 200);
    check("If-Modified-Since: yesterday", 200);
    check(
        "If-None-Match: \"x\"\nIf-Modified-Since: Tue, 02 Jan 2024 03:04:05 GMT",
        200,
    );
    check(&format!("If-Match: \"x\", {etag}"), 200);
    check("If-Match: *", 200);
    check("If-Match: \"x\"", 412);
    check(&format!("If-Match: W/{etag}"), 412);
    check("If-Unmodified-Since: Tue, 02 Jan 2024 03:04:05 GMT", 200);
    check("If-Unmodified-Since: Tue, 02 Jan 2024 03:04:04 GMT", 412);
    let answer = Site::new().get(&json!({}), &format!("GET /f.txt\nIf-None-Match: {etag}"));
    assert_eq!(
        (answer.header("etag"), answer.header("last-modified")),
        (etag, "")
    );
    assert_eq!((answer.header("content-type"), &*answer.body), ("", ""));
}

#[test]
fn ranges_are_served() {
    #[track_caller]
    fn check(headers: &str, status: u16, range: &str, body: &str) {
        let answer = Site::new().get(&json!({}), &format!("GET /f.txt\n{headers}"));
        assert_eq!(answer.status, status, "{headers}");
        assert_eq!(
            (answer.header("content-range"), &*answer.body),
            (range, body),
            "{headers}"
        );
    }
    let whole = "0123456789";
    check("Range: bytes=0-3", 206, "bytes 0-3/10", "0123");
    check("Range: bytes=-2", 206, "bytes 8-9/10", "89");
    check(
        "Range: bytes=20-",
        416,
        "bytes */10",
        "invalid range: failed to overlap\n",
    );
    check("Range: bytes=5-3", 416, "", "invalid range\n");
    check("Range: items=0-1", 416, "", "invalid range\n");
    check("Range: bytes=0-9,0-9", 200, "", whole);
    check("Range: bytes=0-3\nIf-Range: \"nope\"", 200, "", whole);
    check(
        "Range: bytes=0-3\nIf-Range: \"cy3vy63hrojka\"",
        206,
        "bytes 0-3/10",
        "0123",
    );
    check(
        "Range: bytes=0-3\nIf-Range: Tue, 02 Jan 2024 03:04:05 GMT",
        206,
        "bytes 0-3/10",
        "0123",
    );
    check(
        "Range: bytes=0-3\nIf-Range: Tue, 02 Jan 2024 03:04:06 GMT",
        200,
        "",
        whole,
    );
    let many: Vec<String> = (0..10).map(|at| format!("{at}-{at}")).collect();
    let many = format!("Range: bytes={},{}", many.join(","), "-0,".repeat(30));
    check(&many, 200, "", whole);
}

#[test]
fn several_ranges_are_served_as_parts() {
    let answer = Site::new().get(&json!({}), "GET /f.txt\nRange: bytes=0-1,4-5");
    assert_eq!(answer.status, 206);
    let boundary = answer
        .header("content-type")
        .strip_prefix("multipart/byteranges; boundary=")
        .unwrap();
    let part = |range: &str| {
        format!(
            "--{boundary}\r\nContent-Range: bytes {range}/10\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n"
        )
    };
    let expected = format!("{}01\r\n{}45\r\n--{boundary}--\r\n", part("0-1"), part("4-5"));
    assert_eq!(answer.body, expected);
    assert_eq!(answer.header("content-length"), expected.len().to_string());
}

#[test]
fn compressed_files_are_served_to_who_can_read_them() {
    #[track_caller]
    fn check(accept: &str, encoding: &str, body: &str) {
        let config = json!({"precompressed": {"gzip": {}, "zstd": {}, "br": {}}, "precompressed_order": ["br", "zstd", "gzip"]});
        let answer = Site::new().get(&config, &format!("GET /page.html\nAccept-Encoding: {accept}"));
        assert_eq!(
            (answer.header("content-encoding"), &*answer.body),
            (encoding, body),
            "{accept}"
        );
        assert_eq!(answer.header("content-type"), "text/html; charset=utf-8");
        assert_eq!(answer.header("content-length"), body.len().to_string());
    }
    check("gzip", "gzip", "gzipped");
    check("gzip, zstd, br", "zstd", "zst");
    check("identity", "", "<p>");
    check("gzip;q=0", "", "<p>");
}

#[test]
fn the_status_may_be_another() {
    check(json!({"status_code": 503}), "GET /f.txt", 503, "0123456789");
    check(
        json!({"status_code": "{http.request.uri.query.s}"}),
        "GET /f.txt?s=404",
        404,
        "0123456789",
    );
    check(
        json!({"status_code": "{http.request.uri.query.s}"}),
        "GET /f.txt?s=99999",
        500,
        "error: `99999` is no status of a file",
    );
    let mut failed = exchange("POST /f.txt");
    failed.error = Some(HandlerError::new(502, ""));
    let answer = Site::new().serve(&json!({}), failed);
    assert_eq!((answer.status, &*answer.body), (502, "0123456789"));
}

#[test]
fn what_is_not_there_yet_is_refused() {
    #[track_caller]
    fn refused(config: Json, expected: &str) {
        let config: Config = serde_json::from_value(config).unwrap();
        assert_eq!(config.compile().unwrap_err().to_string(), expected);
    }
    refused(
        json!({"browse": {}}),
        "file_server: `browse`, which lists folders, is not there yet",
    );
    refused(
        json!({"fs": "x"}),
        "file_server: the file system `x` is unknown, only that of the machine is there",
    );
    assert!(serde_json::from_value::<Config>(json!({"precompressed": {"lz": {}}})).is_err());
}

#[track_caller]
fn adapts(line: &str, mut expected: Json) {
    if let Some(config) = expected.as_object_mut() {
        config.insert("handler".into(), json!("file_server"));
        expected = json!([expected]);
    }
    assert_eq!(handlers(line), expected, "{line}");
}

#[test]
fn json_is_that_of_caddy() {
    adapts("file_server", json!({}));
    adapts("file_server browse", json!({"browse": {}}));
    adapts(
        "file_server {\nfs x\nroot /srv\nhide a\nhide b c\nindex i\nstatus 403\ndisable_canonical_uris\npass_thru\n\
         etag_file_extensions .md5 .sha\n}",
        json!({
            "fs": "x", "root": "/srv", "hide": ["a", "b", "c"], "index_names": ["i"], "status_code": 403,
            "canonical_uris": false, "pass_thru": true, "etag_file_extensions": [".md5", ".sha"],
        }),
    );
    adapts(
        "file_server {\nprecompressed\nbrowse t.html {\nsort size desc\nfile_limit 4000\nreveal_symlinks\n}\n}",
        json!({
            "precompressed": {"br": {}, "gzip": {}, "zstd": {}}, "precompressed_order": ["br", "zstd", "gzip"],
            "browse": {"template_file": "t.html", "sort": ["size", "desc"], "file_limit": 4000, "reveal_symlinks": true},
        }),
    );
}

#[test]
fn mistakes_are_told() {
    for (line, expected) in [
        (
            "file_server brows",
            "2:13: `file_server` takes no further argument, but `brows` follows; only `browse` may stand here",
        ),
        (
            "file_server {\nhid a\n}",
            "3:1: `file_server` has no subdirective `hid`; did you mean `hide`?",
        ),
        ("file_server {\nhide\n}", "3:1: `hide` needs files to hide"),
        (
            "file_server {\npass_thru x\n}",
            "3:11: `pass_thru` takes no further argument, but `x` follows",
        ),
        (
            "file_server {\nprecompressed gz\n}",
            "3:15: there is no format `gz` of compressed files; known are `br`, `zstd` and `gzip`",
        ),
        (
            "file_server {\nbrowse {\nreveal_symlinks\nreveal_symlinks\n}\n}",
            "5:1: `reveal_symlinks` stands twice; one is enough",
        ),
        (
            "file_server {\nbrowse {\nsort up\n}\n}",
            "4:6: folders cannot be sorted by `up`",
        ),
        (
            "file_server browse {\nbrowse\n}",
            "3:1: `browse` is given already",
        ),
    ] {
        adapts(line, json!(format!("Caddyfile:{expected}")));
    }
}

#[test]
fn the_files_of_the_site_are_hidden() {
    use fairway_caddyfile::{Options, Origin, Source, parse};
    #[track_caller]
    fn check(path: &str, hide: &str, expected: Json) {
        let text = format!(":80 {{\nfile_server {{\n{hide}\n}}\n}}");
        let source = Source::from_file(Origin::operator("Caddyfile"), path, text);
        let parsed = parse(source, &Options::default());
        let mut shared = crate::adapt::test_shared();
        let (mut groups, mut invoked) = (0, Vec::new());
        let mut scope = Scope::new(&mut shared, &mut groups, &mut invoked);
        let (items, _) = scope.items(&parsed.file.sites[0].block.segments);
        let routes = json!(scope.assemble(items, true));
        assert_eq!(routes[0]["handle"][0]["hide"], expected, "{path}");
    }
    check("Caddyfile", "", json!(["./Caddyfile"]));
    check("./Caddyfile", "hide a", json!(["a", "./Caddyfile"]));
    check("/etc/caddy/Caddyfile", "", json!(["/etc/caddy/Caddyfile"]));
    check("/etc/caddy/Caddyfile", "hide Caddy*", json!(["Caddy*"]));
}
