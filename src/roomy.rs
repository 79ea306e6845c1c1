//! A buffer for much that is needed for a moment.

use crate::limits;

/// An empty buffer with room for any snapshot. Pages that nothing is written to
/// cost nothing; those that were written to go back to the system with the
/// buffer, since an allocator maps one as large as this by itself. One that
/// grew from small would stay with the process. Without so much address space
/// it grows as any other.
#[must_use]
pub fn roomy() -> Vec<u8> {
    let mut buffer = Vec::new();
    let _ = buffer.try_reserve_exact(limits::SCREEN_FILE_BYTES);
    buffer
}
