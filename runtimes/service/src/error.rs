//! Why a server cannot start, with the knob that would change that, and the exit codes.

use std::io;
use std::net::SocketAddr;
use std::process::ExitCode;

/// Which kernel interface an engine does its socket I/O with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Interface {
    /// Completion rings.
    IoUring,
    /// Readiness.
    Epoll,
}

impl Interface {
    /// The name in ready lines and result rows.
    pub const fn name(self) -> &'static str {
        match self {
            Interface::IoUring => "io_uring",
            Interface::Epoll => "epoll",
        }
    }
}

/// Why a server cannot start or go on.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The arguments contradict each other or this engine: exit code 2.
    #[error("{0}")]
    Usage(String),
    /// The address cannot be listened on.
    #[error("cannot listen on {address}: {source}{}", listen_hint(source, address))]
    Listen {
        /// What was asked for.
        address: SocketAddr,
        /// What the kernel said.
        source: io::Error,
    },
    /// The file descriptor limit is too low for what was asked.
    #[error(
        "--limit-connections {asked} needs {needed} file descriptors, the limit is {limit}: raise it (ulimit -Hn, LimitNOFILE=) or ask for {}",
        limit.saturating_sub(needed - asked)
    )]
    Descriptors {
        /// Connections asked for.
        asked: u64,
        /// Descriptors that they need, the process's own included.
        needed: u64,
        /// The hard limit.
        limit: u64,
    },
    /// The kernel refuses a ring.
    #[error("cannot set up io_uring: {source}; {}", ring_hint(source, *disabled))]
    Ring {
        /// What the kernel said.
        source: io::Error,
        /// The value of the sysctl kernel.io_uring_disabled, where it exists.
        disabled: Option<u32>,
    },
    /// This kernel has no such feature.
    #[error("{what} needs {needed}, and this kernel is {seen}: leave it out or take a newer kernel")]
    Kernel {
        /// The argument that asks for it.
        what: String,
        /// The release that has it, or the knob that allows it.
        needed: &'static str,
        /// The release that runs.
        seen: String,
    },
    /// Anything else that the kernel refused.
    #[error("{what}: {source}")]
    System {
        /// What was being done.
        what: &'static str,
        /// What the kernel said.
        source: io::Error,
    },
}

impl Error {
    /// Names what was being done when the kernel refused.
    pub fn system(what: &'static str) -> impl FnOnce(io::Error) -> Error {
        move |source| Error::System { what, source }
    }

    /// A ring that could not be set up, with the sysctl's value at this moment.
    pub fn ring(source: io::Error) -> Error {
        let text = std::fs::read_to_string("/proc/sys/kernel/io_uring_disabled");
        Error::Ring { source, disabled: text.ok().and_then(|text| text.trim().parse().ok()) }
    }

    /// 2 for usage, 3 for an environment that cannot do it.
    pub const fn exit_code(&self) -> u8 {
        match self {
            Error::Usage(_) => 2,
            _ => 3,
        }
    }
}

fn listen_hint(error: &io::Error, address: &SocketAddr) -> String {
    let port = address.port();
    match error.kind() {
        io::ErrorKind::AddrInUse => {
            format!(
                "; see who holds it with `ss -ltnp 'sport = :{port}'`, or give --listen another port (0 takes a free one)"
            )
        }
        io::ErrorKind::PermissionDenied => {
            format!("; port {port} is below net.ipv4.ip_unprivileged_port_start: give --listen a higher one")
        }
        io::ErrorKind::AddrNotAvailable => {
            "; no interface of this machine has that address: give --listen another".to_owned()
        }
        _ => String::new(),
    }
}

/// The knob for each way in which io_uring_setup(2) fails.
fn ring_hint(error: &io::Error, disabled: Option<u32>) -> String {
    use rustix::io::Errno;
    match error.raw_os_error().map(Errno::from_raw_os_error) {
        Some(Errno::PERM | Errno::ACCESS) => match disabled {
            Some(value @ (1 | 2)) => {
                format!("kernel.io_uring_disabled is {value}, 0 is needed: sysctl kernel.io_uring_disabled=0")
            }
            _ => "kernel.io_uring_disabled is not what forbids it: a seccomp filter does (in a container: --security-opt seccomp=…)"
                .to_owned(),
        },
        Some(Errno::NOSYS) => {
            "this kernel has no io_uring, or a seccomp filter hides it (in a container: --security-opt seccomp=…)".to_owned()
        }
        Some(Errno::NOMEM) => {
            "the ring does not fit RLIMIT_MEMLOCK (kernels before 5.12) or memory: raise `ulimit -l` or LimitMEMLOCK=".to_owned()
        }
        Some(Errno::INVAL) => "this kernel does not know a setup flag: run without --ring (`--ring none`)".to_owned(),
        Some(Errno::MFILE | Errno::NFILE) => "no file descriptor is left: raise `ulimit -n`".to_owned(),
        _ => "an epoll engine works without it".to_owned(),
    }
}

/// Turns the outcome of `main` into an exit code; an error goes to stderr on one line.
pub fn exit(outcome: Result<(), Error>) -> ExitCode {
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::from(error.exit_code())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each refusal of a ring names value seen, value needed and knob. The kernel's answers are given, since
    /// turning io_uring off would turn it off for the whole machine.
    #[test]
    fn ring_refusals() {
        let text = |errno: rustix::io::Errno, disabled| {
            let error = Error::Ring { source: errno.into(), disabled };
            assert_eq!(error.exit_code(), 3);
            error.to_string()
        };
        use rustix::io::Errno;
        assert!(text(Errno::PERM, Some(2)).ends_with("is 2, 0 is needed: sysctl kernel.io_uring_disabled=0"));
        assert!(text(Errno::PERM, Some(0)).contains("seccomp"));
        assert!(text(Errno::NOSYS, None).contains("no io_uring"));
        assert!(text(Errno::NOMEM, Some(0)).contains("RLIMIT_MEMLOCK"));
        assert!(text(Errno::INVAL, Some(0)).contains("--ring"));
        assert!(text(Errno::MFILE, Some(0)).contains("ulimit -n"));
    }

    /// A limit that is too low is told with what would fit.
    #[test]
    fn descriptors() {
        let error = Error::Descriptors { asked: 30_000, needed: 30_064, limit: 20_000 };
        let text = "--limit-connections 30000 needs 30064 file descriptors, the limit is 20000: raise it (ulimit -Hn, LimitNOFILE=) or ask for 19936";
        assert_eq!(error.to_string(), text);
    }
}
