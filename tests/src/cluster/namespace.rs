//! The namespace of one test.

use std::fs;
use std::path::PathBuf;

use serde_json::{Value, json};

use super::{Cluster, Upstream, wait};
use crate::ledger::Authority;

/// A namespace, in which a test does as it likes. It goes with the cluster.
pub struct Namespace<'a> {
    cluster: &'a Cluster,
    name: String,
}

impl<'a> Namespace<'a> {
    pub(super) const fn new(cluster: &'a Cluster, name: String) -> Self {
        Self { cluster, name }
    }

    /// One that is there already, of this name.
    #[must_use]
    pub fn of(cluster: &'a Cluster, name: &str) -> Self {
        Self::new(cluster, name.to_owned())
    }

    /// Its name; hosts that end with it are nobody else's.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Runs `kubectl` in it, which must work; gives what it printed.
    #[track_caller]
    pub fn kubectl(&self, arguments: &[&str], input: &str) -> String {
        let here = ["--namespace", &self.name];
        self.cluster.expect(&[&here[..], arguments].concat(), input)
    }

    /// Applies objects, which must be taken.
    #[track_caller]
    pub fn apply(&self, yaml: &str) {
        self.kubectl(&["apply", "--server-side", "-f", "-"], yaml);
    }

    /// Makes an object; gives what the API server has against it.
    pub fn create(&self, object: &Value) -> Result<(), String> {
        let arguments = [
            "--namespace",
            &self.name,
            "create",
            "--validate=strict",
            "-f",
            "-",
        ];
        self.cluster.kubectl(&arguments, &object.to_string()).map(drop)
    }

    /// Writes the status of an object as a controller does; gives what the API server has against it.
    pub fn set_status(&self, object: &Value) -> Result<(), String> {
        let arguments = [
            "--namespace",
            &self.name,
            "apply",
            "--server-side",
            "--force-conflicts",
        ];
        let status = ["--subresource=status", "--field-manager=test", "-f", "-"];
        let arguments = [&arguments[..], &status].concat();
        self.cluster.kubectl(&arguments, &object.to_string()).map(drop)
    }

    /// An object, such as `cdr/shop`, or the list of a kind.
    #[track_caller]
    pub fn get(&self, what: &str) -> Value {
        let printed = self.kubectl(&["get", what, "--output=json"], "");
        serde_json::from_str(&printed).expect("it prints JSON")
    }

    /// Removes an object, and returns when it is gone.
    #[track_caller]
    pub fn delete(&self, what: &str) {
        self.kubectl(&["delete", what, "--timeout=120s"], "");
    }

    /// Waits until an object meets a condition in the words of `kubectl wait --for`.
    #[track_caller]
    pub fn wait_for(&self, what: &str, condition: &str) {
        let condition = format!("--for={condition}");
        self.kubectl(&["wait", &condition, what, "--timeout=120s"], "");
    }

    /// Waits until an object is as it should be, and gives it.
    #[track_caller]
    pub fn wait_until(&self, what: &str, is_so: impl Fn(&Value) -> bool) -> Value {
        wait(what, || {
            let object = self.get(what);
            if is_so(&object) {
                return Ok(object);
            }
            Err(format!("{object:#}"))
        })
    }

    /// A Service of this name with the port 80, named `http`, and an upstream behind it.
    #[track_caller]
    pub fn serve(&self, name: &str, upstream: &Upstream) {
        let service = json!({
            "apiVersion": "v1", "kind": "Service", "metadata": {"name": name},
            "spec": {"ports": [{"name": "http", "port": 80, "targetPort": "http"}]},
        });
        self.apply(&service.to_string());
        self.point(name, Some(upstream));
    }

    /// Puts an upstream behind a Service in the place of the one before, or nobody.
    #[track_caller]
    pub fn point(&self, service: &str, upstream: Option<&Upstream>) {
        let endpoint = |upstream: &Upstream| {
            let address = upstream.address().ip();
            json!([{"addresses": [address], "conditions": {"ready": true}}])
        };
        let slice = json!({
            "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4",
            "metadata": {"name": service, "labels": {"kubernetes.io/service-name": service}},
            "ports": [{"name": "http", "protocol": "TCP", "port": upstream.map_or(1, |upstream| upstream.address().port())}],
            "endpoints": upstream.map_or_else(|| json!([]), endpoint),
        });
        self.apply(&slice.to_string());
    }

    /// Puts a new certificate for a host into a Secret; gives the file of the authority to trust.
    #[track_caller]
    pub fn certify(&self, secret: &str, host: &str) -> PathBuf {
        let authority = Authority::default();
        let pair = authority.issue(host);
        let object = json!({
            "apiVersion": "v1", "kind": "Secret", "metadata": {"name": secret}, "type": "kubernetes.io/tls",
            "stringData": {"tls.crt": pair.certificate_pem, "tls.key": pair.key_pem},
        });
        self.apply(&object.to_string());
        let trusted = self.cluster.folder().join(format!("{}-{host}.pem", self.name));
        fs::write(&trusted, authority.root_pem()).expect("the file is written");
        trusted
    }
}
