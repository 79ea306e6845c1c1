//! Networks that let no UDP through, or nothing but a proxy.

use std::{env, process::Stdio, time::Duration};

use anyhow::{Context as _, ensure};
use chatcode_harness::{Mesh, Terminal, proc, proxy::Proxy, soon, terminal::numbers, within};
use chatcode_proto::{
    limits,
    pb::{self, LinkTransport, fleet_watch_response::Event},
};
use tokio::{process::Command, time::Instant};
use tonic::Streaming;

/// Set where the test runs in a network namespace of its own.
const INSIDE: &str = "CHATCODE_TEST_NAMESPACE";

/// Runs the named test of this program again, in a network namespace of its own in
/// which nothing but its loopback is. `false`: this is that run.
async fn goes_inside(test: &str) -> anyhow::Result<bool> {
    if env::var_os(INSIDE).is_some() {
        return Ok(false);
    }
    let namespaces: &[&str] =
        if rustix::process::getuid().is_root() { &["--net"] } else { &["--net", "--map-root-user"] };
    let ran = Command::new("unshare")
        .args(namespaces)
        .args(["sh", "-c", "ip link set lo up && exec \"$0\" \"$@\""])
        .arg(env::current_exe()?)
        .args(["--exact", test, "--nocapture"])
        .env(INSIDE, "1")
        .stdin(Stdio::null())
        .status()
        .await
        .context("unshare (util-linux) and ip (iproute2) are needed")?;
    ensure!(ran.success(), "{test} failed in its namespace");
    Ok(true)
}

/// Lets UDP through this namespace, or drops all of it.
async fn udp(passes: bool) -> anyhow::Result<()> {
    packets(passes, &["--protocol", "udp"]).await
}

/// Lets packets of this kind through this namespace, or drops all of them.
async fn packets(pass: bool, kind: &[&str]) -> anyhow::Result<()> {
    let rule = [&[if pass { "-D" } else { "-A" }, "INPUT"], kind, &["--jump", "DROP"]].concat();
    let set = Command::new("iptables").args(rule).status().await;
    ensure!(set.context("iptables is needed")?.success(), "iptables refuses");
    Ok(())
}

/// Waits until the gateway is linked over `transport`.
async fn linked_over(
    events: &mut Streaming<pb::FleetWatchResponse>,
    transport: LinkTransport,
) -> anyhow::Result<()> {
    while let Some(event) = events.message().await? {
        if matches!(event.event, Some(Event::GatewayChanged(gateway)) if gateway.link_transport() == transport)
        {
            return Ok(());
        }
    }
    anyhow::bail!("the watch ended")
}

/// Counts until it is told to end.
const COUNTER: &str = "i=0; while [ $i -lt 100000 ] && [ ! -e done ]; do i=$((i+1)); echo $i; sleep 0.05; done; echo fin''ished $i\n";

#[tokio::test]
async fn a_link_takes_tcp_where_udp_is_dropped_and_quic_again_when_it_passes() -> anyhow::Result<()> {
    let name = "networks::a_link_takes_tcp_where_udp_is_dropped_and_quic_again_when_it_passes";
    if goes_inside(name).await? {
        return Ok(());
    }
    udp(false).await?;
    let mut mesh = Mesh::start().await?;
    let begun = Instant::now();
    mesh.replace_gateway().await?;
    within("a link over TCP", begun.elapsed(), Duration::from_secs(3))?;

    let mut events = mesh.fleet()?.watch(pb::FleetWatchRequest {}).await?.into_inner();
    soon("a link over TCP", linked_over(&mut events, LinkTransport::Tcp)).await??;
    let page = mesh.page().await?;
    let mut terminal = Terminal::start(&page, &mesh.gateway_id()?, &[]).await?;
    let folder = mesh.folder().display().to_string();
    terminal.enter(&format!("cd {folder}; stty -echo; PS1=\n{COUNTER}"))?;
    terminal.sees("\n20\r\n").await?;

    // UDP passes: the link moves to QUIC by itself ...
    udp(true).await?;
    let follows = async { soon("a link over QUIC", linked_over(&mut events, LinkTransport::Quic)).await? };
    terminal.while_waiting(follows).await?;
    terminal.until("the attachment over QUIC", |terminal| terminal.attachments == 2).await?;
    // ... and back to TCP when it is dropped again, since what the machine prints is not answered.
    udp(false).await?;
    let dropped = Instant::now();
    let follows = async { soon("a link over TCP", linked_over(&mut events, LinkTransport::Tcp)).await? };
    terminal.while_waiting(follows).await?;
    within("a link over TCP after one over QUIC", dropped.elapsed(), Duration::from_millis(3500))?;

    std::fs::write(mesh.folder().join("done"), "")?;
    terminal.sees("finished ").await?;
    let text = terminal.text();
    let last = text.rsplit("finished ").next().and_then(|rest| rest.split_whitespace().next());
    let last: u64 = last.context("the last number")?.parse()?;
    let counted: Vec<u64> = numbers(text.split("finished ").next().unwrap_or_default());
    assert_eq!(counted, (1..=last).collect::<Vec<_>>(), "each line once");
    assert_eq!((terminal.skips.len(), terminal.attachments >= 3), (0, true), "{terminal:?}");
    Ok(())
}

#[tokio::test]
async fn a_link_stays_on_quic_when_a_network_that_was_silent_comes_back() -> anyhow::Result<()> {
    if goes_inside("networks::a_link_stays_on_quic_when_a_network_that_was_silent_comes_back").await? {
        return Ok(());
    }
    let mesh = Mesh::start().await?;
    let page = mesh.page().await?;
    let mut terminal = Terminal::start(&page, &mesh.gateway_id()?, &[]).await?;
    terminal.enter("echo he''re\n")?;
    terminal.sees("here").await?;

    // No UDP and no new connection, until some time after the gateway has dialled over TCP.
    // Nothing is typed and printed until it would have dialled again, after 1 and 3 s.
    let port = mesh.grpc_address().rsplit_once(':').context("a port")?.1;
    let dials = ["--protocol", "tcp", "--syn", "--dport", port];
    packets(false, &dials).await?;
    udp(false).await?;
    let doubted = limits::LINK_KEEPALIVE + limits::LINK_DOUBT + limits::LINK_DOUBT_LOOK;
    terminal.rest(doubted + Duration::from_millis(1500)).await?;
    packets(true, &dials).await?;
    udp(true).await?;
    terminal.rest(Duration::from_secs(3)).await?;
    terminal.enter("echo and the''re\n")?;
    terminal.sees("and there").await?;
    assert_eq!(terminal.attachments, 1, "{terminal:?}");
    let list = mesh.fleet()?.list(pb::FleetListRequest::default()).await?.into_inner();
    let over: Vec<_> = list.gateways.iter().map(pb::Gateway::link_transport).collect();
    assert_eq!(over, [LinkTransport::Quic]);
    Ok(())
}

#[tokio::test]
async fn a_machine_behind_a_proxy_enrolls_and_works_by_it() -> anyhow::Result<()> {
    let mesh = Mesh::start().await?;
    let proxy = Proxy::start(Some("me:p@ss")).await?;
    let home = mesh.folder().join("behind");
    let (file, settings) = (mesh.folder().join("proxy"), mesh.folder().join("behind.toml"));
    chatcode_certs::files::write_private(
        &file,
        format!("http://me:p%40ss@{}\n", proxy.address()).as_bytes(),
    )?;
    std::fs::write(&settings, format!("data_dir = {home:?}\nproxy_file = {file:?}\n"))?;
    let settings = settings.to_string_lossy().into_owned();
    // Only the proxy knows this name.
    let port = mesh.grpc_address().rsplit_once(':').context("a port")?.1;
    let core = format!("core.behind.invalid:{port}");
    let token = mesh.fleet()?.create_token(pb::FleetCreateTokenRequest::default()).await?.into_inner().token;
    let args = ["enroll", "--config", &settings, "--core", &core];
    proc::run("chatcode-gateway", &args, &token).await?;
    let args = ["run", "--config", &settings, "--exit-with-stdin"];
    let gateway = proc::Proc::start("chatcode-gateway", &args, &mesh.folder().join("behind.log")).await?;

    let page = mesh.page().await?;
    let mut terminal = Terminal::start(&page, &gateway.word("gateway")?, &[]).await?;
    terminal.enter("echo through the pro''xy\n")?;
    terminal.sees("through the proxy").await?;
    let seen = proxy.seen();
    assert!(seen.len() >= 4 && seen.iter().all(|to| *to == core), "{seen:?}");

    let status = proc::run("chatcode-gateway", &["status", "--config", &settings], "").await?;
    assert!(status.contains("\"over\":\"tcp\""), "{status}");
    let log = std::fs::read_to_string(mesh.folder().join("behind.log"))?;
    assert!(!log.contains("p@ss") && !log.contains("p%40ss"), "the password is in the log");
    Ok(())
}
