//! Who else vouches for people: OpenID providers and GitHub. What they say is judged
//! here; who that is in this installation is the store's to say.

mod github;
mod oidc;
mod proven;
mod ties;
mod web;

use std::collections::BTreeSet;

use chatcode_certs::{files::FilesError, secret::Secret};
use chatcode_proto::{code::Refusal, limits, pb::Code};
use openidconnect::{DiscoveryError, RequestTokenError, core::CoreErrorResponseType};
use tokio::{sync::Semaphore, time::timeout};
use zeroize::Zeroizing;

pub use self::ties::Purpose;
use self::{
    github::Github,
    oidc::{Oidc, Returned},
    ties::Ties,
    web::WebError,
};
use crate::{
    config::{
        provider::{Preset, ProviderConfig, ProviderConfigError},
        secrets,
    },
    people::vouched::Vouched,
};

/// The path of the page under which each provider has its own address to send a
/// browser back to, by its id: so what one provider gives is never shown to another.
pub const CALLBACK: &str = "/auth/callback";

/// The providers cannot be used as they are written.
#[derive(Debug, thiserror::Error)]
pub enum ProvidersError {
    /// One of them is written wrongly.
    #[error(transparent)]
    Config(#[from] ProviderConfigError),
    /// There are too many.
    #[error("there are more than {} providers in sign_in.providers; remove some", limits::PROVIDERS)]
    Many,
    /// Two have the same id.
    #[error("two providers have the id {0:?}; give one of them another")]
    Twice(String),
    /// The file with a secret cannot be used.
    #[error("the secret of the provider {id:?} cannot be used")]
    File {
        /// Whose.
        id: String,
        /// Why.
        source: FilesError,
    },
    /// There is no secret, or it is none.
    #[error(
        "the provider {0:?} has no secret: write it as the only line of a private file and name that with \
         client_secret_file"
    )]
    NoSecret(String),
    /// An address is none.
    #[error("the provider {0:?} has an address that is none")]
    Address(String),
}

/// Why a provider has proven nothing.
#[derive(Debug, thiserror::Error)]
enum ProviderError {
    /// It was not reached.
    #[error(transparent)]
    Web(#[from] WebError),
    /// Its answer is not understood.
    #[error("its answer is not understood: {0}")]
    Strange(String),
    /// It did not prove who the person is.
    #[error("{0}")]
    Unproven(&'static str),
}

impl ProviderError {
    fn strange(error: impl std::error::Error) -> Self {
        Self::Strange(error.to_string())
    }

    fn of_facts(error: DiscoveryError<WebError>) -> Self {
        match error {
            DiscoveryError::Request(error) => error.into(),
            // Its text repeats what came.
            DiscoveryError::Response(status, _, _) => Self::Strange(format!("discovery answered {status}")),
            error => Self::strange(error),
        }
    }

    fn of_trade<T>(error: RequestTokenError<WebError, T>) -> Self
    where
        T: openidconnect::ErrorResponse + AsTradeError + 'static,
    {
        match error {
            RequestTokenError::Request(error) => error.into(),
            RequestTokenError::ServerResponse(told) if told.is_ours() => {
                Self::Strange("it does not take this installation's client_id or secret".to_owned())
            }
            RequestTokenError::ServerResponse(_) => Self::Unproven("it did not take the code"),
            // Neither is shown: both may hold a token.
            RequestTokenError::Parse(..) | RequestTokenError::Other(_) => {
                Self::Strange("the answer to a code is none".to_owned())
            }
        }
    }
}

/// Whose fault it is when a code is not taken.
trait AsTradeError {
    fn is_ours(&self) -> bool;
}

impl AsTradeError for openidconnect::StandardErrorResponse<CoreErrorResponseType> {
    fn is_ours(&self) -> bool {
        matches!(
            self.error(),
            CoreErrorResponseType::InvalidClient | CoreErrorResponseType::UnauthorizedClient
        )
    }
}

/// All providers of an installation.
#[derive(Debug)]
pub struct Providers {
    list: Vec<Provider>,
}

/// One provider.
#[derive(Debug)]
pub struct Provider {
    config: ProviderConfig,
    way: Way,
    /// Its own: one that is slow takes no place of another.
    calls: Semaphore,
}

#[derive(Debug)]
enum Way {
    Oidc(Box<Oidc>),
    Github(Box<Github>),
}

/// What a browser brought back from its provider.
#[derive(Clone, Copy, Debug)]
pub struct Answer<'a> {
    /// The provider whose address the browser came back to.
    pub provider: &'a str,
    /// The code.
    pub code: &'a str,
    /// The state.
    pub state: &'a str,
    /// The issuer, when it was told (RFC 9207).
    pub issuer: &'a str,
}

impl Providers {
    /// Those of the configuration, with their secrets from their files.
    ///
    /// # Errors
    /// [`ProvidersError`], with what to change.
    pub fn open(configs: &[ProviderConfig]) -> Result<Self, ProvidersError> {
        if configs.len() > limits::PROVIDERS {
            return Err(ProvidersError::Many);
        }
        let mut ids = BTreeSet::new();
        let mut list = Vec::new();
        for config in configs {
            if let Some((_, error)) = config.faults().into_iter().next() {
                return Err(error.into());
            }
            if !ids.insert(&config.id) {
                return Err(ProvidersError::Twice(config.id.clone()));
            }
            let calls = Semaphore::new(limits::PROVIDER_CALLS);
            list.push(Provider { way: way(config)?, config: config.clone(), calls });
        }
        Ok(Self { list })
    }

    /// All that is wrong with one of them by itself, by the keys.
    #[must_use]
    pub fn faults(config: &ProviderConfig) -> Vec<(&'static str, ProvidersError)> {
        let mut faults: Vec<(_, ProvidersError)> =
            config.faults().into_iter().map(|(key, error)| (key, error.into())).collect();
        if let Err(error) = secret(config) {
            faults.push(("client_secret_file", error));
        }
        if faults.is_empty()
            && let Err(error) = way(config)
        {
            faults.push((if config.preset.is_some() { "github" } else { "issuer" }, error));
        }
        faults
    }

    /// Id and name of each, in the order of the configuration.
    pub fn shown(&self) -> impl Iterator<Item = (&str, &str)> {
        self.list.iter().map(|provider| (provider.config.id.as_str(), provider.config.shown()))
    }

    /// The provider with this id.
    ///
    /// # Errors
    /// `INVALID` when there is none.
    pub fn find(&self, id: &str) -> Result<&Provider, Refusal> {
        self.list.iter().find(|provider| provider.config.id == id).ok_or_else(|| {
            Refusal::new(Code::Invalid, "there is no such way to sign in here; load the page anew")
        })
    }

    /// Where a browser with this secret goes to sign in at the provider, which sends
    /// it back to its own address below [`CALLBACK`] at this origin.
    ///
    /// # Errors
    /// `LIMIT`, `PROVIDER_UNREACHABLE` when it does not answer as it should.
    pub async fn begin(
        &self,
        provider: &Provider,
        browser: &Secret,
        purpose: Purpose,
        origin: &str,
    ) -> Result<String, Refusal> {
        let ties = Ties::of(browser, purpose);
        let redirect = redirect(origin, provider);
        let asking = async {
            match &provider.way {
                Way::Oidc(oidc) => Box::pin(oidc.begin(&redirect, &ties)).await,
                Way::Github(github) => github.begin(&redirect, &ties),
            }
        };
        ask(provider, asking).await
    }

    /// Who came back from the provider with this answer, by the rules of its
    /// configuration.
    ///
    /// # Errors
    /// `BAD_TOKEN` when the answer is another browser's or proves nothing,
    /// `FORBIDDEN` for a domain that may not come in, `LIMIT`,
    /// `PROVIDER_UNREACHABLE`.
    pub async fn finish(
        &self,
        provider: &Provider,
        browser: &Secret,
        purpose: Purpose,
        origin: &str,
        answer: Answer<'_>,
    ) -> Result<Vouched, Refusal> {
        let ties = owned(browser, purpose, answer.state)?;
        if answer.provider != provider.id() {
            let words = "another provider has sent you back than the one that you went to; begin anew";
            return Err(Refusal::new(Code::BadToken, words));
        }
        let is_fit = |text: &str| text.len() <= limits::PROVIDER_CODE_BYTES;
        if answer.code.is_empty() || !is_fit(answer.code) || !is_fit(answer.issuer) {
            return Err(Refusal::new(Code::Invalid, "the provider's answer has no code; begin anew"));
        }
        let redirect = redirect(origin, provider);
        let returned =
            Returned { code: answer.code, issuer: answer.issuer, redirect: &redirect, ties: &ties };
        let asking = async {
            match &provider.way {
                Way::Oidc(oidc) => Box::pin(oidc.finish(&returned)).await,
                Way::Github(github) => github.finish(&returned).await,
            }
        };
        ask(provider, asking).await?.judge(&provider.config)
    }
}

impl Provider {
    /// Its id.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.config.id
    }
}

/// Whether an answer is of the sign-in that the browser with this secret has begun.
/// Asked before its challenge is spent, so that a forged answer spends none.
///
/// # Errors
/// `BAD_TOKEN` when it is another's.
pub fn check_state(browser: &Secret, purpose: Purpose, state: &str) -> Result<(), Refusal> {
    owned(browser, purpose, state).map(drop)
}

fn owned(browser: &Secret, purpose: Purpose, state: &str) -> Result<Ties, Refusal> {
    let ties = Ties::of(browser, purpose);
    if ties.is_state(state) {
        return Ok(ties);
    }
    let words = "this answer belongs to another sign-in or another browser; begin anew";
    Err(Refusal::new(Code::BadToken, words))
}

/// Asks a provider, in one of its places and in time.
async fn ask<T>(
    provider: &Provider,
    asking: impl Future<Output = Result<T, ProviderError>>,
) -> Result<T, Refusal> {
    let name = provider.config.shown();
    let Ok(_place) = provider.calls.try_acquire() else {
        return Err(Refusal::new(Code::Limit, "too many people sign in just now; try again in a moment"));
    };
    let error = match timeout(limits::PROVIDER_SIGN_IN, asking).await {
        Ok(Ok(answer)) => return Ok(answer),
        Ok(Err(error)) => error,
        Err(_) => WebError::Slow(name.to_owned()).into(),
    };
    tracing::warn!(
        provider = provider.config.id,
        error = &error as &dyn std::error::Error,
        "a provider did not prove who somebody is"
    );
    Err(match error {
        ProviderError::Unproven(_) => {
            let words = format!("{name} did not prove who you are; begin anew, or sign in another way");
            Refusal::new(Code::BadToken, words)
        }
        ProviderError::Web(_) | ProviderError::Strange(_) => {
            let words = format!(
                "{name} does not answer as it should, and the core's log says why; try again, or sign in \
                 another way"
            );
            Refusal::new(Code::ProviderUnreachable, words)
        }
    })
}

fn redirect(origin: &str, provider: &Provider) -> String {
    format!("{origin}{CALLBACK}/{}", provider.id())
}

fn way(config: &ProviderConfig) -> Result<Way, ProvidersError> {
    let address = |_| ProvidersError::Address(config.id.clone());
    Ok(match (config.preset, secret(config)?) {
        (Some(Preset::Github), Some(secret)) => {
            Way::Github(Box::new(Github::new(config, secret).map_err(address)?))
        }
        (_, secret) => Way::Oidc(Box::new(Oidc::new(config, secret).map_err(address)?)),
    })
}

/// The only line of the secret's file; GitHub wants one.
fn secret(config: &ProviderConfig) -> Result<Option<Zeroizing<String>>, ProvidersError> {
    let given = || secrets::credential(&format!("provider-{}", config.id));
    let Some(file) = config.client_secret_file.clone().or_else(given) else {
        let is_wanted = config.preset == Some(Preset::Github);
        return if is_wanted { Err(ProvidersError::NoSecret(config.id.clone())) } else { Ok(None) };
    };
    secrets::line(&file)
        .map_err(|source| ProvidersError::File { id: config.id.clone(), source })?
        .map(Some)
        .ok_or_else(|| ProvidersError::NoSecret(config.id.clone()))
}
