//! The world around a text: variables, files, snippets of other objects, Services. All small and in memory.

use std::io;
use std::path::Path;
use std::sync::Arc;

use fairway_caddyfile::{Environment, Files, Library, Limits, Options, Origin, Snippet, Source, Tier, parse};
use fairway_engine::cluster::{Cluster, Notice, ServiceName, ServicePort};

/// What divides an input into a text and the files beside it.
const DIVIDER: &str = "\n---\n";

/// An input: the text, and what it can import.
pub(crate) struct World<'t> {
    pub text: &'t str,
    /// `0.caddy`, `1.caddy` and so on.
    files: Vec<&'t str>,
    /// The snippets of the last file.
    library: Vec<Arc<Snippet>>,
}

impl<'t> World<'t> {
    pub(crate) fn new(input: &'t str) -> Self {
        let mut files: Vec<&str> = input.split(DIVIDER).collect();
        let text = files.remove(0);
        let library = files.last().map_or_else(Vec::new, |last| {
            let origin = Origin::tenant("CaddyRoute other/lib", "other");
            let options = Options {
                limits: Limits::object(),
                ..Options::default()
            };
            let parsed = parse(Source::new(origin, "lib", *last), &options);
            parsed.file.snippets.iter().cloned().collect()
        });
        Self { text, files, library }
    }

    fn file(&self, path: &Path) -> Option<&'t str> {
        let name = path.file_name()?.to_str()?;
        let index: usize = name.strip_suffix(".caddy")?.parse().ok()?;
        self.files.get(index).copied()
    }
}

impl Environment for World<'_> {
    fn var(&self, name: &str) -> Option<String> {
        match name {
            "X" => Some("é v".to_owned()),
            "LONG" => Some("word ".repeat(1000)),
            "SITE" => Some("a.test {\nrespond \"{$X}".to_owned()),
            _ => None,
        }
    }
}

impl Files for World<'_> {
    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        let text = self.file(path).ok_or(io::ErrorKind::NotFound)?;
        Ok(text.as_bytes().to_owned())
    }

    fn list(&self, _folder: &Path) -> io::Result<Vec<String>> {
        Ok((0..self.files.len())
            .map(|index| format!("{index}.caddy"))
            .collect())
    }

    fn exists(&self, path: &Path) -> bool {
        self.file(path).is_some()
    }
}

impl Library for World<'_> {
    fn snippet(&self, name: &str, _from: &Origin) -> Option<Arc<Snippet>> {
        let name = name.strip_prefix("other/").unwrap_or(name);
        self.library
            .iter()
            .find(|snippet| snippet.name.text == name)
            .cloned()
    }

    fn names(&self, _from: &Origin) -> Vec<String> {
        self.library
            .iter()
            .map(|snippet| snippet.name.text.clone())
            .collect()
    }
}

/// A cluster in which Services whose name begins with `s` exist.
pub(crate) struct Services;

impl Cluster for Services {
    fn service(
        &self,
        name: &ServiceName<'_>,
        from: &Origin,
    ) -> Result<(ServicePort, Option<Notice>), Notice> {
        let port = ServicePort {
            namespace: name
                .namespace
                .or(from.namespace.as_deref())
                .unwrap_or_default()
                .into(),
            name: name.name.into(),
            port: name.port.unwrap_or("80").into(),
        };
        let notice = Notice {
            code: "unknown-service",
            message: format!("there is no Service {port}"),
            help: None,
        };
        match name.namespace {
            Some(namespace) if Some(namespace) != from.namespace.as_deref() => Err(notice),
            _ if name.name.starts_with('s') => Ok((port, None)),
            _ => Ok((port, Some(notice))),
        }
    }

    fn named_route(&self, name: &str, _from: &Origin) -> Result<String, Notice> {
        Ok(format!("other/{name}"))
    }
}

/// Who writes a text.
pub(crate) fn origin(tier: Tier) -> Arc<Origin> {
    match tier {
        Tier::Operator => Origin::operator("Caddyfile"),
        Tier::Tenant => Origin::tenant("CaddyRoute shop/api, spec.caddyfile", "shop"),
    }
}
