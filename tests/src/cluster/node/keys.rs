//! The certificates of a node's programs. They are made anew each time and lie in the folder of the cluster alone.

use std::net::Ipv4Addr;
use std::path::Path;

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose,
};

use super::NAME;
use crate::cluster::control_plane::put;

/// The user and, if it counts, the group as whom each program comes to the API server.
const CLIENTS: &[(&str, &str, Option<&str>)] = &[
    ("admin", "admin", Some("system:masters")),
    ("apiserver-kubelet", "apiserver-kubelet", Some("system:masters")),
    ("front-proxy", "front-proxy", None),
    ("controllers", "system:kube-controller-manager", None),
    ("scheduler", "system:kube-scheduler", None),
    ("proxy", "system:kube-proxy", None),
    ("kubelet", "system:node:node-1", Some("system:nodes")),
];

/// Of these only the pair is used, by the API server.
const WITHOUT_CONFIG: &[&str] = &["apiserver-kubelet", "front-proxy"];

/// Writes all keys, certificates and kubeconfigs of a node at an address into a folder.
pub(super) fn write(folder: &Path, address: Ipv4Addr, server: &str) -> Result<(), String> {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::DigitalSignature];
    params
        .distinguished_name
        .push(DnType::CommonName, "authority of a test");
    let key = KeyPair::generate().expect("a key");
    let root = params.self_signed(&key).expect("a certificate");
    put(folder, "ca.pem", &root.pem())?;
    put(folder, "ca.key", &key.serialize_pem())?;
    let issuer = Issuer::new(params, key);
    let address = address.to_string();
    let names = [
        "localhost",
        "127.0.0.1",
        "10.96.0.1",
        "kubernetes.default.svc",
        &address,
    ];
    for (name, subject, group, names) in [
        ("api", "kube-apiserver", None, &names[..]),
        ("kubelet-server", NAME, None, &[NAME, "127.0.0.1", &address]),
        // Any key signs the tokens of service accounts, and any certificate holds the half that checks them.
        ("accounts", "accounts", None, &[]),
    ] {
        issue(&issuer, folder, name, (subject, group), names)?;
    }
    for (name, subject, group) in CLIENTS {
        issue(&issuer, folder, name, (subject, *group), &[])?;
        if !WITHOUT_CONFIG.contains(name) {
            write_kubeconfig(folder, name, server)?;
        }
    }
    Ok(())
}

fn issue(
    issuer: &Issuer<'_, KeyPair>,
    folder: &Path,
    name: &str,
    (subject, group): (&str, Option<&str>),
    names: &[&str],
) -> Result<(), String> {
    let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    let is_server = !names.is_empty();
    let mut params = CertificateParams::new(names).expect("they are names and addresses");
    params.distinguished_name.push(DnType::CommonName, subject);
    if let Some(group) = group {
        params.distinguished_name.push(DnType::OrganizationName, group);
    }
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![if is_server {
        ExtendedKeyUsagePurpose::ServerAuth
    } else {
        ExtendedKeyUsagePurpose::ClientAuth
    }];
    let key = KeyPair::generate().expect("a key");
    let certificate = params.signed_by(&key, issuer).expect("a certificate");
    put(folder, &format!("{name}.pem"), &certificate.pem())?;
    put(folder, &format!("{name}.key"), &key.serialize_pem())
}

fn write_kubeconfig(folder: &Path, name: &str, server: &str) -> Result<(), String> {
    let config = serde_json::json!({
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "test", "cluster": {"server": server, "certificate-authority": folder.join("ca.pem")}}],
        "users": [{"name": name, "user": {
            "client-certificate": folder.join(format!("{name}.pem")),
            "client-key": folder.join(format!("{name}.key")),
        }}],
        "contexts": [{"name": "test", "context": {"cluster": "test", "user": name}}],
        "current-context": "test",
    });
    put(folder, &format!("{name}.kubeconfig"), &config.to_string())
}
