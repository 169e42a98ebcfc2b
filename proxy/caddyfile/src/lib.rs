//! The Caddyfile language: from text to a tree in which every token knows where it came from.
//!
//! What it is for: [`parse()`] turns a [`Source`] into a [`File`] of sites, snippets and named routes, with
//! imports expanded and every mistake collected as a [`Diagnostic`]; [`Args`] is the cursor with which
//! directives read their lines; [`format()`] is `caddy fmt`.
//!
//! What it must not know: directives, JSON, HTTP, Kubernetes. It does no I/O of its own: environment, files
//! and the snippets of other objects are asked through the small traits of [`Options`].
//!
//! Where to start reading: `parse.rs`, which shows the grammar; `lex.rs` below it makes the tokens, `import.rs`
//! beside it expands `import`.
//!
//! ```
//! use fairway_caddyfile::{Options, Origin, Source, parse};
//!
//! let source = Source::new(Origin::operator("Caddyfile"), "Caddyfile", "example.com {\n\trespond hi\n}\n");
//! let parsed = parse(source, &Options::default());
//! assert!(parsed.diagnostics.is_empty());
//! assert_eq!(parsed.file.sites[0].block.segments[0].args[0].text, "hi");
//! ```

mod args;
mod diagnostic;
mod environment;
mod format;
mod import;
mod lex;
mod options;
mod origin;
mod parse;
mod source;
mod suggest;
mod token;
mod tree;

pub use args::Args;
pub use diagnostic::{CODES, Diagnostic, Located, Severity};
pub use format::format;
pub use lex::tokens;
pub use options::{Environment, Files, Library, Limits, Nothing, Options};
pub use origin::{Origin, Tier};
pub use parse::{Parsed, ParsedLines, parse, parse_lines};
pub use source::{Source, Span};
pub use suggest::suggest;
pub use token::{ImportKind, ImportStep, Quote, Token};
pub use tree::{Block, File, NamedRoute, Segment, Site, Snippet, Snippets};
