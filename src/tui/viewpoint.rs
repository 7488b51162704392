//! The host and the time that are shown: the present of this host, its recent past, or a recording.
//! This type owns all three; other code queries it.

use std::path::Path;
use std::time::Duration;

use super::action::Action;
use super::link_watch::LinkWatch;
use super::recorder_stall::RecorderStall;
use super::source::Source;
use super::status::{Shown, Status};
use super::time_travel::{self, Goal, Went};
use super::timeline::{Timeline, TimelineScope};
use super::ui::SourceKind;
use super::zone::Zone;
use crate::core::Core;
use crate::detect::FindingId;
use crate::event::{Timestamp, escape};
use crate::link::LinkBoard;
use crate::machine::MachineFacts;
use crate::memory::MemoryBudget;
use crate::recording::{Player, RecordingError, RecordingSummary};

/// The source and the time that are shown.
#[derive(Debug)]
pub(super) struct Viewpoint {
    source: Source,
    kind: SourceKind,
    /// A view other than the source's present.
    detour: Option<Detour>,
    /// A target to go to once the recording was read so far.
    bound: Option<Timestamp>,
    /// Go to the end of a recording once it was read.
    to_end: bool,
    /// Time since the recorder's last report.
    stall: RecorderStall,
    /// The link by which the recording arrives.
    link: Option<LinkWatch>,
}

/// A view other than the source's present; the source continues in the background.
#[derive(Debug)]
enum Detour {
    /// The recent past of the watched host.
    Past(Box<Player>),
    /// A recording that was opened.
    Opened(Box<Player>),
}

impl Detour {
    fn player(&self) -> &Player {
        match self {
            Self::Past(player) | Self::Opened(player) => player,
        }
    }

    fn player_mut(&mut self) -> &mut Player {
        match self {
            Self::Past(player) | Self::Opened(player) => player,
        }
    }
}

/// The result of opening a recording.
pub(super) enum Opened {
    /// It replaced the recording that was shown.
    Replaced,
    /// It is shown in addition to the source, which continues.
    Beside,
}

/// Goes to the end of a recording; returns the message.
fn to_the_end(player: &mut Player, zone: &Zone) -> String {
    let went = time_travel::go(player, Goal::End, zone);
    let went = went.unwrap_or_else(|error| Went::nowhere(error.to_string()));
    went.message.unwrap_or_default()
}

impl Viewpoint {
    pub(super) fn new(source: Source, kind: SourceKind) -> Self {
        Self {
            source,
            kind,
            detour: None,
            bound: None,
            to_end: false,
            stall: RecorderStall::default(),
            link: None,
        }
    }

    /// The recording arrives by this link.
    pub(super) fn arrives_by(&mut self, link: Option<LinkBoard>) {
        self.link = link.map(LinkWatch::new);
    }

    /// Goes to that moment once the recording was read so far.
    pub(super) fn go_when_read(&mut self, at: Option<Timestamp>) {
        self.bound = at;
    }

    /// The core that is shown.
    pub(super) fn kind(&self) -> SourceKind {
        match self.detour {
            Some(Detour::Opened(_)) => SourceKind::Recording,
            _ => self.kind,
        }
    }

    /// Whether the source's own present is shown, neither its past nor another recording.
    pub(super) fn is_present(&self) -> bool {
        self.detour.is_none()
    }

    /// The machine as recorded; `None` for this host.
    pub(super) fn recorded_machine(&self) -> Option<Option<MachineFacts>> {
        match (&self.detour, &self.source) {
            (Some(Detour::Opened(player)), _) => Some(player.header().machine.clone()),
            (_, Source::Replay(player)) => Some(player.header().machine.clone()),
            (_, Source::Attaching(..) | Source::Live(_)) => None,
        }
    }

    /// The source, whatever is shown.
    pub(super) fn source(&self) -> &Source {
        &self.source
    }

    /// Switches to watching once the probes are attached; true when that just happened.
    ///
    /// # Errors
    /// Why watching cannot begin.
    pub(super) fn attached(&mut self) -> Result<bool, String> {
        self.source.attached()
    }

    /// Ends the watch, and its recording if one runs; returns the outcome of the recording.
    pub(super) fn end(self) -> Option<Result<RecordingSummary, RecordingError>> {
        self.source.end()
    }

    /// Reads the core at the time that is shown.
    pub(super) fn with<T>(&self, read: impl FnOnce(&Core) -> T) -> T {
        match &self.detour {
            Some(detour) => read(detour.player().core()),
            None => self.source.with(read),
        }
    }

    /// The player that is shown; the present of this host has none.
    fn player(&self) -> Option<&Player> {
        match (&self.detour, &self.source) {
            (Some(detour), _) => Some(detour.player()),
            (None, Source::Replay(player)) => Some(player),
            (None, Source::Attaching(..) | Source::Live(_)) => None,
        }
    }

    /// The player that moves through time; for this host that of its recent past.
    fn player_to_move(&mut self) -> Option<&mut Player> {
        self.bound = None;
        self.to_end = false;
        if let (None, Source::Live(live)) = (&self.detour, &self.source) {
            self.detour = live.past().map(|past| Detour::Past(Box::new(past)));
        }
        match (&mut self.detour, &mut self.source) {
            (Some(detour), _) => Some(detour.player_mut()),
            (None, Source::Replay(player)) => Some(player),
            (None, Source::Attaching(..) | Source::Live(_)) => None,
        }
    }

    /// Whether it waits for the end of a recording to be read: the first line shows the progress.
    pub(super) fn waits(&self) -> bool {
        self.to_end
    }

    /// Whether the next frame may show another moment without any event.
    pub(super) fn plays(&self) -> bool {
        self.detour.is_some()
            || matches!(&self.source, Source::Replay(player) if !player.following())
    }

    /// The moment to save for another run of the program, unless it is the present.
    pub(super) fn kept_moment(&self) -> Option<Timestamp> {
        self.bound.or(match &self.source {
            Source::Replay(player) if !player.following() => Some(player.position()),
            _ => None,
        })
    }

    /// Whether the recorder's silence, or that of the link to it, differs from the last frame.
    pub(super) fn stall_is_news(&self) -> bool {
        self.stall.is_news() || self.link.as_ref().is_some_and(LinkWatch::is_news)
    }

    /// A frame is drawn.
    pub(super) fn frame_drawn(&mut self) {
        self.stall.shown();
        if let Some(link) = &mut self.link {
            link.shown();
        }
    }

    /// Advances the time while it plays; returns the message.
    pub(super) fn play(&mut self, elapsed: Duration, zone: &Zone) -> Option<String> {
        let mut message = None;
        if let Source::Replay(player) = &mut self.source {
            let followed = player.following();
            let heard = player.advance(elapsed) > 0;
            self.stall.hear(heard || !player.following(), elapsed);
            if let Some(at) = self.bound
                && player.span().1 >= at
            {
                self.bound = None;
                message = player.seek(at).err().map(|error| error.to_string());
            } else if followed && !player.following() {
                let whole = player.report().cut.is_none();
                message = Some(if whole {
                    "the recording has ended".to_owned()
                } else {
                    "the recording stopped: its recorder has ended".to_owned()
                });
            }
        }
        if let Source::Replay(player) = &mut self.source
            && self.to_end
            && player.indexing().is_none()
        {
            self.to_end = false;
            message = Some(to_the_end(player, zone));
        }
        let caught_up = self.detour.as_mut().is_some_and(|detour| {
            let player = detour.player_mut();
            if !player.playing() {
                return false;
            }
            player.advance(elapsed);
            // A recording that was opened just ends.
            !player.playing() && matches!(detour, Detour::Past(_))
        });
        if caught_up {
            self.detour = None;
        }
        // The link is the reason why the recording stopped.
        self.link.as_mut().and_then(LinkWatch::message).or(message)
    }

    /// Moves through time by an action, a typed argument, or to a finding; returns the message.
    pub(super) fn travel(
        &mut self,
        action: Action,
        argument: Option<&str>,
        subject: Option<FindingId>,
        zone: &Zone,
    ) -> Option<String> {
        let present = self.detour.is_none();
        let live = present && matches!(self.source, Source::Live(_));
        let Some(player) = self.player_to_move() else {
            return Some("watching has not begun".to_owned());
        };
        let done = match (action, argument) {
            (Action::Moment, Some(text)) => {
                match time_travel::goal(text, player.position(), player.span().1, zone) {
                    Ok(goal) => time_travel::go(player, goal, zone),
                    Err(error) => Ok(Went::nowhere(error)),
                }
            }
            (Action::Moment, None) => match subject {
                Some(id) => time_travel::go(player, Goal::Finding(id), zone),
                None => Ok(Went::default()),
            },
            // The past of this host begins paused at the present.
            (Action::Pause, _) if live => Ok(Went::there()),
            (action, _) => time_travel::travel(player, action, zone),
        };
        let went = done.unwrap_or_else(|error| Went::nowhere(error.to_string()));
        // A step that did not leave the present leaves it shown.
        if present && !went.moved {
            self.detour = None;
        }
        went.message
    }

    /// To the present of the source; to the end of a recording. Returns the message.
    pub(super) fn present(&mut self, zone: &Zone) -> Option<String> {
        self.detour = None;
        self.bound = None;
        let Source::Replay(player) = &mut self.source else {
            return None;
        };
        if player.follow() {
            return None;
        }
        // Its end is not known yet: the first line shows the progress of reading.
        self.to_end = player.indexing().is_some();
        if self.to_end {
            player.set_playing(false);
            return Some("the recording is being read: its end is shown once it is known".into());
        }
        Some(to_the_end(player, zone))
    }

    /// Plays a recording, with no more memory than `limit`; watching this host continues in the
    /// background.
    ///
    /// # Errors
    /// When it cannot be opened.
    pub(super) fn open(
        &mut self,
        path: &Path,
        limit: Option<MemoryBudget>,
    ) -> Result<Opened, RecordingError> {
        let mut player = Box::new(Player::open_within(path, limit)?);
        player.set_playing(true);
        match &mut self.source {
            Source::Replay(shown)
                if self.kind == SourceKind::Recording && self.detour.is_none() =>
            {
                *shown = player;
                Ok(Opened::Replaced)
            }
            _ => {
                self.detour = Some(Detour::Opened(player));
                Ok(Opened::Beside)
            }
        }
    }

    /// The content of the first line and the timeline. `timeline`: whether to show the timeline;
    /// `None`: while the past is shown. `of`: the containers of the timeline.
    pub(super) fn status(
        &self,
        timeline: Option<bool>,
        of: impl FnOnce(&Core) -> TimelineScope,
    ) -> Status {
        let mut status = self.source_status();
        if let (Some(link), SourceKind::Attached) = (&self.link, self.kind()) {
            status = status.with_link(&link.board);
        }
        status.present = match (&self.source, &self.detour) {
            _ if status.time == Shown::Live => None,
            // A recording has no present.
            (Source::Replay(player), None) if !player.growing() => {
                (!player.at_end()).then_some("end")
            }
            _ => Some("live"),
        };
        if let (None, Source::Replay(player)) = (&self.detour, &self.source)
            && let Some(percent) = player.indexing()
        {
            if self.to_end {
                status.mode = format!("indexing {percent} %");
            } else if player.following() {
                status.time = Shown::Replay;
                status.mode = format!("catching up {percent} %");
            }
        }
        if status.time == Shown::Live
            && let Some(stall) = self.stall.shown_as()
        {
            status.time = Shown::Paused;
            status.mode = format!("SILENT {stall}");
        }
        let player = self.player();
        let present = player.is_none_or(Player::following);
        if timeline.unwrap_or(!present) {
            let of = self.with(|core| of(core));
            let only = of.containers.as_ref();
            status.timeline = match (player, &self.source) {
                (Some(player), _) => {
                    let all = player.overview(only);
                    Some(Timeline::of(all, player.position(), of.name))
                }
                (None, Source::Live(live)) => live.overview(only).map(|all| {
                    let end = all.span.1;
                    Timeline::of(all, end, of.name)
                }),
                (None, _) => None,
            };
        }
        status
    }

    /// Host, engine, moment and background activity.
    fn source_status(&self) -> Status {
        let detour = self.detour.as_ref().map(Detour::player);
        match &self.source {
            Source::Attaching(..) => Status::attaching(),
            Source::Live(live) => Status::of_host(live, detour),
            Source::Replay(player) if player.growing() || player.following() => {
                Status::of_recorder(player, detour.unwrap_or(player))
            }
            Source::Replay(player) => Status::of_recording(player),
        }
    }

    /// The policy file of the recorder, which a recording names, when it is also `ours`.
    ///
    /// # Errors
    /// Why a change is not written there.
    pub(super) fn recorders_policy(&self, ours: Option<&Path>) -> Result<&Path, String> {
        let Source::Replay(player) = &self.source else {
            return Err("watching has not begun".to_owned());
        };
        if !player.growing() {
            return Err("the recording has ended: its policy cannot be changed".to_owned());
        }
        if let Some(link) = &self.link {
            let host = link.board.name();
            return Err(format!("the policy in force is on {host}: change it there"));
        }
        let theirs = player.header().policy_file.as_deref().map(Path::new);
        // A path from a recording is not written to unless the user named it as well.
        if theirs.is_some() && theirs == ours {
            return theirs.ok_or_else(String::new);
        }
        Err(match theirs {
            Some(theirs) => {
                let theirs = theirs.to_string_lossy();
                let theirs = escape(theirs.as_bytes());
                format!("the recorder uses policy {theirs}: attach again with --policy {theirs}")
            }
            None => "the recorder uses no policy file: silences cannot be saved".to_owned(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recording::demo;

    #[test]
    fn an_opened_recording_plays() {
        let path = Path::new("demo/demo.jsonl.zst");
        let (_attaching, result) = crossbeam_channel::bounded(1);
        let host = Source::Attaching(Box::default(), result);
        let recording = Source::Replay(Box::new(demo::player()));
        for (source, kind) in [(host, SourceKind::Host), (recording, SourceKind::Recording)] {
            let mut viewpoint = Viewpoint::new(source, kind);
            viewpoint.open(path, None).unwrap();
            assert!(viewpoint.plays());
            viewpoint.play(Duration::from_secs(1), &Zone::default());
            let now = viewpoint.with(|core| core.state.now);
            assert_ne!(now, Timestamp::default(), "{kind:?}");
        }
    }
}
