//! Teams whose members an identity provider names by its groups.

use chatcode_core::config::provider::ProviderConfig;
use chatcode_proto::pb::{
    AccountsWhoAmIRequest, Code, IdentitiesListRequest, IdentitiesRemoveRequest, PeopleCreateTeamRequest,
    PeopleListTeamsRequest, PeopleSetTeamMemberRequest, PeopleUpdateTeamRequest, PersonRole, ProviderProof,
    identities_client::IdentitiesClient,
};
use serde_json::{Value, json};

use crate::{
    common::{Page, code},
    people::Town,
    provider::Provider,
    vouching::{ada, begin, come_back, core_with, person, sent_back, sign_in, trusting},
};

#[tokio::test]
async fn groups_set_the_teams_anew_and_leave_those_that_were_made_by_hand() {
    let provider = Provider::start().await;
    let config = ProviderConfig { groups_claim: Some("groups".to_owned()), ..trusting(&provider) };
    let core = core_with(vec![config]).await;
    let town = Town::of(&core).await;
    let ada_here = person(&town, "Ada", "ada@example.org").await;
    let team = async |name: &str, group: &str| {
        let request = PeopleCreateTeamRequest { name: name.to_owned(), external_group: group.to_owned() };
        town.people().create_team(request).await.unwrap().into_inner().team.unwrap().id
    };
    let (ops, _dev) = (team("Operators", "work:ops").await, team("Developers", "work:dev").await);
    let hand = team("By hand", "").await;
    let member = PeopleSetTeamMemberRequest { team: hand, person: ada_here.id.clone(), member: true };
    town.people().set_team_member(member).await.unwrap();
    let binding = chatcode_proto::pb::people_create_binding_request::Holder::Team(ops);
    let request = chatcode_proto::pb::PeopleCreateBindingRequest {
        holder: Some(binding),
        role: PersonRole::Operator.into(),
        place: Some(crate::people::everything()),
    };
    town.people().create_binding(request).await.unwrap();
    let teams = async || -> Vec<String> {
        let teams = town.people().list_teams(PeopleListTeamsRequest::default()).await.unwrap().into_inner();
        let of_ada = teams.teams.into_iter().filter(|team| team.members.contains(&ada_here.id));
        of_ada.map(|team| team.name).collect()
    };
    let with = |groups: Value| {
        let mut claims = ada(true);
        claims["groups"] = groups;
        claims
    };
    let first = sign_in(&town, &provider, with(json!(["ops", "nobody's"]))).await.unwrap();
    assert_eq!(teams().await, ["By hand", "Operators"]);
    let page = Page { edge: town.edge.clone(), token: first.session_token };
    let me = page.accounts().who_am_i(page.request(AccountsWhoAmIRequest {})).await.unwrap().into_inner();
    assert_eq!(me.role(), PersonRole::Operator, "the team's role counts at once");
    sign_in(&town, &provider, with(json!(["dev"]))).await.unwrap();
    assert_eq!(teams().await, ["By hand", "Developers"]);
    provider.tells(json!({ "sub": "7" }));
    sign_in(&town, &provider, ada(true)).await.unwrap();
    assert_eq!(teams().await, ["By hand"], "who is in no group any more");
    let me = page.accounts().who_am_i(page.request(AccountsWhoAmIRequest {})).await.unwrap().into_inner();
    assert_eq!(me.role(), PersonRole::Unspecified, "and the role is gone at once");

    // The account's word counts no longer than the account does.
    let last = sign_in(&town, &provider, with(json!(["ops"]))).await.unwrap();
    assert_eq!(teams().await, ["By hand", "Operators"]);
    let page = Page { edge: town.edge.clone(), token: last.session_token };
    let mut identities = IdentitiesClient::new(page.edge.clone());
    let own = identities.list(page.request(IdentitiesListRequest {})).await.unwrap().into_inner().identities;
    let request = IdentitiesRemoveRequest { id: own[0].id.clone() };
    identities.remove(page.request(request)).await.unwrap();
    assert_eq!(teams().await, ["By hand"]);
    let me = page.accounts().who_am_i(page.request(AccountsWhoAmIRequest {})).await.unwrap().into_inner();
    assert_eq!(me.role(), PersonRole::Unspecified);
}

#[tokio::test]
async fn a_group_is_of_one_provider_and_another_group_takes_its_members_out_at_once() {
    let (work, shop) = (Provider::start().await, Provider::start().await);
    let grouped = |provider: &Provider, id: &str| ProviderConfig {
        id: id.to_owned(),
        groups_claim: Some("groups".to_owned()),
        ..trusting(provider)
    };
    let core = core_with(vec![grouped(&work, "work"), grouped(&shop, "shop")]).await;
    let town = Town::of(&core).await;
    let ada_here = person(&town, "Ada", "ada@example.org").await;
    let create = async |external_group: &str| {
        let external_group = external_group.to_owned();
        town.people()
            .create_team(PeopleCreateTeamRequest { name: "Operators".to_owned(), external_group })
            .await
    };
    for unowned in ["ops", ":ops", "work:", "Work:ops"] {
        assert_eq!(code(&create(unowned).await.unwrap_err()), Code::Invalid, "{unowned}");
    }
    let team = create("work:ops").await.unwrap().into_inner().team.unwrap();
    let is_in = async || {
        let teams = town.people().list_teams(PeopleListTeamsRequest::default()).await.unwrap().into_inner();
        teams.teams[0].members.contains(&ada_here.id)
    };
    let mut claims = ada(true);
    claims["groups"] = json!(["ops", "work:ops"]);
    let (challenge, url) = begin(&town, "shop").await.unwrap();
    let (given, state) = shop.agree(&url, claims.clone());
    let proof =
        ProviderProof { provider_id: "shop".to_owned(), ..sent_back(challenge, given, state, &shop.issuer) };
    come_back(&town, proof, None).await.unwrap();
    assert!(!is_in().await, "another provider's group of this name");
    sign_in(&town, &work, claims).await.unwrap();
    assert!(is_in().await);

    let update = async |name: &str, external_group: &str| {
        let (name, external_group) = (name.to_owned(), external_group.to_owned());
        let request = PeopleUpdateTeamRequest { id: team.id.clone(), name, external_group };
        town.people().update_team(request).await.unwrap();
    };
    update("Operation", "work:ops").await;
    assert!(is_in().await, "another name is no other group");
    update("Operation", "work:owners").await;
    assert!(!is_in().await, "what was said of the one group says nothing of the other");
}
