//! `chatcode login-url`: another one-time URL for the browser.

use anyhow::Context as _;
use chatcode_process::exit::{self, Exit};
use chatcode_proto::pb::AccountsCreateSignInRequest;
use serde_json::json;
use tonic::codegen::http::Uri;
use zeroize::Zeroizing;

use crate::{
    client::{Client, unary},
    home::Home,
    print::Tell,
};

/// Print a new one-time URL for the browser.
#[derive(Debug, clap::Args)]
pub(crate) struct LoginUrl {
    /// Where the page is, such as https://code.example.org; left out: the page
    /// of this machine's `chatcode up`.
    #[arg(long, value_parser = origin)]
    origin: Option<String>,
    #[command(flatten)]
    tell: Tell,
}

impl LoginUrl {
    /// Prints the URL.
    ///
    /// # Errors
    /// When the core does not answer or the origin is not known.
    pub(crate) async fn run(self, home: &Home) -> anyhow::Result<()> {
        let client = home.client()?;
        let origin = place(self.origin, home)?;
        let url = create(&client, &origin, AccountsCreateSignInRequest::default()).await?;
        self.tell.answer(&url, &json!({ "url": url.as_str() }))
    }
}

/// Where the page is: as was said, that of the login, or that of this machine's
/// `chatcode up`.
///
/// # Errors
/// When neither is known.
pub(crate) fn place(said: Option<String>, home: &Home) -> anyhow::Result<String> {
    let origin = match said {
        Some(said) => Some(said),
        None => home.addresses()?.origin,
    };
    let origin = origin.context("where the page is, is not known here; name it with --origin https://HOST");
    origin.context(Exit(exit::USAGE))
}

/// A one-time login URL for the page at `origin`. The secret is in the fragment,
/// which browsers send to nobody.
///
/// # Errors
/// When the core refuses or does not answer.
pub(crate) async fn create(
    client: &Client,
    origin: &str,
    request: AccountsCreateSignInRequest,
) -> anyhow::Result<Zeroizing<String>> {
    let response = client.accounts().create_sign_in(unary(request)).await;
    let response = response.map_err(|status| client.error(&status))?;
    let secret = Zeroizing::new(response.into_inner().secret);
    Ok(Zeroizing::new(format!("{}/#login={}", origin.trim_end_matches('/'), secret.as_str())))
}

/// An origin as browsers write it: scheme, host and perhaps a port.
///
/// # Errors
/// What it should be.
pub(crate) fn origin(text: &str) -> Result<String, String> {
    let wrong = || format!("{text} is no origin; write it as https://HOST or http://HOST:PORT");
    let uri: Uri = text.parse().map_err(|_| wrong())?;
    let is_web = matches!(uri.scheme_str(), Some("http" | "https"));
    let is_bare = uri.path() == "/" && uri.query().is_none() && !text.contains('#');
    let has_host = uri.authority().is_some_and(|at| !at.host().is_empty() && !at.as_str().contains('@'));
    if is_web && is_bare && has_host { Ok(text.trim_end_matches('/').to_owned()) } else { Err(wrong()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_origin_of_the_web_is_one() {
        for good in ["https://code.example.org", "http://localhost:7420", "http://[::1]:7420"] {
            assert_eq!(origin(good).as_deref(), Ok(good));
        }
        assert_eq!(origin("https://code.example.org/").as_deref(), Ok("https://code.example.org"));
        for bad in [
            "",
            "foo",
            "foo:80",
            "ftp://host",
            "https://",
            "https://host/page",
            "https://host?x",
            "https://host/#x",
            "https://me@host",
            "//host",
        ] {
            assert!(origin(bad).is_err(), "{bad:?}");
        }
    }
}
