//! `chatcode login-url`: another one-time URL for the browser.

use std::path::Path;

use anyhow::Context as _;
use chatcode_process::exit::{self, Exit};
use chatcode_proto::pb::AccountsCreateSignInRequest;
use zeroize::Zeroizing;

use crate::{
    addresses::Addresses,
    client::{Client, unary},
    print,
};

/// Print a new one-time URL for the browser.
#[derive(Debug, clap::Args)]
pub(crate) struct LoginUrl {
    /// Where the page is, such as https://code.example.org; left out: the page
    /// of this machine's `chatcode up`.
    #[arg(long)]
    origin: Option<String>,
}

impl LoginUrl {
    /// Prints the URL.
    ///
    /// # Errors
    /// When the core does not answer or the origin is not known.
    pub(crate) async fn run(self, data_dir: &Path) -> anyhow::Result<()> {
        let client = Client::open(&data_dir.join("cli"))?;
        let origin =
            self.origin.or_else(|| Addresses::load(&data_dir.join("up")).origin).with_context(|| {
                "where the page is, is not known here; name it with --origin https://HOST".to_owned()
            });
        let url = create(&client, &origin.context(Exit(exit::USAGE))?).await?;
        print::answer(&format!("{}\n", url.as_str()))?;
        Ok(())
    }
}

/// A one-time login URL for the page at `origin`. The secret is in the fragment,
/// which browsers send to nobody.
///
/// # Errors
/// When the core refuses or does not answer.
pub(crate) async fn create(client: &Client, origin: &str) -> anyhow::Result<Zeroizing<String>> {
    let request = unary(AccountsCreateSignInRequest {});
    let response = client.accounts().create_sign_in(request).await.map_err(|status| client.error(&status))?;
    let secret = Zeroizing::new(response.into_inner().secret);
    Ok(Zeroizing::new(format!("{}/#login={}", origin.trim_end_matches('/'), secret.as_str())))
}
