//! The core as a stranger's gRPC client sees it: by reflection, with the
//! administrator's certificate.

use std::path::PathBuf;

use anyhow::{Context as _, ensure};
use chatcode_harness::{Mesh, soon};
use tokio::process::Command;

/// `buf curl` from the page's own packages, which `just test` installs.
fn buf() -> anyhow::Result<PathBuf> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("edge/web/node_modules/.bin/buf");
    ensure!(path.exists(), "{} is missing; `just test` installs it", path.display());
    Ok(path)
}

#[tokio::test]
async fn a_client_that_knows_nothing_finds_and_calls_the_services() -> anyhow::Result<()> {
    let mesh = Mesh::start().await?;
    let folder = mesh.folder().join("pem");
    mesh.admin.save(&folder)?;
    let curl = async |method: &str, header: Option<String>| -> anyhow::Result<String> {
        let url = format!("https://{}{method}", mesh.grpc_address());
        let mut command = Command::new(buf()?);
        command
            .args(["curl", "--protocol", "grpc", "--data", "{}"])
            .arg("--cacert")
            .arg(folder.join("roots.pem"))
            .arg("--cert")
            .arg(folder.join("identity.pem"))
            .arg("--key")
            .arg(folder.join("identity.pem"))
            .args(["--servername", &mesh.admin.trust_domain().core_dns()])
            .kill_on_drop(true);
        if let Some(header) = header {
            command.args(["--header", &header]);
        }
        let output = soon("buf curl", command.arg(url).output()).await?.context("buf curl starts")?;
        ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        Ok(String::from_utf8(output.stdout)?)
    };
    let fleet = curl("/chatcode.v1.Fleet/List", None).await?;
    let gateway = mesh.gateway_id()?;
    ensure!(fleet.contains(&gateway), "the gateway is listed: {fleet}");
    let target = format!("chatcode-gateway: {gateway}");
    curl("/chatcode.v1.Sessions/List", Some(target)).await.context("passed on to the gateway")?;
    Ok(())
}
