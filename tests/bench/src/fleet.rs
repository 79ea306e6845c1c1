//! `fleet`: what a core takes with 1,000 and 5,000 machines that do nothing, and how
//! soon they are all back after `kill -9` of it. The machines are simulated in one
//! process of their own ([`machines`](crate::machines)), which speaks the real link.

use std::{
    io::{BufRead as _, BufReader, Write as _},
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context as _, ensure};
use chatcode_harness::Mesh;
use chatcode_proto::{limits, pb};
use serde_json::{Value, json};

use crate::{
    figures::{Row, cpu_seconds},
    memory::Memory,
};

/// So long it is quiet before it counts.
const SETTLE: Duration = Duration::from_secs(5);
/// So long it counts: two heartbeats.
const WATCHED: Duration = Duration::from_secs(10);

/// Fleets of these sizes, and their return.
pub(crate) async fn chain(fleets: &[usize]) -> anyhow::Result<Vec<Row>> {
    let mut rows = Vec::new();
    for &count in fleets {
        let mut mesh = Mesh::start().await?;
        let nothing = Memory::of(mesh.core.pid())?;
        let mut machines = Machines::start(&mesh, count).await?;
        machines.wait("up")?;
        tokio::time::sleep(SETTLE).await;
        let before = cpu_seconds(&[mesh.core.pid()])?;
        tokio::time::sleep(WATCHED).await;
        let cpu = cpu_seconds(&[mesh.core.pid()])? - before;
        let taken = Memory::of(mesh.core.pid())?;
        let each = |now: u64, then: u64| (now.saturating_sub(then)) as f64 / count as f64;
        machines.tell("anew")?;
        machines.wait("anew")?;
        let killed = Instant::now();
        mesh.core.kill().await?;
        mesh.start_core_again().await?;
        let started = killed.elapsed();
        let back = machines.wait("up")?;
        rows.push(Row::new(
            "fleet",
            &format!("{count} idle machines"),
            json!({
                "rss_kib_each": each(taken.rss, nothing.rss),
                "pss_kib_each": each(taken.pss, nothing.pss),
                "cpu_percent_of_a_core": cpu / WATCHED.as_secs_f64() * 100.0,
                "core_again_s": started.as_secs_f64(),
                "half_back_s": back["half_s"],
                "most_back_s": back["most_s"],
                "all_back_s": back["all_s"],
                "half_most_all_noticed_s": back["noticed_s"],
                "handshakes": back["dialled"],
                "dialled_tcp_too": back["over_tcp"],
            }),
        ));
        machines.end()?;
    }
    Ok(rows)
}

/// The process of the machines.
struct Machines {
    child: Child,
    orders: ChildStdin,
    answers: BufReader<ChildStdout>,
}

impl Machines {
    /// Enrolls them and lets them link.
    async fn start(mesh: &Mesh, count: usize) -> anyhow::Result<Self> {
        let mut tokens = String::new();
        let most = *limits::TOKEN_USES.end() as usize;
        for done in (0..count).step_by(most) {
            let uses = u32::try_from(most.min(count - done))?;
            let request = pb::FleetCreateTokenRequest { uses, ..Default::default() };
            let token = mesh.fleet()?.create_token(request).await?.into_inner().token;
            tokens.push_str(&format!("{uses} {token}\n"));
        }
        let mut child = Command::new(std::env::current_exe()?)
            .args(["machines", mesh.grpc_address(), mesh.link_address()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let mut orders = child.stdin.take().context("is piped")?;
        let answers = BufReader::new(child.stdout.take().context("is piped")?);
        orders.write_all(tokens.as_bytes())?;
        orders.write_all(b"\n")?;
        Ok(Self { child, orders, answers })
    }

    fn tell(&mut self, word: &str) -> anyhow::Result<()> {
        Ok(writeln!(self.orders, "{word}")?)
    }

    /// What they say next, which must be of this kind.
    fn wait(&mut self, what: &str) -> anyhow::Result<Value> {
        let mut line = String::new();
        self.answers.read_line(&mut line)?;
        let said: Value =
            serde_json::from_str(&line).with_context(|| format!("the machines said {line:?}"))?;
        ensure!(said["what"] == what, "the machines said {line}");
        Ok(said)
    }

    fn end(mut self) -> anyhow::Result<()> {
        drop(self.orders);
        self.child.wait()?;
        Ok(())
    }
}
