//! What can be done with the messages of a data set in a format.
//!
//! [`TABLE`] is the whole of it: each line on every data set of [`wire::data::NAMES`] in the line's formats. Reading four fields out of
//! many has a table of its own, [`wire::data::project::READERS`].
//!
//! An operation does one message at each call, in turn, so that no branch predictor learns one by heart. Each call is indirect, which is
//! a nanosecond or two for all formats alike: figures of one message in the tens of nanoseconds are to be read against `raw`.

use std::fmt;
use std::hint::black_box;
use std::rc::Rc;

use buffa::Message as _;
use buffa::view::{MessageView, ViewEncode};
use wire::data::project::{READERS, Reader};
use wire::data::{self, Broadcast, DataSet, VARIANTS, Visitor};
use wire::format::{Scratch, Viewed};
use wire::{Format, Record};

/// A kind of work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Work {
    /// See [`TABLE`], and so for the others.
    Encode,
    /// `build+encode`.
    BuildAndEncode,
    /// `decode`.
    Decode,
    /// `decode+compare`.
    DecodeAndCompare,
    /// `decode-reused`.
    DecodeReused,
    /// `encode-owned`.
    EncodeOwned,
    /// `decode-owned`.
    DecodeOwned,
    /// `decode-view`.
    DecodeView,
    /// `view+encode`.
    ViewAndEncode,
}

/// A line of [`TABLE`].
#[derive(Clone, Copy, Debug)]
pub struct About {
    /// The work.
    pub work: Work,
    /// Its name in benches, rows and tables.
    pub name: &'static str,
    /// The formats that can do it.
    pub formats: &'static [Format],
    /// What it is.
    pub says: &'static str,
}

const fn about(work: Work, name: &'static str, formats: &'static [Format], says: &'static str) -> About {
    About { work, name, formats, says }
}

/// Every operation. Criterion's benches, the census and its recorded counts are made from this.
#[rustfmt::skip]
pub const TABLE: [About; 9] = [
    about(Work::Encode, "encode", &Format::ALL, "a record to bytes, into a buffer that is reused"),
    about(Work::BuildAndEncode, "build+encode", &Format::ALL, "the same, with texts and lists of the record copied for it first"),
    about(Work::Decode, "decode", &Format::ALL, "bytes to a record that owns its texts"),
    about(Work::DecodeAndCompare, "decode+compare", &Format::ALL, "the same, and every field of it is looked at"),
    about(Work::DecodeReused, "decode-reused", &[Format::Protobuf], "prost: into a record that keeps its memory"),
    about(Work::EncodeOwned, "encode-owned", &[Format::ProtobufBuffa], "buffa's own generated message to bytes"),
    about(Work::DecodeOwned, "decode-owned", &[Format::ProtobufBuffa], "bytes to buffa's own generated message"),
    about(Work::DecodeView, "decode-view", &[Format::ProtobufBuffa, Format::Rkyv], "bytes to a view that borrows from them; rkyv validates, and is done"),
    about(Work::ViewAndEncode, "view+encode", &[Format::ProtobufBuffa], "a view, every field of which is looked at by encoding it"),
];

/// How reading four fields is called, before the name of the reader.
pub const PROJECT: &str = "project-4";

/// buffa's own message for a record.
type Generated<R> = <<R as Viewed>::View<'static> as MessageView<'static>>::Owned;

/// Something to do with each message of a data set.
pub struct Operation {
    /// The data set.
    pub set: &'static str,
    /// The format.
    pub format: Format,
    /// The operation's name in [`TABLE`], or [`PROJECT`].
    pub name: &'static str,
    /// Which of the ways to do it: the name of a [`Reader`].
    pub way: Option<&'static str>,
    /// Messages in the set.
    pub messages: usize,
    /// Bytes of all of them in the format.
    pub bytes: usize,
    next: usize,
    run: Box<dyn FnMut(usize)>,
}

impl Operation {
    fn new(
        set: &'static str,
        format: Format,
        name: &'static str,
        bodies: &[Vec<u8>],
        run: Box<dyn FnMut(usize)>,
    ) -> Operation {
        let bytes = bodies.iter().map(Vec::len).sum();
        Operation { set, format, name, way: None, messages: bodies.len(), bytes, next: 0, run }
    }

    /// Does it with the next message.
    pub fn run(&mut self) {
        (self.run)(self.next);
        self.next = if self.next + 1 == self.messages { 0 } else { self.next + 1 };
    }

    /// Does it with every message once.
    pub fn run_all(&mut self) {
        (0..self.messages).for_each(|_| self.run());
    }
}

impl fmt::Debug for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/{}", self.set, self.format, self.name)
    }
}

/// Makes the operations of every data set and format that is wanted, and hands them on one at a time: the largest sets
/// need not be in memory together.
pub fn each(wanted: impl Fn(&str, Format) -> bool, then: impl FnMut(Operation)) {
    data::each(&mut Sets { wanted, then });
}

/// Every way to read four fields out of the messages that `bodies` makes for a format that can carry them.
pub fn readers(
    set: &'static str,
    bodies: impl Fn(Format) -> Option<Vec<Vec<u8>>>,
) -> impl Iterator<Item = (Reader, Operation)> {
    READERS.into_iter().filter_map(move |reader| {
        let bodies = bodies(reader.format)?;
        let operation = |bodies: &[Vec<u8>], run| Operation {
            way: Some(reader.name),
            ..Operation::new(set, reader.format, PROJECT, bodies, run)
        };
        let mut scratch = Scratch::default();
        let shared: Rc<[Vec<u8>]> = bodies.into();
        let own = Rc::clone(&shared);
        let run = move |at: usize| {
            black_box((reader.read)(black_box(&own[at]), &mut scratch).expect(OWN_BYTES));
        };
        Some((reader, operation(&shared, Box::new(run))))
    })
}

/// The records of the set `broadcast`.
pub fn broadcasts() -> Vec<Broadcast> {
    (0..VARIANTS).map(Broadcast::seeded).collect()
}

/// Each record's bytes.
pub fn encoded<R: Record>(format: Format, records: &[R]) -> Vec<Vec<u8>> {
    let encode = |record: &R| {
        let mut out = Vec::new();
        format.encode(record, &mut out);
        out
    };
    records.iter().map(encode).collect()
}

struct Sets<W, T> {
    wanted: W,
    then: T,
}

impl<W: Fn(&str, Format) -> bool, T: FnMut(Operation)> Visitor for Sets<W, T> {
    fn visit<R: Record>(&mut self, set: &DataSet<R>) {
        for format in Format::ALL {
            if !(self.wanted)(set.name, format) {
                continue;
            }
            let messages = Messages::new(set, format);
            for line in TABLE.iter().filter(|line| line.formats.contains(&format)) {
                let run = messages.work(line.work);
                (self.then)(Operation::new(set.name, format, line.name, &messages.bodies, run));
            }
        }
    }
}

/// The messages of a set, as records and as bytes.
struct Messages<R> {
    format: Format,
    records: Rc<[R]>,
    bodies: Rc<[Vec<u8>]>,
}

impl<R: Record> Messages<R> {
    fn new(set: &DataSet<R>, format: Format) -> Messages<R> {
        let bodies = encoded(format, &set.variants).into();
        Messages { format, records: set.variants.clone().into(), bodies }
    }

    /// The work on the message at a place.
    fn work(&self, work: Work) -> Box<dyn FnMut(usize)> {
        match work {
            Work::Encode => Box::new(self.encode()),
            Work::BuildAndEncode => Box::new(self.build_and_encode()),
            Work::Decode => Box::new(self.decode()),
            Work::DecodeAndCompare => Box::new(self.decode_and_compare()),
            Work::DecodeReused => Box::new(self.decode_reused()),
            Work::EncodeOwned => Box::new(self.encode_owned()),
            Work::DecodeOwned => Box::new(self.decode_owned()),
            Work::DecodeView if self.format == Format::Rkyv => Box::new(self.validate()),
            Work::DecodeView => Box::new(self.decode_view()),
            Work::ViewAndEncode => Box::new(self.view_and_encode()),
        }
    }

    fn encode(&self) -> impl FnMut(usize) + use<R> {
        let (format, records) = (self.format, Rc::clone(&self.records));
        let mut out = Vec::new();
        move |at| {
            out.clear();
            format.encode(black_box(&records[at]), &mut out);
            black_box(out.len());
        }
    }

    fn build_and_encode(&self) -> impl FnMut(usize) + use<R> {
        let (format, records) = (self.format, Rc::clone(&self.records));
        let mut out = Vec::new();
        move |at| {
            out.clear();
            let record = black_box(&records[at]).clone();
            format.encode(&record, &mut out);
            black_box(out.len());
        }
    }

    fn decode(&self) -> impl FnMut(usize) + use<R> {
        let (format, bodies) = (self.format, Rc::clone(&self.bodies));
        let mut scratch = Scratch::default();
        move |at| {
            let record: R = format.decode(black_box(&bodies[at]), &mut scratch).expect(OWN_BYTES);
            black_box(&record);
        }
    }

    fn decode_and_compare(&self) -> impl FnMut(usize) + use<R> {
        let (format, bodies, records) = (self.format, Rc::clone(&self.bodies), Rc::clone(&self.records));
        let mut scratch = Scratch::default();
        move |at| {
            let record: R = format.decode(black_box(&bodies[at]), &mut scratch).expect(OWN_BYTES);
            assert!(record == records[at], "{format} decodes to something else");
        }
    }

    fn decode_reused(&self) -> impl FnMut(usize) + use<R> {
        let bodies = Rc::clone(&self.bodies);
        let mut record = R::default();
        move |at| {
            record.clear();
            record.merge(black_box(&bodies[at][..])).expect(OWN_BYTES);
            black_box(&record);
        }
    }

    fn encode_owned(&self) -> impl FnMut(usize) + use<R> {
        let owned = |body: &Vec<u8>| Generated::<R>::decode_from_slice(body).expect(OWN_BYTES);
        let records: Vec<Generated<R>> = self.bodies.iter().map(owned).collect();
        let mut out = Vec::new();
        move |at| {
            out.clear();
            black_box(&records[at]).encode(&mut out);
            black_box(out.len());
        }
    }

    fn decode_owned(&self) -> impl FnMut(usize) + use<R> {
        let bodies = Rc::clone(&self.bodies);
        move |at| {
            black_box(&Generated::<R>::decode_from_slice(black_box(&bodies[at])).expect(OWN_BYTES));
        }
    }

    fn decode_view(&self) -> impl FnMut(usize) + use<R> {
        let bodies = Rc::clone(&self.bodies);
        move |at| {
            black_box(&<R::View<'_> as MessageView<'_>>::decode_view(black_box(&bodies[at])).expect(OWN_BYTES));
        }
    }

    fn view_and_encode(&self) -> impl FnMut(usize) + use<R> {
        let bodies = Rc::clone(&self.bodies);
        let mut out = Vec::new();
        move |at| {
            out.clear();
            <R::View<'_> as MessageView<'_>>::decode_view(black_box(&bodies[at])).expect(OWN_BYTES).encode(&mut out);
            black_box(out.len());
        }
    }

    fn validate(&self) -> impl FnMut(usize) + use<R> {
        let bodies = Rc::clone(&self.bodies);
        move |at| {
            assert!(R::is_archive(black_box(&bodies[at])), "{OWN_BYTES}");
        }
    }
}

/// Why decoding cannot fail here.
const OWN_BYTES: &str = "bytes that this format's own encoder made";
