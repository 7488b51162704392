//! Notices changes of the link to another host: for the first line, and for a message.

use crate::link::{LinkBoard, LinkState};

/// The link, and what of it was shown.
#[derive(Debug)]
pub(super) struct LinkWatch {
    pub(super) board: LinkBoard,
    /// Seconds without it, as the last frame showed them.
    shown: Option<u64>,
    /// The state of the last message.
    told: LinkState,
}

impl LinkWatch {
    pub(super) fn new(board: LinkBoard) -> Self {
        Self {
            board,
            shown: None,
            told: LinkState::Up,
        }
    }

    fn seconds(&self) -> Option<u64> {
        self.board.lost_for().map(|lost| lost.as_secs())
    }

    /// Whether the last frame showed another state.
    pub(super) fn is_news(&self) -> bool {
        self.shown != self.seconds()
    }

    /// A frame was drawn.
    pub(super) fn shown(&mut self) {
        self.shown = self.seconds();
    }

    /// The message about a change, once.
    pub(super) fn message(&mut self) -> Option<String> {
        let state = self.board.state();
        if state == self.told {
            return None;
        }
        let host = self.board.name();
        let message = match &state {
            LinkState::Up => Some(format!("the link to {host} is there again")),
            LinkState::Ended(why) => Some(format!(
                "the link to {host} has ended: {why}; what arrived stays on the screen"
            )),
            // The last line has the reason for as long as it lasts.
            LinkState::Lost(..) => None,
        };
        self.told = state;
        message
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tui::status::{Shown, Status};

    #[test]
    fn a_change_of_the_link_is_drawn_and_told_once() {
        let board = LinkBoard::new("ann@box", false);
        let mut link = LinkWatch::new(board.clone());
        assert!(!link.is_news() && link.message().is_none());
        let live = Status {
            doing: "\u{25cf} REC".to_owned(),
            ..Status::default()
        };
        let status = live.clone().with_link(&board);
        assert_eq!(
            (status.time, status.trouble, &*status.doing),
            (Shown::Live, None, "")
        );
        assert_eq!(status.engine, "ssh ann@box");

        board.lost("Broken pipe".to_owned());
        assert!(link.is_news() && link.message().is_none());
        link.shown();
        assert!(!link.is_news());
        let status = live.clone().with_link(&board);
        assert_eq!(
            (status.time, &*status.mode),
            (Shown::Paused, "BEHIND 00:00")
        );
        let (what, why) = status.trouble.unwrap();
        assert_eq!((what, &*why), ("LINK LOST", "trying again (Broken pipe)"));

        board.up();
        assert!(link.is_news());
        assert_eq!(
            link.message().unwrap(),
            "the link to ann@box is there again"
        );
        board.ended("gone".to_owned());
        assert!(link.message().unwrap().contains("has ended: gone"));
        assert!(link.message().is_none());
        assert_eq!(live.with_link(&board).trouble.unwrap().0, "LINK ENDED");
    }
}
