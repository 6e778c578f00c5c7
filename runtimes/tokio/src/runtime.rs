//! The runtime, and what one shard does on it: accept, and stop.

use std::io;
use std::rc::Rc;

use service::{Error, Idle, Life, Shard, Tasks};
use tokio::io::AsyncReadExt;
use tokio::net::{TcpListener, TcpStream, UnixStream};
use tokio::runtime::{Builder, LocalOptions};
use tokio::task::spawn_local;

use crate::socket::Stream;

/// Events taken from the kernel at once, as in the other epoll engines; tokio's own default.
const EVENTS: usize = 1_024;

pub(crate) fn run(shard: Shard, idle: Idle) -> Result<(), Error> {
    // A local runtime: its tasks need not be Send, and there is no LocalSet with a queue of its own in between.
    let mut builder = Builder::new_current_thread();
    builder.enable_io().max_io_events_per_tick(EVENTS);
    let runtime = builder.build_local(LocalOptions::default()).map_err(Error::system("epoll_create"))?;
    runtime.block_on(serve(shard, idle))
}

/// Opens what all runtimes of the process share, before threads get tables of descriptors of their own: tokio has one pipe for
/// signals, which the first runtime opens and each further one duplicates, by a number that must mean it in every table.
pub(crate) fn open_shared() -> Result<(), Error> {
    Builder::new_current_thread().enable_io().build().map(drop).map_err(Error::system("epoll_create"))
}

async fn serve(shard: Shard, idle: Idle) -> Result<(), Error> {
    let Shard { listener, wake, orders, handler, life } = shard;
    let set_up = || -> io::Result<_> {
        let queue = listener.try_clone()?;
        Ok((TcpListener::from_std(listener)?, UnixStream::from_std(wake)?, queue))
    };
    let (listener, mut wake, queue) = set_up().map_err(Error::system("setting up the listener"))?;
    let tasks = Tasks::new(handler, orders, idle);
    spawn_local(accept(listener, Rc::clone(&tasks)));
    spawn_local(tasks.turns());
    life.idle(idle);
    life.ready(None);

    // A byte an order.
    let mut bytes = [0; 64];
    while let Ok(length) = wake.read(&mut bytes).await
        && tasks.obey(&bytes[..length]).await
    {}
    drain(&tasks, &life, &queue).await.map_err(Error::system("draining"))
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

async fn drain(tasks: &Rc<Tasks>, life: &Life, queue: &std::net::TcpListener) -> io::Result<()> {
    for stream in tasks.drain(life, queue)? {
        stream.set_nonblocking(true)?;
        tasks.admit(Stream::new(TcpStream::from_std(stream)?));
    }
    tasks.drained().await;
    Ok(())
}
