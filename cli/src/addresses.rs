//! Where the programs of `up` are: kept for its next time and for the other
//! commands of this machine.

use std::{net::SocketAddr, path::Path};

use chatcode_certs::files;
use serde::{Deserialize, Serialize};

const FILE: &str = "addresses.json";

/// What the last `up` of this data folder used.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Addresses {
    /// The core's gRPC listener.
    pub(crate) core: Option<SocketAddr>,
    /// The core's links (UDP).
    pub(crate) link: Option<SocketAddr>,
    /// The page.
    pub(crate) listen: Option<SocketAddr>,
    /// The page's origin, as the edge told it.
    pub(crate) origin: Option<String>,
    /// The gateway of this machine.
    pub(crate) gateway: Option<String>,
}

impl Addresses {
    /// Reads what `up` kept in this folder. A file that is missing or damaged
    /// costs only the old ports.
    pub(crate) fn load(up_dir: &Path) -> Self {
        let bytes = std::fs::read(up_dir.join(FILE)).unwrap_or_default();
        serde_json::from_slice(&bytes).unwrap_or_default()
    }

    /// Whether the core of the last `up` here is out of reach of other machines.
    pub(crate) fn is_local_only(&self) -> bool {
        [self.core, self.link].into_iter().flatten().any(|address| address.ip().is_loopback())
    }

    /// Keeps them for the next time.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub(crate) fn save(&self, up_dir: &Path) -> anyhow::Result<()> {
        Ok(files::write_private(up_dir.join(FILE), &serde_json::to_vec_pretty(self)?)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_survive_their_file_and_a_damaged_one_is_forgotten() {
        let folder = tempfile::tempdir().expect("a folder");
        assert_eq!(Addresses::load(folder.path()), Addresses::default());
        let kept = Addresses {
            core: Some(SocketAddr::from(([127, 0, 0, 1], 0))),
            origin: Some("http://localhost:1".into()),
            ..Default::default()
        };
        kept.save(folder.path()).expect("is written");
        assert_eq!(Addresses::load(folder.path()), kept);
        std::fs::write(folder.path().join(FILE), "{").expect("is written");
        assert_eq!(Addresses::load(folder.path()), Addresses::default());
    }
}
