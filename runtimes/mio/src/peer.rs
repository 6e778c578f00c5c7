//! One connection: read until drained, serve, write until it blocks.

use std::io::{self, Read, Write};
use std::net::Shutdown;

use mio::net::TcpStream;
use service::{BACKLOG_BYTES, Connection, Event, Handler, Next, READ_BYTES};

/// Reads in a row before the other peers have their turn.
const TURNS: usize = 16;

/// What all peers of a shard share: no connection owns a buffer, but for replies that its socket does not take.
pub(crate) struct Buffers {
    pub(crate) handler: Handler,
    read: Box<[u8]>,
    write: Vec<u8>,
}

pub(crate) struct Peer {
    pub(crate) stream: TcpStream,
    pub(crate) connection: Connection,
    next: Next,
    /// Replies that the socket did not take; until it does, nothing is read.
    unsent: Vec<u8>,
    /// Bytes of `unsent` that are sent. Below 4 GiB, as every limit is.
    sent: u32,
    /// Bytes of events that were put behind what waited, those that were sent since included.
    told: u32,
    /// Writing was shut down; what still comes is thrown away.
    lingers: bool,
}

pub(crate) enum Progress {
    /// Until its next event.
    Wait,
    /// Its turns are over, its work is not.
    More,
    /// To be closed.
    Ended,
}

/// What became of an event for a peer.
pub(crate) enum Pushed {
    /// It is with the socket, waits for it, or is nothing for this peer.
    Taken,
    /// Too much waits already: to be closed.
    Slow,
}

impl Buffers {
    pub(crate) fn new(handler: Handler) -> Buffers {
        Buffers { handler, read: vec![0; READ_BYTES].into_boxed_slice(), write: Vec::new() }
    }

    /// Tells a connection that is over the limit so, as far as its empty socket buffer takes it.
    pub(crate) fn refuse(&mut self, mut stream: &TcpStream) {
        self.write.clear();
        self.handler.refusal(&mut self.write);
        let _ = stream.write(&self.write).and_then(|_| stream.shutdown(Shutdown::Write));
    }
}

impl Peer {
    pub(crate) fn new(stream: TcpStream, connection: Connection) -> Peer {
        Peer { stream, connection, next: Next::Read, unsent: Vec::new(), sent: 0, told: 0, lingers: false }
    }

    /// Moves this peer as far as it goes. `read_closed`: the end of its data may be near, so a short read is not taken
    /// for the end of what is there.
    pub(crate) fn drive(&mut self, buffers: &mut Buffers, read_closed: bool) -> io::Result<Progress> {
        for _ in 0..TURNS {
            if !self.unsent.is_empty() && !self.send_rest(&mut buffers.handler)? {
                return Ok(Progress::Wait);
            }
            let mut drained = false;
            let length = match self.next {
                Next::Again => 0,
                Next::Close if !self.lingers => {
                    self.stream.shutdown(Shutdown::Write)?;
                    self.lingers = true;
                    continue;
                }
                Next::Read | Next::Close => match self.stream.read(&mut buffers.read) {
                    Ok(0) => return Ok(Progress::Ended),
                    Ok(length) => {
                        // A short read emptied the socket: the next bytes come with an edge of their own (epoll(7)).
                        drained = length < buffers.read.len() && !read_closed;
                        length
                    }
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(Progress::Wait),
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                    Err(error) => return Err(error),
                },
            };
            if self.lingers {
                if !self.connection.discard(length) {
                    return Ok(Progress::Ended);
                }
            } else {
                buffers.write.clear();
                self.next = buffers.handler.feed(&mut self.connection, &buffers.read[..length], &mut buffers.write);
                self.send(&mut buffers.handler, &buffers.write)?;
            }
            let idle = self.unsent.is_empty() && (self.next == Next::Read || self.lingers);
            if drained && idle {
                return Ok(Progress::Wait);
            }
        }
        Ok(Progress::More)
    }

    /// Tells this peer an event, behind what its socket has not taken yet.
    pub(crate) fn push(&mut self, event: &Event, buffers: &mut Buffers) -> io::Result<Pushed> {
        if !buffers.handler.takes_events(&self.connection) {
            return Ok(Pushed::Taken);
        }
        let waiting = self.unsent.len() - self.sent as usize;
        // Nothing is read while replies wait, so events are the end of what does.
        let events = waiting.min(self.told as usize);
        if events > 0 && events + event.message_bytes() > BACKLOG_BYTES {
            buffers.handler.too_slow(&mut self.connection);
            return Ok(Pushed::Slow);
        }
        buffers.handler.pushed();
        if waiting > 0 {
            self.unsent.drain(..self.sent as usize);
            event.write(&mut self.unsent);
            (self.sent, self.told) = (0, length(events + event.message_bytes()));
            return Ok(Pushed::Taken);
        }
        let message = match event.shared() {
            Some(message) => &message[..],
            None => {
                buffers.write.clear();
                event.write(&mut buffers.write);
                &buffers.write[..]
            }
        };
        self.send(&mut buffers.handler, message)?;
        self.told = length(self.unsent.len());
        Ok(Pushed::Taken)
    }

    /// Writes new replies; keeps what the socket does not take.
    fn send(&mut self, handler: &mut Handler, replies: &[u8]) -> io::Result<()> {
        let sent = write(&mut self.stream, replies)?;
        handler.flushed(&mut self.connection, sent, sent == replies.len());
        if sent < replies.len() {
            self.unsent.extend_from_slice(&replies[sent..]);
            (self.sent, self.told) = (0, 0);
        }
        Ok(())
    }

    /// Writes kept replies; `true` when none is left.
    fn send_rest(&mut self, handler: &mut Handler) -> io::Result<bool> {
        let sent = write(&mut self.stream, &self.unsent[self.sent as usize..])?;
        self.sent += length(sent);
        let all = self.sent as usize == self.unsent.len();
        handler.flushed(&mut self.connection, sent, all);
        if all {
            // Freed rather than cleared: slow peers are few, idle ones many.
            self.unsent = Vec::new();
            (self.sent, self.told) = (0, 0);
        }
        Ok(all)
    }
}

fn length(bytes: usize) -> u32 {
    u32::try_from(bytes).expect("what waits for a peer is a few megabytes")
}

/// Writes until everything is written or the socket blocks; returns how much was written.
fn write(stream: &mut TcpStream, bytes: &[u8]) -> io::Result<usize> {
    let mut sent = 0;
    while sent < bytes.len() {
        match stream.write(&bytes[sent..]) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(length) => sent += length,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(sent)
}
