//! Links come in here, over QUIC or over TCP: handshake, allow-list, then
//! the service `Link` and nothing else is served on them.

mod control;
mod heart;
mod mirror;
mod turns;

use std::{io, net::SocketAddr, sync::Arc};

use chatcode_certs::{MemberName, Peer, tls};
use chatcode_link::{Incoming, Link, LinkEnd, LinkError, LinkKeys, LinkListener, Opened, Switchboard, serve};
use chatcode_proto::{
    code::Refusal,
    id::GatewayId,
    limits,
    pb::{Code, link_server::LinkServer},
};
use tokio::{sync::mpsc, task::JoinSet, time::Instant};
use tokio_rustls::rustls::pki_types::CertificateDer;
use tokio_util::sync::CancellationToken;
use tower::ServiceBuilder;
use tracing::Instrument as _;

use crate::{
    caller::{self, Standing},
    clock,
    gate::coded,
    links::{control::Control, turns::Turns},
    listener::{OfLink, standing},
    room::{Place, Room},
    shared::Shared,
};

/// The end of the core that takes links.
#[derive(Debug)]
pub struct Links {
    listener: LinkListener,
    board: Arc<Switchboard>,
    shared: Arc<Shared>,
}

impl Links {
    /// Listens at `address` (UDP); a port of 0 is any.
    ///
    /// # Errors
    /// When the address cannot be had or the identity makes no TLS.
    pub fn bind(address: SocketAddr, keys: &LinkKeys, shared: Arc<Shared>) -> io::Result<Self> {
        let tls = tls::link_listener(&shared.own).map_err(io::Error::other)?;
        let listener = LinkListener::bind(address, tls, keys).map_err(|error| match error {
            LinkError::Socket(error) => error,
            other => io::Error::other(other),
        })?;
        Ok(Self { listener, board: Arc::default(), shared })
    }

    /// Where it listens.
    ///
    /// # Errors
    /// When the system does not know it any more.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Takes links, also those that `over_tcp` brings, until `stop`, then no new
    /// ones; at `cut` all are closed. Returns when every link has been written off.
    pub async fn serve(
        self,
        mut over_tcp: mpsc::Receiver<OfLink>,
        stop: CancellationToken,
        cut: CancellationToken,
    ) {
        let mut links = JoinSet::new();
        let close = CancellationToken::new();
        let turns = Turns::new(limits::LINK_GREETINGS);
        let room = Room::new(limits::LINK_INCOMING, limits::LINK_INCOMING_PER_ADDRESS);
        let mut udp_failed = false;
        loop {
            tokio::select! {
                () = stop.cancelled() => break,
                Some(_) = links.join_next() => {}
                Some(connection) = over_tcp.recv() => {
                    // As many as have a place.
                    let (shared, board) = (Arc::clone(&self.shared), Arc::clone(&self.board));
                    links.spawn(take_tcp(shared, board, connection, close.clone()));
                }
                incoming = self.listener.accept(), if !udp_failed => match incoming {
                    Some(incoming) => match room.take(incoming.remote_address().ip()) {
                        Some(place) if links.len() < limits::GATEWAYS + limits::LINK_INCOMING => {
                            links.spawn(take(Arc::clone(&self.shared), incoming, (turns.clone(), place)));
                        }
                        _ => incoming.ignore(),
                    },
                    None => {
                        tracing::error!("the UDP socket of links failed: start the core again; until then machines link over TCP");
                        udp_failed = true;
                    }
                }
            }
        }
        turns.close();
        tokio::select! {
            () = cut.cancelled() => {}
            () = async { while links.join_next().await.is_some() {} } => {}
        }
        self.listener.close();
        close.cancel();
        // Told that they are closed, the tasks write their links off.
        let rest = async { while links.join_next().await.is_some() {} };
        let _ = tokio::time::timeout(limits::REVOKED_FAREWELL, rest).await;
        links.shutdown().await;
        let told = async { tokio::join!(self.listener.wait_idle(), self.board.wait_idle()) };
        let _ = tokio::time::timeout(limits::REVOKED_FAREWELL, told).await;
    }
}

/// One link over QUIC from its handshake to its end. It waits for a turn with its first
/// packet, so that thousands who come at once do not all run late together; the turn is
/// over when it is live, or after [`limits::LINK_GREETING`].
async fn take(shared: Arc<Shared>, incoming: Incoming, (turns, place): (Turns, Place)) {
    let address = incoming.remote_address();
    // Who had none in time, or before the core stops, knocks again.
    let Ok(Some(turn)) = tokio::time::timeout(limits::LINK_TURN, turns.take(address.ip())).await else {
        return incoming.ignore();
    };
    drop((turns, place));
    let greeted = CancellationToken::new();
    let turn = async {
        let _ = tokio::time::timeout(limits::LINK_GREETING, greeted.cancelled()).await;
        drop(turn);
    };
    let link = async {
        match Box::pin(incoming.finish()).await {
            Ok(link) => live(shared, link, greeted.clone()).await,
            Err(error) => {
                shared.meters.handshakes_failed.of(["link", reason(&error)]).inc();
                tracing::debug!(peer = %address, error = &error as &dyn std::error::Error, "no link came about");
            }
        }
        greeted.cancel();
    };
    tokio::join!(link, turn);
}

/// One connection of a link over TCP: the link that it begins, to its end, or the
/// stream that it becomes.
async fn take_tcp(
    shared: Arc<Shared>,
    board: Arc<Switchboard>,
    (connection, place): OfLink,
    close: CancellationToken,
) {
    let address = connection.peer().address;
    match board.open(connection, place).await {
        Ok(Opened::Link(link)) => {
            let closing = async {
                close.cancelled().await;
                link.close(Code::Draining, "the core stops");
                std::future::pending::<()>().await;
            };
            tokio::select! {
                () = live(shared, link.clone(), CancellationToken::new()) => {}
                () = closing => {}
            }
        }
        Ok(Opened::Stream(joining)) => match admit(&shared, &joining.peer_chain()).await {
            Ok(_) => {
                if let Err(error) = joining.join() {
                    tracing::debug!(peer = %address, %error, "a stream finds no link");
                }
            }
            Err(refusal) => {
                shared.meters.links_refused.of([refusal.code.name()]).inc();
                tracing::warn!(peer = %address, code = refusal.code.name(), "a stream is refused");
            }
        },
        Err(error) => {
            shared.meters.handshakes_failed.of(["link", reason(&error)]).inc();
            tracing::debug!(peer = %address, error = &error as &dyn std::error::Error, "no link came about");
        }
    }
}

/// One link from its handshake to its end; `greeted` is cancelled when it is live.
async fn live(shared: Arc<Shared>, link: Link, greeted: CancellationToken) {
    let address = link.remote_address();
    match Box::pin(admit(&shared, &link.peer_chain())).await {
        Ok(who) => {
            let over = if link.is_over_tcp() { "tcp" } else { "quic" };
            let span = tracing::info_span!("link", gateway = %who.gateway, peer = %address, over);
            run(shared, link, who, greeted).instrument(span).await;
        }
        Err(refusal) => {
            shared.meters.links_refused.of([refusal.code.name()]).inc();
            tracing::warn!(peer = %address, code = refusal.code.name(), "a link is refused");
            link.close(refusal.code, &refusal.message);
            link.closed().await;
        }
    }
}

/// Why no link came about, in one word.
fn reason(error: &LinkError) -> &'static str {
    match error {
        LinkError::Timeout => "timeout",
        LinkError::Refused(LinkEnd { code: Some(Code::Unauthenticated), .. }) => "certificate",
        LinkError::Refused(LinkEnd { code: Some(code), .. }) => code.name(),
        LinkError::Refused(_) => "broke_off",
        LinkError::Socket(_) | LinkError::Tls(_) | LinkError::Dial(_) => "other",
    }
}

/// The gateway behind a link.
struct Admitted {
    gateway: GatewayId,
    name: String,
    certificate_ends: Instant,
}

/// The gateway behind a chain, when the allow-list has its certificate now.
async fn admit(shared: &Shared, chain: &[CertificateDer<'static>]) -> Result<Admitted, Refusal> {
    let peer = Peer::from_chain(chain).map_err(|_| caller::not_listed())?;
    match standing(shared, &peer).await {
        Ok(Standing::Member(MemberName::Gateway(id), name)) => {
            let certificate_ends = clock::instant(peer.not_after_unix_s);
            Ok(Admitted { gateway: id.into(), name, certificate_ends })
        }
        Ok(Standing::Revoked) => Err(caller::revoked()),
        Ok(_) => Err(caller::not_listed()),
        Err(error) => {
            tracing::error!(error = &error as &dyn std::error::Error, "the allow-list cannot be read");
            Err(error.into())
        }
    }
}

/// Serves the streams that the gateway opens; a gateway that does not say
/// Hello in time is sent away.
async fn run(shared: Arc<Shared>, link: Link, who: Admitted, greeted: CancellationToken) {
    let control = Control::new(shared, link.clone(), who, greeted.clone());
    let tasks = control.tasks();
    let service = LinkServer::new(control)
        .max_decoding_message_size(limits::CONTROL_BYTES)
        .max_encoding_message_size(limits::CONTROL_BYTES);
    let service = ServiceBuilder::new().map_response(coded).service(service);
    let serving = serve::link_builder()
        .initial_stream_window_size(limits::LINK_CONTROL_WINDOW)
        .serve_with_incoming(service, link.incoming());
    let late = async {
        if tokio::time::timeout(limits::HELLO, greeted.cancelled()).await.is_err() {
            link.close(Code::Timeout, "no Hello came");
        }
        link.closed().await
    };
    // The streams end with the connection.
    let (served, end) = tokio::join!(serving, late);
    if let Err(error) = served {
        tracing::debug!(error = &error as &dyn std::error::Error, "the link's streams ended");
    }
    tracing::debug!(code = ?end.code, by_peer = end.by_peer, "the connection is closed");
    tasks.close();
    tasks.wait().await;
}
