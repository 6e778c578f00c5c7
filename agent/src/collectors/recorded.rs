//! Recorded answers of the kernel in JSON, for the collectors whose source cannot be a directory of files.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use anyhow::Context;
use serde::de::DeserializeOwned;
use serde_json::Value;

/// Longest file that is read, in bytes.
const LIMIT: u64 = 16 << 20;

/// [`read`] of a file that may be missing.
pub(super) fn read_if_present<T: DeserializeOwned>(path: &Path) -> anyhow::Result<Option<T>> {
    if path.exists() { read(path).map(Some) } else { Ok(None) }
}

/// Reads a file as `T`, whose fields are lower case; the file's may be written as they like.
pub(super) fn read<T: DeserializeOwned>(path: &Path) -> anyhow::Result<T> {
    let mut text = Vec::new();
    let result = File::open(path).and_then(|file| file.take(LIMIT).read_to_end(&mut text));
    result.with_context(|| path.display().to_string())?;
    parse(&text).with_context(|| path.display().to_string())
}

fn parse<T: DeserializeOwned>(text: &[u8]) -> anyhow::Result<T> {
    Ok(serde_json::from_value(lower_case(serde_json::from_slice(text)?))?)
}

fn lower_case(value: Value) -> Value {
    match value {
        Value::Array(items) => items.into_iter().map(lower_case).collect(),
        Value::Object(fields) => {
            fields.into_iter().map(|(name, value)| (name.to_lowercase(), lower_case(value))).collect()
        }
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Names in any case; what is no JSON is an error.
    #[test]
    fn names_and_garbage() {
        let read: Vec<std::collections::BTreeMap<String, u64>> = parse(br#"[{"IfaceBytes": 1}]"#).unwrap();
        assert_eq!(read[0]["ifacebytes"], 1);
        for garbage in [&b""[..], b"{", b"\xff", b"[1]", b"[[[["] {
            assert!(parse::<Vec<std::collections::BTreeMap<String, u64>>>(garbage).is_err());
        }
        assert!(parse::<Value>("[".repeat(100_000).as_bytes()).is_err());
    }
}
