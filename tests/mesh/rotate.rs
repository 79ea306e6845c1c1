//! Certificates of every kind come and go under a live terminal: leaves,
//! intermediates, roots.
//!
//! No stall is longer than 100 ms; where other work has a share in the machine three
//! times that, and what the machine itself held a thread up.
//!
//! `CHATCODE_ROTATION=20` plays the first of them with leaves of a minute and
//! intermediates of five, for at least so many minutes.

use std::{
    collections::HashSet,
    fs,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use anyhow::{Context as _, ensure};
use chatcode_certs::{Identity, tls};
use chatcode_harness::{
    Mesh, Page, Terminal, bounds_are_exact, eventually,
    page::Target,
    proc::{self, Proc},
    terminal::numbers,
    within,
};
use chatcode_link::LinkDialer;
use chatcode_proto::pb::{
    self, AdminCaRotateRequest, AdminCaStatusRequest, AdminCaStatusResponse, CaPart, CaStep, CaUse,
    admin_client::AdminClient,
};

const SHORT: &[&str] = &[
    "--gateway-certificate=8s",
    "--edge-certificate=8s",
    "--admin-certificate=12s",
    "--core-certificate=8s",
    "--intermediate=24s",
];
const FULL: &[&str] = &[
    "--gateway-certificate=60s",
    "--edge-certificate=60s",
    "--admin-certificate=60s",
    "--core-certificate=60s",
    "--intermediate=5m",
];

/// The longest time without a line, of which one comes every 20 ms.
const STALL: Duration = Duration::from_millis(100);

/// What a shell that numbers its lines has said, and the longest time between two
/// of them.
#[derive(Default)]
struct Heard {
    text: String,
    last: Option<Instant>,
    stall: Duration,
    /// The longest that this machine let a thread wait that wanted to run: a stall
    /// as long as that is the machine's.
    late: Arc<AtomicU64>,
}

/// Measures, until it is dropped elsewhere, how late a thread wakes up; in
/// milliseconds.
fn lateness() -> Arc<AtomicU64> {
    const NAP: Duration = Duration::from_millis(20);
    let late = Arc::new(AtomicU64::new(0));
    let mine = Arc::clone(&late);
    std::thread::spawn(move || {
        while Arc::strong_count(&mine) > 1 {
            let begun = Instant::now();
            std::thread::sleep(NAP);
            let over = begun.elapsed().saturating_sub(NAP).as_millis();
            mine.fetch_max(u64::try_from(over).unwrap_or(u64::MAX), Ordering::Relaxed);
        }
    });
    late
}

/// A terminal whose shell prints a number every 20 ms, and what it prints.
async fn counting(page: &Page, gateway: &str) -> anyhow::Result<(Terminal, Arc<Mutex<Heard>>)> {
    let mut terminal = Terminal::start(page, gateway, &[]).await?;
    terminal.enter("stty -echo; PS1=\n")?;
    terminal.enter("i=0; while :; do i=$((i+1)); echo $i; sleep 0.02; done\n")?;
    terminal.sees("\n50\r\n").await?;
    let heard = Arc::new(Mutex::new(Heard { text: terminal.text(), late: lateness(), ..Heard::default() }));
    let ear = Arc::clone(&heard);
    terminal.pour_into(move |bytes| {
        let (mut heard, now) = (ear.lock().unwrap_or_else(PoisonError::into_inner), Instant::now());
        heard.text.push_str(&String::from_utf8_lossy(bytes));
        let gap = heard.last.replace(now).map_or(Duration::ZERO, |last| now - last);
        heard.stall = heard.stall.max(gap);
    });
    Ok((terminal, heard))
}

/// Lets the terminal go on while something else is done.
async fn beside<T>(
    terminal: &mut Terminal,
    work: impl Future<Output = anyhow::Result<T>>,
) -> anyhow::Result<T> {
    tokio::pin!(work);
    loop {
        tokio::select! {
            done = &mut work => return done,
            rest = terminal.rest(Duration::from_millis(50)) => rest?,
        }
    }
}

/// Nothing was lost, doubled or attached anew.
#[expect(clippy::print_stdout, reason = "a helper of tests is not seen as a test by the lint")]
fn whole(terminal: &Terminal, heard: &Mutex<Heard>) -> anyhow::Result<usize> {
    let heard = heard.lock().unwrap_or_else(PoisonError::into_inner);
    // The last line may be cut.
    let lines = heard.text.rsplit_once('\n').map_or("", |(lines, _)| lines);
    let seen = numbers(lines);
    ensure!(seen == (1..=seen.len() as u64).collect::<Vec<_>>(), "lines are lost or doubled");
    ensure!(terminal.attachments == 1, "it was attached anew: {}", terminal.last_error);
    ensure!(terminal.skips.is_empty(), "it fell behind: {:?}", terminal.skips);
    println!(
        "{} lines, 20 ms and more from one to the next, at most {} ms; a thread of this test that slept for 20 ms \
         woke up to {} ms late",
        seen.len(),
        heard.stall.as_millis(),
        heard.late.load(Ordering::Relaxed)
    );
    let late = Duration::from_millis(heard.late.load(Ordering::Relaxed));
    let of_the_machine = if bounds_are_exact() { Duration::ZERO } else { late };
    within("the longest stall", heard.stall, STALL + of_the_machine)?;
    Ok(seen.len())
}

async fn ca(mesh: &Mesh) -> anyhow::Result<AdminCaStatusResponse> {
    Ok(AdminClient::new(mesh.channel()?).ca_status(AdminCaStatusRequest {}).await?.into_inner())
}

/// One new handshake of each kind: administrator and core, edge and core, gateway
/// and core.
async fn handshakes(mesh: &Mesh, page: &Page, target: &Target) -> anyhow::Result<AdminCaStatusResponse> {
    let status = ca(mesh).await.context("an administrator meets the core")?;
    let mut viewer = Terminal::new(page, target, pb::Role::Viewer);
    viewer.until("an attachment through a new connection", |viewer| viewer.attachments > 0).await?;
    let gateway = mesh.gateway_identity()?;
    let dialer = LinkDialer::bind()?;
    let tls = tls::core_client(&gateway, &[tls::LINK_ALPN])?;
    let link = dialer.dial(mesh.link_address().parse()?, &gateway.trust_domain().core_dns(), tls).await?;
    // Refused links end at once; one that says nothing more is let be for a while.
    let ended = tokio::time::timeout(Duration::from_millis(100), link.closed()).await;
    ensure!(ended.is_err(), "the core did not take the gateway's certificate: {ended:?}");
    Ok(status)
}

fn active(status: &AdminCaStatusResponse, part: CaPart) -> Option<String> {
    let is_it = |one: &&pb::CaCertificate| one.part() == part && one.r#use() == CaUse::Active;
    status.certificates.iter().find(is_it).map(|one| one.fingerprint.clone())
}

fn edge_identity(mesh: &Mesh) -> anyhow::Result<Identity> {
    Identity::load(&mesh.data_dir("edge").join("identity"))?.context("the edge has an identity")
}

#[tokio::test]
async fn leaves_and_intermediates_come_and_go_and_no_terminal_notices() -> anyhow::Result<()> {
    let minutes: Option<u64> =
        std::env::var("CHATCODE_ROTATION").ok().map(|text| text.parse()).transpose()?;
    let (lives, leaves, generations) = if minutes.is_some() { (FULL, 10, 2) } else { (SHORT, 4, 2) };
    let mut mesh = Mesh::start_with(lives).await?;
    let page = mesh.page().await?;
    let (mut terminal, heard) = counting(&page, &mesh.gateway_id()?).await?;
    let (target, begun) = (terminal.target().clone(), Instant::now());
    let least = Duration::from_secs(60 * minutes.unwrap_or(0));
    let (mut gateways, mut edges, mut intermediates, mut tries) =
        (HashSet::new(), HashSet::new(), HashSet::new(), 0);
    // How often all meet is a schedule: nothing is waited for.
    let mut pace = tokio::time::interval(Duration::from_millis(if minutes.is_some() { 2500 } else { 300 }));
    let run = async {
        while gateways.len() <= leaves
            || edges.len() <= leaves
            || intermediates.len() <= generations
            || begun.elapsed() < least
        {
            ensure!(begun.elapsed() < least + Duration::from_secs(1200), "it does not come to its end");
            mesh.renew_admin().await.context("the administrator renews")?;
            let status = handshakes(&mesh, &page, &target).await?;
            tries += 1;
            gateways.insert(mesh.gateway_identity()?.serial().clone());
            edges.insert(edge_identity(&mesh)?.serial().clone());
            intermediates.extend(active(&status, CaPart::Intermediate));
            pace.tick().await;
        }
        Ok(())
    };
    Box::pin(beside(&mut terminal, run)).await?;
    whole(&terminal, &heard)?;
    println!(
        "{} certificates of the gateway, {} of the edge, {} intermediates; {tries} times three handshakes, none failed",
        gateways.len(),
        edges.len(),
        intermediates.len()
    );
    let ups = mesh.audit().await?.into_iter().filter(|row| row.action == "link.up").count();
    assert!(ups <= 1, "the link never broke");
    Ok(())
}

async fn step(mesh: &Mesh, step: CaStep, force: bool) -> Result<(), tonic::Status> {
    let channel = mesh.channel().map_err(|error| tonic::Status::internal(error.to_string()))?;
    let request = AdminCaRotateRequest { part: CaPart::Root.into(), step: step.into(), force };
    AdminClient::new(channel).ca_rotate(request).await.map(|_| ())
}

/// Another machine, enrolled and then away.
async fn away(mesh: &Mesh) -> anyhow::Result<(Vec<String>, Identity)> {
    let core = mesh.data_dir("core").to_string_lossy().into_owned();
    let data = mesh.data_dir("laptop").to_string_lossy().into_owned();
    let token = proc::run("chatcode-core", &["token", "--data-dir", &core, "--kind", "gateway"], "").await?;
    let enroll = ["enroll", "--data-dir", &data, "--core", mesh.grpc_address(), "--name", "laptop"];
    proc::run("chatcode-gateway", &enroll, &token).await?;
    let identity = Identity::load(&mesh.data_dir("laptop").join("identity"))?.context("an identity")?;
    let run = ["run", "--data-dir", &data, "--link", mesh.link_address(), "--exit-with-stdin"];
    Ok((run.iter().map(|&word| word.to_owned()).collect(), identity))
}

#[tokio::test]
async fn a_root_is_followed_by_the_next_under_a_live_terminal_and_by_a_machine_that_was_away()
-> anyhow::Result<()> {
    let lives = ["--gateway-certificate=6s", "--edge-certificate=6s", "--admin-certificate=10s"];
    let mut mesh = Mesh::start_with(&lives).await?;
    let page = mesh.page().await?;
    let (run_laptop, laptop) = away(&mesh).await?;
    let (mut terminal, heard) = counting(&page, &mesh.gateway_id()?).await?;
    let target = terminal.target().clone();
    let first = active(&ca(&mesh).await?, CaPart::Root).context("a root")?;
    let rotation = async {
        step(&mesh, CaStep::Prepare, false).await?;
        handshakes(&mesh, &page, &target).await?;
        // Refused until edge and administrator follow, and the certificate of the
        // machine that is away has ended.
        eventually("all trust the next root", async || {
            mesh.renew_admin().await?;
            match step(&mesh, CaStep::Activate, false).await {
                Ok(()) => return Ok(Some(())),
                Err(refused) => ensure!(refused.message().contains("do not trust"), "{refused}"),
            }
            Ok(None)
        })
        .await?;
        let status = handshakes(&mesh, &page, &target).await?;
        ensure!(active(&status, CaPart::Root).is_some_and(|now| now != first), "the next root is in use");
        eventually_over(&laptop).await?;
        let args: Vec<&str> = run_laptop.iter().map(String::as_str).collect();
        let mut daemon = Proc::start("chatcode-gateway", &args, &mesh.folder().join("laptop.log")).await?;
        let back = eventually("the machine that was away trusts both roots", async || {
            let now = Identity::load(&mesh.data_dir("laptop").join("identity"))?.context("an identity")?;
            Ok((now.roots().len() == 2).then_some(now))
        })
        .await?;
        ensure!(back.name() == laptop.name(), "it is the same machine");
        daemon.terminate().await?;
        // Certificates of the old root run out by themselves.
        eventually("nothing depends on the old root", async || {
            mesh.renew_admin().await?;
            Ok(ca(&mesh).await?.depending.is_empty().then_some(()))
        })
        .await?;
        // What is left are the tokens of this test's beginning, long used.
        let refused = step(&mesh, CaStep::Retire, false).await.err().context("tokens hold it up")?;
        ensure!(refused.message().contains("join token"), "{refused}");
        step(&mesh, CaStep::Retire, true).await?;
        let status = handshakes(&mesh, &page, &target).await?;
        ensure!(status.certificates.len() == 2, "one root and one intermediate are left");
        eventually("all trust the new root alone", async || {
            mesh.renew_admin().await?;
            let gateway = mesh.gateway_identity()?.roots().len();
            let edge = edge_identity(&mesh)?.roots().len();
            Ok((gateway == 1 && edge == 1).then_some(()))
        })
        .await?;
        handshakes(&mesh, &page, &target).await.map(drop)
    };
    Box::pin(beside(&mut terminal, rotation)).await?;
    whole(&terminal, &heard)?;
    Ok(())
}

async fn eventually_over(identity: &Identity) -> anyhow::Result<()> {
    eventually("the end of the certificate", async || {
        let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs();
        Ok((now > identity.validity_unix_s().end).then_some(()))
    })
    .await
}

#[tokio::test]
async fn an_edge_that_slept_past_its_certificate_comes_back_by_its_durable_key() -> anyhow::Result<()> {
    let mut mesh = Mesh::start_with(&["--edge-certificate=5s"]).await?;
    mesh.edge.kill().await?;
    let ended = edge_identity(&mesh)?;
    eventually_over(&ended).await?;
    mesh.replace_edge().await?;
    let page = eventually("the page", async || Ok(mesh.page().await.ok())).await?;
    let mut terminal = Terminal::start(&page, &mesh.gateway_id()?, &["cat"]).await?;
    terminal.enter("back\n")?;
    terminal.sees("back\r\nback\r\n").await?;
    assert_eq!(edge_identity(&mesh)?.name(), ended.name());
    let key = mesh.data_dir("edge").join("identity/machine.key");
    ensure!(key.is_file(), "the key of the enrollment");
    assert!(mesh.audit().await?.iter().any(|row| row.action == "edge.revived"));
    Ok(())
}

/// An edge of the time before: it has no durable key.
#[tokio::test]
async fn an_edge_that_has_no_durable_key_gets_one_at_its_next_renewal() -> anyhow::Result<()> {
    let mut mesh = Mesh::start_with(&["--edge-certificate=5s"]).await?;
    let key = mesh.data_dir("edge").join("identity/machine.key");
    mesh.edge.kill().await?;
    fs::remove_file(&key)?;
    let grpc = mesh.grpc_address().to_owned();
    // Enrolled without one.
    let core = mesh.data_dir("core").to_string_lossy().into_owned();
    let token = proc::run("chatcode-core", &["token", "--data-dir", &core, "--kind", "edge"], "").await?;
    let (identity, _) = chatcode_link::enroll::enroll(&grpc, &token.trim().parse()?, "", None).await?;
    identity.save(&mesh.data_dir("edge").join("identity"))?;
    mesh.replace_edge().await?;
    eventually("a durable key", async || Ok(key.is_file().then_some(()))).await?;
    mesh.edge.kill().await?;
    eventually_over(&edge_identity(&mesh)?).await?;
    mesh.replace_edge().await?;
    eventually("the page", async || Ok(mesh.page().await.ok())).await?;
    assert_eq!(edge_identity(&mesh)?.name(), identity.name());
    Ok(())
}

/// The commands of an operator, with a root that is kept elsewhere.
#[tokio::test]
async fn an_operator_sees_rotates_and_keeps_the_root_elsewhere_by_the_command_line() -> anyhow::Result<()> {
    let mesh = Mesh::start_with(&["--admin-certificate=6s"]).await?;
    let path = |name: &str| mesh.folder().join(name).to_string_lossy().into_owned();
    let (data, core) = (path("operator"), path("core"));
    let chatcode = async |arguments: &[&str], input: &str| {
        proc::run("chatcode", &[&["--data-dir", &data], arguments].concat(), input).await
    };
    let token = proc::run("chatcode-core", &["token", "--data-dir", &core, "--kind", "admin"], "").await?;
    chatcode(&["admin", "enroll", "--core", mesh.grpc_address()], &token).await?;
    let serial = || -> anyhow::Result<_> {
        let identity = Identity::load(&mesh.folder().join("operator/cli"))?.context("an identity")?;
        Ok(identity.serial().clone())
    };
    let first = serial()?;
    eventually("a command renews the certificate", async || {
        chatcode(&["admin", "status"], "").await?;
        Ok((serial()? != first).then_some(()))
    })
    .await?;

    let export = ["ca", "export-root", "--data-dir", &core, "--remove", &path("root")];
    proc::run("chatcode-core", &export, "").await?;
    let refused = chatcode(&["admin", "ca", "rotate", "intermediate", "prepare"], "").await;
    let words = format!("{:#}", refused.err().context("there is no root")?);
    assert!(words.contains("chatcode admin ca request"), "{words}");
    chatcode(&["admin", "ca", "request", &path("request")], "").await?;
    chatcode(&["admin", "ca", "sign", "--root", &path("root"), &path("request"), &path("made")], "").await?;
    chatcode(&["admin", "ca", "import", &path("made")], "").await?;
    chatcode(&["admin", "ca", "rotate", "intermediate", "activate"], "").await?;
    let status: serde_json::Value =
        serde_json::from_str(&chatcode(&["admin", "ca", "status", "--json"], "").await?)?;
    assert_eq!((&status["phase"], &status["certificates"][0]["has_key"]), (&"none".into(), &false.into()));
    let text = chatcode(&["admin", "ca", "status"], "").await?;
    assert!(text.contains("elsewhere") && text.contains("intermediate  active"), "{text}");
    let exported = chatcode(&["admin", "ca", "export"], "").await?;
    assert!(exported.contains(fs::read_to_string(path("made"))?.trim()), "{exported}");
    assert!(!exported.contains("PRIVATE"), "{exported}");
    let import = ["ca", "import-root", "--data-dir", &core, &path("root")];
    proc::run("chatcode-core", &import, "").await?;
    chatcode(&["admin", "ca", "rotate", "root", "prepare"], "").await?;
    chatcode(&["admin", "ca", "rotate", "root", "roll-back"], "").await?;
    Ok(())
}
