//! Tests of the server contract, run by every engine on its own binary.
//!
//! `contract::tests!` in an engine's `tests/contract.rs` makes one `#[test]` of each function here. All start the real
//! binary on port 0, wait for its ready line and talk to it over loopback: raw bytes, curl, wrk and Python's `websockets`.

pub mod conversation;
pub mod lifecycle;
pub mod push;
pub mod server;
pub mod tables;
pub mod tools;

/// The engine under test.
#[derive(Clone, Copy, Debug)]
pub struct Subject {
    /// Path of its binary.
    pub binary: &'static str,
    /// Arguments that choose the engine among those in the binary.
    pub args: &'static [&'static str],
    /// The name that its ready line must say.
    pub engine: &'static str,
    /// The interface that its ready line must say.
    pub interface: &'static str,
}

/// Makes a module of tests for one engine: `contract::tests!(module, crate::SUBJECT)`.
#[macro_export]
macro_rules! tests {
    ($module:ident, $subject:expr) => {
        mod $module {
            $crate::tests!(@each $subject;
                conversation: pipelined_and_cut_anywhere, many_connections, half_close, slow_reader_is_not_buffered,
                    refusals_end_the_connection, large_bodies, limits;
                lifecycle: ready_line, counters_and_exit, drains_what_has_arrived, draining_is_bounded, port_taken,
                    usage_errors, descriptor_limit, shards;
                push: everybody_is_told, replies_and_events_take_turns, a_slow_reader_is_ended, who_was_slow_is_told,
                    orders_are_checked;
                tools: admin, curl, limiter, websockets, wrk;
            );
        }
    };
    (@each $subject:expr; $($group:ident: $($test:ident),+;)+) => {
        $($(
            #[test]
            fn $test() {
                $crate::$group::$test(&$subject);
            }
        )+)+
    };
}
