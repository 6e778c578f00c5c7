//! The notes of one shard: the seeded ones, and a ring of those added last.

use wire::message::{ListNotes, Note, Timestamp};
use wire::seeded;

/// Added notes that a shard keeps; the oldest makes room for the next. With [`wire::limits::TEXT_BYTES`] a shard
/// holds at most 4 MiB of added texts, however long it is loaded.
pub const ADDED_NOTES: usize = 1_024;

/// Notes ascending by id: first the seeded ones, which stay, then the added ones.
#[derive(Clone, Debug)]
pub struct Store {
    seeded: Vec<Note>,
    /// A ring: the oldest is at `oldest` once it is full.
    added: Vec<Note>,
    oldest: usize,
    next_id: u64,
    stride: u64,
}

impl Store {
    /// The store of shard `shard` of `shards`. Shards share no memory, so each takes every `shards`th id.
    pub fn new(shard: usize, shards: usize) -> Store {
        Store {
            seeded: (0..seeded::NOTES).map(seeded::note).collect(),
            added: Vec::new(),
            oldest: 0,
            next_id: u64::from(seeded::NOTES) + 1 + shard as u64,
            stride: shards as u64,
        }
    }

    /// Notes held.
    pub fn total(&self) -> u64 {
        (self.seeded.len() + self.added.len()) as u64
    }

    /// Adds a note. Once the ring is full this reuses the memory of the note that falls out.
    pub fn add(&mut self, text: &str, now: Timestamp) -> &Note {
        let id = self.next_id;
        self.next_id += self.stride;
        let at = if self.added.len() < ADDED_NOTES {
            self.added.push(Note::default());
            self.added.len() - 1
        } else {
            let at = self.oldest;
            self.oldest = (at + 1) % ADDED_NOTES;
            at
        };
        let note = &mut self.added[at];
        note.id = id;
        note.text.clear();
        note.text.push_str(text);
        note.created = now;
        note.modified = now;
        note
    }

    /// The notes of a page, ascending by id.
    pub fn page(&self, request: ListNotes) -> impl Iterator<Item = &Note> + Clone {
        let (newer, older) = self.added.split_at(self.oldest);
        let mut offset = request.offset as usize;
        let mut limit = request.limit_or_default() as usize;
        // Three slices rather than skip(): a page deep in the list costs what the first one does.
        let [a, b, c] = [&self.seeded[..], older, newer].map(|part| {
            let start = offset.min(part.len());
            let end = (start + limit).min(part.len());
            offset -= start;
            limit -= end - start;
            &part[start..end]
        });
        a.iter().chain(b).chain(c)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ids(store: &Store, offset: u32, limit: u32) -> Vec<u64> {
        store.page(ListNotes { offset, limit }).map(|note| note.id).collect()
    }

    /// Pages ascend by id over the seeded notes, the ring's older half and its newer half.
    #[test]
    fn pages_across_the_ring() {
        let mut store = Store::new(0, 1);
        assert_eq!(ids(&store, 998, 5), [999, 1_000]);
        for _ in 0..ADDED_NOTES + 3 {
            store.add("x", Timestamp::default());
        }
        assert_eq!(store.total(), 1_000 + ADDED_NOTES as u64);
        assert_eq!(ids(&store, 999, 3), [1_000, 1_004, 1_005]);
        assert_eq!(ids(&store, 2_018, 100), [2_022, 2_023, 2_024, 2_025, 2_026, 2_027]);
        assert_eq!(ids(&store, 2_024, 10), [0; 0]);
        assert_eq!(ids(&store, u32::MAX, 100), [0; 0]);
        assert_eq!(ids(&store, 0, 0).len(), 10);
    }

    /// Shards never give the same id twice.
    #[test]
    fn shards_take_turns() {
        let mut first = Store::new(0, 2);
        let mut second = Store::new(1, 2);
        let mut ids = Vec::new();
        for _ in 0..3 {
            ids.push(first.add("x", Timestamp::default()).id);
            ids.push(second.add("x", Timestamp::default()).id);
        }
        assert_eq!(ids, [1_001, 1_002, 1_003, 1_004, 1_005, 1_006]);
    }
}
