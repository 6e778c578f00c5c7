//! One shard: a thread with one ring or several, from set-up to the end of the last connection.

use std::io;
use std::net::TcpListener;
use std::os::fd::{AsRawFd, IntoRawFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::sync::Arc;

use rustix::event::{EventfdFlags, eventfd};
use service::{Error, Handler, Life, Order, Orders, Shard};

use crate::Settings;
use crate::operation::Socket;
use crate::queue;
use crate::reactor::Reactor;

pub(crate) fn run(shard: Shard, settings: Settings) -> Result<(), Error> {
    let Shard { listener, wake, orders, handler, life } = shard;
    // An accept on a listener with O_NONBLOCK would end with EAGAIN instead of waiting.
    listener.set_nonblocking(false).map_err(Error::system("setting up the listener"))?;
    let mut rings = Vec::new();
    for _ in 0..settings.rings {
        rings.push(queue::build(settings.features)?);
    }
    let mut reactors = Vec::new();
    for ring in &mut rings {
        let slots = settings.slots;
        reactors.push(Reactor::new(ring, settings, slots).map_err(Error::system("registering with io_uring"))?);
    }
    let wakers = wake_first(&mut reactors).map_err(Error::system("eventfd"))?;
    let rings = Rings { reactors, _wakers: wakers, listener: Some(listener), acceptor: 0, wake, orders, handler, life };
    rings.serve()
}

/// A thread waits in its first ring only. Each of the others has an eventfd that the first one polls.
///
/// Polling the rings' own descriptors would not do: work that a ring defers makes its eventfd readable, and not itself.
fn wake_first(reactors: &mut [Reactor<'_>]) -> io::Result<Vec<OwnedFd>> {
    let (first, others) = reactors.split_first_mut().expect("rings are not zero");
    let mut wakers = Vec::new();
    for (index, other) in others.iter().enumerate() {
        let waker = eventfd(0, EventfdFlags::CLOEXEC)?;
        other.queue.submitter().register_eventfd(waker.as_raw_fd())?;
        first.watch_other(index, waker.as_raw_fd())?;
        wakers.push(waker);
    }
    Ok(wakers)
}

/// The rings of a thread, of which one accepts.
struct Rings<'ring> {
    reactors: Vec<Reactor<'ring>>,
    /// What wakes the first ring when another has something to do; closed last.
    _wakers: Vec<OwnedFd>,
    /// `None` when draining.
    listener: Option<TcpListener>,
    acceptor: usize,
    /// Readable when there are orders.
    wake: UnixStream,
    orders: Orders,
    handler: Handler,
    life: Life,
}

impl Rings<'_> {
    fn serve(mut self) -> Result<(), Error> {
        let served = self.until_drained();
        if served.is_err() {
            // Operations are outstanding: the kernel may still write to what these own.
            std::mem::forget(self.reactors);
        }
        served.map_err(Error::system("io_uring_enter"))
    }

    fn until_drained(&mut self) -> io::Result<()> {
        self.reactors[0].watch_orders(self.wake.as_raw_fd())?;
        let listener = self.listener.as_ref().map(AsRawFd::as_raw_fd).expect("nobody has closed it");
        self.reactors[0].start_accepting(listener)?;
        self.life.ready_with(self.reactors[0].settings.to_json());
        while self.listener.is_some() || self.reactors.iter().any(|reactor| !reactor.is_empty()) {
            let mut more = false;
            for reactor in &mut self.reactors {
                more |= reactor.push_events(&mut self.handler)?;
            }
            let (first, others) = self.reactors.split_first_mut().expect("rings are not zero");
            let queued = others.iter().any(Reactor::has_queued);
            first.turn(&mut self.handler, !more && !queued)?;
            for (index, other) in others.iter_mut().enumerate() {
                if first.take_woken(index) || other.has_queued() {
                    while other.turn(&mut self.handler, false)? > 0 || other.has_queued() {}
                }
            }
            if std::mem::take(&mut self.reactors[0].woken) {
                self.obey()?;
            }
            if self.reactors.len() > 1 {
                self.choose_acceptor()?;
                self.submit_others()?;
            }
        }
        Ok(())
    }

    /// Follows the orders that are there, and waits for further ones unless it is to stop.
    fn obey(&mut self) -> io::Result<()> {
        for order in self.orders.read(&self.wake) {
            match order {
                Order::Push(event) => {
                    for reactor in &mut self.reactors {
                        reactor.pushing.push_back((Arc::clone(&event), 0));
                    }
                }
                // A second signal ends the process, so this comes once.
                Order::Stop if self.listener.is_some() => {
                    self.life.draining();
                    self.drain()?;
                }
                Order::Stop => {}
            }
        }
        if self.listener.is_some() {
            self.reactors[0].watch_orders(self.wake.as_raw_fd())?;
        }
        Ok(())
    }

    /// What was queued on rings that nothing wakes for it.
    fn submit_others(&mut self) -> io::Result<()> {
        for other in &mut self.reactors[1..] {
            while other.has_queued() {
                other.turn(&mut self.handler, false)?;
            }
        }
        Ok(())
    }

    fn drain(&mut self) -> io::Result<()> {
        let acceptor = &mut self.reactors[self.acceptor];
        acceptor.stop_accepting()?;
        // Who is in the queue has connected and may have sent: they are served, by descriptors even where others have
        // slots. An accept that is outstanding fails, since the listener is shut.
        if let Some(listener) = self.listener.take() {
            for stream in service::last_of_queue(&listener)? {
                acceptor.admit(&mut self.handler, Socket::Descriptor(stream.into_raw_fd()))?;
            }
        }
        self.reactors.iter_mut().try_for_each(Reactor::drain)
    }

    /// Hands accepting to another ring when the slots of this one run out.
    fn choose_acceptor(&mut self) -> io::Result<()> {
        let Some(listener) = &self.listener else { return Ok(()) };
        let current = &mut self.reactors[self.acceptor];
        if !current.acceptor.accepts() {
            if !current.acceptor.is_idle() {
                return Ok(());
            }
            let emptiest = (0..self.reactors.len()).max_by_key(|&index| self.reactors[index].free_slots());
            self.acceptor = emptiest.expect("rings are not zero");
            return self.reactors[self.acceptor].start_accepting(listener.as_raw_fd());
        }
        let (free, is_nearly_full) = (current.free_slots(), current.is_nearly_full());
        let better = |other: &Reactor<'_>| !other.is_nearly_full() || free == 0 && other.free_slots() > 0;
        if is_nearly_full && self.reactors.iter().any(better) {
            self.reactors[self.acceptor].stop_accepting()?;
        }
        Ok(())
    }
}
