//! Which requests of a server are logged, and by which loggers.

use std::collections::HashMap;

use crate::config::Server as ServerConfig;

/// The access log rules of a server.
#[derive(Debug, Default)]
pub struct AccessLogs {
    enabled: bool,
    default: Box<str>,
    by_host: HashMap<Box<str>, Box<[Box<str>]>>,
    skip_hosts: Box<[Box<str>]>,
    skip_unmapped: bool,
}

impl AccessLogs {
    pub(crate) fn compile(config: &ServerConfig) -> Self {
        let Some(logs) = &config.logs else {
            return Self::default();
        };
        let by_host = logs.logger_names.iter().flatten();
        Self {
            enabled: true,
            default: logs.default_logger_name.clone().unwrap_or_default().into(),
            by_host: by_host
                .map(|(host, names)| {
                    let names = names.iter().map(|name| name.as_str().into()).collect();
                    (host.as_str().into(), names)
                })
                .collect(),
            skip_hosts: logs
                .skip_hosts
                .iter()
                .flatten()
                .map(|host| host.as_str().into())
                .collect(),
            skip_unmapped: logs.skip_unmapped_hosts,
        }
    }

    /// Whether any request is logged.
    pub fn is_enabled(&self) -> bool {
        self.enabled
    }

    /// The loggers of a request by its host, without port; none if it is not logged. An empty name is the default
    /// access logger, `http.log.access`.
    pub fn loggers(&self, host: &str) -> &[Box<str>] {
        if !self.enabled || self.skip_hosts.iter().any(|skipped| **skipped == *host) {
            return &[];
        }
        let wildcard = || {
            host.split_once('.')
                .and_then(|(_, parent)| self.by_host.get(&*format!("*.{parent}")))
        };
        match self.by_host.get(host).or_else(wildcard) {
            Some(names) => names,
            None if self.skip_unmapped => &[],
            None => std::slice::from_ref(&self.default),
        }
    }
}
