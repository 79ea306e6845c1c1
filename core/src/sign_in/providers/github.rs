//! Sign-in by GitHub: OAuth (RFC 6749) with PKCE, and its API for who the person is.
//! GitHub is no OpenID provider: it signs nothing, so what counts is its answer to a
//! token that came over TLS from GitHub itself.

use chatcode_proto::limits;
use http::{HeaderValue, Request, StatusCode, header};
use openidconnect::{PkceCodeChallenge, PkceCodeVerifier, url::Url};
use serde::{Deserialize, de::DeserializeOwned};
use zeroize::Zeroizing;

use super::{ProviderError, oidc::Returned, proven::Claims, ties::Ties, web::Web};
use crate::config::provider::{GithubUrls, ProviderConfig};

/// One GitHub.
#[derive(Debug)]
pub(super) struct Github {
    urls: GithubUrls,
    /// Names it among all issuers.
    issuer: String,
    client: String,
    secret: Zeroizing<String>,
    scope: String,
    web: Web,
}

#[derive(Deserialize)]
struct Token {
    access_token: String,
}

#[derive(Deserialize)]
struct User {
    id: u64,
    login: String,
    name: Option<String>,
}

#[derive(Deserialize)]
struct Email {
    email: String,
    primary: bool,
    verified: bool,
}

impl Github {
    /// The GitHub of the configuration, which was checked.
    pub(super) fn new(config: &ProviderConfig, secret: Zeroizing<String>) -> Result<Self, ProviderError> {
        let urls = config.github.clone().unwrap_or_else(|| GithubUrls {
            authorize: "https://github.com/login/oauth/authorize".to_owned(),
            token: "https://github.com/login/oauth/access_token".to_owned(),
            api: "https://api.github.com".to_owned(),
        });
        let place = Url::parse(&urls.authorize).map_err(ProviderError::strange)?;
        Ok(Self {
            issuer: place.origin().ascii_serialization(),
            web: Web::of(&urls.token),
            urls,
            client: config.client_id.clone(),
            secret,
            scope: config.scopes().join(" "),
        })
    }

    /// Where the browser goes.
    pub(super) fn begin(&self, redirect: &str, ties: &Ties) -> Result<String, ProviderError> {
        let verifier = PkceCodeVerifier::new(ties.verifier.to_string());
        let challenge = PkceCodeChallenge::from_code_verifier_sha256(&verifier);
        let mut url = Url::parse(&self.urls.authorize).map_err(ProviderError::strange)?;
        url.query_pairs_mut()
            .append_pair("client_id", &self.client)
            .append_pair("redirect_uri", redirect)
            .append_pair("response_type", "code")
            .append_pair("scope", &self.scope)
            .append_pair("state", &ties.state)
            .append_pair("code_challenge", challenge.as_str())
            .append_pair("code_challenge_method", "S256");
        Ok(url.into())
    }

    /// Trades the code for what GitHub says of the person.
    pub(super) async fn finish(&self, returned: &Returned<'_>) -> Result<Claims, ProviderError> {
        let form = Zeroizing::new(
            openidconnect::url::form_urlencoded::Serializer::new(String::new())
                .append_pair("client_id", &self.client)
                .append_pair("client_secret", &self.secret)
                .append_pair("code", returned.code)
                .append_pair("redirect_uri", returned.redirect)
                .append_pair("code_verifier", &returned.ties.verifier)
                .finish(),
        );
        let request = Request::post(&self.urls.token)
            .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
            .header(header::ACCEPT, "application/json")
            .body(form.as_bytes().to_vec())
            .map_err(ProviderError::strange)?;
        // A refusal comes with status 200 and no token.
        let Token { access_token } = self.ask(request, "it did not take the code").await?;
        let access_token = Zeroizing::new(access_token);
        let user: User = self.get("/user", &access_token).await?;
        let emails: Vec<Email> = self.get("/user/emails", &access_token).await?;
        let primary = emails.into_iter().find(|email| email.primary && email.verified);
        Ok(Claims {
            issuer: self.issuer.clone(),
            subject: user.id.to_string(),
            email_verified: primary.is_some(),
            email: primary.map(|email| email.email),
            name: user.name.or(Some(user.login)),
            ..Claims::default()
        })
    }

    async fn get<T: DeserializeOwned>(&self, path: &str, token: &str) -> Result<T, ProviderError> {
        let bearer = Zeroizing::new(format!("Bearer {token}"));
        let mut bearer = HeaderValue::from_str(&bearer).map_err(ProviderError::strange)?;
        bearer.set_sensitive(true);
        let request = Request::get(format!("{}{path}", self.urls.api))
            .header(header::AUTHORIZATION, bearer)
            .header(header::ACCEPT, "application/vnd.github+json")
            .body(Vec::new())
            .map_err(ProviderError::strange)?;
        self.ask(request, "it did not say who the person is").await
    }

    async fn ask<T: DeserializeOwned>(
        &self,
        request: Request<Vec<u8>>,
        otherwise: &'static str,
    ) -> Result<T, ProviderError> {
        let answer = self.web.ask(request).await?;
        if answer.status().is_server_error() {
            return Err(ProviderError::Strange(format!("it answered {}", answer.status())));
        }
        let is_fit =
            answer.status() == StatusCode::OK && answer.body().len() <= limits::PROVIDER_ANSWER_BYTES;
        let read = is_fit.then(|| serde_json::from_slice(answer.body()).ok()).flatten();
        read.ok_or(ProviderError::Unproven(otherwise))
    }
}
