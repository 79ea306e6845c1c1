//! Enrollment and channels over TCP.

use std::{
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU32, Ordering},
    },
    time::{Duration, Instant},
};

use chatcode_certs::{Authority, IdentityCell, JoinToken, Key, MachineKey, MemberName, Peer, csr, tls};
use chatcode_link::{
    enroll::{Asking, EnrollError, enroll, enroll_with},
    exit,
    renew::{follow, pins, renew, revive},
    serve,
    tcp::{self, TcpPeer},
};
use chatcode_proto::{
    code::Refusal,
    pb::{
        Code, EnrollmentEnrollRequest, EnrollmentEnrollResponse, EnrollmentLeaveRequest,
        EnrollmentLeaveResponse, EnrollmentPending, EnrollmentRenewRequest, EnrollmentRenewResponse,
        EnrollmentReviveRequest, EnrollmentReviveResponse, EnrollmentTrustRequest, EnrollmentTrustResponse,
        MemberKind, Trust,
        enrollment_client::EnrollmentClient,
        enrollment_server::{Enrollment, EnrollmentServer},
    },
};
use futures_util::stream;
use rustls::pki_types::CertificateDer;
use tokio::{net::TcpListener, task::JoinSet, time::timeout};
use tonic::{Request, Response, Status};

use crate::world::{HOUR, SOON, World, id};

/// What the core answers.
#[derive(Clone, Copy, PartialEq)]
enum Answer {
    Good,
    LoseFirst,
    /// A person has to approve; the core is away meanwhile for a moment.
    ApproveLater,
    Refuse,
    ForSomebodyElse,
    WithoutThePinnedRoot,
    /// The next root is prepared.
    Rotating,
}

struct Core {
    ca: Authority,
    other: Authority,
    answer: Answer,
    asked: Arc<AtomicU32>,
    told: Arc<Mutex<Vec<Vec<bytes::Bytes>>>>,
}

#[tonic::async_trait]
impl Enrollment for Core {
    async fn enroll(
        &self,
        request: Request<EnrollmentEnrollRequest>,
    ) -> Result<Response<EnrollmentEnrollResponse>, Status> {
        let peer = request.extensions().get::<TcpPeer>().unwrap();
        assert!(peer.address.ip().is_loopback());
        if let Ok(caller) = Peer::from_chain(&peer.chain) {
            return Err(Refusal::new(Code::Forbidden, caller.name.to_string()).into());
        }
        let before = self.asked.fetch_add(1, Ordering::SeqCst);
        if self.answer == Answer::LoseFirst && before == 0 {
            // What a client sees when the connection breaks.
            return Err(Refusal::new(Code::CoreUnreachable, "lost").into());
        }
        match (self.answer, before) {
            (Answer::ApproveLater, 0) => {
                assert!(!request.get_ref().wait, "the person at the machine is told at once");
                let pending = Some(EnrollmentPending { left_ms: 60_000 });
                return Ok(Response::new(EnrollmentEnrollResponse { pending, ..Default::default() }));
            }
            (Answer::ApproveLater, 1) => {
                assert!(request.get_ref().wait);
                return Err(Refusal::new(Code::Draining, "restart").into());
            }
            _ => {}
        }
        if self.answer == Answer::Refuse {
            return Err(Refusal::new(Code::BadToken, "no such token").into());
        }
        let request = request.into_inner();
        let member = id();
        let key = csr::verify(&request.csr).unwrap();
        let issued = self.ca.issue(&MemberName::Gateway(member), &key, HOUR).unwrap();
        let roots =
            if self.answer == Answer::WithoutThePinnedRoot { self.other.roots() } else { self.ca.roots() };
        let shown = if self.answer == Answer::ForSomebodyElse { id() } else { member };
        Ok(Response::new(EnrollmentEnrollResponse {
            member: shown.to_string(),
            kind: MemberKind::Gateway.into(),
            chain: issued.chain.iter().map(|der| der.to_vec().into()).collect(),
            roots: roots.iter().map(|der| der.to_vec().into()).collect(),
            trust_domain: self.ca.trust_domain().to_string(),
            link_port: 4001,
            name: request.name,
            pending: None,
        }))
    }

    async fn leave(
        &self,
        _: Request<EnrollmentLeaveRequest>,
    ) -> Result<Response<EnrollmentLeaveResponse>, Status> {
        Err(Status::unimplemented("nobody leaves here"))
    }

    async fn revive(
        &self,
        request: Request<EnrollmentReviveRequest>,
    ) -> Result<Response<EnrollmentReviveResponse>, Status> {
        let request = request.into_inner();
        let asked = request.member.parse().unwrap();
        let member = if self.answer == Answer::ForSomebodyElse { id() } else { asked };
        let key = csr::verify(&request.csr).unwrap();
        let ca = if self.answer == Answer::WithoutThePinnedRoot { &self.other } else { &self.ca };
        let issued = ca.issue(&MemberName::Gateway(member), &key, HOUR).unwrap();
        let chain = issued.chain.iter().map(|der| der.to_vec().into()).collect();
        Ok(Response::new(EnrollmentReviveResponse { chain, trust: None }))
    }

    async fn renew(
        &self,
        request: Request<EnrollmentRenewRequest>,
    ) -> Result<Response<EnrollmentRenewResponse>, Status> {
        let caller = Peer::from_chain(&request.extensions().get::<TcpPeer>().unwrap().chain).unwrap();
        let key = csr::verify(&request.get_ref().csr).unwrap();
        let ca = if self.answer == Answer::WithoutThePinnedRoot { &self.other } else { &self.ca };
        let issued = ca.issue(&caller.name, &key, HOUR).unwrap();
        let chain = issued.chain.iter().map(|der| der.to_vec().into()).collect();
        Ok(Response::new(EnrollmentRenewResponse { chain, trust: Some(told(ca)) }))
    }

    async fn trust(
        &self,
        request: Request<EnrollmentTrustRequest>,
    ) -> Result<Response<EnrollmentTrustResponse>, Status> {
        self.told.lock().unwrap().push(request.into_inner().trusts);
        let ca = if self.answer == Answer::WithoutThePinnedRoot { &self.other } else { &self.ca };
        Ok(Response::new(EnrollmentTrustResponse { trust: Some(told(ca)) }))
    }
}

/// What a CA says of trust, as it travels.
fn told(ca: &Authority) -> Trust {
    let travels = |list: Vec<CertificateDer<'static>>| list.iter().map(|der| der.to_vec().into()).collect();
    let trust = ca.trust();
    Trust { roots: travels(trust.roots), bridges: travels(trust.bridges) }
}

struct Serving {
    address: SocketAddr,
    asked: Arc<AtomicU32>,
    /// What clients said they trust.
    told: Arc<Mutex<Vec<Vec<bytes::Bytes>>>>,
    pin: [u8; 32],
    _tasks: JoinSet<()>,
}

async fn core(answer: Answer) -> (World, Serving) {
    let (world, other) = (World::new(), World::new());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let config = tls::core_listener(&IdentityCell::new(world.core.clone()).unwrap()).unwrap();
    let asked = Arc::new(AtomicU32::new(0));
    let ca = Authority::open_or_create(&world.folder.path().join("ca")).unwrap();
    let pin = ca.root_pin();
    if answer == Answer::Rotating {
        ca.prepare_root().unwrap();
    }
    let told = Arc::default();
    let service = Core { ca, other: other.ca, answer, asked: asked.clone(), told: Arc::clone(&told) };
    let service = EnrollmentServer::new(service);
    let incoming = stream::unfold(listener, move |listener| {
        let config = config.clone();
        async move {
            let (tcp, _) = listener.accept().await.ok()?;
            Some((tcp::accept(tcp, config).await, listener))
        }
    });
    let mut tasks = JoinSet::new();
    tasks.spawn(async move {
        serve::builder().add_service(service).serve_with_incoming(incoming).await.unwrap();
    });
    (world, Serving { address, asked, told, pin, _tasks: tasks })
}

#[tokio::test]
async fn a_machine_enrolls_with_a_token_and_a_key_of_its_own() {
    let (world, core) = core(Answer::Good).await;
    let token = JoinToken::generate(core.pin);
    let (identity, response) =
        timeout(SOON, enroll(&core.address.to_string(), &token, "laptop", None)).await.unwrap().unwrap();
    assert_eq!(response.name, "laptop");
    assert_eq!(identity.name().id().to_string(), response.member);
    assert_eq!(identity.trust_domain(), world.ca.trust_domain());
    assert!(identity.trusts(&core.pin));

    // The certificate is good for a connection that shows it.
    let channel = tcp::channel(
        &core.address.to_string(),
        tls::core_client(&identity, &[tls::H2_ALPN]).unwrap(),
        &world.dns(),
    );
    let status = EnrollmentClient::new(channel).enroll(EnrollmentEnrollRequest::default()).await.unwrap_err();
    let refusal = exit::refusal(&status, Code::CoreUnreachable);
    assert_eq!(refusal, Refusal::new(Code::Forbidden, identity.name().to_string()));
}

#[tokio::test]
async fn another_core_is_noticed_before_the_secret_is_sent() {
    let (_world, core) = core(Answer::Good).await;
    let token = JoinToken::generate([1; 32]);
    let error =
        timeout(SOON, enroll(&core.address.to_string(), &token, "", None)).await.unwrap().unwrap_err();
    assert!(matches!(error, EnrollError::WrongCore), "{error}");
    assert_eq!(core.asked.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn a_lost_answer_is_asked_for_again() {
    let (_world, core) = core(Answer::LoseFirst).await;
    let token = JoinToken::generate(core.pin);
    timeout(SOON, enroll(&core.address.to_string(), &token, "", None)).await.unwrap().unwrap();
    assert_eq!(core.asked.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn a_machine_waits_for_a_person_also_while_the_core_restarts() {
    let (_world, core) = core(Answer::ApproveLater).await;
    let (address, token) = (core.address.to_string(), JoinToken::generate(core.pin));
    let (key, mut left) = (Key::generate().unwrap(), None);
    let asking = Asking {
        core: (&address).into(),
        token: &token,
        key: key.clone(),
        name: "",
        machine: None,
        host: None,
    };
    let (identity, _) = timeout(SOON, enroll_with(asking, |time| left = Some(time))).await.unwrap().unwrap();
    assert_eq!(Peer::from_chain(identity.chain()).unwrap().spki_sha256, key.spki_sha256());
    assert_eq!((left, core.asked.load(Ordering::SeqCst)), (Some(Duration::from_secs(60)), 3));
}

#[tokio::test]
async fn a_program_that_does_not_wait_says_that_a_person_has_to_approve() {
    let (_world, core) = core(Answer::ApproveLater).await;
    let token = JoinToken::generate(core.pin);
    let error = timeout(SOON, enroll(&core.address.to_string(), &token, "", None)).await.unwrap();
    assert!(matches!(error, Err(EnrollError::NeedsApproval)), "{error:?}");
}

#[tokio::test]
async fn a_refusal_is_told_and_not_tried_again() {
    let (_world, core) = core(Answer::Refuse).await;
    let token = JoinToken::generate(core.pin);
    let error =
        timeout(SOON, enroll(&core.address.to_string(), &token, "", None)).await.unwrap().unwrap_err();
    assert!(matches!(&error, EnrollError::Refused(r) if r.code == Code::BadToken), "{error}");
    assert_eq!(core.asked.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn an_answer_that_does_not_fit_is_not_taken() {
    for answer in [Answer::ForSomebodyElse, Answer::WithoutThePinnedRoot] {
        let (_world, core) = core(answer).await;
        let token = JoinToken::generate(core.pin);
        let error =
            timeout(SOON, enroll(&core.address.to_string(), &token, "", None)).await.unwrap().unwrap_err();
        assert!(matches!(error, EnrollError::Answer(_) | EnrollError::Identity(_)), "{error}");
    }
}

#[tokio::test]
async fn where_nobody_listens_it_says_so_soon() {
    // A port that was free a moment ago.
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    tls::install_provider();
    let since = Instant::now();
    let error = enroll(&free.to_string(), &JoinToken::generate([1; 32]), "", None).await.unwrap_err();
    let EnrollError::Unreachable { cause, .. } = &error else { panic!("{error}") };
    assert!(cause.contains("refused"), "{cause}");
    assert!(since.elapsed() < Duration::from_secs(5));
    let bad = enroll("nowhere", &JoinToken::generate([1; 32]), "", None).await.unwrap_err();
    assert!(matches!(bad, EnrollError::Address(_)));
}

#[tokio::test]
async fn a_revived_member_is_the_same_as_before_and_takes_no_other_certificate_and_no_other_root() {
    for (answer, is_good) in
        [(Answer::Good, true), (Answer::ForSomebodyElse, false), (Answer::WithoutThePinnedRoot, false)]
    {
        let (world, core) = core(answer).await;
        let (ended, machine) = (world.gateway(), MachineKey::generate().unwrap());
        let revived = timeout(SOON, revive(&core.address.to_string(), &ended, &machine)).await.unwrap();
        match revived {
            Ok(revived) => assert!(is_good && revived.name() == ended.name()),
            Err(error) => assert!(!is_good && matches!(error, EnrollError::Identity(_)), "{error}"),
        }
    }
}

#[tokio::test]
async fn a_member_renews_by_its_certificate_follows_the_next_root_and_says_so() {
    let (world, core) = core(Answer::Rotating).await;
    let (before, address) = (world.gateway(), core.address.to_string());
    let renewed = timeout(SOON, renew(&address, &before, None)).await.unwrap().unwrap();
    assert_eq!(renewed.name(), before.name());
    assert_ne!(renewed.serial(), before.serial());
    assert_eq!((before.roots().len(), renewed.roots().len()), (1, 2));
    assert_eq!(*core.told.lock().unwrap(), [pins(&renewed)]);

    let follows = timeout(SOON, follow(&address, &before)).await.unwrap().unwrap().unwrap();
    assert_eq!((follows.pins(), follows.serial()), (renewed.pins(), before.serial()));
    assert_eq!(core.told.lock().unwrap()[1..], [pins(&before), pins(&follows)]);
    assert!(timeout(SOON, follow(&address, &follows)).await.unwrap().unwrap().is_none());
}

#[tokio::test]
async fn nobody_follows_a_root_that_nobody_vouches_for() {
    let (world, core) = core(Answer::WithoutThePinnedRoot).await;
    let (member, address) = (world.gateway(), core.address.to_string());
    for refused in [renew(&address, &member, None).await.err(), follow(&address, &member).await.err()] {
        assert!(matches!(&refused, Some(EnrollError::Identity(_))), "{refused:?}");
    }
}
