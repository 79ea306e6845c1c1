//! Many who show one token at once, answers that are lost, tokens of an earlier
//! store: at the store itself.

use std::{
    collections::BTreeSet,
    sync::Arc,
    time::{Duration, Instant},
};

use chatcode_certs::{Authority, Key, MemberName, csr, secret};
use chatcode_core::store::{
    Store, StoreError,
    audit::{Entry, Verdict},
    members::{NewCertificate, NewMember},
    tokens::{NewToken, Redeemed, ShownToken, Terms, TokenFault},
};
use chatcode_proto::{
    id::MemberId,
    label::Labels,
    pb::{HostFacts, MemberKind},
};
use sqlx::{
    Connection as _, SqlSafeStr as _,
    migrate::{Migration, MigrationType, Migrator},
};

/// How often: a short form each time, the full form by `just redeem`.
fn rounds(short: usize) -> usize {
    std::env::var("CHATCODE_REDEEM_ROUNDS").ok().and_then(|text| text.parse().ok()).unwrap_or(short)
}

/// A store and what signs for its members, without a core around them.
#[derive(Clone)]
struct Office {
    store: Store,
    authority: Arc<Authority>,
    key: Arc<csr::RequestKey>,
    _folder: Arc<tempfile::TempDir>,
}

async fn office() -> Office {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(&folder.path().join("core.db")).await.unwrap();
    let authority = Authority::open_or_create(&folder.path().join("ca")).unwrap().into();
    let key = csr::verify(&csr::create(&Key::generate().unwrap()).unwrap()).unwrap().into();
    Office { store, authority, key, _folder: folder.into() }
}

async fn keep(Office { store, .. }: &Office, id: &str, uses: u32) -> [u8; 32] {
    let secret_hash = secret::hash(id.as_bytes());
    let terms =
        Terms { kind: MemberKind::Gateway, name: String::new(), labels: Labels::new(), approval: false };
    let expires_ms = chatcode_core::clock::unix_ms() + 60_000;
    let row = NewToken { id: id.to_owned(), secret_hash, terms, uses, network: None, expires_ms };
    assert!(store.add_join_token(&row, &Entry::new("test", "token.created")).await.unwrap());
    secret_hash
}

/// One machine, known by its number, shows a token.
async fn redeem(office: &Office, id: &str, secret_hash: [u8; 32], machine: u32) -> Redeemed {
    let spki = secret::hash(&machine.to_be_bytes());
    let address = "127.0.0.1".parse().unwrap();
    let shown = ShownToken { id, secret_hash, spki, address, name: "", host: HostFacts::default() };
    let make = |_: &Terms| {
        let member = MemberId::from_random(chatcode_certs::random::bytes());
        let name = MemberName::Gateway(member);
        let serial = office.authority.issue(&name, &office.key, Duration::from_secs(600)).unwrap().serial;
        let certificate = NewCertificate {
            member,
            serial,
            spki,
            not_after_ms: u64::MAX >> 1,
            issuer: [1; 32],
            root: [2; 32],
        };
        let answer = member.to_string().into_bytes();
        Ok::<_, StoreError>(NewMember { name: "machine".to_owned(), certificate, machine_key: None, answer })
    };
    office.store.redeem(&shown, &Entry::new("anonymous", "redeem"), make).await.unwrap()
}

/// So many machines at once; those that got in, and how often others heard what.
async fn race(office: &Office, id: &str, secret_hash: [u8; 32], machines: u32) -> (usize, BTreeSet<String>) {
    let tries: Vec<_> = (0..machines)
        .map(|machine| {
            let (office, id) = (office.clone(), id.to_owned());
            tokio::spawn(async move { redeem(&office, &id, secret_hash, machine).await })
        })
        .collect();
    let (mut won, mut heard) = (0, BTreeSet::new());
    for one in tries {
        match one.await.unwrap() {
            Redeemed::New(..) => won += 1,
            Redeemed::Refused(fault) => drop(heard.insert(fault.to_string())),
            other => panic!("{other:?}"),
        }
    }
    (won, heard)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_a_hundred_machines_at_once_exactly_one_gets_in() {
    let office = office().await;
    let begun = Instant::now();
    let rounds = rounds(10);
    for round in 0..rounds {
        let id = format!("one-{round}");
        let secret_hash = keep(&office, &id, 1).await;
        let (won, heard) = race(&office, &id, secret_hash, 100).await;
        assert_eq!((won, heard), (1, ["other key".to_owned()].into()), "round {round}");
    }
    println!("{rounds} rounds of 100 in {:?}", begun.elapsed());
    assert!(matches!(office.store.verify_audit().await.unwrap(), Verdict::Whole(_)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_a_hundred_machines_at_once_exactly_as_many_get_in_as_the_token_has_uses() {
    let office = office().await;
    for round in 0..rounds(20).div_ceil(10) {
        for uses in [2, 7, 50, 99] {
            let id = format!("many-{round}-{uses}");
            let secret_hash = keep(&office, &id, uses).await;
            let (won, heard) = race(&office, &id, secret_hash, 100).await;
            assert_eq!((won, heard), (uses as usize, ["used up".to_owned()].into()));
        }
    }
}

#[tokio::test]
async fn an_answer_that_was_lost_a_thousand_times_is_always_the_same() {
    let office = office().await;
    let secret_hash = keep(&office, "lost", 1).await;
    let Redeemed::New(answer, _) = redeem(&office, "lost", secret_hash, 1).await else { panic!("not new") };
    for _ in 0..rounds(1000).max(1000) {
        assert_eq!(redeem(&office, "lost", secret_hash, 1).await, Redeemed::Again(answer.clone()));
    }
    assert_eq!(redeem(&office, "lost", secret_hash, 2).await, Redeemed::Refused(TokenFault::OtherKey));
    let kept = office.store.gateways().await.unwrap();
    assert_eq!(kept.len(), 1, "one member");
}

/// Makes all that was done by this token so much longer ago.
async fn age(office: &Office, id: &str, by: Duration) {
    let file = office._folder.path().join("core.db");
    let mut store = sqlx::SqliteConnection::connect(file.to_str().unwrap()).await.unwrap();
    let aged = sqlx::query("UPDATE token_uses SET used_ms = used_ms - $2 WHERE token = $1")
        .bind(id)
        .bind(i64::try_from(by.as_millis()).unwrap());
    assert_eq!(aged.execute(&mut store).await.unwrap().rows_affected(), 1);
    store.close().await.unwrap();
}

#[tokio::test]
async fn a_lost_answer_is_had_again_for_five_minutes_and_then_never_more() {
    let office = office().await;
    let secret_hash = keep(&office, "late", 1).await;
    let Redeemed::New(answer, _) = redeem(&office, "late", secret_hash, 1).await else { panic!("not new") };
    let seconds = Duration::from_secs;
    age(&office, "late", seconds(4 * 60 + 30)).await;
    assert_eq!(redeem(&office, "late", secret_hash, 1).await, Redeemed::Again(answer));
    // Asking again makes it no younger.
    age(&office, "late", seconds(31)).await;
    let over = Redeemed::Refused(TokenFault::UsedUp);
    assert_eq!(redeem(&office, "late", secret_hash, 1).await, over);
    assert_eq!(redeem(&office, "late", secret_hash, 2).await, Redeemed::Refused(TokenFault::OtherKey));
    age(&office, "late", seconds(24 * 3600)).await;
    assert_eq!(redeem(&office, "late", secret_hash, 1).await, over);
    assert_eq!(office.store.gateways().await.unwrap().len(), 1, "one member, whoever asked");
}

/// The schema before tokens had uses.
fn earlier() -> Migrator {
    let one = |version, name: &'static str, sql: &'static str| {
        Migration::new(version, name.into(), MigrationType::Simple, sql.into_sql_str(), false)
    };
    Migrator::with_migrations(vec![
        one(1, "begin", include_str!("../../migrations/0001_begin.sql")),
        one(2, "machine keys", include_str!("../../migrations/0002_machine_keys.sql")),
    ])
}

#[tokio::test]
async fn tokens_of_an_earlier_store_are_as_good_and_as_used_as_before() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("core.db");
    let file = sqlx::sqlite::SqliteConnectOptions::new().filename(&path).create_if_missing(true);
    let mut before = sqlx::SqliteConnection::connect_with(&file).await.unwrap();
    earlier().run(&mut before).await.unwrap();
    let now = i64::try_from(chatcode_core::clock::unix_ms()).unwrap();
    let spki = secret::hash(&1_u32.to_be_bytes());
    for (id, used) in [("used", Some(now)), ("good", None)] {
        sqlx::query(
            "INSERT INTO join_tokens (id, secret_hash, kind, name, expires_ms, used_ms, used_spki, answer)
             VALUES ($1, $2, 'gateway', '', $3, $4, $5, $6)",
        )
        .bind(id)
        .bind(secret::hash(id.as_bytes()).to_vec())
        .bind(now + 60_000)
        .bind(used)
        .bind(used.map(|_| spki.to_vec()))
        .bind(used.map(|_| b"the answer".to_vec()))
        .execute(&mut before)
        .await
        .unwrap();
    }
    before.close().await.unwrap();
    std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();

    let office = Office { store: Store::open(&path).await.unwrap(), ..office().await };
    let hash = |id: &str| secret::hash(id.as_bytes());
    let answer = b"the answer".to_vec();
    assert_eq!(redeem(&office, "used", hash("used"), 1).await, Redeemed::Again(answer));
    assert_eq!(redeem(&office, "used", hash("used"), 2).await, Redeemed::Refused(TokenFault::OtherKey));
    let outstanding = office.store.join_tokens().await.unwrap();
    assert_eq!(outstanding.iter().map(|token| token.id.as_str()).collect::<Vec<_>>(), ["good"]);
    assert!(matches!(redeem(&office, "good", hash("good"), 2).await, Redeemed::New(..)));
}
