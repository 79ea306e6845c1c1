//! Every method of the contract, called as every kind of caller, against a table
//! that was written by hand.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use chatcode_link::codec::OpaqueCodec;
use chatcode_proto::{
    id::{GatewayId, SessionId},
    label::Labels,
    pb::{
        Code, Gateway, MemberKind, PeopleSuspendRequest, PersonRole, Role, Session, SharesCreateRequest,
        SharesEnterRequest, shares_client::SharesClient,
    },
    rules::RULES,
};
use http::uri::PathAndQuery;
use tonic::{Request, Status, client::Grpc, transport::Channel};

use crate::{
    common::{TestCore, aim, authorize, code},
    people::{Town, everything, gateway, label},
};

/// The callers, in the order of the columns below.
const CALLERS: [&str; 20] = [
    "anonymous",
    "a gateway",
    "an edge without a person",
    "a viewer",
    "an operator",
    "an admin",
    "an owner",
    "an owner's token for viewing",
    "an owner's token for operating",
    "an owner's token for administering",
    "an owner's token for all",
    "an admin of another label",
    "an operator of another gateway",
    "a person without a role",
    "a suspended person",
    "a suspended person's token",
    "an administrator's certificate",
    "a guest who may look",
    "a guest who may type",
    "a guest of another session there",
];

/// What each may: I is let in by the gate, F is FORBIDDEN, U is UNAUTHENTICATED, N
/// is UNKNOWN_GATEWAY, S is UNKNOWN_SESSION. All targets are one session of a gateway with the
/// label site=attic.
const TABLE: &[(&str, &str)] = &[
    //                  members and  people    their     neighbours  suspended  guests
    //                  nobody       by role   tokens    and nobody
    ("public", "III IIII IIII III II I III"),
    ("present", "UUU IIII IIII III UU I III"),
    ("authenticated", "UUU IIII IIII III UU I FFF"),
    ("link", "UUU FFFF FFFF FFF UU F FFF"),
    ("member", "UII FFFF FFFF FFF UU I FFF"),
    ("fleet.view", "UUU IIII IIII IIF UU I FFF"),
    ("session.view", "UUU IIII IIII IIF UU I III"),
    ("session.share", "UUU FIII FIII IIF UU I FFF"),
    ("attach", "UUU IIII IIII NNF UU I IIS"),
    ("machine.view", "UUU IIII IIII NNF UU I FFF"),
    ("machine.write", "UUU FIII FIII NNF UU I FFF"),
    ("machine.update", "UUU FFII FFII NFF UU I FFF"),
    ("fleet.revoke", "UUU FFII FFII IFF UU I FFF"),
    ("enroll", "UUU FFII FFII FFF UU I FFF"),
    ("audit", "UUU FFII FFII IFF UU I FFF"),
    ("admin", "UUU FFII FFII FFF UU I FFF"),
    ("people", "UUU FFII FFII FFF UU I FFF"),
    ("ca", "UUU FFFI FFFI FFF UU I FFF"),
];

/// Every method and the row of the table that counts for it. Those that end what
/// lets the caller in stand last.
const METHODS: &[(&str, &str)] = &[
    ("Accounts/SignIn", "public"),
    ("Accounts/SignInMethods", "public"),
    ("Accounts/BeginSignIn", "public"),
    ("Devices/Begin", "public"),
    ("Devices/Poll", "public"),
    ("Devices/Look", "authenticated"),
    ("Devices/Decide", "authenticated"),
    ("Enrollment/Enroll", "public"),
    ("Enrollment/Revive", "public"),
    ("Enrollment/Leave", "public"),
    ("Enrollment/Renew", "member"),
    ("Enrollment/Trust", "member"),
    ("Link/Control", "link"),
    ("Link/Directory", "link"),
    ("Accounts/WhoAmI", "present"),
    ("Accounts/ListSessions", "authenticated"),
    ("Accounts/EndSessions", "authenticated"),
    ("Accounts/CreateTicket", "present"),
    ("Accounts/CreateSignIn", "people"),
    ("Fleet/List", "fleet.view"),
    ("Fleet/Watch", "fleet.view"),
    ("Fleet/CreateToken", "enroll"),
    ("Fleet/ListTokens", "enroll"),
    ("Fleet/RevokeToken", "enroll"),
    ("Fleet/ListPending", "enroll"),
    ("Fleet/DecidePending", "enroll"),
    ("Fleet/AcknowledgeDuplicate", "fleet.revoke"),
    ("Fleet/Revoke", "fleet.revoke"),
    ("Sessions/List", "machine.view"),
    ("Sessions/Get", "machine.view"),
    ("Sessions/Watch", "machine.view"),
    ("Sessions/Create", "machine.write"),
    ("Sessions/Rename", "machine.write"),
    ("Sessions/ListTmux", "machine.write"),
    ("Sessions/End", "machine.write"),
    ("Terminal/Attach", "attach"),
    ("Host/UpdateStatus", "machine.view"),
    ("Host/Update", "machine.update"),
    ("Shares/Look", "public"),
    ("Shares/Enter", "public"),
    ("Shares/Create", "session.share"),
    ("Shares/List", "session.view"),
    ("Shares/Revoke", "session.share"),
    ("Audit/List", "audit"),
    ("Audit/Export", "audit"),
    ("Audit/Watch", "audit"),
    ("Audit/Head", "audit"),
    ("Audit/Verify", "audit"),
    ("Admin/Status", "admin"),
    ("Admin/Drain", "admin"),
    ("Admin/ListMembers", "admin"),
    ("Admin/RevokeMember", "admin"),
    ("Admin/CaStatus", "admin"),
    ("Admin/CaRotate", "ca"),
    ("Admin/CaRequest", "ca"),
    ("Admin/CaImport", "ca"),
    ("Identities/List", "authenticated"),
    ("Identities/BeginAdd", "authenticated"),
    ("Identities/FinishAdd", "authenticated"),
    ("Identities/Rename", "authenticated"),
    ("Identities/Remove", "authenticated"),
    ("Identities/SetPassword", "authenticated"),
    ("Identities/ListOf", "people"),
    ("Identities/RemoveOf", "people"),
    ("Identities/SignOutOf", "people"),
    ("People/List", "people"),
    ("People/Create", "people"),
    ("People/Update", "people"),
    ("People/Suspend", "people"),
    ("People/Remove", "people"),
    ("People/ListTeams", "people"),
    ("People/CreateTeam", "people"),
    ("People/UpdateTeam", "people"),
    ("People/RemoveTeam", "people"),
    ("People/SetTeamMember", "people"),
    ("People/ListRoles", "authenticated"),
    ("People/ListBindings", "people"),
    ("People/CreateBinding", "people"),
    ("People/RemoveBinding", "people"),
    ("People/ListApiTokens", "authenticated"),
    ("People/CreateApiToken", "authenticated"),
    ("People/RevokeApiToken", "authenticated"),
    ("Accounts/SignOut", "present"),
];

type Caller = (Channel, Option<String>);

/// A gateway that was never linked: a call that is let in is told so.
fn add_gateway(core: &TestCore, number: u8, site: &str) -> String {
    let id = GatewayId::from_random([number; 16]);
    let labels = Labels::from([("site".to_owned(), site.to_owned())]);
    core.shared.hub.add_gateway(id, Gateway { id: id.to_string(), labels, ..Default::default() });
    id.to_string()
}

async fn callers(core: &TestCore, here: &str, other: &str) -> Vec<Caller> {
    let town = Town::of(core).await;
    let machine = core.channel(&core.enroll(MemberKind::Gateway, "machine").await);
    let mut all = vec![(core.anonymous(), None), (machine, None), (town.edge.clone(), None)];
    let bearer = |token: &str| Some(format!("Bearer {token}"));
    let roles = [PersonRole::Viewer, PersonRole::Operator, PersonRole::Admin, PersonRole::Owner];
    let mut owner = String::new();
    for role in roles {
        let (person, page, _) = town.with_role("somebody", role, everything()).await;
        all.push((page.edge.clone(), bearer(&page.token)));
        owner = person.id;
    }
    for role in roles {
        let (program, _) = town.program(&owner, role).await;
        all.push((program.channel.clone(), bearer(&program.token)));
    }
    let (_, page, _) = town.with_role("neighbour", PersonRole::Admin, label("site", "cellar")).await;
    all.push((page.edge.clone(), bearer(&page.token)));
    let (_, page, _) = town.with_role("other neighbour", PersonRole::Operator, gateway(other)).await;
    all.push((page.edge.clone(), bearer(&page.token)));
    let nobody = town.person("nobody").await;
    let page = town.sign_in(&nobody.id, None).await;
    all.push((page.edge.clone(), bearer(&page.token)));

    let (gone, page, _) = town.with_role("gone", PersonRole::Owner, everything()).await;
    let (program, _) = town.program(&gone.id, PersonRole::Owner).await;
    town.people().suspend(PeopleSuspendRequest { id: gone.id, suspended: true }).await.unwrap();
    all.push((page.edge.clone(), bearer(&page.token)));
    all.push((program.channel.clone(), bearer(&program.token)));
    all.push((town.admin.clone(), None));
    for (role, session) in [(Role::Viewer, 9), (Role::Writer, 9), (Role::Writer, 7)] {
        let token = guest(&town, here, SessionId::from_random([session; 16]), role).await;
        all.push((town.edge.clone(), Some(format!("Guest {token}"))));
    }
    all
}

/// The token of a guest whom an administrator's program has let in.
async fn guest(town: &Town<'_>, gateway: &str, session: SessionId, role: Role) -> String {
    let known = Session { id: session.to_string(), ..Default::default() };
    town.core.shared.hub.put_session(gateway.parse().unwrap(), session, known);
    let wish = SharesCreateRequest {
        gateway: gateway.to_owned(),
        session: session.to_string(),
        role: role.into(),
        ..Default::default()
    };
    let made = SharesClient::new(town.admin.clone()).create(wish).await.unwrap().into_inner();
    let wish =
        SharesEnterRequest { secret: made.secret, display_name: "Bo".to_owned(), ..Default::default() };
    SharesClient::new(town.edge.clone()).enter(wish).await.unwrap().into_inner().guest_token
}

/// Calls a method with an empty message and this gateway as its target; waits for
/// its head only.
async fn call((channel, credential): &Caller, path: &str, gateway: &str) -> Result<(), Status> {
    let mut grpc = Grpc::new(channel.clone());
    grpc.ready().await.unwrap();
    let mut request = Request::new(Bytes::new());
    if let Some(credential) = credential {
        authorize(&mut request, credential);
    }
    aim(&mut request, gateway, &SessionId::from_random([9; 16]).to_string());
    let path: PathAndQuery = path.parse().unwrap();
    grpc.server_streaming(request, path, OpaqueCodec).await.map(drop)
}

/// How the gate refuses.
const REFUSALS: [&str; 2] = ["you may not do this;", "guests see the one session"];

/// What became of a call, in the letters of the table. What a service refuses, the
/// gate has let in.
fn letter(outcome: &Result<(), Status>, has_target: bool) -> char {
    let Err(status) = outcome else { return 'I' };
    match code(status) {
        Code::Unauthenticated => 'U',
        Code::RateLimited if status.message().contains("wrong API tokens") => 'U',
        Code::Forbidden if REFUSALS.iter().any(|words| status.message().starts_with(words)) => 'F',
        Code::UnknownGateway if has_target => 'N',
        Code::UnknownSession if has_target => 'S',
        _ => 'I',
    }
}

#[tokio::test]
async fn every_method_lets_in_exactly_those_whom_the_table_lets_in() {
    let listed: BTreeSet<String> = METHODS.iter().map(|(name, _)| format!("/chatcode.v1.{name}")).collect();
    let known: BTreeSet<String> = RULES.iter().map(|(path, _)| (*path).to_owned()).collect();
    assert_eq!(listed, known, "every method of the contract is in the table, and nothing else");
    assert_eq!(METHODS.len(), RULES.len(), "once");

    let core = TestCore::start().await;
    let (here, other) = (add_gateway(&core, 1, "attic"), add_gateway(&core, 2, "moon"));
    add_gateway(&core, 3, "cellar");
    let callers = callers(&core, &here, &other).await;
    assert_eq!(callers.len(), CALLERS.len());
    let table: BTreeMap<_, String> =
        TABLE.iter().map(|(row, letters)| (*row, letters.replace(' ', ""))).collect();
    let mut wrong = Vec::new();
    for (name, row) in METHODS {
        let has_target = row.starts_with("machine.") || *row == "attach";
        for ((who, caller), expected) in CALLERS.iter().zip(&callers).zip(table[row].chars()) {
            let outcome = call(caller, &format!("/chatcode.v1.{name}"), &here).await;
            if letter(&outcome, has_target) != expected {
                wrong.push(format!("{who} calls {name}: not {expected} but {outcome:?}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[tokio::test]
async fn a_machine_that_one_may_not_see_is_answered_as_one_that_never_was() {
    let core = TestCore::start().await;
    let here = add_gateway(&core, 1, "attic");
    let never = GatewayId::from_random([8; 16]).to_string();
    let town = Town::of(&core).await;
    let (_, page, _) = town.with_role("neighbour", PersonRole::Admin, label("site", "cellar")).await;
    let caller = (page.edge.clone(), Some(format!("Bearer {}", page.token)));
    for name in ["Sessions/List", "Sessions/Create", "Terminal/Attach", "Host/Update"] {
        let path = format!("/chatcode.v1.{name}");
        let (hidden, none) =
            (call(&caller, &path, &here).await.unwrap_err(), call(&caller, &path, &never).await.unwrap_err());
        assert_eq!(code(&hidden), Code::UnknownGateway, "{name}");
        assert_eq!((hidden.code(), hidden.message()), (none.code(), none.message()), "{name}");
        let keys = |status: &Status| -> BTreeSet<String> {
            status.metadata().keys().map(|key| format!("{key:?}")).collect()
        };
        assert_eq!(keys(&hidden), keys(&none), "{name}");
    }
}
