//! The reasons of a finding, a line each, and which of them it keeps: by weight and kind, not by order of
//! arrival, so that a scan or a loop leaves room for later actions.

/// Maximum number of lines.
pub(super) const MAX_LINES: usize = 40;
/// Number of lines above which only weighty ones are added.
const MAX_LESSER: usize = 28;
/// Maximum number of lesser lines of a kind.
const MAX_ALIKE: usize = 8;
/// Maximum number of weighty lines of a kind.
const MAX_WEIGHTY_ALIKE: usize = 16;

/// An action of a finding's processes, as a line of text.
#[derive(Debug)]
pub(crate) struct ReasonLine {
    text: String,
    /// Length of the beginning of `text` that lines of its kind share; 0: it is of no kind.
    kind: usize,
    weighty: bool,
    restates: bool,
}

impl ReasonLine {
    /// A verb and its object: lines with the same verb are alike.
    #[must_use]
    pub(crate) fn of(verb: &str, object: impl std::fmt::Display) -> Self {
        Self {
            text: format!("{verb} {object}"),
            kind: verb.len(),
            weighty: false,
            restates: false,
        }
    }

    /// A verb and a command line: commands of the same program are alike.
    #[must_use]
    pub(crate) fn command(verb: &str, command: &str) -> Self {
        let program = command.split(' ').next().unwrap_or_default();
        Self {
            kind: verb.len() + 1 + program.len(),
            ..Self::of(verb, command)
        }
    }

    /// A line of no kind.
    #[must_use]
    pub(crate) fn single(text: String) -> Self {
        Self {
            text,
            kind: 0,
            weighty: false,
            restates: false,
        }
    }

    /// A weighty line has room where a lesser one has none.
    #[must_use]
    pub(crate) fn weighty(self, weighty: bool) -> Self {
        Self { weighty, ..self }
    }

    /// The line replaces an earlier one with the same beginning, of `kind` bytes.
    #[must_use]
    pub(super) fn restates(self, kind: usize) -> Self {
        Self {
            kind,
            restates: true,
            ..self
        }
    }

    /// Whether one of `lines` is this one.
    pub(super) fn is_among(&self, lines: &[String]) -> bool {
        lines.contains(&self.text)
    }

    /// Adds the line to `lines`, which do not have it.
    pub(super) fn add_to(self, lines: &mut Vec<String>) -> Added {
        if self.restates
            && let Some(known) = lines.iter_mut().find(|known| self.is_like(known))
        {
            *known = self.text;
            return Added::Restated;
        }
        let (most, most_alike) = match self.weighty {
            true => (MAX_LINES, MAX_WEIGHTY_ALIKE),
            false => (MAX_LESSER, MAX_ALIKE),
        };
        let alike = lines.iter().filter(|known| self.is_like(known)).count();
        if lines.len() >= most || alike >= most_alike {
            return Added::NoRoom;
        }
        lines.push(self.text);
        Added::New
    }

    fn is_like(&self, known: &str) -> bool {
        let kind = self.text.as_bytes().get(..self.kind).unwrap_or_default();
        let rest = known.as_bytes().strip_prefix(kind);
        self.kind > 0 && rest.is_some_and(|rest| matches!(rest.first(), None | Some(b' ')))
    }
}

/// The result of adding a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Added {
    /// The line was added.
    New,
    /// The line replaced an earlier one.
    Restated,
    /// There was no room for a line of its kind and weight.
    NoRoom,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_lines_of_one_kind_leave_room_for_others() {
        let mut lines = Vec::new();
        let mut left_out = 0;
        for port in 0..100 {
            let line = ReasonLine::of("tried to connect to", format!("10.0.0.5:{port}"));
            left_out += usize::from(line.add_to(&mut lines) == Added::NoRoom);
        }
        for port in 0..100 {
            let line = ReasonLine::command("ran:", &format!("nc -w 1 10.0.0.5 {port}"));
            left_out += usize::from(line.add_to(&mut lines) == Added::NoRoom);
        }
        assert_eq!(
            (lines.len(), left_out),
            (2 * MAX_ALIKE, 200 - 2 * MAX_ALIKE)
        );
        let other = ReasonLine::command("ran:", "ncat -l 80");
        assert_eq!(other.add_to(&mut lines), Added::New);
        for n in 0..100 {
            ReasonLine::command("ran:", &format!("tool{n}")).add_to(&mut lines);
        }
        assert_eq!(lines.len(), MAX_LESSER);
        let cron = ReasonLine::of("changed", "/etc/cron.d/x");
        assert_eq!(cron.add_to(&mut lines), Added::NoRoom);
        let cron = || ReasonLine::of("changed", "/etc/cron.d/x").weighty(true);
        assert_eq!(cron().add_to(&mut lines), Added::New);
        assert!(cron().is_among(&lines));
        for n in 0..100 {
            ReasonLine::single(format!("then: {n}"))
                .weighty(true)
                .add_to(&mut lines);
        }
        assert_eq!(lines.len(), MAX_LINES);
    }

    #[test]
    fn a_sum_replaces_the_one_before() {
        let mut lines = Vec::new();
        for ports in 24..60 {
            let line = ReasonLine::single(format!("then: Scanned {ports} ports of 3 hosts"));
            line.restates("then: Scanned".len()).add_to(&mut lines);
        }
        assert_eq!(lines, ["then: Scanned 59 ports of 3 hosts"]);
    }
}
