//! Which installation a command is for, and as whom: a context that a login made,
//! or the administrator's certificate of this machine.

use std::path::{Path, PathBuf};

use chatcode_certs::files;

use crate::{
    client::Client,
    context::{Context, Contexts, LOCAL},
};

/// Where a command finds who it acts for.
#[derive(Clone, Debug)]
pub(crate) struct Home {
    data_dir: PathBuf,
    contexts: Contexts,
    chosen: Chosen,
}

/// How a context was chosen.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Chosen {
    /// By `--context` or the variable.
    Named(String),
    /// A folder was named: what lies in it counts.
    Folder,
    /// Not at all: the one in use, else the certificate.
    Usual,
}

impl Home {
    /// As the command line says.
    pub(crate) fn new(data_dir: Option<PathBuf>, context: Option<String>, contexts: Contexts) -> Self {
        let chosen = match (context.filter(|name| !name.is_empty()), &data_dir) {
            (Some(name), _) => Chosen::Named(name),
            (None, Some(_)) => Chosen::Folder,
            (None, None) => Chosen::Usual,
        };
        let data_dir = data_dir.unwrap_or_else(chatcode_process::default_data_dir);
        Self { data_dir, contexts, chosen }
    }

    /// Where all files of this machine's programs are.
    pub(crate) fn data_dir(&self) -> &Path {
        &self.data_dir
    }

    /// The folder of the administrator's certificate.
    pub(crate) fn cli_dir(&self) -> PathBuf {
        self.data_dir.join("cli")
    }

    /// The contexts of this person.
    pub(crate) const fn contexts(&self) -> &Contexts {
        &self.contexts
    }

    /// The context that counts; `None`: the certificate of this machine.
    ///
    /// # Errors
    /// When one is named that is not there, or its file cannot be used.
    pub(crate) fn context(&self) -> anyhow::Result<Option<Context>> {
        match &self.chosen {
            Chosen::Named(name) if name == LOCAL => Ok(None),
            Chosen::Named(name) => self.contexts.named(name).map(Some),
            Chosen::Folder => Ok(None),
            Chosen::Usual => match self.contexts.current()? {
                Some(name) => self.contexts.named(&name).map(Some),
                None => Ok(None),
            },
        }
    }

    /// The way to the core. Nothing is dialled yet.
    ///
    /// # Errors
    /// As [`Self::context`]; when there is no certificate either.
    pub(crate) fn client(&self) -> anyhow::Result<Client> {
        match self.context()? {
            Some(context) => Client::of_context(&context),
            None => Client::open(&self.cli_dir()),
        }
    }

    /// What `up` of this machine has left here; not for a context, which is of another
    /// installation.
    ///
    /// # Errors
    /// As [`Self::context`].
    pub(crate) fn addresses(&self) -> anyhow::Result<crate::addresses::Addresses> {
        Ok(match self.context()? {
            Some(context) => crate::addresses::Addresses { origin: context.page, ..Default::default() },
            None => crate::addresses::Addresses::load(&self.data_dir.join("up")),
        })
    }
}

/// The words of a command of this program, to be typed as they stand: they are for
/// the installation in `data_dir`.
pub(crate) fn typed(words: &str, data_dir: &Path) -> String {
    let usual = std::path::absolute(chatcode_process::default_data_dir()).ok();
    match std::path::absolute(data_dir).ok() {
        Some(path) if usual.as_ref() != Some(&path) => {
            format!("chatcode {words} --data-dir {}", files::quoted(&path))
        }
        _ => format!("chatcode {words}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::context::tests::context;

    #[test]
    fn what_is_to_be_typed_names_the_folder_that_is_not_the_usual_one() {
        assert_eq!(typed("login-url", &chatcode_process::default_data_dir()), "chatcode login-url");
        assert_eq!(typed("login-url", Path::new("/srv/chat")), "chatcode login-url --data-dir /srv/chat");
        assert_eq!(typed("up", Path::new("/srv/it's me")), r"chatcode up --data-dir '/srv/it'\''s me'");
    }

    #[test]
    fn a_name_wins_over_a_folder_a_folder_over_what_is_in_use_and_without_any_it_is_the_certificate() {
        let folder = tempfile::tempdir().expect("a folder");
        let contexts = Contexts::at(folder.path());
        let name = |data_dir: Option<&str>, named: Option<&str>| {
            let home = Home::new(data_dir.map(PathBuf::from), named.map(str::to_owned), contexts.clone());
            home.context().map(|context| context.map(|context| context.name))
        };
        assert_eq!(name(None, None).expect("is read"), None);
        for each in ["works", "other"] {
            contexts.save(&context(each)).expect("is written");
        }
        assert_eq!(name(None, None).expect("is read"), None, "none is in use");
        contexts.select("works").expect("is there");
        assert_eq!(name(None, None).expect("is read").as_deref(), Some("works"));
        assert_eq!(name(None, Some("")).expect("is read").as_deref(), Some("works"));
        assert_eq!(name(None, Some("other")).expect("is read").as_deref(), Some("other"));
        assert_eq!(name(None, Some(LOCAL)).expect("is read"), None);
        assert_eq!(name(Some("/srv/data"), None).expect("is read"), None);
        assert_eq!(name(Some("/srv/data"), Some("other")).expect("is read").as_deref(), Some("other"));
        assert!(name(None, Some("nothing")).is_err());
    }
}
