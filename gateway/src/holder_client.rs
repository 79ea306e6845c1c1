//! The daemon's end of a holder's Unix socket: framed messages, each step with
//! a deadline.

use std::{
    io,
    path::Path,
    time::{Duration, Instant},
};

use bytes::{Bytes, BytesMut};
use chatcode_link::QuietStream;
use chatcode_proto::{
    code::Refusal,
    framing, limits,
    pb::{self, Code, holder_request::Verb},
};
use prost::Message;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::UnixStream,
    time::timeout,
};

/// Why a holder could not be asked.
#[derive(Debug, thiserror::Error)]
pub(crate) enum HolderError {
    /// Nobody listens: the holder is gone, or has not begun.
    #[error("the session's holder is gone")]
    Gone,
    /// It listens and does not answer in time, or breaks off.
    #[error("the session's holder does not answer")]
    Silent,
    /// It said something that is no message.
    #[error("the session's holder sent what is not a message: {0}")]
    Malformed(String),
    /// It answered with a refusal.
    #[error(transparent)]
    Refused(Refusal),
    /// The socket failed in another way.
    #[error("the socket of the session's holder failed: {0}")]
    Io(io::Error),
}

impl From<HolderError> for Refusal {
    fn from(error: HolderError) -> Self {
        match error {
            HolderError::Refused(refusal) => refusal,
            other => Self::new(Code::HolderUnreachable, other.to_string()),
        }
    }
}

/// A connection to a holder that has accepted its first message.
#[derive(Debug)]
pub(crate) struct HolderConnection {
    stream: UnixStream,
    buffer: BytesMut,
    /// The session as it was when the connection began.
    pub(crate) session: pb::Session,
    /// From the request's first byte to its answer.
    pub(crate) took: Duration,
}

impl HolderConnection {
    /// Connects and asks, within [`limits::HOLDER_ANSWER`].
    ///
    /// # Errors
    /// [`HolderError`]; the socket is closed then.
    pub(crate) async fn open(socket: &Path, verb: Verb) -> Result<Self, HolderError> {
        let asking = async { Self::ask(connect(socket).await?, verb).await };
        timeout(limits::HOLDER_ANSWER, asking).await.unwrap_or(Err(HolderError::Silent))
    }

    /// Asks, and waits for the answer however long it takes: for callers that
    /// come again and again, since a holder that hangs keeps every connection
    /// in its queue, also one that was closed.
    ///
    /// # Errors
    /// [`HolderError`]; the socket is closed then.
    pub(crate) async fn ask(mut stream: UnixStream, verb: Verb) -> Result<Self, HolderError> {
        let asked = Instant::now();
        let mut out = BytesMut::new();
        let versions = limits::HOLDER_VERSIONS.to_vec();
        framing::put(&mut out, &pb::HolderRequest { versions, verb: Some(verb) });
        stream.write_all(&out).await.map_err(broken)?;
        let mut buffer = BytesMut::new();
        let answer = read_message::<pb::HolderResponse>(&mut stream, &mut buffer).await?;
        let took = asked.elapsed();
        let session = accepted(answer.ok_or(HolderError::Silent)?)?;
        Ok(Self { stream, buffer, session, took })
    }

    /// The next change of a watched session, however long it takes; `None`
    /// when the holder has closed the connection. Dropping the future loses
    /// nothing.
    pub(crate) async fn next_event(&mut self) -> Result<Option<pb::Session>, HolderError> {
        let event = read_message::<pb::HolderEvent>(&mut self.stream, &mut self.buffer).await?;
        event
            .map(|event| {
                event.session.ok_or_else(|| HolderError::Malformed("an event without a session".into()))
            })
            .transpose()
    }

    /// The socket for a bridge, and what was read beyond the answer.
    ///
    /// # Errors
    /// [`HolderError::Io`] when the system has no place for it; it is closed then.
    pub(crate) fn into_parts(self) -> Result<(QuietStream, BytesMut), HolderError> {
        Ok((QuietStream::new(self.stream).map_err(HolderError::Io)?, self.buffer))
    }
}

/// Connects to a holder.
///
/// # Errors
/// [`HolderError`].
pub(crate) async fn connect(socket: &Path) -> Result<UnixStream, HolderError> {
    UnixStream::connect(socket).await.map_err(|error| match error.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => HolderError::Gone,
        // So many callers wait that no more may.
        io::ErrorKind::WouldBlock => HolderError::Silent,
        _ => HolderError::Io(error),
    })
}

/// The session of an answer that says done.
pub(crate) fn accepted(answer: pb::HolderResponse) -> Result<pb::Session, HolderError> {
    match answer.code() {
        Code::Done => {
            answer.session.ok_or_else(|| HolderError::Malformed("an answer without its session".into()))
        }
        Code::Unspecified => Err(HolderError::Malformed("an answer without its code".into())),
        code => {
            let message = chatcode_proto::name::display_safe(&answer.message, limits::MESSAGE_BYTES);
            Err(HolderError::Refused(Refusal::new(code, message)))
        }
    }
}

/// Reads the next message; `None` at a clean end. What came of an unfinished
/// message stays in `buffer`, so dropping the future loses nothing.
pub(crate) async fn read_message<M: Message + Default>(
    stream: &mut (impl tokio::io::AsyncRead + Unpin),
    buffer: &mut BytesMut,
) -> Result<Option<M>, HolderError> {
    loop {
        let whole = framing::take(buffer, limits::HOLDER_MESSAGE_BYTES)
            .map_err(|error| HolderError::Malformed(error.to_string()))?;
        if let Some(bytes) = whole {
            return decode(bytes).map(Some);
        }
        if stream.read_buf(buffer).await.map_err(broken)? == 0 {
            return if buffer.is_empty() { Ok(None) } else { Err(HolderError::Silent) };
        }
    }
}

fn decode<M: Message + Default>(bytes: Bytes) -> Result<M, HolderError> {
    M::decode(bytes).map_err(|error| HolderError::Malformed(error.to_string()))
}

/// A peer that breaks off is silent; anything else is told as it is.
fn broken(error: io::Error) -> HolderError {
    match error.kind() {
        io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset | io::ErrorKind::UnexpectedEof => {
            HolderError::Silent
        }
        _ => HolderError::Io(error),
    }
}

#[cfg(test)]
mod tests {
    use tokio::net::UnixListener;

    use super::*;

    fn watch() -> Verb {
        Verb::Watch(pb::HolderWatch {})
    }

    /// A holder that reads one request and answers with these messages.
    async fn holder(listener: UnixListener, answers: Vec<BytesMut>) {
        let (mut stream, _) = listener.accept().await.expect("a connection");
        let request = read_message::<pb::HolderRequest>(&mut stream, &mut BytesMut::new()).await;
        assert!(request.expect("is well formed").is_some());
        for answer in answers {
            stream.write_all(&answer).await.expect("is written");
        }
    }

    fn message(message: &impl Message) -> BytesMut {
        let mut bytes = BytesMut::new();
        framing::put(&mut bytes, message);
        bytes
    }

    #[tokio::test]
    async fn a_watch_gets_its_answer_then_each_change_then_the_end() {
        let folder = tempfile::tempdir().expect("a folder");
        let socket = folder.path().join("s");
        let listener = UnixListener::bind(&socket).expect("binds");
        let session = |viewers| Some(pb::Session { viewers, ..Default::default() });
        let answer =
            pb::HolderResponse { code: Code::Done.into(), session: session(0), ..Default::default() };
        let answers = vec![message(&answer), message(&pb::HolderEvent { session: session(3) })];
        let serving = tokio::spawn(holder(listener, answers));
        let mut connection = HolderConnection::open(&socket, watch()).await.expect("is accepted");
        assert_eq!(connection.session.viewers, 0);
        let next = connection.next_event().await.expect("a change").expect("is there");
        assert_eq!(next.viewers, 3);
        serving.await.expect("ends");
        assert_eq!(connection.next_event().await.expect("a clean end"), None);
    }

    #[tokio::test]
    async fn a_refusal_and_a_vanished_holder_are_told_apart() {
        let folder = tempfile::tempdir().expect("a folder");
        let socket = folder.path().join("s");
        assert!(matches!(HolderConnection::open(&socket, watch()).await, Err(HolderError::Gone)));
        let listener = UnixListener::bind(&socket).expect("binds");
        let refusal = pb::HolderResponse {
            code: Code::UnsupportedVersion.into(),
            message: "too\u{1b} old".into(),
            ..Default::default()
        };
        let serving = tokio::spawn(holder(listener, vec![message(&refusal)]));
        let error = HolderConnection::open(&socket, watch()).await.expect_err("is refused");
        let refusal = Refusal::from(error);
        assert_eq!(refusal.code, Code::UnsupportedVersion);
        assert!(!refusal.message.contains('\u{1b}'));
        serving.await.expect("ends");
        let error = HolderConnection::open(&socket, watch()).await.expect_err("nobody listens");
        assert_eq!(Refusal::from(error).code, Code::HolderUnreachable);
    }

    #[tokio::test]
    async fn a_message_that_is_announced_too_large_is_refused_at_once() {
        let mut stream: &[u8] = &[0xff; 16];
        let read = read_message::<pb::HolderEvent>(&mut stream, &mut BytesMut::new()).await;
        assert!(matches!(read, Err(HolderError::Malformed(_))));
    }
}
