//! `Link.Control`: the first call on every link. It makes the link live, and
//! the link lives as long as it runs. `Link.Directory` beside it tells the sessions.

use std::{
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use chatcode_certs::MemberName;
use chatcode_link::Link;
use chatcode_proto::{
    code::Refusal,
    id::GatewayId,
    limits, name, negotiate,
    pb::{
        Code, CoreControl, GatewayControl, Hello, HostFacts, LinkDirectoryResponse, LinkState, LinkTransport,
        SessionsWatchResponse, Welcome, core_control, gateway_control, link_server,
    },
};
use futures_util::stream::{Map, StreamExt as _};
use tokio::{
    sync::{Mutex, mpsc},
    time::Instant,
};
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tonic::{Request, Response, Status, Streaming};
use tracing::Instrument as _;

use crate::{
    caller, clock,
    fleet::{facts, registry::LiveLink},
    links::{Admitted, heart::Heart, mirror},
    services::{certify::trust, renewal},
    shared::Shared,
    store::{
        audit::Entry,
        fleet::{DUPLICATE, Duplicate},
    },
};

/// Optional abilities of this core's links; none so far.
const FEATURES: &[&str] = &[];

/// What the core says on a link. Boxed, since a queue has room for 32 before the first.
type Outgoing =
    Map<ReceiverStream<Box<core_control::Kind>>, fn(Box<core_control::Kind>) -> Result<CoreControl, Status>>;

/// The service of one link, for the gateway at its other end.
pub(super) struct Control {
    shared: Arc<Shared>,
    link: Link,
    gateway: GatewayId,
    name: String,
    certificate_ends: Instant,
    called: AtomicBool,
    /// Set when the link is live.
    live: OnceLock<Arc<LiveLink>>,
    /// Held while the gateway tells its sessions.
    telling: Mutex<()>,
    greeted: CancellationToken,
    tasks: TaskTracker,
}

impl Control {
    /// `greeted` is cancelled when a good Hello came.
    pub(super) fn new(shared: Arc<Shared>, link: Link, who: Admitted, greeted: CancellationToken) -> Self {
        let Admitted { gateway, name, certificate_ends } = who;
        Self {
            shared,
            link,
            gateway,
            name,
            certificate_ends,
            called: AtomicBool::new(false),
            live: OnceLock::new(),
            telling: Mutex::new(()),
            greeted,
            tasks: TaskTracker::new(),
        }
    }

    /// What runs for this link.
    pub(super) fn tasks(&self) -> TaskTracker {
        self.tasks.clone()
    }

    /// Reads the Hello and answers it.
    async fn greet(
        &self,
        inbound: &mut Streaming<GatewayControl>,
    ) -> Result<(Hello, Welcome, HostFacts), Refusal> {
        if self.called.swap(true, Ordering::Relaxed) {
            return Err(Refusal::new(Code::Protocol, "a link has one control stream"));
        }
        let first = tokio::time::timeout(limits::HELLO, inbound.message()).await;
        let first = first.map_err(|_| Refusal::new(Code::Timeout, "no Hello came"))?;
        let Some(GatewayControl { kind: Some(gateway_control::Kind::Hello(hello)) }) =
            first.map_err(|status| Refusal::from(&status))?
        else {
            return Err(Refusal::new(Code::Protocol, "the first message of a link must be Hello"));
        };
        let version = negotiate::version("link", limits::LINK_VERSIONS, &hello.versions)?;
        let features = negotiate::features(FEATURES, &hello.features)?;
        let facts = facts::shown(&hello.host.clone().unwrap_or_default());
        let program = name::display_safe(&hello.program_version, limits::NAME_CHARS);
        if self.is_in_use(&hello).await {
            self.alarm(&facts).await;
            let words = "another live machine uses this identity; if you copied this machine or its data folder, \
                         enroll this one anew (chatcode-gateway enroll --force)";
            return Err(Refusal::new(Code::DuplicateIdentity, words));
        }
        let epoch = self.shared.store.begin_link(self.gateway, hello.epoch, &facts, &program).await?;
        let member = MemberName::Gateway(self.gateway.into());
        renewal::note(&self.shared, &member, &hello.trusts).await?;
        let welcome = Welcome {
            version,
            features,
            epoch,
            server_unix_ms: clock::unix_ms(),
            gateway: self.gateway.to_string(),
            name: self.name.clone(),
            silence_ms: u32::try_from(clock::millis(limits::LINK_SILENCE)).unwrap_or(u32::MAX),
            trust: Some(trust(&self.shared.authority.trust())),
        };
        Ok((hello, welcome, facts))
    }

    /// Makes the link live: from here on calls go over it.
    async fn go_live(
        &self,
        inbound: Streaming<GatewayControl>,
        (hello, welcome, facts): (Hello, Welcome, HostFacts),
    ) -> Result<Outgoing, Refusal> {
        let (live, orders) =
            LiveLink::new(self.gateway, welcome.epoch, hello.instance.to_vec(), self.link.clone());
        let (outbound, outgoing) = mpsc::channel(limits::CONTROL_QUEUE);
        let _ = outbound.try_send(Box::new(core_control::Kind::Welcome(welcome)));

        let fenced = || Refusal::new(Code::Fenced, "a newer link of this gateway took the place");
        let registered = self.shared.links.register(&live).ok_or_else(fenced)?;
        if let Some(older) = registered.fenced {
            older.close(Code::Fenced, "a newer link of this gateway took the place");
        }
        // Revoked between the handshake and here: nobody else closes it.
        if self.shared.hub.gateway(self.gateway).is_none_or(|known| known.link_state() == LinkState::Revoked)
        {
            self.shared.links.remove(self.gateway, live.epoch);
            return Err(caller::revoked());
        }
        if registered.alternates {
            self.alarm(&facts).await;
        }
        self.show(&live, facts, &hello.program_version);
        let _ = self.live.set(Arc::clone(&live));
        self.greeted.cancel();
        self.shared.meters.links_up.inc();
        tracing::info!(epoch = live.epoch, "link up");

        let heart = Heart::new(
            Arc::clone(&self.shared),
            live,
            outbound,
            self.link.remote_address(),
            self.certificate_ends,
        );
        self.tasks.spawn(heart.beat(inbound, orders).in_current_span());
        Ok(ReceiverStream::new(outgoing).map(|kind| Ok(CoreControl { kind: Some(*kind) })))
    }

    /// Whether a link of another run of the daemon lives and answers. The first
    /// keeps its place, so that a copy never cuts the original off. The daemon
    /// that had the live link itself knows its epoch, and has lost it.
    async fn is_in_use(&self, hello: &Hello) -> bool {
        let Some(live) = self.shared.links.get(self.gateway) else { return false };
        if !hello.instance.is_empty() && hello.instance == live.instance && hello.epoch == live.epoch {
            return false;
        }
        let rtt = self.shared.hub.gateway(self.gateway).map_or(0, |gateway| gateway.link_rtt_us);
        let (least, most) = limits::DUPLICATE_PROBE;
        live.answers(Duration::from_micros(rtt.saturating_mul(4)).clamp(least, most)).await
    }

    fn show(&self, live: &LiveLink, facts: HostFacts, program: &str) {
        let program = name::display_safe(program, limits::NAME_CHARS);
        self.shared.hub.change_gateway(self.gateway, |gateway| {
            if gateway.link_state() == LinkState::Revoked {
                return false;
            }
            gateway.link_state = LinkState::Online.into();
            gateway.since_unix_ms = clock::unix_ms();
            gateway.link_rtt_us = 0;
            gateway.holder_rtt_us = 0;
            gateway.link_epoch = live.epoch;
            gateway.link_transport = transport(&live.link).into();
            gateway.host = Some(facts);
            gateway.program_version = program;
            true
        });
    }

    /// Two machines use one identity: somebody copied the key.
    async fn alarm(&self, host: &HostFacts) {
        if self.shared.rates.duplicates.check(&self.gateway).is_err() {
            return;
        }
        tracing::warn!(
            from = %self.link.remote_address(),
            host = host.hostname,
            "two machines use this gateway's identity; if nobody copied it on purpose, revoke it and enroll anew"
        );
        let seen = Duplicate {
            unix_ms: clock::unix_ms(),
            hostname: name::display_safe(&host.hostname, limits::NAME_CHARS),
            address: self.link.remote_address().to_string(),
        };
        let act = Entry {
            gateway: self.gateway.to_string(),
            result: Code::DuplicateIdentity,
            ..Entry::new(format!("gateway/{}", self.gateway), DUPLICATE)
        };
        // Kept before it is shown: what a person acknowledges is there.
        if let Err(error) = self.shared.store.note_duplicate(self.gateway, &seen, &act).await {
            tracing::error!(error = &error as &dyn std::error::Error, "the alarm is not in the audit");
        }
        self.shared.hub.change_gateway(self.gateway, |gateway| {
            gateway.duplicate_unix_ms = seen.unix_ms;
            gateway.duplicate_hostname = seen.hostname;
            gateway.duplicate_address = seen.address;
            true
        });
    }
}

#[tonic::async_trait]
impl link_server::Link for Control {
    type ControlStream = Outgoing;

    async fn control(
        &self,
        request: Request<Streaming<GatewayControl>>,
    ) -> Result<Response<Self::ControlStream>, Status> {
        let mut inbound = request.into_inner();
        let outcome = match self.greet(&mut inbound).await {
            Ok(greeting) => self.go_live(inbound, greeting).await,
            Err(refusal) => Err(refusal),
        };
        outcome.map(Response::new).map_err(|refusal| {
            self.shared.meters.links_refused.of([refusal.code.name()]).inc();
            tracing::warn!(code = refusal.code.name(), "the link is refused: {}", refusal.message);
            self.tasks.spawn(farewell(self.link.clone(), refusal.clone()).in_current_span());
            refusal.into()
        })
    }

    async fn directory(
        &self,
        request: Request<Streaming<SessionsWatchResponse>>,
    ) -> Result<Response<LinkDirectoryResponse>, Status> {
        let early = || Refusal::new(Code::Protocol, "the directory of a link comes after its Welcome");
        let live = self.live.get().ok_or_else(early)?;
        let twice = |_| Refusal::new(Code::Protocol, "a link tells its sessions once at a time");
        let _telling = self.telling.try_lock().map_err(twice)?;
        mirror::follow(&self.shared, live, request.into_inner()).await.inspect_err(|refusal| {
            let (gateway, code) = (self.gateway, refusal.code.name());
            tracing::debug!(%gateway, code, "the sessions are not told any more: {}", refusal.message);
        })?;
        Ok(Response::new(LinkDirectoryResponse {}))
    }
}

fn transport(link: &Link) -> LinkTransport {
    if link.is_over_tcp() { LinkTransport::Tcp } else { LinkTransport::Quic }
}

/// Closes a refused link, a moment after its call got the answer.
async fn farewell(link: Link, refusal: Refusal) {
    if tokio::time::timeout(limits::REVOKED_FAREWELL, link.closed()).await.is_err() {
        link.close(refusal.code, &refusal.message);
    }
}
