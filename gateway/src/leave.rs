//! Taking leave of the core, when the daemon is taken off its machine.

use chatcode_certs::{Identity, IdentityError, MachineKey};
use chatcode_link::{
    Target,
    enroll::{self, CoreAddress, CoreAddressError, EnrollError},
};

use crate::config::{Config, ConfigError};

/// Why the core was not told.
#[derive(Debug, thiserror::Error)]
pub enum LeaveError {
    /// There is no identity, or no durable key, or no address to tell it at.
    #[error("{0} is not there, so there is nobody to leave; if the page still shows this machine, revoke it")]
    Nobody(std::path::PathBuf),
    /// The identity cannot be used.
    #[error("the gateway's identity cannot be used")]
    Identity(#[from] IdentityError),
    /// The core's address cannot be read.
    #[error("the core's address cannot be read")]
    Address(#[from] CoreAddressError),
    /// The proxy in the settings cannot be used.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The core refused or was not reached.
    #[error("{0}; to take this machine off the page, revoke it: chatcode gateway revoke")]
    Enroll(#[from] EnrollError),
}

/// Tells the core that this machine goes for good; it revokes the gateway. Within
/// [`chatcode_proto::limits::LEAVE`]. Nothing here is removed.
///
/// # Errors
/// [`LeaveError`].
pub async fn leave(config: &Config) -> Result<(), LeaveError> {
    let home = config.identity_dir();
    let nobody = || LeaveError::Nobody(home.clone());
    let identity = Identity::load(&home)?.ok_or_else(nobody)?;
    let machine = MachineKey::load(&home)?.ok_or_else(nobody)?;
    let address = CoreAddress::load(&home)?.ok_or_else(nobody)?;
    let core = Target::from(&address.grpc).by(config.proxy()?);
    Ok(enroll::leave(core, &identity, &machine).await?)
}
