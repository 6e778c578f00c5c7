//! The two runtimes, each named rather than detected, and what one shard does on either: accept, and stop.

use std::io;
use std::rc::Rc;

use io_uring_06::IoUring;
use monoio::io::AsyncReadRent;
use monoio::net::{TcpListener, TcpStream, UnixStream};
use monoio::{IoUringDriver, LegacyDriver, RuntimeBuilder};
use service::{Error, Idle, Life, Ring, Shard, Tasks};

use crate::socket::Stream;

/// Submission queue entries, and events per epoll_wait on the other driver: a batch of this many requests needs one
/// system call. The completion queue has twice as many; when it overflows the kernel keeps the rest (since 5.5).
pub(crate) const ENTRIES: u32 = 1_024;

/// The ring's accept and reads must wait in the kernel: on a socket with O_NONBLOCK they would end with EAGAIN.
pub(crate) fn run_uring(shard: Shard, idle: Idle, ring: Ring, may_fall_back: bool) -> Result<(), Error> {
    let build = |ring: Ring| {
        let mut builder = IoUring::builder();
        if ring.coop {
            builder.setup_coop_taskrun();
        }
        if ring.single_issuer {
            builder.setup_single_issuer();
        }
        if ring.defer {
            builder.setup_defer_taskrun();
        }
        RuntimeBuilder::<IoUringDriver>::new().with_entries(ring.entries).uring_builder(builder).build()
    };
    let (mut runtime, ring) = match build(ring) {
        Ok(runtime) => (runtime, ring),
        // An older kernel: it answers EINVAL to flags that it does not know.
        Err(error) if may_fall_back && error.kind() == io::ErrorKind::InvalidInput => {
            (build(ring.plain()).map_err(Error::ring)?, ring.plain())
        }
        Err(error) => return Err(Error::ring(error)),
    };
    runtime.block_on(serve(shard, idle, Some(ring)))
}

pub(crate) fn run_epoll(shard: Shard, idle: Idle) -> Result<(), Error> {
    let runtime = RuntimeBuilder::<LegacyDriver>::new().with_entries(ENTRIES).build();
    runtime.map_err(Error::system("epoll_create"))?.block_on(serve(shard, idle, None))
}

async fn serve(shard: Shard, idle: Idle, ring: Option<Ring>) -> Result<(), Error> {
    let Shard { listener, wake, orders, handler, life } = shard;
    let nonblocking = ring.is_none();
    let set_up = || -> io::Result<_> {
        listener.set_nonblocking(nonblocking)?;
        wake.set_nonblocking(nonblocking)?;
        let queue = listener.try_clone()?;
        Ok((TcpListener::from_std(listener)?, UnixStream::from_std(wake)?, queue))
    };
    let (listener, mut wake, queue) = set_up().map_err(Error::system("setting up the listener"))?;
    let tasks = Tasks::new(handler, orders, idle);
    monoio::spawn(accept(listener, Rc::clone(&tasks)));
    monoio::spawn(tasks.turns());
    life.idle(idle);
    life.ready(ring);

    // A byte an order.
    while let (Ok(_), bytes) = wake.read(Vec::with_capacity(64)).await
        && tasks.obey(&bytes).await
    {}
    drain(&tasks, &life, &queue, nonblocking).await.map_err(Error::system("draining"))
}

async fn accept(listener: TcpListener, tasks: Rc<Tasks>) {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => tasks.admit(Stream::new(stream)),
            Err(error) if tasks.goes_on_after(&error) => {}
            Err(_) => return,
        }
    }
}

async fn drain(tasks: &Rc<Tasks>, life: &Life, queue: &std::net::TcpListener, nonblocking: bool) -> io::Result<()> {
    for stream in tasks.drain(life, queue)? {
        stream.set_nonblocking(nonblocking)?;
        tasks.admit(Stream::new(TcpStream::from_std(stream)?));
    }
    tasks.drained().await;
    Ok(())
}
