//! What is peculiar to a link over TCP: connections that begin and join, and the
//! proxy on the way.

use std::{io, sync::Arc};

use bytes::BytesMut;
use chatcode_certs::{Identity, tls};
use chatcode_harness::proxy::Proxy as HttpProxy;
use chatcode_link::{Link, LinkDialer, LinkError, Proxy, Target};
use chatcode_proto::{
    framing, limits,
    pb::{Code, TcpBegin, TcpBegun, TcpJoin, TcpOpening, TcpSignal, tcp_opening::Kind, tcp_signal},
};
use prost::Message as _;
use rustls::pki_types::ServerName;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    time::timeout,
};
use tokio_rustls::{TlsConnector, client::TlsStream};

use crate::world::{LINK, Over, Pings, SOON, TcpCore, World, flood, local, who};

/// A connection of a gateway in the test's hands.
async fn raw(world: &World, core: &TcpCore, who: &Identity) -> TlsStream<TcpStream> {
    let tcp = TcpStream::connect(core.address).await.unwrap();
    tcp.set_nodelay(true).unwrap();
    let name = ServerName::try_from(world.dns()).unwrap();
    TlsConnector::from(tls::core_client(who, LINK).unwrap()).connect(name, tcp).await.unwrap()
}

async fn say(connection: &mut TlsStream<TcpStream>, kind: Kind) {
    let mut message = BytesMut::new();
    framing::put(&mut message, &TcpOpening { kind: Some(kind) });
    connection.write_all(&message).await.unwrap();
    connection.flush().await.unwrap();
}

async fn signal(connection: &mut TlsStream<TcpStream>) -> io::Result<tcp_signal::Kind> {
    let length = connection.read_u32().await?;
    let mut message = vec![0; length as usize];
    connection.read_exact(&mut message).await?;
    Ok(TcpSignal::decode(&*message).unwrap().kind.unwrap())
}

/// Whether the core has closed the connection.
async fn is_shut(mut connection: TlsStream<TcpStream>) -> bool {
    let mut rest = [0; 1];
    matches!(timeout(SOON, connection.read(&mut rest)).await.unwrap(), Ok(0) | Err(_))
}

/// A link that a raw connection begins; its number.
async fn begin(world: &World, core: &mut TcpCore, who: &Identity) -> (TlsStream<TcpStream>, Link, u64) {
    let mut connection = raw(world, core, who).await;
    say(&mut connection, Kind::Begin(TcpBegin { versions: vec![9, 1] })).await;
    let begun = signal(&mut connection).await.unwrap();
    let tcp_signal::Kind::Begun(TcpBegun { version: 1, link }) = begun else { panic!("{begun:?}") };
    (connection, core.links.recv().await.unwrap(), link)
}

#[tokio::test]
async fn only_the_same_gateway_joins_a_link_and_only_where_it_is_waited_for() {
    let world = World::new();
    let mut core = world.listen_tcp().await;
    let (one, other) = (world.gateway(), world.gateway());
    let (_signals, _link, number) = begin(&world, &mut core, &one).await;

    for (who, link, stream, why) in [
        (&other, number, 0, "another gateway's"),
        (&one, number + 1, 0, "no such link"),
        (&one, number, 1, "nobody asked for it"),
    ] {
        let mut connection = raw(&world, &core, who).await;
        say(&mut connection, Kind::Join(TcpJoin { link, stream })).await;
        core.others.recv().await.unwrap().expect_err(why);
        assert!(is_shut(connection).await, "{why}");
    }
    let mut connection = raw(&world, &core, &one).await;
    say(&mut connection, Kind::Join(TcpJoin { link: number, stream: 0 })).await;
    core.others.recv().await.unwrap().expect("its own");
}

#[tokio::test]
async fn a_link_has_no_more_streams_than_the_limit() {
    let world = World::new();
    let mut core = world.listen_tcp().await;
    let one = world.gateway();
    let (_signals, _link, number) = begin(&world, &mut core, &one).await;
    let mut kept = vec![];
    for stream in 0..=limits::LINK_STREAMS {
        let mut connection = raw(&world, &core, &one).await;
        say(&mut connection, Kind::Join(TcpJoin { link: number, stream: 0 })).await;
        let joined = core.others.recv().await.unwrap();
        assert_eq!(joined.is_ok(), stream < limits::LINK_STREAMS, "{stream}: {joined:?}");
        kept.push(connection);
    }
    assert!(is_shut(kept.pop().unwrap()).await);
}

#[tokio::test]
async fn what_does_not_say_what_it_is_is_closed_and_nothing_else_is_harmed() {
    let world = World::new();
    let mut core = world.listen_tcp().await;
    let one = world.gateway();
    let link = world.link_over(Over::Tcp).await;
    let mut pings = Pings::open(link.core.channel()).await.unwrap();
    let too_long = u32::try_from(limits::CONTROL_BYTES + 1).unwrap().to_be_bytes();
    for bytes in [&[0, 0, 0, 0][..], &[0, 0, 0, 2, 0xff, 0xff], &too_long, b"GET / HTTP/1.1\r\n\r\n"] {
        let mut connection = raw(&world, &core, &one).await;
        connection.write_all(bytes).await.unwrap();
        core.others.recv().await.unwrap().unwrap_err();
        assert!(is_shut(connection).await, "{bytes:?}");
    }
    pings.ping(1).await.unwrap();

    let mut connection = raw(&world, &core, &one).await;
    say(&mut connection, Kind::Begin(TcpBegin { versions: vec![99] })).await;
    let end = signal(&mut connection).await.unwrap();
    let tcp_signal::Kind::Close(close) = end else { panic!("{end:?}") };
    assert_eq!(close.code(), Code::UnsupportedVersion);
}

#[tokio::test]
async fn a_connection_that_says_nothing_is_closed_in_time() {
    let world = World::new();
    let mut core = world.listen_tcp().await;
    let silent = raw(&world, &core, &world.gateway()).await;
    let error = core.others.recv().await.unwrap().unwrap_err();
    assert!(error.contains("no answer"), "{error}");
    assert!(is_shut(silent).await);
}

#[tokio::test]
async fn a_link_ends_with_its_signals_and_its_streams_with_it() {
    let world = World::new();
    let mut core = world.listen_tcp().await;
    let one = world.gateway();
    let (signals, link, number) = begin(&world, &mut core, &one).await;
    let mut connection = raw(&world, &core, &one).await;
    say(&mut connection, Kind::Join(TcpJoin { link: number, stream: 0 })).await;
    core.others.recv().await.unwrap().unwrap();
    let mut stream = std::pin::pin!(link.incoming());
    let mut stream = futures_util::StreamExt::next(&mut stream).await.unwrap().unwrap();

    drop(signals);
    let end = timeout(SOON, link.closed()).await.unwrap();
    assert_eq!((end.code, end.by_peer), (None, true), "{end:?}");
    timeout(SOON, stream.read_u8()).await.unwrap().unwrap_err();

    let mut late = raw(&world, &core, &one).await;
    say(&mut late, Kind::Join(TcpJoin { link: number, stream: 0 })).await;
    core.others.recv().await.unwrap().unwrap_err();
    drop(link);
    drop(stream);
    timeout(SOON, core.board.wait_idle()).await.unwrap();
}

#[tokio::test]
async fn a_dropped_link_is_told_and_its_flood_ends() {
    let world = World::new();
    let link = world.link_over(Over::Tcp).await;
    let mut flooded = flood(link.core.channel()).await;
    flooded.answers.message().await.unwrap().unwrap();
    let mut floods = link.at_gateway.floods_ended.subscribe();
    link.gateway.close(Code::Draining, "for a while");
    let end = timeout(SOON, link.core.closed()).await.unwrap();
    assert_eq!((end.code, end.by_peer, &*end.reason), (Some(Code::Draining), true, "for a while"));
    timeout(SOON, async { while flooded.answers.message().await.is_ok_and(|m| m.is_some()) {} })
        .await
        .unwrap();
    timeout(SOON, floods.wait_for(|ended| *ended == 1)).await.unwrap().unwrap();
    timeout(SOON, link.dialer.wait_idle()).await.unwrap();
}

#[tokio::test]
async fn without_a_gateways_certificate_there_is_no_link_over_tcp() {
    let (world, other) = (World::new(), World::new());
    let mut core = world.listen_tcp().await;
    let dialer = LinkDialer::bind().unwrap();
    // The root of this installation, the certificate of another one.
    let foreign = core.dial(&other, &dialer, &other.gateway()).await.unwrap_err();
    assert!(matches!(&foreign, LinkError::Refused(end) if !end.by_peer), "{foreign:?}");
    assert_eq!(foreign.code(), Code::Unauthenticated);
    core.others.recv().await.unwrap().unwrap_err();
}

#[tokio::test]
async fn a_link_goes_by_a_proxy_that_wants_a_password() {
    let world = World::new();
    let mut core = world.listen_tcp().await;
    let proxy = HttpProxy::start(Some("me:p@ss")).await.unwrap();
    let address = proxy.address();
    let dialer = LinkDialer::bind().unwrap();
    let (one, dns) = (world.gateway(), world.dns());
    let by = |text: String| {
        let target = Target::from(&core.address.to_string()).by(Some(Arc::new(Proxy::parse(&text).unwrap())));
        dialer.dial_tcp(target, &dns, tls::core_client(&one, LINK).unwrap())
    };
    let refused = by(format!("http://me:wrong@{address}")).await.unwrap_err().to_string();
    assert!(refused.contains("proxy authorization required") && !refused.contains("wrong"), "{refused}");

    let gateway = by(format!("http://me:p%40ss@{address}")).await.unwrap();
    let link = core.links.recv().await.unwrap();
    let serving = tokio::spawn(crate::world::serve(gateway.clone(), crate::world::Echo::new("gateway")));
    assert_eq!(who(link.unary()).await.unwrap().0, "gateway");
    link.close(Code::Done, "");
    serving.await.unwrap();
    let seen = proxy.seen();
    assert!(seen.len() >= 3 && seen.iter().all(|to| *to == core.address.to_string()), "{seen:?}");
}

#[tokio::test]
async fn a_proxy_that_answers_nothing_or_nonsense_is_named() {
    let world = World::new();
    let listener = TcpListener::bind(local(0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut client, _)) = listener.accept().await {
            let endless = vec![b'x'; limits::PROXY_ANSWER_BYTES + 1];
            let _ = client.write_all(&endless).await;
            let _ = client.read(&mut [0; 1024]).await;
        }
    });
    let target = Target::from("core.example:7421")
        .by(Some(Arc::new(Proxy::parse(&format!("http://{address}")).unwrap())));
    let dialer = LinkDialer::bind().unwrap();
    let tls = tls::core_client(&world.gateway(), LINK).unwrap();
    let refused = dialer.dial_tcp(target, &world.dns(), tls).await.unwrap_err();
    assert!(refused.to_string().contains(&format!("by the proxy {address}")), "{refused}");
    assert_eq!(refused.code(), Code::CoreUnreachable);
}
