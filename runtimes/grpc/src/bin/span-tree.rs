//! Prints the spans of JSON Lines files as trees.

use std::fs::File;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::PathBuf;

use anyhow::{Context, bail};
use clap::Parser;
use server_grpc::trace::lines::SpanLine;
use server_grpc::trace::tree;

/// Most spans that are read: they are all held, with their texts.
const SPANS: usize = 1_000_000;

/// Longest line, in bytes.
const LINE_BYTES: u64 = 1 << 20;

/// Prints spans as trees: those of several servers, one file each, become one
#[derive(Parser)]
#[command(name = "span-tree", version, after_help = "Example:\n  span-tree gateway.jsonl grpc.jsonl")]
struct Args {
    /// Files that `server-grpc --export lines:FILE` wrote
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
}

fn main() -> anyhow::Result<()> {
    let mut lines = Vec::new();
    for path in Args::parse().files {
        let file = File::open(&path).with_context(|| format!("opening {}", path.display()))?;
        let mut reader = BufReader::new(file);
        for number in 1.. {
            let mut line = String::new();
            let length = reader.by_ref().take(LINE_BYTES).read_line(&mut line);
            if length.with_context(|| format!("reading {} line {number}", path.display()))? == 0 {
                break;
            }
            let span: SpanLine =
                serde_json::from_str(&line).with_context(|| format!("{} line {number}", path.display()))?;
            lines.push(span);
            if lines.len() > SPANS {
                bail!(
                    "{} has more than {SPANS} spans with those before it: give fewer or shorter files",
                    path.display()
                );
            }
        }
    }
    // A reader such as `head` may have seen enough.
    let _ = std::io::stdout().lock().write_all(tree::render(&lines).as_bytes());
    Ok(())
}
