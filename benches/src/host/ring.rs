//! io_uring on this machine: what the kernel offers, or which of three things blocks it.

use std::io;

use io_uring::{IoUring, Probe, opcode};

use super::check::Fix;
use super::files::Files;

/// What a ring made here reports about itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ring {
    /// Names of the `IORING_FEAT_*` bits that are set, without the prefix.
    pub features: Vec<&'static str>,
    /// Names of the set-up flags that the kernel accepts, without the prefix.
    pub setups: Vec<&'static str>,
    /// Names of the operations that the engines use and the kernel has.
    pub operations: Vec<&'static str>,
    /// Names of those that it lacks.
    pub missing: Vec<&'static str>,
}

/// Makes a small ring, asks it, and drops it.
///
/// # Errors
/// The kernel's answer to io_uring_setup(2), to be explained by [`explain`].
pub(super) fn probe() -> io::Result<Ring> {
    let ring = IoUring::new(2)?;
    let mut probe = Probe::new();
    // Linux before 5.6 has no probe; then no operation is known, which is the truth for the engines too.
    let probed = ring.submitter().register_probe(&mut probe).is_ok();
    let (operations, missing) = OPERATIONS.iter().partition(|(_, code)| probed && probe.is_supported(*code));
    let names = |list: Vec<(&'static str, u8)>| list.into_iter().map(|(name, _)| name).collect();
    Ok(Ring { features: features(&ring), setups: setups(), operations: names(operations), missing: names(missing) })
}

/// The operations that some engine of the lab would use.
const OPERATIONS: [(&str, u8); 11] = [
    ("ACCEPT", opcode::Accept::CODE),
    ("CONNECT", opcode::Connect::CODE),
    ("RECV", opcode::Recv::CODE),
    ("SEND", opcode::Send::CODE),
    ("READ", opcode::Read::CODE),
    ("WRITEV", opcode::Writev::CODE),
    ("POLL_ADD", opcode::PollAdd::CODE),
    ("TIMEOUT", opcode::Timeout::CODE),
    ("ASYNC_CANCEL", opcode::AsyncCancel::CODE),
    ("MSG_RING", opcode::MsgRingData::CODE),
    ("SEND_ZC", opcode::SendZc::CODE),
];

fn features(ring: &IoUring) -> Vec<&'static str> {
    let parameters = ring.params();
    let bits = [
        ("SINGLE_MMAP", parameters.is_feature_single_mmap()),
        ("NODROP", parameters.is_feature_nodrop()),
        ("SUBMIT_STABLE", parameters.is_feature_submit_stable()),
        ("FAST_POLL", parameters.is_feature_fast_poll()),
        ("EXT_ARG", parameters.is_feature_ext_arg()),
        ("NATIVE_WORKERS", parameters.is_feature_native_workers()),
        ("RSRC_TAGS", parameters.is_feature_resource_tagging()),
        ("CQE_SKIP", parameters.is_feature_skip_cqe_on_success()),
        ("LINKED_FILE", parameters.is_feature_linked_file()),
        ("RECVSEND_BUNDLE", parameters.is_feature_recvsend_bundle()),
        ("MIN_TIMEOUT", parameters.is_feature_min_timeout()),
        ("NO_IOWAIT", parameters.is_feature_no_iowait()),
    ];
    bits.into_iter().filter_map(|(name, set)| set.then_some(name)).collect()
}

fn setups() -> Vec<&'static str> {
    let accepted = |name, result: io::Result<IoUring>| result.is_ok().then_some(name);
    [
        accepted("COOP_TASKRUN", IoUring::builder().setup_coop_taskrun().build(2)),
        accepted("SINGLE_ISSUER", IoUring::builder().setup_single_issuer().build(2)),
        accepted("DEFER_TASKRUN", IoUring::builder().setup_single_issuer().setup_defer_taskrun().build(2)),
        accepted("SUBMIT_ALL", IoUring::builder().setup_submit_all().build(2)),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// Which of kernel version, kernel configuration, sysctl, seccomp and memory limit refused a ring, as a sentence, with the
/// command that would change it. `errno` is io_uring_setup(2)'s answer.
pub(super) fn explain(files: &Files, errno: i32) -> (String, Fix) {
    let disabled = files.sysctl_number("kernel/io_uring_disabled");
    let filtered = files.field("self/status", "Seccomp").is_some_and(|mode| mode == "2");
    let release = files.sysctl("kernel/osrelease").unwrap_or_else(|| "an unknown release".into());
    let answer = io::Error::from_raw_os_error(errno);
    match errno {
        libc::ENOSYS if files.kernel().is_some_and(|version| version < (5, 1)) => {
            (format!("kernel {release}: io_uring came with Linux 5.1"), Fix::new("boot Linux 6.1 or newer", None))
        }
        libc::EPERM if disabled.is_some_and(|level| level > 0) => {
            let level = disabled.unwrap_or_default();
            (
                format!("kernel.io_uring_disabled={level} blocks it"),
                Fix::sysctl("kernel.io_uring_disabled", "0", &level.to_string()),
            )
        }
        libc::ENOSYS | libc::EPERM | libc::EACCES if filtered => (
            format!("a seccomp filter blocks it ({answer}), as the default profile of Docker and Podman does"),
            Fix::new("start the container with --security-opt seccomp=unconfined", None),
        ),
        libc::ENOSYS => (
            format!("kernel {release} was built without CONFIG_IO_URING"),
            Fix::new("boot a kernel with CONFIG_IO_URING=y", None),
        ),
        libc::ENOMEM => (
            format!("{answer}: before Linux 5.12 rings count against RLIMIT_MEMLOCK"),
            Fix::new("ulimit -l unlimited", None),
        ),
        _ => (
            format!("io_uring_setup: {answer}"),
            Fix::new("dmesg | tail (a security module may log the refusal)", None),
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hostfs::Roots;

    /// A fixture with a kernel release, a value of the sysctl and a seccomp mode.
    fn explained(release: &str, disabled: Option<&str>, seccomp: u32, errno: i32) -> (String, Fix) {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(dir.path().join("proc/sys/kernel")).unwrap();
        std::fs::create_dir_all(dir.path().join("proc/self")).unwrap();
        std::fs::write(dir.path().join("proc/sys/kernel/osrelease"), release).unwrap();
        std::fs::write(dir.path().join("proc/self/status"), format!("Name:\tlab\nSeccomp:\t{seccomp}\n")).unwrap();
        if let Some(level) = disabled {
            std::fs::write(dir.path().join("proc/sys/kernel/io_uring_disabled"), level).unwrap();
        }
        explain(&Files { roots: Roots::below(dir.path()) }, errno)
    }

    /// Each cause is told from the others by errno, sysctl, seccomp mode and release, and each names its knob.
    #[test]
    fn tells_the_causes_apart() {
        let (sentence, fix) = explained("6.18.0", Some("2"), 0, libc::EPERM);
        assert!(sentence.contains("io_uring_disabled=2") && fix.command == "sysctl -w kernel.io_uring_disabled=0");
        assert_eq!(fix.undo.as_deref(), Some("sysctl -w kernel.io_uring_disabled=2"));
        assert!(explained("6.18.0", Some("0"), 2, libc::EPERM).0.contains("seccomp"));
        assert!(explained("6.18.0", Some("0"), 2, libc::ENOSYS).0.contains("seccomp"));
        assert!(explained("4.19.0", None, 0, libc::ENOSYS).0.contains("Linux 5.1"));
        assert!(explained("6.18.0", None, 0, libc::ENOSYS).0.contains("CONFIG_IO_URING"));
        assert!(explained("5.10.0", None, 0, libc::ENOMEM).0.contains("RLIMIT_MEMLOCK"));
    }
}
