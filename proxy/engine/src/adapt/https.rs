//! What `tls` directives and addresses mean for `apps.tls`.

use super::scope::Shared;
use super::servers::SiteFacts;
use crate::config::Tls;

pub(crate) fn tls_app(_sites: &[SiteFacts], _shared: &mut Shared) -> Option<Tls> {
    None
}
