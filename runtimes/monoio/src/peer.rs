//! One connection: a task that reads, lets the handler answer, and writes.

use std::cell::{Cell, RefCell};
use std::io;
use std::rc::Rc;

use monoio::io::{AsyncReadRent, AsyncWriteRent, AsyncWriteRentExt};
use monoio::net::TcpStream;
use service::{Connection, Handler, Next, Pool, Sockets};

/// What all connections of a shard share. Nothing of it stays borrowed over an await.
pub(crate) struct Shared {
    pub(crate) handler: RefCell<Handler>,
    pub(crate) sockets: RefCell<Sockets>,
    pub(crate) outputs: RefCell<Pool>,
    pub(crate) stopping: Cell<bool>,
}

/// Starts a task for an accepted connection, or tells it that there are too many.
pub(crate) fn admit(stream: TcpStream, shared: &Rc<Shared>) {
    let shared = Rc::clone(shared);
    let admitted = shared.handler.borrow_mut().admit();
    match admitted {
        Some(connection) => {
            // Here and not in the task: draining must see it from now on.
            let key = shared.sockets.borrow_mut().insert(&stream);
            monoio::spawn(serve(stream, connection, key, shared));
        }
        None => {
            monoio::spawn(refuse(stream, shared));
        }
    }
}

async fn serve(mut stream: TcpStream, mut connection: Connection, key: usize, shared: Rc<Shared>) {
    let failed = exchange(&mut stream, &mut connection, &shared).await.is_err();
    shared.sockets.borrow_mut().remove(key);
    drop(stream);
    shared.handler.borrow_mut().closed(connection, failed);
}

async fn refuse(mut stream: TcpStream, shared: Rc<Shared>) {
    let mut out = Vec::new();
    shared.handler.borrow_mut().refusal(&mut out);
    // It fits the empty socket buffer: neither waits. Whether the peer still listens is its own affair.
    let _ = stream.write_all(out).await;
    let _ = stream.shutdown().await;
}

async fn exchange(stream: &mut TcpStream, connection: &mut Connection, shared: &Shared) -> io::Result<()> {
    let mut buffer = service::read_buffer();
    loop {
        let (result, returned) = stream.read(buffer).await;
        buffer = returned;
        let length = match result {
            Ok(0) => return Ok(()),
            Ok(length) => length,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        let mut next = answer(stream, connection, shared, &buffer[..length]).await?;
        while next == Next::Again {
            next = answer(stream, connection, shared, &[]).await?;
        }
        if next == Next::Close {
            return linger(stream, connection, buffer).await;
        }
        buffer = service::grown(buffer, length);
    }
}

/// Serves what was read and writes the replies, all of them: while the peer does not take them, nothing is read from it.
async fn answer(
    stream: &mut TcpStream,
    connection: &mut Connection,
    shared: &Shared,
    bytes: &[u8],
) -> io::Result<Next> {
    let mut out = shared.outputs.borrow_mut().take();
    let next = shared.handler.borrow_mut().feed(connection, bytes, &mut out);
    if !out.is_empty() {
        let (result, returned) = stream.write_all(out).await;
        out = returned;
        result?;
        shared.handler.borrow_mut().flushed(connection, out.len(), true);
    }
    shared.outputs.borrow_mut().give(out);
    Ok(next)
}

/// After a refusal: no more writing, and reading only so that the peer finds the refusal rather than a reset.
async fn linger(stream: &mut TcpStream, connection: &mut Connection, mut buffer: Vec<u8>) -> io::Result<()> {
    stream.shutdown().await?;
    loop {
        let (result, returned) = stream.read(buffer).await;
        buffer = returned;
        let length = result?;
        if length == 0 || !connection.discard(length) {
            return Ok(());
        }
    }
}
