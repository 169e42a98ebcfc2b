//! `make demo` shows what it promises.

use std::process::Command;

#[test]
fn the_demo_shows_pages_a_change_and_a_mistake() {
    let output = Command::new(env!("CARGO_BIN_EXE_demo"))
        .output()
        .expect("it starts");
    let told = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success(),
        "{told}{}",
        String::from_utf8_lossy(&output.stderr)
    );
    for part in [
        "CaddyRoute shop/shop is served: shop.localhost",
        "Ingress shop/blog is served: blog.localhost",
        "api sees /cart",
        "line 24, column 5: there is no directive `reverse_prxy`",
        "did you mean `reverse_proxy`?",
        "The last good text goes on",
        "is accepted again",
        "it let the last requests end, and stopped",
        "What to try next",
    ] {
        assert!(told.contains(part), "{part}\n{told}");
    }
    assert_eq!(told.matches("requests meanwhile, 0 failed").count(), 2, "{told}");
}
