//! One person's view of a session: the viewer's rules, the terminal, the keys.
//! It outlives connections.

use std::time::Duration;

use bytes::Bytes;
use chatcode_proto::{
    code::Refusal,
    pb::{self, Code, Role},
    viewer::{Event, Viewer},
};
use tokio::time::Instant;

use super::{
    Target,
    escape::{EscapeKey, HELP, Typed},
    filter::Filter,
    keyboard::Keyboard,
    notice::Notice,
    screen::Screen,
    signals::{News, Signals},
    terminal::{self, CLEAR, RESET, RawMode},
};
use crate::{
    fleet::{is_living, session_state},
    print::shown,
};

/// A break that is over sooner is not worth a word.
const SHORT_BREAK: Duration = Duration::from_secs(1);
/// Lines above the screen that a person is shown who comes.
const HISTORY_LINES: u32 = 1000;
/// How long a notice stands.
const NOTICE: Duration = Duration::from_secs(3);

/// Ctrl-C.
const INTERRUPT: u8 = 0x03;

/// Why an attachment is over.
#[derive(Debug)]
pub(super) enum End {
    /// The person left, or the terminal is gone.
    Left,
    /// The shell has ended.
    Exited(Option<pb::Exit>),
    /// It cannot go on.
    Refused(Refusal),
}

/// What happened at the person's side.
#[derive(Debug)]
pub(super) enum Happened {
    /// Keys; `None`: standard input has ended.
    Keys(Option<Bytes>),
    /// A signal.
    News(News),
    /// Output came to the screen; `None`: the terminal is gone.
    Shown(Option<usize>),
    /// A notice has stood long enough.
    NoticeOver,
}

/// The view. The terminal is raw while it lives.
#[derive(Debug)]
pub(super) struct View {
    /// The rules.
    pub(super) viewer: Viewer,
    /// What the connection goes to.
    pub(super) target: Target,
    role: Role,
    escape: EscapeKey,
    filter: Filter,
    /// What is on the screen is the session's.
    is_ours: bool,
    /// The last snapshot was drawn for a terminal of another size.
    is_misdrawn: bool,
    /// Our number among the viewers, and who has the keyboard.
    number: u32,
    presence: pb::Presence,
    /// Another life of the session has begun to be shown.
    is_anew: bool,
    attachments: u32,
    was_noticed: bool,
    has_typed: bool,
    exit: Option<Option<pb::Exit>>,
    /// The session is over, and its next life is waited for.
    waits: bool,
    /// The session as the last attachment told of it.
    session: Option<pb::Session>,
    closing: Option<Refusal>,
    notice: Option<(Notice, Instant)>,
    began: Instant,
    keyboard: Keyboard,
    signals: Signals,
    // Dropped in this order: the last bytes are on the screen before its modes
    // come back.
    screen: Screen,
    _raw: RawMode,
}

impl View {
    /// Makes the terminal raw and begins to listen to keys and signals.
    /// `clipboard`: programs may write that of the terminal.
    ///
    /// # Errors
    /// When the system refuses.
    pub(super) fn open(target: &Target, role: Role, clipboard: bool) -> anyhow::Result<Self> {
        let signals = Signals::listen()?;
        let raw = RawMode::enter()?;
        let winsize = terminal::winsize().filter(|_| role == Role::Writer);
        let mut viewer = Viewer::new(rand::random(), role, winsize);
        viewer.set_history_lines(HISTORY_LINES);
        Ok(Self {
            viewer,
            target: target.clone(),
            role,
            escape: EscapeKey::new(),
            filter: Filter::new(clipboard),
            is_ours: false,
            is_misdrawn: false,
            number: 0,
            presence: pb::Presence::default(),
            is_anew: false,
            attachments: 0,
            was_noticed: false,
            has_typed: false,
            exit: None,
            waits: false,
            session: None,
            closing: None,
            notice: None,
            began: Instant::now(),
            keyboard: Keyboard::open()?,
            signals,
            screen: Screen::open()?,
            _raw: raw,
        })
    }

    /// The session's name, as last told.
    pub(super) fn name(&self) -> &str {
        &self.target.name
    }

    /// How often it attached.
    pub(super) const fn attachments(&self) -> u32 {
        self.attachments
    }

    /// Time since the view began, for the rules.
    pub(super) fn now(&self) -> Duration {
        self.began.elapsed()
    }

    /// The moment of a time of the rules.
    pub(super) fn moment(&self, time: Duration) -> Instant {
        self.began + time
    }

    /// How the shell ended, once it has.
    pub(super) fn take_exit(&mut self) -> Option<Option<pb::Exit>> {
        self.exit.take()
    }

    /// Why the holder closed the connection, if it said so.
    pub(super) fn take_closing(&mut self) -> Option<Refusal> {
        self.closing.take()
    }

    /// Whether the person has typed since the last call.
    pub(super) const fn take_typed(&mut self) -> bool {
        std::mem::replace(&mut self.has_typed, false)
    }

    /// Whether output can be shown now.
    pub(super) fn has_room(&self) -> bool {
        self.screen.has_room()
    }

    /// The connection is gone.
    pub(super) fn disconnected(&mut self) {
        self.viewer.handle_disconnect();
        self.was_noticed = false;
    }

    /// What happens next at the person's side. May be dropped and asked again.
    pub(super) async fn happens(&mut self) -> Happened {
        let over = self.notice.as_ref().map(|(_, until)| *until);
        tokio::select! {
            keys = self.keyboard.next() => Happened::Keys(keys),
            news = self.signals.next() => Happened::News(news),
            shown = self.screen.written() => Happened::Shown(shown),
            () = tokio::time::sleep_until(over.unwrap_or_else(Instant::now)), if over.is_some() => Happened::NoticeOver,
        }
    }

    /// [`View::happens`] and [`View::handle`] in one.
    pub(super) async fn person(&mut self) -> Option<End> {
        let happened = self.happens().await;
        self.handle(happened)
    }

    /// Does what the person or the system asks.
    pub(super) fn handle(&mut self, happened: Happened) -> Option<End> {
        match happened {
            Happened::Keys(None) | Happened::Shown(None) | Happened::News(News::End) => {
                return Some(End::Left);
            }
            Happened::Keys(Some(keys)) => {
                for typed in self.escape.feed(&keys) {
                    match typed {
                        Typed::Leave => return Some(End::Left),
                        Typed::Help => {
                            self.write(format!("\r\n{}\r\n", HELP.replace('\n', "\r\n")).into_bytes())
                        }
                        Typed::TakeLease => self.viewer.take_lease(),
                        Typed::Bytes(bytes) if self.waits => {
                            if bytes.contains(&INTERRUPT) {
                                return Some(End::Left);
                            }
                        }
                        Typed::Bytes(bytes) => self.type_in(&bytes),
                    }
                }
            }
            Happened::Shown(Some(bytes)) => self.viewer.handle_rendered(self.now(), bytes),
            Happened::News(News::Resized) => {
                if self.role == Role::Writer
                    && let Some(winsize) = terminal::winsize()
                {
                    self.viewer.resize(winsize);
                }
            }
            Happened::NoticeOver => self.erase_notice(),
        }
        None
    }

    /// What became of a session that has ended nobody knows how, in words.
    pub(super) fn state_words(&self) -> String {
        let over = self.session.as_ref().filter(|session| session.state() != pb::SessionState::Running);
        over.map_or_else(|| "ended".to_owned(), session_state)
    }

    /// The session as it is after this end of its shell.
    pub(super) fn over(&self, exit: Option<pb::Exit>) -> pb::Session {
        let session = self.session.clone().unwrap_or_default();
        match exit {
            Some(_) => pb::Session { state: pb::SessionState::Exited.into(), exit, ..session },
            None => session,
        }
    }

    /// From here to the next attachment keys are for nobody, and Ctrl-C leaves.
    pub(super) const fn begin_wait(&mut self) {
        self.waits = true;
    }

    /// Says what became of the session, below what it left on the screen.
    pub(super) fn say(&mut self, words: String) {
        self.erase_notice();
        self.screen.say(RESET.to_vec(), words);
    }

    /// Shows what a frame led to.
    pub(super) fn show(&mut self, event: Event) {
        match event {
            Event::Attached(attached) => {
                self.attached(&attached);
                self.session = attached.session;
                // Of a session that is over, it may be the screen of a life before.
                if std::mem::take(&mut self.is_anew) && self.session.as_ref().is_some_and(is_living) {
                    self.write(b"[chatcode: the session was started anew]\r\n".to_vec());
                }
            }
            Event::Output(bytes) => self.output(&bytes),
            Event::Snapshot(part) => self.draw(&part),
            Event::Reset => {
                let emptied = self.empty();
                self.write(emptied);
                self.is_anew = true;
                self.viewer.set_history_lines(HISTORY_LINES);
            }
            Event::Resized(resized) => {
                if self.is_misdrawn && resized.winsize == terminal::winsize() {
                    self.viewer.request_snapshot();
                }
            }
            Event::Presence(presence) => {
                self.was_noticed &= presence.writer == self.presence.writer;
                self.presence = presence;
            }
            Event::Exited(exited) => self.exit = Some(exited.exit),
            Event::Closing(closing) => {
                self.closing = Some(Refusal::new(closing.code(), closing.message));
            }
            Event::InputRefused(refused) => {
                self.notify(&format!(
                    "{} bytes typed were refused: {}",
                    refused.to - refused.from,
                    refused.code().name()
                ));
            }
            Event::InputUnknown { bytes } => {
                self.notify(&format!("the session's holder is another; {bytes} bytes typed may be lost"));
            }
            Event::Titled(titled) => {
                if !titled.name.is_empty() {
                    self.target.name = titled.name;
                }
            }
            Event::Rtt(_) => {}
        }
    }

    /// Says that the connection is broken and what comes next.
    pub(super) fn say_broken(&mut self, for_how_long: Duration, why: &Refusal) {
        if for_how_long < SHORT_BREAK {
            return;
        }
        let what = match why.code {
            Code::GatewayOffline => "the machine is offline",
            Code::CoreUnreachable => "the core does not answer",
            Code::HolderUnreachable | Code::Timeout => "the session does not answer",
            Code::Draining => "the core restarts",
            _ => "the connection broke",
        };
        self.notify(&format!(
            "{what}, {} s; it comes back by itself, Enter ~ . leaves",
            for_how_long.as_secs()
        ));
    }

    fn attached(&mut self, attached: &pb::Attached) {
        self.erase_notice();
        self.attachments += 1;
        self.number = attached.viewer;
        self.presence = pb::Presence::default();
        self.exit = None;
        self.waits = false;
        self.closing = None;
    }

    fn output(&mut self, bytes: &[u8]) {
        let shown = self.filter.feed(bytes);
        self.screen.show(shown, bytes.len());
    }

    fn draw(&mut self, part: &pb::Snapshot) {
        let mut shown = Vec::new();
        if part.part == 0 {
            shown = self.empty();
            self.is_misdrawn = part.winsize != terminal::winsize();
            // What has scrolled away is in the terminal's own history from here on.
            self.viewer.set_history_lines(0);
        }
        shown.append(&mut self.filter.feed(&part.data));
        self.screen.show(shown, part.data.len());
    }

    /// What empties the terminal, whatever it was in the middle of. What the
    /// person had on it scrolls away rather than be lost.
    fn empty(&mut self) -> Vec<u8> {
        self.filter.reset();
        self.notice = None;
        let rows = terminal::winsize().map_or(0, |size| size.rows);
        let scrolled = if std::mem::replace(&mut self.is_ours, true) {
            Vec::new()
        } else {
            format!("\x1b[{rows}H{}", "\n".repeat(rows as usize)).into_bytes()
        };
        [RESET, &scrolled, CLEAR].concat()
    }

    /// Keys for the session, or the reason why they are not.
    fn type_in(&mut self, bytes: &[u8]) {
        if self.role == Role::Viewer {
            self.notice_once("read-only; Enter ~ . leaves");
        } else if let Some(why) = may_not_type(&self.presence, self.number) {
            self.notice_once(&why);
        } else {
            self.has_typed = true;
            let taken = self.viewer.push_input(bytes);
            if taken < bytes.len() {
                self.notify(&format!(
                    "{} bytes typed were not taken: the session has not read what came before; wait, then again",
                    bytes.len() - taken
                ));
            }
        }
    }

    fn notice_once(&mut self, text: &str) {
        if !std::mem::replace(&mut self.was_noticed, true) {
            self.notify(text);
        }
    }

    fn notify(&mut self, text: &str) {
        self.erase_notice();
        let columns = terminal::winsize().map_or(0, |size| size.cols);
        if self.filter.is_between()
            && let Some((notice, bytes)) = Notice::draw(text, columns)
        {
            self.write(bytes);
            self.notice = Some((notice, Instant::now() + NOTICE));
        }
    }

    fn erase_notice(&mut self) {
        if !self.filter.is_between() {
            // Inside of an image; it is tried again later.
            if let Some((_, until)) = &mut self.notice {
                *until = Instant::now() + NOTICE;
            }
        } else if let Some((notice, _)) = self.notice.take() {
            self.write(notice.erase());
        }
    }

    /// Words of ours for the terminal; dropped when it takes nothing.
    fn write(&self, bytes: Vec<u8>) {
        if self.screen.has_room() {
            self.screen.show(bytes, 0);
        }
    }
}

impl Drop for View {
    fn drop(&mut self) {
        if let Some((notice, _)) = self.notice.take() {
            self.write(notice.erase());
        }
    }
}

/// Why the viewer of this number may not type: somebody else has the keyboard,
/// or keeps it while away for a moment.
fn may_not_type(presence: &pb::Presence, number: u32) -> Option<String> {
    let writer = presence.writer;
    if writer == 0 || writer == number {
        return None;
    }
    let there = presence.viewers.iter().find(|viewer| viewer.viewer == writer);
    let who = there
        .map_or_else(|| "who types is away,".to_owned(), |viewer| shown(&viewer.display_name) + " types;");
    Some(format!("{who} Enter ~ w takes the keyboard"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_person_who_may_not_type_is_told_who_may() {
        let ada = pb::Viewer { viewer: 1, display_name: "ada".to_owned(), ..Default::default() };
        let presence = |writer| pb::Presence { viewers: vec![ada.clone()], writer };
        assert_eq!(may_not_type(&presence(0), 2), None, "the first key takes the keyboard");
        assert_eq!(may_not_type(&presence(2), 2), None);
        assert_eq!(may_not_type(&presence(1), 2).as_deref(), Some("ada types; Enter ~ w takes the keyboard"));
        let away = may_not_type(&presence(7), 2);
        assert_eq!(away.as_deref(), Some("who types is away, Enter ~ w takes the keyboard"));
    }
}
