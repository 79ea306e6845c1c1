//! How a member stays one: the next certificate before the last one ends, and
//! what to trust. Gateways do the first on their links.

use chatcode_certs::{Identity, Key, MachineKey, Trust, csr};
use chatcode_proto::{
    limits, pb,
    pb::{
        EnrollmentRenewRequest, EnrollmentReviveRequest, EnrollmentTrustRequest,
        enrollment_client::EnrollmentClient,
    },
};
use tonic::{Request, transport::Channel};

use crate::{
    Target,
    enroll::{EnrollError, certificates, judge},
    tcp,
};

/// The next certificate, for a new key, asked for at the core at `core`
/// (its gRPC listener) on a connection of its own, by the
/// certificate that `identity` has; and what to trust from now on. The core learns
/// the durable key of a machine that it does not know yet. Tried once. Nothing is
/// kept: save what is given back.
///
/// # Errors
/// When the core is not reached, refuses, or its answer does not hold together.
/// `UNAUTHENTICATED`: the certificate has ended or is not known any more.
pub async fn renew(
    core: impl Into<Target>,
    identity: &Identity,
    machine: Option<&MachineKey>,
) -> Result<Identity, EnrollError> {
    let core = &core.into();
    let key = Key::generate()?;
    let request = EnrollmentRenewRequest {
        csr: csr::create(&key)?.into(),
        machine_csr: machine.map(MachineKey::request).transpose()?.unwrap_or_default().into(),
        trusts: pins(identity),
    };
    let answer = client(core, identity)?.renew(call(request)).await;
    let answer = answer.map_err(|status| judge(core, &status))?.into_inner();
    let trust = trust(answer.trust.as_ref());
    let renewed = identity.renewed(key, certificates(&answer.chain), &trust)?;
    if renewed.pins() == identity.pins() { Ok(renewed) } else { confirm(core, renewed).await }
}

/// What the core at `core` says of trust, taken over and confirmed; `None` when
/// it is nothing new. Nothing is kept: save what is given back.
///
/// # Errors
/// As [`renew`].
pub async fn follow(core: impl Into<Target>, identity: &Identity) -> Result<Option<Identity>, EnrollError> {
    let core = &core.into();
    let told = tell(&mut client(core, identity)?, core, identity).await?;
    match identity.trusting(&told)? {
        Some(follows) => confirm(core, follows).await.map(Some),
        None => Ok(None),
    }
}

/// Tells the core what is trusted now. One that does not hear it waits for the
/// next time.
async fn confirm(core: &Target, identity: Identity) -> Result<Identity, EnrollError> {
    if let Err(error) = tell(&mut client(core, &identity)?, core, &identity).await {
        tracing::debug!(error = &error as &dyn std::error::Error, "the core was not told what is trusted");
    }
    Ok(identity)
}

async fn tell(
    client: &mut EnrollmentClient<Channel>,
    core: &Target,
    identity: &Identity,
) -> Result<Trust, EnrollError> {
    let answer = client.trust(call(EnrollmentTrustRequest { trusts: pins(identity) })).await;
    Ok(trust(answer.map_err(|status| judge(core, &status))?.into_inner().trust.as_ref()))
}

/// A new certificate for a member whose last one has ended: asked for at the
/// core at `core` (its gRPC listener) without a certificate, and
/// proven by the durable key. Tried once. Nothing is kept.
///
/// # Errors
/// As [`renew`]; `REVOKED` when there is no way back.
pub async fn revive(
    core: impl Into<Target>,
    ended: &Identity,
    machine: &MachineKey,
) -> Result<Identity, EnrollError> {
    let core = &core.into();
    let key = Key::generate()?;
    let csr = csr::create(&key)?;
    let proof = machine.sign(&csr)?;
    let member = ended.name().id().to_string();
    let request = EnrollmentReviveRequest { member, csr: csr.into(), proof: proof.into() };
    let tls = chatcode_certs::tls::nameless_client(ended)
        .map_err(|error| EnrollError::Answer(error.to_string()))?;
    let channel = tcp::channel(core, tls, &ended.trust_domain().core_dns());
    let mut client = EnrollmentClient::new(channel).max_decoding_message_size(limits::UNARY_BYTES);
    let answer = client.revive(call(request)).await.map_err(|status| judge(core, &status))?.into_inner();
    Ok(ended.renewed(key, certificates(&answer.chain), &trust(answer.trust.as_ref()))?)
}

/// What a core says of trust, as it travelled; a core that knows no rotation says
/// nothing.
#[must_use]
pub fn trust(told: Option<&pb::Trust>) -> Trust {
    told.map_or_else(Trust::default, |told| Trust {
        roots: certificates(&told.roots),
        bridges: certificates(&told.bridges),
    })
}

/// What an identity trusts, as it travels.
#[must_use]
pub fn pins(identity: &Identity) -> Vec<bytes::Bytes> {
    identity.pins().iter().map(|pin| bytes::Bytes::copy_from_slice(pin)).collect()
}

/// A connection of its own: the certificate that is shown is the one that counts
/// now.
fn client(core: &Target, identity: &Identity) -> Result<EnrollmentClient<Channel>, EnrollError> {
    let tls = chatcode_certs::tls::core_client(identity, &[chatcode_certs::tls::H2_ALPN])
        .map_err(|error| EnrollError::Answer(error.to_string()))?;
    let channel = tcp::channel(core, tls, &identity.trust_domain().core_dns());
    Ok(EnrollmentClient::new(channel).max_decoding_message_size(limits::UNARY_BYTES))
}

fn call<T>(message: T) -> Request<T> {
    let mut call = Request::new(message);
    call.set_timeout(limits::UNARY_DEADLINE);
    call
}
