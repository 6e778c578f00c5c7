//! A connection as a task, for engines that have an async runtime.
//!
//! These engines differ in their sockets and nothing else, so that is all they write: a [`Socket`] each. When to read,
//! when not to, what to do after a refusal and how to drain stands here once. Everything is generic, not `dyn`: the
//! compiler sees one state machine for each engine, as if it had been written by hand.

mod audience;
mod exchange;
mod push;
mod socket;

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::io;
use std::net::TcpListener;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

pub use socket::{Received, Socket, receive_when_readable};

use self::audience::Audience;
use self::exchange::Session;
use crate::push::Event;
use crate::sockets::{Sockets, end_both};
use crate::{Handler, Life, Order, Orders, Pool};

/// A pause after accept(2) failed for want of memory. It stops the whole loop, which is what a machine without memory needs.
const ACCEPT_PAUSE: Duration = Duration::from_millis(1);

/// What a connection holds while it waits for its peer to say something.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Idle {
    /// A read waits, and with it the buffer that it reads into: what comes first to mind, and what most servers do
    Naive,
    /// No buffer before there is data: readiness first, or a buffer that the kernel picks
    Lean,
}

impl Idle {
    /// One of two engine names: `X` or `X+lean`.
    #[must_use]
    pub const fn name(self, naive: &'static str, lean: &'static str) -> &'static str {
        match self {
            Idle::Naive => naive,
            Idle::Lean => lean,
        }
    }
}

/// What all connections of a shard share. Nothing of it stays borrowed over an await.
#[derive(Debug)]
pub struct Tasks {
    idle: Idle,
    handler: RefCell<Handler>,
    sockets: RefCell<Sockets>,
    inputs: RefCell<Pool>,
    outputs: RefCell<Pool>,
    orders: Orders,
    /// `None` without `--push`.
    audience: Option<RefCell<Audience>>,
    stopping: Cell<bool>,
    /// Wakes the task that ends turns; empty while it is awake already, and where turns do not matter.
    turn_end: RefCell<Option<Waker>>,
}

impl Tasks {
    /// The shared state of a shard without connections.
    pub fn new(handler: Handler, orders: Orders, idle: Idle) -> Rc<Tasks> {
        let audience = orders.push.then(RefCell::default);
        Rc::new(Tasks {
            idle,
            handler: RefCell::new(handler),
            sockets: RefCell::default(),
            inputs: RefCell::default(),
            outputs: RefCell::default(),
            orders,
            audience,
            stopping: Cell::new(false),
            turn_end: RefCell::default(),
        })
    }

    /// What idle connections hold.
    pub fn idle(&self) -> Idle {
        self.idle
    }

    /// Ends a turn of the shard whenever all that was ready with its first request has had its turn ([`Handler::turn`]). To be
    /// spawned once; it ends at once where requests in flight are not limited.
    ///
    /// A request wakes it, and a run queue is first in, first out: so it runs behind every task that was ready by then.
    pub fn turns(self: &Rc<Tasks>) -> impl Future<Output = ()> + 'static {
        let tasks = Rc::clone(self);
        poll_fn(move |context| {
            if !tasks.handler.borrow().counts_turns() {
                return Poll::Ready(());
            }
            tasks.handler.borrow_mut().turn();
            tasks.turn_end.replace(Some(context.waker().clone()));
            Poll::Pending
        })
    }

    /// Takes on an accepted connection, or tells it that there are too many, in a task of its own.
    ///
    /// The socket is known from the call on and not only once the task runs: draining must see it.
    pub fn admit<S: Socket>(self: &Rc<Tasks>, socket: S) {
        let admitted = self.handler.borrow_mut().admit();
        self.sockets.borrow_mut().insert(&socket);
        let refused = admitted.is_none();
        let connection = admitted.unwrap_or_default();
        let waiting = match self.idle {
            Idle::Naive => crate::pool::read_buffer(),
            Idle::Lean => Vec::new(),
        };
        let session = Session {
            socket,
            connection: connection.into(),
            tasks: Rc::clone(self),
            waiting: waiting.into(),
            filled: false.into(),
            replying: false.into(),
            pushing: false.into(),
        };
        // Two kinds of tasks, each as large as it has to be: where nobody is told events, no connection pays for it.
        if refused {
            S::spawn(async move {
                session.refuse().await;
                session.forgotten();
            });
        } else if self.audience.is_some() {
            S::spawn(async move {
                let failed = session.until_closed_and_told().await.is_err();
                session.closed(failed);
            });
        } else {
            S::spawn(async move {
                let failed = session.until_closed().await.is_err();
                session.closed(failed);
            });
        }
    }

    /// Follows the orders behind these bytes, which were read from the shard's `wake` (none: it ended). `false` means to stop.
    pub async fn obey(&self, bytes: &[u8]) -> bool {
        for order in self.orders.of(bytes) {
            match order {
                Order::Stop => return false,
                Order::Push(event) => self.tell(event).await,
            }
        }
        true
    }

    /// Tells every connection an event, and waits until each of their tasks has run: the next event is another round.
    async fn tell(&self, event: Arc<Event>) {
        let Some(audience) = &self.audience else { return };
        for descriptor in audience.borrow_mut().tell(event) {
            // Open: a task leaves the audience before its socket is closed. What it waits for comes to its end.
            end_both(&descriptor);
        }
        let have_run = |context: &Context<'_>| audience.borrow_mut().have_run(context.waker());
        poll_fn(|context| if have_run(context) { Poll::Ready(()) } else { Poll::Pending }).await;
    }

    /// Whether to go on accepting after this error: not when the listener was shut down for draining. Waits a moment
    /// where the kernel lacks memory or descriptors.
    pub fn goes_on_after(&self, error: &io::Error) -> bool {
        if self.stopping.get() {
            return false;
        }
        if error.kind() != io::ErrorKind::ConnectionAborted {
            self.handler.borrow_mut().accept_failed();
            std::thread::sleep(ACCEPT_PAUSE);
        }
        true
    }

    /// Begins to drain: ends the listener behind `queue` and returns the connections that still were in its queue, to be
    /// admitted before [`Tasks::drained`] is awaited. They block.
    pub fn drain(&self, life: &Life, queue: &TcpListener) -> io::Result<Vec<std::net::TcpStream>> {
        life.draining();
        self.stopping.set(true);
        crate::last_of_queue(queue)
    }

    /// Ends reading on every connection and waits until the last one has ended.
    pub async fn drained(&self) {
        self.sockets.borrow_mut().end_reading();
        Sockets::last_closed(&self.sockets).await;
    }
}
