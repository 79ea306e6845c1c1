//! The phases of a rotation: prepare, activate, retire, and back. Whether members
//! are ready is for the caller to judge; each step here is whole on the disk
//! before it counts, and only then are files removed.

use std::sync::{Arc, PoisonError};

use chatcode_proto::{limits, pb::CaState};
use rustls_pki_types::CertificateDer;

use super::{Authority, AuthorityError, Due, Now, make, schedule};
use crate::{Key, csr, peer};

/// Why a step cannot be made now.
#[derive(Debug, thiserror::Error)]
pub enum RotationError {
    /// The CA.
    #[error(transparent)]
    Authority(#[from] AuthorityError),
    /// The next one is there.
    #[error("the next {0} is prepared already; activate it, or roll it back")]
    Prepared(&'static str),
    /// There is no next one.
    #[error("no {0} is prepared; prepare one first")]
    NotPrepared(&'static str),
    /// The old one is still trusted.
    #[error("the old root is not retired yet; retire it first, or roll back to it")]
    NotRetired,
    /// There is no old one.
    #[error("there is no old {0}")]
    NothingOld(&'static str),
    /// Nothing to go back to.
    #[error("there is no {0} to go back to: none was prepared, and the one before is gone or has ended")]
    NoWayBack(&'static str),
    /// No request waits.
    #[error("no signing request waits for a certificate; make one with: chatcode admin ca request")]
    NotRequested,
    /// The certificate is not the one that was asked for.
    #[error("the certificate cannot be used: {0}")]
    Unfit(&'static str),
}

const ROOT: &str = "root";
const INTERMEDIATE: &str = "intermediate";

impl Authority {
    /// Makes the next root, its bridge from the one in use, and an intermediate
    /// below it; from here on members are told of it.
    ///
    /// # Errors
    /// When one is there, the old one is not retired, or the root's key is not
    /// here.
    pub fn prepare_root(&self) -> Result<(), RotationError> {
        self.change(|state, now| {
            if !state.next_root.is_empty() {
                return Err(RotationError::Prepared(ROOT));
            }
            if !state.old_root.is_empty() {
                return Err(RotationError::NotRetired);
            }
            let root_key = self.root_key(&now.root.name)?;
            let (name, key) = (next_name(state, ROOT), Key::generate().map_err(AuthorityError::from)?);
            let installation = self.trust_domain.installation();
            let root = make::root(installation, &key)?;
            let bridge = make::bridge(installation, (&now.root.der, &root_key), (&root, &key))?;
            self.folder.put_key(&name, &key)?;
            self.folder.put_certificate(&name, &root)?;
            self.folder.put_bridge(&name, &bridge)?;
            state.next_root_intermediate = self.make_intermediate(state, (&root, &key))?;
            state.next_root = name;
            Ok(Vec::new())
        })
    }

    /// Signs below the next root from here on; the one before stays trusted until
    /// it is retired.
    ///
    /// # Errors
    /// When none is prepared.
    pub fn activate_root(&self) -> Result<(), RotationError> {
        self.change(|state, _| {
            if state.next_root.is_empty() {
                return Err(RotationError::NotPrepared(ROOT));
            }
            let next = std::mem::take(&mut state.next_root);
            state.old_root = std::mem::replace(&mut state.root, next);
            let signs = std::mem::take(&mut state.next_root_intermediate);
            let before = std::mem::replace(&mut state.intermediate, signs);
            state.old_intermediates.insert(0, before);
            Ok(drop_next(state))
        })
    }

    /// Trusts the old root no more, and removes its key and its intermediates. The
    /// bridge from it stays.
    ///
    /// # Errors
    /// When there is none.
    pub fn retire_root(&self) -> Result<(), RotationError> {
        self.change(|state, now| {
            if state.old_root.is_empty() {
                return Err(RotationError::NothingOld(ROOT));
            }
            let mut gone = vec![std::mem::take(&mut state.old_root)];
            for name in std::mem::take(&mut state.old_intermediates) {
                let is_below = peer::is_signed_by(&self.folder.ca(&name)?.der, &now.root.der);
                if is_below { &mut state.old_intermediates } else { &mut gone }.push(name);
            }
            Ok(gone)
        })
    }

    /// Drops the root that was prepared; after its activation goes back to the one
    /// before, and the newer one is the old one until it is retired.
    ///
    /// # Errors
    /// When there is nothing to go back to.
    pub fn roll_back_root(&self) -> Result<(), RotationError> {
        self.change(|state, _| {
            if !state.next_root.is_empty() {
                let next = std::mem::take(&mut state.next_root);
                return Ok(vec![next, std::mem::take(&mut state.next_root_intermediate)]);
            }
            if state.old_root.is_empty() {
                return Err(RotationError::NoWayBack(ROOT));
            }
            let root = self.folder.ca(&state.old_root)?;
            let before = self.usable_below(state, &root.der)?;
            let signs = match before {
                Some(at) => state.old_intermediates.remove(at),
                None => {
                    let key = self.folder.key(&root.name)?.ok_or(RotationError::NoWayBack(ROOT))?;
                    self.make_intermediate(state, (&root.der, &key))?
                }
            };
            std::mem::swap(&mut state.root, &mut state.old_root);
            let newer = std::mem::replace(&mut state.intermediate, signs);
            state.old_intermediates.insert(0, newer);
            Ok(drop_next(state))
        })
    }

    /// What the intermediate in use is due for at this time (seconds since 1970).
    #[must_use]
    pub fn due(&self, now_unix_s: u64) -> Due {
        let now = self.now();
        schedule::due(&now.intermediate.validity, !now.state.next_intermediate.is_empty(), now_unix_s)
    }

    /// Makes the next intermediate, by the root in use.
    ///
    /// # Errors
    /// When one is there, or the root's key is not here.
    pub fn prepare_intermediate(&self) -> Result<(), RotationError> {
        self.change(|state, now| {
            if !state.next_intermediate.is_empty() {
                return Err(RotationError::Prepared(INTERMEDIATE));
            }
            let root_key = self.root_key(&now.root.name)?;
            state.next_intermediate = self.make_intermediate(state, (&now.root.der, &root_key))?;
            let asked = std::mem::take(&mut state.requested);
            Ok(vec![asked])
        })
    }

    /// Signs by the next intermediate from here on. Certificates of the one before
    /// stay good for their time.
    ///
    /// # Errors
    /// When none is prepared.
    pub fn activate_intermediate(&self) -> Result<(), RotationError> {
        self.change(|state, _| {
            if state.next_intermediate.is_empty() {
                return Err(RotationError::NotPrepared(INTERMEDIATE));
            }
            let next = std::mem::take(&mut state.next_intermediate);
            let before = std::mem::replace(&mut state.intermediate, next);
            state.old_intermediates.insert(0, before);
            let kept = state.old_intermediates.len().min(limits::OLD_INTERMEDIATES);
            Ok(state.old_intermediates.split_off(kept))
        })
    }

    /// The intermediates that signed before: the pins of their keys, and when they
    /// end (seconds since 1970).
    ///
    /// # Errors
    /// When a file cannot be read.
    pub fn old_intermediates(&self) -> Result<Vec<([u8; 32], u64)>, AuthorityError> {
        let names = &self.now().state.old_intermediates;
        names.iter().map(|name| self.folder.ca(name).map(|ca| (ca.pin, ca.validity.end))).collect()
    }

    /// The pin of the root that is on its way out.
    #[must_use]
    pub fn old_root(&self) -> Option<[u8; 32]> {
        let now = self.now();
        now.other_root.as_ref().filter(|_| !now.state.old_root.is_empty()).map(|root| root.pin)
    }

    /// Removes the key of an intermediate that signed before.
    ///
    /// # Errors
    /// When there is none with this pin.
    pub fn retire_intermediate(&self, pin: &[u8; 32]) -> Result<(), RotationError> {
        self.change(|state, _| {
            for at in 0..state.old_intermediates.len() {
                if self.folder.ca(&state.old_intermediates[at])?.pin == *pin {
                    return Ok(vec![state.old_intermediates.remove(at)]);
                }
            }
            Err(RotationError::NothingOld(INTERMEDIATE))
        })
    }

    /// Drops the intermediate that was prepared; after its activation goes back to
    /// the one before.
    ///
    /// # Errors
    /// When there is nothing to go back to.
    pub fn roll_back_intermediate(&self) -> Result<(), RotationError> {
        self.change(|state, now| {
            if !state.next_intermediate.is_empty() || !state.requested.is_empty() {
                return Ok(drop_next(state));
            }
            let at = self.usable_below(state, &now.root.der)?;
            let at = at.ok_or(RotationError::NoWayBack(INTERMEDIATE))?;
            let before = state.old_intermediates.remove(at);
            let newer = std::mem::replace(&mut state.intermediate, before);
            state.old_intermediates.insert(0, newer);
            Ok(Vec::new())
        })
    }

    /// A signing request (PKCS #10, DER) for the next intermediate, for a root
    /// whose key is kept elsewhere. The same one until it is answered.
    ///
    /// # Errors
    /// When the next one is there.
    pub fn request_intermediate(&self) -> Result<Vec<u8>, RotationError> {
        let mut request = Vec::new();
        self.change(|state, _| {
            if !state.next_intermediate.is_empty() {
                return Err(RotationError::Prepared(INTERMEDIATE));
            }
            let waiting =
                if state.requested.is_empty() { None } else { self.folder.key(&state.requested)? };
            let key = match waiting {
                Some(key) => key,
                None => {
                    let key = Key::generate().map_err(AuthorityError::from)?;
                    state.requested = next_name(state, INTERMEDIATE);
                    self.folder.put_key(&state.requested, &key)?;
                    key
                }
            };
            request = csr::create(&key).map_err(AuthorityError::from)?;
            Ok(Vec::new())
        })?;
        Ok(request)
    }

    /// Takes the certificate for that request: the next intermediate is prepared.
    ///
    /// # Errors
    /// When no request waits, or the certificate is for another key, by another
    /// root, no intermediate's, or has ended.
    pub fn import_intermediate(&self, der: &CertificateDer<'static>) -> Result<(), RotationError> {
        self.change(|state, now| {
            let asked = std::mem::take(&mut state.requested);
            let key = if asked.is_empty() { None } else { self.folder.key(&asked)? };
            let key = key.ok_or(RotationError::NotRequested)?;
            if peer::spki_sha256(der) != Some(key.spki_sha256()) {
                return Err(RotationError::Unfit("it is for another request"));
            }
            if !peer::is_signed_by(der, &now.root.der) {
                return Err(RotationError::Unfit("it is not signed by the root in use"));
            }
            if !peer::is_intermediate(der) {
                return Err(RotationError::Unfit("it may not sign, or signs more than members"));
            }
            if !peer::validity_unix_s(der).is_some_and(|validity| validity.contains(&make::unix_s())) {
                return Err(RotationError::Unfit("it is not valid now"));
            }
            self.folder.put_certificate(&asked, der)?;
            state.next_intermediate = asked;
            Ok(Vec::new())
        })
    }

    /// Changes the state: on the disk, then here; what it gives back is removed
    /// after that.
    fn change(
        &self,
        step: impl FnOnce(&mut CaState, &Now) -> Result<Vec<String>, RotationError>,
    ) -> Result<(), RotationError> {
        let _one = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
        let _held = self.folder.to_change()?;
        let before = self.now();
        let mut state = before.state.clone();
        let gone = step(&mut state, &before)?;
        if state != before.state {
            let now = Now::read(&self.folder, state.clone(), before.key.is_some())?;
            self.folder.put_state(&state)?;
            *self.now.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(now);
        }
        for name in gone.iter().filter(|name| !name.is_empty()) {
            self.folder.forget(name)?;
        }
        Ok(())
    }

    fn root_key(&self, name: &str) -> Result<Key, AuthorityError> {
        self.folder.key(name)?.ok_or_else(|| AuthorityError::NoRootKey(self.folder.dir.clone()))
    }

    /// The files of a new intermediate, and their name.
    fn make_intermediate(
        &self,
        state: &mut CaState,
        root: (&CertificateDer<'_>, &Key),
    ) -> Result<String, AuthorityError> {
        let (name, key) = (next_name(state, INTERMEDIATE), Key::generate()?);
        let made = make::intermediate(self.trust_domain.installation(), root, &key, self.intermediate_life)?;
        self.folder.put_key(&name, &key)?;
        self.folder.put_certificate(&name, &made)?;
        Ok(name)
    }

    /// Where the newest intermediate of this root is that could sign again.
    fn usable_below(
        &self,
        state: &CaState,
        root: &CertificateDer<'_>,
    ) -> Result<Option<usize>, AuthorityError> {
        for (at, name) in state.old_intermediates.iter().enumerate() {
            let ca = self.folder.ca(name)?;
            let lasts = ca.validity.contains(&make::unix_s());
            if lasts && self.folder.has_key(name) && peer::is_signed_by(&ca.der, root) {
                return Ok(Some(at));
            }
        }
        Ok(None)
    }
}

fn next_name(state: &mut CaState, what: &str) -> String {
    state.number += 1;
    format!("{what}-{}", state.number)
}

/// Takes what was prepared of intermediates out of the state; to be removed.
fn drop_next(state: &mut CaState) -> Vec<String> {
    vec![std::mem::take(&mut state.next_intermediate), std::mem::take(&mut state.requested)]
}
