//! How a machine or a program becomes a member: a join token is used up, a
//! certificate is made of its own key.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use chatcode_certs::{
    Authority, AuthorityError, JoinToken, MachinePublicKey, MemberName, csr, random, secret,
};
use chatcode_link::subscriber;
use chatcode_proto::{
    code::Refusal,
    id::{GatewayId, MemberId},
    limits, name,
    pb::{
        self, Code, EnrollmentEnrollRequest, EnrollmentEnrollResponse, EnrollmentRenewRequest,
        EnrollmentRenewResponse, EnrollmentReviveRequest, EnrollmentReviveResponse, EnrollmentTrustRequest,
        EnrollmentTrustResponse, LinkState, MemberKind, enrollment_server::Enrollment,
    },
};
use prost::Message as _;
use tonic::{Request, Response, Status};

use crate::{
    caller::CallInfo,
    clock,
    services::{
        certify::{certify, to_bytes},
        renewal, revival,
    },
    shared::Shared,
    store::{
        Store, StoreError,
        audit::Entry,
        members::{NewMember, NewToken, Redeemed, ShownToken, kind_text},
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

    async fn redeem(
        &self,
        request: &EnrollmentEnrollRequest,
        request_id: String,
        peer: SocketAddr,
    ) -> Result<EnrollmentEnrollResponse, EnrollFault> {
        let store = &self.shared.store;
        let act = Entry { request_id, peer: peer.to_string(), ..Entry::new("anonymous", ACTION) };
        let asked = match Asked::read(request) {
            Ok(asked) => asked,
            Err(error) => {
                let detail = format!("bad request: {error}");
                store.audit(&Entry { result: Code::BadToken, detail, ..act }).await?;
                return Err(EnrollFault::BadToken);
            }
        };
        let shown = ShownToken {
            id: &request.token_id,
            secret_hash: secret::hash(&request.token_secret),
            spki: asked.key.spki_sha256(),
        };
        let redeemed =
            store.redeem(&shown, &act, |kind, named| self.make(kind, named, &request.name, &asked)).await?;
        let answer = match redeemed {
            Redeemed::Refused(_) => return Err(EnrollFault::BadToken),
            Redeemed::New(answer) | Redeemed::Again(answer) => answer,
        };
        let mut answer = EnrollmentEnrollResponse::decode(&answer[..])
            .map_err(|_| StoreError::Corrupt("join_tokens.answer"))?;
        // The links may have another port than when the token was used.
        answer.link_port = u32::from(self.shared.link_port());
        self.note_trust(&answer).await?;
        self.show(&answer);
        Ok(answer)
    }

    /// A member of this kind, with a certificate for this key.
    fn make(
        &self,
        kind: MemberKind,
        named: &str,
        wish: &str,
        asked: &Asked,
    ) -> Result<NewMember, EnrollFault> {
        let id = MemberId::from_random(random::bytes());
        let (member, kind, word) = match kind {
            MemberKind::Edge => (MemberName::Edge(id), kind, "edge"),
            MemberKind::Admin => (MemberName::Admin(id), kind, "admin"),
            MemberKind::Gateway | MemberKind::Unspecified => {
                (MemberName::Gateway(id), MemberKind::Gateway, "gateway")
            }
        };
        let fits = |text: &&str| name::check("name", text, limits::NAME_CHARS).is_ok();
        let name = [named, wish].into_iter().find(fits).map(str::to_owned);
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
    fn show(&self, answer: &EnrollmentEnrollResponse) {
        let Ok(id) = answer.member.parse::<MemberId>() else { return };
        let id = GatewayId::from(id);
        if answer.kind() != MemberKind::Gateway || self.shared.hub.gateway(id).is_some() {
            return;
        }
        let now = clock::unix_ms();
        let gateway = pb::Gateway {
            id: id.to_string(),
            name: answer.name.clone(),
            link_state: LinkState::Never.into(),
            since_unix_ms: now,
            enrolled_unix_ms: now,
            ..Default::default()
        };
        self.shared.hub.add_gateway(id, gateway);
        tracing::info!(gateway = %id, "enrolled");
    }
}

#[tonic::async_trait]
impl Enrollment for EnrollmentService {
    async fn enroll(
        &self,
        request: Request<EnrollmentEnrollRequest>,
    ) -> Result<Response<EnrollmentEnrollResponse>, Status> {
        let info = CallInfo::of(&request)?;
        let peer = info.peer.address;
        self.shared.rates.enroll.check(&subscriber(peer.ip()))?;
        match self.redeem(request.get_ref(), info.request_id, peer).await {
            Ok(answer) => Ok(Response::new(answer)),
            Err(fault) => Err(Refusal::from(fault).into()),
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

/// Why an enrollment failed.
#[derive(Debug, thiserror::Error)]
enum EnrollFault {
    /// Anything that is wrong with the token or the request; the audit knows.
    #[error("the join token or the request is refused")]
    BadToken,
    #[error("there are {} gateways already", limits::GATEWAYS)]
    Full,
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
            EnrollFault::Store(error) => error.into(),
            EnrollFault::Authority(error) => {
                tracing::error!(error = &error as &dyn std::error::Error, "no certificate was made");
                Self::new(Code::Internal, "the core could not make a certificate; its log says why")
            }
        }
    }
}

/// A wish for a join token.
#[derive(Clone, Debug)]
pub struct TokenWish {
    /// What it enrolls; unspecified: a gateway.
    pub kind: MemberKind,
    /// The name of the member; empty: its own wish.
    pub name: String,
    /// Seconds; 0: the default.
    pub ttl_s: u64,
}

/// Makes a join token and keeps its hash; says when it ends, milliseconds
/// since 1970. `act` is written to the audit with it, and with what the token
/// is for.
///
/// # Errors
/// `INVALID` for a wish out of bounds or a name that a machine has, `INTERNAL`
/// when the store fails.
pub async fn create_token(
    store: &Store,
    authority: &Authority,
    wish: &TokenWish,
    act: &Entry,
) -> Result<(JoinToken, u64), Refusal> {
    let ttl = match wish.ttl_s {
        0 => limits::JOIN_TOKEN,
        seconds if limits::JOIN_TOKEN_RANGE.contains(&seconds) => Duration::from_secs(seconds),
        _ => {
            let (least, most) = (limits::JOIN_TOKEN_RANGE.start(), limits::JOIN_TOKEN_RANGE.end());
            let words = format!("a join token lives {least} to {most} seconds");
            return Err(Refusal::new(Code::Invalid, words));
        }
    };
    if !wish.name.is_empty() {
        name::check("name", &wish.name, limits::NAME_CHARS)?;
        if store.has_member(wish.kind, &wish.name).await? {
            let words = format!(
                "there is a {} called {} already; choose another name, or revoke that one first",
                kind_text(wish.kind),
                wish.name
            );
            return Err(Refusal::new(Code::Invalid, words));
        }
    }
    let token = JoinToken::generate(authority.root_pin());
    let expires_ms = clock::unix_ms() + clock::millis(ttl);
    let row = NewToken {
        id: token.id().to_owned(),
        secret_hash: token.secret_hash(),
        kind: wish.kind,
        name: wish.name.clone(),
        expires_ms,
    };
    let detail = format!("{} {}", kind_text(wish.kind), token.id());
    store.add_join_token(&row, &Entry { detail, ..act.clone() }).await?;
    Ok((token, expires_ms))
}
