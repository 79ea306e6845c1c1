//! Signing in by an identity provider, and adding an account at one.

use chatcode_certs::secret::Secret;
use chatcode_proto::{
    code::Refusal,
    pb::{
        AccountsBeginSignInResponse, Code, IdentitiesBeginAddResponse, IdentitiesFinishAddResponse,
        IdentityKind, IdentityProvider, ProviderProof, accounts_begin_sign_in_response,
        identities_begin_add_response,
    },
};

use super::{add_challenge, take_challenge};
use crate::{
    caller::CallInfo,
    people::vouched::Vouched,
    services::{accounts::at_page, identities::bound, people::fresh},
    shared::Shared,
    sign_in::providers::{self, Answer, Purpose},
    store::{
        challenges::{Challenge, ChallengeKind},
        identities::NewIdentity,
        sign_ins::Proven,
    },
};

/// The same whether a person exists with the address of the account there.
pub(super) const NO_ACCOUNT: &str = "no account here is linked with this sign-in; sign in another way and add it \
    under Account, or ask an administrator";

/// The providers as the page shows them.
pub(super) fn shown(shared: &Shared) -> Vec<IdentityProvider> {
    let message = |(id, name): (&str, &str)| IdentityProvider { id: id.to_owned(), name: name.to_owned() };
    shared.sign_in.providers().shown().map(message).collect()
}

/// Sends a browser to the provider with this id.
pub(super) async fn begin(
    shared: &Shared,
    info: &CallInfo,
    id: &str,
) -> Result<AccountsBeginSignInResponse, Refusal> {
    let secret = Secret::generate();
    let (url, data) = begun(shared, info, id, &secret, Purpose::SignIn).await?;
    let challenge = Challenge { person: None, data };
    let expires_unix_ms = add_challenge(shared, &secret, ChallengeKind::ProviderSignIn, &challenge).await?;
    Ok(AccountsBeginSignInResponse {
        challenge: secret.expose().to_string(),
        expires_unix_ms,
        options: Some(accounts_begin_sign_in_response::Options::Provider(url)),
    })
}

/// Who came back.
pub(super) async fn prove(
    shared: &Shared,
    info: &CallInfo,
    proof: &ProviderProof,
) -> Result<Proven, Refusal> {
    let secret = secret(&proof.challenge)?;
    providers::check_state(&secret, Purpose::SignIn, &proof.state)?;
    let challenge = take_challenge(shared, &proof.challenge, ChallengeKind::ProviderSignIn).await?;
    let vouched = finished(shared, info, &challenge.data, &secret, Purpose::SignIn, proof).await?;
    Ok(Proven::Vouched(Box::new(vouched)))
}

/// Sends the browser of a person who is in to the provider with this id.
pub(in crate::services) async fn begin_adding(
    shared: &Shared,
    info: &CallInfo,
    id: &str,
) -> Result<IdentitiesBeginAddResponse, Refusal> {
    let (person, session) = at_page(info)?;
    let secret = Secret::generate();
    let (url, data) = begun(shared, info, id, &secret, Purpose::Add).await?;
    let challenge = Challenge { person: Some(person.id.clone()), data };
    let (hash, kind) = (bound(&secret, session), ChallengeKind::ProviderAdd);
    let expires_unix_ms = shared.store.add_challenge(&hash, kind, &challenge).await?;
    Ok(IdentitiesBeginAddResponse {
        challenge: secret.expose().to_string(),
        expires_unix_ms,
        options: Some(identities_begin_add_response::Options::Provider(url)),
    })
}

/// Links whom the provider vouches for with the person who is in.
pub(in crate::services) async fn finish_adding(
    shared: &Shared,
    info: &CallInfo,
    challenge: &str,
    proof: &ProviderProof,
) -> Result<IdentitiesFinishAddResponse, Refusal> {
    let (person, session) = at_page(info)?;
    let secret = secret(challenge)?;
    providers::check_state(&secret, Purpose::Add, &proof.state)?;
    let found = shared.store.take_challenge(&bound(&secret, session), ChallengeKind::ProviderAdd).await?;
    let found = found.filter(|found| found.person.as_deref() == Some(&person.id)).ok_or_else(bad)?;
    let vouched = finished(shared, info, &found.data, &secret, Purpose::Add, proof).await?;
    let new = NewIdentity {
        id: &fresh(),
        person: &person.id,
        session,
        kind: IdentityKind::Provider,
        subject: &vouched.subject,
        data: &vouched.provider,
        label: &vouched.label,
    };
    let identity = Some(shared.store.add_identity(&new, &info.act("identity.added")).await?);
    Ok(IdentitiesFinishAddResponse { identity })
}

/// Where the browser goes, and which provider that is.
async fn begun(
    shared: &Shared,
    info: &CallInfo,
    id: &str,
    secret: &Secret,
    purpose: Purpose,
) -> Result<(String, String), Refusal> {
    let (providers, origin) = (shared.sign_in.providers(), shared.sign_in.page(&info.origin)?);
    let provider = providers.find(id)?;
    let url = providers.begin(provider, secret, purpose, origin).await?;
    Ok((url, provider.id().to_owned()))
}

/// Whom the provider of a challenge vouches for.
async fn finished(
    shared: &Shared,
    info: &CallInfo,
    provider: &str,
    secret: &Secret,
    purpose: Purpose,
    proof: &ProviderProof,
) -> Result<Vouched, Refusal> {
    let (providers, origin) = (shared.sign_in.providers(), shared.sign_in.page(&info.origin)?);
    let answer = Answer {
        provider: &proof.provider_id,
        code: &proof.code,
        state: &proof.state,
        issuer: &proof.issuer,
    };
    providers.finish(providers.find(provider)?, secret, purpose, origin, answer).await
}

fn secret(text: &str) -> Result<Secret, Refusal> {
    Secret::from_text(text).map_err(|_| bad())
}

fn bad() -> Refusal {
    let words = "this was begun in another browser, or more than ten minutes ago; begin again";
    Refusal::new(Code::BadToken, words)
}
