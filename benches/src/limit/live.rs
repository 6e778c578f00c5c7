//! A search while it runs, on stderr: a live view on a terminal, a line for each load otherwise.

use std::collections::VecDeque;
use std::io::{IsTerminal, Stderr, stderr, stdout};

use ratatui::backend::CrosstermBackend;
use ratatui::layout::{Constraint, Layout};
use ratatui::text::{Line, Text};
use ratatui::widgets::{Block, Paragraph, Row, Table};
use ratatui::{Frame, Terminal, TerminalOptions, Viewport};

use super::axis::Axis;
use super::result::{Ended, Round};
use super::search::Phase;
use super::step::Step;
use crate::report::grouped;

/// Loads that the view lists, the last ones.
const LOADS: usize = 8;

/// Finished rounds that it lists.
const ROUNDS: usize = 4;

/// Lines that it takes: a frame, three of state, a heading and the loads, the verdict, a heading and the rounds.
const HEIGHT: u16 = 20;

/// What happened.
pub(super) enum Told<'a> {
    /// A load begins.
    Trying {
        /// Contender.
        name: &'a str,
        /// Round, from 1.
        round: u32,
        /// The load.
        load: f64,
        /// What for.
        phase: Phase,
        /// The highest load that held.
        best: Option<f64>,
        /// The smallest that broke.
        broke: Option<f64>,
    },
    /// It ended.
    Step(&'a Step),
    /// A round ended.
    Round(&'a str, &'a Round),
}

/// Shows what is told.
pub(super) struct Show {
    over: Axis,
    live: Option<Live>,
}

impl Show {
    /// A live view where there is a terminal for it.
    pub(super) fn new(over: Axis) -> Self {
        // The place of the cursor is asked through stdout, so that must be the terminal too.
        let terminal = stderr().is_terminal() && stdout().is_terminal();
        Self { over, live: terminal.then(|| Live::new(over)).flatten() }
    }

    /// Shows one more thing.
    pub(super) fn tell(&mut self, told: &Told<'_>) {
        match &mut self.live {
            Some(live) => live.tell(told),
            None => {
                if let Some(line) = line(self.over, told) {
                    eprintln!("{line}");
                }
            }
        }
    }

    /// Leaves the terminal as it was.
    pub(super) fn finish(&mut self) {
        if let Some(mut live) = self.live.take() {
            // A terminal that cannot be cleared keeps the last view, which is right.
            let _ = live.terminal.clear();
        }
    }
}

/// What is worth a line of a log.
fn line(over: Axis, told: &Told<'_>) -> Option<String> {
    match told {
        Told::Trying { .. } => None,
        Told::Step(step) => {
            let [name, load, phase, outcome, p50, p99, cpu, first] = columns(step);
            Some(format!(
                "{name}, round {}: {phase} {load} {}: {outcome}, p50 {p50} ms, p99 {p99} ms, CPU {cpu} %{}{}",
                step.round,
                over.unit(),
                if first.is_empty() { String::new() } else { format!(", {first}") },
                step.reason.as_deref().map(|reason| format!(" ({reason})")).unwrap_or_default(),
            ))
        }
        Told::Round(name, round) => Some(format!("{name}, round {}: {}", round.round, ended(over, round))),
    }
}

/// A load as columns: contender, load, phase, outcome, p50, p99, CPU, what was saturated first.
fn columns(step: &Step) -> [String; 8] {
    [
        format!("{} {} {}", step.engine, step.protocol, step.format),
        grouped(step.load),
        step.phase.name().to_owned(),
        step.outcome.name().to_owned(),
        format!("{:.2}", step.response.p50_us / 1e3),
        format!("{:.2}", step.response.p99_us / 1e3),
        format!("{:.0}", step.server_cpu_share * 100.0),
        step.saturation.first().map(|finding| finding.resource.clone()).unwrap_or_default(),
    ]
}

/// How a round ended, in a few words.
fn ended(over: Axis, round: &Round) -> String {
    let load = round.load.map_or_else(|| "nothing".to_owned(), |load| over.show(load));
    match round.ended {
        Ended::Limit => format!("limit {load}"),
        Ended::Ceiling => format!("{load} held, the ceiling"),
        Ended::BelowSmallest => "the smallest load breaks".to_owned(),
        Ended::Generator => format!("{load} held, then the generator came first"),
        Ended::Unsteady => "no load could be held for longer".to_owned(),
        Ended::Void => format!("{load} held, then the box was too busy"),
        Ended::Unavailable => "cannot run here".to_owned(),
        Ended::Interrupted => format!("interrupted; {load} held"),
    }
}

/// What the view shows.
struct State {
    over: Axis,
    now: [String; 2],
    steps: VecDeque<[String; 8]>,
    verdict: String,
    rounds: VecDeque<String>,
}

/// A view in the lines below the prompt. The terminal is not put into raw mode, so that Ctrl-C stays a signal.
struct Live {
    terminal: Terminal<CrosstermBackend<Stderr>>,
    state: State,
}

impl Live {
    fn new(over: Axis) -> Option<Self> {
        let options = TerminalOptions { viewport: Viewport::Inline(HEIGHT) };
        let terminal = Terminal::with_options(CrosstermBackend::new(stderr()), options).ok()?;
        let (now, verdict) = ([String::new(), String::new()], String::new());
        let state = State { over, now, steps: VecDeque::new(), verdict, rounds: VecDeque::new() };
        Some(Self { terminal, state })
    }

    fn tell(&mut self, told: &Told<'_>) {
        self.state.take(told);
        // A frame that could not be drawn is drawn with the next event.
        let _ = self.terminal.draw(|frame| self.state.draw(frame));
    }
}

impl State {
    fn take(&mut self, told: &Told<'_>) {
        match told {
            Told::Trying { name, round, load, phase, best, broke } => {
                let shown = |load: &Option<f64>| load.map_or_else(|| "?".to_owned(), grouped);
                self.now = [
                    format!("{name}, round {round}: {} {}", phase.name(), self.over.show(*load)),
                    format!("holds {}, breaks at {}", shown(best), shown(broke)),
                ];
            }
            Told::Step(step) => {
                push(&mut self.steps, columns(step), LOADS);
                if let Some(reason) = &step.reason {
                    self.verdict = format!("{reason}; {}", step.saturation.sentence());
                }
            }
            Told::Round(name, round) => {
                push(&mut self.rounds, format!("{name}, round {}: {}", round.round, ended(self.over, round)), ROUNDS);
            }
        }
    }

    fn draw(&self, frame: &mut Frame<'_>) {
        let block = Block::bordered().title(format!(" limit over {} ", self.over.name()));
        let inside = block.inner(frame.area());
        frame.render_widget(block, frame.area());
        let [now, steps, verdict, rounds] = Layout::vertical([
            Constraint::Length(2),
            Constraint::Length(LOADS as u16 + 1),
            Constraint::Length(2),
            Constraint::Min(0),
        ])
        .areas(inside);
        frame.render_widget(Paragraph::new(Text::from_iter(self.now.iter().map(|line| Line::raw(line.as_str())))), now);
        let widths = [24, 12, 11, 11, 9, 9, 6, 24].map(Constraint::Length);
        let heading = Row::new(["", "load", "for", "outcome", "p50 ms", "p99 ms", "CPU %", "saturated first"]);
        let rows = self.steps.iter().map(|step| Row::new(step.iter().map(String::as_str)));
        frame.render_widget(Table::new(rows, widths).header(heading), steps);
        let wrapped = Paragraph::new(self.verdict.as_str()).wrap(ratatui::widgets::Wrap { trim: true });
        frame.render_widget(wrapped, verdict);
        let lines = self.rounds.iter().map(|line| Line::raw(line.as_str()));
        frame.render_widget(Paragraph::new(Text::from_iter(lines)), rounds);
    }
}

/// Adds to a list that keeps its last ones.
fn push<T>(list: &mut VecDeque<T>, value: T, most: usize) {
    list.push_back(value);
    while list.len() > most {
        list.pop_front();
    }
}

#[cfg(test)]
mod tests {
    use ratatui::backend::TestBackend;

    use super::*;

    fn state() -> State {
        let (now, verdict) = ([String::new(), String::new()], String::new());
        State { over: Axis::Rate, now, steps: VecDeque::new(), verdict, rounds: VecDeque::new() }
    }

    /// The view shows the load that is tried, what holds and breaks, and how rounds ended, on a terminal of ratatui's own.
    #[test]
    fn the_view_shows_the_search() {
        let mut state = state();
        let (best, broke) = (Some(8_000.0), None);
        state.take(&Told::Trying { name: "mio frame raw", round: 2, load: 16_000.0, phase: Phase::Climb, best, broke });
        state.take(&Told::Round("mio frame raw", &Round::new(1, Ended::Limit, Some(12_345.0), None, 9)));
        let mut terminal = Terminal::new(TestBackend::new(100, HEIGHT)).unwrap();
        terminal.draw(|frame| state.draw(frame)).unwrap();
        let seen = terminal.backend().to_string();
        for wanted in [
            "limit over rate",
            "round 2: climb 16,000 requests/s",
            "holds 8,000, breaks at ?",
            "limit 12,345 requests/s",
        ] {
            assert!(seen.contains(wanted), "{wanted:?} is not in\n{seen}");
        }
    }

    /// A small terminal cuts the view and does not panic; lists keep their last entries.
    #[test]
    fn small_terminals_and_long_searches() {
        let mut state = state();
        for round in 0..100 {
            state.take(&Told::Round("mio", &Round::new(round, Ended::Ceiling, Some(1.0), None, 9)));
        }
        assert_eq!(state.rounds.len(), ROUNDS);
        for (width, height) in [(1, 1), (10, 3), (200, 50)] {
            let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
            terminal.draw(|frame| state.draw(frame)).unwrap();
        }
    }
}
