//! Whether a core can start with its settings, and what each of them means.

use chatcode_certs::{Passphrase, files};
use chatcode_process::{
    config::{Fault, Setting, Settings},
    observe::settings,
};
use chatcode_proto::limits;

use crate::{
    config::Config,
    sign_in::{
        mail::Mailer,
        passkeys::Passkeys,
        providers::{Providers, ProvidersError},
    },
};

impl Settings for Config {
    const ROLE: &'static str = "core";
    const SETTINGS: &'static [Setting] = SETTINGS;

    fn faults(&self) -> Vec<Fault> {
        let mut faults: Vec<Fault> = Fault::of_log(self.log.as_deref()).into_iter().collect();
        if let Err(error) = files::look_at_dir(&self.data_dir) {
            faults.push(Fault::caused("data_dir", &error));
        }
        for (key, seconds, range) in self.lives() {
            faults.extend(Fault::bounds(key, seconds, &range));
        }
        if self.audit_keep_days != 0 {
            let range = limits::AUDIT_KEEP_DAYS;
            faults.extend(
                Fault::bounds("audit_keep_days", self.audit_keep_days, &range)
                    .map(|fault| Fault { reason: format!("{}, or 0 for ever", fault.reason), ..fault }),
            );
        }
        let passphrase = self.ca_passphrase_file.as_deref().map(Passphrase::read).transpose();
        if let Err(error) = passphrase {
            faults.push(Fault::caused("ca_passphrase_file", &error));
        }
        self.faults_of_sign_in(&mut faults);
        let (token_file, otlp) = (self.metrics_token_file.as_deref(), self.otlp.as_deref());
        faults.extend(settings::faults(self.metrics, token_file, otlp, |file| files::read_private(file)));
        faults
    }

    fn log(&self) -> Option<&str> {
        self.log.as_deref()
    }
}

impl Config {
    fn faults_of_sign_in(&self, faults: &mut Vec<Fault>) {
        let sign_in = &self.sign_in;
        if let Err(error) = Passkeys::new(sign_in.origin.as_deref()) {
            faults.push(Fault::caused("sign_in.origin", &error));
        }
        let of_mail = sign_in.mail.iter().flat_map(Mailer::faults);
        faults.extend(of_mail.map(|(key, error)| Fault::caused(format!("sign_in.mail.{key}"), &error)));
        let providers = &sign_in.providers;
        if providers.len() > limits::PROVIDERS {
            faults.push(Fault::new("sign_in.providers", ProvidersError::Many));
        }
        for (number, provider) in providers.iter().enumerate() {
            let key = |name| format!("sign_in.providers[{number}].{name}");
            let own = Providers::faults(provider).into_iter();
            faults.extend(own.map(|(name, error)| Fault::caused(key(name), &error)));
            if providers.iter().take(number).any(|other| other.id == provider.id) {
                faults.push(Fault::new(key("id"), ProvidersError::Twice(provider.id.clone())));
            }
        }
    }
}

const SETTINGS: &[Setting] = &[
    Setting::restart(
        "data_dir",
        "a folder",
        "`<data>/core`",
        "all its files; private, and made when it is missing",
    ),
    Setting::live(
        "log",
        "a filter such as \"info\" or \"warn,chatcode=debug\"",
        "`warn,chatcode=info`",
        "what is logged; `CHATCODE_LOG` wins",
    ),
    Setting::restart(
        "listen",
        "an address and a port, such as \"0.0.0.0:7421\"",
        "`127.0.0.1:0`",
        "gRPC, and links where UDP does not get through (TCP); port 0: that of the last run if it is free",
    ),
    Setting::restart(
        "link",
        "an address and a port, such as \"0.0.0.0:7422\"",
        "`127.0.0.1:0`",
        "links of gateways (UDP); port 0: as for `listen`",
    ),
    Setting::live(
        "enroll_per_minute",
        "a whole number from 0 on",
        "5",
        "new enrollments from one address in a minute; 0: one",
    ),
    Setting::live(
        "enroll_whole_per_minute",
        "a whole number from 0 on",
        "60",
        "new enrollments from everywhere in a minute; 0: one",
    ),
    Setting::live(
        "gateway_certificate_s",
        "300 to 604800 seconds",
        "86400",
        "life of a gateway's certificate, which it renews by itself",
    ),
    Setting::live("edge_certificate_s", "300 to 604800 seconds", "86400", "the same of an edge's"),
    Setting::live(
        "admin_certificate_s",
        "300 to 7776000 seconds",
        "2592000",
        "life of an administrator's certificate, renewed when it is used",
    ),
    Setting::live(
        "core_certificate_s",
        "300 to 7776000 seconds",
        "604800",
        "life of the core's own certificate, which it renews by itself",
    ),
    Setting::restart(
        "intermediate_s",
        "86400 to 157680000 seconds",
        "7776000",
        "life of the intermediates that it makes",
    ),
    Setting::live(
        "audit_keep_days",
        "1 to 36500 days, or 0",
        "0",
        "days after which rows of the audit move into archive files ([audit](audit.md#keep-for-ever-or-archive)); 0: never",
    ),
    Setting::restart(
        "short_lives",
        "true or false",
        "false",
        "for tests alone: all of these lives from 5 seconds on",
    ),
    Setting::restart(
        "ca_passphrase_file",
        "a private file",
        "the credential `ca-passphrase` of the service, else none",
        "the passphrase of the CA's keys ([certificates](certificates.md#encrypt-the-keys))",
    ),
    Setting::restart(
        "sign_in.origin",
        "\"https://HOST\", or \"http://localhost:PORT\"",
        "pages at `localhost`, any port",
        "the origin of the page, as the edge has it; passkeys are bound to its host ([signing in](sign-in.md))",
    ),
    Setting::restart("sign_in.passkeys", "true or false", "true", "whether people may sign in by passkeys"),
    Setting::restart(
        "sign_in.passwords",
        "true or false",
        "false",
        "whether people may sign in by passwords",
    ),
    Setting::restart(
        "sign_in.mail.server",
        "a host",
        "",
        "the server that sends sign-in mails, by the name in its certificate ([mail](sign-in.md#mail)); without the table nobody signs in by mail",
    ),
    Setting::restart("sign_in.mail.port", "1 to 65535", "587, with `tls` 465, with `none` 25", "its port"),
    Setting::restart(
        "sign_in.mail.tls",
        "\"starttls\", \"tls\" or \"none\"",
        "`starttls`",
        "how the way to it is protected; `none` to this machine only",
    ),
    Setting::restart("sign_in.mail.user", "a name", "none", "whom it knows us as"),
    Setting::restart(
        "sign_in.mail.password_file",
        "a private file",
        "the credential `mail-password` of the service",
        "the password, in its only line",
    ),
    Setting::restart("sign_in.mail.from", "\"chatcode@example.org\"", "", "who the mails are from"),
    Setting::restart(
        "sign_in.providers[].id",
        "1 to 32 of a-z, 0-9 and -",
        "",
        "names the provider in links and in the audit ([identity providers](sign-in.md#identity-providers))",
    ),
    Setting::restart(
        "sign_in.providers[].name",
        "a name",
        "that of the preset, else the id",
        "what the page calls it",
    ),
    Setting::restart(
        "sign_in.providers[].preset",
        "\"google\" or \"github\"",
        "none",
        "a provider that is known already",
    ),
    Setting::restart(
        "sign_in.providers[].issuer",
        "\"https://HOST\"",
        "none",
        "any other OpenID provider, as its discovery document spells it",
    ),
    Setting::restart(
        "sign_in.providers[].client_id",
        "a text",
        "",
        "what the provider calls this installation",
    ),
    Setting::restart(
        "sign_in.providers[].client_secret_file",
        "a private file",
        "the credential `provider-ID` of the service, else none",
        "the client's secret, in its only line",
    ),
    Setting::restart(
        "sign_in.providers[].scopes",
        "a list of texts",
        "`openid email profile`",
        "what is asked for",
    ),
    Setting::restart(
        "sign_in.providers[].allowed_domains",
        "a list of domains",
        "all",
        "only people with a verified address in one of them come in",
    ),
    Setting::restart(
        "sign_in.providers[].trust_email",
        "true or false",
        "at Google only",
        "whether a verified address is proof enough to be the person with that address",
    ),
    Setting::restart(
        "sign_in.providers[].create",
        "\"never\" or \"allowed_domains\"",
        "`never`",
        "who is made a person by a first sign-in",
    ),
    Setting::restart(
        "sign_in.providers[].role",
        "\"viewer\" or \"operator\"",
        "none",
        "what such a person may do",
    ),
    Setting::restart(
        "sign_in.providers[].groups_claim",
        "a text",
        "none",
        "the claim with the names of a person's groups",
    ),
    Setting::restart(
        "sign_in.providers[].github.authorize",
        "\"https://HOST/PATH\"",
        "that of github.com",
        "of a GitHub of one's own: where a person agrees",
    ),
    Setting::restart(
        "sign_in.providers[].github.token",
        "\"https://HOST/PATH\"",
        "that of github.com",
        "the same: where a code is traded",
    ),
    Setting::restart(
        "sign_in.providers[].github.api",
        "\"https://HOST/PATH\"",
        "that of github.com",
        "the same: the API, without a slash at its end",
    ),
    settings::METRICS,
    settings::METRICS_TOKEN_FILE,
    settings::OTLP,
];

#[cfg(test)]
mod tests {
    use std::path::Path;

    use chatcode_process::config::page;

    use super::*;
    use crate::config::{
        mail::{MailConfig, MailTls},
        provider::{CreatedRole, GithubUrls, ProviderConfig},
    };

    /// A configuration with something in each list and table.
    fn whole() -> Config {
        let mut config = Config::new("/data");
        let text = || "x".to_owned();
        config.sign_in.mail = Some(MailConfig {
            server: text(),
            port: None,
            tls: MailTls::Tls,
            user: None,
            password_file: None,
            from: text(),
        });
        let github = Some(GithubUrls { authorize: text(), token: text(), api: text() });
        config.sign_in.providers.push(ProviderConfig { github, ..ProviderConfig::default() });
        config
    }

    #[test]
    fn the_reference_has_every_setting_and_no_other() {
        assert_eq!(page::unlisted(&whole()), (Vec::new(), Vec::new()));
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/configuration.md");
        page::keep_section(&file, "core", &page::section::<Config>()).expect("is as it was generated");
    }

    #[test]
    fn the_bounds_of_the_reference_are_those_that_are_kept() {
        for (key, _, range) in Config::new("/data").lives() {
            let listed = SETTINGS.iter().find(|one| one.key == key).expect("is listed");
            assert_eq!(listed.form, format!("{} to {} seconds", range.start(), range.end()), "{key}");
        }
        let days = limits::AUDIT_KEEP_DAYS;
        let listed = SETTINGS.iter().find(|one| one.key == "audit_keep_days").expect("is listed");
        assert_eq!(listed.form, format!("{} to {} days, or 0", days.start(), days.end()));
    }

    #[test]
    fn each_mistake_of_one_provider_is_told_by_its_own_key() {
        let mut config = Config::new("/data");
        config.sign_in.providers.push(ProviderConfig {
            id: "Work!".to_owned(),
            issuer: Some("http://id.example.org".to_owned()),
            client_secret_file: Some("/nowhere/secret".into()),
            allowed_domains: vec!["@Example.org".to_owned()],
            role: Some(CreatedRole::Viewer),
            ..ProviderConfig::default()
        });
        config.sign_in.providers.push(ProviderConfig { id: "Work!".to_owned(), ..ProviderConfig::default() });
        let keys: Vec<String> = config.faults().into_iter().map(|fault| fault.keys.join(" ")).collect();
        let first = ["id", "client_id", "issuer", "allowed_domains", "role", "client_secret_file"];
        let first = first.map(|key| format!("sign_in.providers[0].{key}"));
        let second = ["id", "client_id", "issuer"].map(|key| format!("sign_in.providers[1].{key}"));
        assert_eq!(keys, [&first[..], &second[..], &["sign_in.providers[1].id".to_owned()]].concat());
    }

    #[test]
    fn each_mistake_of_the_mail_server_is_told_by_its_own_key() {
        let mut config = Config::new("/data");
        config.sign_in.mail = Some(MailConfig {
            server: "mail.example.org".to_owned(),
            port: None,
            tls: MailTls::None,
            user: Some("me".to_owned()),
            password_file: Some("/nowhere/password".into()),
            from: "nobody".to_owned(),
        });
        let keys: Vec<String> = config.faults().into_iter().map(|fault| fault.keys.join(" ")).collect();
        assert_eq!(keys, ["tls", "from", "password_file"].map(|key| format!("sign_in.mail.{key}")));
    }
}
