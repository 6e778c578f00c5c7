//! An allocator that counts, for binaries that do nothing else: `lab-alloc` and the example `compression` make it theirs with
//! `#[global_allocator]`. No timed binary does.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

/// The system's allocator, counting for each thread.
#[derive(Debug)]
pub struct Counting;

/// What it saw of this thread so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Calls that gave memory: allocations, and reallocations as well.
    pub allocations: u64,
    /// Bytes asked for by these calls, whole at each.
    pub bytes: u64,
    /// Bytes that are allocated now.
    pub live: i64,
}

thread_local! {
    static COUNTS: Cell<Counts> = const { Cell::new(Counts { allocations: 0, bytes: 0, live: 0 }) };
}

/// The counts of this thread; zero where [`Counting`] is not the allocator.
pub fn counts() -> Counts {
    COUNTS.get()
}

fn signed(bytes: usize) -> i64 {
    i64::try_from(bytes).expect("a layout fits an isize")
}

fn given(bytes: usize, taken: usize) {
    let Counts { allocations, bytes: before, live } = COUNTS.get();
    let live = live + signed(bytes) - signed(taken);
    COUNTS.set(Counts { allocations: allocations + 1, bytes: before + bytes as u64, live });
}

// SAFETY: every call goes to the system allocator unchanged; counting touches a thread-local without a destructor.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        given(layout.size(), 0);
        // SAFETY: the caller's promises are handed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        let counts = COUNTS.get();
        COUNTS.set(Counts { live: counts.live - signed(layout.size()), ..counts });
        // SAFETY: the caller's promises are handed on.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        given(size, layout.size());
        // SAFETY: the caller's promises are handed on.
        unsafe { System.realloc(pointer, layout, size) }
    }
}
