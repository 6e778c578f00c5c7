//! Software RAID: `/proc/mdstat` and `/sys/block/md*/md` (Documentation/admin-guide/md.rst).

use std::path::Path;

use crate::attributes::{component, number, numbered, value};
use crate::text::{fields, lines, parse_u64};
use crate::{Error, Result, Roots, Source};

/// One array, as `/proc/mdstat` tells it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Array<'a> {
    /// Its name: `md0`.
    pub name: &'a [u8],
    /// What it is doing.
    pub state: State,
    /// Members that it should have.
    pub disks_required: u64,
    /// Members that are in sync.
    pub disks_active: u64,
    /// Members marked faulty.
    pub disks_failed: u64,
    /// Members waiting to replace one.
    pub disks_spare: u64,
    /// Size in blocks of 1 KiB.
    pub blocks: u64,
    /// Blocks of a member that are synced; the array's size when nothing is being synced.
    pub blocks_synced: u64,
}

/// What an array is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Serves, and nothing is being synced.
    Active,
    /// Assembled, but not started.
    Inactive,
    /// Rebuilds a member.
    Recovering,
    /// Resyncs after an unclean shutdown, or at creation.
    Resyncing,
    /// Compares its members.
    Checking,
    /// Changes its geometry.
    Reshaping,
    /// Anything else that the kernel says.
    Other,
}

/// What sysfs adds about an array.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Details {
    /// Its name.
    pub name: Vec<u8>,
    /// Members of a complete array.
    pub disks: u64,
    /// Members that are missing; 0 for levels without redundancy.
    pub degraded: u64,
}

/// Reads mdstat repeatedly.
#[derive(Debug)]
pub struct Reader {
    source: Source,
}

impl Reader {
    /// A reader below `roots`.
    pub fn new(roots: &Roots) -> Self {
        Self { source: Source::new(roots.proc("mdstat"), 1 << 20) }
    }

    /// The arrays, in the file's order.
    ///
    /// # Errors
    /// When the file cannot be read or understood; without the driver it is not there.
    pub fn arrays(&mut self) -> Result<Vec<Array<'_>>> {
        let (path, text) = self.source.read()?;
        parse(path, text)
    }
}

/// Parses mdstat: an array has a line with its members, one with its size, and maybe one with a bitmap and one with
/// the progress of a sync, each indented.
///
/// # Errors
/// When an array's lines are not of the kernel's form.
pub fn parse<'a>(path: &Path, text: &'a [u8]) -> Result<Vec<Array<'a>>> {
    let all: Vec<&[u8]> = lines(text).collect();
    let mut arrays = Vec::new();
    for (index, line) in all.iter().copied().enumerate() {
        let skip = line.iter().all(u8::is_ascii_whitespace)
            || line.starts_with(b" ")
            || line.starts_with(b"unused")
            || line.starts_with(b"Personalities");
        if !skip {
            let below = |offset: usize| all.get(index + offset).copied().unwrap_or_default();
            arrays.push(array(line, below).ok_or_else(|| Error::format(path, index + 1, line))?);
        }
    }
    Ok(arrays)
}

fn array<'a>(line: &'a [u8], below: impl Fn(usize) -> &'a [u8]) -> Option<Array<'a>> {
    let mut words = fields(line);
    let (name, _colon, state) = (words.next()?, words.next()?, words.next()?);
    let status = below(1);
    let blocks = parse_u64(fields(status).next()?)?;
    let (disks_active, disks_required) = if contains(line, b"raid0") || contains(line, b"linear") {
        // No redundancy, no `[n/m]`: every member counts.
        let members = count(line, b"[");
        (members, members)
    } else if contains(line, b"inactive") {
        (0, 0)
    } else {
        members(status)?
    };
    let sync = if contains(below(2), b"bitmap") { below(3) } else { below(2) };
    let syncing = [
        (&b"recovery"[..], State::Recovering),
        (b"reshape", State::Reshaping),
        (b"check", State::Checking),
        (b"resync", State::Resyncing),
    ]
    .into_iter()
    .find(|(word, _)| contains(sync, word));
    let (state, blocks_synced) = match syncing {
        Some((_, state)) if contains(sync, b"PENDING") || contains(sync, b"DELAYED") => (state, 0),
        Some((_, state)) => (state, progress(sync)?),
        None => (plain_state(state), blocks),
    };
    Some(Array {
        name,
        state,
        disks_required,
        disks_active,
        disks_failed: count(line, b"(F)"),
        disks_spare: count(line, b"(S)"),
        blocks,
        blocks_synced,
    })
}

fn plain_state(word: &[u8]) -> State {
    match word {
        b"active" => State::Active,
        b"inactive" => State::Inactive,
        _ => State::Other,
    }
}

/// `… [4/3] [UUU_]`: active and required members.
fn members(status: &[u8]) -> Option<(u64, u64)> {
    let (at, _) = fields(status).enumerate().find(|(_, word)| in_brackets(word).is_some_and(is_map))?;
    let counts = in_brackets(fields(status).nth(at.checked_sub(1)?)?)?;
    let slash = memchr::memchr(b'/', counts)?;
    Some((parse_u64(&counts[slash + 1..])?, parse_u64(&counts[..slash])?))
}

fn in_brackets(word: &[u8]) -> Option<&[u8]> {
    word.strip_prefix(b"[")?.strip_suffix(b"]")
}

fn is_map(word: &[u8]) -> bool {
    !word.is_empty() && word.iter().all(|&byte| matches!(byte, b'U' | b'_'))
}

/// `… (1234/5678) …`: blocks that are done.
fn progress(line: &[u8]) -> Option<u64> {
    let open = memchr::memchr(b'(', line)?;
    let rest = &line[open + 1..];
    let slash = memchr::memchr(b'/', rest)?;
    let close = memchr::memchr(b')', rest)?;
    parse_u64(rest.get(slash + 1..close)?)?;
    parse_u64(&rest[..slash])
}

fn contains(line: &[u8], word: &[u8]) -> bool {
    memchr::memmem::find(line, word).is_some()
}

fn count(line: &[u8], word: &[u8]) -> u64 {
    memchr::memmem::find_iter(line, word).count() as u64
}

/// Every array that sysfs knows, sorted by name.
///
/// # Errors
/// When a file that its level has cannot be read.
pub fn details(roots: &Roots) -> Result<Vec<Details>> {
    let block = roots.sys("block");
    let mut found = Vec::new();
    for name in numbered(&block, b"md")? {
        let directory = block.join(component(&name)).join("md");
        if !directory.is_dir() {
            continue;
        }
        let redundant = matches!(
            value(&directory.join("level"))?.as_slice(),
            b"raid1" | b"raid4" | b"raid5" | b"raid6" | b"raid10"
        );
        let disks = number(&directory.join("raid_disks"))?;
        let degraded = if redundant { number(&directory.join("degraded"))? } else { 0 };
        found.push(Details { name, disks, degraded });
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> Result<Vec<Array<'_>>> {
        parse(Path::new("/proc/mdstat"), text.as_bytes())
    }

    /// Arrays in each state, with and without bitmap and flags.
    #[test]
    fn states() {
        let text = "Personalities : [raid1] [raid6] [raid0]
md3 : active raid6 sda1[8] sdh1[7](F) sdd1[1](S)
      5853468288 blocks super 1.2 level 6, 64k chunk, algorithm 2 [8/7] [UUUUUUU_]
      bitmap: 0/3 pages [0KB], 65536KB chunk

md8 : active raid1 sdb1[1] sda1[0] sdc[2](S) sde[3](S)
      195310144 blocks [2/1] [_U]
      [=>...................]  resync =  8.5% (16775552/195310144) finish=17.0min speed=259783K/sec

md9 : active raid1 sdc2[2] sdd2[3]
      523968 blocks super 1.2 [4/4] [UUUU]
      resync=DELAYED

md10 : active raid0 sda1[0] sdb1[1]
      314159265 blocks 64k chunks

md11 : active (auto-read-only) raid1 sdb2[0] sdc2[1]
      4190208 blocks super 1.2 [2/2] [UU]
        resync=PENDING

md12 : inactive sdb2[1](S)
      3886394368 blocks super 1.2

md13 : active raid5 sda[0] sdb[1]
      100 blocks super 1.2 [3/2] [UU_]
      bitmap: 1/1 pages
      [>....................]  reshape =  0.1% (7/100) finish=1.0min speed=1K/sec

md14 : active raid1 sda[0] sdb[1]
      100 blocks super 1.2 [2/2] [UU]
      [>....................]  check =  0.1% (9/100) finish=1.0min speed=1K/sec

unused devices: <none>
";
        let arrays = parsed(text).unwrap();
        let short: Vec<_> = arrays
            .iter()
            .map(|array| {
                let disks = (array.disks_active, array.disks_required, array.disks_failed, array.disks_spare);
                (std::str::from_utf8(array.name).unwrap(), array.state, disks, array.blocks_synced)
            })
            .collect();
        assert_eq!(
            short,
            [
                ("md3", State::Active, (7, 8, 1, 1), 5_853_468_288),
                ("md8", State::Resyncing, (1, 2, 0, 2), 16_775_552),
                ("md9", State::Resyncing, (4, 4, 0, 0), 0),
                ("md10", State::Active, (2, 2, 0, 0), 314_159_265),
                ("md11", State::Resyncing, (2, 2, 0, 0), 0),
                ("md12", State::Inactive, (0, 0, 0, 1), 3_886_394_368),
                ("md13", State::Reshaping, (2, 3, 0, 0), 7),
                ("md14", State::Checking, (2, 2, 0, 0), 9),
            ]
        );
        assert!(parsed("").unwrap().is_empty());
    }

    /// What is cut off or no number is an error that names the array's line.
    #[test]
    fn hostile() {
        for bad in [
            "md0 : active raid1 sda[0]\n",
            "md0 : active\n",
            "md0 : active raid1 sda[0]\n      x blocks [2/2] [UU]\n",
            "md0 : active raid1 sda[0]\n      99999999999999999999 blocks [2/2] [UU]\n",
            "md0 : active raid1 sda[0]\n      10 blocks\n",
            "md0 : active raid1 sda[0]\n      10 blocks [UU]\n",
            "md0 : active raid1 sda[0]\n      10 blocks [2/2] [UU]\n  recovery = 1% ()10/\n",
        ] {
            assert!(parsed(bad).unwrap_err().to_string().starts_with("/proc/mdstat:1:"), "{bad:?}");
        }
        assert!(parse(Path::new("mdstat"), b"\xff\xff\xff").is_err());
    }

    /// Levels without redundancy have no count of missing members.
    #[test]
    fn sysfs() {
        let dir = tempfile::tempdir().unwrap();
        let roots = Roots::below(dir.path());
        assert!(details(&roots).unwrap().is_empty());
        let put = |path: &str, text: &str| {
            let path = dir.path().join("sys/block").join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        };
        put("md0/md/level", "raid0\n");
        put("md0/md/raid_disks", "2\n");
        put("md1/md/level", "raid1\n");
        put("md1/md/raid_disks", "3\n");
        put("mdless/size", "3\n");
        assert!(details(&roots).unwrap_err().is_not_found());
        put("md1/md/degraded", "1\n");
        let found = details(&roots).unwrap();
        assert_eq!((found[0].disks, found[0].degraded, found[1].disks, found[1].degraded), (2, 0, 3, 1));
    }
}
