//! An HTTP proxy that makes tunnels (`CONNECT`) to this machine, whatever host it
//! is asked for: names are its own to know.

use std::{
    net::{Ipv4Addr, SocketAddr},
    sync::{Arc, Mutex, PoisonError},
};

use anyhow::Context as _;
use base64::{Engine as _, engine::general_purpose::STANDARD};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, copy_bidirectional},
    net::{TcpListener, TcpStream},
    task::JoinSet,
};
use tokio_util::task::AbortOnDropHandle;

/// A proxy; its tunnels end when it is dropped.
#[derive(Debug)]
pub struct Proxy {
    address: SocketAddr,
    seen: Arc<Mutex<Vec<String>>>,
    _serving: AbortOnDropHandle<()>,
}

impl Proxy {
    /// Listens on a port of its own; with `password` (`user:password`) it lets in
    /// nobody else.
    ///
    /// # Errors
    /// When there is no port.
    pub async fn start(password: Option<&str>) -> anyhow::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let (address, seen) = (listener.local_addr()?, Arc::<Mutex<Vec<String>>>::default());
        let wanted = password.map(|password| format!("Basic {}", STANDARD.encode(password)));
        let requests = Arc::clone(&seen);
        let serving = async move {
            let mut tunnels = JoinSet::new();
            while let Ok((client, _)) = listener.accept().await {
                tunnels.spawn(tunnel(client, wanted.clone(), Arc::clone(&requests)));
            }
        };
        Ok(Self { address, seen, _serving: AbortOnDropHandle::new(tokio::spawn(serving)) })
    }

    /// Where it listens.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Where tunnels were asked to, `host:port` each, also in vain.
    #[must_use]
    pub fn seen(&self) -> Vec<String> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

async fn tunnel(
    client: TcpStream,
    wanted: Option<String>,
    seen: Arc<Mutex<Vec<String>>>,
) -> anyhow::Result<()> {
    let mut client = BufReader::new(client);
    let (mut first, mut let_in) = (String::new(), wanted.is_none());
    client.read_line(&mut first).await?;
    loop {
        let mut header = String::new();
        client.read_line(&mut header).await?;
        if header.trim_end().is_empty() {
            break;
        }
        let_in |= wanted.as_deref().is_some_and(|wanted| header.trim_end().ends_with(wanted));
    }
    let to = first.strip_prefix("CONNECT ").and_then(|rest| rest.strip_suffix(" HTTP/1.1\r\n"));
    let to = to.context("no CONNECT")?.to_owned();
    let (_, port) = to.rsplit_once(':').context("no port")?;
    let port: u16 = port.parse()?;
    seen.lock().unwrap_or_else(PoisonError::into_inner).push(to);
    if !let_in {
        let no = b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n";
        return Ok(client.write_all(no).await?);
    }
    let mut server = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await?;
    client.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await?;
    copy_bidirectional(&mut client, &mut server).await?;
    Ok(())
}
