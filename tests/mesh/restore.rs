//! The drill: the core's machine is lost, its backup is restored elsewhere, and
//! everybody comes back without being touched.

use std::os::unix::fs::PermissionsExt as _;

use anyhow::Context as _;
use chatcode_harness::{Mesh, Terminal, eventually, proc, proc::Proc, terminal::numbers};
use chatcode_proto::{
    metadata,
    pb::{self, LinkState},
};
use tonic::Request;

const PASSPHRASE: &str = "correct horse battery staple\n";
/// Renewed every few seconds: the backup does not know the certificates that
/// are in use when it is restored.
const SECONDS: &[&str] = &["--gateway-certificate", "6s"];

/// `chatcode admin` with the backup's passphrase on its standard input.
async fn chatcode(arguments: &[&str]) -> anyhow::Result<String> {
    proc::run("chatcode", &[&["admin"], arguments].concat(), PASSPHRASE).await
}

/// A second machine of the installation.
async fn second(mesh: &Mesh) -> anyhow::Result<Proc> {
    let core = mesh.data_dir("core").to_string_lossy().into_owned();
    let token = proc::run("chatcode-core", &["token", "--data-dir", &core, "--kind", "gateway"], "").await?;
    let data = mesh.data_dir("second").to_string_lossy().into_owned();
    proc::run("chatcode-gateway", &["enroll", "--data-dir", &data, "--core", mesh.grpc_address()], &token)
        .await?;
    let args = ["run", "--data-dir", &data, "--link", mesh.link_address(), "--exit-with-stdin"];
    Proc::start("chatcode-gateway", &args, &mesh.folder().join("second.log")).await
}

async fn both_online(mesh: &Mesh) -> anyhow::Result<()> {
    let mut fleet = mesh.fleet()?;
    eventually("both links", async || {
        let Ok(list) = fleet.list(pb::FleetListRequest::default()).await else { return Ok(None) };
        let online = |gateway: &&pb::Gateway| gateway.link_state() == LinkState::Online;
        Ok((list.into_inner().gateways.iter().filter(online).count() == 2).then_some(()))
    })
    .await
}

/// Ends all shells of a machine, and with them their holders.
async fn end_all(mesh: &Mesh, gateway: &str) -> anyhow::Result<()> {
    let mut sessions = mesh.sessions()?;
    let mut list = Request::new(pb::SessionsListRequest {});
    list.metadata_mut().insert(metadata::GATEWAY, gateway.parse()?);
    for session in sessions.list(list).await?.into_inner().sessions {
        let mut end = Request::new(pb::SessionsEndRequest { force: true });
        end.metadata_mut().insert(metadata::GATEWAY, gateway.parse()?);
        end.metadata_mut().insert(metadata::SESSION, session.id.parse()?);
        sessions.end(end).await?;
    }
    Ok(())
}

/// A shell that prints the numbers from 1 on until it is told to stop.
async fn counting(page: &chatcode_harness::Page, gateway: &str) -> anyhow::Result<Terminal> {
    let mut terminal = Terminal::start(page, gateway, &[]).await?;
    terminal.enter("stty -echo; PS1=\n")?;
    terminal.enter("i=0; while [ $i -lt 100000 ]; do i=$((i+1)); echo $i; sleep 0.02; done\n")?;
    terminal.sees("\n20\r\n").await?;
    Ok(terminal)
}

#[tokio::test]
async fn a_lost_core_is_restored_and_all_machines_come_back_by_themselves() -> anyhow::Result<()> {
    let mut mesh = Mesh::start_with(SECONDS).await?;
    let second_machine = second(&mesh).await?;
    both_online(&mesh).await?;
    let page = mesh.page().await?;
    let mut terminals = [
        counting(&page, &mesh.gateway_id()?).await?,
        counting(&page, &second_machine.word("gateway")?).await?,
    ];

    let core = mesh.data_dir("core");
    let data = core.to_string_lossy().into_owned();
    let file = mesh.folder().join("backup");
    let backup = file.to_string_lossy().into_owned();
    chatcode(&["backup", &backup, "--core-dir", &data]).await?;
    assert_eq!(std::fs::metadata(&file)?.permissions().mode() & 0o777, 0o600);
    let again = chatcode(&["backup", &backup, "--core-dir", &data]).await;
    assert!(format!("{:?}", again.err()).contains("is not overwritten"));
    let elsewhere = mesh.data_dir("nowhere").to_string_lossy().into_owned();
    let none = chatcode(&["backup", &format!("{backup}.2"), "--core-dir", &elsewhere]).await;
    assert!(format!("{:?}", none.err()).contains("on the core's own machine"));
    // The core's own program makes the same, into a file as well.
    let own = format!("{backup}.own");
    proc::run("chatcode-core", &["backup", &own, "--data-dir", &data], PASSPHRASE).await?;
    let again = proc::run("chatcode-core", &["backup", &own, "--data-dir", &data], PASSPHRASE).await;
    assert!(format!("{:?}", again.err()).contains("is not overwritten"));
    let known = mesh.gateway_identity()?;
    eventually("a certificate that the backup does not know", async || {
        Ok((mesh.gateway_identity()?.serial() != known.serial()).then_some(()))
    })
    .await?;

    mesh.core.kill().await?;
    let early = chatcode(&["restore", &backup, "--core-dir", &data]).await;
    assert!(format!("{:?}", early.err()).contains("only restored where there is nothing"));
    std::fs::remove_dir_all(&core)?;
    // The own program's file opens as well, and a folder that the installation made is no core yet.
    let other_core = mesh.data_dir("other-core");
    std::fs::create_dir(&other_core)?;
    std::fs::set_permissions(&other_core, std::fs::Permissions::from_mode(0o700))?;
    let other = other_core.to_string_lossy().into_owned();
    let cut = format!("{backup}.cut");
    std::fs::write(&cut, &std::fs::read(&file)?[..70_000])?;
    assert!(chatcode(&["restore", &cut, "--core-dir", &other]).await.is_err(), "a file that was cut");
    assert_eq!(std::fs::read_dir(&other_core)?.count(), 0, "the folder is as it was");
    chatcode(&["restore", &own, "--core-dir", &other]).await?;
    assert!(other_core.join("core.db").is_file() && other_core.join("ca").is_dir());
    let wrong =
        proc::run("chatcode-core", &["restore", &backup, "--data-dir", &data], "another passphrase\n").await;
    assert!(format!("{:?}", wrong.err()).contains("the passphrase is wrong"));
    assert!(!core.exists(), "nothing is left of what could not be opened");
    let said = chatcode(&["restore", &backup, "--core-dir", &data]).await?;
    assert!(said.starts_with("whole: "), "{said}");
    mesh.start_core_again().await?;

    both_online(&mesh).await?;
    for terminal in &mut terminals {
        let seen = numbers(&terminal.text()).last().copied().context("it counted")?;
        terminal.sees(&format!("\n{}\r\n", seen + 200)).await?;
        let seen = numbers(&terminal.text());
        assert_eq!(seen, (1..=seen.len() as u64).collect::<Vec<_>>(), "every number once");
    }
    for id in [mesh.gateway_id()?, second_machine.word("gateway")?] {
        end_all(&mesh, &id).await?;
    }
    let verified = proc::run("chatcode-core", &["verify-audit", "--data-dir", &data], "").await?;
    assert!(verified.starts_with("whole: "), "{verified}");
    let rows = mesh.audit().await?;
    let has = |action: &str| rows.iter().any(|row| row.action == action);
    assert!(has("backup.begun") && has("backup.restored") && has("gateway.revived"), "{rows:?}");
    Ok(())
}
