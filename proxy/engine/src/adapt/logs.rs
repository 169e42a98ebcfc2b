//! What `log` directives mean.

use super::GlobalOptions;
use super::servers::SiteFacts;
use crate::config::Logging;

pub(crate) fn logging(_sites: &[SiteFacts], _options: &GlobalOptions) -> Option<Logging> {
    None
}
