//! The workloads. They run in a separate process, inside and outside of a container, and read
//! from stdin which one to run and how often.

use std::io::{self, BufRead as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::Command;

use rustix::fs::{Mode, OFlags};

/// The program that is executed: from the image, and of negligible cost.
pub(crate) const TRUE: &str = "/bin/true";
/// Files that the open workload writes to in turn.
const FILES: usize = 16;

/// An action of a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Workload {
    /// The cheapest system call.
    Null,
    /// Run a program and wait for it.
    Exec,
    /// Open a file for writing, write, close; a few files in turn.
    Open,
    /// The same with a new file each time.
    Create,
    /// Connect over loopback, accept, close.
    Connect,
    /// Some of each.
    Mixed,
}

impl Workload {
    pub(crate) const ALL: [Self; 6] = [
        Self::Null,
        Self::Exec,
        Self::Open,
        Self::Create,
        Self::Connect,
        Self::Mixed,
    ];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Exec => "fork+exec",
            Self::Open => "open+write+close",
            Self::Create => "create+write+close",
            Self::Connect => "connect",
            Self::Mixed => "mixed",
        }
    }
}

/// State of the workloads between iterations.
struct Worker {
    listener: TcpListener,
    done: u32,
}

/// Runs the workloads read from stdin until it ends. Works in the current directory.
pub(crate) fn run() -> io::Result<()> {
    let mut worker = Worker {
        listener: TcpListener::bind((Ipv4Addr::UNSPECIFIED, 0))?,
        done: 0,
    };
    let mut out = io::stdout();
    writeln!(out, "ready")?;
    out.flush()?;
    for line in io::stdin().lock().lines() {
        let line = line?;
        let job = line.split_once(' ').and_then(|(name, count)| {
            let workload = Workload::ALL.into_iter().find(|w| w.name() == name)?;
            Some((workload, count.parse::<u32>().ok()?))
        });
        let Some((workload, count)) = job else {
            return Err(io::Error::other(format!("no workload: {line}")));
        };
        for _ in 0..count {
            worker.once(workload)?;
        }
        writeln!(out, "done")?;
        out.flush()?;
    }
    Ok(())
}

impl Worker {
    fn once(&mut self, workload: Workload) -> io::Result<()> {
        self.done = self.done.wrapping_add(1);
        match workload {
            Workload::Null => {
                let _ = rustix::process::getppid();
            }
            Workload::Exec => {
                Command::new(TRUE).status()?;
            }
            Workload::Open => {
                let file = self.done as usize % FILES;
                write(
                    Path::new(&format!("file{file}")),
                    OFlags::CREATE | OFlags::TRUNC,
                )?;
            }
            Workload::Create => {
                let name = format!("new{}", self.done);
                write(Path::new(&name), OFlags::CREATE | OFlags::EXCL)?;
            }
            Workload::Connect => self.connect()?,
            Workload::Mixed => {
                self.once(Workload::Exec)?;
                for _ in 0..2 {
                    self.connect()?;
                }
                for _ in 0..10 {
                    self.once(Workload::Open)?;
                }
                for _ in 0..1000 {
                    self.once(Workload::Null)?;
                }
            }
        }
        Ok(())
    }

    fn connect(&mut self) -> io::Result<()> {
        // A different address each time, so that closed connections do not use up the ports.
        let [_, high, low, _] = self.done.to_be_bytes();
        let address = Ipv4Addr::new(127, 1, high, low);
        let client = TcpStream::connect(SocketAddr::from((
            address,
            self.listener.local_addr()?.port(),
        )))?;
        let (server, _) = self.listener.accept()?;
        drop(client);
        drop(server);
        Ok(())
    }
}

fn write(path: &Path, how: OFlags) -> io::Result<()> {
    let file = rustix::fs::open(path, OFlags::WRONLY | OFlags::CLOEXEC | how, Mode::RUSR)?;
    rustix::io::write(&file, b"one line of text\n")?;
    Ok(())
}
