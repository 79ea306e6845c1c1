//! Doors of the core when there is room for nobody more: who stands outside waits or is
//! closed, who is in stays, and a place that is given back is had.

use std::{
    net::{IpAddr, Ipv4Addr},
    sync::Arc,
};

use chatcode_certs::{Identity, tls};
use chatcode_core::{gate::Gate, listener::GrpcListener, room::Place};
use chatcode_link::{LinkDialer, Target};
use chatcode_proto::{
    limits, metadata,
    pb::{Code, FleetListRequest, MemberKind},
};
use rustls_pki_types::ServerName;
use tokio::{
    io::AsyncReadExt as _,
    net::{TcpSocket, TcpStream},
    sync::mpsc,
    time::{Instant, sleep_until, timeout},
};
use tokio_rustls::{TlsConnector, client::TlsStream};
use tokio_util::{sync::CancellationToken, task::AbortOnDropHandle};
use tonic::{Status, service::Routes, transport::Channel};

use crate::common::{TestCore, code, eventually, fleet};

const HERE: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

async fn list(channel: &Channel) -> Result<(), Status> {
    fleet(channel).list(FleetListRequest::default()).await.map(drop)
}

/// A connection of this member that has done its handshake and said nothing else.
async fn shake(
    who: &Identity,
    alpn: &'static [u8],
    address: std::net::SocketAddr,
) -> std::io::Result<TlsStream<TcpStream>> {
    let name = ServerName::try_from(who.trust_domain().core_dns()).unwrap();
    let config = tls::core_client(who, &[alpn]).unwrap();
    TlsConnector::from(config).connect(name, TcpStream::connect(address).await?).await
}

/// Whether the core hangs up on it at once.
async fn is_closed(mut stream: TlsStream<TcpStream>) -> bool {
    timeout(limits::HANDSHAKE / 2, stream.read_to_end(&mut Vec::new())).await.is_ok()
}

#[tokio::test]
async fn one_member_more_than_there_is_room_for_is_closed_and_strangers_take_no_members_place() {
    let core = TestCore::start().await;
    let (first, late) =
        (core.enroll(MemberKind::Admin, "first").await, core.enroll(MemberKind::Admin, "late").await);
    let places = Arc::clone(&core.shared.doors.members);
    assert_eq!(places.available_permits(), limits::CORE_CONNECTIONS, "whoever enrolled took none");
    let inside = core.channel(&first);
    list(&inside).await.unwrap();
    let left = u32::try_from(limits::CORE_CONNECTIONS - 1).unwrap();
    let others = Arc::clone(&places).try_acquire_many_owned(left).unwrap();

    assert!(is_closed(shake(&late, tls::H2_ALPN, core.bound.grpc).await.unwrap()).await);
    let refused = list(&core.channel(&late)).await.unwrap_err();
    assert!(!refused.metadata().contains_key(metadata::CODE), "nobody answered it: {refused:?}");
    list(&inside).await.unwrap();
    assert_eq!(code(&list(&core.anonymous()).await.unwrap_err()), Code::Unauthenticated, "it is answered");

    drop(others);
    list(&core.channel(&late)).await.unwrap();
}

/// Takes all places of links that this address may still have.
fn crowd(core: &TestCore, address: IpAddr) -> Vec<Place> {
    std::iter::from_fn(|| core.shared.doors.links.take(address)).collect()
}

/// Whether this machine gets a link over TCP.
async fn is_linked(core: &TestCore, machine: &Identity) -> bool {
    let dialer = LinkDialer::bind().unwrap();
    let config = tls::core_client(machine, &[tls::LINK_ALPN]).unwrap();
    let target = Target::from(&core.bound.grpc.to_string());
    dialer.dial_tcp(target, &machine.trust_domain().core_dns(), config).await.is_ok()
}

#[tokio::test]
async fn one_link_over_tcp_more_than_an_address_may_have_is_closed_and_others_have_room() {
    let core = TestCore::start().await;
    let machine = core.enroll(MemberKind::Gateway, "machine").await;
    let own = crowd(&core, HERE);
    assert_eq!(own.len(), limits::LINK_TCP_CONNECTIONS_PER_ADDRESS);
    assert!(is_closed(shake(&machine, tls::LINK_ALPN, core.bound.grpc).await.unwrap()).await);
    assert!(!is_linked(&core, &machine).await);
    let other = core.shared.doors.links.take([192, 0, 2, 1].into());
    assert!(other.is_some(), "another address has its own");
    drop(own);
    assert!(is_linked(&core, &machine).await);
}

#[tokio::test]
async fn one_link_over_tcp_more_than_the_core_holds_is_closed_and_calls_go_on() {
    let core = TestCore::start().await;
    let machine = core.enroll(MemberKind::Gateway, "machine").await;
    let inside = core.admin().await;
    let mut others: Vec<_> = (1..=8).map(|number| crowd(&core, [192, 0, 2, number].into())).collect();
    assert_eq!(others.iter().map(Vec::len).sum::<usize>(), limits::LINK_TCP_CONNECTIONS);
    assert!(!is_linked(&core, &machine).await);
    list(&inside).await.unwrap();
    others.truncate(1);
    assert!(is_linked(&core, &machine).await);
}

/// Connections from this address that begin no handshake.
async fn silent(core: &TestCore, from: Ipv4Addr, count: usize) -> Vec<TcpStream> {
    let mut all = Vec::new();
    for _ in 0..count {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind((from, 0).into()).unwrap();
        all.push(socket.connect(core.bound.grpc).await.unwrap());
    }
    all
}

#[tokio::test]
async fn one_handshake_more_than_are_done_at_once_waits_until_another_is_over() {
    chatcode_process::raise_file_limit();
    let core = TestCore::start().await;
    let late = core.enroll(MemberKind::Admin, "late").await;
    let share = limits::CORE_HANDSHAKES_PER_ADDRESS;
    let mut others = Vec::new();
    for number in 2..2 + limits::CORE_HANDSHAKES / share {
        let from = Ipv4Addr::new(127, 0, 0, u8::try_from(number).unwrap());
        others.extend(silent(&core, from, share).await);
    }
    assert_eq!(others.len(), limits::CORE_HANDSHAKES);
    let begun = Instant::now();
    let mut shaking = std::pin::pin!(shake(&late, tls::H2_ALPN, core.bound.grpc));
    tokio::select! {
        done = &mut shaking => panic!("it did not wait: {done:?}"),
        () = sleep_until(begun + limits::ACCEPT_PAUSE) => {}
    }
    drop(others);
    timeout(limits::HANDSHAKE, shaking).await.expect("a place").expect("its handshake");
    assert!(begun.elapsed() < limits::HANDSHAKE, "it had to wait until the others were cut");
}

#[tokio::test]
async fn connections_beyond_those_that_wait_to_be_served_wait_with_their_handshake_done() {
    let core = TestCore::start().await;
    let machine = core.enroll(MemberKind::Gateway, "machine").await;
    let listener = GrpcListener::bind((HERE, 0).into(), Arc::clone(&core.shared)).await.unwrap();
    let address = listener.local_addr().unwrap();
    let gate = Gate::new(Arc::clone(&core.shared), Routes::default());
    let (links, mut ready) = mpsc::channel(limits::CORE_READY);
    let (stop, cut) = (CancellationToken::new(), CancellationToken::new());
    let _serving = AbortOnDropHandle::new(tokio::spawn(listener.serve(gate, links, stop, cut)));

    let mut shaken = Vec::new();
    for _ in 0..limits::CORE_READY + 2 {
        shaken.push(shake(&machine, tls::LINK_ALPN, address).await.unwrap());
    }
    let taken = async || (core.shared.doors.links.taken() == shaken.len()).then_some(());
    eventually("all are through", taken).await;
    assert_eq!(ready.len(), limits::CORE_READY);
    for _ in &shaken {
        timeout(limits::HANDSHAKE, ready.recv()).await.expect("comes").expect("is served");
    }
}
