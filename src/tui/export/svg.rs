//! Converts a drawn screen to SVG.

use std::fmt::Write as _;

use ratatui::buffer::{Buffer, Cell};
use ratatui::style::{Color, Modifier};
use unicode_width::UnicodeWidthStr as _;

/// Pixels of a cell.
const CELL: (u16, u16) = (8, 17);

/// The buffer as SVG on a background such as `#14181d`.
#[must_use]
pub fn svg(buffer: &Buffer, background: &str) -> String {
    let mut out = String::new();
    // Writing to a string cannot fail.
    let _ = write(&mut out, buffer, background);
    out
}

fn write(out: &mut String, buffer: &Buffer, background: &str) -> std::fmt::Result {
    let area = buffer.area;
    let (width, height) = (area.width * CELL.0, area.height * CELL.1);
    write!(
        out,
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" \
         font-family=\"monospace\" font-size=\"13\">\n\
         <rect width=\"{width}\" height=\"{height}\" fill=\"{background}\"/>\n"
    )?;
    for y in 0..area.height {
        let mut x = 0;
        while x < area.width {
            let look = look(&buffer[(x, y)], background);
            let mut text = String::new();
            let from = x;
            while x < area.width && self::look(&buffer[(x, y)], background) == look {
                let symbol = buffer[(x, y)].symbol();
                text.push_str(symbol);
                // The cell behind a wide character belongs to it.
                x += u16::try_from(symbol.width().max(1)).unwrap_or(1);
            }
            run(out, (from, y), x - from, &text, &look)?;
        }
    }
    out.push_str("</svg>\n");
    Ok(())
}

/// Style of a cell.
#[derive(PartialEq)]
struct Look {
    front: String,
    /// Background, if it is not the screen's.
    behind: Option<String>,
    bold: bool,
    underlined: bool,
}

fn look(cell: &Cell, background: &str) -> Look {
    let front = colour(cell.fg, background);
    let behind = (cell.bg != Color::Reset).then(|| colour(cell.bg, background));
    let (front, behind) = if cell.modifier.contains(Modifier::REVERSED) {
        (behind.unwrap_or_else(|| background.to_owned()), Some(front))
    } else {
        (front, behind)
    };
    Look {
        front,
        behind,
        bold: cell.modifier.contains(Modifier::BOLD),
        underlined: cell.modifier.contains(Modifier::UNDERLINED),
    }
}

fn run(
    out: &mut String,
    (x, y): (u16, u16),
    cells: u16,
    text: &str,
    look: &Look,
) -> std::fmt::Result {
    let (left, top) = (x * CELL.0, y * CELL.1);
    if let Some(behind) = &look.behind {
        let (width, height) = (cells * CELL.0, CELL.1);
        writeln!(
            out,
            "<rect x=\"{left}\" y=\"{top}\" width=\"{width}\" height=\"{height}\" \
             fill=\"{behind}\"/>"
        )?;
    }
    let text = text.trim_end();
    if text.is_empty() {
        return Ok(());
    }
    let length = u16::try_from(text.width()).unwrap_or(u16::MAX) * CELL.0;
    let text = text
        .replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;");
    let mut more = String::new();
    if look.bold {
        more.push_str(" font-weight=\"bold\"");
    }
    if look.underlined {
        more.push_str(" text-decoration=\"underline\"");
    }
    writeln!(
        out,
        "<text x=\"{left}\" y=\"{}\" fill=\"{}\"{more} textLength=\"{length}\" \
         xml:space=\"preserve\">{text}</text>",
        top + 13,
        look.front
    )
}

/// A colour of the terminal's palette, as in most terminals.
fn colour(colour: Color, background: &str) -> String {
    let plain = match colour {
        Color::Rgb(r, g, b) => return format!("#{r:02x}{g:02x}{b:02x}"),
        Color::Indexed(index) => {
            let anstyle::RgbColor(r, g, b) =
                anstyle_lossy::xterm_to_rgb(index.into(), anstyle_lossy::palette::VGA);
            return format!("#{r:02x}{g:02x}{b:02x}");
        }
        Color::Black => background,
        Color::Red | Color::LightRed => "#ff5f5f",
        Color::Green | Color::LightGreen => "#87d787",
        Color::Yellow | Color::LightYellow => "#ffd75f",
        Color::Blue | Color::LightBlue => "#5fafff",
        Color::Magenta | Color::LightMagenta => "#d787d7",
        Color::Cyan | Color::LightCyan => "#5fd7d7",
        Color::DarkGray => "#808890",
        Color::White => "#ffffff",
        Color::Gray | Color::Reset => "#d0d4d8",
    };
    plain.to_owned()
}

#[cfg(test)]
mod tests {
    use ratatui::layout::Rect;
    use ratatui::style::Style;

    use super::*;

    #[test]
    fn text_is_escaped_and_reverse_is_a_box() {
        let mut buffer = Buffer::empty(Rect::new(0, 0, 8, 1));
        buffer.set_string(0, 0, "<a>", Style::new().fg(Color::Rgb(1, 2, 3)));
        buffer.set_string(
            4,
            0,
            "日x",
            Style::new().add_modifier(Modifier::REVERSED | Modifier::BOLD),
        );
        let picture = svg(&buffer, "#000000");
        assert!(picture.contains(
            "fill=\"#010203\" textLength=\"24\" xml:space=\"preserve\">&lt;a&gt;</text>"
        ));
        assert!(
            picture
                .contains("<rect x=\"32\" y=\"0\" width=\"24\" height=\"17\" fill=\"#d0d4d8\"/>")
        );
        assert!(picture.contains("fill=\"#000000\" font-weight=\"bold\" textLength=\"24\" xml:space=\"preserve\">日x<"), "{picture}");
    }
}
