//! `/proc/PID/mountinfo` (proc_pid_mountinfo(5)) and `/proc/PID/mounts` (fstab(5)): what is mounted where.

use std::borrow::Cow;
use std::path::Path;

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use crate::text::{fields, lines};
use crate::{Error, Result, Roots, Source};

/// About 200 bytes a mount; container hosts have thousands.
const LIMIT: usize = 16 << 20;

/// One mount.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mount<'a> {
    /// Device number as `major` and `minor`; `None` in the older file.
    pub device_number: Option<(u32, u32)>,
    /// What is mounted: a device, a server's path, or a word.
    pub device: Cow<'a, [u8]>,
    /// Where.
    pub mount_point: Cow<'a, [u8]>,
    /// Type, such as `ext4`.
    pub fs_type: &'a [u8],
    /// Whether it cannot be written through this mount point.
    pub read_only: bool,
}

/// Reads the mounts of PID 1, or where that is not allowed the caller's own.
#[derive(Debug)]
pub struct Reader {
    /// In order of preference; the bool says whether it is a mountinfo file.
    sources: [(Source, bool); 4],
    /// The one that was read last.
    current: Option<usize>,
    is_live: bool,
}

impl Reader {
    /// A reader below `roots`.
    pub fn new(roots: &Roots) -> Self {
        let source = |path, is_info| (Source::new(roots.proc(path), LIMIT), is_info);
        Self {
            sources: [
                source("1/mountinfo", true),
                source("self/mountinfo", true),
                source("1/mounts", false),
                source("mounts", false),
            ],
            current: None,
            is_live: roots.has_live_proc(),
        }
    }

    /// Whether a file system may have been mounted, unmounted or changed since the last read. The kernel tells whoever
    /// polls the file (proc_pid_mounts(5)); it does not tell when an error turns a file system read-only. Always true of
    /// a copy of a host's files.
    pub fn has_changed(&self) -> bool {
        let file = self.current.filter(|_| self.is_live).and_then(|current| self.sources[current].0.file());
        let Some(file) = file else { return true };
        let mut asked = [PollFd::new(file, PollFlags::PRI)];
        !matches!(poll(&mut asked, Some(&Timespec::default())), Ok(0))
    }

    /// The mounts now.
    ///
    /// # Errors
    /// That of the last file, when none can be read.
    pub fn read(&mut self) -> Result<Mounts<'_>> {
        let mut last = Ok(());
        self.current = None;
        for (index, (source, is_info)) in self.sources.iter_mut().enumerate() {
            last = source.refresh();
            if last.is_ok() {
                self.current = Some(index);
                let (path, text) = source.text();
                return Ok(Mounts { path, text, is_info: *is_info });
            }
        }
        last.map(|()| unreachable!("a source that could be read was returned"))
    }
}

/// A file's text, split on demand.
#[derive(Clone, Copy, Debug)]
pub struct Mounts<'a> {
    path: &'a Path,
    text: &'a [u8],
    is_info: bool,
}

impl<'a> Mounts<'a> {
    /// A view of the text of a mountinfo file.
    pub fn info(path: &'a Path, text: &'a [u8]) -> Self {
        Self { path, text, is_info: true }
    }

    /// A view of the text of a mounts file.
    pub fn table(path: &'a Path, text: &'a [u8]) -> Self {
        Self { path, text, is_info: false }
    }

    /// Every mount in the file's order, or where its line is malformed.
    pub fn mounts(self) -> impl Iterator<Item = Result<Mount<'a>>> {
        let parse = if self.is_info { parse_info } else { parse_table };
        lines(self.text)
            .enumerate()
            .map(move |(index, line)| parse(line).ok_or_else(|| Error::format(self.path, index + 1, line)))
    }
}

/// `36 35 98:0 /root /mnt rw,noatime master:1 - ext3 /dev/root rw,errors=continue`, with any number of optional fields
/// before the dash.
fn parse_info(line: &[u8]) -> Option<Mount<'_>> {
    let mut split = fields(line);
    let device_number = split.nth(2)?;
    let (major, minor) = std::str::from_utf8(device_number).ok()?.split_once(':')?;
    let mount_point = split.nth(1)?;
    let options = split.next()?;
    split.by_ref().find(|field| *field == b"-")?;
    let (fs_type, device) = (split.next()?, split.next()?);
    let super_options = split.next().unwrap_or(b"");
    Some(Mount {
        device_number: Some((major.parse().ok()?, minor.parse().ok()?)),
        device: unescape(device),
        mount_point: unescape(mount_point),
        fs_type,
        read_only: is_read_only(options) || is_read_only(super_options),
    })
}

/// `/dev/root /mnt ext3 rw,noatime 0 0`.
fn parse_table(line: &[u8]) -> Option<Mount<'_>> {
    let mut split = fields(line);
    let (device, mount_point, fs_type, options) = (split.next()?, split.next()?, split.next()?, split.next()?);
    Some(Mount {
        device_number: None,
        device: unescape(device),
        mount_point: unescape(mount_point),
        fs_type,
        read_only: is_read_only(options),
    })
}

fn is_read_only(options: &[u8]) -> bool {
    options.split(|byte| *byte == b',').any(|option| option == b"ro")
}

/// Undoes the kernel's escapes of blanks, newlines and backslashes: three octal digits after a backslash.
fn unescape(field: &[u8]) -> Cow<'_, [u8]> {
    if !field.contains(&b'\\') {
        return Cow::Borrowed(field);
    }
    let mut plain = Vec::with_capacity(field.len());
    let mut rest = field;
    while let Some((&first, after)) = rest.split_first() {
        let octal = |digits: &[u8]| {
            let digit = |byte: u8| (b'0'..=b'7').contains(&byte).then(|| u32::from(byte - b'0'));
            u8::try_from(digit(digits[0])? << 6 | digit(digits[1])? << 3 | digit(digits[2])?).ok()
        };
        if let Some(byte) = after.get(..3).filter(|_| first == b'\\').and_then(octal) {
            plain.push(byte);
            rest = &after[3..];
        } else {
            plain.push(first);
            rest = after;
        }
    }
    Cow::Owned(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Optional fields, escapes, read-only by mount and by file system.
    #[test]
    fn mountinfo() {
        let text = b"36 35 98:0 / /a\\040b\\134 rw,noatime shared:1 master:2 - ext4 /dev/root ro,errors=continue\n\
            37 35 0:5 / /c ro - tmpfs tmp\\011fs rw\n38 35 0:6 / /d rw,rota - tmpfs tmpfs rw\n";
        let all: Vec<_> = Mounts::info(Path::new("mountinfo"), text).mounts().map(Result::unwrap).collect();
        assert_eq!(&*all[0].mount_point, b"/a b\\");
        assert_eq!((all[0].device_number, all[0].fs_type, all[0].read_only), (Some((98, 0)), &b"ext4"[..], true));
        assert_eq!((&*all[1].device, all[1].read_only), (&b"tmp\tfs"[..], true));
        assert!(!all[2].read_only);
    }

    /// The older file, and lines that are too short.
    #[test]
    fn table_and_malformed() {
        let path = Path::new("mounts");
        let mount = Mounts::table(path, b"/dev/vda / ext4 rw,relatime 0 0\n").mounts().next().unwrap().unwrap();
        assert_eq!((&*mount.device, &*mount.mount_point, mount.read_only), (&b"/dev/vda"[..], &b"/"[..], false));
        assert!(Mounts::table(path, b"a b\n").mounts().next().unwrap().is_err());
        for text in [&b"36 35 98:0 / / rw shared:1\n"[..], b"36 35 x / / rw - a b c\n", b"1\n"] {
            assert!(Mounts::info(path, text).mounts().next().unwrap().is_err());
        }
    }

    /// Half an escape is text.
    #[test]
    fn unescape_is_total() {
        for (field, plain) in [(&b"\\04"[..], &b"\\04"[..]), (b"\\", b"\\"), (b"\\777", b"\\777"), (b"\\101\\", b"A\\")]
        {
            assert_eq!(&*unescape(field), plain);
        }
    }

    /// The live host's root is found.
    #[test]
    fn live() {
        let mut reader = Reader::new(&Roots::default());
        let mounts = reader.read().unwrap();
        assert!(mounts.mounts().any(|mount| &*mount.unwrap().mount_point == b"/"));
    }
}
