//! The cost sheet: what an idle user, a message and a handshake cost on an engine, and how many users that is for a core, a
//! gigabyte and a gigabit per second.
//!
//! A climb at small plateaus measures all three: slopes give the memory of an idle user, a load at the top the cost of a message, and
//! users who come and go that of a handshake. [`sheet`] does the arithmetic from the rows alone, so that another rate per user needs
//! no new measurement; [`table`] shows it.

pub mod sheet;
pub mod table;

use std::time::Duration;

use crate::climb::ascent::Ascent;
use crate::climb::life::Part;
use crate::climb::window::Chatter;
use crate::scenario::VoidsPart;

/// Users who come and go a second: far below what one holder can do one after the other, so that they do come at that rate.
const HANDSHAKES_PER_SECOND: f64 = 1_000.0;

/// Plateaus of the climb, the empty one not counted: a slope needs five readings.
const PLATEAUS: u32 = 5;

/// How much is measured.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Effort {
    /// Users at the top.
    pub users: u32,
    /// Messages a second, over all of them.
    pub rate: f64,
    /// Seconds of messages, and of handshakes.
    pub seconds: f64,
    /// Seed of arrivals and probes.
    pub seed: u64,
}

/// The climb that measures a row of the sheet.
pub fn ascent(effort: &Effort) -> Ascent {
    let measure = Duration::from_secs_f64(effort.seconds);
    let chatter = Chatter {
        // Everybody says little, as users do: few who say much would stay in every cache.
        active_share: 1.0,
        requests_per_active_user: effort.rate / f64::from(effort.users),
        arrivals: "poisson".to_owned(),
        in_flight: 1,
        warmup: Duration::from_millis(300),
        measure,
    };
    Ascent {
        plateaus: (1..=PLATEAUS).map(|step| (effort.users / PLATEAUS).max(1) * step).collect(),
        chatter: vec![chatter],
        chatter_at_top_only: true,
        hold: Duration::ZERO,
        probe_share: 0.01,
        voids: VoidsPart::default(),
        life: vec![Part::Churn { per_second: HANDSHAKES_PER_SECOND, seconds: effort.seconds }],
        life_at_every_plateau: false,
        syscalls: true,
        seed: effort.seed,
    }
}
