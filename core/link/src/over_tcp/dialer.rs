//! The gateway's end: dials the link, and each of its streams.

use std::{io, sync::Arc};

use chatcode_proto::{
    limits, pb,
    pb::{Code, TcpBegin, TcpJoin, TcpOpening, TcpSignal, tcp_opening, tcp_signal::Kind},
};
use rustls::ClientConfig;
use tokio::{net::TcpStream, sync::Semaphore, time::timeout};
use tokio_rustls::client::TlsStream;
use tokio_util::task::TaskTracker;

use super::{
    End, TcpWay,
    signals::{self, Inbox},
};
use crate::{Link, LinkEnd, LinkError, LinkPeer, Target, tcp};

/// What every connection of one link is dialled by.
pub(super) struct Dialing {
    target: Target,
    server_name: String,
    tls: Arc<ClientConfig>,
    /// Handshakes at once.
    room: Semaphore,
}

impl Dialing {
    fn new(target: Target, server_name: &str, tls: Arc<ClientConfig>) -> Self {
        let room = Semaphore::new(limits::LINK_TCP_DIALS);
        Self { target, server_name: server_name.to_owned(), tls, room }
    }

    /// A connection that says what it is.
    async fn dial(&self, kind: tcp_opening::Kind) -> io::Result<TlsStream<TcpStream>> {
        let dialled = async {
            let _room = self.room.acquire().await.map_err(io::Error::other)?;
            let mut connection = tcp::connect(&self.target, &self.server_name, Arc::clone(&self.tls)).await?;
            signals::write(&mut connection, &TcpOpening { kind: Some(kind) }).await?;
            Ok(connection)
        };
        timeout(limits::HANDSHAKE, dialled).await?
    }

    /// A stream of this link.
    pub(super) async fn join(&self, link: u64, stream: u64) -> io::Result<TlsStream<TcpStream>> {
        self.dial(tcp_opening::Kind::Join(TcpJoin { link, stream })).await
    }
}

/// Makes a link over TCP. The tasks that keep it are counted in `tasks`; they end
/// with the link.
///
/// # Errors
/// When the core cannot be reached, does not show the right certificate, or does
/// not take the link on.
pub(crate) async fn dial(
    target: Target,
    server_name: &str,
    tls: Arc<ClientConfig>,
    tasks: &TaskTracker,
) -> Result<Link, LinkError> {
    let refused = |error: io::Error| LinkError::Refused(LinkEnd::of_io(&error));
    let dialing = Arc::new(Dialing::new(target, server_name, tls));
    let begin = TcpBegin { versions: limits::TCP_LINK_VERSIONS.to_vec() };
    let mut connection = dialing.dial(tcp_opening::Kind::Begin(begin)).await.map_err(refused)?;
    let mut inbox = Inbox::new();
    let answer = timeout(limits::HANDSHAKE, inbox.next::<TcpSignal>(&mut connection)).await;
    let number = match answer.map_err(|_| LinkError::Timeout)?.map_err(refused)?.kind {
        Some(Kind::Begun(begun)) if limits::TCP_LINK_VERSIONS.contains(&begun.version) => begun.link,
        Some(Kind::Close(pb::TcpClose { code, reason })) => {
            let end = LinkEnd { code: Code::try_from(code).ok(), by_peer: true, reason };
            return Err(LinkError::Refused(end));
        }
        _ => return Err(LinkError::Refused(LinkEnd::broken("the core did not begin the link"))),
    };
    let (tcp, session) = connection.get_ref();
    let address = tcp.peer_addr()?;
    let peer = LinkPeer { chain: session.peer_certificates().unwrap_or_default().into(), address };
    let (way, outgoing) = TcpWay::new(peer, number, End::Gateway(Arc::clone(&dialing)));
    let (ending, joins) = (Arc::clone(&way.ending), tasks.clone());
    let link = Arc::downgrade(&way);
    let heard = move |kind| {
        if let (Kind::Ask(ask), Some(way)) = (kind, link.upgrade()) {
            joins.spawn(answer_ask(way, Arc::clone(&dialing), ask.stream));
        }
    };
    tasks.spawn(signals::keep(connection, inbox, outgoing, ending, None, heard));
    Ok(Link::over_tcp(way))
}

/// Dials the stream that the core asked for. The core waits for it no longer than
/// a handshake may take, and asks for no more than a link may have.
async fn answer_ask(way: Arc<TcpWay>, dialing: Arc<Dialing>, stream: u64) {
    let Ok(permit) = Arc::clone(&way.streams).try_acquire_owned() else {
        tracing::debug!(stream, "the core asks for more streams than a link has");
        return;
    };
    let joined =
        way.ending.over.clone().run_until_cancelled_owned(async { dialing.join(way.number, stream).await });
    match joined.await {
        Some(Ok(connection)) => {
            // With a permit there is room.
            let _ = way.arrived.try_send(way.stream(connection.into(), permit, None));
        }
        Some(Err(error)) => tracing::debug!(stream, %error, "a stream of the link could not be dialled"),
        None => {}
    }
}

#[cfg(test)]
mod tests {
    use chatcode_certs::tls;
    use futures_util::future::join_all;
    use tokio::{net::TcpListener, time::sleep};
    use tokio_util::task::AbortOnDropHandle;

    use super::*;

    #[tokio::test]
    async fn one_stream_more_than_is_dialled_at_once_waits_until_another_handshake_has_ended() {
        tls::install_provider();
        // It takes connections and never says a word.
        let silent = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let target = Target::from(&silent.local_addr().expect("is bound").to_string());
        let dialing = Arc::new(Dialing::new(target, tls::UNKNOWN_CORE, tls::pinned_client([0; 32])));
        let _dialling = AbortOnDropHandle::new(tokio::spawn(async move {
            join_all((0..=limits::LINK_TCP_DIALS as u64).map(|stream| dialing.join(1, stream))).await
        }));
        let next = async || {
            timeout(limits::HANDSHAKE / 2, silent.accept()).await.expect("one dials").expect("is taken")
        };
        let mut dialled = Vec::new();
        for _ in 0..limits::LINK_TCP_DIALS {
            dialled.push(next().await);
        }
        tokio::select! {
            _ = silent.accept() => panic!("it did not wait"),
            () = sleep(limits::ACCEPT_PAUSE) => {}
        }
        dialled.pop();
        next().await;
    }
}
