//! A file that only a passphrase opens: a head, and pieces that are sealed one
//! after the other, so that none can be left out, moved, changed, or be the last
//! one before its time.
//!
//! The key is made of the passphrase by Argon2id with the head's salt and cost,
//! so it is another one for every file; the nonce is the piece's number and
//! whether it is the last. The head is bound to every piece.

use std::io::{self, Read, Write};

use argon2::{Algorithm, Argon2, Params, Version};
use aws_lc_rs::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use chatcode_certs::random;
use chatcode_proto::limits;
use zeroize::Zeroizing;

const MAGIC: &[u8; 18] = b"chatcode-backup 1\n";
const SALT: usize = 16;
const HEAD: usize = MAGIC.len() + SALT + 12;
const TAG: usize = 16;
/// KiB, rounds and lanes of Argon2id for new files: the memory-rich choice of
/// RFC 9106 for machines that are not large.
const COST: [u32; 3] = [64 * 1024, 3, 1];
/// The most that a file may ask for; one that asks for more is not ours.
const COST_MOST: [u32; 3] = [1024 * 1024, 16, 8];

/// Why a file was not opened.
#[derive(Debug, thiserror::Error)]
pub enum SealError {
    /// Not a backup.
    #[error("this is not a backup of chatcode, or one of a newer version")]
    NotABackup,
    /// Wrong passphrase, or the file was changed.
    #[error("the passphrase is wrong, or the file was damaged or changed")]
    Closed,
    /// The passphrase's length.
    #[error(
        "a passphrase has {low} to {high} bytes; a generated one is best: openssl rand -base64 24",
        low = limits::BACKUP_PASSPHRASE_RANGE.start(),
        high = limits::BACKUP_PASSPHRASE_RANGE.end()
    )]
    Passphrase,
}

fn closed() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, SealError::Closed)
}

/// Whoever seals or opens: the key, the head, and the number of the next piece.
struct Pieces {
    key: LessSafeKey,
    head: [u8; HEAD],
    number: u64,
}

impl Pieces {
    fn new(passphrase: &[u8], head: [u8; HEAD]) -> Result<Self, SealError> {
        if !limits::BACKUP_PASSPHRASE_RANGE.contains(&passphrase.len()) {
            return Err(SealError::Passphrase);
        }
        let rest = head.strip_prefix(MAGIC).ok_or(SealError::NotABackup)?;
        let (salt, cost) = rest.split_at(SALT);
        let mut costs = [0; 3];
        for ((cost, most), bytes) in costs.iter_mut().zip(COST_MOST).zip(cost.chunks_exact(4)) {
            *cost = u32::from_be_bytes(bytes.try_into().map_err(|_| SealError::NotABackup)?);
            if *cost > most {
                return Err(SealError::NotABackup);
            }
        }
        let params = Params::new(costs[0], costs[1], costs[2], None).map_err(|_| SealError::NotABackup)?;
        let mut key = Zeroizing::new([0; 32]);
        let argon = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
        argon.hash_password_into(passphrase, salt, &mut *key).map_err(|_| SealError::NotABackup)?;
        let key = UnboundKey::new(&CHACHA20_POLY1305, &*key).map_err(|_| SealError::NotABackup)?;
        Ok(Self { key: LessSafeKey::new(key), head, number: 0 })
    }

    fn nonce(&mut self, is_last: bool) -> Nonce {
        let mut nonce = [0; NONCE_LEN];
        nonce[0] = u8::from(is_last);
        nonce[4..].copy_from_slice(&self.number.to_be_bytes());
        self.number += 1;
        Nonce::assume_unique_for_key(nonce)
    }
}

/// Seals what is written to it. Without [`Sealer::finish`] the file is not
/// whole, and is not opened.
pub(crate) struct Sealer<W> {
    pieces: Pieces,
    piece: Zeroizing<Vec<u8>>,
    out: W,
}

impl<W: Write> Sealer<W> {
    /// Writes the head.
    ///
    /// # Errors
    /// When the passphrase is too short or too long, or `out` fails.
    pub(crate) fn new(passphrase: &[u8], mut out: W) -> io::Result<Self> {
        let mut head = Vec::with_capacity(HEAD);
        head.extend(MAGIC);
        head.extend(random::bytes::<SALT>());
        head.extend(COST.iter().flat_map(|cost| cost.to_be_bytes()));
        let head = head.try_into().map_err(|_| closed())?;
        let pieces = Pieces::new(passphrase, head)
            .map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error))?;
        out.write_all(&pieces.head)?;
        Ok(Self { pieces, piece: Zeroizing::new(Vec::with_capacity(limits::BACKUP_PIECE_BYTES)), out })
    }

    fn seal(&mut self, is_last: bool) -> io::Result<()> {
        let nonce = self.pieces.nonce(is_last);
        let mut sealed = self.piece.to_vec();
        let sealing =
            self.pieces.key.seal_in_place_append_tag(nonce, Aad::from(&self.pieces.head), &mut sealed);
        sealing.map_err(|_| closed())?;
        self.piece.clear();
        self.out.write_all(&sealed)
    }

    /// Seals the last piece; what it writes to comes back.
    ///
    /// # Errors
    /// When `out` fails.
    pub(crate) fn finish(mut self) -> io::Result<W> {
        self.seal(true)?;
        self.out.flush()?;
        Ok(self.out)
    }
}

impl<W: Write> Write for Sealer<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        // A full piece waits for the next byte: it might be the last one.
        if self.piece.len() == limits::BACKUP_PIECE_BYTES {
            self.seal(false)?;
        }
        let taken = bytes.len().min(limits::BACKUP_PIECE_BYTES - self.piece.len());
        self.piece.extend_from_slice(&bytes[..taken]);
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Opens what a [`Sealer`] wrote.
pub(crate) struct Opener<R> {
    pieces: Pieces,
    piece: Zeroizing<Vec<u8>>,
    given: usize,
    is_over: bool,
    input: io::BufReader<R>,
}

impl<R: Read> Opener<R> {
    /// Reads the head.
    ///
    /// # Errors
    /// When it is none, or the passphrase cannot be one.
    pub(crate) fn new(passphrase: &[u8], mut input: R) -> io::Result<Self> {
        let invalid = |error| io::Error::new(io::ErrorKind::InvalidData, error);
        let mut head = [0; HEAD];
        input.read_exact(&mut head).map_err(|_| invalid(SealError::NotABackup))?;
        let pieces = Pieces::new(passphrase, head).map_err(invalid)?;
        let piece = Zeroizing::new(Vec::new());
        Ok(Self { pieces, piece, given: 0, is_over: false, input: io::BufReader::new(input) })
    }

    fn open(&mut self) -> io::Result<()> {
        let mut sealed = Zeroizing::new(Vec::with_capacity(limits::BACKUP_PIECE_BYTES + TAG));
        (&mut self.input).take((limits::BACKUP_PIECE_BYTES + TAG) as u64).read_to_end(&mut sealed)?;
        let is_last = io::BufRead::fill_buf(&mut self.input)?.is_empty();
        let nonce = self.pieces.nonce(is_last);
        let opened = self.pieces.key.open_in_place(nonce, Aad::from(&self.pieces.head), &mut sealed);
        let length = opened.map_err(|_| closed())?.len();
        sealed.truncate(length);
        (self.piece, self.given, self.is_over) = (sealed, 0, is_last);
        Ok(())
    }
}

impl<R: Read> Read for Opener<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        while self.given == self.piece.len() {
            if self.is_over {
                return Ok(0);
            }
            self.open()?;
        }
        let length = into.len().min(self.piece.len() - self.given);
        into[..length].copy_from_slice(&self.piece[self.given..self.given + length]);
        self.given += length;
        Ok(length)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PASSPHRASE: &[u8] = b"correct horse battery staple";

    fn sealed(length: usize) -> (Vec<u8>, Vec<u8>) {
        let plain: Vec<u8> = (0..length).map(|n| (n % 251) as u8).collect();
        let mut sealer = Sealer::new(PASSPHRASE, Vec::new()).unwrap();
        sealer.write_all(&plain).unwrap();
        let sealed = sealer.finish().unwrap();
        (plain, sealed)
    }

    fn opened(passphrase: &[u8], sealed: &[u8]) -> io::Result<Vec<u8>> {
        let mut plain = Vec::new();
        Opener::new(passphrase, sealed)?.read_to_end(&mut plain)?;
        Ok(plain)
    }

    #[test]
    fn what_was_sealed_is_opened_whatever_its_length() {
        let piece = limits::BACKUP_PIECE_BYTES;
        for length in [0, 1, piece - 1, piece, piece + 1, 3 * piece] {
            let (plain, sealed) = sealed(length);
            assert!(opened(PASSPHRASE, &sealed).unwrap() == plain, "{length}");
        }
    }

    #[test]
    fn a_wrong_passphrase_and_any_change_open_nothing() {
        let piece = limits::BACKUP_PIECE_BYTES + TAG;
        let (_, sealed) = sealed(3 * limits::BACKUP_PIECE_BYTES - 100);
        assert!(opened(b"another passphrase", &sealed).is_err());
        for at in [20, HEAD, HEAD + piece + 7, sealed.len() - 1] {
            let mut changed = sealed.clone();
            changed[at] ^= 1;
            assert!(opened(PASSPHRASE, &changed).is_err(), "changed at {at}");
        }
        for end in [0, HEAD - 1, HEAD, HEAD + piece, HEAD + 2 * piece, sealed.len() - 1] {
            assert!(opened(PASSPHRASE, &sealed[..end]).is_err(), "cut at {end}");
        }
        let (head, pieces) = sealed.split_at(HEAD);
        let (first, rest) = pieces.split_at(piece);
        let (second, last) = rest.split_at(piece);
        assert!(opened(PASSPHRASE, &[head, second, first, last].concat()).is_err(), "moved");
        assert!(opened(PASSPHRASE, &[head, first, last].concat()).is_err(), "left out");
    }

    #[test]
    fn a_head_that_asks_for_too_much_and_a_short_passphrase_are_refused() {
        let (_, mut sealed) = sealed(10);
        sealed[MAGIC.len() + SALT] = 0xff;
        let error = opened(PASSPHRASE, &sealed).unwrap_err().to_string();
        assert!(error.contains("not a backup"), "{error}");
        assert!(Sealer::new(b"short", Vec::new()).is_err());
    }
}
