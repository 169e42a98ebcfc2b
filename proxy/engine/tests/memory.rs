//! What sites cost in memory, counted byte by byte.

use std::alloc::System;
use std::fmt::Write as _;

use fairway_caddyfile::{Options, Origin, Source};
use fairway_engine::config::Config;
use fairway_engine::{Registry, adapt, compile};
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};

#[global_allocator]
static COUNTED: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// How many bytes an extra site may cost that invokes a named route, with the config that the table was made of.
const PER_SITE: isize = 2048;

/// A named route with a balancer and health checks, and sites that invoke it.
fn config(sites: usize) -> Config {
    let mut text =
        "&(shared) {\n\treverse_proxy u1:80 u2:80 u3:80 {\n\t\tlb_policy round_robin\n\t\thealth_uri \
                    /health\n\t\tfail_duration 10s\n\t}\n}\n"
            .to_owned();
    for number in 0..sites {
        writeln!(text, "http://s{number}.example.com {{\n\tinvoke shared\n}}")
            .expect("a string takes everything");
    }
    let source = Source::new(Origin::operator("Caddyfile"), "Caddyfile", text);
    let adapted = adapt(source, &Options::default());
    assert!(!adapted.has_errors(), "{:?}", adapted.diagnostics);
    adapted.config
}

/// The bytes that what is made holds.
fn bytes<T>(make: impl FnOnce() -> T) -> isize {
    let mut made = None;
    let bytes = held(|| made = Some(make()));
    drop(made);
    bytes
}

/// The bytes that are held after some work and were not before.
fn held(work: impl FnOnce()) -> isize {
    let region = Region::new(COUNTED);
    work();
    let change = region.change();
    change.bytes_allocated.cast_signed() - change.bytes_deallocated.cast_signed()
}

#[test]
fn an_extra_site_that_invokes_a_named_route_is_cheap() {
    // What is made only once, whatever the config.
    drop(compile(&config(1), &Registry::default()));
    let cost = |sites| {
        let mut table = 0;
        let all = bytes(|| {
            let (config, registry) = (config(sites), Registry::default());
            let mut made = None;
            table = held(|| made = Some(compile(&config, &registry).expect("it can be served")));
            (config, registry, made)
        });
        (table, all)
    };
    let (few, many) = (cost(1000), cost(3000));
    let (table, all) = ((many.0 - few.0) / 2000, (many.1 - few.1) / 2000);
    println!("an extra site costs {table} bytes, {all} with its config");
    assert!(
        0 < table && table < all && all <= PER_SITE,
        "{table} bytes, {all} bytes"
    );
}
