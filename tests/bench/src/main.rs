//! `just bench`: what a key, a flood, an interrupt, a reattachment and a session
//! cost through the whole chain, beside a plain PTY and bare relays in the same
//! run. Real processes, default settings,
//! a real shell, and a client that does what the page does.
//!
//! Prints a table, and writes one JSON object per line to
//! `target/bench/latest.jsonl`.

mod bulk;
mod calls;
mod echo;
mod figures;
mod fleet;
mod flood;
mod hops;
mod idle;
mod interrupt;
#[cfg(target_os = "linux")]
mod link;
mod machines;
mod memory;
mod plain;
mod reattach;
mod relay;
mod revival;
mod ssh;
mod view;

use std::path::PathBuf;

use chatcode_harness::Mesh;
use clap::Parser;
use figures::Report;
use relay::Relay;

/// What to measure.
#[derive(Debug, Parser)]
#[command(subcommand_precedence_over_arg = true)]
struct Args {
    #[command(subcommand)]
    relay: Option<Relay>,
    /// Only these scenarios (echo, echo_flood, hops, bulk, interrupt, reattach, calls,
    /// revival, memory, idle, link, fleet); all when none is named.
    scenarios: Vec<String>,
    /// Samples of `echo`, `echo_flood` and `hops`; a quarter of it for each loss of `link`.
    #[arg(long, default_value_t = 2000)]
    samples: usize,
    /// How many machines `fleet` has, one number after the other.
    #[arg(long, value_delimiter = ',', default_values_t = [1000, 5000])]
    machines: Vec<usize>,
    /// Size of the text of `bulk`, MiB.
    #[arg(long, default_value_t = 64)]
    mib: usize,
    /// Where the figures go, one JSON object per line.
    #[arg(long, default_value = "target/bench/latest.jsonl")]
    out: PathBuf,
}

fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    match args.relay {
        Some(relay) => relay.run(),
        // One thread, as a page has: a second one would only add its wake-ups.
        None => tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(measure(args)),
    }
}

async fn measure(args: Args) -> anyhow::Result<()> {
    let wants = |name: &str| args.scenarios.is_empty() || args.scenarios.iter().any(|one| one == name);
    let mut report = Report::default();
    if ["echo", "echo_flood", "hops", "bulk", "interrupt", "reattach", "calls"].into_iter().any(wants) {
        in_one_house(&args, wants, &mut report).await?;
    }
    // Each of these in a house where nothing has happened yet, and none beside it:
    // two of them would share the pages of their programs.
    if wants("revival") {
        let mut mesh = Mesh::start().await?;
        let page = mesh.page().await?;
        report.extend(revival::chain(&mut mesh, &page).await?);
    }
    if wants("memory") {
        let mesh = Mesh::start().await?;
        let page = mesh.page().await?;
        report.extend(memory::chain(&mesh, &page).await?);
    }
    if wants("idle") {
        let mesh = Mesh::start().await?;
        let page = mesh.page().await?;
        report.extend(idle::chain(&mesh, &page).await?);
    }
    #[cfg(target_os = "linux")]
    if wants("link") {
        report.extend(link::measure(args.samples / 4)?);
    }
    if wants("fleet") {
        report.extend(fleet::chain(&args.machines).await?);
    }
    report.print();
    report.write(&args.out)
}

async fn in_one_house(args: &Args, wants: impl Fn(&str) -> bool, report: &mut Report) -> anyhow::Result<()> {
    let mesh = Mesh::start().await?;
    let page = mesh.page().await?;
    let gateway = mesh.gateway_id()?;
    if wants("echo") {
        report.add(echo::plain(args.samples)?);
        report.add(echo::relays(mesh.folder(), args.samples)?);
        report.add(echo::chain(&page, &gateway, args.samples).await?);
        report.extend(echo::ssh(mesh.folder(), args.samples)?);
    }
    if wants("echo_flood") {
        report.add(echo::plain_flood(args.samples)?);
        report.add(echo::chain_flood(&page, &gateway, args.samples).await?);
        report.extend(echo::ssh_flood(mesh.folder(), args.samples)?);
    }
    if wants("hops") {
        report.extend(hops::chain(&mesh, &page, args.samples).await?);
    }
    if wants("bulk") {
        let text = bulk::Text::write(mesh.folder(), args.mib)?;
        let (mut plain, mut chain) = (Vec::new(), Vec::new());
        for _ in 0..bulk::ROUNDS {
            plain.push(bulk::plain(&text)?);
            chain.push(bulk::chain(&mesh, &page, &text).await?);
        }
        report.add(figures::middle(plain, "mb_per_s")?);
        report.add(figures::middle(chain, "mb_per_s")?);
    }
    if wants("interrupt") {
        report.add(interrupt::plain()?);
        for flood in interrupt::FLOODS {
            report.add(interrupt::chain(&page, &gateway, flood).await?);
        }
    }
    if wants("reattach") {
        report.extend(reattach::chain(&page, &gateway, mesh.folder()).await?);
    }
    if wants("calls") {
        report.extend(calls::chain(&page).await?);
    }
    Ok(())
}
