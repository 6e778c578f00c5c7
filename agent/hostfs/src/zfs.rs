//! Statistics of ZFS: `/proc/spl/kstat/zfs` (OpenZFS, module/os/linux/spl/spl-kstat.c).

use std::path::{Path, PathBuf};

use crate::attributes::{component, names};
use crate::text::{fields, lines, parse_i64, parse_u64};
use crate::{Error, Result, Roots, read_into};

/// Largest file that is read; arcstats is below 10 KiB.
const LIMIT: usize = 1 << 20;

/// States of a pool, as the files say them in upper case.
pub const STATES: [&str; 7] = ["online", "degraded", "faulted", "offline", "removed", "unavail", "suspended"];

/// One named count.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Stat<'a> {
    /// Its name.
    pub name: &'a [u8],
    /// Its value; counts are signed or unsigned.
    pub value: f64,
}

/// Reads the files below one directory.
#[derive(Debug)]
pub struct Reader {
    directory: PathBuf,
    text: Vec<u8>,
}

impl Reader {
    /// A reader below `roots`.
    pub fn new(roots: &Roots) -> Self {
        Self { directory: roots.proc("spl/kstat/zfs"), text: Vec::new() }
    }

    /// Whether ZFS is there at all.
    ///
    /// # Errors
    /// When it is not, which is for the caller to judge.
    pub fn check(&self) -> Result<()> {
        std::fs::metadata(&self.directory).map(drop).map_err(|source| Error::read(&self.directory, source))
    }

    /// The counts of one file of the module, such as `arcstats`; `None` when this version has no such file.
    ///
    /// # Errors
    /// When the text is not of the kstat form.
    pub fn module(&mut self, file: &str) -> Result<Option<Vec<Stat<'_>>>> {
        let path = self.directory.join(file);
        match read_into(&path, &mut self.text, LIMIT) {
            Ok(()) => parse_named(&path, &self.text).map(Some),
            Err(Error::Read { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The names of all pools, sorted.
    ///
    /// # Errors
    /// When the directory cannot be listed.
    pub fn pools(&self) -> Result<Vec<Vec<u8>>> {
        let mut pools = names(&self.directory)?;
        pools.retain(|name| self.directory.join(component(name)).is_dir());
        Ok(pools)
    }

    /// The I/O counts of a pool; `None` for versions that have none (since OpenZFS 2.1).
    ///
    /// # Errors
    /// When the text is not two lines of names and counts.
    pub fn pool_io(&mut self, pool: &[u8]) -> Result<Option<Vec<Stat<'_>>>> {
        let path = self.directory.join(component(pool)).join("io");
        match read_into(&path, &mut self.text, LIMIT) {
            Ok(()) => parse_columns(&path, &self.text).map(Some),
            Err(error) if error.is_not_found() => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The position of a pool's state in [`STATES`] (`None` for one that is not known), or nothing when the version
    /// does not tell.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn pool_state(&mut self, pool: &[u8]) -> Result<Option<Option<usize>>> {
        let path = self.directory.join(component(pool)).join("state");
        match read_into(&path, &mut self.text, LIMIT) {
            Ok(()) => {
                let word = lines(&self.text).next().unwrap_or_default();
                Ok(Some(STATES.iter().position(|state| state.as_bytes().eq_ignore_ascii_case(word))))
            }
            Err(error) if error.is_not_found() => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The names of a pool's data set files, sorted.
    ///
    /// # Errors
    /// When the directory cannot be listed.
    pub fn datasets(&self, pool: &[u8]) -> Result<Vec<Vec<u8>>> {
        let mut files = names(&self.directory.join(component(pool)))?;
        files.retain(|name| name.starts_with(b"objset-"));
        Ok(files)
    }

    /// Name and counts of one data set.
    ///
    /// # Errors
    /// When the file cannot be read or is not of the kstat form.
    pub fn dataset(&mut self, pool: &[u8], file: &[u8]) -> Result<(&[u8], Vec<Stat<'_>>)> {
        let path = self.directory.join(component(pool)).join(component(file));
        read_into(&path, &mut self.text, LIMIT)?;
        let stats = parse_named(&path, &self.text)?;
        Ok((dataset_name(&self.text).unwrap_or_default(), stats))
    }
}

/// Rows `name type data` after a line of exactly these words. Type 3 is a signed and type 4 an unsigned 64-bit number;
/// other types are left out.
///
/// # Errors
/// When the heading is missing or a number of these types is none.
pub fn parse_named<'a>(path: &Path, text: &'a [u8]) -> Result<Vec<Stat<'a>>> {
    let mut rows = lines(text).enumerate();
    if !rows.any(|(_, line)| fields(line).eq([&b"name"[..], b"type", b"data"])) {
        return Err(Error::format(path, 0, text));
    }
    let mut stats = Vec::new();
    for (index, line) in rows {
        let mut columns = fields(line);
        let (Some(name), Some(kind), Some(data)) = (columns.next(), columns.next(), columns.next()) else { continue };
        let value = match kind {
            b"3" => parse_i64(data).map(|number| number as f64),
            b"4" => parse_u64(data).map(|number| number as f64),
            _ => continue,
        };
        stats.push(Stat { name, value: value.ok_or_else(|| Error::format(path, index + 1, line))? });
    }
    Ok(stats)
}

/// `dataset_name 7 pool/name with blanks`.
fn dataset_name(text: &[u8]) -> Option<&[u8]> {
    let line = lines(text).find(|line| fields(line).next() == Some(b"dataset_name"))?;
    let name = fields(line).nth(2)?;
    let start = memchr::memmem::find(line, name)?;
    Some(&line[start..])
}

/// A line of at least twelve names of which the first is `nread`, then a line of as many counts.
///
/// # Errors
/// When a count is missing or none.
pub fn parse_columns<'a>(path: &Path, text: &'a [u8]) -> Result<Vec<Stat<'a>>> {
    let mut rows = lines(text).enumerate();
    let Some((_, head)) = rows.find(|(_, line)| fields(line).next() == Some(b"nread") && fields(line).count() >= 12)
    else {
        return Ok(Vec::new());
    };
    let mut stats = Vec::new();
    for (index, line) in rows {
        let mut counts = fields(line);
        for name in fields(head) {
            let value = counts.u64().ok_or_else(|| Error::format(path, index + 1, line))?;
            stats.push(Stat { name, value: value as f64 });
        }
    }
    Ok(stats)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Signed, unsigned and other types; then what is not of the form.
    #[test]
    fn named() {
        let path = Path::new("arcstats");
        let text = b"6 1 0x01 91 4368 5266997922 97951858082072\nname                            type data\n\
            hits                            4    8772612\nneed                            3    -5\nanon 7 text here\n";
        let stats = parse_named(path, text).unwrap();
        assert_eq!(stats, [Stat { name: b"hits", value: 8_772_612.0 }, Stat { name: b"need", value: -5.0 }]);
        for bad in [
            &b""[..],
            b"6 1\n",
            b"\xff",
            b"name type data\nhits 4 x\n",
            b"name type data\nhits 4 18446744073709551616\n",
        ] {
            assert!(parse_named(path, bad).is_err(), "{bad:?}");
        }
        assert!(parse_named(path, b"name type data\n").unwrap().is_empty());
    }

    /// A pool's counts in columns; a short row is an error.
    #[test]
    fn columns() {
        let path = Path::new("io");
        let head = "nread nwritten reads writes wtime wlentime wupdate rtime rlentime rupdate wcnt rcnt";
        let text = format!("12 3 0x00 1 80 79205351707403 395818011156865\n{head}\n1 2 3 4 5 6 7 8 9 10 11 12\n");
        let stats = parse_columns(path, text.as_bytes()).unwrap();
        assert_eq!((stats.len(), stats[11].name, stats[11].value), (12, &b"rcnt"[..], 12.0));
        assert!(parse_columns(path, b"").unwrap().is_empty());
        assert!(parse_columns(path, format!("{head}\n1 2\n").as_bytes()).is_err());
    }

    /// A tree with a pool in a state, one that says nothing, and a data set with blanks in its name.
    #[test]
    fn tree() {
        let dir = tempfile::tempdir().unwrap();
        let mut reader = Reader::new(&Roots::below(dir.path()));
        assert!(reader.check().unwrap_err().is_not_found());
        let put = |path: &str, text: &str| {
            let path = dir.path().join("proc/spl/kstat/zfs").join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        };
        put("tank/state", "DEGRADED\n");
        put("tank/objset-1", "x\nname type data\ndataset_name 7 tank/my data\nwrites 4 4\n");
        put("pool2/io", "");
        put("fm", "name type data\nerpt-dropped 4 18\n");
        reader.check().unwrap();
        assert_eq!(reader.pools().unwrap(), [&b"pool2"[..], b"tank"]);
        assert_eq!(reader.pool_state(b"tank").unwrap(), Some(Some(1)));
        assert_eq!(reader.pool_state(b"pool2").unwrap(), None);
        assert_eq!(reader.datasets(b"tank").unwrap(), [&b"objset-1"[..]]);
        let (name, stats) = reader.dataset(b"tank", b"objset-1").unwrap();
        assert_eq!((name, stats.len()), (&b"tank/my data"[..], 1));
        assert_eq!(reader.module("fm").unwrap().unwrap()[0].name, b"erpt-dropped");
        assert!(reader.module("zil").unwrap().is_none());
    }
}
