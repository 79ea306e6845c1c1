//! Bad input from outside: each is refused with its code, and nothing else is
//! harmed.

use std::net::UdpSocket;

use anyhow::Context as _;
use chatcode_certs::{Authority, Identity, JoinToken, Key, MemberName, csr};
use chatcode_harness::{
    Mesh, Page, Terminal, http,
    page::{Target, next_binary},
    proc, soon,
};
use chatcode_proto::{id::MemberId, limits, metadata, pb};
use futures_util::SinkExt as _;
use prost::Message as _;
use tokio_tungstenite::tungstenite::Message;

use crate::attach::hostile;

/// A session that must not notice anything.
struct Canary(Terminal, u32);

impl Canary {
    async fn start(mesh: &Mesh, page: &Page) -> anyhow::Result<Self> {
        Ok(Self(Terminal::start(page, &mesh.gateway_id()?, &["cat"]).await?, 0))
    }

    async fn is_unharmed(&mut self) -> anyhow::Result<()> {
        self.1 += 1;
        let line = format!("unharmed {}", self.1);
        self.0.enter(&format!("{line}\n"))?;
        self.0.sees(&format!("{line}\r\n{line}\r\n")).await?;
        assert_eq!(self.0.attachments, 1, "it never lost its attachment");
        Ok(())
    }
}

/// How a WebSocket ended: "4012 unknown_..: words".
async fn end_of(socket: &mut chatcode_harness::page::Socket) -> String {
    loop {
        if let Err(error) = next_binary(socket).await {
            return error.to_string();
        }
    }
}

fn closes_with(end: &str, code: pb::Code) {
    let expected = format!("{} {}", code.websocket(), code.name());
    assert!(end.starts_with(&expected), "{end:?} is not {expected:?}");
}

#[tokio::test]
async fn a_ticket_opens_one_socket_for_one_thing() -> anyhow::Result<()> {
    let mesh = Mesh::start().await?;
    let page = mesh.page().await?;
    let mut canary = Canary::start(&mesh, &page).await?;
    let target = canary.0.target().clone();
    let ticket = page.ticket(metadata::ATTACH, &target).await?;
    let open = |ticket: &str, session: &str| pb::Open {
        versions: limits::EDGE_VERSIONS.to_vec(),
        ticket: ticket.to_owned(),
        method: metadata::ATTACH.to_owned(),
        gateway: target.gateway.clone(),
        session: session.to_owned(),
    };
    let mut first = page.socket().await?;
    first.send(Message::Binary(open(&ticket, &target.session).encode_to_vec().into())).await?;
    hostile::send(&mut first, hostile::attach(pb::Role::Viewer)).await?;
    assert!(matches!(hostile::next(&mut first).await?, Some(pb::server_frame::Kind::Attached(_))));

    let other = page.ticket(metadata::ATTACH, &target).await?;
    let nobody = "6f1c0a52-9d3e-4a37-8f0b-2f6f0d1c9b11";
    for (ticket, session) in
        [(ticket.as_str(), target.session.as_str()), (other.as_str(), nobody), ("x", nobody)]
    {
        let mut socket = page.socket().await?;
        socket.send(Message::Binary(open(ticket, session).encode_to_vec().into())).await?;
        closes_with(&end_of(&mut socket).await, pb::Code::BadToken);
    }
    canary.is_unharmed().await
}

#[tokio::test]
async fn sockets_that_speak_nonsense_are_closed_with_its_code() -> anyhow::Result<()> {
    let mesh = Mesh::start().await?;
    let page = mesh.page().await?;
    let mut canary = Canary::start(&mesh, &page).await?;
    let target = canary.0.target().clone();

    let mut garbage = page.socket().await?;
    garbage.send(Message::Binary(vec![0xff; 64].into())).await?;
    closes_with(&end_of(&mut garbage).await, pb::Code::Invalid);

    let mut version = page.socket().await?;
    let open = pb::Open { versions: vec![99], ..Default::default() };
    version.send(Message::Binary(open.encode_to_vec().into())).await?;
    closes_with(&end_of(&mut version).await, pb::Code::UnsupportedVersion);

    let mut frames = page.open(metadata::ATTACH, &target).await?;
    let mut attach = hostile::attach(pb::Role::Viewer);
    if let pb::client_frame::Kind::Attach(attach) = &mut attach {
        attach.versions = vec![99];
    }
    hostile::send(&mut frames, attach).await?;
    closes_with(&end_of(&mut frames).await, pb::Code::UnsupportedVersion);

    let mut order = page.open(metadata::ATTACH, &target).await?;
    hostile::send(&mut order, hostile::input(0, b"no attach first")).await?;
    closes_with(&end_of(&mut order).await, pb::Code::Protocol);

    let mut hole = page.open(metadata::ATTACH, &target).await?;
    hostile::send(&mut hole, hostile::attach(pb::Role::Writer)).await?;
    hostile::send(&mut hole, hostile::input(1_000_000, b"from nowhere")).await?;
    closes_with(&end_of(&mut hole).await, pb::Code::InputGap);

    let mut large = page.open(metadata::ATTACH, &target).await?;
    hostile::send(&mut large, hostile::attach(pb::Role::Viewer)).await?;
    large.send(Message::Binary(vec![0; limits::WEBSOCKET_MESSAGE_BYTES + 1].into())).await?;
    closes_with(&end_of(&mut large).await, pb::Code::TooLarge);
    canary.is_unharmed().await
}

#[tokio::test]
async fn unknown_gateways_sessions_and_methods_have_their_codes() -> anyhow::Result<()> {
    let mesh = Mesh::start().await?;
    let page = mesh.page().await?;
    let nobody = "6f1c0a52-9d3e-4a37-8f0b-2f6f0d1c9b11".to_owned();
    let get = pb::SessionsGetRequest {};
    let unknown_session = Target { gateway: mesh.gateway_id()?, session: nobody.clone() };
    let answer = page.call("/chatcode.v1.Sessions/Get", &unknown_session, &get).await?;
    assert_eq!(answer.code(), "unknown_session");
    let unknown_gateway = Target { gateway: nobody.clone(), session: nobody };
    let answer = page.call("/chatcode.v1.Sessions/Get", &unknown_gateway, &get).await?;
    assert_eq!(answer.code(), "unknown_gateway");
    let answer = page.call("/chatcode.v1.Sessions/Nothing", &unknown_session, &get).await?;
    assert_eq!(answer.code(), "unknown_method");
    let malformed = Target { gateway: "../../etc".to_owned(), session: String::new() };
    let answer = page.call("/chatcode.v1.Sessions/List", &malformed, &pb::SessionsListRequest {}).await?;
    assert!(["invalid", "unknown_gateway"].contains(&answer.code()), "{answer:?}");
    Ok(())
}

#[tokio::test]
async fn another_origin_reaches_nothing() -> anyhow::Result<()> {
    let mesh = Mesh::start().await?;
    let page = mesh.page().await?;
    let own = page.origin.clone();
    let port = own.rsplit(':').next().unwrap_or_default().to_owned();
    for origin in [
        "null",
        "http://evil.example",
        &format!("http://127.0.0.1:{port}"),
        &format!("https://localhost:{port}"),
        "http://localhost:1",
    ] {
        let mut request = http::post(
            &own,
            "/chatcode.v1.Fleet/List",
            "application/grpc-web+proto",
            Some(&page.cookie),
            http::grpc_web_body(&pb::FleetListRequest::default()),
        )?;
        request.headers_mut().insert("origin", origin.parse()?);
        let answer = http::send(mesh.edge_address(), request).await?;
        assert_eq!(answer.status(), 403, "{origin}");
        let stranger = Page { origin: origin.to_owned(), ..page.clone() };
        assert!(stranger.socket().await.is_err(), "{origin}");
    }
    Ok(())
}

#[tokio::test]
async fn the_edge_is_closed_to_native_grpc_and_to_forged_rights() -> anyhow::Result<()> {
    let mesh = Mesh::start().await?;
    let page = mesh.page().await?;
    let body = http::grpc_web_body(&pb::FleetListRequest::default());
    for kind in
        ["application/grpc", "application/grpc+proto", "application/grpc-web-text", "application/json"]
    {
        let request =
            http::post(&page.origin, "/chatcode.v1.Fleet/List", kind, Some(&page.cookie), body.clone())?;
        let answer = http::send(mesh.edge_address(), request).await?;
        assert!(answer.status().is_client_error(), "{kind}: {}", answer.status());
    }
    let nobody = http::post(
        &page.origin,
        "/chatcode.v1.Fleet/List",
        "application/grpc-web+proto",
        None,
        body.clone(),
    )?;
    refused_with(http::send(mesh.edge_address(), nobody).await?, &["unauthenticated"])?;
    // A grant that the client wrote itself is no grant.
    let grant =
        pb::Grant { principal: "admin/x".to_owned(), role: pb::Role::Writer.into(), ..Default::default() };
    let mut request =
        http::post(&page.origin, "/chatcode.v1.Fleet/List", "application/grpc-web+proto", None, body)?;
    let value =
        base64::Engine::encode(&base64::engine::general_purpose::STANDARD_NO_PAD, grant.encode_to_vec());
    request.headers_mut().insert(metadata::GRANT, value.parse()?);
    request.headers_mut().insert("authorization", "Bearer x".parse()?);
    refused_with(
        http::send(mesh.edge_address(), request).await?,
        &["unauthenticated", "forbidden", "invalid"],
    )
}

fn refused_with(answer: ::http::Response<bytes::Bytes>, codes: &[&str]) -> anyhow::Result<()> {
    if answer.status() == 200 {
        let answer = http::grpc_web_answer(answer)?;
        anyhow::ensure!(codes.contains(&answer.code()), "{answer:?}");
    } else {
        anyhow::ensure!(answer.status().is_client_error(), "{answer:?}");
    }
    Ok(())
}

#[tokio::test]
async fn a_join_token_enrolls_once_and_a_sign_in_link_signs_in_once() -> anyhow::Result<()> {
    let mesh = Mesh::start().await?;
    let request = pb::FleetCreateTokenRequest::default();
    let token = mesh.fleet()?.create_token(request).await?.into_inner().token;
    let token: JoinToken = token.parse()?;
    chatcode_link::enroll::enroll(mesh.grpc_address(), &token, "one", None).await?;
    let again = chatcode_link::enroll::enroll(mesh.grpc_address(), &token, "two", None).await;
    assert!(format!("{:?}", again.err()).to_lowercase().contains("token"), "the second key is refused");

    let url = mesh.login_url().await?;
    Page::sign_in(&url, mesh.edge_address()).await?;
    let again = Page::sign_in(&url, mesh.edge_address()).await;
    assert!(again.is_err_and(|error| error.to_string().contains("401")), "a link signs in once");
    Ok(())
}

#[tokio::test]
async fn programs_tell_a_core_that_is_away_from_a_token_that_is_refused() -> anyhow::Result<()> {
    let mesh = Mesh::start().await?;
    for kind in [pb::MemberKind::Edge, pb::MemberKind::Gateway] {
        let program =
            format!("chatcode-{}", kind.as_str_name().trim_start_matches("MEMBER_KIND_").to_lowercase());
        let request = pb::FleetCreateTokenRequest { kind: kind.into(), ..Default::default() };
        let token = mesh.fleet()?.create_token(request).await?.into_inner().token;
        let enroll = async |core: &str, folder: &str| {
            let folder = mesh.folder().join(folder).to_string_lossy().into_owned();
            let args = ["enroll", "--data-dir", &folder, "--core", core];
            proc::run(&program, &args, &token).await.map(drop).map_err(|error| error.to_string())
        };
        let ended = |outcome: Result<(), String>, code: u8| {
            let error = outcome.expect_err("does not enroll");
            assert!(error.contains(&format!("ended with Some({code})")), "{program}: {error}");
        };
        ended(enroll("127.0.0.1:1", &format!("{program}-away")).await, 69);
        enroll(mesh.grpc_address(), &format!("{program}-one")).await.map_err(anyhow::Error::msg)?;
        ended(enroll(mesh.grpc_address(), &format!("{program}-two")).await, 77);
    }
    Ok(())
}

#[tokio::test]
async fn garbage_on_the_link_port_is_ignored() -> anyhow::Result<()> {
    let mesh = Mesh::start().await?;
    let page = mesh.page().await?;
    let mut canary = Canary::start(&mesh, &page).await?;
    let socket = UdpSocket::bind("127.0.0.1:0")?;
    for length in (0..1400).step_by(7) {
        let packet: Vec<u8> = (0..length).map(|_| rand::random()).collect();
        socket.send_to(&packet, mesh.link_address())?;
    }
    canary.is_unharmed().await
}

#[tokio::test]
async fn certificates_of_another_installation_open_nothing() -> anyhow::Result<()> {
    let mesh = Mesh::start().await?;
    let page = mesh.page().await?;
    let mut canary = Canary::start(&mesh, &page).await?;
    let folder = tempfile::tempdir()?;
    let foreign = Authority::open_or_create(&folder.path().join("ca"))?;
    let key = Key::generate()?;
    let request = csr::verify(&csr::create(&key)?)?;
    let name = MemberName::Admin(MemberId::from_random(rand::random()));
    let issued = foreign.issue(&name, &request, std::time::Duration::from_secs(3600))?;
    let identity = Identity::new(key, issued.chain, mesh.admin.roots().to_vec())?;
    // It trusts the right core as ours does, and shows the foreign certificate.
    let tls = |identity: &Identity| chatcode_certs::tls::core_client(identity, &[b"h2"]);
    let mut mixed = (*tls(&mesh.admin)?).clone();
    mixed.client_auth_cert_resolver = tls(&identity)?.client_auth_cert_resolver.clone();
    let server_name = mesh.admin.trust_domain().core_dns();
    let channel = chatcode_link::tcp::channel(mesh.grpc_address(), mixed.into(), &server_name);
    let mut fleet = pb::fleet_client::FleetClient::new(channel);
    let refused = soon("the refusal", fleet.list(pb::FleetListRequest::default())).await?;
    let status = refused.err().context("a foreign certificate opens nothing")?;
    let refusal = chatcode_link::exit::refusal(&status, pb::Code::CoreUnreachable);
    assert_eq!(refusal.code, pb::Code::CoreUnreachable, "the handshake fails: {refusal:?}");
    // Whether its alert or the end comes first is the network's choice.
    let by_core = ["alert", "closed", "reset", "broken pipe"];
    assert!(by_core.iter().any(|end| refusal.message.to_lowercase().contains(end)), "{refusal:?}");
    mesh.fleet()?
        .list(pb::FleetListRequest::default())
        .await
        .context("our own certificate opens the same")?;
    canary.is_unharmed().await
}
