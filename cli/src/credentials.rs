//! The certificate of this command line: renewed when a command finds it past two
//! thirds of its life, and what to trust looked at once a day.

use std::{
    path::{Path, PathBuf},
    time::SystemTime,
};

use chatcode_certs::{Identity, Renewal};
use chatcode_link::{
    enroll::{CoreAddress, EnrollError},
    renew,
};
use chatcode_proto::limits;

use crate::{
    home::Home,
    print::{say, shown},
    table::now_ms,
};

/// The folder of the certificate; `None`: commands act by a login, or are about to
/// say why they cannot.
fn folder(home: &Home) -> Option<PathBuf> {
    home.context().is_ok_and(|context| context.is_none()).then(|| home.cli_dir())
}

/// Keeps certificate and trust of this command line young. Never fails: a command that
/// cannot do without says more by itself.
pub(crate) async fn refresh(home: &Home) {
    if let Some(dir) = folder(home) {
        refresh_in(&dir).await;
    }
}

/// As [`refresh`], of the certificate in this folder.
pub(crate) async fn refresh_in(dir: &Path) {
    let (Ok(Some(identity)), Ok(Some(core))) = (Identity::load(dir), CoreAddress::load(dir)) else { return };
    if let Some(fresh) = look(dir, &identity, &core.grpc).await
        && let Err(error) = fresh.save(dir)
    {
        say(&format!("the new certificate of this command line is not kept: {error}"));
    }
}

/// What there is to be kept, if anything.
async fn look(dir: &Path, identity: &Identity, core: &str) -> Option<Identity> {
    let validity = identity.validity_unix_s();
    if validity.end.saturating_mul(1000) <= now_ms() {
        return None;
    }
    let asking = async {
        if Renewal::of(&validity, 0.0).is_due(now_ms()) {
            renew::renew(core, identity, None).await.map(Some)
        } else if is_old(dir) {
            // Also what is not new is written, so that the next look is later.
            Ok(Some(renew::follow(core, identity).await?.unwrap_or_else(|| identity.clone())))
        } else {
            Ok(None)
        }
    };
    // The command itself says so when the core does not answer.
    let asked = tokio::time::timeout(limits::HANDSHAKE, asking).await.ok()?;
    asked.unwrap_or_else(|error: EnrollError| {
        if !matches!(error, EnrollError::Unreachable { .. }) {
            let why = shown(&error.to_string());
            say(&format!(
                "the certificate of this command line is not renewed, and is asked for again: {why}"
            ));
        }
        None
    })
}

/// Whether it is time to look at what to trust.
fn is_old(dir: &Path) -> bool {
    let written = std::fs::metadata(dir.join("roots.pem")).and_then(|file| file.modified());
    let age = written.ok().and_then(|at| SystemTime::now().duration_since(at).ok());
    age.is_none_or(|age| age >= limits::TRUST_LOOK)
}

/// Asks what to trust now, whenever that was last asked. Never fails, as
/// [`refresh`].
pub(crate) async fn follow(home: &Home) {
    let Some(dir) = &folder(home) else { return };
    let (Ok(Some(identity)), Ok(Some(core))) = (Identity::load(dir), CoreAddress::load(dir)) else { return };
    if let Ok(Some(follows)) = renew::follow(&core.grpc, &identity).await
        && let Err(error) = follows.save(dir)
    {
        say(&format!("what this command line trusts is not kept: {error}"));
    }
}

#[cfg(test)]
mod tests {
    use std::{fs::File, time::Duration};

    use super::*;

    #[test]
    fn what_to_trust_is_asked_for_again_when_it_is_a_day_old() {
        let folder = tempfile::tempdir().unwrap();
        assert!(is_old(folder.path()), "it was never asked for");
        let file = File::create(folder.path().join("roots.pem")).unwrap();
        let minute = Duration::from_secs(60);
        for (age, expected) in [
            (Duration::ZERO, false),
            (limits::TRUST_LOOK - minute, false),
            (limits::TRUST_LOOK + minute, true),
        ] {
            file.set_modified(SystemTime::now() - age).unwrap();
            assert_eq!(is_old(folder.path()), expected, "{age:?}");
        }
    }
}
