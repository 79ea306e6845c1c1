//! Contexts: installations that a person has logged in to from here, each in a
//! private file with the API token that the login made.

pub(crate) mod order;

use std::{
    fmt, io,
    path::{Path, PathBuf},
};

use anyhow::Context as _;
use chatcode_certs::{TrustDomain, files, pem};
use chatcode_process::exit::{self, Exit};
use chatcode_proto::limits;
use rustls::pki_types::CertificateDer;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use zeroize::Zeroizing;

/// The name of what needs no login: the administrator's certificate of this machine.
pub(crate) const LOCAL: &str = "local";
/// The file with the name of the context that is in use.
const CURRENT: &str = "current";
const ENDING: &str = "json";

/// An API token; prints nothing of itself.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Token(Zeroizing<String>);

impl Token {
    /// The token with this text.
    pub(crate) const fn new(text: Zeroizing<String>) -> Self {
        Self(text)
    }

    /// The text, for the core alone.
    pub(crate) fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(..)")
    }
}

impl Serialize for Token {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Token {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(|text| Self(Zeroizing::new(text)))
    }
}

/// One login.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Context {
    /// Names it on this machine; the name of its file, and not in it.
    #[serde(skip)]
    pub(crate) name: String,
    /// Names the installation: 8 hex digits.
    pub(crate) installation: String,
    /// The core's gRPC address, HOST:PORT.
    pub(crate) core: String,
    /// The page's origin, where it is known.
    #[serde(default)]
    pub(crate) page: Option<String>,
    /// The roots that the core's certificate leads to, PEM.
    pub(crate) roots: String,
    /// What is shown to the core.
    pub(crate) token: Token,
    /// The id of the token.
    pub(crate) token_id: String,
    /// Who it acts for, by name.
    pub(crate) display_name: String,
    /// The most that it may do.
    pub(crate) role: String,
    /// When it ends, milliseconds since 1970.
    pub(crate) expires_unix_ms: u64,
}

impl Context {
    /// The roots.
    ///
    /// # Errors
    /// When the file was damaged.
    pub(crate) fn roots(&self) -> anyhow::Result<Vec<CertificateDer<'static>>> {
        pem::read_certificates(self.roots.as_bytes())
            .with_context(|| damaged(&self.name))
            .context(Exit(exit::CONFIG))
    }

    /// The trust domain of the installation.
    ///
    /// # Errors
    /// When the file was damaged.
    pub(crate) fn trust_domain(&self) -> anyhow::Result<TrustDomain> {
        TrustDomain::of_installation(&self.installation)
            .with_context(|| damaged(&self.name))
            .context(Exit(exit::CONFIG))
    }

    /// The command that logs in to it again.
    pub(crate) fn again(&self) -> String {
        let to = self.page.as_deref().unwrap_or(&self.core);
        format!("chatcode login {to} --name {}", self.name)
    }
}

fn damaged(name: &str) -> String {
    format!("the context {name} is damaged; forget it with `chatcode context remove {name}` and log in again")
}

/// The folder of the contexts.
#[derive(Clone, Debug)]
pub(crate) struct Contexts(PathBuf);

impl Contexts {
    /// That of this person: `$XDG_CONFIG_HOME/chatcode/contexts`, else
    /// `~/.config/chatcode/contexts`.
    pub(crate) fn of_person() -> Self {
        let dir = |name| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        let config = dir("XDG_CONFIG_HOME").or_else(|| dir("HOME").map(|home| home.join(".config")));
        Self::at(&config.unwrap_or_else(|| PathBuf::from(".config")).join("chatcode"))
    }

    /// Those below this folder.
    pub(crate) fn at(config: &Path) -> Self {
        Self(config.join("contexts"))
    }

    /// Where they lie.
    pub(crate) fn folder(&self) -> &Path {
        &self.0
    }

    fn file(&self, name: &str) -> PathBuf {
        self.0.join(name).with_added_extension(ENDING)
    }

    /// The context of this name; `None` when there is none.
    ///
    /// # Errors
    /// When its file is open to others or damaged, or the name can be none.
    pub(crate) fn load(&self, name: &str) -> anyhow::Result<Option<Context>> {
        check_name(name)?;
        let Some(bytes) = files::read_private(self.file(name)).context(Exit(exit::CONFIG))? else {
            return Ok(None);
        };
        let read = serde_json::from_slice(&bytes);
        let context: Context = read.with_context(|| damaged(name)).context(Exit(exit::CONFIG))?;
        Ok(Some(Context { name: name.to_owned(), ..context }))
    }

    /// The context of this name, which a person said.
    ///
    /// # Errors
    /// When there is none, and as [`Self::load`].
    pub(crate) fn named(&self, name: &str) -> anyhow::Result<Context> {
        self.load(name)?.ok_or_else(|| {
            anyhow::anyhow!(
                "there is no context {name}; `chatcode context list` shows those that there are, `chatcode login` makes one"
            )
            .context(Exit(exit::USAGE))
        })
    }

    /// The names of all, in order.
    ///
    /// # Errors
    /// When the folder cannot be read.
    pub(crate) fn names(&self) -> anyhow::Result<Vec<String>> {
        let entries = match std::fs::read_dir(&self.0) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(error).with_context(|| self.0.display().to_string()),
        };
        let name = |file: PathBuf| {
            let is_one = file.extension().is_some_and(|ending| ending == ENDING);
            let name = file.file_stem()?.to_str()?.to_owned();
            (is_one && check_name(&name).is_ok()).then_some(name)
        };
        let mut names: Vec<String> = entries.flatten().filter_map(|entry| name(entry.path())).collect();
        names.sort();
        Ok(names)
    }

    /// The name of the one in use; `None`: none, or one that is gone.
    ///
    /// # Errors
    /// When the file is open to others.
    pub(crate) fn current(&self) -> anyhow::Result<Option<String>> {
        let bytes = files::read_private(self.0.join(CURRENT)).context(Exit(exit::CONFIG))?;
        let name = bytes.and_then(|bytes| String::from_utf8(bytes.to_vec()).ok());
        Ok(name.map(|name| name.trim().to_owned()).filter(|name| self.file(name).is_file()))
    }

    /// Keeps a context, in place of one with its name.
    ///
    /// # Errors
    /// When there are too many, the folder is open to others, or the disk does not
    /// take it.
    pub(crate) fn save(&self, context: &Context) -> anyhow::Result<()> {
        check_name(&context.name)?;
        files::private_dir(&self.0).context(Exit(exit::CONFIG))?;
        let names = self.names()?;
        if names.len() >= limits::CONTEXTS && !names.contains(&context.name) {
            return Err(anyhow::anyhow!(
                "there are {} contexts already; log out of one first (`chatcode logout NAME`)",
                limits::CONTEXTS
            )
            .context(Exit(exit::USAGE)));
        }
        let mut text = Zeroizing::new(serde_json::to_string_pretty(context)?);
        text.push('\n');
        Ok(files::write_private(self.file(&context.name), text.as_bytes())?)
    }

    /// Uses this one from now on; [`LOCAL`]: the certificate of this machine.
    ///
    /// # Errors
    /// When there is none, or the disk does not take it.
    pub(crate) fn select(&self, name: &str) -> anyhow::Result<()> {
        if name == LOCAL {
            return forget(&self.0.join(CURRENT));
        }
        self.named(name)?;
        files::private_dir(&self.0).context(Exit(exit::CONFIG))?;
        Ok(files::write_private(self.0.join(CURRENT), format!("{name}\n").as_bytes())?)
    }

    /// Forgets a context; the token counts on at the core.
    ///
    /// # Errors
    /// When its file cannot be removed.
    pub(crate) fn remove(&self, name: &str) -> anyhow::Result<()> {
        check_name(name)?;
        let is_current = self.current()?.as_deref() == Some(name);
        forget(&self.file(name))?;
        if is_current { forget(&self.0.join(CURRENT)) } else { Ok(()) }
    }
}

fn forget(file: &Path) -> anyhow::Result<()> {
    match std::fs::remove_file(file) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("{} cannot be removed", file.display()))
        }
        _ => Ok(()),
    }
}

/// Whether a text can name a context: it names a file.
///
/// # Errors
/// When it cannot, with what it may be.
pub(crate) fn check_name(name: &str) -> anyhow::Result<()> {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
    let is_one = name.starts_with(|c: char| c.is_ascii_alphanumeric())
        && name.len() <= limits::CONTEXT_CHARS
        && name.chars().all(is_plain)
        && name != LOCAL
        && name != CURRENT;
    if is_one {
        return Ok(());
    }
    Err(anyhow::anyhow!(
        "{} cannot name a context: 1 to {} letters, digits, dots, dashes and underscores, and neither {LOCAL} nor {CURRENT}",
        crate::print::shown(name),
        limits::CONTEXT_CHARS
    )
    .context(Exit(exit::USAGE)))
}

#[cfg(test)]
pub(crate) mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    pub(crate) fn context(name: &str) -> Context {
        Context {
            name: name.to_owned(),
            installation: "01234567".to_owned(),
            core: "core.example.org:7421".to_owned(),
            page: Some("https://code.example.org".to_owned()),
            roots: String::new(),
            token: Token::new(Zeroizing::new("cc_secret".to_owned())),
            token_id: "6f1c0a52".to_owned(),
            display_name: "Ada".to_owned(),
            role: "operator".to_owned(),
            expires_unix_ms: 7,
        }
    }

    #[test]
    fn a_context_is_private_survives_its_file_and_is_gone_when_it_is_removed() {
        let folder = tempfile::tempdir().expect("a folder");
        let contexts = Contexts::at(folder.path());
        assert!(contexts.names().expect("is read").is_empty());
        assert!(contexts.current().expect("is read").is_none());
        let works = context("works");
        contexts.save(&works).expect("is written");
        contexts.save(&context("other.example.org")).expect("is written");
        assert_eq!(contexts.load("works").expect("is read"), Some(works));
        assert_eq!(contexts.names().expect("is read"), ["other.example.org", "works"]);
        contexts.select("works").expect("is there");
        assert_eq!(contexts.current().expect("is read").as_deref(), Some("works"));
        for (path, mode) in [("contexts", 0o700), ("contexts/works.json", 0o600), ("contexts/current", 0o600)]
        {
            let found = folder.path().join(path).metadata().expect("is there").permissions().mode();
            assert_eq!(found & 0o777, mode, "{path}");
        }
        contexts.remove("works").expect("is removed");
        assert!(contexts.current().expect("is read").is_none());
        assert!(contexts.named("works").is_err() && contexts.select("works").is_err());
        contexts.select("other.example.org").expect("is there");
        contexts.select(LOCAL).expect("is always there");
        assert!(contexts.current().expect("is read").is_none());
    }

    #[test]
    fn one_context_too_many_is_refused_with_the_way_out_and_a_known_one_is_kept_anew() {
        let folder = tempfile::tempdir().expect("a folder");
        let contexts = Contexts::at(folder.path());
        for number in 0..limits::CONTEXTS {
            contexts.save(&context(&format!("c{number}"))).expect("is written");
        }
        let refused = contexts.save(&context("more")).expect_err("is one too many");
        assert!(format!("{refused:#}").contains("log out of one first"), "{refused:#}");
        contexts.save(&context("c0")).expect("is known");
        contexts.remove("c1").expect("is removed");
        contexts.save(&context("more")).expect("there is room");
    }

    #[test]
    fn no_name_of_a_context_leads_elsewhere_or_is_a_word_of_ours() {
        for name in ["works", "code.example.org", "A-1_2", &"x".repeat(64)] {
            assert!(check_name(name).is_ok(), "{name}");
        }
        for name in
            ["", "local", "current", "..", "../works", "a/b", "-works", ".works", "wörks", &"x".repeat(65)]
        {
            assert!(check_name(name).is_err(), "{name}");
        }
    }

    #[test]
    fn a_file_that_others_may_read_is_refused_and_a_damaged_one_says_what_to_do() {
        let folder = tempfile::tempdir().expect("a folder");
        let contexts = Contexts::at(folder.path());
        contexts.save(&context("works")).expect("is written");
        let file = folder.path().join("contexts/works.json");
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o644)).expect("is set");
        let error = format!("{:#}", contexts.load("works").expect_err("is refused"));
        assert!(error.contains("chmod 600"), "{error}");
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).expect("is set");
        std::fs::write(&file, "{").expect("is written");
        let error = format!("{:#}", contexts.load("works").expect_err("is damaged"));
        assert!(error.contains("chatcode context remove works"), "{error}");
    }

    #[test]
    fn nothing_that_is_printed_of_a_context_holds_its_token() {
        assert!(!format!("{:?}", context("works")).contains("secret"));
    }
}
