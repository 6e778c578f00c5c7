//! One ring and its connections: completions in, operations out.

use std::collections::VecDeque;
use std::io;
use std::os::fd::{BorrowedFd, RawFd};
use std::sync::Arc;

use io_uring::{IoUring, cqueue};
use rustix::io::Errno;
use rustix::net::Shutdown;
use service::{Event, Handler, Next, Pool};
use slab::Slab;

use crate::Settings;
use crate::accept::Acceptor;
use crate::buffers::BufferRing;
use crate::features::Switch;
use crate::groups::Groups;
use crate::operation::{self, Operation, POLL_FIRST, RECV_MULTISHOT, Socket};
use crate::peer::{CHUNK_BYTES, Chunk, NONE, Peer, Receiving};
use crate::queue::{Completion, Queue};
use crate::sends::{Buffer, Sends, Stage};

/// Receive buffers kept for the next receive, where none are provided.
const CHUNKS_KEPT: usize = 1_024;

/// A send that finds the peer gone must not kill the process.
const SEND: i32 = libc::MSG_NOSIGNAL;

pub(crate) struct Reactor<'ring> {
    pub(crate) queue: Queue<'ring>,
    pub(crate) settings: Settings,
    pub(crate) peers: Slab<Peer>,
    pub(crate) acceptor: Acceptor,
    pub(crate) sends: Sends,
    received: Option<BufferRing>,
    groups: Option<Groups>,
    chunks: Vec<Box<Chunk>>,
    pub(crate) outputs: Pool,
    /// Events to be told, in their order, and the key from which on peers have yet to be told the first.
    pub(crate) pushing: VecDeque<(Arc<Event>, usize)>,
    completions: Vec<Completion>,
    /// Eventfds of the thread's other rings, and whether each was signalled.
    wakers: Vec<(RawFd, bool)>,
    /// There are orders to be read.
    pub(crate) woken: bool,
    /// What has arrived is received, nothing is waited for.
    pub(crate) draining: bool,
}

impl<'ring> Reactor<'ring> {
    /// A reactor on this ring, with room for `slots` connections where they are direct.
    pub(crate) fn new(ring: &'ring mut IoUring, settings: Settings, slots: u32) -> io::Result<Reactor<'ring>> {
        let queue = Queue::new(ring, settings.features, settings.wait);
        let has = |switch| settings.features.has(switch);
        let direct = has(Switch::Direct);
        if direct {
            queue.submitter().register_files_sparse(slots)?;
        }
        let mut received = None;
        if has(Switch::Buffers) {
            let buffers = (settings.buffers, settings.buffer_bytes);
            let mut ring = BufferRing::new(queue.submitter(), 0, buffers, has(Switch::Incremental))?;
            ring.stock();
            received = Some(ring);
        }
        let groups = if has(Switch::SendBundle) { Some(Groups::new(queue.submitter())?) } else { None };
        Ok(Reactor {
            queue,
            settings,
            peers: Slab::new(),
            acceptor: Acceptor::new(has(Switch::AcceptMultishot), direct.then_some(slots as usize)),
            sends: Sends::default(),
            received,
            groups,
            chunks: Vec::new(),
            outputs: Pool::default(),
            pushing: VecDeque::new(),
            completions: Vec::new(),
            wakers: Vec::new(),
            woken: false,
            draining: false,
        })
    }

    /// Queues an operation of this reactor.
    pub(crate) fn push(&mut self, entry: &io_uring::squeue::Entry) -> io::Result<()> {
        // SAFETY: what the operations of this module point to stays until their completion: provided buffers are never
        // unmapped; a peer keeps its chunk while its receive is outstanding, and a send its buffer, on the heap, until
        // its completion and its last notice, or, silent, until the system call that submitted it has returned; a
        // timeout is static. A reactor that ends with operations outstanding is leaked by `shard::run`.
        unsafe { self.queue.push(entry) }
    }

    /// Becomes readable when there are orders; once.
    pub(crate) fn watch_orders(&mut self, descriptor: RawFd) -> io::Result<()> {
        self.push(&operation::wake(descriptor))
    }

    /// Wakes this ring when another has something to do.
    pub(crate) fn watch_other(&mut self, index: usize, waker: RawFd) -> io::Result<()> {
        self.wakers.push((waker, false));
        self.push(&operation::other(index, waker))
    }

    /// Whether that other ring woke this one since it was asked last.
    pub(crate) fn take_woken(&mut self, index: usize) -> bool {
        std::mem::take(&mut self.wakers[index].1)
    }

    fn other_woke(&mut self, index: usize, completion: Completion) -> io::Result<()> {
        self.wakers[index].1 = true;
        if cqueue::more(completion.flags) {
            return Ok(());
        }
        self.push(&operation::other(index, self.wakers[index].0))
    }

    /// Whether nothing is left to do.
    pub(crate) fn is_empty(&self) -> bool {
        self.peers.is_empty() && self.sends.all.is_empty() && self.acceptor.has_ended()
    }

    /// Submits what is queued and handles what completed; returns how many completions there were.
    pub(crate) fn turn(&mut self, handler: &mut Handler, wait: bool) -> io::Result<usize> {
        self.push_sends()?;
        if let Some(received) = &mut self.received {
            received.publish();
        }
        if wait {
            self.queue.submit_and_wait()?;
        } else {
            self.queue.submit()?;
        }
        let mut completions = std::mem::take(&mut self.completions);
        completions.clear();
        self.queue.drain(&mut completions);
        if !self.sends.silent.is_empty() {
            self.settle_silent(handler, &completions)?;
        }
        handler.turn();
        for completion in &completions {
            self.handle(handler, *completion)?;
        }
        let count = completions.len();
        self.completions = completions;
        Ok(count)
    }

    /// Whether operations are queued that no system call has submitted.
    pub(crate) fn has_queued(&self) -> bool {
        !self.sends.collecting.is_empty() || !self.queue.all_submitted()
    }

    #[inline]
    fn handle(&mut self, handler: &mut Handler, completion: Completion) -> io::Result<()> {
        match Operation::from_user_data(completion.user_data) {
            Operation::Receive(key) => self.receive_done(handler, key, completion),
            Operation::Send(index) => self.send_done(handler, index, completion),
            Operation::Readable(key) => self.readable(handler, key, completion),
            Operation::Accept => self.accept_done(handler, completion),
            Operation::Retry => self.accept_again(),
            Operation::Shutdown(key) => {
                let peer = &mut self.peers[key];
                peer.shutting = false;
                peer.failed |= completion.result < 0;
                self.advance(handler, key)
            }
            Operation::Wake => {
                self.woken = true;
                Ok(())
            }
            Operation::Other(index) => self.other_woke(index, completion),
            Operation::Forgotten => Ok(()),
        }
    }

    /// Takes an accepted connection in, or tells it that there are too many.
    pub(crate) fn admit(&mut self, handler: &mut Handler, socket: Socket) -> io::Result<()> {
        let connection = handler.admit();
        let key = self.peers.insert(Peer::new(socket, connection));
        if self.peers[key].refused {
            let mut out = self.outputs.take();
            handler.refusal(&mut out);
            self.peers[key].sending = self.collect(key, Buffer::Own(out));
            return Ok(());
        }
        self.arm_receive(key, true)
    }

    pub(crate) fn collect(&mut self, key: usize, buffer: Buffer) -> u32 {
        u32::try_from(self.sends.collect(key, buffer))
            .expect("fewer sends than connections, which are counted in 32 bits")
    }

    /// Waits for bytes. `fresh`: the connection is new, so there is probably nothing yet.
    fn arm_receive(&mut self, key: usize, fresh: bool) -> io::Result<()> {
        let peer = &mut self.peers[key];
        let socket = peer.socket;
        peer.receiving = Receiving::Receive;
        let flags = if self.draining { libc::MSG_DONTWAIT } else { 0 };
        let entry = if self.received.is_some() {
            let mut priority = 0;
            if !self.draining {
                priority |= if self.settings.features.has(Switch::RecvMultishot) { RECV_MULTISHOT } else { 0 };
                priority |= if fresh && self.settings.features.has(Switch::PollFirst) { POLL_FIRST } else { 0 };
            }
            socket.receive_provided(key, priority, flags)
        } else if self.settings.features.has(Switch::Readiness) && !self.draining {
            peer.receiving = Receiving::Readable;
            socket.readable(key)
        } else {
            let priority = if !self.draining && self.settings.features.has(Switch::PollFirst) { POLL_FIRST } else { 0 };
            return self.receive_into_chunk(key, priority, flags);
        };
        self.push(&entry)
    }

    fn receive_into_chunk(&mut self, key: usize, priority: u16, flags: i32) -> io::Result<()> {
        let chunk = self.chunks.pop().unwrap_or_else(|| Box::new([0; CHUNK_BYTES]));
        let peer = &mut self.peers[key];
        let chunk = peer.chunk.insert(chunk);
        let buffer = (chunk.as_mut_ptr(), u32::try_from(CHUNK_BYTES).expect("4 KiB"));
        let entry = peer.socket.receive(key, buffer, priority, flags);
        self.push(&entry)
    }

    /// Readiness first, then a buffer.
    fn readable(&mut self, handler: &mut Handler, key: usize, completion: Completion) -> io::Result<()> {
        let peer = &mut self.peers[key];
        (peer.receiving, peer.cancelling) = (Receiving::Nothing, false);
        if completion.result < 0 {
            return self.advance(handler, key);
        }
        peer.receiving = Receiving::Receive;
        self.receive_into_chunk(key, 0, libc::MSG_DONTWAIT)
    }

    #[inline]
    fn receive_done(&mut self, handler: &mut Handler, key: usize, completion: Completion) -> io::Result<()> {
        let peer = &mut self.peers[key];
        if !cqueue::more(completion.flags) {
            (peer.receiving, peer.cancelling) = (Receiving::Nothing, false);
        }
        match completion.outcome() {
            Ok(0) => peer.ended = true,
            Ok(length) => self.take_received(handler, key, length, completion.flags),
            // Nothing has arrived that is not yet received.
            Err(Errno::AGAIN) if self.draining => peer.ended = true,
            // No buffer was left: those of this turn are given back before the receive is armed again.
            Err(Errno::NOBUFS | Errno::AGAIN | Errno::INTR | Errno::CANCELED) => {}
            Err(_) => peer.failed = true,
        }
        let peer = &mut self.peers[key];
        if let Some(chunk) = peer.chunk.take()
            && self.chunks.len() < CHUNKS_KEPT
        {
            self.chunks.push(chunk);
        }
        // The usual: a request was served, its reply is queued, the receive goes on.
        if peer.receiving != Receiving::Nothing && peer.can_serve() {
            return Ok(());
        }
        if peer.receiving != Receiving::Nothing && peer.is_behind() {
            self.cancel_receive(key)?;
        }
        self.advance(handler, key)
    }

    /// Serves what a receive brought, from where the kernel put it.
    #[inline]
    fn take_received(&mut self, handler: &mut Handler, key: usize, length: usize, flags: u32) {
        let peer = &mut self.peers[key];
        let sending = peer.sending as usize;
        let collecting = (peer.sending != NONE && self.sends.all[sending].stage == Stage::Collecting)
            .then(|| std::mem::take(self.sends.all[sending].buffer.own()));
        let blocked = peer.sending != NONE && collecting.is_none();
        let joins = collecting.is_some();
        let mut out = collecting.unwrap_or_else(|| self.outputs.take());
        match (&mut self.received, cqueue::buffer_select(flags)) {
            (Some(received), Some(id)) => {
                peer.take(handler, received.filled(id, length), &mut out, blocked);
                received.consumed(id, length, cqueue::buffer_more(flags));
            }
            _ => {
                let chunk = peer.chunk.take().expect("a receive without provided buffers has a chunk");
                peer.take(handler, &chunk[..length], &mut out, blocked);
                peer.chunk = Some(chunk);
            }
        }
        self.put(key, out, joins);
    }

    /// Serves what was kept, or goes on after [`Next::Again`].
    fn serve(&mut self, handler: &mut Handler, key: usize, bytes: &[u8]) {
        let mut out = self.outputs.take();
        let peer = &mut self.peers[key];
        peer.next = handler.feed(&mut peer.connection, bytes, &mut out);
        self.put(key, out, false);
    }

    /// Queues replies for the end of the turn. `joins`: they are those that were being collected already.
    #[inline]
    fn put(&mut self, key: usize, out: Vec<u8>, joins: bool) {
        if joins {
            let sending = self.peers[key].sending as usize;
            self.sends.all[sending].buffer = Buffer::Own(out);
        } else if out.is_empty() {
            self.outputs.give(out);
        } else {
            self.peers[key].sending = self.collect(key, Buffer::Own(out));
        }
    }

    /// Moves a peer on when its receive or its send has come to an end.
    pub(crate) fn advance(&mut self, handler: &mut Handler, key: usize) -> io::Result<()> {
        loop {
            let peer = &mut self.peers[key];
            if peer.sending != NONE {
                // The next request may be received meanwhile, but not the one after it.
                let waits = peer.receiving == Receiving::Nothing && peer.can_serve() && !peer.ended;
                return if waits { self.arm_receive(key, false) } else { Ok(()) };
            }
            if peer.shutting {
                return Ok(());
            }
            if !peer.failed {
                match peer.next {
                    Next::Again => {
                        self.serve(handler, key, &[]);
                        continue;
                    }
                    Next::Close if !peer.lingers && !peer.refused => {
                        peer.lingers = true;
                        peer.held = None;
                        self.shutdown(key, Shutdown::Write)?;
                        continue;
                    }
                    Next::Read if peer.held.is_some() => {
                        let held = peer.held.take().expect("it is there");
                        self.serve(handler, key, &held.bytes);
                        continue;
                    }
                    Next::Read | Next::Close if !peer.ended && !peer.refused => {
                        if peer.receiving == Receiving::Nothing {
                            self.arm_receive(key, false)?;
                        }
                        return Ok(());
                    }
                    Next::Read | Next::Close => {}
                }
            }
            if peer.receiving != Receiving::Nothing {
                return self.cancel_receive(key);
            }
            return self.end(handler, key);
        }
    }

    /// Ends writing, or both directions: then what is outstanding on the socket comes to its end.
    pub(crate) fn shutdown(&mut self, key: usize, how: Shutdown) -> io::Result<()> {
        let peer = &mut self.peers[key];
        let descriptor = match peer.socket {
            Socket::Descriptor(descriptor) => descriptor,
            Socket::Slot(_) => {
                peer.shutting = true;
                let how = if how == Shutdown::Write { libc::SHUT_WR } else { libc::SHUT_RDWR };
                let entry = peer.socket.shutdown(key, how);
                return self.push(&entry);
            }
        };
        // SAFETY: the descriptor is this peer's, and open until its peer ends.
        let socket = unsafe { BorrowedFd::borrow_raw(descriptor) };
        peer.failed |= rustix::net::shutdown(socket, how).is_err();
        Ok(())
    }

    /// Asks the receive to end; its last completion moves the peer on.
    fn cancel_receive(&mut self, key: usize) -> io::Result<()> {
        let peer = &mut self.peers[key];
        if peer.cancelling {
            return Ok(());
        }
        peer.cancelling = true;
        let operation = match peer.receiving {
            Receiving::Readable => Operation::Readable(key),
            Receiving::Receive | Receiving::Nothing => Operation::Receive(key),
        };
        self.push(&operation::cancel(operation))
    }

    /// Forgets a peer that has no operation outstanding, and closes its socket.
    fn end(&mut self, handler: &mut Handler, key: usize) -> io::Result<()> {
        let peer = self.peers.remove(key);
        if !peer.refused {
            handler.closed(peer.connection, peer.failed);
        }
        self.push(&peer.socket.close())?;
        self.place_is_free()
    }

    /// Ends waiting on every peer: what has arrived is still received and answered.
    pub(crate) fn drain(&mut self) -> io::Result<()> {
        self.draining = true;
        let waiting = self.peers.iter().filter(|(_, peer)| peer.receiving != Receiving::Nothing);
        for key in waiting.map(|(key, _)| key).collect::<Vec<_>>() {
            self.cancel_receive(key)?;
        }
        Ok(())
    }

    fn push_sends(&mut self) -> io::Result<()> {
        let mut collecting = std::mem::take(&mut self.sends.collecting);
        for index in collecting.drain(..) {
            self.push_send(index, true)?;
        }
        self.sends.collecting = collecting;
        Ok(())
    }

    /// Sends what is left. `first`: nothing of it was tried yet.
    fn push_send(&mut self, index: usize, first: bool) -> io::Result<()> {
        let sending = &mut self.sends.all[index];
        let socket = self.peers[sending.key].socket;
        let all = if self.settings.features.has(Switch::WaitAll) { libc::MSG_WAITALL } else { 0 };
        let rest = &sending.buffer.bytes()[sending.sent..];
        sending.stage = Stage::InFlight;
        if self.settings.features.has(Switch::ZeroCopy) && rest.len() >= self.settings.zero_copy_bytes {
            let entry = socket.send_zero_copy(index, rest, SEND | all);
            return self.push(&entry);
        }
        if first
            && let Some(groups) = &mut self.groups
            && let Some(group) = groups.take(rest)
        {
            sending.group = Some(group);
            let entry = socket.send_bundle(index, group, SEND | all);
            return self.push(&entry);
        }
        // Nothing wakes the loop after a silent send, so its end must not be what the peer waits for.
        let peer = &self.peers[sending.key];
        let goes_on = peer.receiving != Receiving::Nothing && peer.can_serve();
        if first && goes_on && self.settings.features.has(Switch::SilentSends) {
            sending.stage = Stage::Silent;
            let entry = socket.send(index, rest, SEND | all | libc::MSG_DONTWAIT);
            self.sends.silent.push(index);
            return self.push(&entry.flags(io_uring::squeue::Flags::SKIP_SUCCESS));
        }
        let entry = socket.send(index, rest, SEND | all);
        self.push(&entry)
    }

    /// After the system call that submitted silent sends: those without a completion have succeeded.
    ///
    /// Such a send never waits (MSG_DONTWAIT), so its failure, and a part that did not fit (MSG_WAITALL makes that one),
    /// was posted within the call. Only when all was submitted; otherwise the question is asked again next turn.
    fn settle_silent(&mut self, handler: &mut Handler, completions: &[Completion]) -> io::Result<()> {
        let mut failed = false;
        for completion in completions {
            if let Operation::Send(index) = Operation::from_user_data(completion.user_data)
                && self.sends.all[index].stage == Stage::Silent
            {
                self.sends.all[index].stage = Stage::InFlight;
                failed = true;
            }
        }
        if failed {
            // Out of the list: they may end, and their indices be others', before the list is settled.
            let Sends { all, silent, .. } = &mut self.sends;
            silent.retain(|&index| all[index].stage == Stage::Silent);
        }
        if !self.queue.all_submitted() {
            return Ok(());
        }
        let mut silent = std::mem::take(&mut self.sends.silent);
        for index in silent.drain(..) {
            let length = self.sends.all[index].rest().len();
            self.sent(handler, index, length)?;
        }
        self.sends.silent = silent;
        Ok(())
    }

    fn send_done(&mut self, handler: &mut Handler, index: usize, completion: Completion) -> io::Result<()> {
        let sending = &mut self.sends.all[index];
        if cqueue::notif(completion.flags) {
            sending.notices -= 1;
            if sending.notices == 0 && sending.stage == Stage::Done {
                self.give_back(index);
            }
            return Ok(());
        }
        let more = cqueue::more(completion.flags);
        match sending.group {
            // A bundle may complete in parts.
            Some(_) if more => {
                sending.sent += completion.outcome().unwrap_or(0);
                return Ok(());
            }
            Some(group) => {
                sending.group = None;
                let sent = completion.outcome().unwrap_or(0);
                let emptied = sending.rest().len() == sent;
                if let Some(groups) = &mut self.groups {
                    groups.give(self.queue.submitter(), group, emptied)?;
                }
            }
            None => sending.notices += u32::from(more),
        }
        match completion.outcome() {
            Ok(length) => self.sent(handler, index, length),
            Err(Errno::AGAIN | Errno::INTR | Errno::NOBUFS) => self.push_send(index, false),
            Err(_) => {
                let key = sending.key;
                self.peers[key].failed = true;
                self.finish_send(index);
                self.advance(handler, key)
            }
        }
    }

    /// The kernel has taken `length` more bytes of a send.
    fn sent(&mut self, handler: &mut Handler, index: usize, length: usize) -> io::Result<()> {
        let sending = &mut self.sends.all[index];
        sending.sent += length;
        let all = sending.rest().is_empty();
        let key = sending.key;
        let peer = &mut self.peers[key];
        if !peer.refused {
            handler.flushed(&mut peer.connection, length, all);
        }
        if !all {
            return self.push_send(index, false);
        }
        self.finish_send(index);
        let peer = &self.peers[key];
        if peer.receiving != Receiving::Nothing && peer.can_serve() {
            return Ok(());
        }
        self.advance(handler, key)
    }

    /// Takes a send from its peer, and its buffer back once the kernel no longer reads from it. Events that waited behind it
    /// are the next one.
    fn finish_send(&mut self, index: usize) {
        let sending = &mut self.sends.all[index];
        let (key, behind) = (sending.key, std::mem::take(&mut sending.behind));
        self.peers[key].sending = NONE;
        sending.stage = Stage::Done;
        if sending.notices == 0 {
            self.give_back(index);
        }
        if !behind.is_empty() && !self.peers[key].failed {
            let told = behind.len();
            let next = self.collect(key, Buffer::Own(behind));
            self.sends.all[next as usize].told = told;
            self.peers[key].sending = next;
        }
    }

    fn give_back(&mut self, index: usize) {
        if let Buffer::Own(buffer) = self.sends.all.remove(index).buffer {
            self.outputs.give(buffer);
        }
    }
}
