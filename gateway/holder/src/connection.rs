//! One connection to the holder: framed bytes in and out, both bounded, and
//! what it is for.

use std::{
    io::{self, Read as _, Write as _},
    os::{
        fd::{AsFd, BorrowedFd},
        unix::net::UnixStream,
    },
};

use bytes::{Buf as _, Bytes, BytesMut};
use chatcode_proto::{
    framing::{self, TooLarge},
    limits,
    session::Who,
};
use prost::Message;

use crate::ending::Time;

/// What a connection is for.
#[derive(Debug)]
pub(crate) enum Role {
    /// Its first message has not come.
    New,
    /// A viewer whose first frame has not come.
    Arriving(Who),
    /// A viewer that the session knows.
    Viewer,
    /// A watcher; `stale`: it has not been told of the last change.
    Watcher {
        /// A change waits to be told.
        stale: bool,
    },
    /// It has its answer, or all there is; closed when that is sent.
    Leaving,
}

/// One connection. Dropping it closes the socket.
#[derive(Debug)]
pub(crate) struct Connection {
    socket: UnixStream,
    incoming: BytesMut,
    outgoing: BytesMut,
    pub(crate) role: Role,
    /// When it is cut unless it has got further.
    pub(crate) deadline: Option<Time>,
    /// The peer sends no more.
    pub(crate) finished: bool,
}

impl Connection {
    /// A new connection on a non-blocking socket.
    pub(crate) fn new(socket: UnixStream, now: Time) -> Self {
        Self {
            socket,
            incoming: BytesMut::new(),
            outgoing: BytesMut::new(),
            role: Role::New,
            deadline: Some(now + limits::HOLDER_HELLO),
            finished: false,
        }
    }

    /// Takes what the peer has sent, into `chunk` first; never waits. At most
    /// one chunk in a turn, so what is kept is bounded by it and one message.
    ///
    /// # Errors
    /// The connection broke.
    pub(crate) fn receive(&mut self, chunk: &mut [u8]) -> io::Result<()> {
        match self.socket.read(chunk) {
            Ok(0) => self.finished = true,
            Ok(n) => self.incoming.extend_from_slice(&chunk[..n]),
            Err(error) if is_for_later(&error) => {}
            Err(error) => return Err(error),
        }
        Ok(())
    }

    /// The next whole message.
    ///
    /// # Errors
    /// It is longer than its kind may be.
    pub(crate) fn next(&mut self) -> Result<Option<Bytes>, TooLarge> {
        let allowed = match self.role {
            Role::New => limits::HOLDER_MESSAGE_BYTES,
            _ => limits::CLIENT_FRAME_BYTES,
        };
        framing::take(&mut self.incoming, allowed)
    }

    /// Throws away what came after the last message that was wanted.
    pub(crate) fn discard(&mut self) {
        self.incoming.clear();
    }

    /// Whether its time is over.
    pub(crate) fn is_late(&self, now: Time) -> bool {
        self.deadline.is_some_and(|deadline| deadline <= now)
    }

    /// Whether another message may be made for it.
    pub(crate) fn has_room(&self) -> bool {
        self.outgoing.len() < limits::HOLDER_SEND_BYTES
    }

    /// Whether something came that has not been looked at, or the end.
    pub(crate) fn has_news(&self) -> bool {
        self.finished || !self.incoming.is_empty()
    }

    /// Whether something waits to be sent.
    pub(crate) fn is_waiting(&self) -> bool {
        !self.outgoing.is_empty()
    }

    /// Puts a message behind what waits.
    pub(crate) fn put(&mut self, message: &impl Message) {
        framing::put(&mut self.outgoing, message);
    }

    /// Puts the last message behind what waits, and closes when it is sent or
    /// the peer does not take it in time.
    pub(crate) fn leave(&mut self, now: Time, message: &impl Message) {
        self.put(message);
        self.let_go();
        self.deadline = Some(now + limits::HOLDER_FAREWELL);
    }

    /// Closes when what waits is sent, however long the peer takes for it.
    pub(crate) fn let_go(&mut self) {
        self.role = Role::Leaving;
        self.incoming = BytesMut::new();
    }

    /// Sends what the socket takes; never waits.
    ///
    /// # Errors
    /// The connection broke.
    pub(crate) fn send(&mut self) -> io::Result<()> {
        while !self.outgoing.is_empty() {
            match self.socket.write(&self.outgoing) {
                Ok(n) => self.outgoing.advance(n),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

impl AsFd for Connection {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

fn is_for_later(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted)
}
