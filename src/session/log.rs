//! The output of a session, by absolute offset: the last bytes of it.

use bytes::{Bytes, BytesMut};

/// A bounded log. Offsets count from the session's first byte and never
/// restart; the oldest bytes make room for new ones.
#[derive(Debug)]
pub struct OutputLog {
    ring: Box<[u8]>,
    end: u64,
}

impl OutputLog {
    /// An empty log that keeps `capacity` bytes (at least one).
    #[must_use]
    pub fn new(capacity: usize) -> Self {
        Self { ring: vec![0; capacity.max(1)].into_boxed_slice(), end: 0 }
    }

    /// The offset of the oldest byte that is kept.
    #[must_use]
    pub fn start(&self) -> u64 {
        self.end.saturating_sub(self.ring.len() as u64)
    }

    /// The offset that the next byte will have.
    #[must_use]
    pub const fn end(&self) -> u64 {
        self.end
    }

    /// How many bytes it keeps.
    #[must_use]
    pub fn capacity(&self) -> usize {
        self.ring.len()
    }

    /// Appends.
    pub fn push(&mut self, bytes: &[u8]) {
        let skipped = bytes.len().saturating_sub(self.ring.len());
        self.end += skipped as u64;
        let bytes = &bytes[skipped..];
        let at = self.position(self.end);
        let first = bytes.len().min(self.ring.len() - at);
        self.ring[at..at + first].copy_from_slice(&bytes[..first]);
        self.ring[..bytes.len() - first].copy_from_slice(&bytes[first..]);
        self.end += bytes.len() as u64;
    }

    /// The bytes from `from`, at most `max`; what is not kept is not given.
    #[must_use]
    pub fn read(&self, from: u64, max: usize) -> Bytes {
        let (first, second) = self.slices(from, max);
        if second.is_empty() {
            return Bytes::copy_from_slice(first);
        }
        let mut joined = BytesMut::with_capacity(first.len() + second.len());
        joined.extend_from_slice(first);
        joined.extend_from_slice(second);
        joined.freeze()
    }

    fn slices(&self, from: u64, max: usize) -> (&[u8], &[u8]) {
        if from < self.start() || from >= self.end {
            return (&[], &[]);
        }
        let length = usize::try_from(self.end - from).map_or(max, |rest| rest.min(max));
        let at = self.position(from);
        let first = length.min(self.ring.len() - at);
        (&self.ring[at..at + first], &self.ring[..length - first])
    }

    fn position(&self, offset: u64) -> usize {
        (offset % self.ring.len() as u64) as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_that_is_kept_reads_as_it_was_written() {
        let all: Vec<u8> = (0..200_u8).collect();
        for capacity in [1, 7, 64, 200, 300] {
            for piece in [1, 3, 64, 199] {
                let mut log = OutputLog::new(capacity);
                all.chunks(piece).for_each(|chunk| log.push(chunk));
                assert_eq!(log.end(), 200);
                assert_eq!(log.start(), 200_u64.saturating_sub(capacity as u64));
                for from in log.start()..log.end() {
                    assert_eq!(log.read(from, 1000), all[from as usize..], "{capacity} {piece} {from}");
                }
            }
        }
    }

    #[test]
    fn what_is_not_kept_is_not_given() {
        let mut log = OutputLog::new(4);
        log.push(b"abcdefgh");
        assert!(log.read(3, 10).is_empty());
        assert!(log.read(8, 10).is_empty());
        assert_eq!(log.read(4, 2), "ef");
    }
}
