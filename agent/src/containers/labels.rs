//! Label sets of containers: which labels of an engine are exported, and the base labels in exposition form.

use hostfs::cgroup::Identity;

use super::Decoration;
use crate::exposition::Rendered;

/// Most engine labels that one container's series carry.
const COUNT_LIMIT: usize = 32;

/// Longest engine label name and value, in bytes. Kubernetes allows 317 for a name and 63 for a value.
const NAME_LIMIT: usize = 320;
const VALUE_LIMIT: usize = 512;

/// How a name, an image or an id that is longer is cut, in bytes.
pub(super) const TEXT_LIMIT: usize = 512;

/// Which labels of an engine are exported.
#[derive(Clone, Debug, Default)]
pub struct Policy {
    all: bool,
    names: Vec<String>,
    prefixes: Vec<String>,
}

/// How many labels were left out, and why.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct LeftOut {
    /// Not in the allow-list.
    pub(super) not_allowed: u64,
    /// More than [`COUNT_LIMIT`], or two names that Prometheus cannot tell apart.
    pub(super) too_many: u64,
    /// Name or value too long.
    pub(super) too_long: u64,
}

impl Policy {
    /// From a comma-separated list of label names; `prefix.*` allows all with that prefix, `*` all.
    pub fn new(list: &str) -> Self {
        let mut policy = Self::default();
        for name in list.split(',').map(str::trim).filter(|name| !name.is_empty()) {
            match name.strip_suffix('*') {
                Some("") => policy.all = true,
                Some(prefix) => policy.prefixes.push(prefix.to_owned()),
                None => policy.names.push(name.to_owned()),
            }
        }
        policy
    }

    fn allows(&self, name: &str) -> bool {
        self.all
            || self.names.iter().any(|allowed| allowed == name)
            || self.prefixes.iter().any(|prefix| name.starts_with(prefix.as_str()))
    }

    /// The labels that pass, as `container_label_NAME` and value, in order of name.
    pub(super) fn select(&self, labels: impl Iterator<Item = (String, String)>) -> (Vec<(String, String)>, LeftOut) {
        let (mut kept, mut out) = (Vec::new(), LeftOut::default());
        for (name, value) in labels {
            if !self.allows(&name) {
                out.not_allowed += 1;
            } else if name.len() > NAME_LIMIT || value.len() > VALUE_LIMIT {
                out.too_long += 1;
            } else {
                kept.push((sanitised(&name), value));
            }
        }
        kept.sort();
        let before = kept.len();
        kept.dedup_by(|a, b| a.0 == b.0);
        kept.truncate(COUNT_LIMIT);
        out.too_many += (before - kept.len()) as u64;
        (kept, out)
    }
}

/// A label name that Prometheus takes.
fn sanitised(name: &str) -> String {
    let clean = name.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' });
    "container_label_".chars().chain(clean).collect()
}

/// Cuts a text to at most `limit` bytes at a character's boundary.
pub(super) fn cut(mut text: String, limit: usize) -> String {
    if text.len() > limit {
        text.truncate(text.floor_char_boundary(limit));
        text.push('…');
    }
    text
}

/// The labels that all series of one cgroup carry: `id`, `name`, `image`, and the engine labels that are exported.
#[derive(Clone, Debug, Default)]
pub struct BaseLabels {
    /// With the engine's labels, for `container_*`.
    pub full: Rendered,
    /// `id`, `name` and `image` only, for `highload_*`.
    pub short: Rendered,
}

impl BaseLabels {
    /// Of the group at `path`. A container that no engine has named yet goes by its id.
    pub fn new(path: &[u8], identity: Option<&Identity>, decoration: Option<&Decoration>) -> Self {
        let name = decoration.map_or_else(|| identity.map_or("", |identity| &identity.id), |known| &known.name);
        let image = decoration.map_or("", |known| &known.image);
        let mut short = Rendered::default();
        short.push("id", path);
        short.push("name", name.as_bytes());
        short.push("image", image.as_bytes());
        let mut full = short.clone();
        if let Some(pod) = identity.and_then(|identity| identity.pod.as_deref()) {
            full.push("container_label_io_kubernetes_pod_uid", pod.as_bytes());
        }
        for (name, value) in decoration.iter().flat_map(|known| &known.labels) {
            if name != "container_label_io_kubernetes_pod_uid" {
                full.push(name, value.as_bytes());
            }
        }
        Self { full, short }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(list: &[(&str, &str)]) -> impl Iterator<Item = (String, String)> {
        list.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect::<Vec<_>>().into_iter()
    }

    /// Exact names, prefixes and everything; what is left out is counted by reason.
    #[test]
    fn allow_list() {
        let policy = Policy::new("com.docker.compose.service, io.kubernetes.*");
        let long = "x".repeat(VALUE_LIMIT + 1);
        let (kept, out) = policy.select(labels(&[
            ("com.docker.compose.service", "web"),
            ("io.kubernetes.pod.name", "a"),
            ("secret", "b"),
            ("io.kubernetes.annotations", &long),
        ]));
        let names: Vec<_> = kept.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["container_label_com_docker_compose_service", "container_label_io_kubernetes_pod_name"]);
        assert_eq!(out, LeftOut { not_allowed: 1, too_many: 0, too_long: 1 });
        assert!(Policy::new("").select(labels(&[("a", "b")])).0.is_empty());
    }

    /// Names that become equal, and too many of them.
    #[test]
    fn bounded() {
        let policy = Policy::new("*");
        let (kept, out) = policy.select(labels(&[("a.b", "1"), ("a-b", "2"), ("é\n\"", "3")]));
        assert_eq!((kept.len(), out.too_many), (2, 1));
        let many: Vec<_> = (0..100).map(|i| (format!("l{i}"), String::new())).collect();
        let (kept, out) = policy.select(many.into_iter());
        assert_eq!((kept.len(), out.too_many), (COUNT_LIMIT, 100 - COUNT_LIMIT as u64));
        assert_eq!(cut("éé".into(), 3), "é…");
    }

    /// Hostile names come out escaped; without an engine the id is the name.
    #[test]
    fn rendered() {
        let decoration = Decoration { name: "a\"b\nc\\".into(), image: "i".into(), ..Decoration::default() };
        let text = |labels: &Rendered| String::from_utf8(labels.as_bytes().to_vec()).unwrap();
        let base = BaseLabels::new(b"/docker/\xff", None, Some(&decoration));
        assert_eq!(text(&base.full), "id=\"/docker/\u{fffd}\",name=\"a\\\"b\\nc\\\\\",image=\"i\"");
        let identity = hostfs::cgroup::classify("/lxc/web").unwrap();
        assert_eq!(
            text(&BaseLabels::new(b"/lxc/web", Some(&identity), None).short),
            "id=\"/lxc/web\",name=\"web\",image=\"\""
        );
    }
}
