//! Core, edge and gateway as real processes, enrolled by the same path as
//! anybody's.

use std::{
    path::PathBuf,
    sync::Arc,
    time::{SystemTime, UNIX_EPOCH},
};

use anyhow::Context as _;
use chatcode_certs::{Identity, JoinToken, Renewal};
use chatcode_link::renew;
use chatcode_proto::pb::{
    self, accounts_client::AccountsClient, audit_client::AuditClient, fleet_client::FleetClient,
    sessions_client::SessionsClient,
};
use tempfile::TempDir;
use tonic::transport::Channel;

use crate::{
    eventually,
    page::Page,
    proc::{self, Proc},
};

/// Every role serves its metrics, at a port that its ready line tells.
const METRICS: [&str; 2] = ["--metrics", "127.0.0.1:0"];

/// One installation in a folder of its own; all of it ends when dropped.
#[derive(Debug)]
pub struct Mesh {
    /// The core.
    pub core: Proc,
    core_args: Vec<String>,
    more: Vec<String>,
    /// The edge.
    pub edge: Proc,
    /// The gateway.
    pub gateway: Proc,
    /// An administrator's identity.
    pub admin: Arc<Identity>,
    grpc: String,
    link: String,
    /// Where the edge finds the core, and the gateway the links.
    edge_core: String,
    gateway_link: String,
    listen: String,
    folder: TempDir,
}

impl Mesh {
    /// Starts all roles and waits until the gateway's link is live.
    ///
    /// # Errors
    /// When one of them does not come up; the error holds its log.
    pub async fn start() -> anyhow::Result<Self> {
        Self::start_with(&[]).await
    }

    /// The same, and all roles send traces to the collector at `otlp`.
    ///
    /// # Errors
    /// As [`Self::start`].
    pub async fn start_traced(otlp: &str) -> anyhow::Result<Self> {
        Self::start_all("127.0.0.1:0", &[], &["--otlp", otlp]).await
    }

    /// The same, with more arguments for the core.
    ///
    /// # Errors
    /// As [`Self::start`].
    pub async fn start_with(core_args: &[&str]) -> anyhow::Result<Self> {
        Self::start_all("127.0.0.1:0", core_args, &[]).await
    }

    /// The same, with the core's links at this UDP address (port 0: any).
    ///
    /// # Errors
    /// As [`Self::start`].
    pub async fn start_at(link: &str, core_args: &[&str]) -> anyhow::Result<Self> {
        Self::start_all(link, core_args, &[]).await
    }

    async fn start_all(link: &str, core_args: &[&str], more: &[&str]) -> anyhow::Result<Self> {
        chatcode_certs::tls::install_provider();
        let folder = tempfile::Builder::new().prefix("cc").tempdir()?;
        let more: Vec<String> = METRICS.iter().chain(more).map(|&arg| arg.to_owned()).collect();
        let core_args: Vec<String> =
            core_args.iter().map(|&arg| arg.to_owned()).chain(more.iter().cloned()).collect();
        let core = start_core(&folder, "127.0.0.1:0", link, &core_args).await?;
        let (grpc, link) = (core.word("grpc")?, core.word("link")?);
        for role in ["edge", "gateway"] {
            let token = bootstrap_token(&folder, role).await?;
            let data = data_dir(&folder, role);
            let args = ["enroll", "--data-dir", &data, "--core", &grpc];
            proc::run(&format!("chatcode-{role}"), &args, &token).await?;
        }
        let token: JoinToken = bootstrap_token(&folder, "admin").await?.trim().parse()?;
        let (admin, _) = chatcode_link::enroll::enroll(&grpc, &token, "test", None).await?;
        let edge = start_edge(&folder, &grpc, "127.0.0.1:0", &more).await?;
        let listen = edge.word("listen")?;
        let gateway = start_gateway(&folder, &link, &more).await?;
        let (edge_core, gateway_link) = (grpc.clone(), link.clone());
        let admin = Arc::new(admin);
        Ok(Self {
            core,
            core_args,
            more,
            edge,
            gateway,
            admin,
            grpc,
            link,
            edge_core,
            gateway_link,
            listen,
            folder,
        })
    }

    /// The address of the core's gRPC listener.
    #[must_use]
    pub fn grpc_address(&self) -> &str {
        &self.grpc
    }

    /// The address of the core's links (UDP).
    #[must_use]
    pub fn link_address(&self) -> &str {
        &self.link
    }

    /// The address of the edge's listener.
    #[must_use]
    pub fn edge_address(&self) -> &str {
        &self.listen
    }

    /// The folder of a role's files.
    #[must_use]
    pub fn data_dir(&self, role: &str) -> PathBuf {
        self.folder.path().join(role)
    }

    /// A folder for the test's own files.
    #[must_use]
    pub fn folder(&self) -> &std::path::Path {
        self.folder.path()
    }

    /// What a role answers at `path` of its address for metrics: the status and the text.
    ///
    /// # Errors
    /// When it does not answer.
    pub async fn observe(&self, role: &Proc, path: &str) -> anyhow::Result<(u16, String)> {
        let address = role.word("metrics")?;
        let request = http::Request::get(path).header("host", &address).body(bytes::Bytes::new())?;
        let response = crate::http::send(&address, request).await?;
        Ok((response.status().as_u16(), String::from_utf8(response.body().to_vec())?))
    }

    /// The id of the gateway.
    ///
    /// # Errors
    /// When its ready line did not tell.
    pub fn gateway_id(&self) -> anyhow::Result<String> {
        self.gateway.word("gateway")
    }

    /// A channel to the core with the administrator's certificate.
    ///
    /// # Errors
    /// When the TLS configuration cannot be made.
    pub fn channel(&self) -> anyhow::Result<Channel> {
        let tls = chatcode_certs::tls::core_client(&self.admin, &[b"h2"])?;
        Ok(chatcode_link::tcp::channel(&self.grpc, tls, &self.admin.trust_domain().core_dns()))
    }

    /// Keeps the administrator's certificate and trust young, as the command line
    /// does when it is used.
    ///
    /// # Errors
    /// When the core refuses.
    pub async fn renew_admin(&mut self) -> anyhow::Result<()> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_millis();
        let mut renewal = Renewal::of(&self.admin.validity_unix_s(), 0.0);
        let fresh = if renewal.is_due(u64::try_from(now)?) {
            Some(renew::renew(&self.grpc, &self.admin, None).await?)
        } else {
            renew::follow(&self.grpc, &self.admin).await?
        };
        if let Some(fresh) = fresh {
            self.admin = Arc::new(fresh);
        }
        Ok(())
    }

    /// A one-time URL that signs the owner in.
    ///
    /// # Errors
    /// When the core refuses.
    pub async fn login_url(&self) -> anyhow::Result<String> {
        let mut accounts = AccountsClient::new(self.channel()?);
        let secret =
            accounts.create_sign_in(pb::AccountsCreateSignInRequest::default()).await?.into_inner().secret;
        Ok(format!("{}/#login={secret}", self.edge.word("origin")?))
    }

    /// A page that is signed in as the owner.
    ///
    /// # Errors
    /// When sign-in fails.
    pub async fn page(&self) -> anyhow::Result<Page> {
        Page::sign_in(&self.login_url().await?, &self.listen).await
    }

    /// The fleet as the administrator sees it.
    ///
    /// # Errors
    /// When the TLS configuration cannot be made.
    pub fn fleet(&self) -> anyhow::Result<FleetClient<Channel>> {
        Ok(FleetClient::new(self.channel()?))
    }

    /// The sessions of the gateway as the administrator reaches them; requests
    /// still need their target.
    ///
    /// # Errors
    /// When the TLS configuration cannot be made.
    pub fn sessions(&self) -> anyhow::Result<SessionsClient<Channel>> {
        Ok(SessionsClient::new(self.channel()?))
    }

    /// Waits until the core says that the gateway's link is live.
    ///
    /// # Errors
    /// When it does not come.
    pub async fn gateway_online(&self) -> anyhow::Result<()> {
        let mut fleet = self.fleet()?;
        let id = self.gateway_id()?;
        eventually("the gateway's link", async || {
            let Ok(list) = fleet.list(pb::FleetListRequest::default()).await else { return Ok(None) };
            let online = list
                .into_inner()
                .gateways
                .into_iter()
                .any(|gateway| gateway.id == id && gateway.link_state() == pb::LinkState::Online);
            Ok(online.then_some(()))
        })
        .await
    }

    /// The newest rows of the audit, newest first.
    ///
    /// # Errors
    /// When the core refuses.
    pub async fn audit(&self) -> anyhow::Result<Vec<pb::AuditRow>> {
        let mut audit = AuditClient::new(self.channel()?);
        Ok(audit.list(pb::AuditListRequest::default()).await?.into_inner().rows)
    }

    /// The identity of the gateway as it is on the disk.
    ///
    /// # Errors
    /// When there is none.
    pub fn gateway_identity(&self) -> anyhow::Result<Identity> {
        Identity::load(&self.data_dir("gateway").join("identity"))?.context("the gateway has an identity")
    }

    /// `kill -9` of the core, and a new one on the same ports.
    ///
    /// # Errors
    /// When the new one does not come up.
    pub async fn replace_core(&mut self) -> anyhow::Result<()> {
        self.core.kill().await?;
        self.start_core_again().await
    }

    /// A new core on the same ports, after the old one was killed.
    ///
    /// # Errors
    /// When it does not come up.
    pub async fn start_core_again(&mut self) -> anyhow::Result<()> {
        self.core = start_core(&self.folder, &self.grpc, &self.link, &self.core_args).await?;
        Ok(())
    }

    /// `kill -9` of the edge, and a new one on the same port.
    ///
    /// # Errors
    /// When the new one does not come up.
    pub async fn replace_edge(&mut self) -> anyhow::Result<()> {
        self.edge.kill().await?;
        self.edge = start_edge(&self.folder, &self.edge_core, &self.listen, &self.more).await?;
        Ok(())
    }

    /// Points the edge at another address of the core (a forwarder) and
    /// restarts it on its port.
    ///
    /// # Errors
    /// When the new one does not come up.
    pub async fn edge_through(&mut self, core: &str) -> anyhow::Result<()> {
        core.clone_into(&mut self.edge_core);
        self.replace_edge().await
    }

    /// `kill -9` of the gateway's daemon, and a new one.
    ///
    /// # Errors
    /// When the new one does not come up.
    pub async fn replace_gateway(&mut self) -> anyhow::Result<()> {
        self.gateway.kill().await?;
        self.gateway = start_gateway(&self.folder, &self.gateway_link, &self.more).await?;
        Ok(())
    }

    /// Points the gateway's link at another address (a forwarder) and restarts
    /// the daemon.
    ///
    /// # Errors
    /// When the new one does not come up.
    pub async fn gateway_through(&mut self, link: &str) -> anyhow::Result<()> {
        link.clone_into(&mut self.gateway_link);
        self.replace_gateway().await
    }
}

impl Drop for Mesh {
    /// Ends the holders too: they outlive the daemon by design.
    fn drop(&mut self) {
        let sessions = self.data_dir("gateway").join("sessions");
        for entry in std::fs::read_dir(sessions).into_iter().flatten().flatten() {
            end_holder(&entry.path());
        }
    }
}

/// Sends SIGKILL to the process group leader that the session's record names.
fn end_holder(session: &std::path::Path) {
    use prost::Message as _;
    let Ok(bytes) = std::fs::read(session.join("record.pb")) else { return };
    let Ok(record) = pb::HolderRecord::decode(bytes.as_slice()) else { return };
    // The number may belong to another process by now.
    let name = std::fs::read_to_string(format!("/proc/{}/comm", record.pid)).unwrap_or_default();
    let pid = i32::try_from(record.pid).ok().and_then(rustix::process::Pid::from_raw);
    if let (true, Some(pid)) = (name.starts_with("chatcode-holde"), pid) {
        let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
    }
}

fn data_dir(folder: &TempDir, role: &str) -> String {
    folder.path().join(role).to_string_lossy().into_owned()
}

async fn bootstrap_token(folder: &TempDir, kind: &str) -> anyhow::Result<String> {
    let data = data_dir(folder, "core");
    let args = ["token", "--data-dir", &data, "--kind", kind];
    proc::run("chatcode-core", &args, "").await.with_context(|| format!("a join token for {kind}"))
}

async fn start_core(folder: &TempDir, grpc: &str, link: &str, more: &[String]) -> anyhow::Result<Proc> {
    let (data, log) = (data_dir(folder, "core"), folder.path().join("core.log"));
    // All of a test's machines come from one address; a bench has thousands.
    let settings = folder.path().join("core.toml");
    let lines = "enroll_per_minute = 100000\nenroll_whole_per_minute = 100000\nshort_lives = true\n";
    std::fs::write(&settings, lines)?;
    let settings = settings.to_string_lossy();
    let mut args = vec!["run", "--config", &settings, "--data-dir", &data, "--listen", grpc, "--link", link];
    args.push("--exit-with-stdin");
    args.extend(more.iter().map(String::as_str));
    Proc::start("chatcode-core", &args, &log).await
}

async fn start_edge(folder: &TempDir, core: &str, listen: &str, more: &[String]) -> anyhow::Result<Proc> {
    let (data, log) = (data_dir(folder, "edge"), folder.path().join("edge.log"));
    let mut args = vec!["run", "--data-dir", &data, "--core", core, "--listen", listen, "--exit-with-stdin"];
    args.extend(more.iter().map(String::as_str));
    Proc::start("chatcode-edge", &args, &log).await
}

async fn start_gateway(folder: &TempDir, link: &str, more: &[String]) -> anyhow::Result<Proc> {
    let (data, log) = (data_dir(folder, "gateway"), folder.path().join("gateway.log"));
    let mut args = vec!["run", "--data-dir", &data, "--link", link, "--exit-with-stdin"];
    args.extend(more.iter().map(String::as_str));
    Proc::start("chatcode-gateway", &args, &log).await
}
