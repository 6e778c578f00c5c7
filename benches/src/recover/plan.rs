//! Which stories are told, and the load of each. Pure.

use super::result::Story;

/// Offered load in units of the limit.
const BELOW: f64 = 0.8;
const HALF_AGAIN: f64 = 1.5;
const TWICE: f64 = 2.0;
const HALF: f64 = 0.5;

/// Seconds before each story that are offered and not scored: connections warm, pools filled.
const WARM_UP_SECONDS: f64 = 1.0;

/// Name of the phase from whose beginning recovery counts.
pub const BACK: &str = "back";

/// A stretch of constant load.
#[derive(Clone, Debug, PartialEq)]
pub struct PlannedPhase {
    /// Its name.
    pub name: &'static str,
    /// Load in units of the limit.
    pub factor: f64,
    /// Length.
    pub seconds: f64,
    /// Whether it begins with a storm.
    pub storm: bool,
}

/// What a server is given and what its users do.
#[derive(Clone, Debug, PartialEq)]
pub struct Telling {
    /// What is told.
    pub story: Story,
    /// `--limit-requests`.
    pub limiter: Option<String>,
    /// Whether connections are limited to those of the users.
    pub limits_connections: bool,
    /// How often users try again.
    pub retries: u32,
    /// The load.
    pub phases: Vec<PlannedPhase>,
}

/// What was asked for.
#[derive(Clone, Debug)]
pub struct Wish {
    /// `--limit-requests` of the stories with a limiter.
    pub limiters: Vec<String>,
    /// Further tries of users who try again; 0 leaves those stories out.
    pub retries: u32,
    /// Seconds of each phase above and below the limit.
    pub phase_seconds: f64,
    /// Seconds of watching how it comes back.
    pub recovery_seconds: f64,
    /// Whether storms are told.
    pub storms: bool,
}

fn phase(name: &'static str, factor: f64, seconds: f64) -> PlannedPhase {
    PlannedPhase { name, factor, seconds, storm: false }
}

/// Every story of one engine, in order: the price first, then without and with limiters, then the storm.
pub fn tellings(wish: &Wish) -> Vec<Telling> {
    let mut all = Vec::new();
    let price = vec![phase("warm-up", HALF, WARM_UP_SECONDS), phase("half", HALF, wish.phase_seconds)];
    for limiter in [None, Some("fixed:0".to_owned())] {
        let (story, phases) = (Story::Price, price.clone());
        all.push(Telling { story, limiter, limits_connections: false, retries: 0, phases });
    }
    let overload = vec![
        phase("warm-up", BELOW, WARM_UP_SECONDS),
        phase("below", BELOW, wish.phase_seconds),
        phase("1.5x", HALF_AGAIN, wish.phase_seconds),
        phase("2x", TWICE, wish.phase_seconds),
        phase(BACK, BELOW, wish.recovery_seconds),
    ];
    let limiters = std::iter::once(None).chain(wish.limiters.iter().cloned().map(Some));
    for limiter in limiters {
        for retries in [0, wish.retries] {
            let phases = overload.clone();
            let telling = Telling {
                story: Story::Overload,
                limiter: limiter.clone(),
                limits_connections: false,
                retries,
                phases,
            };
            if !all.contains(&telling) {
                all.push(telling);
            }
        }
    }
    if wish.storms {
        let phases = vec![
            phase("warm-up", BELOW, WARM_UP_SECONDS),
            phase("below", BELOW, wish.phase_seconds),
            PlannedPhase { storm: true, ..phase(BACK, BELOW, wish.recovery_seconds) },
        ];
        let limiter = wish.limiters.first().cloned();
        all.push(Telling { story: Story::Storm, limiter, limits_connections: true, retries: wish.retries, phases });
    }
    all
}

/// Seconds of load of all `tellings`.
pub fn seconds(tellings: &[Telling]) -> f64 {
    tellings.iter().flat_map(|telling| &telling.phases).map(|phase| phase.seconds).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Shows which stories are told, and that none is told twice when users do not try again.
    #[test]
    fn stories() {
        let mut wish = Wish {
            limiters: vec!["fixed:16".to_owned(), "vegas".to_owned()],
            retries: 3,
            phase_seconds: 2.0,
            recovery_seconds: 6.0,
            storms: true,
        };
        let stories = |wish: &Wish| {
            tellings(wish)
                .into_iter()
                .map(|telling| (telling.story, telling.limiter.unwrap_or_default(), telling.retries))
                .collect::<Vec<_>>()
        };
        let told = stories(&wish);
        assert_eq!(told.len(), 2 + 6 + 1);
        assert_eq!(told[1], (Story::Price, "fixed:0".to_owned(), 0));
        assert_eq!(told[8], (Story::Storm, "fixed:16".to_owned(), 3));
        wish.retries = 0;
        wish.storms = false;
        assert_eq!(stories(&wish).len(), 2 + 3);
        assert_eq!(seconds(&tellings(&wish)), 2.0 * 3.0 + 3.0 * (1.0 + 3.0 * 2.0 + 6.0));
    }
}
