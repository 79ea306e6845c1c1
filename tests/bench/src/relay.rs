//! The floor of our shape: as many processes between client and shell as
//! chatcode has, joined by the same kinds of sockets, that only copy. What
//! chatcode costs above it is its own work; what it costs above a plain PTY is
//! the shape's.

use std::{
    io::{BufRead as _, BufReader, Read, Write},
    net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream, UdpSocket},
    os::unix::net::{UnixListener, UnixStream},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
};

use anyhow::{Context as _, ensure};
use clap::Subcommand;

use crate::plain::Plain;

/// One process beside the bench itself: a relay of the chain, named after whom it
/// stands for, or a fleet.
#[derive(Debug, Subcommand)]
pub(crate) enum Relay {
    /// Copies between a TCP client and a TCP server.
    #[command(name = "relay-edge", hide = true)]
    Edge { next: SocketAddr },
    /// Copies between a TCP client and a UDP peer.
    #[command(name = "relay-core", hide = true)]
    Core { next: SocketAddr },
    /// Copies between a UDP peer and a Unix socket.
    #[command(name = "relay-gateway", hide = true)]
    Gateway { next: PathBuf },
    /// Copies between a Unix socket and a shell on a PTY.
    #[command(name = "relay-holder", hide = true)]
    Holder { socket: PathBuf },
    /// Machines that do nothing.
    #[command(name = "machines", hide = true)]
    Machines { grpc: String, link: SocketAddr },
    /// Copies between any number of TCP clients and a TCP server, until its
    /// standard input ends.
    #[command(name = "relay-door", hide = true)]
    Door { listen: SocketAddr, next: SocketAddr },
    /// Copies between a TCP client and a shell on a PTY, until its standard input
    /// ends.
    #[command(name = "relay-shell", hide = true)]
    Shell { listen: SocketAddr },
}

/// A datagram of the relays.
const BYTES: usize = 1200;

impl Relay {
    /// Serves one client until it goes; says first where it listens.
    ///
    /// # Errors
    /// I/O errors, such as the end of a neighbour.
    pub(crate) fn run(self) -> anyhow::Result<()> {
        match self {
            Self::Machines { grpc, link } => crate::machines::run(&grpc, link),
            Self::Edge { next } => {
                let client = tcp_client((Ipv4Addr::LOCALHOST, 0).into())?;
                let server = TcpStream::connect(next)?;
                server.set_nodelay(true)?;
                join((client.try_clone()?, client), (server.try_clone()?, server))
            }
            Self::Core { next } => {
                let client = tcp_client((Ipv4Addr::LOCALHOST, 0).into())?;
                let peer = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
                peer.connect(next)?;
                join((client.try_clone()?, client), (Datagrams(peer.try_clone()?), Datagrams(peer)))
            }
            Self::Gateway { next } => {
                let peer = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
                say(&peer.local_addr()?.to_string())?;
                let (_, from) = peer.peek_from(&mut [0; BYTES])?;
                peer.connect(from)?;
                let holder = UnixStream::connect(next)?;
                join((Datagrams(peer.try_clone()?), Datagrams(peer)), (holder.try_clone()?, holder))
            }
            Self::Holder { socket } => {
                let listener = UnixListener::bind(&socket)?;
                say(&socket.display().to_string())?;
                let (client, _) = listener.accept()?;
                let shell = Plain::start()?;
                join((client.try_clone()?, client), (shell.pty.try_clone()?, shell.pty.try_clone()?))
            }
            Self::Door { listen, next } => {
                end_with_stdin();
                let listener = TcpListener::bind(listen)?;
                say(&listener.local_addr()?.to_string())?;
                for client in listener.incoming() {
                    let (client, server) = (client?, TcpStream::connect(next)?);
                    client.set_nodelay(true)?;
                    server.set_nodelay(true)?;
                    thread::spawn(move || -> anyhow::Result<()> {
                        let near = (client.try_clone()?, client.try_clone()?);
                        let done = join(near, (server.try_clone()?, server.try_clone()?));
                        // Of each the other half waits in a read.
                        let _ = (client.shutdown(Shutdown::Both), server.shutdown(Shutdown::Both));
                        done
                    });
                }
                Ok(())
            }
            Self::Shell { listen } => {
                end_with_stdin();
                let client = tcp_client(listen)?;
                let shell = Plain::start()?;
                join((client.try_clone()?, client), (shell.pty.try_clone()?, shell.pty.try_clone()?))
            }
        }
    }
}

/// Ends this process when who started it is gone, however it went.
fn end_with_stdin() {
    thread::spawn(|| {
        let _ = std::io::copy(&mut std::io::stdin(), &mut std::io::sink());
        std::process::exit(0)
    });
}

fn tcp_client(listen: SocketAddr) -> anyhow::Result<TcpStream> {
    let listener = TcpListener::bind(listen)?;
    say(&listener.local_addr()?.to_string())?;
    let (client, _) = listener.accept()?;
    client.set_nodelay(true)?;
    Ok(client)
}

/// One line on standard output: where the next one connects.
fn say(place: &str) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{place}")?;
    Ok(out.flush()?)
}

/// Copies both ways, a thread each, until one end is gone.
fn join<R, W, S, V>(near: (R, W), far: (S, V)) -> anyhow::Result<()>
where
    R: Read + Send,
    W: Write + Send + 'static,
    S: Read + Send + 'static,
    V: Write + Send,
{
    thread::spawn(move || copy(far.0, near.1));
    copy(near.0, far.1)
}

fn copy(mut from: impl Read, mut to: impl Write) -> anyhow::Result<()> {
    let mut buffer = [0; BYTES];
    loop {
        match from.read(&mut buffer)? {
            0 => return Ok(()),
            length => to.write_all(&buffer[..length])?,
        }
    }
}

/// A connected UDP socket as a stream: loopback neither loses nor reorders what
/// `echo` sends.
struct Datagrams(UdpSocket);

impl Read for Datagrams {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        self.0.recv(buffer)
    }
}

impl Write for Datagrams {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.send(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// Starts a relay process with these arguments; gives where it listens. It ends with
/// [`end`].
///
/// # Errors
/// When it does not say where.
pub(crate) fn start(args: &[&str]) -> anyhow::Result<(Child, String)> {
    let mut relay = Command::new(std::env::current_exe()?)
        .args(args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()?;
    let mut place = String::new();
    BufReader::new(relay.stdout.take().context("stdout is piped")?).read_line(&mut place)?;
    if place.is_empty() {
        end(&mut relay);
    }
    ensure!(!place.is_empty(), "{args:?} did not start");
    place.truncate(place.trim_end().len());
    Ok((relay, place))
}

/// Ends a relay process; it may have ended by itself.
pub(crate) fn end(relay: &mut Child) {
    let _ = relay.kill();
    let _ = relay.wait();
}

/// Four relays and a shell behind them; all end with it.
pub(crate) struct Chain {
    client: TcpStream,
    processes: Vec<Child>,
}

impl Chain {
    /// Starts the relays from the shell's end to the client's.
    ///
    /// # Errors
    /// When one does not start.
    pub(crate) fn start(folder: &Path) -> anyhow::Result<Self> {
        let socket = folder.join("relay.sock").display().to_string();
        let mut processes = Vec::new();
        let mut next = socket;
        for name in ["relay-holder", "relay-gateway", "relay-core", "relay-edge"] {
            let (relay, place) = start(&[name, &next])?;
            processes.push(relay);
            next = place;
        }
        let client = TcpStream::connect(&next)?;
        client.set_nodelay(true)?;
        Ok(Self { client, processes })
    }

    /// The client's end.
    pub(crate) const fn client(&self) -> &TcpStream {
        &self.client
    }
}

impl Drop for Chain {
    fn drop(&mut self) {
        // They may have ended by themselves.
        let _ = self.client.shutdown(Shutdown::Both);
        self.processes.iter_mut().for_each(end);
    }
}
