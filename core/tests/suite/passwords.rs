//! Passwords: set by the person, checked slowly, and nobody learns who has one.

use chatcode_core::config::{Config, SignInConfig};
use chatcode_proto::{
    limits,
    pb::{
        Code, IdentitiesSetPasswordRequest, Identity, IdentityKind, PasswordProof, PeopleUpdateRequest,
        Person, PersonRole, accounts_sign_in_request::Proof,
    },
};
use tonic::{Status, transport::Channel};

use crate::{
    common::{Page, TestCore, code, config},
    identities::sign_in,
    people::{Town, everything},
};

pub(crate) const PASSWORD: &str = "correct horse battery";

pub(crate) async fn start() -> TestCore {
    let folder = tempfile::tempdir().unwrap();
    let sign_in = SignInConfig { passwords: true, ..Default::default() };
    let settings = Config { sign_in, ..config(folder.path()) };
    TestCore::start_as(folder, settings).await
}

/// Ada, whose address is known.
pub(crate) async fn ada(town: &Town<'_>) -> (Person, Page) {
    let (ada, page, _) = town.with_role("Ada Lovelace", PersonRole::Viewer, everything()).await;
    let request = PeopleUpdateRequest {
        id: ada.id.clone(),
        display_name: ada.display_name.clone(),
        email: "ada@example.org".to_owned(),
    };
    town.people().update(request).await.unwrap();
    (ada, page)
}

pub(crate) async fn set(page: &Page, password: &str) -> Result<Identity, Status> {
    let request = IdentitiesSetPasswordRequest { password: password.to_owned() };
    let answer = page.identities().set_password(page.request(request)).await?;
    Ok(answer.into_inner().identity.unwrap())
}

async fn by_password(edge: &Channel, email: &str, password: &str) -> Result<(), (Code, String)> {
    let proof = PasswordProof { email: email.to_owned(), password: password.to_owned() };
    let tried = sign_in(edge, Proof::Password(proof), None, false).await;
    tried.map(drop).map_err(|status| (code(&status), status.message().to_owned()))
}

#[tokio::test]
async fn a_password_signs_in_and_a_changed_one_instead_of_it() {
    let core = start().await;
    let town = Town::of(&core).await;
    let (ada, page) = ada(&town).await;
    let identity = set(&page, PASSWORD).await.unwrap();
    assert_eq!(identity.kind(), IdentityKind::Password);
    by_password(&town.edge, " Ada@Example.org", PASSWORD).await.unwrap();
    let by = format!("person/{}", ada.id);
    core.audited(|row| row.principal == by && row.detail == "password Password").await;

    set(&page, "another horse battery").await.unwrap();
    assert_eq!(page.own().await.len(), 1, "there is one password");
    assert_eq!(by_password(&town.edge, "ada@example.org", PASSWORD).await.unwrap_err().0, Code::BadToken);
    by_password(&town.edge, "ada@example.org", "another horse battery").await.unwrap();
    let rows = core.audit().await;
    assert!(rows.iter().all(|row| !row.detail.contains("horse")), "no row holds a password");
}

#[tokio::test]
async fn a_wrong_password_and_an_unknown_account_are_answered_alike() {
    let core = start().await;
    let town = Town::of(&core).await;
    let (_, page) = ada(&town).await;
    let unset = by_password(&town.edge, "ada@example.org", PASSWORD).await.unwrap_err();
    set(&page, PASSWORD).await.unwrap();
    let wrong = by_password(&town.edge, "ada@example.org", "wrong horse battery").await.unwrap_err();
    let unknown = by_password(&town.edge, "nobody@example.org", PASSWORD).await.unwrap_err();
    assert_eq!(wrong.0, Code::BadToken);
    assert_eq!((&wrong, &wrong), (&unknown, &unset));
}

/// The hash is nearly all of a sign-in's time: as many of them is as long.
#[tokio::test]
async fn t12_a_guess_is_as_much_work_where_there_is_no_account_and_where_there_is_no_password() {
    let core = start().await;
    let town = Town::of(&core).await;
    let (_, page) = ada(&town).await;
    set(&page, PASSWORD).await.unwrap();
    let (bob, _, _) = town.with_role("Bob", PersonRole::Viewer, everything()).await;
    let (id, display_name, email) = (bob.id, bob.display_name, "bob@example.org".to_owned());
    town.people().update(PeopleUpdateRequest { id, display_name, email }).await.unwrap();
    for email in ["ada@example.org", "bob@example.org", "nobody@example.org"] {
        let before = core.shared.sign_in.passphrases().hashed();
        let refused = by_password(&town.edge, email, "wrong horse battery").await.unwrap_err();
        assert_eq!(refused.0, Code::BadToken, "{email}");
        assert_eq!(core.shared.sign_in.passphrases().hashed(), before + 1, "{email}");
    }
}

#[tokio::test]
async fn a_password_that_is_easy_to_guess_or_has_no_account_is_not_set() {
    let core = start().await;
    let town = Town::of(&core).await;
    let (_, nameless, _) = town.with_role("Bob", PersonRole::Viewer, everything()).await;
    let refused = set(&nameless, PASSWORD).await.unwrap_err();
    assert_eq!(code(&refused), Code::Invalid);
    assert!(refused.message().contains("no e-mail address"), "{refused:?}");

    let (_, page) = ada(&town).await;
    for password in ["short", &"x".repeat(129), "Ada Lovelace", "ada@example.org", "ada-lovelace-1815"] {
        assert_eq!(code(&set(&page, password).await.unwrap_err()), Code::Invalid, "{password}");
    }
    assert!(page.own().await.is_empty());
}

#[tokio::test]
async fn guesses_for_one_account_run_dry_known_or_not_and_others_do_not_notice() {
    let core = start().await;
    let town = Town::of(&core).await;
    let (_, page) = ada(&town).await;
    set(&page, PASSWORD).await.unwrap();
    for email in ["nobody@example.org", "noone@example.org"] {
        for _ in 0..limits::PASSWORD_PER_ADDRESS_PER_MINUTE {
            assert_eq!(by_password(&town.edge, email, PASSWORD).await.unwrap_err().0, Code::BadToken);
        }
        // Some are refilled meanwhile.
        let mut tries = 0..4;
        let limited = loop {
            tries.next().expect("is limited before long");
            let (code, _) = by_password(&town.edge, email, PASSWORD).await.unwrap_err();
            if code == Code::RateLimited {
                break code;
            }
        };
        assert_eq!(limited, Code::RateLimited);
    }
    by_password(&town.edge, "ada@example.org", PASSWORD).await.unwrap();
}

#[tokio::test]
async fn where_passwords_are_not_open_none_is_set_and_none_signs_in() {
    let core = TestCore::start().await;
    let town = Town::of(&core).await;
    let (_, page) = ada(&town).await;
    assert_eq!(code(&set(&page, PASSWORD).await.unwrap_err()), Code::Forbidden);
    let refused = by_password(&town.edge, "ada@example.org", PASSWORD).await.unwrap_err();
    assert_eq!(refused.0, Code::Forbidden);
}
