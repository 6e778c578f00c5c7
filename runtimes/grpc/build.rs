//! Compiles `wire/proto/note.proto` without protoc: protox reads it, tonic's generator writes the service's two sides. The
//! messages are not generated: they are `wire`'s own, which a test of `wire` compares with the same file.

use std::error::Error;
use std::path::PathBuf;

use prost::Message;

fn main() -> Result<(), Box<dyn Error>> {
    let directory = "../wire/proto";
    println!("cargo::rerun-if-changed={directory}/note.proto");
    let files = protox::compile(["note.proto"], [directory])?;
    let out = PathBuf::from(std::env::var("OUT_DIR")?);
    // Server reflection hands these bytes to whoever asks.
    std::fs::write(out.join("note.descriptors"), files.encode_to_vec())?;
    tonic_prost_build::configure()
        .build_transport(false)
        .emit_rerun_if_changed(false)
        .extern_path(".demo", "::wire::message")
        .compile_fds(files)?;
    Ok(())
}
