//! How the programs of this machine join their own core: by the same path as
//! anybody, with tokens that whoever can read the core's folder may make.

use std::path::Path;

use anyhow::Context as _;
use chatcode_certs::{Identity, JoinToken, MachineKey};
use chatcode_link::enroll::{self, CoreAddress};
use chatcode_proto::{limits, name};
use zeroize::Zeroizing;

use super::{Places, role};
use crate::{credentials, table::now_ms};

/// Enrolls an edge or a gateway at the core at `core` unless it is already.
///
/// # Errors
/// When no token is to be had or the enrollment fails.
pub(super) async fn program(
    places: &Places,
    which: &str,
    core: &str,
    installation: &str,
) -> anyhow::Result<()> {
    let data = places.data(which);
    if is_enrolled(&data.join("identity"), installation) {
        return Ok(());
    }
    let token = token(places, which).await?;
    let mut arguments = vec!["enroll".into(), "--data-dir".into(), data.into(), "--core".into(), core.into()];
    if which == "gateway" {
        // An identity that is there is of no use: expired, or another core's.
        arguments.push("--force".into());
        let host = rustix::system::uname();
        let host = host.nodename().to_string_lossy();
        if name::check("name", &host, limits::NAME_CHARS).is_ok() {
            arguments.extend(["--name".into(), host.as_ref().into()]);
        }
    }
    role::run(&places.program(which), &arguments, &token)
        .await
        .with_context(|| format!("the {which} was not enrolled"))?;
    Ok(())
}

/// Enrolls this command line itself as an administrator unless it is already,
/// and notes where the core is.
///
/// # Errors
/// As [`program`].
pub(super) async fn admin(
    places: &Places,
    core: &str,
    link: &str,
    installation: &str,
) -> anyhow::Result<Identity> {
    let dir = places.data("cli");
    let identity = match Identity::load(&dir).ok().flatten() {
        Some(identity) if is_current(&identity, installation) => {
            CoreAddress { grpc: core.to_owned(), link: link.to_owned() }.save(&dir)?;
            credentials::refresh_in(&dir).await;
            Identity::load(&dir)?.unwrap_or(identity)
        }
        _ => {
            let token: JoinToken = token(places, "admin").await?.trim().parse()?;
            let (identity, _) = enroll::enroll(core, &token, "cli", None)
                .await
                .context("the command line was not enrolled")?;
            identity.save(&dir)?;
            identity
        }
    };
    CoreAddress { grpc: core.to_owned(), link: link.to_owned() }.save(&dir)?;
    Ok(identity)
}

async fn token(places: &Places, kind: &str) -> anyhow::Result<Zeroizing<String>> {
    let arguments =
        ["token".into(), "--data-dir".into(), places.data("core").into(), "--kind".into(), kind.into()];
    role::run(&places.program("core"), &arguments, "").await.context("no join token was made")
}

/// Whether a program has an identity of this installation that is good, or that
/// its durable key brings back.
fn is_enrolled(dir: &Path, installation: &str) -> bool {
    let has_key = MachineKey::load(dir).ok().flatten().is_some();
    Identity::load(dir).ok().flatten().is_some_and(|identity| {
        let is_ours = identity.trust_domain().installation() == installation;
        is_ours && (has_key || is_current(&identity, installation))
    })
}

/// Whether a certificate is still good, and of this installation: a core whose
/// folder was removed is another one.
fn is_current(identity: &Identity, installation: &str) -> bool {
    identity.trust_domain().installation() == installation && identity.validity_unix_s().end > now_ms() / 1000
}
