//! Watchdog timers: `/sys/class/watchdog` (Documentation/ABI/testing/sysfs-class-watchdog).

use crate::attributes::{component, names, optional, parse_prefixed_signed};
use crate::{Error, Result, Roots};

/// Attributes that are numbers.
pub const NUMBERS: [&str; 7] =
    ["access_cs0", "bootstatus", "fw_version", "nowayout", "pretimeout", "timeleft", "timeout"];

/// Attributes that are text.
pub const TEXTS: [&str; 5] = ["identity", "options", "pretimeout_governor", "state", "status"];

/// One timer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Watchdog {
    /// Its name: `watchdog0`.
    pub name: Vec<u8>,
    /// The values of [`NUMBERS`] that it has.
    pub numbers: [Option<i64>; NUMBERS.len()],
    /// The values of [`TEXTS`]; empty where it has none.
    pub texts: [Vec<u8>; TEXTS.len()],
}

/// Every timer, sorted by name.
///
/// # Errors
/// When an attribute is there and cannot be read or is no number; without timers the directory is not there.
pub fn read(roots: &Roots) -> Result<Vec<Watchdog>> {
    let class = roots.sys("class/watchdog");
    let mut found = Vec::new();
    for name in names(&class)? {
        let path = class.join(component(&name));
        let mut watchdog = Watchdog { name, numbers: [None; NUMBERS.len()], texts: Default::default() };
        for (slot, file) in watchdog.numbers.iter_mut().zip(NUMBERS) {
            let path = path.join(file);
            if let Some(text) = optional(&path)? {
                *slot = Some(parse_prefixed_signed(&text).ok_or_else(|| Error::format(&path, 1, &text))?);
            }
        }
        for (slot, file) in watchdog.texts.iter_mut().zip(TEXTS) {
            *slot = optional(&path.join(file))?.unwrap_or_default();
        }
        found.push(watchdog);
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A timer with some attributes, one with none, one with a broken one.
    #[test]
    fn timers() {
        let dir = tempfile::tempdir().unwrap();
        let roots = Roots::below(dir.path());
        assert!(read(&roots).unwrap_err().is_not_found());
        let class = dir.path().join("sys/class/watchdog");
        for timer in ["watchdog0", "watchdog1"] {
            std::fs::create_dir_all(class.join(timer)).unwrap();
        }
        std::fs::write(class.join("watchdog0/timeout"), "60\n").unwrap();
        std::fs::write(class.join("watchdog0/options"), "0x8380\n").unwrap();
        let found = read(&roots).unwrap();
        assert_eq!((found[0].numbers[6], found[0].texts[1].as_slice()), (Some(60), &b"0x8380"[..]));
        assert_eq!(found[1].numbers, [None; 7]);
        std::fs::write(class.join("watchdog1/timeleft"), "soon\n").unwrap();
        assert!(read(&roots).is_err());
    }
}
