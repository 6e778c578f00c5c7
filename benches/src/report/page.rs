//! A page of sections, tables and notes, and its parts: what the reports of climbs and of scaling share.

use askama::Template;

use super::grid::Grid;
use super::plots::Panel;
use crate::result::{FactGroup, Fingerprint};

/// `report.html` of a result that is no table of trials.
#[derive(Template)]
#[template(path = "page.html")]
pub(super) struct Page<'a> {
    pub(super) palette: String,
    pub(super) scenario: &'a str,
    pub(super) headline: String,
    pub(super) question: &'a str,
    pub(super) sound: bool,
    pub(super) legend: Vec<Legend>,
    pub(super) sections: Vec<Section>,
    pub(super) tables: Vec<(String, Grid)>,
    pub(super) notes: Vec<String>,
    pub(super) timeline: Vec<Panel>,
    pub(super) facts: Vec<(String, String)>,
    pub(super) groups: &'a [FactGroup],
    pub(super) method: &'a [&'a str],
}

/// An engine and its marker.
pub(super) struct Legend {
    pub(super) swatch: String,
    pub(super) name: String,
    pub(super) interface: String,
}

/// Plots under a heading.
pub(super) struct Section {
    pub(super) id: String,
    pub(super) title: String,
    pub(super) text: String,
    pub(super) panels: Vec<Panel>,
}

/// How a run was started, for the page.
pub(super) fn facts(host: &Fingerprint) -> Vec<(String, String)> {
    let commit = host.commit.clone().unwrap_or_else(|| "outside a checkout".to_owned());
    [
        ("command", host.command.join(" ")),
        ("started", host.started.clone()),
        ("commit", commit),
        ("profile", host.profile.clone()),
    ]
    .map(|(name, value)| (name.to_owned(), value))
    .to_vec()
}

/// How a run was started and on what, for Markdown.
pub(super) fn machine(host: &Fingerprint) -> String {
    let commit = host.commit.as_deref().unwrap_or("unknown");
    let group = |group: &FactGroup| {
        let facts: Vec<String> = group.facts.iter().map(|(name, value)| format!("{name} {value}")).collect();
        format!("- {}: {}\n", group.name, facts.join("; "))
    };
    format!(
        "\n## Machine\n\n- command: `{}`\n- started: {}\n- commit: {commit}\n- profile: {}\n{}",
        host.command.join(" "),
        host.started,
        host.profile,
        host.groups.iter().map(group).collect::<String>()
    )
}
