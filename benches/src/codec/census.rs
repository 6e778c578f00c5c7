//! Allocation census: how often and how much each operation allocates.
//!
//! Counts are the same in every run and on every 64-bit machine, so they are compared with recorded ones exactly (`tests/alloc.rs`),
//! which times never are. What is counted is the second pass over a data set: the first one grows what is reused.

use serde::{Deserialize, Serialize};
use wire::Format;

use super::allocator::counts;
use super::{Operation, operations};

/// One operation on every message of a data set.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Row {
    /// The data set.
    pub set: String,
    /// The format.
    pub format: String,
    /// The operation.
    pub operation: String,
    /// Messages, to divide by.
    pub messages: u64,
    /// Encoded bytes of all messages.
    pub encoded_bytes: u64,
    /// Allocations for all messages.
    pub allocations: u64,
    /// Bytes allocated for all messages.
    pub allocated_bytes: u64,
}

/// Counts every operation of the data sets and formats that are wanted. Only in a binary whose allocator is
/// [`super::allocator::Counting`].
pub fn take(wanted: impl Fn(&str, Format) -> bool) -> Vec<Row> {
    let mut rows = Vec::new();
    operations::each(&wanted, |operation| rows.push(count(operation)));
    let records = operations::broadcasts();
    let bodies = |format| wanted(BROADCAST, format).then(|| operations::encoded(format, &records));
    rows.extend(operations::readers(BROADCAST, bodies).map(|(_, operation)| count(operation)));
    rows
}

/// The set whose consumer requires four fields.
const BROADCAST: &str = "broadcast";

fn count(mut operation: Operation) -> Row {
    operation.run_all();
    let before = counts();
    operation.run_all();
    let after = counts();
    Row {
        set: operation.set.to_owned(),
        format: operation.format.to_string(),
        operation: [Some(operation.name), operation.way].into_iter().flatten().collect::<Vec<_>>().join(":"),
        messages: operation.messages as u64,
        encoded_bytes: operation.bytes as u64,
        allocations: after.allocations - before.allocations,
        allocated_bytes: after.bytes - before.bytes,
    }
}

/// A line for each row, per message, columns aligned.
pub fn text(rows: &[Row]) -> String {
    let mut text = format!(
        "{:<10} {:<14} {:<28} {:>10} {:>8} {:>12}   per message\n",
        "set", "format", "operation", "bytes", "allocs", "alloc bytes"
    );
    for row in rows {
        let per = |total: u64| total as f64 / row.messages as f64;
        text.push_str(&format!(
            "{:<10} {:<14} {:<28} {:>10.1} {:>8.2} {:>12.1}\n",
            row.set,
            row.format,
            row.operation,
            per(row.encoded_bytes),
            per(row.allocations),
            per(row.allocated_bytes)
        ));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Shows a line of the table, divided by the number of messages, from totals by hand.
    #[test]
    fn a_line_is_per_message() {
        let row = Row {
            set: "note".into(),
            format: "json".into(),
            operation: "decode".into(),
            messages: 50,
            encoded_bytes: 8_125,
            allocations: 50,
            allocated_bytes: 2_000,
        };
        let text = text(&[row]);
        let words: Vec<&str> = text.lines().nth(1).unwrap().split_whitespace().collect();
        assert_eq!(words, ["note", "json", "decode", "162.5", "1.00", "40.0"]);
    }
}
