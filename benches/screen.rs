//! A frame of each screen with a large state: its CPU time, and the bytes sent to the terminal by
//! hullwatch's backend beside those of ratatui's own for crossterm.
//!
//! The goals are 150 bytes for the median key that scrolls and 600 for the 99th percentile, while the
//! key is held: the explanation of the row is drawn when it is released.

mod stream;

use std::cell::Cell;
use std::io::{self, Write};
use std::rc::Rc;
use std::sync::Arc;

use criterion::measurement::Measurement;
use criterion::{Criterion, criterion_group, criterion_main};
use hullwatch::core::Core;
use hullwatch::detect::Settings;
use hullwatch::tui::{Abilities, Action, CompactBackend, Pane, Status, Theme, Ui, draw};
use ratatui::backend::{Backend, CrosstermBackend};
use ratatui::layout::{Rect, Size};
use ratatui::{Terminal, TerminalOptions, Viewport};
use stream::{Stream, cpu};

const SIZE: Rect = Rect::new(0, 0, 120, 40);

/// A terminal that only counts.
#[derive(Clone, Default)]
struct Count(Rc<Cell<usize>>);

impl Write for Count {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.set(self.0.get() + bytes.len());
        Ok(bytes.len())
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

struct Screen<B: Backend> {
    terminal: Terminal<B>,
    sent: Count,
    ui: Ui,
    status: Status,
    theme: Theme,
}

impl Screen<CompactBackend<Count>> {
    fn compact(core: &Core, pane: Pane) -> Self {
        let sent = Count::default();
        let able = Abilities::of_256_colours();
        let size = Size::new(SIZE.width, SIZE.height);
        let terminal = Terminal::new(CompactBackend::new(sent.clone(), size, able));
        Self::new(core, pane, sent, terminal.expect("memory can be written"))
    }
}

impl Screen<CrosstermBackend<Count>> {
    fn crossterm(core: &Core, pane: Pane) -> Self {
        let sent = Count::default();
        let options = TerminalOptions {
            viewport: Viewport::Fixed(SIZE),
        };
        let terminal = Terminal::with_options(CrosstermBackend::new(sent.clone()), options);
        Self::new(core, pane, sent, terminal.expect("memory can be written"))
    }
}

impl<B: Backend> Screen<B> {
    fn new(core: &Core, pane: Pane, sent: Count, terminal: Terminal<B>) -> Self {
        let mut ui = Ui::default();
        ui.apply(Action::Show(pane), core);
        Self {
            terminal,
            sent,
            ui,
            status: Status::default(),
            theme: Theme::default(),
        }
    }

    /// Draws; returns how many bytes that sent.
    fn frame(&mut self, core: &Core) -> usize {
        let before = self.sent.0.get();
        let (ui, status, theme) = (&mut self.ui, &self.status, &self.theme);
        let drawn = self.terminal.draw(|frame| {
            let drawn = draw(core, ui, status, frame.area(), theme, frame.buffer_mut());
            ui.keep(drawn);
        });
        assert!(drawn.is_ok(), "memory can be written");
        self.sent.0.get() - before
    }

    /// Bytes of the first frame, of keys that scroll one by one, of the same keys held, and of frames
    /// 500 events apart, each list sorted.
    fn bytes(core: &Core, later: &[Core], make: impl Fn() -> Self) -> [Vec<usize>; 4] {
        let mut screen = make();
        let first = screen.frame(core);
        let keys = |screen: &mut Self| {
            let mut keys: Vec<usize> = (0..100)
                .map(|_| {
                    screen.ui.apply(Action::Move(1), core);
                    screen.frame(core)
                })
                .collect();
            keys.sort_unstable();
            keys
        };
        let tapped = keys(&mut screen);
        let mut screen = make();
        screen.frame(core);
        screen.ui.hold_key(true);
        let held = keys(&mut screen);
        let mut screen = make();
        let frames = later.iter().map(|core| screen.frame(core));
        let mut next: Vec<usize> = frames.skip(1).collect();
        next.sort_unstable();
        [vec![first], tapped, held, next]
    }
}

fn frames<M: Measurement>(c: &mut Criterion<M>) {
    let mut core = Core::new(Settings::default());
    let mut stream = Stream::new(50).map(Arc::new);
    stream.by_ref().take(300_000).for_each(|e| core.apply(&e));
    let later: Vec<Core> = (0..20)
        .map(|_| {
            stream.by_ref().take(500).for_each(|e| core.apply(&e));
            core.clone()
        })
        .collect();
    let state = &core.state;
    println!(
        "state: {} containers, {} processes, {} connections, {} files, {} findings; screen {}x{}",
        state.containers.len(),
        state.processes.len(),
        state.connections.len(),
        state.files.len(),
        core.detector.findings().len(),
        SIZE.width,
        SIZE.height
    );
    println!(
        "bytes (and of crossterm's backend, as a multiple)\n\
         {:12} {:>16} {:>16} {:>16} {:>16} {:>16} {:>16} {:>16}",
        "", "first frame", "key p50", "p99", "key held p50", "p99", "500 events p50", "max"
    );
    for pane in Pane::ALL {
        let own = Screen::bytes(&core, &later, || Screen::compact(&core, pane));
        let other = Screen::bytes(&core, &later, || Screen::crossterm(&core, pane));
        let at = |list: usize, percent: usize| {
            let of = |lists: &[Vec<usize>; 4]| {
                let list = &lists[list];
                list[(list.len() * percent / 100).min(list.len() - 1)]
            };
            let (own, other) = (of(&own), of(&other));
            let times = f64::from(u32::try_from(other).unwrap_or(u32::MAX))
                / f64::from(u32::try_from(own).unwrap_or(u32::MAX));
            match own {
                0 => "0".to_owned(),
                _ => format!("{own} ({times:.1})"),
            }
        };
        println!(
            "{:12} {:>16} {:>16} {:>16} {:>16} {:>16} {:>16} {:>16}",
            pane.title(),
            at(0, 0),
            at(1, 50),
            at(1, 99),
            at(2, 50),
            at(2, 99),
            at(3, 50),
            at(3, 100),
        );
    }
    let mut group = c.benchmark_group("frame");
    for pane in Pane::ALL {
        let mut screen = Screen::compact(&core, pane);
        let mut n = 0;
        group.bench_function(pane.title(), |b| {
            b.iter(|| {
                n += 1;
                screen.frame(&later[n % later.len()])
            });
        });
    }
    group.finish();
}

criterion_group! {
    name = benches;
    config = cpu::criterion();
    targets = frames
}
criterion_main!(benches);
