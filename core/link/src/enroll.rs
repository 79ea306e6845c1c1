//! How a machine or a program gets its certificate: a key made here, a request
//! for it, and a join token shown only to the core that made it.

use std::{
    path::Path,
    time::{Duration, Instant},
};

use chatcode_certs::{
    Identity, IdentityError, JoinToken, Key, KeyError, MachineKey, MemberName,
    csr::{self, RequestError},
    files::{self, FilesError},
    tls,
};
use chatcode_proto::{
    backoff::Backoff,
    code::Refusal,
    limits,
    pb::{
        Code, EnrollmentEnrollRequest, EnrollmentEnrollResponse, EnrollmentLeaveRequest, HostFacts,
        MemberKind, enrollment_client::EnrollmentClient,
    },
};
use rustls::{CertificateError, pki_types::CertificateDer};
use serde::{Deserialize, Serialize};
use tonic::Status;

use crate::{Target, exit, tcp};

/// Why a machine was not enrolled.
#[derive(Debug, thiserror::Error)]
pub enum EnrollError {
    /// The address is not `host:port`.
    #[error("{0:?} is not the address of a core; it is HOST:PORT, as the core printed it")]
    Address(String),
    /// The core was not reached.
    #[error("the core at {address} was not reached: {cause}; check the address and that the core runs")]
    Unreachable {
        /// Where.
        address: String,
        /// What the system said.
        cause: String,
    },
    /// Another core answers, or somebody is in between. Nothing was sent.
    #[error("{}; nothing was sent, make a new token on the core that you mean", tls::PinMismatch)]
    WrongCore,
    /// The core does not take the certificate that was shown to it.
    #[error("the core does not take this certificate: {0}")]
    NotTaken(String),
    /// The core refused.
    #[error(transparent)]
    Refused(Refusal),
    /// A person has to approve, and this program does not wait for it.
    #[error("a person has to approve whoever comes by this join token; make one without approval")]
    NeedsApproval,
    /// Nobody decided in time.
    #[error("nobody approved this machine in time; make a new token and enroll again")]
    NotApproved,
    /// The core's answer does not hold together.
    #[error("the answer of the core cannot be used: {0}")]
    Answer(String),
    /// The certificate in the answer is not for us.
    #[error("the certificate that the core sent cannot be used")]
    Identity(#[from] IdentityError),
    /// No key could be made.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// No request could be made.
    #[error(transparent)]
    Request(#[from] RequestError),
}

impl EnrollError {
    /// The cause, in the vocabulary of all hops.
    #[must_use]
    pub fn code(&self) -> Code {
        match self {
            Self::Refused(refusal) => refusal.code,
            Self::Address(_) => Code::Invalid,
            Self::Unreachable { .. } => Code::CoreUnreachable,
            Self::WrongCore | Self::NotTaken(_) => Code::Unauthenticated,
            Self::NeedsApproval | Self::NotApproved => Code::Forbidden,
            _ => Code::Internal,
        }
    }

    /// Whether the same request may do later: the answer may be lost, and the
    /// token used, or somebody may still decide.
    #[must_use]
    pub fn may_pass(&self) -> bool {
        match self {
            Self::Unreachable { .. } => true,
            Self::Refused(refusal) => {
                matches!(refusal.code, Code::RateLimited | Code::Draining | Code::Timeout | Code::Internal)
            }
            _ => false,
        }
    }
}

/// What is asked for at an enrollment.
#[derive(Debug)]
pub struct Asking<'a> {
    /// The core's gRPC listener.
    pub core: Target,
    /// Shown only to the core whose pin it carries.
    pub token: &'a JoinToken,
    /// The key of the certificate. The same key may ask again.
    pub key: Key,
    /// The name that is wished; empty: the core makes one.
    pub name: &'a str,
    /// The durable key, by which a machine can be revived later ([`crate::renew::revive`]).
    pub machine: Option<&'a MachineKey>,
    /// Facts for the person who approves.
    pub host: Option<HostFacts>,
}

/// Enrolls with a new key, wishing this name (empty: the core makes one). As
/// [`enroll_with`], but does not wait for anybody's approval.
///
/// # Errors
/// As [`enroll_with`]; [`EnrollError::NeedsApproval`].
pub async fn enroll(
    core: impl Into<Target>,
    token: &JoinToken,
    name: &str,
    machine: Option<&MachineKey>,
) -> Result<(Identity, EnrollmentEnrollResponse), EnrollError> {
    let asking = Asking { core: core.into(), token, key: Key::generate()?, name, machine, host: None };
    let (asked, token) = asking.request()?;
    let response = ask(&asking.core, token, &asked).await?;
    if response.pending.is_some() {
        return Err(EnrollError::NeedsApproval);
    }
    Ok((accept(asking.key, token, &response)?, response))
}

/// Enrolls. The core proves by the token's pin that it made the token before the
/// secret is sent. A lost answer is asked for again with the same key. When a
/// person has to approve, `waits` is called once with the time that the person
/// has, and this waits so long; dropping it gives up, and the same key may go
/// on with another call. Nothing is kept: save the identity and the keys.
///
/// # Errors
/// When the core is not reached, is another one, refuses, or its answer does
/// not hold together.
pub async fn enroll_with(
    asking: Asking<'_>,
    waits: impl FnOnce(Duration),
) -> Result<(Identity, EnrollmentEnrollResponse), EnrollError> {
    let (asked, token) = asking.request()?;
    let mut response = ask(&asking.core, token, &asked).await?;
    if let Some(pending) = response.pending {
        let left = Duration::from_millis(pending.left_ms).min(limits::APPROVAL);
        waits(left);
        response = wait(&asking.core, token, &asked, left).await?;
    }
    Ok((accept(asking.key, token, &response)?, response))
}

impl<'a> Asking<'a> {
    fn request(&self) -> Result<(EnrollmentEnrollRequest, &'a JoinToken), EnrollError> {
        let core = self.core.address();
        split(core).ok_or_else(|| EnrollError::Address(core.to_owned()))?;
        let request = EnrollmentEnrollRequest {
            token_id: self.token.id().to_owned(),
            token_secret: self.token.secret().expose_bytes().to_vec().into(),
            csr: csr::create(&self.key)?.into(),
            name: self.name.to_owned(),
            machine_csr: self.machine.map(MachineKey::request).transpose()?.unwrap_or_default().into(),
            host: self.host.clone(),
            wait: false,
        };
        Ok((request, self.token))
    }
}

/// Asks until a person has decided. A core that restarts, or is away for a
/// while, does not end it.
async fn wait(
    core: &Target,
    token: &JoinToken,
    request: &EnrollmentEnrollRequest,
    left: Duration,
) -> Result<EnrollmentEnrollResponse, EnrollError> {
    let until = Instant::now() + left + limits::UNARY_DEADLINE;
    let request = &EnrollmentEnrollRequest { wait: true, ..request.clone() };
    let mut pauses = Backoff::new(Duration::from_secs(1), Duration::from_secs(10));
    loop {
        let begun = Instant::now();
        let error = match once(core, token, request).await {
            Ok(response) if response.pending.is_none() => return Ok(response),
            // The core holds each call for a while; one that does not is not
            // asked any faster.
            Ok(_) if begun.elapsed() > limits::PENDING_CALL / 2 => {
                pauses = Backoff::new(Duration::from_secs(1), Duration::from_secs(10));
                continue;
            }
            Ok(_) => EnrollError::NotApproved,
            Err(error) if error.may_pass() => error,
            Err(error) => return Err(error),
        };
        if Instant::now() >= until {
            return Err(error);
        }
        tokio::time::sleep(pauses.next(rand::random())).await;
    }
}

/// Tells the core at `core` (its gRPC listener) that this gateway goes for good: it
/// is revoked. Tried once, for at most [`limits::LEAVE`].
///
/// # Errors
/// As [`enroll`]; when the core does not know the gateway by this key.
pub async fn leave(
    core: impl Into<Target>,
    identity: &Identity,
    machine: &MachineKey,
) -> Result<(), EnrollError> {
    leave_within(limits::LEAVE, &core.into(), identity, machine).await
}

async fn leave_within(
    patience: Duration,
    core: &Target,
    identity: &Identity,
    machine: &MachineKey,
) -> Result<(), EnrollError> {
    let member = identity.name().id().to_string();
    let proof = machine.sign_leave(&member)?;
    let tls = tls::nameless_client(identity).map_err(|error| EnrollError::Answer(error.to_string()))?;
    let channel = tcp::channel(core, tls, &identity.trust_domain().core_dns());
    let mut client = EnrollmentClient::new(channel).max_decoding_message_size(limits::UNARY_BYTES);
    let call = client.leave(EnrollmentLeaveRequest { member, proof: proof.into() });
    match tokio::time::timeout(patience, call).await {
        Ok(Ok(_)) => Ok(()),
        Ok(Err(status)) => Err(judge(core, &status)),
        Err(_) => {
            let cause = format!("it did not answer within {} s", patience.as_secs());
            Err(EnrollError::Unreachable { address: core.address().to_owned(), cause })
        }
    }
}

/// Certificates as they travelled.
#[must_use]
pub fn certificates(list: &[bytes::Bytes]) -> Vec<CertificateDer<'static>> {
    list.iter().map(|der| CertificateDer::from(der.to_vec())).collect()
}

async fn ask(
    core: &Target,
    token: &JoinToken,
    request: &EnrollmentEnrollRequest,
) -> Result<EnrollmentEnrollResponse, EnrollError> {
    let mut pauses = Backoff::new(Duration::from_millis(500), Duration::from_secs(2));
    loop {
        let error = match once(core, token, request).await {
            Ok(response) => return Ok(response),
            Err(error) => error,
        };
        if !matches!(error, EnrollError::Unreachable { .. }) || pauses.tries() + 1 >= limits::ENROLL_TRIES {
            return Err(error);
        }
        tokio::time::sleep(pauses.next(rand::random())).await;
    }
}

/// How rustls words an alert of the server, which judges a client's certificate
/// after the client's handshake; HTTP/2 keeps only the words.
const ALERT: &str = "received fatal alert: ";

/// One try, on a new connection, whose core is checked anew.
async fn once(
    core: &Target,
    token: &JoinToken,
    request: &EnrollmentEnrollRequest,
) -> Result<EnrollmentEnrollResponse, EnrollError> {
    let channel = tcp::channel(core, tls::pinned_client(token.pin()), tls::UNKNOWN_CORE);
    let mut client = EnrollmentClient::new(channel).max_decoding_message_size(limits::UNARY_BYTES);
    let mut call = tonic::Request::new(request.clone());
    call.set_timeout(limits::UNARY_DEADLINE);
    let answer = client.enroll(call).await.map_err(|status| judge(core, &status))?;
    Ok(answer.into_inner())
}

pub(crate) fn judge(core: &Target, status: &Status) -> EnrollError {
    let is_mismatch = exit::causes(status).any(|cause| {
        matches!(
            cause.downcast_ref::<rustls::Error>(),
            Some(rustls::Error::InvalidCertificate(CertificateError::Other(other)))
                if other.0.downcast_ref::<tls::PinMismatch>().is_some()
        )
    });
    if is_mismatch {
        return EnrollError::WrongCore;
    }
    let refusal = exit::refusal(status, Code::CoreUnreachable);
    if refusal.code == Code::CoreUnreachable {
        if refusal.message.starts_with(ALERT) {
            return EnrollError::NotTaken(refusal.message);
        }
        EnrollError::Unreachable { address: core.address().to_owned(), cause: refusal.message }
    } else {
        EnrollError::Refused(refusal)
    }
}

/// The identity in an answer, if all of it fits together and to the token.
fn accept(key: Key, token: &JoinToken, response: &EnrollmentEnrollResponse) -> Result<Identity, EnrollError> {
    let identity = Identity::new(key, certificates(&response.chain), certificates(&response.roots))?;
    identity.verify()?;
    let wrong = |what: &str| Err(EnrollError::Answer(what.to_owned()));
    if !identity.trusts(&token.pin()) {
        return wrong("it does not trust the root that the token names");
    }
    let kind = match identity.name() {
        MemberName::Gateway(_) => MemberKind::Gateway,
        MemberName::Edge(_) => MemberKind::Edge,
        MemberName::Admin(_) => MemberKind::Admin,
        MemberName::Core(_) => return wrong("the certificate is a core's"),
    };
    if response.kind() != kind
        || response.member != identity.name().id().to_string()
        || response.trust_domain != identity.trust_domain().to_string()
    {
        return wrong("the certificate is for somebody else");
    }
    Ok(identity)
}

/// Where the core is, kept beside the identity.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CoreAddress {
    /// `host:port` of its gRPC listener (TCP).
    pub grpc: String,
    /// `host:port` of its links (UDP).
    pub link: String,
}

const CORE_ADDRESS: &str = "core.json";

/// Why the address was not kept or read.
#[derive(Debug, thiserror::Error)]
pub enum CoreAddressError {
    /// The file could not be used, or is open to others.
    #[error(transparent)]
    Files(#[from] FilesError),
    /// The file does not hold an address.
    #[error("{CORE_ADDRESS} cannot be read; enroll again")]
    Damaged(#[from] serde_json::Error),
}

impl CoreAddress {
    /// The address by which one enrolled, and the links' port that the core
    /// told.
    ///
    /// # Errors
    /// When `core` is not `host:port` or the port that was told is none.
    pub fn of(core: &str, response: &EnrollmentEnrollResponse) -> Result<Self, EnrollError> {
        let (host, _) = split(core).ok_or_else(|| EnrollError::Address(core.to_owned()))?;
        let port = u16::try_from(response.link_port).ok().filter(|port| *port != 0);
        let port = port.ok_or_else(|| EnrollError::Answer("it names no port for links".to_owned()))?;
        Ok(Self { grpc: core.to_owned(), link: format!("{host}:{port}") })
    }

    /// Keeps it in the folder of the identity.
    ///
    /// # Errors
    /// When the system refuses.
    pub fn save(&self, dir: &Path) -> Result<(), CoreAddressError> {
        files::private_dir(dir)?;
        Ok(files::write_private(dir.join(CORE_ADDRESS), &serde_json::to_vec(self)?)?)
    }

    /// Reads what [`Self::save`] kept; `None` when nothing is there.
    ///
    /// # Errors
    /// When the file is open to others or does not hold an address.
    pub fn load(dir: &Path) -> Result<Option<Self>, CoreAddressError> {
        let Some(bytes) = files::read_private(dir.join(CORE_ADDRESS))? else { return Ok(None) };
        Ok(Some(serde_json::from_slice(&bytes)?))
    }
}

/// Host and port of `host:port`; an IPv6 host stands in brackets.
fn split(address: &str) -> Option<(&str, u16)> {
    let (host, port) = address.rsplit_once(':')?;
    let bare = host.strip_prefix('[').and_then(|h| h.strip_suffix(']'));
    let is_host = match bare {
        Some(v6) => v6.parse::<std::net::Ipv6Addr>().is_ok(),
        None => !host.is_empty() && !host.contains([':', '/', '@', '[', ']']),
    };
    is_host.then_some(())?;
    port.parse().ok().filter(|port| *port != 0).map(|port| (host, port))
}

#[cfg(test)]
mod tests {
    use chatcode_certs::Authority;
    use chatcode_proto::id::MemberId;

    use super::*;

    #[test]
    fn only_host_and_port_is_an_address() {
        assert_eq!(split("localhost:4000"), Some(("localhost", 4000)));
        assert_eq!(split("[::1]:4000"), Some(("[::1]", 4000)));
        for bad in [
            "localhost",
            "localhost:",
            ":4000",
            "::1:4000",
            "https://host:4000",
            "host:0",
            "host:70000",
            "[x]:1",
            "",
        ] {
            assert_eq!(split(bad), None, "{bad:?}");
        }
    }

    #[tokio::test]
    async fn a_gateway_that_leaves_does_without_a_core_that_does_not_answer_in_time() {
        tls::install_provider();
        let folder = tempfile::tempdir().unwrap();
        let authority = Authority::open_or_create(folder.path()).unwrap();
        let name = MemberName::Gateway(MemberId::from_random([1; 16]));
        let identity = authority.identity(&name, Duration::from_secs(3600)).unwrap();
        // It takes the connection and never says a word.
        let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let core = Target::from(&silent.local_addr().unwrap().to_string());
        let machine = MachineKey::generate().unwrap();
        let leaving = leave_within(Duration::from_millis(100), &core, &identity, &machine);
        let left = tokio::time::timeout(limits::LEAVE, leaving).await.expect("gives up long before");
        assert!(matches!(left, Err(EnrollError::Unreachable { .. })), "{left:?}");
    }

    #[test]
    fn the_address_of_the_core_is_kept_beside_the_identity() {
        let folder = tempfile::tempdir().unwrap();
        let home = folder.path().join("identity");
        assert_eq!(CoreAddress::load(&home).unwrap(), None);
        let response = EnrollmentEnrollResponse { link_port: 5000, ..Default::default() };
        let address = CoreAddress::of("core.example:4000", &response).unwrap();
        assert_eq!(address.link, "core.example:5000");
        address.save(&home).unwrap();
        assert_eq!(CoreAddress::load(&home).unwrap(), Some(address));
        assert!(CoreAddress::of("core.example:4000", &EnrollmentEnrollResponse::default()).is_err());
    }
}
