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
        fleet_client::FleetClient, host_client::HostClient, people_client::PeopleClient,
        sessions_client::SessionsClient, terminal_client::TerminalClient,
    },
};
use rustls::ClientConfig;
use tonic::{Request, Status, metadata::MetadataValue, transport::Channel};

use crate::{
    print::shown,
    table::{ago, now_ms},
};

/// An administrator's program that knows its core.
#[derive(Clone, Debug)]
pub(crate) struct Client {
    core: String,
    server_name: String,
    tls: Arc<ClientConfig>,
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
                "this program is not enrolled with a core (looked in {}); start one with `chatcode up`, \
                 or join one with `chatcode admin enroll --core HOST:PORT`",
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
        Ok(Self { core: core.to_owned(), server_name, tls, unary })
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
    pub(crate) fn people(&self) -> PeopleClient<Channel> {
        PeopleClient::new(self.unary.clone()).max_decoding_message_size(limits::UNARY_BYTES)
    }

    /// Sign-in.
    pub(crate) fn accounts(&self) -> AccountsClient<Channel> {
        AccountsClient::new(self.unary.clone()).max_decoding_message_size(limits::UNARY_BYTES)
    }

    /// The installation.
    pub(crate) fn admin(&self) -> AdminClient<Channel> {
        AdminClient::new(self.unary.clone()).max_decoding_message_size(limits::UNARY_BYTES)
    }

    /// Who did what.
    pub(crate) fn audit(&self) -> AuditClient<Channel> {
        AuditClient::new(self.unary.clone()).max_decoding_message_size(limits::UNARY_BYTES)
    }

    /// Who did what, for an export or a watch.
    pub(crate) fn audit_stream(&self) -> AuditClient<Channel> {
        AuditClient::new(self.streaming()).max_decoding_message_size(limits::UNARY_BYTES)
    }

    /// Machines.
    pub(crate) fn fleet(&self) -> FleetClient<Channel> {
        FleetClient::new(self.unary.clone()).max_decoding_message_size(limits::UNARY_BYTES)
    }

    /// Machines, for a watch.
    pub(crate) fn fleet_watch(&self) -> FleetClient<Channel> {
        FleetClient::new(self.streaming()).max_decoding_message_size(limits::UNARY_BYTES)
    }

    /// The programs of machines.
    pub(crate) fn host(&self) -> HostClient<Channel> {
        HostClient::new(self.unary.clone()).max_decoding_message_size(limits::UNARY_BYTES)
    }

    /// Sessions.
    pub(crate) fn sessions(&self) -> SessionsClient<Channel> {
        SessionsClient::new(self.unary.clone()).max_decoding_message_size(limits::UNARY_BYTES)
    }

    /// A terminal, on a connection of its own.
    pub(crate) fn terminal(&self) -> TerminalClient<Channel> {
        TerminalClient::new(self.streaming()).max_decoding_message_size(limits::SERVER_FRAME_BYTES)
    }

    /// The error of a call that failed, with its exit code and what to do.
    pub(crate) fn error(&self, status: &Status) -> anyhow::Error {
        refused(&self.refusal(status))
    }

    /// Why a call failed; a core that was not reached is named.
    pub(crate) fn refusal(&self, status: &Status) -> Refusal {
        let refusal = chatcode_link::exit::refusal(status, Code::CoreUnreachable);
        if refusal.code != Code::CoreUnreachable {
            return refusal;
        }
        let message = format!(
            "the core at {} does not answer: {}; check that it runs (`chatcode up`)",
            self.core,
            shown(&refusal.message)
        );
        Refusal::new(Code::CoreUnreachable, message)
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
