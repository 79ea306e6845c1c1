//! How a program wants keys to be told, by the kitty keyboard protocol. Each
//! screen has flags of its own.

use crate::params::Params;

/// The flags there are: disambiguate, event types, alternate keys, all keys,
/// text.
const ALL: u8 = 0b1_1111;
/// Entries that one screen keeps; one more pushes the oldest out.
const MOST: usize = 16;

/// What a program pushed on one screen; the last entry counts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct KeyFlags(Vec<u8>);

impl KeyFlags {
    /// The flags in force.
    pub(crate) fn now(&self) -> u8 {
        self.0.last().copied().unwrap_or_default()
    }

    /// All of them, the oldest first; pushed one after the other they bring an
    /// empty terminal there.
    pub(crate) fn all(&self) -> &[u8] {
        &self.0
    }

    pub(crate) fn push(&mut self, params: &Params) {
        if self.0.len() == MOST {
            self.0.remove(0);
        }
        self.0.push(flags(params));
    }

    pub(crate) fn pop(&mut self, count: usize) {
        self.0.truncate(self.0.len().saturating_sub(count));
    }

    /// Sets the flags in force: 1 all of them, 2 adds, 3 takes away.
    pub(crate) fn set(&mut self, params: &Params) {
        let (flags, now) = (flags(params), self.now());
        let new = match params.at_least_one(1) {
            1 => flags,
            2 => now | flags,
            3 => now & !flags,
            _ => return,
        };
        self.0.pop();
        self.0.push(new);
    }
}

fn flags(params: &Params) -> u8 {
    params.first().to_le_bytes()[0] & ALL
}
