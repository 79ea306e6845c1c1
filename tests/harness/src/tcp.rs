//! A forwarder of TCP connections that breaks them as a network does: reset,
//! silent for a while, or slow; a lost packet is no more than a delay to those
//! who speak TCP.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream, tcp},
    sync::watch,
    task::JoinSet,
};

/// Bytes that one direction has under way.
const CHUNK: usize = 16 * 1024;

/// What the way does; watched by every connection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Way {
    /// Connections of an older age are reset.
    age: u64,
    /// Nothing passes.
    silent: bool,
    /// Each piece comes so much later.
    delay: Duration,
}

/// A running forwarder; it and its connections end when dropped.
#[derive(Debug)]
pub struct TcpForwarder {
    address: SocketAddr,
    way: Arc<watch::Sender<Way>>,
    _tasks: JoinSet<()>,
}

impl TcpForwarder {
    /// Forwards every connection to `target`.
    ///
    /// # Errors
    /// When no port can be had.
    pub async fn start(target: SocketAddr) -> anyhow::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let way = Arc::new(watch::Sender::new(Way::default()));
        let mut tasks = JoinSet::new();
        tasks.spawn(accept(listener, target, way.clone()));
        Ok(Self { address, way, _tasks: tasks })
    }

    /// The address to connect to.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Resets every connection that stands now.
    pub fn reset(&self) {
        self.way.send_modify(|way| way.age += 1);
    }

    /// From now on nothing passes, or all does again.
    pub fn silence(&self, silent: bool) {
        self.way.send_modify(|way| way.silent = silent);
    }

    /// From now on each piece, at most 16 KiB, comes so much later than the one
    /// before it.
    pub fn delay(&self, delay: Duration) {
        self.way.send_modify(|way| way.delay = delay);
    }
}

async fn accept(listener: TcpListener, target: SocketAddr, way: Arc<watch::Sender<Way>>) {
    let mut connections = JoinSet::new();
    while let Ok((client, _)) = listener.accept().await {
        while connections.try_join_next().is_some() {}
        connections.spawn(connect(client, target, way.subscribe()));
    }
}

async fn connect(client: TcpStream, target: SocketAddr, mut way: watch::Receiver<Way>) {
    let Ok(server) = TcpStream::connect(target).await else { return };
    for socket in [&client, &server] {
        // Dropped, it is reset: what is under way is lost.
        let _ = socket.set_nodelay(true);
        let _ = socket.set_zero_linger();
    }
    let age = way.borrow_and_update().age;
    let (mut client, mut server) = (client.into_split(), server.into_split());
    let silent = way.clone();
    tokio::select! {
        _ = way.wait_for(|way| way.age != age) => {}
        () = pass(&mut client.0, &mut server.1, silent.clone()) => {}
        () = pass(&mut server.0, &mut client.1, silent) => {}
    }
}

async fn pass(from: &mut tcp::OwnedReadHalf, to: &mut tcp::OwnedWriteHalf, mut way: watch::Receiver<Way>) {
    let mut buffer = vec![0; CHUNK];
    while let Ok(length @ 1..) = from.read(&mut buffer).await {
        let delay = match way.wait_for(|way| !way.silent).await {
            Ok(way) => way.delay,
            Err(_) => return,
        };
        if !delay.is_zero() {
            tokio::time::sleep(delay).await;
        }
        if to.write_all(&buffer[..length]).await.is_err() {
            return;
        }
    }
    // An end in one direction is one of both, a moment later.
    let _ = tokio::time::timeout(Duration::from_millis(50), to.shutdown()).await;
}
