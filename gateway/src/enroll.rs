//! Enrollment of this machine: once, with a join token.

use chatcode_certs::{
    Identity, IdentityError, InvalidJoinToken, JoinToken, KeyError, MachineKey, MemberName,
    files::{self, FilesError},
};
use chatcode_link::enroll::{self, CoreAddress, CoreAddressError, EnrollError};
use chatcode_proto::{code::Refusal, id::GatewayId, limits, name};
use tokio::io::{AsyncRead, AsyncReadExt as _};
use zeroize::Zeroizing;

use crate::{
    config::Config,
    lock::{DataLock, LockError},
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
    NoToken(#[source] std::io::Error),
    /// What came is not a token.
    #[error("what came on standard input is not a join token; copy it whole, as the core printed it")]
    BadToken(#[from] InvalidJoinToken),
    /// The name cannot be used.
    #[error(transparent)]
    Name(Refusal),
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
    /// The durable key of the machine could not be made.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// The identity could not be kept.
    #[error("the identity could not be kept")]
    Identity(#[from] IdentityError),
    /// The core's address could not be kept.
    #[error("the core's address could not be kept")]
    Address(#[from] CoreAddressError),
}

/// Enrolls at the core at `core` (host and TCP port) with the token that comes
/// on `input`, and keeps the identity and the core's address. An identity that
/// is there already is only thrown away with `force`, and only after the new
/// one was granted.
///
/// # Errors
/// [`EnrollmentError`]; nothing was changed on disk then, unless keeping the
/// new identity itself failed.
pub async fn enroll(
    config: &Config,
    core: &str,
    wished_name: &str,
    force: bool,
    input: impl AsyncRead + Unpin,
) -> Result<GatewayId, EnrollmentError> {
    if !wished_name.is_empty() {
        name::check("name", wished_name, limits::NAME_CHARS).map_err(EnrollmentError::Name)?;
    }
    files::private_dir(&config.data_dir)?;
    let _lock = DataLock::take(&config.data_dir)?;
    let home = config.identity_dir();
    if !force && let Some(identity) = Identity::load(&home)? {
        return Err(EnrollmentError::Enrolled(identity.name().id().into()));
    }
    let token = read_token(input).await?;
    let machine = MachineKey::generate()?;
    let (identity, response) = enroll::enroll(core, &token, wished_name, Some(&machine)).await?;
    let MemberName::Gateway(id) = *identity.name() else {
        return Err(EnrollmentError::OtherKind(identity.name().kind()));
    };
    let address = CoreAddress::of(core, &response)?;
    machine.save(&home)?;
    identity.save(&home)?;
    address.save(&home)?;
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
            let error = enroll(&config, "127.0.0.1:1", "", false, input.as_bytes()).await;
            assert!(matches!(error, Err(EnrollmentError::BadToken(_))), "{input:?}");
        }
        let error = enroll(&config, "127.0.0.1:1", "a\nb", false, &b""[..]).await;
        assert!(matches!(error, Err(EnrollmentError::Name(_))));
    }
}
