//! Identity providers beyond what is taken of them.

use chatcode_core::{
    Core,
    config::{SignInConfig, provider::ProviderConfig},
};
use chatcode_proto::{
    limits,
    pb::{Code, ProviderProof},
};
use futures_util::{FutureExt as _, StreamExt as _, stream::FuturesUnordered};
use serde_json::json;

use crate::{
    common::{code, config},
    people::Town,
    provider::{Provider, Way},
    vouching::{ada, begin, come_back, core_with, person, sent_back, sign_in, trusting},
};

#[tokio::test]
async fn one_identity_provider_too_many_stops_the_start() {
    let provider = Provider::start().await;
    let of = |count: usize| {
        let one = |number| ProviderConfig { id: format!("work-{number}"), ..provider.config() };
        (0..count).map(one).collect::<Vec<_>>()
    };
    let folder = tempfile::tempdir().unwrap();
    let mut config = config(folder.path());
    config.sign_in = SignInConfig { providers: of(limits::PROVIDERS + 1), ..SignInConfig::default() };
    let refused = Core::build(config).await.unwrap_err().to_string();
    assert!(refused.contains(&limits::PROVIDERS.to_string()), "{refused}");
    core_with(of(limits::PROVIDERS)).await;
}

#[tokio::test]
async fn one_sign_in_too_many_at_a_provider_that_is_slow_is_told_so_and_others_go_on() {
    let (slow, other) = (Provider::start().await, Provider::start().await);
    slow.behave(Way::Mute);
    let core = core_with(vec![
        ProviderConfig { id: "slow".to_owned(), ..slow.config() },
        ProviderConfig { id: "other".to_owned(), ..other.config() },
    ])
    .await;
    let town = Town::of(&core).await;
    let mut asking: FuturesUnordered<_> =
        (0..=limits::PROVIDER_CALLS).map(|_| begin(&town, "slow")).collect();
    let first = asking.next().await.unwrap().unwrap_err();
    assert_eq!(code(&first), Code::Limit, "the others still wait");
    begin(&town, "other").await.expect("its places are its own");
    assert!(asking.next().now_or_never().is_none(), "nobody else was told so");
}

#[tokio::test]
async fn a_provider_with_more_keys_than_are_taken_counts_as_one_without_an_answer() {
    for (keys, expected) in
        [(limits::PROVIDER_KEYS, None), (limits::PROVIDER_KEYS + 1, Some(Code::ProviderUnreachable))]
    {
        let provider = Provider::start().await;
        provider.behave(Way::Keys(keys));
        let core = core_with(vec![provider.config()]).await;
        let begun = begin(&Town::of(&core).await, "work").await;
        assert_eq!(begun.err().map(|status| code(&status)), expected, "{keys} keys");
    }
}

#[tokio::test]
async fn keys_that_are_not_known_are_not_asked_for_again_and_again() {
    let provider = Provider::start().await;
    let core = core_with(vec![trusting(&provider)]).await;
    let town = Town::of(&core).await;
    person(&town, "Ada", "ada@example.org").await;
    let refused = async || code(&sign_in(&town, &provider, ada(true)).await.unwrap_err());
    // The one that it signs with is not among those that it tells.
    provider.behave(Way::Keys(0));
    assert_eq!(refused().await, Code::BadToken);
    provider.behave(Way::Sound);
    for _ in 0..3 {
        assert_eq!(refused().await, Code::BadToken, "it is not asked so soon");
    }
    assert_eq!(provider.asked().iter().filter(|path| *path == "/keys").count(), 1);
}

#[tokio::test]
async fn an_identity_token_that_is_larger_than_any_is_refused() {
    let provider = Provider::start().await;
    let core = core_with(vec![trusting(&provider)]).await;
    let town = Town::of(&core).await;
    person(&town, "Ada", "ada@example.org").await;
    let with = |bytes: usize| {
        let mut claims = ada(true);
        claims["padding"] = json!("x".repeat(bytes));
        claims
    };
    // Of three bytes it makes four (RFC 7515, 2).
    let refused = sign_in(&town, &provider, with(limits::ID_TOKEN_BYTES * 3 / 4)).await.unwrap_err();
    assert_eq!(code(&refused), Code::BadToken, "{refused:?}");
    sign_in(&town, &provider, with(limits::ID_TOKEN_BYTES * 3 / 4 - 1024)).await.unwrap();
}

#[tokio::test]
async fn a_code_or_an_issuer_that_is_longer_than_any_is_refused_and_not_passed_on() {
    let provider = Provider::start().await;
    let core = core_with(vec![trusting(&provider)]).await;
    let town = Town::of(&core).await;
    let long = || "x".repeat(limits::PROVIDER_CODE_BYTES + 1);
    let back = async |change: fn(ProviderProof, String) -> ProviderProof, text: String| {
        let (challenge, url) = begin(&town, "work").await.unwrap();
        let (given, state) = provider.agree(&url, ada(true));
        let proof = change(sent_back(challenge, given, state, &provider.issuer), text);
        code(&come_back(&town, proof, None).await.unwrap_err())
    };
    let by_code: fn(ProviderProof, String) -> ProviderProof = |proof, code| ProviderProof { code, ..proof };
    assert_eq!(back(by_code, long()).await, Code::Invalid);
    assert_eq!(back(|proof, issuer| ProviderProof { issuer, ..proof }, long()).await, Code::Invalid);
    assert!(!provider.asked().contains(&"/token".to_owned()), "it was not asked");
    let longest = "x".repeat(limits::PROVIDER_CODE_BYTES);
    assert_eq!(back(by_code, longest).await, Code::BadToken, "the provider does not know it");
    assert!(provider.asked().contains(&"/token".to_owned()));
}

#[tokio::test]
async fn a_provider_is_told_how_old_its_proof_of_a_person_may_be() {
    let provider = Provider::start().await;
    let core = core_with(vec![provider.config()]).await;
    let (_, url) = begin(&Town::of(&core).await, "work").await.unwrap();
    let asked = format!("max_age={}", limits::PROVIDER_MAX_AGE.as_secs());
    assert!(url.split(['?', '&']).any(|pair| pair == asked), "{url}");
}
