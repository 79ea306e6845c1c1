//! Sign-ins by mail that wait to be proven: by the link of the mail, or by its code
//! in the browser that asked.

use chatcode_proto::{code::Refusal, limits, pb::Code};

use super::{Store, StoreError, Tx, from_row, sign_ins::SecretHash, to_row, vouched};
use crate::clock::{self, millis};

/// What somebody asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MailAsked {
    /// The address, in lower case.
    pub address: String,
    /// Who adds the address; `None`: it is for signing in.
    pub person: Option<String>,
    /// The browser that asked, in words of ours.
    pub device: String,
    /// The address of the network that it asked from.
    pub client: String,
}

/// The hashes of what proves it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MailKeys {
    /// Of the browser's secret.
    pub browser: SecretHash,
    /// Of the secret in the link.
    pub link: SecretHash,
    /// Of the code, with the browser's secret.
    pub code: SecretHash,
}

/// What somebody shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MailShown {
    /// The link.
    Link {
        /// The hash of its secret.
        link: SecretHash,
        /// That of the secret of the browser that shows it, if it has one.
        browser: Option<SecretHash>,
        /// The person knows that another browser asked.
        anywhere: bool,
    },
    /// The code, in the browser that asked.
    Code {
        /// The hash of the browser's secret.
        browser: SecretHash,
        /// That of the code.
        code: SecretHash,
    },
}

/// Why it proves nothing.
#[derive(Debug, thiserror::Error)]
pub enum MailRefused {
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// It is not known, used, or older than [`limits::MAIL`].
    #[error("this link or code is unknown, used or expired; ask for a new mail")]
    Bad,
    /// The code is another one.
    #[error("this is not the code of the newest mail; {left} more tries")]
    Wrong {
        /// Tries that are left.
        left: u32,
    },
    /// Another browser asked, and the person was not told yet.
    #[error(
        "this mail was asked for in another browser: {device}, from {client}. If that was you, go on: then you \
         are signed in here, as {address}. If it was not, close this page"
    )]
    OtherBrowser {
        /// Which.
        device: String,
        /// Where from.
        client: String,
        /// Whose mail it is.
        address: String,
    },
}

impl From<sqlx::Error> for MailRefused {
    fn from(error: sqlx::Error) -> Self {
        Self::Store(error.into())
    }
}

impl From<MailRefused> for Refusal {
    fn from(error: MailRefused) -> Self {
        let code = match error {
            MailRefused::Store(error) => return error.into(),
            MailRefused::Bad | MailRefused::Wrong { .. } => Code::BadToken,
            MailRefused::OtherBrowser { .. } => Code::OtherBrowser,
        };
        Self::new(code, error.to_string())
    }
}

impl Store {
    /// Keeps what somebody asked for, for [`limits::MAIL`]; says when it ends,
    /// milliseconds since 1970. The same work whether anybody has the address. The
    /// newest [`limits::MAIL_SIGN_INS`] wait.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn ask_for_mail(&self, keys: &MailKeys, asked: &MailAsked) -> Result<u64, StoreError> {
        let now = clock::unix_ms();
        let expires = now + millis(limits::MAIL);
        let mut tx = self.begin().await?;
        sqlx::query("DELETE FROM mail_sign_ins WHERE expires_ms <= $1")
            .bind(to_row(now))
            .execute(&mut *tx)
            .await?;
        // Nobody can keep the others from asking: a flood pushes out its own.
        sqlx::query(
            "DELETE FROM mail_sign_ins WHERE browser IN
               (SELECT browser FROM mail_sign_ins ORDER BY expires_ms DESC LIMIT -1 OFFSET $1)",
        )
        .bind(limits::MAIL_SIGN_INS - 1)
        .execute(&mut *tx)
        .await?;
        sqlx::query(
            "INSERT INTO mail_sign_ins (browser, link, code, address, person, device, client, expires_ms)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
        )
        .bind(&keys.browser[..])
        .bind(&keys.link[..])
        .bind(&keys.code[..])
        .bind(&asked.address)
        .bind(&asked.person)
        .bind(&asked.device)
        .bind(&asked.client)
        .bind(to_row(expires))
        .execute(&mut *tx)
        .await?;
        tx.commit().await?;
        Ok(expires)
    }

    /// Spends what was asked for, by what is shown for it.
    ///
    /// # Errors
    /// [`MailRefused`]; a link is then as good as before, and after
    /// [`limits::MAIL_CODE_TRIES`] wrong codes both are gone.
    pub async fn take_mail(&self, shown: &MailShown) -> Result<MailAsked, MailRefused> {
        let mut tx = self.begin().await?;
        match shown {
            MailShown::Link { link, browser, anywhere } => {
                let found = find(&mut tx, "link", link).await?.filter(|found| found.asked.person.is_none());
                let found = found.ok_or(MailRefused::Bad)?;
                if !anywhere && *browser != Some(found.keys.browser) {
                    let MailAsked { device, client, address, .. } = found.asked;
                    return Err(MailRefused::OtherBrowser { device, client, address });
                }
                forget(&mut tx, &found.keys.browser).await?;
                tx.commit().await?;
                Ok(found.asked)
            }
            MailShown::Code { browser, code } => {
                let found = find(&mut tx, "browser", browser).await?.ok_or(MailRefused::Bad)?;
                let is_right = chatcode_certs::secret::equal(&found.keys.code, code);
                let left = limits::MAIL_CODE_TRIES.saturating_sub(found.wrong + 1);
                if is_right || left == 0 {
                    forget(&mut tx, browser).await?;
                } else {
                    sqlx::query("UPDATE mail_sign_ins SET wrong = wrong + 1 WHERE browser = $1")
                        .bind(&browser[..])
                        .execute(&mut *tx)
                        .await?;
                }
                tx.commit().await?;
                match (is_right, left) {
                    (true, _) => Ok(found.asked),
                    (false, 0) => Err(MailRefused::Bad),
                    (false, left) => Err(MailRefused::Wrong { left }),
                }
            }
        }
    }

    /// Whether a mail to this address lets anybody in: somebody who is not suspended
    /// has added it, or was given it and is no owner.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn is_mail_of_somebody(&self, address: &str) -> Result<bool, StoreError> {
        let mut reader = self.read.acquire().await?;
        let sql = "SELECT 1 FROM identities JOIN people ON people.id = identities.person
             WHERE kind = 'mail' AND subject = $1 AND suspended_ms IS NULL LIMIT 1";
        let added: Option<i64> = sqlx::query_scalar(sql).bind(address).fetch_optional(&mut *reader).await?;
        // Both are asked whatever the first one says, so that the time tells nothing.
        let given = vouched::given(&mut reader, address).await?;
        Ok(added.is_some() || given.is_some())
    }
}

/// A row.
struct Found {
    keys: MailKeys,
    asked: MailAsked,
    wrong: u32,
}

type Row = (Vec<u8>, Vec<u8>, Vec<u8>, String, Option<String>, String, String, i64, i64);

/// The row with this hash in one of the two columns that name it, unless it has
/// ended.
async fn find(tx: &mut Tx, by: &str, hash: &SecretHash) -> Result<Option<Found>, StoreError> {
    let sql = match by {
        "link" => {
            "SELECT browser, link, code, address, person, device, client, wrong, expires_ms
             FROM mail_sign_ins WHERE link = $1"
        }
        _ => {
            "SELECT browser, link, code, address, person, device, client, wrong, expires_ms
             FROM mail_sign_ins WHERE browser = $1"
        }
    };
    let row: Option<Row> = sqlx::query_as(sql).bind(&hash[..]).fetch_optional(&mut **tx).await?;
    let Some((browser, link, code, address, person, device, client, wrong, expires)) = row else {
        return Ok(None);
    };
    if from_row(expires) <= clock::unix_ms() {
        return Ok(None);
    }
    let hash = |bytes: Vec<u8>| bytes.try_into().map_err(|_| StoreError::Corrupt("mail_sign_ins"));
    Ok(Some(Found {
        keys: MailKeys { browser: hash(browser)?, link: hash(link)?, code: hash(code)? },
        asked: MailAsked { address, person, device, client },
        wrong: u32::try_from(wrong).unwrap_or(u32::MAX),
    }))
}

async fn forget(tx: &mut Tx, browser: &SecretHash) -> Result<(), StoreError> {
    sqlx::query("DELETE FROM mail_sign_ins WHERE browser = $1").bind(&browser[..]).execute(&mut **tx).await?;
    Ok(())
}
