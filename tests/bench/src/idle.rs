//! `idle`: the CPU of all processes while 50 sessions are quiet, shells not counted.

use std::time::Duration;

use chatcode_harness::{Mesh, Page, Terminal, page::Target};
use chatcode_proto::pb;
use futures_util::future::try_join_all;
use serde_json::json;

use crate::{
    figures::{Row, cpu_seconds},
    memory::holder,
};

const SESSIONS: usize = 50;
/// So long it is quiet before it counts: shells have started, pictures are drawn.
const SETTLE: Duration = Duration::from_secs(3);
/// So long it counts: twice the longest beat of any part.
const WATCHED: Duration = Duration::from_secs(30);

/// Without viewers, and with one each.
pub(crate) async fn chain(mesh: &Mesh, page: &Page) -> anyhow::Result<Vec<Row>> {
    let gateway = mesh.gateway_id()?;
    let mut targets = Vec::new();
    for _ in 0..SESSIONS {
        targets.push(page.create_session(&gateway, &pb::SessionsCreateRequest::default()).await?);
    }
    let mut pids = vec![mesh.core.pid(), mesh.edge.pid(), mesh.gateway.pid()];
    for target in &targets {
        pids.push(holder(mesh, target)?);
    }
    tokio::time::sleep(SETTLE).await;
    let before = cpu_seconds(&pids)?;
    tokio::time::sleep(WATCHED).await;
    let alone = row(&format!("{SESSIONS} sessions"), cpu_seconds(&pids)? - before);

    let mut viewers = view_each(page, &targets).await?;
    rest(&mut viewers, SETTLE).await?;
    let before = cpu_seconds(&pids)?;
    rest(&mut viewers, WATCHED).await?;
    let viewed = row(&format!("{SESSIONS} sessions, viewed"), cpu_seconds(&pids)? - before);
    Ok(vec![alone, viewed])
}

async fn view_each(page: &Page, targets: &[Target]) -> anyhow::Result<Vec<Terminal>> {
    let mut viewers = Vec::new();
    for target in targets {
        let mut viewer = Terminal::new(page, target, pb::Role::Writer);
        viewer.until("the attachment", |viewer| viewer.attachments > 0).await?;
        viewers.push(viewer);
    }
    Ok(viewers)
}

/// All go on for so long.
async fn rest(viewers: &mut [Terminal], time: Duration) -> anyhow::Result<()> {
    try_join_all(viewers.iter_mut().map(|viewer| viewer.rest(time))).await?;
    Ok(())
}

fn row(name: &str, cpu_s: f64) -> Row {
    let seconds = WATCHED.as_secs_f64();
    Row::new(
        "idle",
        name,
        json!({ "percent_of_a_core": cpu_s / seconds * 100.0, "cpu_s": cpu_s, "seconds": seconds }),
    )
}
