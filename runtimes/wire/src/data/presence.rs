//! The set `presence`: the small message that most of the traffic of mostly idle users is.

use prost::Message;
use serde::{Deserialize, Serialize};

use super::Random;
use crate::format::{Viewed, raw_fields, string_u64};
use crate::generated::data::PresenceView;

/// Where a user is and what for.
#[derive(
    Clone, PartialEq, Eq, Hash, Serialize, Deserialize, Message, rkyv::Archive, rkyv::Serialize, rkyv::Deserialize,
)]
#[serde(default, rename_all = "camelCase")]
pub struct Presence {
    /// The user's account.
    #[prost(uint64, tag = "1")]
    #[serde(with = "string_u64")]
    pub user: u64,
    /// Room or match, up to 24 characters; empty in the lobby.
    #[prost(string, tag = "2")]
    pub room: String,
    /// 0 away, 1 online, 2 typing, 3 watching.
    #[prost(uint32, tag = "3")]
    pub state: u32,
    /// When the user was last active, milliseconds since the Unix epoch.
    #[prost(uint64, tag = "4")]
    #[serde(with = "string_u64")]
    pub seen_ms: u64,
}

impl Presence {
    /// Variant `index` of the data set.
    pub fn seeded(index: u32) -> Presence {
        let mut random = Random::new(index);
        let room = if random.below(4) == 0 { String::new() } else { format!("match/{}", random.hex(12)) };
        let seen = random.time();
        let seen_ms = u64::try_from(seen.seconds).expect("after 1970") * 1_000 + u64::from(random.below(1_000));
        Presence { user: 1_000_000 + random.magnitude(36), room, state: random.below(4), seen_ms }
    }
}

raw_fields!(Presence { user: u64, room: String, state: u32, seen_ms: u64 });

impl Viewed for Presence {
    type View<'a> = PresenceView<'a>;

    fn view(&self) -> PresenceView<'_> {
        PresenceView { user: self.user, room: &self.room, state: self.state, seen_ms: self.seen_ms }
    }

    fn from_view(view: &PresenceView<'_>) -> Presence {
        Presence { user: view.user, room: view.room.to_owned(), state: view.state, seen_ms: view.seen_ms }
    }
}
