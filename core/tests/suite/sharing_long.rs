//! Links when there are too many of them, and when they have ended long ago.

use chatcode_proto::{
    limits,
    pb::{Code, PersonRole, SharesCreateRequest, SharesListRequest, SharesRevokeRequest},
};

use crate::{
    common::{TestCore, code},
    people::gateway,
    sharing::{House, refused, shares},
};

#[tokio::test]
async fn of_more_links_than_one_answer_has_the_newest_are_listed() {
    let core = TestCore::start().await;
    let house = House::of(&core).await;
    let (ada, made) = house.link().await;
    // As if they had been made one after the other since.
    let copies = "WITH RECURSIVE numbers (number) AS (SELECT 1 UNION ALL SELECT number + 1 FROM numbers WHERE number < $2)
         INSERT INTO shares (id, hash, gateway, session, role, person, admin, created_by, created_by_name,
                             created_ms, expires_ms, uses)
         SELECT 's' || number, randomblob(32), gateway, session, role, person, admin, created_by, created_by_name,
                created_ms + number, expires_ms, uses
         FROM shares, numbers WHERE id = $1";
    let (oldest, count) = (made.share.unwrap().id, limits::SHARES_LISTED);
    let made = sqlx::query(copies).bind(&oldest).bind(count).execute(&mut core.store().await).await.unwrap();
    assert_eq!(made.rows_affected(), u64::from(count));
    let request = ada.request(SharesListRequest::default());
    let listed = shares(&ada.edge).list(request).await.unwrap().into_inner().shares;
    let expected: Vec<String> = (1..=count).rev().map(|number| format!("s{number}")).collect();
    assert_eq!(listed.into_iter().map(|share| share.id).collect::<Vec<_>>(), expected, "not {oldest}");
}

#[tokio::test]
async fn links_and_their_guests_are_forgotten_when_they_ended_long_ago_and_not_before() {
    let core = TestCore::start().await;
    let house = House::of(&core).await;
    let (ada, revoked) = house.link().await;
    let ended = house.share(&ada, house.wish()).await.unwrap();
    let counts = house.share(&ada, house.wish()).await.unwrap();
    for link in [&revoked, &ended, &counts] {
        house.guest(&link.secret).await;
    }
    let id = revoked.share.unwrap().id;
    shares(&ada.edge).revoke(ada.request(SharesRevokeRequest { id: id.clone() })).await.unwrap();
    let kept = i64::try_from(limits::SHARE_KEPT.as_millis()).unwrap();
    let left = async || -> (i64, i64) {
        core.shared.store.forget_shares().await.unwrap();
        let count = "SELECT (SELECT COUNT(*) FROM shares), (SELECT COUNT(*) FROM guests)";
        sqlx::query_as(count).fetch_one(&mut core.store().await).await.unwrap()
    };
    let mut other = core.store().await;
    let end = "UPDATE shares SET expires_ms = $2 WHERE id = $1";
    let a_minute_less = i64::try_from(chatcode_core::clock::unix_ms()).unwrap() - kept + 60_000;
    sqlx::query(end).bind(&ended.share.unwrap().id).bind(a_minute_less).execute(&mut other).await.unwrap();
    sqlx::query("UPDATE shares SET revoked_ms = $2 WHERE id = $1")
        .bind(&id)
        .bind(a_minute_less)
        .execute(&mut other)
        .await
        .unwrap();
    assert_eq!(left().await, (3, 3), "a minute is left");
    let older = "UPDATE shares SET expires_ms = expires_ms - 60001, revoked_ms = revoked_ms - 60001";
    sqlx::query(older).execute(&mut other).await.unwrap();
    assert_eq!(left().await, (1, 1), "the one that counts");
}

#[tokio::test]
async fn a_passphrase_out_of_its_bounds_makes_no_link_and_one_link_too_many_is_refused() {
    let core = TestCore::start().await;
    let house = House::of(&core).await;
    let (_, ada, _) = house.town.with_role("Ada", PersonRole::Operator, gateway(&house.machine.id)).await;
    let (low, high) = limits::SHARE_PASSPHRASE_CHARS.into_inner();
    for chars in [low - 1, high + 1] {
        let wish = SharesCreateRequest { passphrase: "p".repeat(chars), ..house.wish() };
        assert_eq!(refused(house.share(&ada, wish).await), Code::Invalid, "{chars}");
    }
    for made in 0..limits::SHARES_OF_CREATOR {
        house.share(&ada, house.wish()).await.unwrap();
        // A session has a limit of its own, so the next one is as if to another.
        sqlx::query("UPDATE shares SET session = $1 WHERE session = $2")
            .bind(format!("another {made}"))
            .bind(&house.session)
            .execute(&mut core.store().await)
            .await
            .unwrap();
    }
    let refusal = house.share(&ada, house.wish()).await.unwrap_err();
    assert_eq!(code(&refusal), Code::Limit);
    assert!(refusal.message().contains(&limits::SHARES_OF_CREATOR.to_string()), "{refusal:?}");
}
