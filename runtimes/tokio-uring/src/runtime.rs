//! The runtime, and what one shard does on it: accept, and stop.

use std::io;
use std::rc::Rc;

use service::{Error, Idle, Life, Ring, Shard, Tasks};
use tokio_uring::Runtime;
use tokio_uring::net::{TcpListener, TcpStream, UnixStream};

use crate::socket::Stream;

/// Submission queue entries; the completion queue has twice as many, and the kernel keeps what overflows it (since 5.5).
pub(crate) const ENTRIES: u32 = 1_024;

pub(crate) fn run(shard: Shard, idle: Idle, ring: Ring, may_fall_back: bool) -> Result<(), Error> {
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
    runtime.block_on(serve(shard, idle, ring))
}

/// Opens what all runtimes of the process share, before threads get tables of descriptors of their own: tokio, below this one,
/// has one pipe for signals, which the first runtime opens and each further one duplicates, by a number that must mean it in
/// every table.
pub(crate) fn open_shared() -> Result<(), Error> {
    let mut builder = tokio::runtime::Builder::new_current_thread();
    builder.enable_io().build().map(drop).map_err(Error::system("epoll_create"))
}

async fn serve(shard: Shard, idle: Idle, ring: Ring) -> Result<(), Error> {
    let Shard { listener, wake, orders, handler, life } = shard;
    let set_up = || -> io::Result<_> {
        // The ring's accept and read must wait in the kernel: with O_NONBLOCK they would end with EAGAIN.
        listener.set_nonblocking(false)?;
        wake.set_nonblocking(false)?;
        listener.try_clone()
    };
    let queue = set_up().map_err(Error::system("setting up the listener"))?;
    let tasks = Tasks::new(handler, orders, idle);
    let accepting = tokio_uring::spawn(accept(TcpListener::from_std(listener), Rc::clone(&tasks)));
    tokio_uring::spawn(tasks.turns());
    life.idle(idle);
    life.ready(Some(ring));

    // A byte an order.
    let wake = UnixStream::from_std(wake);
    while let (Ok(_), bytes) = wake.read(Vec::with_capacity(64)).await
        && tasks.obey(&bytes).await
    {}
    drain(&tasks, &life, &queue).map_err(Error::system("draining"))?;
    // Its accept has failed by now; the runtime must not be dropped with an operation under way.
    let _ = accepting.await;
    tasks.drained().await;
    Ok(())
}

async fn accept(listener: TcpListener, tasks: Rc<Tasks>) {
    loop {
        let admitted = listener.accept().await.and_then(|(stream, _)| admit(stream, &tasks));
        match admitted {
            Ok(()) => {}
            Err(error) if tasks.goes_on_after(&error) => {}
            Err(_) => return,
        }
    }
}

fn admit(stream: TcpStream, tasks: &Rc<Tasks>) -> io::Result<()> {
    tasks.admit(Stream::new(stream, tasks.idle())?);
    Ok(())
}

fn drain(tasks: &Rc<Tasks>, life: &Life, queue: &std::net::TcpListener) -> io::Result<()> {
    tasks.drain(life, queue)?.into_iter().try_for_each(|stream| admit(TcpStream::from_std(stream), tasks))
}
