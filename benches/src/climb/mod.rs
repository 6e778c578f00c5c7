//! Hundreds of thousands of connected users: a fleet of servers and holders that climbs from plateau to plateau.
//!
//! One way: a wish and the box's limits → [`plan`] (pure) → [`namespace`] → [`fleet`] (processes) → [`ascent`] (connect,
//! verify, measure, hold, end) → [`result`] (a row a climb) → [`crate::report::climbs`]. A process holds as many connections as its
//! descriptor limit allows; the plan makes as many processes as that takes, and one of each kind where it is enough.
//!
//! `lab hold` makes one climb, a scenario with a `[climb]` table many.

pub mod ascent;
pub mod broadcast;
pub mod explain;
pub mod fleet;
pub mod forecast;
pub mod holder;
pub mod life;
pub mod memory;
pub mod meters;
pub mod namespace;
pub mod orders;
pub mod plan;
pub mod progress;
pub mod result;
pub mod scenario;
pub mod session;
pub mod window;
