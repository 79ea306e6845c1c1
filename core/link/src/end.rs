//! Why a link ended or did not come about.

use std::{error::Error as _, io};

use chatcode_proto::{limits, pb::Code};
use quinn::ConnectionError;

/// How a link ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LinkEnd {
    /// The cause. `None` when nobody named one: the peer was restarted, or
    /// broke off.
    pub code: Option<Code>,
    /// Whether the peer ended it; else this end did, or the network.
    pub by_peer: bool,
    /// Words for logs. What the peer sent is in it: show it through
    /// `chatcode_proto::name::display_safe`.
    pub reason: String,
}

/// Why a link did not come about.
#[derive(Debug, thiserror::Error)]
pub enum LinkError {
    /// The socket could not be had or used.
    #[error("could not use a socket: {0}")]
    Socket(#[from] io::Error),
    /// The TLS config does not fit QUIC.
    #[error("the TLS config does not fit QUIC: {0}")]
    Tls(String),
    /// The address or the server name cannot be dialled.
    #[error("cannot dial: {0}")]
    Dial(String),
    /// The handshake failed.
    #[error("the handshake failed: {}", .0.reason)]
    Refused(LinkEnd),
    /// The handshake did not end within [`limits::HANDSHAKE`].
    #[error("no answer within {} s", limits::HANDSHAKE.as_secs())]
    Timeout,
}

impl LinkError {
    /// The cause, in the vocabulary of all hops.
    #[must_use]
    pub fn code(&self) -> Code {
        match self {
            Self::Refused(end) => end.code.unwrap_or(Code::CoreUnreachable),
            Self::Timeout => Code::Timeout,
            Self::Socket(_) | Self::Dial(_) => Code::CoreUnreachable,
            Self::Tls(_) => Code::Internal,
        }
    }
}

impl LinkEnd {
    pub(crate) fn of(error: &ConnectionError) -> Self {
        let (code, by_peer) = match error {
            ConnectionError::ApplicationClosed(close) => {
                let reason = String::from_utf8_lossy(&close.reason).into_owned();
                return Self { code: Code::from_quic(close.error_code.into()), by_peer: true, reason };
            }
            ConnectionError::ConnectionClosed(close) => (alert_code(close.error_code), true),
            ConnectionError::TransportError(error) => (alert_code(error.code), false),
            ConnectionError::TimedOut => (Some(Code::Timeout), false),
            ConnectionError::VersionMismatch => (Some(Code::UnsupportedVersion), true),
            ConnectionError::CidsExhausted => (Some(Code::Internal), false),
            ConnectionError::Reset => (None, true),
            ConnectionError::LocallyClosed => (None, false),
        };
        Self { code, by_peer, reason: error.to_string() }
    }
}

impl LinkEnd {
    /// A link that ended without a word.
    pub(crate) fn broken(reason: &str) -> Self {
        Self { code: None, by_peer: true, reason: reason.to_owned() }
    }

    /// How a connection over TCP broke.
    pub(crate) fn of_io(error: &io::Error) -> Self {
        let tls = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
        let (code, by_peer) = match tls {
            Some(rustls::Error::AlertReceived(_)) => (Some(Code::Unauthenticated), true),
            Some(_) => (Some(Code::Unauthenticated), false),
            None if error.kind() == io::ErrorKind::TimedOut => (Some(Code::Timeout), false),
            None => (None, true),
        };
        let cause = error.source().map_or_else(|| error.to_string(), ToString::to_string);
        Self { code, by_peer, reason: cut(&cause).to_owned() }
    }
}

/// A TLS alert means that one end did not take the other's certificate or
/// config; all else names no cause of ours.
fn alert_code(code: quinn::TransportErrorCode) -> Option<Code> {
    // RFC 9001, section 4.8: 0x100 and the alert.
    (0x100..0x200).contains(&u64::from(code)).then_some(Code::Unauthenticated)
}

/// The text, cut to the limit at a character.
pub(crate) fn cut(reason: &str) -> &str {
    &reason[..reason.floor_char_boundary(limits::MESSAGE_BYTES)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_end_of_a_connection_has_its_cause() {
        let end = |error| LinkEnd::of(&error);
        let ends = [
            (ConnectionError::TimedOut, Some(Code::Timeout), false),
            (ConnectionError::Reset, None, true),
            (ConnectionError::VersionMismatch, Some(Code::UnsupportedVersion), true),
            (ConnectionError::LocallyClosed, None, false),
        ];
        for (error, code, by_peer) in ends {
            let end = end(error);
            assert_eq!((end.code, end.by_peer), (code, by_peer), "{end:?}");
            assert!(!end.reason.is_empty());
        }
    }

    #[test]
    fn a_reason_is_cut_at_a_character() {
        let long = "ä".repeat(limits::MESSAGE_BYTES);
        assert_eq!(cut(&long).len(), limits::MESSAGE_BYTES);
        assert_eq!(cut(&format!("x{long}")).len(), limits::MESSAGE_BYTES - 1);
        assert_eq!(cut("short"), "short");
    }
}
