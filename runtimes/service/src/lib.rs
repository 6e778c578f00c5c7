//! What a server does with bytes, and everything around an engine but its socket I/O.
//!
//! The same code for every engine, so that engines differ in nothing but how they move bytes:
//!
//! * [`Handler`] and [`Connection`]: bytes in, bytes out; parsing, the note store, limits, counters.
//! * [`run`]: arguments → listeners, signals, threads, the ready line, the counters line, exit codes.
//! * `--admin`: Prometheus metrics, health and a CPU profile, on a thread of its own, only when asked.
//!
//! An engine is a `main` that calls [`run`] with a function: it gets a [`Shard`] (a bound listener, a handler, a
//! descriptor that becomes readable when there is an order: to stop, or to tell everybody an event) and moves bytes until
//! every connection has ended.

#[cfg_attr(not(feature = "admin"), path = "admin_absent.rs")]
mod admin;
mod args;
mod clock;
mod counters;
mod error;
mod fault;
mod handler;
mod limiter;
mod listen;
mod pool;
#[cfg_attr(not(feature = "admin"), expect(dead_code, reason = "orders come over the admin address"))]
mod push;
mod ring;
mod run;
mod sockets;
mod store;
mod tables;
mod task;
mod work;

pub use args::Args;
pub use counters::{Counters, ErrorKind};
pub use error::{Error, Interface, exit};
pub use fault::{Fault, UnknownFault};
pub use handler::{Connection, Desk, Handler, Next, Place, READ_BYTES, Refusal, page_of_query};
pub use limiter::{LimitRequests, UnknownAlgorithm};
pub use listen::{Places, last_of_queue};
pub use pool::Pool;
pub use push::{BACKLOG_BYTES, Event, Order, Orders};
pub use ring::{Ring, RingFeature};
pub use run::{Engine, Life, Shard, Speaks, run, run_speaking, run_with};
pub use store::{ADDED_NOTES, Store};
pub use task::{Idle, Received, Socket, Tasks, receive_when_readable};
