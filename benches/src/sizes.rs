//! Encoded bytes by data set and format, for `lab wire --sizes`. No load, no clock: the same on every machine.

use serde::Serialize;
use wire::Format;
use wire::message::Note;

use crate::report::bytes_table;

/// The format that others are compared with: what most services speak.
pub const REFERENCE: &str = "json";

/// A data set in a format.
#[derive(Clone, Debug, PartialEq, Serialize)]
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

/// Notes in the pages that are measured.
const PAGES: [u32; 3] = [1, 5, 50];

/// Every set in every format: sets together, formats in their usual order.
pub fn measure() -> Vec<Size> {
    let notes: Vec<Note> = (0..wire::seeded::NOTES).map(wire::seeded::note).collect();
    let mut sizes = Vec::new();
    sizes.extend(set("note", &notes, |format, note, out| format.encode_note(note, out)));
    sizes.extend(set("add-note", &notes, |format, note, out| format.encode_add_note(&note.text, out)));
    for page in PAGES {
        let pages: Vec<&[Note]> = notes.chunks_exact(page as usize).collect();
        let total = u64::from(wire::seeded::NOTES);
        sizes.extend(set(&format!("notes-{page}"), &pages, |format, page, out| {
            format.encode_page(total, page.iter(), out)
        }));
    }
    sizes
}

fn set<T>(name: &str, variants: &[T], encode: impl Fn(Format, &T, &mut Vec<u8>)) -> Vec<Size> {
    let mut out = Vec::new();
    let mut total = |format: Format| {
        let each = variants.iter().map(|variant| {
            out.clear();
            encode(format, variant, &mut out);
            out.len() as f64
        });
        each.sum::<f64>()
    };
    let count = variants.len() as u64;
    let totals: Vec<(Format, f64)> = Format::ALL.iter().map(|format| (*format, total(*format))).collect();
    let reference = totals.iter().find(|(format, _)| format.name() == REFERENCE).map_or(1.0, |(_, bytes)| *bytes);
    totals
        .into_iter()
        .map(|(format, bytes)| Size {
            set: name.to_owned(),
            format: format.name().to_owned(),
            variants: count,
            bytes: bytes / count as f64,
            saved: 1.0 - bytes / reference,
        })
        .collect()
}

/// Two tables: bytes, and by how much a format is smaller than [`REFERENCE`].
pub fn table(sizes: &[Size]) -> String {
    bytes_table(sizes)
}

#[cfg(test)]
mod tests {
    use super::*;

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
        assert!(of("notes-50", "json").bytes > 40.0 * of("notes-1", "json").bytes);
    }

    /// Shows that the tables name every set and format and fit a terminal.
    #[test]
    fn tables_fit() {
        let text = table(&measure());
        assert!(text.lines().all(|line| line.chars().count() <= 120), "{text}");
        assert!(Format::ALL.iter().all(|format| text.contains(format.name())) && text.contains("notes-50"), "{text}");
    }
}
