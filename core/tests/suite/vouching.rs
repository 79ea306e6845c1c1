//! Sign-in by identity providers: what they have to prove, and who that is here.

use std::{collections::BTreeSet, fs, os::unix::fs::PermissionsExt as _};

use chatcode_core::config::{
    SignInConfig,
    provider::{Create, CreatedRole, ProviderConfig},
};
use chatcode_proto::pb::{
    AccountsBeginSignInRequest, AccountsSignInRequest, AccountsSignInResponse, AccountsWhoAmIRequest, Code,
    IdentitiesBeginAddRequest, IdentitiesFinishAddRequest, IdentitiesListRequest, IdentityKind,
    PeopleCreateRequest, PeopleSuspendRequest, Person, PersonRole, ProviderProof,
    accounts_begin_sign_in_request::Method, accounts_begin_sign_in_response::Options,
    accounts_client::AccountsClient, accounts_sign_in_request::Proof, identities_begin_add_request,
    identities_begin_add_response, identities_client::IdentitiesClient, identities_finish_add_request,
};
use serde_json::{Value, json};
use tonic::{Status, transport::Channel};

use crate::{
    common::{Page, TestCore, code, config},
    identities::from_page,
    people::{Town, everything},
    provider::{Provider, Way},
};

pub(crate) async fn core_with(providers: Vec<ProviderConfig>) -> TestCore {
    let folder = tempfile::tempdir().unwrap();
    let mut config = config(folder.path());
    config.sign_in = SignInConfig { providers, ..SignInConfig::default() };
    TestCore::start_as(folder, config).await
}

/// A browser's challenge, and where the browser was sent.
pub(crate) async fn begin(town: &Town<'_>, provider: &str) -> Result<(String, String), Status> {
    let method = Some(Method::Provider(provider.to_owned()));
    let request = from_page(AccountsBeginSignInRequest { method, ..Default::default() });
    let begun = AccountsClient::new(town.edge.clone()).begin_sign_in(request).await?.into_inner();
    let Some(Options::Provider(url)) = begun.options else { panic!("{begun:?}") };
    Ok((begun.challenge, url))
}

/// What comes back from "work".
pub(crate) fn sent_back(challenge: String, code: String, state: String, issuer: &str) -> ProviderProof {
    ProviderProof { challenge, code, state, issuer: issuer.to_owned(), provider_id: "work".to_owned() }
}

pub(crate) async fn come_back(
    town: &Town<'_>,
    proof: ProviderProof,
    before: Option<&Page>,
) -> Result<AccountsSignInResponse, Status> {
    let replaces = before.map(|page| page.token.clone()).unwrap_or_default();
    let request = from_page(AccountsSignInRequest {
        proof: Some(Proof::Provider(proof)),
        replaces,
        ..Default::default()
    });
    Ok(AccountsClient::new(town.edge.clone()).sign_in(request).await?.into_inner())
}

/// The whole way, with these claims.
pub(crate) async fn sign_in(
    town: &Town<'_>,
    provider: &Provider,
    claims: Value,
) -> Result<AccountsSignInResponse, Status> {
    let (challenge, url) = begin(town, "work").await?;
    let (code, state) = provider.agree(&url, claims);
    let proof = sent_back(challenge, code, state, &provider.issuer);
    come_back(town, proof, None).await
}

pub(crate) async fn person(town: &Town<'_>, name: &str, email: &str) -> Person {
    let request = PeopleCreateRequest { display_name: name.to_owned(), email: email.to_owned() };
    town.people().create(request).await.unwrap().into_inner().person.unwrap()
}

async fn who(town: &Town<'_>, answer: &AccountsSignInResponse) -> String {
    let page = Page { edge: town.edge.clone(), token: answer.session_token.clone() };
    let me = page.accounts().who_am_i(page.request(AccountsWhoAmIRequest {})).await.unwrap().into_inner();
    me.principal
}

pub(crate) fn ada(verified: bool) -> Value {
    json!({ "email": "Ada@Example.org", "email_verified": verified })
}

pub(crate) fn trusting(provider: &Provider) -> ProviderConfig {
    ProviderConfig { trust_email: Some(true), ..provider.config() }
}

#[tokio::test]
async fn a_verified_address_links_the_account_once_and_then_the_account_is_known_by_itself() {
    let provider = Provider::start().await;
    let core = core_with(vec![trusting(&provider)]).await;
    let town = Town::of(&core).await;
    let ada_here = person(&town, "Ada", "ada@example.org").await;
    let first = sign_in(&town, &provider, ada(true)).await.unwrap();
    assert_eq!(first.display_name, "Ada");
    core.audited(|row| row.action == "identity.added" && row.detail.contains(&ada_here.id)).await;
    let action = "/chatcode.v1.Accounts/SignIn";
    core.audited(|row| row.action == action && row.principal == format!("person/{}", ada_here.id)).await;
    // The address counts once: from now on it is the account.
    let later = sign_in(&town, &provider, json!({ "email": "other@example.org" })).await.unwrap();
    assert_eq!(who(&town, &later).await, format!("person/{}", ada_here.id));
    let other = json!({ "sub": "8", "email": "nobody@example.org", "email_verified": true });
    assert_eq!(code(&sign_in(&town, &provider, other).await.unwrap_err()), Code::BadToken);
}

#[tokio::test]
async fn nobody_learns_from_a_refusal_whether_a_person_exists() {
    let provider = Provider::start().await;
    let core = core_with(vec![trusting(&provider)]).await;
    let town = Town::of(&core).await;
    let ada_here = person(&town, "Ada", "ada@example.org").await;
    let eve = person(&town, "Eve", "eve@example.org").await;
    let suspended = PeopleSuspendRequest { id: eve.id, suspended: true };
    town.people().suspend(suspended).await.unwrap();
    let mut words = BTreeSet::new();
    for claims in [
        ada(false),
        json!({ "email": "ada@example.org" }),
        json!({ "email": "nobody@example.org", "email_verified": true }),
        json!({ "email": "eve@example.org", "email_verified": true }),
        json!({}),
    ] {
        let refused = sign_in(&town, &provider, claims.clone()).await.unwrap_err();
        assert_eq!(code(&refused), Code::BadToken, "{claims}");
        words.insert(refused.message().to_owned());
    }
    assert_eq!(words.len(), 1, "{words:?}");
    assert!(core.audit().await.iter().all(|row| row.action != "identity.added"), "nothing was linked");
    drop(ada_here);
}

#[tokio::test]
async fn an_issuer_that_is_not_trusted_with_addresses_links_nobody() {
    let provider = Provider::start().await;
    let core = core_with(vec![provider.config()]).await;
    let town = Town::of(&core).await;
    person(&town, "Ada", "ada@example.org").await;
    assert_eq!(code(&sign_in(&town, &provider, ada(true)).await.unwrap_err()), Code::BadToken);
}

#[tokio::test]
async fn a_token_that_does_not_fit_lets_nobody_in() {
    let provider = Provider::start().await;
    let core = core_with(vec![trusting(&provider)]).await;
    let town = Town::of(&core).await;
    person(&town, "Ada", "ada@example.org").await;
    let with = |more: Value| {
        let mut claims = ada(true);
        for (name, value) in more.as_object().unwrap() {
            claims[name] = value.clone();
        }
        claims
    };
    for (what, claims) in [
        ("issuer", json!({ "iss": "http://127.0.0.1:1" })),
        ("audience", json!({ "aud": "another" })),
        ("one of several audiences", json!({ "aud": ["chatcode", "another"] })),
        ("party", json!({ "azp": "another" })),
        ("nonce", json!({ "nonce": "of another sign-in" })),
        ("no nonce", json!({ "nonce": null })),
        ("end", json!({ "exp": 1_000_000_000 })),
        ("nobody", json!({ "sub": "" })),
        ("access token", json!({ "at_hash": "AAAAAAAAAAAAAAAAAAAAAA" })),
    ] {
        let refused = sign_in(&town, &provider, with(claims)).await.unwrap_err();
        assert_eq!(code(&refused), Code::BadToken, "{what}: {refused:?}");
    }
    for way in [Way::Unsigned, Way::OtherKey] {
        provider.behave(way);
        let refused = sign_in(&town, &provider, ada(true)).await.unwrap_err();
        assert_eq!(code(&refused), Code::BadToken, "{way:?}: {refused:?}");
    }
    provider.behave(Way::Sound);
    for name in ["exp", "sub"] {
        let refused = sign_in(&town, &provider, with(json!({ name: null }))).await.unwrap_err();
        assert_eq!(code(&refused), Code::ProviderUnreachable, "{name} has to be there: {refused:?}");
    }
    sign_in(&town, &provider, with(json!({ "azp": "chatcode" }))).await.unwrap();
}

#[tokio::test]
async fn an_answer_counts_once_and_only_in_the_browser_that_asked() {
    let provider = Provider::start().await;
    let core = core_with(vec![trusting(&provider)]).await;
    let town = Town::of(&core).await;
    person(&town, "Ada", "ada@example.org").await;
    let issuer = provider.issuer.clone();
    let proof = |challenge: &str, code: &str, state: &str| ProviderProof {
        challenge: challenge.to_owned(),
        code: code.to_owned(),
        state: state.to_owned(),
        issuer: issuer.clone(),
        provider_id: "work".to_owned(),
    };
    let refused = async |proof| code(&come_back(&town, proof, None).await.unwrap_err());

    let (mine, url) = begin(&town, "work").await.unwrap();
    let (others, _) = begin(&town, "work").await.unwrap();
    let (given, state) = provider.agree(&url, ada(true));
    assert_eq!(refused(proof(&others, &given, &state)).await, Code::BadToken, "another browser's");
    assert_eq!(refused(proof("", &given, &state)).await, Code::BadToken, "a browser that never asked");
    assert!(!provider.asked().contains(&"/token".to_owned()), "the code was not even shown");
    come_back(&town, proof(&mine, &given, &state), None).await.unwrap();
    assert_eq!(refused(proof(&mine, &given, &state)).await, Code::BadToken, "a second time");

    let (mine, url) = begin(&town, "work").await.unwrap();
    let (given, state) = provider.agree(&url, ada(true));
    let wrong = format!("{}x", &state[..state.len() - 1]);
    assert_eq!(refused(proof(&mine, &given, &wrong)).await, Code::BadToken, "a wrong state");
    come_back(&town, proof(&mine, &given, &state), None).await.expect("a forged answer spends nothing");

    let (mine, url) = begin(&town, "work").await.unwrap();
    let (given, state) = provider.agree(&url, ada(true));
    let mixed = ProviderProof { issuer: "https://attacker.test".to_owned(), ..proof(&mine, &given, &state) };
    assert_eq!(refused(mixed).await, Code::BadToken, "sent back by another provider");

    let (mine, url) = begin(&town, "work").await.unwrap();
    let (_, state) = provider.agree(&url, ada(true));
    assert_eq!(refused(proof(&mine, "injected", &state)).await, Code::BadToken, "another sign-in's code");
}

#[tokio::test]
async fn a_provider_that_answers_too_much_elsewhere_or_never_is_told_of_and_proves_nothing() {
    for way in [Way::LargeKeys, Way::MovedKeys, Way::OtherIssuer] {
        let provider = Provider::start().await;
        let core = core_with(vec![trusting(&provider)]).await;
        let town = Town::of(&core).await;
        provider.behave(way);
        let refused = begin(&town, "work").await.unwrap_err();
        assert_eq!(code(&refused), Code::ProviderUnreachable, "{way:?}: {refused:?}");
        assert!(!provider.asked().contains(&"/keys2".to_owned()), "no redirection is followed");
        let asked = provider.asked().len();
        let again = begin(&town, "work").await.unwrap_err();
        assert_eq!(code(&again), Code::ProviderUnreachable);
        assert_eq!(provider.asked().len(), asked, "it is left alone for a while");
    }
    let provider = Provider::start().await;
    let core = core_with(vec![trusting(&provider)]).await;
    let town = Town::of(&core).await;
    provider.behave(Way::Silent);
    let refused = sign_in(&town, &provider, ada(true)).await.unwrap_err();
    assert_eq!(code(&refused), Code::ProviderUnreachable);
    let unknown = begin(&town, "nowhere").await.unwrap_err();
    assert_eq!(code(&unknown), Code::Invalid);
}

#[tokio::test]
async fn what_the_token_leaves_out_is_asked_for_and_counts_only_for_the_same_person() {
    let provider = Provider::start().await;
    let core = core_with(vec![trusting(&provider)]).await;
    let town = Town::of(&core).await;
    person(&town, "Ada", "ada@example.org").await;
    provider.tells(json!({ "sub": "8", "email": "ada@example.org", "email_verified": true }));
    assert_eq!(code(&sign_in(&town, &provider, json!({})).await.unwrap_err()), Code::BadToken);
    provider.tells(json!({ "sub": "7", "email": "ada@example.org", "email_verified": true }));
    sign_in(&town, &provider, json!({})).await.unwrap();
}

#[tokio::test]
async fn people_of_allowed_domains_are_made_with_what_the_settings_give_them() {
    let provider = Provider::start().await;
    let config = ProviderConfig {
        allowed_domains: vec!["example.org".to_owned()],
        create: Create::AllowedDomains,
        role: Some(CreatedRole::Viewer),
        ..provider.config()
    };
    let core = core_with(vec![config]).await;
    let town = Town::of(&core).await;
    let made = sign_in(&town, &provider, ada(true)).await.unwrap();
    let page = Page { edge: town.edge.clone(), token: made.session_token.clone() };
    let me = page.accounts().who_am_i(page.request(AccountsWhoAmIRequest {})).await.unwrap().into_inner();
    assert_eq!((me.role(), me.display_name.as_str()), (PersonRole::Viewer, "Ada"));
    core.audited(|row| row.action == "person.created" && row.detail.contains("by provider work")).await;
    core.audited(|row| row.action == "role.given" && row.detail.contains("viewer")).await;
    let again = sign_in(&town, &provider, ada(true)).await.unwrap();
    assert_eq!(who(&town, &again).await, me.principal, "is made once");

    let elsewhere = json!({ "sub": "9", "email": "eve@other.example", "email_verified": true });
    assert_eq!(code(&sign_in(&town, &provider, elsewhere).await.unwrap_err()), Code::Forbidden);
    // Who has the address here already is not made anew, nor taken over: the issuer is
    // not trusted with addresses.
    person(&town, "Bob", "bob@example.org").await;
    let bob = json!({ "sub": "10", "email": "bob@example.org", "email_verified": true });
    assert_eq!(code(&sign_in(&town, &provider, bob).await.unwrap_err()), Code::BadToken);
}

#[tokio::test]
async fn an_account_is_added_by_its_person_and_never_moves_to_another() {
    let provider = Provider::start().await;
    let core = core_with(vec![provider.config()]).await;
    let town = Town::of(&core).await;
    let (one, other) = (person(&town, "Ada", "").await, person(&town, "Bob", "").await);
    let (ada_page, bob_page) = (town.sign_in(&one.id, None).await, town.sign_in(&other.id, None).await);
    let identities = |page: &Page| IdentitiesClient::<Channel>::new(page.edge.clone());
    let begin_add = async |page: &Page| {
        let method = Some(identities_begin_add_request::Method::Provider("work".to_owned()));
        let request = page.request(IdentitiesBeginAddRequest { method });
        let begun = identities(page).begin_add(request).await.unwrap().into_inner();
        let Some(identities_begin_add_response::Options::Provider(url)) = begun.options else { panic!() };
        (begun.challenge, url)
    };
    let finish_add = async |page: &Page, challenge: &str, code: String, state: String| {
        let proof = sent_back(String::new(), code, state, "");
        let proof = Some(identities_finish_add_request::Proof::Provider(proof));
        let request =
            IdentitiesFinishAddRequest { challenge: challenge.to_owned(), label: String::new(), proof };
        identities(page).finish_add(page.request(request)).await.map(tonic::Response::into_inner)
    };

    let (challenge, url) = begin_add(&ada_page).await;
    let (given, state) = provider.agree(&url, json!({}));
    let refused = finish_add(&bob_page, &challenge, given.clone(), state.clone()).await.unwrap_err();
    assert_eq!(code(&refused), Code::BadToken, "another person's session");
    let added = finish_add(&ada_page, &challenge, given, state).await.unwrap().identity.unwrap();
    assert_eq!(added.kind(), IdentityKind::Provider);
    let own = identities(&ada_page).list(ada_page.request(IdentitiesListRequest {})).await.unwrap();
    assert_eq!(own.into_inner().identities.len(), 1);

    // Bob cannot add what is Ada's, and stays who he is.
    let (challenge, url) = begin_add(&bob_page).await;
    let (given, state) = provider.agree(&url, json!({}));
    let refused = finish_add(&bob_page, &challenge, given, state).await.unwrap_err();
    assert_eq!(code(&refused), Code::Invalid, "{refused:?}");
    let me = bob_page.accounts().who_am_i(bob_page.request(AccountsWhoAmIRequest {})).await.unwrap();
    assert_eq!(me.into_inner().principal, format!("person/{}", other.id));

    // Signed in with it where Bob is, it is a session of Ada's, and says instead of whom.
    let (challenge, url) = begin(&town, "work").await.unwrap();
    let (given, state) = provider.agree(&url, json!({}));
    let proof = sent_back(challenge, given, state, "");
    let answer = come_back(&town, proof, Some(&bob_page)).await.unwrap();
    assert_eq!((answer.display_name.as_str(), answer.instead_of.as_str()), ("Ada", "Bob"));
    assert_eq!(who(&town, &answer).await, format!("person/{}", one.id));

    // What was begun for adding signs nobody in.
    let (challenge, url) = begin_add(&ada_page).await;
    let (given, state) = provider.agree(&url, json!({}));
    let proof = sent_back(challenge, given, state, "");
    assert_eq!(code(&come_back(&town, proof, None).await.unwrap_err()), Code::BadToken);
}

#[tokio::test]
async fn of_github_only_the_primary_verified_address_counts() {
    let provider = Provider::start().await;
    let folder = tempfile::tempdir().unwrap();
    let secret = folder.path().join("secret");
    fs::write(&secret, "s3cret\n").unwrap();
    fs::set_permissions(&secret, fs::Permissions::from_mode(0o600)).unwrap();
    let github = ProviderConfig { trust_email: Some(true), ..provider.github(secret) };
    let core = core_with(vec![github]).await;
    let town = Town::of(&core).await;
    let ada_here = person(&town, "Ada", "ada@example.org").await;
    let sign_in = async |emails: Value| {
        let (challenge, url) = begin(&town, "github").await?;
        let (code, state) = provider.agree(&url, json!({ "emails": emails }));
        let proof =
            ProviderProof { provider_id: "github".to_owned(), ..sent_back(challenge, code, state, "") };
        come_back(&town, proof, None).await
    };
    let email =
        |primary, verified| json!({ "email": "ada@example.org", "primary": primary, "verified": verified });
    for (primary, verified) in [(true, false), (false, true)] {
        let refused = sign_in(json!([email(primary, verified)])).await.unwrap_err();
        assert_eq!(code(&refused), Code::BadToken, "{primary} {verified}");
    }
    let other = json!({ "email": "x@other.example", "primary": false, "verified": true });
    let first = sign_in(json!([other, email(true, true)])).await.unwrap();
    assert_eq!(who(&town, &first).await, format!("person/{}", ada_here.id));
    let later = sign_in(json!([])).await.unwrap();
    assert_eq!(
        who(&town, &later).await,
        format!("person/{}", ada_here.id),
        "known by number, not by address"
    );
}

#[tokio::test]
async fn an_address_that_was_given_to_somebody_else_there_does_not_open_the_account_here() {
    let provider = Provider::start().await;
    let core = core_with(vec![trusting(&provider)]).await;
    let town = Town::of(&core).await;
    let ada_here = person(&town, "Ada", "ada@example.org").await;
    sign_in(&town, &provider, ada(true)).await.unwrap();
    let mut next = ada(true);
    next["sub"] = json!("8");
    let refused = sign_in(&town, &provider, next).await.unwrap_err();
    let nobody = json!({ "sub": "9", "email": "nobody@example.org", "email_verified": true });
    let unknown = sign_in(&town, &provider, nobody).await.unwrap_err();
    assert_eq!(code(&refused), Code::BadToken);
    assert_eq!(refused.message(), unknown.message(), "in the words that everybody is told");
    let still = sign_in(&town, &provider, ada(true)).await.unwrap();
    assert_eq!(who(&town, &still).await, format!("person/{}", ada_here.id));
}

#[tokio::test]
async fn an_owners_address_that_others_wrote_down_links_no_account() {
    let provider = Provider::start().await;
    let core = core_with(vec![trusting(&provider)]).await;
    let town = Town::of(&core).await;
    let ada_here = person(&town, "Ada", "ada@example.org").await;
    town.give(&ada_here.id, PersonRole::Owner, everything()).await;
    let refused = sign_in(&town, &provider, ada(true)).await.unwrap_err();
    assert_eq!(code(&refused), Code::BadToken);
}

#[tokio::test]
async fn what_one_provider_gives_is_never_shown_to_another() {
    let (work, shop) = (Provider::start().await, Provider::start().await);
    let evil = ProviderConfig { id: "shop".to_owned(), ..trusting(&shop) };
    let core = core_with(vec![trusting(&work), evil]).await;
    let town = Town::of(&core).await;
    person(&town, "Ada", "ada@example.org").await;
    // Its browser went to the shop, which sent it on to work.
    let (challenge, url) = begin(&town, "shop").await.unwrap();
    assert!(url.contains("auth%2Fcallback%2Fshop"), "{url}");
    let (given, state) = work.agree(&url, ada(true));
    for issuer in ["", &work.issuer] {
        let proof = sent_back(challenge.clone(), given.clone(), state.clone(), issuer);
        assert_eq!(code(&come_back(&town, proof, None).await.unwrap_err()), Code::BadToken, "{issuer:?}");
    }
    assert!(!shop.asked().contains(&"/token".to_owned()), "it has not seen the code");
}

#[tokio::test]
async fn a_provider_that_always_says_whose_its_answers_are_has_to_say_it() {
    let provider = Provider::start().await;
    provider.behave(Way::SaysIssuer);
    let core = core_with(vec![trusting(&provider)]).await;
    let town = Town::of(&core).await;
    person(&town, "Ada", "ada@example.org").await;
    let (challenge, url) = begin(&town, "work").await.unwrap();
    let (given, state) = provider.agree(&url, ada(true));
    let refused = come_back(&town, sent_back(challenge, given, state, ""), None).await.unwrap_err();
    assert_eq!(code(&refused), Code::BadToken);
    assert!(!provider.asked().contains(&"/token".to_owned()), "the code was not even shown");
    sign_in(&town, &provider, ada(true)).await.unwrap();
}

#[tokio::test]
async fn a_provider_counts_as_a_fresh_proof_only_as_far_as_it_has_asked_the_person() {
    let provider = Provider::start().await;
    let core = core_with(vec![trusting(&provider)]).await;
    let town = Town::of(&core).await;
    let ada_here = person(&town, "Ada", "ada@example.org").await;
    town.give(&ada_here.id, PersonRole::Admin, everything()).await;
    let now_s = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    let told = |asked_s: Option<u64>| match asked_s {
        None => ada(true),
        Some(at) => json!({ "email": "ada@example.org", "email_verified": true, "auth_time": at }),
    };
    let act = async |asked_s: Option<u64>| {
        let answer = sign_in(&town, &provider, told(asked_s)).await.unwrap();
        let page = Page { edge: town.edge.clone(), token: answer.session_token };
        let request = PeopleCreateRequest { display_name: "Bo".to_owned(), email: String::new() };
        page.people().create(page.request(request)).await.map_or_else(|status| code(&status), |_| Code::Done)
    };
    assert_eq!(act(None).await, Code::Done, "who has no other way is not shut out");
    let other = "INSERT INTO identities (id, person, kind, subject, label, data, created_ms, used_ms)
                 VALUES ('other', $1, 'mail', 'ada@example.org', 'mail', '', 0, 0)";
    sqlx::query(other).bind(&ada_here.id).execute(&mut core.store().await).await.unwrap();
    assert_eq!(act(None).await, Code::StepUpRequired, "it does not say when it asked");
    assert_eq!(act(Some(now_s - 3600)).await, Code::StepUpRequired);
    assert_eq!(act(Some(now_s)).await, Code::Done);
    assert_eq!(act(Some(now_s + 3600)).await, Code::Done, "a clock that is ahead makes nothing last longer");
}
