//! Counts to figures. Pure.

use super::plan::BACK;
use super::result::{Phase, Price, Score, TICK_SECONDS, Tick};

/// Share of the wishes that must be answered in time for goodput to be back.
const BACK_SHARE: f64 = 0.9;

/// Ticks over which that is looked at: half a second.
const WINDOW: usize = 5;

/// How an overload of `limit` requests per second went; `None` when phases are missing.
pub fn overload(phases: &[Phase], ticks: &[Tick], limit: f64) -> Option<Score> {
    let named = |name: &str| phases.iter().find(|phase| phase.name == name);
    let (above, twice, back) = (named("1.5x")?, named("2x")?, named(BACK)?);
    let goodput = |phase: &Phase| phase.good as f64 / phase.seconds.max(TICK_SECONDS) / limit;
    let recovery = recovery(back, ticks);
    let answered = twice.good + twice.wasted;
    Some(Score {
        goodput_at_1_5: goodput(above),
        goodput_at_2: goodput(twice),
        accepted_p99_us: twice.accepted.p99_us,
        wasted_share: if answered == 0 { 0.0 } else { twice.wasted as f64 / answered as f64 },
        recovery_seconds: recovery,
        metastable: recovery.is_none(),
    })
}

/// Seconds from the beginning of `phase` until from then on every half second's wishes are answered in time; `None` when
/// the last half second's are not.
pub fn recovery(phase: &Phase, ticks: &[Tick]) -> Option<f64> {
    let place = |seconds: f64| (seconds / TICK_SECONDS).round() as usize;
    let first = place(phase.begins_seconds).min(ticks.len());
    let last = place(phase.begins_seconds + phase.seconds).min(ticks.len());
    let ticks = &ticks[first..last];
    let window = WINDOW.min(ticks.len()).max(1);
    let is_back = |ticks: &[Tick]| {
        let sum = |of: fn(&Tick) -> u64| ticks.iter().map(of).sum::<u64>() as f64;
        sum(|tick| tick.good) >= sum(|tick| tick.due) * BACK_SHARE
    };
    let windows: Vec<bool> = ticks.windows(window).map(is_back).collect();
    let failing = windows.iter().rposition(|is_back| !is_back);
    match failing {
        _ if windows.is_empty() => None,
        None => Some(0.0),
        Some(last) if last + 1 == windows.len() => None,
        Some(last) => Some((last + 1) as f64 * TICK_SECONDS),
    }
}

/// What serving and refusing cost, from a phase in which all was served and one in which all was refused; `None` when either
/// was not so.
pub fn price(served: &Phase, refused: &Phase) -> Option<Price> {
    let per = |phase: &Phase, count: u64| phase.server_cpu_us / count as f64;
    if served.good == 0 || served.refused > 0 || refused.refused == 0 || refused.good > 0 {
        return None;
    }
    let (served_us, refused_us) = (per(served, served.good + served.wasted), per(refused, refused.refused));
    Some(Price { served_us, refused_us, ratio: refused_us / served_us })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn phase(name: &str, begins_seconds: f64, seconds: f64, good: u64) -> Phase {
        Phase { name: name.to_owned(), begins_seconds, seconds, good, ..Phase::default() }
    }

    fn ticks(of: &[(usize, u64)]) -> Vec<Tick> {
        let tick = |good: u64| Tick { due: 100, good, ..Tick::default() };
        of.iter().flat_map(|(count, good)| std::iter::repeat_n(tick(*good), *count)).collect()
    }

    /// Shows recovery at once, after a while, in waves, and never.
    #[test]
    fn recoveries() {
        let back = phase(BACK, 1.0, 3.0, 0);
        let of = |shape: &[(usize, u64)]| recovery(&back, &ticks(shape));
        assert_eq!(of(&[(10, 0), (30, 100)]), Some(0.0));
        let after = of(&[(10, 100), (10, 0), (20, 100)]).unwrap();
        assert!((0.9..=1.1).contains(&after), "{after}");
        let in_waves = of(&[(10, 0), (10, 100), (5, 20), (15, 100)]).unwrap();
        assert!((1.3..=1.6).contains(&in_waves), "{in_waves}");
        assert_eq!(of(&[(10, 100), (20, 100), (10, 30)]), None);
        assert_eq!(of(&[(10, 100)]), None, "the phase was never reached");
        assert_eq!(of(&[]), None);
    }

    /// Shows goodput in units of the limit, and an overload that outlives its cause.
    #[test]
    fn overloads() {
        let mut twice = phase("2x", 2.0, 1.0, 900);
        twice.wasted = 100;
        let phases = [phase("1.5x", 1.0, 1.0, 950), twice, phase(BACK, 3.0, 1.0, 100)];
        let score = overload(&phases, &ticks(&[(30, 100), (10, 10)]), 1_000.0).unwrap();
        assert!((score.goodput_at_1_5 - 0.95).abs() < 1e-9 && (score.goodput_at_2 - 0.9).abs() < 1e-9);
        assert!((score.wasted_share - 0.1).abs() < 1e-9);
        assert!(score.metastable && score.recovery_seconds.is_none());
        assert_eq!(overload(&phases[..1], &[], 1_000.0), None);
    }

    /// Shows a price, and that a phase in which some were served and some refused has none.
    #[test]
    fn prices() {
        let served = Phase { server_cpu_us: 20_000.0, ..phase("half", 0.0, 1.0, 100) };
        let refused = Phase { server_cpu_us: 1_500.0, refused: 100, ..phase("half", 0.0, 1.0, 0) };
        let price = super::price(&served, &refused).unwrap();
        assert_eq!((price.served_us, price.refused_us), (200.0, 15.0));
        assert!((price.ratio - 0.075).abs() < 1e-9);
        assert_eq!(super::price(&refused, &served), None);
        assert_eq!(super::price(&served, &Phase { good: 1, ..refused }), None);
    }
}
