//! CPU profiles of criterion's benches: `cargo bench -p lab -- --profile-time 5` leaves a flamegraph per bench.
//!
//! pprof's own renderer is inferno, which is under the CDDL, and its criterion support is for criterion 0.5. So: pprof takes the samples,
//! criterion says when, and the lab draws, `profile.folded` and `flamegraph.svg` in `target/criterion/BENCH/profile/`.

use std::fs;
use std::path::Path;
use std::time::Duration;

use criterion::Criterion;
use criterion::profiler::Profiler;

/// Samples a second: enough for a picture from a few seconds, and no multiple of the timers that tick at round numbers.
const HERTZ: i32 = 997;

/// What is unwound from a signal handler must not be in the middle of these; see `service`'s admin page.
const BLOCKED: [&str; 3] = ["libgcc", "pthread", "vdso"];

/// criterion for more than a thousand benches of nanoseconds: a third of a second each, so that all of them take some ten minutes,
/// and few resamples, since an interval from ten samples is coarse anyway. Options on the command line still rule.
pub fn criterion() -> Criterion {
    Criterion::default()
        .warm_up_time(Duration::from_millis(80))
        .measurement_time(Duration::from_millis(240))
        .sample_size(10)
        .nresamples(2_000)
        .with_profiler(Sampler::default())
}

#[derive(Default)]
struct Sampler {
    running: Option<pprof::ProfilerGuard<'static>>,
}

impl Profiler for Sampler {
    fn start_profiling(&mut self, _: &str, _: &Path) {
        let builder = pprof::ProfilerGuardBuilder::default().frequency(HERTZ).blocklist(&BLOCKED);
        self.running = Some(builder.build().expect("one profiler at a time"));
    }

    fn stop_profiling(&mut self, benchmark: &str, directory: &Path) {
        let Some(running) = self.running.take() else { return };
        let report = running.report().build().expect("the profiler is running");
        let mut lines: Vec<String> = report.data.iter().map(|(frames, samples)| fold(frames, *samples)).collect();
        lines.sort_unstable();
        let folded = lines.concat();
        fs::create_dir_all(directory).expect("target is writable");
        fs::write(directory.join("profile.folded"), &folded).expect("target is writable");
        match lab::report::flame::svg(&folded, benchmark) {
            Ok(svg) => fs::write(directory.join("flamegraph.svg"), svg).expect("target is writable"),
            Err(error) => eprintln!("{benchmark}: no flamegraph: {error}"),
        }
    }
}

/// Root first, innermost last; what criterion itself does around the bench is the same for all and stays.
fn fold(frames: &pprof::Frames, samples: isize) -> String {
    let symbols = frames.frames.iter().rev().flat_map(|inlined| inlined.iter().rev());
    let names: Vec<String> = symbols.map(|symbol| symbol.name().replace(';', ":")).collect();
    format!("{} {samples}\n", names.join(";"))
}
