//! The verbs of the command line and their flags; those of Caddy mean what they mean there.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use fairway_engine::values::Duration;

/// A proxy that speaks Caddyfile, and a Kubernetes ingress controller.
#[derive(Debug, Parser)]
#[command(name = "fairway", version)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub verb: Verb,
}

impl Verb {
    /// How failures are printed.
    pub(crate) fn format(&self) -> Format {
        match self {
            Verb::Adapt(Adapt { format, .. })
            | Verb::Validate(Validate { format, .. })
            | Verb::Fmt(Fmt { format, .. })
            | Verb::Render { format, .. } => *format,
            // Its format is that of the answer.
            // `--format` of the last is that of its answer.
            Verb::Run(_) | Verb::Crd | Verb::Version | Verb::Completion { .. } | Verb::Explain(_) => {
                Format::Text
            }
        }
    }
}

#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// Serve a config, a folder of manifests or a cluster until told to stop
    ///
    /// In a pod of a cluster, or with --kubeconfig, the Ingress and CaddyRoute objects of the cluster are served; with
    /// --manifests those of a folder; else a config file.
    ///
    /// SIGTERM or Ctrl-C stops accepting connections, lets requests under way finish (as long as `grace_period` in
    /// the config or --grace-period allows; without it, as long as they take) and exits. A second signal ends at once.
    Run(Run),
    /// Print the JSON that a Caddyfile means
    Adapt(Adapt),
    /// Tell whether a config or Kubernetes manifests could be served, without serving them
    ///
    /// Of manifests (`.yaml` and `.yml` files, folders of them, or standard input that begins as one), the Caddyfiles in
    /// CaddyRoutes and in the annotations of Ingresses are judged, and places are told in the YAML. What other files
    /// define has to be named along with them.
    Validate(Validate),
    /// Format a Caddyfile, or the Caddyfiles in Kubernetes manifests
    ///
    /// Prints the formatted text; exits with 1 if the file was not formatted, so that a pipeline can check it. Of
    /// manifests, only the Caddyfiles in CaddyRoutes and in the annotations of Ingresses change.
    Fmt(Fmt),
    /// Print the merged config that a folder of Kubernetes manifests becomes
    ///
    /// The config goes to standard output; what is wrong with an object, to standard error. Exits with 1 if an object is
    /// not served as it is written.
    Render {
        /// The folder; `.yaml`, `.yml` and `.json` files in it and below are read
        #[arg(long, value_name = "DIR")]
        manifests: PathBuf,
        /// How to print what is wrong
        #[arg(long, value_enum, default_value_t = Format::Text, long_help = FORMAT_HELP)]
        format: Format,
    },
    /// Tell which object and which line answers a request
    ///
    /// Nothing is sent: the request takes the way of a real one through the config, as far as an upstream, and each line
    /// that it meets is told. For example:
    ///
    ///   fairway explain shop.localhost /api/items --manifests examples/shop
    ///
    ///   fairway explain localhost:8080 / --config Caddyfile --method POST --header 'Accept: text/html'
    ///
    /// Upstreams are taken to answer 200. Files and passwords are looked at as they are. The client is 127.0.0.1. Exits
    /// with 1 if nothing answers.
    Explain(Explain),
    /// Print the custom resource definitions, to be applied to a cluster
    ///
    /// For example: fairway crd | kubectl apply -f -
    Crd,
    /// Print the version
    Version,
    /// Print a completion script
    ///
    /// For example: source <(fairway completion bash)
    Completion {
        /// For which shell
        shell: clap_complete::Shell,
    },
}

/// What `--format` means to a verb that tells of mistakes.
const FORMAT_HELP: &str = "\
How to print what is wrong

Either goes to standard error. As JSON, each line is an object: severity, code, message, help, file, start and end, \
notes, related (other places), imports (the innermost first). A place has a line and a column in characters, both \
counted from 1; utf16, the column in UTF-16 units counted from 0, as the Language Server Protocol has it; and byte, \
counted from 0 in the file. What is not known is left out";

/// Which config.
#[derive(Debug, Args)]
pub(crate) struct Config {
    /// The file; `-` is standard input. Without it, `Caddyfile` in the working directory
    #[arg(short = 'c', long = "config", value_name = "FILE")]
    pub file: Option<PathBuf>,
    /// How to read it. Without it, files named `Caddyfile…` or `….caddyfile` are Caddyfiles, others are JSON
    #[arg(short, long, value_name = "NAME")]
    pub adapter: Option<Adapter>,
    /// Files of KEY=VALUE lines that add to the environment
    #[arg(long, value_name = "FILE")]
    pub envfile: Vec<PathBuf>,
}

impl Config {
    /// The same with another file; what was added to the environment is there already.
    pub(crate) fn with(&self, file: Option<PathBuf>) -> Self {
        Self {
            file,
            adapter: self.adapter,
            envfile: Vec::new(),
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Adapter {
    Caddyfile,
}

#[derive(Debug, Args)]
pub(crate) struct Run {
    #[command(flatten)]
    pub config: Config,
    /// Serve a changed file as soon as it is saved; a broken one is reported, and the last good one goes on
    #[arg(short, long)]
    pub watch: bool,
    /// How many threads carry traffic; without it, one for each CPU that the process may use
    #[arg(long, value_name = "N")]
    pub threads: Option<std::num::NonZeroUsize>,
    #[command(flatten)]
    pub objects: Objects,
}

/// Objects of Kubernetes in place of a config file.
#[derive(Debug, Args)]
#[command(next_help_heading = "Kubernetes")]
pub(crate) struct Objects {
    /// Serve the Ingress and CaddyRoute objects of a folder of manifests, and follow its changes
    #[arg(long, value_name = "DIR", conflicts_with_all = ["file", "adapter", "watch", "kubeconfig"])]
    pub manifests: Option<PathBuf>,
    /// Serve the objects of the cluster that a kubeconfig names; in a pod, its own cluster is served without it
    #[arg(long, value_name = "FILE", conflicts_with_all = ["file", "adapter", "watch"])]
    pub kubeconfig: Option<PathBuf>,
    /// The port that is bound for HTTP, which objects know as 80; 80 without it, 0 for any free one
    #[arg(long, value_name = "PORT")]
    pub http_port: Option<u16>,
    /// The port that is bound for HTTPS, which objects know as 443; 443 without it, 0 for any free one
    #[arg(long, value_name = "PORT")]
    pub https_port: Option<u16>,
    /// Where verdicts, the config and readiness can be asked for, such as 127.0.0.1:9901; nowhere without it
    #[arg(long, value_name = "ADDRESS")]
    pub admin: Option<std::net::SocketAddr>,
    /// Write a line of JSON for each request to standard output, as Caddy does, with the object and the upstream that answered
    #[arg(long)]
    pub access_log: bool,
    /// At the end, how long requests under way may take before they are cut off, such as 30s; as long as they take without it
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    pub grace_period: Option<std::time::Duration>,
    /// How long to serve on after SIGTERM before the end begins, such as 10s, with /readyz at 503: until everybody has
    /// heard that this replica goes
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    pub shutdown_delay: Option<std::time::Duration>,
    /// In a cluster: the Service whose addresses are written into the status of Ingresses
    #[arg(long, value_name = "NAMESPACE/NAME", conflicts_with = "publish_address")]
    pub publish_service: Option<String>,
    /// In a cluster: an address or a host name that is written into the status of Ingresses; may be there several times
    #[arg(long, value_name = "ADDRESS")]
    pub publish_address: Vec<String>,
    /// In a cluster: the namespace of this controller, where replicas agree who writes; that of the pod without it
    #[arg(long, value_name = "NAMESPACE", env = "POD_NAMESPACE")]
    pub namespace: Option<String>,
    /// In a cluster: where the objects are kept, so that a restart serves them while the API server does not answer. They
    /// hold the keys of certificates: name a folder in memory, or one that nobody else reads
    #[arg(long, value_name = "DIR", conflicts_with = "manifests")]
    pub snapshot_dir: Option<PathBuf>,
}

impl Objects {
    /// A flag that was given and means something for objects only.
    pub(crate) fn given(&self) -> Option<&'static str> {
        let flags = [
            (self.http_port.is_some(), "--http-port"),
            (self.https_port.is_some(), "--https-port"),
            (self.admin.is_some(), "--admin"),
            (self.access_log, "--access-log"),
            (self.grace_period.is_some(), "--grace-period"),
            (self.shutdown_delay.is_some(), "--shutdown-delay"),
            (self.publish_service.is_some(), "--publish-service"),
            (!self.publish_address.is_empty(), "--publish-address"),
            (self.snapshot_dir.is_some(), "--snapshot-dir"),
        ];
        flags
            .iter()
            .find(|(is_given, _)| *is_given)
            .map(|(_, name)| *name)
    }
}

/// A duration as in a Caddyfile, above zero.
fn duration(text: &str) -> Result<std::time::Duration, String> {
    let duration = Duration::parse(text).map_err(|error| error.to_string())?;
    duration.to_std().ok_or_else(|| "it is not above zero".to_owned())
}

impl Run {
    /// Whether objects are served, and no config file.
    pub(crate) fn is_of_objects(&self) -> bool {
        let Objects {
            manifests,
            kubeconfig,
            ..
        } = &self.objects;
        let in_pod = || self.config.file.is_none() && std::env::var_os("KUBERNETES_SERVICE_HOST").is_some();
        manifests.is_some() || kubeconfig.is_some() || in_pod()
    }
}

#[derive(Debug, Args)]
pub(crate) struct Adapt {
    #[command(flatten)]
    pub config: Config,
    /// Indent the JSON
    #[arg(short, long)]
    pub pretty: bool,
    /// Check as well that it could be served
    #[arg(long)]
    pub validate: bool,
    /// How to print what is wrong
    #[arg(long, value_enum, default_value_t = Format::Text, long_help = FORMAT_HELP)]
    pub format: Format,
}

#[derive(Debug, Args)]
pub(crate) struct Validate {
    #[command(flatten)]
    pub config: Config,
    /// Files, and folders of manifests, in place of --config; `-` is standard input
    #[arg(value_name = "FILE", conflicts_with = "file")]
    pub files: Vec<PathBuf>,
    /// How to print what is wrong
    #[arg(long, value_enum, default_value_t = Format::Text, long_help = FORMAT_HELP)]
    pub format: Format,
}

#[derive(Debug, Args)]
pub(crate) struct Fmt {
    /// The file; `-` is standard input. Without it, `Caddyfile` in the working directory
    #[arg(value_name = "FILE")]
    pub file: Option<PathBuf>,
    /// The same as FILE
    #[arg(short, long, value_name = "FILE", conflicts_with = "file")]
    pub config: Option<PathBuf>,
    /// Write the result into the file
    #[arg(short = 'w', long)]
    pub overwrite: bool,
    /// Print what would change: `-` before lines as they are, `+` before lines as they should be
    #[arg(short, long)]
    pub diff: bool,
    /// How to print what is wrong
    #[arg(long, value_enum, default_value_t = Format::Text, long_help = FORMAT_HELP)]
    pub format: Format,
}

#[derive(Debug, Args)]
pub(crate) struct Explain {
    /// The host as the client names it, with its port if that is neither 80 nor 443
    pub host: String,
    /// Path and query, such as /api/items?page=2
    pub path: String,
    /// Ask the Ingress and CaddyRoute objects of a folder of Kubernetes manifests
    #[arg(long, value_name = "DIR", conflicts_with_all = ["file", "adapter", "envfile"])]
    pub manifests: Option<PathBuf>,
    #[command(flatten)]
    pub config: Config,
    /// The method of the request
    #[arg(long, value_name = "METHOD", default_value = "GET")]
    pub method: String,
    /// A header of the request; may be given more than once
    #[arg(long = "header", value_name = "NAME: VALUE")]
    pub headers: Vec<String>,
    /// The request comes by HTTPS. Without this and --http: by HTTPS if the host is served there, else by HTTP
    #[arg(long, conflicts_with = "http")]
    pub https: bool,
    /// The request comes by HTTP
    #[arg(long)]
    pub http: bool,
    /// How to print the answer
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub format: Format,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// For people
    Text,
    /// For programs
    Json,
}
