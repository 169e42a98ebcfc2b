//! The `fairway` binary: the command line, and the proxy as a standalone program.
//!
//! What it is for: it reads configs from files, adapts and compiles them, and runs the server; each verb of the
//! command line is a file of this name. What it must not know: how a directive works, how a byte is sent.
//!
//! Where to start reading: `cli.rs` lists the verbs, `load.rs` turns a file into a config, `run.rs` serves it.

mod adapt;
mod admin;
mod api_server;
mod blame;
mod check_manifests;
mod cli;
mod cluster;
mod control;
mod crd;
mod diagnostics;
mod embedded;
mod endpoints;
mod envfile;
mod explain;
mod fmt;
mod load;
mod logs;
mod manifests;
mod metrics;
mod objects;
mod render;
mod render_manifests;
mod report;
mod run;
mod run_objects;
mod serving;
mod snapshot;
mod source;
mod stdout;
mod validate;
mod verdict;
mod watch;

use std::process::ExitCode;

use clap::{CommandFactory, Parser};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let cli = cli::Cli::parse();
    let format = cli.verb.format();
    let done = match cli.verb {
        cli::Verb::Run(args) if args.is_of_objects() => run_objects::run(&args),
        cli::Verb::Run(args) => run::run(&args),
        cli::Verb::Render { manifests, format } => render_manifests::render(&manifests, format),
        cli::Verb::Explain(args) => explain::explain(&args),
        cli::Verb::Adapt(args) => adapt::adapt(&args),
        cli::Verb::Validate(args) => validate::validate(&args),
        cli::Verb::Fmt(args) => fmt::fmt(&args),
        cli::Verb::Crd => crd::crd(),
        cli::Verb::Version => {
            println!("v{}", env!("CARGO_PKG_VERSION"));
            Ok(())
        }
        cli::Verb::Completion { shell } => {
            clap_complete::generate(shell, &mut cli::Cli::command(), "fairway", &mut std::io::stdout());
            Ok(())
        }
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            diagnostics::print_failure(&error, format);
            ExitCode::FAILURE
        }
    }
}
