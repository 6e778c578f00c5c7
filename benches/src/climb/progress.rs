//! How far a climb is: a live line on a terminal, JSON lines on request, nothing otherwise.

use std::io::{IsTerminal, Write};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde_json::json;

use super::ascent::Moment;
use crate::host::Files;

/// How progress is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Show {
    /// A live line if stderr is a terminal
    Auto,
    /// JSON lines on stderr, four a second
    Json,
    /// Nothing
    None,
}

/// Between two JSON lines of the same stage.
const PACE: Duration = Duration::from_millis(250);

/// Shows moments.
pub struct Progress {
    show: Show,
    bar: ProgressBar,
    last: Option<(String, Instant)>,
    available: Option<u64>,
}

impl Progress {
    /// Nothing shown yet. What the box's memory was at the start is what later readings are compared with.
    pub fn new(show: Show) -> Self {
        let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::hidden());
        if show == Show::Auto && std::io::stderr().is_terminal() {
            bar.set_draw_target(ProgressDrawTarget::stderr());
        }
        bar.set_style(ProgressStyle::with_template("{bar:30} {elapsed} {wide_msg}").expect("the template is right"));
        Self { show, bar, last: None, available: Files::default().memory("MemAvailable") }
    }

    /// Shows where the climb is.
    pub fn tell(&mut self, moment: &Moment) {
        let now = Instant::now();
        if self.last.as_ref().is_some_and(|(stage, at)| *stage == moment.stage && now - *at < PACE) {
            return;
        }
        self.last = Some((moment.stage.clone(), now));
        let taken = self.available.zip(Files::default().memory("MemAvailable"));
        let bytes = taken.map(|(before, after)| before.saturating_sub(after));
        let left = f64::from(moment.users - moment.connected.min(moment.users));
        let eta = (moment.rate > 0.0).then(|| left / moment.rate);
        if self.show == Show::Json {
            let line = json!({
                "stage": moment.stage, "connected": moment.connected, "users": moment.users,
                "connections_per_second": moment.rate.round(), "memory_bytes": bytes, "seconds_left": eta,
            });
            // Progress is for whoever reads it; a reader that left is no reason to stop.
            let _ = writeln!(std::io::stderr(), "{line}");
            return;
        }
        self.bar.set_length(moment.users.into());
        self.bar.set_position(moment.connected.into());
        let rate = if moment.rate > 0.0 { format!(", {:.0}/s", moment.rate) } else { String::new() };
        let memory =
            bytes.map_or_else(String::new, |bytes| format!(", {:.2} GiB taken", bytes as f64 / f64::from(1 << 30)));
        let eta =
            eta.filter(|_| moment.stage == "connecting").map_or_else(String::new, |left| format!(", {left:.0} s left"));
        self.bar.set_message(format!(
            "{}: {} of {} users{rate}{memory}{eta}",
            moment.stage, moment.connected, moment.users
        ));
        self.bar.tick();
    }

    /// Clears the line.
    pub fn finish(&self) {
        self.bar.finish_and_clear();
    }
}
