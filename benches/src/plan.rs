//! From a scenario to the list of trials in the order in which they run. Pure: the same input, the same plan.

use crate::calculator;
use crate::engines::{Engine, Engines};
use crate::failure::Failure;
use crate::flame::Sampling;
use crate::load::Shuffle;
use crate::result::{Load, Pass, Plan, PlannedTrial, SCHEMA};
use crate::scenario::{Scenario, WorkloadPart};
use crate::target::{self, Own};

/// Which CPUs do what. Server and generator never share one: each would measure the other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cpus {
    /// The server's, one shard each.
    pub server: Vec<usize>,
    /// The generator's, one thread each.
    pub generator: Vec<usize>,
    /// The lab's own: the observer and the readers of other processes' output.
    pub observer: Vec<usize>,
}

impl Cpus {
    /// Deals out the CPUs that this process may use, ascending, to a server of `server_cores`.
    ///
    /// Two CPUs: server, generator; the observer, which works a few hundred microseconds a second, shares the
    /// generator's. From four on the observer gets the last one to itself and the generator up to two cores per
    /// server core, since on loopback the sender does the receiver's softirq work.
    ///
    /// # Errors
    /// An environment failure when there are not enough CPUs.
    pub fn assign(allowed: &[usize], server_cores: usize) -> Result<Self, Failure> {
        let needed = server_cores + 1;
        if allowed.len() < needed {
            return Err(Failure::Environment(format!(
                "{} CPU(s) are allowed to this process, {needed} are needed: {server_cores} for the server, one for the load \
                 generator; run on a larger machine, widen the cpuset or `taskset` mask, or lower server.cores",
                allowed.len()
            )));
        }
        let (server, rest) = allowed.split_at(server_cores);
        let (generator, observer) = match rest {
            [.., last] if rest.len() >= 3 => {
                (&rest[..(2 * server_cores).min(rest.len() - 1)], std::slice::from_ref(last))
            }
            _ => (rest, rest),
        };
        Ok(Self { server: server.to_vec(), generator: generator.to_vec(), observer: observer.to_vec() })
    }

    /// The CPUs that the kernel allows to this process.
    ///
    /// # Errors
    /// Those of sched_getaffinity(2).
    pub fn allowed() -> std::io::Result<Vec<usize>> {
        let set = rustix::thread::sched_getaffinity(None)?;
        Ok((0..rustix::thread::CpuSet::MAX_CPU).filter(|cpu| set.is_set(*cpu)).collect())
    }
}

/// A contender of a scenario: an engine under the name that it has in the result.
#[derive(Clone, Copy, Debug)]
struct Contender<'a> {
    engine: &'a Engine,
    twin: bool,
}

impl Contender<'_> {
    fn name(&self) -> String {
        if self.twin { format!("{}-again", self.engine.name) } else { self.engine.name.clone() }
    }
}

/// Name of the engine behind a planned trial: twins run their original's.
pub fn engine_of(trial: &PlannedTrial) -> &str {
    trial.twin_of.as_deref().unwrap_or(&trial.engine)
}

/// One side of a comparison of flame graphs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Side {
    /// Engine, by its name in engines.toml.
    pub engine: String,
    /// Framing.
    pub protocol: String,
    /// Wire format.
    pub format: String,
}

/// Plans the flame pass alone, one trial a side, in the order given: the first one is what others are compared with.
///
/// # Errors
/// A usage failure for an engine that is not in the engines file, or a server of one's own that speaks what the others do not.
pub fn flames(scenario: &Scenario, engines: &Engines, cpus: &Cpus, sides: &[Side]) -> Result<Plan, Failure> {
    let mut trials = Vec::new();
    for side in sides {
        let contender = Contender { engine: engines.named(&side.engine)?, twin: false };
        contender.engine.own.iter().try_for_each(|own| in_a_cell(scenario, own))?;
        let asked = contender.engine.own.as_ref().and_then(Own::protocol).map(|_| cells(scenario, contender.engine));
        let cell = asked.and_then(|cells| cells.into_iter().next()).unwrap_or_else(|| {
            let (protocol, service, format) =
                (side.protocol.clone(), scenario.workload.service.clone(), side.format.clone());
            Cell { protocol, service, format, workload: &scenario.workload }
        });
        trials.push(planned(scenario, &contender, cell, 0, Pass::Flame));
    }
    Ok(finish(scenario, cpus, 0, trials))
}

/// Plans a scenario.
///
/// # Errors
/// A usage failure for an engine that is not in the engines file.
pub fn plan(scenario: &Scenario, engines: &Engines, cpus: &Cpus) -> Result<Plan, Failure> {
    let mut contenders = Vec::new();
    for name in &scenario.engines {
        contenders.push(Contender { engine: engines.named(name)?, twin: false });
        if scenario.twin.as_ref() == Some(name) {
            contenders.push(Contender { engine: engines.named(name)?, twin: true });
        }
    }
    for own in &scenario.targets {
        in_a_cell(scenario, own)?;
    }
    let mut trials = Vec::new();
    let mut shuffle = Shuffle::new(scenario.rounds.seed);
    for round in 1..=scenario.rounds.count {
        let mut once = combinations(scenario, &contenders, round, Pass::Timing);
        shuffle.shuffle(&mut once);
        trials.append(&mut once);
    }
    if scenario.rounds.syscalls {
        contenders.retain(|contender| !contender.twin);
        trials.append(&mut combinations(scenario, &contenders, 0, Pass::Syscalls));
    }
    if scenario.rounds.flames {
        contenders.retain(|contender| !contender.twin);
        trials.append(&mut combinations(scenario, &contenders, 0, Pass::Flame));
    }
    let mut plan = finish(scenario, cpus, scenario.rounds.count, trials);
    plan.calculator = scenario.calculator.map(|demand| {
        let users = contenders.iter().map(|contender| (contender.name(), calculator::idle(contender.engine)));
        calculator::Planned { demand, idle_bytes: users.collect() }
    });
    Ok(plan)
}

fn finish(scenario: &Scenario, cpus: &Cpus, rounds: u32, mut trials: Vec<PlannedTrial>) -> Plan {
    for (index, trial) in (0..).zip(&mut trials) {
        trial.index = index;
    }
    Plan {
        schema: SCHEMA,
        scenario: scenario.name.clone(),
        question: scenario.question.clone(),
        seed: scenario.rounds.seed,
        rounds,
        server_cpus: cpus.server.clone(),
        generator_cpus: cpus.generator.clone(),
        calculator: None,
        trials,
    }
}

/// Every contender with every protocol and format, once.
fn combinations(scenario: &Scenario, contenders: &[Contender<'_>], round: u32, pass: Pass) -> Vec<PlannedTrial> {
    let mut trials = Vec::new();
    for contender in contenders {
        let cells = cells(scenario, contender.engine).into_iter();
        trials.extend(cells.map(|cell| planned(scenario, contender, cell, round, pass)));
    }
    trials
}

fn planned(scenario: &Scenario, contender: &Contender<'_>, cell: Cell<'_>, round: u32, pass: Pass) -> PlannedTrial {
    PlannedTrial {
        index: 0,
        round,
        pass,
        engine: contender.name(),
        twin_of: contender.twin.then(|| contender.engine.name.clone()),
        interface: contender.engine.interface.clone(),
        protocol: cell.protocol,
        service: cell.service,
        format: cell.format,
        load: load(scenario, cell.workload, pass),
    }
}

/// What a trial is about, beside its engine.
struct Cell<'a> {
    protocol: String,
    service: String,
    format: String,
    workload: &'a WorkloadPart,
}

/// What each trial of an engine in a round is about: all that the scenario asks. A server that is asked something of its own
/// has one trial: in the engines' first cell of its protocol, or in a cell for its like where there is no engine.
fn cells<'a>(scenario: &'a Scenario, engine: &Engine) -> Vec<Cell<'a>> {
    let workload = &scenario.workload;
    let one = |protocol: &str, service: &str, format: &str| {
        let [protocol, service, format] = [protocol, service, format].map(str::to_owned);
        vec![Cell { protocol, service, format, workload }]
    };
    match engine.own.as_ref().and_then(Own::protocol) {
        Some(protocol) if scenario.all_ask_their_own() => return one(protocol, target::SERVICE, target::INTERFACE),
        Some(protocol) => {
            return one(protocol, &workload.service, scenario.formats.first().map_or("", String::as_str));
        }
        None => {}
    }
    let mut cells = Vec::new();
    for protocol in &scenario.protocols {
        for format in &scenario.formats {
            for workload in scenario.asked() {
                let (protocol, service) = (protocol.clone(), workload.service.clone());
                cells.push(Cell { protocol, service, format: format.clone(), workload });
            }
        }
    }
    cells
}

/// A server that is compared with engines must speak a protocol of theirs.
fn in_a_cell(scenario: &Scenario, own: &Own) -> Result<(), Failure> {
    match own.protocol() {
        Some(protocol) if !scenario.all_ask_their_own() && !scenario.protocols.iter().any(|name| name == protocol) => {
            Err(Failure::Usage(format!(
                "{} is asked over {protocol}, and the engines of this scenario over {:?}: add it to protocols, or measure them \
                 apart",
                own.name, scenario.protocols
            )))
        }
        _ => Ok(()),
    }
}

/// The load of one trial: the same for timings and system calls, so that these are of the load that was timed. The flame pass
/// measures for as long as it samples and a little more.
fn load(scenario: &Scenario, workload: &WorkloadPart, pass: Pass) -> Load {
    let asked = &scenario.load;
    let open = asked.mode == "open";
    let note = workload.service == "note";
    let measure_seconds = match pass {
        Pass::Flame => Sampling::load_seconds(&scenario.flame),
        Pass::Timing | Pass::Syscalls => asked.measure_seconds,
    };
    Load {
        mode: asked.mode.clone(),
        arrivals: open.then(|| asked.arrivals.clone()),
        rate: asked.rate,
        connections: asked.connections,
        in_flight: asked.in_flight,
        payload_bytes: workload.payload_bytes,
        add_share: note.then_some(workload.add_share),
        page: note.then_some(workload.page),
        warmup_seconds: asked.warmup_seconds,
        measure_seconds,
    }
}

/// Seconds of load that a plan takes, start and stop of the processes not counted.
pub fn seconds(plan: &Plan) -> f64 {
    plan.trials.iter().map(|trial| trial.load.warmup_seconds + trial.load.measure_seconds).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn demo() -> Plan {
        let scenario = Scenario::parse(crate::scenario::BUILT_IN[0].1).unwrap();
        plan(&scenario, &Engines::load(None).unwrap(), &Cpus::assign(&[0, 1], 1).unwrap()).unwrap()
    }

    /// Shows that each round holds every combination once, in an order of its own, the same for the same seed.
    #[test]
    fn rounds_are_complete_shuffled_and_repeatable() {
        let plan = demo();
        assert_eq!(plan, demo());
        let order = |round: u32| -> Vec<(String, String)> {
            plan.trials.iter().filter(|t| t.round == round).map(|t| (t.engine.clone(), t.format.clone())).collect()
        };
        let sorted = |mut list: Vec<(String, String)>| {
            list.sort();
            list
        };
        assert_eq!(order(1).len(), 15, "four engines and a twin, three formats");
        assert_eq!(sorted(order(1)), sorted(order(2)));
        assert_ne!(order(1), order(2), "two rounds in the same order");
        assert_eq!(order(0).len(), 12, "no system calls are counted for the twin");
    }

    /// Shows where servers of one's own stand: beside the engines of their protocol, or among themselves.
    #[test]
    fn servers_of_ones_own_have_a_cell() {
        let text = |engines: &str, request: &str| {
            format!(
                "name = 'x'\nquestion = 'y'\nengines = {engines}\nprotocols = ['http1']\nformats = ['json', 'raw']\n\
                 [workload]\nservice = 'note'\npayload_bytes = 64\n\
                 [load]\nmode = 'closed'\nconnections = 1\nwarmup_seconds = 0\nmeasure_seconds = 1\n\
                 [rounds]\ncount = 1\nsyscalls = false\n\
                 [[target]]\nname = 'web'\npid = 1\naddress = '127.0.0.1:80'\n{request}\n"
            )
        };
        let planned = |engines: &str, request: &str| {
            let scenario = Scenario::parse(&text(engines, request))?;
            let mut all = Engines::load(None).unwrap();
            scenario.targets.iter().for_each(|own| all.add(own.clone()).unwrap());
            let plan = plan(&scenario, &all, &Cpus::assign(&[0, 1], 1).unwrap())?;
            let of_own = plan.trials.into_iter().filter(|trial| trial.engine == "web");
            let cell = |trial: PlannedTrial| [trial.protocol, trial.service, trial.format, trial.interface].join(" ");
            Ok::<_, Failure>(of_own.map(cell).collect::<Vec<_>>())
        };
        let http = "ask = { request = 'GET /' }";
        assert_eq!(planned("['mio']", http).unwrap(), ["http1 note json own"]);
        assert_eq!(planned("[]", http).unwrap(), ["http1 request own own"]);
        assert_eq!(planned("['mio']", "").unwrap().len(), 2, "asked what the scenario says");
        let refused = planned("['mio']", "ask = { send = 'x', expect = 'y' }").unwrap_err().to_string();
        assert!(refused.contains("asked over tcp"), "{refused}");
    }

    /// Shows that the demo measures for less than three minutes.
    #[test]
    fn the_demo_is_short() {
        assert!(seconds(&demo()) < 160.0, "{} s of load", seconds(&demo()));
    }

    /// Shows who gets which CPU on boxes of several sizes.
    #[test]
    fn cpus_are_dealt_out() {
        let assign = |allowed: &[usize], cores| Cpus::assign(allowed, cores).unwrap();
        let two = assign(&[0, 1], 1);
        assert_eq!((two.server, two.generator, two.observer), (vec![0], vec![1], vec![1]));
        let eight = assign(&[0, 1, 2, 3, 4, 5, 6, 7], 2);
        assert_eq!((eight.server, eight.generator, eight.observer), (vec![0, 1], vec![2, 3, 4, 5], vec![7]));
        let four = assign(&[4, 5, 6, 7], 1);
        assert_eq!((four.server, four.generator, four.observer), (vec![4], vec![5, 6], vec![7]));
        let said = Cpus::assign(&[3], 1).unwrap_err().to_string();
        assert!(said.contains("1 CPU(s) are allowed") && said.contains("2 are needed"), "{said}");
    }
}
