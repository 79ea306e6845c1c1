//! Identities: by what the caller signs in; each change but a name needs a fresh proof
//! of who they are. And those of others, for whoever manages people: [`others`].

mod others;

use std::sync::Arc;

use chatcode_certs::secret::{self, Secret};
use chatcode_proto::{
    code::Refusal,
    limits, name,
    pb::{
        Code, IdentitiesBeginAddRequest, IdentitiesBeginAddResponse, IdentitiesFinishAddRequest,
        IdentitiesFinishAddResponse, IdentitiesListOfRequest, IdentitiesListOfResponse,
        IdentitiesListRequest, IdentitiesListResponse, IdentitiesRemoveOfRequest, IdentitiesRemoveOfResponse,
        IdentitiesRemoveRequest, IdentitiesRemoveResponse, IdentitiesRenameRequest, IdentitiesRenameResponse,
        IdentitiesSetPasswordRequest, IdentitiesSetPasswordResponse, IdentitiesSignOutOfRequest,
        IdentitiesSignOutOfResponse, IdentityKind, identities_begin_add_request::Method,
        identities_begin_add_response::Options, identities_finish_add_request::Proof,
        identities_server::Identities,
    },
};
use tonic::{Request, Response, Status};
use zeroize::Zeroizing;

use crate::{
    caller::CallInfo,
    services::{
        accounts::at_page,
        people::fresh,
        sign_in::{mail, provider},
    },
    shared::Shared,
    sign_in::{passkeys::Named, passwords},
    store::{
        challenges::{Challenge, ChallengeKind},
        identities::NewIdentity,
        people::Person,
        sign_ins::SecretHash,
    },
};

/// `service Identities`.
#[derive(Clone, Debug)]
pub struct IdentitiesService {
    shared: Arc<Shared>,
}

type Answer<T> = Result<Response<T>, Status>;

impl IdentitiesService {
    /// The service over what the core shares.
    #[must_use]
    pub const fn new(shared: Arc<Shared>) -> Self {
        Self { shared }
    }

    /// A challenge for a new passkey of this person, in this session.
    async fn begin_passkey(
        &self,
        origin: &str,
        person: &Person,
        session: &SecretHash,
    ) -> Result<IdentitiesBeginAddResponse, Refusal> {
        let (store, passkeys) = (&self.shared.store, self.shared.sign_in.passkeys()?);
        let known = store.subjects_of(&person.id, IdentityKind::Passkey).await?;
        let email = store.email_of(&person.id).await?;
        let account = if email.is_empty() { &person.display_name } else { &email };
        let named = Named { id: &person.id, account, display_name: &person.display_name };
        let begun = passkeys.begin_adding(origin, named, &known)?;
        let secret = Secret::generate();
        let challenge = Challenge { person: Some(person.id.clone()), data: begun.state };
        let kind = ChallengeKind::PasskeyAdd;
        let expires_unix_ms = store.add_challenge(&bound(&secret, session), kind, &challenge).await?;
        Ok(IdentitiesBeginAddResponse {
            challenge: secret.expose().to_string(),
            expires_unix_ms,
            options: Some(Options::Passkey(begun.options)),
        })
    }

    /// Adds the passkey that answers a challenge of this session.
    async fn finish_passkey(
        &self,
        info: &CallInfo,
        wanted: &IdentitiesFinishAddRequest,
        answer: &str,
    ) -> Result<IdentitiesFinishAddResponse, Refusal> {
        let bad = || {
            let words = "this was begun in another browser, or more than five minutes ago; begin again";
            Refusal::new(Code::BadToken, words)
        };
        let (person, session) = at_page(info)?;
        name::check("name of the passkey", &wanted.label, limits::NAME_CHARS)?;
        let passkeys = self.shared.sign_in.passkeys()?;
        let secret = Secret::from_text(&wanted.challenge).map_err(|_| bad())?;
        let store = &self.shared.store;
        let challenge = store.take_challenge(&bound(&secret, session), ChallengeKind::PasskeyAdd).await?;
        let challenge =
            challenge.filter(|found| found.person.as_deref() == Some(person.id.as_str())).ok_or_else(bad)?;
        let made = passkeys.finish_adding(&info.origin, &challenge.data, answer)?;
        let new = NewIdentity {
            id: &fresh(),
            person: &person.id,
            session,
            kind: IdentityKind::Passkey,
            subject: &made.subject,
            data: &made.data,
            label: &wanted.label,
        };
        let identity = Some(store.add_identity(&new, &info.act("identity.added")).await?);
        Ok(IdentitiesFinishAddResponse { identity })
    }
}

#[tonic::async_trait]
impl Identities for IdentitiesService {
    async fn list(&self, request: Request<IdentitiesListRequest>) -> Answer<IdentitiesListResponse> {
        let info = CallInfo::of(&request)?;
        let (person, _) = at_page(&info)?;
        let store = &self.shared.store;
        let identities = store.identities_of(&person.id).await.map_err(Refusal::from)?;
        let email = store.email_of(&person.id).await.map_err(Refusal::from)?;
        Ok(Response::new(IdentitiesListResponse { identities, email }))
    }

    async fn begin_add(
        &self,
        request: Request<IdentitiesBeginAddRequest>,
    ) -> Answer<IdentitiesBeginAddResponse> {
        let info = CallInfo::of(&request)?;
        let (person, session) = at_page(&info)?;
        match &request.get_ref().method {
            Some(Method::Passkey(true)) => {
                Ok(Response::new(self.begin_passkey(&info.origin, person, session).await?))
            }
            Some(Method::Mail(address)) => {
                Ok(Response::new(mail::begin_adding(&self.shared, &info, address).await?))
            }
            Some(Method::Provider(id)) => {
                Ok(Response::new(provider::begin_adding(&self.shared, &info, id).await?))
            }
            Some(Method::Passkey(false)) | None => {
                Err(Refusal::new(Code::Invalid, "name what is to be added").into())
            }
        }
    }

    async fn finish_add(
        &self,
        request: Request<IdentitiesFinishAddRequest>,
    ) -> Answer<IdentitiesFinishAddResponse> {
        let info = CallInfo::of(&request)?;
        let wanted = request.get_ref();
        match &wanted.proof {
            Some(Proof::Passkey(answer)) => {
                Ok(Response::new(self.finish_passkey(&info, wanted, answer).await?))
            }
            Some(Proof::Mail(code)) => {
                let added = mail::finish_adding(&self.shared, &info, &wanted.challenge, code).await?;
                Ok(Response::new(added))
            }
            Some(Proof::Provider(proof)) => {
                let added = provider::finish_adding(&self.shared, &info, &wanted.challenge, proof).await?;
                Ok(Response::new(added))
            }
            None => Err(Refusal::new(Code::Invalid, "the answer is missing; send it").into()),
        }
    }

    async fn rename(&self, request: Request<IdentitiesRenameRequest>) -> Answer<IdentitiesRenameResponse> {
        let info = CallInfo::of(&request)?;
        let (person, _) = at_page(&info)?;
        let IdentitiesRenameRequest { id, label } = request.get_ref();
        name::check("name", label, limits::NAME_CHARS)?;
        let act = info.act("identity.renamed");
        self.shared.store.rename_identity(&person.id, id, label, &act).await.map_err(Refusal::from)?;
        Ok(Response::new(IdentitiesRenameResponse {}))
    }

    async fn remove(&self, request: Request<IdentitiesRemoveRequest>) -> Answer<IdentitiesRemoveResponse> {
        let info = CallInfo::of(&request)?;
        let (person, session) = at_page(&info)?;
        let act = info.act("identity.removed");
        let removed =
            self.shared.store.remove_identity(&person.id, &request.get_ref().id, session, &act).await;
        self.shared.lives.end_each(&removed.map_err(Refusal::from)?);
        self.shared.directory.refresh(&self.shared.store).await.map_err(Refusal::from)?;
        Ok(Response::new(IdentitiesRemoveResponse {}))
    }

    async fn list_of(&self, request: Request<IdentitiesListOfRequest>) -> Answer<IdentitiesListOfResponse> {
        Ok(Response::new(others::list(&self.shared, &request.get_ref().person).await?))
    }

    async fn remove_of(
        &self,
        request: Request<IdentitiesRemoveOfRequest>,
    ) -> Answer<IdentitiesRemoveOfResponse> {
        let info = CallInfo::of(&request)?;
        others::remove(&self.shared, &info, request.get_ref()).await?;
        Ok(Response::new(IdentitiesRemoveOfResponse {}))
    }

    async fn sign_out_of(
        &self,
        request: Request<IdentitiesSignOutOfRequest>,
    ) -> Answer<IdentitiesSignOutOfResponse> {
        let info = CallInfo::of(&request)?;
        let ended = others::sign_out(&self.shared, &info, request.get_ref()).await?;
        Ok(Response::new(IdentitiesSignOutOfResponse { ended }))
    }

    async fn set_password(
        &self,
        request: Request<IdentitiesSetPasswordRequest>,
    ) -> Answer<IdentitiesSetPasswordResponse> {
        let info = CallInfo::of(&request)?;
        let (person, session) = at_page(&info)?;
        let (store, hasher) = (&self.shared.store, self.shared.sign_in.passwords()?);
        let email = store.email_of(&person.id).await.map_err(Refusal::from)?;
        if email.is_empty() {
            let words = "your account has no e-mail address to sign in with; ask an administrator to set it (chatcode admin people update)";
            return Err(Refusal::new(Code::Invalid, words).into());
        }
        let password = Zeroizing::new(request.into_inner().password);
        let local = email.split('@').next().unwrap_or_default();
        passwords::check(&password, &[&person.display_name, &email, local])?;
        let hash = hasher.hash(password).await?;
        let new = NewIdentity {
            id: &fresh(),
            person: &person.id,
            session,
            kind: IdentityKind::Password,
            subject: &person.id,
            data: &hash,
            label: "Password",
        };
        let act = info.act("password.set");
        let (identity, ended) = store.set_password(&new, &act).await.map_err(Refusal::from)?;
        self.shared.lives.end_each(&ended);
        Ok(Response::new(IdentitiesSetPasswordResponse { identity: Some(identity) }))
    }
}

/// The hash of a challenge that counts in one session only.
pub(super) fn bound(secret: &Secret, session: &SecretHash) -> SecretHash {
    let both = Zeroizing::new([&secret.expose_bytes()[..], session].concat());
    secret::hash(&both)
}
