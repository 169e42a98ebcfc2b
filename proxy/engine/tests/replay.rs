//! The promises that the fuzzer holds, for its findings and for a few hundred inputs that are the same in every run:
//! recorded cases with pieces of others put in, and pieces taken out.

#[path = "../../../fuzz/src/caddyfile.rs"]
mod caddyfile;
#[path = "../../../fuzz/src/config.rs"]
mod config;
#[path = "../../../fuzz/src/world.rs"]
mod world;

use std::fs;
use std::path::Path;
use std::sync::Once;
use std::sync::atomic::{AtomicUsize, Ordering};

type Target = fn(&str);

/// The targets whose input is text, as the fuzzer names them.
const TARGETS: &[(&str, Target)] = &[
    ("lexer", caddyfile::lexer),
    ("parser", caddyfile::parser),
    ("imports", caddyfile::imports),
    ("formatter", caddyfile::formatter),
    ("adapt", config::adapt),
    ("tenant", config::tenant),
    ("json", config::json),
    ("matchers", config::matchers),
];

/// How many changed inputs each target gets.
const CHANGED: usize = 60;

/// Panics in whatever thread; some are caught, as in the one that compiles expressions.
static PANICS: AtomicUsize = AtomicUsize::new(0);

/// Runs a target on an input, and holds that nothing panics on the way.
fn replay(name: &str, target: Target, input: &str) {
    static WATCH: Once = Once::new();
    WATCH.call_once(|| {
        let print = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            PANICS.fetch_add(1, Ordering::Relaxed);
            print(panic);
        }));
    });
    println!("{name}: {input:?}");
    target(input);
    assert_eq!(PANICS.load(Ordering::Relaxed), 0, "a panic was caught");
}

#[test]
fn findings_stay_mended() {
    let mut count = 0;
    for (name, target) in TARGETS {
        let folder = repository().join("fuzz/found").join(name);
        for file in fs::read_dir(folder).into_iter().flatten() {
            let path = file.expect("the folder can be listed").path();
            let input = fs::read(path).expect("the file can be read");
            replay(name, *target, &String::from_utf8_lossy(&input));
            count += 1;
        }
    }
    assert!(count > 0, "no findings are there");
}

#[test]
fn changed_cases_keep_every_promise() {
    let cases = cases();
    assert!(cases.len() > 50, "{} cases", cases.len());
    for (number, (name, target)) in TARGETS.iter().enumerate() {
        let mut dice = Dice(number as u64 + 1);
        for _ in 0..CHANGED {
            let case = &cases[dice.below(cases.len())];
            let input = dice.change(if *name == "json" { &case.1 } else { &case.0 }, &cases);
            replay(name, *target, &input);
        }
    }
}

/// Our recorded cases: the text, and what it becomes.
fn cases() -> Vec<(String, String)> {
    let mut cases = Vec::new();
    let mut folders = vec![repository().join("tests/adapt")];
    while let Some(folder) = folders.pop() {
        let files = fs::read_dir(folder).expect("the cases are there");
        let mut paths: Vec<_> = files.map(|file| file.expect("it can be listed").path()).collect();
        paths.sort();
        for path in paths {
            if path.is_dir() {
                folders.push(path);
            } else if path
                .extension()
                .is_some_and(|extension| extension == "caddyfiletest")
            {
                let case = fs::read_to_string(path).expect("a case is text");
                let (text, becomes) = case.split_once("\n----------\n").unwrap_or((&case, "{}"));
                cases.push((format!("{text}\n"), becomes.to_owned()));
            }
        }
    }
    cases
}

fn repository() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))
}

/// Numbers that look random and are the same in every run.
struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: usize) -> usize {
        // Xorshift: all it has to do is to vary.
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) as usize % bound.max(1)
    }

    /// A place between two characters.
    fn place(&mut self, text: &str) -> usize {
        let at = self.below(text.len() + 1);
        (0..=at).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0)
    }

    /// A text with a few pieces taken out, doubled, or brought in from another.
    fn change(&mut self, text: &str, cases: &[(String, String)]) -> String {
        let mut text = text.to_owned();
        for _ in 0..=self.below(4) {
            let (start, end) = (self.place(&text), self.place(&text));
            let (start, end) = (start.min(end), start.max(end).min(start.min(end) + 200));
            let end = (end..=text.len())
                .find(|at| text.is_char_boundary(*at))
                .unwrap_or(start);
            match self.below(3) {
                0 => text.replace_range(start..end, ""),
                1 => {
                    let piece = text[start..end].to_owned();
                    text.insert_str(end, &piece);
                }
                _ => {
                    let other = &cases[self.below(cases.len())].0;
                    let from = self.place(other);
                    let line = other[from..].lines().next().unwrap_or_default();
                    text.insert_str(start, line);
                }
            }
        }
        text
    }
}
