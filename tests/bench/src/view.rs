//! A page that is attached: the viewer's rules over a WebSocket, and a terminal
//! that digests what comes at once, or at a rate.

use std::{collections::VecDeque, time::Duration};

use anyhow::{Context as _, bail};
use bytes::Bytes;
use chatcode_harness::{
    PATIENCE, Page,
    page::{Socket, Target},
};
use chatcode_proto::{
    limits, metadata, pb,
    viewer::{Event, Viewer},
};
use chatcode_screen::Model;
use futures_util::{SinkExt as _, StreamExt as _};
use prost::Message as _;
use tokio::time::Instant;
use tokio_tungstenite::tungstenite::Message;

pub(crate) const WINSIZE: pb::Winsize = pb::Winsize { rows: 24, cols: 80 };
/// What is drawn at once, as on the page.
const PIECE: usize = 16 * 1024;
/// How often a slow terminal draws.
const FRAME: Duration = Duration::from_millis(1);

/// How a terminal digests.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Digestion {
    /// All at once.
    Quick,
    /// This many bytes in a second.
    Slow {
        /// The rate.
        bytes_per_second: u64,
        /// The socket is read whatever waits; else only when nothing does.
        reads_eagerly: bool,
    },
}

/// What waits for the terminal.
enum Piece {
    Bytes(Bytes),
    Anew(pb::Winsize),
    Size(pb::Winsize),
}

/// An attached page.
pub(crate) struct View {
    socket: Socket,
    viewer: Viewer,
    began: Instant,
    digestion: Digestion,
    waiting: VecDeque<Piece>,
    budget_at: Instant,
    /// What the person sees.
    pub(crate) model: Model,
    /// What was digested since this was last emptied.
    pub(crate) digested: Vec<u8>,
    /// Bytes of output and snapshots that came.
    pub(crate) arrived: u64,
    /// Output that it was moved over, bytes.
    pub(crate) skipped: u64,
    /// Snapshots that brought what was asked for.
    pub(crate) snapshots: u32,
    position: u64,
}

impl View {
    /// An empty terminal attaches; gives when its first frame went out, too.
    ///
    /// # Errors
    /// When the edge refuses.
    pub(crate) async fn attach(page: &Page, target: &Target) -> anyhow::Result<Self> {
        let mut viewer = Viewer::new(random_id()?, pb::Role::Writer, Some(WINSIZE));
        let mut socket = page.open(metadata::ATTACH, target).await?;
        socket.send(Message::Binary(viewer.attach().encode_to_vec().into())).await?;
        Ok(Self {
            socket,
            viewer,
            began: Instant::now(),
            digestion: Digestion::Quick,
            waiting: VecDeque::new(),
            budget_at: Instant::now(),
            model: Model::new(WINSIZE, limits::DEFAULT_HISTORY_LINES),
            digested: Vec::new(),
            arrived: 0,
            skipped: 0,
            snapshots: 0,
            position: 0,
        })
    }

    /// From now on it digests so.
    pub(crate) fn digest(&mut self, digestion: Digestion) {
        (self.digestion, self.budget_at) = (digestion, Instant::now());
    }

    /// Types; goes out with the next turn.
    pub(crate) fn enter(&mut self, text: &str) {
        self.viewer.push_input(text.as_bytes());
    }

    /// Asks for the history.
    pub(crate) fn ask_for_history(&mut self) {
        self.viewer.request_snapshot();
    }

    /// Goes on until `reached`.
    ///
    /// # Errors
    /// When it is not reached in time.
    pub(crate) async fn until(&mut self, what: &str, reached: impl Fn(&Self) -> bool) -> anyhow::Result<()> {
        let deadline = Instant::now() + PATIENCE;
        while !reached(self) {
            let turn = tokio::time::timeout_at(deadline, self.turn()).await;
            turn.with_context(|| format!("{what} did not come in time"))??;
        }
        Ok(())
    }

    /// Goes on until this was digested.
    ///
    /// # Errors
    /// As [`Self::until`].
    pub(crate) async fn sees(&mut self, text: &str) -> anyhow::Result<()> {
        self.until(text, |view| view.has_seen(text)).await
    }

    fn has_seen(&self, text: &str) -> bool {
        let tail = self.digested.len().saturating_sub(64 * 1024);
        self.digested[tail..].windows(text.len()).any(|window| window == text.as_bytes())
    }

    /// Goes on for this long.
    ///
    /// # Errors
    /// When the connection ends.
    pub(crate) async fn rest(&mut self, time: Duration) -> anyhow::Result<()> {
        let deadline = Instant::now() + time;
        while let Ok(turn) = tokio::time::timeout_at(deadline, self.turn()).await {
            turn?;
        }
        Ok(())
    }

    /// Goes on until nothing has come for this long.
    ///
    /// # Errors
    /// When the connection ends.
    pub(crate) async fn until_quiet(&mut self, time: Duration) -> anyhow::Result<()> {
        loop {
            let before = self.arrived;
            self.rest(time).await?;
            if self.arrived == before {
                return Ok(());
            }
        }
    }

    async fn turn(&mut self) -> anyhow::Result<()> {
        while let Some(frame) = self.viewer.poll_frame(self.began.elapsed()) {
            self.socket.feed(Message::Binary(frame.encode_to_vec().into())).await?;
        }
        self.socket.flush().await?;
        let may_read =
            self.waiting.is_empty() || matches!(self.digestion, Digestion::Slow { reads_eagerly: true, .. });
        let is_slow = !self.waiting.is_empty();
        let timer = self.viewer.next_timeout().map(|due| self.began + due);
        tokio::select! {
            message = self.socket.next(), if may_read => match message.context("the connection ended")?? {
                Message::Binary(bytes) => self.take(bytes)?,
                Message::Close(frame) => bail!("closed: {frame:?}"),
                _ => {}
            },
            () = tokio::time::sleep(FRAME), if is_slow => {}
            () = tokio::time::sleep_until(timer.unwrap_or_else(Instant::now)), if timer.is_some() => {
                self.viewer.handle_timeout(self.began.elapsed());
            }
        }
        self.draw();
        Ok(())
    }

    fn take(&mut self, bytes: Bytes) -> anyhow::Result<()> {
        let frame = pb::ServerFrame::decode(bytes)?;
        for event in self.viewer.handle_frame(self.began.elapsed(), frame)? {
            match event {
                Event::Output(data) => {
                    self.position += data.len() as u64;
                    self.came(data);
                }
                Event::Snapshot(part) => {
                    if part.part == 0 {
                        self.waiting.push_back(Piece::Anew(part.winsize.unwrap_or_default()));
                        self.skipped += if part.skipped { part.offset - self.position } else { 0 };
                    }
                    if part.part + 1 == part.parts && !part.skipped {
                        self.snapshots += 1;
                    }
                    self.position = part.offset;
                    self.came(part.data);
                }
                Event::Resized(resized) => {
                    self.waiting.push_back(Piece::Size(resized.winsize.unwrap_or_default()));
                }
                Event::Closing(closing) => bail!("closed: {}", closing.message),
                _ => {}
            }
        }
        Ok(())
    }

    fn came(&mut self, mut data: Bytes) {
        self.arrived += data.len() as u64;
        while !data.is_empty() {
            let piece = data.split_to(data.len().min(PIECE));
            self.waiting.push_back(Piece::Bytes(piece));
        }
    }

    /// Draws what the terminal has had the time for.
    fn draw(&mut self) {
        let now = Instant::now();
        if self.digestion == Digestion::Quick || self.waiting.is_empty() {
            self.budget_at = now;
        }
        while let Some(piece) = self.waiting.front() {
            if let (Digestion::Slow { bytes_per_second, .. }, Piece::Bytes(data)) = (self.digestion, piece) {
                let due =
                    self.budget_at + Duration::from_secs_f64(data.len() as f64 / bytes_per_second as f64);
                if due > now {
                    return;
                }
                self.budget_at = due;
            }
            match self.waiting.pop_front() {
                Some(Piece::Bytes(data)) => {
                    self.model.feed(&data);
                    self.digested.extend_from_slice(&data);
                    self.viewer.handle_rendered(self.began.elapsed(), data.len());
                }
                Some(Piece::Anew(winsize)) => {
                    self.model = Model::new(winsize, limits::DEFAULT_HISTORY_LINES);
                    self.digested.clear();
                }
                Some(Piece::Size(winsize)) => self.model.resize(winsize),
                None => {}
            }
        }
    }
}

fn random_id() -> anyhow::Result<[u8; 16]> {
    let mut id = [0; 16];
    rustix::rand::getrandom(&mut id, rustix::rand::GetRandomFlags::empty())?;
    Ok(id)
}
