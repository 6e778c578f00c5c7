//! `lab doctor`: is this box fit, and what would make it so?
//!
//! Looks and tries, and changes nothing. Every command that it prints lasts until the next reboot at most.

use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use serde::Serialize;

use crate::failure::exit;
use crate::host::{Activity, CHECKS, Check, Grade, Machine};
use crate::observe::BoxProbe;

/// Columns of a line, at most.
const WIDTH: usize = 120;
/// Columns of the grade.
const GRADE_WIDTH: usize = 8;
/// Columns of the name.
const NAME_WIDTH: usize = 24;
/// Columns of the value seen.
const SEEN_WIDTH: usize = 48;

/// Checks whether this box is fit for a run.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  lab doctor                        every check, with the command that would change what is wrong; it runs none of them
  lab doctor --watch 10             look ten seconds long for other load and for what the hypervisor takes
  lab doctor --out /data/results    the free space there
  lab doctor --json | jq -r '.checks[] | select(.grade != \"ok\") | .name'

Exit codes: 0 fit (warnings allowed), 2 usage, 3 something makes the demo impossible here.")]
pub struct Args {
    /// Print one JSON object instead of text
    #[arg(long)]
    json: bool,
    /// Where results would be written, for the check of free space
    #[arg(long, value_name = "DIR", default_value = "lab-results")]
    out: PathBuf,
    /// How long to watch the box for steal and load, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 1.0, value_parser = seconds)]
    watch: f64,
}

/// From a tenth of a second, ten clock ticks, to a minute.
fn seconds(text: &str) -> Result<f64, String> {
    let seconds: f64 = text.parse().map_err(|_| format!("{text:?} is not a number of seconds"))?;
    if (0.1..=60.0).contains(&seconds) { Ok(seconds) } else { Err(format!("{seconds} is not between 0.1 and 60")) }
}

/// What `--json` prints.
#[derive(Serialize)]
struct Findings<'a> {
    /// Whether nothing makes the demo impossible.
    fit: bool,
    checks: &'a [Check],
}

/// Runs the checks on this box and prints them. Exit code 0 when it is fit (warnings allowed), 3 when not.
///
/// # Errors
/// When stdout cannot be written or `/proc/stat` cannot be read.
pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let mut machine = Machine::here(&args.out);
    machine.live.activity = Some(watch(Duration::from_secs_f64(args.watch))?);
    let checks: Vec<Check> = CHECKS.iter().map(|check| check(&machine)).collect();
    let fit = checks.iter().all(|check| check.grade != Grade::Fail);
    let text = if args.json {
        serde_json::to_string_pretty(&Findings { fit, checks: &checks })? + "\n"
    } else {
        render(&checks)
    };
    io::stdout().lock().write_all(text.as_bytes())?;
    Ok(if fit { ExitCode::SUCCESS } else { ExitCode::from(exit::ENVIRONMENT) })
}

/// Two readings of the box with `time` between them: the wait is the measurement.
fn watch(time: Duration) -> anyhow::Result<Activity> {
    let mut probe = BoxProbe::new(vec![std::process::id()])?;
    let start = probe.read()?;
    std::thread::sleep(time);
    let difference = probe.read()?.since(&start);
    Ok(Activity {
        seconds: difference.elapsed.as_secs_f64(),
        steal_share: difference.surroundings.steal_share,
        busy_share: difference.busy_share,
    })
}

/// The text: a line for each check, its reason and commands below it where it is not ok, a sentence at the end.
/// No line is wider than 120 columns, except for commands, which stay whole so that they can be pasted.
pub fn render(checks: &[Check]) -> String {
    let mut text = String::new();
    for check in checks {
        row(&mut text, [check.grade.word(), check.name, &check.seen, &check.wanted]);
        let indent = " ".repeat(GRADE_WIDTH);
        if let Some(why) = &check.why {
            for line in wrap(why, WIDTH - GRADE_WIDTH) {
                text.push_str(&format!("{indent}{line}\n"));
            }
        }
        if let Some(fix) = &check.fix {
            text.push_str(&format!("{indent}change: {}\n", fix.command));
            if let Some(undo) = &fix.undo {
                text.push_str(&format!("{indent}back:   {undo}   (a reboot does it too)\n"));
            }
        }
    }
    text.push_str(&summary(checks));
    text
}

/// Grade, name, value seen and value wanted side by side; the last two wrap within their columns.
fn row(text: &mut String, [grade, name, seen, wanted]: [&str; 4]) {
    let seen = wrap(seen, SEEN_WIDTH - 2);
    let wanted = wrap(wanted, WIDTH - GRADE_WIDTH - NAME_WIDTH - SEEN_WIDTH);
    for line in 0..seen.len().max(wanted.len()) {
        let (grade, name) = if line == 0 { (grade, name) } else { ("", "") };
        let cell = |lines: &[String]| lines.get(line).cloned().unwrap_or_default();
        let whole = format!("{grade:GRADE_WIDTH$}{name:NAME_WIDTH$}{:SEEN_WIDTH$}{}", cell(&seen), cell(&wanted));
        text.push_str(whole.trim_end());
        text.push('\n');
    }
}

fn summary(checks: &[Check]) -> String {
    let named = |grade: Grade| -> Vec<&str> {
        checks.iter().filter(|check| check.grade == grade).map(|check| check.name).collect()
    };
    let (failed, warned) = (named(Grade::Fail), named(Grade::Warn));
    let verdict = if failed.is_empty() {
        "This box is fit for `lab demo`".to_owned()
    } else {
        format!("This box cannot run `lab demo`: {}", failed.join(", "))
    };
    let warnings = match warned.len() {
        0 => "no warnings".to_owned(),
        1 => "1 warning".to_owned(),
        number => format!("{number} warnings"),
    };
    format!("\n{verdict}; {warnings}, {} not known.\n", named(Grade::Unknown).len())
}

/// Breaks at spaces so that no line has more than `width` characters; a longer word is cut.
fn wrap(text: &str, width: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split(' ') {
        let mut word: Vec<char> = word.chars().collect();
        loop {
            let line = lines.last_mut().expect("there is always a line");
            let used = line.chars().count();
            let gap = usize::from(used > 0);
            if used + gap + word.len() <= width {
                if gap == 1 {
                    line.push(' ');
                }
                line.extend(word);
                break;
            }
            if used == 0 {
                line.extend(word.drain(..width));
            }
            lines.push(String::new());
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::Fix;

    /// Long values wrap within their columns, commands stay whole, and the sentence counts what was found.
    #[test]
    fn fits_120_columns() {
        let long = "a value of many words that goes on and on ".repeat(6);
        let checks = [
            Check::new("first", Grade::Ok, long.clone(), long.clone()),
            Check::new("second", Grade::Fail, "x".repeat(200), "y")
                .because(long)
                .fixed_by(Fix::sysctl("a.b", "1 2", "3")),
            Check::new("third", Grade::Warn, "", ""),
        ];
        let text = render(&checks);
        assert!(text.lines().all(|line| line.chars().count() <= WIDTH), "{text}");
        assert!(text.contains("        change: sysctl -w a.b='1 2'\n        back:   sysctl -w a.b=3"), "{text}");
        assert!(text.ends_with("This box cannot run `lab demo`: second; 1 warning, 0 not known.\n"), "{text}");
    }

    /// Wrapping keeps every word in order and never exceeds the width.
    #[test]
    fn wraps_at_spaces() {
        assert_eq!(wrap("one two three", 7), ["one two", "three"]);
        assert_eq!(wrap("abcdefghij k", 4), ["abcd", "efgh", "ij k"]);
        assert_eq!(wrap("", 4), [""]);
    }
}
