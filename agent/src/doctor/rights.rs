//! What the census could not see, and which right brings it.

use hostfs::Roots;

use super::Gap;
use crate::containers::census::Report;

/// How a service gets rights that it needs and no others.
const SERVICE: &str = "run as root, or AmbientCapabilities= and CapabilityBoundingSet= in the unit with";

/// Gaps of rights.
pub(super) fn gaps(roots: &Roots, census: Option<&Report>) -> Vec<Gap> {
    let mut gaps = Vec::new();
    if !roots.proc("1").exists() && roots.proc("self").exists() {
        gaps.push(Gap::new(
            &["containers", "connections", "io_uring", "processes"],
            "everything about other users' processes, start times and networks of containers",
            format!("{} is hidden from this user (hidepid)", roots.proc("1").display()),
            "mount procfs with gid= of a group that the agent is in, or run as root",
        ));
    }
    let Some(census) = census else {
        gaps.push(Gap::new(
            &["connections", "io_uring"],
            "highload_connected_users, highload_io_uring_* and what else comes from the census",
            "the first census is not done yet",
            "ask again; highload_census_duration_seconds will say how long it takes",
        ));
        return gaps;
    };
    if let Some(error) = &census.error {
        gaps.push(Gap::new(
            &["connections"],
            "highload_connected_users, highload_tcp_sockets",
            error.clone(),
            "sock_diag needs the kernel's inet_diag and tcp_diag (CONFIG_INET_DIAG) and a sandbox that allows AF_NETLINK",
        ));
    }
    let denied = &census.gaps;
    let of = |count: u64, what: &str| format!("{count} of {} {what}", census.processes);
    let needs = |rights: &str| format!("{SERVICE} {rights}");
    if denied.descriptors > 0 {
        gaps.push(Gap::new(
            &["containers", "connections", "io_uring"],
            "container_file_descriptors, container_sockets, highload_file_descriptors*, highload_io_uring_* of those processes",
            of(denied.descriptors, "processes hide their descriptors: another user's, or protected from tracing"),
            &needs("CAP_SYS_PTRACE"),
        ));
    }
    if denied.networks > 0 {
        gaps.push(Gap::new(
            &["connections", "containers"],
            "highload_connected_users, highload_accept_queue*, container_network_tcp_usage_total of those containers",
            format!("{} of {} network namespaces cannot be entered", denied.networks, census.networks.len()),
            &needs("CAP_SYS_ADMIN and CAP_SYS_PTRACE"),
        ));
    }
    if denied.rings > 0 {
        gaps.push(Gap::new(
            &["io_uring"],
            "entries, waiting, overflow and registered resources of those rings",
            format!("fdinfo of {} rings cannot be read", denied.rings),
            &needs("CAP_SYS_PTRACE"),
        ));
    }
    if denied.threads > 0 {
        gaps.push(Gap::new(
            &["io_uring"],
            "highload_io_uring_waiting_threads of those processes",
            of(denied.threads, "processes hide what their threads wait in"),
            &needs("CAP_SYS_PTRACE"),
        ));
    }
    if denied.bounded > 0 {
        gaps.push(Gap::new(
            &["connections", "io_uring"],
            "descriptors, groups, namespaces or ports past the bounds of a census",
            format!("{} were left out", denied.bounded),
            "the bounds stand in src/containers/census/; a host past them is worth an issue",
        ));
    }
    gaps
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::containers::census::Gaps;

    /// Each kind of refusal is one line with the right that it needs; a census that saw all has none.
    #[test]
    fn each_refusal_is_a_line() {
        let roots = Roots::default();
        assert_eq!(gaps(&roots, Some(&Report::default())), []);
        let census = Report {
            processes: 10,
            gaps: Gaps { descriptors: 3, networks: 2, rings: 1, threads: 1, bounded: 5 },
            error: Some("netlink:sock_diag: refused".into()),
            ..Report::default()
        };
        let found = gaps(&roots, Some(&census));
        assert_eq!(found.len(), 6);
        assert!(found[0].reason.contains("refused"));
        assert!(found[1].reason.starts_with("3 of 10") && found[1].remedy.contains("CAP_SYS_PTRACE"));
        assert!(found[2].remedy.contains("CAP_SYS_ADMIN"));
        assert_eq!(gaps(&roots, None).len(), 1);
    }

    /// A procfs that hides process 1 is named.
    #[test]
    fn hidden_processes() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(dir.path().join("proc/self")).unwrap();
        let found = gaps(&Roots::below(dir.path()), Some(&Report::default()));
        assert!(found[0].reason.contains("hidepid"), "{found:?}");
    }
}
