//! How a machine or a program becomes a member: a join token is used up, a
//! certificate is made of its own key.

use std::{net::IpAddr, pin::pin, sync::Arc, time::Duration};

use chatcode_certs::{AuthorityError, MachinePublicKey, MemberName, csr, random, secret};
use chatcode_link::subscriber;
use chatcode_proto::{
    code::Refusal,
    id::{GatewayId, MemberId},
    label::Labels,
    limits, name,
    pb::{
        self, Code, EnrollmentEnrollRequest, EnrollmentEnrollResponse, EnrollmentLeaveRequest,
        EnrollmentLeaveResponse, EnrollmentPending, EnrollmentRenewRequest, EnrollmentRenewResponse,
        EnrollmentReviveRequest, EnrollmentReviveResponse, EnrollmentTrustRequest, EnrollmentTrustResponse,
        LinkState, MemberKind, enrollment_server::Enrollment,
    },
};
use prost::Message as _;
use tokio::time::{Instant, sleep_until};
use tonic::{Request, Response, Status};

use crate::{
    caller::CallInfo,
    clock,
    fleet::facts,
    services::{
        approval,
        certify::{certify, to_bytes},
        leaving, renewal, revival,
    },
    shared::Shared,
    store::{
        StoreError,
        audit::Entry,
        members::NewMember,
        tokens::{Redeemed, ShownToken, Terms, TokenFault},
    },
};

/// What is written to the audit of every enrollment.
const ACTION: &str = "/chatcode.v1.Enrollment/Enroll";

/// `service Enrollment`.
#[derive(Clone, Debug)]
pub struct EnrollmentService {
    shared: Arc<Shared>,
}

impl EnrollmentService {
    /// The service over what the core shares.
    #[must_use]
    pub const fn new(shared: Arc<Shared>) -> Self {
        Self { shared }
    }

    /// Judges how often somebody asks: who shows the key of before only asks
    /// again.
    async fn count(&self, from: IpAddr, shown: Option<&ShownToken<'_>>) -> Result<(), Refusal> {
        let rates = &self.shared.rates;
        rates.enroll_calls.check(&from)?;
        let is_again = match shown {
            Some(shown) => self.shared.store.has_used(shown).await?,
            None => false,
        };
        if !is_again {
            rates.enroll.check(&from)?;
            rates.enroll_whole.check(&())?;
        }
        Ok(())
    }

    /// Trades the token; one that waits for a person is held for so long.
    async fn redeem(
        &self,
        shown: &ShownToken<'_>,
        asked: &Asked,
        held: Duration,
        act: &Entry,
    ) -> Result<EnrollmentEnrollResponse, EnrollFault> {
        let held_until = Instant::now() + held;
        loop {
            // Listened for before looking, so that no decision falls in between.
            let mut decided = pin!(self.shared.decided.notified());
            decided.as_mut().enable();
            let make = |terms: &Terms| self.make(terms, shown.name, asked);
            match self.shared.store.redeem(shown, act, make).await? {
                Redeemed::Waits(until) => tokio::select! {
                    () = decided => {}
                    () = sleep_until(held_until) => return Ok(pending(until)),
                    () = self.shared.stop.cancelled() => return Ok(pending(until)),
                },
                Redeemed::Asked(asked) => {
                    tracing::info!(pending = asked.id, from = %shown.address, "a machine waits for approval");
                    let until = asked.expires_unix_ms;
                    approval::show(&self.shared, *asked);
                    self.shared.hub.tokens_changed();
                    return Ok(pending(until));
                }
                Redeemed::New(answer, labels) => {
                    let answer = self.answer(&answer, labels).await;
                    self.shared.hub.tokens_changed();
                    return answer;
                }
                Redeemed::Again(answer) => return self.answer(&answer, Labels::new()).await,
                Redeemed::TurnedAway => return Err(EnrollFault::TurnedAway),
                Redeemed::TooLate => return Err(EnrollFault::TooLate),
                Redeemed::Full => return Err(EnrollFault::FullOfPending),
                Redeemed::Refused(fault) => {
                    warn_of_replay(shown, fault);
                    return Err(EnrollFault::BadToken);
                }
            }
        }
    }

    /// The answer as it was kept, with the port that the links have now.
    async fn answer(&self, kept: &[u8], labels: Labels) -> Result<EnrollmentEnrollResponse, EnrollFault> {
        let mut answer =
            EnrollmentEnrollResponse::decode(kept).map_err(|_| StoreError::Corrupt("token_uses.answer"))?;
        answer.link_port = u32::from(self.shared.link_port());
        self.note_trust(&answer).await?;
        self.show(&answer, labels).await?;
        Ok(answer)
    }

    /// A member of this kind, with a certificate for this key.
    fn make(&self, terms: &Terms, wish: &str, asked: &Asked) -> Result<NewMember, EnrollFault> {
        let id = MemberId::from_random(random::bytes());
        let (member, kind, word) = match terms.kind {
            MemberKind::Edge => (MemberName::Edge(id), terms.kind, "edge"),
            MemberKind::Admin => (MemberName::Admin(id), terms.kind, "admin"),
            MemberKind::Gateway | MemberKind::Unspecified => {
                (MemberName::Gateway(id), MemberKind::Gateway, "gateway")
            }
        };
        let name = [&terms.name, wish].into_iter().find(|text| !text.is_empty()).map(str::to_owned);
        let name = name.unwrap_or_else(|| format!("{word}-{}", id.short()));

        // The token stays good for when there is room.
        if kind == MemberKind::Gateway && self.shared.hub.is_full() {
            return Err(EnrollFault::Full);
        }
        let authority = &self.shared.authority;
        let (issued, certificate) = certify(&self.shared, &member, &asked.key)?;
        let answer = EnrollmentEnrollResponse {
            member: id.to_string(),
            kind: kind.into(),
            chain: to_bytes(&issued.chain),
            roots: to_bytes(&authority.roots()),
            trust_domain: authority.trust_domain().to_string(),
            link_port: 0,
            name: name.clone(),
            pending: None,
        };
        // An administrator's certificate is not for ever: no key brings it back.
        let machine_key = asked.machine_key.clone().filter(|_| kind != MemberKind::Admin);
        Ok(NewMember { name, certificate, machine_key, answer: answer.encode_to_vec() })
    }

    /// Whoever enrolls trusts what it was told.
    async fn note_trust(&self, answer: &EnrollmentEnrollResponse) -> Result<(), StoreError> {
        let authority = &self.shared.authority;
        match answer.member.parse::<MemberId>() {
            Ok(id) if answer.roots == to_bytes(&authority.roots()) => {
                self.shared.store.note_trust(id, &authority.root_pins()).await
            }
            _ => Ok(()),
        }
    }

    /// A new gateway appears in the fleet.
    async fn show(&self, answer: &EnrollmentEnrollResponse, labels: Labels) -> Result<(), StoreError> {
        let Ok(id) = answer.member.parse::<MemberId>() else { return Ok(()) };
        let id = GatewayId::from(id);
        if answer.kind() != MemberKind::Gateway || self.shared.hub.gateway(id).is_some() {
            return Ok(());
        }
        let now = clock::unix_ms();
        let gateway = pb::Gateway {
            id: id.to_string(),
            name: answer.name.clone(),
            link_state: LinkState::Never.into(),
            since_unix_ms: now,
            enrolled_unix_ms: now,
            labels,
            certificate: Some(self.shared.store.certificate(id).await?),
            ..Default::default()
        };
        self.shared.hub.add_gateway(id, gateway);
        tracing::info!(gateway = %id, "enrolled");
        Ok(())
    }
}

#[tonic::async_trait]
impl Enrollment for EnrollmentService {
    async fn enroll(
        &self,
        request: Request<EnrollmentEnrollRequest>,
    ) -> Result<Response<EnrollmentEnrollResponse>, Status> {
        let info = CallInfo::of(&request)?;
        let (peer, request) = (info.peer.address, request.into_inner());
        let act =
            Entry { request_id: info.request_id, peer: peer.to_string(), ..Entry::new("anonymous", ACTION) };
        let held = if request.wait { limits::PENDING_CALL } else { Duration::ZERO };
        let asked = Asked::read(&request);
        let shown = asked.as_ref().ok().map(|asked| shown(&request, asked, peer.ip()));
        self.count(subscriber(peer.ip()), shown.as_ref()).await?;
        match (asked, shown) {
            (Ok(asked), Some(shown)) => {
                Ok(Response::new(self.redeem(&shown, &asked, held, &act).await.map_err(Refusal::from)?))
            }
            (Err(error), _) => {
                let detail = format!("bad request: {error}");
                let act = Entry { result: Code::BadToken, detail, ..act };
                self.shared.store.audit(&act).await.map_err(Refusal::from)?;
                Err(Refusal::from(EnrollFault::BadToken).into())
            }
            (Ok(_), None) => Err(Refusal::from(EnrollFault::BadToken).into()),
        }
    }

    async fn revive(
        &self,
        request: Request<EnrollmentReviveRequest>,
    ) -> Result<Response<EnrollmentReviveResponse>, Status> {
        let info = CallInfo::of(&request)?;
        let from = subscriber(info.peer.address.ip());
        self.shared.rates.revive_from.check(&from)?;
        let act = info.act("gateway.revived");
        Ok(Response::new(revival::revive(&self.shared, request.get_ref(), from, act).await?))
    }

    async fn renew(
        &self,
        request: Request<EnrollmentRenewRequest>,
    ) -> Result<Response<EnrollmentRenewResponse>, Status> {
        let info = CallInfo::of(&request)?;
        Ok(Response::new(renewal::renew(&self.shared, request.get_ref(), &info).await?))
    }

    async fn trust(
        &self,
        request: Request<EnrollmentTrustRequest>,
    ) -> Result<Response<EnrollmentTrustResponse>, Status> {
        let info = CallInfo::of(&request)?;
        let trust = renewal::tell(&self.shared, &request.get_ref().trusts, &info).await?;
        Ok(Response::new(EnrollmentTrustResponse { trust: Some(trust) }))
    }

    async fn leave(
        &self,
        request: Request<EnrollmentLeaveRequest>,
    ) -> Result<Response<EnrollmentLeaveResponse>, Status> {
        let info = CallInfo::of(&request)?;
        let from = subscriber(info.peer.address.ip());
        self.shared.rates.revive_from.check(&from)?;
        let act = info.act("gateway.left");
        // Carried through also when the caller goes away half-way.
        let (shared, tasks) = (Arc::clone(&self.shared), self.shared.tasks.clone());
        let work = tasks.spawn(async move { leaving::leave(&shared, request.get_ref(), from, act).await });
        work.await.map_err(|_| Refusal::new(Code::Internal, "the leave broke off"))??;
        Ok(Response::new(EnrollmentLeaveResponse {}))
    }
}

/// The keys of a request, each of which was proven to be in its hands.
struct Asked {
    key: csr::RequestKey,
    machine_key: Option<MachinePublicKey>,
}

impl Asked {
    fn read(request: &EnrollmentEnrollRequest) -> Result<Self, csr::RequestError> {
        let machine = Some(&request.machine_csr).filter(|csr| !csr.is_empty());
        let machine = machine.map(|csr| csr::verify(csr)).transpose()?;
        Ok(Self { key: csr::verify(&request.csr)?, machine_key: machine.as_ref().map(MachinePublicKey::of) })
    }
}

/// The token as it was shown, with what came beside it.
fn shown<'a>(request: &'a EnrollmentEnrollRequest, asked: &Asked, address: IpAddr) -> ShownToken<'a> {
    let fits = name::check("name", &request.name, limits::NAME_CHARS).is_ok();
    ShownToken {
        id: &request.token_id,
        secret_hash: secret::hash(&request.token_secret),
        spki: asked.key.spki_sha256(),
        address,
        name: if fits { &request.name } else { "" },
        host: request.host.as_ref().map(facts::shown).unwrap_or_default(),
    }
}

/// The answer to a machine that waits until then, milliseconds since 1970.
fn pending(until: u64) -> EnrollmentEnrollResponse {
    let left_ms = until.saturating_sub(clock::unix_ms());
    EnrollmentEnrollResponse { pending: Some(EnrollmentPending { left_ms }), ..Default::default() }
}

/// A token that was good once is shown by another: whoever sees it may have
/// copied it.
fn warn_of_replay(shown: &ShownToken<'_>, fault: TokenFault) {
    match fault {
        TokenFault::OtherKey => tracing::warn!(
            token = shown.id,
            from = %shown.address,
            "a used join token was shown again by another key; somebody may have copied it: `chatcode audit` \
             tells what it enrolled"
        ),
        TokenFault::UsedUp | TokenFault::Revoked => {
            tracing::warn!(token = shown.id, from = %shown.address, reason = %fault, "a join token is refused");
        }
        _ => {}
    }
}

/// Why an enrollment failed.
#[derive(Debug, thiserror::Error)]
enum EnrollFault {
    /// Anything that is wrong with the token or the request; the audit knows.
    #[error("the join token or the request is refused")]
    BadToken,
    #[error("there are {} gateways already", limits::GATEWAYS)]
    Full,
    #[error("{} machines wait already", limits::PENDING_GATEWAYS)]
    FullOfPending,
    #[error("a person refused the machine")]
    TurnedAway,
    #[error("nobody approved the machine in time")]
    TooLate,
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Authority(#[from] AuthorityError),
}

impl From<EnrollFault> for Refusal {
    fn from(fault: EnrollFault) -> Self {
        match fault {
            EnrollFault::BadToken => {
                Self::new(Code::BadToken, "the join token is unknown, used or expired; make a new one")
            }
            EnrollFault::Full => {
                let words =
                    format!("this core keeps {} machines at most; use another core", limits::GATEWAYS);
                Self::new(Code::Limit, words)
            }
            EnrollFault::FullOfPending => {
                let words = format!(
                    "{} machines wait for approval already; have some of them decided, then enroll again",
                    limits::PENDING_GATEWAYS
                );
                Self::new(Code::Limit, words)
            }
            EnrollFault::TurnedAway => {
                let words = "a person refused this machine; ask whoever gave you the token for a new one";
                Self::new(Code::Forbidden, words)
            }
            EnrollFault::TooLate => {
                let words = "nobody approved this machine in time; make a new token and enroll again";
                Self::new(Code::Forbidden, words)
            }
            EnrollFault::Store(error) => error.into(),
            EnrollFault::Authority(error) => {
                tracing::error!(error = &error as &dyn std::error::Error, "no certificate was made");
                Self::new(Code::Internal, "the core could not make a certificate; its log says why")
            }
        }
    }
}
