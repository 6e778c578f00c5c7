//! Encoded bytes by data set and format, for `lab wire --sizes`. No load, no clock: the same on every machine.

use serde::{Deserialize, Serialize};

use crate::report::bytes_table;

/// The format that others are compared with: what most services speak.
pub const REFERENCE: &str = "json";

/// A data set in a format.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Size {
    /// The data set.
    pub set: String,
    /// The format.
    pub format: String,
    /// Messages in the set.
    pub variants: u64,
    /// Mean bytes of a message, without framing.
    pub bytes: f64,
    /// The share by which it is smaller than [`REFERENCE`]; negative when it is larger.
    pub saved: f64,
}

/// Every data set in every format: sets together, formats in their usual order.
pub fn measure() -> Vec<Size> {
    let sizes = wire::data::sizes();
    let size = |size: &wire::data::Size| {
        let reference = sizes.iter().find(|other| other.set == size.set && other.format.name() == REFERENCE);
        Size {
            set: size.set.to_owned(),
            format: size.format.name().to_owned(),
            variants: size.variants,
            bytes: size.mean(),
            saved: reference.map_or(0.0, |json| 1.0 - size.mean() / json.mean()),
        }
    };
    sizes.iter().map(size).collect()
}

/// Two tables: bytes, and by how much a format is smaller than [`REFERENCE`].
pub fn table(sizes: &[Size]) -> String {
    bytes_table(sizes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use wire::Format;

    /// Shows the order of sizes that the formats' designs predict, for every set: JSON names its fields, protobuf numbers them.
    #[test]
    fn protobuf_is_smaller_than_json_everywhere() {
        let sizes = measure();
        let of = |set: &str, format: &str| sizes.iter().find(|size| size.set == set && size.format == format).unwrap();
        for size in sizes.iter().filter(|size| size.format == "protobuf") {
            let json = of(&size.set, "json");
            assert!(size.bytes < json.bytes && size.saved > 0.0, "{size:?} {json:?}");
            assert_eq!((json.saved, json.variants), (0.0, size.variants));
        }
        assert!(of("notes", "json").bytes > 40.0 * of("note", "json").bytes);
    }

    /// Shows that the tables name every set and format and fit a terminal.
    #[test]
    fn tables_fit() {
        let text = table(&measure());
        assert!(text.lines().all(|line| line.chars().count() <= 120), "{text}");
        assert!(Format::ALL.iter().all(|format| text.contains(format.name())) && text.contains("broadcast"), "{text}");
    }
}
