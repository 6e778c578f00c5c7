//! A Docker daemon of the test's own with an image of Debian's nginx: own data, own socket, no iptables, no bridge, gone at the
//! end with its containers.

use std::fs::{self, File};
use std::path::Path;
use std::process::{Child, Command};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

/// nginx, its libraries, and nothing else.
const IMAGE: &str = "highload/nginx:test";

pub(crate) struct Dockerd {
    directory: tempfile::TempDir,
    child: Child,
}

impl Dockerd {
    /// Needs root, dockerd and docker; says which is missing.
    pub(crate) fn start() -> Self {
        assert!(rustix::process::geteuid().is_root(), "this test starts dockerd, which needs root");
        let directory = tempfile::Builder::new().prefix("lab-dockerd").tempdir().unwrap();
        let path = directory.path();
        let log = File::create(path.join("log")).unwrap();
        let child = Command::new("dockerd")
            .args(["--iptables=false", "--ip6tables=false", "--userland-proxy=false", "--bridge=none"])
            .arg(format!("--data-root={}", path.join("data").display()))
            .arg(format!("--exec-root={}", path.join("exec").display()))
            .arg(format!("--pidfile={}", path.join("pid").display()))
            .arg(format!("--host=unix://{}/docker.sock", path.display()))
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .expect("docker.io is installed by .ci/test");
        let docker = Self { directory, child };
        let deadline = Instant::now() + Duration::from_secs(60);
        while !docker.client(&["info"]).status.success() {
            let log = fs::read_to_string(docker.directory.path().join("log")).unwrap_or_default();
            assert!(Instant::now() < deadline, "dockerd does not answer:\n{log}");
            std::thread::sleep(Duration::from_millis(100));
        }
        docker.import();
        docker
    }

    pub(crate) fn socket(&self) -> String {
        format!("unix://{}/docker.sock", self.directory.path().display())
    }

    fn client(&self, arguments: &[&str]) -> std::process::Output {
        Command::new("docker")
            .env("DOCKER_HOST", self.socket())
            .args(arguments)
            .output()
            .expect("docker.io is installed")
    }

    /// Runs the client, which must succeed, and returns what it printed.
    pub(crate) fn cli(&self, arguments: &[&str]) -> String {
        let output = self.client(arguments);
        assert!(output.status.success(), "docker {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    }

    /// nginx in the host's network, on this port of loopback.
    pub(crate) fn run_nginx(&self, name: &str, port: u16) {
        let config = format!(
            "worker_processes 1; pid /tmp/pid; error_log /dev/null; user root; events {{ }} \
             http {{ access_log off; keepalive_requests 1000000; client_body_temp_path /tmp/a; proxy_temp_path /tmp/b; \
             fastcgi_temp_path /tmp/c; uwsgi_temp_path /tmp/d; scgi_temp_path /tmp/e; \
             server {{ listen 127.0.0.1:{port}; root /www; }} }}"
        );
        let path = self.directory.path().join("nginx.conf");
        fs::write(&path, config).unwrap();
        let mount = format!("{}:/nginx.conf:ro", path.display());
        let nginx = ["/usr/sbin/nginx", "-c", "/nginx.conf", "-g", "daemon off;"];
        self.cli(&[&["run", "-d", "--name", name, "--network", "host", "-v", &mount, IMAGE], &nginx[..]].concat());
    }

    /// A tree with nginx and the libraries that the loader names.
    fn import(&self) {
        let root = self.directory.path().join("image");
        for folder in ["tmp", "proc", "sys", "dev", "etc", "var/log/nginx", "var/lib/nginx", "www", "usr/sbin"] {
            fs::create_dir_all(root.join(folder)).unwrap();
        }
        fs::write(root.join("etc/passwd"), "root:x:0:0::/:/bin/false\n").unwrap();
        fs::write(root.join("etc/group"), "root:x:0:\n").unwrap();
        fs::write(root.join("www/page"), "x".repeat(64)).unwrap();
        let copy = |path: &str| {
            let to = root.join(path.trim_start_matches('/'));
            fs::create_dir_all(to.parent().unwrap()).unwrap();
            fs::copy(path, to).unwrap_or_else(|error| panic!("{path}: {error}"));
        };
        copy("/usr/sbin/nginx");
        let libraries = Command::new("ldd").arg("/usr/sbin/nginx").output().unwrap();
        for line in String::from_utf8_lossy(&libraries.stdout).lines() {
            if let Some(path) = line.split_whitespace().find(|word| Path::new(word).is_absolute()) {
                copy(path);
            }
        }
        let tar = self.directory.path().join("image.tar");
        let made = Command::new("tar").arg("-C").arg(&root).arg("-cf").arg(&tar).arg(".").status().unwrap();
        assert!(made.success(), "tar");
        self.cli(&["import", &tar.display().to_string(), IMAGE]);
    }
}

impl Drop for Dockerd {
    fn drop(&mut self) {
        // A failed clean-up must not hide the failure that led here.
        let list = self.client(&["ps", "-aq"]);
        for id in String::from_utf8_lossy(&list.stdout).split_whitespace() {
            self.client(&["rm", "-f", id]);
        }
        let _ = kill_process(Pid::from_child(&self.child), Signal::TERM);
        let _ = self.child.wait();
    }
}
