//! What was good keeps serving, on every replica: through a broken text, a broken snippet, a restart, a forged status,
//! and without an API server.

use fairway_tests::cluster::{Cluster, Fault, Faults, Namespace, Replica, caddy_route, wait};
use serde_json::{Value, json};

/// Two replicas, and the proxy through which both see the cluster.
struct Replicas<'t> {
    cluster: &'t Cluster,
    faults: Faults,
    both: Vec<Replica>,
}

impl<'t> Replicas<'t> {
    fn start(cluster: &'t Cluster) -> Self {
        let mut replicas = Self {
            cluster,
            faults: Faults::start(cluster),
            both: Vec::new(),
        };
        replicas.restart();
        replicas
    }

    /// Ends both; who leads lets the lease go.
    fn end(&mut self) {
        for mut replica in self.both.drain(..) {
            replica.ask_to_end();
            assert!(replica.wait_for_end().success());
        }
    }

    /// Ends both, and starts them anew.
    fn restart(&mut self) {
        self.end();
        let kubeconfig = self.faults.kubeconfig();
        self.both = (0..2)
            .map(|_| Replica::start_at(self.cluster, &kubeconfig))
            .collect();
    }

    #[track_caller]
    fn serve(&self, host: &str, status: u16, body: &str) {
        for replica in &self.both {
            replica.wait_for(host, "/", status, body);
        }
    }
}

fn apply(space: &Namespace, name: &str, text: &str) -> Value {
    let object = caddy_route(name, text);
    space.apply(&object.to_string());
    object
}

/// Waits until an object is told that its text is broken, and what is served of it.
#[track_caller]
fn is_told(space: &Namespace, name: &str, programmed: &str) {
    space.wait_until(&format!("cdr/{name}"), |object| {
        let conditions = object["status"]["conditions"].as_array();
        let mut conditions = conditions.into_iter().flatten();
        let is_current = object["status"]["observedGeneration"] == object["metadata"]["generation"];
        is_current && conditions.any(|one| one["type"] == "Programmed" && one["reason"] == programmed)
    });
}

#[test]
fn what_was_good_keeps_serving_on_every_replica() {
    // Alone: who leads must be one of these two.
    let cluster = Cluster::start();
    cluster.prepare();
    let (space, other) = (cluster.namespace("shop"), cluster.namespace("lib"));
    let host = |name: &str| format!("{name}.{}.test", space.name());
    let lib = |body: &str| format!("(near) {{\n\t{body}\n}}\n");
    let far = |body: &str| format!("(far) {{\n\t{body}\n}}\n");
    let export = |body: &str| {
        let mut object = caddy_route("lib", &far(body));
        object["spec"]["exportTo"] = json!([space.name()]);
        other.apply(&object.to_string());
    };
    apply(&space, "lib", &lib("respond near"));
    export("respond far");
    let site = |name: &str, body: &str| apply(&space, name, &format!("{} {{\n\t{body}\n}}\n", host(name)));
    let victim = format!("victim.{}.test", other.name());
    apply(&other, "victim", &format!("{victim} {{\n\trespond victim\n}}\n"));
    site("plain", "respond good");
    site("near", "import near");
    site("far", &format!("import {}/far", other.name()));
    let mut replicas = Replicas::start(&cluster);
    let serve_good = |replicas: &Replicas| {
        for (name, body) in [("plain", "good"), ("near", "near")] {
            replicas.serve(&host(name), 200, body);
        }
    };
    serve_good(&replicas);
    replicas.serve(&host("far"), 200, "far");
    for name in ["plain", "near", "far"] {
        is_told(&space, name, "Programmed");
    }

    // A text of its own, and one through an exporter, near and far.
    site("plain", "respnd bad");
    apply(&space, "lib", &lib("respnd bad"));
    export("respnd bad");
    for name in ["plain", "near", "far"] {
        is_told(&space, name, "LastGood");
    }
    serve_good(&replicas);
    replicas.serve(&host("far"), 200, "far");

    // A restart finds both in the status. A snippet of another namespace is not taken from there: whoever may write a
    // status would speak for that namespace.
    replicas.restart();
    serve_good(&replicas);
    replicas.serve(&host("far"), 503, "");

    // A forged status gains nothing: who knows the good text goes on with it, and mends the status.
    let mut forged = json!({
        "apiVersion": "fairway.dev/v1alpha1", "kind": "CaddyRoute", "metadata": {"name": "plain"},
    });
    let forge = |forged: &mut Value, text: String| {
        forged["status"] = json!({"lastGood": {"generation": 1, "caddyfile": text, "imports": []}});
        space.set_status(forged).expect("an administrator may");
    };
    forge(
        &mut forged,
        format!("{} {{\n\trespond forged\n}}\n", host("plain")),
    );
    let is_mended = || {
        space.wait_until("cdr/plain", |object| {
            let text = object["status"]["lastGood"]["caddyfile"].as_str();
            text.is_some_and(|text| text.contains("respond good"))
        });
    };
    is_mended();
    serve_good(&replicas);

    // Nor does one that asks for more than a tenant may, when nobody is left who knows the good one.
    replicas.end();
    forge(
        &mut forged,
        format!("{} {{\n\troot * /\n\tfile_server\n}}\n", host("plain")),
    );
    replicas.restart();
    replicas.serve(&host("plain"), 503, "");
    replicas.end();
    forge(&mut forged, format!("{victim} {{\n\trespond stolen\n}}\n"));
    replicas.restart();
    replicas.serve(&victim, 200, "victim");

    // The API server goes away, and comes back.
    site("plain", "respond mended");
    apply(&space, "lib", &lib("respond near"));
    replicas.serve(&host("plain"), 200, "mended");
    replicas.faults.set("", Fault::Drop);
    for replica in &replicas.both {
        wait("the readiness", || {
            let told = replica.ask_admin("/readyz")?;
            let is_told = told.status == 200 && told.body.contains("caddyroutes are not watched: ");
            if is_told { Ok(()) } else { Err(told.body) }
        });
    }
    site("plain", "respnd bad");
    replicas.serve(&host("plain"), 200, "mended");
    replicas.serve(&host("near"), 200, "near");
    replicas.faults.clear();
    is_told(&space, "plain", "LastGood");
    replicas.serve(&host("plain"), 200, "mended");
}
