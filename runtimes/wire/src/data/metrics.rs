//! The set `metrics`: samples as the agent takes them, in the shape of Prometheus' remote write.

use prost::Message;
use serde::{Deserialize, Serialize};

use super::Random;
use crate::format::{Viewed, nested, raw_fields, repeated, rfc3339};
use crate::generated::data::{LabelView, SamplesView, SeriesView};
use crate::message::Timestamp;

/// Series in a message: a small node's, after collectors that nobody reads are left out.
const SERIES: u32 = 100;

/// One scrape.
#[derive(Clone, PartialEq, Serialize, Deserialize, Message, rkyv::Archive, rkyv::Serialize, rkyv::Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Samples {
    /// When the values were read.
    #[prost(message, required, tag = "1")]
    #[serde(with = "rfc3339")]
    pub taken: Timestamp,
    /// One value each.
    #[prost(message, repeated, tag = "2")]
    pub series: Vec<Series>,
}

/// One series with its value.
#[derive(Clone, PartialEq, Serialize, Deserialize, Message, rkyv::Archive, rkyv::Serialize, rkyv::Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Series {
    /// The metric.
    #[prost(string, tag = "1")]
    pub name: String,
    /// Sorted by name.
    #[prost(message, repeated, tag = "2")]
    pub labels: Vec<Label>,
    /// Never NaN or infinite, which JSON has no number for.
    #[prost(double, tag = "3")]
    pub value: f64,
}

/// A label of a series.
#[derive(
    Clone, PartialEq, Eq, Hash, Serialize, Deserialize, Message, rkyv::Archive, rkyv::Serialize, rkyv::Deserialize,
)]
#[serde(default, rename_all = "camelCase")]
pub struct Label {
    /// The label's name.
    #[prost(string, tag = "1")]
    pub name: String,
    /// The label's value.
    #[prost(string, tag = "2")]
    pub value: String,
}

impl Samples {
    /// Variant `index` of the data set.
    pub fn seeded(index: u32) -> Samples {
        let mut random = Random::new(index);
        Samples { taken: random.time(), series: (0..SERIES).map(|at| Series::seeded(at, &mut random)).collect() }
    }
}

impl Series {
    /// The agent's names, in turn, with labels of the kind that the name has.
    fn seeded(at: u32, random: &mut Random) -> Series {
        let label = |name: &str, value: String| Label { name: name.to_owned(), value };
        let (name, labels) = match at % 5 {
            0 => {
                let mode = ["idle", "iowait", "softirq", "steal", "system", "user"][(at / 5 % 6) as usize];
                let labels = vec![label("cpu", (at / 30).to_string()), label("mode", mode.to_owned())];
                ("node_cpu_seconds_total", labels)
            }
            1 => ("node_network_receive_bytes_total", vec![label("device", format!("eth{}", at / 5))]),
            2 => ("node_memory_MemAvailable_bytes", Vec::new()),
            3 => {
                let labels = vec![label("id", format!("/docker/{}", random.hex(64))), label("port", "7000".to_owned())];
                ("highload_container_connected_users", labels)
            }
            _ => ("node_disk_io_time_seconds_total", vec![label("device", format!("nvme{}n1", at / 5))]),
        };
        // A counter of seconds has a fraction, one of bytes is a whole number.
        let value =
            if name.contains("seconds") { random.fraction(4_000_000) } else { f64::from(random.below(u32::MAX)) };
        Series { name: name.to_owned(), labels, value }
    }
}

raw_fields!(Samples { taken: Timestamp, series: Vec<Series> });
raw_fields!(Series { name: String, labels: Vec<Label>, value: f64 });
raw_fields!(Label { name: String, value: String });

impl Viewed for Samples {
    type View<'a> = SamplesView<'a>;

    fn view(&self) -> SamplesView<'_> {
        SamplesView { taken: nested(&self.taken), series: repeated(&self.series) }
    }

    fn from_view(view: &SamplesView<'_>) -> Samples {
        Samples {
            taken: Timestamp::from_view(&view.taken),
            series: view.series.iter().map(Series::from_view).collect(),
        }
    }
}

impl Viewed for Series {
    type View<'a> = SeriesView<'a>;

    fn view(&self) -> SeriesView<'_> {
        SeriesView { name: &self.name, labels: repeated(&self.labels), value: self.value }
    }

    fn from_view(view: &SeriesView<'_>) -> Series {
        Series {
            name: view.name.to_owned(),
            labels: view.labels.iter().map(Label::from_view).collect(),
            value: view.value,
        }
    }
}

impl Viewed for Label {
    type View<'a> = LabelView<'a>;

    fn view(&self) -> LabelView<'_> {
        LabelView { name: &self.name, value: &self.value }
    }

    fn from_view(view: &LabelView<'_>) -> Label {
        Label { name: view.name.to_owned(), value: view.value.to_owned() }
    }
}
