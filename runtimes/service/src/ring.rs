//! Setup features of a ring: what was asked for, what is in force.
//!
//! The engines that run on the `io-uring` crate's builder share the words; each applies them to its own runtime.

use serde_json::{Value, json};

use crate::Error;

/// A setup feature, as named in `--ring`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum RingFeature {
    /// IORING_SETUP_COOP_TASKRUN (Linux 5.19): completions do not interrupt the thread, they wait for its next system call
    Coop,
    /// IORING_SETUP_SINGLE_ISSUER (Linux 6.0): one thread submits, which saves locking
    SingleIssuer,
    /// IORING_SETUP_DEFER_TASKRUN (Linux 6.1): completions run when the thread waits for them; needs single-issuer
    Defer,
    /// No feature at all
    None,
}

/// The features of a ring.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ring {
    /// Submission queue entries.
    pub entries: u32,
    /// IORING_SETUP_COOP_TASKRUN
    pub coop: bool,
    /// IORING_SETUP_SINGLE_ISSUER
    pub single_issuer: bool,
    /// IORING_SETUP_DEFER_TASKRUN
    pub defer: bool,
}

impl Ring {
    /// The ring that `--ring` names, or a usage error for combinations that the kernel would refuse.
    pub fn new(entries: u32, features: &[RingFeature]) -> Result<Ring, Error> {
        let has = |feature| features.contains(&feature);
        if has(RingFeature::None) && features.len() > 1 {
            return Err(Error::Usage("--ring none stands alone".to_owned()));
        }
        let ring = Ring {
            entries,
            coop: has(RingFeature::Coop),
            single_issuer: has(RingFeature::SingleIssuer),
            defer: has(RingFeature::Defer),
        };
        if ring.defer && !ring.single_issuer {
            let says = "--ring defer needs single-issuer (io_uring_setup(2)): --ring single-issuer,defer";
            return Err(Error::Usage(says.to_owned()));
        }
        Ok(ring)
    }

    /// This ring without features: what every kernel with io_uring takes.
    pub fn plain(self) -> Ring {
        Ring { entries: self.entries, ..Ring::default() }
    }

    pub(crate) fn to_json(self) -> Value {
        let Ring { entries, coop, single_issuer, defer } = self;
        json!({"entries": entries, "coop_taskrun": coop, "single_issuer": single_issuer, "defer_taskrun": defer})
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the kernel would refuse with EINVAL is refused with a sentence.
    #[test]
    fn combinations() {
        use RingFeature::{Coop, Defer, None, SingleIssuer};
        assert_eq!(Ring::new(8, &[None]).unwrap(), Ring { entries: 8, ..Ring::default() });
        assert!(Ring::new(8, &[Coop, SingleIssuer, Defer]).unwrap().defer);
        assert_eq!(Ring::new(8, &[Defer]).unwrap_err().exit_code(), 2);
        assert_eq!(Ring::new(8, &[None, Coop]).unwrap_err().exit_code(), 2);
    }
}
