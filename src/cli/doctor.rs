//! `hullwatch doctor`: what this host supports, what it lacks, and how to fix it.

use std::io::Write as _;
use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use serde::Serialize;

use super::CliError;
use super::doctor_runtimes::{self, RuntimeDiagnosis};
use super::{docker_host, privileges, selftest};
use crate::collect;
use crate::containers::inventory::Inventory;
use crate::containers::{
    self, ContainerdChoice, ContainerdState, EngineState, RuntimeMessage, RuntimeOptions,
};
use crate::event::{escape, escape_json};
use crate::machine::{Machine, MachineFacts};
use crate::probe::{Probe, ProbeConfig};
use crate::recording::{self, cgroup_mode};
use crate::system::Protection;

/// No Docker engine is installed.
const NO_SOCKET: &str = "this host has no Docker socket";

/// Check whether this host is supported; say how to fix what is not
///
/// Loads the kernel programs, queries the engine, and checks in a test container that every kind
/// of event is captured; takes a few seconds. Exit code 0 when containers can be watched on this
/// host, 1 when not.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Print one JSON object
    #[arg(long)]
    json: bool,

    /// Address of the Docker engine [default: $DOCKER_HOST, else the docker context of the caller,
    /// else /var/run/docker.sock]
    #[arg(long, value_name = "URL", value_parser = super::docker_host::address)]
    docker_host: Option<String>,

    /// Query only the containerd at this socket (repeatable) [default: all that are found]
    #[arg(long, value_name = "URL")]
    runtime_endpoint: Vec<String>,
}

#[derive(Debug, Serialize)]
struct Diagnosis {
    able: bool,
    version: &'static str,
    kernel: String,
    architecture: String,
    machine: MachineFacts,
    btf: bool,
    cgroup: &'static str,
    capabilities: Vec<CapabilityState>,
    /// What the kernel refuses hullwatch itself while it watches.
    protections: Vec<Protection>,
    probes: ProbeDiagnosis,
    engine: EngineDiagnosis,
    /// The containerds of this host.
    containerd: Vec<ContainerdState>,
    /// Running containers by runtime, as their files describe them without an engine.
    runtimes: Vec<RuntimeDiagnosis>,
    /// What `selftest` found; none when it could not be tried.
    selftest: Option<selftest::SelftestOutcome>,
    blind: Vec<Blindness>,
    advice: Vec<String>,
}

#[derive(Debug, Serialize)]
struct CapabilityState {
    name: &'static str,
    held: bool,
    purpose: &'static str,
}

/// The restrictions that the kernel accepted, tried by loading them.
#[derive(Debug, Default, Serialize)]
struct ProbeDiagnosis {
    attached: Vec<String>,
    refused: Vec<Blindness>,
    missing_fields: Vec<String>,
    /// Rules without the facts they need.
    blind_rules: Vec<recording::BlindRule>,
    error: String,
}

#[derive(Debug, Clone, Serialize)]
struct Blindness {
    what: String,
    why: String,
}

#[derive(Debug, Default, Serialize)]
struct EngineDiagnosis {
    reachable: bool,
    /// Empty for the standard socket.
    address: String,
    version: String,
    storage_driver: String,
    error: String,
}

pub(super) fn run(args: &Args) -> Result<ExitCode, CliError> {
    let diagnosis = diagnose(args);
    let mut out = std::io::stdout().lock();
    if args.json {
        let json = serde_json::to_vec_pretty(&diagnosis).map_err(std::io::Error::from)?;
        out.write_all(&escape_json(&json))?;
        writeln!(out)?;
    } else {
        out.write_all(text(&diagnosis).as_bytes())?;
    }
    Ok(ExitCode::from(u8::from(!diagnosis.able)))
}

fn diagnose(args: &Args) -> Diagnosis {
    let uname = rustix::system::uname();
    let held = privileges::effective();
    let lacking: Vec<_> = privileges::missing(held).collect();
    let btf = Path::new("/sys/kernel/btf/vmlinux").exists();
    let engine = engine(args.docker_host.as_deref());
    let containerd = containers::containerds(&match args.runtime_endpoint.as_slice() {
        [] => ContainerdChoice::Found,
        at => ContainerdChoice::At(at.iter().map(|url| super::runtimes::path(url)).collect()),
    });
    let runtimes = doctor_runtimes::runtimes();
    let mut advice = Vec::new();
    let mut blind = Vec::new();
    let mut able = true;
    if let Some(refusal) = privileges::refusal() {
        able = false;
        advice.push(refusal);
    }
    for needed in lacking.iter().filter(|n| !n.required) {
        blind.push(Blindness {
            what: needed.purpose.to_owned(),
            why: format!("{} is missing", needed.name),
        });
    }
    if let Some(problem) = crate::system::unseen_containers() {
        blind.push(Blindness {
            what: "containers that already run".to_owned(),
            why: problem.clone(),
        });
        advice.push(problem);
    }
    for facts in crate::system::unseen() {
        advice.push(facts.why.clone());
        blind.push(Blindness {
            what: facts.what.to_owned(),
            why: facts.why,
        });
    }
    if !btf {
        able = false;
        advice.push(
            "this kernel has no BTF (/sys/kernel/btf/vmlinux): use one built with \
             CONFIG_DEBUG_INFO_BTF=y, as the major distributions' kernels from 5.10 on are"
                .to_owned(),
        );
    }
    let probes = if able {
        probes()
    } else {
        ProbeDiagnosis::default()
    };
    if !probes.error.is_empty() {
        able = false;
        advice.push(probes.error.clone());
    }
    let selftest = if able {
        match selftest::examine() {
            Ok(outcome) => Some(outcome),
            Err(error) => {
                blind.push(Blindness {
                    what: "whether every kind of event is captured".to_owned(),
                    why: error,
                });
                None
            }
        }
    } else {
        None
    };
    let facts = selftest.iter().flat_map(|outcome| &outcome.facts);
    blind.extend(facts.filter(|fact| !fact.arrived).map(|fact| Blindness {
        what: fact.fact.to_owned(),
        why: "it was not captured in the test container".to_owned(),
    }));
    blind.extend(probes.refused.iter().map(|refused| Blindness {
        what: format!("facts of {}", refused.what),
        why: refused.why.clone(),
    }));
    blind.extend(probes.missing_fields.iter().map(|field| Blindness {
        what: format!("facts that need {field}"),
        why: "this kernel has no such field".to_owned(),
    }));
    // Without an engine, files have the facts.
    let engine_is_missed = runtimes.is_empty()
        || engine.error != NO_SOCKET
        || runtimes.iter().any(|r| !r.nameless.is_empty());
    if !engine.reachable && engine_is_missed {
        blind.push(Blindness {
            what: "names, images and settings of containers".to_owned(),
            why: engine.error.clone(),
        });
        let todo = if engine.error.contains("Permission denied") {
            "let hullwatch reach the engine's socket: run it as root or in the socket's group"
        } else {
            "start Docker, or give its address with --docker-host"
        };
        advice.push(format!(
            "{todo}; containers are watched without an engine as well, but may be shown by id"
        ));
    }
    if engine.reachable {
        let address = Some(engine.address.clone()).filter(|address| !address.is_empty());
        let unread = Inventory::new(RuntimeOptions::of_docker(address)).unread_by_docker();
        blind.extend(unread.into_iter().map(|why| Blindness {
            what: "a part of what the Docker engine reports".to_owned(),
            why,
        }));
    }
    let without_layers = runtimes.iter().filter(|r| r.without_layers > 0);
    blind.extend(without_layers.map(|runtime| Blindness {
        what: format!(
            "which files are the image's, in {} of {} containers of {}",
            runtime.without_layers,
            runtime.containers,
            runtime.name()
        ),
        why: runtime.why_without_layers.clone(),
    }));
    Diagnosis {
        able,
        version: env!("CARGO_PKG_VERSION"),
        kernel: uname.release().to_string_lossy().into_owned(),
        architecture: uname.machine().to_string_lossy().into_owned(),
        machine: Machine::default().read(Path::new(".")),
        btf,
        cgroup: cgroup_mode(),
        capabilities: privileges::NEEDED
            .iter()
            .map(|n| CapabilityState {
                name: n.name,
                held: !lacking.contains(&n),
                purpose: n.purpose,
            })
            .collect(),
        protections: crate::system::protections(),
        probes,
        engine,
        containerd,
        runtimes,
        selftest,
        blind,
        advice,
    }
}

/// Loads and attaches everything once, then detaches it.
fn probes() -> ProbeDiagnosis {
    match Probe::load(&ProbeConfig::default()) {
        Ok(probe) => {
            let report = probe.report();
            let missing = collect::blind::missing(report, true);
            ProbeDiagnosis {
                blind_rules: collect::blind::rules(&missing),
                attached: report.attached.clone(),
                refused: report
                    .refused
                    .iter()
                    .map(|(what, why)| Blindness {
                        what: what.clone(),
                        why: why.clone(),
                    })
                    .collect(),
                missing_fields: report.missing.clone(),
                error: String::new(),
            }
        }
        Err(error) => ProbeDiagnosis {
            error: error.to_string(),
            ..ProbeDiagnosis::default()
        },
    }
}

/// Queries the engine's identity, for at most three seconds, as watching does.
fn engine(option: Option<&str>) -> EngineDiagnosis {
    let docker_host = match docker_host::resolve(option) {
        Ok(host) => host,
        Err(CliError::Expected(error)) => {
            return EngineDiagnosis {
                error,
                ..EngineDiagnosis::default()
            };
        }
        Err(_) => None,
    };
    let address = docker_host.clone().unwrap_or_default();
    let (out, answers) = crossbeam_channel::bounded(64);
    let options = RuntimeOptions::of_docker(docker_host);
    let runtimes = containers::start(options, out);
    let deadline = Instant::now() + Duration::from_secs(3);
    let engine = loop {
        let failed = |error: String| EngineDiagnosis {
            error,
            ..EngineDiagnosis::default()
        };
        match answers.recv_deadline(deadline) {
            Ok(RuntimeMessage::State(_, EngineState::Connected { version, driver })) => {
                break EngineDiagnosis {
                    reachable: true,
                    address: address.clone(),
                    version,
                    storage_driver: driver,
                    error: String::new(),
                };
            }
            Ok(RuntimeMessage::State(_, EngineState::Unreachable { error })) => {
                break failed(error);
            }
            Ok(RuntimeMessage::State(_, EngineState::Absent)) => {
                break failed(NO_SOCKET.to_owned());
            }
            Ok(_) => {}
            Err(_) => break failed("no answer within three seconds".to_owned()),
        }
    };
    runtimes.stop();
    engine
}

fn text(d: &Diagnosis) -> String {
    let mut lines = Vec::new();
    let mut line = |mark: bool, what: &str, detail: String| {
        let mark = if mark { "ok" } else { "--" };
        // An engine's answers and the names of containers may contain anything.
        let detail = escape(detail.as_bytes());
        lines.push(format!("{mark:3} {what:22} {detail}"));
    };
    line(
        true,
        "kernel",
        format!("{} on {}", d.kernel, d.architecture),
    );
    let m = &d.machine;
    let sized = |bytes: u64| format!("{:.1} GiB", bytes as f64 / f64::from(1 << 30));
    let up = Duration::from_secs(m.uptime / 60 * 60);
    line(
        true,
        "host",
        format!(
            "{}, {}, up {}, load {:.2} on {} processors",
            m.name,
            m.system,
            humantime::format_duration(up),
            m.load[0],
            m.processors
        ),
    );
    let mut room = format!("{} of {} used", sized(m.memory_used), sized(m.memory));
    if let Some(disk) = m.disk {
        room += &format!("; {} free for recordings here", sized(disk.free));
    }
    line(true, "memory", room);
    line(
        d.btf,
        "kernel types (BTF)",
        if d.btf { "present" } else { "missing" }.to_owned(),
    );
    line(true, "cgroups", d.cgroup.to_owned());
    for capability in &d.capabilities {
        let held = if capability.held { "held" } else { "missing" };
        line(
            capability.held,
            capability.name,
            format!("{held}: to {}", capability.purpose),
        );
    }
    for protection in &d.protections {
        let state = match protection.in_force {
            true => "in force",
            false => "not in force",
        };
        line(
            protection.in_force,
            protection.name,
            format!("{state}: {}", protection.detail),
        );
    }
    let probes = &d.probes;
    line(
        !probes.attached.is_empty(),
        "kernel programs",
        format!(
            "{} attached, {} refused",
            probes.attached.len(),
            probes.refused.len()
        ),
    );
    for rule in &probes.blind_rules {
        line(false, &rule.rule, format!("blind: {}", rule.why));
    }
    if let Some(outcome) = &d.selftest {
        let arrived = outcome.facts.iter().filter(|fact| fact.arrived).count();
        let of = outcome.facts.len();
        line(
            outcome.passed,
            "test container",
            format!("{arrived} of {of} kinds of event captured"),
        );
    }
    let engine = &d.engine;
    line(
        engine.reachable,
        "Docker engine",
        if engine.reachable {
            let at = match engine.address.as_str() {
                "" => String::new(),
                address => format!(", at {address}"),
            };
            format!(
                "{}, storage driver {}{at}",
                engine.version, engine.storage_driver
            )
        } else {
            engine.error.clone()
        },
    );
    for found in &d.containerd {
        let mut detail = format!("{}, at {}", found.version, found.address);
        let running = |(name, count): (&String, &usize)| match name.as_str() {
            "moby" | "plugins.moby" => format!("{name} belongs to Docker"),
            name => format!("{name} {count}"),
        };
        let namespaces: Vec<String> = found.namespaces.iter().map(running).collect();
        if !namespaces.is_empty() {
            detail += &format!(": {}", namespaces.join(", "));
        }
        if !found.error.is_empty() {
            detail = format!("at {}: {}", found.address, found.error);
        }
        line(found.error.is_empty(), "containerd engine", detail);
    }
    for found in &d.runtimes {
        found.lines(&mut line);
    }
    for blind in &d.blind {
        line(false, "cannot", format!("{}: {}", blind.what, blind.why));
    }
    lines.push(String::new());
    lines.push(if d.able {
        "Containers can be watched on this host.".to_owned()
    } else {
        "Containers cannot be watched on this host.".to_owned()
    });
    for advice in &d.advice {
        lines.push(format!("To do: {}", escape(advice.as_bytes())));
    }
    lines.push(String::new());
    lines.join("\n")
}
