//! Asks file systems that may never answer.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::{Duration, Instant};

use rustix::fs::{StatFs, statfs};
use rustix::io::Errno;

/// Types whose statfs(2) only looks at memory of this host. All others, known or not, may wait for someone else.
const LOCAL: [&[u8]; 16] = [
    b"ext4",
    b"xfs",
    b"btrfs",
    b"tmpfs",
    b"vfat",
    b"ext3",
    b"ext2",
    b"zfs",
    b"bcachefs",
    b"f2fs",
    b"ramfs",
    b"rootfs",
    b"exfat",
    b"ntfs3",
    b"efivarfs",
    b"overlay",
];

/// What a mount said.
pub(super) enum Answer {
    /// Its space.
    Space(StatFs),
    /// An error.
    Error(Errno),
    /// Nothing in time.
    Silent,
}

type Reply = Result<StatFs, Errno>;

/// A thread that asks for what it is sent, and answers.
struct Asker {
    questions: Sender<PathBuf>,
    answers: Receiver<Reply>,
}

/// Asks mounts, each at most once at a time.
pub(super) struct Prober {
    timeout: Duration,
    /// The thread for the next question; it has none open.
    asker: Option<Asker>,
    /// Threads that wait for a mount.
    stuck: HashMap<PathBuf, Asker>,
}

impl Prober {
    pub(super) fn new(timeout: Duration) -> Self {
        Self { timeout, asker: None, stuck: HashMap::new() }
    }

    /// The space at `path`, of type `fs_type`, within the timeout.
    pub(super) fn ask(&mut self, path: &Path, fs_type: &[u8]) -> Answer {
        if LOCAL.contains(&fs_type) {
            return answer(statfs(path));
        }
        let asker = match self.stuck.remove(path) {
            // Asked at an earlier scrape: its late answer is as good as a new one, and no answer is still none.
            Some(asker) => asker,
            None => {
                let asker = self.asker.take().or_else(Asker::start);
                let Some(asker) = asker else { return Answer::Silent };
                if asker.questions.send(path.to_owned()).is_err() {
                    return Answer::Silent;
                }
                return self.wait(path, asker, self.timeout);
            }
        };
        self.wait(path, asker, Duration::ZERO)
    }

    fn wait(&mut self, path: &Path, asker: Asker, timeout: Duration) -> Answer {
        let until = Instant::now() + timeout;
        match asker.answers.recv_timeout(until.saturating_duration_since(Instant::now())) {
            Ok(reply) => {
                self.asker = Some(asker);
                answer(reply)
            }
            Err(RecvTimeoutError::Timeout) => {
                self.stuck.insert(path.to_owned(), asker);
                Answer::Silent
            }
            Err(RecvTimeoutError::Disconnected) => Answer::Silent,
        }
    }
}

impl Asker {
    /// `None` when no thread can be made: the mount then counts as silent.
    fn start() -> Option<Self> {
        let (questions, to_ask) = channel::<PathBuf>();
        let (to_answer, answers) = channel();
        let thread = std::thread::Builder::new().name("statfs".into()).stack_size(64 << 10);
        thread
            .spawn(move || {
                while let Ok(path) = to_ask.recv() {
                    if to_answer.send(statfs(path)).is_err() {
                        return;
                    }
                }
            })
            .ok()?;
        Some(Self { questions, answers })
    }
}

fn answer(reply: Reply) -> Answer {
    match reply {
        Ok(space) => Answer::Space(space),
        Err(errno) => Answer::Error(errno),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Local and other types are asked differently and answer the same; a path that is not there is an error.
    #[test]
    fn answers() {
        let mut prober = Prober::new(Duration::from_secs(10));
        for fs_type in [&b"ext4"[..], b"nfs4", b"nfs4"] {
            assert!(matches!(prober.ask(Path::new("/"), fs_type), Answer::Space(_)));
            assert!(matches!(prober.ask(Path::new("/none"), fs_type), Answer::Error(Errno::NOENT)));
        }
        assert!(prober.stuck.is_empty());
    }

    /// A mount that is silent is asked once: later scrapes look whether its old question was answered, and take
    /// that answer. The thread is replaced by channels that the test holds.
    #[test]
    fn silence_and_recovery() {
        let mut prober = Prober::new(Duration::from_millis(1));
        let (questions, to_ask) = channel();
        let (to_answer, answers) = channel();
        prober.asker = Some(Asker { questions, answers });
        let path = Path::new("/dead");
        assert!(matches!(prober.ask(path, b"nfs4"), Answer::Silent));
        assert!(matches!(prober.ask(path, b"nfs4"), Answer::Silent));
        assert!(matches!(prober.ask(Path::new("/"), b"nfs4"), Answer::Space(_) | Answer::Silent));
        assert_eq!(to_ask.try_iter().count(), 1);
        to_answer.send(Err(Errno::STALE)).unwrap();
        assert!(matches!(prober.ask(path, b"nfs4"), Answer::Error(Errno::STALE)));
        assert!(!prober.stuck.contains_key(path));
    }
}
