//! The cause behind a status, whatever it went through.

use std::error::Error;

use chatcode_proto::{code::Refusal, limits, metadata, pb::Code};
use tokio::time::error::Elapsed;
use tonic::{Status, TimeoutExpired};

/// The refusal that a status stands for. One that the peer made carries its
/// code; one that our own transport made (the peer was not reached, or the
/// connection broke) becomes `unreachable` with the innermost cause as words.
#[must_use]
pub fn refusal(status: &Status, unreachable: Code) -> Refusal {
    let is_ours = status.metadata().get(metadata::CODE).is_none() && status.source().is_some();
    // A deadline of our own says nothing about whether the peer is there.
    let is_late = causes(status).any(|cause| cause.is::<TimeoutExpired>());
    if !is_ours || is_late {
        return status.into();
    }
    let innermost = causes(status).last().map_or_else(|| status.message().to_owned(), words);
    Refusal::new(unreachable, innermost)
}

/// A cause for people; whoever accepts a connection and then says nothing is told so.
fn words(cause: &(dyn Error + 'static)) -> String {
    if cause.is::<Elapsed>() {
        return format!("nothing came from there within {} s", limits::HANDSHAKE.as_secs());
    }
    cause.to_string()
}

/// The causes behind an error, outermost first, without itself. An I/O error's
/// inner error counts as its cause.
pub fn causes<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    let next = |error: &'a (dyn Error + 'static)| -> Option<&'a (dyn Error + 'static)> {
        match error.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref) {
            Some(inner) => Some(inner),
            None => error.source(),
        }
    };
    std::iter::successors(next(error), move |error| next(*error))
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;

    #[test]
    fn what_the_peer_said_stands() {
        let said = Refusal::new(Code::RateLimited, "slowly");
        assert_eq!(refusal(&Status::from(said.clone()), Code::GatewayOffline), said);
        let plain = Status::unimplemented("no such method");
        assert_eq!(refusal(&plain, Code::GatewayOffline).code, Code::UnknownMethod);
    }

    #[test]
    fn a_broken_way_becomes_the_code_of_the_hop_with_its_innermost_cause() {
        let inner = io::Error::new(io::ErrorKind::ConnectionRefused, "nobody there");
        let mut status = Status::unavailable("error trying to connect");
        status.set_source(std::sync::Arc::new(io::Error::other(inner)));
        assert_eq!(
            refusal(&status, Code::GatewayOffline),
            Refusal::new(Code::GatewayOffline, "nobody there")
        );
    }

    #[tokio::test]
    async fn a_peer_that_takes_the_connection_and_says_nothing_is_told_so() {
        let never = tokio::time::timeout(std::time::Duration::ZERO, std::future::pending::<()>()).await;
        let inner = io::Error::new(io::ErrorKind::TimedOut, never.expect_err("is over"));
        let mut status = Status::unavailable("error trying to connect");
        status.set_source(std::sync::Arc::new(inner));
        let words = "nothing came from there within 10 s";
        assert_eq!(refusal(&status, Code::CoreUnreachable), Refusal::new(Code::CoreUnreachable, words));
    }

    #[test]
    fn a_deadline_of_our_own_is_a_timeout() {
        let mut status = Status::cancelled("Timeout expired");
        status.set_source(std::sync::Arc::new(io::Error::other(TimeoutExpired(()))));
        assert_eq!(refusal(&status, Code::GatewayOffline).code, Code::Timeout);
    }
}
