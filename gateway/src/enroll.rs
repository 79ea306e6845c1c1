//! Enrollment of this machine: once, with a join token.

mod place;

pub(crate) use place::{can_be_mended, mend};

use std::{io, time::Duration};

use chatcode_certs::{
    EnrollingKeys, Identity, IdentityError, InvalidJoinToken, JoinToken, MemberName,
    files::{self, FilesError},
    fingerprint,
};
use chatcode_link::{
    Target,
    enroll::{self, Asking, CoreAddress, CoreAddressError, EnrollError},
};
use chatcode_proto::{code::Refusal, id::GatewayId, limits, name};
use tokio::io::{AsyncRead, AsyncReadExt as _};
use zeroize::Zeroizing;

use crate::{
    config::{Config, ConfigError},
    host,
    lock::{DataLock, LockError},
    shell::user::User,
};

/// Bytes that are read of a join token; a longer text is none.
const TOKEN_BYTES: u64 = 1024;

/// Why the machine was not enrolled.
#[derive(Debug, thiserror::Error)]
pub enum EnrollmentError {
    /// It is enrolled already.
    #[error(
        "this data folder belongs to gateway {0} already; use --force to throw that identity away and enroll \
         anew"
    )]
    Enrolled(GatewayId),
    /// Standard input did not hold a token.
    #[error("no join token came on standard input")]
    NoToken(#[source] io::Error),
    /// What came is not a token.
    #[error(transparent)]
    BadToken(#[from] InvalidJoinToken),
    /// The name cannot be used.
    #[error(transparent)]
    Name(Refusal),
    /// The proxy in the settings cannot be used.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The core refused, or was not reached.
    #[error(transparent)]
    Enroll(#[from] EnrollError),
    /// The token was for another kind of member.
    #[error("the join token is for another kind of member ({0}); make one with --kind gateway")]
    OtherKind(&'static str),
    /// A daemon runs on the folder.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// The folder could not be made private.
    #[error("the data folder cannot be used")]
    Files(#[from] FilesError),
    /// The folder of the identity could not be put in its place.
    #[error("the identity could not be put in its place")]
    Place(#[source] io::Error),
    /// The identity could not be kept.
    #[error("the identity could not be kept")]
    Identity(#[from] IdentityError),
    /// The core's address could not be kept.
    #[error("the core's address could not be kept")]
    Address(#[from] CoreAddressError),
}

/// What the person at this machine has to know while another decides.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Waiting {
    /// The fingerprint of this machine's key, as the other one sees it too.
    pub fingerprint: String,
    /// How long the other may take.
    pub left: Duration,
}

/// Enrolls at the core at `core` (host and TCP port) with the token that comes
/// on `input`, and keeps the identity and the core's address. An identity that
/// is there already is only thrown away with `force`, and only after the new
/// one was granted. Where a person has to approve, `waits` is called once, and
/// this waits; ended meanwhile, the same token goes on with the same key.
///
/// # Errors
/// [`EnrollmentError`]; the identity that was there is untouched then.
pub async fn enroll(
    config: &Config,
    core: &str,
    wished_name: &str,
    force: bool,
    input: impl AsyncRead + Unpin,
    waits: impl FnOnce(Waiting),
) -> Result<GatewayId, EnrollmentError> {
    if !wished_name.is_empty() {
        name::check("name", wished_name, limits::NAME_CHARS).map_err(EnrollmentError::Name)?;
    }
    files::private_dir(&config.data_dir)?;
    let _lock = DataLock::take(&config.data_dir)?;
    let home = config.identity_dir();
    mend(&home).map_err(EnrollmentError::Place)?;
    if !force && let Some(identity) = Identity::load(&home)? {
        return Err(EnrollmentError::Enrolled(identity.name().id().into()));
    }
    let token = read_token(input).await?;
    let keys = EnrollingKeys::of_token(&config.data_dir, token.id())?;
    let user = config.session_user.clone().unwrap_or_else(|| User::current().name);
    let asking = Asking {
        core: Target::from(core).by(config.proxy()?),
        token: &token,
        key: keys.key.clone(),
        name: wished_name,
        machine: Some(&keys.machine),
        host: Some(host::facts(&user)),
    };
    let fingerprint = fingerprint(&keys.key.spki_sha256());
    let asked = enroll::enroll_with(asking, |left| waits(Waiting { fingerprint, left })).await;
    let (identity, response) = match asked {
        Ok(asked) => asked,
        Err(error) => {
            // What may pass is asked for again with the same keys.
            if !error.may_pass() {
                EnrollingKeys::forget(&config.data_dir).map_err(EnrollmentError::Place)?;
            }
            return Err(error.into());
        }
    };
    let MemberName::Gateway(id) = *identity.name() else {
        return Err(EnrollmentError::OtherKind(identity.name().kind()));
    };
    let address = CoreAddress::of(core, &response)?;
    place::replace(&home, |aside| {
        keys.machine.save(aside)?;
        identity.save(aside)?;
        Ok(address.save(aside)?)
    })?;
    EnrollingKeys::forget(&config.data_dir).map_err(EnrollmentError::Place)?;
    Ok(id.into())
}

async fn read_token(input: impl AsyncRead + Unpin) -> Result<JoinToken, EnrollmentError> {
    let mut text = Zeroizing::new(String::with_capacity(usize::try_from(TOKEN_BYTES).unwrap_or(0)));
    input.take(TOKEN_BYTES).read_to_string(&mut text).await.map_err(EnrollmentError::NoToken)?;
    Ok(text.trim().parse()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_is_no_token_is_refused_before_anything_is_dialled() {
        let folder = tempfile::tempdir().expect("a folder");
        let config = Config { data_dir: folder.path().join("data"), ..Config::default() };
        for input in ["", "hello\n", "chatcode1.a.b.c"] {
            let error = enroll(&config, "127.0.0.1:1", "", false, input.as_bytes(), drop).await;
            assert!(matches!(error, Err(EnrollmentError::BadToken(_))), "{input:?}");
        }
        let error = enroll(&config, "127.0.0.1:1", "a\nb", false, &b""[..], drop).await;
        assert!(matches!(error, Err(EnrollmentError::Name(_))));
    }
}
