//! A ratatui backend for slow links: sends only the cells that changed, in few bytes, in the
//! colours and characters of the terminal.

use std::io::{self, Write};

use ratatui::backend::{Backend, ClearType, WindowSize};
use ratatui::buffer::{Buffer, Cell};
use ratatui::layout::{Position, Rect, Size};
use ratatui::style::{Color, Modifier};
use unicode_width::UnicodeWidthStr as _;

use super::abilities::{Abilities, empty};
use super::glyphs;
use super::shift::{self, Shift};
use super::theme::Glyphs;

/// A frame of more bytes than this is sent as a synchronized update, which costs 16 bytes.
const SYNCHRONIZED: usize = 512;
/// Up to this many unchanged cells are written again: a cursor movement over them costs as much.
const BRIDGE: u16 = 3;
/// From this many blanks on they are erased instead of written.
const ERASE: u16 = 8;

/// Attributes of the characters written next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Pen {
    fg: Color,
    bg: Color,
    modifier: Modifier,
}

impl Pen {
    const PLAIN: Self = Self {
        fg: Color::Reset,
        bg: Color::Reset,
        modifier: Modifier::empty(),
    };

    fn of(cell: &Cell) -> Self {
        Self {
            fg: cell.fg,
            bg: cell.bg,
            modifier: cell.modifier,
        }
    }

    /// Whether the cell looks right when written with these attributes: on a blank neither
    /// foreground nor weight is visible.
    fn fits(self, cell: &Cell) -> bool {
        let seen = Modifier::REVERSED | Modifier::UNDERLINED | Modifier::CROSSED_OUT;
        let blank = empty(cell) && self.bg == Color::Reset && !self.modifier.intersects(seen);
        blank || self == Self::of(cell)
    }
}

/// A backend for [`ratatui::Terminal`] that sends a frame in few bytes.
///
/// `Terminal` passes the cells that changed since its last frame. Erasing to the end of a line
/// or rewriting the cells between two changes needs adjacent cells too, so the backend keeps
/// the cells as they are to be shown and as the terminal shows them. A frame is encoded and
/// written as one piece by [`Backend::flush`].
#[derive(Debug)]
pub struct CompactBackend<W> {
    to: W,
    size: Size,
    /// The cells that the terminal shows, reduced to its abilities.
    shown: Buffer,
    /// The cells of the frame being drawn, reduced in the same way.
    next: Buffer,
    /// The content of the terminal is unknown.
    unknown: bool,
    /// The cursor is visible.
    cursor: bool,
    /// Bytes sent by the last flush.
    sent: usize,
    encoder: Encoder,
}

impl<W: Write> CompactBackend<W> {
    /// A backend that writes to `to`, whose content is unknown.
    pub fn new(to: W, size: Size, able: Abilities) -> Self {
        let area = Rect::from((Position::ORIGIN, size));
        Self {
            to,
            size,
            shown: Buffer::empty(area),
            next: Buffer::empty(area),
            unknown: true,
            cursor: false,
            sent: 0,
            encoder: Encoder {
                able,
                width: size.width,
                pen: Pen::PLAIN,
                at: None,
                out: Vec::new(),
            },
        }
    }

    /// Sets the terminal's size; the next frame of [`ratatui::Terminal`] takes it over.
    pub(super) fn resize(&mut self, size: Size) {
        self.size = size;
    }

    /// Changes the character set; true when cells must be sent again.
    pub(super) fn set_glyphs(&mut self, glyphs: Glyphs) -> bool {
        let unicode = match glyphs {
            Glyphs::Auto => glyphs::unicode(),
            Glyphs::Unicode => true,
            Glyphs::Ascii => false,
        };
        std::mem::replace(&mut self.encoder.able.unicode, unicode) != unicode
    }

    /// Bytes the last frame took.
    pub(super) fn sent(&self) -> usize {
        self.sent
    }

    /// Writes control sequences that change no cell.
    ///
    /// # Errors
    /// When the terminal cannot be written.
    pub(super) fn write_raw(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.to.write_all(bytes)?;
        self.to.flush()
    }
}

impl<W: Write> Backend for CompactBackend<W> {
    type Error = io::Error;

    fn draw<'a, I>(&mut self, content: I) -> io::Result<()>
    where
        I: Iterator<Item = (u16, u16, &'a Cell)>,
    {
        let area = Rect::from((Position::ORIGIN, self.size));
        if self.next.area != area {
            self.next = Buffer::empty(area);
            self.shown = Buffer::empty(area);
            self.encoder.width = area.width;
            self.unknown = true;
        }
        for (x, y, cell) in content {
            let Some(place) = self.next.cell_mut((x, y)) else {
                continue;
            };
            place.clone_from(cell);
            self.encoder.able.project(place);
            if place.symbol().width() < 2 {
                continue;
            }
            // `Terminal` does not send the second half of a wide character.
            let style = place.style();
            if let Some(half) = self.next.cell_mut((x + 1, y)) {
                half.reset();
                half.set_style(style);
                self.encoder.able.project(half);
            }
        }
        Ok(())
    }

    fn hide_cursor(&mut self) -> io::Result<()> {
        if std::mem::take(&mut self.cursor) {
            self.write_raw(b"\x1b[?25l")?;
        }
        Ok(())
    }

    fn show_cursor(&mut self) -> io::Result<()> {
        if !std::mem::replace(&mut self.cursor, true) {
            // `Terminal` shows it when it is dropped, and prints an error on stderr: where that is
            // the terminal that is gone, printing panics, which aborts the program. A frame that
            // cannot be written is an error all the same.
            let _ = self.write_raw(b"\x1b[?25h");
        }
        Ok(())
    }

    fn get_cursor_position(&mut self) -> io::Result<Position> {
        // The position does not matter while the cursor is hidden.
        let (x, y) = self.encoder.at.unwrap_or_default();
        Ok(Position { x, y })
    }

    fn set_cursor_position<P: Into<Position>>(&mut self, position: P) -> io::Result<()> {
        if self.cursor {
            let Position { x, y } = position.into();
            self.encoder.at = Some((x, y));
            self.write_raw(format!("\x1b[{};{}H", y + 1, x + 1).as_bytes())?;
        }
        Ok(())
    }

    fn clear(&mut self) -> io::Result<()> {
        self.next.reset();
        self.unknown = true;
        Ok(())
    }

    fn clear_region(&mut self, region: ClearType) -> io::Result<()> {
        match region {
            ClearType::All => self.clear(),
            // `Terminal` calls these only for inline and fixed viewports.
            _ => Err(io::Error::from(io::ErrorKind::Unsupported)),
        }
    }

    fn size(&self) -> io::Result<Size> {
        Ok(self.size)
    }

    fn window_size(&mut self) -> io::Result<WindowSize> {
        Ok(WindowSize {
            columns_rows: self.size,
            pixels: Size::default(),
        })
    }

    fn flush(&mut self) -> io::Result<()> {
        self.encoder.out.clear();
        self.sent = 0;
        if self.unknown {
            self.encoder.clear();
            self.shown.reset();
        } else if let Some(shift) = shift::find(&self.shown, &self.next) {
            self.encoder.scroll(&shift);
            shift.apply(&mut self.shown);
        }
        self.encoder.frame(&self.shown, &self.next);
        let out = &mut self.encoder.out;
        if out.is_empty() {
            return Ok(());
        }
        if self.encoder.able.modern() && out.len() > SYNCHRONIZED {
            out.splice(0..0, *b"\x1b[?2026h");
            out.extend_from_slice(b"\x1b[?2026l");
        }
        self.sent = out.len();
        self.to.write_all(out)?;
        self.to.flush()?;
        self.shown.content.clone_from(&self.next.content);
        self.unknown = false;
        Ok(())
    }
}

/// Encodes the difference of two frames.
#[derive(Debug)]
struct Encoder {
    able: Abilities,
    width: u16,
    pen: Pen,
    /// The cursor position, if it is known.
    at: Option<(u16, u16)>,
    out: Vec<u8>,
}

impl Encoder {
    fn clear(&mut self) {
        self.out.extend_from_slice(b"\x1b[m\x1b[H\x1b[2J");
        self.pen = Pen::PLAIN;
        self.at = Some((0, 0));
    }

    /// Scrolls rows within margins, in the sequences of the VT100.
    fn scroll(&mut self, shift: &Shift) {
        // Rows that become free take the background.
        self.set(Pen::PLAIN);
        let (top, bottom) = (shift.rows.start() + 1, shift.rows.end() + 1);
        let (edge, code) = match shift.up {
            true => (bottom, "\n"),
            false => (top, "\x1bM"),
        };
        let codes = code.repeat(usize::from(shift.by));
        self.write_code(format_args!(
            "\x1b[{top};{bottom}r\x1b[{edge}H{codes}\x1b[r"
        ));
        // Setting the margins moves the cursor.
        self.at = None;
    }

    fn frame(&mut self, shown: &Buffer, next: &Buffer) {
        let changed = changes(shown, next);
        let mut rest = changed.as_slice();
        while let Some(((x, y, cell), after)) = rest.split_first() {
            let (changed, width) = blanks(rest, next);
            if changed >= usize::from(ERASE) && self.erase(*x, *y, width, next) {
                rest = &rest[changed..];
                continue;
            }
            self.go(*x, *y, next);
            self.put(cell);
            rest = after;
        }
    }

    /// Erases `count` blanks from (x, y) on, where this terminal can.
    fn erase(&mut self, x: u16, y: u16, count: u16, next: &Buffer) -> bool {
        let to_the_end = x + count >= self.width;
        if !to_the_end && !self.able.modern() {
            return false;
        }
        self.go(x, y, next);
        // Erased cells take the background; reverse video must not be on.
        if self.pen.bg != Color::Reset || self.pen.modifier.contains(Modifier::REVERSED) {
            self.set(Pen::PLAIN);
        }
        if to_the_end {
            self.out.extend_from_slice(b"\x1b[K");
        } else {
            self.write_code(format_args!("\x1b[{count}X"));
        }
        true
    }

    fn go(&mut self, x: u16, y: u16, next: &Buffer) {
        match self.at {
            Some(at) if at == (x, y) => return,
            Some((from, row)) if row == y && from < x => {
                let between = x - from;
                let cheap = |cell: &Cell| self.pen.fits(cell) && cell.symbol().len() == 1;
                if between <= BRIDGE && (from..x).all(|x| cheap(&next[(x, y)])) {
                    for x in from..x {
                        self.out.extend_from_slice(next[(x, y)].symbol().as_bytes());
                    }
                } else if between == 1 {
                    self.out.extend_from_slice(b"\x1b[C");
                } else {
                    self.write_code(format_args!("\x1b[{between}C"));
                }
            }
            Some((_, row)) if x == 0 && y == row + 1 => self.out.extend_from_slice(b"\r\n"),
            Some((_, row)) if x == 0 && y == row => self.out.push(b'\r'),
            _ => self.write_code(format_args!("\x1b[{};{}H", y + 1, x + 1)),
        }
        self.at = Some((x, y));
    }

    fn put(&mut self, cell: &Cell) {
        if !self.pen.fits(cell) {
            self.set(Pen::of(cell));
        }
        self.out.extend_from_slice(cell.symbol().as_bytes());
        let width = u16::try_from(cell.symbol().width()).unwrap_or(1);
        let after = self.at.map(|(x, y)| (x + width, y));
        // After the last column terminals differ in the cursor position.
        self.at = after.filter(|(x, _)| *x < self.width);
    }

    fn set(&mut self, pen: Pen) {
        if pen == self.pen {
            return;
        }
        let mut codes: Vec<String> = Vec::with_capacity(6);
        let mut from = self.pen;
        if pen == Pen::PLAIN || !pen.modifier.contains(from.modifier) {
            from = Pen::PLAIN;
            codes.push(String::new());
        }
        for (modifier, code) in MODIFIERS {
            if (pen.modifier - from.modifier).contains(*modifier) {
                codes.push((*code).to_owned());
            }
        }
        if pen.fg != from.fg {
            codes.push(colour(pen.fg, 30));
        }
        if pen.bg != from.bg {
            codes.push(colour(pen.bg, 40));
        }
        self.pen = pen;
        self.write_code(format_args!("\x1b[{}m", codes.join(";")));
    }

    fn write_code(&mut self, text: std::fmt::Arguments<'_>) {
        // Writing to memory cannot fail.
        let _ = self.out.write_fmt(text);
    }
}

const MODIFIERS: &[(Modifier, &str)] = &[
    (Modifier::BOLD, "1"),
    (Modifier::DIM, "2"),
    (Modifier::ITALIC, "3"),
    (Modifier::UNDERLINED, "4"),
    (Modifier::REVERSED, "7"),
    (Modifier::CROSSED_OUT, "9"),
];

/// The code of a colour; `base` is 30 for the foreground, 40 for the background.
fn colour(colour: Color, base: u8) -> String {
    let named = match colour {
        Color::Reset => 9,
        Color::Black => 0,
        Color::Red => 1,
        Color::Green => 2,
        Color::Yellow => 3,
        Color::Blue => 4,
        Color::Magenta => 5,
        Color::Cyan => 6,
        Color::Gray => 7,
        Color::DarkGray => 60,
        Color::LightRed => 61,
        Color::LightGreen => 62,
        Color::LightYellow => 63,
        Color::LightBlue => 64,
        Color::LightMagenta => 65,
        Color::LightCyan => 66,
        Color::White => 67,
        Color::Indexed(index) => return format!("{};5;{index}", base + 8),
        Color::Rgb(r, g, b) => return format!("{};2;{r};{g};{b}", base + 8),
    };
    (base + named).to_string()
}

/// The blanks of `next` from the first changed one on: how many of them changed, and how many there
/// are up to the last changed one.
fn blanks(changed: &[(u16, u16, &Cell)], next: &Buffer) -> (usize, u16) {
    let Some((first, row, _)) = changed.first() else {
        return (0, 0);
    };
    let end = (*first..next.area.width)
        .find(|x| !empty(&next[(*x, *row)]))
        .unwrap_or(next.area.width);
    let inside = |(x, y, _): &&(u16, u16, &Cell)| y == row && *x < end;
    let count = changed.iter().take_while(inside).count();
    let last = count.checked_sub(1).map_or(*first, |last| changed[last].0);
    let width = if end == next.area.width {
        end
    } else {
        last + 1
    } - first;
    (count, width)
}

/// The cells to write. The second half of a wide character is not written, but the cells that a
/// wide character covered are: terminals differ in what they leave there.
fn changes<'a>(shown: &Buffer, next: &'a Buffer) -> Vec<(u16, u16, &'a Cell)> {
    let mut changed = Vec::new();
    for y in 0..next.area.height {
        for x in 0..next.area.width {
            let before = x.checked_sub(1);
            let wide =
                |buffer: &Buffer| before.is_some_and(|x| buffer[(x, y)].symbol().width() > 1);
            if wide(next) {
                continue;
            }
            let uncovered = || before.is_some_and(|x| shown[(x, y)] != next[(x, y)]) && wide(shown);
            if shown[(x, y)] != next[(x, y)] || uncovered() {
                changed.push((x, y, &next[(x, y)]));
            }
        }
    }
    changed
}

/// Blanks the remains of a partly overwritten wide character. Called on a drawn frame before
/// `Terminal` compares it.
pub(super) fn mend_wide(buffer: &mut Buffer) {
    let width = usize::from(buffer.area.width);
    for row in buffer.content.chunks_mut(width.max(1)) {
        for x in 0..row.len() {
            if row[x].symbol().width() < 2 {
                continue;
            }
            match row.get_mut(x + 1) {
                Some(after) if after.symbol() == " " => {
                    let style = row[x].style();
                    row[x + 1].set_style(style);
                }
                _ => {
                    row[x].set_symbol(" ");
                }
            }
        }
    }
}

#[cfg(test)]
#[path = "backend_tests.rs"]
mod tests;
