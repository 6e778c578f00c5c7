//! Listeners and the limits that they depend on.

use std::io;
use std::net::{SocketAddr, TcpListener, TcpStream};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use socket2::{Domain, Protocol, Socket, Type};

use crate::{Args, Error};

/// Connections that wait to be accepted, at most. The kernel cuts it to net.core.somaxconn, whose default is the same.
/// std and most runtimes say 128 or 1024, and a burst of connects over that costs each of them a second.
pub(crate) const BACKLOG: u32 = 4_096;

/// Descriptors that the process needs beside its connections: standard streams, listeners, rings, epoll, signal pipes,
/// admin. Connections that are refused hold one for a moment.
fn own_descriptors(shards: usize) -> u64 {
    64 + 8 * shards as u64
}

/// What an engine's connections take their places in. The limit of file descriptors holds for each table of them, not
/// for the process.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Places {
    /// File descriptors: of one table for the process, or of one a shard with `--own-tables`.
    #[default]
    Descriptors,
    /// Slots of this many tables in each shard that io_uring keeps (direct descriptors), each as large as the limit.
    Registered {
        /// Tables of a shard: it has as many rings.
        tables: u16,
    },
}

/// Slots that one registered table has at most (IORING_MAX_FIXED_FILES of the kernel).
const REGISTERED_SLOTS: u64 = 1 << 20;

/// Raises the soft limit of file descriptors to the hard one, and returns how many connections it allows.
pub(crate) fn connection_limit(args: &Args, places: Places) -> Result<u64, Error> {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
    setrlimit(Resource::Nofile, raised).map_err(|error| Error::system("raising RLIMIT_NOFILE")(error.into()))?;
    connections(args, places, limit.maximum.unwrap_or(u64::MAX))
}

fn connections(args: &Args, places: Places, limit: u64) -> Result<u64, Error> {
    let shards = u64::from(args.shards);
    let own = own_descriptors(usize::from(args.shards));
    let (tables, limit) = match places {
        Places::Descriptors if args.own_tables => (shards, limit),
        Places::Descriptors => (1, limit),
        Places::Registered { tables } => (shards * u64::from(tables), limit.min(REGISTERED_SLOTS)),
    };
    let (own, limit) = (tables * own, tables.saturating_mul(limit));
    let asked = args.max_connections.map(|asked| u64::from(asked.get()));
    let needed = asked.unwrap_or(1) + own;
    if needed > limit {
        return Err(Error::Descriptors { asked: asked.unwrap_or(1), needed, limit });
    }
    Ok(asked.unwrap_or(limit - own))
}

/// One listener a shard, all on the same port; with several shards the kernel spreads connections by hash (SO_REUSEPORT).
pub(crate) fn listeners(args: &Args) -> Result<Vec<TcpListener>, Error> {
    let shards = usize::from(args.shards);
    let mut address = args.listen;
    let mut listeners = Vec::with_capacity(shards);
    for _ in 0..shards {
        // With one shard a second server on the same port must fail, not share it, unless that was asked for.
        let listener =
            listener(address, shards > 1 || args.reuse_port).map_err(|source| Error::Listen { address, source })?;
        // Port 0: the first bind decides for all.
        address = listener.local_addr().map_err(|source| Error::Listen { address, source })?;
        listeners.push(listener);
    }
    Ok(listeners)
}

fn listener(address: SocketAddr, reuse_port: bool) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    // Without this a restart would wait for the TIME_WAIT of its predecessor's connections.
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(reuse_port)?;
    // Inherited by accepted sockets on Linux: no system call per connection, and the same for every engine.
    socket.set_tcp_nodelay(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(i32::try_from(BACKLOG).expect("a small number"))?;
    Ok(socket.into())
}

/// Ends a listener whose accept an engine's task waits for: takes what is in its queue, since those have connected and
/// may have sent, and then makes that accept fail (shutdown(2) on a listening socket).
///
/// The accepted sockets block; the listener does not, from here on.
pub fn last_of_queue(listener: &TcpListener) -> io::Result<Vec<TcpStream>> {
    listener.set_nonblocking(true)?;
    let mut streams = Vec::new();
    // The backlog bounds it: who connects meanwhile comes too late.
    while streams.len() < BACKLOG as usize {
        match listener.accept() {
            Ok((stream, _)) => streams.push(stream),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(_) => break,
        }
    }
    rustix::net::shutdown(listener, rustix::net::Shutdown::Read)?;
    Ok(streams)
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Command {
        #[command(flatten)]
        args: Args,
    }

    fn args(more: &[&str]) -> Args {
        let words = ["x", "--listen", "127.0.0.1:0", "--protocol", "frame", "--format", "raw"];
        Command::try_parse_from(words.iter().chain(more)).unwrap().args
    }

    /// The limit is one of each table: how many connections each kind of table allows, and what is too many.
    #[test]
    fn tables() {
        let two = args(&["--shards", "2"]);
        let own = args(&["--shards", "2", "--own-tables"]);
        assert_eq!(connections(&two, Places::Descriptors, 20_000).unwrap(), 20_000 - 80);
        assert_eq!(connections(&own, Places::Descriptors, 20_000).unwrap(), 2 * (20_000 - 80));
        let five_rings = Places::Registered { tables: 5 };
        assert_eq!(connections(&two, five_rings, 20_000).unwrap(), 10 * (20_000 - 80));
        assert_eq!(connections(&two, five_rings, u64::MAX).unwrap(), 10 * ((1 << 20) - 80));
        assert!(connections(&args(&["--limit-connections", "20000"]), Places::Descriptors, 20_000).is_err());
    }

    /// Accepted sockets do not wait to fill segments, though nobody sets that on them.
    #[test]
    fn nodelay_is_inherited() {
        let listener = listener("127.0.0.1:0".parse().unwrap(), false).unwrap();
        let _client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        listener.set_nonblocking(false).unwrap();
        let (accepted, _) = listener.accept().unwrap();
        assert!(accepted.nodelay().unwrap());
    }
}
