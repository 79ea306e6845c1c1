//! The way to the core: who we are, where it is, and channels to it.

use std::{path::Path, sync::Arc};

use anyhow::Context as _;
use chatcode_certs::{Identity, tls};
use chatcode_link::{enroll::CoreAddress, tcp};
use chatcode_process::exit::{self, Exit};
use chatcode_proto::{
    code::Refusal,
    limits, metadata,
    pb::{
        Code, accounts_client::AccountsClient, admin_client::AdminClient, audit_client::AuditClient,
        fleet_client::FleetClient, host_client::HostClient, identities_client::IdentitiesClient,
        people_client::PeopleClient, sessions_client::SessionsClient, shares_client::SharesClient,
        terminal_client::TerminalClient,
    },
};
use rustls::ClientConfig;
use tonic::{
    Request, Status,
    metadata::{Ascii, MetadataValue},
    service::{Interceptor, interceptor::InterceptedService},
    transport::Channel,
};
use zeroize::Zeroizing;

use crate::{
    context::Context,
    print::shown,
    table::{ago, now_ms},
};

/// The way of a call: a connection, and what the call shows besides.
pub(crate) type Way = InterceptedService<Channel, Credential>;

/// What every call shows besides the connection's certificate: this program's version,
/// and an API token where there is one.
#[derive(Clone, Debug, Default)]
pub(crate) struct Credential(Option<MetadataValue<Ascii>>);

impl Interceptor for Credential {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        let version = MetadataValue::from_static(env!("CARGO_PKG_VERSION"));
        request.metadata_mut().insert(metadata::VERSION, version);
        if let Some(value) = &self.0 {
            request.metadata_mut().insert("authorization", value.clone());
        }
        Ok(request)
    }
}

/// A program that knows its core, and who it is there.
#[derive(Clone, Debug)]
pub(crate) struct Client {
    core: String,
    server_name: String,
    tls: Arc<ClientConfig>,
    credential: Credential,
    /// The command that makes the login anew; `None`: there is a certificate.
    again: Option<String>,
    /// Shared by all unary calls.
    unary: Channel,
}

impl Client {
    /// The client of the identity in this folder. Nothing is dialled yet.
    ///
    /// # Errors
    /// When this program was not enrolled, or its files cannot be used.
    pub(crate) fn open(cli_dir: &Path) -> anyhow::Result<Self> {
        let not_enrolled = || {
            anyhow::anyhow!(
                "this program is not enrolled with a core (looked in {}); start one with `chatcode up`, log in to one with \
                 `chatcode login https://PAGE`, or join one with `chatcode admin enroll --core HOST:PORT`",
                cli_dir.display()
            )
            .context(Exit(exit::CONFIG))
        };
        let identity = Identity::load(cli_dir).context(Exit(exit::CONFIG))?.ok_or_else(not_enrolled)?;
        if identity.validity_unix_s().end <= now_ms() / 1000 {
            return Err(anyhow::anyhow!(
                "the certificate of this command line ended {} ago, since it was not used for so long; make a token with \
                 `chatcode admin token --kind admin` elsewhere, or `chatcode-core token --kind admin` beside the core, \
                 and use it here with `chatcode admin enroll --core HOST:PORT`",
                ago(now_ms(), identity.validity_unix_s().end * 1000)
            )
            .context(Exit(exit::NOPERM)));
        }
        let address = CoreAddress::load(cli_dir).context(Exit(exit::CONFIG))?.ok_or_else(not_enrolled)?;
        Self::new(&identity, &address.grpc)
    }

    /// The client of `identity` at the core at `core` (`host:port`).
    ///
    /// # Errors
    /// When the identity cannot be used for TLS.
    pub(crate) fn new(identity: &Identity, core: &str) -> anyhow::Result<Self> {
        let tls = tls::core_client(identity, &[b"h2"])?;
        let server_name = identity.trust_domain().core_dns();
        let unary = tcp::channel(core, tls.clone(), &server_name);
        let (credential, again) = (Credential::default(), None);
        Ok(Self { core: core.to_owned(), server_name, tls, credential, again, unary })
    }

    /// The client of a login. Nothing is dialled yet.
    ///
    /// # Errors
    /// When its file was damaged.
    pub(crate) fn of_context(context: &Context) -> anyhow::Result<Self> {
        let domain = context.trust_domain()?;
        let tls = tls::rooted_client(&context.roots()?, &domain).context(Exit(exit::CONFIG))?;
        let server_name = domain.core_dns();
        let unary = tcp::channel(&context.core, tls.clone(), &server_name);
        let text = Zeroizing::new(format!("Bearer {}", context.token.expose()));
        let mut value: MetadataValue<Ascii> =
            text.parse().context("the login's token is none").context(Exit(exit::CONFIG))?;
        value.set_sensitive(true);
        let (credential, again) = (Credential(Some(value)), Some(context.again()));
        Ok(Self { core: context.core.clone(), server_name, tls, credential, again, unary })
    }

    /// The address of the core.
    pub(crate) fn core(&self) -> &str {
        &self.core
    }

    /// A connection of its own, for one streaming call.
    fn streaming(&self) -> Channel {
        tcp::channel(&self.core, self.tls.clone(), &self.server_name)
    }

    /// People, teams, roles and API tokens.
    pub(crate) fn people(&self) -> PeopleClient<Way> {
        PeopleClient::with_interceptor(self.unary.clone(), self.credential.clone())
            .max_decoding_message_size(limits::UNARY_BYTES)
    }

    /// Ways to sign in.
    pub(crate) fn identities(&self) -> IdentitiesClient<Way> {
        IdentitiesClient::with_interceptor(self.unary.clone(), self.credential.clone())
            .max_decoding_message_size(limits::UNARY_BYTES)
    }

    /// Sign-in.
    pub(crate) fn accounts(&self) -> AccountsClient<Way> {
        AccountsClient::with_interceptor(self.unary.clone(), self.credential.clone())
            .max_decoding_message_size(limits::UNARY_BYTES)
    }

    /// The installation.
    pub(crate) fn admin(&self) -> AdminClient<Way> {
        AdminClient::with_interceptor(self.unary.clone(), self.credential.clone())
            .max_decoding_message_size(limits::UNARY_BYTES)
    }

    /// Who did what.
    pub(crate) fn audit(&self) -> AuditClient<Way> {
        AuditClient::with_interceptor(self.unary.clone(), self.credential.clone())
            .max_decoding_message_size(limits::UNARY_BYTES)
    }

    /// Who did what, for an export or a watch.
    pub(crate) fn audit_stream(&self) -> AuditClient<Way> {
        AuditClient::with_interceptor(self.streaming(), self.credential.clone())
            .max_decoding_message_size(limits::UNARY_BYTES)
    }

    /// Machines.
    pub(crate) fn fleet(&self) -> FleetClient<Way> {
        FleetClient::with_interceptor(self.unary.clone(), self.credential.clone())
            .max_decoding_message_size(limits::UNARY_BYTES)
    }

    /// Machines, for a watch.
    pub(crate) fn fleet_watch(&self) -> FleetClient<Way> {
        FleetClient::with_interceptor(self.streaming(), self.credential.clone())
            .max_decoding_message_size(limits::UNARY_BYTES)
    }

    /// The programs of machines.
    pub(crate) fn host(&self) -> HostClient<Way> {
        HostClient::with_interceptor(self.unary.clone(), self.credential.clone())
            .max_decoding_message_size(limits::UNARY_BYTES)
    }

    /// Sessions.
    pub(crate) fn sessions(&self) -> SessionsClient<Way> {
        SessionsClient::with_interceptor(self.unary.clone(), self.credential.clone())
            .max_decoding_message_size(limits::UNARY_BYTES)
    }

    /// Links that let guests in.
    pub(crate) fn shares(&self) -> SharesClient<Way> {
        SharesClient::with_interceptor(self.unary.clone(), self.credential.clone())
            .max_decoding_message_size(limits::UNARY_BYTES)
    }

    /// A terminal, on a connection of its own.
    pub(crate) fn terminal(&self) -> TerminalClient<Way> {
        TerminalClient::with_interceptor(self.streaming(), self.credential.clone())
            .max_decoding_message_size(limits::SERVER_FRAME_BYTES)
    }

    /// The error of a call that failed, with its exit code and what to do.
    pub(crate) fn error(&self, status: &Status) -> anyhow::Error {
        refused(&self.refusal(status))
    }

    /// Why a call failed; a core that was not reached is named.
    pub(crate) fn refusal(&self, status: &Status) -> Refusal {
        let refusal = chatcode_link::exit::refusal(status, Code::CoreUnreachable);
        let cause = shown(&refusal.message);
        let message = match (refusal.code, &self.again) {
            (Code::CoreUnreachable, None) => {
                format!(
                    "the core at {} does not answer: {cause}; check that it runs (`chatcode up`)",
                    self.core
                )
            }
            (Code::CoreUnreachable, Some(again)) => format!(
                "the core at {} does not answer: {cause}; check that it runs and that this machine reaches it. If its \
                 roots were rotated since the login: {again}",
                self.core
            ),
            (Code::Unauthenticated, Some(again)) => {
                format!(
                    "this login has ended or was revoked, or its person may not sign in any more; log in again: {again}"
                )
            }
            _ => return refusal,
        };
        Refusal::new(refusal.code, message)
    }
}

/// A request with the deadline of unary calls.
pub(crate) fn unary<T>(message: T) -> Request<T> {
    let mut request = Request::new(message);
    request.set_timeout(limits::UNARY_DEADLINE);
    request
}

/// Names the target of a call.
///
/// # Errors
/// When an id is none.
pub(crate) fn target<T>(mut request: Request<T>, gateway: &str, session: &str) -> anyhow::Result<Request<T>> {
    for (key, value) in [(metadata::GATEWAY, gateway), (metadata::SESSION, session)] {
        if !value.is_empty() {
            let value = MetadataValue::try_from(value).context("an id that the core told is none")?;
            request.metadata_mut().insert(key, value);
        }
    }
    Ok(request)
}

/// A refusal as an error that ends the program with the fitting code.
pub(crate) fn refused(refusal: &Refusal) -> anyhow::Error {
    anyhow::anyhow!("{}", shown(&refusal.to_string())).context(Exit::of(refusal.code))
}
