//! The Helm chart: what it becomes, what it refuses, and that a real API server takes it.

use std::collections::BTreeSet;
use std::fs;
use std::sync::OnceLock;

use fairway_tests::cluster::{CHART, Cluster, Namespace, Replica, Upstream, helm, render};
use fairway_tests::{repository, updates};
use serde_json::{Value, json};

/// What is said before the objects of the manifest for those who have no Helm.
const HEAD: &str = "\
# Fairway for a cluster without Helm: kubectl apply --server-side --filename deploy/fairway.yaml
# The chart of charts/fairway with its defaults; UPDATE_EXPECT=1 make test LAYERS=cluster writes it anew.
apiVersion: v1
kind: Namespace
metadata:
  name: fairway
";

/// As whom the program comes.
const USER: &str = "system:serviceaccount:fairway:fairway";

/// The objects of a text in YAML.
#[track_caller]
fn objects(yaml: &str) -> Vec<Value> {
    let documents = yaml.split("---\n").filter(|document| document.contains("kind:"));
    let parse = |document| serde_saphyr::from_str(document).expect("it is YAML");
    documents.map(parse).collect()
}

#[track_caller]
fn find<'a>(objects: &'a [Value], kind: &str, name: &str) -> &'a Value {
    let mut found = objects.iter();
    let found = found.find(|object| object["kind"] == kind && object["metadata"]["name"] == name);
    found.unwrap_or_else(|| panic!("there is no {kind} {name}"))
}

/// With these values, something of an object is so. `Value::Null` stands for what is not there.
#[track_caller]
fn check(values: &[&str], (kind, name, path): (&str, &str, &str), expected: &Value) {
    let sets: Vec<String> = values.iter().map(|value| format!("--set={value}")).collect();
    let sets: Vec<&str> = sets.iter().map(String::as_str).collect();
    let objects = objects(&render(&sets).expect("it renders"));
    let found = find(&objects, kind, name).pointer(path).unwrap_or(&Value::Null);
    assert_eq!(found, expected, "{values:?}: {kind} {name} {path}");
}

/// A value is refused, and the message names it.
#[track_caller]
fn check_refused(value: &str, named: &str) {
    let error = render(&[&format!("--set={value}")]).expect_err(value);
    assert!(
        error.contains("schema") && error.contains(named),
        "{value}: {error}"
    );
}

#[test]
fn it_renders_to_the_manifest_each_time() {
    let (first, second) = (render(&[]).expect("it renders"), render(&[]).expect("it renders"));
    assert_eq!(first, second);
    let expected = format!("{HEAD}{first}");
    if updates() {
        fs::write(repository().join("deploy/fairway.yaml"), &expected).expect("it is written");
        return;
    }
    assert!(
        CHART == expected,
        "deploy/fairway.yaml is not what the chart becomes; see its first lines"
    );
}

#[test]
fn helm_has_nothing_against_it() {
    helm(&["lint", "--strict", "charts/fairway"]).expect("no complaint");
}

#[test]
fn its_kind_is_the_kind_of_the_program() {
    let read = |path: &str| fs::read(repository().join(path)).expect(path);
    assert_eq!(
        read("charts/fairway/crds/caddyroutes.yaml"),
        read("crds/caddyroutes.yaml")
    );
}

#[test]
fn it_needs_no_hook_and_no_look_up() {
    let folder = repository().join("charts/fairway/templates");
    for entry in fs::read_dir(folder).expect("it is there") {
        let path = entry.expect("it is there").path();
        let text = fs::read_to_string(&path).expect("it is text");
        for word in [
            "helm.sh/hook",
            "lookup ",
            "rand",
            "genCA",
            "uuidv4",
            "now ",
            ".Capabilities",
            ".Release.IsInstall",
        ] {
            assert!(!text.contains(word), "{}: {word}", path.display());
        }
    }
}

#[test]
fn values_reach_their_objects() {
    let container = |path: &str| format!("/spec/template/spec/containers/0/{path}");
    let image = container("image");
    let digest = format!("image.digest=sha256:{}", "a".repeat(64));
    for (value, expected) in [
        ("image.tag=1.2", "fairway.dev/fairway:1.2".to_owned()),
        (
            "image.repository=example.test/a",
            "example.test/a:0.1.0".to_owned(),
        ),
        (&digest, format!("fairway.dev/fairway@sha256:{}", "a".repeat(64))),
    ] {
        check(&[value], ("Deployment", "fairway", &image), &json!(expected));
    }
    let grace = "/spec/template/spec/terminationGracePeriodSeconds";
    let values = ["shutdown.delaySeconds=3", "shutdown.drainSeconds=20"];
    check(&values, ("Deployment", "fairway", grace), &json!(28));
    check(
        &values,
        ("Deployment", "fairway", &container("args/4")),
        &json!("--shutdown-delay=3s"),
    );
    check(
        &values,
        ("Deployment", "fairway", &container("args/5")),
        &json!("--grace-period=20s"),
    );
    check(
        &["shutdown.delaySeconds=0"],
        ("Deployment", "fairway", &container("args/4")),
        &json!("--grace-period=285s"),
    );
    check(
        &["fullnameOverride=edge"],
        ("Service", "edge", "/spec/type"),
        &json!("LoadBalancer"),
    );
    let values = ["service.type=NodePort", "service.httpNodePort=30080"];
    check(
        &values,
        ("Service", "fairway", "/spec/ports/0/nodePort"),
        &json!(30080),
    );
    check(
        &values,
        ("Service", "fairway", "/spec/ports/1/nodePort"),
        &Value::Null,
    );
    check(
        &["service.type=ClusterIP"],
        ("Service", "fairway", "/spec/externalTrafficPolicy"),
        &Value::Null,
    );
    let default = "/metadata/annotations/ingressclass.kubernetes.io~1is-default-class";
    check(
        &["ingressClass.name=edge"],
        ("IngressClass", "edge", default),
        &Value::Null,
    );
    check(
        &["ingressClass.isDefault=true"],
        ("IngressClass", "fairway", default),
        &json!("true"),
    );
    let values = ["metrics.serviceMonitor=true"];
    check(
        &values,
        ("ServiceMonitor", "fairway", "/spec/endpoints/0/port"),
        &json!("metrics"),
    );
    check(
        &values,
        ("Service", "fairway-metrics", "/spec/ports/0/name"),
        &json!("metrics"),
    );
}

#[test]
fn what_is_not_wanted_is_not_there() {
    let kinds = |values: &[&str]| -> BTreeSet<String> {
        let sets: Vec<String> = values.iter().map(|value| format!("--set={value}")).collect();
        let sets: Vec<&str> = sets.iter().map(String::as_str).collect();
        let objects = objects(&render(&sets).expect("it renders"));
        objects
            .iter()
            .filter_map(|object| object["kind"].as_str().map(str::to_owned))
            .collect()
    };
    let all = kinds(&[]);
    for (value, gone) in [
        ("replicas=1", &["PodDisruptionBudget"][..]),
        ("podDisruptionBudget.enabled=false", &["PodDisruptionBudget"]),
        ("ingressClass.create=false", &["IngressClass"]),
        ("serviceAccount.create=false", &["ServiceAccount"]),
        (
            "rbac.create=false",
            &["ClusterRole", "ClusterRoleBinding", "Role", "RoleBinding"],
        ),
    ] {
        let less: BTreeSet<_> = all.difference(&kinds(&[value])).cloned().collect();
        assert_eq!(
            less,
            gone.iter().map(|kind| (*kind).to_owned()).collect(),
            "{value}"
        );
    }
}

#[test]
fn a_typing_error_is_refused() {
    for (value, named) in [
        ("replica=3", "'replica'"),
        ("image.tagg=1", "'tagg'"),
        ("image.digest=sha256:12", "/image/digest"),
        ("image.pullPolicy=Sometimes", "/image/pullPolicy"),
        ("service.type=Loadbalancer", "/service/type"),
        ("service.httpPort=70000", "/service/httpPort"),
        ("service.annotation.a=b", "'annotation'"),
        ("ingressClass.default=true", "'default'"),
        ("ingressClass.name=Fairway", "/ingressClass/name"),
        ("replicas=two", "/replicas"),
        ("replicas=-1", "/replicas"),
        ("threads=0", "/threads"),
        ("shutdown.drainSeconds=0", "/shutdown/drainSeconds"),
        ("shutdown.drain=1", "'drain'"),
        (
            "podDisruptionBudget.maxUnavailable=half",
            "/podDisruptionBudget/maxUnavailable",
        ),
        ("snapshot.sizeLimit=much", "/snapshot/sizeLimit"),
        ("resources.request.cpu=1", "'request'"),
        ("extraArgs=a", "/extraArgs"),
        ("podLabels.a=1", "/podLabels/a"),
    ] {
        check_refused(value, named);
    }
}

/// A cluster that has what the manifest holds.
fn cluster() -> &'static Cluster {
    static CLUSTER: OnceLock<&Cluster> = OnceLock::new();
    CLUSTER.get_or_init(|| install(Cluster::shared()))
}

fn install(cluster: &Cluster) -> &Cluster {
    cluster.teach_kinds();
    cluster.apply(CHART).expect("the API server takes it");
    cluster
}

/// A change to a pod.
type Change = fn(&mut Value);

#[test]
fn its_pods_are_restricted() {
    let cluster = cluster();
    cluster.expect(
        &[
            "label",
            "namespace",
            "fairway",
            "pod-security.kubernetes.io/enforce=restricted",
        ],
        "",
    );
    let objects = objects(CHART);
    let deployment = find(&objects, "Deployment", "fairway");
    let try_with = |change: Change| {
        let mut pod = json!({
            "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "probe", "namespace": "fairway"},
            "spec": deployment["spec"]["template"]["spec"],
        });
        change(&mut pod["spec"]);
        cluster.kubectl(&["create", "--dry-run=server", "-f", "-"], &pod.to_string())
    };
    try_with(|_| {}).expect("it is taken");
    let weaker: [(&str, Change); 4] = [
        ("seccompProfile", |spec| {
            spec["securityContext"]["seccompProfile"] = Value::Null;
        }),
        ("runAsNonRoot", |spec| {
            spec["securityContext"]["runAsNonRoot"] = json!(false);
        }),
        ("capabilities", |spec| {
            spec["containers"][0]["securityContext"]["capabilities"] = Value::Null;
        }),
        ("allowPrivilegeEscalation", |spec| {
            spec["containers"][0]["securityContext"]["allowPrivilegeEscalation"] = json!(true);
        }),
    ];
    for (name, change) in weaker {
        let error = try_with(change).expect_err(name);
        assert!(
            error.contains("violates PodSecurity") && error.contains(name),
            "{name}: {error}"
        );
    }
    // These the level does not ask for.
    let container = &deployment["spec"]["template"]["spec"]["containers"][0];
    assert_eq!(container["securityContext"]["readOnlyRootFilesystem"], true);
}

#[test]
fn who_may_edit_a_namespace_may_edit_its_routes() {
    let cluster = cluster().with_controllers();
    let space = cluster.namespace("roles");
    let may = |who: &str, verb: &str, what: &[&str]| {
        let asked = [
            "auth",
            "can-i",
            verb,
            "caddyroutes.fairway.dev",
            "--as",
            who,
            "--namespace",
            space.name(),
        ];
        cluster.kubectl(&[&asked, what].concat(), "").is_ok()
    };
    for role in ["admin", "edit", "view"] {
        let (clusterrole, user) = (format!("--clusterrole={role}"), format!("--user={role}"));
        space.kubectl(&["create", "rolebinding", role, &clusterrole, &user], "");
        // The roles of Kubernetes learn of ours some time after they were made.
        fairway_tests::cluster::wait(role, || {
            may(role, "list", &[])
                .then_some(())
                .ok_or_else(|| "not yet".to_owned())
        });
    }
    for (who, edits) in [
        ("admin", true),
        ("edit", true),
        ("view", false),
        ("nobody", false),
    ] {
        for verb in ["create", "update", "patch", "delete", "deletecollection"] {
            assert_eq!(may(who, verb, &[]), edits, "{who} {verb}");
        }
        for verb in ["update", "patch"] {
            assert!(!may(who, verb, &["--subresource=status"]), "{who} {verb} status");
        }
    }
    assert!(!may("nobody", "list", &[]));
}

#[test]
fn helm_installs_it_and_says_what_to_try_next() {
    let cluster = cluster();
    let kubeconfig = format!("--kubeconfig={}", cluster.admin().display());
    let here = ["--namespace=edge", &kubeconfig];
    let set = "--set=ingressClass.name=edge,replicas=3";
    let release = [
        &["install", "edge", "charts/fairway", "--create-namespace", set],
        &here[..],
    ]
    .concat();
    let notes = helm(&release).expect("it is installed");
    let replicas = || {
        cluster.expect(
            &[
                "get",
                "deployment/edge-fairway",
                "-n",
                "edge",
                "-o",
                "jsonpath={.spec.replicas}",
            ],
            "",
        )
    };
    assert_eq!(replicas(), "3");

    // What the notes say is tried.
    let (_, route) = notes
        .split_once("<<'YAML'\n")
        .expect("there is a route in the notes");
    let (route, _) = route.split_once("\nYAML\n").expect("it has an end");
    cluster.apply(route).expect("it is taken");
    let replica = Replica::start(cluster);
    replica.wait_for("hello.example.com", "/", 200, "Hello from hello.example.com");
    drop(replica);

    helm(
        &[
            &[
                "upgrade",
                "edge",
                "charts/fairway",
                "--reuse-values",
                "--set=replicas=1",
            ],
            &here[..],
        ]
        .concat(),
    )
    .expect("it is upgraded");
    assert_eq!(replicas(), "1");
    helm(&[&["rollback", "edge", "1"], &here[..]].concat()).expect("it is rolled back");
    assert_eq!(replicas(), "3");
    helm(&[&["uninstall", "edge"], &here[..]].concat()).expect("it is removed");
    cluster
        .kubectl(&["get", "deployment/edge-fairway", "-n", "edge"], "")
        .expect_err("it is gone");
    cluster.expect(&["get", "cdr/hello", "-n", "default"], "");
}

/// The verbs that rules allow, as `verb group/resource`.
fn allowed(objects: &[Value]) -> BTreeSet<String> {
    let texts = |value: &Value| -> Vec<String> {
        let texts = value.as_array().into_iter().flatten();
        texts
            .filter_map(|text| text.as_str().map(str::to_owned))
            .collect()
    };
    let rules = ["ClusterRole", "Role"].map(|kind| find(objects, kind, "fairway")["rules"].as_array());
    let mut all = BTreeSet::new();
    for rule in rules.into_iter().flatten().flatten() {
        for (group, resource) in texts(&rule["apiGroups"]).iter().flat_map(|group| {
            texts(&rule["resources"])
                .into_iter()
                .map(move |resource| (group, resource))
        }) {
            all.extend(
                texts(&rule["verbs"])
                    .iter()
                    .map(|verb| format!("{verb} {group}/{resource}")),
            );
        }
    }
    all
}

/// What the program asked for, in the same form, from the log of the API server.
fn asked(log: &str) -> BTreeSet<String> {
    let events = log
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let of_program = events
        .filter(|event| event["user"]["username"] == USER && event["objectRef"]["resource"].is_string());
    let line = |event: Value| {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let object = &event["objectRef"];
        let (group, mut resource) = (text(&object["apiGroup"]), text(&object["resource"]));
        if let Some(part) = object["subresource"].as_str() {
            resource = format!("{resource}/{part}");
        }
        assert_ne!(event["responseStatus"]["code"], 403, "refused: {event}");
        format!("{} {group}/{resource}", text(&event["verb"]))
    };
    of_program.map(line).collect()
}

fn route(caddyfile: &str) -> String {
    let route = json!({
        "apiVersion": "fairway.dev/v1alpha1", "kind": "CaddyRoute", "metadata": {"name": "shop"},
        "spec": {"ingressClassName": "fairway", "caddyfile": caddyfile},
    });
    route.to_string()
}

/// Lets the program do all that it ever does to a cluster.
fn work(space: &Namespace, replica: &Replica, log: &dyn Fn() -> String) {
    let upstream = Upstream::start("web");
    let host = format!("{}.test", space.name());
    space.serve("web", &upstream);
    let trusted = space.certify("web-tls", &host);
    let backend = json!({"service": {"name": "web", "port": {"name": "http"}}});
    let ingress = json!({
        "apiVersion": "networking.k8s.io/v1", "kind": "Ingress", "metadata": {"name": "web"},
        "spec": {"ingressClassName": "fairway", "tls": [{"hosts": [host], "secretName": "web-tls"}], "rules": [
            {"host": host, "http": {"paths": [{"path": "/", "pathType": "Prefix", "backend": backend}]}},
        ]},
    });
    space.apply(&ingress.to_string());
    replica.wait_for_https(&host, "/", &trusted, 200, "web /");
    // The address of the Service of the chart.
    space.wait_for(
        "ingress/web",
        "jsonpath={.status.loadBalancer.ingress[0].ip}=192.0.2.80",
    );

    // The same mistake twice is one Event, which is told again.
    let (good, broken) = ("shop.test {\n\trespond ok\n}\n", "shop.test {\n\trespnd ok\n}\n");
    for event in ["create events.k8s.io/events", "patch events.k8s.io/events"] {
        space.apply(&route(good));
        space.wait_for("cdr/shop", "condition=Ready");
        space.apply(&route(broken));
        fairway_tests::cluster::wait(event, || {
            asked(&log()).contains(event).then_some(()).ok_or_else(log)
        });
    }
}

#[test]
fn its_rights_are_what_the_program_uses() {
    let folder = tempfile::tempdir().expect("a folder");
    let (policy, log) = (folder.path().join("policy.json"), folder.path().join("audit.log"));
    let rules = json!({
        "apiVersion": "audit.k8s.io/v1", "kind": "Policy",
        "rules": [{"level": "Metadata", "users": [USER]}, {"level": "None"}],
    });
    fs::write(&policy, rules.to_string()).expect("it is written");
    let flags = [("policy-file", &policy), ("log-path", &log)];
    let cluster =
        Cluster::start_with(&flags.map(|(flag, path)| format!("--audit-{flag}={}", path.display())));
    install(&cluster);
    cluster.apply(GRANTS).expect("it is taken");
    let address = json!({"status": {"loadBalancer": {"ingress": [{"ip": "192.0.2.80"}]}}}).to_string();
    cluster.expect(
        &[
            "patch",
            "service/fairway",
            "-n",
            "fairway",
            "--subresource=status",
            "--type=merge",
            "-p",
            &address,
        ],
        "",
    );

    // With the flags of the chart, but for those that say where it listens, which differ here, and the pause at the end.
    let objects = objects(CHART);
    let arguments =
        &find(&objects, "Deployment", "fairway")["spec"]["template"]["spec"]["containers"][0]["args"];
    let arguments = arguments
        .as_array()
        .expect("it has arguments")
        .iter()
        .filter_map(Value::as_str);
    let own = arguments.filter(|argument| {
        let differs = ["--http", "--admin", "--shutdown-delay"];
        *argument != "run" && !differs.iter().any(|flag| argument.starts_with(flag))
    });
    let own: Vec<String> = own.map(str::to_owned).collect();
    assert_eq!(own, ["--grace-period=285s", "--publish-service=fairway/fairway"]);
    let mut replica = Replica::start_with(&cluster, &own);
    let space = cluster.namespace("work");
    work(&space, &replica, &|| fs::read_to_string(&log).unwrap_or_default());
    replica.ask_to_end();
    assert!(replica.wait_for_end().success());

    assert_eq!(
        asked(&fs::read_to_string(&log).expect("a log")),
        allowed(&objects)
    );
}

/// The kind of another project, as far as it is read.
const GRANTS: &str = "\
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata:
  name: referencegrants.gateway.networking.k8s.io
  annotations: {api-approved.kubernetes.io: unapproved}
spec:
  group: gateway.networking.k8s.io
  names: {kind: ReferenceGrant, plural: referencegrants, singular: referencegrant, listKind: ReferenceGrantList}
  scope: Namespaced
  versions:
  - name: v1
    served: true
    storage: true
    schema:
      openAPIV3Schema: {type: object, x-kubernetes-preserve-unknown-fields: true}
";

#[test]
fn others_are_not_told_what_tenants_wrote() {
    let replica = Replica::start(cluster());
    for (path, outside) in [
        ("/readyz", 200),
        ("/healthz", 200),
        ("/config", 403),
        ("/verdicts", 403),
        ("/verdicts/a/b/c", 403),
    ] {
        assert_eq!(
            replica.ask_admin_from_outside(path).expect(path).status,
            outside,
            "{path}"
        );
    }
    assert_eq!(replica.ask_admin("/config").expect("an answer").status, 200);
}
