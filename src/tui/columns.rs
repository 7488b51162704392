//! The columns of each pane, and which go first when there is no room.

use super::app::Pane;
use super::table::Column;

const fn column(title: &'static str, width: u16, drop: u8) -> Column {
    Column::new(title, width, drop)
}

/// The columns of a pane.
pub(super) fn columns(pane: Pane) -> &'static [Column] {
    const CONTAINERS: &[Column] = &[
        column("S", 1, 0),
        column("NAME", 10, 0).grow(),
        column("IMAGE", 12, 6).grow(),
        column("AGE", 8, 2),
        column("FIND", 4, 1).right(),
        column("CPU%", 6, 3).right(),
        column("MEM", 6, 4).right(),
        column("PROC", 4, 5).right(),
        column("CONN", 4, 7).right(),
        column("W/MIN", 5, 7).right(),
        column("LAST FINDING", 16, 8).grow(),
    ];
    const FINDINGS: &[Column] = &[
        column("S", 1, 0),
        column("WHEN", 8, 3),
        column("CONTAINER", 10, 1),
        column("FINDING", 40, 0).grow(),
        column("RULE", 18, 4),
        column("N", 4, 2).right(),
    ];
    const PROCESSES: &[Column] = &[
        column("S", 1, 4),
        column("PID", 7, 1).right(),
        column("PROCESS", 20, 0).grow(),
        column("UID", 6, 3).right(),
        column("AGE", 8, 2),
        column("ORIGIN", 9, 2),
        column("CONTAINER", 12, 5),
    ];
    const NETWORK: &[Column] = &[
        column("DIR", 6, 0),
        column("PEER", 21, 0).grow(),
        column("NAME", 14, 3).grow(),
        column("STATE", 9, 1),
        column("COUNT", 5, 4).right(),
        column("OUT", 6, 5).right(),
        column("IN", 6, 5).right(),
        column("PROCESS", 10, 2),
        column("LAST", 8, 6),
        column("CONTAINER", 12, 7),
    ];
    const FILES: &[Column] = &[
        column("OP", 8, 0),
        column("PATH", 20, 0).grow(),
        column("N", 5, 2).right(),
        column("ORIGIN", 9, 1),
        column("BY", 10, 3),
        column("LAST", 8, 4),
        column("RESULT", 7, 5),
        column("CONTAINER", 12, 6),
    ];
    const EVENTS: &[Column] = &[
        column("SEQ", 7, 3).right(),
        column("TIME", 12, 1),
        column("TYPE", 10, 0),
        column("PID", 7, 4).right(),
        column("WHAT", 20, 0).grow(),
        column("CONTAINER", 12, 2),
    ];
    match pane {
        Pane::Containers => CONTAINERS,
        Pane::Findings => FINDINGS,
        Pane::Processes => PROCESSES,
        Pane::Network => NETWORK,
        Pane::Files => FILES,
        Pane::Events => EVENTS,
    }
}
