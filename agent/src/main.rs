//! The host agent's daemon: arguments, collectors, serve. Everything else is in the library.

use std::io::Write;
use std::process::ExitCode;

use anyhow::Context;
use highload_agent::cli::{self, Action, Config};
use highload_agent::collector::{COLLECTORS, Collector};
use highload_agent::cost::CountingAllocator;
use highload_agent::http::{Routes, Server, bind, inherited};
use highload_agent::scrape::{DEADLINE, Scraper};
use highload_agent::{catalogue, descriptor_limit, doctor, explain};
use tokio::signal::unix::{SignalKind, signal};

#[global_allocator]
static ALLOCATOR: CountingAllocator = CountingAllocator;

/// Exit codes: the doctor found gaps, usage, and an environment that cannot do it.
const GAPS: u8 = 1;
const USAGE: u8 = 2;
const ENVIRONMENT: u8 = 3;

fn main() -> ExitCode {
    let config = cli::parse(std::env::args_os()).unwrap_or_else(|error| error.exit());
    start_log(&config);
    if let Action::Explain(name) = &config.action {
        return explain_metric(name);
    }
    descriptor_limit::raise();
    let collectors = match build(&config) {
        Ok(collectors) => collectors,
        Err(error) => {
            eprintln!("highload-agent: {error:#}");
            return ExitCode::from(USAGE);
        }
    };
    if let Action::Doctor(as_json) = config.action {
        return examine(&config, collectors, as_json);
    }
    match run(config, collectors) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("highload-agent: {error:#}");
            ExitCode::from(ENVIRONMENT)
        }
    }
}

fn start_log(config: &Config) {
    let log =
        tracing_subscriber::fmt().with_max_level(config.log_level).with_writer(std::io::stderr).with_target(false);
    if config.log_json {
        log.json().init();
    } else {
        log.with_ansi(false).init();
    }
}

fn build(config: &Config) -> anyhow::Result<Vec<Option<Box<dyn Collector>>>> {
    let build = |(entry, &enabled): (&highload_agent::collector::Entry, &bool)| {
        let built = enabled.then(|| (entry.spec.build)(&config.setup)).transpose();
        built.with_context(|| format!("collector {}", entry.name))
    };
    COLLECTORS.iter().zip(&config.enabled).map(build).collect()
}

fn run(config: Config, collectors: Vec<Option<Box<dyn Collector>>>) -> anyhow::Result<()> {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().context("cannot start the event loop")?;
    let scraper = Scraper::new(collectors);
    runtime.block_on(async {
        if config.action == Action::Once {
            let page = scraper.scrape(scraper.everything(), DEADLINE).await;
            return std::io::stdout().write_all(&page).context("cannot write the page to stdout");
        }
        serve(config, scraper).await
    })
}

async fn serve(config: Config, scraper: Scraper) -> anyhow::Result<()> {
    let listeners = if config.systemd_socket {
        inherited()?
    } else {
        config.listen.iter().map(|address| bind(address)).collect::<anyhow::Result<Vec<_>>>()?
    };
    for listener in &listeners {
        let address = listener.local_addr().context("a bound listener has an address")?;
        tracing::info!("serving http://{address}{}", config.telemetry_path);
    }
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let routes = Routes::new(scraper, config.telemetry_path, config.max_requests);
    let stop = async {
        tokio::select! { _ = terminate.recv() => {}, _ = interrupt.recv() => {} }
    };
    Server::new(listeners, routes)?.serve(stop).await;
    Ok(())
}

fn examine(config: &Config, collectors: Vec<Option<Box<dyn Collector>>>, as_json: bool) -> ExitCode {
    let report = doctor::examine(config, collectors);
    print!("{}", if as_json { doctor::json(&report) } else { doctor::text(&report) });
    if report.gaps.is_empty() { ExitCode::SUCCESS } else { ExitCode::from(GAPS) }
}

fn explain_metric(name: &str) -> ExitCode {
    if let Some(metric) = catalogue::find(name) {
        print!("{}", explain::text(metric));
        return ExitCode::SUCCESS;
    }
    eprintln!("highload-agent: no metric {name:?}{}", explain::nearest(name));
    ExitCode::from(USAGE)
}
