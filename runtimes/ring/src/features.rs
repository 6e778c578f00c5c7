//! The switches of the ring: what each is, which kernel has it, what it needs, and which are on.
//!
//! One table. `--ring` names switches; a kernel that lacks one takes it out of the defaults, and refuses it when named.

use clap::builder::PossibleValue;
use service::Error;

/// A switch, as named in `--ring`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Switch {
    AcceptMultishot,
    Direct,
    Buffers,
    RecvMultishot,
    Incremental,
    PollFirst,
    Readiness,
    WaitAll,
    SilentSends,
    SendBundle,
    ZeroCopy,
    Coop,
    SingleIssuer,
    Defer,
    RegisteredRing,
    NoSqArray,
    NoIowait,
    MinWait,
    SqPoll,
}

use Switch::{
    AcceptMultishot, Buffers, Coop, Defer, Direct, Incremental, MinWait, NoIowait, NoSqArray, PollFirst, Readiness,
    RecvMultishot, RegisteredRing, SendBundle, SilentSends, SingleIssuer, SqPoll, WaitAll, ZeroCopy,
};

/// What is to be known of a switch.
pub(crate) struct Row {
    pub(crate) switch: Switch,
    pub(crate) name: &'static str,
    /// The first release that has it.
    pub(crate) linux: &'static str,
    /// On unless `--ring` says otherwise, where the kernel has it.
    pub(crate) by_default: bool,
    needs: &'static [Switch],
    excludes: &'static [Switch],
}

const fn row(switch: Switch, name: &'static str, linux: &'static str, by_default: bool) -> Row {
    Row { switch, name, linux, by_default, needs: &[], excludes: &[] }
}

/// In the order of the enum.
pub(crate) const TABLE: [Row; 19] = [
    row(AcceptMultishot, "accept-multishot", "Linux 5.19", true),
    row(Direct, "direct", "Linux 5.19", false),
    row(Buffers, "buffers", "Linux 5.19", true),
    Row { needs: &[Buffers], ..row(RecvMultishot, "recv-multishot", "Linux 6.0", true) },
    Row { needs: &[Buffers], ..row(Incremental, "incremental", "Linux 6.12", false) },
    row(PollFirst, "poll-first", "Linux 5.19", true),
    Row { excludes: &[Buffers], ..row(Readiness, "readiness", "Linux 5.11", false) },
    row(WaitAll, "wait-all", "Linux 5.19", true),
    Row { needs: &[WaitAll], excludes: &[SqPoll, SendBundle], ..row(SilentSends, "silent-sends", "Linux 5.19", true) },
    Row { needs: &[WaitAll], ..row(SendBundle, "send-bundle", "Linux 6.10", false) },
    row(ZeroCopy, "zero-copy", "Linux 6.0", false),
    row(Coop, "coop", "Linux 5.19", false),
    row(SingleIssuer, "single-issuer", "Linux 6.0", true),
    Row { needs: &[SingleIssuer], excludes: &[SqPoll], ..row(Defer, "defer", "Linux 6.1", true) },
    row(RegisteredRing, "registered-ring", "Linux 5.18", true),
    row(NoSqArray, "no-sqarray", "Linux 6.6", true),
    row(NoIowait, "no-iowait", "Linux 6.15", true),
    row(MinWait, "min-wait", "Linux 6.12", false),
    row(SqPoll, "sqpoll", "Linux 5.11", false),
];

/// A set of switches.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Features(u32);

impl Features {
    pub(crate) const fn has(self, switch: Switch) -> bool {
        self.0 & (1 << switch as u32) != 0
    }

    pub(crate) fn set(&mut self, switch: Switch, on: bool) {
        self.0 = (self.0 & !(1 << switch as u32)) | (u32::from(on) << switch as u32);
    }

    pub(crate) fn rows(self) -> impl Iterator<Item = &'static Row> {
        TABLE.iter().filter(move |row| self.has(row.switch))
    }

    /// The names of those that are on.
    pub(crate) fn names(self) -> Vec<&'static str> {
        self.rows().map(|row| row.name).collect()
    }

    /// The switches that `--ring` means on a kernel that has `kernel`: the named ones or an error, of the defaults
    /// those that the kernel has. Later words win over earlier ones.
    pub(crate) fn resolve(words: &[String], kernel: Features, release: &str) -> Result<Features, Error> {
        let mut features = Features::default();
        let mut named = Features::default();
        for word in words {
            let (word, on) = word
                .strip_prefix("no-")
                .filter(|rest| find(rest).is_some())
                .map_or((word.as_str(), true), |rest| (rest, false));
            match (word, find(word)) {
                ("default", _) => TABLE.iter().for_each(|row| {
                    features.set(row.switch, features.has(row.switch) || row.by_default && kernel.has(row.switch));
                }),
                ("none", _) => features = Features::default(),
                (_, Some(row)) => {
                    features.set(row.switch, on);
                    named.set(row.switch, on);
                }
                (other, None) => return Err(Error::Usage(format!("--ring {other}: no such switch"))),
            }
        }
        if let Some(row) = features.rows().find(|row| !kernel.has(row.switch)) {
            let what = format!("--ring {}", row.name);
            return Err(Error::Kernel { what, needed: row.linux, seen: release.to_owned() });
        }
        features.settle(named)
    }

    /// Checks what belongs together. A default gives way to a switch that was named and excludes it; a default whose
    /// need was taken out goes with it.
    fn settle(mut self, named: Features) -> Result<Features, Error> {
        // Twice: one that goes may take another with it, and no chain of the table is longer.
        for _ in 0..2 {
            for row in &TABLE {
                let now = self;
                if !now.has(row.switch) {
                    continue;
                }
                for &other in row.excludes.iter().filter(|&&other| now.has(other)) {
                    match (named.has(row.switch), named.has(other)) {
                        (true, true) => return Err(contradiction(row, "excludes", other)),
                        (false, _) => self.set(row.switch, false),
                        (true, false) => self.set(other, false),
                    }
                }
                for &other in row.needs.iter().filter(|&&other| !now.has(other)) {
                    if named.has(row.switch) {
                        return Err(contradiction(row, "needs", other));
                    }
                    self.set(row.switch, false);
                }
            }
        }
        Ok(self)
    }
}

fn contradiction(row: &Row, verb: &str, other: Switch) -> Error {
    let other = TABLE[other as usize].name;
    Error::Usage(format!(
        "--ring {} {verb} {other}: --ring default,{}",
        row.name,
        if verb == "needs" { format!("{other},{}", row.name) } else { format!("no-{other},{}", row.name) }
    ))
}

fn find(name: &str) -> Option<&'static Row> {
    TABLE.iter().find(|row| row.name == name)
}

/// Every word that `--ring` takes, for clap: it names the nearest right one.
pub(crate) fn words() -> Vec<PossibleValue> {
    let plain = ["default", "none"].into_iter().chain(TABLE.iter().map(|row| row.name)).map(PossibleValue::new);
    // Leaked: clap keeps names for as long as the process lives.
    let off = TABLE.iter().map(|row| PossibleValue::new(&*format!("no-{}", row.name).leak()).hide(true));
    plain.chain(off).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const EVERY: Features = Features(u32::MAX);

    fn resolve(words: &str, kernel: Features) -> Result<Features, Error> {
        let words: Vec<String> = words.split(',').map(str::to_owned).collect();
        Features::resolve(&words, kernel, "6.1.0")
    }

    /// The table is in the order of the enum, and its names are told apart from their negations.
    #[test]
    fn table() {
        for (index, row) in TABLE.iter().enumerate() {
            assert_eq!(row.switch as usize, index, "{}", row.name);
            assert!(find(&format!("no-{}", row.name)).is_none());
        }
    }

    /// The words of --ring, alone, negated and on top of the defaults.
    #[test]
    fn words_of_the_list() {
        assert_eq!(resolve("none", EVERY).unwrap(), Features::default());
        let default = resolve("default", EVERY).unwrap();
        assert!(default.has(RecvMultishot) && default.has(NoIowait) && !default.has(Direct));
        assert!(resolve("default,direct", EVERY).unwrap().has(Direct));
        assert!(!resolve("default,no-no-iowait", EVERY).unwrap().has(NoIowait));
        assert_eq!(resolve("buffers,recv-multishot", EVERY).unwrap().names(), ["buffers", "recv-multishot"]);
        assert_eq!(resolve("nonsense", EVERY).unwrap_err().exit_code(), 2);
    }

    /// A kernel without a feature: gone from the defaults, refused when named, with the release that has it.
    #[test]
    fn older_kernels() {
        let mut old = EVERY;
        old.set(Defer, false);
        assert!(!resolve("default", old).unwrap().has(Defer));
        let error = resolve("default,defer", old).unwrap_err();
        assert_eq!(error.exit_code(), 3);
        assert_eq!(
            error.to_string(),
            "--ring defer needs Linux 6.1, and this kernel is 6.1.0: leave it out or take a newer kernel"
        );
        // No provided buffers: what needs them goes with them.
        old.set(Buffers, false);
        assert!(!resolve("default", old).unwrap().has(RecvMultishot));
    }

    /// What cannot go together is a usage error when both were named; a default gives way.
    #[test]
    fn combinations() {
        let sqpoll = resolve("default,sqpoll", EVERY).unwrap();
        assert!(sqpoll.has(SqPoll) && !sqpoll.has(Defer) && !sqpoll.has(SilentSends));
        for wrong in ["defer", "recv-multishot", "incremental", "single-issuer,defer,sqpoll", "buffers,readiness"] {
            let error = resolve(wrong, EVERY).unwrap_err();
            assert_eq!(error.exit_code(), 2, "{wrong}");
        }
        assert!(!resolve("default,no-buffers", EVERY).unwrap().has(RecvMultishot));
        assert!(!resolve("default,readiness", EVERY).unwrap().has(RecvMultishot));
    }
}
