//! People of a test: with a role somewhere, at a page or by an API token.

use chatcode_proto::pb::{
    AccountsCreateSignInRequest, AccountsSignInRequest, Binding, MemberKind, PeopleCreateApiTokenRequest,
    PeopleCreateBindingRequest, PeopleCreateRequest, Person, PersonRole, Place, PlaceLabel,
    accounts_client::AccountsClient, accounts_sign_in_request::Proof, fleet_client::FleetClient,
    people_client::PeopleClient, people_create_binding_request::Holder, place,
};
use tonic::{Request, transport::Channel};

use crate::common::{Page, TestCore, authorize};

/// Those who manage people, and the edge that all go through.
pub(crate) struct Town<'a> {
    pub(crate) core: &'a TestCore,
    pub(crate) edge: Channel,
    /// An administrator's program.
    pub(crate) admin: Channel,
}

pub(crate) fn everything() -> Place {
    Place { place: Some(place::Place::Everything(true)) }
}

pub(crate) fn label(key: &str, value: &str) -> Place {
    let label = PlaceLabel { key: key.to_owned(), value: value.to_owned() };
    Place { place: Some(place::Place::Label(label)) }
}

pub(crate) fn gateway(id: &str) -> Place {
    Place { place: Some(place::Place::Gateway(id.to_owned())) }
}

impl<'a> Town<'a> {
    pub(crate) async fn of(core: &'a TestCore) -> Self {
        let edge = core.channel(&core.enroll(MemberKind::Edge, "edge").await);
        Self { core, edge, admin: core.admin().await }
    }

    pub(crate) fn people(&self) -> PeopleClient<Channel> {
        PeopleClient::new(self.admin.clone())
    }

    pub(crate) async fn person(&self, name: &str) -> Person {
        let request = PeopleCreateRequest { display_name: name.to_owned(), email: String::new() };
        self.people().create(request).await.unwrap().into_inner().person.unwrap()
    }

    pub(crate) async fn give(&self, person: &str, role: PersonRole, place: Place) -> Binding {
        let holder = Some(Holder::Person(person.to_owned()));
        let request = PeopleCreateBindingRequest { holder, role: role.into(), place: Some(place) };
        self.people().create_binding(request).await.unwrap().into_inner().binding.unwrap()
    }

    /// Signs in; a browser that had a session before says so.
    pub(crate) async fn sign_in(&self, person: &str, before: Option<&Page>) -> Page {
        let request = AccountsCreateSignInRequest { person: person.to_owned() };
        let made = AccountsClient::new(self.admin.clone()).create_sign_in(request).await.unwrap();
        let request = AccountsSignInRequest {
            proof: Some(Proof::Secret(made.into_inner().secret)),
            device: "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0".to_owned(),
            address: "192.0.2.7".to_owned(),
            replaces: before.map(|page| page.token.clone()).unwrap_or_default(),
            same_person: false,
        };
        let answer = AccountsClient::new(self.edge.clone()).sign_in(request).await.unwrap().into_inner();
        Page { edge: self.edge.clone(), token: answer.session_token }
    }

    /// A new person with a role somewhere, signed in.
    pub(crate) async fn with_role(
        &self,
        name: &str,
        role: PersonRole,
        place: Place,
    ) -> (Person, Page, Binding) {
        let person = self.person(name).await;
        let binding = self.give(&person.id, role, place).await;
        let page = self.sign_in(&person.id, None).await;
        (person, page, binding)
    }

    /// A program without a certificate, with an API token of this person.
    pub(crate) async fn program(&self, person: &str, role: PersonRole) -> (Program, String) {
        let request = PeopleCreateApiTokenRequest {
            person: person.to_owned(),
            name: "script".to_owned(),
            role: role.into(),
            ..Default::default()
        };
        let made = self.people().create_api_token(request).await.unwrap().into_inner();
        (Program { channel: self.core.anonymous(), token: made.secret }, made.token.unwrap().id)
    }
}

/// A program that shows an API token.
pub(crate) struct Program {
    pub(crate) channel: Channel,
    pub(crate) token: String,
}

impl Program {
    pub(crate) fn request<T>(&self, message: T) -> Request<T> {
        let mut request = Request::new(message);
        authorize(&mut request, &format!("Bearer {}", self.token));
        request
    }

    pub(crate) fn fleet(&self) -> FleetClient<Channel> {
        FleetClient::new(self.channel.clone())
    }

    pub(crate) fn people(&self) -> PeopleClient<Channel> {
        PeopleClient::new(self.channel.clone())
    }
}

impl Page {
    pub(crate) fn people(&self) -> PeopleClient<Channel> {
        PeopleClient::new(self.edge.clone())
    }
}
