//! Tells from a cgroup's path which runtime made it, and for which container.

use std::borrow::Cow;

/// Who made a container's cgroup, as far as the path says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "names of products")]
pub enum Runtime {
    Docker,
    Containerd,
    CriO,
    Podman,
    Lxc,
    Nspawn,
    /// A 64-digit id below a pod or an unknown parent: made through the OCI runtime by an engine that leaves no name.
    Oci,
}

impl Runtime {
    /// Lower-case name for labels.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Docker => "docker",
            Self::Containerd => "containerd",
            Self::CriO => "cri-o",
            Self::Podman => "podman",
            Self::Lxc => "lxc",
            Self::Nspawn => "nspawn",
            Self::Oci => "oci",
        }
    }
}

/// The container behind a cgroup.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// Who made it.
    pub runtime: Runtime,
    /// The engine's id (64 hexadecimal digits), or the name where the runtime has no ids (LXC, nspawn).
    pub id: String,
    /// UID of the Kubernetes pod, with dashes.
    pub pod: Option<String>,
}

/// Prefixes of systemd scopes, and of cgroupfs names where an engine uses the same ones, with their makers.
const SCOPES: [(&str, Runtime); 6] = [
    ("docker-", Runtime::Docker),
    ("cri-containerd-", Runtime::Containerd),
    ("nerdctl-", Runtime::Containerd),
    ("crio-", Runtime::CriO),
    ("libpod-", Runtime::Podman),
    ("machine-", Runtime::Nspawn),
];

/// Recognises a container by its cgroup's path, such as `/docker/ID` or `/system.slice/docker-ID.scope`.
///
/// Only the last part of the path is looked at for an id, so a group that a container made inside itself is no
/// container. Helpers that runtimes put beside a container (conmon, LXC's monitor) are none either.
pub fn classify(path: &str) -> Option<Identity> {
    let (parents, last) = path.rsplit_once('/')?;
    let parent = parents.rsplit('/').next().unwrap_or("");
    let (runtime, id) = by_name(last).or_else(|| by_parent(parents, parent, last))?;
    Some(Identity { runtime, id, pod: pod(parents).or_else(|| pod(last)) })
}

/// Names that say it all: `docker-ID.scope`, `libpod-ID`, `…:cri-containerd:ID`, `lxc.payload.NAME`.
fn by_name(last: &str) -> Option<(Runtime, String)> {
    // containerd told to use cgroupfs names on a systemd host joins slice, prefix and id by colons.
    if let Some((front, id)) = last.rsplit_once(':') {
        let runtime = match front.rsplit(':').next()? {
            "docker" => Runtime::Docker,
            "cri-containerd" | "nerdctl" => Runtime::Containerd,
            "crio" => Runtime::CriO,
            "libpod" => Runtime::Podman,
            _ => return None,
        };
        return is_id(id).then(|| (runtime, id.to_owned()));
    }
    if let Some(name) = last.strip_prefix("lxc.payload.").filter(|name| !name.is_empty()) {
        return Some((Runtime::Lxc, name.to_owned()));
    }
    if let Some(name) = last.strip_prefix("systemd-nspawn@").and_then(|name| name.strip_suffix(".service")) {
        return Some((Runtime::Nspawn, unescape(name).into_owned()));
    }
    let scope = last.strip_suffix(".scope");
    let (prefix, runtime) = SCOPES.iter().find(|(prefix, _)| last.starts_with(prefix))?;
    let id = &scope.unwrap_or(last)[prefix.len()..];
    if *runtime == Runtime::Nspawn {
        return (scope.is_some() && !id.is_empty()).then(|| (*runtime, unescape(id).into_owned()));
    }
    is_id(id).then(|| (*runtime, id.to_owned()))
}

/// Bare names, which their parent explains: `/docker/ID`, `/kubepods/…/podUID/ID`, `/lxc/NAME`.
fn by_parent(parents: &str, parent: &str, last: &str) -> Option<(Runtime, String)> {
    if matches!(parent, "lxc" | "lxc.payload") && !last.starts_with("lxc.monitor") && !last.is_empty() {
        return Some((Runtime::Lxc, last.to_owned()));
    }
    if !is_id(last) {
        return None;
    }
    let runtime = match parent {
        "docker" => Runtime::Docker,
        "libpod_parent" => Runtime::Podman,
        // ctr and nerdctl name the parent after the containerd namespace.
        "default" | "k8s.io" | "moby" => Runtime::Containerd,
        _ if parents.contains("/libpod_parent") => Runtime::Podman,
        _ => Runtime::Oci,
    };
    Some((runtime, last.to_owned()))
}

/// Container ids of all OCI engines are 64 lower-case hexadecimal digits.
fn is_id(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte))
}

/// The pod's UID of `…/pod0123…` (cgroupfs) or `kubepods-burstable-pod0123_….slice` (systemd, `_` for `-`).
fn pod(parents: &str) -> Option<String> {
    if !parents.contains("kubepods") {
        return None;
    }
    parents.rsplit(['/', ':']).find_map(|part| {
        let part = part.strip_suffix(".slice").unwrap_or(part);
        let uid = part.strip_prefix("pod").or_else(|| part.rsplit_once("-pod").map(|(_, uid)| uid))?;
        let known = uid.bytes().all(|byte| byte.is_ascii_hexdigit() || matches!(byte, b'-' | b'_'));
        // 36 is the length of a UUID; static pods have a hash of 32 digits.
        (known && matches!(uid.len(), 32 | 36)).then(|| uid.replace('_', "-"))
    })
}

/// Undoes systemd's escapes of unit names: `\x2d` for `-`. Anything else that looks like one stays.
fn unescape(name: &str) -> Cow<'_, str> {
    if name.contains("\\x2d") { name.replace("\\x2d", "-").into() } else { name.into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
    const UID: &str = "7d3cf1f4-3a2b-4c5d-8e9f-0a1b2c3d4e5f";

    /// The paths that each runtime makes with each of its drivers, as documented or seen, give runtime, id and pod.
    #[test]
    fn paths_of_all_runtimes() {
        let under = UID.replace('-', "_");
        let cases = [
            (format!("/docker/{ID}"), Runtime::Docker, None),
            (format!("/system.slice/docker-{ID}.scope"), Runtime::Docker, None),
            (
                format!("/user.slice/user-1000.slice/user@1000.service/user.slice/docker-{ID}.scope"),
                Runtime::Docker,
                None,
            ),
            (format!("/kubepods/burstable/pod{UID}/{ID}"), Runtime::Oci, Some(UID)),
            (
                format!("/kubepods.slice/kubepods-pod{under}.slice/cri-containerd-{ID}.scope"),
                Runtime::Containerd,
                Some(UID),
            ),
            (
                format!("/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod{under}.slice/crio-{ID}.scope"),
                Runtime::CriO,
                Some(UID),
            ),
            (
                format!("/system.slice/containerd.service/kubepods-besteffort-pod{under}.slice:cri-containerd:{ID}"),
                Runtime::Containerd,
                Some(UID),
            ),
            (format!("/machine.slice/libpod-{ID}.scope"), Runtime::Podman, None),
            (format!("/libpod_parent/libpod-{ID}"), Runtime::Podman, None),
            (format!("/default/{ID}"), Runtime::Containerd, None),
            (format!("/system.slice/nerdctl-{ID}.scope"), Runtime::Containerd, None),
            (format!("/batch/{ID}"), Runtime::Oci, None),
        ];
        for (path, runtime, pod) in cases {
            let expected = Identity { runtime, id: ID.to_owned(), pod: pod.map(str::to_owned) };
            assert_eq!(classify(&path), Some(expected), "{path}");
        }
        let named = |path| classify(path).map(|identity| (identity.runtime, identity.id));
        assert_eq!(named("/lxc/web-1"), Some((Runtime::Lxc, "web-1".to_owned())));
        assert_eq!(named("/lxc.payload.web-1"), Some((Runtime::Lxc, "web-1".to_owned())));
        assert_eq!(named("/machine.slice/machine-my\\x2dbox.scope"), Some((Runtime::Nspawn, "my-box".to_owned())));
    }

    /// What only looks like a container is none.
    #[test]
    fn no_containers() {
        for path in [
            "/".to_owned(),
            "/docker".to_owned(),
            format!("/docker/{ID}/init.scope"),
            format!("/docker/{}", &ID[1..]),
            format!("/docker/{}", ID.to_uppercase()),
            format!("/machine.slice/libpod-conmon-{ID}.scope"),
            format!("/kubepods.slice/crio-conmon-{ID}.scope"),
            "/lxc.monitor.web-1".to_owned(),
            "/system.slice/docker.service".to_owned(),
            "/machine.slice".to_owned(),
            "é:".to_owned(),
        ] {
            assert_eq!(classify(&path), None, "{path}");
        }
    }
}
