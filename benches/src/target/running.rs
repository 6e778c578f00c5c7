//! A server of one's own while it is measured: started or found, listening, watched, and left as it was.

use std::net::{SocketAddr, TcpStream};
use std::os::fd::OwnedFd;
use std::path::Path;
use std::process::Command;
use std::sync::Once;
use std::time::{Duration, Instant};

use hostfs::Roots;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::net::sockopt::set_socket_linger;
use rustix::process::{Pid, PidfdFlags, pidfd_open};
use serde_json::{Value, json};

use super::container;
use super::warden::GRACE;
use super::{Origin, Own};
use crate::child::{Child, ended};
use crate::observe::{ControlGroup, GroupProbe, Members, ProbeError};

/// How often a server that is not there yet is tried. It cannot say when it is ready, so it has to be asked.
const TRY: Duration = Duration::from_millis(20);

/// How long one try may take.
const CONNECT: Duration = Duration::from_millis(500);

/// A server of one's own that listens.
pub struct Running {
    address: SocketAddr,
    held: Held,
    members: Members,
    about: Value,
}

/// What keeps hold of its processes.
enum Held {
    /// The warden of a command that the lab started.
    Started(Child),
    /// A process that was there before: its pid and a descriptor that can mean no other.
    Found(String, OwnedFd),
}

impl Running {
    /// Starts the command on `cpus`, or finds the process or container, and waits until somebody listens at the address.
    /// `lab` is this program.
    ///
    /// # Errors
    /// A sentence with what was seen, what is needed and the knob. Nothing that was started is left.
    pub fn start(own: &Own, lab: &Path, cpus: &[usize], stop: &dyn Fn() -> bool) -> Result<Self, String> {
        let address = own.address().map_err(|failure| failure.to_string())?;
        let (held, members, about) = match own.origin().map_err(|failure| failure.to_string())? {
            Origin::Command(words) => {
                if connects(address).is_ok() {
                    return Err(format!(
                        "somebody listens at {address} before {:?} is started, and would be measured in its place; \
                         ss -ltnp 'sport = :{}' shows who",
                        words[0],
                        address.port()
                    ));
                }
                let mut command = Command::new(lab);
                command.args(["warden", "--"]).args(&words);
                let child = Child::start(command, cpus).map_err(|error| format!("starting {:?}: {error}", words[0]))?;
                let pid = child.pid();
                (Held::Started(child), Members::Below(pid), json!({ "command": words }))
            }
            Origin::Process(pid) => {
                let held = found(format!("process {pid}"), pid)?;
                (held, Members::Tree(pid), json!({ "pid": pid }))
            }
            Origin::Container(name) => {
                let pid = container::first_process(&name)?;
                let held = found(format!("container {name} (process {pid})"), pid)?;
                let group = ControlGroup::of(&Roots::default(), pid).map_err(|error| error.to_string())?;
                let directory = group.as_ref().map(|group| group.directory.display().to_string());
                let about = json!({ "container": name, "pid": pid, "control_group": directory });
                (held, group.map_or(Members::Tree(pid), Members::Group), about)
            }
        };
        let mut running = Self { address, held, members, about };
        running.await_listening(own, stop)?;
        running.describe(own);
        Ok(running)
    }

    /// Tries to connect until it listens, it ends, or its time is over.
    fn await_listening(&mut self, own: &Own, stop: &dyn Fn() -> bool) -> Result<(), String> {
        let address = self.address;
        // Who runs already has no reason not to listen, but may be restarting its workers.
        let patience = match self.held {
            Held::Started(_) => Duration::from_secs(own.ready_seconds.into()),
            Held::Found(..) => Duration::from_secs(own.ready_seconds.min(2).into()),
        };
        let deadline = Instant::now() + patience;
        loop {
            let Err(said) = connects(address) else { return Ok(()) };
            if let Some(how) = self.ended() {
                return Err(format!("{how}, before anybody listened at {address}"));
            }
            if stop() {
                return Err("interrupted".to_owned());
            }
            if Instant::now() > deadline {
                return Err(format!(
                    "nobody listens at {address} after {} s ({said}): {} should; --address names where, --ready-timeout how \
                     long to wait",
                    patience.as_secs(),
                    own.describe()
                ));
            }
            std::thread::sleep(TRY);
        }
    }

    /// Adds what rows say of it: who belongs to it, and what could not be read.
    fn describe(&mut self, own: &Own) {
        let processes = self.probe().and_then(|probe| probe.processes()).unwrap_or_default();
        self.about["engine"] = own.name.clone().into();
        self.about["addresses"] = json!([self.address.to_string()]);
        self.about["processes"] = json!(processes);
        self.about["own"] = own.describe().into();
        if let Some(ask) = &own.ask {
            self.about["asked"] = ask.describe().into();
        }
        if let Held::Found(..) = self.held {
            self.about["cpus_allowed"] = json!(processes.first().and_then(|pid| cpus_allowed(*pid)));
        }
    }

    /// Whether the lab started it.
    pub fn is_started(&self) -> bool {
        matches!(self.held, Held::Started(_))
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// What rows say of it in the place of a ready line.
    pub fn about(&self) -> &Value {
        &self.about
    }

    /// A probe on its processes.
    ///
    /// # Errors
    /// When there is none left.
    pub fn probe(&self) -> Result<GroupProbe, ProbeError> {
        GroupProbe::new(self.members.clone())
    }

    /// How it ended, in words; `None` while it runs.
    pub fn ended(&mut self) -> Option<String> {
        self.ended_within(Duration::ZERO)
    }

    /// How it ended, in words; `None` when it runs on for `patience`.
    pub fn ended_within(&mut self, patience: Duration) -> Option<String> {
        match &mut self.held {
            Held::Started(child) => {
                let status = child.wait(patience)?;
                let last = child.last_words();
                Some(format!("the server ended ({}): {last}", ended(Some(status))))
            }
            Held::Found(name, pidfd) => {
                let mut over = [PollFd::new(pidfd, PollFlags::IN)];
                let wait =
                    Timespec { tv_sec: patience.as_secs().cast_signed(), tv_nsec: patience.subsec_nanos().into() };
                matches!(poll(&mut over, Some(&wait)), Ok(1..)).then(|| format!("{name} ended"))
            }
        }
    }

    /// Ends what the lab started; a process that was found goes on.
    pub fn stop(&mut self) {
        if let Held::Started(child) = &mut self.held {
            // The warden needs its own grace before it kills.
            child.stop(GRACE + Duration::from_secs(3));
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.stop();
    }
}

/// Keeps hold of a process that runs.
fn found(name: String, pid: u32) -> Result<Held, String> {
    let number = i32::try_from(pid).ok().and_then(Pid::from_raw).ok_or_else(|| format!("{pid} is no process id"))?;
    let pidfd = pidfd_open(number, PidfdFlags::empty()).map_err(|errno| {
        format!("{name}: {} (pidfd_open); `ps -p {pid}` shows whether it runs", std::io::Error::from(errno))
    })?;
    let readable = std::fs::read(format!("/proc/{pid}/smaps_rollup"));
    if let Err(error) = readable
        && error.kind() == std::io::ErrorKind::PermissionDenied
    {
        let us = rustix::process::geteuid().as_raw();
        // Once is enough for all trials of a run.
        static WARNED: Once = Once::new();
        WARNED.call_once(|| eprintln!(
            "warning: {name} is not ours (we are user {us}): its CPU time and resident set are read, its private memory and \
             system calls are not; run as its user or as root for these"
        ));
    }
    Ok(Held::Found(name, pidfd))
}

/// One connection, reset so that it leaves nothing; what the kernel said when there is none.
fn connects(address: SocketAddr) -> Result<(), std::io::Error> {
    let stream = TcpStream::connect_timeout(&address, CONNECT)?;
    let _ = set_socket_linger(&stream, Some(Duration::ZERO));
    Ok(())
}

/// CPUs on which a process may run, as the kernel writes them: `0-3,8`.
fn cpus_allowed(pid: u32) -> Option<String> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    text.lines().find_map(|line| line.strip_prefix("Cpus_allowed_list:")).map(|list| list.trim().to_owned())
}
