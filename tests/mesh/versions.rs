//! Gateways of the version before and after, at the core of now: each says, byte by
//! byte, what such a program would.

use bytes::Bytes;
use chatcode_certs::{Identity, tls};
use chatcode_harness::{Mesh, eventually, proc, soon};
use chatcode_link::{Link, LinkDialer, codec::OpaqueCodec, enroll, exit, serve};
use chatcode_proto::{
    limits, metadata,
    pb::{
        self, Code, CoreControl, GatewayControl, HeartbeatEcho, Hello, core_control::Kind as FromCore,
        gateway_control::Kind as FromGateway, sessions_client::SessionsClient,
    },
};
use futures_util::stream;
use prost::Message as _;
use tokio::{sync::mpsc, task::AbortHandle};
use tonic::{Request, Status, Streaming, codegen::http::uri::PathAndQuery, service::Routes};

/// A field that no version of today knows.
const LATER_FIELD: u32 = 900;

/// A gateway whose words are the test's.
struct Stranger {
    id: String,
    link: Link,
    said: mpsc::UnboundedSender<Bytes>,
    heard: Streaming<Bytes>,
    serving: AbortHandle,
    _dialer: LinkDialer,
}

impl Drop for Stranger {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

async fn enrolled(mesh: &Mesh) -> anyhow::Result<Identity> {
    let core = mesh.data_dir("core").to_string_lossy().into_owned();
    let token = proc::run("chatcode-core", &["token", "--data-dir", &core, "--kind", "gateway"], "").await?;
    Ok(enroll::enroll(mesh.grpc_address(), &token.trim().parse()?, "stranger", None).await?.0)
}

async fn dial(mesh: &Mesh, identity: &Identity) -> anyhow::Result<(LinkDialer, Link)> {
    let dialer = LinkDialer::bind()?;
    let tls = tls::core_client(identity, &[tls::LINK_ALPN])?;
    let link = dialer.dial(mesh.link_address().parse()?, &identity.trust_domain().core_dns(), tls).await?;
    Ok((dialer, link))
}

/// A Hello as it is on the wire, with `more` fields in it.
fn hello(hello: &Hello, more: &[u8]) -> Bytes {
    let mut message = Vec::new();
    prost::encoding::bytes::encode(1, &[&hello.encode_to_vec(), more].concat(), &mut message);
    message.into()
}

/// A field of a later version.
fn later(text: &str) -> Vec<u8> {
    let mut field = Vec::new();
    prost::encoding::bytes::encode(LATER_FIELD, &text.as_bytes().to_vec(), &mut field);
    field
}

impl Stranger {
    /// Links as `identity`; what the core answers to the Hello.
    async fn link(mesh: &Mesh, identity: &Identity, hello: Bytes) -> anyhow::Result<Result<Self, Status>> {
        let (dialer, link) = dial(mesh, identity).await?;
        let incoming = link.incoming();
        // A gateway that serves none of the services of today.
        let serving = tokio::spawn(async move {
            let _ = serve::link_builder().serve_with_incoming(Routes::default(), incoming).await;
        })
        .abort_handle();
        let (said, mut words) = mpsc::unbounded_channel();
        said.send(hello)?;
        let mut client = tonic::client::Grpc::new(link.channel());
        client.ready().await?;
        let request = Request::new(stream::poll_fn(move |context| words.poll_recv(context)));
        let path = PathAndQuery::from_static("/chatcode.v1.Link/Control");
        let answer = soon("the core's answer", client.streaming(request, path, OpaqueCodec)).await?;
        Ok(answer.map(|answer| Self {
            id: identity.name().id().to_string(),
            link,
            said,
            heard: answer.into_inner(),
            serving,
            _dialer: dialer,
        }))
    }

    async fn hears(&mut self) -> anyhow::Result<Option<FromCore>> {
        let message = soon("a word of the core", self.heard.message()).await??;
        let message = message.ok_or_else(|| anyhow::anyhow!("the core ended the call"))?;
        Ok(CoreControl::decode(message)?.kind)
    }

    async fn welcome(&mut self) -> anyhow::Result<pb::Welcome> {
        match self.hears().await? {
            Some(FromCore::Welcome(welcome)) => Ok(welcome),
            other => anyhow::bail!("no Welcome: {other:?}"),
        }
    }

    /// Answers the next heartbeat, `first` said before it.
    async fn beats(&mut self, first: Option<Bytes>, holder_rtt_us: u64) -> anyhow::Result<()> {
        loop {
            let Some(FromCore::Heartbeat(beat)) = self.hears().await? else { continue };
            if let Some(first) = first {
                self.said.send(first)?;
            }
            let echo = HeartbeatEcho {
                number: beat.number,
                core_sent_us: beat.core_sent_us,
                gateway_received_us: 5,
                gateway_sent_us: 5,
                holder_rtt_us,
            };
            let message = GatewayControl { kind: Some(FromGateway::HeartbeatEcho(echo)) };
            return Ok(self.said.send(message.encode_to_vec().into())?);
        }
    }

    /// As the core shows it, once it has measured this.
    async fn shown(&self, mesh: &Mesh, holder_rtt_us: u64) -> anyhow::Result<pb::Gateway> {
        let mut fleet = mesh.fleet()?;
        eventually("the core has measured the link", async || {
            let listed = fleet.list(pb::FleetListRequest::default()).await?.into_inner().gateways;
            let measured = |one: &pb::Gateway| one.id == self.id && one.holder_rtt_us == holder_rtt_us;
            Ok(listed.into_iter().find(measured))
        })
        .await
    }

    /// What an administrator gets who asks this machine for its sessions.
    async fn sessions(&self, mesh: &Mesh) -> anyhow::Result<Result<usize, Status>> {
        let mut request = Request::new(pb::SessionsListRequest {});
        request.metadata_mut().insert(metadata::GATEWAY, self.id.parse()?);
        let listed = soon("an answer", SessionsClient::new(mesh.channel()?).list(request)).await?;
        Ok(listed.map(|listed| listed.into_inner().sessions.len()))
    }
}

/// It says only what the first gateways said.
#[tokio::test]
async fn a_gateway_of_the_version_before_is_linked_and_what_it_does_not_serve_is_told() -> anyhow::Result<()>
{
    let mesh = Mesh::start().await?;
    let identity = enrolled(&mesh).await?;
    let first = Hello {
        versions: vec![1],
        boot_id: "boot".into(),
        program_version: "0.0.9".into(),
        ..Hello::default()
    };
    let mut old = Stranger::link(&mesh, &identity, hello(&first, &[])).await??;
    let welcome = old.welcome().await?;
    assert_eq!((welcome.version, welcome.name.as_str()), (1, "stranger"));
    old.beats(None, 41).await?;
    let shown = old.shown(&mesh, 41).await?;
    assert_eq!((shown.link_state(), shown.program_version.as_str()), (pb::LinkState::Online, "0.0.9"));
    for _ in 0..2 {
        let refused = old.sessions(&mesh).await?.err();
        assert_eq!(refused.map(|status| status.code()), Some(tonic::Code::Unimplemented));
    }
    assert!(old.link.close_reason().is_none(), "what it lacks does not break its link");
    mesh.gateway_online().await
}

#[tokio::test]
async fn a_gateway_of_the_version_after_is_linked_by_what_both_know() -> anyhow::Result<()> {
    let mesh = Mesh::start().await?;
    let identity = enrolled(&mesh).await?;
    let next = Hello {
        versions: vec![3, 2, 1],
        features: vec!["of-tomorrow".into()],
        program_version: "9.0.0".into(),
        instance: vec![9; 16].into(),
        ..Hello::default()
    };
    let mut new = Stranger::link(&mesh, &identity, hello(&next, &later("of tomorrow"))).await??;
    let welcome = new.welcome().await?;
    assert_eq!((welcome.version, welcome.features.len()), (1, 0), "the version that both know");
    // A kind of message that this core does not know, then one that it does.
    new.beats(Some(later("a message of tomorrow").into()), 42).await?;
    let shown = new.shown(&mesh, 42).await?;
    assert_eq!((shown.link_state(), shown.program_version.as_str()), (pb::LinkState::Online, "9.0.0"));
    assert!(new.sessions(&mesh).await?.is_err() && new.link.close_reason().is_none());
    Ok(())
}

#[tokio::test]
async fn a_gateway_that_shares_no_version_is_refused_with_words_and_a_code() -> anyhow::Result<()> {
    let mesh = Mesh::start().await?;
    let identity = enrolled(&mesh).await?;
    let many = vec![7; limits::VERSIONS + 1];
    for (versions, code) in
        [(vec![2, 3], Code::UnsupportedVersion), (vec![], Code::Invalid), (many, Code::Invalid)]
    {
        let words = hello(&Hello { versions: versions.clone(), ..Hello::default() }, &[]);
        let refused = Stranger::link(&mesh, &identity, words).await?.err();
        let refused = refused.ok_or_else(|| anyhow::anyhow!("{versions:?} was taken"))?;
        let told = exit::refusal(&refused, Code::Internal);
        assert_eq!(told.code, code, "{versions:?}: {refused:?}");
        if code == Code::UnsupportedVersion {
            assert!(told.message.contains("[2, 3]") && told.message.contains("[1]"), "{}", told.message);
            assert!(told.message.contains("update the older one"), "{}", told.message);
        }
    }
    // The others of the core are as they were.
    mesh.gateway_online().await
}
