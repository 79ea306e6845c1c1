//! What QUIC runs on: tokio's tasks and timers, and a UDP socket that wakes for
//! packets alone.

use std::{
    future::Future,
    io::{self, IoSliceMut},
    net::{SocketAddr, UdpSocket},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Instant,
};

use quinn::{
    AsyncTimer, AsyncUdpSocket, Runtime, TokioRuntime, UdpPoller,
    udp::{RecvMeta, Transmit, UdpSocketState},
};

use crate::quiet::{Quiet, Room};

/// The runtime of both ends of a link.
#[derive(Debug)]
pub(crate) struct LinkRuntime;

impl Runtime for LinkRuntime {
    fn new_timer(&self, at: Instant) -> Pin<Box<dyn AsyncTimer>> {
        TokioRuntime.new_timer(at)
    }

    fn spawn(&self, future: Pin<Box<dyn Future<Output = ()> + Send>>) {
        TokioRuntime.spawn(future);
    }

    fn wrap_udp_socket(&self, socket: UdpSocket) -> io::Result<Arc<dyn AsyncUdpSocket>> {
        let state = UdpSocketState::new((&socket).into())?;
        Ok(Arc::new(Packets { socket: Arc::new(Quiet::new(socket)?), state }))
    }

    fn now(&self) -> Instant {
        TokioRuntime.now()
    }
}

#[derive(Debug)]
struct Packets {
    socket: Arc<Quiet<UdpSocket>>,
    state: UdpSocketState,
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
        self.socket.poll_read(context, |socket| {
            let read = self.state.recv(socket.into(), buffers, meta)?;
            // Where the system gives one packet at a time, it is asked until it has none.
            Ok((read, read < buffers.len().min(meta.len())))
        })
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
