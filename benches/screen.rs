//! A frame of each pane with a large state: time, and bytes sent to the terminal.

mod stream;

use std::cell::Cell;
use std::io::{self, Write};
use std::rc::Rc;
use std::sync::Arc;

use criterion::measurement::Measurement;
use criterion::{Criterion, criterion_group, criterion_main};
use hullwatch::core::Core;
use hullwatch::detect::Settings;
use hullwatch::tui::{Action, Pane, Status, Theme, Ui, draw};
use ratatui::backend::CrosstermBackend;
use ratatui::layout::Rect;
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

struct Screen {
    terminal: Terminal<CrosstermBackend<Count>>,
    sent: Count,
    ui: Ui,
    status: Status,
    theme: Theme,
}

impl Screen {
    fn new(core: &Core, pane: Pane) -> Self {
        let options = TerminalOptions {
            viewport: Viewport::Fixed(SIZE),
        };
        let sent = Count::default();
        let mut ui = Ui::default();
        ui.apply(Action::Show(pane), core);
        Self {
            terminal: Terminal::with_options(CrosstermBackend::new(sent.clone()), options)
                .expect("memory can be written"),
            sent,
            ui,
            status: Status::default(),
            theme: Theme::default(),
        }
    }

    /// Draws, and tells how many bytes that sent.
    fn frame(&mut self, core: &Core) -> usize {
        let before = self.sent.0.get();
        let (ui, status, theme) = (&mut self.ui, &self.status, &self.theme);
        self.terminal
            .draw(|frame| {
                let drawn = draw(core, ui, status, frame.area(), theme, frame.buffer_mut());
                ui.keep(drawn);
            })
            .expect("memory can be written");
        self.sent.0.get() - before
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
    println!("bytes              first frame | scroll key p50  max | 500 events later p50  max");
    for pane in Pane::ALL {
        let mut screen = Screen::new(&core, pane);
        let first = screen.frame(&core);
        let mut keys: Vec<usize> = (0..100)
            .map(|_| {
                screen.ui.apply(Action::Move(1), &core);
                screen.frame(&core)
            })
            .collect();
        keys.sort_unstable();
        let mut screen = Screen::new(&core, pane);
        let mut next: Vec<usize> = later
            .iter()
            .map(|core| screen.frame(core))
            .skip(1)
            .collect();
        next.sort_unstable();
        println!(
            "{:18} {first:11} | {:14} {:4} | {:20} {:4}",
            pane.title(),
            keys[50],
            keys[99],
            next[next.len() / 2],
            next[next.len() - 1]
        );
    }
    let mut group = c.benchmark_group("frame");
    for pane in Pane::ALL {
        let mut screen = Screen::new(&core, pane);
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
