//! A word behind the last packet, by whose acknowledgement the sender learns that the
//! packet was lost. A lone key has nothing behind it: its loss would show only by a probe
//! that goes out after a round trip and more, and carries nothing of the key, so
//! that one key in a hundred would take three round trips and a half instead of two.

use std::{
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use chatcode_proto::limits;
use quinn::Connection;
use tokio::time::{Instant, Sleep, sleep};

/// The nudge of one stream. An empty datagram that nobody reads; a peer that takes none
/// is not nudged.
pub(crate) struct Nudge {
    connection: Connection,
    timer: Option<Pin<Box<Sleep>>>,
    is_due: bool,
}

impl Nudge {
    pub(crate) const fn new(connection: Connection) -> Self {
        Self { connection, timer: None, is_due: false }
    }

    /// Something was written: nudges a moment after the last such call, on a way that is
    /// long enough for a loss to be felt.
    pub(crate) fn wrote(&mut self, context: &mut Context<'_>) {
        let round_trip = self.connection.rtt();
        if round_trip < limits::LINK_NUDGE_FROM {
            return;
        }
        let pause = round_trip / limits::LINK_NUDGE_SHARE;
        match &mut self.timer {
            Some(timer) => timer.as_mut().reset(Instant::now() + pause),
            timer => *timer = Some(Box::pin(sleep(pause))),
        }
        self.is_due = true;
        self.poll(context);
    }

    /// Nudges when it is time; else the task is woken then.
    pub(crate) fn poll(&mut self, context: &mut Context<'_>) {
        let Some(timer) = self.timer.as_mut().filter(|_| self.is_due) else { return };
        if timer.as_mut().poll(context) == Poll::Ready(()) {
            self.is_due = false;
            // Without it the loss is noticed later; and of a link that has ended, never.
            let _ = self.connection.send_datagram(Bytes::new());
        }
    }
}
