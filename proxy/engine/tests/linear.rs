//! What adapting costs grows with the number of sites and no faster, counted in allocations and their bytes, which are
//! the same in every run.

use std::alloc::System;
use std::fmt::Write as _;

use fairway_caddyfile::{Options, Origin, Source};
use fairway_engine::adapt;
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};

#[global_allocator]
static COUNTED: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// What a site says; `N` is its number. What differs from site to site is what cannot be joined.
const SITES: &[&str] = &[
    "import shared\n@api path /api/*\nhandle @api {\nreverse_proxy api{N}:80\n}\nhandle {\nreverse_proxy web{N}:80\n}",
    "respond hi",
    "tls internal\nrespond hi",
    "tls {N}@example.com\nrespond hi",
    "tls /{N}.pem /{N}.key",
    "tls {\nclient_auth {\nmode request\n}\n}",
    "tls {\nkey_type p256\nget_certificate http http://certs/{N}\n}",
    "log\nbind 127.0.0.1\nhandle_errors {\nrespond no\n}",
];

/// How much more than four times as much four times as many sites may cost: tables double when they are full.
const SLACK: f64 = 1.25;

#[test]
fn four_times_as_many_sites_cost_four_times_as_much() {
    for site in SITES {
        let few = cost(site, 500);
        let many = cost(site, 2000);
        for (what, few, many) in [("allocations", few.0, many.0), ("bytes", few.1, many.1)] {
            let growth = many as f64 / few as f64;
            println!("{what}: {few}, {many}, {growth:.2} times, of {site:?}");
            assert!(
                growth <= 4.0 * SLACK,
                "{what} grow {growth:.2} times for {site:?}"
            );
        }
    }
}

/// Allocations and bytes of adapting that many sites, and one without settings.
fn cost(site: &str, sites: usize) -> (usize, usize) {
    let mut text = "(shared) {\nheader X y\nencode\n}\nplain.example.com {\nrespond hi\n}\n".to_owned();
    for number in 0..sites {
        let body = site.replace("{N}", &number.to_string());
        writeln!(text, "s{number}.example.com {{\n{body}\n}}").expect("a string takes everything");
    }
    let source = Source::new(Origin::operator("Caddyfile"), "Caddyfile", text);
    let region = Region::new(COUNTED);
    let adapted = adapt(source, &Options::default());
    let change = region.change();
    assert!(!adapted.has_errors(), "{:?}", adapted.diagnostics[0].one_line());
    (change.allocations + change.reallocations, change.bytes_allocated)
}
