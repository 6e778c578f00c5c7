//! `memory.stat`, `memory.events`, `memory.oom_control`: the parts that are more than one number.

use super::Limit;
use crate::text::{fields, lines};

/// Memory of one cgroup and everything below it, in bytes unless said otherwise. `None` where the kernel does not say.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names are those of the files")]
pub struct Memory {
    /// `memory.current` or `memory.usage_in_bytes`.
    pub usage: Option<u64>,
    /// `memory.peak` or `memory.max_usage_in_bytes`.
    pub peak: Option<u64>,
    /// `memory.max` or `memory.limit_in_bytes`.
    pub limit: Option<Limit>,
    /// v1: memory and swap together. v2: `memory.swap.max` plus `memory.max`, to mean the same.
    pub swap_limit: Option<Limit>,
    /// v1 `memory.soft_limit_in_bytes`, v2 `memory.low`: what engines set for a reservation.
    pub reservation: Option<Limit>,
    /// v1 `memory.failcnt`: times that the limit was hit.
    pub limit_hits: Option<u64>,
    /// Page cache: v1 `total_cache`, v2 `file`.
    pub cache: Option<u64>,
    /// Anonymous memory: v1 `total_rss`, v2 `anon`.
    pub rss: Option<u64>,
    /// Swap in use: v1 `total_swap`, v2 `memory.swap.current`.
    pub swap: Option<u64>,
    pub mapped_file: Option<u64>,
    /// Kernel memory: v1 `memory.kmem.usage_in_bytes`, v2 `kernel` (Linux 5.18).
    pub kernel: Option<u64>,
    pub inactive_file: Option<u64>,
    pub active_file: Option<u64>,
    pub file_dirty: Option<u64>,
    pub file_writeback: Option<u64>,
    /// Page faults of this group alone (v1), or with all below (v2, which knows no other).
    pub page_faults: Option<u64>,
    pub page_faults_tree: Option<u64>,
    pub major_faults: Option<u64>,
    pub major_faults_tree: Option<u64>,
    /// Pages scanned and reclaimed (v2).
    pub pages_scanned: Option<u64>,
    pub pages_stolen: Option<u64>,
    /// Pages that came back soon after they were reclaimed (v2).
    pub refault_anon: Option<u64>,
    pub refault_file: Option<u64>,
    /// Times above `memory.high` (v2).
    pub events_high: Option<u64>,
    /// Times at `memory.max` (v2).
    pub events_max: Option<u64>,
    /// Times that an allocation failed with nothing to reclaim (v2).
    pub events_oom: Option<u64>,
    /// Processes that the kernel killed for memory: v1 `oom_kill` of `memory.oom_control` (Linux 4.13), v2 of `memory.events`.
    pub oom_kills: Option<u64>,
    /// Whole groups killed at once (v2, `memory.oom.group`).
    pub oom_group_kills: Option<u64>,
}

impl Memory {
    /// What cannot be reclaimed easily: usage less the page cache that nobody used lately, at least 0.
    pub fn working_set(&self) -> Option<u64> {
        Some(self.usage?.saturating_sub(self.inactive_file.unwrap_or(0)))
    }

    /// Takes `memory.stat` of v1. Keys with `total_` include the groups below, which is what is wanted but for faults.
    pub(super) fn parse_stat_v1(&mut self, text: &[u8]) {
        for (key, value) in pairs(text) {
            let field = match key {
                b"total_cache" => &mut self.cache,
                b"total_rss" => &mut self.rss,
                b"total_swap" => &mut self.swap,
                b"total_mapped_file" => &mut self.mapped_file,
                b"total_inactive_file" => &mut self.inactive_file,
                b"total_active_file" => &mut self.active_file,
                b"total_dirty" => &mut self.file_dirty,
                b"total_writeback" => &mut self.file_writeback,
                b"pgfault" => &mut self.page_faults,
                b"pgmajfault" => &mut self.major_faults,
                b"total_pgfault" => &mut self.page_faults_tree,
                b"total_pgmajfault" => &mut self.major_faults_tree,
                _ => continue,
            };
            *field = Some(value);
        }
    }

    /// Takes `memory.stat` of v2.
    pub(super) fn parse_stat_v2(&mut self, text: &[u8]) {
        for (key, value) in pairs(text) {
            let field = match key {
                b"anon" => &mut self.rss,
                b"file" => &mut self.cache,
                b"kernel" => &mut self.kernel,
                b"file_mapped" => &mut self.mapped_file,
                b"file_dirty" => &mut self.file_dirty,
                b"file_writeback" => &mut self.file_writeback,
                b"inactive_file" => &mut self.inactive_file,
                b"active_file" => &mut self.active_file,
                b"workingset_refault_anon" => &mut self.refault_anon,
                b"workingset_refault_file" => &mut self.refault_file,
                b"pgscan" => &mut self.pages_scanned,
                b"pgsteal" => &mut self.pages_stolen,
                b"pgfault" => &mut self.page_faults,
                b"pgmajfault" => &mut self.major_faults,
                _ => continue,
            };
            *field = Some(value);
        }
        self.page_faults_tree = self.page_faults;
        self.major_faults_tree = self.major_faults;
    }

    /// Takes `memory.events` (v2) or `memory.oom_control` (v1), which share the key that matters.
    pub(super) fn parse_events(&mut self, text: &[u8]) {
        for (key, value) in pairs(text) {
            let field = match key {
                b"high" => &mut self.events_high,
                b"max" => &mut self.events_max,
                b"oom" => &mut self.events_oom,
                b"oom_kill" => &mut self.oom_kills,
                b"oom_group_kill" => &mut self.oom_group_kills,
                _ => continue,
            };
            *field = Some(value);
        }
    }
}

/// The lines `key value` of a flat keyed file; lines of any other form are passed over, since new kernels add some.
pub(super) fn pairs(text: &[u8]) -> impl Iterator<Item = (&[u8], u64)> {
    lines(text).filter_map(|line| {
        let mut fields = fields(line);
        Some((fields.next()?, fields.u64()?))
    })
}
