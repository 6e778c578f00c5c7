//! One file a collector: structs of `hostfs` to metric families. See [`crate::collector`] for how to add one.

pub mod loadavg;
