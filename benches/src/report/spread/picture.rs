//! The picture of a client's servers over time: a circle for each server and interval, its area the attempts, its colour the
//! health, and a ring where the breaker keeps requests away. The way of seeing is Hystrix's, which the talk showed.

use std::fmt::Write as _;

use crate::load::breaker::State;
use crate::load::spread::{Moment, ServerAt};
use crate::spread::result::Row;

/// Most columns: more circles would touch on a phone.
const COLUMNS: usize = 24;

/// Distance of two columns and of two rows, and the largest circle's radius, in units of the view box.
const STEP: (f64, f64) = (30.0, 44.0);
const RADIUS: f64 = 14.0;

/// Room for the servers' names, and above the first row.
const LEFT: f64 = 96.0;
const TOP: f64 = 30.0;

/// Health of an interval, as share of attempts that were answered right.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Health {
    Well,
    Ailing,
    Bad,
}

impl Health {
    /// Replies come a moment after their request, so an interval may lack a few that are still out.
    fn of(at: &ServerAt) -> Self {
        let outcomes = at.completed + at.failed;
        match (at.failed, outcomes) {
            (0, _) => Self::Well,
            (failed, outcomes) if failed * 2 < outcomes => Self::Ailing,
            _ => Self::Bad,
        }
    }

    fn colour(self) -> &'static str {
        match self {
            Self::Well => "var(--less)",
            Self::Ailing => "var(--m3)",
            Self::Bad => "var(--more)",
        }
    }

    fn word(self) -> &'static str {
        match self {
            Self::Well => "well",
            Self::Ailing => "ailing",
            Self::Bad => "bad",
        }
    }
}

/// The `<svg>` element of one row; `None` without intervals.
pub(super) fn render(id: &str, row: &Row) -> Option<String> {
    let columns = columns(&row.seen.moments);
    let servers = row.seen.servers.len();
    let most = columns.iter().flat_map(|moment| &moment.servers).map(|at| at.sent).max().filter(|most| *most > 0)?;
    let (width, height) = (LEFT + columns.len() as f64 * STEP.0 + 10.0, TOP + servers as f64 * STEP.1 + 34.0);
    let mut svg = format!(
        "<svg viewBox=\"0 0 {width:.0} {height:.0}\" role=\"img\" aria-labelledby=\"{id}-t {id}-d\" \
         xmlns=\"http://www.w3.org/2000/svg\"><title id=\"{id}-t\">{} with {}: servers over time</title>\
         <desc id=\"{id}-d\">{}</desc>",
        escape(&row.case),
        escape(&row.engine),
        escape(&description(row))
    );
    for server in 0..servers {
        let y = TOP + server as f64 * STEP.1 + STEP.1 / 2.0;
        let number = u32::try_from(server + 1).unwrap_or(u32::MAX);
        let fault = row.faults.get(&number).map_or("", |fault| fault.split(':').next().unwrap_or(fault));
        let _ = write!(
            svg,
            "<text x=\"0\" y=\"{:.1}\" font-size=\"12\" fill=\"var(--ink)\">server {number}</text>\
             <text x=\"0\" y=\"{:.1}\" font-size=\"10\" fill=\"var(--muted)\">{}</text>",
            y - 1.0,
            y + 12.0,
            escape(fault)
        );
        for (place, moment) in columns.iter().enumerate() {
            let Some(at) = moment.servers.get(server) else { continue };
            let x = LEFT + place as f64 * STEP.0 + STEP.0 / 2.0;
            circle(&mut svg, (x, y), at, most, &format!("server {number}, until {:.2} s", moment.at_seconds));
        }
    }
    axis(&mut svg, &columns, height);
    svg.push_str("</svg>");
    Some(svg)
}

/// One server in one interval.
fn circle(svg: &mut String, (x, y): (f64, f64), at: &ServerAt, most: u64, whose: &str) {
    let health = Health::of(at);
    let said = format!(
        "{whose}: {} attempts, {} answered, {} failed, breaker {}: {}",
        at.sent,
        at.completed,
        at.failed,
        at.state.name(),
        health.word()
    );
    // The area is what is compared, so the radius goes with the root.
    let radius = (at.sent as f64 / most as f64).sqrt() * RADIUS;
    let _ = write!(svg, "<g><title>{said}</title>");
    if at.state != State::Closed {
        // A ring for a server that is kept away from; whatever was sent to it stands within.
        let _ = write!(
            svg,
            "<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"{RADIUS:.1}\" fill=\"none\" stroke=\"var(--more)\" \
             stroke-width=\"1.6\" stroke-dasharray=\"{}\"/>",
            if at.state == State::HalfOpen { "3 3" } else { "none" }
        );
    }
    if at.sent + at.failed > 0 {
        let _ = write!(
            svg,
            "<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"{:.1}\" fill=\"{}\"/>",
            radius.max(1.6),
            health.colour()
        );
        if health == Health::Bad {
            // Colour never stands alone.
            let arm = (radius * 0.5).max(1.6);
            let _ = write!(
                svg,
                "<path d=\"M{:.1} {:.1}L{:.1} {:.1}M{:.1} {:.1}L{:.1} {:.1}\" stroke=\"var(--paper)\" stroke-width=\"1.6\"/>",
                x - arm,
                y - arm,
                x + arm,
                y + arm,
                x - arm,
                y + arm,
                x + arm,
                y - arm
            );
        }
    }
    svg.push_str("</g>");
}

/// Seconds below the columns, about six of them.
fn axis(svg: &mut String, columns: &[Moment], height: f64) {
    let every = columns.len().div_ceil(6).max(1);
    for (place, moment) in columns.iter().enumerate().filter(|(place, _)| (place + 1) % every == 0) {
        let x = LEFT + place as f64 * STEP.0 + STEP.0 / 2.0;
        let _ = write!(
            svg,
            "<text x=\"{x:.1}\" y=\"{:.1}\" font-size=\"11\" text-anchor=\"middle\" fill=\"var(--muted)\">{:.1} s</text>",
            height - 8.0,
            moment.at_seconds
        );
    }
}

/// Intervals put together so that there are at most [`COLUMNS`]; the state of a column is its last one's.
fn columns(moments: &[Moment]) -> Vec<Moment> {
    let together = moments.len().div_ceil(COLUMNS).max(1);
    let merge = |some: &[Moment]| {
        let mut sum = Moment { at_seconds: some.last().map_or(0.0, |last| last.at_seconds), servers: Vec::new() };
        for moment in some {
            sum.servers.resize(moment.servers.len(), ServerAt::default());
            for (sum, at) in sum.servers.iter_mut().zip(&moment.servers) {
                sum.sent += at.sent;
                sum.completed += at.completed;
                sum.failed += at.failed;
                sum.state = at.state;
            }
        }
        sum
    };
    moments.chunks(together).map(merge).collect()
}

/// What the picture shows, in words.
fn description(row: &Row) -> String {
    let server = |(place, seen): (usize, &crate::load::spread::ServerSeen)| {
        let failed: u64 = seen.failed.values().sum();
        format!("server {}: {} attempts, {failed} failed, {} bans", place + 1, seen.sent, seen.bans)
    };
    row.seen.servers.iter().enumerate().map(server).collect::<Vec<_>>().join("; ")
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(sent: u64, completed: u64, failed: u64, state: State) -> ServerAt {
        ServerAt { sent, completed, failed, state }
    }

    /// Health is a matter of failures, not of replies that are still out.
    #[test]
    fn health() {
        for (server, wanted) in [
            (at(100, 90, 0, State::Closed), Health::Well),
            (at(0, 0, 0, State::Open), Health::Well),
            (at(100, 60, 40, State::Closed), Health::Ailing),
            (at(100, 10, 80, State::Closed), Health::Bad),
            (at(1, 0, 1, State::Open), Health::Bad),
        ] {
            assert_eq!(Health::of(&server), wanted, "{server:?}");
        }
    }

    /// Many intervals become few columns without losing an attempt, and the last state of each stays.
    #[test]
    fn columns_keep_what_they_merge() {
        let moments: Vec<Moment> = (1..=100)
            .map(|number| Moment {
                at_seconds: f64::from(number),
                servers: vec![at(3, 2, 1, if number % 5 == 0 { State::Open } else { State::Closed })],
            })
            .collect();
        let columns = columns(&moments);
        assert_eq!(columns.len(), 20);
        assert_eq!(columns.iter().map(|moment| moment.servers[0].sent).sum::<u64>(), 300);
        assert!(columns.iter().all(|moment| moment.servers[0].state == State::Open));
        assert!((columns[19].at_seconds - 100.0).abs() < 1e-9);
    }
}
