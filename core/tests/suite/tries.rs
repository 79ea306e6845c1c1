//! Tries beyond what there may be in a minute: told to wait, and written down no more
//! often than the disk can bear.

use chatcode_certs::{Key, MachineKey, csr};
use chatcode_core::config::Config;
use chatcode_link::enroll;
use chatcode_proto::{
    limits,
    pb::{
        Code, EnrollmentEnrollRequest, EnrollmentReviveRequest, FleetRevokeRequest, MemberKind,
        SharesCreateRequest, SharesEnterRequest, SharesLookRequest, enrollment_client::EnrollmentClient,
    },
};
use tokio::time::Instant;
use tonic::{Response, Status};

use crate::{
    common::{TestCore, code, config, fleet},
    sharing::{House, named, refused, shares},
};

/// How many came back since then, of so many a minute, and one that was on its way.
fn refilled(per_minute: u32, since: Instant) -> u64 {
    1 + u64::from(per_minute) * (since.elapsed().as_secs() + 1) / 60
}

/// Asks until it is told to wait, which is after so many in a minute; says how all
/// before were answered.
async fn until_limited<T>(
    per_minute: u32,
    ask: impl AsyncFn() -> Result<Response<T>, Status>,
) -> Vec<Result<Response<T>, Status>> {
    let (begun, mut answered) = (Instant::now(), Vec::new());
    loop {
        match ask().await {
            Err(status) if code(&status) == Code::RateLimited => break,
            other => answered.push(other),
        }
        let most = u64::from(per_minute) + refilled(per_minute, begun);
        assert!(answered.len() as u64 <= most, "{} of {per_minute}", answered.len());
    }
    assert!(answered.len() >= per_minute as usize, "{} of {per_minute}", answered.len());
    answered
}

#[tokio::test]
async fn one_call_to_enroll_more_than_an_address_has_in_a_minute_waits_though_it_asks_again() {
    let folder = tempfile::tempdir().unwrap();
    let config = Config { enroll_per_minute: limits::ENROLL_PER_MINUTE, ..config(folder.path()) };
    let core = TestCore::start_as(folder, config).await;
    let token = core.token(MemberKind::Gateway).await;
    let client = EnrollmentClient::new(core.anonymous());
    let request = EnrollmentEnrollRequest {
        token_id: token.id().to_owned(),
        token_secret: token.secret().expose_bytes().to_vec().into(),
        csr: csr::create(&Key::generate().unwrap()).unwrap().into(),
        ..Default::default()
    };
    let answers =
        until_limited(limits::ENROLL_CALLS_PER_MINUTE, async || client.clone().enroll(request.clone()).await);
    let answers: Vec<_> =
        answers.await.into_iter().map(|answer| answer.unwrap().into_inner().member).collect();
    assert!(answers.iter().all(|member| *member == answers[0]), "one machine, however often it asks");
}

/// A revival of nobody.
fn of_nobody() -> EnrollmentReviveRequest {
    EnrollmentReviveRequest { member: "x".to_owned(), csr: vec![1; 99].into(), proof: vec![2; 99].into() }
}

#[tokio::test]
async fn one_try_to_revive_more_than_an_address_has_in_a_minute_waits() {
    let core = TestCore::start().await;
    let client = EnrollmentClient::new(core.anonymous());
    let answers =
        until_limited(limits::REVIVALS_PER_ADDRESS, async || client.clone().revive(of_nobody()).await).await;
    assert!(answers.into_iter().all(|answer| refused(answer) == Code::BadToken));
}

#[tokio::test]
async fn refusals_of_strangers_beyond_so_many_in_a_minute_are_told_and_not_written() {
    let core = TestCore::start().await;
    let channel = core.anonymous();
    let begun = Instant::now();
    let revoke = || FleetRevokeRequest { gateway: "x".to_owned() };
    for _ in 0..limits::REFUSALS_AUDITED_PER_MINUTE {
        let revived = EnrollmentClient::new(channel.clone()).revive(of_nobody()).await;
        assert_eq!(refused(revived), Code::BadToken);
        assert_eq!(refused(fleet(&channel).revoke(revoke()).await), Code::Unauthenticated);
    }
    let rows = core.audit().await;
    let written =
        rows.iter().filter(|row| row.principal == "anonymous" && row.result() != Code::Done).count();
    let most = limits::REFUSALS_AUDITED_PER_MINUTE;
    assert!(written >= most as usize, "{written}");
    assert!(written as u64 <= u64::from(most) + refilled(most, begun), "{written}");
    // Who is known pays with a name, and is written down all the same.
    let told = refused(fleet(&core.admin().await).revoke(revoke()).await);
    core.audited(|row| row.principal.starts_with("admin/") && row.result() == told).await;
}

#[tokio::test]
async fn a_proof_that_is_longer_than_any_is_wrong_and_the_one_of_the_machine_fits() {
    let core = TestCore::start().await;
    let (token, machine) = (core.token(MemberKind::Gateway).await, MachineKey::generate().unwrap());
    let address = core.bound.grpc.to_string();
    let (identity, _) = enroll::enroll(&address, &token, "machine", Some(&machine)).await.unwrap();
    let csr = csr::create(&Key::generate().unwrap()).unwrap();
    let proof = machine.sign(&csr).unwrap();
    assert!(proof.len() <= limits::PROOF_BYTES, "{}", proof.len());
    let member = identity.name().id().to_string();
    let revive = async |proof: Vec<u8>| {
        let (member, csr) = (member.clone(), csr.clone().into());
        let request = EnrollmentReviveRequest { member, csr, proof: proof.into() };
        EnrollmentClient::new(core.anonymous()).revive(request).await
    };
    let mut longer = proof.clone();
    longer.resize(limits::PROOF_BYTES + 1, 0);
    for wrong in [longer, vec![0; 4096]] {
        assert_eq!(refused(revive(wrong).await), Code::BadToken);
    }
    core.audited(|row| row.detail == "wrong proof").await;
    revive(proof).await.unwrap();
}

#[tokio::test]
async fn wrong_links_beyond_so_many_in_a_minute_from_one_edge_wait_and_right_ones_pass() {
    let core = TestCore::start().await;
    let house = House::of(&core).await;
    let (_, made) = house.link().await;
    let wrong = || SharesLookRequest { secret: "A".repeat(43), address: String::new() };
    let begun = Instant::now();
    let answers =
        until_limited(limits::SHARE_WRONG_PER_MINUTE, async || shares(&house.town.edge).look(wrong()).await);
    assert!(answers.await.into_iter().all(|answer| refused(answer) == Code::BadToken));
    let rows = core.audit().await;
    let written = rows.iter().filter(|row| row.action == "guest.entered").count() as u64;
    let most = limits::SHARE_WRONG_PER_MINUTE;
    assert!(written <= u64::from(most) + refilled(most, begun), "{written}");
    house.guest(&made.secret).await;
    let second = core.channel(&core.enroll(MemberKind::Edge, "second").await);
    assert_eq!(refused(shares(&second).look(wrong()).await), Code::BadToken, "another edge has its own");
}

#[tokio::test]
async fn passphrases_beyond_so_many_for_one_link_wait_wherever_they_come_from() {
    let core = TestCore::start().await;
    let house = House::of(&core).await;
    let (ada, _) = house.link().await;
    let passphrase = "open the gate".to_owned();
    let wish = || SharesCreateRequest { passphrase: passphrase.clone(), ..house.wish() };
    let made = house.share(&ada, wish()).await.unwrap();
    let with = |secret: &str| SharesEnterRequest {
        passphrase: passphrase.clone(),
        address: "192.0.2.99".to_owned(),
        ..named(secret, "Bo")
    };
    let inside = house.enter(with(&made.secret)).await.unwrap();
    let link = made.share.unwrap().id;
    // As others try them elsewhere; the one above counts too.
    let tried = std::iter::from_fn(|| core.shared.rates.passphrases.check(&link).ok()).count();
    let most = limits::SHARE_PASSPHRASES_PER_LINK as usize - 1;
    assert!((most..=most + 1).contains(&tried), "{tried}");

    assert_eq!(refused(house.enter(with(&made.secret)).await), Code::RateLimited, "the right one waits too");
    let again = SharesEnterRequest { again: inside.guest_token, ..named(&made.secret, "Bo") };
    house.enter(again).await.expect("who is in needs none");
    let other = house.share(&ada, wish()).await.unwrap();
    house.enter(with(&other.secret)).await.expect("another link has its own");
}
