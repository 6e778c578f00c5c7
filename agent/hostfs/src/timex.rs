//! The kernel's clock discipline: adjtimex(2), read only.

use std::io;
use std::path::Path;

use crate::{Error, Result};

/// Return value of adjtimex(2) when the clock is not synchronised.
const TIME_ERROR: i32 = 5;

/// The clock's state, in the units that the system call gives.
#[derive(Clone, Copy, Debug)]
pub struct Timex {
    /// Offset to the reference, in nanoseconds or microseconds by [`Timex::is_nano`].
    pub offset: i64,
    /// Frequency offset, in parts per million with 16 fractional bits.
    pub frequency: i64,
    /// Largest possible error, in microseconds.
    pub max_error_us: i64,
    /// Estimated error, in microseconds.
    pub estimated_error_us: i64,
    /// Status bits.
    pub status: i32,
    /// Time constant of the phase-locked loop.
    pub constant: i64,
    /// Microseconds between clock ticks.
    pub tick_us: i64,
    /// Frequency of the pulse per second, in parts per million with 16 fractional bits.
    pub pps_frequency: i64,
    /// Its jitter, in nanoseconds or microseconds.
    pub pps_jitter: i64,
    /// Its interval, as a power of two of seconds.
    pub pps_shift: i32,
    /// Its stability, in parts per million with 16 fractional bits.
    pub pps_stability: i64,
    /// Times that its jitter was too large.
    pub pps_jitter_count: i64,
    /// Calibration intervals.
    pub pps_calibrations: i64,
    /// Calibration errors.
    pub pps_errors: i64,
    /// Times that its stability was too bad.
    pub pps_stability_exceeded: i64,
    /// Offset of TAI to UTC, in seconds.
    pub tai: i32,
    /// Whether the clock is synchronised.
    pub is_synchronised: bool,
}

impl Timex {
    /// Whether offset and jitter are in nanoseconds rather than microseconds.
    pub fn is_nano(&self) -> bool {
        self.status & libc::STA_NANO != 0
    }
}

/// The state now.
///
/// # Errors
/// The kernel's refusal: in containers, seccomp may forbid the call.
pub fn read() -> Result<Timex> {
    // SAFETY: timex is a plain structure of integers, for which all zeros is a value; modes 0 asks to change nothing.
    let mut timex: libc::timex = unsafe { std::mem::zeroed() };
    // SAFETY: the pointer is to a whole timex that lives through the call.
    let state = unsafe { libc::adjtimex(&raw mut timex) };
    if state < 0 {
        return Err(Error::read(Path::new("adjtimex(2)"), io::Error::last_os_error()));
    }
    Ok(Timex {
        offset: timex.offset,
        frequency: timex.freq,
        max_error_us: timex.maxerror,
        estimated_error_us: timex.esterror,
        status: timex.status,
        constant: timex.constant,
        tick_us: timex.tick,
        pps_frequency: timex.ppsfreq,
        pps_jitter: timex.jitter,
        pps_shift: timex.shift,
        pps_stability: timex.stabil,
        pps_jitter_count: timex.jitcnt,
        pps_calibrations: timex.calcnt,
        pps_errors: timex.errcnt,
        pps_stability_exceeded: timex.stbcnt,
        tai: timex.tai,
        is_synchronised: state != TIME_ERROR,
    })
}

/// Name and offset to UTC, in seconds, of the local time zone at `unix_seconds`.
pub fn local_zone(unix_seconds: i64) -> (Vec<u8>, i64) {
    // SAFETY: tm is a plain structure of integers and a pointer, for which all zeros is a value.
    let mut local: libc::tm = unsafe { std::mem::zeroed() };
    // SAFETY: both pointers are to whole values that live through the call; localtime_r keeps neither.
    let done = unsafe { libc::localtime_r(&raw const unix_seconds, &raw mut local) };
    if done.is_null() || local.tm_zone.is_null() {
        return (b"UTC".to_vec(), 0);
    }
    // SAFETY: tm_zone points to a string of the C library that ends with NUL and lives until the zone changes.
    let name = unsafe { std::ffi::CStr::from_ptr(local.tm_zone) };
    (name.to_bytes().to_vec(), local.tm_gmtoff)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The call is answered with a plausible tick, and 1970 has a time zone.
    #[test]
    fn live() {
        let timex = read().unwrap();
        assert!((9_000..=11_000).contains(&timex.tick_us), "{timex:?}");
        let (name, offset) = local_zone(0);
        assert!(!name.is_empty() && offset.abs() <= 18 * 3600);
    }
}
