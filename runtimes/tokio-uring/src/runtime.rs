//! The runtime, and what one shard does on it: accept, and stop.

use std::cell::{Cell, RefCell};
use std::io;
use std::rc::Rc;
use std::time::Duration;

use service::{Error, Life, Pool, Ring, Shard, Sockets};
use tokio_uring::Runtime;
use tokio_uring::net::{TcpListener, TcpStream, UnixStream};

use crate::peer::{self, Shared};

/// Submission queue entries; the completion queue has twice as many, and the kernel keeps what overflows it (since 5.5).
pub(crate) const ENTRIES: u32 = 1_024;

/// A pause after accept(2) failed for want of memory. It stops the whole loop, which is what a machine without memory needs.
const ACCEPT_PAUSE: Duration = Duration::from_millis(1);

pub(crate) fn run(shard: Shard, ring: Ring, may_fall_back: bool) -> Result<(), Error> {
    let build = |ring: Ring| {
        let mut builder = tokio_uring::uring_builder();
        if ring.coop {
            builder.setup_coop_taskrun();
        }
        if ring.single_issuer {
            builder.setup_single_issuer();
        }
        Runtime::new(tokio_uring::builder().entries(ring.entries).uring_builder(&builder))
    };
    let (runtime, ring) = match build(ring) {
        Ok(runtime) => (runtime, ring),
        // An older kernel: it answers EINVAL to flags that it does not know.
        Err(error) if may_fall_back && error.kind() == io::ErrorKind::InvalidInput => {
            (build(ring.plain()).map_err(Error::ring)?, ring.plain())
        }
        Err(error) => return Err(Error::ring(error)),
    };
    runtime.block_on(serve(shard, ring))
}

async fn serve(shard: Shard, ring: Ring) -> Result<(), Error> {
    let Shard { listener, stop, handler, life } = shard;
    let set_up = || -> io::Result<_> {
        // The ring's accept and read must wait in the kernel: with O_NONBLOCK they would end with EAGAIN.
        listener.set_nonblocking(false)?;
        stop.set_nonblocking(false)?;
        listener.try_clone()
    };
    let queue = set_up().map_err(Error::system("setting up the listener"))?;
    let shared = Rc::new(Shared {
        handler: RefCell::new(handler),
        sockets: RefCell::new(Sockets::default()),
        outputs: RefCell::new(Pool::default()),
        stopping: Cell::new(false),
    });
    let accepting = tokio_uring::spawn(accept(TcpListener::from_std(listener), Rc::clone(&shared)));
    life.ready(Some(ring));

    // The byte that the signal handler writes.
    let _ = UnixStream::from_std(stop).read(Vec::with_capacity(1)).await;
    drain(&life, &shared, &queue).map_err(Error::system("draining"))?;
    // Its accept has failed by now; the runtime must not be dropped with an operation under way.
    let _ = accepting.await;
    Sockets::last_closed(&shared.sockets).await;
    Ok(())
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

fn drain(life: &Life, shared: &Rc<Shared>, queue: &std::net::TcpListener) -> io::Result<()> {
    life.draining();
    shared.stopping.set(true);
    for stream in service::last_of_queue(queue)? {
        peer::admit(TcpStream::from_std(stream), shared);
    }
    shared.sockets.borrow().end_reading();
    Ok(())
}
