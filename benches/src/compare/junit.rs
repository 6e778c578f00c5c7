//! A gate's checks as JUnit XML, which every CI shows: a suite a figure, a case an engine (and load).

use anyhow::{Context, Result};
use quick_junit::{NonSuccessKind, Report, TestCase, TestCaseStatus, TestSuite};

use super::Compared;
use super::gate::{Check, Outcome};

/// The whole file. A regression is a failure, what is inconclusive an error, or skipped where `tolerant`.
///
/// # Errors
/// Those of writing XML, which text that was read from files does not cause.
pub fn render(compared: &Compared, checks: &[Check], tolerant: bool) -> Result<String> {
    let mut report = Report::new("lab gate");
    for figure in &compared.figures {
        let mine: Vec<&Check> = checks.iter().filter(|check| check.figure == figure.figure).collect();
        if mine.is_empty() {
            continue;
        }
        let mut suite = TestSuite::new(figure.name);
        for (name, side) in [("before", &compared.before), ("after", &compared.after)] {
            suite.add_property((name, side.directory.display().to_string().as_str()));
            suite.add_property((format!("{name}-commit").as_str(), side.commit.as_deref().unwrap_or("unknown")));
        }
        for reason in &compared.unfit {
            suite.add_property(("forced", reason.as_str()));
        }
        suite.add_test_cases(mine.into_iter().map(|check| case(check, tolerant)));
        report.add_test_suite(suite);
    }
    report.to_string().context("writing JUnit XML")
}

fn case(check: &Check, tolerant: bool) -> TestCase {
    let mut status = match check.outcome {
        Outcome::Passed => TestCaseStatus::success(),
        Outcome::Regressed => TestCaseStatus::non_success(NonSuccessKind::Failure),
        Outcome::Inconclusive if tolerant => TestCaseStatus::skipped(),
        Outcome::Inconclusive => TestCaseStatus::non_success(NonSuccessKind::Error),
    };
    if check.outcome != Outcome::Passed {
        status.set_message(check.why.clone());
    }
    let name = check.cell.as_ref().map_or_else(|| check.engine.clone(), |cell| format!("{} with {cell}", check.engine));
    let mut case = TestCase::new(name, status);
    case.set_classname(format!("lab.{}", check.figure));
    case.set_system_out(check.why.clone());
    case
}
