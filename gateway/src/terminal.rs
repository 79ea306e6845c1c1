//! `Terminal.Attach`: a bridge between a call and a holder's socket that opens
//! no frame. What newer ends say to each other passes through.
//!
//! One task per attachment carries what the viewer sends; what the holder
//! sends is read by the answer itself when the link takes it, so nothing waits
//! in between. Dropping the answer closes the socket.

use std::{
    convert::Infallible,
    future::Future,
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use bytes::{Buf as _, Bytes, BytesMut};
use chatcode_link::{QuietStream, codec::OpaqueCodec};
use chatcode_proto::{
    code::Refusal,
    framing, limits, metadata,
    pb::{self, Code, holder_request::Verb, server_frame::Kind},
};
use futures_util::{Stream, StreamExt as _, future::Either, stream::BoxStream};
use prost::Message as _;
use tokio::io::AsyncWriteExt as _;
use tokio_util::{
    io::poll_read_buf,
    sync::{CancellationToken, WaitForCancellationFutureOwned},
    task::AbortOnDropHandle,
};
use tonic::{
    Request, Response, Status, Streaming,
    body::Body,
    server::{Grpc, NamedService, StreamingService},
};

use crate::{
    grant::{self, CoreClock},
    last_screen,
    meters::{Place, Terminals},
    sessions::Registry,
};

/// Room made before each read of a holder's socket: an echo and some output
/// fit; a frame that is larger makes its own room.
const READ_BYTES: usize = 8 * 1024;
/// First bytes of the two server frames that end an attachment: field number
/// and wire type of `exited` and `closing` in `ServerFrame`.
const EXITED: u8 = 9 << 3 | 2;
const CLOSING: u8 = 11 << 3 | 2;

/// From a holder, or from what one left behind.
type Answer = Either<Attachment, BoxStream<'static, Result<Bytes, Status>>>;

/// The service, for one link.
#[derive(Clone, Debug)]
pub(crate) struct Terminal {
    /// Knows the sessions.
    pub(crate) registry: Arc<Registry>,
    /// The clock that grants are judged by.
    pub(crate) clock: CoreClock,
    /// Cancelled when the link is being left.
    pub(crate) draining: CancellationToken,
}

impl NamedService for Terminal {
    const NAME: &'static str = "chatcode.v1.Terminal";
}

impl tower::Service<http::Request<Body>> for Terminal {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let terminal = self.clone();
        Box::pin(async move {
            if request.uri().path() != metadata::ATTACH {
                let refusal = Refusal::new(Code::UnknownMethod, "the service Terminal has no such method");
                return Ok(Status::from(refusal).into_http());
            }
            let sizes = (Some(limits::CLIENT_FRAME_BYTES), Some(limits::SERVER_FRAME_BYTES));
            let mut grpc = Grpc::new(OpaqueCodec).apply_max_message_size_config(sizes.0, sizes.1);
            Ok(grpc.streaming(terminal, request).await)
        })
    }
}

impl StreamingService<Bytes> for Terminal {
    type Response = Bytes;
    type ResponseStream = Answer;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Answer>, Status>> + Send>>;

    fn call(&mut self, request: Request<Streaming<Bytes>>) -> Self::Future {
        let terminal = self.clone();
        Box::pin(async move { Ok(Response::new(terminal.attach(request).await?)) })
    }
}

impl Terminal {
    async fn attach(&self, request: Request<Streaming<Bytes>>) -> Result<Answer, Refusal> {
        let (id, grant) = grant::of_session(request.metadata(), self.clock)?;
        let (call, principal) = (grant.request_id.clone(), grant.principal.clone());
        let attach = pb::HolderAttach {
            role: match grant.role() {
                pb::Role::Writer => pb::Role::Writer.into(),
                pb::Role::Viewer | pb::Role::Unspecified => pb::Role::Viewer.into(),
            },
            principal: grant.principal,
            display_name: grant.display_name,
            request_id: grant.request_id,
        };
        let display_name = attach.display_name.clone();
        let connection = match self.registry.connect(id, Verb::Attach(attach)).await {
            Err(ended) if ended.code == Code::SessionEnded => {
                let saved = self.registry.last_screen(id).await?.ok_or(ended)?;
                tracing::debug!(%call, %principal, session = %id, "shows the last screen");
                let frames =
                    last_screen::show(saved, display_name, request.into_inner(), self.draining.clone());
                return Ok(Either::Right(frames.boxed()));
            }
            connected => connected?,
        };
        tracing::debug!(%call, %principal, session = %id, "attach");
        let (from_holder, buffer) = connection.into_parts().map_err(Refusal::from)?;
        let to_holder = from_holder.clone();
        let terminals = Arc::clone(&self.registry.meters.terminals);
        terminals.attached.inc();
        let carry = tokio::spawn(carry(request.into_inner(), to_holder, Arc::clone(&terminals)));
        Ok(Either::Left(Attachment {
            from_holder,
            buffer,
            carry: Some(AbortOnDropHandle::new(carry)),
            draining: Box::pin(self.draining.clone().cancelled_owned()),
            last: Last::Other,
            over: false,
            terminals,
            place: Place::default(),
        }))
    }
}

/// Writes the viewer's frames to the holder, each with its length.
async fn carry(
    mut frames: Streaming<Bytes>,
    mut holder: QuietStream,
    terminals: Arc<Terminals>,
) -> Result<(), Refusal> {
    loop {
        let frame = match frames.message().await {
            Ok(Some(frame)) => frame,
            Ok(None) => return Ok(()),
            Err(status) => return Err(broken_call(&status)),
        };
        terminals.client_frame(&frame);
        let length = u32::try_from(frame.len()).unwrap_or(u32::MAX).to_be_bytes();
        let mut whole = length.as_slice().chain(frame);
        // A holder that has closed its end says why on the other way.
        if holder.write_all_buf(&mut whole).await.is_err() {
            return Ok(());
        }
    }
}

fn broken_call(status: &Status) -> Refusal {
    match status.code() {
        tonic::Code::OutOfRange => {
            let words =
                format!("a frame is larger than {} bytes; send smaller ones", limits::CLIENT_FRAME_BYTES);
            Refusal::new(Code::TooLarge, words)
        }
        _ => Refusal::from(status),
    }
}

/// What the holder said last, as far as it says how the call ends.
#[derive(Debug)]
enum Last {
    Other,
    Exited,
    Closing(Bytes),
}

impl Last {
    fn of(self, frame: &Bytes) -> Self {
        match (frame.first(), self) {
            (Some(&CLOSING), _) => Self::Closing(frame.clone()),
            (Some(&EXITED), _) | (_, Self::Exited) => Self::Exited,
            _ => Self::Other,
        }
    }

    /// How the call ends when the holder has closed its end.
    fn end(&self) -> Result<(), Refusal> {
        match self {
            Self::Exited => Ok(()),
            Self::Closing(frame) => closing(frame.clone()),
            Self::Other => {
                Err(Refusal::new(Code::HolderUnreachable, "the session's holder broke off; attach again"))
            }
        }
    }
}

fn closing(frame: Bytes) -> Result<(), Refusal> {
    let malformed = || Refusal::new(Code::Internal, "the holder's last word could not be read");
    let frame = pb::ServerFrame::decode(frame).map_err(|_| malformed())?;
    let Some(Kind::Closing(closing)) = frame.kind else { return Err(malformed()) };
    match closing.code() {
        Code::Done => Ok(()),
        Code::Unspecified => Err(malformed()),
        code => {
            let words = chatcode_proto::name::display_safe(&closing.message, limits::MESSAGE_BYTES);
            Err(Refusal::new(code, words))
        }
    }
}

/// The answer of one attachment: the holder's frames, read when they are
/// wanted.
#[derive(Debug)]
pub(crate) struct Attachment {
    from_holder: QuietStream,
    buffer: BytesMut,
    /// Carries the other way; `None` when that has failed. Aborted on drop.
    carry: Option<AbortOnDropHandle<Result<(), Refusal>>>,
    draining: Pin<Box<WaitForCancellationFutureOwned>>,
    last: Last,
    over: bool,
    terminals: Arc<Terminals>,
    place: Place,
}

impl Drop for Attachment {
    fn drop(&mut self) {
        if !self.over {
            self.terminals.ended.of(["left"]).inc();
        }
    }
}

impl Attachment {
    /// The next frame, or the end.
    fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Bytes>, Refusal>> {
        loop {
            let whole = framing::take(&mut self.buffer, limits::SERVER_FRAME_BYTES)
                .map_err(|error| Refusal::new(Code::TooLarge, format!("the holder's frame: {error}")))?;
            if let Some(frame) = whole {
                self.terminals.server_frame(&frame, &mut self.place);
                self.last = std::mem::replace(&mut self.last, Last::Other).of(&frame);
                return Poll::Ready(Ok(Some(frame)));
            }
            if self.buffer.capacity() - self.buffer.len() < READ_BYTES / 2 {
                self.buffer.reserve(READ_BYTES);
            }
            let read = ready!(poll_read_buf(Pin::new(&mut self.from_holder), cx, &mut self.buffer));
            match read {
                Ok(0) => return Poll::Ready(self.last.end().map(|()| None)),
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::ConnectionReset => {
                    return Poll::Ready(self.last.end().map(|()| None));
                }
                Err(error) => {
                    let words = format!("the socket of the session's holder failed ({error})");
                    return Poll::Ready(Err(Refusal::new(Code::HolderUnreachable, words)));
                }
            }
        }
    }

    /// Whether the call is to end though the holder goes on.
    fn poll_cut(&mut self, cx: &mut Context<'_>) -> Poll<Refusal> {
        if self.draining.as_mut().poll(cx).is_ready() {
            return Poll::Ready(Refusal::new(
                Code::Draining,
                "the gateway leaves this link; attach again soon",
            ));
        }
        let Some(carry) = &mut self.carry else { return Poll::Pending };
        match ready!(Pin::new(carry).poll(cx)) {
            Ok(Err(refusal)) => Poll::Ready(refusal),
            Err(error) => Poll::Ready(Refusal::new(Code::Internal, error.to_string())),
            Ok(Ok(())) => {
                // The viewer sends no more and may still look on.
                self.carry = None;
                Poll::Pending
            }
        }
    }
}

impl Stream for Attachment {
    type Item = Result<Bytes, Status>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if self.over {
            return Poll::Ready(None);
        }
        let next = match self.poll_cut(cx) {
            Poll::Ready(refusal) => Err(refusal),
            Poll::Pending => ready!(self.poll_frame(cx)),
        };
        self.over = !matches!(next, Ok(Some(_)));
        if self.over {
            let code = next.as_ref().map_or_else(|refusal| refusal.code, |_| Code::Done);
            self.terminals.ended.of([code.name()]).inc();
        }
        Poll::Ready(next.map_err(Status::from).transpose())
    }
}
