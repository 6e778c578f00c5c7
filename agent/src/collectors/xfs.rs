//! `xfs`: what XFS file systems do (Documentation/admin-guide/xfs.rst).

use hostfs::text::{fields, lines, parse_u64};
use hostfs::{Error, Roots, attributes, read_into};

use crate::catalogue::{Metric, counter};
use crate::collector::{Collector, Failure, Spec};
use crate::exposition::{Grouping, Page};
use crate::flags::Setup;

/// See [`crate::collector`].
pub static SPEC: Spec = Spec { metrics: METRICS, flags: &[], build };

/// A number of the file: its line, its place in the line, its family.
struct Row {
    group: &'static [u8],
    index: usize,
    metric: Metric,
}

const fn row(
    group: &'static [u8],
    index: usize,
    name: &'static str,
    help: &'static str,
    question: &'static str,
) -> Row {
    let metric = counter(name).labels(&["device"]).help(help).source("/sys/fs/xfs/*/stats/stats").answers(question);
    Row { group, index, metric }
}

/// Makes the rows, and the list of their entries for the catalogue.
macro_rules! rows {
    ($($entry:ident $group:literal $index:literal $name:literal $help:literal;)*) => {
        $(static $entry: Row = row($group, $index, concat!("node_xfs_", $name, "_total"), $help, "What does the XFS file system do?");)*
        static ROWS: &[&Row] = &[$(&$entry),*];
        /// The catalogue entries of this collector.
        pub static METRICS: &[&Metric] = &[$(&$entry.metric),*];
    };
}

rows! {
    EXTENT_ALLOC b"extent_alloc" 0 "extent_allocation_extents_allocated" "Extents allocated.";
    EXTENT_ALLOC_BLOCKS b"extent_alloc" 1 "extent_allocation_blocks_allocated" "Blocks allocated.";
    EXTENT_FREE b"extent_alloc" 2 "extent_allocation_extents_freed" "Extents freed.";
    EXTENT_FREE_BLOCKS b"extent_alloc" 3 "extent_allocation_blocks_freed" "Blocks freed.";
    ABT_LOOKUPS b"abt" 0 "allocation_btree_lookups" "Lookups in the allocation B-tree.";
    ABT_COMPARES b"abt" 1 "allocation_btree_compares" "Comparisons in the allocation B-tree.";
    ABT_INSERTED b"abt" 2 "allocation_btree_records_inserted" "Records inserted into the allocation B-tree.";
    ABT_DELETED b"abt" 3 "allocation_btree_records_deleted" "Records deleted from the allocation B-tree.";
    MAP_READS b"blk_map" 0 "block_mapping_reads" "Block maps for reads.";
    MAP_WRITES b"blk_map" 1 "block_mapping_writes" "Block maps for writes.";
    MAP_UNMAPS b"blk_map" 2 "block_mapping_unmaps" "Blocks unmapped.";
    MAP_INSERTIONS b"blk_map" 3 "block_mapping_extent_list_insertions" "Extents inserted into lists.";
    MAP_DELETIONS b"blk_map" 4 "block_mapping_extent_list_deletions" "Extents deleted from lists.";
    MAP_LOOKUPS b"blk_map" 5 "block_mapping_extent_list_lookups" "Lookups in lists of extents.";
    MAP_COMPARES b"blk_map" 6 "block_mapping_extent_list_compares" "Comparisons in lists of extents.";
    BMBT_LOOKUPS b"bmbt" 0 "block_map_btree_lookups" "Lookups in the block map B-tree.";
    BMBT_COMPARES b"bmbt" 1 "block_map_btree_compares" "Comparisons in the block map B-tree.";
    BMBT_INSERTED b"bmbt" 2 "block_map_btree_records_inserted" "Records inserted into the block map B-tree.";
    BMBT_DELETED b"bmbt" 3 "block_map_btree_records_deleted" "Records deleted from the block map B-tree.";
    DIR_LOOKUP b"dir" 0 "directory_operation_lookup" "Name lookups that missed the name cache.";
    DIR_CREATE b"dir" 1 "directory_operation_create" "Directory entries created.";
    DIR_REMOVE b"dir" 2 "directory_operation_remove" "Directory entries removed.";
    DIR_GETDENTS b"dir" 3 "directory_operation_getdents" "Times that a directory was listed.";
    IG_ATTEMPTS b"ig" 0 "inode_operation_attempts" "Inodes looked for in the inode cache.";
    IG_FOUND b"ig" 1 "inode_operation_found" "Inodes found in the inode cache.";
    IG_RECYCLED b"ig" 2 "inode_operation_recycled" "Inodes found but about to be dropped.";
    IG_MISSED b"ig" 3 "inode_operation_missed" "Inodes not found in the inode cache.";
    IG_DUPLICATES b"ig" 4 "inode_operation_duplicates" "Inodes that another task read meanwhile.";
    IG_RECLAIMS b"ig" 5 "inode_operation_reclaims" "Inodes dropped from the cache to make room.";
    IG_CHANGES b"ig" 6 "inode_operation_attribute_changes" "Changes of inode attributes.";
    RW_WRITES b"rw" 0 "write_calls" "write(2) calls.";
    RW_READS b"rw" 1 "read_calls" "read(2) calls.";
    VNODE_ACTIVE b"vnodes" 0 "vnode_active" "Vnodes that are in use.";
    VNODE_ALLOCATE b"vnodes" 1 "vnode_allocate" "Vnodes allocated.";
    VNODE_GET b"vnodes" 2 "vnode_get" "Vnodes taken.";
    VNODE_HOLD b"vnodes" 3 "vnode_hold" "Vnodes held.";
    VNODE_RELEASE b"vnodes" 4 "vnode_release" "Vnodes released.";
    VNODE_RECLAIM b"vnodes" 5 "vnode_reclaim" "Vnodes reclaimed.";
    VNODE_REMOVE b"vnodes" 6 "vnode_remove" "Vnodes removed.";
}

struct Xfs {
    roots: Roots,
    text: Vec<u8>,
    grouping: Grouping,
}

fn build(setup: &Setup) -> anyhow::Result<Box<dyn Collector>> {
    Ok(Box::new(Xfs { roots: setup.roots.clone(), text: Vec::new(), grouping: Grouping::default() }))
}

impl Collector for Xfs {
    fn collect(&mut self, page: &mut Page) -> Result<(), Failure> {
        let directory = self.roots.sys("fs/xfs");
        let devices = attributes::if_present(attributes::names(&directory))?.unwrap_or_default();
        let Self { text, grouping, .. } = self;
        let result = devices.iter().try_for_each(|device| {
            let path = directory.join(attributes::component(device)).join("stats/stats");
            match read_into(&path, text, 1 << 16) {
                // Beside the file systems lies the module's own `stats/stats`, a file, which sums them all up.
                Err(error) if error.is_not_found() || attributes::is_not_a_directory(&error) => return Ok(()),
                result => result?,
            }
            for (number, line) in lines(text).enumerate() {
                let Some(group) = fields(line).next() else { continue };
                for row in ROWS.iter().filter(|row| row.group == group) {
                    let value = fields(line).nth(row.index + 1).and_then(parse_u64);
                    let value = value.ok_or_else(|| Error::format(&path, number + 1, line))?;
                    grouping.sample(&row.metric, &[("device", device)], value);
                }
            }
            Ok(())
        });
        grouping.write_to(page);
        result
    }
}
