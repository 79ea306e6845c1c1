//! Sign-in mails: a bounded queue and the one worker that hands them to the mail
//! server. Who asks for a mail never waits for that server, so how long an answer
//! takes tells nobody whether an address is known.

mod letter;
#[cfg(test)]
mod tests;

use std::time::Duration;

use chatcode_certs::files::FilesError;
use chatcode_proto::{code::Refusal, limits, pb::Code};
use lettre::{
    AsyncSmtpTransport, AsyncTransport as _, Message, Tokio1Executor,
    message::{Mailbox, MultiPart},
    transport::smtp::{
        authentication::Credentials,
        client::{Tls, TlsParameters, TlsVersion},
        extension::ClientId,
    },
};
use tokio::{
    sync::{Mutex, mpsc},
    time::timeout,
};

pub use self::letter::{Letter, Reason};
use crate::config::{
    mail::{MailConfig, MailConfigError, MailTls},
    secrets,
};

/// Mail cannot be sent as it is written.
#[derive(Debug, thiserror::Error)]
pub enum MailError {
    /// It is written wrongly.
    #[error(transparent)]
    Config(#[from] MailConfigError),
    /// The sender is no address.
    #[error("the sender is no address; write it as chatcode@example.org or chatcode <chatcode@example.org>")]
    From,
    /// The file with the password cannot be used.
    #[error("the password of the mail server cannot be used")]
    File(#[from] FilesError),
    /// There is no password.
    #[error(
        "there is a user and no password: write it as the only line of a private file and name that with \
         password_file"
    )]
    NoPassword,
    /// No TLS can be made.
    #[error("no TLS to the mail server can be made")]
    Tls(#[source] lettre::transport::smtp::Error),
}

/// Sends mails, one after the other.
#[derive(Debug)]
pub struct Mailer {
    from: Mailbox,
    transport: AsyncSmtpTransport<Tokio1Executor>,
    queue: mpsc::Sender<Letter>,
    waiting: Mutex<mpsc::Receiver<Letter>>,
    /// How long handing one over may take.
    patience: Duration,
}

/// A place in the queue.
#[derive(Debug)]
pub struct Place<'a>(mpsc::Permit<'a, Letter>);

impl Place<'_> {
    /// Puts the mail there.
    pub fn put(self, letter: Letter) {
        self.0.send(letter);
    }
}

impl Mailer {
    /// The mailer of the configuration. Asks nobody yet.
    ///
    /// # Errors
    /// [`MailError`], with what to change.
    pub fn open(config: &MailConfig) -> Result<Self, MailError> {
        if let Some((_, error)) = config.faults().into_iter().next() {
            return Err(error.into());
        }
        let from = sender(config)?;
        let mut builder =
            AsyncSmtpTransport::<Tokio1Executor>::builder_dangerous(config.server.trim_matches(['[', ']']))
                .port(config.port())
                .timeout(Some(limits::MAIL_SEND))
                .hello_name(ClientId::Domain(from.email.domain().to_owned()))
                .tls(tls(config)?);
        if let Some(credentials) = credentials(config)? {
            builder = builder.credentials(credentials);
        }
        let (queue, waiting) = mpsc::channel(limits::MAILS_WAITING);
        let (transport, waiting) = (builder.build(), Mutex::new(waiting));
        Ok(Self { from, transport, queue, waiting, patience: limits::MAIL_SEND })
    }

    /// All that is wrong with the configuration, by its keys.
    #[must_use]
    pub fn faults(config: &MailConfig) -> Vec<(&'static str, MailError)> {
        let own = config.faults().into_iter().map(|(key, error)| (key, error.into()));
        let opened = [
            ("from", sender(config).err()),
            ("tls", tls(config).err()),
            ("password_file", credentials(config).err()),
        ];
        own.chain(opened.into_iter().filter_map(|(key, error)| Some((key, error?)))).collect()
    }

    /// A place for one mail. Taken before it is known whether there will be one, so
    /// that a full queue tells nothing.
    ///
    /// # Errors
    /// `LIMIT` when too many wait.
    pub fn place(&self) -> Result<Place<'_>, Refusal> {
        let full = |_| {
            let words = "too many mails wait to be sent; try again in a minute, or sign in another way";
            Refusal::new(Code::Limit, words)
        };
        self.queue.try_reserve().map(Place).map_err(full)
    }

    /// Sends what is put into the queue, for ever.
    pub async fn work(&self) {
        let mut waiting = self.waiting.lock().await;
        while let Some(letter) = waiting.recv().await {
            self.send(&letter).await;
        }
    }

    /// Tries twice. What is not sent is told in the log, without the address.
    async fn send(&self, letter: &Letter) {
        let message = match self.message(letter) {
            Ok(message) => message,
            Err(error) => {
                let error = &error as &dyn std::error::Error;
                return tracing::error!(error, "a sign-in mail cannot be written");
            }
        };
        for is_last in [false, true] {
            match timeout(self.patience, self.transport.send(message.clone())).await {
                Ok(Ok(_)) => return tracing::debug!("a sign-in mail is with the mail server"),
                Ok(Err(error)) if error.is_permanent() || is_last => {
                    return tracing::error!(
                        error = why(&error),
                        "the mail server does not take a sign-in mail; look at sign_in.mail"
                    );
                }
                Err(_) if is_last => {
                    return tracing::error!("the mail server does not answer in time; look at sign_in.mail");
                }
                Ok(Err(_)) | Err(_) => {}
            }
        }
    }

    fn message(&self, letter: &Letter) -> Result<Message, lettre::error::Error> {
        let to = letter.to.parse().map(|address| Mailbox::new(None, address));
        let to = to.map_err(|_| lettre::error::Error::MissingTo)?;
        Message::builder()
            .from(self.from.clone())
            .to(to)
            .subject(letter.subject())
            .message_id(None)
            .multipart(MultiPart::alternative_plain_html(
                letter.plain().to_string(),
                letter.html().to_string(),
            ))
    }
}

/// Why the mail server did not take a mail. What it says is not shown, but for the
/// number: servers repeat addresses, and whatever else they were told.
fn why(error: &lettre::transport::smtp::Error) -> String {
    match error.status() {
        Some(code) => format!("it answered {code}"),
        None if error.is_response() => "its answer is not understood".to_owned(),
        None => {
            let causes = std::iter::successors(std::error::Error::source(error), |cause| cause.source());
            causes.fold("it was not reached".to_owned(), |told, cause| format!("{told}: {cause}"))
        }
    }
}

fn sender(config: &MailConfig) -> Result<Mailbox, MailError> {
    config.from.parse().map_err(|_| MailError::From)
}

/// User and password, where the server wants them.
fn credentials(config: &MailConfig) -> Result<Option<Credentials>, MailError> {
    let Some(user) = &config.user else { return Ok(None) };
    let file = config.password_file.clone().or_else(|| secrets::credential("mail-password"));
    let password = file.map(|file| secrets::line(&file)).transpose()?.flatten();
    let password = password.ok_or(MailError::NoPassword)?;
    Ok(Some(Credentials::new(user.clone(), password.to_string())))
}

fn tls(config: &MailConfig) -> Result<Tls, MailError> {
    let parameters = || {
        TlsParameters::builder(config.server.clone())
            .set_min_tls_version(TlsVersion::Tlsv12)
            .build_rustls()
            .map_err(MailError::Tls)
    };
    Ok(match config.tls {
        MailTls::Starttls => Tls::Required(parameters()?),
        MailTls::Tls => Tls::Wrapper(parameters()?),
        MailTls::None => Tls::None,
    })
}
