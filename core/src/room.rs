//! Room for so many at once, with a share for each address, so that nobody
//! alone takes the room of all.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{Arc, Mutex, PoisonError},
};

use chatcode_link::subscriber;

/// Room for `all` at once, and for `share` of each address among them.
#[derive(Clone, Debug)]
pub struct Room(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    all: usize,
    share: usize,
    taken: Mutex<Taken>,
}

#[derive(Debug, Default)]
struct Taken {
    all: usize,
    by_address: HashMap<IpAddr, usize>,
}

/// A place in a room, until it is dropped.
#[derive(Debug)]
pub struct Place {
    room: Arc<Inner>,
    address: IpAddr,
}

impl Room {
    /// Room for `all`, of which one address has at most `share`.
    #[must_use]
    pub fn new(all: usize, share: usize) -> Self {
        Self(Arc::new(Inner { all, share, taken: Mutex::default() }))
    }

    /// How many are taken.
    #[must_use]
    pub fn taken(&self) -> usize {
        self.0.taken().all
    }

    /// A place for this address (an IPv6 /64 is one); `None` when there is none.
    #[must_use]
    pub fn take(&self, address: IpAddr) -> Option<Place> {
        let address = subscriber(address);
        let mut taken = self.0.taken();
        let own = taken.by_address.get(&address).copied().unwrap_or_default();
        if taken.all >= self.0.all || own >= self.0.share {
            return None;
        }
        taken.all += 1;
        taken.by_address.insert(address, own + 1);
        Some(Place { room: Arc::clone(&self.0), address })
    }
}

impl Inner {
    fn taken(&self) -> std::sync::MutexGuard<'_, Taken> {
        // Nothing in here can panic half-way; a poisoned lock is still whole.
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = self.room.taken();
        taken.all -= 1;
        if let Some(own) = taken.by_address.get_mut(&self.address) {
            *own -= 1;
            if *own == 0 {
                taken.by_address.remove(&self.address);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_address_never_takes_the_room_of_the_others() {
        let room = Room::new(3, 2);
        let of = |number: u8| IpAddr::from([192, 0, 2, number]);
        let own: Vec<_> = (0..5).filter_map(|_| room.take(of(1))).collect();
        assert_eq!(own.len(), 2, "its share");
        let other = room.take(of(2)).expect("has a place");
        assert!(room.take(of(3)).is_none(), "all are taken");
        drop(own);
        assert!(room.take(of(3)).is_some());
        drop(other);
        assert!(room.0.taken().by_address.is_empty(), "who has left is forgotten");
    }
}
