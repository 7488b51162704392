//! `hullwatch fleet`: many hosts whose streams are published to a NATS server.

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use super::config::ScreenArgs;
use super::error::print_message;
use super::signals::StopSignal;
use super::{CliError, live, publish, ssh, terminal};
use crate::fleet::{
    Assembly, Fleet, FleetReader, FollowFrom, FollowPlan, HostFollower, HostName, NatsServer,
};
use crate::link::{LinkBoard, LinkState, SessionId};
use crate::memory::MemoryBudget;
use crate::tui::{self, Config, FleetChoice, FleetScreen};
use crate::{system, user_files};

/// An incident is opened this long before it began: the segment before may hold its cause.
const BEFORE: Duration = Duration::from_secs(60);
/// How long the reason is shown why a host cannot be opened.
const READABLE: Duration = Duration::from_secs(3);
/// How long the server may take to name all hosts.
const FIRST: Duration = Duration::from_secs(30);
/// Lines of incidents and of findings that are printed.
const LINES: usize = 20;

/// Show many hosts that publish to a NATS server (--publish)
///
/// Lists the hosts, that with the worst incident first, and findings that several hosts have as one.
/// With --host it shows one host as hullwatch shows this one: live, and back in time as far as the
/// server keeps it. It only reads: nothing is changed on any host.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The server: nats:// or tls://HOST:PORT; several servers of one cluster are separated by commas
    url: String,

    /// A file of credentials, as that of --publish-credentials
    #[arg(long, value_name = "FILE")]
    credentials: Option<PathBuf>,

    /// Also trust the certificate authorities in this PEM file, besides the host's
    #[arg(long, value_name = "FILE")]
    ca_file: Option<PathBuf>,

    /// Print a JSON line for each host, then one for each kind of finding
    #[arg(long, conflicts_with = "host")]
    json: bool,

    /// Show this host
    #[arg(long, value_name = "NAME")]
    host: Option<String>,

    /// Begin so long ago, e.g. 6h, instead of with the host's latest segment
    #[arg(long, value_name = "TIME", value_parser = live::duration, requires = "host")]
    since: Option<Duration>,

    /// Write what the server keeps of the host into this recording, a name ending in .zst, instead of
    /// showing it
    #[arg(long, value_name = "FILE", requires = "host")]
    save: Option<PathBuf>,

    #[command(flatten)]
    screen: ScreenArgs,
}

impl Args {
    /// Whether it draws on the terminal.
    pub(super) fn draws(&self) -> bool {
        self.save.is_none() && !self.json
    }
}

pub(super) fn run(args: &Args) -> Result<ExitCode, CliError> {
    let authorities = args.ca_file.as_deref();
    let server = publish::server("fleet", &args.url, args.credentials.as_deref(), authorities)?;
    let ended = StopSignal::install()?;
    let from = match args.since {
        Some(ago) => FollowFrom::Moment(system::wall_now().minus(ago)),
        None => FollowFrom::Newest,
    };
    let host = args
        .host
        .as_ref()
        .map(|name| HostName::new(name.as_bytes()));
    match (host, &args.save) {
        (Some(host), Some(path)) => save(server, host, from, path),
        (Some(host), None) if terminal::there() => {
            show_host(&server, &host, from, &args.screen.load()?, &ended)?;
            Ok(ExitCode::SUCCESS)
        }
        (Some(_), None) => Err(CliError::expected(
            "this is not a terminal; --save FILE writes a recording, hullwatch fleet without --host \
             prints all hosts",
        )),
        (None, _) if args.json || !terminal::there() => print(args, server, &ended),
        (None, _) => show_lists(server, &args.screen.load()?, &ended),
    }
}

/// Prints all hosts once.
fn print(args: &Args, server: NatsServer, ended: &StopSignal) -> Result<ExitCode, CliError> {
    let name = server.name();
    let reader = FleetReader::start(server)?;
    reader
        .wait(FIRST, || ended.ended())
        .map_err(|why| CliError::expected(format!("{name}: {why}")))?;
    let fleet = reader.fleet().lock();
    let text = match args.json {
        true => json(&fleet),
        false => table(&fleet),
    };
    std::io::stdout().lock().write_all(text.as_bytes())?;
    if fleet.unreadable + fleet.beyond > 0 {
        print_message(format!(
            "{} summaries could not be read, {} hosts are too many",
            fleet.unreadable, fleet.beyond
        ));
    }
    Ok(ExitCode::SUCCESS)
}

/// Shows the lists, and the hosts that the user opens.
fn show_lists(
    server: NatsServer,
    config: &Config,
    ended: &StopSignal,
) -> Result<ExitCode, CliError> {
    let reader = FleetReader::start(server.clone())?;
    let name = server.name();
    let mut view = FleetScreen::default();
    loop {
        let choice = tui::run_fleet(reader.fleet(), &name, &mut view, config);
        let choice = choice.map_err(|error| CliError::expected(error.to_string()))?;
        let FleetChoice::Open(host, at) = choice else {
            return Ok(ExitCode::SUCCESS);
        };
        let from = match at {
            Some(at) => FollowFrom::Moment(at.minus(BEFORE)),
            None => FollowFrom::Newest,
        };
        print_message(format!("opening {host}"));
        if let Err(error) = show_host(&server, &host, from, config, ended) {
            // Shown for a moment: the lists come next.
            let _ = error.report();
            std::thread::sleep(READABLE);
        }
        if ended.ended() || !terminal::there() {
            return Ok(ExitCode::SUCCESS);
        }
    }
}

/// Shows a host until the user leaves.
fn show_host(
    server: &NatsServer,
    host: &HostName,
    from: FollowFrom,
    config: &Config,
    ended: &StopSignal,
) -> Result<(), CliError> {
    let memory = config.memory.unwrap_or_default();
    let (file, local) = ssh::unnamed(&SessionId::random()?)?;
    let plan = FollowPlan {
        server: server.clone(),
        host: host.clone(),
        from,
        present: false,
    };
    let board = LinkBoard::new(&host.to_string(), false).of_fleet();
    let assembly = Assembly::new(file, ssh::MOST, memory)?;
    let follower = HostFollower::start(plan, assembly, board.clone())?;
    let shown = ssh::show(&local.path, memory, &board, config, &|| ended.ended());
    let state = board.state();
    follower.end();
    if let LinkState::Ended(why) = state {
        print_message(format!("{host}: {why}"));
    }
    shown
}

/// Writes what the server keeps of a host into a recording.
fn save(
    server: NatsServer,
    host: HostName,
    from: FollowFrom,
    path: &Path,
) -> Result<ExitCode, CliError> {
    ssh::check_name(path)?;
    let (file, _) = ssh::kept(path)?;
    let plan = FollowPlan {
        server,
        host: host.clone(),
        from,
        present: true,
    };
    let board = LinkBoard::new(&host.to_string(), true).of_fleet();
    let assembly = Assembly::new(file, u64::MAX, MemoryBudget::default())?;
    HostFollower::start(plan, assembly, board.clone())?.wait();
    let state = board.state();
    if user_files::facts(path)?.len() == 0 {
        let why = match state {
            LinkState::Ended(why) | LinkState::Lost(_, why) => why,
            LinkState::Up => "the beginning of its segment is not kept any more".to_owned(),
        };
        user_files::remove(path)?;
        return Err(CliError::expected(format!("{host}: {why}")));
    }
    if let LinkState::Ended(why) = state {
        print_message(format!("{host}: {why}"));
    }
    print_message(format!("recorded in {}", path.display()));
    Ok(ExitCode::SUCCESS)
}

/// Each host, then each kind of finding, as JSON lines.
fn json(fleet: &Fleet) -> String {
    let mut lines = String::new();
    let mut add = |value: serde_json::Value| {
        // Writing to a string cannot fail.
        let _ = writeln!(lines, "{value}");
    };
    for (name, host) in fleet.ranked() {
        let mut value = serde_json::json!(host.summary);
        value["type"] = "host".into();
        value["host"] = name.to_string().into();
        value["heard"] = serde_json::json!(host.heard);
        value["lag"] = host.lag.as_secs_f64().into();
        add(value);
    }
    for kind in fleet.common() {
        let named: Vec<String> = kind.named.iter().map(ToString::to_string).collect();
        add(serde_json::json!({
            "type": "finding",
            "rule": kind.rule,
            "image": kind.image,
            "severity": kind.severity,
            "title": kind.title,
            "findings": kind.findings,
            "hosts": kind.hosts,
            "named": named,
            "last": kind.last,
        }));
    }
    lines
}

/// All hosts for people.
fn table(fleet: &Fleet) -> String {
    let mut rows = vec![
        [
            "HOST",
            "WORST",
            "INCIDENTS",
            "CONTAINERS",
            "HEARD",
            "LAG",
            "LOST",
            "VERSION",
        ]
        .map(str::to_owned),
    ];
    for (name, host) in fleet.ranked() {
        let summary = &host.summary;
        let silent = short(host.silent());
        let heard = match host.is_silent() {
            _ if summary.ended => "ended".to_owned(),
            true => format!("{silent} ago!"),
            false => format!("{silent} ago"),
        };
        rows.push([
            name.to_string(),
            summary
                .worst()
                .map_or_else(|| "-".to_owned(), |worst| worst.to_string()),
            count(summary.all_incidents),
            summary.containers.to_string(),
            heard,
            format!("{:.1}s", host.lag.as_secs_f64()),
            count(summary.lost.saturating_add(summary.unpublished)),
            summary.version.clone(),
        ]);
    }
    let mut text = aligned(&rows);
    let incidents = fleet.incidents();
    if !incidents.is_empty() {
        text.push_str("\nIncidents\n");
        let rows = incidents.iter().take(LINES).map(|(name, incident)| {
            let active = if incident.active { "active" } else { "ended" };
            [
                incident.severity.to_string(),
                name.to_string(),
                incident.container.clone(),
                incident.what.clone(),
                format!("{} {active}", incident.last.clock()),
            ]
        });
        let rows: Vec<_> = rows.collect();
        text.push_str(&aligned(&rows));
        text.push_str(&more(incidents.len()));
    }
    let common = fleet.common();
    if !common.is_empty() {
        text.push_str("\nFindings\n");
        let rows = common.iter().take(LINES).map(|kind| {
            let named: Vec<String> = kind.named.iter().map(ToString::to_string).collect();
            let further = kind.hosts.saturating_sub(named.len() as u64);
            let more = if further > 0 {
                format!(" and {further} more")
            } else {
                String::new()
            };
            let hosts = if kind.hosts == 1 { "host" } else { "hosts" };
            [
                kind.severity.to_string(),
                kind.rule.clone(),
                if kind.image.is_empty() {
                    "-".to_owned()
                } else {
                    kind.image.clone()
                },
                format!("{} {hosts}: {}{more}", kind.hosts, named.join(", ")),
            ]
        });
        let rows: Vec<_> = rows.collect();
        text.push_str(&aligned(&rows));
        text.push_str(&more(common.len()));
    }
    text
}

fn more(all: usize) -> String {
    match all.saturating_sub(LINES) {
        0 => String::new(),
        more => format!("and {more} more: --json lists all\n"),
    }
}

fn count(number: u64) -> String {
    match number {
        0 => "-".to_owned(),
        number => number.to_string(),
    }
}

/// A time in one unit.
fn short(time: Duration) -> String {
    let seconds = time.as_secs();
    match seconds {
        0..=119 => format!("{seconds}s"),
        120..=7199 => format!("{}m", seconds / 60),
        7200..=172_799 => format!("{}h", seconds / 3600),
        _ => format!("{}d", seconds / 86_400),
    }
}

/// Rows with columns of equal width.
fn aligned<const N: usize>(rows: &[[String; N]]) -> String {
    let width = |text: &str| unicode_width::UnicodeWidthStr::width(text);
    let mut widths = [0; N];
    for row in rows {
        for (most, cell) in widths.iter_mut().zip(row) {
            *most = (*most).max(width(cell));
        }
    }
    let mut text = String::new();
    for row in rows {
        let mut line = String::new();
        for (cell, most) in row.iter().zip(widths) {
            line.push_str(cell);
            line.extend(std::iter::repeat_n(' ', most - width(cell) + 2));
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}
