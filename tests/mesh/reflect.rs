//! The core as a stranger's gRPC client sees it: by reflection, with the
//! administrator's certificate.

use std::{io::Write as _, path::PathBuf};

use anyhow::{Context as _, ensure};
use chatcode_harness::{Mesh, soon};
use tokio::process::Command;

/// `buf curl` from the page's own packages, which `just test` installs.
fn buf() -> anyhow::Result<PathBuf> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("edge/web/node_modules/.bin/buf");
    ensure!(path.exists(), "{} is missing; `just test` installs it", path.display());
    Ok(path)
}

/// What both clients are asked for.
struct Asked {
    address: String,
    server_name: String,
    pem: PathBuf,
    gateway: String,
}

impl Asked {
    /// Runs a client that must succeed; gives what it printed.
    async fn prints(&self, name: &str, command: &mut Command) -> anyhow::Result<String> {
        let output = soon(name, command.kill_on_drop(true).output()).await?;
        let output = output.with_context(|| format!("{name} starts"))?;
        ensure!(output.status.success(), "{name}: {}", String::from_utf8_lossy(&output.stderr));
        Ok(String::from_utf8(output.stdout)?)
    }

    async fn buf_curl(&self, method: &str, header: Option<&str>) -> anyhow::Result<String> {
        let mut command = Command::new(buf()?);
        command
            .args(["curl", "--protocol", "grpc", "--data", "{}"])
            .arg("--cacert")
            .arg(self.pem.join("roots.pem"))
            .arg("--cert")
            .arg(self.pem.join("identity.pem"))
            .arg("--key")
            .arg(self.pem.join("identity.pem"))
            .args(["--servername", &self.server_name]);
        if let Some(header) = header {
            command.args(["--header", header]);
        }
        self.prints("buf curl", command.arg(format!("https://{}/{method}", self.address))).await
    }

    async fn grpcurl(&self, method: &str, header: Option<&str>) -> anyhow::Result<String> {
        let mut command = Command::new("grpcurl");
        command
            .args(["-d", "{}"])
            .arg("-cacert")
            .arg(self.pem.join("roots.pem"))
            .arg("-cert")
            .arg(self.pem.join("identity.pem"))
            .arg("-key")
            .arg(self.pem.join("identity.pem"))
            .args(["-servername", &self.server_name]);
        if let Some(header) = header {
            command.args(["-H", header]);
        }
        self.prints("grpcurl", command.args([&self.address, method])).await
    }
}

#[tokio::test]
async fn a_client_that_knows_nothing_finds_and_calls_the_services() -> anyhow::Result<()> {
    let mesh = Mesh::start().await?;
    let asked = Asked {
        address: mesh.grpc_address().to_owned(),
        server_name: mesh.admin.trust_domain().core_dns(),
        pem: mesh.folder().join("pem"),
        gateway: mesh.gateway_id()?,
    };
    mesh.admin.save(&asked.pem)?;
    let target = format!("chatcode-gateway: {}", asked.gateway);
    let (core, machine) = ("chatcode.v1.Fleet/List", "chatcode.v1.Sessions/List");

    let fleet = asked.buf_curl(core, None).await?;
    ensure!(fleet.contains(&asked.gateway), "the gateway is listed: {fleet}");
    asked.buf_curl(machine, Some(&target)).await.context("passed on to the gateway")?;

    if !is_installed("grpcurl") {
        let mut out = std::io::stdout().lock();
        writeln!(out, "skipped: grpcurl is not on PATH; buf curl has done the same")?;
        return Ok(());
    }
    let fleet = asked.grpcurl(core, None).await?;
    ensure!(fleet.contains(&asked.gateway), "the gateway is listed: {fleet}");
    asked.grpcurl(machine, Some(&target)).await.context("passed on to the gateway")?;
    Ok(())
}

fn is_installed(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|folder| folder.join(program).is_file())
}
