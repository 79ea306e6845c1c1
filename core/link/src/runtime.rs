//! What QUIC runs on: tokio's tasks and timers, and a UDP socket that wakes for
//! packets alone.

use std::{
    future::Future,
    io::{self, IoSliceMut},
    net::{SocketAddr, UdpSocket},
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU32, AtomicU64, Ordering},
    },
    task::{Context, Poll, ready},
    time::Instant,
};

use chatcode_proto::limits;
use quinn::{
    AsyncTimer, AsyncUdpSocket, Runtime, TokioRuntime, UdpPoller,
    udp::{RecvMeta, Transmit, UdpSocketState},
};

use crate::quiet::{Quiet, Room};

/// The runtime of both ends of a link.
#[derive(Debug, Default)]
pub(crate) struct LinkRuntime {
    heard: Arc<AtomicU64>,
}

impl LinkRuntime {
    /// Counts the packets that come in on all sockets of this runtime.
    pub(crate) fn heard(&self) -> Arc<AtomicU64> {
        Arc::clone(&self.heard)
    }
}

impl Runtime for LinkRuntime {
    fn new_timer(&self, at: Instant) -> Pin<Box<dyn AsyncTimer>> {
        TokioRuntime.new_timer(at)
    }

    fn spawn(&self, future: Pin<Box<dyn Future<Output = ()> + Send>>) {
        TokioRuntime.spawn(future);
    }

    fn wrap_udp_socket(&self, socket: UdpSocket) -> io::Result<Arc<dyn AsyncUdpSocket>> {
        let state = UdpSocketState::new((&socket).into())?;
        let socket = Arc::new(Quiet::new(socket)?);
        let heard = self.heard();
        Ok(Arc::new(Packets { socket, state, failures: Failures::default(), heard }))
    }

    fn now(&self) -> Instant {
        TokioRuntime.now()
    }
}

#[derive(Debug)]
struct Packets {
    socket: Arc<Quiet<UdpSocket>>,
    state: UdpSocketState,
    failures: Failures,
    heard: Arc<AtomicU64>,
}

/// How many reads have failed one after the other.
#[derive(Debug, Default)]
struct Failures(AtomicU32);

impl Failures {
    /// Whether this is to be told: one failure is about one packet, or about nothing of
    /// ours, and told it would end every link of the socket.
    fn tell(&self, read: &io::Result<usize>) -> bool {
        let Err(error) = read else {
            self.0.store(0, Ordering::Relaxed);
            return true;
        };
        tracing::debug!(%error, "the socket of links could not be read");
        self.0.fetch_add(1, Ordering::Relaxed) >= limits::LINK_READ_FAILURES
    }
}

impl AsyncUdpSocket for Packets {
    fn create_io_poller(self: Arc<Self>) -> Pin<Box<dyn UdpPoller>> {
        Box::pin(Room::of(Arc::clone(&self.socket)))
    }

    fn try_send(&self, transmit: &Transmit<'_>) -> io::Result<()> {
        self.socket.try_write(|socket| self.state.send(socket.into(), transmit))
    }

    fn poll_recv(
        &self,
        context: &mut Context<'_>,
        buffers: &mut [IoSliceMut<'_>],
        meta: &mut [RecvMeta],
    ) -> Poll<io::Result<usize>> {
        loop {
            let read = ready!(self.socket.poll_read(context, |socket| {
                let read = self.state.recv(socket.into(), buffers, meta)?;
                // Where the system gives one packet at a time, it is asked until it has none.
                Ok((read, read < buffers.len().min(meta.len())))
            }));
            if let Ok(packets) = read {
                self.heard.fetch_add(packets as u64, Ordering::Relaxed);
            }
            if self.failures.tell(&read) {
                return Poll::Ready(read);
            }
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.socket.get().local_addr()
    }

    fn max_transmit_segments(&self) -> usize {
        self.state.max_gso_segments()
    }

    fn max_receive_segments(&self) -> usize {
        self.state.gro_segments()
    }

    fn may_fragment(&self) -> bool {
        self.state.may_fragment()
    }
}

impl UdpPoller for Room<UdpSocket> {
    fn poll_writable(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.get_mut().poll(context).map(Ok)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_socket_that_cannot_be_read_is_given_up_only_after_so_many_tries() {
        let failures = Failures::default();
        let failed = || Err(io::Error::other("a moment"));
        let patience = || (0..).take_while(|_| !failures.tell(&failed())).count();
        let most = usize::try_from(limits::LINK_READ_FAILURES).unwrap();
        assert_eq!(patience(), most);
        assert!(failures.tell(&Ok(1)), "what came is told");
        assert_eq!(patience(), most, "and begins the count anew");
    }
}
