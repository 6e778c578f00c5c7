//! From arguments to running shards, and from the stop signal to the counters line.

use std::io::Write;
use std::net::{SocketAddr, TcpListener};
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use serde_json::{Value, json};
use signal_hook::consts::{SIGINT, SIGTERM};
use wire::event;

use crate::counters::{Counters, Totals};
use crate::fault::Faults;
use crate::handler::{Handler, Rules};
use crate::limiter::{Connections, Gate};
use crate::listen::{self, BACKLOG, Places};
use crate::push::{Inbox, Orders};
use crate::ring::Ring;
use crate::store::Store;
use crate::tables::OwnTables;
use crate::work::Work;
use crate::{Args, Error, Idle, Interface, admin};

/// How long connections may take to end after the first signal: replies that a slow peer has not yet taken. Then they
/// are cut and counted as such.
const DRAIN: Duration = Duration::from_secs(2);

/// Who serves.
#[derive(Clone, Copy, Debug)]
pub struct Engine {
    /// The engine's name, the same in engines.toml, rows and plots.
    pub name: &'static str,
    /// What it does its socket I/O with.
    pub interface: Interface,
}

/// What a server speaks, by the names in its ready line and its metrics.
#[derive(Clone, Copy, Debug)]
pub struct Speaks {
    /// How messages are delimited.
    pub protocol: &'static str,
    /// How messages become bytes.
    pub format: &'static str,
}

/// One thread's share of the server.
#[derive(Debug)]
pub struct Shard {
    /// Bound, listening, not blocking; TCP_NODELAY is inherited by what it accepts.
    pub listener: TcpListener,
    /// Becomes readable when there are orders; not blocking.
    pub wake: UnixStream,
    /// What the bytes on `wake` mean.
    pub orders: Orders,
    /// Turns bytes into bytes.
    pub handler: Handler,
    /// What the engine reports of its life.
    pub life: Life,
}

/// What an engine reports of a shard's life.
#[derive(Debug)]
pub struct Life(Arc<Common>);

/// What the shards share.
#[derive(Debug)]
struct Common {
    counters: Vec<Arc<Counters>>,
    ready: Mutex<Ready>,
    draining: AtomicBool,
    /// Whether the counters line is printed, and a lock that is held until it is.
    ended: AtomicBool,
    ending: Mutex<()>,
}

#[derive(Debug)]
struct Ready {
    missing: usize,
    line: Value,
}

impl Life {
    /// Says that this shard's loop is set up. The last one to say so prints the ready line.
    pub fn ready(&self, ring: Option<Ring>) {
        let mut ready = self.0.ready.lock().unwrap_or_else(PoisonError::into_inner);
        Life::one_ready(&mut ready, || ring.map_or(Value::Null, Ring::to_json));
    }

    /// The same for an engine whose ring has more to tell than [`Ring`]: `ring` is the ready line's object.
    pub fn ready_with(&self, ring: Value) {
        let mut ready = self.0.ready.lock().unwrap_or_else(PoisonError::into_inner);
        Life::one_ready(&mut ready, || ring);
    }

    fn one_ready(ready: &mut Ready, ring: impl FnOnce() -> Value) {
        ready.missing -= 1;
        if ready.missing == 0 {
            ready.line["ring"] = ring();
            print_line(&ready.line.to_string());
        }
    }

    /// Says what idle connections hold, in engines where that is a choice. To be called before [`Life::ready`].
    pub fn idle(&self, idle: Idle) {
        let mut ready = self.0.ready.lock().unwrap_or_else(PoisonError::into_inner);
        ready.line["idle"] = idle.name("naive", "lean").into();
    }

    /// Starts the time that draining may take. To be called with the order to stop.
    pub fn draining(&self) {
        if self.0.draining.swap(true, Ordering::Relaxed) {
            return;
        }
        let common = Arc::clone(&self.0);
        // Not joined: the process ends either with it or before it.
        thread::spawn(move || {
            thread::sleep(DRAIN);
            common.print_counters(|totals| totals.errors[crate::ErrorKind::Cut as usize] += totals.open);
            std::process::exit(0);
        });
    }
}

impl Common {
    /// Prints the counters line, once: the last connection may end at the moment when the time to drain is over.
    fn print_counters(&self, adjust: impl FnOnce(&mut Totals)) {
        let _printing = self.ending.lock().unwrap_or_else(PoisonError::into_inner);
        if self.ended.swap(true, Ordering::Relaxed) {
            return;
        }
        let mut totals = Totals::of(self.counters.iter().map(|counters| &**counters));
        adjust(&mut totals);
        print_line(&totals.line());
    }
}

/// Runs a server: listens, starts a thread a shard (the first on this one), prints the ready line, serves until SIGTERM
/// or SIGINT and the end of every connection, and prints the counters line. A second signal ends the process at once.
///
/// `serve` is the engine: it returns when its shard has drained, or with the error that keeps it from running.
pub fn run(engine: Engine, args: &Args, serve: impl Fn(Shard) -> Result<(), Error> + Sync) -> Result<(), Error> {
    run_with(engine, args, Places::Descriptors, serve)
}

/// [`run`] for an engine whose connections may take their places elsewhere than in the table of descriptors.
pub fn run_with(
    engine: Engine,
    args: &Args,
    places: Places,
    serve: impl Fn(Shard) -> Result<(), Error> + Sync,
) -> Result<(), Error> {
    let speaks = Speaks { protocol: args.protocol.name(), format: args.format.name() };
    run_all(engine, args, places, speaks, serve)
}

/// [`run`] for a server that speaks what [`wire::Protocol`] has no name for: it takes [`crate::Desk`]s, not [`Handler`]s, so
/// that the arguments' protocol and format mean nothing to it.
pub fn run_speaking(
    engine: Engine,
    args: &Args,
    speaks: Speaks,
    serve: impl Fn(Shard) -> Result<(), Error> + Sync,
) -> Result<(), Error> {
    run_all(engine, args, Places::Descriptors, speaks, serve)
}

fn run_all(
    engine: Engine,
    args: &Args,
    places: Places,
    speaks: Speaks,
    serve: impl Fn(Shard) -> Result<(), Error> + Sync,
) -> Result<(), Error> {
    if args.push && !event::is_told_in(args.protocol) {
        let says = "--push: a reply of HTTP/1.1 needs a request, so nobody can be told an event: --protocol frame or websocket";
        return Err(Error::Usage(says.to_owned()));
    }
    let admin = args.admin.map(admin::bind).transpose()?;
    let connections = listen::connection_limit(args, places)?;
    let listeners = listen::listeners(args)?;
    let counters: Vec<Arc<Counters>> = listeners.iter().map(|_| Arc::default()).collect();
    let line = ready_line(engine, args, speaks, connections, &listeners, admin.as_ref())?;
    let ready = Mutex::new(Ready { missing: listeners.len(), line });
    let common = Common { counters, ready, draining: false.into(), ended: false.into(), ending: Mutex::new(()) };
    let common = Arc::new(common);
    stop_at_once_on_second_signal().map_err(Error::system("installing signal handlers"))?;
    let tables = args.own_tables.then(|| OwnTables::new(&listeners));
    let shards = shards(args, connections, listeners, &common)?;
    if let Some(listener) = admin {
        let gates = admin::Gates { connections, requests: args.limit_requests };
        let labels = admin::Labels { engine, speaks, protocol: args.protocol, format: args.format, gates };
        let inboxes =
            if args.push { shards.iter().map(|shard| Arc::clone(&shard.orders.inbox)).collect() } else { Vec::new() };
        admin::start(listener, labels, common.counters.clone(), inboxes)?;
    }
    let serve = |shard: Shard| {
        if let Some(tables) = &tables {
            tables.enter(&shard.listener)?;
        }
        serve(shard)
    };

    thread::scope(|scope| {
        let mut shards = shards.into_iter();
        let first = shards.next().expect("shards are not zero");
        let others: Vec<_> = shards.map(|shard| scope.spawn(|| serve_or_stop_all(&serve, shard))).collect();
        let first = serve_or_stop_all(&serve, first);
        let others = others.into_iter().map(|thread| thread.join().expect("a panic ends the server"));
        others.fold(first, Result::and)
    })?;
    common.print_counters(|_| {});
    Ok(())
}

/// A shard that cannot run takes the others with it: half a server would be measured as a whole one.
fn serve_or_stop_all(serve: &impl Fn(Shard) -> Result<(), Error>, shard: Shard) -> Result<(), Error> {
    serve(shard).inspect_err(|_| {
        let _ = signal_hook::low_level::raise(SIGTERM);
    })
}

fn shards(
    args: &Args,
    connections: u64,
    listeners: Vec<TcpListener>,
    common: &Arc<Common>,
) -> Result<Vec<Shard>, Error> {
    let count = listeners.len();
    let connections = Connections::new(connections);
    let work = Work::calibrated(args.service_time * 1e3 + crate::fault::spin_ns(&args.faults));
    let shard = |(index, listener)| {
        let counters = Arc::clone(&common.counters[index]);
        let store = Store::new(index, count);
        let rules = Rules {
            connections: connections.clone(),
            gate: Gate::new(args.limit_requests, count as u64, &counters),
            work,
            faults: Faults::new(&args.faults),
        };
        let handler = Handler::new(args.protocol, args.format, store, counters, rules);
        let (wake, inbox) = wake().map_err(Error::system("installing signal handlers"))?;
        let orders = Orders { inbox: Arc::new(inbox), push: args.push };
        Ok(Shard { listener, wake, orders, handler, life: Life(Arc::clone(common)) })
    };
    listeners.into_iter().enumerate().map(shard).collect()
}

/// A descriptor that becomes readable with SIGTERM or SIGINT (self-pipe), and with what is put into its inbox.
fn wake() -> std::io::Result<(UnixStream, Inbox)> {
    let (readable, written) = UnixStream::pair()?;
    readable.set_nonblocking(true)?;
    for signal in [SIGTERM, SIGINT] {
        signal_hook::low_level::pipe::register(signal, written.try_clone()?)?;
    }
    Ok((readable, Inbox::new(written)))
}

fn stop_at_once_on_second_signal() -> std::io::Result<()> {
    let signalled = Arc::new(AtomicBool::new(false));
    for signal in [SIGTERM, SIGINT] {
        // In this order: the first signal finds the flag unset, then sets it.
        signal_hook::flag::register_conditional_shutdown(signal, 1, Arc::clone(&signalled))?;
        signal_hook::flag::register(signal, Arc::clone(&signalled))?;
    }
    Ok(())
}

fn ready_line(
    engine: Engine,
    args: &Args,
    speaks: Speaks,
    connections: u64,
    listeners: &[TcpListener],
    admin: Option<&TcpListener>,
) -> Result<Value, Error> {
    let address = |listener: &TcpListener| -> Result<SocketAddr, Error> {
        listener.local_addr().map_err(Error::system("reading a listener's address"))
    };
    // All shards share one address; a list, since an engine may come to listen on several.
    let listening = address(listeners.first().expect("shards are not zero"))?;
    Ok(json!({
        "event": "ready",
        "engine": engine.name,
        "interface": engine.interface.name(),
        "addresses": [listening],
        "admin": admin.map(address).transpose()?,
        "pid": std::process::id(),
        "version": env!("CARGO_PKG_VERSION"),
        "protocol": speaks.protocol,
        "format": speaks.format,
        "shards": args.shards,
        "own_tables": args.own_tables,
        "max_connections": connections,
        "limit_requests": args.limit_requests.map(|limit| limit.to_string()),
        "service_time_us": args.service_time,
        "faults": args.faults.iter().map(ToString::to_string).collect::<Vec<_>>(),
        "backlog": BACKLOG,
        "idle": Value::Null,
        "push": args.push,
    }))
}

/// Whoever reads stdout may be gone; that is no reason to fail.
fn print_line(line: &str) {
    let mut stdout = std::io::stdout().lock();
    let _ = writeln!(stdout, "{line}").and_then(|()| stdout.flush());
}
