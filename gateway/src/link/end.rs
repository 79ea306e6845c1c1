//! Why a link ended, and what follows from it.

use std::time::Duration;

use chatcode_link::{Link, LinkEnd, exit};
use chatcode_proto::{code::Refusal, limits, pb::Code};
use tokio::time::timeout;
use tonic::Status;

use super::life::Moved;

/// What follows from the end of a link.
#[derive(Debug)]
pub(super) enum Outcome {
    /// The daemon stops.
    Stopped,
    /// Come back after this time.
    Drained(Duration),
    /// Go on with a link over a better way.
    Moved(Box<Moved>),
    /// Come back at once, with the certificate that was just brought back.
    Revived,
    /// Never come back.
    Revoked(String),
    /// Come back; why it ended.
    Ended(Refusal),
}

impl Outcome {
    /// What follows from a cause.
    pub(super) fn of(refusal: Refusal) -> Self {
        match refusal.code {
            Code::Revoked => Self::Revoked(refusal.message),
            _ => Self::Ended(refusal),
        }
    }

    /// Why the link ended; one that was moved away from had fallen silent, or was
    /// the lesser way.
    pub(super) const fn code(&self) -> Code {
        match self {
            Self::Stopped => Code::Done,
            Self::Moved(_) => Code::Timeout,
            Self::Revived => Code::Unauthenticated,
            Self::Drained(_) => Code::Draining,
            Self::Revoked(_) => Code::Revoked,
            Self::Ended(refusal) => refusal.code,
        }
    }

    /// What follows from the end of the connection.
    pub(super) fn of_link(end: LinkEnd) -> Self {
        let code = end.code.unwrap_or(Code::CoreUnreachable);
        Self::of(Refusal::new(code, end.reason))
    }

    /// What follows from the end of the control call. A broken connection is
    /// told by the call without its cause; the connection knows it.
    pub(super) async fn of_call(status: Option<Status>, link: &Link) -> Self {
        let refusal = status.map_or_else(
            || Refusal::new(Code::CoreUnreachable, "the core ended the link without a word"),
            |status| exit::refusal(&status, Code::CoreUnreachable),
        );
        let vague =
            matches!(refusal.code, Code::CoreUnreachable | Code::Internal | Code::Timeout | Code::Done);
        if vague && let Ok(end) = timeout(limits::GOODBYE, link.closed()).await {
            return Self::of_link(end);
        }
        Self::of(refusal)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn end(code: Option<Code>) -> Outcome {
        Outcome::of_link(LinkEnd { code, by_peer: true, reason: "why".to_owned() })
    }

    #[test]
    fn only_a_revocation_is_for_ever() {
        assert!(matches!(end(Some(Code::Revoked)), Outcome::Revoked(why) if why == "why"));
        for code in [Some(Code::Fenced), Some(Code::Unauthenticated), Some(Code::Draining), None] {
            assert!(matches!(end(code), Outcome::Ended(_)), "{code:?}");
        }
    }
}
