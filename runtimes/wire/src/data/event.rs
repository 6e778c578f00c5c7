//! The sets `event-1k` and `event-10k`: a log record, flat and with a stack.

use prost::Message;
use serde::{Deserialize, Serialize};

use super::Random;
use crate::format::{Viewed, nested, raw_fields, repeated, rfc3339, string_u64};
use crate::generated::data::{AttributeView, EventView, FrameView};
use crate::message::Timestamp;

/// Attributes of a record.
const ATTRIBUTES: u32 = 8;

/// Frames of a stack that make about 10 KB of JSON.
const FRAMES: u32 = 36;

/// A log record.
#[derive(
    Clone, PartialEq, Eq, Hash, Serialize, Deserialize, Message, rkyv::Archive, rkyv::Serialize, rkyv::Deserialize,
)]
#[serde(default, rename_all = "camelCase")]
pub struct Event {
    /// Ascending in each service.
    #[prost(uint64, tag = "1")]
    #[serde(with = "string_u64")]
    pub id: u64,
    /// When it happened.
    #[prost(message, required, tag = "2")]
    #[serde(with = "rfc3339")]
    pub time: Timestamp,
    /// As OpenTelemetry counts: 1 trace to 24 fatal.
    #[prost(uint32, tag = "3")]
    pub severity: u32,
    /// Who logs.
    #[prost(string, tag = "4")]
    pub service: String,
    /// What it says.
    #[prost(string, tag = "5")]
    pub message: String,
    /// 32 hexadecimal digits, W3C Trace Context.
    #[prost(string, tag = "6")]
    pub trace_id: String,
    /// 16 hexadecimal digits.
    #[prost(string, tag = "7")]
    pub span_id: String,
    /// What belongs to it.
    #[prost(message, repeated, tag = "8")]
    pub attributes: Vec<Attribute>,
    /// The stack, innermost first; empty in most records.
    #[prost(message, repeated, tag = "9")]
    pub frames: Vec<Frame>,
}

/// A key with its value.
#[derive(
    Clone, PartialEq, Eq, Hash, Serialize, Deserialize, Message, rkyv::Archive, rkyv::Serialize, rkyv::Deserialize,
)]
#[serde(default, rename_all = "camelCase")]
pub struct Attribute {
    /// Dotted, as OpenTelemetry's conventions have it.
    #[prost(string, tag = "1")]
    pub key: String,
    /// As text.
    #[prost(string, tag = "2")]
    pub value: String,
}

/// A frame of a stack.
#[derive(
    Clone, PartialEq, Eq, Hash, Serialize, Deserialize, Message, rkyv::Archive, rkyv::Serialize, rkyv::Deserialize,
)]
#[serde(default, rename_all = "camelCase")]
pub struct Frame {
    /// The function's path.
    #[prost(string, tag = "1")]
    pub function: String,
    /// The source file.
    #[prost(string, tag = "2")]
    pub file: String,
    /// From 1.
    #[prost(uint32, tag = "3")]
    pub line: u32,
    /// From 1.
    #[prost(uint32, tag = "4")]
    pub column: u32,
    /// Variables in sight.
    #[prost(message, repeated, tag = "5")]
    pub locals: Vec<Attribute>,
}

impl Event {
    /// Variant `index` of `event-1k`: a line of a log.
    pub fn flat(index: u32) -> Event {
        Event::seeded(index, &mut Random::new(index))
    }

    /// Variant `index` of `event-10k`: the same with a stack.
    pub fn deep(index: u32) -> Event {
        let mut random = Random::new(index);
        let event = Event::seeded(index, &mut random);
        Event { frames: (0..FRAMES).map(|_| Frame::seeded(&mut random)).collect(), ..event }
    }

    fn seeded(index: u32, random: &mut Random) -> Event {
        Event {
            id: u64::from(index) + 1_000_000,
            time: random.time(),
            severity: 1 + random.below(24),
            service: random.pick(&["gateway", "content-manager", "billing", "lobby"]).to_owned(),
            message: random.words(40),
            trace_id: random.hex(32),
            span_id: random.hex(16),
            attributes: (0..ATTRIBUTES).map(|_| Attribute::seeded(random)).collect(),
            frames: Vec::new(),
        }
    }
}

impl Attribute {
    fn seeded(random: &mut Random) -> Attribute {
        let key = random.pick(&["http.request.method", "server.address", "user.id", "url.path", "network.peer.port"]);
        let value = if random.below(2) == 0 { random.magnitude(40).to_string() } else { random.words(3) };
        Attribute { key: key.to_owned(), value }
    }
}

impl Frame {
    fn seeded(random: &mut Random) -> Frame {
        let module = random.pick(&["service::handler", "wire::format", "runtime::task", "store::page"]);
        Frame {
            function: format!("{module}::{}", random.pick(&["poll", "feed", "decode", "perform", "write"])),
            file: format!("src/{}.rs", module.replace("::", "/")),
            line: 1 + random.below(900),
            column: 1 + random.below(100),
            locals: (0..random.below(4)).map(|_| Attribute::seeded(random)).collect(),
        }
    }
}

raw_fields!(Event {
    id: u64,
    time: Timestamp,
    severity: u32,
    service: String,
    message: String,
    trace_id: String,
    span_id: String,
    attributes: Vec<Attribute>,
    frames: Vec<Frame>,
});
raw_fields!(Attribute { key: String, value: String });
raw_fields!(Frame { function: String, file: String, line: u32, column: u32, locals: Vec<Attribute> });

impl Viewed for Event {
    type View<'a> = EventView<'a>;

    fn view(&self) -> EventView<'_> {
        EventView {
            id: self.id,
            time: nested(&self.time),
            severity: self.severity,
            service: &self.service,
            message: &self.message,
            trace_id: &self.trace_id,
            span_id: &self.span_id,
            attributes: repeated(&self.attributes),
            frames: repeated(&self.frames),
        }
    }

    fn from_view(view: &EventView<'_>) -> Event {
        Event {
            id: view.id,
            time: Timestamp::from_view(&view.time),
            severity: view.severity,
            service: view.service.to_owned(),
            message: view.message.to_owned(),
            trace_id: view.trace_id.to_owned(),
            span_id: view.span_id.to_owned(),
            attributes: view.attributes.iter().map(Attribute::from_view).collect(),
            frames: view.frames.iter().map(Frame::from_view).collect(),
        }
    }
}

impl Viewed for Attribute {
    type View<'a> = AttributeView<'a>;

    fn view(&self) -> AttributeView<'_> {
        AttributeView { key: &self.key, value: &self.value }
    }

    fn from_view(view: &AttributeView<'_>) -> Attribute {
        Attribute { key: view.key.to_owned(), value: view.value.to_owned() }
    }
}

impl Viewed for Frame {
    type View<'a> = FrameView<'a>;

    fn view(&self) -> FrameView<'_> {
        FrameView {
            function: &self.function,
            file: &self.file,
            line: self.line,
            column: self.column,
            locals: repeated(&self.locals),
        }
    }

    fn from_view(view: &FrameView<'_>) -> Frame {
        Frame {
            function: view.function.to_owned(),
            file: view.file.to_owned(),
            line: view.line,
            column: view.column,
            locals: view.locals.iter().map(Attribute::from_view).collect(),
        }
    }
}
