//! What each program of a node is told: its flags and its file.

use std::net::Ipv4Addr;
use std::path::Path;

use serde_json::{Value, json};

use super::{NAME, PAUSE};

/// Addresses of Services and of pods; the machine has its own network, so that they are nobody else's.
const SERVICES: &str = "10.96.0.0/16";
const PODS: &str = "10.244.0.0/24";

/// Where the Service of the cluster's DNS is.
const DNS: &str = "10.96.0.10";

const ETCD: &str = "http://127.0.0.1:2379";

/// Where the API server listens.
pub(super) const API_PORT: u16 = 6443;

/// The socket of containerd, below a folder that each machine has for itself.
pub(super) const SOCKET: &str = "/run/containerd/containerd.sock";

/// Each program with its flags: those that need nobody, and those that need the API server.
pub(super) struct Programs {
    pub(super) first: Vec<(&'static str, Vec<String>)>,
    pub(super) then: Vec<(&'static str, Vec<String>)>,
}

impl Programs {
    /// Of a node at an address, whose keys lie in a folder.
    pub(super) fn new(folder: &Path, address: Ipv4Addr) -> Self {
        let file = |flag: &str, name: &str| format!("--{flag}={}", folder.join(name).display());
        let flags = |flags: &[&str]| flags.iter().map(|flag| (*flag).to_owned()).collect::<Vec<_>>();
        let config = |name: &str| {
            let name = format!("{name}.kubeconfig");
            [
                "kubeconfig",
                "authentication-kubeconfig",
                "authorization-kubeconfig",
            ]
            .map(|flag| file(flag, &name))
        };
        let mut etcd = flags(&["--unsafe-no-fsync", "--log-level=warn"]);
        etcd.push(file("data-dir", "etcd"));
        let mut api = flags(&[
            "--bind-address=0.0.0.0",
            "--authorization-mode=Node,RBAC",
            "--enable-admission-plugins=NodeRestriction",
            "--service-account-issuer=https://kubernetes.default.svc.cluster.local",
            "--kubelet-preferred-address-types=InternalIP",
            "--requestheader-allowed-names=front-proxy",
            "--requestheader-username-headers=X-Remote-User",
            "--requestheader-group-headers=X-Remote-Group",
            "--requestheader-extra-headers-prefix=X-Remote-Extra-",
        ]);
        api.extend([
            format!("--etcd-servers={ETCD}"),
            format!("--secure-port={API_PORT}"),
            format!("--advertise-address={address}"),
            format!("--service-cluster-ip-range={SERVICES}"),
        ]);
        let files = [
            ("tls-cert-file", "api.pem"),
            ("tls-private-key-file", "api.key"),
            ("client-ca-file", "ca.pem"),
            ("service-account-key-file", "accounts.pem"),
            ("service-account-signing-key-file", "accounts.key"),
            ("kubelet-client-certificate", "apiserver-kubelet.pem"),
            ("kubelet-client-key", "apiserver-kubelet.key"),
            ("kubelet-certificate-authority", "ca.pem"),
            ("requestheader-client-ca-file", "ca.pem"),
            ("proxy-client-cert-file", "front-proxy.pem"),
            ("proxy-client-key-file", "front-proxy.key"),
        ];
        api.extend(files.map(|(flag, name)| file(flag, name)));
        let quick = [
            "--leader-elect=false",
            "--kube-api-qps=300",
            "--kube-api-burst=600",
        ];
        let mut controllers = flags(&quick);
        controllers.extend(config("controllers"));
        controllers.extend([
            "--bind-address=127.0.0.1".to_owned(),
            "--use-service-account-credentials=true".to_owned(),
            format!("--service-cluster-ip-range={SERVICES}"),
            file("cert-dir", "controllers"),
            file("root-ca-file", "ca.pem"),
            file("service-account-private-key-file", "accounts.key"),
            file("cluster-signing-cert-file", "ca.pem"),
            file("cluster-signing-key-file", "ca.key"),
        ]);
        let mut scheduler = flags(&quick);
        scheduler.extend(config("scheduler"));
        scheduler.extend([
            "--bind-address=127.0.0.1".to_owned(),
            file("cert-dir", "scheduler"),
        ]);
        let kubelet = vec![
            file("config", "kubelet.json"),
            file("kubeconfig", "kubelet.kubeconfig"),
            format!("--hostname-override={NAME}"),
            format!("--node-ip={address}"),
            file("root-dir", "kubelet"),
            file("cert-dir", "kubelet-keys"),
        ];
        Self {
            first: vec![
                ("etcd", etcd),
                ("kube-apiserver", api),
                ("containerd", vec![file("config", "containerd.toml")]),
            ],
            then: vec![
                ("kube-controller-manager", controllers),
                ("kube-scheduler", scheduler),
                ("kubelet", kubelet),
                ("kube-proxy", vec![file("config", "kube-proxy.json")]),
            ],
        }
    }
}

/// The files of a node whose pods are to be below a control group: name and text of each.
pub(super) fn files(folder: &Path, group: &str) -> [(&'static str, String); 5] {
    [
        ("containerd.toml", containerd(folder)),
        ("network/pods.conflist", network().to_string()),
        ("kubelet.json", kubelet(folder, group).to_string()),
        ("kube-proxy.json", kube_proxy(folder).to_string()),
        ("resolv.conf", "nameserver 127.0.0.1\n".to_owned()),
    ]
}

/// In the form of version 2, which newer ones read, too, with ports below 1024 for everybody, as newer ones have it. The
/// score by which the kernel chooses whom to kill may not be lowered everywhere, not even by root.
fn containerd(folder: &Path) -> String {
    let network = folder.join("network");
    let network = network.display();
    format!(
        r#"version = 2
root = "/var/lib/containerd"
state = "/run/containerd"
[grpc]
  address = "{SOCKET}"
[plugins."io.containerd.internal.v1.opt"]
  path = "/var/lib/containerd/opt"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "{PAUSE}"
  enable_unprivileged_ports = true
  restrict_oom_score_adj = true
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "/usr/lib/cni"
    conf_dir = "{network}"
  [plugins."io.containerd.grpc.v1.cri".containerd]
    snapshotter = "overlayfs"
    default_runtime_name = "runc"
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
      runtime_type = "io.containerd.runc.v2"
      [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
        SystemdCgroup = false
"#
    )
}

/// Each pod on a cable of its own, so that all of its traffic is routed and passes the rules of kube-proxy.
fn network() -> Value {
    let ipam = json!({
        "type": "host-local", "ranges": [[{"subnet": PODS}]], "routes": [{"dst": "0.0.0.0/0"}],
        "dataDir": "/var/lib/cni/addresses",
    });
    json!({"cniVersion": "0.4.0", "name": "pods", "plugins": [
        {"type": "ptp", "ipMasq": false, "ipam": ipam},
        {"type": "portmap", "capabilities": {"portMappings": true}, "snat": true},
    ]})
}

fn kubelet(folder: &Path, group: &str) -> Value {
    json!({
        "apiVersion": "kubelet.config.k8s.io/v1beta1", "kind": "KubeletConfiguration",
        "failCgroupV1": false, "cgroupDriver": "cgroupfs", "cgroupRoot": format!("/{group}"),
        "containerRuntimeEndpoint": format!("unix://{SOCKET}"),
        "tlsCertFile": folder.join("kubelet-server.pem"), "tlsPrivateKeyFile": folder.join("kubelet-server.key"),
        "authentication": {
            "anonymous": {"enabled": false}, "webhook": {"enabled": true},
            "x509": {"clientCAFile": folder.join("ca.pem")},
        },
        "authorization": {"mode": "Webhook"},
        "clusterDNS": [DNS], "clusterDomain": "cluster.local", "resolvConf": folder.join("resolv.conf"),
        "podLogsDir": folder.join("pods"),
        "failSwapOn": false, "makeIPTablesUtilChains": false,
        // Images that were thrown away could not be had again, and the disk is not the node's own.
        "imageGCHighThresholdPercent": 100, "imageGCLowThresholdPercent": 99,
        "evictionHard": {
            "memory.available": "100Mi", "nodefs.available": "0%", "imagefs.available": "0%",
            "nodefs.inodesFree": "0%", "imagefs.inodesFree": "0%",
        },
        "registryPullQPS": 0, "kubeAPIQPS": 300, "kubeAPIBurst": 600, "eventRecordQPS": 0, "serializeImagePulls": false,
        "nodeStatusUpdateFrequency": "5s", "syncFrequency": "10s",
        "volumePluginDir": folder.join("volume-plugins"),
    })
}

fn kube_proxy(folder: &Path) -> Value {
    json!({
        "apiVersion": "kubeproxy.config.k8s.io/v1alpha1", "kind": "KubeProxyConfiguration", "mode": "iptables",
        "clientConnection": {"kubeconfig": folder.join("proxy.kubeconfig")},
        "clusterCIDR": PODS, "hostnameOverride": NAME,
        "iptables": {"minSyncPeriod": "100ms", "syncPeriod": "30s"},
        // What these would set is the whole system's.
        "conntrack": {"maxPerCore": 0, "min": 0, "tcpEstablishedTimeout": "0s", "tcpCloseWaitTimeout": "0s"},
    })
}
