//! Who gets no link.

use std::{
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use chatcode_certs::{MemberName, tls};
use chatcode_link::{Incoming, Link, LinkDialer, LinkError, LinkListener};
use chatcode_proto::{
    limits::{HANDSHAKE, LINK_UNPROVEN},
    pb::Code,
};
use rustls::{
    ClientConfig, RootCertStore,
    client::Resumption,
    pki_types::{PrivateKeyDer, pem::PemObject as _},
};
use tokio::{task::JoinSet, time::timeout};

use crate::world::{HOUR, LINK, Pings, SOON, World, id, local, who};

fn roots(world: &World) -> RootCertStore {
    let mut roots = RootCertStore::empty();
    roots.add(world.ca.roots()[0].clone()).unwrap();
    roots
}

fn anonymous(world: &World) -> Arc<ClientConfig> {
    let mut config = ClientConfig::builder().with_root_certificates(roots(world)).with_no_client_auth();
    config.alpn_protocols = vec![tls::LINK_ALPN.to_vec()];
    Arc::new(config)
}

/// The client sees it only at first use: its own half of the handshake is done
/// before the core has judged it.
async fn sees_the_door_shut(listener: &LinkListener, world: &World, tls: Arc<ClientConfig>) {
    let dialer = LinkDialer::bind().unwrap();
    let (core, dialled) = world.meet(listener, &dialer, tls).await;
    let refused = core.unwrap_err();
    assert!(matches!(&refused, LinkError::Refused(end) if !end.by_peer), "{refused}");
    assert_eq!(refused.code(), Code::Unauthenticated, "{refused}");
    let end = match dialled {
        Ok(link) => {
            timeout(SOON, who(link.unary())).await.unwrap().unwrap_err();
            timeout(SOON, link.closed()).await.unwrap()
        }
        Err(LinkError::Refused(end)) => end,
        Err(other) => panic!("{other}"),
    };
    assert_eq!((end.code, end.by_peer), (Some(Code::Unauthenticated), true), "{end:?}");
}

#[tokio::test]
async fn without_a_gateways_certificate_there_is_no_link() {
    let (world, other) = (World::new(), World::new());
    let listener = world.listen(0);
    sees_the_door_shut(&listener, &world, anonymous(&world)).await;

    for name in [MemberName::Edge(id()), MemberName::Admin(id()), MemberName::Core(id())] {
        let member = world.ca.identity(&name, HOUR).unwrap();
        sees_the_door_shut(&listener, &world, tls::core_client(&member, LINK).unwrap()).await;
    }

    // A gateway of another installation, which believes in this one's root.
    let foreign = other.gateway();
    let home = other.folder.path().join("foreign");
    foreign.save(&home).unwrap();
    let key = PrivateKeyDer::from_pem_file(home.join("identity.pem")).unwrap();
    let mut believer = ClientConfig::builder()
        .with_root_certificates(roots(&world))
        .with_client_auth_cert(foreign.chain().to_vec(), key)
        .unwrap();
    believer.alpn_protocols = vec![tls::LINK_ALPN.to_vec()];
    sees_the_door_shut(&listener, &world, Arc::new(believer)).await;

    // After all that, a genuine one is welcome.
    let dialer = LinkDialer::bind().unwrap();
    let genuine = tls::core_client(&world.gateway(), LINK).unwrap();
    let (core, link) = world.meet(&listener, &dialer, genuine).await;
    core.unwrap();
    link.unwrap();
}

#[tokio::test]
async fn a_gateway_talks_to_no_other_core() {
    let (world, other) = (World::new(), World::new());
    let listener = other.listen(0);
    let dialer = LinkDialer::bind().unwrap();
    let address = listener.local_addr().unwrap();
    for name in [world.dns(), other.dns()] {
        let (_, dialled) = tokio::join!(
            async { listener.accept().await.unwrap().finish().await },
            dialer.dial(address, &name, tls::core_client(&world.gateway(), LINK).unwrap())
        );
        let refused = dialled.unwrap_err();
        assert!(matches!(&refused, LinkError::Refused(end) if !end.by_peer), "{refused}");
    }
}

#[tokio::test]
async fn another_protocol_gets_no_link() {
    let world = World::new();
    let (listener, dialer) = (world.listen(0), LinkDialer::bind().unwrap());
    let tls = tls::core_client(&world.gateway(), &[b"chatcode-link/0"]).unwrap();
    let (core, dialled) = world.meet(&listener, &dialer, tls).await;
    core.unwrap_err();
    dialled.unwrap_err();
}

#[tokio::test]
async fn an_incoming_link_can_be_turned_away() {
    let world = World::new();
    let listener = world.listen(0);
    let dialer = LinkDialer::bind().unwrap();
    let address = listener.local_addr().unwrap();
    let gateway = world.gateway();
    let tls = tls::core_client(&gateway, LINK).unwrap();
    let dns = world.dns();
    let ((), dialled) =
        tokio::join!(async { drop(listener.accept().await.unwrap()) }, dialer.dial(address, &dns, tls));
    assert!(matches!(dialled, Err(LinkError::Refused(_))));
}

#[tokio::test]
async fn nothing_of_a_link_is_resumed_or_sent_early() {
    let world = World::new();
    let listener = world.listen(0);
    let address = listener.local_addr().unwrap();
    // Against our rules this one keeps tickets and would send early.
    let mut eager = (*tls::core_client(&world.gateway(), LINK).unwrap()).clone();
    eager.resumption = Resumption::in_memory_sessions(8);
    eager.enable_early_data = true;
    let crypto = quinn::crypto::rustls::QuicClientConfig::try_from(eager).unwrap();
    let config = quinn::ClientConfig::new(Arc::new(crypto));
    let endpoint = quinn::Endpoint::client(local(0)).unwrap();
    for round in 0..3 {
        let connecting = endpoint.connect_with(config.clone(), address, &world.dns()).unwrap();
        let connecting = match connecting.into_0rtt() {
            Ok(_) => panic!("round {round}: a ticket was kept"),
            Err(connecting) => connecting,
        };
        let (core, gateway) =
            tokio::join!(async { listener.accept().await.unwrap().finish().await.unwrap() }, connecting);
        // Tickets would come with the first data after the handshake.
        let gateway = gateway.unwrap();
        let serving = tokio::spawn(crate::world::serve(core.clone(), crate::world::Echo::new("core")));
        let (mut send, mut receive) = gateway.open_bi().await.unwrap();
        send.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0").await.unwrap();
        receive.read(&mut [0; 64]).await.unwrap();
        gateway.close(0_u32.into(), b"");
        serving.await.unwrap();
    }
}

#[tokio::test]
async fn so_many_handshakes_that_addresses_must_be_proven_still_all_succeed() {
    let world = World::new();
    let listener = Arc::new(world.listen(0));
    let address = listener.local_addr().unwrap();
    let tls = tls::core_client(&world.gateway(), LINK).unwrap();
    let count = 3 * LINK_UNPROVEN;
    let dialer = Arc::new(LinkDialer::bind().unwrap());
    let mut dials = JoinSet::new();
    for _ in 0..count {
        let (dialer, tls, dns) = (dialer.clone(), tls.clone(), world.dns());
        dials.spawn(async move { dialer.dial(address, &dns, tls).await.unwrap() });
    }
    // Let them pile up before any is finished.
    let mut knocking = vec![];
    let mut finished = JoinSet::new();
    for number in 0..count {
        knocking.push(timeout(SOON, listener.accept()).await.unwrap().unwrap());
        if number >= LINK_UNPROVEN {
            for incoming in knocking.drain(..) {
                finished.spawn(async move { incoming.finish().await.unwrap() });
            }
        }
    }
    assert_eq!(timeout(SOON, finished.join_all()).await.unwrap().len(), count);
    assert_eq!(timeout(SOON, dials.join_all()).await.unwrap().len(), count);
}

/// As many who wait before this door as need not prove their addresses.
async fn crowd(world: &World, listener: &LinkListener) -> Crowd {
    let tls = tls::core_client(&world.gateway(), LINK).unwrap();
    let address = listener.local_addr().unwrap();
    let mut crowd =
        Crowd { dialer: Arc::new(LinkDialer::bind().unwrap()), dials: JoinSet::new(), waiting: vec![] };
    for _ in 0..LINK_UNPROVEN {
        let (dialer, tls, dns) = (crowd.dialer.clone(), tls.clone(), world.dns());
        crowd.dials.spawn(async move { dialer.dial(address, &dns, tls).await });
        crowd.waiting.push(timeout(SOON, listener.accept()).await.unwrap().unwrap());
    }
    crowd
}

struct Crowd {
    dialer: Arc<LinkDialer>,
    dials: JoinSet<Result<Link, LinkError>>,
    waiting: Vec<Incoming>,
}

#[tokio::test]
async fn who_waits_before_a_crowded_door_has_heard_of_the_core() {
    let world = World::new();
    let listener = world.listen(0);
    let mut crowd = crowd(&world, &listener).await;
    assert_eq!(crowd.dialer.heard(), 0, "nobody has answered them yet");
    let last = LinkDialer::bind().unwrap();
    let (address, gateway) = (listener.local_addr().unwrap(), world.gateway());
    let mut dial = pin!(world.dial(&last, address, &gateway));
    tokio::select! {
        link = &mut dial => panic!("nobody has taken it: {link:?}"),
        incoming = listener.accept() => crowd.waiting.push(incoming.unwrap()),
    }
    assert_ne!(last.heard(), 0, "it had to prove its address, and knows that UDP gets through");
    let finished: JoinSet<_> = crowd.waiting.into_iter().map(Incoming::finish).collect();
    let all = async { tokio::join!(finished.join_all(), crowd.dials.join_all(), dial) };
    let (core, crowd, _last) = timeout(SOON, all).await.unwrap();
    assert!(core.iter().chain(&crowd).all(Result::is_ok), "{core:?} {crowd:?}");
}

#[tokio::test]
async fn who_waits_before_a_core_that_ends_is_taken_by_the_next_one() {
    let world = World::new();
    // A core in a runtime of its own, so that it can be killed.
    let core = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let listener = {
        let _inside = core.enter();
        world.listen(0)
    };
    let mut crowd = crowd(&world, &listener).await;
    let last = LinkDialer::bind().unwrap();
    let (address, gateway) = (listener.local_addr().unwrap(), world.gateway());
    let mut dial = pin!(world.dial(&last, address, &gateway));
    tokio::select! {
        link = &mut dial => panic!("nobody has taken it: {link:?}"),
        incoming = listener.accept() => crowd.waiting.push(incoming.unwrap()),
    }
    assert_ne!(last.heard(), 0, "it has proven its address to this core");
    crowd.dials.shutdown().await;
    drop(crowd.dialer);
    crowd.waiting.into_iter().for_each(Incoming::ignore);
    drop(listener);
    tokio::task::spawn_blocking(move || core.shutdown_timeout(SOON)).await.unwrap();

    let next = world.listen(address.port());
    let taken = async { next.accept().await.unwrap().finish().await.unwrap() };
    timeout(SOON, async { tokio::join!(dial, taken) }).await.unwrap();
}

/// First packets of so many handshakes, as gateways send them.
async fn first_packets(world: &World, count: usize) -> Vec<Vec<u8>> {
    let sink = tokio::net::UdpSocket::bind(local(0)).await.unwrap();
    let address = sink.local_addr().unwrap();
    let tls = tls::core_client(&world.gateway(), LINK).unwrap();
    let dialer = Arc::new(LinkDialer::bind().unwrap());
    let mut dials = JoinSet::new();
    let mut packets = std::collections::BTreeMap::new();
    let mut buffer = [0; 2048];
    // One after the other, or the sink's buffer runs over.
    while packets.len() < count {
        let (dialer, tls, dns) = (dialer.clone(), tls.clone(), world.dns());
        dials.spawn(async move { dialer.dial(address, &dns, tls).await });
        let length = timeout(SOON, sink.recv(&mut buffer)).await.unwrap().unwrap();
        // The connection's id is behind flags, version and its length.
        let id = buffer[6..6 + usize::from(buffer[5])].to_vec();
        packets.entry(id).or_insert_with(|| buffer[..length].to_vec());
    }
    packets.into_values().collect()
}

#[tokio::test]
async fn t36_handshakes_that_nobody_meant_keep_no_gateway_out_and_hold_no_link_up() {
    let world = World::new();
    let packets = first_packets(&world, 4 * LINK_UNPROVEN).await;
    let listener = Arc::new(world.listen(0));
    let address = listener.local_addr().unwrap();
    let taken = Arc::new(AtomicUsize::new(0));
    let (door, counted) = (listener.clone(), taken.clone());
    let mut serving = JoinSet::new();
    serving.spawn(async move {
        let mut under_way = JoinSet::new();
        while let Some(incoming) = door.accept().await {
            counted.fetch_add(1, Ordering::Relaxed);
            under_way.spawn(async move {
                if let Ok(link) = incoming.finish().await {
                    crate::world::serve(link, crate::world::Echo::new("core")).await;
                }
            });
        }
    });
    let dialer = LinkDialer::bind().unwrap();
    let before = world.dial(&dialer, address, &world.gateway()).await;
    let mut pings = Pings::open(before.channel()).await.unwrap();

    let forger = tokio::net::UdpSocket::bind(local(0)).await.unwrap();
    for (stamp, packet) in (1..).zip(&packets) {
        forger.send_to(packet, address).await.unwrap();
        // What is no packet of QUIC is as welcome.
        forger.send_to(&packet[..packet.len() / 2], address).await.unwrap();
        timeout(SOON, pings.ping(stamp)).await.unwrap().unwrap();
    }
    let after = timeout(SOON, world.dial(&dialer, address, &world.gateway())).await.unwrap();
    timeout(SOON, Pings::open(after.channel())).await.unwrap().unwrap();
    let taken = taken.load(Ordering::Relaxed);
    assert!(taken > LINK_UNPROVEN, "the forged ones were tried: {taken}");
    assert!(taken <= LINK_UNPROVEN + 2, "the rest had to prove their address: {taken}");
}

#[tokio::test]
async fn a_call_without_a_link_fails_at_once() {
    let world = World::new();
    let link = world.link().await;
    link.gateway.close(Code::Done, "bye");
    timeout(SOON, link.core.closed()).await.unwrap();
    assert!(timeout(SOON, Pings::open(link.core.channel())).await.unwrap().is_err());
}

/// It begins as a gateway does, and does not go on.
#[tokio::test]
async fn a_handshake_that_stops_half_way_is_given_up_and_keeps_nobody_out() {
    let world = World::new();
    let packets = first_packets(&world, 1).await;
    let listener = world.listen(0);
    let silent = tokio::net::UdpSocket::bind(local(0)).await.unwrap();
    silent.send_to(&packets[0], listener.local_addr().unwrap()).await.unwrap();
    let incoming = timeout(SOON, listener.accept()).await.unwrap().unwrap();
    let begun = std::time::Instant::now();
    let given_up = async { timeout(2 * HANDSHAKE, incoming.finish()).await.unwrap().unwrap_err() };
    let meanwhile = async {
        let dialer = LinkDialer::bind().unwrap();
        let genuine = tls::core_client(&world.gateway(), LINK).unwrap();
        let (core, link) = world.meet(&listener, &dialer, genuine).await;
        core.unwrap();
        link.unwrap();
        begun.elapsed()
    };
    let (_, met_after) = tokio::join!(given_up, meanwhile);
    assert!(met_after < HANDSHAKE, "{met_after:?}");
    assert!(begun.elapsed() + Duration::from_secs(1) >= HANDSHAKE, "{:?}", begun.elapsed());
}
