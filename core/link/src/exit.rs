//! The cause behind a status, whatever it went through.

use std::error::Error;

use chatcode_proto::{code::Refusal, metadata, pb::Code};
use tonic::Status;

/// The refusal that a status stands for. One that the peer made carries its
/// code; one that our own transport made (the peer was not reached, or the
/// connection broke) becomes `unreachable` with the innermost cause as words.
#[must_use]
pub fn refusal(status: &Status, unreachable: Code) -> Refusal {
    let is_ours = status.metadata().get(metadata::CODE).is_none() && status.source().is_some();
    if !is_ours {
        return status.into();
    }
    let innermost = causes(status).last().map_or_else(|| status.message().to_owned(), ToString::to_string);
    Refusal::new(unreachable, innermost)
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
