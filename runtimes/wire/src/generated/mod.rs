//! buffa's messages and views, made from `proto/` by buffa-codegen and kept in the repository, so that nobody needs protoc.
//!
//! `UPDATE_GOLDENS=1 cargo test -p wire --test generated` writes them again; without the variable the test compares.

#![allow(
    clippy::all,
    clippy::pedantic,
    dead_code,
    missing_docs,
    non_camel_case_types,
    unreachable_pub,
    unused_imports,
    unused_qualifications,
    reason = "not written here"
)]

pub(crate) mod data {
    include!("data.rs");
}

pub(crate) mod demo {
    include!("demo.rs");
}
