//! People, teams and bindings: who manages them may change them, and each change
//! counts before it is answered.

use std::sync::Arc;

use chatcode_certs::random;
use chatcode_proto::{
    code::Refusal,
    id::MemberId,
    limits, name,
    pb::{
        self, Code, PersonRole, RoleInfo, binding::Holder, people_create_binding_request,
        people_server::People,
    },
};
use tonic::{Request, Response, Status};

use crate::{
    caller::CallInfo,
    people::{Given, Place, ROLES, permissions},
    services::api_tokens,
    shared::Shared,
    store::people::ChangeError,
};

/// `service People`.
#[derive(Clone, Debug)]
pub struct PeopleService {
    shared: Arc<Shared>,
}

type Answer<T> = Result<Response<T>, Status>;

impl PeopleService {
    /// The service over what the core shares.
    #[must_use]
    pub const fn new(shared: Arc<Shared>) -> Self {
        Self { shared }
    }

    /// Makes a change and lets it count: carried through also when the caller
    /// goes away half-way.
    async fn change<T: Send + 'static, W>(&self, work: impl FnOnce(Arc<Shared>) -> W) -> Result<T, Refusal>
    where
        W: Future<Output = Result<T, ChangeError>> + Send + 'static,
    {
        let shared = Arc::clone(&self.shared);
        let work = work(Arc::clone(&shared));
        let carried = self.shared.tasks.spawn(async move {
            let done = work.await?;
            shared.directory.refresh(&shared.store).await?;
            Ok::<T, ChangeError>(done)
        });
        let done = carried.await.map_err(|_| Refusal::new(Code::Internal, "the change broke off"))?;
        Ok(done?)
    }
}

/// A new random id.
pub(super) fn fresh() -> String {
    MemberId::from_random(random::bytes()).to_string()
}

/// An e-mail address in lower case; empty: none.
pub(super) fn email(text: &str) -> Result<String, Refusal> {
    if text.is_empty() {
        return Ok(String::new());
    }
    name::check("e-mail address", text, limits::EMAIL_CHARS)?;
    let is_one = text.split_once('@').is_some_and(|(local, domain)| {
        !local.is_empty()
            && !domain.is_empty()
            && !domain.contains('@')
            && !text.contains(char::is_whitespace)
    });
    if is_one {
        Ok(text.to_lowercase())
    } else {
        Err(Refusal::new(Code::Invalid, "the e-mail address has another form than NAME@DOMAIN; correct it"))
    }
}

/// An external group: none, or one of a certain provider.
fn group(text: &str) -> Result<(), Refusal> {
    if text.is_empty() {
        return Ok(());
    }
    name::check("external group", text, limits::EXTERNAL_GROUP_CHARS)?;
    match text.split_once(':') {
        Some((provider, group)) if name::is_provider_id(provider) && !group.is_empty() => Ok(()),
        _ => {
            let words = "the external group does not say whose it is; write PROVIDER:GROUP, with the id of the \
                         provider in the core's settings";
            Err(Refusal::new(Code::Invalid, words))
        }
    }
}

/// The role and the place of a request.
pub(super) fn given(role: PersonRole, place: Option<&pb::Place>) -> Result<Given, Refusal> {
    if role == PersonRole::Unspecified {
        return Err(Refusal::new(
            Code::Invalid,
            "the role is missing; it is viewer, operator, admin or owner",
        ));
    }
    let place = place.ok_or_else(|| Refusal::new(Code::Invalid, "the place of the role is missing"))?;
    Ok(Given { role, place: Place::try_from(place)? })
}

#[tonic::async_trait]
impl People for PeopleService {
    async fn list(&self, request: Request<pb::PeopleListRequest>) -> Answer<pb::PeopleListResponse> {
        let (people, more) =
            self.shared.store.people_page(&request.get_ref().after).await.map_err(Refusal::from)?;
        let next = people.last().filter(|_| more).map(|last| last.id.clone()).unwrap_or_default();
        Ok(Response::new(pb::PeopleListResponse { people, next }))
    }

    async fn create(&self, request: Request<pb::PeopleCreateRequest>) -> Answer<pb::PeopleCreateResponse> {
        let by = CallInfo::of(&request)?.changer("person.created");
        let pb::PeopleCreateRequest { display_name, email: address } = request.into_inner();
        name::check("name", &display_name, limits::NAME_CHARS)?;
        let address = email(&address)?;
        let work = |shared: Arc<Shared>| async move {
            shared.store.create_person(&fresh(), &display_name, &address, &by).await
        };
        Ok(Response::new(pb::PeopleCreateResponse { person: Some(self.change(work).await?) }))
    }

    async fn update(&self, request: Request<pb::PeopleUpdateRequest>) -> Answer<pb::PeopleUpdateResponse> {
        let by = CallInfo::of(&request)?.changer("person.updated");
        let pb::PeopleUpdateRequest { id, display_name, email: address } = request.into_inner();
        name::check("name", &display_name, limits::NAME_CHARS)?;
        let address = email(&address)?;
        let work = |shared: Arc<Shared>| async move {
            shared.store.update_person(&id, &display_name, &address, &by).await
        };
        Ok(Response::new(pb::PeopleUpdateResponse { person: Some(self.change(work).await?) }))
    }

    async fn suspend(&self, request: Request<pb::PeopleSuspendRequest>) -> Answer<pb::PeopleSuspendResponse> {
        let pb::PeopleSuspendRequest { id, suspended } = request.get_ref().clone();
        let action = if suspended { "person.suspended" } else { "person.resumed" };
        let by = CallInfo::of(&request)?.changer(action);
        let work = |shared: Arc<Shared>| async move {
            let person = shared.store.suspend_person(&id, suspended, &by).await?;
            if suspended {
                shared.lives.end_person(&id);
            }
            Ok(person)
        };
        Ok(Response::new(pb::PeopleSuspendResponse { person: Some(self.change(work).await?) }))
    }

    async fn remove(&self, request: Request<pb::PeopleRemoveRequest>) -> Answer<pb::PeopleRemoveResponse> {
        let by = CallInfo::of(&request)?.changer("person.removed");
        let id = request.into_inner().id;
        let work = |shared: Arc<Shared>| async move {
            shared.store.remove_person(&id, &by).await?;
            shared.lives.end_person(&id);
            Ok(())
        };
        self.change(work).await?;
        Ok(Response::new(pb::PeopleRemoveResponse {}))
    }

    async fn list_teams(
        &self,
        request: Request<pb::PeopleListTeamsRequest>,
    ) -> Answer<pb::PeopleListTeamsResponse> {
        let (teams, more) =
            self.shared.store.teams_page(&request.get_ref().after).await.map_err(Refusal::from)?;
        let next = teams.last().filter(|_| more).map(|last| last.id.clone()).unwrap_or_default();
        Ok(Response::new(pb::PeopleListTeamsResponse { teams, next }))
    }

    async fn create_team(
        &self,
        request: Request<pb::PeopleCreateTeamRequest>,
    ) -> Answer<pb::PeopleCreateTeamResponse> {
        let by = CallInfo::of(&request)?.changer("team.created");
        let pb::PeopleCreateTeamRequest { name, external_group } = request.into_inner();
        name::check("name", &name, limits::NAME_CHARS)?;
        group(&external_group)?;
        let team = pb::Team { id: fresh(), name, external_group, ..pb::Team::default() };
        let work = |shared: Arc<Shared>| async move { shared.store.create_team(team, &by).await };
        Ok(Response::new(pb::PeopleCreateTeamResponse { team: Some(self.change(work).await?) }))
    }

    async fn update_team(
        &self,
        request: Request<pb::PeopleUpdateTeamRequest>,
    ) -> Answer<pb::PeopleUpdateTeamResponse> {
        let by = CallInfo::of(&request)?.changer("team.updated");
        let pb::PeopleUpdateTeamRequest { id, name, external_group } = request.into_inner();
        name::check("name", &name, limits::NAME_CHARS)?;
        group(&external_group)?;
        let team = pb::Team { id, name, external_group, ..pb::Team::default() };
        self.change(|shared| async move { shared.store.update_team(&team, &by).await }).await?;
        Ok(Response::new(pb::PeopleUpdateTeamResponse {}))
    }

    async fn remove_team(
        &self,
        request: Request<pb::PeopleRemoveTeamRequest>,
    ) -> Answer<pb::PeopleRemoveTeamResponse> {
        let by = CallInfo::of(&request)?.changer("team.removed");
        let id = request.into_inner().id;
        self.change(|shared| async move { shared.store.remove_team(&id, &by).await }).await?;
        Ok(Response::new(pb::PeopleRemoveTeamResponse {}))
    }

    async fn set_team_member(
        &self,
        request: Request<pb::PeopleSetTeamMemberRequest>,
    ) -> Answer<pb::PeopleSetTeamMemberResponse> {
        let by = CallInfo::of(&request)?.changer("team.member");
        let pb::PeopleSetTeamMemberRequest { team, person, member } = request.into_inner();
        let work = |shared: Arc<Shared>| async move {
            shared.store.set_team_member(&team, &person, member, &by).await
        };
        self.change(work).await?;
        Ok(Response::new(pb::PeopleSetTeamMemberResponse {}))
    }

    async fn list_roles(
        &self,
        _: Request<pb::PeopleListRolesRequest>,
    ) -> Answer<pb::PeopleListRolesResponse> {
        let info = |role| RoleInfo {
            role: i32::from(role),
            permissions: permissions(role).into_iter().map(i32::from).collect(),
        };
        Ok(Response::new(pb::PeopleListRolesResponse { roles: ROLES.into_iter().map(info).collect() }))
    }

    async fn list_bindings(
        &self,
        request: Request<pb::PeopleListBindingsRequest>,
    ) -> Answer<pb::PeopleListBindingsResponse> {
        let (bindings, more) =
            self.shared.store.bindings_page(&request.get_ref().after).await.map_err(Refusal::from)?;
        let next = bindings.last().filter(|_| more).map(|last| last.id.clone()).unwrap_or_default();
        Ok(Response::new(pb::PeopleListBindingsResponse { bindings, next }))
    }

    async fn create_binding(
        &self,
        request: Request<pb::PeopleCreateBindingRequest>,
    ) -> Answer<pb::PeopleCreateBindingResponse> {
        let by = CallInfo::of(&request)?.changer("role.given");
        let wanted = request.into_inner();
        let given = given(wanted.role(), wanted.place.as_ref())?;
        if let Place::Gateway(id) = given.place
            && self.shared.hub.labels(id).is_none()
        {
            let words = "there is no machine with this id; list the machines to see theirs";
            return Err(Refusal::new(Code::Invalid, words).into());
        }
        let holder = match wanted.holder {
            Some(people_create_binding_request::Holder::Person(id)) => Holder::Person(id),
            Some(people_create_binding_request::Holder::Team(id)) => Holder::Team(id),
            None => return Err(Refusal::new(Code::Invalid, "name the person or the team").into()),
        };
        let is_narrow = matches!(holder, Holder::Team(_)) || given.place != Place::Everything;
        if given.role == PersonRole::Owner && is_narrow {
            let words = "owners are single persons, and own everything; give the role admin instead";
            return Err(Refusal::new(Code::Invalid, words).into());
        }
        let work = |shared: Arc<Shared>| async move {
            let id = fresh();
            let made = shared.store.create_binding(&id, &holder, &given, &by).await?;
            if let (PersonRole::Owner, true, Holder::Person(person)) = (given.role, made.id == id, &holder) {
                shared.lives.end_person(person);
            }
            Ok(made)
        };
        Ok(Response::new(pb::PeopleCreateBindingResponse { binding: Some(self.change(work).await?) }))
    }

    async fn remove_binding(
        &self,
        request: Request<pb::PeopleRemoveBindingRequest>,
    ) -> Answer<pb::PeopleRemoveBindingResponse> {
        let by = CallInfo::of(&request)?.changer("role.taken");
        let id = request.into_inner().id;
        self.change(|shared| async move { shared.store.remove_binding(&id, &by).await }).await?;
        Ok(Response::new(pb::PeopleRemoveBindingResponse {}))
    }

    async fn list_api_tokens(
        &self,
        request: Request<pb::PeopleListApiTokensRequest>,
    ) -> Answer<pb::PeopleListApiTokensResponse> {
        let info = CallInfo::of(&request)?;
        let tokens = api_tokens::list(&self.shared, &info, &request.get_ref().person).await?;
        Ok(Response::new(pb::PeopleListApiTokensResponse { tokens }))
    }

    async fn create_api_token(
        &self,
        request: Request<pb::PeopleCreateApiTokenRequest>,
    ) -> Answer<pb::PeopleCreateApiTokenResponse> {
        let info = CallInfo::of(&request)?;
        Ok(Response::new(api_tokens::create(&self.shared, &info, request.into_inner()).await?))
    }

    async fn revoke_api_token(
        &self,
        request: Request<pb::PeopleRevokeApiTokenRequest>,
    ) -> Answer<pb::PeopleRevokeApiTokenResponse> {
        let info = CallInfo::of(&request)?;
        api_tokens::revoke(&self.shared, &info, &request.get_ref().id).await?;
        Ok(Response::new(pb::PeopleRevokeApiTokenResponse {}))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_kept_in_lower_case_and_nonsense_is_refused() {
        assert_eq!(email("Ada@Example.ORG").as_deref(), Ok("ada@example.org"));
        assert_eq!(email("").as_deref(), Ok(""));
        for text in
            ["ada", "@example.org", "ada@", "a@b@c", "a b@c", "a@b\n", &format!("{}@b", "x".repeat(254))]
        {
            assert_eq!(email(text).unwrap_err().code, Code::Invalid, "{text:?}");
        }
    }
}
