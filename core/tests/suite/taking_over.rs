//! Nobody takes an account over, or locks its person out: what was planted before,
//! sessions of before, floods.

use std::time::Duration;

use chatcode_certs::secret::Secret;
use chatcode_core::store::{audit::Entry, identities::NewIdentity, people::ChangeError};
use chatcode_proto::{
    limits,
    pb::{
        AccountsSignInRequest, AccountsWhoAmIRequest, Code, FleetWatchRequest, FleetWatchResponse,
        IdentitiesListOfRequest, IdentitiesRemoveOfRequest, IdentitiesSignOutOfRequest, IdentityKind,
        PasskeyProof, PasswordProof, PersonRole, accounts_client::AccountsClient,
        accounts_sign_in_request::Proof, fleet_watch_response::Event, identities_client::IdentitiesClient,
    },
};
use tonic::{Status, Streaming, transport::Channel};

use crate::{
    authenticator::Passkey,
    common::{Page, TestCore, code},
    identities::{begin, by_passkey, from_page, sign_in},
    passwords::{self, PASSWORD, ada, set},
    people::{Town, everything},
};

/// A page's list of machines that runs.
async fn watching(page: &Page) -> Streaming<FleetWatchResponse> {
    let mut events = page.fleet().watch(page.request(FleetWatchRequest {})).await.unwrap().into_inner();
    while events.message().await.unwrap().unwrap().event != Some(Event::Synced(true)) {}
    events
}

/// Waits until what runs is cut, within a second.
async fn is_cut(mut events: Streaming<FleetWatchResponse>) {
    let end = tokio::time::timeout(Duration::from_secs(1), async {
        loop {
            if let Err(status) = events.message().await {
                return status;
            }
        }
    });
    assert_eq!(code(&end.await.unwrap()), Code::Unauthenticated);
}

async fn is_known(page: &Page) -> bool {
    let asked = page.accounts().who_am_i(page.request(AccountsWhoAmIRequest {})).await;
    asked.map_err(|status| assert_eq!(code(&status), Code::Unauthenticated)).is_ok()
}

async fn count(core: &TestCore, sql: &'static str) -> i64 {
    sqlx::query_scalar(sql).fetch_one(&mut core.store().await).await.unwrap()
}

#[tokio::test]
async fn what_somebody_planted_in_an_account_does_not_sign_in_as_owner() {
    let core = passwords::start().await;
    let town = Town::of(&core).await;
    let (ada, _) = ada(&town).await;
    // Whoever made a one-time URL of hers can open it themselves.
    let planter = town.sign_in(&ada.id, None).await;
    let mut planted = Passkey::new();
    planter.add(&mut planted).await.unwrap();
    set(&planter, PASSWORD).await.unwrap();
    let (challenge, options) = planter.begin_add().await.unwrap();
    by_passkey(&town.edge, &planted).await.unwrap();

    town.give(&ada.id, PersonRole::Owner, everything()).await;
    assert_eq!(count(&core, "SELECT COUNT(*) FROM identities").await, 0);
    assert_eq!(count(&core, "SELECT COUNT(*) FROM challenges WHERE person IS NOT NULL").await, 0);
    let refused = by_passkey(&town.edge, &planted).await.map(drop).unwrap_err();
    assert_eq!(code(&refused), Code::BadToken);
    let proof = PasswordProof { email: "ada@example.org".to_owned(), password: PASSWORD.to_owned() };
    let refused = sign_in(&town.edge, Proof::Password(proof), None, false).await.unwrap_err();
    assert_eq!(code(&refused), Code::BadToken);
    let refused = planter.finish_add(challenge, Passkey::new().made(&options)).await.unwrap_err();
    assert_eq!(code(&refused), Code::Unauthenticated);

    let page = town.sign_in(&ada.id, None).await;
    let mut hers = Passkey::new();
    page.add(&mut hers).await.unwrap();
    town.give(&ada.id, PersonRole::Owner, everything()).await;
    by_passkey(&town.edge, &hers).await.expect("given again, it changes nothing");
    assert!(is_known(&page).await);
}

#[tokio::test]
async fn a_session_that_ends_while_it_adds_a_way_in_adds_none() {
    let core = TestCore::start().await;
    let town = Town::of(&core).await;
    let (ada, page, _) = town.with_role("Ada", PersonRole::Viewer, everything()).await;
    let session = Secret::from_text(&page.token).unwrap().hash();
    let (new, act) = (
        |kind| NewIdentity {
            id: "6f1c0a52-9d3e-4a37-8f0b-2f6f0d1c9b11",
            person: &ada.id,
            session: &session,
            kind,
            subject: &ada.id,
            data: "{}",
            label: "planted",
        },
        Entry::new("person/ada", "identity.added"),
    );
    let store = &core.shared.store;
    // As in the middle of a call that was let in.
    town.give(&ada.id, PersonRole::Owner, everything()).await;
    let refused = store.add_identity(&new(IdentityKind::Passkey), &act).await.unwrap_err();
    assert!(matches!(refused, ChangeError::Ended), "{refused:?}");
    let refused = store.set_password(&new(IdentityKind::Password), &act).await.unwrap_err();
    assert!(matches!(refused, ChangeError::Ended), "{refused:?}");
    assert_eq!(count(&core, "SELECT COUNT(*) FROM identities").await, 0);
}

#[tokio::test]
async fn who_signs_in_where_somebody_else_was_ends_what_ran_there() {
    let core = TestCore::start().await;
    let town = Town::of(&core).await;
    let (_, hers, _) = town.with_role("Ada", PersonRole::Viewer, everything()).await;
    let bob = town.person("Bob").await;
    let events = watching(&hers).await;
    let his = town.sign_in(&bob.id, Some(&hers)).await;
    is_cut(events).await;
    assert!(!is_known(&hers).await);
    assert!(is_known(&his).await);
}

#[tokio::test]
async fn a_changed_password_or_a_way_in_that_is_removed_ends_the_other_sessions() {
    let core = passwords::start().await;
    let town = Town::of(&core).await;
    let (ada, page) = ada(&town).await;
    let (_, bob, _) = town.with_role("Bob", PersonRole::Viewer, everything()).await;

    let elsewhere = town.sign_in(&ada.id, None).await;
    let events = watching(&elsewhere).await;
    set(&page, PASSWORD).await.unwrap();
    assert!(is_known(&elsewhere).await, "the first password takes nothing away");
    set(&page, "another horse battery").await.unwrap();
    is_cut(events).await;
    assert!(!is_known(&elsewhere).await);

    let added = page.add(&mut Passkey::new()).await.unwrap();
    let elsewhere = town.sign_in(&ada.id, None).await;
    let events = watching(&elsewhere).await;
    page.remove(&added.id).await.unwrap();
    is_cut(events).await;
    assert!(!is_known(&elsewhere).await);
    assert!(is_known(&page).await, "the one that did it goes on");
    assert!(is_known(&bob).await);
}

#[tokio::test]
async fn a_session_that_gives_way_to_newer_ones_ends_with_what_ran_in_it() {
    let core = TestCore::start().await;
    let town = Town::of(&core).await;
    let (ada, page, _) = town.with_role("Ada", PersonRole::Viewer, everything()).await;
    let events = watching(&page).await;
    for _ in 0..limits::SESSIONS_OF_PERSON {
        town.sign_in(&ada.id, None).await;
    }
    is_cut(events).await;
}

#[tokio::test]
async fn a_flood_of_challenges_pushes_the_oldest_out_and_locks_nobody_out() {
    let core = TestCore::start().await;
    let town = Town::of(&core).await;
    let (_, page, _) = town.with_role("Ada", PersonRole::Viewer, everything()).await;
    let mut passkey = Passkey::new();
    page.add(&mut passkey).await.unwrap();
    let mut store = core.store().await;
    // They end sooner, so they are older.
    let soon = "strftime('%s', 'now') * 1000 + 60000 + i";
    let flood = format!(
        "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < $1)
         INSERT INTO challenges (hash, kind, data, expires_ms)
         SELECT randomblob(32), 'passkey.sign_in', printf('%d', i), {soon} FROM n"
    );
    sqlx::query(sqlx::AssertSqlSafe(flood)).bind(limits::CHALLENGES).execute(&mut store).await.unwrap();

    let (challenge, options) = begin(&town.edge).await;
    assert_eq!(count(&core, "SELECT COUNT(*) FROM challenges").await, i64::from(limits::CHALLENGES));
    assert_eq!(
        count(&core, "SELECT MIN(CAST(data AS INTEGER)) FROM challenges WHERE data NOT LIKE '{%'").await,
        2
    );
    let proof = Proof::Passkey(PasskeyProof { challenge, credential: passkey.proof(&options) });
    sign_in(&town.edge, proof, None, false).await.unwrap();
}

#[tokio::test]
async fn of_the_challenges_to_add_something_the_newest_of_a_person_waits() {
    let core = TestCore::start().await;
    let town = Town::of(&core).await;
    let (_, hers, _) = town.with_role("Ada", PersonRole::Viewer, everything()).await;
    let (_, his, _) = town.with_role("Bob", PersonRole::Viewer, everything()).await;
    let (bobs, for_bob) = his.begin_add().await.unwrap();
    let (before, options) = hers.begin_add().await.unwrap();
    let (newest, for_ada) = hers.begin_add().await.unwrap();
    assert_eq!(count(&core, "SELECT COUNT(*) FROM challenges").await, 2);
    let refused = hers.finish_add(before, Passkey::new().made(&options)).await.unwrap_err();
    assert_eq!(code(&refused), Code::BadToken);
    hers.finish_add(newest, Passkey::new().made(&for_ada)).await.unwrap();
    his.finish_add(bobs, Passkey::new().made(&for_bob)).await.unwrap();
}

#[tokio::test]
async fn an_answer_counts_although_the_proof_has_grown_old_since_its_challenge() {
    let core = TestCore::start().await;
    let town = Town::of(&core).await;
    let (_, page, _) = town.with_role("Ada", PersonRole::Viewer, everything()).await;
    let (challenge, options) = page.begin_add().await.unwrap();
    core.age_proofs().await;
    page.finish_add(challenge, Passkey::new().made(&options)).await.unwrap();
    assert_eq!(code(&page.begin_add().await.unwrap_err()), Code::StepUpRequired);
}

#[tokio::test]
async fn guesses_from_everywhere_run_dry_and_do_not_lock_out_who_is_signed_in_there() {
    let core = passwords::start().await;
    let town = Town::of(&core).await;
    let (ada, page) = ada(&town).await;
    set(&page, PASSWORD).await.unwrap();
    let bob = town.person("Bob").await;
    let mut others = (1_u32..).map(|number| format!("2001:db8:{:x}:{:x}::1", number >> 8, number & 0xff));
    run_dry(&town.edge, &mut others).await;
    guess(&town.edge, PASSWORD, "192.0.2.7").await.expect("she is signed in there");
    guess(&town.edge, PASSWORD, "::ffff:192.0.2.7").await.expect("the same address");

    // Bob's session from there is of no use for hers.
    let mut store = core.store().await;
    let end = sqlx::query("DELETE FROM person_sessions WHERE person = $1").bind(&ada.id);
    end.execute(&mut store).await.unwrap();
    town.sign_in(&bob.id, None).await;
    let at_home = &mut std::iter::repeat_n("192.0.2.7".to_owned(), 3);
    run_dry(&town.edge, &mut others).await;
    run_dry(&town.edge, at_home).await;
}

/// Guesses wrong until the account has no more tries; some are refilled meanwhile.
async fn run_dry(edge: &Channel, addresses: &mut impl Iterator<Item = String>) {
    for address in addresses.take(2 * limits::PASSWORD_PER_ACCOUNT_PER_MINUTE as usize) {
        let refused = guess(edge, "wrong horse battery", &address).await.unwrap_err();
        if refused.message().contains("for this account in a minute") {
            assert_eq!(code(&refused), Code::RateLimited);
            return;
        }
    }
    panic!("guesses are never limited")
}

async fn guess(edge: &Channel, password: &str, address: &str) -> Result<(), Status> {
    let proof = PasswordProof { email: "ada@example.org".to_owned(), password: password.to_owned() };
    let request = AccountsSignInRequest {
        proof: Some(Proof::Password(proof)),
        address: address.to_owned(),
        ..Default::default()
    };
    AccountsClient::new(edge.clone()).sign_in(from_page(request)).await.map(drop)
}

#[tokio::test]
async fn an_administrator_takes_a_lost_device_out_and_no_owner_is_touched_by_one_who_is_none() {
    let core = TestCore::start().await;
    let town = Town::of(&core).await;
    let (ada, page, _) = town.with_role("Ada", PersonRole::Viewer, everything()).await;
    let (_, boss, _) = town.with_role("Boss", PersonRole::Admin, everything()).await;
    let (owner, _, _) = town.with_role("Owen", PersonRole::Owner, everything()).await;
    let add = "INSERT INTO identities (id, person, kind, subject, label, data, created_ms, used_ms)
               VALUES ($1, $2, 'mail', $1, 'the lost phone', '', 0, 0)";
    for person in [&ada.id, &owner.id] {
        let id = format!("of {person}");
        sqlx::query(add).bind(id).bind(person).execute(&mut core.store().await).await.unwrap();
    }
    let mut identities = IdentitiesClient::new(town.edge.clone());
    let of = |person: &str| boss.request(IdentitiesListOfRequest { person: person.to_owned() });
    let listed = identities.list_of(of(&ada.id)).await.unwrap().into_inner();
    assert_eq!((listed.identities.len(), listed.sessions.len()), (1, 1));
    assert_eq!(listed.identities[0].label, "the lost phone");

    let remove = |person: &str, id: &str| {
        boss.request(IdentitiesRemoveOfRequest { person: person.to_owned(), id: id.to_owned() })
    };
    let id = listed.identities[0].id.clone();
    let theirs = identities.list_of(of(&owner.id)).await.unwrap().into_inner().identities[0].id.clone();
    let refused = identities.remove_of(remove(&owner.id, &theirs)).await.unwrap_err();
    assert_eq!(code(&refused), Code::Forbidden);
    let refused = identities.remove_of(remove(&ada.id, &theirs)).await.unwrap_err();
    assert_eq!(code(&refused), Code::Invalid, "it is another person's");
    identities.remove_of(remove(&ada.id, &id)).await.unwrap();
    let out = page.accounts().who_am_i(page.request(AccountsWhoAmIRequest {})).await.unwrap_err();
    assert_eq!(code(&out), Code::Unauthenticated, "her browsers are signed out");

    let again = town.sign_in(&ada.id, None).await;
    let all = IdentitiesSignOutOfRequest { person: ada.id.clone(), session: String::new() };
    assert_eq!(identities.sign_out_of(boss.request(all)).await.unwrap().into_inner().ended, 1);
    let out = again.accounts().who_am_i(again.request(AccountsWhoAmIRequest {})).await.unwrap_err();
    assert_eq!(code(&out), Code::Unauthenticated);
    let owners = IdentitiesSignOutOfRequest { person: owner.id.clone(), session: String::new() };
    assert_eq!(code(&identities.sign_out_of(boss.request(owners)).await.unwrap_err()), Code::Forbidden);
    core.audited(|row| row.action == "identity.removed" && row.detail.contains(&ada.id)).await;
    core.audited(|row| row.action == "sessions.ended" && row.detail.contains(&ada.id)).await;
}
