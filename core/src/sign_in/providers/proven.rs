//! What a provider has proven of a person, and what that is enough for. Pure rules.

use chatcode_proto::{
    code::Refusal,
    limits,
    name::display_safe,
    pb::{Code, PersonRole},
};

use crate::{
    config::provider::{Create, Preset, ProviderConfig},
    people::vouched::Vouched,
};

/// What a provider has proven of a person, as it said it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Claims {
    /// Who says it.
    pub(super) issuer: String,
    /// Names the person there, for ever.
    pub(super) subject: String,
    /// An address.
    pub(super) email: Option<String>,
    /// Whether the provider has verified it.
    pub(super) email_verified: bool,
    /// Google: the organisation's domain, when the account is one of an
    /// organisation.
    pub(super) hosted_domain: Option<String>,
    /// When the provider itself last asked the person who they are, seconds since 1970;
    /// `None`: it does not say.
    pub(super) asked_s: Option<u64>,
    /// What the person is called there.
    pub(super) name: Option<String>,
    /// The groups; `None`: nothing was said of groups.
    pub(super) groups: Option<Vec<String>>,
}

impl Claims {
    /// What they are enough for.
    ///
    /// # Errors
    /// `FORBIDDEN` for somebody whose domain may not come in.
    pub(super) fn judge(self, config: &ProviderConfig) -> Result<Vouched, Refusal> {
        if self.subject.is_empty() || self.subject.len() > 255 {
            let words =
                format!("{} did not say who you are; try again, or sign in another way", config.shown());
            return Err(Refusal::new(Code::BadToken, words));
        }
        let verified = self.verified();
        let is_allowed = self.domain(config).is_some_and(|domain| config.allowed_domains.contains(&domain));
        if !config.allowed_domains.is_empty() && !is_allowed {
            let words = format!(
                "people come in by {} with a verified address of certain domains only, and yours is of none of \
                 them; sign in with another account, or ask an administrator",
                config.shown()
            );
            return Err(Refusal::new(Code::Forbidden, words));
        }
        let create = config.create == Create::AllowedDomains && is_allowed;
        let label = verified.clone().or_else(|| self.name.clone()).unwrap_or_else(|| self.subject.clone());
        let shown = self.name.clone().filter(|name| !name.trim().is_empty()).or_else(|| verified.clone());
        Ok(Vouched {
            provider: config.id.clone(),
            subject: subject(&self.issuer, &self.subject),
            label: display_safe(&format!("{}: {label}", config.shown()), limits::NAME_CHARS),
            display_name: display_safe(shown.as_deref().unwrap_or("New person").trim(), limits::NAME_CHARS),
            trusted: verified.is_some() && config.trusts_email() && self.domain(config).is_some(),
            email: verified.unwrap_or_default(),
            asked_ms: self.asked_s.map(|seconds| seconds.saturating_mul(1000)),
            create: create.then(|| config.role.map_or(PersonRole::Unspecified, PersonRole::from)),
            groups: config.groups_claim.as_ref().map(|_| groups(self.groups.unwrap_or_default())),
        })
    }

    /// The verified address, in lower case.
    fn verified(&self) -> Option<String> {
        let address = self.email.as_ref().filter(|_| self.email_verified)?.to_ascii_lowercase();
        let (local, domain) = address.rsplit_once('@')?;
        let is_one = !local.is_empty() && !domain.is_empty() && address.len() <= limits::EMAIL_CHARS;
        is_one.then_some(address)
    }

    /// The domain that the provider vouches for.
    fn domain(&self, config: &ProviderConfig) -> Option<String> {
        let verified = self.verified()?;
        let domain = verified.rsplit_once('@')?.1.to_owned();
        // An account of Google's may have any verified address; only that of an
        // organisation is in its domain.
        (config.preset != Some(Preset::Google) || self.is_googles(&domain)).then_some(domain)
    }

    fn is_googles(&self, domain: &str) -> bool {
        domain == "gmail.com"
            || self.hosted_domain.as_ref().is_some_and(|hosted| hosted.eq_ignore_ascii_case(domain))
    }
}

/// Names a person at a provider, in one text: an issuer has no blank.
fn subject(issuer: &str, subject: &str) -> String {
    format!("{issuer} {subject}")
}

fn groups(groups: Vec<String>) -> Vec<String> {
    let fits = |group: &String| !group.is_empty() && group.chars().count() <= limits::EXTERNAL_GROUP_CHARS;
    groups.into_iter().filter(fits).take(limits::PROVIDER_GROUPS).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::provider::CreatedRole;

    fn claims(email: &str, verified: bool) -> Claims {
        Claims {
            issuer: "https://id.example.org".to_owned(),
            subject: "7".to_owned(),
            email: Some(email.to_owned()),
            email_verified: verified,
            name: Some("Ada".to_owned()),
            ..Claims::default()
        }
    }

    fn config() -> ProviderConfig {
        ProviderConfig {
            id: "work".to_owned(),
            issuer: Some("https://id.example.org".to_owned()),
            client_id: "c".to_owned(),
            ..ProviderConfig::default()
        }
    }

    fn trusted(vouched: Vouched) -> Option<String> {
        vouched.trusted.then_some(vouched.email)
    }

    #[test]
    fn an_address_names_a_person_only_when_it_is_verified_and_trusted() {
        let trusting = ProviderConfig { trust_email: Some(true), ..config() };
        let of = |verified, config: &ProviderConfig| {
            trusted(claims("Ada@Example.org", verified).judge(config).expect("is let through"))
        };
        assert_eq!(of(true, &trusting).as_deref(), Some("ada@example.org"));
        assert_eq!(of(false, &trusting), None);
        assert_eq!(of(true, &config()), None, "an issuer is not trusted with addresses unless it is said");
    }

    #[test]
    fn google_is_believed_only_for_addresses_that_google_gives() {
        let google = ProviderConfig { preset: Some(Preset::Google), issuer: None, ..config() };
        let of = |email: &str, hosted: Option<&str>| {
            let claims = Claims { hosted_domain: hosted.map(str::to_owned), ..claims(email, true) };
            trusted(claims.judge(&google).expect("is let through"))
        };
        assert!(of("ada@gmail.com", None).is_some());
        assert!(of("ada@example.org", Some("example.org")).is_some());
        assert_eq!(of("ada@example.org", None), None, "an account with any address of another server");
        assert_eq!(of("ada@example.org", Some("other.example")), None);
    }

    #[test]
    fn only_allowed_domains_come_in_and_only_they_make_people() {
        let held = ProviderConfig {
            allowed_domains: vec!["example.org".to_owned()],
            create: Create::AllowedDomains,
            role: Some(CreatedRole::Viewer),
            ..config()
        };
        let made = claims("ada@example.org", true).judge(&held).expect("is allowed");
        assert_eq!(made.create, Some(PersonRole::Viewer));
        for (email, verified) in [
            ("ada@example.org", false),
            ("ada@other.example", true),
            ("ada@example.org.attacker.test", true),
            ("ada@sub.example.org", true),
            ("example.org", true),
            ("@example.org", true),
        ] {
            let refused = claims(email, verified).judge(&held).expect_err(email);
            assert_eq!(refused.code, Code::Forbidden, "{email}");
        }
        assert_eq!(claims("ada@example.org", true).judge(&config()).expect("comes in").create, None);
    }

    #[test]
    fn groups_count_only_where_their_claim_is_named() {
        let told = |config: &ProviderConfig, groups: Option<Vec<String>>| {
            Claims { groups, ..claims("a@b.example", true) }.judge(config).expect("comes in").groups
        };
        let some = || Some(vec!["ops".to_owned(), String::new(), "x".repeat(1000)]);
        assert_eq!(told(&config(), some()), None);
        let named = ProviderConfig { groups_claim: Some("groups".to_owned()), ..config() };
        assert_eq!(told(&named, some()), Some(vec!["ops".to_owned()]));
        assert_eq!(told(&named, None), Some(Vec::new()), "who is in no group any more is told by silence");
    }

    #[test]
    fn of_more_groups_than_count_the_first_do() {
        let named = ProviderConfig { groups_claim: Some("groups".to_owned()), ..config() };
        let told: Vec<_> = (0..limits::PROVIDER_GROUPS + 5).map(|number| format!("group {number}")).collect();
        let claims = Claims { groups: Some(told.clone()), ..claims("a@b.example", true) };
        let counted = claims.judge(&named).expect("comes in").groups.expect("is told");
        assert_eq!(counted, told[..limits::PROVIDER_GROUPS]);
    }

    #[test]
    fn a_person_without_a_name_at_the_provider_is_refused() {
        let nobody = Claims { subject: String::new(), ..claims("a@b.example", true) };
        assert_eq!(nobody.judge(&config()).expect_err("is nobody").code, Code::BadToken);
    }
}
