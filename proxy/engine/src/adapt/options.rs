//! Global options.

use fairway_caddyfile::Block;

use super::scope::Shared;
use crate::config::{Config, Server};

/// The global options block, read.
#[derive(Clone, Debug, Default)]
pub struct GlobalOptions {
    /// `http_port`
    pub http_port: Option<u16>,
    /// `https_port`
    pub https_port: Option<u16>,
    /// `default_bind`
    pub default_bind: Vec<String>,
    /// `default_sni`
    pub default_sni: Option<String>,
    /// `fallback_sni`
    pub fallback_sni: Option<String>,
    /// `auto_https`
    pub auto_https: Vec<String>,
}

pub(crate) fn read(_block: &Block, _shared: &mut Shared) {}

pub(crate) fn apply_to_server(_server: &mut Server, _options: &GlobalOptions) {}

pub(crate) fn server_name<'o>(_server: &Server, _options: &'o GlobalOptions) -> Option<&'o str> {
    None
}

pub(crate) fn apply_to_config(_config: &mut Config, _options: &GlobalOptions) {}
