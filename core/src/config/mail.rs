//! `[sign_in.mail]`: the server that sends sign-in mails.

use std::{net::IpAddr, path::PathBuf};

use serde::{Deserialize, Serialize};

/// The mail server, as it is written in the configuration.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct MailConfig {
    /// Its name, which its certificate has to have.
    pub server: String,
    /// Its port; left out: 587 with `starttls`, 465 with `tls`, 25 with `none`.
    #[serde(default)]
    pub port: Option<u16>,
    /// How the way to it is protected.
    #[serde(default)]
    pub tls: MailTls,
    /// Whom it knows us as; left out: it asks nobody.
    #[serde(default)]
    pub user: Option<String>,
    /// The private file with the password in its only line; left out: the systemd
    /// credential `mail-password`.
    #[serde(default)]
    pub password_file: Option<PathBuf>,
    /// Who the mails are from: `chatcode@example.org`, or
    /// `chatcode <chatcode@example.org>`.
    pub from: String,
}

/// How the way to the mail server is protected.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum MailTls {
    /// By STARTTLS, which is insisted on.
    #[default]
    Starttls,
    /// From the first byte.
    Tls,
    /// Not at all: only to this machine.
    None,
}

/// The mail server cannot be used as it is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MailConfigError {
    /// Mails in the clear.
    #[error("tls = \"none\" is for a mail server on this machine only; use \"starttls\" or \"tls\"")]
    Plain,
    /// A user without a password, or the other way round.
    #[error("user and password_file belong together; give both or neither")]
    Half,
}

impl MailConfig {
    /// Its port.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port.unwrap_or(match self.tls {
            MailTls::Starttls => 587,
            MailTls::Tls => 465,
            MailTls::None => 25,
        })
    }

    /// All that is wrong of what can be known without asking anybody, by the keys.
    #[must_use]
    pub fn faults(&self) -> Vec<(&'static str, MailConfigError)> {
        let bare = self.server.trim_matches(['[', ']']);
        let is_here = bare == "localhost" || bare.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback());
        let mut found = Vec::new();
        if self.tls == MailTls::None && !is_here {
            found.push(("tls", MailConfigError::Plain));
        }
        if self.password_file.is_some() && self.user.is_none() {
            found.push(("password_file", MailConfigError::Half));
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mail_goes_in_the_clear_on_this_machine_only() {
        let mail = |server: &str, tls| MailConfig {
            server: server.to_owned(),
            port: None,
            tls,
            user: None,
            password_file: None,
            from: "chatcode@example.org".to_owned(),
        };
        for server in ["localhost", "127.0.0.1", "::1"] {
            assert_eq!(mail(server, MailTls::None).faults(), Vec::new(), "{server}");
        }
        let (plain, half) = (("tls", MailConfigError::Plain), ("password_file", MailConfigError::Half));
        assert_eq!(mail("mail.example.org", MailTls::Starttls).faults(), Vec::new());
        let both = MailConfig { password_file: Some("x".into()), ..mail("mail.example.org", MailTls::None) };
        assert_eq!((both.faults(), both.port()), (vec![plain, half], 25));
    }
}
