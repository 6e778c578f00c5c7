//! `/proc/cpuinfo` (proc(5)): a paragraph of `name : value` lines per CPU, whose names differ by architecture.

use crate::text::{lines, parse_f64, trim};
use crate::{Result, Roots, Source};

/// About 1.5 KiB a CPU.
const LIMIT: usize = 32 << 20;

/// One CPU. What the architecture does not say is empty.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Processor<'a> {
    /// Number of the CPU.
    pub processor: &'a [u8],
    /// Maker.
    pub vendor_id: &'a [u8],
    /// Family.
    pub cpu_family: &'a [u8],
    /// Model number.
    pub model: &'a [u8],
    /// Model in words.
    pub model_name: &'a [u8],
    /// Stepping.
    pub stepping: &'a [u8],
    /// Microcode revision.
    pub microcode: &'a [u8],
    /// Clock rate in MHz.
    pub mhz: Option<f64>,
    /// Cache size with its unit.
    pub cache_size: &'a [u8],
    /// Package.
    pub physical_id: &'a [u8],
    /// Core in the package.
    pub core_id: &'a [u8],
    /// Instruction sets and features, separated by blanks.
    pub flags: &'a [u8],
    /// Hardware bugs, separated by blanks.
    pub bugs: &'a [u8],
}

/// Reads the file repeatedly.
#[derive(Debug)]
pub struct Reader {
    source: Source,
}

impl Reader {
    /// A reader below `roots`.
    pub fn new(roots: &Roots) -> Self {
        Self { source: Source::new(roots.proc("cpuinfo"), LIMIT) }
    }

    /// The CPUs now.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn read(&mut self) -> Result<Vec<Processor<'_>>> {
        Ok(parse(self.source.read()?.1))
    }
}

/// The CPUs of the file's text: each starts with its `processor` line. Other lines are skipped.
pub fn parse(text: &[u8]) -> Vec<Processor<'_>> {
    let mut processors: Vec<Processor<'_>> = Vec::new();
    for line in lines(text) {
        let Some(colon) = memchr::memchr(b':', line) else { continue };
        let (name, value) = (trim(&line[..colon]), trim(&line[colon + 1..]));
        if name == b"processor" {
            processors.push(Processor { processor: value, ..Processor::default() });
            continue;
        }
        let Some(cpu) = processors.last_mut() else { continue };
        match name {
            b"vendor_id" => cpu.vendor_id = value,
            b"cpu family" => cpu.cpu_family = value,
            b"model" => cpu.model = value,
            b"model name" => cpu.model_name = value,
            b"stepping" => cpu.stepping = value,
            b"microcode" => cpu.microcode = value,
            b"cpu MHz" => cpu.mhz = parse_f64(value),
            b"cache size" => cpu.cache_size = value,
            b"physical id" => cpu.physical_id = value,
            b"core id" => cpu.core_id = value,
            b"flags" | b"Features" => cpu.flags = value,
            b"bugs" => cpu.bugs = value,
            _ => {}
        }
    }
    processors
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two paragraphs, with fields that one lacks.
    #[test]
    fn paragraphs() {
        let text =
            b"processor\t: 0\nvendor_id\t: GenuineIntel\nmodel name\t: CPU @ 2.00GHz: x\ncpu MHz\t\t: 2000.123\n\
            flags\t\t: fpu aes\nbugs\t\t:\n\nprocessor\t: 1\nphysical id\t: 1\n";
        let cpus = parse(text);
        assert_eq!(cpus.len(), 2);
        assert_eq!((cpus[0].vendor_id, cpus[0].model_name), (&b"GenuineIntel"[..], &b"CPU @ 2.00GHz: x"[..]));
        assert_eq!((cpus[0].mhz, cpus[0].flags, cpus[0].bugs), (Some(2000.123), &b"fpu aes"[..], &b""[..]));
        assert_eq!((cpus[1].processor, cpus[1].physical_id), (&b"1"[..], &b"1"[..]));
    }
}
