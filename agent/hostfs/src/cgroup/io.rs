//! `blkio.*` of v1 and `io.stat` of v2: what a cgroup asked of each block device.

use crate::text::{fields, lines, parse_u64};

/// What v1 counts apart. v2 has the first two and `Discard`.
pub const OPERATIONS: [&str; 6] = ["Read", "Write", "Sync", "Async", "Discard", "Total"];

/// Most block devices of one cgroup that are kept; a box with more shows the first by number.
const DEVICE_LIMIT: usize = 256;

/// A number per operation, in the order of [`OPERATIONS`]. `None` where the kernel does not say.
pub type Operations = [Option<u64>; OPERATIONS.len()];

/// One block device as one cgroup used it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Device {
    /// Device number.
    pub major: u32,
    /// Device number.
    pub minor: u32,
    /// Bytes asked for.
    pub bytes: Operations,
    /// Requests.
    pub requests: Operations,
    /// Nanoseconds between dispatch and completion; CFQ (before Linux 5.0) or BFQ with its debug option.
    pub service_time: Operations,
    /// Nanoseconds in the scheduler's queue; as above.
    pub wait_time: Operations,
    /// Requests merged into others; as above.
    pub merged: Operations,
    /// Requests in the queue now; as above.
    pub queued: Operations,
    /// Microseconds of the io.cost controller (v2): used, waited, in debt, delayed by debt.
    pub cost_usage: Option<u64>,
    /// See [`Device::cost_usage`].
    pub cost_wait: Option<u64>,
    /// See [`Device::cost_usage`].
    pub cost_indebt: Option<u64>,
    /// See [`Device::cost_usage`].
    pub cost_indelay: Option<u64>,
}

/// Devices of a sample, sorted by number; kept for its memory.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Devices {
    pub(super) list: Vec<Device>,
}

impl Devices {
    fn at(&mut self, major: u32, minor: u32) -> Option<&mut Device> {
        let position = self.list.binary_search_by_key(&(major, minor), |device| (device.major, device.minor));
        let position = match position {
            Ok(position) => position,
            Err(_) if self.list.len() >= DEVICE_LIMIT => return None,
            Err(position) => {
                self.list.insert(position, Device { major, minor, ..Device::default() });
                position
            }
        };
        self.list.get_mut(position)
    }

    /// Takes a v1 file of lines `8:0 Read 4096`; the last line, `Total 4096`, is of no device.
    pub(super) fn parse_v1(&mut self, text: &[u8], field: impl Fn(&mut Device) -> &mut Operations) {
        for line in lines(text) {
            let mut fields = fields(line);
            let Some((major, minor)) = fields.next().and_then(number) else { continue };
            let Some(operation) = fields.next().and_then(operation) else { continue };
            let Some(value) = fields.u64() else { continue };
            let Some(device) = self.at(major, minor) else { continue };
            field(device)[operation] = Some(value);
        }
    }

    /// Takes `io.stat` of lines `8:0 rbytes=1 wbytes=2 rios=3 wios=4 dbytes=5 dios=6 cost.usage=7 …`. A line
    /// with a device and nothing else is a device that the group never used.
    pub(super) fn parse_v2(&mut self, text: &[u8]) {
        for line in lines(text) {
            let mut fields = fields(line);
            let Some((major, minor)) = fields.next().and_then(number) else { continue };
            for field in fields {
                let Some(equals) = memchr::memchr(b'=', field) else { continue };
                let Some(value) = parse_u64(&field[equals + 1..]) else { continue };
                let Some(device) = self.at(major, minor) else { break };
                let place = match &field[..equals] {
                    b"rbytes" => &mut device.bytes[0],
                    b"wbytes" => &mut device.bytes[1],
                    b"dbytes" => &mut device.bytes[4],
                    b"rios" => &mut device.requests[0],
                    b"wios" => &mut device.requests[1],
                    b"dios" => &mut device.requests[4],
                    b"cost.usage" => &mut device.cost_usage,
                    b"cost.wait" => &mut device.cost_wait,
                    b"cost.indebt" => &mut device.cost_indebt,
                    b"cost.indelay" => &mut device.cost_indelay,
                    _ => continue,
                };
                *place = Some(value);
            }
        }
    }
}

fn number(text: &[u8]) -> Option<(u32, u32)> {
    let colon = memchr::memchr(b':', text)?;
    let part = |text| parse_u64(text).and_then(|value| u32::try_from(value).ok());
    Some((part(&text[..colon])?, part(&text[colon + 1..])?))
}

fn operation(text: &[u8]) -> Option<usize> {
    OPERATIONS.iter().position(|name| name.as_bytes() == text)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Throttle's file of v1, with its total, and lines that are not in the format.
    #[test]
    fn v1() {
        let mut devices = Devices::default();
        let text = b"254:0 Read 8192\n254:0 Write 4096\n254:0 Total 12288\n8:16 Read 1\nTotal 12289\n8:x Read 1\n8:0 Flush 2\n8:0 Read\n";
        devices.parse_v1(text, |device| &mut device.bytes);
        assert_eq!(devices.list.len(), 2);
        assert_eq!((devices.list[0].major, devices.list[0].minor), (8, 16));
        assert_eq!(devices.list[1].bytes, [Some(8192), Some(4096), None, None, None, Some(12288)]);
    }

    /// `io.stat` with the cost controller, a device without use, and unknown keys.
    #[test]
    fn v2() {
        let mut devices = Devices::default();
        devices.parse_v2(
            b"259:0 rbytes=512 wbytes=0 rios=1 wios=0 dbytes=0 dios=0 cost.usage=17 cost.wait=3 new=1\n8:0 \n7:0 bad rbytes=x\n",
        );
        assert_eq!(devices.list.len(), 1);
        let device = &devices.list[0];
        assert_eq!(
            (device.bytes[0], device.requests[0], device.cost_usage, device.cost_wait),
            (Some(512), Some(1), Some(17), Some(3))
        );
    }
}
