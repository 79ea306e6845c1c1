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

#[cfg(test)]
mod tests {
    use std::{net::SocketAddr, sync::Arc, time::Duration};

    use chatcode_certs::{Authority, IdentityCell, MemberId, MemberName, random, tls};
    use tokio::{
        io::{AsyncReadExt as _, AsyncWriteExt as _},
        net::UdpSocket,
        task::JoinSet,
        time::timeout,
    };

    use super::*;
    use crate::{LinkDialer, LinkKeys, LinkListener, LinkPeer, LinkStream};

    /// Nothing here takes as long, unless it hangs.
    const SOON: Duration = Duration::from_secs(20);

    /// A way to `target` on which each packet takes so long, for one client.
    async fn long_way(target: SocketAddr, one_way: Duration) -> (SocketAddr, JoinSet<()>) {
        let near = Arc::new(UdpSocket::bind("127.0.0.1:0").await.unwrap());
        let far = Arc::new(UdpSocket::bind("127.0.0.1:0").await.unwrap());
        far.connect(target).await.unwrap();
        let address = near.local_addr().unwrap();
        let mut ways = JoinSet::new();
        ways.spawn(async move {
            let (mut there, mut back) = (vec![0; 65_535], vec![0; 65_535]);
            let (mut client, mut under_way) = (None, JoinSet::new());
            loop {
                tokio::select! {
                    Ok((length, from)) = near.recv_from(&mut there) => {
                        client = Some(from);
                        let (far, packet) = (far.clone(), there[..length].to_vec());
                        under_way.spawn(async move {
                            sleep(one_way).await;
                            far.send(&packet).await
                        });
                    }
                    Ok(length) = far.recv(&mut back) => {
                        let Some(client) = client else { continue };
                        let (near, packet) = (near.clone(), back[..length].to_vec());
                        under_way.spawn(async move {
                            sleep(one_way).await;
                            near.send_to(&packet, client).await
                        });
                    }
                }
            }
        });
        (address, ways)
    }

    #[tokio::test]
    async fn a_lone_packet_on_a_long_way_has_an_empty_datagram_behind_it() {
        tls::install_provider();
        let folder = tempfile::tempdir().unwrap();
        let ca = Authority::open_or_create(&folder.path().join("ca")).unwrap();
        let hour = Duration::from_secs(3600);
        let id = || MemberId::from_random(random::bytes());
        let core = ca.identity(&MemberName::Core(id()), hour).unwrap();
        let gateway = ca.identity(&MemberName::Gateway(id()), hour).unwrap();
        let keys = LinkKeys::open_or_create(&folder.path().join("link.keys")).unwrap();
        let tls = tls::link_listener(&IdentityCell::new(core).unwrap()).unwrap();
        let listener = LinkListener::bind("127.0.0.1:0".parse().unwrap(), tls, &keys).unwrap();
        let one_way = limits::LINK_NUDGE_FROM;
        let (address, _way) = long_way(listener.local_addr().unwrap(), one_way).await;
        let dialer = LinkDialer::bind().unwrap();
        let (name, tls) = (ca.trust_domain().core_dns(), tls::core_client(&gateway, &[tls::LINK_ALPN]));
        let (core, gateway) =
            tokio::join!(async { listener.accept().await.unwrap().finish().await.unwrap() }, async {
                dialer.dial(address, &name, tls.unwrap()).await.unwrap()
            });

        let connection = gateway.connection().clone();
        let streams = connection.open_bi().await.unwrap();
        let peer = LinkPeer { chain: Arc::from([]), address };
        let mut stream = LinkStream::new(streams, peer, connection);
        stream.write_all(b"x").await.unwrap();
        let mut echo = [0];
        let nudge = tokio::select! {
            nudge = timeout(SOON, core.connection().read_datagram()) => nudge.unwrap().unwrap(),
            end = stream.read(&mut echo) => panic!("nobody answers: {end:?}"),
        };
        assert!(nudge.is_empty(), "{nudge:?}");
    }
}
