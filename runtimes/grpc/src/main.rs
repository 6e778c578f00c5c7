//! The server: gRPC, its JSON twin, or the gateway between them, behind the contract of `runtimes/README.md`.

use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::Arc;

use clap::{CommandFactory, FromArgMatches, Parser, ValueEnum};
use server_grpc::connections::{self, Versions};
use server_grpc::gateway::Gateway;
use server_grpc::json::Json;
use server_grpc::trace::{Export, Spans, Timers, Tracing};
use server_grpc::{Front, grpc};
use service::{Engine, Error, Interface, LimitRequests, Speaks};

const EXAMPLES: &str = "Examples:
  server-grpc --serve grpc --listen 127.0.0.1:7000
  server-grpc --serve json --listen 127.0.0.1:7001
  server-grpc --serve gateway --listen 127.0.0.1:7002 --upstream 127.0.0.1:7000
  curl --http2-prior-knowledge -d '{\"text\":\"hello\"}' http://127.0.0.1:7002/demo/notes
  server-grpc --serve json --listen 127.0.0.1:7001 --tracing spans --sample 0.01 --export lines:spans.jsonl";

/// Seed 1's NoteService on tokio: gRPC by tonic, its JSON twin over HTTP/2, or the gateway between them
#[derive(Parser)]
#[command(name = "server-grpc", version, after_help = EXAMPLES)]
struct Args {
    /// What to serve
    #[arg(long, value_enum)]
    serve: Serve,

    /// The gRPC server behind the gateway
    #[arg(long, value_name = "ADDR", required_if_eq("serve", "gateway"))]
    upstream: Option<SocketAddr>,

    /// How to know where a request's time went; timers and totals go to stderr at the end
    #[arg(long, value_enum, default_value = "off")]
    tracing: Mode,

    /// Share of the requests that are recorded where the caller has not decided, 0 to 1
    #[arg(long, value_name = "SHARE", default_value = "1", value_parser = share)]
    sample: f64,

    /// Where spans go: none, otlp:http://HOST:PORT/v1/traces, or lines:FILE (JSON Lines, see span-tree)
    #[arg(long, value_name = "WHERE", default_value = "none")]
    export: Export,

    /// Log refused requests to stderr as JSON Lines, with trace and span id
    #[arg(long)]
    log: bool,

    #[command(flatten)]
    server: service::Args,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Serve {
    /// gRPC over HTTP/2, with health and reflection
    Grpc,
    /// The same notes in JSON over HTTP/2 or HTTP/1.1
    Json,
    /// JSON in, gRPC out
    Gateway,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Mode {
    /// Not at all
    Off,
    /// Sums by name
    Timers,
    /// OpenTelemetry's spans
    Spans,
}

impl Serve {
    const fn name(self) -> &'static str {
        match self {
            Serve::Grpc => "grpc",
            Serve::Json => "json-http2",
            Serve::Gateway => "gateway",
        }
    }

    const fn speaks(self) -> Speaks {
        match self {
            Serve::Grpc => Speaks { protocol: "grpc", format: "protobuf" },
            Serve::Json | Serve::Gateway => Speaks { protocol: "http2", format: "json" },
        }
    }
}

fn share(text: &str) -> Result<f64, String> {
    let share = text.parse().ok().filter(|share| (0.0..=1.0).contains(share));
    share.ok_or_else(|| "expected a share from 0 to 1".to_owned())
}

/// `--protocol` and `--format` are every engine's, and follow from `--serve` here: they are taken, for harnesses that always
/// give them, and mean nothing.
fn parse() -> Args {
    let command = Args::command()
        .mut_arg("protocol", |argument| argument.required(false).default_value("http1").hide(true))
        .mut_arg("format", |argument| argument.required(false).default_value("json").hide(true));
    Args::from_arg_matches(&command.get_matches()).unwrap_or_else(|error| error.exit())
}

fn main() -> ExitCode {
    service::exit(run(&parse()))
}

fn run(args: &Args) -> Result<(), Error> {
    check(&args.server)?;
    if args.log {
        // Nothing is formatted twice: one writer, of warnings and errors, of this server and of what it is built from.
        tracing_subscriber::fmt().json().with_writer(std::io::stderr).with_max_level(tracing::Level::WARN).init();
    }
    let engine = Engine { name: args.serve.name(), interface: Interface::Epoll };
    let tracing = tracing_of(args)?;
    let outcome = service::run_speaking(engine, &args.server, args.serve.speaks(), |shard| {
        let (tracing, log) = (tracing.clone(), args.log);
        match args.serve {
            Serve::Grpc => connections::run(shard, Versions::Http2, async |desk| {
                Front::new(grpc::services(Arc::clone(&desk)).await, desk, tracing, log)
            }),
            Serve::Json => connections::run(shard, Versions::Both, async |desk| {
                Front::new(Json::new(Arc::clone(&desk)), desk, tracing, log)
            }),
            Serve::Gateway => {
                let upstream = args.upstream.expect("clap demands it of a gateway");
                connections::run(shard, Versions::Both, async |desk| {
                    Front::new(Gateway::new(upstream), desk, tracing, log)
                })
            }
        }
    });
    for line in tracing.finish() {
        eprintln!("{line}");
    }
    outcome
}

/// What other engines have and this one does not.
fn check(server: &service::Args) -> Result<(), Error> {
    if let Some(limit @ (LimitRequests::Aimd { .. } | LimitRequests::Vegas | LimitRequests::Gradient2)) =
        server.limit_requests
    {
        let says =
            format!("--limit-requests {limit}: the library has the loop here, so nobody sees a turn: give fixed:N");
        return Err(Error::Usage(says));
    }
    if server.push {
        return Err(Error::Usage("--push: nobody is told events over HTTP here: give it to another engine".to_owned()));
    }
    if let Some(fault) = server.faults.first() {
        let says =
            format!("--fault {fault}: faults are made of bytes that a library writes here: give it to another engine");
        return Err(Error::Usage(says));
    }
    Ok(())
}

fn tracing_of(args: &Args) -> Result<Tracing, Error> {
    match args.tracing {
        Mode::Off if args.export != Export::None => {
            Err(Error::Usage(format!("--export {} without spans: add --tracing spans", args.export)))
        }
        Mode::Timers if args.export != Export::None => {
            Err(Error::Usage(format!("--export {}: timers have nothing to export, give --tracing spans", args.export)))
        }
        Mode::Off => Ok(Tracing::Off),
        Mode::Timers => Ok(Tracing::Timers(Arc::new(Timers::default()))),
        Mode::Spans => {
            let spans = Spans::new(args.serve.name(), args.sample, &args.export);
            Ok(Tracing::Spans(Arc::new(spans.map_err(|error| Error::Usage(format!("{error:#}")))?)))
        }
    }
}
