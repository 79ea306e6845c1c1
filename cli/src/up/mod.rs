//! `chatcode up`: core, edge and gateway on this machine, each a process of its
//! own, enrolled, watched and started again; and one URL.

mod enroll;
mod lock;
mod log_file;
pub(crate) mod open;
mod ports;
mod role;
mod watch;

use std::{
    ffi::OsString,
    net::SocketAddr,
    path::{Path, PathBuf},
};

use anyhow::Context as _;
use chatcode_certs::files;
use chatcode_process::exit::{self, Exit};
use chatcode_proto::{limits, pb::AccountsCreateSignInRequest};
use serde::{Deserialize, Serialize};

use self::{
    lock::Lock,
    ports::{ANY, PAGE, Taken, beyond, choose, from_here, try_tcp, try_udp},
    role::{Role, Spec},
    watch::Watched,
};
use crate::{addresses::Addresses, client::Client, home::typed, login_url, print};

/// Start everything on this machine and print one URL for the browser.
#[derive(Debug, clap::Args)]
pub(crate) struct Up {
    /// Where the page is served; port 0: any. Usually 127.0.0.1:7420.
    #[arg(long, value_name = "HOST:PORT")]
    listen: Option<SocketAddr>,
    /// Where the core serves edges, programs and enrollment (TCP); port 0: any.
    #[arg(long, value_name = "HOST:PORT")]
    core_listen: Option<SocketAddr>,
    /// Where links of gateways come in (UDP); port 0: any.
    #[arg(long, value_name = "HOST:PORT")]
    link_listen: Option<SocketAddr>,
    /// What new machines install: a release, or a folder with `stable` in it
    /// (`just release` makes one). The page then gives the line for them.
    #[arg(long, value_name = "FOLDER")]
    release_dir: Option<PathBuf>,
    /// Print one line of JSON when all is ready.
    #[arg(long)]
    json: bool,
    /// Open the URL in the browser.
    #[arg(long)]
    open: bool,
    /// Show the logs of all programs on standard error too.
    #[arg(long)]
    verbose: bool,
    /// Stop when standard input ends.
    #[arg(long)]
    exit_with_stdin: bool,
}

/// Where the files and programs of this installation are.
#[derive(Clone, Debug)]
pub(crate) struct Places {
    data_dir: PathBuf,
    programs: PathBuf,
}

impl Places {
    /// The programs beside this one, and all data below `data_dir`.
    fn new(data_dir: &Path) -> anyhow::Result<Self> {
        let own = std::env::current_exe().context("where this program is")?;
        let programs = own.parent().map_or_else(PathBuf::new, Path::to_owned);
        for role in ["core", "edge", "gateway", "holder"] {
            let program = programs.join(format!("chatcode-{role}"));
            anyhow::ensure!(
                program.is_file(),
                "{} is not there; all programs of chatcode belong into one folder (`./justw up` builds them)",
                program.display()
            );
        }
        Ok(Self { data_dir: std::path::absolute(data_dir)?, programs })
    }

    fn data(&self, part: &str) -> PathBuf {
        self.data_dir.join(part)
    }

    fn program(&self, role: &str) -> PathBuf {
        self.programs.join(format!("chatcode-{role}"))
    }

    fn spec(&self, role: &'static str, verbose: bool, arguments: &[(&str, OsString)]) -> Spec {
        let mut all: Vec<OsString> = vec!["run".into(), "--data-dir".into(), self.data(role).into()];
        all.extend(arguments.iter().flat_map(|(flag, value)| [OsString::from(flag), value.clone()]));
        all.push("--exit-with-stdin".into());
        let log = self.data("up").join(format!("{role}.log"));
        Spec { role, program: self.program(role), arguments: all, log, verbose }
    }
}

/// What the programs say when they are ready.
#[derive(Debug, Deserialize)]
struct CoreReady {
    grpc: SocketAddr,
    link: SocketAddr,
    installation: String,
}
#[derive(Debug, Deserialize)]
struct EdgeReady {
    origin: String,
    listen: SocketAddr,
}
#[derive(Debug, Deserialize)]
struct GatewayReady {
    gateway: String,
}

/// The line of `--json`.
#[derive(Debug, Serialize)]
struct UpReady<'a> {
    url: &'a str,
    origin: &'a str,
    core: SocketAddr,
    link: SocketAddr,
    gateway: &'a str,
    data_dir: &'a Path,
}

/// All programs, ready, with what they said and how to start them again.
struct Started {
    programs: Vec<Watched>,
    core: SocketAddr,
    link: SocketAddr,
    addresses: Addresses,
    client: Client,
}

impl Up {
    /// Runs until it is told to stop.
    ///
    /// # Errors
    /// When a program does not come up the first time, or another `up` has the
    /// data folder.
    pub(crate) async fn run(self, data_dir: &Path) -> anyhow::Result<()> {
        let stop = chatcode_process::shutdown(self.exit_with_stdin);
        let places = Places::new(data_dir)?;
        make_data_dir(&places.data_dir).context(Exit(exit::CONFIG))?;
        let up_dir = places.data("up");
        files::private_dir(&up_dir)?;
        let _lock = Lock::take(&places.data_dir).context(Exit(exit::TEMPFAIL))?;
        let started = tokio::select! {
            started = self.start(&places) => started?,
            // What was started ends as it is dropped.
            () = stop.cancelled() => return Ok(()),
        };
        let programs = watch::keep(started.programs, stop.clone());
        let page = match self
            .announce(&places, &started.addresses, &started.client, started.core, started.link)
            .await
        {
            Ok(page) => page,
            Err(error) => {
                stop.cancel();
                programs.ended().await;
                return Err(error);
            }
        };
        programs.ended().await;
        drop(page);
        Ok(())
    }

    /// Starts the core, enrolls what is not enrolled, starts edge and gateway.
    async fn start(&self, places: &Places) -> anyhow::Result<Started> {
        let up_dir = places.data("up");
        let last = Addresses::load(&up_dir);
        let refused = |taken: Taken| exit::with(Exit::of_listening(&taken.source), taken);
        let listen = choose(self.listen, last.listen, PAGE, try_tcp).map_err(refused)?;
        let grpc = choose(self.core_listen, last.core, ANY, try_tcp).map_err(refused)?;
        let links = choose(self.link_listen, last.link, ANY, try_udp).map_err(refused)?;

        let core_spec = |grpc: SocketAddr, link: SocketAddr| {
            let arguments = [("--listen", grpc.to_string().into()), ("--link", link.to_string().into())];
            places.spec("core", self.verbose, &arguments)
        };
        let (core, said) = core_spec(grpc, links).come_up::<CoreReady>().await?;
        let (grpc, link) = (from_here(said.grpc).to_string(), from_here(said.link).to_string());

        // Tokens are made beside the running core, one program at a time; the
        // enrollments themselves do not wait for each other.
        let (edge, gateway, admin) = tokio::join!(
            enroll::program(places, "edge", &grpc, &said.installation),
            enroll::program(places, "gateway", &grpc, &said.installation),
            enroll::admin(places, &grpc, &link, &said.installation),
        );
        edge?;
        gateway?;
        let client = Client::new(&admin?, &grpc)?;

        let release = self.release_dir.as_deref().map(std::path::absolute).transpose()?;
        let edge_spec = |listen: SocketAddr| {
            let mut arguments =
                vec![("--core", grpc.clone().into()), ("--listen", listen.to_string().into())];
            arguments.extend(release.iter().map(|folder| ("--release-dir", folder.clone().into_os_string())));
            places.spec("edge", self.verbose, &arguments)
        };
        let gateway_spec = places.spec("gateway", self.verbose, &[("--link", link.clone().into())]);
        let first_edge = edge_spec(listen);
        let (edge, gateway) =
            tokio::join!(first_edge.come_up::<EdgeReady>(), gateway_spec.come_up::<GatewayReady>());
        let ((edge, edge_said), (gateway, gateway_said)) = (edge?, gateway?);

        let addresses = Addresses {
            core: Some(said.grpc),
            link: Some(said.link),
            listen: Some(edge_said.listen),
            origin: Some(edge_said.origin),
            gateway: Some(gateway_said.gateway),
        };
        addresses.save(&up_dir)?;
        // A program that is started again takes the ports that it had.
        let watched = |role: Role, again: Spec| Watched { role, again };
        let programs = vec![
            watched(core, core_spec(said.grpc, said.link)),
            watched(edge, edge_spec(edge_said.listen)),
            watched(gateway, gateway_spec),
        ];
        Ok(Started { programs, core: said.grpc, link: said.link, addresses, client })
    }

    /// Prints the URL; the guard removes what opening it left on disk.
    async fn announce(
        &self,
        places: &Places,
        addresses: &Addresses,
        client: &Client,
        core: SocketAddr,
        link: SocketAddr,
    ) -> anyhow::Result<Option<open::Page>> {
        let origin = addresses.origin.as_deref().unwrap_or_default();
        let url = login_url::create(client, origin, AccountsCreateSignInRequest::default()).await?;
        if let Some(words) = beyond(core, link, &places.data_dir) {
            print::say(&words);
        }
        if self.json {
            let gateway = addresses.gateway.as_deref().unwrap_or_default();
            let data_dir = &places.data_dir;
            let ready = UpReady { url: &url, origin, core, link, gateway, data_dir };
            print::unless_left(print::json(&ready))?;
        } else {
            let minutes = limits::SIGN_IN.as_secs() / 60;
            let (url, again) = (url.as_str(), typed("login-url", &places.data_dir));
            print::unless_left(print::answer(&format!(
                "\n  {url}\n\nOpen it in a browser: it works once, for {minutes} minutes; `{again}` prints another.\n\
                 Ctrl-C ends chatcode; sessions go on, and the next `up` finds them.\n"
            )))?;
        }
        if self.open { open::Page::show(&places.data("up"), &url).map(Some) } else { Ok(None) }
    }
}

/// Makes the data folder. One that is there may be read by others, since every
/// part of it is private, but not written: its parts could be exchanged.
fn make_data_dir(path: &Path) -> anyhow::Result<()> {
    use std::os::unix::fs::PermissionsExt as _;

    let Ok(found) = std::fs::metadata(path) else { return Ok(files::private_dir(path)?) };
    let (shown, mode) = (path.display(), found.permissions().mode());
    anyhow::ensure!(found.is_dir(), "{shown} is not a folder; name another with --data-dir");
    anyhow::ensure!(
        mode & 0o022 == 0,
        "others may write to {shown}; make it private with: chmod 700 {shown}"
    );
    Ok(())
}
