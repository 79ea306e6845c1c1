//! `memory`: what the processes take with many sessions, shells not counted.

use std::{fs, time::Duration};

use anyhow::Context as _;
use chatcode_harness::{Mesh, Page, page::Target};
use chatcode_proto::pb;
use prost::Message as _;
use serde_json::json;

use crate::{figures::Row, view::View};

const IDLE: &[usize] = &[0, 1, 50, 200];
const LOUD: usize = 20;
const LOUD_MIB: usize = 16;
const SETTLE: Duration = Duration::from_secs(1);

/// Memory, KiB.
#[derive(Clone, Copy, Default)]
pub(crate) struct Memory {
    pub(crate) pss: u64,
    pub(crate) rss: u64,
    /// Of the PSS what is no page of a file, such as the program's own, which the
    /// system can take back.
    own: u64,
}

impl Memory {
    /// What this process has now.
    pub(crate) fn of(pid: u32) -> anyhow::Result<Self> {
        let rollup = fs::read_to_string(format!("/proc/{pid}/smaps_rollup"))?;
        let field = |name: &str| -> anyhow::Result<u64> {
            let line = rollup.lines().find(|line| line.starts_with(name)).context("a field")?;
            Ok(line.split_whitespace().nth(1).context("a number")?.parse()?)
        };
        Ok(Self { pss: field("Pss:")?, rss: field("Rss:")?, own: field("Pss_Anon:")? })
    }

    fn plus(self, other: Self) -> Self {
        Self { pss: self.pss + other.pss, rss: self.rss + other.rss, own: self.own + other.own }
    }
}

/// Idle sessions, then sessions that have printed; each without and with
/// viewers.
pub(crate) async fn chain(mesh: &Mesh, page: &Page) -> anyhow::Result<Vec<Row>> {
    let gateway = mesh.gateway_id()?;
    let mut rows = Vec::new();
    let mut targets = Vec::new();
    let nothing = measure(mesh, &[])?;
    for &count in IDLE {
        while targets.len() < count {
            targets.push(page.create_session(&gateway, &pb::SessionsCreateRequest::default()).await?);
        }
        rows.extend(both(mesh, page, &format!("{count} idle"), &targets, nothing).await?);
    }
    let loud = format!("yes {} | head -c {LOUD_MIB}M; exec cat", "x".repeat(79));
    let command = vec!["sh".to_owned(), "-c".to_owned(), loud];
    let before = measure(mesh, &targets)?;
    let mut printed = Vec::new();
    for _ in 0..LOUD {
        let request = pb::SessionsCreateRequest { command: command.clone(), ..Default::default() };
        printed.push(page.create_session(&gateway, &request).await?);
    }
    tokio::time::sleep(SETTLE * 8).await;
    targets.extend(printed.iter().cloned());
    let name = format!("{LOUD} after {LOUD_MIB} MiB");
    rows.push(row(&name, LOUD, before, measure(mesh, &targets)?));
    let _views = view_each(page, &printed).await?;
    rows.push(row(&format!("{name}, viewed"), LOUD, before, measure(mesh, &targets)?));
    Ok(rows)
}

async fn both(
    mesh: &Mesh,
    page: &Page,
    name: &str,
    targets: &[Target],
    nothing: [Memory; 4],
) -> anyhow::Result<Vec<Row>> {
    tokio::time::sleep(SETTLE).await;
    let mut rows = vec![row(name, targets.len(), nothing, measure(mesh, targets)?)];
    if !targets.is_empty() {
        let _views = view_each(page, targets).await?;
        let name = format!("{name}, viewed");
        rows.push(row(&name, targets.len(), nothing, measure(mesh, targets)?));
    }
    Ok(rows)
}

/// One viewer for each, which has its picture.
async fn view_each(page: &Page, targets: &[Target]) -> anyhow::Result<Vec<View>> {
    let mut views = Vec::new();
    for target in targets {
        let mut view = View::attach(page, target).await?;
        view.until("the picture", |view| view.snapshots > 0).await?;
        views.push(view);
    }
    Ok(views)
}

/// Of core, edge, gateway, and all holders together.
fn measure(mesh: &Mesh, targets: &[Target]) -> anyhow::Result<[Memory; 4]> {
    let mut holders = Memory::default();
    for target in targets {
        holders = holders.plus(Memory::of(holder(mesh, target)?)?);
    }
    let [core, edge, gateway] = [mesh.core.pid(), mesh.edge.pid(), mesh.gateway.pid()].map(Memory::of);
    Ok([core?, edge?, gateway?, holders])
}

/// The process of a session's holder.
pub(crate) fn holder(mesh: &Mesh, target: &Target) -> anyhow::Result<u32> {
    let record = mesh.data_dir("gateway").join("sessions").join(&target.session).join("record.pb");
    let record = fs::read(&record).with_context(|| format!("{}", record.display()))?;
    Ok(pb::HolderRecord::decode(record.as_slice())?.pid)
}

fn row(name: &str, count: usize, before: [Memory; 4], now: [Memory; 4]) -> Row {
    let sum = |parts: [Memory; 4]| parts.into_iter().fold(Memory::default(), Memory::plus);
    let more = sum(now).pss.saturating_sub(sum(before).pss);
    let gateway_own = now[2].own;
    let [core, edge, gateway, holders] = now.map(|part| part.pss);
    let figures = json!({
        "pss_kib_each": more as f64 / count.max(1) as f64,
        "core_pss_kib": core,
        "edge_pss_kib": edge,
        "gateway_pss_kib": gateway,
        "gateway_anon_kib": gateway_own,
        "holders_pss_kib": holders,
        "rss_kib": sum(now).rss,
    });
    Row::new("memory", name, figures)
}
