//! By what people sign in: passkeys, whose they are, and what is refused.

use chatcode_core::config::{Config, SignInConfig};
use chatcode_proto::{
    limits,
    pb::{
        AccountsBeginSignInRequest, AccountsSignInMethodsRequest, AccountsSignInMethodsResponse,
        AccountsSignInRequest, AccountsSignInResponse, AccountsWhoAmIRequest, Code,
        IdentitiesBeginAddRequest, IdentitiesBeginAddResponse, IdentitiesFinishAddRequest,
        IdentitiesListRequest, IdentitiesRemoveRequest, IdentitiesRenameRequest, Identity, IdentityKind,
        PasskeyProof, PeopleRemoveRequest, PeopleSuspendRequest, PersonRole,
        accounts_begin_sign_in_request::Method, accounts_begin_sign_in_response::Options,
        accounts_client::AccountsClient, accounts_sign_in_request::Proof, identities_begin_add_request,
        identities_begin_add_response, identities_client::IdentitiesClient, identities_finish_add_request,
    },
};
use tonic::{Request, Status, metadata::MetadataValue, transport::Channel};

use crate::{
    authenticator::Passkey,
    common::{ORIGIN, Page, TestCore, code, config},
    people::{Town, everything},
};

impl Page {
    pub(crate) fn identities(&self) -> IdentitiesClient<Channel> {
        IdentitiesClient::new(self.edge.clone())
    }

    pub(crate) async fn own(&self) -> Vec<Identity> {
        let answer = self.identities().list(self.request(IdentitiesListRequest {})).await;
        answer.unwrap().into_inner().identities
    }

    pub(crate) async fn begin_add(&self) -> Result<(String, String), Status> {
        let method = Some(identities_begin_add_request::Method::Passkey(true));
        let begun = self.identities().begin_add(self.request(IdentitiesBeginAddRequest { method })).await?;
        let IdentitiesBeginAddResponse { challenge, options, .. } = begun.into_inner();
        let Some(identities_begin_add_response::Options::Passkey(options)) = options else {
            panic!("no options: {options:?}")
        };
        Ok((challenge, options))
    }

    pub(crate) async fn finish_add(&self, challenge: String, answer: String) -> Result<Identity, Status> {
        let proof = Some(identities_finish_add_request::Proof::Passkey(answer));
        let request = IdentitiesFinishAddRequest { challenge, label: "laptop".to_owned(), proof };
        let added = self.identities().finish_add(self.request(request)).await?;
        Ok(added.into_inner().identity.unwrap())
    }

    pub(crate) async fn add(&self, passkey: &mut Passkey) -> Result<Identity, Status> {
        let (challenge, options) = self.begin_add().await?;
        self.finish_add(challenge, passkey.made(&options)).await
    }

    pub(crate) async fn remove(&self, id: &str) -> Result<(), Status> {
        let request = IdentitiesRemoveRequest { id: id.to_owned() };
        self.identities().remove(self.request(request)).await.map(drop)
    }
}

/// A call of a page on which nobody is signed in.
pub(crate) fn from_page<T>(message: T) -> Request<T> {
    let mut request = Request::new(message);
    request.metadata_mut().insert("origin", MetadataValue::from_static(ORIGIN));
    request
}

pub(crate) async fn begin(edge: &Channel) -> (String, String) {
    let request =
        from_page(AccountsBeginSignInRequest { method: Some(Method::Passkey(true)), ..Default::default() });
    let begun = AccountsClient::new(edge.clone()).begin_sign_in(request).await.unwrap().into_inner();
    let Some(Options::Passkey(options)) = begun.options else { panic!("no options: {begun:?}") };
    (begun.challenge, options)
}

pub(crate) async fn sign_in(
    edge: &Channel,
    proof: Proof,
    before: Option<&Page>,
    same_person: bool,
) -> Result<AccountsSignInResponse, Status> {
    let request = AccountsSignInRequest {
        proof: Some(proof),
        replaces: before.map(|page| page.token.clone()).unwrap_or_default(),
        same_person,
        ..Default::default()
    };
    Ok(AccountsClient::new(edge.clone()).sign_in(from_page(request)).await?.into_inner())
}

pub(crate) async fn by_passkey(edge: &Channel, passkey: &Passkey) -> Result<Page, Status> {
    let (challenge, options) = begin(edge).await;
    let proof = Proof::Passkey(PasskeyProof { challenge, credential: passkey.proof(&options) });
    let token = sign_in(edge, proof, None, false).await?.session_token;
    Ok(Page { edge: edge.clone(), token })
}

pub(crate) async fn principal(page: &Page) -> String {
    page.accounts().who_am_i(page.request(AccountsWhoAmIRequest {})).await.unwrap().into_inner().principal
}

#[tokio::test]
async fn a_passkey_is_added_and_signs_in_as_its_person() {
    let core = TestCore::start().await;
    let town = Town::of(&core).await;
    let (ada, page, _) = town.with_role("Ada", PersonRole::Viewer, everything()).await;
    let mut passkey = Passkey::new();
    let added = page.add(&mut passkey).await.unwrap();
    assert_eq!(
        (added.kind(), added.label.as_str(), added.used_unix_ms),
        (IdentityKind::Passkey, "laptop", 0)
    );

    let signed_in = by_passkey(&town.edge, &passkey).await.unwrap();
    assert_eq!(principal(&signed_in).await, format!("person/{}", ada.id));
    assert!(page.own().await[0].used_unix_ms > 0, "its use is noted");
    let by = format!("person/{}", ada.id);
    let detail = format!("passkey laptop of {by}");
    core.audited(|row| row.action == "identity.added" && row.principal == by && row.detail == detail).await;
    let action = "/chatcode.v1.Accounts/SignIn";
    core.audited(|row| row.action == action && row.principal == by && row.detail == "passkey laptop").await;

    let rename = IdentitiesRenameRequest { id: added.id.clone(), label: "key ring".to_owned() };
    page.identities().rename(page.request(rename)).await.unwrap();
    assert_eq!(page.own().await[0].label, "key ring");
    page.remove(&added.id).await.unwrap();
    let refused = by_passkey(&town.edge, &passkey).await.map(drop).unwrap_err();
    assert_eq!(code(&refused), Code::BadToken);
}

#[tokio::test]
async fn a_challenge_is_answered_once_and_by_the_browser_that_has_it() {
    let core = TestCore::start().await;
    let town = Town::of(&core).await;
    let (_, page, _) = town.with_role("Ada", PersonRole::Viewer, everything()).await;
    let mut passkey = Passkey::new();
    page.add(&mut passkey).await.unwrap();

    let (mine, options) = begin(&town.edge).await;
    let (others, _) = begin(&town.edge).await;
    let proof = |challenge: &str| {
        let credential = passkey.proof(&options);
        Proof::Passkey(PasskeyProof { challenge: challenge.to_owned(), credential })
    };
    let try_it = async |challenge: &str| {
        let tried = sign_in(&town.edge, proof(challenge), None, false).await;
        tried.map(drop).map_err(|status| code(&status))
    };
    assert_eq!(try_it(&others).await, Err(Code::BadToken), "the challenge of another browser");
    assert_eq!(try_it("nonsense").await, Err(Code::BadToken));
    assert_eq!(try_it(&mine).await, Ok(()));
    assert_eq!(try_it(&mine).await, Err(Code::BadToken), "it is spent");
}

#[tokio::test]
async fn a_challenge_that_is_answered_too_late_is_spent() {
    let core = TestCore::start().await;
    let town = Town::of(&core).await;
    let (_, page, _) = town.with_role("Ada", PersonRole::Viewer, everything()).await;
    let mut passkey = Passkey::new();
    page.add(&mut passkey).await.unwrap();
    let life = i64::try_from(limits::CHALLENGE.as_millis()).unwrap();
    for (passed, expected) in [(life, Some(Code::BadToken)), (life - 60_000, None)] {
        let (challenge, options) = begin(&town.edge).await;
        let age = sqlx::query("UPDATE challenges SET expires_ms = expires_ms - $1").bind(passed);
        age.execute(&mut core.store().await).await.unwrap();
        let proof = Proof::Passkey(PasskeyProof { challenge, credential: passkey.proof(&options) });
        let answered = sign_in(&town.edge, proof, None, false).await;
        assert_eq!(answered.err().map(|status| code(&status)), expected, "after {passed} ms");
    }
}

#[tokio::test]
async fn a_challenge_to_add_counts_in_its_own_session_only() {
    let core = TestCore::start().await;
    let town = Town::of(&core).await;
    let (ada, page, _) = town.with_role("Ada", PersonRole::Viewer, everything()).await;
    let (_, bob, _) = town.with_role("Bob", PersonRole::Viewer, everything()).await;
    let elsewhere = town.sign_in(&ada.id, None).await;
    let mut passkey = Passkey::new();
    let (challenge, options) = page.begin_add().await.unwrap();
    let answer = passkey.made(&options);
    for other in [&bob, &elsewhere] {
        let refused = other.finish_add(challenge.clone(), answer.clone()).await.unwrap_err();
        assert_eq!(code(&refused), Code::BadToken);
    }
    page.finish_add(challenge.clone(), answer.clone()).await.unwrap();
    assert_eq!(code(&page.finish_add(challenge, answer).await.unwrap_err()), Code::BadToken, "it is spent");
}

#[tokio::test]
async fn a_passkey_whose_counter_goes_back_is_refused_and_stays_as_it_is() {
    let core = TestCore::start().await;
    let town = Town::of(&core).await;
    let (_, page, _) = town.with_role("Ada", PersonRole::Viewer, everything()).await;
    let mut passkey = Passkey { counter: 5, ..Passkey::new() };
    page.add(&mut passkey).await.unwrap();
    for (counter, is_right) in [(6, true), (9, true), (9, false), (8, false), (0, false), (10, true)] {
        passkey.counter = counter;
        let tried = by_passkey(&town.edge, &passkey).await.map(drop);
        assert_eq!(tried.is_ok(), is_right, "{counter}: {tried:?}");
        if let Err(status) = tried {
            assert_eq!(code(&status), Code::BadToken);
            assert!(status.message().contains("a copy of it"), "{status:?}");
        }
    }
    core.audited(|row| row.result() == Code::BadToken && row.detail.contains("a copy of it")).await;
}

#[tokio::test]
async fn a_passkey_of_somebody_else_is_not_linked_and_nobody_changes_account() {
    let core = TestCore::start().await;
    let town = Town::of(&core).await;
    let (ada, hers, _) = town.with_role("Ada", PersonRole::Viewer, everything()).await;
    let (bob, his, _) = town.with_role("Bob", PersonRole::Viewer, everything()).await;
    let mut passkey = Passkey::new();
    hers.add(&mut passkey).await.unwrap();
    let refused = hers.add(&mut passkey).await.unwrap_err();
    assert_eq!(code(&refused), Code::Invalid, "she has it already");
    let refused = his.add(&mut passkey).await.unwrap_err();
    assert_eq!(code(&refused), Code::Invalid);
    assert!(refused.message().contains("somebody else signs in by this"), "{refused:?}");
    assert!(his.own().await.is_empty());
    assert_eq!(principal(&his).await, format!("person/{}", bob.id));

    // It says that it is Bob's now, and is known as hers.
    let refused = by_passkey(&town.edge, &passkey).await.map(drop).unwrap_err();
    assert_eq!(code(&refused), Code::BadToken);
    let (_, options) = hers.begin_add().await.unwrap();
    passkey.made(&options);
    let signed_in = by_passkey(&town.edge, &passkey).await.unwrap();
    assert_eq!(principal(&signed_in).await, format!("person/{}", ada.id));
}

#[tokio::test]
async fn what_is_wrong_about_a_passkey_is_refused() {
    let core = TestCore::start().await;
    let town = Town::of(&core).await;
    let (_, page, _) = town.with_role("Ada", PersonRole::Viewer, everything()).await;
    let unknown = Passkey { verifies: false, ..Passkey::new() };
    let stranger = Passkey { origin: "http://evil.test:4000", ..Passkey::new() };
    for mut passkey in [unknown, stranger] {
        let refused = page.add(&mut passkey).await.unwrap_err();
        assert_eq!(code(&refused), Code::BadToken);
    }
    let (challenge, _) = page.begin_add().await.unwrap();
    let refused = page.finish_add(challenge, "{}".to_owned()).await.unwrap_err();
    assert_eq!(code(&refused), Code::Invalid);
    let (challenge, _) = page.begin_add().await.unwrap();
    let refused = page.finish_add(challenge, "x".repeat(limits::PASSKEY_JSON_BYTES + 1)).await.unwrap_err();
    assert_eq!(code(&refused), Code::TooLarge);

    let mut passkey = Passkey::new();
    page.add(&mut passkey).await.unwrap();
    let tried = async |passkey: &Passkey| {
        by_passkey(&town.edge, passkey).await.map(drop).map_err(|status| code(&status))
    };
    passkey.verifies = false;
    assert_eq!(tried(&passkey).await, Err(Code::BadToken), "nobody knows who used it");
    passkey.verifies = true;
    passkey.origin = "http://localhost:4001";
    assert_eq!(tried(&passkey).await, Err(Code::BadToken), "another page of this machine");
    passkey.origin = ORIGIN;
    let mut forger = Passkey::new();
    let (_, options) = page.begin_add().await.unwrap();
    forger.made(&options);
    forger.id.clone_from(&passkey.id);
    assert_eq!(tried(&forger).await, Err(Code::BadToken), "another key");
    assert_eq!(tried(&passkey).await, Ok(()));
}

#[tokio::test]
async fn a_person_who_is_suspended_or_gone_has_no_use_for_a_passkey() {
    let core = TestCore::start().await;
    let town = Town::of(&core).await;
    let (ada, page, _) = town.with_role("Ada", PersonRole::Viewer, everything()).await;
    let mut passkey = Passkey::new();
    page.add(&mut passkey).await.unwrap();
    let suspend = async |suspended| {
        let request = PeopleSuspendRequest { id: ada.id.clone(), suspended };
        town.people().suspend(request).await.unwrap();
    };
    suspend(true).await;
    let refused = by_passkey(&town.edge, &passkey).await.map(drop).unwrap_err();
    assert_eq!(code(&refused), Code::BadToken);
    suspend(false).await;
    by_passkey(&town.edge, &passkey).await.unwrap();
    town.people().remove(PeopleRemoveRequest { id: ada.id.clone() }).await.unwrap();
    let refused = by_passkey(&town.edge, &passkey).await.map(drop).unwrap_err();
    assert_eq!(code(&refused), Code::BadToken, "it went with her");
}

#[tokio::test]
async fn a_proof_of_another_person_does_not_change_who_uses_the_browser() {
    let core = TestCore::start().await;
    let town = Town::of(&core).await;
    let (ada, hers, _) = town.with_role("Ada", PersonRole::Viewer, everything()).await;
    let (_, his, _) = town.with_role("Bob", PersonRole::Viewer, everything()).await;
    let mut passkey = Passkey::new();
    hers.add(&mut passkey).await.unwrap();
    let proof = async || {
        let (challenge, options) = begin(&town.edge).await;
        Proof::Passkey(PasskeyProof { challenge, credential: passkey.proof(&options) })
    };
    let refused = sign_in(&town.edge, proof().await, Some(&his), true).await.unwrap_err();
    assert_eq!(code(&refused), Code::Forbidden);
    assert!(refused.message().contains("another account"), "{refused:?}");
    let refused = sign_in(&town.edge, proof().await, None, true).await.unwrap_err();
    assert_eq!(code(&refused), Code::Forbidden, "nobody is signed in");
    principal(&his).await;

    // Who does not mean the same person is told whose the browser was.
    let answer = sign_in(&town.edge, proof().await, Some(&his), false).await.unwrap();
    assert_eq!((answer.display_name.as_str(), answer.instead_of.as_str()), ("Ada", "Bob"));
    let after = his.accounts().who_am_i(his.request(AccountsWhoAmIRequest {})).await.unwrap_err();
    assert_eq!(code(&after), Code::Unauthenticated, "what the browser had before is of no use");
    let page = Page { edge: town.edge.clone(), token: answer.session_token };
    assert_eq!(principal(&page).await, format!("person/{}", ada.id));
    let again = sign_in(&town.edge, proof().await, Some(&page), true).await.unwrap();
    assert_eq!(again.instead_of, "");
    let before = page.accounts().who_am_i(page.request(AccountsWhoAmIRequest {})).await.unwrap_err();
    assert_eq!(code(&before), Code::Unauthenticated, "the session before is of no use");
}

#[tokio::test]
async fn the_last_way_in_of_an_owner_stays() {
    let core = TestCore::start().await;
    let town = Town::of(&core).await;
    let (_, owner, _) = town.with_role("Olga", PersonRole::Owner, everything()).await;
    let (_, viewer, _) = town.with_role("Vera", PersonRole::Viewer, everything()).await;
    let first = owner.add(&mut Passkey::new()).await.unwrap();
    let refused = owner.remove(&first.id).await.unwrap_err();
    assert_eq!(code(&refused), Code::Invalid);
    assert!(refused.message().contains("add another one first"), "{refused:?}");
    let second = owner.add(&mut Passkey::new()).await.unwrap();
    owner.remove(&first.id).await.unwrap();
    assert!(owner.remove(&second.id).await.is_err());

    let hers = viewer.add(&mut Passkey::new()).await.unwrap();
    viewer.remove(&hers.id).await.unwrap();
}

#[tokio::test]
async fn identities_are_the_callers_own_and_people_change_them_at_pages() {
    let core = TestCore::start().await;
    let town = Town::of(&core).await;
    let (ada, hers, _) = town.with_role("Ada", PersonRole::Owner, everything()).await;
    let (_, his, _) = town.with_role("Bob", PersonRole::Owner, everything()).await;
    let added = hers.add(&mut Passkey::new()).await.unwrap();
    assert!(his.own().await.is_empty());
    assert_eq!(code(&his.remove(&added.id).await.unwrap_err()), Code::Invalid, "as one that never was");
    let rename = IdentitiesRenameRequest { id: added.id.clone(), label: "his".to_owned() };
    let refused = his.identities().rename(his.request(rename)).await.unwrap_err();
    assert_eq!(code(&refused), Code::Invalid);
    assert_eq!(hers.own().await[0].label, "laptop");

    let (program, _) = town.program(&ada.id, PersonRole::Owner).await;
    let mut identities = IdentitiesClient::new(program.channel.clone());
    let refused = identities.list(program.request(IdentitiesListRequest {})).await.unwrap_err();
    assert_eq!(code(&refused), Code::Forbidden);
    let refused = IdentitiesClient::new(town.admin.clone()).list(IdentitiesListRequest {}).await.unwrap_err();
    assert_eq!(code(&refused), Code::Forbidden);
}

#[tokio::test]
async fn an_old_proof_adds_nothing_and_a_touch_renews_it() {
    let core = TestCore::start().await;
    let town = Town::of(&core).await;
    let (_, page, _) = town.with_role("Ada", PersonRole::Viewer, everything()).await;
    let mut passkey = Passkey::new();
    let added = page.add(&mut passkey).await.unwrap();
    core.age_proofs().await;
    assert_eq!(code(&page.begin_add().await.unwrap_err()), Code::StepUpRequired);
    assert_eq!(code(&page.remove(&added.id).await.unwrap_err()), Code::StepUpRequired);
    assert_eq!(page.own().await.len(), 1, "to look needs none");

    let (challenge, options) = begin(&town.edge).await;
    let proof = Proof::Passkey(PasskeyProof { challenge, credential: passkey.proof(&options) });
    let token = sign_in(&town.edge, proof, Some(&page), true).await.unwrap().session_token;
    let page = Page { edge: town.edge.clone(), token };
    page.remove(&added.id).await.unwrap();
}

#[tokio::test]
async fn there_are_so_many_ways_in() {
    let core = TestCore::start().await;
    let town = Town::of(&core).await;
    let (ada, page, _) = town.with_role("Ada", PersonRole::Viewer, everything()).await;
    let mut store = core.store().await;
    let count = "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < $1)";
    let identities = format!(
        "{count} INSERT INTO identities (id, person, kind, subject, data, label, created_ms)
         SELECT 'id-' || i, $2, 'passkey', printf('%08d', i), '{{}}', 'key', 1 FROM n"
    );
    sqlx::query(sqlx::AssertSqlSafe(identities))
        .bind(limits::IDENTITIES_OF_PERSON)
        .bind(&ada.id)
        .execute(&mut store)
        .await
        .unwrap();
    assert_eq!(code(&page.add(&mut Passkey::new()).await.unwrap_err()), Code::Limit);
}

#[tokio::test]
async fn passkeys_are_open_where_the_settings_say_and_through_an_edge_only() {
    let folder = tempfile::tempdir().unwrap();
    let sign_in = SignInConfig { origin: Some("https://code.example.org".to_owned()), ..Default::default() };
    let settings = Config { sign_in, ..config(folder.path()) };
    let core = TestCore::start_as(folder, settings).await;
    let town = Town::of(&core).await;
    let mut edge = AccountsClient::new(town.edge.clone());
    let methods =
        edge.sign_in_methods(from_page(AccountsSignInMethodsRequest {})).await.unwrap().into_inner();
    assert_eq!(methods, AccountsSignInMethodsResponse::default());
    let wish = || AccountsBeginSignInRequest { method: Some(Method::Passkey(true)), ..Default::default() };
    let refused = edge.begin_sign_in(from_page(wish())).await.unwrap_err();
    assert_eq!(code(&refused), Code::BadOrigin);
    let mut there = from_page(wish());
    there.metadata_mut().insert("origin", MetadataValue::from_static("https://code.example.org"));
    edge.begin_sign_in(there).await.unwrap();
    let past = AccountsClient::new(core.anonymous()).begin_sign_in(from_page(wish())).await.unwrap_err();
    assert_eq!(code(&past), Code::Forbidden);

    let folder = tempfile::tempdir().unwrap();
    let sign_in = SignInConfig { passkeys: false, ..Default::default() };
    let settings = Config { sign_in, ..config(folder.path()) };
    let core = TestCore::start_as(folder, settings).await;
    let town = Town::of(&core).await;
    let refused = AccountsClient::new(town.edge.clone()).begin_sign_in(from_page(wish())).await.unwrap_err();
    assert_eq!(code(&refused), Code::Forbidden);
    let (_, page, _) = town.with_role("Ada", PersonRole::Viewer, everything()).await;
    assert_eq!(code(&page.begin_add().await.unwrap_err()), Code::Forbidden);
}

#[tokio::test]
async fn a_sign_in_that_cannot_be_written_down_is_none_and_spends_nothing() {
    let core = TestCore::start().await;
    let town = Town::of(&core).await;
    let (_, page, _) = town.with_role("Ada", PersonRole::Viewer, everything()).await;
    let mut passkey = Passkey { counter: 1, ..Passkey::new() };
    page.add(&mut passkey).await.unwrap();
    let mut store = core.store().await;
    let full = "CREATE TRIGGER full BEFORE INSERT ON audit WHEN new.action LIKE '%/SignIn'
                BEGIN SELECT RAISE(ABORT, 'the disk is full'); END";
    sqlx::query(full).execute(&mut store).await.unwrap();
    passkey.counter = 2;
    let refused = by_passkey(&town.edge, &passkey).await.map(drop).unwrap_err();
    assert_eq!(code(&refused), Code::Unwritable);
    let sessions: i64 =
        sqlx::query_scalar("SELECT COUNT(*) FROM person_sessions").fetch_one(&mut store).await.unwrap();
    assert_eq!(sessions, 1, "only that of before");
    sqlx::query("DROP TRIGGER full").execute(&mut store).await.unwrap();
    by_passkey(&town.edge, &passkey).await.unwrap();
}
