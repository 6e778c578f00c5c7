//! A connection's task that also tells its peer events: it serves and writes events side by side.

use std::future::poll_fn;
use std::io;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};

use super::exchange::Session;
use super::{Audience, Socket};
use crate::push::Event;
use crate::sockets::end_both;

/// Where a task that tells events is.
struct Telling<'a, S> {
    session: &'a Session<S>,
    place: usize,
    /// The event that is being written. Boxed, since an idle task has none.
    writing: Option<Pin<Box<dyn Future<Output = io::Result<()>> + 'a>>>,
    /// Writing one failed, and with it the connection.
    failed: bool,
}

impl<S: Socket> Session<S> {
    /// [`Session::until_closed`], and meanwhile every event that the audience is told.
    ///
    /// A read goes on waiting while an event is written: to take it back would cost rings an operation for each event, and
    /// what it had read. Replies and events take turns, whole ones.
    pub(super) async fn until_closed_and_told(&self) -> io::Result<()> {
        let join = |context: &mut Context<'_>| {
            self.audience(|audience| audience.join(context.waker(), self.socket.as_raw_fd()))
        };
        let place = poll_fn(|context| Poll::Ready(join(context))).await;
        let mut telling = Telling { session: self, place, writing: None, failed: false };
        let mut serving = pin!(self.until_closed());
        let mut served = None;
        let outcome = poll_fn(|context| {
            self.audience(|audience| audience.runs(place));
            loop {
                telling.advance(context, served.is_none());
                if served.is_none()
                    && let Poll::Ready(result) = serving.as_mut().poll(context)
                {
                    served = Some(result);
                }
                // A reply may have come to its end just now, behind which an event waits.
                if served.is_some() || !telling.can_begin() {
                    break;
                }
            }
            match (telling.writing.is_none(), served.take()) {
                (true, Some(result)) => Poll::Ready(result),
                // Half an event is none: the peer that ended its side still reads.
                (_, unfinished) => {
                    served = unfinished;
                    Poll::Pending
                }
            }
        })
        .await;
        let slow = self.audience(|audience| audience.leave(place));
        if slow {
            self.with(|handler, connection| handler.too_slow(connection));
        }
        if telling.failed { Err(io::ErrorKind::BrokenPipe.into()) } else { outcome }
    }

    fn audience<T>(&self, work: impl FnOnce(&mut Audience) -> T) -> T {
        let audience = self.tasks.audience.as_ref().expect("tasks that tell events have an audience");
        work(&mut audience.borrow_mut())
    }

    /// Writes one event.
    async fn tell(&self, event: Arc<Event>) -> io::Result<()> {
        match event.shared() {
            Some(message) => self.socket.write_shared(message.clone()).await?,
            None => {
                let mut out = self.tasks.outputs.borrow_mut().take();
                event.write(&mut out);
                let (result, out) = self.socket.write_all(out).await;
                self.tasks.outputs.borrow_mut().give(out);
                result?;
            }
        }
        self.with(|handler, connection| handler.flushed(connection, event.message_bytes(), false));
        Ok(())
    }
}

impl<S: Socket> Telling<'_, S> {
    /// Writes events as far as the socket takes them; begins new ones only while the connection is `open`.
    fn advance(&mut self, context: &mut Context<'_>, open: bool) {
        loop {
            if let Some(writing) = &mut self.writing {
                let Poll::Ready(result) = writing.as_mut().poll(context) else { return };
                self.writing = None;
                self.session.pushing.set(false);
                if result.is_err() {
                    // The read that waits ends with it, and then the task.
                    self.failed = true;
                    end_both(&self.session.socket);
                }
                self.session.audience(|audience| audience.passed(self.place));
            }
            if !open || !self.can_begin() {
                return;
            }
            let Some(event) = self.session.audience(|audience| audience.next(self.place)) else { return };
            let takes = self.session.with(|handler, connection| {
                let takes = handler.takes_events(connection);
                if takes {
                    handler.pushed();
                }
                takes
            });
            if takes {
                self.session.pushing.set(true);
                self.writing = Some(Box::pin(self.session.tell(event)));
            } else {
                self.session.audience(|audience| audience.passed(self.place));
            }
        }
    }

    /// Whether an event waits and may be begun.
    fn can_begin(&self) -> bool {
        let free = self.writing.is_none() && !self.failed && !self.session.replying.get();
        free && self.session.audience(|audience| audience.next(self.place).is_some())
    }
}
