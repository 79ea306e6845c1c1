//! `revival`: `kill -9` of a part while 50 sessions have a viewer each, until
//! each viewer is attached again.

use std::time::Instant;

use chatcode_harness::{Mesh, Page, Terminal};
use futures_util::future::{join, try_join_all};

use crate::figures::{Row, percentiles};

const SESSIONS: usize = 50;

#[derive(Clone, Copy)]
enum Part {
    Gateway,
    Core,
    Edge,
}

/// One row for each part that dies and is started anew.
pub(crate) async fn chain(mesh: &mut Mesh, page: &Page) -> anyhow::Result<Vec<Row>> {
    let gateway = mesh.gateway_id()?;
    let mut terminals = Vec::new();
    for _ in 0..SESSIONS {
        terminals.push(Terminal::start(page, &gateway, &["cat"]).await?);
    }
    let mut rows = Vec::new();
    for (part, name) in [(Part::Gateway, "gateway"), (Part::Core, "core"), (Part::Edge, "edge")] {
        let killed = Instant::now();
        let revival = async {
            match part {
                Part::Gateway => mesh.replace_gateway().await,
                Part::Core => mesh.replace_core().await,
                Part::Edge => mesh.replace_edge().await,
            }
        };
        let viewers = terminals.iter_mut().map(|terminal| async move {
            let before = terminal.attachments;
            terminal.until("another attachment", |terminal| terminal.attachments > before).await?;
            anyhow::Ok(killed.elapsed())
        });
        let (revived, took) = join(revival, try_join_all(viewers)).await;
        revived?;
        rows.push(Row::new("revival", name, percentiles(took?)));
    }
    Ok(rows)
}
