//! `[[sign_in.providers]]`: who else may vouch for people.

use std::{net::IpAddr, path::PathBuf};

use chatcode_proto::{limits, name, pb::PersonRole};
use serde::{Deserialize, Serialize};

/// One identity provider, as it is written in the configuration.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct ProviderConfig {
    /// Names it in links and in the audit: `a-z`, `0-9` and `-`, at most 32. Never
    /// changed later: who was linked is found by the issuer, not by this.
    pub id: String,
    /// What the page calls it; left out: what the preset calls it.
    #[serde(default)]
    pub name: Option<String>,
    /// A provider that is known already.
    #[serde(default)]
    pub preset: Option<Preset>,
    /// The issuer of any other OpenID provider, as its discovery document spells it.
    #[serde(default)]
    pub issuer: Option<String>,
    /// What the provider calls this installation.
    pub client_id: String,
    /// The private file with the client's secret in its only line; left out: the
    /// systemd credential `provider-<id>`; without that the client has none.
    #[serde(default)]
    pub client_secret_file: Option<PathBuf>,
    /// What is asked for; left out: `openid email profile`, at GitHub
    /// `read:user user:email`.
    #[serde(default)]
    pub scopes: Option<Vec<String>>,
    /// Only people with a verified address in one of these domains come in; empty:
    /// all whom the provider vouches for.
    #[serde(default)]
    pub allowed_domains: Vec<String>,
    /// Whether a verified address is proof enough to be the person with that
    /// address; left out: at Google only.
    #[serde(default)]
    pub trust_email: Option<bool>,
    /// Who is made a person of the installation by a first sign-in.
    #[serde(default)]
    pub create: Create,
    /// What a person who is made so may do, everywhere: `viewer` or `operator`;
    /// left out: nothing.
    #[serde(default)]
    pub role: Option<CreatedRole>,
    /// The claim with the names of a person's groups; left out: groups do not count.
    #[serde(default)]
    pub groups_claim: Option<String>,
    /// Where GitHub is asked; for a GitHub of one's own.
    #[serde(default)]
    pub github: Option<GithubUrls>,
}

/// Providers that need no issuer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Preset {
    /// Google accounts, by OpenID Connect.
    Google,
    /// GitHub accounts, by its OAuth.
    Github,
}

/// Who is made a person by a first sign-in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Create {
    /// Nobody: an administrator adds people.
    #[default]
    Never,
    /// Those with a verified address in one of the allowed domains.
    AllowedDomains,
}

/// The roles that a provider's word is enough for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum CreatedRole {
    /// May look.
    Viewer,
    /// May work.
    Operator,
}

impl From<CreatedRole> for PersonRole {
    fn from(role: CreatedRole) -> Self {
        match role {
            CreatedRole::Viewer => Self::Viewer,
            CreatedRole::Operator => Self::Operator,
        }
    }
}

/// Where a GitHub is asked.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct GithubUrls {
    /// The page on which a person agrees.
    pub authorize: String,
    /// Where a code is traded for a token.
    pub token: String,
    /// The API, without a slash at its end.
    pub api: String,
}

/// A provider cannot be used as it is written.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the provider {id:?}: {why}")]
pub struct ProviderConfigError {
    id: String,
    why: String,
}

impl ProviderConfig {
    /// What the page calls it.
    #[must_use]
    pub fn shown(&self) -> &str {
        match (&self.name, self.preset) {
            (Some(name), _) => name,
            (None, Some(Preset::Google)) => "Google",
            (None, Some(Preset::Github)) => "GitHub",
            (None, None) => &self.id,
        }
    }

    /// Whether a verified address names a person.
    #[must_use]
    pub fn trusts_email(&self) -> bool {
        self.trust_email.unwrap_or(self.preset == Some(Preset::Google))
    }

    /// What is asked for.
    #[must_use]
    pub fn scopes(&self) -> Vec<String> {
        let usual: &[&str] = match self.preset {
            Some(Preset::Github) => &["read:user", "user:email"],
            _ => &["openid", "email", "profile"],
        };
        self.scopes.clone().unwrap_or_else(|| usual.iter().map(ToString::to_string).collect())
    }

    /// All that is wrong of what can be known without asking anybody, with what to
    /// change, by the keys.
    #[must_use]
    pub fn faults(&self) -> Vec<(&'static str, ProviderConfigError)> {
        let checks = [
            ("id", self.fault_of_id()),
            ("name", self.fault_of_name()),
            ("client_id", self.fault_of_client()),
            ("issuer", self.fault_of_issuer()),
            ("github", self.fault_of_github()),
            ("groups_claim", self.fault_of_groups()),
            ("allowed_domains", self.fault_of_domains()),
            ("role", self.fault_of_role()),
        ];
        let told = |(key, why): (_, Option<&str>)| {
            Some((key, ProviderConfigError { id: self.id.clone(), why: why?.to_owned() }))
        };
        checks.into_iter().filter_map(told).collect()
    }

    fn fault_of_id(&self) -> Option<&'static str> {
        (!name::is_provider_id(&self.id)).then_some("an id has 1 to 32 of a-z, 0-9 and -; choose another")
    }

    fn fault_of_name(&self) -> Option<&'static str> {
        // Where it is the id that is shown, that is told already.
        let given = if self.preset.is_none() && self.name.is_none() { "x" } else { self.shown() };
        let is_wrong = name::check("name", given, limits::NAME_CHARS).is_err();
        is_wrong.then_some("the name is empty, too long or has control characters; choose another")
    }

    fn fault_of_client(&self) -> Option<&'static str> {
        let why = "client_id is empty; write what the provider calls this installation";
        self.client_id.is_empty().then_some(why)
    }

    fn fault_of_issuer(&self) -> Option<&'static str> {
        match (self.preset, &self.issuer) {
            (None, None) => Some("give it an issuer, or a preset: google or github"),
            (Some(_), Some(_)) => Some("give it either an issuer or a preset, not both"),
            (None, Some(issuer)) if !is_safe(issuer) => {
                Some("the issuer must begin with https://; only this machine may do without")
            }
            _ => None,
        }
    }

    fn fault_of_github(&self) -> Option<&'static str> {
        let urls = self.github.as_ref()?;
        if self.preset != Some(Preset::Github) {
            return Some("`github` is for the preset github only; remove it");
        }
        let are_safe = [&urls.authorize, &urls.token, &urls.api].iter().all(|url| is_safe(url));
        (!are_safe).then_some("the addresses of `github` must begin with https://")
    }

    fn fault_of_groups(&self) -> Option<&'static str> {
        let is_wrong = self.preset == Some(Preset::Github) && self.groups_claim.is_some();
        is_wrong.then_some("GitHub tells no groups; remove groups_claim")
    }

    fn fault_of_domains(&self) -> Option<&'static str> {
        if self.allowed_domains.len() > limits::PROVIDER_DOMAINS {
            return Some("there are too many allowed_domains");
        }
        let is_domain = |domain: &String| {
            !domain.is_empty()
                && domain.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || ".-".contains(c))
        };
        if !self.allowed_domains.iter().all(is_domain) {
            return Some("write each of allowed_domains as example.org, in lower case, without an @");
        }
        let is_open = self.create == Create::AllowedDomains && self.allowed_domains.is_empty();
        is_open.then_some("create = \"allowed_domains\" needs allowed_domains")
    }

    fn fault_of_role(&self) -> Option<&'static str> {
        let is_idle = self.create == Create::Never && self.role.is_some();
        is_idle.then_some("role is for those who are made by `create`; set that too")
    }
}

/// Whether the address is reached through TLS, or on this machine.
#[must_use]
pub fn is_safe(url: &str) -> bool {
    if let Some(rest) = url.strip_prefix("https://") {
        return !rest.is_empty();
    }
    is_local(url)
}

/// Whether the address is a plain one of this machine.
#[must_use]
pub fn is_local(url: &str) -> bool {
    let Ok(uri) = url.parse::<http::Uri>() else { return false };
    let host = uri.host().unwrap_or_default().trim_matches(['[', ']']);
    uri.scheme_str() == Some("http")
        && uri.authority().is_some_and(|authority| !authority.as_str().contains('@'))
        && (host == "localhost" || host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn any() -> ProviderConfig {
        ProviderConfig {
            id: "work".to_owned(),
            issuer: Some("https://id.example.org".to_owned()),
            client_id: "chatcode".to_owned(),
            ..ProviderConfig::default()
        }
    }

    #[test]
    fn a_provider_needs_an_issuer_or_a_preset_and_the_rest_is_usual() {
        assert_eq!(any().faults(), Vec::new());
        let google = ProviderConfig { preset: Some(Preset::Google), issuer: None, name: None, ..any() };
        assert_eq!(google.faults(), Vec::new());
        assert_eq!((google.shown(), google.trusts_email()), ("Google", true));
        assert!(!any().trusts_email(), "the address of any other provider proves nothing by itself");
    }

    #[test]
    fn what_would_let_in_too_many_or_leak_is_refused() {
        for (what, wrong) in [
            ("id", ProviderConfig { id: "Work!".to_owned(), ..any() }),
            ("plain issuer", ProviderConfig { issuer: Some("http://id.example.org".to_owned()), ..any() }),
            ("no issuer", ProviderConfig { issuer: None, ..any() }),
            ("both", ProviderConfig { preset: Some(Preset::Github), ..any() }),
            ("client", ProviderConfig { client_id: String::new(), ..any() }),
            ("anybody", ProviderConfig { create: Create::AllowedDomains, ..any() }),
            ("role", ProviderConfig { role: Some(CreatedRole::Viewer), ..any() }),
            ("id of any length", ProviderConfig { id: "x".repeat(limits::PROVIDER_ID_CHARS + 1), ..any() }),
            (
                "any number of domains",
                ProviderConfig {
                    allowed_domains: vec!["example.org".to_owned(); limits::PROVIDER_DOMAINS + 1],
                    ..any()
                },
            ),
            ("domain", ProviderConfig { allowed_domains: vec!["@Example.org".to_owned()], ..any() }),
            (
                "groups of GitHub",
                ProviderConfig {
                    preset: Some(Preset::Github),
                    issuer: None,
                    groups_claim: Some("groups".to_owned()),
                    ..any()
                },
            ),
        ] {
            assert_eq!(wrong.faults().len(), 1, "{what}");
        }
    }

    #[test]
    fn plain_addresses_are_of_this_machine_only() {
        for url in ["http://localhost:1/x", "http://127.0.0.1:80", "http://[::1]:9/y", "https://a.example"] {
            assert!(is_safe(url), "{url}");
        }
        for url in [
            "http://a.example",
            "http://localhost@a.example",
            "http://127.0.0.1.a.example",
            "ftp://localhost",
            "",
        ] {
            assert!(!is_safe(url), "{url}");
        }
    }
}
