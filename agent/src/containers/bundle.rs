//! Names of containers that no engine's API is asked for: containerd's and CRI-O's, from the OCI bundle's `config.json`.
//!
//! Both leave what Kubernetes said of a container in the bundle's annotations: names of container, pod and namespace, the
//! image. That needs no CRI client, only the right to read the file (root, as a rule). It is read once per container: a bundle
//! does not change. The name is the one that CRI-O gives, `k8s_CONTAINER_POD_NAMESPACE…`, with `POD` for what holds the network.
//!
//! Source: OCI runtime specification, config.md (annotations); containerd's `pkg/cri/annotations`; CRI-O's annotations.

use std::collections::HashMap;
use std::fs;
use std::path::PathBuf;

use hostfs::cgroup::{Identity, Runtime};
use hostfs::{Roots, read_into};
use serde::Deserialize;

use super::names::Raw;

/// Most that is read of a bundle, in bytes; seccomp rules make some 50 KB of it.
const LIMIT: usize = 4 << 20;

/// Where containerd and k3s's own containerd keep bundles: below, a directory per namespace, then per container.
const TASKS: [&str; 2] =
    ["run/containerd/io.containerd.runtime.v2.task", "run/k3s/containerd/io.containerd.runtime.v2.task"];

/// Where CRI-O keeps them, as `ID/userdata`.
const STORAGE: [&str; 2] =
    ["run/containers/storage/overlay-containers", "var/lib/containers/storage/overlay-containers"];

/// Most namespaces of containerd that are looked into.
const NAMESPACES: usize = 16;

/// What of `config.json` is of interest; the rest is passed over.
#[derive(Debug, Deserialize)]
struct Config {
    #[serde(default)]
    annotations: HashMap<String, String>,
}

/// What the bundle says of a container; `None` where there is none, it may not be read, or it says nothing.
pub(super) fn read(roots: &Roots, identity: &Identity) -> Option<Raw> {
    // Ids of these runtimes are hexadecimal; the names of others must not become paths.
    if !matches!(identity.runtime, Runtime::Containerd | Runtime::CriO | Runtime::Oci) {
        return None;
    }
    let mut text = Vec::new();
    places(roots, &identity.id).into_iter().find(|path| read_into(path, &mut text, LIMIT).is_ok())?;
    let config: Config = serde_json::from_slice(&text).ok()?;
    describe(&identity.id, config.annotations)
}

fn places(roots: &Roots, id: &str) -> Vec<PathBuf> {
    let mut places = Vec::new();
    for tasks in TASKS {
        let Ok(namespaces) = fs::read_dir(roots.rootfs.join(tasks)) else { continue };
        let namespaces = namespaces.filter_map(Result::ok).take(NAMESPACES);
        places.extend(namespaces.map(|namespace| namespace.path().join(id).join("config.json")));
    }
    places.extend(STORAGE.map(|storage| roots.rootfs.join(storage).join(id).join("userdata/config.json")));
    places
}

fn describe(id: &str, mut annotations: HashMap<String, String>) -> Option<Raw> {
    let mut first = |names: &[&str]| names.iter().find_map(|name| annotations.remove(*name));
    let given = first(&["nerdctl/name", "io.kubernetes.cri-o.Name"]);
    let kind = first(&["io.kubernetes.cri.container-type", "io.kubernetes.cri-o.ContainerType"]);
    let image = first(&["io.kubernetes.cri.image-name", "io.kubernetes.cri-o.ImageName", "io.kubernetes.cri-o.Image"]);
    let mut container = first(&["io.kubernetes.cri.container-name", "io.kubernetes.container.name"]);
    if kind.as_deref() == Some("sandbox") {
        container = Some("POD".to_owned());
    }
    let pod = first(&["io.kubernetes.cri.sandbox-name", "io.kubernetes.pod.name"]);
    let namespace = first(&["io.kubernetes.cri.sandbox-namespace", "io.kubernetes.pod.namespace"]);
    let uid = first(&["io.kubernetes.cri.sandbox-uid", "io.kubernetes.pod.uid"]);
    let parts = [&container, &pod, &namespace].map(|part| part.as_deref().unwrap_or(""));
    let made = || container.as_ref().map(|_| format!("k8s_{}", parts.join("_")));
    let name = given.or_else(made)?;
    // Under the names that Docker's labels of Kubernetes had, which dashboards group by.
    let labels = [
        ("io.kubernetes.container.name", container.clone()),
        ("io.kubernetes.pod.name", pod.clone()),
        ("io.kubernetes.pod.namespace", namespace.clone()),
        ("io.kubernetes.pod.uid", uid),
    ];
    let labels = labels.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))).collect();
    Some(Raw { id: id.to_owned(), name, image: image.unwrap_or_default(), labels, ..Raw::default() })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn identity(runtime: Runtime) -> Identity {
        Identity { runtime, id: "ab".repeat(32), pod: None }
    }

    fn with(place: &str, text: &str, runtime: Runtime) -> Option<Raw> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(place.replace("ID", &"ab".repeat(32)));
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
        read(&Roots::below(dir.path()), &identity(runtime))
    }

    const CONTAINERD: &str = "run/containerd/io.containerd.runtime.v2.task/k8s.io/ID/config.json";

    /// A pod's container under containerd, and what holds the pod's network.
    #[test]
    fn containerd() {
        let text = r#"{"ociVersion":"1.1.0","process":{"args":["x"]},"annotations":{
            "io.kubernetes.cri.container-type":"container","io.kubernetes.cri.container-name":"web",
            "io.kubernetes.cri.image-name":"docker.io/library/nginx:1","io.kubernetes.cri.sandbox-name":"front-0",
            "io.kubernetes.cri.sandbox-namespace":"shop","io.kubernetes.cri.sandbox-uid":"7d3c","other":"x"}}"#;
        let raw = with(CONTAINERD, text, Runtime::Containerd).unwrap();
        assert_eq!((raw.name.as_str(), raw.image.as_str()), ("k8s_web_front-0_shop", "docker.io/library/nginx:1"));
        assert_eq!(raw.labels["io.kubernetes.pod.namespace"], "shop");
        assert_eq!(raw.labels.len(), 4);
        let raw = with(CONTAINERD, &text.replace(":\"container\"", ":\"sandbox\""), Runtime::Oci).unwrap();
        assert_eq!(raw.labels["io.kubernetes.container.name"], "POD");
    }

    #[test]
    fn cri_o_and_nerdctl() {
        let text = r#"{"annotations":{"io.kubernetes.cri-o.Name":"k8s_db_back_shop_7d3c_0",
            "io.kubernetes.cri-o.ImageName":"quay.io/db:2","io.kubernetes.container.name":"db"}}"#;
        let place = "run/containers/storage/overlay-containers/ID/userdata/config.json";
        let raw = with(place, text, Runtime::CriO).unwrap();
        assert_eq!((raw.name.as_str(), raw.image.as_str()), ("k8s_db_back_shop_7d3c_0", "quay.io/db:2"));
        let place = "run/containerd/io.containerd.runtime.v2.task/default/ID/config.json";
        let raw = with(place, r#"{"annotations":{"nerdctl/name":"mine"}}"#, Runtime::Containerd).unwrap();
        assert_eq!(raw.name, "mine");
    }

    /// Garbage, no annotations, another place, a file past the bound, a runtime whose ids are names: nothing.
    #[test]
    fn nothing() {
        for text in ["", "{", "[]", "{}", r#"{"annotations":{"a":"b"}}"#, r#"{"annotations":7}"#] {
            assert!(with(CONTAINERD, text, Runtime::Containerd).is_none(), "{text}");
        }
        assert!(with("elsewhere/ID", "{}", Runtime::Containerd).is_none());
        assert!(with(CONTAINERD, &" ".repeat(LIMIT + 1), Runtime::Containerd).is_none());
        let name = r#"{"annotations":{"nerdctl/name":"mine"}}"#;
        assert!(with(CONTAINERD, name, Runtime::Lxc).is_none());
    }
}
