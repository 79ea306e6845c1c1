//! What a link survives, and how soon its death is noticed.

use std::{
    net::{SocketAddr, UdpSocket},
    time::{Duration, Instant},
};

use chatcode_certs::tls;
use chatcode_link::{Link, LinkDialer, Pulse};
use chatcode_proto::limits;
use tokio::time::{interval, timeout};

use crate::world::{Echo, LINK, Over, Pings, SOON, World, serve, who};

#[tokio::test]
async fn a_gateway_that_changes_its_address_loses_nothing() {
    let world = World::new();
    let link = world.link().await;
    let mut pings = Pings::open(link.core.channel()).await.unwrap();
    let (mut stamp, mut seen) = (0, vec![]);
    for _ in 0..6 {
        link.dialer.rebind().unwrap();
        let port = link.dialer.local_addr().unwrap().port();
        // The core learns of it by the next packet.
        timeout(SOON, async {
            while link.core.remote_address().port() != port {
                stamp += 1;
                pings.ping(stamp).await.unwrap();
            }
        })
        .await
        .unwrap();
        seen.push(port);
        for _ in 0..50 {
            stamp += 1;
            pings.ping(stamp).await.unwrap();
        }
    }
    seen.dedup();
    assert_eq!(seen.len(), 6, "each time another port");
}

#[tokio::test]
async fn garbage_on_the_port_harms_nothing() {
    let world = World::new();
    let link = world.link().await;
    let mut pings = Pings::open(link.core.channel()).await.unwrap();
    let to = link.listener.local_addr().unwrap();
    let from = UdpSocket::bind("127.0.0.1:0").unwrap();
    for round in 0..200_usize {
        let mut bytes = vec![0_u8; 1 + round * 7];
        for chunk in bytes.chunks_mut(16) {
            let random = chatcode_certs::random::bytes::<16>();
            let length = chunk.len();
            chunk.copy_from_slice(&random[..length]);
        }
        // Also what looks like a first packet, version 1 or one unknown.
        if round % 4 == 0 && bytes.len() > 6 {
            bytes[..5].copy_from_slice(&[0xc3, 0, 0, 0, u8::from(round % 8 == 0)]);
        }
        from.send_to(&bytes, to).unwrap();
        pings.ping(round as u64 + 1).await.unwrap();
    }
    let tls = tls::core_client(&link.who, LINK).unwrap();
    let (core, gateway) = world.meet(&link.listener, &link.dialer, tls).await;
    core.unwrap();
    gateway.unwrap();
}

/// A core in a runtime of its own, so that it can be killed: nothing says
/// goodbye.
struct Core {
    runtime: tokio::runtime::Runtime,
    address: SocketAddr,
}

impl Core {
    fn start(world: &World, port: u16) -> Self {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let listener = {
            let _inside = runtime.enter();
            world.listen(port)
        };
        let address = listener.local_addr().unwrap();
        runtime.spawn(async move {
            while let Some(incoming) = listener.accept().await {
                tokio::spawn(async move {
                    let link = incoming.finish().await.unwrap();
                    serve(link, Echo::new("core")).await;
                });
            }
        });
        Self { runtime, address }
    }

    fn kill(self) -> SocketAddr {
        self.runtime.shutdown_timeout(Duration::from_secs(5));
        self.address
    }
}

async fn linked(world: &World) -> (Core, LinkDialer, Link) {
    let core = Core::start(world, 0);
    let dialer = LinkDialer::bind().unwrap();
    let link = world.dial(&dialer, core.address, &world.gateway()).await;
    who(link.unary()).await.unwrap();
    (core, dialer, link)
}

#[tokio::test]
async fn a_killed_core_that_is_back_is_noticed_at_the_next_packet() {
    let world = World::new();
    let (core, dialer, link) = linked(&world).await;
    let port = tokio::task::spawn_blocking(|| core.kill()).await.unwrap().port();
    let core = Core::start(&world, port);
    assert_eq!(link.close_reason(), None, "nobody said goodbye");

    let call = tokio::spawn(who(link.unary()));
    let end = timeout(Duration::from_secs(2), link.closed()).await.unwrap();
    assert_eq!((end.code, end.by_peer), (None, true), "{end:?}");
    call.await.unwrap().unwrap_err();

    let again = world.dial(&dialer, core.address, &world.gateway()).await;
    who(again.unary()).await.unwrap();
    tokio::task::spawn_blocking(|| core.kill()).await.unwrap();
}

#[tokio::test]
async fn a_killed_core_that_is_back_is_noticed_by_an_idle_gateway_within_a_keep_alive() {
    let world = World::new();
    let (core, _dialer, link) = linked(&world).await;
    // Nothing happens any more, not even a probe of the path.
    timeout(limits::LINK_KEEPALIVE / 2, link.closed()).await.unwrap_err();
    let port = tokio::task::spawn_blocking(|| core.kill()).await.unwrap().port();
    let core = Core::start(&world, port);
    let since = Instant::now();
    let end = timeout(limits::LINK_SILENCE, link.closed()).await.unwrap();
    assert_eq!((end.code, end.by_peer), (None, true), "{end:?}");
    assert!(since.elapsed() < limits::LINK_KEEPALIVE + Duration::from_secs(3), "{:?}", since.elapsed());
    tokio::task::spawn_blocking(|| core.kill()).await.unwrap();
}

#[tokio::test]
async fn what_a_core_is_asked_it_answers_while_it_lives_and_its_silence_shows() {
    let world = World::new();
    let (core, _dialer, link) = linked(&world).await;
    let met = link.pulse();
    who(link.unary()).await.unwrap();
    let lived = link.pulse();
    assert!(met.asked > 0 && lived.asked > met.asked && lived.answered > met.answered, "{met:?} {lived:?}");
    let mut looks = interval(Duration::from_millis(20));
    let answered = async {
        let before = link.pulse();
        link.ask();
        while link.pulse().asked == before.asked || link.pulse().answered == before.answered {
            looks.tick().await;
        }
    };
    timeout(limits::LINK_KEEPALIVE / 2, answered).await.unwrap();

    tokio::task::spawn_blocking(|| core.kill()).await.unwrap();
    let last = link.pulse();
    let call = tokio::spawn(who(link.unary()));
    // The call goes out at once; what follows it are probes that ask nothing else.
    let mut grew = 0;
    let asked = async {
        let mut before = last.asked;
        while grew < 4 {
            looks.tick().await;
            let now = link.pulse().asked;
            grew += u32::from(now > before);
            before = now;
        }
    };
    timeout(limits::LINK_DOUBT, asked).await.unwrap();
    assert_eq!(link.pulse().answered, last.answered, "the call and its probes");
    call.abort();

    let over_tcp = world.link_over(Over::Tcp).await;
    who(over_tcp.core.unary()).await.unwrap();
    assert_eq!(over_tcp.gateway.pulse(), Pulse::default());
}

#[tokio::test]
async fn many_whose_packets_wait_for_a_busy_core_that_was_killed_all_notice_at_once() {
    let world = World::new();
    let core = Core::start(&world, 0);
    let dialer = LinkDialer::bind().unwrap();
    let mut links = vec![];
    for _ in 0..50 {
        let link = world.dial(&dialer, core.address, &world.gateway()).await;
        who(link.unary()).await.unwrap();
        links.push(link);
    }
    let port = tokio::task::spawn_blocking(|| core.kill()).await.unwrap().port();
    let core = Core::start(&world, port);
    let (go_on, busy) = std::sync::mpsc::channel::<()>();
    core.runtime.spawn(async move {
        let _ = busy.recv();
    });
    let calls: Vec<_> = links.iter().map(|link| tokio::spawn(who(link.unary()))).collect();
    // Their probes come ever more seldom, and all at the same moments.
    timeout(Duration::from_millis(1500), links[0].closed()).await.unwrap_err();
    go_on.send(()).unwrap();
    let since = Instant::now();
    for link in &links {
        let end = timeout(SOON, link.closed()).await.unwrap();
        assert_eq!((end.code, end.by_peer), (None, true), "{end:?}");
    }
    assert!(since.elapsed() < Duration::from_secs(1), "{:?}", since.elapsed());
    for call in calls {
        call.await.unwrap().unwrap_err();
    }
    tokio::task::spawn_blocking(|| core.kill()).await.unwrap();
}
