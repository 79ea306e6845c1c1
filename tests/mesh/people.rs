//! People by the command line, and a program that calls by an API token only.

use std::{os::unix::fs::OpenOptionsExt as _, path::PathBuf};

use anyhow::{Context as _, ensure};
use chatcode_harness::{Mesh, proc, soon};
use serde_json::Value;
use tokio::process::Command;

/// The JSON objects that a command printed, one on each line.
fn rows(text: &str) -> anyhow::Result<Vec<Value>> {
    text.lines().map(|line| Ok(serde_json::from_str(line)?)).collect()
}

#[tokio::test]
async fn people_get_roles_by_the_command_line_and_a_token_without_a_certificate_does_no_more()
-> anyhow::Result<()> {
    let mesh = Mesh::start().await?;
    let path = |name: &str| mesh.folder().join(name).to_string_lossy().into_owned();
    let (data, core) = (path("operator"), path("core"));
    let chatcode = async |arguments: &[&str]| {
        proc::run("chatcode", &[&["--data-dir", &data], arguments].concat(), "").await
    };
    let token = proc::run("chatcode-core", &["token", "--data-dir", &core, "--kind", "admin"], "").await?;
    let enroll = ["--data-dir", &data, "admin", "enroll", "--core", mesh.grpc_address()];
    proc::run("chatcode", &enroll, &token).await?;

    chatcode(&["admin", "people", "add", "Ada", "--email", "Ada@Example.org"]).await?;
    let people = rows(&chatcode(&["admin", "people", "list", "--json"]).await?)?;
    let ada = people.iter().find(|one| one["name"] == "Ada").context("is listed")?;
    ensure!(ada["email"] == "ada@example.org", "{ada}");
    chatcode(&["admin", "teams", "add", "night shift"]).await?;
    chatcode(&["admin", "teams", "join", "night shift", "ada@example.org"]).await?;
    let machine = mesh.gateway_id()?;
    chatcode(&["admin", "roles", "give", "viewer", "--team", "night shift", "--gateway", &machine]).await?;
    let bindings = rows(&chatcode(&["admin", "roles", "bindings", "--json"]).await?)?;
    ensure!(bindings.iter().any(|one| one["role"] == "viewer" && one["on"] == format!("gateway {machine}")));
    let url = chatcode(&["admin", "people", "invite", "Ada", "--origin", "https://code.example.org"]).await?;
    ensure!(url.starts_with("https://code.example.org/#login="), "a URL");
    let owner = people.iter().find(|one| one["name"] == "Owner").context("is listed")?;
    let id = owner["id"].as_str().context("an id")?;
    let refused = chatcode(&["admin", "people", "remove", id]).await;
    let words = format!("{:#}", refused.err().context("the last owner stays")?);
    ensure!(words.contains("nobody would own the installation"), "{words}");

    // The token in a file, as an argument would be seen by others.
    let made = ["admin", "api-tokens", "create", "nightly", "--person", "Ada", "--role", "viewer"];
    let secret = chatcode(&made).await?;
    let header = mesh.folder().join("header");
    let mut file = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&header)?;
    std::io::Write::write_all(&mut file, format!("authorization: Bearer {secret}").as_bytes())?;
    std::fs::write(mesh.folder().join("roots.pem"), chatcode(&["admin", "ca", "export"]).await?)?;
    let list = by_token(&mesh, &header, "chatcode.v1.Fleet/List").await?;
    ensure!(list.contains(&machine), "the gateway is listed: {list}");
    let refused = by_token(&mesh, &header, "chatcode.v1.Admin/Status").await;
    ensure!(format!("{:#}", refused.err().context("is refused")?).contains("you may not do this"));

    chatcode(&["admin", "people", "suspend", "Ada"]).await?;
    ensure!(by_token(&mesh, &header, "chatcode.v1.Fleet/List").await.is_err(), "who is shut out is out");
    Ok(())
}

/// Calls with the token in this file and without a certificate.
async fn by_token(mesh: &Mesh, header: &std::path::Path, method: &str) -> anyhow::Result<String> {
    let buf = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("edge/web/node_modules/.bin/buf");
    ensure!(buf.exists(), "{} is missing; `just test` installs it", buf.display());
    let mut command = Command::new(buf);
    command
        .args(["curl", "--protocol", "grpc", "--data", "{}", "--cacert"])
        .arg(mesh.folder().join("roots.pem"))
        .args(["--servername", &mesh.admin.trust_domain().core_dns()])
        .args(["--reflect-header", "*", "--header", &format!("@{}", header.display())])
        .arg(format!("https://{}/{method}", mesh.grpc_address()))
        .kill_on_drop(true);
    let output = soon("buf curl", command.output()).await??;
    ensure!(output.status.success(), "buf curl: {}", String::from_utf8_lossy(&output.stderr));
    Ok(String::from_utf8(output.stdout)?)
}
