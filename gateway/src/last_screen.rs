//! `Terminal.Attach` of a session whose holder is gone: what it kept of its
//! screen on disk, then the end. Nobody can type.

use std::{collections::VecDeque, sync::Arc};

use bytes::Bytes;
use chatcode_proto::{
    code::Refusal,
    id::ViewerId,
    limits, negotiate,
    pb::{self, Code, client_frame, server_frame::Kind},
    session::{Allowance, parts},
};
use futures_util::{Stream, stream};
use prost::Message as _;
use tokio::{sync::OwnedSemaphorePermit, time::timeout};
use tokio_util::sync::CancellationToken;
use tonic::{Status, Streaming};

/// A screen that was read, and the place that it takes of those that may be
/// read at once.
#[derive(Debug)]
pub(crate) struct Saved {
    /// What the holder kept.
    pub(crate) screen: pb::HolderScreen,
    /// The session as it is known.
    pub(crate) session: pb::Session,
    /// Free again when the viewer has left.
    pub(crate) place: OwnedSemaphorePermit,
}

/// The frames of one viewer of a saved screen.
pub(crate) fn show(
    saved: Saved,
    display_name: String,
    frames: Streaming<Bytes>,
    draining: CancellationToken,
) -> impl Stream<Item = Result<Bytes, Status>> + Send {
    let showing = Showing { rules: Rules::new(saved.screen, saved.session, display_name), frames };
    let place = Arc::new(saved.place);
    stream::unfold((Some(showing), draining, place), |(showing, draining, place)| async move {
        let mut showing = showing?;
        let next = match draining.run_until_cancelled(showing.next()).await {
            Some(next) => next.transpose()?,
            None => Err(Refusal::new(Code::Draining, "the gateway leaves this link; attach again soon")),
        };
        match next {
            Ok(kind) => {
                let frame = pb::ServerFrame { kind: Some(kind) };
                Some((Ok(frame.encode_to_vec().into()), (Some(showing), draining, place)))
            }
            Err(refusal) => Some((Err(refusal.into()), (None, draining, place))),
        }
    })
}

/// The rules with the viewer's frames.
struct Showing {
    rules: Rules,
    frames: Streaming<Bytes>,
}

impl Showing {
    /// The next frame; `None` at the end.
    async fn next(&mut self) -> Result<Option<Kind>, Refusal> {
        if self.rules.step == Step::First {
            let first = timeout(limits::HOLDER_HELLO, self.frames.message()).await;
            let late = |_| Refusal::new(Code::Timeout, "the first frame did not come in time; attach again");
            let Some(first) = first.map_err(late)?.map_err(|status| Refusal::from(&status))? else {
                return Ok(None);
            };
            return self.rules.attach(decoded(first)?).map(Some);
        }
        loop {
            match self.rules.poll() {
                Next::Frame(kind) => return Ok(Some(kind)),
                Next::Over => return Ok(None),
                Next::WaitsForCredit => {}
            }
            let Some(frame) = self.frames.message().await.map_err(|status| Refusal::from(&status))? else {
                // Nobody is left who could give credit.
                return Ok(None);
            };
            if let Some(answer) = self.rules.handle(decoded(frame)?)? {
                return Ok(Some(answer));
            }
        }
    }
}

fn decoded(frame: Bytes) -> Result<Option<client_frame::Kind>, Refusal> {
    let frame = pb::ClientFrame::decode(frame)
        .map_err(|_| Refusal::new(Code::Protocol, "what came is not a frame; update the older program"))?;
    Ok(frame.kind)
}

/// How far the viewer is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    First,
    Presence,
    Parts,
    Over,
}

/// What is to be done next.
#[derive(Debug, PartialEq)]
#[expect(clippy::large_enum_variant, reason = "one at a time, on the stack")]
enum Next {
    Frame(Kind),
    WaitsForCredit,
    Over,
}

/// What one viewer is told, and when. Pure.
struct Rules {
    screen: pb::HolderScreen,
    session: pb::Session,
    display_name: String,
    step: Step,
    /// Parts that are still to be sent.
    parts: VecDeque<pb::Snapshot>,
    allowance: Allowance,
}

impl Rules {
    fn new(mut screen: pb::HolderScreen, session: pb::Session, display_name: String) -> Self {
        let snapshot = std::mem::take(&mut screen.snapshot);
        let parts = parts(snapshot, screen.offset, screen.winsize, false).collect();
        Self { screen, session, display_name, step: Step::First, parts, allowance: Allowance::new(0) }
    }

    /// The first frame is judged as the holder would.
    fn attach(&mut self, first: Option<client_frame::Kind>) -> Result<Kind, Refusal> {
        let Some(client_frame::Kind::Attach(attach)) = first else {
            return Err(Refusal::new(Code::Protocol, "the first frame of an attachment is `attach`"));
        };
        let version = negotiate::version("attachment", limits::FRAME_VERSIONS, &attach.versions)?;
        let features = negotiate::features(&[], &attach.features)?;
        ViewerId::try_from(attach.viewer_id.as_ref())
            .map_err(|invalid| Refusal::new(Code::Invalid, invalid.to_string()))?;
        self.allowance = Allowance::new(attach.window_bytes);
        self.step = Step::Presence;
        Ok(Kind::Attached(pb::Attached {
            version,
            features,
            epoch: self.screen.epoch,
            offset: self.screen.offset,
            live_offset: self.screen.offset,
            // What became of more is not known any more; the exit refuses it.
            input_offset: attach.input_settled,
            refused: Vec::new(),
            role: pb::Role::Viewer.into(),
            viewer: 1,
            session: Some(self.session.clone()),
        }))
    }

    /// Acts on a later frame; its answer, if it has one.
    fn handle(&mut self, kind: Option<client_frame::Kind>) -> Result<Option<Kind>, Refusal> {
        match kind {
            Some(client_frame::Kind::Credit(credit)) => {
                self.allowance.handle_credit(credit)?;
                Ok(None)
            }
            Some(client_frame::Kind::Ping(ping)) => Ok(Some(Kind::Pong(pb::Pong { stamp: ping.stamp }))),
            Some(client_frame::Kind::Input(input)) => {
                let to = input.offset.saturating_add(input.data.len() as u64);
                let code = Code::SessionEnded.into();
                Ok(Some(Kind::InputRefused(pb::InputRefused { from: input.offset, to, code })))
            }
            Some(client_frame::Kind::Detach(_)) => {
                self.step = Step::Over;
                Ok(None)
            }
            // Nothing else matters to a session that has ended.
            _ => Ok(None),
        }
    }

    fn poll(&mut self) -> Next {
        match self.step {
            Step::First | Step::Over => Next::Over,
            Step::Presence => {
                self.step = Step::Parts;
                let display_name = self.display_name.clone();
                let me = pb::Viewer { viewer: 1, display_name, role: pb::Role::Viewer.into() };
                Next::Frame(Kind::Presence(pb::Presence { viewers: vec![me], writer: 0 }))
            }
            Step::Parts if !self.parts.is_empty() && self.allowance.room() == 0 => Next::WaitsForCredit,
            Step::Parts => match self.parts.pop_front() {
                Some(part) => {
                    self.allowance.send(part.data.len());
                    Next::Frame(Kind::Snapshot(part))
                }
                None => {
                    self.step = Step::Over;
                    let (offset, exit) = (self.screen.offset, self.session.exit);
                    Next::Frame(Kind::Exited(pb::Exited { offset, exit }))
                }
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(bytes: usize) -> Rules {
        let screen = pb::HolderScreen {
            offset: 9,
            epoch: 7,
            snapshot: vec![b'x'; bytes].into(),
            ..Default::default()
        };
        Rules::new(screen, pb::Session::default(), "Ada".into())
    }

    fn attach() -> pb::Attach {
        pb::Attach {
            versions: limits::FRAME_VERSIONS.to_vec(),
            viewer_id: vec![1; 16].into(),
            role: pb::Role::Writer.into(),
            ..Default::default()
        }
    }

    fn first(attach: pb::Attach) -> Option<client_frame::Kind> {
        Some(client_frame::Kind::Attach(attach))
    }

    #[test]
    fn the_screen_comes_in_parts_as_credit_allows_and_the_end_behind_it() {
        let mut rules = rules(limits::OUTPUT_BYTES + 1);
        let attached = rules.attach(first(attach())).expect("is fine");
        assert!(
            matches!(attached, Kind::Attached(attached) if attached.role() == pb::Role::Viewer && attached.epoch == 7)
        );
        assert!(matches!(rules.poll(), Next::Frame(Kind::Presence(_))));
        let part = |next| match next {
            Next::Frame(Kind::Snapshot(part)) => (part.part, part.parts, part.data.len()),
            other => panic!("{other:?}"),
        };
        assert_eq!(part(rules.poll()), (0, 2, limits::OUTPUT_BYTES));
        assert_eq!(rules.poll(), Next::WaitsForCredit);
        let credit =
            |rendered_bytes| Some(client_frame::Kind::Credit(pb::Credit { rendered_bytes, window_bytes: 0 }));
        assert_eq!(rules.handle(credit(u64::MAX)).expect_err("was never sent").code, Code::Protocol);
        rules.handle(credit(limits::OUTPUT_BYTES as u64)).expect("was sent");
        assert_eq!(part(rules.poll()), (1, 2, 1));
        assert!(matches!(rules.poll(), Next::Frame(Kind::Exited(exited)) if exited.offset == 9));
        assert_eq!(rules.poll(), Next::Over);
    }

    #[test]
    fn a_first_frame_that_the_holder_would_refuse_is_refused() {
        let code = |attach| rules(0).attach(attach).expect_err("is refused").code;
        assert_eq!(code(None), Code::Protocol);
        assert_eq!(code(first(pb::Attach { versions: vec![99], ..attach() })), Code::UnsupportedVersion);
        assert_eq!(code(first(pb::Attach { viewer_id: vec![1].into(), ..attach() })), Code::Invalid);
    }

    #[test]
    fn what_is_typed_is_refused_by_its_numbers() {
        let input = pb::Input { offset: 4, data: "ls".into() };
        let answer = rules(0).handle(Some(client_frame::Kind::Input(input))).expect("is no fault");
        let refused = pb::InputRefused { from: 4, to: 6, code: Code::SessionEnded.into() };
        assert_eq!(answer, Some(Kind::InputRefused(refused)));
    }
}
