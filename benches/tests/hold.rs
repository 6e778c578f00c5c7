//! `lab hold` end to end at a small count: what it prints, what it leaves, and how it ends when something dies.

#![allow(clippy::unwrap_used, reason = "a test's panic is its report")]

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal};
use serde_json::Value;

/// Users of a test's hold: enough for two plateaus' worth of slices, few enough to be quick.
const USERS: &str = "2500";

struct Place {
    directory: tempfile::TempDir,
}

impl Place {
    fn new() -> Self {
        Self { directory: tempfile::tempdir().unwrap() }
    }

    fn out(&self) -> PathBuf {
        self.directory.path().join("out")
    }

    /// `lab hold` with a lock of its own, so that tests run beside each other.
    fn lab(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_lab"));
        command.env("TMPDIR", self.directory.path()).arg("hold").args(arguments);
        command
    }

    fn hold(&self, arguments: &[&str]) -> Command {
        let mut command = self.lab(&["--profile", "dev", "--json", "--progress", "json"]);
        command.arg("--out").arg(self.out()).args(arguments);
        command
    }

    /// A hold that goes on while the test does something to it.
    fn start(&self, arguments: &[&str]) -> Child {
        self.hold(arguments).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    }

    fn rows(&self) -> Vec<Value> {
        let text = std::fs::read_to_string(self.out().join("climbs.jsonl")).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }
}

fn said(output: &Output) -> String {
    format!("{}\n{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

/// Children of `pid`, with their command lines.
fn children(pid: u32) -> Vec<(u32, String)> {
    let list = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
    let name =
        |pid: &u32| std::fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap_or_default().replace('\0', " ");
    list.split_whitespace().filter_map(|pid| pid.parse().ok()).map(|pid| (pid, name(&pid))).collect()
}

/// Waits until the progress of `lab` says that it is at `stage`; a member of its fleet named `role` then.
fn member_at(lab: &mut Child, stage: &str, role: &str) -> u32 {
    use std::io::{BufRead, BufReader};
    let mut lines = BufReader::new(lab.stderr.take().unwrap()).lines();
    // The first line comes when the server is built, for which other tests may have to be waited.
    let mut line = lines.next().expect("progress begins").unwrap();
    let deadline = Instant::now() + Duration::from_secs(120);
    while Instant::now() < deadline {
        if line.contains(&format!("\"stage\":\"{stage}")) {
            let member = children(lab.id()).into_iter().find(|(_, name)| name.contains(role));
            let pid = member.unwrap_or_else(|| panic!("no {role} among {:?}", children(lab.id()))).0;
            // What else is said must not block the lab.
            std::thread::spawn(move || lines.for_each(drop));
            return pid;
        }
        line = lines.next().expect("progress goes on").unwrap();
    }
    panic!("{stage} was not reached");
}

fn send(pid: u32, signal: Signal) {
    rustix::process::kill_process(Pid::from_raw(i32::try_from(pid).unwrap()).unwrap(), signal).unwrap();
}

fn kill(pid: u32) {
    send(pid, Signal::KILL);
}

/// Shows that every engine holds, that every user is counted on both sides, that slopes are there, and that neither a
/// process nor a socket is left.
#[test]
fn users_are_held_counted_and_let_go() {
    let place = Place::new();
    let output = place.hold(&["-c", USERS, "-e", "mio", "--hold", "1", "--probe", "0.1"]).output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    let rows = place.rows();
    let row = &rows[0];
    assert_eq!(row["status"], "ok", "{row}");
    let hold = &row["hold"];
    assert_eq!((hold["alive"].as_u64(), hold["lost"].as_u64()), (Some(2500), Some(0)), "{hold}");
    // Both ends of every connection and the listener; in a namespace of its own nobody else is counted.
    if row["namespace"].as_str().unwrap().contains("own") {
        assert_eq!(hold["tcp_sockets"], 2 * 2500 + 1, "{hold}");
        assert_eq!(row["leftovers"], serde_json::json!({"processes": 0, "tcp_sockets": 0, "time_wait": 0}), "{row}");
    }
    assert_eq!(row["accepted"], serde_json::json!([2500]), "{row}");
    let (asked, right) = (hold["probed_after"][0].as_u64(), hold["probed_after"][1].as_u64());
    assert!(asked > Some(150) && asked == right, "{hold}");
    assert_eq!(row["slopes"]["plateaus"], 6, "{row}");
    assert!(place.out().join("report.html").exists() && place.out().join("report.md").exists());
    let report = Command::new(env!("CARGO_BIN_EXE_lab")).arg("report").arg(place.out()).output().unwrap();
    assert!(String::from_utf8_lossy(&report.stdout).contains("mio held 2,500 connected users"), "{}", said(&report));
}

/// Shows that a server killed while its users are held is named with what it cost, ends with exit code 1, and leaves a row.
#[test]
fn a_dead_server_is_named() {
    let place = Place::new();
    let mut lab = place.start(&["-c", USERS, "-e", "mio", "--hold", "60"]);
    kill(member_at(&mut lab, "holding", "server-mio"));
    let output = lab.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{}", said(&output));
    let reason = place.rows()[0]["reason"].as_str().unwrap().to_owned();
    assert!(reason.contains("server 1 of 1") && reason.contains("signal 9"), "{reason}");
    assert!(reason.contains("2500 of 2500 users were lost"), "{reason}");
}

/// Shows the same for a server that dies while users connect.
#[test]
fn a_server_that_dies_early_is_named() {
    let place = Place::new();
    let mut lab = place.start(&["-c", "15000", "-e", "mio", "--hold", "60"]);
    kill(member_at(&mut lab, "connecting", "server-mio"));
    let output = lab.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{}", said(&output));
    let reason = place.rows()[0]["reason"].as_str().unwrap().to_owned();
    assert!(reason.contains("server 1 of 1") && reason.contains("signal 9"), "{reason}");
}

/// Shows that a server that dies when all is measured and the fleet ends is told too.
#[test]
fn a_server_that_dies_at_the_end_is_named() {
    let place = Place::new();
    let mut lab = place.start(&["-c", "15000", "-e", "mio", "--hold", "0"]);
    kill(member_at(&mut lab, "ending", "server-mio"));
    let output = lab.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{}", said(&output));
    let row = &place.rows()[0];
    assert!(row["reason"].as_str().unwrap().contains("ended without its counters"), "{}", row["reason"]);
    assert_eq!(row["leftovers"]["processes"], 0, "{}", row["leftovers"]);
}

/// Shows that a generator's death voids the climb (exit code 4): nothing is known of the engine then.
#[test]
fn a_dead_generator_voids_the_climb() {
    let place = Place::new();
    let mut lab = place.start(&["-c", USERS, "-e", "mio", "--hold", "60"]);
    kill(member_at(&mut lab, "holding", " holder "));
    let output = lab.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(4), "{}", said(&output));
    let row = &place.rows()[0];
    assert_eq!(row["status"], "void");
    assert!(row["reason"].as_str().unwrap().contains("holder 1 of 1"), "{row}");
    assert_eq!(row["leftovers"]["processes"], 0, "{row}");
}

/// Shows that Ctrl-C, while users come and while they are held, keeps what was measured, says so with exit code 4, and that the
/// lab's own death takes the fleet along.
#[test]
fn an_interrupted_hold_leaves_nothing_behind() {
    let ways =
        [("15000", "connecting", Signal::INT), (USERS, "holding", Signal::INT), (USERS, "holding", Signal::KILL)];
    for (users, stage, signal) in ways {
        let code = (signal == Signal::INT).then_some(4);
        let place = Place::new();
        let mut lab = place.start(&["-c", users, "-e", "mio", "--hold", "60"]);
        let server = member_at(&mut lab, stage, "server-mio");
        let fleet = children(lab.id());
        assert!(fleet.iter().any(|(pid, _)| *pid == server) && fleet.len() == 2, "{fleet:?}");
        send(lab.id(), signal);
        let output = lab.wait_with_output().unwrap();
        assert_eq!(output.status.code(), code, "{}", said(&output));
        let gone = |pid: &u32| !Path::new(&format!("/proc/{pid}/exe")).exists();
        let deadline = Instant::now() + Duration::from_secs(20);
        while !fleet.iter().all(|(pid, _)| gone(pid)) {
            assert!(Instant::now() < deadline, "still there after {signal:?}: {fleet:?}");
            std::thread::sleep(Duration::from_millis(20));
        }
        if code.is_some() {
            assert_eq!(place.rows()[0]["reason"], "interrupted");
        }
    }
}

/// Shows that a second hold at the same time is refused with the first one's pid (exit code 3).
#[test]
fn two_holds_do_not_measure_each_other() {
    let place = Place::new();
    let mut first = place.start(&["-c", "100", "-e", "mio", "--hold", "60"]);
    member_at(&mut first, "holding", "server-mio");
    let second = place.lab(&["-c", "100", "-e", "mio", "--profile", "dev"]).output().unwrap();
    assert_eq!(second.status.code(), Some(3), "{}", said(&second));
    assert!(said(&second).contains(&format!("pid {}", first.id())), "{}", said(&second));
    first.kill().unwrap();
    first.wait().unwrap();
}

/// Shows that a plan refuses more users than memory holds, with the arithmetic and a number that fits (exit code 3).
#[test]
fn too_many_users_are_refused_with_arithmetic() {
    let place = Place::new();
    let output = place.lab(&["-c", "10000000", "-e", "mio", "--plan-only"]).output().unwrap();
    assert_eq!(output.status.code(), Some(3), "{}", said(&output));
    let text = said(&output);
    assert!(text.contains("MiB are available") && text.contains("--connections "), "{text}");
    let usage = place.lab(&["-c", "100", "-e", "tokio-urin"]).output().unwrap();
    assert_eq!(usage.status.code(), Some(2), "{}", said(&usage));
    assert!(said(&usage).contains("did you mean \"tokio-uring\"?"), "{}", said(&usage));
}

/// Shows that a plan spreads users over as many processes as a low descriptor limit asks for, and holds them so.
#[test]
fn a_low_descriptor_limit_makes_more_processes() {
    let place = Place::new();
    let command = format!(
        "ulimit -n 1024 && exec {} hold --profile dev --json -c 2500 -e mio --hold 0.5 --out {}",
        env!("CARGO_BIN_EXE_lab"),
        place.out().display()
    );
    let output = Command::new("sh").env("TMPDIR", place.directory.path()).args(["-c", &command]).output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    let row = &place.rows()[0];
    assert_eq!((row["shards"].as_u64(), row["holders"].as_u64()), (Some(3), Some(3)), "{row}");
    assert_eq!(row["accepted"].as_array().unwrap().iter().filter_map(Value::as_u64).sum::<u64>(), 2500, "{row}");
}

/// Shows that users spread by hash over one port (SO_REUSEPORT) are all held too, in the host's namespace as well.
#[test]
fn one_port_for_all_servers() {
    let place = Place::new();
    let command = format!(
        "ulimit -n 1024 && exec {} hold --profile dev --json -c 2000 -e mio --hold 0.5 --spread reuseport --netns host --out {}",
        env!("CARGO_BIN_EXE_lab"),
        place.out().display()
    );
    let output = Command::new("sh").env("TMPDIR", place.directory.path()).args(["-c", &command]).output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    let row = &place.rows()[0];
    let accepted: Vec<u64> = row["accepted"].as_array().unwrap().iter().filter_map(Value::as_u64).collect();
    assert_eq!(accepted.iter().sum::<u64>(), 2000, "{row}");
    assert!(accepted.len() == 3 && accepted.iter().all(|count| *count > 400), "{accepted:?}");
}

/// A command whose process, and all that it starts, gets EPERM for `syscall`: what a container's seccomp profile does.
fn without(mut command: Command, syscall: libc::c_long) -> Command {
    use std::os::unix::process::CommandExt;
    let statement = |code: u32, jt: u8, jf: u8, k: u32| libc::sock_filter { code: code as u16, jt, jf, k };
    let number = u32::try_from(syscall).unwrap();
    let filter = [
        // seccomp_data.nr, the first word.
        statement(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, 0, 0, 0),
        statement(libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K, 0, 1, number),
        statement(libc::BPF_RET | libc::BPF_K, 0, 0, libc::SECCOMP_RET_ERRNO | libc::EPERM as u32),
        statement(libc::BPF_RET | libc::BPF_K, 0, 0, libc::SECCOMP_RET_ALLOW),
    ];
    // SAFETY: between fork and exec only prctl(2) is called, on memory that the closure owns.
    unsafe {
        command.pre_exec(move || {
            let program = libc::sock_fprog { len: 4, filter: filter.as_ptr().cast_mut() };
            let refused = libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0
                || libc::prctl(libc::PR_SET_SECCOMP, libc::SECCOMP_MODE_FILTER, &raw const program) != 0;
            if refused { Err(std::io::Error::last_os_error()) } else { Ok(()) }
        });
    }
    command
}

/// Shows that an engine whose ring a seccomp profile refuses is a row with the reason, and exit code 3.
#[test]
fn a_refused_ring_is_told() {
    let place = Place::new();
    let output =
        without(place.hold(&["-c", "100", "-e", "monoio-uring", "--hold", "0.2"]), libc::SYS_io_uring_setup).output();
    let output = output.unwrap();
    assert_eq!(output.status.code(), Some(3), "{}", said(&output));
    let row = &place.rows()[0];
    assert_eq!(row["status"], "unavailable", "{row}");
    assert!(row["reason"].as_str().unwrap().contains("io_uring"), "{row}");
}

/// Shows that without the right to make a namespace the run stays in the host's, and says what limits it there.
#[test]
fn without_a_namespace_the_host_is_used_with_a_warning() {
    let place = Place::new();
    let output = without(place.hold(&["-c", "200", "-e", "mio", "--hold", "0.2"]), libc::SYS_unshare).output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    let text = said(&output);
    assert!(text.contains("running in the host's network namespace") && text.contains("ports"), "{text}");
    assert!(place.rows()[0]["namespace"].as_str().unwrap().starts_with("the host's"), "{text}");
}

/// Shows that everybody can hold, not only root: as nobody, inside a user namespace.
#[test]
fn nobody_holds_in_a_user_namespace() {
    let place = Place::new();
    // Servers are built by whoever owns the sources.
    assert!(place.hold(&["-c", "10", "-e", "mio", "--hold", "0"]).output().unwrap().status.success());
    let server = Path::new(env!("CARGO_BIN_EXE_lab")).with_file_name("server-mio");
    let copy = |from: &Path, name: &str| std::fs::copy(from, place.directory.path().join(name)).unwrap();
    copy(Path::new(env!("CARGO_BIN_EXE_lab")), "lab");
    copy(&server, "server");
    let engines = format!(
        "[[engine]]\nname = \"mine\"\nbinary = \"{}\"\ninterface = \"epoll\"\n",
        place.directory.path().join("server").display()
    );
    std::fs::write(place.directory.path().join("engines.toml"), engines).unwrap();
    std::fs::remove_dir_all(place.out()).unwrap();
    let lock = place.directory.path().join("highload-lab.lock");
    let _ = std::fs::remove_file(lock);
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(place.directory.path(), std::fs::Permissions::from_mode(0o777)).unwrap();
    let output = Command::new("setpriv")
        .args(["--reuid", "65534", "--regid", "65534", "--clear-groups"])
        .arg(place.directory.path().join("lab"))
        .args(["hold", "-c", "500", "-e", "mine", "--hold", "0.2", "--json", "--engines"])
        .arg(place.directory.path().join("engines.toml"))
        .arg("--out")
        .arg(place.out())
        .env("TMPDIR", place.directory.path())
        .current_dir(place.directory.path())
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    let row = &place.rows()[0];
    assert_eq!(row["hold"]["alive"], 500, "{row}");
    // Where user namespaces are forbidden the host's is used; which it was is in the row.
    let namespace = row["namespace"].as_str().unwrap();
    assert!(namespace.contains("user namespace") || namespace.starts_with("the host's"), "{namespace}");
}

/// Shows every engine of the built-in file through a climb with its life: chatter, slow readers, churn, vanished peers and a
/// storm, every reply checked, and an event that each of them is told.
#[test]
fn every_engine_climbs_and_lives() {
    let place = Place::new();
    let scenario = place.directory.path().join("smoke.toml");
    let engines = lab::engines::Engines::load(None).unwrap();
    let names: Vec<String> =
        engines.all().filter(|engine| !engine.name.contains('+')).map(|engine| format!("{:?}", engine.name)).collect();
    let text = include_str!("../scenarios/life.toml")
        .lines()
        .map(|line| match line.split(' ').next() {
            Some("engines") => format!("engines = [{}]", names.join(", ")),
            Some("users") => "users = [100, 200, 300, 400, 500]".to_owned(),
            Some("per_second") => "per_second = 100.0".to_owned(),
            Some("seconds") => "seconds = 0.5".to_owned(),
            Some("measure_seconds") => "measure_seconds = 0.3".to_owned(),
            Some("active_shares") => "active_shares = [0.2]".to_owned(),
            Some("requests_per_active_user") => "requests_per_active_user = 10.0".to_owned(),
            Some("hold_seconds") => "hold_seconds = 0.1".to_owned(),
            Some("share") => "share = 0.1".to_owned(),
            Some("times") => "times = 2".to_owned(),
            _ => line.to_owned(),
        })
        .collect::<Vec<_>>()
        .join("\n");
    std::fs::write(&scenario, text).unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_lab"))
        .env("TMPDIR", place.directory.path())
        .args(["run", "--profile", "dev", "--json"])
        .arg(&scenario)
        .arg("--out")
        .arg(place.out())
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    let rows = place.rows();
    assert_eq!(rows.len(), names.len());
    for row in rows {
        assert_eq!(row["status"], "ok", "{}: {}", row["engine"], row["reason"]);
        let life: Vec<&str> = row["life"].as_array().unwrap().iter().filter_map(|life| life["kind"].as_str()).collect();
        assert_eq!(life, ["slow-readers", "churn", "vanish", "storm", "broadcast"]);
        let told = &row["life"][4];
        // 500 users, whoever vanished before included: they have come back.
        assert_eq!(
            (&told["affected"], &told["asked"], &told["right"]),
            (&500.into(), &1000.into(), &1000.into()),
            "{told}"
        );
        assert_eq!(row["plateaus"].as_array().unwrap().len(), 6);
        let window = &row["plateaus"][5]["windows"][0];
        assert!(window["completed"].as_u64() > Some(50), "{window}");
    }
}

/// Shows one event to all users at every plateau, in both protocols, serialised once and for each, on an engine of each kind.
#[test]
fn everybody_is_told() {
    let place = Place::new();
    let scenario = place.directory.path().join("told.toml");
    let shipped = include_str!("../scenarios/broadcast.toml");
    std::fs::write(&scenario, shipped.replace("times = 4", "times = 2")).unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_lab"))
        .env("TMPDIR", place.directory.path())
        .args(["run", "--profile", "dev", "--json", "--users", "150,300", "--only", "mio,tokio,ring"])
        .arg(&scenario)
        .arg("--out")
        .arg(place.out())
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    let rows = place.rows();
    assert_eq!(rows.len(), 3 * 2);
    for row in rows {
        assert_eq!(row["status"], "ok", "{}: {}", row["engine"], row["reason"]);
        for (plateau, users) in [(1, 150), (2, 300)] {
            let life = row["plateaus"][plateau]["life"].as_array().unwrap();
            let kinds: Vec<&str> = life.iter().filter_map(|told| told["broadcast"]["serialise"].as_str()).collect();
            assert_eq!(kinds, ["once", "each"]);
            for told in life {
                let deliveries = (&told["affected"], &told["asked"], &told["right"]);
                assert_eq!(deliveries, (&users.into(), &(2 * users).into(), &(2 * users).into()), "{told}");
                assert!(told["verdict"].is_null(), "{told}");
                let told = &told["broadcast"];
                // JSON: 128 bytes of text, two times, a number, and the framing.
                let wire = told["wire_bytes"].as_f64().unwrap();
                assert!((200.0..300.0).contains(&wire), "{told}");
                // First and last are of a typical event, the distribution is of all: a median of two events may lie
                // on either side of the median of all deliveries, never beyond the slowest.
                let [first, last, middle, slowest] = ["/first_us", "/last_us", "/delivery/p50_us", "/delivery/max_us"]
                    .map(|field| told.pointer(field).and_then(Value::as_f64).unwrap());
                assert!(0.0 < first && first <= last && last <= slowest, "{told}");
                assert!(0.0 < middle && middle <= slowest, "{told}");
                // Where they can be counted: an epoll engine makes one for each delivery, a ring a fraction.
                if let Some(syscalls) = told["syscalls"].as_f64() {
                    let most = if row["interface"] == "epoll" { 1.0..3.0 } else { 0.0..0.9 };
                    assert!(most.contains(&syscalls), "{} {told}", row["engine"]);
                }
            }
        }
    }
    let report = std::fs::read_to_string(place.out().join("report.md")).unwrap();
    assert!(report.contains("One event told to all users") && report.contains("128 B, each"), "{report}");
    let page = std::fs::read_to_string(place.out().join("report.html")).unwrap();
    assert!(page.contains("Server CPU per delivery"));
}

/// Shows that a user who hears nothing, something else, or the same again fails the engine, with a sentence that says so.
#[test]
fn a_wrong_event_is_found() {
    for (fault, wanted) in [
        ("tell-none:7", "1 of 20 deliveries were wrong or did not come"),
        ("tell-wrong:7", "the event: differs from byte"),
        // When the second copy is seen is a matter of timing; that its user is lost is not.
        ("tell-twice:7", "1 of 40 deliveries were wrong or did not come"),
    ] {
        let place = Place::new();
        let server = Path::new(env!("CARGO_BIN_EXE_lab")).with_file_name("examples").join("faulty_server");
        let engines = format!(
            "[[engine]]\nname = \"faulty\"\nbinary = {:?}\nargs = [{fault:?}]\ninterface = \"epoll\"\n",
            server.display().to_string()
        );
        std::fs::write(place.directory.path().join("engines.toml"), engines).unwrap();
        let times = if fault.starts_with("tell-none") { 1 } else { 2 };
        let scenario = format!(
            "name = \"told\"\nquestion = \"Is it noticed?\"\nengines = [\"faulty\"]\nprotocols = [\"frame\"]\nformats = [\"raw\"]\n\
             [workload]\nservice = \"echo\"\npayload_bytes = 64\n\
             [climb]\nusers = [20]\ntimeout_seconds = 1.0\n\
             [[climb.life]]\nkind = \"broadcast\"\nbytes = 32\nserialise = \"once\"\ntimes = {times}\n\
             [rounds]\nsyscalls = false\n"
        );
        std::fs::write(place.directory.path().join("scenario.toml"), scenario).unwrap();
        let output = Command::new(env!("CARGO_BIN_EXE_lab"))
            .env("TMPDIR", place.directory.path())
            .arg("run")
            .arg(place.directory.path().join("scenario.toml"))
            .arg("--engines")
            .arg(place.directory.path().join("engines.toml"))
            .arg("--out")
            .arg(place.out())
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(1), "{fault}: {}", said(&output));
        let reason = place.rows()[0]["reason"].as_str().unwrap().to_owned();
        assert!(reason.contains("broadcast") && reason.contains(wanted), "{fault}: {reason}");
    }
}

/// The agent's program: beside the lab's when the workspace was built as a whole, built now otherwise.
fn agent() -> PathBuf {
    let path = Path::new(env!("CARGO_BIN_EXE_lab")).with_file_name("highload-agent");
    if !path.exists() {
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let built = Command::new(cargo).args(["build", "--quiet", "--locked", "--package", "highload-agent"]).status();
        assert!(built.unwrap().success());
    }
    path
}

/// The agent's page, or nothing while it cannot be had.
fn page(address: &str) -> String {
    use std::io::{Read, Write};
    let mut answer = Vec::new();
    let _ = std::net::TcpStream::connect(address).and_then(|mut stream| {
        stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")?;
        stream.read_to_end(&mut answer)
    });
    String::from_utf8_lossy(&answer).into_owned()
}

/// Shows that the agent, which lives in the host's network namespace, counts the same users as the lab holds in its own.
#[test]
fn the_agent_counts_the_same_users() {
    use std::io::{BufRead, BufReader};
    let place = Place::new();
    let mut lab = place.start(&["-c", USERS, "-e", "mio", "--hold", "90"]);
    member_at(&mut lab, "holding", "server-mio");
    let mut agent = Command::new(agent())
        .arg("--web.listen-address=127.0.0.1:0")
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut log = BufReader::new(agent.stderr.take().unwrap()).lines();
    let serving = log.find_map(|line| Some(line.unwrap().split_once("serving http://")?.1.to_owned())).unwrap();
    let address = serving.split('/').next().unwrap().to_owned();
    std::thread::spawn(move || log.for_each(drop));
    // The census goes at its own pace; the page says how old it is.
    let deadline = Instant::now() + Duration::from_secs(80);
    let seen = loop {
        let page = page(&address);
        let users = page.lines().find(|line| {
            line.starts_with("highload_connected_users{") && line.contains("netns=") && line.ends_with("} 2500")
        });
        if let Some(users) = users {
            break users.to_owned();
        }
        assert!(Instant::now() < deadline, "not counted: {page}");
        std::thread::sleep(Duration::from_millis(250));
    };
    assert!(seen.contains("port="), "{seen}");
    agent.kill().unwrap();
    agent.wait().unwrap();
    send(lab.id(), Signal::INT);
    assert_eq!(lab.wait().unwrap().code(), Some(4));
}
