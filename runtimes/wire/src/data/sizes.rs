//! How many bytes each data set takes in each format.

use super::{DataSet, Visitor, each};
use crate::{Format, Record};

/// A data set in a format.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Size {
    /// The data set.
    pub set: &'static str,
    /// The format.
    pub format: Format,
    /// Messages in the set.
    pub variants: u64,
    /// Bytes of all of them, without framing.
    pub bytes: u64,
}

impl Size {
    /// Bytes of a message on average.
    pub fn mean(&self) -> f64 {
        self.bytes as f64 / self.variants as f64
    }
}

/// Every set in every format, sets in the order of [`each`], formats in that of [`crate::format::TABLE`].
pub fn sizes() -> Vec<Size> {
    struct Sizes(Vec<Size>);

    impl Visitor for Sizes {
        fn visit<R: Record>(&mut self, set: &DataSet<R>) {
            for format in Format::ALL {
                let mut out = Vec::new();
                let mut bytes = 0;
                for variant in &set.variants {
                    out.clear();
                    format.encode(variant, &mut out);
                    bytes += out.len() as u64;
                }
                self.0.push(Size { set: set.name, format, variants: set.variants.len() as u64, bytes });
            }
        }
    }

    let mut sizes = Sizes(Vec::new());
    each(&mut sizes);
    sizes.0
}
