//! The core as a stranger's gRPC client sees it: by reflection, with the
//! administrator's certificate.

use std::{collections::BTreeSet, io::Write as _, path::PathBuf, process::Stdio};

use anyhow::{Context as _, ensure};
use chatcode_harness::{Mesh, soon};
use chatcode_proto::rules::Rule;
use tokio::{
    io::{AsyncBufReadExt as _, BufReader},
    process::Command,
};

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
        let mut command = self.buf_command("{}")?;
        if let Some(header) = header {
            command.args(["--header", header]);
        }
        self.prints("buf curl", command.arg(format!("https://{}/{method}", self.address))).await
    }

    /// `buf curl` with the administrator's certificate and this message.
    fn buf_command(&self, data: &str) -> anyhow::Result<Command> {
        let mut command = Command::new(buf()?);
        command
            .args(["curl", "--protocol", "grpc", "--data", data])
            .arg("--cacert")
            .arg(self.pem.join("roots.pem"))
            .arg("--cert")
            .arg(self.pem.join("identity.pem"))
            .arg("--key")
            .arg(self.pem.join("identity.pem"))
            .args(["--servername", &self.server_name])
            .kill_on_drop(true);
        Ok(command)
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

/// The calls of docs/reference.md: method and message.
fn documented() -> anyhow::Result<Vec<(String, String)>> {
    let docs = std::fs::read_to_string(PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("docs/reference.md"))?;
    let calls = docs.lines().filter_map(|line| {
        let (method, rest) = line.strip_prefix("call ")?.split_once(" '")?;
        Some((method.to_owned(), rest.split_once('\'')?.0.to_owned()))
    });
    Ok(calls.collect())
}

#[tokio::test]
async fn every_call_that_the_reference_documents_is_answered() -> anyhow::Result<()> {
    let mesh = Mesh::start().await?;
    let asked = Asked {
        address: mesh.grpc_address().to_owned(),
        server_name: mesh.admin.trust_domain().core_dns(),
        pem: mesh.folder().join("pem"),
        gateway: mesh.gateway_id()?,
    };
    mesh.admin.save(&asked.pem)?;
    let calls = documented()?;
    let services: BTreeSet<&str> =
        calls.iter().filter_map(|(method, _)| method.split_once('/')).map(|(service, _)| service).collect();
    for service in ["Admin", "Audit", "Fleet", "People"] {
        ensure!(services.contains(service), "{service} is documented: {calls:?}");
    }
    let people = asked.buf_curl("chatcode.v1.People/List", None).await?;
    let people: serde_json::Value = serde_json::from_str(&people)?;
    let owner = people["people"][0]["id"].as_str().context("the owner is listed")?;
    for (method, data) in &calls {
        let rule =
            Rule::of(&format!("/chatcode.v1.{method}")).with_context(|| format!("{method} is no method"))?;
        let mut command = asked.buf_command(&data.replace("\"PERSON\"", &format!("\"{owner}\"")))?;
        command.arg(format!("https://{}/chatcode.v1.{method}", asked.address));
        if rule.server_streaming {
            let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn()?;
            let mut lines = BufReader::new(child.stdout.take().context("is piped")?).lines();
            let first = soon(method, lines.next_line()).await??;
            ensure!(first.is_some(), "{method} tells something");
            child.kill().await?;
        } else {
            asked.prints(method, &mut command).await?;
        }
    }
    Ok(())
}

fn is_installed(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|folder| folder.join(program).is_file())
}
