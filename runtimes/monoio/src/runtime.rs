//! The two runtimes, each named rather than detected, and what one shard does on either: accept, and stop.

use std::cell::{Cell, RefCell};
use std::io;
use std::rc::Rc;
use std::time::Duration;

use io_uring_06::IoUring;
use monoio::io::AsyncReadRent;
use monoio::net::{TcpListener, TcpStream, UnixStream};
use monoio::{IoUringDriver, LegacyDriver, RuntimeBuilder};
use service::{Error, Life, Pool, Ring, Shard, Sockets};

use crate::peer::{self, Shared};

/// Submission queue entries, and events per epoll_wait on the other driver: a batch of this many requests needs one
/// system call. The completion queue has twice as many; when it overflows the kernel keeps the rest (since 5.5).
pub(crate) const ENTRIES: u32 = 1_024;

/// A pause after accept(2) failed for want of memory. It stops the whole loop, which is what a machine without memory needs.
const ACCEPT_PAUSE: Duration = Duration::from_millis(1);

/// The ring's accept and reads must wait in the kernel: on a socket with O_NONBLOCK they would end with EAGAIN.
pub(crate) fn run_uring(shard: Shard, ring: Ring, may_fall_back: bool) -> Result<(), Error> {
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
    runtime.block_on(serve(shard, Some(ring)))
}

pub(crate) fn run_epoll(shard: Shard) -> Result<(), Error> {
    let runtime = RuntimeBuilder::<LegacyDriver>::new().with_entries(ENTRIES).build();
    runtime.map_err(Error::system("epoll_create"))?.block_on(serve(shard, None))
}

async fn serve(shard: Shard, ring: Option<Ring>) -> Result<(), Error> {
    let Shard { listener, stop, handler, life } = shard;
    let nonblocking = ring.is_none();
    let set_up = || -> io::Result<_> {
        listener.set_nonblocking(nonblocking)?;
        stop.set_nonblocking(nonblocking)?;
        let queue = listener.try_clone()?;
        Ok((TcpListener::from_std(listener)?, UnixStream::from_std(stop)?, queue))
    };
    let (listener, mut stop, queue) = set_up().map_err(Error::system("setting up the listener"))?;
    let shared = Rc::new(Shared {
        handler: RefCell::new(handler),
        sockets: RefCell::new(Sockets::default()),
        outputs: RefCell::new(Pool::default()),
        stopping: Cell::new(false),
    });
    monoio::spawn(accept(listener, Rc::clone(&shared)));
    life.ready(ring);

    // The byte that the signal handler writes.
    let _ = stop.read(Vec::with_capacity(1)).await;
    drain(&life, &shared, &queue, nonblocking).await.map_err(Error::system("draining"))
}

async fn accept(listener: TcpListener, shared: Rc<Shared>) {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => peer::admit(stream, &shared),
            Err(_) if shared.stopping.get() => return,
            Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
            Err(_) => {
                shared.handler.borrow_mut().accept_failed();
                std::thread::sleep(ACCEPT_PAUSE);
            }
        }
    }
}

async fn drain(life: &Life, shared: &Rc<Shared>, queue: &std::net::TcpListener, nonblocking: bool) -> io::Result<()> {
    life.draining();
    shared.stopping.set(true);
    for stream in service::last_of_queue(queue)? {
        stream.set_nonblocking(nonblocking)?;
        peer::admit(TcpStream::from_std(stream)?, shared);
    }
    shared.sockets.borrow().end_reading();
    Sockets::last_closed(&shared.sockets).await;
    Ok(())
}
