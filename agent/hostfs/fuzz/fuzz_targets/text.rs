//! Text parsers of procfs and sysfs: the first byte chooses which, the rest is its text.
#![no_main]

use libfuzzer_sys::fuzz_target;

#[path = "../all.rs"]
mod all;

fuzz_target!(|bytes: &[u8]| {
    if let Some((&choice, text)) = bytes.split_first() {
        all::one(usize::from(choice) % all::NAMES.len(), text);
    }
});
