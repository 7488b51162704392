//! The rows of the screen of many hosts.

use crate::event::{Severity, Timestamp};
use crate::fleet::{Fleet, FleetHost, HostName};
use crate::tui::text::{coarse, count};

/// A list of the screen.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum FleetPane {
    /// Hosts, the worst first.
    #[default]
    Hosts,
    /// Incidents of all hosts.
    Incidents,
    /// Findings of all hosts, each kind once.
    Findings,
}

/// A column of a list.
#[derive(Debug, Clone, Copy)]
pub(super) struct FleetColumn {
    pub(super) title: &'static str,
    pub(super) width: usize,
    /// Takes the remaining width.
    pub(super) grow: bool,
    pub(super) right: bool,
    /// Drop order when the width does not suffice: the highest first, 0 never.
    pub(super) drop: u8,
}

const fn column(title: &'static str, width: usize, drop: u8) -> FleetColumn {
    FleetColumn {
        title,
        width,
        grow: false,
        right: false,
        drop,
    }
}

const fn number(title: &'static str, width: usize, drop: u8) -> FleetColumn {
    FleetColumn {
        right: true,
        ..column(title, width, drop)
    }
}

const fn grows(title: &'static str, width: usize, drop: u8) -> FleetColumn {
    FleetColumn {
        grow: true,
        ..column(title, width, drop)
    }
}

/// A row, whose texts are escaped.
#[derive(Debug)]
pub(super) struct FleetRow {
    /// What it is about, for the selection.
    pub(super) key: String,
    /// The host that it opens.
    pub(super) host: Option<HostName>,
    /// At which time.
    pub(super) at: Option<Timestamp>,
    pub(super) severity: Option<Severity>,
    /// It is over, or was not heard of for long.
    pub(super) faded: bool,
    pub(super) cells: Vec<String>,
}

impl FleetPane {
    pub(super) const ALL: [Self; 3] = [Self::Hosts, Self::Incidents, Self::Findings];

    pub(super) fn title(self) -> &'static str {
        match self {
            Self::Hosts => "Hosts",
            Self::Incidents => "Incidents",
            Self::Findings => "Findings",
        }
    }

    pub(super) fn next(self, forward: bool) -> Self {
        let step = if forward { 1 } else { 2 };
        Self::ALL[(self as usize + step) % 3]
    }

    pub(super) fn of_digit(digit: char) -> Option<Self> {
        let at = digit.to_digit(10)?.checked_sub(1)?;
        Self::ALL.get(at as usize).copied()
    }

    pub(super) fn columns(self) -> &'static [FleetColumn] {
        const HOSTS: &[FleetColumn] = &[
            column("HOST", 20, 0),
            number("INC", 4, 0),
            number("CONT", 5, 2),
            grows("WORST INCIDENT", 16, 1),
            number("HEARD", 6, 3),
            number("LAG", 6, 5),
            number("LOST", 6, 4),
        ];
        const INCIDENTS: &[FleetColumn] = &[
            column("HOST", 20, 0),
            column("CONTAINER", 16, 1),
            grows("INCIDENT", 16, 0),
            column("LAST", 8, 2),
            column("STATE", 6, 3),
        ];
        const FINDINGS: &[FleetColumn] = &[
            column("RULE", 20, 0),
            column("IMAGE", 18, 2),
            column("HOSTS", 9, 0),
            grows("FINDING", 16, 1),
        ];
        match self {
            Self::Hosts => HOSTS,
            Self::Incidents => INCIDENTS,
            Self::Findings => FINDINGS,
        }
    }
}

pub(super) fn rows(fleet: &Fleet, pane: FleetPane) -> Vec<FleetRow> {
    match pane {
        FleetPane::Hosts => hosts(fleet),
        FleetPane::Incidents => incidents(fleet),
        FleetPane::Findings => findings(fleet),
    }
}

fn hosts(fleet: &Fleet) -> Vec<FleetRow> {
    let row = |(name, host): (&HostName, &FleetHost)| {
        let summary = &host.summary;
        let heard = match summary.ended {
            true => "ended".to_owned(),
            false => coarse(host.silent()),
        };
        let worst = summary.incidents.first();
        let worst = worst.map(|one| format!("{}: {}", one.container, one.what));
        FleetRow {
            key: name.to_string(),
            host: Some(name.clone()),
            at: None,
            severity: summary.worst(),
            faded: summary.ended || host.is_silent(),
            cells: vec![
                name.to_string(),
                count(summary.all_incidents),
                count(summary.containers),
                worst.unwrap_or_default(),
                heard,
                format!("{:.1}s", host.lag.as_secs_f64()),
                count(summary.lost.saturating_add(summary.unpublished)),
            ],
        }
    };
    fleet.ranked().into_iter().map(row).collect()
}

fn incidents(fleet: &Fleet) -> Vec<FleetRow> {
    let all = fleet.incidents().into_iter();
    let rows = all.map(|(name, one)| FleetRow {
        key: format!("{name} {}", one.id),
        host: Some(name.clone()),
        at: Some(one.first),
        severity: Some(one.severity),
        faded: !one.active,
        cells: vec![
            name.to_string(),
            one.container.clone(),
            one.what.clone(),
            one.last.clock(),
            if one.active { "active" } else { "ended" }.to_owned(),
        ],
    });
    rows.collect()
}

fn findings(fleet: &Fleet) -> Vec<FleetRow> {
    let rows = fleet.common().into_iter().map(|kind| FleetRow {
        key: format!("{} {}", kind.rule, kind.image),
        host: kind.named.first().cloned(),
        at: None,
        severity: Some(kind.severity),
        faded: false,
        cells: vec![
            kind.rule,
            kind.image,
            match kind.hosts {
                1 => "1 host".to_owned(),
                hosts => format!("{} hosts", count(hosts)),
            },
            kind.title,
        ],
    });
    rows.collect()
}
