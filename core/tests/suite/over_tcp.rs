//! Links over TCP, at the listener that also takes calls.

use std::time::Duration;

use chatcode_certs::{Identity, tls};
use chatcode_link::{Link, LinkDialer, LinkError, Target};
use chatcode_proto::{
    limits,
    pb::{Code, FleetRevokeRequest, LinkTransport, MemberKind},
};
use rustls::{RootCertStore, pki_types::ServerName};
use tokio::{io::AsyncReadExt as _, net::TcpStream, time::timeout};
use tokio_rustls::TlsConnector;

use crate::{
    common::{TestCore, eventually, fleet},
    gateway::{greet, hello, welcomed},
};

async fn dial(core: &TestCore, who: &Identity) -> (LinkDialer, Result<Link, LinkError>) {
    let dialer = LinkDialer::bind().unwrap();
    let target = Target::from(&core.bound.grpc.to_string());
    let tls = tls::core_client(who, &[tls::LINK_ALPN]).unwrap();
    let link = dialer.dial_tcp(target, &who.trust_domain().core_dns(), tls).await;
    (dialer, link)
}

#[tokio::test]
async fn a_machine_over_tcp_is_shown_so_and_a_revoked_one_is_out_and_does_not_come_back() {
    let core = TestCore::start().await;
    let admin = core.admin().await;
    let machine = core.enroll(MemberKind::Gateway, "machine").await;
    let (_dialer, link) = dial(&core, &machine).await;
    let link = link.unwrap();
    let (_outbound, mut inbound) = greet(&link, hello()).await.unwrap();
    welcomed(&mut inbound).await;
    let id = machine.name().id().to_string();
    let shown = eventually("the machine", async || {
        let list = fleet(&admin).list(chatcode_proto::pb::FleetListRequest::default()).await.unwrap();
        list.into_inner().gateways.into_iter().find(|one| one.link_transport() == LinkTransport::Tcp)
    });
    assert_eq!(shown.await.id, id);

    fleet(&admin).revoke(FleetRevokeRequest { gateway: id }).await.unwrap();
    let end = timeout(Duration::from_secs(1), link.closed()).await.expect("within a second");
    assert_eq!(end.code, Some(Code::Revoked));
    let (_dialer, again) = dial(&core, &machine).await;
    let code = match again {
        Ok(link) => link.closed().await.code,
        Err(error) => Some(error.code()),
    };
    assert_eq!(code, Some(Code::Revoked));
}

#[tokio::test]
async fn only_a_gateways_certificate_begins_a_link_over_tcp() {
    let core = TestCore::start().await;
    for kind in [MemberKind::Edge, MemberKind::Admin] {
        let member = core.enroll(kind, "member").await;
        let (_dialer, link) = dial(&core, &member).await;
        let code = match link {
            Ok(link) => link.closed().await.code,
            Err(error) => Some(error.code()),
        };
        assert_eq!(code, Some(Code::Unauthenticated), "{kind:?}");
    }

    // Without a certificate there is not even time to say something.
    let mut roots = RootCertStore::empty();
    roots.add(core.shared.authority.roots()[0].clone()).unwrap();
    let mut nameless = rustls::ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
    nameless.alpn_protocols = vec![tls::LINK_ALPN.to_vec()];
    let name = ServerName::try_from(core.shared.authority.trust_domain().core_dns()).unwrap();
    let tcp = TcpStream::connect(core.bound.grpc).await.unwrap();
    let mut stranger = TlsConnector::from(std::sync::Arc::new(nameless)).connect(name, tcp).await.unwrap();
    let shut = timeout(limits::HELLO / 2, stranger.read(&mut [0; 1])).await.expect("at once");
    assert!(matches!(shut, Ok(0) | Err(_)), "{shut:?}");
}
