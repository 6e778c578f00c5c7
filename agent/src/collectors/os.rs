//! `os`: which operating system the host runs.

use std::time::SystemTime;

use hostfs::{Roots, os_release, text};

use crate::collector::{Collector, Failure, Spec};
use crate::exposition::Page;
use crate::flags::Setup;

crate::metrics! {
    INFO = gauge("node_os_info")
        .labels(&[
            "build_id", "id", "id_like", "image_id", "image_version", "name", "pretty_name", "variant", "variant_id",
            "version", "version_codename", "version_id",
        ])
        .help("1, with what the system says about itself.").source("/etc/os-release")
        .answers("Which release of which system runs here?");
    VERSION = gauge("node_os_version").labels(&["id", "id_like", "name"]).help("Major and minor version, as a number.")
        .source("/etc/os-release").answers("Which hosts still run an old release?");
    SUPPORT_END = gauge("node_os_support_end_timestamp_seconds").unit("seconds").help("When support of the release ends, as a Unix time.")
        .source("/etc/os-release").answers("When must this host be upgraded?");
}

/// See [`crate::collector`].
pub static SPEC: Spec = Spec { metrics: METRICS, flags: &[], build };

struct Os {
    roots: Roots,
    /// The file's fields and when it was changed: they change with an upgrade of the system.
    known: Option<(SystemTime, os_release::Fields)>,
}

fn build(setup: &Setup) -> anyhow::Result<Box<dyn Collector>> {
    Ok(Box::new(Os { roots: setup.roots.clone(), known: None }))
}

impl Collector for Os {
    fn collect(&mut self, page: &mut Page) -> Result<(), Failure> {
        let changed = std::fs::metadata(self.roots.rootfs.join("etc/os-release")).and_then(|file| file.modified()).ok();
        let fields = match (&self.known, changed) {
            (Some((known, fields)), Some(changed)) if *known == changed => fields,
            _ => {
                let fields = os_release::read(&self.roots).map_err(Failure::missing_is_no_data)?;
                &self.known.insert((changed.unwrap_or(SystemTime::UNIX_EPOCH), fields)).1
            }
        };
        let value = |name: &str| {
            let found = fields.iter().rfind(|(field, _)| field == name.as_bytes());
            found.map_or(&b""[..], |(_, value)| value)
        };
        let labels: [(&str, &[u8]); 12] = [
            ("build_id", value("BUILD_ID")),
            ("id", value("ID")),
            ("id_like", value("ID_LIKE")),
            ("image_id", value("IMAGE_ID")),
            ("image_version", value("IMAGE_VERSION")),
            ("name", value("NAME")),
            ("pretty_name", value("PRETTY_NAME")),
            ("variant", value("VARIANT")),
            ("variant_id", value("VARIANT_ID")),
            ("version", value("VERSION")),
            ("version_codename", value("VERSION_CODENAME")),
            ("version_id", value("VERSION_ID")),
        ];
        page.family(&INFO).sample(&labels, 1u64);
        if let Some(version) = leading_number(value("VERSION_ID")) {
            let labels = [("id", value("ID")), ("id_like", value("ID_LIKE")), ("name", value("NAME"))];
            page.family(&VERSION).sample(&labels, version);
        }
        if let Some(end) = date_seconds(value("SUPPORT_END")) {
            page.single(&SUPPORT_END, end);
        }
        Ok(())
    }
}

/// `22.04.1` is 22.04: digits, and one point with the digits behind it.
fn leading_number(version: &[u8]) -> Option<f64> {
    let digits = |text: &[u8]| text.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let whole = digits(version);
    let mut end = whole;
    if version.get(whole) == Some(&b'.') {
        let fraction = digits(&version[whole + 1..]);
        end += if fraction > 0 { fraction + 1 } else { 0 };
    }
    text::parse_f64(&version[..end]).filter(|_| whole > 0)
}

/// Seconds since 1970 at the start of a day written as `2027-11-30`, UTC.
fn date_seconds(date: &[u8]) -> Option<i64> {
    let mut parts = date.splitn(3, |byte| *byte == b'-').map(text::parse_u64);
    let mut number = || i64::try_from(parts.next()??).ok();
    let (year, month, day) = (number()?, number()?, number()?);
    if !(1970..=9999).contains(&year) || !(1..=12).contains(&month) || !(1..=31).contains(&day) {
        return None;
    }
    // Days from civil: years start in March, so that a leap day is a year's last (Howard Hinnant's algorithm).
    let year = if month <= 2 { year - 1 } else { year };
    let month = (month + 9) % 12;
    let day_of_year = (153 * month + 2) / 5 + day - 1;
    let days = year * 365 + year / 4 - year / 100 + year / 400 + day_of_year - 719_468;
    Some(days * 86_400)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Versions of rolling, yearly and three-part releases; dates around leap days.
    #[test]
    fn numbers() {
        assert_eq!(leading_number(b"12"), Some(12.0));
        assert_eq!(leading_number(b"22.04.1"), Some(22.04));
        assert_eq!(leading_number(b"7."), Some(7.0));
        assert_eq!(leading_number(b""), None);
        assert_eq!(leading_number(b"rolling"), None);
        assert_eq!(date_seconds(b"1970-01-01"), Some(0));
        assert_eq!(date_seconds(b"2024-02-29"), Some(1_709_164_800));
        assert_eq!(date_seconds(b"2024-13-01"), None);
        assert_eq!(date_seconds(b"soon"), None);
    }
}
