//! `chatcode login`: a login by a device code (RFC 8628). The core is found and
//! trusted by its page, or by what a person says of its roots; then a person approves
//! at the page, and an API token of theirs is kept as a context.

mod page;

use std::{path::PathBuf, time::Duration};

use anyhow::Context as _;
use chatcode_certs::{TrustDomain, pem, tls};
use chatcode_link::tcp;
use chatcode_process::exit::{self, Exit};
use chatcode_proto::{
    code::Refusal,
    limits,
    pb::{
        Code, DeviceState, DevicesBeginRequest, DevicesBeginResponse, DevicesPollRequest,
        DevicesPollResponse, PersonRole, devices_client::DevicesClient,
    },
};
use rustls::pki_types::CertificateDer;
use serde_json::json;
use tokio::time::Instant;
use tonic::{Status, transport::Channel};
use zeroize::Zeroizing;

use self::page::Published;
use crate::{
    client::{refused, unary},
    context::{self, Context, LOCAL, Token},
    home::Home,
    login_url,
    print::{Tell, say, shown},
    roles::{self, Role},
    table::{now_ms, until},
    up::open,
};

/// Log in to an installation as a person: this shows a code, and the person approves
/// it at the page.
#[derive(Debug, clap::Args)]
pub(crate) struct Login {
    /// The page, such as https://code.example.org; or the core's HOST:PORT, with
    /// --pin or --roots.
    #[arg(value_name = "URL_OR_HOST")]
    to: String,
    /// What the login is called here; left out: the host.
    #[arg(long)]
    name: Option<String>,
    /// The most that this program may do; it never may more than the person.
    #[arg(long, value_enum, default_value = "operator")]
    role: Role,
    /// How long the login lasts, such as 12h or 30d; at most 365d.
    #[arg(long, value_parser = chatcode_process::seconds, default_value = "30d")]
    ttl: u32,
    /// SHA-256 of the public key of the installation's root, in hex, as `chatcode
    /// admin ca status --json` shows it.
    #[arg(long, value_name = "sha256:HEX", value_parser = pin, conflicts_with = "roots")]
    pin: Option<[u8; 32]>,
    /// The installation's roots, PEM, as `chatcode admin ca export` writes them.
    #[arg(long, value_name = "FILE")]
    roots: Option<PathBuf>,
    /// Trust the page by these certificates, PEM, instead of the system's.
    #[arg(long, value_name = "FILE")]
    ca_file: Option<PathBuf>,
    /// Open the page in a browser of this machine.
    #[arg(long)]
    browser: bool,
    #[command(flatten)]
    tell: Tell,
}

/// A core, and why it is believed to be the one that is meant.
struct Found {
    /// Its gRPC address.
    core: String,
    /// The page, where a person named it.
    page: Option<String>,
    trust: Trust,
}

/// What a core has to show.
enum Trust {
    /// A chain to one of the roots of this installation.
    Roots(TrustDomain, Vec<CertificateDer<'static>>),
    /// A chain to a root with one of these pins.
    Pins(Vec<[u8; 32]>),
}

/// A login that a person has to approve.
struct Begun {
    devices: DevicesClient<Channel>,
    response: DevicesBeginResponse,
    domain: TrustDomain,
    roots: Vec<CertificateDer<'static>>,
}

impl Login {
    /// Shows the code, waits for the person, and keeps the login.
    ///
    /// # Errors
    /// When the core is not found, not trusted or refuses, when the person refuses,
    /// and when nobody approves in time.
    pub(crate) async fn run(self, home: &Home) -> anyhow::Result<()> {
        let found = self.find().await?;
        let name = self.context_name(&found)?;
        let before = home.contexts().load(&name)?;
        let begun = self.begin(&found).await?;
        if let Some(other) = before.as_ref().filter(|one| one.installation != begun.domain.installation()) {
            return Err(anyhow::anyhow!(
                "{name} is a login to another installation ({}); choose a name with --name",
                other.installation
            )
            .context(Exit(exit::USAGE)));
        }
        let page = found.page.clone().or_else(|| {
            let told = &begun.response.verification_uri;
            login_url::origin(told).ok()
        });
        let _open = self.invite(home, page.as_deref(), &begun.response)?;
        let approved = wait(&found.core, &begun).await?;
        let token = approved.token.unwrap_or_default();
        let context = Context {
            name,
            installation: begun.domain.installation().to_owned(),
            core: found.core,
            page,
            roots: pem::certificates(&begun.roots),
            token: Token::new(Zeroizing::new(approved.secret)),
            token_id: token.id.clone(),
            display_name: approved.display_name,
            role: roles::text(token.role()).to_owned(),
            expires_unix_ms: token.expires_unix_ms,
        };
        home.contexts().save(&context)?;
        home.contexts().select(&context.name)?;
        if let Some(before) = before.filter(|before| before.token_id != context.token_id)
            && let Err(error) = context::order::revoke(&before).await
        {
            say(&format!("the login before is not ended at the core: {error:#}"));
        }
        let words = format!(
            "logged in as {} ({}) at {}, as the context {}; ends {}",
            shown(&context.display_name),
            context.role,
            context.installation,
            context.name,
            until(now_ms(), context.expires_unix_ms)
        );
        let what = json!({
            "context": context.name,
            "person": context.display_name,
            "role": context.role,
            "installation": context.installation,
            "core": context.core,
            "expires_unix_ms": context.expires_unix_ms,
        });
        self.tell.answer(&words, &what)
    }

    /// Finds the core and what to trust.
    async fn find(&self) -> anyhow::Result<Found> {
        let mut pins: Vec<[u8; 32]> = self.pin.into_iter().collect();
        if let Some(file) = &self.roots {
            let text = std::fs::read(file).with_context(|| file.display().to_string())?;
            let roots = pem::read_certificates(&text).context("the file holds no certificates in PEM");
            pins = pem::pins(&roots.context(Exit(exit::USAGE))?);
        }
        let is_core = !self.to.contains("://")
            && self.to.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok());
        if is_core {
            if pins.is_empty() {
                return Err(anyhow::anyhow!(
                    "{} is the address of a core, and nothing says which root it has to show; name the page \
                     (https://HOST), or add --pin sha256:HEX or --roots FILE",
                    shown(&self.to)
                )
                .context(Exit(exit::USAGE)));
            }
            return Ok(Found { core: self.to.clone(), page: None, trust: Trust::Pins(pins) });
        }
        let page = if self.to.contains("://") { self.to.clone() } else { format!("https://{}", self.to) };
        let page =
            login_url::origin(&page).map_err(|words| anyhow::anyhow!(words).context(Exit(exit::USAGE)))?;
        let Published { domain, core, roots } = page::ask(&page, self.ca_file.as_deref()).await?;
        let is_pinned = pins.is_empty() || pem::pins(&roots).iter().any(|pin| pins.contains(pin));
        if !is_pinned {
            return Err(anyhow::anyhow!(
                "the page at {page} is of an installation with another root than the one that you named; nothing was sent"
            )
            .context(Exit(exit::NOPERM)));
        }
        Ok(Found { core, page: Some(page), trust: Trust::Roots(domain, roots) })
    }

    /// What the login is called.
    fn context_name(&self, found: &Found) -> anyhow::Result<String> {
        let name = self.name.clone().unwrap_or_else(|| {
            let at = found.page.as_deref().unwrap_or(&found.core);
            let at = at.split_once("://").map_or(at, |(_, host)| host);
            at.chars().map(|c| if c == ':' { '-' } else { c }).filter(|c| !matches!(c, '[' | ']')).collect()
        });
        if name == LOCAL {
            return Err(anyhow::anyhow!("{LOCAL} is the certificate of this machine; choose another --name")
                .context(Exit(exit::USAGE)));
        }
        context::check_name(&name)?;
        Ok(name)
    }

    /// Asks the core for a code.
    async fn begin(&self, found: &Found) -> anyhow::Result<Begun> {
        let request = DevicesBeginRequest {
            program: concat!("chatcode ", env!("CARGO_PKG_VERSION")).to_owned(),
            hostname: rustix::system::uname().nodename().to_string_lossy().into_owned(),
            role: PersonRole::from(self.role).into(),
            ttl_s: self.ttl,
        };
        let pins = match &found.trust {
            Trust::Roots(domain, roots) => {
                let tls = tls::rooted_client(roots, domain).context(Exit(exit::CONFIG))?;
                let mut devices = DevicesClient::new(tcp::channel(&found.core, tls, &domain.core_dns()));
                let response =
                    begin(&mut devices, &request, &found.core).await.map_err(|error| refused(&error))?;
                let (domain, roots) = (domain.clone(), roots.clone());
                return Ok(Begun { devices, response, domain, roots });
            }
            Trust::Pins(pins) => pins,
        };
        let mut refusal = Refusal::new(Code::Invalid, "no root is named");
        for pin in pins {
            let tls = tls::pinned_client(*pin);
            let mut devices = DevicesClient::new(tcp::channel(&found.core, tls, tls::UNKNOWN_CORE));
            match begin(&mut devices, &request, &found.core).await {
                Ok(response) => {
                    let domain = TrustDomain::of_installation(&response.installation)
                        .context("the core does not say which installation it is")?;
                    let roots: Vec<CertificateDer<'static>> =
                        response.roots.iter().map(|der| CertificateDer::from(der.to_vec())).collect();
                    anyhow::ensure!(
                        pem::pins(&roots).contains(pin),
                        "the core names other roots than it shows"
                    );
                    return Ok(Begun { devices, response, domain, roots });
                }
                Err(error) => refusal = error,
            }
        }
        Err(refused(&refusal))
    }

    /// Tells the person where to type the code.
    fn invite(
        &self,
        home: &Home,
        page: Option<&str>,
        response: &DevicesBeginResponse,
    ) -> anyhow::Result<Option<open::Page>> {
        let code = shown(&response.user_code);
        let minutes = response.expires_in_s / 60;
        let Some(page) = page else {
            say(&format!(
                "open the page of the installation, add #device to its address, and type this code there:\n\n  {code}\n\n\
                 waiting for {minutes} minutes at most"
            ));
            return Ok(None);
        };
        let url = format!("{page}/#device={code}");
        say(&format!(
            "open {page}/#device in a browser and type this code:\n\n  {code}\n\nor open {url}\n\
             and compare the code there. Waiting for {minutes} minutes at most"
        ));
        if !self.browser {
            return Ok(None);
        }
        let folder = home.contexts().folder();
        chatcode_certs::files::private_dir(folder).context(Exit(exit::CONFIG))?;
        match open::Page::show(folder, &url) {
            Ok(open) => Ok(Some(open)),
            Err(error) => {
                say(&format!("{error:#}"));
                Ok(None)
            }
        }
    }
}

async fn begin(
    devices: &mut DevicesClient<Channel>,
    request: &DevicesBeginRequest,
    core: &str,
) -> Result<DevicesBeginResponse, Refusal> {
    let call = devices.begin(unary(request.clone())).await;
    Ok(call.map_err(|status| why(core, &status))?.into_inner())
}

/// Why a call failed.
fn why(core: &str, status: &Status) -> Refusal {
    let refusal = chatcode_link::exit::refusal(status, Code::CoreUnreachable);
    match refusal.code {
        Code::CoreUnreachable => {
            let words = format!(
                "the core at {core} was not reached, or is not the one that is meant: {}",
                refusal.message
            );
            Refusal::new(refusal.code, words)
        }
        Code::UnknownMethod => Refusal::new(
            refusal.code,
            "this core is older than logins by the command line; use `chatcode admin api-tokens create` there",
        ),
        _ => refusal,
    }
}

/// Asks until a person has decided. A core that restarts, or is away for a while, does
/// not end it.
async fn wait(core: &str, begun: &Begun) -> anyhow::Result<DevicesPollResponse> {
    let Begun { devices, response, .. } = begun;
    let (mut devices, mut interval) = (devices.clone(), Duration::from_secs(u64::from(response.interval_s)));
    let end = Instant::now() + Duration::from_secs(u64::from(response.expires_in_s));
    loop {
        tokio::time::sleep(interval).await;
        let request = DevicesPollRequest { device_code: response.device_code.clone() };
        let polled = devices.poll(unary(request)).await.map_err(|status| why(core, &status));
        let words = match polled.map(tonic::Response::into_inner) {
            Ok(answer) => match answer.state() {
                DeviceState::Approved => return Ok(answer),
                DeviceState::Pending => None,
                DeviceState::SlowDown => {
                    interval += limits::DEVICE_SLOW_DOWN;
                    None
                }
                DeviceState::Denied => Some("the login was refused at the page"),
                DeviceState::Expired => Some(EXPIRED),
                DeviceState::Unspecified => {
                    Some("the core answers with a state that this program does not know")
                }
            },
            // RFC 8628, 3.5: slower when the network fails.
            Err(refusal) if refusal.code.is_transient() && refusal.code != Code::Limit => {
                interval = (interval * 2).min(limits::DEVICE_POLL_LONGEST);
                None
            }
            Err(refusal) => return Err(refused(&refusal)),
        };
        let is_over = Instant::now() >= end + limits::UNARY_DEADLINE;
        if let Some(words) = words.or(is_over.then_some(EXPIRED)) {
            return Err(anyhow::anyhow!(words).context(Exit(exit::NOPERM)));
        }
    }
}

const EXPIRED: &str = "nobody approved the login in time; run it again";

/// A pin as people write it: "sha256:" and 64 hex digits, the first word optional.
fn pin(text: &str) -> Result<[u8; 32], String> {
    let wrong =
        || "a pin is sha256: and 64 hex digits, as `chatcode admin ca status --json` shows them".to_owned();
    let digits = text.strip_prefix("sha256:").unwrap_or(text);
    if digits.len() != 64 || !digits.bytes().all(|c| c.is_ascii_hexdigit()) {
        return Err(wrong());
    }
    let mut bytes = [0; 32];
    for (byte, at) in bytes.iter_mut().zip((0..64).step_by(2)) {
        *byte = u8::from_str_radix(&digits[at..at + 2], 16).map_err(|_| wrong())?;
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pin_is_read_with_and_without_its_word() {
        let digits = "0a".repeat(32);
        assert_eq!(pin(&digits), Ok([10; 32]));
        assert_eq!(pin(&format!("sha256:{digits}")), Ok([10; 32]));
        for wrong in
            ["", "sha256:", &digits[1..], &"0g".repeat(32), &"é".repeat(32), &format!("sha1:{digits}")]
        {
            assert!(pin(wrong).is_err(), "{wrong}");
        }
    }

    fn login(to: &str, name: Option<&str>) -> Login {
        Login {
            tell: Tell::default(),
            to: to.to_owned(),
            name: name.map(str::to_owned),
            role: Role::Operator,
            ttl: 60,
            pin: None,
            roots: None,
            ca_file: None,
            browser: false,
        }
    }

    #[test]
    fn a_login_is_called_after_its_host_and_never_as_the_certificate() {
        let found = |page: Option<&str>| Found {
            core: "core:7421".to_owned(),
            page: page.map(str::to_owned),
            trust: Trust::Pins(Vec::new()),
        };
        let name = |page: Option<&str>, said: Option<&str>| login("x", said).context_name(&found(page));
        assert_eq!(name(Some("https://code.example.org"), None).expect("is one"), "code.example.org");
        assert_eq!(name(Some("http://localhost:7420"), None).expect("is one"), "localhost-7420");
        assert_eq!(name(None, None).expect("is one"), "core-7421");
        assert_eq!(name(None, Some("works")).expect("is one"), "works");
        assert!(name(None, Some("local")).is_err() && name(None, Some("../x")).is_err());
    }

    #[tokio::test]
    async fn a_core_that_nothing_vouches_for_and_a_plain_page_of_another_machine_are_refused() {
        for (to, words) in [("core.example.org:7421", "--pin"), ("http://code.example.org", "https")] {
            let error = format!("{:#}", login(to, None).find().await.err().expect("is refused"));
            assert!(error.contains(words), "{error}");
        }
    }
}
