//! The README's tables are those of the catalogue. After a change: `BLESS=1 cargo test -p highload-agent --test readme`.

#![allow(clippy::unwrap_used, unreachable_pub, reason = "helpers of tests panic as tests do")]

use std::path::Path;

use highload_agent::readme::{BEGIN, END, tables};

/// What stands between the marks is what the catalogue gives.
#[test]
fn tables_are_up_to_date() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md");
    let text = std::fs::read_to_string(&path).unwrap();
    let (before, rest) = text.split_once(BEGIN).expect("README.md has the opening mark");
    let (between, after) = rest.split_once(END).expect("README.md has the closing mark");
    let wanted = format!("\n\n{}\n", tables());
    if std::env::var_os("BLESS").is_some() {
        std::fs::write(&path, format!("{before}{BEGIN}{wanted}{END}{after}")).unwrap();
    } else {
        assert!(between == wanted, "agent/README.md is stale: BLESS=1 cargo test -p highload-agent --test readme");
    }
}
