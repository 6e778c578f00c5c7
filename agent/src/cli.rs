//! What was typed to what it means. No side effects: `main` acts on the result.
//!
//! Flags are named as node_exporter names them. Those of collectors come from the table of collectors, so that
//! a new collector needs nothing here. An unknown flag is an error that names the nearest right one.

use std::path::PathBuf;

use clap::{Arg, ArgAction, ArgMatches, Command, value_parser};
use hostfs::Roots;

use crate::collector::COLLECTORS;
use crate::flags::{Default as FlagDefault, Given, Setup};

/// node_exporter's switch for the metrics about itself.
const EXPORTER_METRICS: &str = "web.disable-exporter-metrics";

/// Everything that the command line says.
#[derive(Clone, Debug)]
pub struct Config {
    /// What to do.
    pub action: Action,
    /// Which collectors run, in table order.
    pub enabled: Vec<bool>,
    /// Roots and collectors' flags.
    pub setup: Setup,
    /// `--web.listen-address`.
    pub listen: Vec<String>,
    /// `--web.telemetry-path`.
    pub telemetry_path: String,
    /// `--web.systemd-socket`: `listen` is not used.
    pub systemd_socket: bool,
    /// `--web.max-requests`.
    pub max_requests: usize,
    /// `--log.level`.
    pub log_level: tracing::Level,
    /// `--log.format=json`.
    pub log_json: bool,
}

/// What the program was started for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Serve until a signal.
    Serve,
    /// Print one page.
    Once,
    /// Explain a metric.
    Explain(String),
    /// Say what cannot be shown here, and why; whether as JSON.
    Doctor(bool),
}

/// Reads arguments, the program's name first.
///
/// # Errors
/// clap's error, whose `exit` prints it and ends with 2 (or 0 for `--help` and `--version`).
pub fn parse<I, T>(arguments: I) -> Result<Config, clap::Error>
where
    I: IntoIterator<Item = T>,
    T: Into<std::ffi::OsString> + Clone,
{
    let matches = command().try_get_matches_from(arguments)?;
    Ok(config(&matches))
}

/// The whole command line.
fn command() -> Command {
    let mut command = Command::new("highload-agent")
        .version(env!("CARGO_PKG_VERSION"))
        .about("Machine, container, connected-user and io_uring metrics of this host, for Prometheus")
        .subcommand_negates_reqs(true)
        .subcommand(Command::new("once").about("Print one page of metrics and exit"))
        .subcommand(
            Command::new("explain")
                .about("Say what a metric is, where it comes from and which question it answers")
                .arg(Arg::new("metric").value_name("NAME").required(true)),
        )
        .subcommand(
            Command::new("doctor")
                .about("Say which metrics cannot be given here, why, and what would change it; exits with 1 if any")
                .arg(Arg::new("json").long("json").help("One JSON object").action(ArgAction::SetTrue)),
        )
        .arg(
            value("web.listen-address", "ADDR", "Address to serve on: HOST:PORT, or :PORT for every interface")
                .default_value("127.0.0.1:10700")
                .action(ArgAction::Append),
        )
        .arg(
            Arg::new("web.systemd-socket")
                .long("web.systemd-socket")
                .help("Serve on the sockets that systemd passes, and on no address")
                .action(ArgAction::SetTrue)
                .global(true),
        )
        .arg(value("web.telemetry-path", "PATH", "Path of the metrics").default_value("/metrics").value_parser(path))
        .arg(
            value("web.max-requests", "N", "Scrapes served at a time; more are 503; 0 for no limit")
                .default_value("40")
                .value_parser(value_parser!(usize)),
        )
        .arg(
            value("runtime.gomaxprocs", "N", "Taken for compatibility: collectors run one after the other")
                .default_value("1")
                .value_parser(value_parser!(usize)),
        )
        .arg(
            value("path.procfs", "DIR", "Where procfs is mounted")
                .default_value("/proc")
                .value_parser(value_parser!(PathBuf)),
        )
        .arg(
            value("path.sysfs", "DIR", "Where sysfs is mounted")
                .default_value("/sys")
                .value_parser(value_parser!(PathBuf)),
        )
        .arg(
            value("path.rootfs", "DIR", "Where the host's root is mounted")
                .default_value("/")
                .value_parser(value_parser!(PathBuf)),
        )
        .arg(
            value("path.udev.data", "DIR", "Where udev keeps its data")
                .default_value("/run/udev/data")
                .value_parser(value_parser!(PathBuf)),
        )
        .arg(
            value("log.level", "LEVEL", "Least severe event that is logged")
                .default_value("info")
                .value_parser(["debug", "info", "warn", "error"]),
        )
        .arg(
            value("log.format", "FORMAT", "Form of the log on stderr")
                .default_value("logfmt")
                .value_parser(["logfmt", "json"]),
        );
    command = with_switch(command, "collector.disable-defaults", false, "Run only the collectors that are named");
    command = with_switch(command, EXPORTER_METRICS, false, "Leave out what the agent itself costs (collector agent)");
    for entry in COLLECTORS {
        command = with_switch(command, leak(format!("collector.{}", entry.name)), entry.default_on, entry.about);
        for flag in entry.spec.flags {
            command = match flag.default {
                FlagDefault::Switch(on) => with_switch(command, flag.name, on, flag.help),
                FlagDefault::Text(default) => command.arg(
                    value(flag.name, "TEXT", flag.help).default_value(default).hide_default_value(default.is_empty()),
                ),
                FlagDefault::List => command.arg(value(flag.name, "TEXT", flag.help).action(ArgAction::Append)),
            };
        }
    }
    command
}

/// clap keeps names for the life of the program; so does this, a few bytes for each collector.
fn leak(name: String) -> &'static str {
    name.leak()
}

fn value(name: &'static str, shape: &'static str, help: &'static str) -> Arg {
    Arg::new(name).long(name).value_name(shape).help(help).global(true).allow_hyphen_values(true)
}

/// `--name` and `--no-name`; the last one given counts.
fn with_switch(command: Command, name: &'static str, default: bool, help: &'static str) -> Command {
    let no = leak(format!("no-{name}"));
    let help = format!("{help} [default: {}]", if default { "on" } else { "off" });
    command
        .arg(Arg::new(name).long(name).help(help).action(ArgAction::SetTrue).overrides_with(no).global(true))
        .arg(Arg::new(no).long(no).action(ArgAction::SetTrue).overrides_with(name).hide(true).global(true))
}

fn path(text: &str) -> Result<String, String> {
    if text.starts_with('/') && text != "/" {
        Ok(text.to_owned())
    } else {
        Err("must start with / and be longer".into())
    }
}

fn config(matches: &ArgMatches) -> Config {
    let text = |name: &str| matches.get_one::<String>(name).expect("has a default").clone();
    let directory = |name: &str| matches.get_one::<PathBuf>(name).expect("has a default").clone();
    let mut setup = Setup::new(Roots {
        procfs: directory("path.procfs"),
        sysfs: directory("path.sysfs"),
        rootfs: directory("path.rootfs"),
        udev_data: directory("path.udev.data"),
    });
    for flag in COLLECTORS.iter().flat_map(|entry| entry.spec.flags) {
        let given = match flag.default {
            FlagDefault::Switch(default) => Given::Switch(switch(matches, flag.name, default)),
            FlagDefault::Text(_) => Given::Text(text(flag.name)),
            FlagDefault::List => {
                Given::List(matches.get_many::<String>(flag.name).into_iter().flatten().cloned().collect())
            }
        };
        setup.set(flag.name, given);
    }
    let defaults = !switch(matches, "collector.disable-defaults", false);
    let enabled = COLLECTORS
        .iter()
        .map(|entry| {
            let is_about_itself = entry.name == "agent" && switch(matches, EXPORTER_METRICS, false);
            let default = entry.default_on && defaults && !is_about_itself;
            switch(matches, &format!("collector.{}", entry.name), default)
        })
        .collect();
    let action = match matches.subcommand() {
        Some(("once", _)) => Action::Once,
        Some(("explain", sub)) => Action::Explain(sub.get_one::<String>("metric").expect("required").clone()),
        Some(("doctor", sub)) => Action::Doctor(sub.get_flag("json")),
        _ => Action::Serve,
    };
    Config {
        action,
        enabled,
        setup,
        listen: matches.get_many::<String>("web.listen-address").into_iter().flatten().cloned().collect(),
        telemetry_path: text("web.telemetry-path"),
        systemd_socket: matches.get_flag("web.systemd-socket"),
        max_requests: match matches.get_one::<usize>("web.max-requests").expect("has a default") {
            0 => usize::MAX,
            &limit => limit,
        },
        log_level: text("log.level").parse().expect("one of the listed words"),
        log_json: text("log.format") == "json",
    }
}

fn switch(matches: &ArgMatches, name: &str, default: bool) -> bool {
    if matches.get_flag(name) {
        true
    } else if matches.get_flag(&format!("no-{name}")) {
        false
    } else {
        default
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::collector::position;

    fn parsed(arguments: &[&str]) -> Config {
        parse([&["highload-agent"], arguments].concat()).unwrap()
    }

    /// Defaults, switches in both directions, the last one counts, before and after a subcommand.
    #[test]
    fn switches() {
        let loadavg = position("loadavg").unwrap();
        assert!(parsed(&[]).enabled[loadavg]);
        assert!(!parsed(&["--no-collector.loadavg"]).enabled[loadavg]);
        assert!(parsed(&["--no-collector.loadavg", "--collector.loadavg"]).enabled[loadavg]);
        let only = parsed(&["once", "--collector.disable-defaults", "--collector.loadavg"]);
        assert_eq!(only.action, Action::Once);
        assert_eq!(only.enabled.iter().filter(|on| **on).count(), 1);
        assert_eq!(parsed(&["doctor", "--json", "--no-collector.loadavg"]).action, Action::Doctor(true));
        assert!(!parsed(&["--web.disable-exporter-metrics"]).enabled[position("agent").unwrap()]);
    }

    /// A wrong flag is a usage error that names the nearest right one, and no flag is ignored.
    #[test]
    fn wrong_flags() {
        let error = parse(["highload-agent", "--collector.loadavgg"]).unwrap_err();
        assert_eq!(error.exit_code(), 2);
        assert!(error.to_string().contains("--collector.loadavg"), "{error}");
        for wrong in
            ["--web.config.file=x", "--web.telemetry-path=metrics", "--log.level=loud", "--web.max-requests=-1"]
        {
            assert_eq!(parse(["highload-agent", wrong]).unwrap_err().exit_code(), 2, "{wrong}");
        }
    }

    /// clap's own check of the whole command.
    #[test]
    fn command_is_sound() {
        command().debug_assert();
    }
}
