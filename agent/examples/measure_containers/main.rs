//! Measures what the container half costs: `measure_containers curve|sockets|docker|census [SCRAPES [FLAG…]]`.
//!
//! * `curve`: an agent with 0 to 500 plain cgroups that look like containers, and the line through what its scrapes cost.
//! * `docker`: an agent with 100 containers of a Docker daemon of its own (docker.io, busybox-static, iproute2): cost, seconds
//!   until the page is right after a start, a rename and a removal, cost of 100 containers that come and go, and the
//!   daemon killed and restarted under load.
//! * `sockets`: 10,000, 100,000 and 500,000 sockets in a namespace of their own: the census's time, CPU and count against
//!   the kernel's, and scrapes meanwhile.
//! * `census`: one census of what the host holds now.
//!
//! All need root. Build first, all with one profile:
//! `cargo build --profile measured -p highload-agent --bin highload-agent --example measure_containers --example hold_sockets`.
//! What is made (cgroups, containers, sockets) is removed at the end.

#![allow(clippy::unwrap_used, unreachable_pub, reason = "helpers of tests panic as tests do")]

mod agent;
mod docker;
#[path = "../../tests/support/dockerd.rs"]
#[allow(dead_code, reason = "the tests use more of it")]
mod dockerd;
mod groups;
mod sockets;

use anyhow::{Context, bail};

/// Scrapes that are measured unless said otherwise.
const SCRAPES: usize = 100;

fn main() -> anyhow::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let (scrapes, flags) = match words.get(1) {
        Some(text) => (text.parse().context("SCRAPES is a number")?, &words[2..]),
        None => (SCRAPES, &[][..]),
    };
    match words.first() {
        Some(&"curve") => groups::curve(scrapes, flags),
        Some(&"docker") => docker::measure(scrapes, flags),
        Some(&"sockets") => sockets::steps(),
        Some(&"census") => sockets::once(),
        _ => bail!("usage: measure_containers curve|docker|sockets|census [SCRAPES [FLAG...]]"),
    }
}
