//! One ring: submissions in, completions out, and the one system call between them.

use std::io;

use io_uring::squeue::Entry;
use io_uring::types::{SubmitArgs, Timespec};
use io_uring::{CompletionQueue, EnterFlags, IoUring, SubmissionQueue, Submitter};
use service::Error;

use crate::features::{Features, Switch};

/// Submissions that one system call takes. A turn's replies fit; if not, the call is made early.
pub(crate) const SUBMISSIONS: u32 = 1_024;

/// Completions that the kernel can post before it has to keep them on a list of its own: with cooperative task running
/// all that happened since the last call is posted at once, for each of many thousand active connections one.
pub(crate) const COMPLETIONS: u32 = 16_384;

/// How long the kernel's submission thread looks for work before it sleeps. Each wake-up is a system call.
const SQPOLL_IDLE_MS: u32 = 50;

/// With a minimal wait and no timeout the kernel returns after the minimal one, completions or not (seen on 6.18).
static FOREVER: Timespec = Timespec::new().sec(3_600);

/// How to wait for completions.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Wait {
    /// Completions to wait for, ...
    pub(crate) completions: u32,
    /// ... unless so many microseconds have passed and there is one (only with the switch `min-wait`).
    pub(crate) microseconds: u32,
}

/// Sets a ring up with the switches that belong to setup.
pub(crate) fn build(features: Features) -> Result<IoUring, Error> {
    let mut builder = IoUring::builder();
    // Submissions behind a wrong one are submitted as well: each has a completion of its own to say what is wrong.
    builder.setup_cqsize(COMPLETIONS).setup_submit_all();
    if features.has(Switch::Coop) {
        builder.setup_coop_taskrun();
    }
    if features.has(Switch::SingleIssuer) {
        builder.setup_single_issuer();
    }
    if features.has(Switch::Defer) {
        builder.setup_defer_taskrun();
    }
    if features.has(Switch::NoSqArray) {
        builder.setup_no_sqarray();
    }
    if features.has(Switch::SqPoll) {
        builder.setup_sqpoll(SQPOLL_IDLE_MS);
    }
    builder.build(SUBMISSIONS).map_err(Error::ring)
}

/// The two queues of a ring and the way into the kernel.
pub(crate) struct Queue<'ring> {
    submitter: Submitter<'ring>,
    submissions: SubmissionQueue<'ring>,
    completions: CompletionQueue<'ring>,
    flags: EnterFlags,
    wait: SubmitArgs<'static, 'static>,
    wait_for: u32,
    sqpoll: bool,
}

/// What a completion says.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Completion {
    pub(crate) user_data: u64,
    pub(crate) result: i32,
    pub(crate) flags: u32,
}

impl Completion {
    /// The result, with errors as such.
    pub(crate) fn outcome(self) -> Result<usize, rustix::io::Errno> {
        usize::try_from(self.result).map_err(|_| rustix::io::Errno::from_raw_os_error(-self.result))
    }
}

impl<'ring> Queue<'ring> {
    pub(crate) fn new(ring: &'ring mut IoUring, features: Features, wait: Wait) -> Queue<'ring> {
        let (mut submitter, submissions, completions) = ring.split();
        if features.has(Switch::RegisteredRing) {
            // A thread has 16 places for this; rings beyond them are entered by their descriptors.
            let _ = submitter.register_ring_fd();
        }
        let mut flags = EnterFlags::EXT_ARG;
        flags.set(EnterFlags::NO_IOWAIT, features.has(Switch::NoIowait));
        let min_wait = features.has(Switch::MinWait);
        Queue {
            submitter,
            submissions,
            completions,
            flags,
            wait: if min_wait {
                SubmitArgs::new().timespec(&FOREVER).min_wait_usec(wait.microseconds)
            } else {
                SubmitArgs::new()
            },
            wait_for: if min_wait { wait.completions } else { 1 },
            sqpoll: features.has(Switch::SqPoll),
        }
    }

    pub(crate) fn submitter(&self) -> &Submitter<'ring> {
        &self.submitter
    }

    /// Queues an operation.
    ///
    /// # Safety
    ///
    /// The memory that the operation points to must stay valid and in place until its completion, and be nobody else's
    /// meanwhile as far as the kernel writes to it.
    pub(crate) unsafe fn push(&mut self, entry: &Entry) -> io::Result<()> {
        // SAFETY: the caller keeps what the entry points to.
        while unsafe { self.submissions.push(entry) }.is_err() {
            self.make_room()?;
        }
        Ok(())
    }

    fn make_room(&mut self) -> io::Result<()> {
        if self.sqpoll {
            self.enter(0, EnterFlags::empty())?;
            self.submitter.squeue_wait()?;
            self.submissions.sync();
            return Ok(());
        }
        let before = self.submissions.len();
        self.enter(0, EnterFlags::empty())?;
        if self.submissions.len() == before {
            // Nothing was taken: the kernel has no memory for requests, or wants its completions to be flushed first.
            self.enter(0, EnterFlags::GETEVENTS)?;
        }
        Ok(())
    }

    /// Submits what is queued, waits for completions, and has the kernel post those that it deferred.
    pub(crate) fn submit_and_wait(&mut self) -> io::Result<()> {
        let wait_for = if self.completions.is_empty() { self.wait_for } else { 0 };
        self.enter(wait_for, EnterFlags::GETEVENTS)
    }

    /// The same without waiting.
    pub(crate) fn submit(&mut self) -> io::Result<()> {
        self.enter(0, EnterFlags::GETEVENTS)
    }

    fn enter(&mut self, wait_for: u32, flags: EnterFlags) -> io::Result<()> {
        self.submissions.sync();
        self.completions.sync();
        let mut flags = flags | self.flags;
        if self.sqpoll {
            if self.submissions.need_wakeup() {
                flags |= EnterFlags::SQ_WAKEUP;
            } else if wait_for == 0 && !self.submissions.cq_overflow() {
                return Ok(());
            }
        }
        let submit = u32::try_from(self.submissions.len()).expect("at most the queue's size");
        // SAFETY: the flags say EXT_ARG, and the argument is that struct; what the entries point to was vouched for in
        // `push`.
        match unsafe { self.submitter.enter(submit, wait_for, flags.bits(), Some(&self.wait)) } {
            Ok(_) => {}
            Err(error) => match error.raw_os_error() {
                // A signal (the profiler's); an hour without completions; or no memory for requests, or completions that
                // wait to be flushed (which this call did): what was not taken is taken next time.
                Some(libc::EINTR | libc::ETIME | libc::EAGAIN | libc::EBUSY) => {}
                _ => return Err(error),
            },
        }
        self.submissions.sync();
        self.completions.sync();
        Ok(())
    }

    /// Whether everything queued is with the kernel.
    pub(crate) fn all_submitted(&self) -> bool {
        self.submissions.is_empty()
    }

    /// Moves the completions that are there to `into`.
    #[inline]
    pub(crate) fn drain(&mut self, into: &mut Vec<Completion>) {
        into.extend(self.completions.by_ref().map(|entry| Completion {
            user_data: entry.user_data(),
            result: entry.result(),
            flags: entry.flags(),
        }));
        self.completions.sync();
    }
}
