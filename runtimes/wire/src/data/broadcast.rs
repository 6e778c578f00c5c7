//! The set `broadcast`: what a content manager sends to everybody.
//!
//! The record is rich because its producer serves many consumers. The one in mind requires `id`, `content`, `date` and `status`
//! (`schema/broadcast.required.schema.json`) and ignores the rest: [`super::project`] reads only these.

use buffa::view::RepeatedView;
use prost::Message;
use serde::{Deserialize, Serialize};

use super::Random;
use crate::format::{Viewed, nested, raw_fields, repeated, rfc3339, string_u64};
use crate::generated::data::{AuthorView, BroadcastView, MediaView, ReactionsView};
use crate::limits;
use crate::message::Timestamp;

/// A piece of content as it is published.
#[derive(Clone, PartialEq, Serialize, Deserialize, Message, rkyv::Archive, rkyv::Serialize, rkyv::Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Broadcast {
    /// Ascending, from 1.
    #[prost(uint64, tag = "1")]
    #[serde(with = "string_u64")]
    pub id: u64,
    /// The text itself, 150 to 900 bytes.
    #[prost(string, tag = "2")]
    pub content: String,
    /// When it was published.
    #[prost(message, required, tag = "3")]
    #[serde(with = "rfc3339")]
    pub date: Timestamp,
    /// `draft`, `published`, `updated` or `withdrawn`.
    #[prost(string, tag = "4")]
    pub status: String,
    /// The headline.
    #[prost(string, tag = "5")]
    pub title: String,
    /// Who wrote it.
    #[prost(message, required, tag = "6")]
    pub author: Author,
    /// Up to [`limits::BROADCAST_TAGS`].
    #[prost(string, repeated, tag = "7")]
    pub tags: Vec<String>,
    /// Up to 4 in the data set, [`limits::BROADCAST_MEDIA`] at most.
    #[prost(message, repeated, tag = "8")]
    pub media: Vec<Media>,
    /// What readers did.
    #[prost(message, required, tag = "9")]
    pub reactions: Reactions,
    /// When it was last changed.
    #[prost(message, required, tag = "10")]
    #[serde(with = "rfc3339")]
    pub updated: Timestamp,
    /// Language and country, BCP 47.
    #[prost(string, tag = "11")]
    pub locale: String,
    /// How well it fits its readers, 0 to 100.
    #[prost(double, tag = "12")]
    pub score: f64,
}

/// Who wrote it.
#[derive(Clone, PartialEq, Serialize, Deserialize, Message, rkyv::Archive, rkyv::Serialize, rkyv::Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Author {
    /// The author's account.
    #[prost(uint64, tag = "1")]
    #[serde(with = "string_u64")]
    pub id: u64,
    /// As readers see it.
    #[prost(string, tag = "2")]
    pub name: String,
    /// Where the picture is.
    #[prost(string, tag = "3")]
    pub avatar_url: String,
    /// Whether somebody checked who it is.
    #[prost(bool, tag = "4")]
    pub verified: bool,
}

/// A picture or a video.
#[derive(Clone, PartialEq, Serialize, Deserialize, Message, rkyv::Archive, rkyv::Serialize, rkyv::Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Media {
    /// `image`, `video` or `audio`.
    #[prost(string, tag = "1")]
    pub kind: String,
    /// Where it is.
    #[prost(string, tag = "2")]
    pub url: String,
    /// Pixels.
    #[prost(uint32, tag = "3")]
    pub width: u32,
    /// Pixels.
    #[prost(uint32, tag = "4")]
    pub height: u32,
    /// 0 for a picture.
    #[prost(double, tag = "5")]
    pub duration_seconds: f64,
}

/// What readers did.
#[derive(Clone, PartialEq, Serialize, Deserialize, Message, rkyv::Archive, rkyv::Serialize, rkyv::Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Reactions {
    /// Times shown.
    #[prost(uint64, tag = "1")]
    #[serde(with = "string_u64")]
    pub views: u64,
    /// Readers who liked it.
    #[prost(uint64, tag = "2")]
    #[serde(with = "string_u64")]
    pub likes: u64,
    /// Readers who passed it on.
    #[prost(uint64, tag = "3")]
    #[serde(with = "string_u64")]
    pub shares: u64,
    /// Comments below it.
    #[prost(uint32, tag = "4")]
    pub comments: u32,
}

impl Broadcast {
    /// Variant `index` of the data set.
    pub fn seeded(index: u32) -> Broadcast {
        let mut random = Random::new(index);
        let words = 30 + random.below(120);
        let mut broadcast = Broadcast { content: random.words(words), ..Broadcast::bare(index, &mut random) };
        let tags = random.below(8) + 1;
        broadcast.tags = (0..tags).map(|_| random.words(1)).collect();
        let media = random.below(4) + 1;
        broadcast.media = (0..media).map(|_| Media::seeded(&mut random)).collect();
        broadcast
    }

    /// The rules of `schema/broadcast.schema.json` that the types do not state already: what checks on the protobuf side
    /// (protovalidate and the like) look at.
    ///
    /// # Errors
    /// The first rule that is broken.
    pub fn check(&self) -> Result<(), &'static str> {
        if !["draft", "published", "updated", "withdrawn"].contains(&self.status.as_str()) {
            return Err("status: draft, published, updated or withdrawn");
        }
        if !(self.date.is_valid() && self.updated.is_valid()) {
            return Err("date, updated: from the year 1 to 9999");
        }
        if self.tags.len() > limits::BROADCAST_TAGS {
            return Err("tags: at most 8");
        }
        if self.media.len() > limits::BROADCAST_MEDIA {
            return Err("media: at most 64");
        }
        if !(0.0..=100.0).contains(&self.score) {
            return Err("score: 0 to 100");
        }
        for media in &self.media {
            if !["image", "video", "audio"].contains(&media.kind.as_str()) {
                return Err("media.kind: image, video or audio");
            }
            if media.duration_seconds.is_nan() || media.duration_seconds < 0.0 {
                return Err("media.durationSeconds: not below 0");
            }
        }
        Ok(())
    }

    /// A record without content, tags and media.
    pub(super) fn bare(index: u32, random: &mut Random) -> Broadcast {
        let date = random.time();
        Broadcast {
            id: u64::from(index) + 1 + random.magnitude(40),
            content: String::new(),
            date,
            status: random.pick(&["draft", "published", "updated", "withdrawn"]).to_owned(),
            title: random.words(6),
            author: Author::seeded(random),
            tags: Vec::new(),
            media: Vec::new(),
            reactions: Reactions::seeded(random),
            updated: Timestamp { seconds: date.seconds + i64::from(random.below(86_400)), ..date },
            locale: random.pick(&["en-GB", "de-CH", "vi-VN", "ru-RU"]).to_owned(),
            score: random.fraction(100),
        }
    }
}

impl Author {
    fn seeded(random: &mut Random) -> Author {
        let id = random.magnitude(48);
        Author {
            id,
            name: random.words(2),
            avatar_url: format!("https://cdn.example.com/avatars/{id}.webp"),
            verified: random.below(2) == 1,
        }
    }
}

impl Media {
    pub(super) fn seeded(random: &mut Random) -> Media {
        let kind = random.pick(&["image", "video", "audio"]);
        Media {
            kind: kind.to_owned(),
            url: format!("https://cdn.example.com/{kind}/{}", random.hex(24)),
            width: 320 + random.below(1_600),
            height: 200 + random.below(900),
            duration_seconds: if kind == "image" { 0.0 } else { random.fraction(600) },
        }
    }
}

impl Reactions {
    fn seeded(random: &mut Random) -> Reactions {
        let views = random.magnitude(27);
        let comments = random.below(500);
        Reactions { views, likes: views / 9, shares: views / 70, comments }
    }
}

raw_fields!(Broadcast {
    id: u64,
    content: String,
    date: Timestamp,
    status: String,
    title: String,
    author: Author,
    tags: Vec<String>,
    media: Vec<Media>,
    reactions: Reactions,
    updated: Timestamp,
    locale: String,
    score: f64,
});
raw_fields!(Author { id: u64, name: String, avatar_url: String, verified: bool });
raw_fields!(Media { kind: String, url: String, width: u32, height: u32, duration_seconds: f64 });
raw_fields!(Reactions { views: u64, likes: u64, shares: u64, comments: u32 });

impl Viewed for Broadcast {
    type View<'a> = BroadcastView<'a>;

    fn view(&self) -> BroadcastView<'_> {
        BroadcastView {
            id: self.id,
            content: &self.content,
            date: nested(&self.date),
            status: &self.status,
            title: &self.title,
            author: nested(&self.author),
            tags: RepeatedView::new(self.tags.iter().map(String::as_str).collect()),
            media: repeated(&self.media),
            reactions: nested(&self.reactions),
            updated: nested(&self.updated),
            locale: &self.locale,
            score: self.score,
        }
    }

    fn from_view(view: &BroadcastView<'_>) -> Broadcast {
        Broadcast {
            id: view.id,
            content: view.content.to_owned(),
            date: Timestamp::from_view(&view.date),
            status: view.status.to_owned(),
            title: view.title.to_owned(),
            author: Author::from_view(&view.author),
            tags: view.tags.iter().map(|tag| (*tag).to_owned()).collect(),
            media: view.media.iter().map(Media::from_view).collect(),
            reactions: Reactions::from_view(&view.reactions),
            updated: Timestamp::from_view(&view.updated),
            locale: view.locale.to_owned(),
            score: view.score,
        }
    }
}

impl Viewed for Author {
    type View<'a> = AuthorView<'a>;

    fn view(&self) -> AuthorView<'_> {
        AuthorView { id: self.id, name: &self.name, avatar_url: &self.avatar_url, verified: self.verified }
    }

    fn from_view(view: &AuthorView<'_>) -> Author {
        let (name, avatar_url) = (view.name.to_owned(), view.avatar_url.to_owned());
        Author { id: view.id, name, avatar_url, verified: view.verified }
    }
}

impl Viewed for Media {
    type View<'a> = MediaView<'a>;

    fn view(&self) -> MediaView<'_> {
        MediaView {
            kind: &self.kind,
            url: &self.url,
            width: self.width,
            height: self.height,
            duration_seconds: self.duration_seconds,
        }
    }

    fn from_view(view: &MediaView<'_>) -> Media {
        Media {
            kind: view.kind.to_owned(),
            url: view.url.to_owned(),
            width: view.width,
            height: view.height,
            duration_seconds: view.duration_seconds,
        }
    }
}

impl Viewed for Reactions {
    type View<'a> = ReactionsView<'a>;

    fn view(&self) -> ReactionsView<'_> {
        ReactionsView {
            views: self.views,
            likes: self.likes,
            shares: self.shares,
            comments: self.comments,
            ..ReactionsView::default()
        }
    }

    fn from_view(view: &ReactionsView<'_>) -> Reactions {
        Reactions { views: view.views, likes: view.likes, shares: view.shares, comments: view.comments }
    }
}
