//! One attachment as a page keeps it: the viewer's rules over a WebSocket,
//! resuming by itself when anything between breaks.

use std::time::Duration;

use anyhow::{Context as _, ensure};
use bytes::Bytes;
use chatcode_proto::{
    backoff::Backoff,
    metadata, pb,
    viewer::{Event, Viewer},
};
use futures_util::{SinkExt as _, StreamExt as _};
use prost::Message as _;
use tokio::time::Instant;
use tokio_tungstenite::tungstenite;

use crate::{
    PATIENCE,
    page::{Page, Socket, Target},
};

/// Takes output instead of keeping it.
type Sink = Box<dyn FnMut(&[u8])>;

/// An attachment, and all that it has shown.
pub struct Terminal {
    page: Page,
    target: Target,
    viewer: Viewer,
    socket: Option<Socket>,
    started: Instant,
    backoff: Backoff,
    /// What the terminal was given since it was last emptied: a snapshot, and
    /// every output byte behind it; empty while `sink` takes them.
    pub output: Vec<u8>,
    /// The offset behind the last output byte.
    pub position: u64,
    sink: Option<Sink>,
    /// How many snapshots came.
    pub snapshots: u32,
    /// Output that it was moved over because it was behind, from and to.
    pub skips: Vec<(u64, u64)>,
    /// Who is here, as last told.
    pub presence: pb::Presence,
    /// This attachment's number in `presence`.
    pub number: u32,
    /// How the shell ended.
    pub exit: Option<pb::Exit>,
    /// Input that was refused, bytes.
    pub refused: u64,
    /// Input whose fate is unknown, bytes.
    pub unknown: u64,
    /// How often it attached.
    pub attachments: u32,
    /// The last words of a hop that ended the attachment.
    pub last_error: String,
}

impl std::fmt::Debug for Terminal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Terminal")
            .field("target", &self.target)
            .field("output", &self.output.len())
            .field("attachments", &self.attachments)
            .field("last_error", &self.last_error)
            .finish_non_exhaustive()
    }
}

impl Terminal {
    /// A viewer of this session; it attaches at the first wait.
    #[must_use]
    pub fn new(page: &Page, target: &Target, role: pb::Role) -> Self {
        let winsize = pb::Winsize { rows: 24, cols: 80 };
        Self {
            page: page.clone(),
            target: target.clone(),
            viewer: Viewer::new(rand::random(), role, Some(winsize)),
            socket: None,
            started: Instant::now(),
            backoff: Backoff::new(Duration::from_millis(50), Duration::from_secs(1)),
            output: Vec::new(),
            position: 0,
            sink: None,
            snapshots: 0,
            skips: Vec::new(),
            presence: pb::Presence::default(),
            number: 0,
            exit: None,
            refused: 0,
            unknown: 0,
            attachments: 0,
            last_error: String::new(),
        }
    }

    /// Starts a session with this command and attaches to it as writer.
    ///
    /// # Errors
    /// When the gateway refuses or the attachment does not come.
    pub async fn start(page: &Page, gateway: &str, command: &[&str]) -> anyhow::Result<Self> {
        let request = pb::SessionsCreateRequest {
            command: command.iter().map(|word| (*word).to_owned()).collect(),
            ..Default::default()
        };
        let target = page.create_session(gateway, &request).await?;
        let mut terminal = Self::new(page, &target, pb::Role::Writer);
        terminal.until("the attachment", |terminal| terminal.attachments > 0).await?;
        Ok(terminal)
    }

    /// The target.
    #[must_use]
    pub const fn target(&self) -> &Target {
        &self.target
    }

    /// The rules' state, for what this type has no words for.
    pub const fn viewer(&mut self) -> &mut Viewer {
        &mut self.viewer
    }

    /// All output as text.
    #[must_use]
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.output).into_owned()
    }

    /// Types; the bytes go out at the next wait.
    ///
    /// # Errors
    /// When more is waiting than a viewer keeps.
    pub fn enter(&mut self, text: &str) -> anyhow::Result<()> {
        ensure!(self.viewer.push_input(text.as_bytes()) == text.len(), "the viewer takes no more input");
        Ok(())
    }

    /// Waits until the output holds `text`.
    ///
    /// # Errors
    /// When it does not come; the error shows the end of the output.
    pub async fn sees(&mut self, text: &str) -> anyhow::Result<()> {
        let mut search = Search::new(text);
        self.until(&format!("{text:?}"), |terminal| search.finds_in(&terminal.output)).await
    }

    /// Goes on until `reached`.
    ///
    /// # Errors
    /// When it is not reached in time; the error shows the end of the output.
    pub async fn until(&mut self, what: &str, mut reached: impl FnMut(&Self) -> bool) -> anyhow::Result<()> {
        let deadline = Instant::now() + PATIENCE;
        while !reached(self) {
            let turn = tokio::time::timeout_at(deadline, self.turn()).await;
            let turn = turn.map_err(|_| anyhow::anyhow!("did not come in time"));
            turn.and_then(|done| done).with_context(|| {
                let text = self.text();
                let from = text.char_indices().rev().nth(600).map_or(0, |(at, _)| at);
                format!("waiting for {what} in {self:?}; output ends with {:?}", &text[from..])
            })?;
        }
        Ok(())
    }

    /// From now on output goes to `sink` and is not kept.
    pub fn pour_into(&mut self, sink: impl FnMut(&[u8]) + 'static) {
        self.sink = Some(Box::new(sink));
    }

    /// Goes on for `time`, whatever happens.
    ///
    /// # Errors
    /// When a hop speaks nonsense.
    pub async fn rest(&mut self, time: Duration) -> anyhow::Result<()> {
        let deadline = Instant::now() + time;
        while let Ok(turn) = tokio::time::timeout_at(deadline, self.turn()).await {
            turn?;
        }
        Ok(())
    }

    /// Goes on until `other` is done.
    ///
    /// # Errors
    /// That of `other`, or when a hop speaks nonsense.
    pub async fn while_waiting<T>(
        &mut self,
        other: impl Future<Output = anyhow::Result<T>>,
    ) -> anyhow::Result<T> {
        let mut other = std::pin::pin!(other);
        loop {
            tokio::select! {
                done = &mut other => return done,
                turn = self.turn() => turn?,
            }
        }
    }

    /// Breaks the connection without a word, as a network does.
    pub fn cut(&mut self) {
        self.socket = None;
        self.viewer.handle_disconnect();
    }

    /// One turn, which ends at `time` if nothing comes before; gives what the person
    /// was shown, of which nothing is kept. Not to be dropped half way.
    ///
    /// # Errors
    /// When a hop speaks nonsense, or the session has ended.
    pub async fn turn_until(&mut self, time: Instant) -> anyhow::Result<Vec<Event>> {
        if self.sink.is_none() {
            self.pour_into(|_| {});
        }
        let events = self.next_events(Some(time)).await?;
        events.iter().cloned().for_each(|event| self.show(event));
        Ok(events)
    }

    async fn turn(&mut self) -> anyhow::Result<()> {
        let events = self.next_events(None).await?;
        events.into_iter().for_each(|event| self.show(event));
        Ok(())
    }

    /// Attaches if needed, sends what is ready, takes one message, the next timer, or
    /// the end of the time.
    async fn next_events(&mut self, end: Option<Instant>) -> anyhow::Result<Vec<Event>> {
        if self.socket.is_none() {
            ensure!(self.exit.is_none(), "the session has ended");
            self.attach().await;
        }
        let Some(socket) = self.socket.as_mut() else { return Ok(Vec::new()) };
        while let Some(frame) = self.viewer.poll_frame(self.started.elapsed()) {
            if socket.feed(tungstenite::Message::Binary(frame.encode_to_vec().into())).await.is_err() {
                self.cut();
                return Ok(Vec::new());
            }
        }
        if socket.flush().await.is_err() {
            self.cut();
            return Ok(Vec::new());
        }
        let timer = self.viewer.next_timeout().map(|time| self.started + time);
        let timer = [timer, end].into_iter().flatten().min();
        let message = tokio::select! {
            message = socket.next() => message,
            () = tokio::time::sleep_until(timer.unwrap_or_else(Instant::now)), if timer.is_some() => {
                self.viewer.handle_timeout(self.started.elapsed());
                return Ok(Vec::new());
            }
        };
        self.take(message)
    }

    fn take(
        &mut self,
        message: Option<Result<tungstenite::Message, tungstenite::Error>>,
    ) -> anyhow::Result<Vec<Event>> {
        match message {
            Some(Ok(tungstenite::Message::Binary(bytes))) => {
                let frame = pb::ServerFrame::decode(bytes)?;
                return Ok(self.viewer.handle_frame(self.started.elapsed(), frame)?);
            }
            Some(Ok(tungstenite::Message::Close(frame))) => {
                self.last_error = frame.map(|frame| frame.reason.to_string()).unwrap_or_default();
                self.cut();
            }
            Some(Ok(_)) => {}
            Some(Err(error)) => {
                self.last_error = error.to_string();
                self.cut();
            }
            None => self.cut(),
        }
        Ok(Vec::new())
    }

    fn show(&mut self, event: Event) {
        match event {
            Event::Attached(attached) => {
                self.attachments += 1;
                self.number = attached.viewer;
                self.backoff.reset();
            }
            Event::Output(bytes) => self.print(&bytes),
            Event::Snapshot(part) => self.draw(&part),
            Event::Reset => {
                self.output.clear();
                self.position = 0;
            }
            Event::Presence(presence) => self.presence = presence,
            Event::Exited(exited) => self.exit = exited.exit,
            Event::InputRefused(refused) => self.refused += refused.to - refused.from,
            Event::InputUnknown { bytes } => self.unknown += bytes,
            Event::Closing(closing) => self.last_error = closing.message,
            _ => {}
        }
    }

    fn print(&mut self, bytes: &Bytes) {
        self.position += bytes.len() as u64;
        match &mut self.sink {
            Some(sink) => sink(bytes),
            None => self.output.extend_from_slice(bytes),
        }
        self.viewer.handle_rendered(self.started.elapsed(), bytes.len());
    }

    fn draw(&mut self, part: &pb::Snapshot) {
        if part.part == 0 {
            self.snapshots += 1;
            self.output.clear();
            if part.skipped {
                self.skips.push((self.position, part.offset));
            }
        }
        self.position = part.offset;
        if self.sink.is_none() {
            self.output.extend_from_slice(&part.data);
        }
        self.viewer.handle_rendered(self.started.elapsed(), part.data.len());
    }

    async fn attach(&mut self) {
        match self.page.open(metadata::ATTACH, &self.target).await {
            Ok(mut socket) => {
                let first = self.viewer.attach().encode_to_vec();
                if socket.send(tungstenite::Message::Binary(first.into())).await.is_ok() {
                    self.socket = Some(socket);
                }
            }
            Err(error) => {
                self.last_error = format!("{error:#}");
                let pause = self.backoff.next(rand::random());
                tokio::time::sleep(pause.max(Duration::from_millis(10))).await;
            }
        }
    }
}

/// Looks for a text in output that grows. It reads every byte once: a search
/// from the beginning at every frame would make a viewer slow that is not.
struct Search {
    wanted: Vec<u8>,
    looked_at: usize,
}

impl Search {
    fn new(text: &str) -> Self {
        Self { wanted: text.as_bytes().to_vec(), looked_at: 0 }
    }

    /// Whether it is in `output`, which begins as it did at the last call, or
    /// anew.
    fn finds_in(&mut self, output: &[u8]) -> bool {
        if output.len() < self.looked_at {
            self.looked_at = 0;
        }
        // It may have begun in what was looked at before.
        let from = self.looked_at.saturating_sub(self.wanted.len());
        self.looked_at = output.len();
        output[from..].windows(self.wanted.len()).any(|window| window == self.wanted)
    }
}

/// Every line of `text` that is a number, in order.
#[must_use]
pub fn numbers(text: &str) -> Vec<u64> {
    text.lines().filter_map(|line| line.trim().parse().ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_found_once_however_it_is_cut() {
        let output = b"some lines, the wanted one, and more";
        for cut in 0..=output.len() {
            let mut search = Search::new("wanted");
            let is_there = search.finds_in(&output[..cut]);
            assert_eq!(is_there, cut >= 22, "at {cut}");
            assert!(is_there || search.finds_in(output), "at {cut}");
        }
    }

    #[test]
    fn what_was_looked_at_is_not_read_again() {
        let mut output = b"wanted".to_vec();
        let mut search = Search::new("wanted");
        assert!(search.finds_in(&output));
        output.extend_from_slice(&[b'.'; 100]);
        assert!(!Search { wanted: b"wanted".to_vec(), looked_at: 50 }.finds_in(&output));
    }
}
