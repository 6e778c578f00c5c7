//! Walks `/proc/PID`: which processes there are, what they hold open, and in which cgroup and network they are.
//!
//! Used by the agent's census, on its own thread and at its own pace: half a million open descriptors are half a
//! million readlink(2) calls. What one process costs is in [`crate::process`].
//!
//! A process may end between any two reads; then the answer is `None` or nothing, never an error.
//!
//! Source: proc_pid_fd(5), proc_pid_limits(5), proc_pid_cgroup(5), namespaces(7).

use std::fs::File;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};

use rustix::fs::{AtFlags, Mode, OFlags, RawDir, fstat, openat, readlinkat_raw, statat};
use rustix::io::Errno;
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use crate::cgroup::of_process;
use crate::{Error, Result, Roots, text};

/// Most of a small file of `/proc/PID` that is read, in bytes. `cgroup` has a line per v1 controller, each with a path.
const FILE_LIMIT: usize = 64 * 1024;

/// Bytes of directory entries that one getdents64(2) returns at most.
const ENTRIES: usize = 16 * 1024;

/// Most rings of one process that are reported.
const RING_LIMIT: usize = 4096;

/// What the links of `/proc/PID/fd` say.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Descriptors {
    /// Open descriptors.
    pub open: u64,
    /// How many of them are sockets.
    pub sockets: u64,
    /// Descriptor numbers of io_uring instances, the first 4096.
    pub rings: Vec<u32>,
    /// Whether the walk stopped at the caller's limit, so that the numbers are at least this.
    pub cut: bool,
}

/// `/proc`, open, with the buffer for its files.
#[derive(Debug)]
pub struct Processes {
    proc: OwnedFd,
    buffer: Vec<u8>,
    path: String,
}

/// What became of a look at a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Seen.
    Granted,
    /// It needs the same user, or `CAP_SYS_PTRACE`.
    Denied,
    /// The process is gone.
    Gone,
}

impl Processes {
    /// Opens procfs.
    ///
    /// # Errors
    /// [`Error::Read`] when it is not there.
    pub fn open(roots: &Roots) -> Result<Self> {
        let proc = File::open(&roots.procfs).map_err(|source| Error::read(&roots.procfs, source))?;
        Ok(Self { proc: proc.into(), buffer: Vec::new(), path: String::new() })
    }

    /// Puts the ids of all processes into `pids` (cleared first), in the kernel's order, which is by number.
    ///
    /// # Errors
    /// [`Error::Read`] when procfs cannot be listed.
    pub fn list(&self, pids: &mut Vec<u32>) -> Result<()> {
        pids.clear();
        let failed = |errno: Errno| Error::read("/proc".as_ref(), errno.into());
        let dir = openat(&self.proc, c".", DIRECTORY, Mode::empty()).map_err(failed)?;
        let mut entries = [MaybeUninit::uninit(); ENTRIES];
        let mut entries = RawDir::new(&dir, &mut entries);
        while let Some(entry) = entries.next() {
            let entry = entry.map_err(failed)?;
            let number = text::parse_u64(entry.file_name().to_bytes());
            pids.extend(number.and_then(|number| u32::try_from(number).ok()));
        }
        Ok(())
    }

    /// The cgroup that tells the container of `pid` apart, as an absolute path.
    pub fn cgroup(&mut self, pid: u32) -> Option<&[u8]> {
        self.read(pid, "cgroup").map(of_process)
    }

    /// Soft limit of open descriptors; `None` also for "unlimited".
    pub fn open_limit(&mut self, pid: u32) -> Option<u64> {
        let line = text::lines(self.read(pid, "limits")?).find_map(|line| line.strip_prefix(b"Max open files"))?;
        text::fields(line).u64()
    }

    /// A number that two processes share exactly when they share a network namespace: the inode of `net/dev`, which
    /// the kernel makes once per namespace. Unlike `ns/net` it can be seen of every process without rights.
    pub fn network(&mut self, pid: u32) -> Option<u64> {
        self.name(pid, "net/dev");
        statat(&self.proc, self.path.as_str(), AtFlags::empty()).ok().map(|meta| meta.st_ino)
    }

    /// The number of [`Processes::network`], and the text of `net/dev` where `wanted` says so of that number. One path is
    /// looked up for both.
    pub fn network_and_text(&mut self, pid: u32, wanted: impl FnOnce(u64) -> bool) -> Option<(u64, Option<&[u8]>)> {
        self.name(pid, "net/dev");
        let file = openat(&self.proc, self.path.as_str(), OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty()).ok()?;
        let number = fstat(&file).ok()?.st_ino;
        Some((number, if wanted(number) { self.fill(&file) } else { None }))
    }

    /// Open descriptors, as the size of `/proc/PID/fd` (Linux 6.2): one call, however many there are. `None` without the
    /// right to see them, or on older kernels, where the size is 0.
    pub fn open_count(&mut self, pid: u32) -> Option<u64> {
        self.name(pid, "fd");
        let meta = statat(&self.proc, self.path.as_str(), AtFlags::empty()).ok()?;
        u64::try_from(meta.st_size).ok().filter(|&count| count > 0)
    }

    /// Looks at every open descriptor of `pid`, at most `limit` of them.
    pub fn descriptors(&mut self, pid: u32, limit: u64, into: &mut Descriptors) -> Access {
        *into = Descriptors { rings: std::mem::take(&mut into.rings), ..Descriptors::default() };
        into.rings.clear();
        self.name(pid, "fd");
        let dir = match openat(&self.proc, self.path.as_str(), DIRECTORY, Mode::empty()) {
            Ok(dir) => dir,
            Err(Errno::ACCESS | Errno::PERM) => return Access::Denied,
            Err(_) => return Access::Gone,
        };
        let mut entries = [MaybeUninit::uninit(); ENTRIES];
        let mut entries = RawDir::new(&dir, &mut entries);
        while let Some(entry) = entries.next() {
            let entry = match entry {
                Ok(entry) => entry,
                Err(Errno::ACCESS | Errno::PERM) => return Access::Denied,
                Err(_) => return Access::Gone,
            };
            let Some(number) = text::parse_u64(entry.file_name().to_bytes()) else { continue };
            if into.open >= limit {
                into.cut = true;
                break;
            }
            into.open += 1;
            // The longest name of interest is `anon_inode:[io_uring]`; a path is cut and is of no interest.
            let mut target = [MaybeUninit::uninit(); 32];
            match readlinkat_raw(&dir, entry.file_name(), &mut target) {
                Ok((target, _)) if target.starts_with(b"socket:[") => into.sockets += 1,
                Ok((target, _)) if target == b"anon_inode:[io_uring]" && into.rings.len() < RING_LIMIT => {
                    into.rings.extend(u32::try_from(number).ok());
                }
                // The links of another user's process can be listed but not read.
                Err(Errno::ACCESS | Errno::PERM) => return Access::Denied,
                _ => {}
            }
        }
        Access::Granted
    }

    /// Text of `/proc/PID/file`, at most 64 KiB of it.
    pub fn read(&mut self, pid: u32, file: &str) -> Option<&[u8]> {
        self.name(pid, file);
        let file = openat(&self.proc, self.path.as_str(), OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty()).ok()?;
        self.fill(&file)
    }

    fn fill(&mut self, file: &OwnedFd) -> Option<&[u8]> {
        let mut length = 0;
        self.buffer.resize(FILE_LIMIT, 0);
        loop {
            match rustix::io::read(file, &mut self.buffer[length..]) {
                Ok(0) => return Some(&self.buffer[..length]),
                Ok(count) => length += count,
                Err(Errno::INTR) => {}
                Err(_) => return None,
            }
        }
    }

    fn name(&mut self, pid: u32, file: &str) {
        use std::fmt::Write;
        self.path.clear();
        write!(self.path, "{pid}/{file}").expect("a String takes everything");
    }
}

/// Most interfaces of one network namespace that are kept.
const INTERFACE_LIMIT: usize = 256;

/// Counters of one network interface, as a network namespace's `net/dev` prints them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Interface {
    name: [u8; 16],
    length: u8,
    /// Bytes, packets, errors and drops received since the interface was made.
    pub receive: [u64; 4],
    /// The same, sent.
    pub transmit: [u64; 4],
}

impl Interface {
    /// Its name, at most 15 bytes.
    pub fn name(&self) -> &[u8] {
        &self.name[..usize::from(self.length)]
    }
}

/// Takes the text of `/proc/PID/net/dev`: two lines of headings, then `name: ` and sixteen numbers a line. Lines of another
/// form are passed over.
pub fn interfaces(text: &[u8], into: &mut Vec<Interface>) {
    into.clear();
    for line in text::lines(text) {
        let Some(colon) = memchr::memrchr(b':', line) else { continue };
        let name = text::trim(&line[..colon]);
        let mut fields = text::fields(&line[colon + 1..]);
        let mut four = || Some([fields.u64()?, fields.u64()?, fields.u64()?, fields.u64()?]);
        let (Some(receive), Some(_), Some(transmit)) = (four(), four(), four()) else { continue };
        if name.len() < 16 && into.len() < INTERFACE_LIMIT {
            let mut interface = Interface { receive, transmit, length: name.len() as u8, ..Interface::default() };
            interface.name[..name.len()].copy_from_slice(name);
            into.push(interface);
        }
    }
}

/// Moves the calling thread into the network namespace of `pid`, for good: only for threads that do nothing else.
///
/// # Errors
/// `EPERM` or `EACCES` without `CAP_SYS_ADMIN` and `CAP_SYS_PTRACE`; `ENOENT` when the process is gone.
pub fn enter_network(roots: &Roots, pid: u32) -> io::Result<()> {
    enter(&File::open(roots.proc(format!("{pid}/ns/net")))?)
}

/// Moves the calling thread into a network namespace that is open already, such as the one it came from.
///
/// # Errors
/// As [`enter_network`].
pub fn enter(namespace: &File) -> io::Result<()> {
    Ok(move_into_link_name_space(namespace.as_fd(), Some(LinkNameSpaceType::Network))?)
}

const DIRECTORY: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    /// This very process: listed, with its descriptors counted by kind, its limit, its group and its network.
    #[test]
    fn sees_itself() {
        let roots = Roots::default();
        let pid = std::process::id();
        let mut processes = Processes::open(&roots).unwrap();
        let mut pids = Vec::new();
        processes.list(&mut pids).unwrap();
        assert!(pids.contains(&pid) && pids.contains(&1) && pids.is_sorted());

        let mut before = Descriptors::default();
        assert_eq!(processes.descriptors(pid, 10_000, &mut before), Access::Granted);
        let _listeners: Vec<_> = (0..300).map(|_| TcpListener::bind("127.0.0.1:0").unwrap()).collect();
        let mut after = Descriptors::default();
        processes.descriptors(pid, 10_000, &mut after);
        // Tests beside this one open and close descriptors too.
        assert!(after.sockets >= 300 && after.open >= after.sockets && !after.cut, "{before:?} {after:?}");
        processes.descriptors(pid, 100, &mut after);
        assert!(after.cut && after.open == 100);

        assert!(processes.open_limit(pid).unwrap() >= 300);
        assert!(processes.cgroup(pid).unwrap().starts_with(b"/"));
        assert_eq!(processes.network(pid).unwrap(), processes.network(std::os::unix::process::parent_id()).unwrap());
        assert!(processes.open_count(pid).is_none_or(|count| count >= 300));
    }

    /// As the kernel prints it, with an alias, a name that holds a colon, and a line that is cut.
    #[test]
    fn interface_lines() {
        let mut found = Vec::new();
        let text = b"Inter-|   Receive  |  Transmit\n face |bytes packets|bytes\n    lo:  1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16\n\
            eth0:1: 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16\neth1: 1 2 3\n";
        interfaces(text, &mut found);
        assert_eq!(found.iter().map(Interface::name).collect::<Vec<_>>(), [&b"lo"[..], b"eth0:1"]);
        assert_eq!((found[0].receive, found[0].transmit), ([1, 2, 3, 4], [9, 10, 11, 12]));
    }

    /// A pid that nobody has: gone, and no error.
    #[test]
    fn nobody() {
        let mut processes = Processes::open(&Roots::default()).unwrap();
        // Above the largest pid_max of any kernel.
        let pid = 1 << 23;
        assert_eq!(processes.descriptors(pid, 10, &mut Descriptors::default()), Access::Gone);
        assert!(
            processes.cgroup(pid).is_none() && processes.network(pid).is_none() && processes.open_limit(pid).is_none()
        );
        assert_eq!(enter_network(&Roots::default(), pid).unwrap_err().kind(), io::ErrorKind::NotFound);
    }
}
