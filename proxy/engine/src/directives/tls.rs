//! `tls`: how TLS is spoken with the hosts of a site, and where their certificates come from.
//!
//! ```caddyfile
//! tls internal|force_automate|EMAIL {
//!     protocols MIN [MAX]
//!     ciphers SUITE…
//!     curves CURVE…
//!     alpn PROTOCOL…
//!     load FOLDER…
//!     ca URL
//!     ca_root FILE
//!     eab KEY_ID MAC_KEY
//!     dns [PROVIDER …]
//!     key_type TYPE
//!     on_demand
//!     reuse_private_keys
//!     renewal_window_ratio RATIO
//!     client_auth { … }
//!     issuer NAME …
//!     get_certificate http URL
//!     get_certificate tailscale
//!     insecure_secrets_log FILE
//! }
//! tls CERTIFICATE_FILE KEY_FILE { … }
//! ```
//!
//! Who is not the operator of the cluster may write `internal`, and lines about the connection: no files, and nothing
//! about who issues. `tls internal` is a test.

mod client_auth;
#[cfg(test)]
mod tests;

use fairway_caddyfile::{Args, Diagnostic, Segment, Token};
use serde_json::json;

use super::{Directive, Parse};
use crate::adapt::https::issuers;
use crate::adapt::modules;
use crate::adapt::settings::{Object, append, flag, invalid, one_of, put, ratio, single, text, texts};
use crate::adapt::{GlobalOptions, Scope, SiteValue};
use crate::config::{Manager, Policy, TlsConnectionPolicy};

pub(crate) const DIRECTIVE: Directive = Directive {
    name: "tls",
    parse: Parse::Site(parse),
};

/// What the lines have said so far.
#[derive(Default)]
struct Tls {
    connection: TlsConnectionPolicy,
    automation: Policy,
    /// What is said about ACME without naming an issuer.
    acme: Option<Object>,
    internal: bool,
    folders: Vec<String>,
    force_automate: bool,
    /// The first line about the DNS challenge, which needs a provider.
    dns: Option<Token>,
}

fn parse(mut args: Args<'_>, scope: &mut Scope<'_>) -> Result<Vec<SiteValue>, Diagnostic> {
    let mut tls = Tls::default();
    let mut values = Vec::new();
    match args.remaining() {
        [] if !args.has_block() || args.block().is_empty() => {
            return Err(args.missing("`internal`, an email address, two files, or a block"));
        }
        [] => {}
        [word] => tls.word(word)?,
        [certificate, key] => {
            values.extend(tls.files(&certificate.text, &key.text, scope));
        }
        [_, _, surplus, ..] => return Err(args.unexpected(surplus)),
    }
    for line in args.block() {
        tls.line(&args, line, scope)?;
    }
    tls.finish(&args, scope, values)
}

impl Tls {
    /// The only word behind `tls`.
    fn word(&mut self, word: &Token) -> Result<(), Diagnostic> {
        match word.text.as_str() {
            "internal" => self.internal = true,
            "force_automate" => self.force_automate = true,
            email if email.contains('@') => put(self.acme(), "email", email),
            _ => {
                let why = "is neither `internal` nor `force_automate` nor an email address";
                let help = "the file of a certificate is followed by that of its key: `tls CERT KEY`";
                return Err(invalid(word, why).help(help));
            }
        }
        Ok(())
    }

    /// A certificate and its key. A file is loaded once, whatever the number of sites that name it, and is chosen by
    /// its tag.
    fn files(&mut self, certificate: &str, key: &str, scope: &mut Scope<'_>) -> Option<SiteValue> {
        let tags = &mut scope.shared.certificate_tags;
        let (tag, new) = match tags.get(certificate) {
            Some(tag) => (tag.clone(), false),
            None => (format!("cert{}", tags.len()), true),
        };
        if new {
            tags.insert(certificate.to_owned(), tag.clone());
        }
        let selection = [("any_tag".to_owned(), json!([tag]))];
        self.connection.certificate_selection = Some(selection.into_iter().collect());
        new.then(|| SiteValue::CertificateFiles {
            certificate: certificate.to_owned(),
            key: key.to_owned(),
            tag,
        })
    }

    fn line(&mut self, args: &Args<'_>, line: &Segment, scope: &Scope<'_>) -> Result<(), Diagnostic> {
        let mut line_args = Args::new(line);
        let name = line.name.text.as_str();
        match name {
            "protocols" | "ciphers" | "curves" | "alpn" | "insecure_secrets_log" | "client_auth" => {
                self.connection_line(line_args, name, scope)?;
            }
            "load" => self.folders.extend(texts(&mut line_args, "folders")?),
            "ca" => put(self.acme(), "ca", text(&mut line_args, "a URL")?),
            "ca_root" => {
                let file = text(&mut line_args, "a file")?;
                append(self.acme(), "trusted_roots_pem_files", [file.into()]);
            }
            "eab" => {
                let eab = issuers::eab(line_args)?;
                put(self.acme(), "external_account", eab);
            }
            "key_type" => self.automation.key_type = Some(text(&mut line_args, "a type of key")?),
            "on_demand" => self.automation.on_demand = flag(&line_args)?,
            "reuse_private_keys" => self.automation.reuse_private_keys = flag(&line_args)?,
            "renewal_window_ratio" => self.automation.renewal_window_ratio = Some(ratio(&mut line_args)?),
            "issuer" => self.automation.issuers.push(issuers::read(line_args)?),
            "get_certificate" => self.automation.get_certificate.push(get_certificate(line_args)?),
            // Without a provider, that of the global options.
            "dns" if line.args.is_empty() && scope.shared.options.dns.is_some() => {
                line_args.no_block()?;
                issuers::challenge(self.acme(), "dns");
            }
            "dns" => {
                let provider = modules::read(&modules::DNS_PROVIDER, line_args)?;
                put(issuers::challenge(self.acme(), "dns"), "provider", provider);
            }
            _ if issuers::DNS_SETTINGS.contains(&name) => {
                issuers::dns_setting(line, issuers::challenge(self.acme(), "dns"))?;
                self.dns.get_or_insert_with(|| line.name.clone());
            }
            _ => return Err(args.unknown_subdirective(line, KNOWN.into_iter().chain(issuers::DNS_SETTINGS))),
        }
        Ok(())
    }

    fn connection_line(
        &mut self,
        mut args: Args<'_>,
        name: &str,
        scope: &Scope<'_>,
    ) -> Result<(), Diagnostic> {
        let policy = &mut self.connection;
        match name {
            "protocols" => {
                let lowest = args.required("the lowest version, `tls1.2` or `tls1.3`")?;
                policy.protocol_min = Some(one_of(lowest, &PROTOCOLS)?.to_owned());
                if let Some(highest) = args.next_arg() {
                    policy.protocol_max = Some(one_of(highest, &PROTOCOLS)?.to_owned());
                }
                args.finish_line()?;
            }
            "ciphers" => words(args, "cipher suites", &CIPHERS, &mut policy.cipher_suites)?,
            "curves" => words(args, "curves", &CURVES, &mut policy.curves)?,
            "alpn" => policy.alpn = Some(texts(&mut args, "protocols")?),
            "insecure_secrets_log" => policy.insecure_secrets_log = Some(text(&mut args, "a file")?),
            _ => policy.client_authentication = Some(client_auth::read(&args, &scope.shared.side_files)?),
        }
        Ok(())
    }

    /// The DNS challenge needs a provider, be it that of the global options.
    fn check_dns(&mut self, options: &GlobalOptions) -> Result<(), Diagnostic> {
        let Some(token) = &self.dns else { return Ok(()) };
        let global = options.dns.as_ref();
        let global = global.or_else(|| options.acme_dns.as_ref()?.provider.as_ref());
        let own = self
            .acme
            .as_ref()
            .and_then(|acme| acme.get("challenges")?.get("dns")?.get("provider"));
        if global.is_some() || own.is_some() {
            return Ok(());
        }
        let message = format!(
            "`{}` is about the DNS challenge, but there is no DNS provider",
            token.text
        );
        let help = "add a line `dns PROVIDER`, or the global option `dns`";
        Err(Diagnostic::error("missing-argument", token, message).help(help))
    }

    fn acme(&mut self) -> &mut Object {
        self.acme.get_or_insert_with(Object::new)
    }

    /// The values for the site; the connection policy is always among them, since it is what turns TLS on.
    fn finish(
        mut self,
        args: &Args<'_>,
        scope: &Scope<'_>,
        mut values: Vec<SiteValue>,
    ) -> Result<Vec<SiteValue>, Diagnostic> {
        self.check_dns(&scope.shared.options)?;
        let explicit = !self.automation.issuers.is_empty();
        if explicit && (self.acme.is_some() || self.internal) {
            let message =
                "`issuer` excludes other lines about an issuer; write them into the block of `issuer`";
            return Err(args.error("conflicting-options", message));
        }
        if self.acme.is_some() && self.internal {
            let message = "`tls internal` excludes lines about ACME";
            return Err(args.error("conflicting-options", message));
        }
        if let Some(acme) = &self.acme {
            self.automation.issuers = issuers::implied(acme, &scope.shared.options);
        }
        if self.internal {
            self.automation.issuers = vec![json!({"module": "internal"})];
        }
        if !self.folders.is_empty() {
            values.push(SiteValue::CertificateFolders(self.folders));
        }
        if self.automation != Policy::default() {
            values.push(SiteValue::Automation(self.automation));
        }
        if self.force_automate {
            values.push(SiteValue::ForceAutomate);
        }
        values.push(SiteValue::TlsPolicy(self.connection));
        Ok(values)
    }
}

const KNOWN: [&str; 17] = [
    "alpn",
    "ca",
    "ca_root",
    "ciphers",
    "client_auth",
    "curves",
    "dns",
    "eab",
    "get_certificate",
    "insecure_secrets_log",
    "issuer",
    "key_type",
    "load",
    "on_demand",
    "protocols",
    "renewal_window_ratio",
    "reuse_private_keys",
];

const PROTOCOLS: [&str; 2] = ["tls1.2", "tls1.3"];

const CURVES: [&str; 5] = ["x25519mlkem768", "x25519", "secp256r1", "secp384r1", "secp521r1"];

/// Those that Go counts as secure.
const CIPHERS: [&str; 13] = [
    "TLS_AES_128_GCM_SHA256",
    "TLS_AES_256_GCM_SHA384",
    "TLS_CHACHA20_POLY1305_SHA256",
    "TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA",
    "TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA",
    "TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA",
    "TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA",
    "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256",
    "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384",
    "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256",
    "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384",
    "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256",
    "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256",
];

fn words(
    mut args: Args<'_>,
    what: &str,
    known: &[&str],
    into: &mut Option<Vec<String>>,
) -> Result<(), Diagnostic> {
    for token in args.remaining_required(what)? {
        let word = one_of(token, known)?.to_owned();
        into.get_or_insert_default().push(word);
    }
    args.no_block()
}

/// `get_certificate http URL`, `get_certificate tailscale`
fn get_certificate(mut args: Args<'_>) -> Result<Manager, Diagnostic> {
    let kind = args.required("who has the certificate: `http`")?;
    if one_of(kind, &["http", "tailscale"])? == "tailscale" {
        args.finish_line()?;
        return Ok(Manager::Tailscale {});
    }
    let url = single(&mut args, "a URL")?.text.clone();
    Ok(Manager::Http { url })
}
