//! The kernel's load balancer: `/proc/net/ip_vs_stats` and `/proc/net/ip_vs` (Documentation/networking/ipvs-sysctl.rst,
//! net/netfilter/ipvs/ip_vs_ctl.c). All counts of the first and all addresses of the second are hexadecimal.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::Path;

use crate::text::{fields, lines, parse_hex, parse_u64};
use crate::{Error, Result, Roots, Source};

/// Totals since the module was loaded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Connections.
    pub connections: u64,
    /// Packets from clients.
    pub incoming_packets: u64,
    /// Packets to clients.
    pub outgoing_packets: u64,
    /// Bytes from clients.
    pub incoming_bytes: u64,
    /// Bytes to clients.
    pub outgoing_bytes: u64,
}

/// A real server of a virtual service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Backend {
    /// `TCP`, `UDP`, or `FWM` for a service by firewall mark.
    pub protocol: Vec<u8>,
    /// Address of the service; none for one by firewall mark.
    pub local_address: Option<IpAddr>,
    /// Port of the service; 0 for one by firewall mark.
    pub local_port: u16,
    /// The firewall mark; empty for a service by address.
    pub local_mark: Vec<u8>,
    /// Address of the server.
    pub remote_address: IpAddr,
    /// Port of the server.
    pub remote_port: u16,
    /// Its weight for the scheduler.
    pub weight: u64,
    /// Connections in established state.
    pub active: u64,
    /// Other connections.
    pub inactive: u64,
}

/// Reads both files repeatedly.
#[derive(Debug)]
pub struct Reader {
    stats: Source,
    backends: Source,
}

impl Reader {
    /// A reader below `roots`.
    pub fn new(roots: &Roots) -> Self {
        Self {
            stats: Source::new(roots.proc("net/ip_vs_stats"), 64 << 10),
            backends: Source::new(roots.proc("net/ip_vs"), 16 << 20),
        }
    }

    /// The totals.
    ///
    /// # Errors
    /// When the file cannot be read or understood; without IPVS it is not there.
    pub fn stats(&mut self) -> Result<Stats> {
        let (path, text) = self.stats.read()?;
        parse_stats(path, text)
    }

    /// The real servers.
    ///
    /// # Errors
    /// When the file cannot be read or understood.
    pub fn backends(&mut self) -> Result<Vec<Backend>> {
        let (path, text) = self.backends.read()?;
        parse_backends(path, text)
    }
}

/// Two lines of header, then the totals; later lines are rates.
///
/// # Errors
/// When there is no third line of five hexadecimal numbers with another line after it.
pub fn parse_stats(path: &Path, text: &[u8]) -> Result<Stats> {
    let mut all = text.split(|&byte| byte == b'\n');
    let (line, after) = (all.nth(2), all.next());
    let (Some(line), Some(_)) = (line, after) else { return Err(Error::format(path, 3, b"")) };
    let mut columns = fields(line);
    let mut number = || parse_hex(columns.next()?);
    let parsed = (number(), number(), number(), number(), number());
    match (parsed, columns.next()) {
        ((Some(connections), Some(in_packets), Some(out_packets), Some(in_bytes), Some(out_bytes)), None) => {
            Ok(Stats {
                connections,
                incoming_packets: in_packets,
                outgoing_packets: out_packets,
                incoming_bytes: in_bytes,
                outgoing_bytes: out_bytes,
            })
        }
        _ => Err(Error::format(path, 3, line)),
    }
}

/// A service's line, then one `->` line per server.
///
/// # Errors
/// When an address or a count is none.
pub fn parse_backends(path: &Path, text: &[u8]) -> Result<Vec<Backend>> {
    let mut backends = Vec::new();
    let mut service: (&[u8], Option<(IpAddr, u16)>, &[u8]) = (b"", None, b"");
    for (index, line) in lines(text).enumerate() {
        let bad = || Error::format(path, index + 1, line);
        let columns: Vec<&[u8]> = fields(line).collect();
        match columns.as_slice() {
            [b"->", b"RemoteAddress:Port", ..] => {}
            [protocol @ (b"TCP" | b"UDP"), local, ..] => {
                service = (protocol, Some(parse_endpoint(local).ok_or_else(bad)?), b"");
            }
            [protocol @ b"FWM", mark, ..] => service = (protocol, None, mark),
            [b"->", remote, _forward, weight, active, inactive, ..] => {
                let (remote_address, remote_port) = parse_endpoint(remote).ok_or_else(bad)?;
                backends.push(Backend {
                    protocol: service.0.to_vec(),
                    local_address: service.1.map(|(address, _)| address),
                    local_port: service.1.map_or(0, |(_, port)| port),
                    local_mark: service.2.to_vec(),
                    remote_address,
                    remote_port,
                    weight: parse_u64(weight).ok_or_else(bad)?,
                    active: parse_u64(active).ok_or_else(bad)?,
                    inactive: parse_u64(inactive).ok_or_else(bad)?,
                });
            }
            _ => {}
        }
    }
    Ok(backends)
}

/// `C0A80016:0CEA`, or `[2001:0db8:…]:0050` as newer kernels print IPv6 addresses, or 32 hexadecimal digits.
fn parse_endpoint(text: &[u8]) -> Option<(IpAddr, u16)> {
    let at = memchr::memrchr(b':', text)?;
    let (address, port) = (&text[..at], &text[at + 1..]);
    let port = u16::try_from(parse_hex(port)?).ok()?;
    let address = match address {
        [b'[', inside @ .., b']'] => IpAddr::V6(std::str::from_utf8(inside).ok()?.parse().ok()?),
        digits if digits.len() == 8 => IpAddr::V4(Ipv4Addr::from_bits(u32::try_from(parse_hex(digits)?).ok()?)),
        digits if digits.len() == 32 => {
            let (high, low) = digits.split_at(16);
            IpAddr::V6(Ipv6Addr::from_bits(u128::from(parse_hex(high)?) << 64 | u128::from(parse_hex(low)?)))
        }
        _ => return None,
    };
    Some((address, port))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Totals of a real file; then short, long and broken ones.
    #[test]
    fn totals() {
        let path = Path::new("/proc/net/ip_vs_stats");
        let head = "   Total Incoming Outgoing         Incoming         Outgoing\n   Conns  Packets  Packets            Bytes            Bytes\n";
        let text = format!("{head} 16AA370 E33656E5        0     51D8C8883AB3                0\n\n Conns/s   Pkts/s\n");
        let stats = parse_stats(path, text.as_bytes()).unwrap();
        assert_eq!((stats.connections, stats.incoming_bytes), (0x16A_A370, 0x51D8_C888_3AB3));
        for bad in
            ["", head, &format!("{head}1 2 3 4\n\n"), &format!("{head}1 2 3 4 5 6\n\n"), &format!("{head}1 2 3 4 x\n")]
        {
            assert!(parse_stats(path, bad.as_bytes()).is_err(), "{bad:?}");
        }
    }

    /// Services by address and by mark, IPv4 and IPv6 in both spellings.
    #[test]
    fn servers() {
        let path = Path::new("/proc/net/ip_vs");
        let text = b"IP Virtual Server version 1.2.1 (size=4096)\nProt LocalAddress:Port Scheduler Flags\n  -> RemoteAddress:Port Forward Weight ActiveConn InActConn\n\
            TCP  C0A80016:0CEA wlc\n  -> C0A85216:0CEA      Tunnel  100    248        2\n\
            UDP  [2001:0db8:0000:0000:0000:0000:0000:0001]:0050 rr\n  -> [2001:0db8:0000:0000:0000:0000:0000:0002]:0051 Route 1 3 4\n\
            FWM  10001000 wlc\n  -> C0A83215:0000      Route   20     321        1\n";
        let backends = parse_backends(path, text).unwrap();
        assert_eq!(backends.len(), 3);
        assert_eq!(backends[0].local_address.unwrap().to_string(), "192.168.0.22");
        assert_eq!((backends[0].remote_port, backends[0].active), (3306, 248));
        assert_eq!(backends[1].remote_address.to_string(), "2001:db8::2");
        assert_eq!((backends[2].local_address, backends[2].local_mark.as_slice()), (None, &b"10001000"[..]));
        let flat = parse_endpoint(b"20010db8000000000000000000000001:0050").unwrap();
        assert_eq!(flat.0.to_string(), "2001:db8::1");
    }

    /// What is no address or count names its line; short lines are skipped.
    #[test]
    fn hostile() {
        let path = Path::new("/proc/net/ip_vs");
        assert!(parse_backends(path, b"").unwrap().is_empty());
        assert!(parse_backends(path, b"TCP\n -> C0A83215:0000 Route\n\xff\xfe\n").unwrap().is_empty());
        for bad in [
            &b"TCP C0A8001:0CEA wlc"[..],
            b"TCP C0A80016 wlc",
            b"TCP C0A80016:1FFFF wlc",
            b"-> C0A83215:0000 Route x 1 1",
            b"-> C0A83215:0000 Route 1 18446744073709551616 1",
            b"UDP [::g]:0050 rr",
        ] {
            assert!(parse_backends(path, bad).unwrap_err().to_string().starts_with("/proc/net/ip_vs:1:"), "{bad:?}");
        }
    }
}
