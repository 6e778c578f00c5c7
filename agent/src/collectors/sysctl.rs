//! `sysctl`: kernel settings that an operator names.

use std::collections::HashSet;

use anyhow::{Context, ensure};
use hostfs::text::{fields, parse_f64, trim};
use hostfs::{Error, Source};

use crate::collector::{Collector, Failure, Spec};
use crate::exposition::Page;
use crate::flags::{Setup, list};

crate::metrics! {
    VALUE = untyped("node_sysctl_*").labels(&["index"]).help("Kernel setting *, or one of its values.")
        .source("/proc/sys").answers("Has every host the setting that was rolled out?");
    INFO = gauge("node_sysctl_info").labels(&["name", "value", "index"]).help("1 for each value of a kernel setting in words.")
        .source("/proc/sys").answers("Has every host the setting that was rolled out?");
}

/// See [`crate::collector`].
pub static SPEC: Spec = Spec {
    metrics: METRICS,
    flags: &[
        list("collector.sysctl.include", "Setting with numbers to export: NAME, or NAME:KEY,KEY,… to name its values"),
        list("collector.sysctl.include-info", "Setting with words to export, as node_sysctl_info"),
    ],
    build,
};

/// One setting that was asked for.
struct Setting {
    /// `net.ipv4.tcp_mem`.
    name: String,
    source: Source,
    shape: Shape,
}

enum Shape {
    /// Numbers, each with its index when there are more than one.
    Numbers,
    /// Numbers, each in a family of its own.
    Keys(Vec<String>),
    /// Words.
    Words,
}

struct Sysctl {
    settings: Vec<Setting>,
}

fn build(setup: &Setup) -> anyhow::Result<Box<dyn Collector>> {
    let mut settings = Vec::new();
    let mut seen = HashSet::new();
    for given in setup.list("collector.sysctl.include") {
        let (name, keys) = given.split_once(':').map_or((&given[..], None), |(name, keys)| (name, Some(keys)));
        let keys: Option<Vec<String>> = keys.map(|keys| keys.split(',').map(|key| key.trim().to_owned()).collect());
        let shape = keys.map_or(Shape::Numbers, Shape::Keys);
        if seen.insert(given) {
            settings.push(setting(setup, name, shape).with_context(|| format!("--collector.sysctl.include={given}"))?);
        }
    }
    for given in setup.list("collector.sysctl.include-info") {
        let made = setting(setup, given, Shape::Words);
        settings.push(made.with_context(|| format!("--collector.sysctl.include-info={given}"))?);
    }
    Ok(Box::new(Sysctl { settings }))
}

fn setting(setup: &Setup, name: &str, shape: Shape) -> anyhow::Result<Setting> {
    let parts: Vec<&str> = name.split(['.', '/']).collect();
    ensure!(parts.iter().all(|part| !part.is_empty()), "wanted a setting such as net.ipv4.tcp_mem");
    let path = setup.roots.proc("sys").join(parts.join("/"));
    Ok(Setting { name: parts.join("."), source: Source::new(path, 4096), shape })
}

impl Collector for Sysctl {
    fn collect(&mut self, page: &mut Page) -> Result<(), Failure> {
        // A family once, whatever the order of the flags: numbers first, then words.
        for setting in self.settings.iter_mut().filter(|setting| !matches!(setting.shape, Shape::Words)) {
            setting.numbers(page)?;
        }
        let mut family = page.family(&INFO);
        for Setting { name, source, shape } in &mut self.settings {
            if matches!(shape, Shape::Words) {
                for (index, word) in fields(trim(source.read()?.1)).enumerate() {
                    let mut digits = itoa::Buffer::new();
                    let labels =
                        [("name", name.as_bytes()), ("value", word), ("index", digits.format(index).as_bytes())];
                    family.sample(&labels, 1u64);
                }
            }
        }
        Ok(())
    }
}

impl Setting {
    fn numbers(&mut self, page: &mut Page) -> Result<(), Failure> {
        let Self { name, source, shape } = self;
        let (path, text) = source.read()?;
        let broken = || Failure::from(Error::format(path, 1, text));
        let count = fields(trim(text)).count();
        if let Shape::Keys(keys) = shape {
            if keys.len() != count {
                return Err(Failure::Broken(format!(
                    "{}: {count} values, but --collector.sysctl.include={name} names {}",
                    path.display(),
                    keys.len()
                )));
            }
            for (key, field) in keys.iter().zip(fields(trim(text))) {
                let full = format!("{name}_{key}");
                page.family_named(&VALUE, full.as_bytes()).sample(&[], parse_f64(field).ok_or_else(broken)?);
            }
            return Ok(());
        }
        let mut family = page.family_named(&VALUE, name.as_bytes());
        for (index, field) in fields(trim(text)).enumerate() {
            let value = parse_f64(field).ok_or_else(broken)?;
            if count == 1 {
                family.sample(&[], value);
            } else {
                family.sample(&[("index", itoa::Buffer::new().format(index).as_bytes())], value);
            }
        }
        Ok(())
    }
}
