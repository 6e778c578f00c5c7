//! The two runtimes, each named rather than detected, and what one shard does on either: accept, and stop.

use std::io;
use std::num::NonZero;
use std::rc::Rc;

use compio::BufResult;
use compio::driver::{DriverType, ProactorBuilder};
use compio::io::AsyncRead;
use compio::net::{TcpListener, TcpStream, UnixStream};
use compio::runtime::{Runtime, RuntimeBuilder, spawn};
use service::{Error, Idle, Life, Ring, Shard, Tasks};

use crate::socket::Stream;

/// Submission queue entries, and events per epoll_wait on the other driver. The completion queue has twice as many; when
/// it overflows the kernel keeps the rest (since 5.5).
pub(crate) const ENTRIES: u32 = 1_024;

/// Size of the buffers that the kernel picks from: as the first one of a connection that waits with its own.
pub(crate) const BUFFER_BYTES: usize = 4 << 10;

/// How many there are: as many as connections whose data one turn of the loop brings. 4 MiB in all, once used.
const BUFFERS: NonZero<u16> = NonZero::new(1_024).expect("not zero");

pub(crate) fn run_uring(shard: Shard, idle: Idle, ring: Ring, may_fall_back: bool) -> Result<(), Error> {
    let build = |ring: Ring| {
        let mut proactor = ProactorBuilder::new();
        proactor.driver_type(DriverType::IoUring).capacity(ring.entries);
        proactor.coop_taskrun(ring.coop).single_issuer(ring.single_issuer).defer_taskrun(ring.defer);
        runtime(&mut proactor)
    };
    let (runtime, ring) = match build(ring) {
        Ok(runtime) => (runtime, ring),
        // An older kernel: it answers EINVAL to flags that it does not know.
        Err(error) if may_fall_back && error.kind() == io::ErrorKind::InvalidInput => {
            (build(ring.plain()).map_err(Error::ring)?, ring.plain())
        }
        Err(error) => return Err(Error::ring(error)),
    };
    runtime.block_on(serve(shard, idle, Some(ring)))
}

pub(crate) fn run_poll(shard: Shard, idle: Idle) -> Result<(), Error> {
    let mut proactor = ProactorBuilder::new();
    proactor.driver_type(DriverType::Poll).capacity(ENTRIES);
    runtime(&mut proactor).map_err(Error::system("epoll_create"))?.block_on(serve(shard, idle, None))
}

fn runtime(proactor: &mut ProactorBuilder) -> io::Result<Runtime> {
    proactor.buffer_pool_size(BUFFERS).buffer_pool_buffer_len(BUFFER_BYTES);
    RuntimeBuilder::new().with_proactor(proactor.clone()).build()
}

async fn serve(shard: Shard, idle: Idle, ring: Option<Ring>) -> Result<(), Error> {
    let Shard { listener, wake, orders, handler, life } = shard;
    let nonblocking = ring.is_none();
    let set_up = || -> io::Result<_> {
        // A ring's accept and reads must wait in the kernel: on a socket with O_NONBLOCK they would end with EAGAIN.
        listener.set_nonblocking(nonblocking)?;
        wake.set_nonblocking(nonblocking)?;
        let queue = listener.try_clone()?;
        Ok((TcpListener::from_std(listener)?, UnixStream::from_std(wake)?, queue))
    };
    let (listener, mut wake, queue) = set_up().map_err(Error::system("setting up the listener"))?;
    let tasks = Tasks::new(handler, orders, idle);
    let kernel_picks = ring.is_some();
    spawn(accept(listener, Rc::clone(&tasks), kernel_picks)).detach();
    spawn(tasks.turns()).detach();
    life.idle(idle);
    life.ready(ring);

    // A byte an order.
    while let BufResult(Ok(_), bytes) = wake.read(Vec::with_capacity(64)).await
        && tasks.obey(&bytes).await
    {}
    drain(&tasks, &life, &queue, kernel_picks).await.map_err(Error::system("draining"))
}

async fn accept(listener: TcpListener, tasks: Rc<Tasks>, kernel_picks: bool) {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => tasks.admit(Stream { stream, kernel_picks }),
            Err(error) if tasks.goes_on_after(&error) => {}
            Err(_) => return,
        }
    }
}

async fn drain(tasks: &Rc<Tasks>, life: &Life, queue: &std::net::TcpListener, kernel_picks: bool) -> io::Result<()> {
    for stream in tasks.drain(life, queue)? {
        // Makes it non-blocking where the driver needs that.
        let stream = TcpStream::from_std(stream)?;
        tasks.admit(Stream { stream, kernel_picks });
    }
    tasks.drained().await;
    Ok(())
}
