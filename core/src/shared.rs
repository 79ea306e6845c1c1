//! What the rooms of a core share.

use std::{
    net::IpAddr,
    path::PathBuf,
    sync::{
        Arc, PoisonError, RwLock,
        atomic::{AtomicU16, AtomicU32, Ordering},
    },
    time::{Duration, Instant},
};

use chatcode_audit::head;
use chatcode_certs::{AuditKey, Authority, IdentityCell, MemberName};
use chatcode_proto::{
    code::Refusal,
    id::{GatewayId, MemberId},
    limits,
    pb::{self, Code},
};
use tokio::sync::{Notify, Semaphore, watch};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    caller::{connections::Connections, directory::Directory, life::Lives},
    clock,
    config::Config,
    fleet::{hub::Hub, registry::Registry},
    meters::CoreMeters,
    rate::{Pace, PerHour, PerMinute},
    room::Room,
    sign_in::SignIn,
    store::Store,
};

/// The version that this program tells.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

/// Everything that outlives a call or a link.
#[derive(Debug)]
pub struct Shared {
    /// What is kept on the disk.
    pub store: Store,
    /// Signs certificates.
    pub authority: Authority,
    /// The core's own certificate, as its listeners show it.
    pub own: Arc<IdentityCell>,
    /// The folder in which it is kept.
    pub own_folder: PathBuf,
    /// Renewals of it that failed since the last good one.
    pub own_failures: AtomicU32,
    /// How long certificates last.
    certificates: RwLock<Certificates>,
    /// The fleet as it is now.
    pub hub: Arc<Hub>,
    /// The live links.
    pub links: Registry,
    /// The sessions of people and API tokens that have calls running.
    pub lives: Lives,
    /// The connections of members.
    pub connections: Connections,
    /// What everybody was given.
    pub directory: Arc<Directory>,
    /// The ways to sign in that are open.
    pub sign_in: SignIn,
    /// What the audit needs besides the store.
    pub audit: AuditDesk,
    /// How often whom may try what.
    pub rates: Rates,
    /// Places for connections.
    pub doors: Doors,
    /// The folder of the store.
    pub data_dir: PathBuf,
    /// Told when a person has decided on a machine that waits.
    pub decided: Notify,
    /// Told when a link to a session was made or taken back.
    pub shares_changed: Notify,
    /// What is counted.
    pub meters: CoreMeters,
    /// Calls that are passed on now.
    pub calls: Count,
    /// Cancelled when the core begins to stop.
    pub stop: CancellationToken,
    /// Work that must come to its end although its caller went away.
    pub tasks: TaskTracker,
    /// When the core started, milliseconds since 1970.
    pub started_unix_ms: u64,
    /// The same, for measuring.
    pub started: Instant,
    link_port: AtomicU16,
}

/// What the audit needs besides the store.
#[derive(Debug)]
pub struct AuditDesk {
    /// Signs heads.
    pub key: AuditKey,
    /// The folder of the archives.
    pub folder: PathBuf,
    /// After how many days rows are archived; 0: never.
    keep_days: watch::Sender<u32>,
    /// A place for each export and watch.
    pub streams: Arc<Semaphore>,
    /// The place of the one check of the chain.
    pub check: Semaphore,
}

impl AuditDesk {
    /// The desk of a core with these settings.
    #[must_use]
    pub fn new(key: AuditKey, config: &Config) -> Self {
        Self {
            key,
            folder: config.audit_folder(),
            keep_days: watch::Sender::new(config.audit_keep_days),
            streams: Arc::new(Semaphore::new(limits::AUDIT_STREAMS)),
            check: Semaphore::new(1),
        }
    }

    /// After how many days rows are archived, 0: never; told when that changes.
    #[must_use]
    pub fn keep_days(&self) -> watch::Receiver<u32> {
        self.keep_days.subscribe()
    }
}

/// Who asks for a mail. Nobody who is not in uses up what is for those who are, nor
/// one person what is for another: they come through the same edge.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum MailFrom {
    /// Somebody at this address of the network.
    Client(IpAddr),
    /// The person with this id, who is in.
    Person(String),
}

/// Places for connections of the gRPC listener.
#[derive(Debug)]
pub struct Doors {
    /// For those who show no certificate.
    pub anonymous: Room,
    /// For members.
    pub members: Arc<Semaphore>,
    /// For links over TCP and their streams.
    pub links: Room,
}

impl Default for Doors {
    fn default() -> Self {
        Self {
            anonymous: Room::new(limits::CORE_ANONYMOUS, limits::CORE_ANONYMOUS_PER_ADDRESS),
            members: Arc::new(Semaphore::new(limits::CORE_CONNECTIONS)),
            links: Room::new(limits::LINK_TCP_CONNECTIONS, limits::LINK_TCP_CONNECTIONS_PER_ADDRESS),
        }
    }
}

/// The limits on tries, each with its key.
#[derive(Debug)]
pub struct Rates {
    /// Calls of `Enroll`, by address.
    pub enroll_calls: PerMinute<IpAddr>,
    /// New enrollments, by address.
    pub enroll: PerMinute<IpAddr>,
    /// New enrollments, all of them.
    pub enroll_whole: PerMinute<()>,
    /// Wrong sign-ins, by edge.
    pub sign_in: PerMinute<MemberId>,
    /// Passwords, by account and address.
    pub passwords_from: PerMinute<(String, IpAddr)>,
    /// Passwords, by account.
    pub passwords: PerMinute<String>,
    /// Mails, by who asks.
    pub mails_from: PerHour<MailFrom>,
    /// Mails, by the address that they go to and who asks.
    pub mails_to_from: PerHour<(String, MailFrom)>,
    /// Mails, by the address that they go to.
    pub mails_to: PerHour<String>,
    /// Wrong API tokens, by address.
    pub api_tokens: PerMinute<IpAddr>,
    /// Logins that programs begin, by address.
    pub devices: PerMinute<IpAddr>,
    /// Unknown device codes, by address.
    pub devices_unknown: PerMinute<IpAddr>,
    /// Wrong user codes, by person.
    pub user_codes: PerMinute<String>,
    /// Polls of a login, by the hash of its device code.
    pub device_polls: Pace<[u8; 32]>,
    /// Tickets, by person.
    pub tickets: PerMinute<String>,
    /// Wrong links and passphrases, by edge.
    pub shares_wrong: PerMinute<MemberId>,
    /// Passphrases, by link and address.
    pub passphrases_from: PerHour<(String, IpAddr)>,
    /// Passphrases, by link.
    pub passphrases: PerHour<String>,
    /// Renewals, by member.
    pub renew: PerMinute<MemberId>,
    /// Revivals, by member.
    pub revive: PerMinute<MemberId>,
    /// Tries to revive, by address.
    pub revive_from: PerMinute<IpAddr>,
    /// Refusals of unknown callers in the audit, by address.
    pub refusals: PerMinute<IpAddr>,
    /// Alarms about an identity that is in use twice, by gateway.
    pub duplicates: PerMinute<GatewayId>,
}

/// Lives of certificates.
#[derive(Clone, Copy, Debug)]
pub struct Certificates {
    /// Of gateways.
    pub gateway: Duration,
    /// Of edges.
    pub edge: Duration,
    /// Of administrators.
    pub admin: Duration,
    /// The core's own.
    pub core: Duration,
    /// Of intermediates.
    pub intermediate: Duration,
}

impl Certificates {
    /// The life of a certificate with this name.
    #[must_use]
    pub const fn of(&self, member: &MemberName) -> Duration {
        match member {
            MemberName::Gateway(_) => self.gateway,
            MemberName::Edge(_) => self.edge,
            MemberName::Admin(_) => self.admin,
            MemberName::Core(_) => self.core,
        }
    }
}

impl From<&Config> for Certificates {
    fn from(config: &Config) -> Self {
        Self {
            gateway: Duration::from_secs(config.gateway_certificate_s),
            edge: Duration::from_secs(config.edge_certificate_s),
            admin: Duration::from_secs(config.admin_certificate_s),
            core: Duration::from_secs(config.core_certificate_s),
            intermediate: Duration::from_secs(config.intermediate_s),
        }
    }
}

/// What a core opens at its start and shares from then on.
#[derive(Debug)]
pub struct Parts {
    /// What is kept.
    pub store: Store,
    /// What is signed with.
    pub authority: Authority,
    /// The core's own certificate.
    pub own: Arc<IdentityCell>,
    /// What is known of gateways and sessions.
    pub hub: Hub,
    /// What everybody was given.
    pub directory: Directory,
    /// The ways to sign in that are open.
    pub sign_in: SignIn,
    /// What heads of the audit are signed with.
    pub audit_key: AuditKey,
}

impl Shared {
    /// Takes over what a reload of the settings can (`check` lists it).
    pub fn reload(&self, config: &Config) {
        let most_calls = limits::ENROLL_CALLS_PER_MINUTE.max(config.enroll_per_minute);
        self.rates.enroll_calls.set(most_calls);
        self.rates.enroll.set(config.enroll_per_minute);
        self.rates.enroll_whole.set(config.enroll_whole_per_minute);
        *self.certificates.write().unwrap_or_else(PoisonError::into_inner) = Certificates::from(config);
        self.audit.keep_days.send_replace(config.audit_keep_days);
    }

    /// How long certificates last that are issued now.
    #[must_use]
    pub fn certificates(&self) -> Certificates {
        *self.certificates.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Brings the parts together as the settings say.
    #[must_use]
    pub fn new(config: &Config, parts: Parts) -> Self {
        let Parts { store, authority, own, hub, directory, sign_in, audit_key } = parts;
        Self {
            audit: AuditDesk::new(audit_key, config),
            connections: Connections::default(),
            store,
            authority,
            own,
            own_folder: config.own_folder(),
            own_failures: AtomicU32::new(0),
            certificates: RwLock::new(Certificates::from(config)),
            hub: Arc::new(hub),
            links: Registry::default(),
            lives: Lives::default(),
            directory: Arc::new(directory),
            sign_in,
            rates: Rates {
                enroll_calls: PerMinute::new(
                    "calls from this address",
                    limits::ENROLL_CALLS_PER_MINUTE.max(config.enroll_per_minute),
                ),
                enroll: PerMinute::new("enrollments from this address", config.enroll_per_minute),
                enroll_whole: PerMinute::new("enrollments", config.enroll_whole_per_minute),
                sign_in: PerMinute::new("wrong sign-ins through this edge", limits::SIGN_IN_PER_MINUTE),
                passwords_from: PerMinute::new(
                    "passwords for this account from this address",
                    limits::PASSWORD_PER_ADDRESS_PER_MINUTE,
                ),
                passwords: PerMinute::new(
                    "passwords for this account",
                    limits::PASSWORD_PER_ACCOUNT_PER_MINUTE,
                ),
                mails_from: PerHour::new("mails asked for by you", limits::MAILS_PER_CLIENT),
                mails_to_from: PerHour::new(
                    "mails to this address asked for by you",
                    limits::MAILS_PER_ADDRESS,
                ),
                mails_to: PerHour::new("mails to this address", limits::MAILS_TO_ADDRESS),
                api_tokens: PerMinute::new(
                    "wrong API tokens from this address",
                    limits::API_TOKENS_WRONG_PER_MINUTE,
                ),
                devices: PerMinute::new("logins begun from this address", limits::DEVICES_PER_MINUTE),
                devices_unknown: PerMinute::new(
                    "unknown device codes from this address",
                    limits::DEVICES_UNKNOWN_PER_MINUTE,
                ),
                user_codes: PerMinute::new("wrong codes of yours", limits::USER_CODES_WRONG_PER_MINUTE),
                device_polls: Pace::new(
                    limits::DEVICE_POLL,
                    limits::DEVICE_SLOW_DOWN,
                    limits::DEVICE_POLL_LONGEST,
                    limits::DEVICE_POLL_EARLY,
                ),
                tickets: PerMinute::new("tickets", limits::TICKETS_PER_MINUTE),
                shares_wrong: PerMinute::new("wrong links through this edge", limits::SHARE_WRONG_PER_MINUTE),
                passphrases_from: PerHour::new(
                    "passphrases for this link from this address",
                    limits::SHARE_PASSPHRASES_PER_ADDRESS,
                ),
                passphrases: PerHour::new("passphrases for this link", limits::SHARE_PASSPHRASES_PER_LINK),
                renew: PerMinute::new("renewals of this certificate", limits::RENEWALS_PER_MINUTE),
                revive: PerMinute::new("revivals of this machine", limits::REVIVALS_PER_MINUTE),
                revive_from: PerMinute::new("revivals from this address", limits::REVIVALS_PER_ADDRESS),
                refusals: PerMinute::new("refusals", limits::REFUSALS_AUDITED_PER_MINUTE),
                duplicates: PerMinute::new("alarms", limits::DUPLICATE_ALARMS_PER_MINUTE),
            },
            doors: Doors::default(),
            data_dir: config.data_dir.clone(),
            decided: Notify::new(),
            shares_changed: Notify::new(),
            meters: CoreMeters::default(),
            calls: Count::default(),
            stop: CancellationToken::new(),
            tasks: TaskTracker::new(),
            started_unix_ms: clock::unix_ms(),
            started: Instant::now(),
            link_port: AtomicU16::new(0),
        }
    }

    /// Names the installation: 8 lower-case hex digits.
    #[must_use]
    pub fn installation(&self) -> &str {
        self.authority.trust_domain().installation()
    }

    /// The port of the links, once they are bound.
    #[must_use]
    pub fn link_port(&self) -> u16 {
        self.link_port.load(Ordering::Relaxed)
    }

    /// Notes the port of the links.
    pub fn set_link_port(&self, port: u16) {
        self.link_port.store(port, Ordering::Relaxed);
    }

    /// Microseconds of the core's monotonic clock.
    #[must_use]
    pub fn monotonic_us(&self) -> u64 {
        clock::micros(self.started.elapsed())
    }

    /// Shows people how the certificate of a gateway stands by now. What cannot be
    /// read stays as it was shown.
    pub async fn show_certificate(&self, gateway: GatewayId) {
        let certificate = match self.store.certificate(gateway).await {
            Ok(certificate) => Some(certificate),
            Err(error) => {
                let error = &error as &dyn std::error::Error;
                return tracing::error!(error, %gateway, "how a certificate stands cannot be read");
            }
        };
        self.hub.change_gateway(gateway, |known| {
            let is_news = known.certificate != certificate;
            known.certificate = certificate;
            is_news
        });
    }

    /// The core's word that the audit goes as far as this row, as of now.
    ///
    /// # Errors
    /// `INTERNAL` when the library cannot sign.
    pub fn sign_head(&self, number: u64, hash: &[u8]) -> Result<pb::AuditHead, Refusal> {
        head::sign(&self.audit.key, self.installation(), (number, hash), clock::unix_ms())
            .map_err(|error| Refusal::new(Code::Internal, error.to_string()))
    }
}

/// Names a call in the logs and audits of all hops.
#[must_use]
pub fn request_id() -> String {
    chatcode_certs::random::bytes::<16>().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Counts what is going on now.
#[derive(Clone, Debug, Default)]
pub struct Count(Arc<AtomicU32>);

/// One that is counted, until it is dropped.
#[derive(Debug)]
pub struct Counted(Arc<AtomicU32>);

impl Count {
    /// Counts one more.
    #[must_use]
    pub fn one(&self) -> Counted {
        self.0.fetch_add(1, Ordering::Relaxed);
        Counted(Arc::clone(&self.0))
    }

    /// How many there are.
    #[must_use]
    pub fn now(&self) -> u32 {
        self.0.load(Ordering::Relaxed)
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}
