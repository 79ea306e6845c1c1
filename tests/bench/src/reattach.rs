//! `reattach`: the connection breaks, and 300 ms later an empty terminal
//! attaches: until it shows what was shown before.

use std::{
    fs,
    path::Path,
    time::{Duration, Instant},
};

use anyhow::{Context as _, ensure};
use chatcode_harness::Page;
use chatcode_proto::{limits, pb};
use serde_json::json;

use crate::{figures::Row, view::View};

const AWAY: Duration = Duration::from_millis(300);
const QUIET: Duration = Duration::from_millis(400);
const LINES: u32 = 5000;

/// A program, what it is called, and a sign that it has begun.
struct Case {
    system: &'static str,
    command: Vec<String>,
    sign: &'static str,
}

fn cases(folder: &Path) -> anyhow::Result<Vec<Case>> {
    let text = folder.join("reattach.txt");
    fs::write(&text, "a line of text with some words in it\n".repeat(200))?;
    let text = text.to_str().context("a path that is text")?.to_owned();
    let sh = |script: &str| vec!["sh".to_owned(), "-c".to_owned(), script.to_owned()];
    let redraw = r#"printf '\033[?1049h\033[2J\033[5;5Hdrawn first'
yes "$(printf '\033[10;10H\033[3%dmx\033[11;1Hsome words' 1 2 3)" | head -c 4194304; printf '\033[12;1Hrea''dy'; exec cat"#;
    Ok(vec![
        Case { system: "vim", command: vec!["vim".to_owned(), "-N".to_owned(), text], sign: "words" },
        Case { system: "5000 lines", command: sh(&format!("seq {LINES}; exec cat")), sign: "5000\r\n" },
        Case { system: "4 MiB", command: sh(redraw), sign: "ready" },
    ])
}

/// All cases through the whole chain.
pub(crate) async fn chain(page: &Page, gateway: &str, folder: &Path) -> anyhow::Result<Vec<Row>> {
    let mut rows = Vec::new();
    for case in cases(folder)? {
        rows.push(measure(page, gateway, &case).await.context(case.system)?);
    }
    Ok(rows)
}

async fn measure(page: &Page, gateway: &str, case: &Case) -> anyhow::Result<Row> {
    let request = pb::SessionsCreateRequest { command: case.command.clone(), ..Default::default() };
    let target = page.create_session(gateway, &request).await?;
    let mut view = View::attach(page, &target).await?;
    view.sees(case.sign).await?;
    view.until_quiet(QUIET).await?;
    let before = view.model.snapshot(limits::DEFAULT_HISTORY_LINES);
    drop(view);
    tokio::time::sleep(AWAY).await;

    let dialled = Instant::now();
    let mut view = View::attach(page, &target).await?;
    let attached = Instant::now();
    view.until("the picture", |view| view.snapshots > 0).await?;
    let (picture, whole) = (attached.elapsed(), dialled.elapsed());
    let after = view.model.snapshot(limits::DEFAULT_HISTORY_LINES);
    ensure!(before == after, "{} shows something else than before", case.system);
    let text = String::from_utf8_lossy(&view.digested).into_owned();
    let numbers = text.lines().filter(|line| line.trim().parse::<u32>().is_ok()).count();
    Ok(Row::new(
        "reattach",
        case.system,
        json!({
            "picture_ms": picture.as_secs_f64() * 1000.0,
            "with_dialling_ms": whole.as_secs_f64() * 1000.0,
            "bytes": view.arrived,
            "lines_back": numbers,
        }),
    ))
}
