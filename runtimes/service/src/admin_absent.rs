//! What stands for `--admin` in a build without the feature `admin`: a refusal.

use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;

use wire::{Format, Protocol};

use crate::counters::Counters;
use crate::push::Inbox;
use crate::{Engine, Error, LimitRequests, Speaks};

/// What the metrics would be labelled with.
#[derive(Clone, Copy, Debug)]
#[expect(dead_code, reason = "nothing reads the labels of metrics that are not served")]
pub(crate) struct Labels {
    pub(crate) engine: Engine,
    pub(crate) speaks: Speaks,
    pub(crate) protocol: Protocol,
    pub(crate) format: Format,
    pub(crate) gates: Gates,
}

/// What the limiter's metrics would say.
#[derive(Clone, Copy, Debug)]
#[expect(dead_code, reason = "as above")]
pub(crate) struct Gates {
    pub(crate) connections: u64,
    pub(crate) requests: Option<LimitRequests>,
}

pub(crate) fn bind(address: SocketAddr) -> Result<TcpListener, Error> {
    Err(Error::Usage(format!("--admin {address}: this server was built without its feature admin")))
}

pub(crate) fn start(_: TcpListener, _: Labels, _: Vec<Arc<Counters>>, _: Vec<Arc<Inbox>>) -> Result<(), Error> {
    Ok(())
}
