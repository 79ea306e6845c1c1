//! One viewer, as simple as can be: it keeps what it sees and gives credit for
//! all of it.

use chatcode_link::Link;
use chatcode_proto::pb::{
    self, ClientFrame, ServerFrame, client_frame, server_frame::Kind, terminal_client::TerminalClient,
};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Status, Streaming};

use crate::core::{as_role, soon};

const WINDOW: u32 = 1024 * 1024;

pub(crate) struct Seat {
    outbox: Option<mpsc::Sender<ClientFrame>>,
    inbox: Streaming<ServerFrame>,
    pub(crate) attached: pb::Attached,
    /// The last snapshot, and all output behind it.
    pub(crate) seen: Vec<u8>,
    rendered: u64,
    next: u64,
    typed: u64,
}

pub(crate) fn frame(kind: client_frame::Kind) -> ClientFrame {
    ClientFrame { kind: Some(kind) }
}

pub(crate) fn attach_frame(viewer: u8, resume: Option<pb::Resume>) -> ClientFrame {
    frame(client_frame::Kind::Attach(pb::Attach {
        versions: vec![1],
        viewer_id: vec![viewer; 16].into(),
        role: pb::Role::Writer.into(),
        resume,
        winsize: Some(pb::Winsize { rows: 24, cols: 80 }),
        window_bytes: WINDOW,
        history_lines: 10_000,
        ..Default::default()
    }))
}

impl Seat {
    /// A writer that has seen nothing.
    pub(crate) async fn take(link: &Link, session: &str) -> Self {
        Self::resume(link, session, pb::Role::Writer, 1, None).await.unwrap()
    }

    pub(crate) async fn resume(
        link: &Link,
        session: &str,
        role: pb::Role,
        viewer: u8,
        resume: Option<pb::Resume>,
    ) -> Result<Self, Status> {
        let (outbox, frames) = mpsc::channel(64);
        outbox.send(attach_frame(viewer, resume)).await.unwrap();
        let call = as_role(ReceiverStream::new(frames), session, role);
        let call = TerminalClient::new(link.channel()).attach(call).await;
        let mut inbox = call?.into_inner();
        let first = soon("the attachment", inbox.message()).await?;
        let Some(Kind::Attached(attached)) = first.and_then(|frame| frame.kind) else {
            panic!("the first frame was not attached");
        };
        let (next, typed) = (attached.offset, attached.input_offset);
        Ok(Self { outbox: Some(outbox), inbox, attached, seen: Vec::new(), rendered: 0, next, typed })
    }

    pub(crate) async fn send(&self, kind: client_frame::Kind) {
        self.outbox.as_ref().unwrap().send(frame(kind)).await.unwrap();
    }

    /// Sends no more and looks on.
    pub(crate) fn half_close(&mut self) {
        self.outbox = None;
    }

    pub(crate) async fn type_text(&mut self, text: &str) {
        let data = text.as_bytes().to_vec().into();
        self.send(client_frame::Kind::Input(pb::Input { offset: self.typed, data })).await;
        self.typed += text.len() as u64;
    }

    /// The next frame that is not output, or the end of the call.
    pub(crate) async fn next_word(&mut self) -> Result<Option<Kind>, Status> {
        loop {
            match self.next_frame().await? {
                Some(Kind::Output(_) | Kind::Snapshot(_)) => {}
                other => return Ok(other),
            }
        }
    }

    /// Reads until the output has this text.
    pub(crate) async fn until(&mut self, text: &str) {
        while !self.text().contains(text) {
            let next = self.next_frame().await;
            assert!(matches!(next, Ok(Some(_))), "{next:?} before {text:?}; saw {:?}", self.text());
        }
    }

    /// Reads until the output ends with a line's end.
    pub(crate) async fn until_line_end(&mut self) {
        while !self.seen.ends_with(b"\n") {
            self.next_frame().await.unwrap().expect("goes on");
        }
    }

    /// Where a later attachment goes on.
    pub(crate) fn place(&self) -> pb::Resume {
        pb::Resume { epoch: self.attached.epoch, offset: self.next, redraw: false }
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.seen).into_owned()
    }

    pub(crate) async fn next_frame(&mut self) -> Result<Option<Kind>, Status> {
        let frame = soon("a frame", self.inbox.message()).await?;
        let kind = frame.and_then(|frame| frame.kind);
        match &kind {
            Some(Kind::Output(output)) => {
                assert_eq!(output.offset, self.next, "the output goes on where it was");
                self.next += output.data.len() as u64;
                self.shown(&output.data).await;
            }
            Some(Kind::Snapshot(snapshot)) => {
                if snapshot.part == 0 {
                    self.seen.clear();
                }
                self.next = snapshot.offset;
                self.shown(&snapshot.data).await;
            }
            _ => {}
        }
        Ok(kind)
    }

    async fn shown(&mut self, bytes: &[u8]) {
        self.seen.extend_from_slice(bytes);
        self.rendered += bytes.len() as u64;
        let credit = pb::Credit { rendered_bytes: self.rendered, window_bytes: WINDOW };
        if let Some(outbox) = &self.outbox {
            let _ = outbox.send(frame_of(credit)).await;
        }
    }
}

fn frame_of(credit: pb::Credit) -> ClientFrame {
    frame(client_frame::Kind::Credit(credit))
}
