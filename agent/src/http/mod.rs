//! Serves the page: hyper on one thread, bounded in connections, bytes and time.
//!
//! Routes: the telemetry path (`/metrics`), `/` (a page with links), `/healthz` (the process answers). Everything
//! else is 404, other methods than GET and HEAD are 405. Scrapes beyond `--web.max-requests` are 503.

mod listen;
mod routes;

pub use listen::{Server, bind, inherited};
pub use routes::Routes;
