//! Servers of one's own end to end: Debian's nginx as a command, as a process that runs, and in a container; a WebSocket server
//! and plain TCP; and every way in which such a server can be missing.

#![allow(clippy::unwrap_used, reason = "a test's panic is its report")]

mod common;
#[path = "target/docker.rs"]
mod docker;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::Duration;

use common::{LAB, Ran, eventually};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

/// A port below the usual range of outgoing connections, which nobody listens on and no other test of this process has.
fn free_port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let first = 20_000 + u16::try_from(std::process::id() % 10_000).unwrap();
    let free = |port: &u16| TcpListener::bind(("127.0.0.1", *port)).is_ok();
    (0..1_000).map(|_| first + NEXT.fetch_add(1, Ordering::Relaxed)).find(free).unwrap()
}

/// nginx with its files in a directory of its own: two workers, a page of 64 bytes, and after `requests` requests a connection
/// is closed.
struct Nginx {
    directory: tempfile::TempDir,
    port: u16,
}

impl Nginx {
    fn new(requests: u32) -> Self {
        assert!(Path::new("/usr/sbin/nginx").is_file(), "Debian's nginx-light is installed by .ci/test");
        let directory = tempfile::tempdir().unwrap();
        let port = free_port();
        let root = directory.path().display();
        let config = format!(
            "worker_processes 2;\npid {root}/pid;\nerror_log {root}/error.log;\nevents {{ worker_connections 4096; }}\n\
             http {{\n  access_log off;\n  keepalive_timeout 3600s;\n  keepalive_requests {requests};\n\
             client_body_temp_path {root}/body;\n  proxy_temp_path {root}/proxy;\n  fastcgi_temp_path {root}/fastcgi;\n\
             uwsgi_temp_path {root}/uwsgi;\n  scgi_temp_path {root}/scgi;\n\
             server {{\n    listen 127.0.0.1:{port} backlog=4096;\n    root {root}/www;\n  }}\n}}\n"
        );
        std::fs::create_dir(directory.path().join("www")).unwrap();
        // Workers of root's nginx run as another user.
        let open = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        std::fs::set_permissions(directory.path(), open).unwrap();
        std::fs::write(directory.path().join("www/page"), "x".repeat(64)).unwrap();
        std::fs::write(directory.path().join("nginx.conf"), config).unwrap();
        Self { directory, port }
    }

    fn config(&self) -> PathBuf {
        self.directory.path().join("nginx.conf")
    }

    /// The command line, in the foreground or not.
    fn command(&self, daemon: bool) -> String {
        let mode = if daemon { "on" } else { "off" };
        format!("/usr/sbin/nginx -c {} -g 'daemon {mode};'", self.config().display())
    }

    fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// Starts it outside of the lab.
    fn start(&self) -> Outside {
        let child = Command::new("/usr/sbin/nginx")
            .arg("-c")
            .arg(self.config())
            .args(["-g", "daemon off;"])
            .stdin(Stdio::null())
            .spawn()
            .unwrap();
        eventually("nginx listens", || TcpStream::connect(self.address()).is_ok());
        Outside(child)
    }
}

/// A server that the lab did not start; told to end, and waited for.
struct Outside(Child);

impl Drop for Outside {
    fn drop(&mut self) {
        let _ = kill_process(Pid::from_child(&self.0), Signal::TERM);
        let _ = self.0.wait();
    }
}

fn lab(arguments: &[&str]) -> Ran {
    Ran::of(Command::new(LAB).args(arguments).stdin(Stdio::null()).output().unwrap())
}

/// `lab run own`, short, with a lenient judge: this box may be busy with other tests.
fn scenario(directory: &Path, more: &str) -> String {
    let text = format!(
        "name = 'own'\nquestion = 'Is it measured?'\n{more}\n\
         [workload]\nservice = 'echo'\npayload_bytes = 64\n\
         [load]\nmode = 'open'\narrivals = 'constant'\nrate = 1000.0\nconnections = 8\nwarmup_seconds = 0.1\n\
         measure_seconds = 0.5\ntimeout_seconds = 2.0\n[rounds]\ncount = 1\nseed = 1\nsyscalls = true\n\
         [voids]\nretries = 0\nforeign_cpu_share = 1.0\nsteal_share = 1.0\nschedule_lag_p99_us = 1e9\nrate_shortfall = 0.9\n"
    );
    let path = directory.join("scenario.toml");
    std::fs::write(&path, text).unwrap();
    path.display().to_string()
}

fn rows(out: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(out.join("trials.jsonl")).unwrap_or_default();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// Asserts what every measured row of a server of one's own has: requests, and CPU of its processes.
#[track_caller]
fn measured(row: &Value) {
    assert_eq!(row["status"], "ok", "{row:#}");
    assert!(row["completed"].as_u64() > Some(100), "{row:#}");
    assert!(row["server"]["cpu_us_per_request"].as_f64() > Some(0.5), "{row:#}");
    assert!(row["server"]["rss_bytes"].as_u64() > Some(1 << 20), "{row:#}");
    assert_eq!(row["interface"], "own");
    if row["pass"] == "syscalls" && row["server"]["syscalls_unavailable"].is_null() {
        // nginx waits, reads, opens or finds its file, writes: at least two calls a request.
        assert!(row["server"]["syscalls_per_request"].as_f64() > Some(1.0), "{row:#}");
    }
}

/// nginx as a command beside its twin: started anew for each trial, measured over master and workers, and gone afterwards. A
/// connection that it closes after 100 requests is opened again and counts as no error.
#[test]
fn nginx_as_a_command() {
    let nginx = Nginx::new(100);
    let directory = tempfile::tempdir().unwrap();
    let (out, file) = (directory.path().join("out"), scenario(directory.path(), ""));
    let command = nginx.command(false);
    let ran = lab(&[
        "run",
        &file,
        "--server",
        &command,
        "--address",
        &nginx.address(),
        "--request",
        "GET /page",
        "--expect",
        &"x".repeat(64),
        "--out",
        &out.display().to_string(),
    ]);
    assert_eq!(ran.code, Some(0), "{}\n{}", ran.stdout, ran.stderr);
    let rows = rows(&out);
    assert_eq!(rows.len(), 3, "a trial, its twin's, and system calls");
    for row in &rows {
        measured(row);
        // One master and two workers.
        assert_eq!(row["ready"]["processes"].as_array().unwrap().len(), 3, "{row:#}");
        assert_eq!(row["server"]["threads"], 3, "{row:#}");
        assert_eq!([&row["protocol"], &row["service"], &row["format"]], ["http1", "request", "own"]);
    }
    assert!(rows.iter().any(|row| row["engine"] == "nginx") && rows.iter().any(|row| row["twin_of"] == "nginx"));
    assert!(ran.stdout.contains("note: nginx is `/usr/sbin/nginx"), "{}", ran.stdout);
    assert!(TcpStream::connect(nginx.address()).is_err(), "nginx is still there");
    let page = std::fs::read_to_string(out.join("report.html")).unwrap();
    assert!(page.contains("asked GET /page"));
}

/// nginx that goes to the background has workers all the same: nobody escapes the warden, and nobody is left.
#[test]
fn a_server_that_goes_to_the_background_is_kept() {
    let nginx = Nginx::new(1000);
    let directory = tempfile::tempdir().unwrap();
    let (out, file) = (directory.path().join("out"), scenario(directory.path(), ""));
    let ran = lab(&[
        "run",
        &file,
        "--server",
        &nginx.command(true),
        "--name",
        "web",
        "--address",
        &nginx.address(),
        "--request",
        "HEAD /page",
        "--out",
        &out.display().to_string(),
    ]);
    assert_eq!(ran.code, Some(0), "{}\n{}", ran.stdout, ran.stderr);
    rows(&out).iter().for_each(measured);
    assert!(TcpStream::connect(nginx.address()).is_err(), "nginx is still there");
}

/// A process that runs is measured with its workers beside an engine of the lab's, and goes on.
#[test]
fn a_running_process_beside_another() {
    let nginx = Nginx::new(1_000_000);
    let outside = nginx.start();
    let directory = tempfile::tempdir().unwrap();
    let out = directory.path().join("out");
    let pid = outside.0.id();
    let target = |name: &str, path: &str| {
        format!(
            "[[target]]\nname = '{name}'\npid = {pid}\naddress = '{}'\nask = {{ request = 'GET {path}', expect_part = 'xx' }}\n",
            nginx.address()
        )
    };
    // Tables come last in TOML, so that the keys above stay the scenario's.
    let file = scenario(directory.path(), "");
    let text = std::fs::read_to_string(&file).unwrap() + &target("small", "/page") + &target("wrong", "/not-there");
    std::fs::write(&file, text).unwrap();
    let ran = lab(&["run", &file, "--out", &out.display().to_string()]);
    assert_eq!(ran.code, Some(0), "{}\n{}", ran.stdout, ran.stderr);
    for row in rows(&out) {
        if row["engine"] == "small" {
            measured(&row);
            assert_eq!(row["ready"]["pid"], pid);
        } else {
            assert_eq!(row["status"], "failed", "{row:#}");
            assert!(row["reason"].as_str().unwrap().contains("status 404"), "{row:#}");
        }
    }
    assert!(TcpStream::connect(nginx.address()).is_ok(), "a process that was found must go on");
}

/// `lab load` against nginx: connections that it closes are opened again, in closed loop and pipelined.
#[test]
fn load_opens_connections_again() {
    let nginx = Nginx::new(50);
    let _outside = nginx.start();
    for (loop_kind, in_flight) in [(vec!["--closed", "--requests", "2000"], "1"), (vec!["--rate", "2000"], "4")] {
        let ran =
            lab(
                &[
                    &[
                        "load",
                        &nginx.address(),
                        "--request",
                        "GET /page",
                        "--header",
                        "Accept: */*",
                        "-c",
                        "4",
                        "--json",
                    ][..],
                    &["--in-flight", in_flight, "--warmup", "0", "-d", "1"],
                    &loop_kind,
                ]
                .concat(),
            );
        assert_eq!(ran.code, Some(0), "{}\n{}", ran.stdout, ran.stderr);
        let run: Value = serde_json::from_str(&ran.stdout).unwrap();
        assert_eq!(run["errors"], serde_json::json!({}), "{run:#}");
        // 50 requests a connection, so one of 50 replies closes.
        let reopened = run["reopened"].as_u64().unwrap();
        assert!(reopened >= run["completed"].as_u64().unwrap() / 50 - 4 && reopened > 0, "{run:#}");
        assert_eq!(run["alive"], 4);
    }
    let wrong =
        lab(&["load", &nginx.address(), "--request", "GET /gone", "--rate", "100", "-d", "0.2", "--warmup", "0"]);
    assert_eq!(wrong.code, Some(1));
    assert!(wrong.stdout.contains("status 404"), "{}", wrong.stdout);
}

/// `lab hold` of nginx: connected users are counted, probed and measured as an engine's are; a found process stays in the host's
/// network namespace, a started one has one of its own.
#[test]
fn nginx_holds_connected_users() {
    let nginx = Nginx::new(1_000_000);
    let hold = |more: &[&str]| {
        let directory = tempfile::tempdir().unwrap();
        let out = directory.path().join("out");
        let mut command = Command::new(LAB);
        command.env("TMPDIR", directory.path()).args(["hold", "-c", "600", "--hold", "0.5", "--probe", "0.2"]);
        command.args(["--plateaus", "4", "--address", &nginx.address(), "--request", "GET /page", "--json"]);
        let ran = Ran::of(command.args(more).arg("--out").arg(&out).output().unwrap());
        assert_eq!(ran.code, Some(0), "{}\n{}", ran.stdout, ran.stderr);
        let row: Value =
            serde_json::from_str(std::fs::read_to_string(out.join("climbs.jsonl")).unwrap().trim()).unwrap();
        assert_eq!(row["status"], "ok", "{row:#}");
        assert_eq!((&row["hold"]["alive"], &row["hold"]["lost"]), (&600.into(), &0.into()), "{row:#}");
        assert_eq!(row["hold"]["probed_after"][0], row["hold"]["probed_after"][1], "{row:#}");
        assert!(row["slopes"].is_object(), "{row:#}");
        row
    };
    let started = hold(&["--server", &nginx.command(false)]);
    assert_eq!(started["leftovers"]["processes"], 0, "{started:#}");
    assert!(TcpStream::connect(nginx.address()).is_err(), "nginx is still there");
    let outside = nginx.start();
    let found = hold(&["--pid", &outside.0.id().to_string(), "--active", "0.1"]);
    assert!(!found["namespace"].as_str().unwrap().contains("own"), "{found:#}");
    let window = &found["plateaus"].as_array().unwrap().last().unwrap()["windows"][0];
    assert!(window["completed"].as_u64() > Some(50), "{found:#}");
}

/// A cost sheet of nginx: what an idle connection of it takes, a message over all its workers, and a connection; bytes as the
/// generators counted them, since nginx does not tell, and users for each unit of a box from these.
#[test]
fn nginx_has_a_cost_sheet() {
    let nginx = Nginx::new(1_000_000);
    let directory = tempfile::tempdir().unwrap();
    let out = directory.path().join("out");
    let mut command = Command::new(LAB);
    command.env("TMPDIR", directory.path()).args(["cost", "--server", &nginx.command(false), "--name", "web"]);
    command.args(["--address", &nginx.address(), "--request", "GET /page", "--users", "500", "--rate", "1000"]);
    let ran = Ran::of(command.args(["--measure", "0.5", "--json", "--out"]).arg(&out).output().unwrap());
    assert_eq!(ran.code, Some(0), "{}\n{}", ran.stdout, ran.stderr);
    let sheet: Value = serde_json::from_str(&ran.stdout).unwrap();
    let row = &sheet["rows"][0];
    let names = ["engine", "interface", "protocol", "format", "service"].map(|name| row[name].as_str().unwrap());
    assert_eq!(names, ["web", "own", "http1", "own", "request"], "{row:#}");
    assert_eq!(sheet["rows"].as_array().unwrap().len(), 1, "{sheet:#}");
    let idle = |name: &str| row["idle"][name].as_f64().unwrap();
    // The page's socket, inode and file, and nginx's own connection structure.
    assert!((1_000.0..20_000.0).contains(&idle("kernel_bytes")) && idle("user_bytes") > 0.0, "{row:#}");
    if row["message"].is_null() {
        // A busy box voids the messages; what must be there then is the reason.
        assert!(row["reason"].as_str().unwrap().contains("messages do not count"), "{row:#}");
    } else {
        let message = |name: &str| row["message"][name].as_f64().unwrap();
        assert!(message("cpu_user_ns") + message("cpu_system_ns") > 500.0, "{row:#}");
        // "GET /page HTTP/1.1", its headers; a status line, headers and 64 bytes back.
        assert!(message("bytes_in") > 20.0 && message("bytes_out") > 64.0, "{row:#}");
        assert!(row["fits"]["per_gigabit"].as_f64() > Some(1.0), "{row:#}");
    }
    assert!(TcpStream::connect(nginx.address()).is_err(), "nginx is still there");
    let taken = ["cost", "--server", "x", "--name", "mio", "--address", "127.0.0.1:1", "--request", "GET /"];
    lab(&taken).says(2, "\"mio\" is an engine's name");
}

/// The largest rate that nginx holds, up to a ceiling that it must reach; the counters are those of all its processes.
#[test]
fn nginx_has_a_limit() {
    let nginx = Nginx::new(1_000_000);
    let directory = tempfile::tempdir().unwrap();
    let (out, file) = (directory.path().join("out"), scenario(directory.path(), ""));
    let server = ["--server", &nginx.command(false), "--address", &nginx.address(), "--request", "GET /page"];
    let search = ["--over", "rate", "--slo", "p99<5s", "--slo", "errors<99%", "--start", "50", "--ceiling", "200"];
    let rest = ["--rounds", "1", "--hold", "0.3", "--measure", "0.3", "--json", "--out", &out.display().to_string()];
    let ran = lab(&[&["limit", &file], &search[..], &server[..], &rest[..]].concat());
    assert_eq!(ran.code, Some(0), "{}\n{}", ran.stdout, ran.stderr);
    let limits: Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!((&limits[0]["engine"], &limits[0]["conclusion"]), (&"nginx".into(), &"more-than".into()), "{limits:#}");
    let steps = std::fs::read_to_string(out.join("steps.jsonl")).unwrap();
    assert!(steps.lines().count() >= 3, "{steps}");
    assert!(TcpStream::connect(nginx.address()).is_err(), "nginx is still there");
}

/// A flame graph of nginx, by perf: of all its processes. Where perf may not sample, the sentence says why.
#[test]
fn nginx_has_a_flame_graph() {
    let nginx = Nginx::new(1_000_000);
    let directory = tempfile::tempdir().unwrap();
    let (out, file) = (directory.path().join("out"), scenario(directory.path(), ""));
    let server = ["--server", &nginx.command(false), "--address", &nginx.address(), "--request", "GET /page"];
    // A thousand requests a second may be a hundredth of a core, hence few samples or none.
    let text = std::fs::read_to_string(&file).unwrap().replace("rate = 1000.0", "rate = 6000.0");
    std::fs::write(&file, text).unwrap();
    let rest = ["--seconds", "2", "--hertz", "999", "--json", "--out", &out.display().to_string()];
    let ran = lab(&[&["flame", &file], &server[..], &rest[..]].concat());
    if ran.code == Some(3) {
        assert!(ran.stderr.contains("perf"), "{}", ran.stderr);
        eprintln!("skipped: {}", ran.stderr.trim());
        return;
    }
    assert_eq!(ran.code, Some(0), "{}\n{}", ran.stdout, ran.stderr);
    let row = &rows(&out)[0];
    assert_eq!((&row["engine"], &row["flame"]["sampler"]), (&"nginx".into(), &"perf".into()), "{row:#}");
    let folded = std::fs::read_to_string(out.join(row["flame"]["folded"].as_str().unwrap())).unwrap();
    assert!(folded.contains("nginx") || folded.lines().count() > 1, "{folded:.300}");
    assert!(out.join("flames.html").is_file());
}

/// nginx in a container, by Docker's word of its first process: CPU from its control group.
#[test]
fn nginx_in_a_container() {
    let docker = docker::Dockerd::start();
    let port = free_port();
    docker.run_nginx("web", port);
    let directory = tempfile::tempdir().unwrap();
    let (out, file) = (directory.path().join("out"), scenario(directory.path(), ""));
    let address = format!("127.0.0.1:{port}");
    eventually("nginx listens", || TcpStream::connect(&address).is_ok());
    let run = |container: &str, out: &Path| {
        let output = Command::new(LAB)
            .env("DOCKER_HOST", docker.socket())
            .args(["run", &file, "--container", container, "--address", &address, "--request", "GET /page", "--out"])
            .arg(out)
            .output();
        Ran::of(output.unwrap())
    };
    let ran = run("web", &out);
    assert_eq!(ran.code, Some(0), "{}\n{}", ran.stdout, ran.stderr);
    for row in rows(&out) {
        measured(&row);
        assert!(row["ready"]["control_group"].as_str().unwrap().contains("docker"), "{row:#}");
        assert_eq!(row["ready"]["container"], "web");
    }
    let nothing = directory.path().join("nothing");
    run("no-such", &nothing).says(3, "container no-such");
    docker.cli(&["stop", "--time", "2", "web"]);
    run("web", &nothing).says(3, "is not running (it is exited); docker start web");
    assert!(!nothing.exists(), "nothing is written before the server was found");
}

/// Plain TCP: bytes out, bytes in, by length and by their end; a wrong reply is an error.
#[test]
fn plain_tcp() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            std::thread::spawn(move || {
                let mut lines = BufReader::new(stream.try_clone().unwrap()).lines();
                while let Some(Ok(line)) = lines.next() {
                    // The reply in two pieces: it is put together.
                    let reply = format!("+PONG {line}\r\n");
                    let (first, second) = reply.split_at(3);
                    if stream.write_all(first.as_bytes()).and_then(|()| stream.write_all(second.as_bytes())).is_err() {
                        return;
                    }
                }
            });
        }
    });
    let load = |more: &[&str]| {
        let common = [
            "load",
            &address,
            "--rate",
            "500",
            "-c",
            "2",
            "-d",
            "0.4",
            "--warmup",
            "0",
            "--json",
            "--send",
            r"PING\r\n",
        ];
        lab(&[&common[..], more].concat())
    };
    let exact = load(&["--expect", r"+PONG PING\r\n"]);
    assert_eq!(exact.code, Some(0), "{}{}", exact.stdout, exact.stderr);
    let line = load(&["--expect-end", r"\r\n", "--expect-part", "PING"]);
    assert_eq!(line.code, Some(0), "{}{}", line.stdout, line.stderr);
    let run: Value = serde_json::from_str(&line.stdout).unwrap();
    assert!(run["completed"].as_u64() > Some(100), "{run:#}");
    let wrong = load(&["--expect", r"+PONG PANG\r\n"]);
    assert_eq!(wrong.code, Some(1));
    let run: Value = serde_json::from_str(&wrong.stdout).unwrap();
    assert!(
        run["errors"]["wrong-reply"].as_u64() > Some(0) && run["example"].as_str().unwrap().contains("byte 7"),
        "{run:#}"
    );
}

/// A WebSocket server that another project wrote (Python's websockets), which pings its clients: echoes are checked, pings are
/// answered, and its processes are measured.
#[test]
fn a_websocket_server_of_another_project() {
    let has = Command::new("python3").args(["-c", "import websockets"]).output().unwrap().status.success();
    assert!(has, "the first python3 on the path has websockets: .ci/test installs it");
    let port = free_port();
    let script = format!(
        "import asyncio, websockets\n\
         async def echo(ws):\n    async for message in ws:\n        await ws.send(message.upper())\n\
         async def main():\n    async with websockets.serve(echo, '127.0.0.1', {port}, ping_interval=0.1, ping_timeout=1):\n\
         \x20       await asyncio.get_running_loop().create_future()\n\
         asyncio.run(main())\n"
    );
    let directory = tempfile::tempdir().unwrap();
    let program = directory.path().join("server.py");
    std::fs::write(&program, script).unwrap();
    let (out, file) = (directory.path().join("out"), scenario(directory.path(), ""));
    let run = lab(&[
        "run",
        &file,
        "--rate",
        "200",
        "--measure",
        "2",
        "--server",
        &format!("python3 {}", program.display()),
        "--address",
        &format!("127.0.0.1:{port}"),
        "--message",
        "hello",
        "--path",
        "/chat",
        "--expect",
        "HELLO",
        "--out",
        &out.display().to_string(),
    ]);
    assert_eq!(run.code, Some(0), "{}\n{}", run.stdout, run.stderr);
    for row in rows(&out) {
        measured(&row);
        assert_eq!(row["protocol"], "websocket");
    }
}

/// Every way in which a server can be missing ends with a sentence and the right exit code, before anything is written.
#[test]
fn missing_servers_are_explained() {
    let directory = tempfile::tempdir().unwrap();
    let file = scenario(directory.path(), "");
    let out = directory.path().join("out").display().to_string();
    let port = free_port();
    let nowhere = format!("127.0.0.1:{port}");
    let run = |more: &[&str]| {
        let ran = lab(&[&["run", &file, "--out", &out, "--request", "GET /"][..], more].concat());
        assert!(!Path::new(&out).exists(), "{}", ran.stderr);
        ran
    };
    run(&[]).says(2, "without a server of your own");
    lab(&["run", &file, "--out", &out]).says(2, "nobody is to be measured");
    run(&["--server", "sleep 60"]).says(2, "--address");
    run(&["--server", "sleep 60", "--address", &nowhere, "--ready-timeout", "1"])
        .says(3, &format!("nobody listens at {nowhere} after 1 s"));
    run(&["--server", "no-such-program", "--address", &nowhere]).says(3, "starting no-such-program: No such file");
    run(&["--server", "sh -c 'echo out of luck; exit 7'", "--address", &nowhere]).says(3, "(exit code 7): out of luck");
    run(&["--server", "sleep 'unfinished", "--address", &nowhere]).says(2, "quotes do not match");
    run(&["--pid", &i32::MAX.to_string(), "--address", &nowhere]).says(3, "No such process");
    run(&["--pid", &std::process::id().to_string(), "--address", &nowhere]).says(3, "nobody listens at");
    run(&["--pid", "1", "--container", "x", "--address", &nowhere]).says(2, "cannot be used with");
    run(&["--pid", "1", "--address", "192.0.2.1:80"]).says(2, "not a loopback address");
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    run(&["--server", "sleep 60", "--address", &address]).says(3, "somebody listens at");
    lab(&["load", &nowhere, "--rate", "10", "--request", "GET"]).says(2, "a method and a path");
}

/// Somebody else's process: the lab, run as nobody, measures root's nginx as far as the kernel lets it, and says what it may not.
#[test]
fn another_users_process_is_measured_in_part() {
    assert!(rustix::process::geteuid().is_root(), "this test changes its user, which needs root");
    let nginx = Nginx::new(1_000_000);
    let outside = nginx.start();
    let directory = tempfile::tempdir().unwrap();
    let open = std::os::unix::fs::PermissionsExt::from_mode(0o777);
    std::fs::set_permissions(directory.path(), open).unwrap();
    // The build's directories may be closed to others.
    let program = directory.path().join("lab");
    std::fs::copy(LAB, &program).unwrap();
    let (out, file) = (directory.path().join("out"), scenario(directory.path(), ""));
    let mut command = Command::new(program);
    std::os::unix::process::CommandExt::gid(&mut command, 65_534);
    std::os::unix::process::CommandExt::uid(&mut command, 65_534);
    command.args(["run", &file, "--pid", &outside.0.id().to_string(), "--address", &nginx.address()]);
    let ran = Ran::of(command.args(["--request", "GET /page", "--out"]).arg(&out).output().unwrap());
    assert_eq!(ran.code, Some(0), "{}\n{}", ran.stdout, ran.stderr);
    assert_eq!(ran.stderr.matches("is not ours (we are user 65534)").count(), 1, "{}", ran.stderr);
    for row in rows(&out) {
        measured(&row);
        assert!(row["server"]["pss_bytes"].is_null(), "{row:#}");
        assert_eq!(row["pass"] == "syscalls", row["server"]["syscalls_unavailable"].is_string(), "{row:#}");
    }
}

/// A pid whose process does not listen itself is not measured for the one that does: the row fails, since replies came without
/// any CPU time of its own.
#[test]
fn the_wrong_process_is_noticed() {
    let nginx = Nginx::new(1_000_000);
    let _outside = nginx.start();
    let mut idle = Command::new("sleep").arg("60").spawn().unwrap();
    let directory = tempfile::tempdir().unwrap();
    let (out, file) = (directory.path().join("out"), scenario(directory.path(), ""));
    let ran = lab(&[
        "run",
        &file,
        "--pid",
        &idle.id().to_string(),
        "--address",
        &nginx.address(),
        "--request",
        "GET /page",
        "--out",
        &out.display().to_string(),
    ]);
    idle.kill().unwrap();
    idle.wait().unwrap();
    ran.says(4, "without any CPU time of the processes that were named");
}

/// The kernel may tell a warden of its lab's death more than once. It stays until a server that ignores the first word is gone too.
#[test]
fn a_warden_that_is_told_twice_leaves_nobody() {
    let directory = tempfile::tempdir().unwrap();
    let said = directory.path().join("pid");
    let script = format!("trap '' TERM; echo $$ > {}; while :; do sleep 0.1; done", said.display());
    let mut warden = Command::new(LAB).args(["warden", "--", "sh", "-c", &script]).spawn().unwrap();
    let pid = || -> Option<i32> { std::fs::read_to_string(&said).ok()?.trim().parse().ok() };
    eventually("the server's pid", || pid().is_some());
    for _ in 0..2 {
        kill_process(Pid::from_child(&warden), Signal::TERM).unwrap();
        std::thread::sleep(Duration::from_millis(50));
    }
    assert_eq!(warden.wait().unwrap().code(), Some(128 + 9));
    assert!(!Path::new(&format!("/proc/{}", pid().unwrap())).exists());
}

/// A server that dies while it is measured fails its trials by name; SIGKILL of the lab takes the server with it.
#[test]
fn deaths_are_noticed_and_leave_nobody() {
    let nginx = Nginx::new(1_000_000);
    let directory = tempfile::tempdir().unwrap();
    let (out, file) = (directory.path().join("out"), scenario(directory.path(), ""));
    let start = |out: &Path, seconds: &str| {
        Command::new(LAB)
            .args([
                "run",
                &file,
                "--measure",
                seconds,
                "--server",
                &nginx.command(false),
                "--address",
                &nginx.address(),
            ])
            .args(["--request", "GET /page", "--out"])
            .arg(out)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap()
    };
    let master =
        || -> Option<i32> { std::fs::read_to_string(nginx.directory.path().join("pid")).ok()?.trim().parse().ok() };
    // Both trials are cut short: the master and, told by it, the workers end.
    let mut lab = start(&out, "20");
    for trial in 1..=3 {
        eventually("the plan is written", || out.join("trials.jsonl").exists());
        eventually("nginx", || TcpStream::connect(nginx.address()).is_ok());
        // It listens a moment before it says who it is.
        eventually("nginx's pid", || master().is_some());
        kill_process(Pid::from_raw(master().unwrap()).unwrap(), Signal::TERM).unwrap();
        eventually("a row", || rows(&out).len() >= trial || lab.try_wait().unwrap().is_some());
    }
    let ran = Ran::of(lab.wait_with_output().unwrap());
    ran.says(4, "none of 2 timing trials counts");
    for row in rows(&out) {
        assert_eq!(row["status"], "failed", "{row:#}");
        assert!(row["reason"].as_str().unwrap().contains("the server ended (exit code 0)"), "{row:#}");
    }

    let killed = directory.path().join("killed");
    let mut lab = start(&killed, "20");
    eventually("the plan is written", || killed.join("trials.jsonl").exists());
    eventually("nginx", || TcpStream::connect(nginx.address()).is_ok());
    lab.kill().unwrap();
    lab.wait().unwrap();
    eventually("the end of nginx", || TcpStream::connect(nginx.address()).is_err());
    let mut rest = String::new();
    let _ = lab.stderr.take().unwrap().read_to_string(&mut rest);
}
