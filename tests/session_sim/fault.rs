//! Mistakes that the worlds must find.

/// A mistake that is planted into the holder or its shell.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Fault {
    /// Input is confirmed though its last byte was not written.
    ConfirmedBeforeWritten,
    /// A place in another life's output counts as one in this.
    EpochIgnored,
    /// The first byte after the ring's end is another.
    WrongAtTheWrap,
    /// Input that came before is written again.
    WrittenTwice,
    /// A credit wakes nobody.
    LostWakeUp,
    /// Nobody looks at the clock for the lease.
    StaleLease,
    /// The PTY is held for as long as its viewer is behind.
    HeldForEver,
    /// A refusal gets lost.
    RefusalLost,
    /// A part of a snapshot gets lost.
    PartLost,
    /// A snapshot says another place than it was taken at.
    SnapshotMisplaced,
    /// A size is told before output that was made for the one before.
    SizeTooEarly,
    /// An older attachment of the same viewer is not ended.
    NotFenced,
    /// A confirmation gets lost.
    ConfirmationLost,
    /// Another is named than the one who writes.
    WrongWriterTold,
    /// A paste counts as stalled as soon as all that came of it is written.
    AnswerInPaste,
    /// Frames count as heard that still wait in the socket.
    HeardTooFar,
}

impl Fault {
    pub(crate) const ALL: [Self; 16] = [
        Self::ConfirmedBeforeWritten,
        Self::EpochIgnored,
        Self::WrongAtTheWrap,
        Self::WrittenTwice,
        Self::LostWakeUp,
        Self::StaleLease,
        Self::HeldForEver,
        Self::RefusalLost,
        Self::PartLost,
        Self::SnapshotMisplaced,
        Self::SizeTooEarly,
        Self::NotFenced,
        Self::ConfirmationLost,
        Self::WrongWriterTold,
        Self::AnswerInPaste,
        Self::HeardTooFar,
    ];
}
