//! Sign-in by an OpenID provider: authorization code with PKCE (RFC 7636), a nonce,
//! and an identity token that is believed only when all of it fits
//! (OpenID Connect Core 1.0, 3.1.3.7).

use std::{sync::Arc, time::Instant};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use chatcode_proto::limits;
use http::{Request, StatusCode, header};
use openidconnect::{
    AccessToken, AccessTokenHash, AdditionalProviderMetadata, AuthType, AuthorizationCode,
    ClaimsVerificationError, ClientId, ClientSecret, CsrfToken, IssuerUrl, Nonce, OAuth2TokenResponse as _,
    PkceCodeChallenge, PkceCodeVerifier, ProviderMetadata, RedirectUrl, Scope, SignatureVerificationError,
    TokenResponse as _,
    core::{
        CoreAuthDisplay, CoreAuthenticationFlow, CoreClaimName, CoreClaimType, CoreClient,
        CoreClientAuthMethod, CoreGrantType, CoreIdToken, CoreIdTokenVerifier, CoreJsonWebKey,
        CoreJweContentEncryptionAlgorithm, CoreJweKeyManagementAlgorithm, CoreJwsSigningAlgorithm,
        CoreResponseMode, CoreResponseType, CoreSubjectIdentifierType, CoreTokenResponse,
    },
};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use tokio::{sync::Mutex, time::timeout};
use zeroize::Zeroizing;

use super::{
    ProviderError,
    proven::Claims,
    ties::Ties,
    web::{Web, WebError},
};
use crate::config::provider::{Preset, ProviderConfig};

/// Google's issuer.
const GOOGLE: &str = "https://accounts.google.com";

/// Signatures that are believed: those of a key that only the provider has.
const ALGORITHMS: [CoreJwsSigningAlgorithm; 9] = [
    CoreJwsSigningAlgorithm::RsaSsaPkcs1V15Sha256,
    CoreJwsSigningAlgorithm::RsaSsaPkcs1V15Sha384,
    CoreJwsSigningAlgorithm::RsaSsaPkcs1V15Sha512,
    CoreJwsSigningAlgorithm::RsaSsaPssSha256,
    CoreJwsSigningAlgorithm::RsaSsaPssSha384,
    CoreJwsSigningAlgorithm::RsaSsaPssSha512,
    CoreJwsSigningAlgorithm::EcdsaP256Sha256,
    CoreJwsSigningAlgorithm::EcdsaP384Sha384,
    CoreJwsSigningAlgorithm::EdDsa,
];

/// What a provider says of itself (OpenID Connect Discovery 1.0).
type Metadata = ProviderMetadata<
    More,
    CoreAuthDisplay,
    CoreClientAuthMethod,
    CoreClaimName,
    CoreClaimType,
    CoreGrantType,
    CoreJweContentEncryptionAlgorithm,
    CoreJweKeyManagementAlgorithm,
    CoreJsonWebKey,
    CoreResponseMode,
    CoreResponseType,
    CoreSubjectIdentifierType,
>;

/// What is said beyond that.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct More {
    /// Its answers always say whose they are (RFC 9207, 3).
    #[serde(default)]
    authorization_response_iss_parameter_supported: bool,
}

impl AdditionalProviderMetadata for More {}

/// One OpenID provider.
#[derive(Debug)]
pub(super) struct Oidc {
    issuer: IssuerUrl,
    client: ClientId,
    secret: Option<ClientSecret>,
    scopes: Vec<String>,
    groups_claim: Option<String>,
    web: Web,
    known: Mutex<Known>,
}

/// What is known of the provider.
#[derive(Debug, Default)]
struct Known {
    facts: Option<Facts>,
    /// When it last failed to say them.
    failed: Option<Instant>,
}

/// What the provider says of itself, and its keys.
#[derive(Clone, Debug)]
struct Facts {
    metadata: Arc<Metadata>,
    since: Instant,
}

/// What the browser brought back.
pub(super) struct Returned<'a> {
    pub(super) code: &'a str,
    /// Who says so (RFC 9207); empty: not said.
    pub(super) issuer: &'a str,
    pub(super) redirect: &'a str,
    pub(super) ties: &'a Ties,
}

impl Oidc {
    /// The provider of the configuration, which was checked.
    pub(super) fn new(
        config: &ProviderConfig,
        secret: Option<Zeroizing<String>>,
    ) -> Result<Self, ProviderError> {
        let issuer = match config.preset {
            Some(Preset::Google) => GOOGLE,
            _ => config.issuer.as_deref().unwrap_or_default(),
        };
        Ok(Self {
            web: Web::of(issuer),
            issuer: IssuerUrl::new(issuer.to_owned()).map_err(ProviderError::strange)?,
            client: ClientId::new(config.client_id.clone()),
            secret: secret.map(|secret| ClientSecret::new(secret.to_string())),
            scopes: config.scopes(),
            groups_claim: config.groups_claim.clone(),
            known: Mutex::default(),
        })
    }

    /// Where the browser goes.
    pub(super) async fn begin(&self, redirect: &str, ties: &Ties) -> Result<String, ProviderError> {
        let facts = self.facts(None).await?;
        let redirect = RedirectUrl::new(redirect.to_owned()).map_err(ProviderError::strange)?;
        let client = CoreClient::from_provider_metadata((*facts.metadata).clone(), self.client.clone(), None)
            .set_redirect_uri(redirect);
        let verifier = PkceCodeVerifier::new(ties.verifier.to_string());
        let (state, nonce) = (CsrfToken::new(ties.state.clone()), Nonce::new(ties.nonce.clone()));
        let request = client
            .authorize_url(CoreAuthenticationFlow::AuthorizationCode, move || state, move || nonce)
            .set_pkce_challenge(PkceCodeChallenge::from_code_verifier_sha256(&verifier))
            // Long, so that nobody types more than before; but who is asked this has to
            // say when it looked at the person (OpenID Connect Core 1.0, 3.1.2.1).
            .set_max_age(limits::PROVIDER_MAX_AGE)
            .add_scopes(self.scopes.iter().filter(|scope| *scope != "openid").cloned().map(Scope::new));
        Ok(request.url().0.into())
    }

    /// Trades the code for what the provider says of the person.
    pub(super) async fn finish(&self, returned: &Returned<'_>) -> Result<Claims, ProviderError> {
        let facts = self.facts(None).await?;
        // Who always says it has to (RFC 9207, 2.4).
        let is_said = !returned.issuer.is_empty()
            || facts.metadata.additional_metadata().authorization_response_iss_parameter_supported;
        if is_said && returned.issuer != facts.metadata.issuer().as_str() {
            return Err(ProviderError::Unproven("another provider has sent the browser back"));
        }
        let answer = self.trade(&facts, returned).await?;
        let token = answer.id_token().ok_or(ProviderError::Unproven("it gave no identity token"))?;
        let text = token.to_string();
        if text.len() > limits::ID_TOKEN_BYTES {
            return Err(ProviderError::Unproven("its identity token is too large"));
        }
        let nonce = Nonce::new(returned.ties.nonce.clone());
        match self.check(&facts, token, answer.access_token(), &nonce) {
            // The provider may have changed its keys.
            Err(Unfit::UnknownKey) => {
                let facts = self.facts(Some(facts.since)).await?;
                self.check(&facts, token, answer.access_token(), &nonce).map_err(Unfit::told)?;
            }
            checked => checked.map_err(Unfit::told)?,
        }
        // What was checked, with the claims that only this provider has.
        let claims = payload(&text).ok_or(ProviderError::Unproven("its identity token is not readable"))?;
        let more = self.more(&facts, &claims, answer.access_token()).await?;
        Ok(self.read(facts.metadata.issuer().as_str(), &claims, more.as_ref()))
    }

    async fn trade(
        &self,
        facts: &Facts,
        returned: &Returned<'_>,
    ) -> Result<CoreTokenResponse, ProviderError> {
        let redirect = RedirectUrl::new(returned.redirect.to_owned()).map_err(ProviderError::strange)?;
        let methods = facts.metadata.token_endpoint_auth_methods_supported();
        // Basic is what every provider has to speak unless it says otherwise.
        let speaks = |method| methods.is_none_or(|methods| methods.contains(&method));
        let by_body = !speaks(CoreClientAuthMethod::ClientSecretBasic)
            && speaks(CoreClientAuthMethod::ClientSecretPost);
        let how = if by_body || self.secret.is_none() { AuthType::RequestBody } else { AuthType::BasicAuth };
        let metadata = (*facts.metadata).clone();
        CoreClient::from_provider_metadata(metadata, self.client.clone(), self.secret.clone())
            .set_redirect_uri(redirect)
            .set_auth_type(how)
            .exchange_code(AuthorizationCode::new(returned.code.to_owned()))
            .map_err(ProviderError::strange)?
            .set_pkce_verifier(PkceCodeVerifier::new(returned.ties.verifier.to_string()))
            .request_async(&self.web)
            .await
            .map_err(ProviderError::of_trade)
    }

    fn check(
        &self,
        facts: &Facts,
        token: &CoreIdToken,
        access: &AccessToken,
        nonce: &Nonce,
    ) -> Result<(), Unfit> {
        let keys = facts.metadata.jwks().clone();
        let verifier = CoreIdTokenVerifier::new_public_client(self.client.clone(), self.issuer.clone(), keys)
            .set_allowed_algs(ALGORITHMS);
        let claims = token.claims(&verifier, nonce).map_err(Unfit::of)?;
        if claims.authorized_party().is_some_and(|party| *party != self.client) {
            return Err(Unfit::Because("its identity token is for another client"));
        }
        if let Some(told) = claims.access_token_hash() {
            let algorithm = token.signing_alg().map_err(|_| Unfit::Because("it is not signed"))?;
            let key = token.signing_key(&verifier).map_err(|_| Unfit::UnknownKey)?;
            let ours = AccessTokenHash::from_token(access, algorithm, key);
            // One that cannot be made fits nothing.
            if !ours.is_ok_and(|ours| ours == *told) {
                return Err(Unfit::Because("its identity token belongs to another access token"));
            }
        }
        Ok(())
    }

    /// What the provider adds when it is asked with the access token, if the
    /// identity token does not say all that counts (5.3).
    async fn more(
        &self,
        facts: &Facts,
        claims: &Map<String, Value>,
        access: &AccessToken,
    ) -> Result<Option<Map<String, Value>>, ProviderError> {
        let is_whole = claims.contains_key("email")
            && claims.contains_key("name")
            && self.groups_claim.as_ref().is_none_or(|claim| claims.contains_key(claim));
        let Some(endpoint) = facts.metadata.userinfo_endpoint().filter(|_| !is_whole) else {
            return Ok(None);
        };
        let bearer = Zeroizing::new(format!("Bearer {}", access.secret()));
        let mut bearer = http::HeaderValue::from_str(&bearer).map_err(ProviderError::strange)?;
        bearer.set_sensitive(true);
        let request = Request::get(endpoint.as_str())
            .header(header::AUTHORIZATION, bearer)
            .header(header::ACCEPT, "application/json")
            .body(Vec::new())
            .map_err(ProviderError::strange)?;
        let answer = self.web.ask(request).await?;
        if answer.status() != StatusCode::OK {
            return Err(ProviderError::Unproven("it did not say who the person is"));
        }
        let more: Map<String, Value> =
            serde_json::from_slice(answer.body()).map_err(ProviderError::strange)?;
        // It is no proof by itself: only of the person of the identity token (5.3.2).
        if more.get("sub").is_none_or(|subject| Some(subject) != claims.get("sub")) {
            return Err(ProviderError::Unproven("it spoke of another person"));
        }
        Ok(Some(more))
    }

    fn read(&self, issuer: &str, claims: &Map<String, Value>, more: Option<&Map<String, Value>>) -> Claims {
        let find = |name: &str| claims.get(name).or_else(|| more.and_then(|more| more.get(name)));
        let text = |name: &str| find(name).and_then(Value::as_str).map(str::to_owned);
        // An address and whether it is verified come from the same place.
        let of_email = if claims.contains_key("email") { Some(claims) } else { more };
        let email = |name: &str| of_email.and_then(|claims| claims.get(name));
        Claims {
            issuer: issuer.to_owned(),
            subject: claims.get("sub").and_then(Value::as_str).unwrap_or_default().to_owned(),
            email: email("email").and_then(Value::as_str).map(str::to_owned),
            email_verified: email("email_verified") == Some(&Value::Bool(true)),
            hosted_domain: claims.get("hd").and_then(Value::as_str).map(str::to_owned),
            asked_s: claims.get("auth_time").and_then(Value::as_u64),
            name: text("name").or_else(|| text("preferred_username")),
            groups: self.groups_claim.as_ref().and_then(|claim| find(claim)).map(|told| match told {
                Value::Array(groups) => groups.iter().filter_map(Value::as_str).map(str::to_owned).collect(),
                Value::String(group) => vec![group.clone()],
                _ => Vec::new(),
            }),
        }
    }

    /// What the provider says of itself: kept for [`limits::PROVIDER_FACTS`];
    /// `than`: newer than those, unless they are new themselves. One asks, the
    /// others wait for the answer, and nobody asks for [`limits::PROVIDER_FAILED`]
    /// after there was none.
    async fn facts(&self, than: Option<Instant>) -> Result<Facts, ProviderError> {
        let mut known = self.known.lock().await;
        if let Some(facts) = &known.facts {
            let age = facts.since.elapsed();
            let is_stale = than.is_some_and(|than| than >= facts.since) && age > limits::PROVIDER_FACTS_AGAIN;
            if age < limits::PROVIDER_FACTS && !is_stale {
                return Ok(facts.clone());
            }
        }
        if known.failed.is_some_and(|failed| failed.elapsed() < limits::PROVIDER_FAILED) {
            return Err(ProviderError::Strange("it failed a moment ago, and is not asked yet".to_owned()));
        }
        let asked = timeout(limits::PROVIDER_ANSWER, self.discover()).await;
        let asked = asked.unwrap_or_else(|_| Err(WebError::Slow(self.issuer.to_string()).into()));
        known.failed = asked.is_err().then(Instant::now);
        let facts = asked?;
        known.facts = Some(facts.clone());
        Ok(facts)
    }

    async fn discover(&self) -> Result<Facts, ProviderError> {
        let metadata = Metadata::discover_async(self.issuer.clone(), &self.web)
            .await
            .map_err(ProviderError::of_facts)?;
        if metadata.jwks().keys().len() > limits::PROVIDER_KEYS {
            return Err(ProviderError::Strange("it has too many keys".to_owned()));
        }
        Ok(Facts { metadata: Arc::new(metadata), since: Instant::now() })
    }
}

/// Why an identity token is not believed.
enum Unfit {
    UnknownKey,
    Because(&'static str),
}

impl Unfit {
    fn of(error: ClaimsVerificationError) -> Self {
        match error {
            ClaimsVerificationError::SignatureVerification(SignatureVerificationError::NoMatchingKey) => {
                Self::UnknownKey
            }
            ClaimsVerificationError::SignatureVerification(_) => Self::Because("its signature is wrong"),
            ClaimsVerificationError::Expired(_) => Self::Because("its identity token has expired"),
            ClaimsVerificationError::InvalidAudience(_) => {
                Self::Because("its identity token is for somebody else")
            }
            ClaimsVerificationError::InvalidIssuer(_) => {
                Self::Because("its identity token is another provider's")
            }
            ClaimsVerificationError::InvalidNonce(_) => {
                Self::Because("its identity token is of another sign-in")
            }
            _ => Self::Because("its identity token does not fit"),
        }
    }

    fn told(self) -> ProviderError {
        ProviderError::Unproven(match self {
            Self::UnknownKey => "its identity token is signed by a key that it does not publish",
            Self::Because(why) => why,
        })
    }
}

/// The claims of a token whose signature was checked.
fn payload(token: &str) -> Option<Map<String, Value>> {
    let part = token.split('.').nth(1)?;
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).ok()?).ok()
}
