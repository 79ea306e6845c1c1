//! Turns to shake hands: so many at once, and fair among addresses. One address that sends
//! thousands of first packets waits for itself, not before everybody else.

use std::{
    collections::{HashMap, VecDeque},
    net::IpAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use chatcode_link::subscriber;
use tokio::sync::oneshot;

/// So many turns. Cheap to clone.
#[derive(Clone, Debug)]
pub(super) struct Turns(Arc<Mutex<Lines>>);

#[derive(Debug)]
struct Lines {
    free: usize,
    /// Nobody gets one any more.
    closed: bool,
    /// Who waits, by address; none is empty.
    waiting: HashMap<IpAddr, VecDeque<oneshot::Sender<Turn>>>,
    /// Each address that waits once: the next one first.
    next: VecDeque<IpAddr>,
}

/// A turn, until it is dropped; then the next address has one.
#[derive(Debug)]
pub(super) struct Turn {
    turns: Option<Turns>,
}

impl Turns {
    pub(super) fn new(count: usize) -> Self {
        let (waiting, next) = (HashMap::new(), VecDeque::new());
        Self(Arc::new(Mutex::new(Lines { free: count, closed: false, waiting, next })))
    }

    /// Waits for a turn of this address (an IPv6 /64 is one); addresses that wait have theirs
    /// one after the other. `None` after [`Self::close`]. Cancelling gives the place up.
    pub(super) async fn take(&self, address: IpAddr) -> Option<Turn> {
        let turn = {
            let mut lines = self.lock();
            if lines.closed {
                return None;
            }
            if lines.free > 0 {
                lines.free -= 1;
                return Some(self.turn());
            }
            lines.wait(subscriber(address))
        };
        turn.await.ok()
    }

    /// Sends away who waits, and who comes later.
    pub(super) fn close(&self) {
        let mut lines = self.lock();
        lines.closed = true;
        lines.next.clear();
        lines.waiting.clear();
    }

    fn turn(&self) -> Turn {
        Turn { turns: Some(self.clone()) }
    }

    fn lock(&self) -> MutexGuard<'_, Lines> {
        // Nothing in here can panic half-way; a poisoned lock is still whole.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Lines {
    fn wait(&mut self, address: IpAddr) -> oneshot::Receiver<Turn> {
        let (give, turn) = oneshot::channel();
        let line = self.waiting.entry(address).or_default();
        if line.is_empty() {
            self.next.push_back(address);
        }
        line.push_back(give);
        turn
    }

    /// The first who is still there of the address whose turn it is, which goes behind the
    /// others.
    fn pop(&mut self) -> Option<oneshot::Sender<Turn>> {
        while let Some(address) = self.next.pop_front() {
            let Some(line) = self.waiting.get_mut(&address) else { continue };
            // All wait equally long, so those who have gone are in front.
            let first = std::iter::from_fn(|| line.pop_front()).find(|one| !one.is_closed());
            if line.is_empty() {
                self.waiting.remove(&address);
            } else {
                self.next.push_back(address);
            }
            if first.is_some() {
                return first;
            }
        }
        None
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let Some(turns) = self.turns.take() else { return };
        loop {
            let mut lines = turns.lock();
            let Some(first) = lines.pop() else {
                lines.free += 1;
                return;
            };
            drop(lines);
            match first.send(turns.turn()) {
                Ok(()) => return,
                // Gone; the next one has it.
                Err(mut turn) => turn.turns = None,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{pin::pin, task::Poll};

    use futures_util::{FutureExt as _, poll};

    use super::*;

    const fn of(number: u8) -> IpAddr {
        IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, number))
    }

    #[tokio::test]
    async fn an_address_that_fills_the_line_waits_for_itself_alone() {
        let turns = Turns::new(1);
        let held = turns.take(of(1)).await.unwrap();
        let (mut first, mut second) = (pin!(turns.take(of(1))), pin!(turns.take(of(1))));
        let mut other = pin!(turns.take(of(2)));
        assert!(poll!(&mut first).is_pending());
        assert!(poll!(&mut second).is_pending());
        assert!(poll!(&mut other).is_pending());
        drop(held);
        let held = first.await.unwrap();
        assert!(poll!(&mut second).is_pending());
        drop(held);
        assert!(poll!(&mut second).is_pending(), "the other address comes before its second");
        drop(other.await.unwrap());
        drop(second.await.unwrap());
        let lines = turns.lock();
        assert!(lines.free == 1 && lines.waiting.is_empty() && lines.next.is_empty(), "{lines:?}");
    }

    #[tokio::test]
    async fn who_has_gone_costs_its_address_no_turn_and_leaves_nothing_in_the_line() {
        let turns = Turns::new(1);
        let held = turns.take(of(1)).await.unwrap();
        let mut gone: Vec<_> = (0..100).map(|_| Box::pin(turns.take(of(2)))).collect();
        for gone in &mut gone {
            assert!(poll!(gone).is_pending());
        }
        let (mut own, mut other) = (Box::pin(turns.take(of(2))), pin!(turns.take(of(3))));
        assert!(poll!(&mut own).is_pending() && poll!(&mut other).is_pending());
        drop(gone);
        drop(held);
        assert!(poll!(&mut other).is_pending(), "its turn comes after that of the other address");
        // It has the turn, and goes before it knows.
        drop(own);
        drop(other.await.unwrap());
        assert!(turns.take(of(4)).now_or_never().flatten().is_some(), "none is lost");
        assert!(turns.lock().waiting.is_empty());
    }

    #[tokio::test]
    async fn who_waits_when_it_closes_is_sent_away() {
        let turns = Turns::new(1);
        let held = turns.take(of(1)).await.unwrap();
        let mut waiting = pin!(turns.take(of(2)));
        assert!(poll!(&mut waiting).is_pending());
        turns.close();
        assert!(matches!(poll!(&mut waiting), Poll::Ready(None)));
        drop(held);
        assert!(turns.take(of(3)).await.is_none());
    }
}
