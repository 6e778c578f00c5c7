//! A network namespace of the run's own: its own ports, queues and hash table, no conntrack, and nothing left behind.
//!
//! Entered by the main thread before any other thread or child exists, so that the whole run lives in it
//! (network_namespaces(7)). Root makes one directly, everybody else inside a user namespace (user_namespaces(7)). It
//! ends with the run's last process, whatever kills that: with it go its sockets, TIME_WAIT included.

use std::fs;
use std::io;

use anyhow::{Context, Result};
use rustix::thread::UnshareFlags;

use crate::failure::Failure;
use crate::host::Files;

/// Buckets of a namespace's own table of established connections: a chain of one at a million connections, both ends.
const ESTABLISHED_BUCKETS: u32 = 2_097_152;

/// What the namespace is given, by path below `/proc/sys`. Failures are told, not fatal: the plan reads what is in force.
const SETTINGS: &[(&str, &str)] = &[
    // Listening ports are chosen by the kernel on 127.0.0.1 and connections leave from 127.1.0.0/16: they cannot meet.
    ("net/ipv4/ip_local_port_range", "1024 65535"),
    ("net/core/somaxconn", "65535"),
    // A socket whose peer reset it leaves nothing; this is for those that end on their own.
    ("net/ipv4/tcp_tw_reuse", "1"),
    // bbr, the default of some distributions, arms a pacing timer for every socket that sends. reno is always allowed.
    ("net/ipv4/tcp_congestion_control", "reno"),
];

/// Where a run lives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Namespace {
    /// In a network namespace of its own.
    Own {
        /// Inside a user namespace too, since the user is not root.
        with_user: bool,
        /// What could not be set in it.
        warnings: Vec<String>,
    },
    /// In the host's.
    Host {
        /// Why: it was asked for, or the kernel refused one of its own.
        reason: String,
    },
}

impl Namespace {
    /// One sentence for the plan.
    pub fn describe(&self) -> String {
        match self {
            Self::Own { with_user: false, .. } => "of the run's own; it ends with the run".to_owned(),
            Self::Own { with_user: true, .. } => {
                "of the run's own, inside a user namespace; it ends with the run".to_owned()
            }
            Self::Host { reason } => format!("the host's ({reason})"),
        }
    }

    /// Enters a namespace of the run's own, or stays in the host's when `host` says so or the kernel refuses.
    ///
    /// Call it from the main thread while it is the only one.
    ///
    /// # Errors
    /// When a namespace was made and cannot be used: nothing could be measured in it.
    pub fn enter(host: bool) -> Result<Self> {
        if host {
            return Ok(Self::Host { reason: "--netns host".to_owned() });
        }
        let (user, group) = (rustix::process::getuid(), rustix::process::getgid());
        let buckets = Buckets::ask();
        let direct = unshare(UnshareFlags::NEWNET);
        drop(buckets);
        let with_user = match direct {
            Ok(()) => false,
            Err(_) => match unshare(UnshareFlags::NEWUSER | UnshareFlags::NEWNET) {
                Ok(()) => true,
                Err(error) => return Ok(Self::Host { reason: refused(&error) }),
            },
        };
        if with_user {
            become_root(user.as_raw(), group.as_raw()).context("mapping the user into the new user namespace")?;
        }
        raise_loopback().context("bringing up lo in the new network namespace")?;
        let set = |(path, value): &(&str, &str)| {
            let told = fs::write(format!("/proc/sys/{path}"), value);
            told.err().map(|error| format!("{path} stays at {}: {error}", read(path)))
        };
        Ok(Self::Own { with_user, warnings: SETTINGS.iter().filter_map(set).collect() })
    }
}

fn read(path: &str) -> String {
    Files::default().sysctl(path).unwrap_or_else(|| "unknown".to_owned())
}

fn unshare(flags: UnshareFlags) -> io::Result<()> {
    // SAFETY: unsharing is unsafe for file descriptor tables, on which other threads may rely; neither flag touches them.
    unsafe { rustix::thread::unshare_unsafe(flags) }.map_err(io::Error::from)
}

/// Why there is none, and what would change it.
fn refused(error: &io::Error) -> String {
    let knob = match error.raw_os_error() {
        Some(libc::EPERM | libc::EACCES) => {
            "run as root, or allow user namespaces: sysctl -w kernel.unprivileged_userns_clone=1 or \
             kernel.apparmor_restrict_unprivileged_userns=0"
        }
        Some(libc::ENOSPC | libc::EUSERS) => "raise user.max_net_namespaces and user.max_user_namespaces",
        _ => "the kernel needs CONFIG_NET_NS and CONFIG_USER_NS",
    };
    format!("no network namespace could be made: {error}; {knob}")
}

/// Maps root of the new user namespace to who we were; needed before files below `/proc/sys/net` can be written.
fn become_root(user: u32, group: u32) -> io::Result<()> {
    fs::write("/proc/self/setgroups", "deny")?;
    fs::write("/proc/self/uid_map", format!("0 {user} 1"))?;
    fs::write("/proc/self/gid_map", format!("0 {group} 1"))
}

/// Sets IFF_UP on `lo` (netdevice(7)).
fn raise_loopback() -> Result<()> {
    use std::os::fd::AsRawFd;
    let socket = rustix::net::socket(rustix::net::AddressFamily::INET, rustix::net::SocketType::DGRAM, None)?;
    // SAFETY: an ifreq is plain old data for which zeroes are a value.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    for (to, from) in request.ifr_name.iter_mut().zip(b"lo") {
        *to = from.cast_signed();
    }
    request.ifr_ifru.ifru_flags = (libc::IFF_UP | libc::IFF_RUNNING) as libc::c_short;
    // SAFETY: SIOCSIFFLAGS reads an ifreq, which lives through the call.
    let result = unsafe { libc::ioctl(socket.as_raw_fd(), libc::SIOCSIFFLAGS, &raw const request) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()).context("SIOCSIFFLAGS") }
}

/// While it lives, new network namespaces get an established-hash table of [`ESTABLISHED_BUCKETS`] of their own
/// (net.ipv4.tcp_child_ehash_entries, Linux 6.1) instead of sharing the host's; the host's setting is brought back.
struct Buckets(Option<String>);

const CHILD_BUCKETS: &str = "/proc/sys/net/ipv4/tcp_child_ehash_entries";

impl Buckets {
    fn ask() -> Self {
        let before = fs::read_to_string(CHILD_BUCKETS).ok().map(|text| text.trim().to_owned());
        // Without the right or the knob the table is shared with the host's, which costs longer chains and no more.
        Self(before.filter(|_| fs::write(CHILD_BUCKETS, ESTABLISHED_BUCKETS.to_string()).is_ok()))
    }
}

impl Drop for Buckets {
    fn drop(&mut self) {
        if let Some(before) = &self.0 {
            // The value was the kernel's own; there is nobody to tell if it is refused now.
            let _ = fs::write(CHILD_BUCKETS, before);
        }
    }
}

/// One run of this kind at a time: two would measure each other. The lock is released by the kernel when the process
/// ends, whatever ends it.
#[derive(Debug)]
pub struct Alone(#[expect(dead_code, reason = "held for its lock")] fs::File);

impl Alone {
    /// Takes the lock in the directory for temporary files.
    ///
    /// # Errors
    /// An environment failure that names the process which has it.
    pub fn take() -> Result<Self, Failure> {
        use std::io::{Read, Write};
        let path = std::env::temp_dir().join("highload-lab.lock");
        let opened = fs::File::options().read(true).write(true).create(true).truncate(false).open(&path);
        // Another user's file: locking needs no right to write.
        let mut file = opened.or_else(|_| fs::File::open(&path)).map_err(|error| {
            Failure::Environment(format!("{}: {error}; set TMPDIR to a directory of yours", path.display()))
        })?;
        if let Err(fs::TryLockError::WouldBlock) = file.try_lock() {
            let mut holder = String::new();
            let _ = file.read_to_string(&mut holder);
            return Err(Failure::Environment(format!(
                "another lab run{} is holding connections on this box and the two would measure each other; wait for it or stop it",
                if holder.trim().is_empty() { String::new() } else { format!(" (pid {})", holder.trim()) }
            )));
        }
        let _ = file.set_len(0).and_then(|()| write!(file, "{}", std::process::id()));
        Ok(Self(file))
    }
}
