//! Machines that do nothing, thousands in one process: each has an identity of its
//! own, keeps a real link by the rules of the daemon, echoes heartbeats and serves
//! an empty list of sessions.

use std::{
    net::SocketAddr,
    pin::{Pin, pin},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Instant,
};

use anyhow::Context as _;
use chatcode_certs::{Identity, JoinToken, random, tls};
use chatcode_link::{Doubt, Link, LinkDialer, Target, enroll, serve};
use chatcode_proto::{
    backoff::Backoff,
    limits, pb,
    pb::{
        Code, CoreControl, GatewayControl,
        core_control::Kind as FromCore,
        gateway_control::Kind as FromGateway,
        link_client::LinkClient,
        sessions_server::{Sessions, SessionsServer},
    },
};
use futures_util::{Stream, StreamExt as _, stream};
use serde_json::json;
use tokio::{
    sync::{Semaphore, mpsc, watch},
    task::JoinSet,
    time::{MissedTickBehavior, interval, sleep, timeout},
};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status, Streaming};

/// Enrollments at once.
const ENROLLING: usize = 16;

/// Reads tokens with their uses, one a line, until an empty line; links one machine
/// for each use; then says each time when all are linked how soon they were. At each line
/// later it counts anew.
///
/// # Errors
/// When a machine cannot be enrolled.
pub(crate) fn run(grpc: &str, link: SocketAddr) -> anyhow::Result<()> {
    tls::install_provider();
    let lines = std::io::stdin().lines().map_while(Result::ok);
    let mut tokens = Vec::new();
    for line in lines.take_while(|line| !line.is_empty()) {
        let (uses, token) = line.split_once(' ').context("uses and token")?;
        let (uses, token): (usize, JoinToken) = (uses.parse()?, token.parse()?);
        tokens.extend(std::iter::repeat_n(Arc::new(token), uses));
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    runtime.block_on(live(grpc, link, tokens))
}

async fn live(grpc: &str, link: SocketAddr, tokens: Vec<Arc<JoinToken>>) -> anyhow::Result<()> {
    let (room, mut enrolling) = (Arc::new(Semaphore::new(ENROLLING)), JoinSet::new());
    for (number, token) in tokens.into_iter().enumerate() {
        let (room, grpc) = (Arc::clone(&room), grpc.to_owned());
        enrolling.spawn(async move {
            let _room = room.acquire_owned().await?;
            let name = format!("machine-{number}");
            let (identity, _) = enroll::enroll(&grpc, &token, &name, None).await?;
            anyhow::Ok(identity)
        });
    }
    let mut identities = Vec::new();
    while let Some(enrolled) = enrolling.join_next().await {
        identities.push(enrolled??);
    }
    let fleet = Arc::new(Fleet::new(identities.len()));
    let target = Target::from(grpc);
    let mut machines = JoinSet::new();
    for identity in identities {
        let machine = Machine {
            instance: random::bytes(),
            epoch: 0,
            dialer: LinkDialer::bind()?,
            tls: tls::core_client(&identity, &[tls::LINK_ALPN])?,
            core: link,
            grpc: target.clone(),
            fleet: Arc::clone(&fleet),
            identity,
        };
        machines.spawn(machine.keep());
    }
    // The end of standard input ends all.
    let (kills, mut killed) = watch::channel(Instant::now());
    let orders = tokio::task::spawn_blocking(move || {
        std::io::stdin().lines().map_while(Result::ok).for_each(|_| {
            kills.send_replace(Instant::now());
        });
    });
    let told = async {
        let mut again = false;
        loop {
            let since = *killed.borrow_and_update();
            fleet.report(since, again).await?;
            again = true;
            if killed.changed().await.is_err() {
                return Ok(());
            }
            fleet.begin_anew();
            say(&json!({ "what": "anew" }));
        }
    };
    tokio::select! {
        _ = orders => Ok(()),
        told = told => told,
    }
}

/// How many are linked.
struct Fleet {
    count: usize,
    /// Welcomes since all were counted anew.
    welcomed: watch::Sender<usize>,
    /// Ends of links since then.
    noticed: watch::Sender<usize>,
    dialled: AtomicUsize,
    /// Of them, those that dialled TCP too.
    over_tcp: AtomicUsize,
}

impl Fleet {
    fn new(count: usize) -> Self {
        Self {
            count,
            welcomed: watch::Sender::new(0),
            noticed: watch::Sender::new(0),
            dialled: AtomicUsize::new(0),
            over_tcp: AtomicUsize::new(0),
        }
    }

    fn begin_anew(&self) {
        self.dialled.store(0, Ordering::Relaxed);
        self.over_tcp.store(0, Ordering::Relaxed);
        self.welcomed.send_replace(0);
        self.noticed.send_replace(0);
    }

    /// Says when half, nine tenths and all were linked, and had noticed that they were
    /// not before.
    async fn report(&self, since: Instant, again: bool) -> anyhow::Result<()> {
        let noticed = async { if again { self.reached(&self.noticed, since).await } else { Ok([0.0; 3]) } };
        let (noticed, [half, most, all]) = tokio::try_join!(noticed, self.reached(&self.welcomed, since))?;
        let dialled = self.dialled.load(Ordering::Relaxed);
        let over_tcp = self.over_tcp.load(Ordering::Relaxed);
        say(&json!({
            "what": "up", "half_s": half, "most_s": most, "all_s": all,
            "noticed_s": noticed, "dialled": dialled, "over_tcp": over_tcp,
        }));
        Ok(())
    }

    /// When half, nine tenths and all of the machines were counted, in seconds.
    async fn reached(&self, count: &watch::Sender<usize>, since: Instant) -> anyhow::Result<[f64; 3]> {
        let mut count = count.subscribe();
        let mut took = [0.0; 3];
        for (took, wanted) in took.iter_mut().zip([self.count.div_ceil(2), self.count * 9 / 10, self.count]) {
            count.wait_for(|count| *count >= wanted).await?;
            *took = since.elapsed().as_secs_f64();
        }
        Ok(took)
    }
}

#[expect(clippy::print_stdout, reason = "the bench reads it")]
fn say(what: &serde_json::Value) {
    println!("{what}");
}

struct Machine {
    identity: Identity,
    instance: [u8; 16],
    epoch: u64,
    dialer: LinkDialer,
    tls: Arc<rustls::ClientConfig>,
    core: SocketAddr,
    grpc: Target,
    fleet: Arc<Fleet>,
}

impl Machine {
    /// Links, and links again, as the daemon does.
    async fn keep(mut self) {
        let mut backoff = Backoff::new(limits::RECONNECT.0, limits::RECONNECT.1);
        loop {
            let begun = Instant::now();
            if let Err(error) = self.once().await {
                tracing::debug!(%error, "no link");
            }
            self.fleet.noticed.send_modify(|noticed| *noticed += 1);
            if begun.elapsed() >= limits::LINK_LASTED {
                backoff.reset();
            }
            sleep(backoff.next(rand::random())).await;
        }
    }

    async fn once(&mut self) -> anyhow::Result<()> {
        self.fleet.dialled.fetch_add(1, Ordering::Relaxed);
        let link = self.dial().await?;
        let (outbox, messages) = mpsc::channel(limits::CONTROL_QUEUE);
        outbox.try_send(GatewayControl { kind: Some(FromGateway::Hello(self.hello())) })?;
        let mut client = LinkClient::new(link.channel());
        let greeting = async {
            let mut inbox = client.control(ReceiverStream::new(messages)).await?.into_inner();
            let first = inbox.message().await?;
            Ok::<_, Status>((inbox, first))
        };
        let (mut inbox, first) = timeout(limits::HELLO, greeting).await??;
        let Some(CoreControl { kind: Some(FromCore::Welcome(welcome)) }) = first else {
            anyhow::bail!("no Welcome");
        };
        self.epoch = welcome.epoch;
        let synced = pb::sessions_watch_response::Event::Synced(true);
        let none = stream::iter([pb::SessionsWatchResponse { event: Some(synced) }]);
        let told = client.directory(none.chain(stream::pending()));
        self.fleet.welcomed.send_modify(|welcomed| *welcomed += 1);
        tokio::select! {
            served = served(link.clone()) => served?,
            heard = beat(&mut inbox, &outbox) => heard?,
            told = told => drop(told?),
            _ = link.closed() => {}
            () = doubt(&link) => {}
        }
        Ok(())
    }

    /// Over QUIC, and over TCP as well where nothing comes over UDP or nobody answers.
    async fn dial(&self) -> anyhow::Result<Link> {
        let name = self.identity.trust_domain().core_dns();
        let heard = self.dialer.heard();
        let patient = async {
            sleep(limits::LINK_TCP_AFTER).await;
            if self.dialer.heard() != heard {
                std::future::pending::<()>().await;
            }
        };
        let tcp = async {
            self.fleet.over_tcp.fetch_add(1, Ordering::Relaxed);
            self.dialer.dial_tcp(self.grpc.clone(), &name, Arc::clone(&self.tls)).await
        };
        let mut quic = pin!(self.dialer.dial(self.core, &name, Arc::clone(&self.tls)));
        tokio::select! {
            link = &mut quic => match link {
                Err(error) if matches!(error.code(), Code::CoreUnreachable | Code::Timeout) => Ok(tcp.await?),
                link => Ok(link?),
            },
            () = patient => tokio::select! {
                link = &mut quic => Ok(link?),
                Ok(link) = tcp => Ok(link),
            },
        }
    }

    fn hello(&self) -> pb::Hello {
        pb::Hello {
            versions: limits::LINK_VERSIONS.to_vec(),
            boot_id: "bench".to_owned(),
            epoch: self.epoch,
            program_version: env!("CARGO_PKG_VERSION").to_owned(),
            host: Some(pb::HostFacts { hostname: "bench".to_owned(), ..Default::default() }),
            instance: self.instance.to_vec().into(),
            ..Default::default()
        }
    }
}

/// Echoes heartbeats until the call ends or falls silent.
async fn beat(
    inbox: &mut Streaming<CoreControl>,
    outbox: &mpsc::Sender<GatewayControl>,
) -> anyhow::Result<()> {
    loop {
        let message = timeout(limits::LINK_SILENCE, inbox.message()).await??.context("the call ended")?;
        if let Some(FromCore::Heartbeat(beat)) = message.kind {
            let echo = pb::HeartbeatEcho {
                number: beat.number,
                core_sent_us: beat.core_sent_us,
                ..Default::default()
            };
            outbox.try_send(GatewayControl { kind: Some(FromGateway::HeartbeatEcho(echo)) })?;
        }
    }
}

/// Asks a core that answers nothing any more whether it is still there.
async fn doubt(link: &Link) {
    let mut doubt = Doubt::new(link.pulse());
    let mut looks = interval(limits::LINK_DOUBT_LOOK);
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        looks.tick().await;
        if doubt.look(link.pulse()) {
            link.ask();
        }
    }
}

async fn served(link: Link) -> anyhow::Result<()> {
    let sessions = SessionsServer::new(Nothing);
    Ok(serve::link_builder().add_service(sessions).serve_with_incoming(link.incoming()).await?)
}

/// No sessions.
struct Nothing;

type Events = Pin<Box<dyn Stream<Item = Result<pb::SessionsWatchResponse, Status>> + Send>>;

#[tonic::async_trait]
impl Sessions for Nothing {
    type WatchStream = Events;

    async fn watch(&self, _: Request<pb::SessionsWatchRequest>) -> Result<Response<Events>, Status> {
        Err(nothing())
    }

    async fn create(
        &self,
        _: Request<pb::SessionsCreateRequest>,
    ) -> Result<Response<pb::SessionsCreateResponse>, Status> {
        Err(nothing())
    }

    async fn list(
        &self,
        _: Request<pb::SessionsListRequest>,
    ) -> Result<Response<pb::SessionsListResponse>, Status> {
        Err(nothing())
    }

    async fn get(
        &self,
        _: Request<pb::SessionsGetRequest>,
    ) -> Result<Response<pb::SessionsGetResponse>, Status> {
        Err(nothing())
    }

    async fn rename(
        &self,
        _: Request<pb::SessionsRenameRequest>,
    ) -> Result<Response<pb::SessionsRenameResponse>, Status> {
        Err(nothing())
    }

    async fn end(
        &self,
        _: Request<pb::SessionsEndRequest>,
    ) -> Result<Response<pb::SessionsEndResponse>, Status> {
        Err(nothing())
    }

    async fn list_tmux(
        &self,
        _: Request<pb::SessionsListTmuxRequest>,
    ) -> Result<Response<pb::SessionsListTmuxResponse>, Status> {
        Err(nothing())
    }
}

fn nothing() -> Status {
    Status::unavailable("a machine of the bench has no sessions")
}
