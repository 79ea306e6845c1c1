//! Certificates of a few seconds: renewed under a live terminal, and brought
//! back after a sleep that was longer than they.

use std::time::{SystemTime, UNIX_EPOCH};

use chatcode_harness::{Mesh, Terminal, eventually, terminal::numbers};
use chatcode_proto::pb::{self, Code};

const SECONDS: &[&str] = &["--gateway-certificate", "6s"];
const GENERATIONS: usize = 3;

async fn rows(mesh: &Mesh, action: &str) -> anyhow::Result<Vec<pb::AuditRow>> {
    Ok(mesh.audit().await?.into_iter().filter(|row| row.action == action).collect())
}

#[tokio::test]
async fn a_gateway_renews_its_certificate_again_and_again_and_no_terminal_notices() -> anyhow::Result<()> {
    let mesh = Mesh::start_with(SECONDS).await?;
    let page = mesh.page().await?;
    let before = mesh.gateway_identity()?;
    let mut terminal = Terminal::start(&page, &mesh.gateway_id()?, &[]).await?;
    terminal.enter("stty -echo; PS1=\n")?;
    let stop = mesh.folder().join("stop");
    terminal.enter(&format!(
        "i=0; while [ ! -e {} ]; do i=$((i+1)); echo $i; sleep 0.01; done; echo fin''ished\n",
        stop.display()
    ))?;
    terminal.sees("\n100\r\n").await?;
    let renewed = eventually("the renewals", async || {
        let renewed = rows(&mesh, "link.renew").await?;
        Ok((renewed.len() >= GENERATIONS).then_some(renewed))
    });
    tokio::pin!(renewed);
    let renewed = loop {
        tokio::select! {
            renewed = &mut renewed => break renewed?,
            rest = terminal.rest(std::time::Duration::from_millis(50)) => rest?,
        }
    };
    assert!(renewed.iter().all(|row| row.result() == Code::Done));
    let after = mesh.gateway_identity()?;
    assert_eq!(after.name(), before.name());
    assert_ne!(after.serial(), before.serial());
    std::fs::write(stop, "")?;
    terminal.sees("finished").await?;
    let seen = numbers(&terminal.text());
    assert_eq!(seen, (1..=seen.len() as u64).collect::<Vec<_>>());
    assert_eq!(terminal.attachments, 1, "the link never broke");
    assert_eq!(rows(&mesh, "link.up").await?.len(), 1);
    Ok(())
}

#[tokio::test]
async fn a_machine_that_slept_past_its_certificate_comes_back_by_its_durable_key() -> anyhow::Result<()> {
    let mut mesh = Mesh::start_with(SECONDS).await?;
    mesh.gateway.kill().await?;
    let ended = mesh.gateway_identity()?;
    eventually("the end of the certificate", async || {
        let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs();
        Ok((now > ended.validity_unix_s().end).then_some(()))
    })
    .await?;
    mesh.replace_gateway().await?;
    mesh.gateway_online().await?;
    assert_eq!(mesh.gateway_identity()?.name(), ended.name());
    let revived = rows(&mesh, "gateway.revived").await?;
    let who = format!("gateway/{}", mesh.gateway_id()?);
    assert_eq!(
        revived.iter().map(|row| (row.result(), row.principal.as_str())).collect::<Vec<_>>(),
        [(Code::Done, who.as_str())]
    );
    Ok(())
}
