//! `--fault`: what goes wrong on purpose, so that whoever measures can be seen to notice.
//!
//! Requests are counted by shard, refused ones included. A fault strikes when a request has been answered and its reply is not
//! yet written, so no engine and no protocol has to know of it. Without faults a request costs one branch.

use std::fmt;
use std::str::FromStr;
use std::thread::sleep;
use std::time::Duration;

use wire::Protocol;

use crate::handler::Step;

/// Longest pause that can be asked for, in milliseconds.
const PAUSE_LIMIT_MS: u64 = 60_000;

/// Something that goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// `stall:EVERY:MS`: every EVERYth request stops the shard for MS milliseconds.
    Stall {
        /// Requests from one stall to the next.
        every: u64,
        /// Length.
        pause: Duration,
    },
    /// `throttle:US`: every request waits, without using CPU, for US microseconds.
    Throttle {
        /// Length.
        pause: Duration,
    },
    /// `drop:EVERY`: every EVERYth request ends its connection instead of being answered.
    Drop {
        /// Requests from one to the next.
        every: u64,
    },
    /// `delay-accept:MS`: every accept stops the shard for MS milliseconds.
    DelayAccept {
        /// Length.
        pause: Duration,
    },
    /// `lie:EVERY`: every EVERYth reply is wrong by one bit.
    Lie {
        /// Requests from one to the next.
        every: u64,
    },
    /// `early:EVERY`: every EVERYth reply comes twice; the second is for a request that nobody has sent yet.
    Early {
        /// Requests from one to the next.
        every: u64,
    },
    /// `spin:NS`: every request that is served takes NS nanoseconds more of CPU time.
    Spin {
        /// Nanoseconds.
        nanoseconds: u64,
    },
    /// `wrong-version[:AFTER]`: replies are in a version of the protocol that nobody speaks, from the start or after AFTER.
    WrongVersion {
        /// Requests before.
        after: u64,
    },
    /// `stop-answering:AFTER`: after AFTER requests none is answered; connections stay open.
    StopAnswering {
        /// Requests before.
        after: u64,
    },
}

/// What was typed is no fault.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}`: expected stall:EVERY:MS, throttle:US, drop:EVERY, delay-accept:MS, lie:EVERY, early:EVERY, spin:NS, \
     wrong-version[:AFTER] or stop-answering:AFTER, with EVERY from 1 and pauses up to {PAUSE_LIMIT_MS} ms"
)]
pub struct UnknownFault(String);

impl FromStr for Fault {
    type Err = UnknownFault;

    fn from_str(text: &str) -> Result<Fault, UnknownFault> {
        parse(text).ok_or_else(|| UnknownFault(text.to_owned()))
    }
}

fn parse(text: &str) -> Option<Fault> {
    let (name, values) = text.split_once(':').unwrap_or((text, ""));
    let values: Vec<u64> = match values {
        "" if text.contains(':') => return None,
        "" => Vec::new(),
        values => values.split(':').map(|value| value.parse().ok()).collect::<Option<_>>()?,
    };
    let every = |every: &u64| (*every > 0).then_some(*every);
    let pause = |micros: u64| (micros <= PAUSE_LIMIT_MS * 1_000).then(|| Duration::from_micros(micros));
    Some(match (name, values.as_slice()) {
        ("stall", [each, ms]) => Fault::Stall { every: every(each)?, pause: pause(ms.checked_mul(1_000)?)? },
        ("throttle", [us]) => Fault::Throttle { pause: pause(*us)? },
        ("drop", [each]) => Fault::Drop { every: every(each)? },
        ("delay-accept", [ms]) => Fault::DelayAccept { pause: pause(ms.checked_mul(1_000)?)? },
        ("lie", [each]) => Fault::Lie { every: every(each)? },
        ("early", [each]) => Fault::Early { every: every(each)? },
        ("spin", [ns]) if *ns <= PAUSE_LIMIT_MS * 1_000_000 => Fault::Spin { nanoseconds: *ns },
        ("wrong-version", []) => Fault::WrongVersion { after: 0 },
        ("wrong-version", [after]) => Fault::WrongVersion { after: *after },
        ("stop-answering", [after]) => Fault::StopAnswering { after: *after },
        _ => return None,
    })
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Fault::Stall { every, pause } => write!(f, "stall:{every}:{}", pause.as_millis()),
            Fault::Throttle { pause } => write!(f, "throttle:{}", pause.as_micros()),
            Fault::Drop { every } => write!(f, "drop:{every}"),
            Fault::DelayAccept { pause } => write!(f, "delay-accept:{}", pause.as_millis()),
            Fault::Lie { every } => write!(f, "lie:{every}"),
            Fault::Early { every } => write!(f, "early:{every}"),
            Fault::Spin { nanoseconds } => write!(f, "spin:{nanoseconds}"),
            Fault::WrongVersion { after } => write!(f, "wrong-version:{after}"),
            Fault::StopAnswering { after } => write!(f, "stop-answering:{after}"),
        }
    }
}

/// CPU nanoseconds that all `spin` faults add to a request; they are done with its work, not here.
pub(crate) fn spin_ns(faults: &[Fault]) -> f64 {
    let of = |fault: &Fault| if let Fault::Spin { nanoseconds } = fault { *nanoseconds as f64 } else { 0.0 };
    faults.iter().map(of).sum()
}

/// The faults of one shard.
#[derive(Debug)]
pub(crate) struct Faults {
    kinds: Vec<Fault>,
    requests: u64,
}

impl Faults {
    /// `None` when nothing of this has to be looked at with each request.
    pub(crate) fn new(faults: &[Fault]) -> Option<Box<Faults>> {
        let kinds: Vec<Fault> = faults.iter().copied().filter(|fault| !matches!(fault, Fault::Spin { .. })).collect();
        (!kinds.is_empty()).then(|| Box::new(Faults { kinds, requests: 0 }))
    }

    /// A connection is being accepted.
    pub(crate) fn accepting(&self) {
        for fault in &self.kinds {
            if let Fault::DelayAccept { pause } = fault {
                sleep(*pause);
            }
        }
    }

    /// A request was answered by `step`, and its reply stands in `out` from `start` on.
    pub(crate) fn strike(&mut self, protocol: Protocol, mut step: Step, out: &mut Vec<u8>, start: usize) -> Step {
        self.requests += 1;
        let is_due = |every: u64| self.requests.is_multiple_of(every);
        for fault in &self.kinds {
            match *fault {
                Fault::Stall { every, pause } if is_due(every) => sleep(pause),
                Fault::Throttle { pause } => sleep(pause),
                Fault::Drop { every } if is_due(every) => {
                    out.truncate(start);
                    step = last(step);
                }
                Fault::Lie { every } if is_due(every) => {
                    if let [.., end] = &mut out[start..] {
                        *end ^= 1;
                    }
                }
                Fault::Early { every } if is_due(every) => out.extend_from_within(start..),
                Fault::WrongVersion { after } if self.requests > after => wrong_version(protocol, &mut out[start..]),
                Fault::StopAnswering { after } if self.requests > after => out.truncate(start),
                _ => {}
            }
        }
        step
    }
}

/// The same step, as the last of its connection.
fn last(step: Step) -> Step {
    match step {
        Step::Served(length) | Step::Last(length) => Step::Last(length),
        partial @ Step::Partial { .. } => partial,
    }
}

/// Makes a reply one of a version that nobody speaks.
fn wrong_version(protocol: Protocol, reply: &mut [u8]) {
    match protocol {
        Protocol::Frame => {
            // The header's last byte.
            if let Some(version) = reply.get_mut(wire::frame::HEADER_BYTES - 1) {
                *version = 9;
            }
        }
        Protocol::Http1 => {
            if let Some(version) = reply.get_mut(5..8) {
                version.copy_from_slice(b"9.9");
            }
        }
        // WebSocket's version is said in the handshake; a reserved bit is what an extension would use that nobody agreed on.
        Protocol::WebSocket => {
            if let Some(head) = reply.first_mut() {
                *head |= 0x40;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use wire::Format;
    use wire::client::{self, Operation, Request};

    use super::*;
    use crate::handler::Rules;
    use crate::store::Store;
    use crate::{Connection, Handler, Next};

    /// What is printed reads back, and what is wrong is told with what would be right.
    #[test]
    fn texts() {
        let right = [
            "stall:100:200",
            "throttle:50",
            "drop:7",
            "delay-accept:3",
            "lie:9",
            "early:9",
            "spin:750",
            "wrong-version:0",
            "stop-answering:5",
        ];
        for text in right {
            assert_eq!(text.parse::<Fault>().unwrap().to_string(), text);
        }
        assert_eq!("wrong-version".parse(), Ok(Fault::WrongVersion { after: 0 }));
        let wrong = ["", "stall", "stall:1", "stall:0:5", "stall:1:60001", "stall:1:18446744073709551615", "drop:0"];
        for text in wrong.into_iter().chain(["lie:", "lie:x", "spin", "spin:99999999999999", "drop:1:2", "lies:3"]) {
            let error = text.parse::<Fault>().unwrap_err().to_string();
            assert!(error.contains("stop-answering:AFTER") && error.starts_with(&format!("`{text}`")), "{error}");
        }
    }

    /// The statuses of replies to ten echoes, one at a time, up to the first that is none, and whether it was closed.
    fn ten(protocol: Protocol, faults: &str) -> (Vec<&'static str>, bool) {
        let faults: Vec<Fault> = faults.split(' ').map(|text| text.parse().unwrap()).collect();
        let rules = Rules { faults: Faults::new(&faults), ..Rules::none() };
        let mut handler = Handler::new(protocol, Format::Raw, Store::new(0, 1), Default::default(), rules);
        let mut connection: Connection = handler.admit().unwrap();
        let (mut bytes, mut out) = (Vec::new(), Vec::new());
        client::opening(protocol, "x", &mut bytes);
        assert_eq!(handler.feed(&mut connection, &bytes, &mut out), Next::Read);
        let mut request = Request::new(protocol, Format::Raw, &Operation::Echo { payload: b"right".to_vec() }, "x");
        let mut seen = Vec::new();
        for id in 0..10 {
            bytes.clear();
            out.clear();
            request.write(id, &mut bytes);
            let next = handler.feed(&mut connection, &bytes, &mut out);
            seen.push(match client::parse_reply(protocol, &out) {
                Ok(None) => "nothing",
                Ok(Some(reply)) if request.check(&reply).is_err() => "wrong",
                Ok(Some(reply)) if reply.consumed < out.len() => "twice",
                Ok(Some(_)) => "right",
                Err(_) => "no reply",
            });
            if next == Next::Close {
                return (seen, true);
            }
        }
        (seen, false)
    }

    /// Each fault strikes those requests that it names and no others, in every protocol.
    #[test]
    fn strikes() {
        for protocol in Protocol::ALL {
            let counted = |faults: &str, what: &str| {
                let (seen, closed) = ten(protocol, faults);
                let at =
                    seen.iter().enumerate().filter(|(_, seen)| **seen == what).map(|(at, _)| at).collect::<Vec<_>>();
                assert_eq!(seen.iter().filter(|seen| **seen == "right").count() + at.len(), seen.len(), "{seen:?}");
                (at, closed)
            };
            assert_eq!(counted("lie:4", "wrong"), (vec![3, 7], false), "{protocol}");
            assert_eq!(counted("early:5", "twice"), (vec![4, 9], false), "{protocol}");
            assert_eq!(counted("drop:3", "nothing"), (vec![2], true), "{protocol}");
            assert_eq!(counted("stop-answering:8", "nothing"), (vec![8, 9], false), "{protocol}");
            assert_eq!(counted("wrong-version:9", "no reply"), (vec![9], false), "{protocol}");
            assert_eq!(counted("throttle:1 stall:10:1", "wrong"), (vec![], false), "{protocol}");
        }
    }

    /// A spin is work, not something to look at with each request; without faults there is nothing to look at.
    #[test]
    fn free_when_off() {
        assert!(Faults::new(&[]).is_none());
        assert!(Faults::new(&[Fault::Spin { nanoseconds: 5 }]).is_none());
        assert_eq!(spin_ns(&[Fault::Spin { nanoseconds: 5 }, Fault::Drop { every: 1 }]), 5.0);
    }
}
