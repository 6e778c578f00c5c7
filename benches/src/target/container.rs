//! What Docker says of a container: whether it runs, and as which process. Through its client, which knows where the daemon
//! is (DOCKER_HOST, contexts) and works for Podman's `docker` as well.

use std::io::Read;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde::Deserialize;

/// How long the client may take; a healthy daemon answers within milliseconds.
const TIMEOUT: Duration = Duration::from_secs(20);

/// Most that is read of its answer, in bytes.
const ANSWER_BYTES: u64 = 1 << 20;

/// `.State` of `docker inspect`, as far as it matters.
#[derive(Debug, Deserialize)]
struct State {
    #[serde(rename = "Status", default)]
    status: String,
    #[serde(rename = "Running", default)]
    running: bool,
    #[serde(rename = "Pid", default)]
    pid: u32,
}

/// The first process of container `name`, as the host numbers it.
///
/// # Errors
/// A sentence: there is no client, the daemon does not answer, there is no such container, or it does not run.
pub(super) fn first_process(name: &str) -> Result<u32, String> {
    if name.starts_with('-') {
        return Err(format!("{name:?} is no container's name"));
    }
    let answer = ask(name)?;
    let state: State = serde_json::from_str(answer.trim())
        .map_err(|error| format!("container {name}: docker inspect said {answer:.200} ({error})"))?;
    match (state.running, state.pid) {
        (true, 1..) => Ok(state.pid),
        (true, 0) => Err(format!("container {name} runs on another host: Docker names no process of it here")),
        (false, _) => Err(format!("container {name} is not running (it is {}); docker start {name}", state.status)),
    }
}

fn ask(name: &str) -> Result<String, String> {
    let mut client = Command::new("docker")
        .args(["inspect", "--type", "container", "--format", "{{json .State}}", name])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|error| {
            format!("container {name}: the docker client cannot be started: {error}; apt install docker.io")
        })?;
    // Both streams are a few lines, which their pipes hold.
    let deadline = Instant::now() + TIMEOUT;
    let status = loop {
        match client.try_wait() {
            Ok(Some(status)) => break status,
            Ok(None) if Instant::now() < deadline => std::thread::sleep(Duration::from_millis(5)),
            Ok(None) | Err(_) => {
                let _ = client.kill();
                let _ = client.wait();
                return Err(format!("container {name}: docker did not answer within {} s", TIMEOUT.as_secs()));
            }
        }
    };
    let read = |stream: Option<&mut dyn Read>| {
        let mut text = String::new();
        let _ = stream.map(|stream| stream.take(ANSWER_BYTES).read_to_string(&mut text));
        text
    };
    if !status.success() {
        let said = read(client.stderr.as_mut().map(|stream| stream as &mut dyn Read));
        return Err(format!("container {name}: {}", said.lines().last().unwrap_or("docker inspect failed").trim()));
    }
    Ok(read(client.stdout.as_mut().map(|stream| stream as &mut dyn Read)))
}
