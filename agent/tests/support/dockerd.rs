//! A Docker daemon of our own: own data, own socket, own bridge, no iptables, gone at the end.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Child, Command};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

/// Image with nothing but a static busybox.
pub(crate) const IMAGE: &str = "highload/busybox:test";

pub(crate) struct Dockerd {
    dir: tempfile::TempDir,
    child: Child,
    bridge: String,
}

impl Dockerd {
    /// Needs root, dockerd, docker, ip and a static busybox; says which is missing.
    pub(crate) fn start() -> Self {
        assert!(rustix::process::geteuid().is_root(), "this test starts dockerd, which needs root");
        let dir = tempfile::Builder::new().prefix("hl-dockerd").tempdir().expect("a directory for dockerd");
        let number = std::process::id() % 200;
        let bridge = format!("hltest{number}");
        run(Command::new("ip").args(["link", "add", &bridge, "type", "bridge"]));
        run(Command::new("ip").args(["addr", "add", &format!("10.213.{number}.1/24"), "dev", &bridge]));
        run(Command::new("ip").args(["link", "set", &bridge, "up"]));
        let child = launch(dir.path(), &bridge);
        let docker = Self { dir, child, bridge };
        docker.wait();
        docker.import();
        docker
    }

    pub(crate) fn socket(&self) -> String {
        format!("unix://{}/docker.sock", self.dir.path().display())
    }

    /// Where it keeps images and containers.
    pub(crate) fn data(&self) -> std::path::PathBuf {
        self.dir.path().join("data")
    }

    /// Runs the client, and returns what it printed.
    pub(crate) fn cli(&self, arguments: &[&str]) -> String {
        run(Command::new("docker").env("DOCKER_HOST", self.socket()).args(arguments))
    }

    /// A field of `docker inspect`, by Go template.
    pub(crate) fn inspect(&self, container: &str, field: &str) -> String {
        self.cli(&["inspect", "--format", &format!("{{{{{field}}}}}"), container])
    }

    /// `GET` of Docker's API, parsed.
    pub(crate) fn api(&self, path: &str) -> serde_json::Value {
        let mut stream = UnixStream::connect(self.dir.path().join("docker.sock")).expect("Docker's socket");
        write!(stream, "GET {path} HTTP/1.0\r\nHost: docker\r\n\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let (_, body) = answer.split_once("\r\n\r\n").expect("a head");
        serde_json::from_str(body).unwrap_or_else(|error| panic!("{path}: {error}: {body}"))
    }

    /// Kills the daemon as a crash would; containers live on.
    pub(crate) fn crash(&mut self) {
        self.child.kill().expect("dockerd runs");
        self.child.wait().expect("dockerd is our child");
    }

    /// Starts it again on the same data.
    pub(crate) fn restart(&mut self) {
        // Its containerd died with it. Where process 1 does not reap (a container without an init), the dead one still
        // answers to a signal 0 and dockerd would wait for it for ever.
        let _ = fs::remove_file(self.dir.path().join("exec/containerd/containerd.pid"));
        self.child = launch(self.dir.path(), &self.bridge);
        self.wait();
    }

    fn wait(&self) {
        let deadline = Instant::now() + Duration::from_secs(60);
        loop {
            let client = Command::new("docker").env("DOCKER_HOST", self.socket()).arg("info").output();
            if client.expect("docker.io is installed").status.success() {
                return;
            }
            let log = || fs::read_to_string(self.dir.path().join("log")).unwrap_or_default();
            assert!(Instant::now() < deadline, "dockerd does not answer:\n{}", log());
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    fn import(&self) {
        let root = self.dir.path().join("image");
        fs::create_dir_all(root.join("bin")).unwrap();
        for dir in ["tmp", "etc", "proc", "sys", "dev"] {
            fs::create_dir_all(root.join(dir)).unwrap();
        }
        fs::copy("/bin/busybox", root.join("bin/busybox")).expect("busybox-static is installed");
        for applet in ["sh", "sleep", "nc", "httpd", "wget", "dd", "tail", "test", "true"] {
            std::os::unix::fs::symlink("busybox", root.join("bin").join(applet)).unwrap();
        }
        let tar = self.dir.path().join("image.tar");
        run(Command::new("tar").arg("-C").arg(&root).arg("-cf").arg(&tar).arg("."));
        self.cli(&["import", &tar.to_string_lossy(), IMAGE]);
    }
}

impl Drop for Dockerd {
    fn drop(&mut self) {
        let list = Command::new("docker").env("DOCKER_HOST", self.socket()).args(["ps", "-aq"]).output();
        let ids = list.map(|list| String::from_utf8_lossy(&list.stdout).into_owned()).unwrap_or_default();
        let client = |arguments: &[&str]| {
            // A failed clean-up must not hide the failure that led here.
            let _ = Command::new("docker").env("DOCKER_HOST", self.socket()).args(arguments).output();
        };
        let ids: Vec<&str> = ids.split_whitespace().collect();
        for some in ids.chunks(50) {
            client(&[&["rm", "-f"], some].concat());
        }
        let pid = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw).expect("a pid");
        let _ = kill_process(pid, Signal::TERM);
        let _ = self.child.wait();
        self.kill_shims();
        let _ = Command::new("ip").args(["link", "del", &self.bridge]).output();
    }
}

impl Dockerd {
    /// Ends what a daemon that failed left: shims name this test's directory in their arguments, and containers are
    /// their children.
    fn kill_shims(&self) {
        let dir = self.dir.path().to_string_lossy().into_owned();
        let shims = pids().into_iter().filter(|pid| {
            let arguments = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            String::from_utf8_lossy(&arguments).contains(&dir)
        });
        for shim in shims {
            let children = fs::read_to_string(format!("/proc/{shim}/task/{shim}/children")).unwrap_or_default();
            for pid in children.split_whitespace().filter_map(|pid| pid.parse().ok()).chain([shim]) {
                let _ = Pid::from_raw(pid).map(|pid| kill_process(pid, Signal::KILL));
            }
        }
    }
}

fn pids() -> Vec<i32> {
    let entries = fs::read_dir("/proc").expect("procfs").filter_map(Result::ok);
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect()
}

fn launch(dir: &Path, bridge: &str) -> Child {
    let log = File::options().create(true).append(true).open(dir.join("log")).unwrap();
    Command::new("dockerd")
        .args(["--iptables=false", "--ip6tables=false", "--live-restore", "--userland-proxy=false"])
        .arg(format!("--bridge={bridge}"))
        .arg("--data-root")
        .arg(dir.join("data"))
        .arg("--exec-root")
        .arg(dir.join("exec"))
        .arg("--pidfile")
        .arg(dir.join("pid"))
        .arg("--host")
        .arg(format!("unix://{}/docker.sock", dir.display()))
        .stdout(log.try_clone().unwrap())
        .stderr(log)
        .spawn()
        .expect("docker.io is installed")
}

/// Runs a command that must succeed.
pub(crate) fn run(command: &mut Command) -> String {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}
