//! One shard: a thread with one ring or several, from set-up to the end of the last connection.

use std::io;
use std::net::TcpListener;
use std::os::fd::{AsFd, AsRawFd, IntoRawFd};

use io_uring::IoUring;
use rustix::event::{Timespec, epoll};
use service::{Error, Handler, Life, Shard};

use crate::Settings;
use crate::operation::Socket;
use crate::queue;
use crate::reactor::Reactor;

pub(crate) fn run(shard: Shard, settings: Settings) -> Result<(), Error> {
    let Shard { listener, stop, handler, life } = shard;
    // An accept on a listener with O_NONBLOCK would end with EAGAIN instead of waiting.
    listener.set_nonblocking(false).map_err(Error::system("setting up the listener"))?;
    let mut rings = Vec::new();
    for _ in 0..settings.rings {
        rings.push(queue::build(settings.features)?);
    }
    let watched = Watched::new(&rings)?;
    let mut reactors = Vec::new();
    for ring in &mut rings {
        let slots = settings.slots;
        reactors.push(Reactor::new(ring, settings, slots).map_err(Error::system("registering with io_uring"))?);
    }
    let served = Rings { reactors, watched, listener: Some(listener), acceptor: 0, handler, life };
    served.serve(&stop)
}

/// The rings of a thread, of which one accepts.
struct Rings<'ring> {
    reactors: Vec<Reactor<'ring>>,
    watched: Option<Watched>,
    /// `None` when draining.
    listener: Option<TcpListener>,
    acceptor: usize,
    handler: Handler,
    life: Life,
}

impl Rings<'_> {
    fn serve(mut self, stop: &impl AsRawFd) -> Result<(), Error> {
        let served = self.until_drained(stop);
        if served.is_err() {
            // Operations are outstanding: the kernel may still write to what these own.
            std::mem::forget(self.reactors);
        }
        served.map_err(Error::system("io_uring_enter"))
    }

    fn until_drained(&mut self, stop: &impl AsRawFd) -> io::Result<()> {
        self.reactors[0].watch_stop(stop.as_raw_fd())?;
        let listener = self.listener.as_ref().map(AsRawFd::as_raw_fd).expect("nobody has closed it");
        self.reactors[0].start_accepting(listener)?;
        self.life.ready_with(self.reactors[0].settings.to_json());
        let mut stopping = false;
        while self.listener.is_some() || self.reactors.iter().any(|reactor| !reactor.is_empty()) {
            match &self.watched {
                None => {
                    self.reactors[0].turn(&mut self.handler, true)?;
                }
                Some(_) => self.turn_all()?,
            }
            if self.reactors[0].stopped && !stopping {
                stopping = true;
                self.life.draining();
                self.drain()?;
            }
            if self.reactors.len() > 1 {
                self.choose_acceptor()?;
            }
        }
        Ok(())
    }

    /// Lets each ring with something to do go on until it has nothing left, and then waits for any of them.
    fn turn_all(&mut self) -> io::Result<()> {
        for reactor in &mut self.reactors {
            while reactor.turn(&mut self.handler, false)? > 0 || reactor.has_queued() {}
        }
        self.watched.as_mut().expect("with several rings").wait()
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

/// The descriptors of several rings, in epoll: a ring's is readable while it has completions or work that it deferred.
struct Watched {
    epoll: rustix::fd::OwnedFd,
    events: Vec<epoll::Event>,
}

impl Watched {
    /// `None` for one ring, which is waited for by entering it.
    fn new(rings: &[IoUring]) -> Result<Option<Watched>, Error> {
        if rings.len() == 1 {
            return Ok(None);
        }
        let watch = || -> io::Result<Watched> {
            let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
            for ring in rings {
                // SAFETY: the ring is open, and is closed after epoll's descriptor has lost interest in it.
                let ring = unsafe { rustix::fd::BorrowedFd::borrow_raw(ring.as_raw_fd()) };
                epoll::add(epoll.as_fd(), ring, epoll::EventData::new_u64(0), epoll::EventFlags::IN)?;
            }
            Ok(Watched { epoll, events: Vec::with_capacity(rings.len()) })
        };
        watch().map(Some).map_err(Error::system("epoll_create"))
    }

    fn wait(&mut self) -> io::Result<()> {
        self.events.clear();
        let buffer = rustix::buffer::spare_capacity(&mut self.events);
        match epoll::wait(&self.epoll, buffer, None::<&Timespec>) {
            Ok(_) | Err(rustix::io::Errno::INTR) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }
}
