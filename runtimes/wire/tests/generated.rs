//! The generated code is what the generator makes of the schemas today; with UPDATE_GOLDENS set, writes it.

#![allow(clippy::unwrap_used, unreachable_pub, reason = "helpers of tests panic as tests do")]

use std::path::Path;

use buffa::Message;
use buffa_codegen::CodeGenConfig;
use buffa_codegen::generated::descriptor::FileDescriptorSet;

const SCHEMAS: [&str; 5] = ["note.proto", "broadcast.proto", "presence.proto", "metrics.proto", "event.proto"];

#[test]
fn generated_code_is_up_to_date() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let compiled = protox::compile(SCHEMAS, [root.join("proto")]).expect("the schemas compile");
    let set = FileDescriptorSet::decode_from_slice(&prost::Message::encode_to_vec(&compiled)).unwrap();
    // As prost does, unknown fields are dropped; setters and the rest of what nobody here calls are left out.
    let mut config = CodeGenConfig::default();
    config.lazy_views = true;
    config.file_per_package = true;
    config.preserve_unknown_fields = false;
    config.generate_with_setters = false;
    config.emit_register_fn = false;
    let files = buffa_codegen::generate(&set.file, &SCHEMAS.map(str::to_owned), &config).unwrap();
    assert!(!files.is_empty());
    for file in files {
        let path = root.join("src/generated").join(&file.name);
        if std::env::var_os("UPDATE_GOLDENS").is_some() {
            std::fs::write(&path, &file.content).unwrap();
        }
        let kept = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(kept == file.content, "{} is out of date: run with UPDATE_GOLDENS=1", file.name);
    }
}
