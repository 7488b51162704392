//! Parses terminal input into events: keys, mouse, pasted text. Replies of the terminal are
//! ignored.
//!
//! hullwatch reads its terminal itself: crossterm's reader never comes back when the terminal
//! goes while it reads.

use std::time::Duration;

use crossterm::event::{
    Event, KeyCode, KeyEvent, KeyModifiers, MouseButton, MouseEvent, MouseEventKind,
};

/// Maximum length of a sequence.
const LONGEST: usize = 256;
/// Pasted text is kept up to this many bytes.
const LONGEST_PASTE: usize = 16 << 10;
/// Begin and end of pasted text, if the terminal marks it.
const PASTE: &[u8] = b"\x1b[200~";
const PASTE_END: &[u8] = b"\x1b[201~";

/// Time limit for the rest of a sequence after an escape byte. A line of 9600 baud transfers a byte
/// each millisecond.
const SETTLE: Duration = Duration::from_millis(8);
/// The same once more of a sequence has arrived: a key alone it can hardly be, and what follows later
/// would be typed, such as the `A` of an arrow key.
const SETTLE_SEQUENCE: Duration = Duration::from_millis(250);
/// Time after which an incomplete paste counts as complete.
const SETTLE_PASTE: Duration = Duration::from_secs(1);

/// Bytes of an incomplete sequence.
#[derive(Debug, Default)]
pub(super) struct Input {
    pending: Vec<u8>,
    /// Pasted text whose end has not arrived yet.
    pasted: Option<Vec<u8>>,
}

/// Result of parsing the first bytes.
enum Found {
    /// This many bytes are an event.
    Event(usize, Event),
    /// This many bytes begin pasted text.
    Paste(usize),
    /// This many bytes mean nothing.
    Nothing(usize),
    /// More bytes are needed.
    Part,
}

impl Input {
    /// Adds received bytes; returns the complete events.
    pub(super) fn take(&mut self, bytes: &[u8], events: &mut Vec<Event>) {
        self.pending.extend_from_slice(bytes);
        loop {
            if self.pasted.is_some() && !self.paste(events) {
                return;
            }
            let used = match find(&self.pending) {
                Found::Event(used, event) => {
                    events.push(event);
                    used
                }
                Found::Paste(used) => {
                    self.pasted = Some(Vec::new());
                    used
                }
                Found::Nothing(used) => used,
                Found::Part if self.pending.len() > LONGEST => self.pending.len(),
                Found::Part => return,
            };
            self.pending.drain(..used);
            if self.pending.is_empty() {
                return;
            }
        }
    }

    /// Takes pending bytes as pasted text; true when its end was among them.
    fn paste(&mut self, events: &mut Vec<Event>) -> bool {
        let Some(pasted) = &mut self.pasted else {
            return false;
        };
        let end = self
            .pending
            .windows(PASTE_END.len())
            .position(|window| window == PASTE_END);
        // The end may have arrived in part.
        let whole = self.pending.len();
        let partly = (1..PASTE_END.len())
            .rev()
            .find(|part| self.pending.ends_with(&PASTE_END[..*part]));
        let text = end.unwrap_or(whole - partly.unwrap_or(0));
        let room = LONGEST_PASTE.saturating_sub(pasted.len());
        pasted.extend_from_slice(&self.pending[..text.min(room)]);
        self.pending
            .drain(..text + end.map_or(0, |_| PASTE_END.len()));
        if end.is_some() {
            self.pasted_whole(events);
        }
        end.is_some() && !self.pending.is_empty()
    }

    fn pasted_whole(&mut self, events: &mut Vec<Event>) {
        if let Some(pasted) = self.pasted.take() {
            let text = String::from_utf8_lossy(&pasted).into_owned();
            events.push(Event::Paste(text));
        }
    }

    /// Time to wait for the rest of an incomplete sequence, if there is one: an escape byte alone
    /// is the Esc key only when nothing follows.
    pub(super) fn waits(&self) -> Option<Duration> {
        if self.pasted.is_some() {
            return Some(SETTLE_PASTE);
        }
        match self.pending.as_slice() {
            [] => None,
            [0x1b, _, ..] => Some(SETTLE_SEQUENCE),
            _ => Some(SETTLE),
        }
    }

    /// Nothing followed.
    pub(super) fn settle(&mut self, events: &mut Vec<Event>) {
        if self.pasted.is_some() {
            self.pasted_whole(events);
            self.pending.clear();
            return;
        }
        match self.pending.as_slice() {
            [] => {}
            [0x1b] => events.push(key(KeyCode::Esc, KeyModifiers::NONE)),
            [0x1b, c @ (b'[' | b'O')] => {
                events.push(key(KeyCode::Char(char::from(*c)), KeyModifiers::ALT));
            }
            _ => {}
        }
        self.pending.clear();
    }
}

fn key(code: KeyCode, modifiers: KeyModifiers) -> Event {
    Event::Key(KeyEvent::new(code, modifiers))
}

fn find(bytes: &[u8]) -> Found {
    match bytes {
        [] => Found::Part,
        [0x1b] => Found::Part,
        _ if bytes.starts_with(PASTE) => Found::Paste(PASTE.len()),
        [0x1b, b'[', rest @ ..] => csi(rest),
        [0x1b, b'O'] => Found::Part,
        [0x1b, b'O', last, ..] => match named(*last) {
            Some(code) => Found::Event(3, key(code, KeyModifiers::NONE)),
            None => Found::Nothing(3),
        },
        [0x1b, b']' | b'P' | b'_' | b'^', rest @ ..] => string(rest),
        [0x1b, 0x1b, ..] => Found::Event(1, key(KeyCode::Esc, KeyModifiers::NONE)),
        [0x1b, rest @ ..] => match plain(rest) {
            Found::Event(used, Event::Key(typed)) => Found::Event(
                used + 1,
                key(typed.code, typed.modifiers | KeyModifiers::ALT),
            ),
            Found::Event(used, _) | Found::Nothing(used) | Found::Paste(used) => {
                Found::Nothing(used + 1)
            }
            Found::Part => Found::Part,
        },
        _ => plain(bytes),
    }
}

/// A byte or a character.
fn plain(bytes: &[u8]) -> Found {
    let Some(first) = bytes.first() else {
        return Found::Part;
    };
    let none = KeyModifiers::NONE;
    let (code, modifiers) = match first {
        b'\r' | b'\n' => (KeyCode::Enter, none),
        b'\t' => (KeyCode::Tab, none),
        0x7f | 0x08 => (KeyCode::Backspace, none),
        0 => (KeyCode::Char(' '), KeyModifiers::CONTROL),
        1..=26 => (
            KeyCode::Char(char::from(first - 1 + b'a')),
            KeyModifiers::CONTROL,
        ),
        0x1c..=0x1f => (
            KeyCode::Char(char::from(first - 0x1c + b'4')),
            KeyModifiers::CONTROL,
        ),
        b' '..=b'~' => (KeyCode::Char(char::from(*first)), none),
        _ => return character(bytes),
    };
    Found::Event(1, key(code, modifiers))
}

fn character(bytes: &[u8]) -> Found {
    let length = match bytes[0] {
        0xc2..=0xdf => 2,
        0xe0..=0xef => 3,
        0xf0..=0xf4 => 4,
        _ => return Found::Nothing(1),
    };
    let Some(whole) = bytes.get(..length) else {
        return Found::Part;
    };
    match std::str::from_utf8(whole)
        .ok()
        .and_then(|s| s.chars().next())
    {
        Some(c) => Found::Event(length, key(KeyCode::Char(c), KeyModifiers::NONE)),
        None => Found::Nothing(1),
    }
}

/// A reply that ends with BEL or ST.
fn string(rest: &[u8]) -> Found {
    let end = rest.iter().enumerate().find_map(|(at, byte)| match byte {
        0x07 => Some(at + 1),
        b'\\' if at > 0 && rest[at - 1] == 0x1b => Some(at + 1),
        _ => None,
    });
    end.map_or(Found::Part, |end| Found::Nothing(end + 2))
}

/// Parses the rest after `ESC [`.
fn csi(rest: &[u8]) -> Found {
    let Some(end) = rest.iter().position(|b| !matches!(b, 0x20..=0x3f)) else {
        return Found::Part;
    };
    // A byte that cannot be in such a sequence ends it, whatever may follow.
    if !matches!(rest[end], 0x40..=0x7e) {
        return Found::Nothing(end + 2);
    }
    // The Linux console's F1 to F5 are `ESC [ [ A` and so on.
    if rest[0] == b'[' {
        return match rest.get(1) {
            None => Found::Part,
            Some(last @ b'A'..=b'E') => {
                Found::Event(4, key(KeyCode::F(last - b'A' + 1), KeyModifiers::NONE))
            }
            Some(_) => Found::Nothing(4),
        };
    }
    let used = end + 3;
    let last = rest[end];
    let Ok(text) = std::str::from_utf8(&rest[..end]) else {
        return Found::Nothing(used);
    };
    if let Some(text) = text.strip_prefix('<') {
        return match mouse(text, last) {
            Some(mouse) => Found::Event(used, Event::Mouse(mouse)),
            None => Found::Nothing(used),
        };
    }
    let numbers: Vec<u16> = text.split(';').map(|n| n.parse().unwrap_or(0)).collect();
    let modifiers = modifiers(numbers.get(1).copied().unwrap_or(1));
    let code = match (last, numbers[0]) {
        (b'~', number) => tilde(number),
        (b'Z', _) => Some(KeyCode::BackTab),
        // `I` and `O`: the window got or lost the focus, which was not requested. A larger number
        // with `R` is a reply: the cursor position.
        (b'A'..=b'H' | b'P'..=b'S', 0 | 1) => named(last),
        _ => None,
    };
    match code {
        Some(code) => Found::Event(used, key(code, modifiers)),
        None => Found::Nothing(used),
    }
}

fn named(last: u8) -> Option<KeyCode> {
    Some(match last {
        b'A' => KeyCode::Up,
        b'B' => KeyCode::Down,
        b'C' => KeyCode::Right,
        b'D' => KeyCode::Left,
        b'H' => KeyCode::Home,
        b'F' => KeyCode::End,
        b'M' => KeyCode::Enter,
        b'P'..=b'S' => KeyCode::F(last - b'P' + 1),
        _ => return None,
    })
}

fn tilde(number: u16) -> Option<KeyCode> {
    let function = |n: u16| u8::try_from(n).ok().map(KeyCode::F);
    match number {
        1 | 7 => Some(KeyCode::Home),
        2 => Some(KeyCode::Insert),
        3 => Some(KeyCode::Delete),
        4 | 8 => Some(KeyCode::End),
        5 => Some(KeyCode::PageUp),
        6 => Some(KeyCode::PageDown),
        11..=15 => function(number - 10),
        17..=21 => function(number - 11),
        23..=26 => function(number - 12),
        _ => None,
    }
}

fn modifiers(number: u16) -> KeyModifiers {
    let bits = number.saturating_sub(1);
    let mut modifiers = KeyModifiers::NONE;
    for (bit, modifier) in [
        (1, KeyModifiers::SHIFT),
        (2, KeyModifiers::ALT),
        (4, KeyModifiers::CONTROL),
    ] {
        if bits & bit != 0 {
            modifiers |= modifier;
        }
    }
    modifiers
}

/// Parses the rest after `ESC [ <`: clicks and the wheel.
fn mouse(text: &str, last: u8) -> Option<MouseEvent> {
    let mut numbers = text.split(';').map(|n| n.parse::<u16>().ok());
    let (button, x, y) = (numbers.next()??, numbers.next()??, numbers.next()??);
    let which = match button & 3 {
        0 => MouseButton::Left,
        1 => MouseButton::Middle,
        _ => MouseButton::Right,
    };
    let kind = match button {
        64 => MouseEventKind::ScrollUp,
        65 => MouseEventKind::ScrollDown,
        _ if button & 0x60 != 0 => return None,
        _ if last == b'M' => MouseEventKind::Down(which),
        _ => MouseEventKind::Up(which),
    };
    Some(MouseEvent {
        kind,
        column: x.saturating_sub(1),
        row: y.saturating_sub(1),
        modifiers: KeyModifiers::NONE,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn all(bytes: &[u8]) -> Vec<Event> {
        let (mut input, mut events) = (Input::default(), Vec::new());
        input.take(bytes, &mut events);
        input.settle(&mut events);
        events
    }

    fn codes(bytes: &[u8]) -> Vec<KeyCode> {
        let events = all(bytes).into_iter();
        events
            .filter_map(|e| e.as_key_event().map(|k| k.code))
            .collect()
    }

    #[test]
    fn keys_are_what_terminals_send_for_them() {
        use KeyCode::*;
        assert_eq!(codes(b"jG"), [Char('j'), Char('G')]);
        assert_eq!(
            codes(b"\x1b[A\x1bOB\x1b[5~\x1b[H"),
            [Up, Down, PageUp, Home]
        );
        assert_eq!(
            codes(b"\x1b[[A\x1bOQ\x1b[15~\x1b[24~"),
            [F(1), F(2), F(5), F(12)]
        );
        assert_eq!(codes(b"\r\t\x1b[Z\x7f"), [Enter, Tab, BackTab, Backspace]);
        assert_eq!(codes("é日".as_bytes()), [Char('é'), Char('日')]);
        assert_eq!(codes(b"\x1b"), [Esc]);
        assert_eq!(codes(b"\x1b\x1bj"), [Esc, Char('j')]);
        let control = all(b"\x03\x1b[1;5C");
        assert_eq!(control[0], key(Char('c'), KeyModifiers::CONTROL));
        assert_eq!(control[1], key(Right, KeyModifiers::CONTROL));
        assert_eq!(all(b"\x1bx"), [key(Char('x'), KeyModifiers::ALT)]);
    }

    #[test]
    fn answers_are_no_keys() {
        assert_eq!(
            codes(b"\x1b]11;rgb:0000/0000/0000\x1b\\j"),
            [KeyCode::Char('j')]
        );
        assert_eq!(
            codes(b"\x1b]11;rgb:0/0/0\x07\x1b[12;40R\x1b[?62;1ck"),
            [KeyCode::Char('k')]
        );
        assert_eq!(codes(b"\x1bP1$r0m\x1b\\\x1b[Ik"), [KeyCode::Char('k')]);
    }

    #[test]
    fn pasted_text_is_no_keys_wherever_it_is_cut() {
        let bytes = b"j\x1b[200~a docker\n\x1b[A\x1b[20q\x1b[201~k";
        let text = "a docker\n\x1b[A\x1b[20q".to_owned();
        let plain = |c| key(KeyCode::Char(c), KeyModifiers::NONE);
        let expected = [plain('j'), Event::Paste(text), plain('k')];
        for at in 0..bytes.len() {
            let (mut input, mut events) = (Input::default(), Vec::new());
            input.take(&bytes[..at], &mut events);
            input.take(&bytes[at..], &mut events);
            assert!(input.waits().is_none());
            assert_eq!(events, expected, "{at}");
        }
        // Its end never arrives: the received text is pasted, and keys are keys again.
        let (mut input, mut events) = (Input::default(), Vec::new());
        input.take(b"\x1b[200~ab", &mut events);
        assert!(events.is_empty() && input.waits() > Some(SETTLE));
        input.settle(&mut events);
        input.take(b"q", &mut events);
        assert_eq!(events, [Event::Paste("ab".to_owned()), plain('q')]);
    }

    /// Packets of a bad link arrive a while after each other.
    #[test]
    fn a_sequence_that_has_begun_is_waited_for() {
        let (mut input, mut events) = (Input::default(), Vec::new());
        input.take(b"\x1b", &mut events);
        assert_eq!(
            input.waits(),
            Some(SETTLE),
            "the Esc key is answered at once"
        );
        for part in [&b"["[..], b"<0;", b"12;"] {
            input.take(part, &mut events);
            assert_eq!(input.waits(), Some(SETTLE_SEQUENCE));
        }
        input.take(b"7M", &mut events);
        assert!(input.waits().is_none());
        assert!(matches!(events[..], [Event::Mouse(_)]), "{events:?}");
    }

    #[test]
    fn clicks_and_the_wheel_are_events() {
        let seen = all(b"\x1b[<0;5;3M\x1b[<0;5;3m\x1b[<65;1;1M\x1b[<35;1;1M");
        assert_eq!(seen.len(), 3, "motion is none");
        let Event::Mouse(click) = &seen[0] else {
            panic!("{seen:?}")
        };
        assert_eq!((click.column, click.row), (4, 2));
    }

    #[test]
    fn a_byte_that_does_not_belong_ends_a_sequence_wherever_it_is_cut() {
        let bytes = b"\x1b[\0\x7f@";
        for at in 0..bytes.len() {
            let (mut input, mut events) = (Input::default(), Vec::new());
            input.take(&bytes[..at], &mut events);
            input.take(&bytes[at..], &mut events);
            input.settle(&mut events);
            assert_eq!(events, all(bytes), "{at}");
        }
    }

    proptest! {
        /// However a slow line cuts them, the same keys arrive; no bytes make it panic.
        #[test]
        fn where_it_is_cut_changes_nothing(bytes in prop::collection::vec(any::<u8>(), 0..64), at in 0_usize..64) {
            let at = at.min(bytes.len());
            let (mut input, mut events) = (Input::default(), Vec::new());
            input.take(&bytes[..at], &mut events);
            input.take(&bytes[at..], &mut events);
            input.settle(&mut events);
            prop_assert_eq!(events, all(&bytes));
        }
    }
}
