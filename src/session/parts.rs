//! How a snapshot goes out: in parts, each no longer than a piece of output.

use bytes::Bytes;

use crate::{limits, pb};

/// Cuts `data`, a snapshot of the output up to `offset`, into parts of at most
/// [`limits::OUTPUT_BYTES`]; an empty one is one part.
pub fn parts(
    data: Bytes,
    offset: u64,
    winsize: Option<pb::Winsize>,
    skipped: bool,
) -> impl Iterator<Item = pb::Snapshot> {
    let parts = data.len().div_ceil(limits::OUTPUT_BYTES).max(1);
    (0..parts).map(move |part| {
        let from = part * limits::OUTPUT_BYTES;
        let to = (from + limits::OUTPUT_BYTES).min(data.len());
        let data = data.slice(from..to);
        pb::Snapshot { offset, part: part as u32, parts: parts as u32, data, winsize, skipped }
    })
}
