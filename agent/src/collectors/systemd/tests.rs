//! Against a real dbus-daemon, on which the test owns systemd's name and answers for it.

use std::io::{BufRead, BufReader};
use std::os::unix::net::UnixListener;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use futures_util::StreamExt;
use hostfs::Roots;
use zbus::message::Type;
use zbus::{Connection, MessageStream};
use zbus::{ObjectPath, Variant};

use super::*;

/// A bus of its own, ended with the test.
struct Bus {
    daemon: Child,
    address: String,
    _directory: tempfile::TempDir,
}

impl Bus {
    fn start() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let address = format!("unix:path={}", directory.path().join("bus").display());
        let mut daemon = Command::new("dbus-daemon")
            .args(["--session", "--nofork", "--nopidfile", "--print-address", "--address", &address])
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("dbus-daemon");
        let mut line = String::new();
        BufReader::new(daemon.stdout.take().unwrap()).read_line(&mut line).unwrap();
        Self { daemon, address: line.trim().to_owned(), _directory: directory }
    }
}

impl Drop for Bus {
    fn drop(&mut self) {
        self.daemon.kill().unwrap();
        self.daemon.wait().unwrap();
    }
}

fn root() -> ObjectPath<'static> {
    ObjectPath::from_static_str("/").unwrap()
}

/// Units as ListUnits tells them; the object path is the position.
const UNITS: [(&str, &str, &str); 8] = [
    ("web.service", "loaded", "active"),
    ("batch.service", "loaded", "failed"),
    ("nightly.timer", "loaded", "active"),
    ("ssh.socket", "loaded", "active"),
    ("old.socket", "loaded", "inactive"),
    ("home.mount", "loaded", "active"),
    ("gone.service", "not-found", "inactive"),
    ("a.target", "loaded", "reloading"),
];

fn property(path: &str, name: &str) -> Option<Variant<'static>> {
    Some(match (path, name) {
        (_, "Version") => "252.39-1~deb12u1".into(),
        (_, "Virtualization") => "".into(),
        (_, "SystemState") => "degraded".into(),
        ("/u/0", "Type") => "notify".into(),
        ("/u/1", "Type") => "oneshot".into(),
        ("/u/0", "NRestarts") => 3_u32.into(),
        ("/u/0", "TasksCurrent") => 12_u64.into(),
        ("/u/0", "TasksMax") => 4915_u64.into(),
        ("/u/1", "TasksCurrent" | "TasksMax") => u64::MAX.into(),
        ("/u/0", "ActiveEnterTimestamp") => 1_700_000_000_250_000_u64.into(),
        ("/u/2", "LastTriggerUSec") => 1_700_000_100_500_000_u64.into(),
        ("/u/3", "NAccepted") => 7_u32.into(),
        ("/u/3", "NConnections") => 2_u32.into(),
        ("/u/3", "NRefused") => 1_u32.into(),
        _ => return None,
    })
}

/// Answers as systemd does until the test's runtime goes.
async fn answer(bus: Connection) {
    let mut messages = MessageStream::from(&bus);
    while let Some(Ok(message)) = messages.next().await {
        if message.message_type() != Type::MethodCall {
            continue;
        }
        let header = message.header();
        let member = header.member().map(|member| member.to_string()).unwrap_or_default();
        if member == "ListUnits" {
            let listed: Vec<_> = UNITS
                .iter()
                .enumerate()
                .map(|(index, (name, loaded, active))| {
                    let path = ObjectPath::try_from(format!("/u/{index}")).unwrap();
                    (*name, "", *loaded, *active, "", "", path, 0_u32, "", root())
                })
                .collect();
            bus.reply(&header, &listed).await.unwrap();
            continue;
        }
        let body = message.body();
        let (_, name): (&str, &str) = body.deserialize().unwrap();
        match property(header.path().unwrap().as_str(), name) {
            Some(value) => bus.reply(&header, &value).await.unwrap(),
            None => bus.reply_error(&header, "org.freedesktop.DBus.Error.UnknownProperty", &"no").await.unwrap(),
        }
    }
}

fn collector(address: &str) -> Systemd {
    let mut setup = Setup::new(Roots::below(std::path::Path::new("/nonexistent")));
    for flag in [RESTART_METRICS, START_TIME_METRICS, TASK_METRICS] {
        setup.give(flag, "true").unwrap();
    }
    systemd(&setup, address.to_owned()).unwrap()
}

/// Every metric, the filter, and what a unit without a property leaves out.
#[test]
fn scripted_manager() {
    let bus = Bus::start();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let peer = runtime.block_on(async {
        let peer = zbus::connection::Builder::address(bus.address.as_str()).build().await.unwrap();
        peer.request_name("org.freedesktop.systemd1").await.unwrap();
        peer
    });
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let peer = std::thread::spawn(move || {
        runtime.block_on(async {
            tokio::select! { () = answer(peer) => {}, _ = stopped => {} }
        });
    });
    let mut page = Page::default();
    let result = collector(&bus.address).collect(&mut page);
    drop(stop);
    peer.join().unwrap();
    result.unwrap();
    let text = String::from_utf8(page.as_bytes().to_vec()).unwrap();
    let lines: Vec<&str> = text.lines().filter(|line| !line.starts_with('#') && !line.ends_with(" 0")).collect();
    let expected = r#"node_systemd_version{version="252.39-1~deb12u1"} 252.39
node_systemd_virtualization_info{virtualization_type="none"} 1
node_systemd_units{state="active"} 4
node_systemd_units{state="inactive"} 2
node_systemd_units{state="failed"} 1
node_systemd_units{state="reloading"} 1
node_systemd_unit_state{name="web.service",state="active",type="notify"} 1
node_systemd_unit_state{name="batch.service",state="failed",type="oneshot"} 1
node_systemd_unit_state{name="nightly.timer",state="active",type=""} 1
node_systemd_unit_state{name="ssh.socket",state="active",type=""} 1
node_systemd_unit_state{name="old.socket",state="inactive",type=""} 1
node_systemd_service_restart_total{name="web.service"} 3
node_systemd_unit_start_time_seconds{name="web.service"} 1700000000.25
node_systemd_unit_tasks_current{name="web.service"} 12
node_systemd_unit_tasks_max{name="web.service"} 4915
node_systemd_timer_last_trigger_seconds{name="nightly.timer"} 1700000100.5
node_systemd_socket_accepted_connections_total{name="ssh.socket"} 7
node_systemd_socket_current_connections{name="ssh.socket"} 2
node_systemd_socket_refused_connections_total{name="ssh.socket"} 1"#;
    let mut sorted: Vec<&str> = expected.lines().collect();
    let mut lines_sorted = lines.clone();
    sorted.sort_unstable();
    lines_sorted.sort_unstable();
    pretty(&lines_sorted, &sorted);
    assert!(text.contains(r#"node_systemd_unit_state{name="a.target",state="active",type=""} 0"#));
    assert!(text.contains("node_systemd_system_running 0\n"));
    assert!(text.contains(r#"node_systemd_unit_start_time_seconds{name="batch.service"} 0"#));
    assert!(!text.contains("home.mount") && !text.contains("gone.service"));
}

fn pretty(lines: &[&str], expected: &[&str]) {
    for (line, expected) in lines.iter().zip(expected) {
        assert!(same(line, expected), "{line} is not {expected}");
    }
    assert_eq!(lines.len(), expected.len(), "{lines:#?}");
}

/// Values may be written as Go writes them, with an exponent.
fn same(line: &str, expected: &str) -> bool {
    let (name, value) = line.rsplit_once(' ').unwrap();
    let (expected_name, expected) = expected.rsplit_once(' ').unwrap();
    name == expected_name && value.parse::<f64>().unwrap() == expected.parse::<f64>().unwrap()
}

/// No bus, a bus without systemd, and one that accepts and says nothing: an error, in bounded time.
#[test]
fn absent_and_silent() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("bus");
    let address = format!("unix:path={}", path.display());
    let mut page = Page::default();
    assert!(matches!(collector(&address).collect(&mut page), Err(Failure::Broken(_))));
    let bus = Bus::start();
    assert!(matches!(collector(&bus.address).collect(&mut page), Err(Failure::Broken(_))));
    let _listener = UnixListener::bind(&path).unwrap();
    let start = Instant::now();
    let result = collector(&address).collect(&mut page);
    assert!(matches!(result, Err(Failure::Broken(_))), "{result:?}");
    assert!(start.elapsed() < Duration::from_secs(10));
    assert!(page.as_bytes().is_empty());
}
