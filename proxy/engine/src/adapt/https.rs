//! What `tls` directives and addresses mean for `apps.tls`.
