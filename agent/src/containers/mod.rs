//! What the container collectors share: names from engines, and the census of processes and sockets.
//!
//! cgroups come first. `hostfs` finds containers and their figures without asking anybody; a container engine (Docker,
//! Podman) only adds name, image and labels. So when an engine is down, every figure goes on under the last-known names.
//!
//! Two threads run beside the scrapes, each started when the first collector asks for it:
//!
//! * `engines` ([`engine`]) keeps [`Names`] fresh from the engines' event streams;
//! * `census` ([`census`]) walks processes, descriptors, sockets and rings at its own pace.
//!
//! A scrape takes what they last said and never waits for them, except the very first one, for a moment.

mod bundle;
pub mod census;
pub mod engine;
mod labels;
mod names;
mod transport;

use std::sync::{Arc, OnceLock};
use std::time::Duration;

pub use labels::{BaseLabels, Policy};
pub use names::{Decoration, Dropped, Names, Oom};

use census::Census;

/// How long the first scrape waits for the first answers, so that `highload-agent once` shows names and counts.
///
/// Below the deadline of a scrape, and what a census of an ordinary host takes on a box that is busy with other things.
pub const FIRST_WAIT: Duration = Duration::from_secs(2);

/// State that several collectors of one [`crate::flags::Setup`] share.
#[derive(Debug, Default)]
pub struct Shared {
    names: OnceLock<Arc<Names>>,
    census: OnceLock<Arc<Census>>,
}

impl Shared {
    /// Names of containers; `make` starts what keeps them fresh, once.
    pub fn names(&self, make: impl FnOnce() -> Arc<Names>) -> Arc<Names> {
        self.names.get_or_init(make).clone()
    }

    /// Names, if a collector has asked for them.
    pub fn known_names(&self) -> Option<&Arc<Names>> {
        self.names.get()
    }

    /// The census; `make` starts its thread, once.
    pub fn census(&self, make: impl FnOnce() -> Arc<Census>) -> Arc<Census> {
        self.census.get_or_init(make).clone()
    }
}
