//! What a thread spends: CPU time and allocations, cheap enough to ask between any two collectors.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use rustix::time::{ClockId, clock_gettime};

thread_local! {
    /// Allocations of this thread. Const-initialised and without a destructor, so that the allocator may touch it.
    static ALLOCATIONS: Cell<u64> = const { Cell::new(0) };
}

/// The system allocator with a count per thread. One add on a thread-local per allocation; the binary and the
/// tests install it as the global allocator.
#[derive(Debug)]
pub struct CountingAllocator;

// SAFETY: every call is passed on unchanged to the system allocator; the count touches no memory that it manages.
unsafe impl GlobalAlloc for CountingAllocator {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: the caller's promise about `layout` is passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: the caller's promise about `layout` is passed on.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count();
        // SAFETY: the caller's promises about `block`, `layout` and `size` are passed on.
        unsafe { System.realloc(block, layout, size) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: the caller's promises about `block` and `layout` are passed on.
        unsafe { System.dealloc(block, layout) }
    }
}

fn count() {
    // A thread that is being torn down has lost its thread-locals; its allocations are nobody's.
    let _ = ALLOCATIONS.try_with(|count| count.set(count.get() + 1));
}

/// CPU time and allocations of the calling thread since it started.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Spent {
    /// CPU time, in nanoseconds.
    pub cpu_ns: u64,
    /// Allocations and reallocations; 0 unless [`CountingAllocator`] is the global allocator.
    pub allocations: u64,
}

impl Spent {
    /// Now.
    pub fn now() -> Self {
        let time = clock_gettime(ClockId::ThreadCPUTime);
        let cpu_ns = u64::try_from(time.tv_sec).unwrap_or(0) * 1_000_000_000 + u64::try_from(time.tv_nsec).unwrap_or(0);
        Self { cpu_ns, allocations: ALLOCATIONS.with(Cell::get) }
    }

    /// What was spent since `earlier`.
    pub fn since(self, earlier: Self) -> Self {
        Self { cpu_ns: self.cpu_ns - earlier.cpu_ns, allocations: self.allocations - earlier.allocations }
    }
}
