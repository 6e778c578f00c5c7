//! Figures of climbs, by users and by what they say.

use super::metric::{InClimb, Metric};
use super::source::{Known, Series};
use crate::climb::memory::Slope;
use crate::climb::result::{Climb, Window};
use crate::report::climbs::Run;
use crate::report::words::{grouped, number};
use crate::result::Status;
use crate::verdict::Figure;

/// What is held equal between two climbs.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Place {
    protocol: String,
    service: String,
    format: String,
    /// Users at the plateau, or at the top.
    users: u32,
    /// Share of the users that send, and their arrivals, for a load at a plateau.
    chatter: Option<(f64, String)>,
}

impl Place {
    pub(super) fn label(&self) -> String {
        let chatter = self
            .chatter
            .as_ref()
            .map_or_else(String::new, |(share, arrivals)| format!(", {} % active, {arrivals}", number(share * 100.0)));
        let users = grouped(f64::from(self.users));
        format!("{} {} {} {users} users{chatter}", self.protocol, self.service, self.format)
    }

    fn of(climb: &Climb, users: u32, chatter: Option<(f64, String)>) -> Self {
        let [protocol, service, format] = [&climb.protocol, &climb.service, &climb.format].map(String::clone);
        Self { protocol, service, format, users, chatter }
    }
}

/// Places in which either run has a figure, in the order in which they were measured.
pub(super) fn places(metric: &Metric, before: &Run, after: &Run) -> Vec<Place> {
    let mut seen: Vec<Place> = Vec::new();
    for climb in before.climbs.iter().chain(&after.climbs) {
        let here: Vec<Place> = match metric.climb {
            None => Vec::new(),
            Some(InClimb::Window(_)) => windows(climb).map(|(users, window)| place(climb, users, window)).collect(),
            Some(_) => vec![Place::of(climb, climb.users, None)],
        };
        for place in here {
            if !seen.contains(&place) {
                seen.push(place);
            }
        }
    }
    seen
}

fn place(climb: &Climb, users: u32, window: &Window) -> Place {
    Place::of(climb, users, Some((window.active_share, window.arrivals.clone())))
}

fn windows(climb: &Climb) -> impl Iterator<Item = (u32, &Window)> {
    climb.plateaus.iter().flat_map(|plateau| plateau.windows.iter().map(|window| (plateau.users, window)))
}

/// The values of a figure in one place.
pub(super) fn series(run: &Run, metric: &Metric, engine: &str, at: &Place) -> Series {
    let mut series = Series::default();
    let mut errors: Vec<Known> = Vec::new();
    for climb in run.climbs.iter().filter(|climb| climb.engine == engine) {
        let whole = || Place::of(climb, climb.users, None) == *at;
        let here = windows(climb).any(|(users, window)| place(climb, users, window) == *at);
        series.rows += usize::from(here || whole());
        let value = match metric.climb {
            None => None,
            Some(InClimb::Window(figure)) => {
                let window = windows(climb).find(|(users, window)| place(climb, *users, window) == *at);
                window.and_then(|(_, window)| match &window.void {
                    Some(reason) => {
                        series.absence.get_or_insert_with(|| reason.clone());
                        None
                    }
                    None => in_window(figure, window),
                })
            }
            Some(_) if !whole() => None,
            Some(_) if climb.status != Status::Ok => {
                series.absence = series.absence.take().or_else(|| climb.reason.clone());
                None
            }
            Some(InClimb::ServerBytes) => slope(climb, |slopes| slopes.server_user, &mut errors),
            Some(InClimb::KernelBytes) => slope(climb, |slopes| slopes.kernel, &mut errors),
            Some(InClimb::ConnectCpu) => connect_cpu(climb),
        };
        if let Some(value) = value.filter(|value| value.is_finite() && *value > 0.0) {
            series.values.insert(climb.round, value);
        }
    }
    if let Some(freedom) = errors.iter().map(|known| known.freedom).reduce(f64::min) {
        let squares: f64 = errors.iter().map(|known| known.share.powi(2)).sum();
        series.error = Some(Known { share: squares.sqrt() / errors.len() as f64, freedom });
    }
    series
}

fn in_window(figure: Figure, window: &Window) -> Option<f64> {
    match figure {
        Figure::Cpu => Some(window.server.cpu_us_per_request),
        Figure::P99 => Some(window.response.p99_us),
        Figure::Syscalls => window.server.syscalls_per_request,
        Figure::Rss => None,
    }
}

fn slope(climb: &Climb, of: fn(&crate::climb::memory::Slopes) -> Slope, errors: &mut Vec<Known>) -> Option<f64> {
    let slopes = climb.slopes.as_ref()?;
    let slope = of(slopes);
    // A line has taken two degrees of freedom from its plateaus.
    let freedom = slopes.plateaus.checked_sub(2).filter(|freedom| *freedom > 0)? as f64;
    (slope.bytes > 0.0).then(|| {
        errors.push(Known { share: slope.error / slope.bytes, freedom });
        slope.bytes
    })
}

fn connect_cpu(climb: &Climb) -> Option<f64> {
    let users = climb.plateaus.last()?.users;
    let seconds: f64 = climb.plateaus.iter().map(|plateau| plateau.connect_server_cpu_seconds).sum();
    (users > 0).then(|| seconds * 1e6 / f64::from(users))
}
