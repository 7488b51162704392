//! Measures a theme: contrast with its background, and the distance of severities, also for
//! colour-blind people.

use palette::color_difference::{EuclideanDistance as _, Wcag21RelativeContrast as _};
use palette::{IntoColor as _, Lab, LinSrgb, Srgb};
use ratatui::style::Color;

use super::{Theme, Token};

/// Contrast that text needs (WCAG 2.1, AA).
pub const CONTRAST: f32 = 4.5;
/// Contrast that lines and charts need (WCAG 2.1, AA).
pub const GRAPHICS: f32 = 3.0;
/// Distance (ΔE, CIE76) that severities need.
pub const DISTANCE: f32 = 20.0;

/// Contrast of one token.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Contrast {
    /// The token.
    pub token: Token,
    /// Measured value.
    pub ratio: f32,
    /// Required value.
    pub needs: f32,
}

/// The distance of two severities.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Distance {
    /// One.
    pub one: Token,
    /// The other.
    pub other: Token,
    /// The kind of vision.
    pub vision: &'static str,
    /// ΔE, CIE76.
    pub delta: f32,
}

/// The measurements.
#[derive(Debug, Clone, PartialEq)]
pub struct ThemeReport {
    /// Every token with a colour of its own, the worst first.
    pub contrast: Vec<Contrast>,
    /// The closest severities, for each vision.
    pub closest: Vec<Distance>,
    /// Tokens whose colour the terminal chooses: these cannot be measured.
    pub unknown: Vec<Token>,
}

impl ThemeReport {
    /// Whether all measurements suffice.
    #[must_use]
    pub fn good(&self) -> bool {
        self.contrast.iter().all(|c| c.ratio >= c.needs)
            && self.closest.iter().all(|d| d.delta >= DISTANCE)
    }
}

/// Severities that are next to each other in a list.
const APART: &[Token] = &[
    Token::Critical,
    Token::High,
    Token::Medium,
    Token::Low,
    Token::Ok,
];

type Matrix = [[f32; 3]; 3];

/// Kinds of vision, on linear RGB. Machado, Oliveira and Fernandes 2009, severity 1.0.
const VISIONS: &[(&str, Matrix)] = &[
    (
        "normal",
        [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]],
    ),
    (
        "protanopia",
        [
            [0.152_286, 1.052_583, -0.204_868],
            [0.114_503, 0.786_281, 0.099_216],
            [-0.003_882, -0.048_116, 1.051_998],
        ],
    ),
    (
        "deuteranopia",
        [
            [0.367_322, 0.860_646, -0.227_968],
            [0.280_085, 0.672_501, 0.047_413],
            [-0.011_820, 0.042_940, 0.968_881],
        ],
    ),
    (
        "tritanopia",
        [
            [1.255_528, -0.076_749, -0.178_779],
            [-0.078_411, 0.930_809, 0.147_602],
            [0.004_733, 0.691_367, 0.303_900],
        ],
    ),
];

/// Measures a theme as it looks with all colours.
#[must_use]
pub fn check(theme: &Theme) -> ThemeReport {
    let ground = theme.background.and_then(rgb);
    let mut contrast = Vec::new();
    let mut unknown = Vec::new();
    for token in Token::ALL {
        let style = theme.style(*token);
        let front = style.fg.map(rgb);
        let behind = style.bg.map_or(ground, rgb);
        match (front, behind) {
            // It looks like the terminal's own text.
            (None, _) if style.bg.is_none() => {}
            (Some(Some(front)), Some(behind)) => contrast.push(Contrast {
                token: *token,
                ratio: front.relative_contrast(behind),
                needs: match token {
                    Token::Border | Token::Spark => GRAPHICS,
                    _ => CONTRAST,
                },
            }),
            _ => unknown.push(*token),
        }
    }
    contrast.sort_by(|a, b| (a.ratio / a.needs).total_cmp(&(b.ratio / b.needs)));
    let seen: Vec<(Token, Srgb)> = APART
        .iter()
        .filter_map(|token| Some((*token, theme.style(*token).fg.and_then(rgb)?)))
        .collect();
    let closest = VISIONS
        .iter()
        .filter_map(|(vision, matrix)| {
            let pairs = seen.iter().enumerate().flat_map(|(i, one)| {
                seen[i + 1..].iter().map(move |other| Distance {
                    one: one.0,
                    other: other.0,
                    vision,
                    delta: lab(one.1, matrix).distance(lab(other.1, matrix)),
                })
            });
            pairs.min_by(|a, b| a.delta.total_cmp(&b.delta))
        })
        .collect();
    ThemeReport {
        contrast,
        closest,
        unknown,
    }
}

/// The colour as this vision sees it.
fn lab(colour: Srgb, matrix: &Matrix) -> Lab {
    let LinSrgb {
        red, green, blue, ..
    } = colour.into_linear();
    let row = |row: &[f32; 3]| (row[0] * red + row[1] * green + row[2] * blue).clamp(0.0, 1.0);
    LinSrgb::new(row(&matrix[0]), row(&matrix[1]), row(&matrix[2])).into_color()
}

/// The colour, where it is the same on every terminal.
fn rgb(colour: Color) -> Option<Srgb> {
    let of = |r, g, b| Some(Srgb::<u8>::new(r, g, b).into_format());
    match colour {
        Color::Rgb(r, g, b) => of(r, g, b),
        Color::Indexed(index) if index >= 16 => {
            let anstyle::RgbColor(r, g, b) =
                anstyle_lossy::xterm_to_rgb(index.into(), anstyle_lossy::palette::VGA);
            of(r, g, b)
        }
        _ => None,
    }
}
