//! Machines that come by a token: approved, refused, interrupted; and an
//! identity that is on two of them.

use std::{
    path::{Path, PathBuf},
    process::Stdio,
};

use anyhow::Context as _;
use chatcode_harness::{Mesh, Terminal, eventually, proc, soon};
use chatcode_proto::pb;
use serde_json::Value;
use tokio::{
    io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader},
    process::{Child, ChildStderr, Command},
};

/// `chatcode` as an administrator of this installation.
struct Operator {
    data: String,
}

impl Operator {
    async fn join(mesh: &Mesh) -> anyhow::Result<Self> {
        let operator = Self { data: mesh.folder().join("operator").to_string_lossy().into_owned() };
        let request =
            pb::FleetCreateTokenRequest { kind: pb::MemberKind::Admin.into(), ..Default::default() };
        let token = mesh.fleet()?.create_token(request).await?.into_inner().token;
        operator.run_with(&["admin", "enroll", "--core", mesh.grpc_address()], &token).await?;
        Ok(operator)
    }

    async fn run(&self, arguments: &[&str]) -> anyhow::Result<String> {
        self.run_with(arguments, "").await
    }

    async fn run_with(&self, arguments: &[&str], input: &str) -> anyhow::Result<String> {
        proc::run("chatcode", &[&["--data-dir", &self.data], arguments].concat(), input).await
    }

    /// The lines of a list, as JSON.
    async fn list(&self, arguments: &[&str]) -> anyhow::Result<Vec<Value>> {
        let text = self.run(&[arguments, &["--json"]].concat()).await?;
        text.lines().map(|line| Ok(serde_json::from_str(line)?)).collect()
    }

    async fn waiting(&self) -> anyhow::Result<Value> {
        eventually("a machine waits", async || {
            Ok(self.list(&["gateway", "pending"]).await?.into_iter().next())
        })
        .await
    }
}

/// `chatcode-gateway enroll` as it waits for a person.
struct Enrolling {
    child: Child,
    said: BufReader<ChildStderr>,
}

impl Enrolling {
    async fn start(mesh: &Mesh, data: &Path, token: &str) -> anyhow::Result<Self> {
        let mut child = Command::new(proc::program("chatcode-gateway")?)
            .args(["enroll", "--core", mesh.grpc_address(), "--data-dir"])
            .arg(data)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()?;
        child.stdin.take().context("is piped")?.write_all(token.as_bytes()).await?;
        let said = BufReader::new(child.stderr.take().context("is piped")?);
        Ok(Self { child, said })
    }

    /// The fingerprint that it shows.
    async fn fingerprint(&mut self) -> anyhow::Result<String> {
        let mut line = String::new();
        loop {
            line.clear();
            let read = soon("the fingerprint", self.said.read_line(&mut line)).await??;
            anyhow::ensure!(read > 0, "it ended without a fingerprint");
            if line.trim().starts_with("SHA256:") {
                return Ok(line.trim().to_owned());
            }
        }
    }

    /// Its exit code and all that it said after that.
    async fn ended(mut self) -> anyhow::Result<(Option<i32>, String)> {
        let mut text = String::new();
        soon("the end of its words", self.said.read_to_string(&mut text)).await??;
        Ok((soon("its end", self.child.wait()).await??.code(), text))
    }
}

fn folder(mesh: &Mesh, name: &str) -> PathBuf {
    mesh.folder().join(name)
}

/// A second daemon.
async fn start(mesh: &Mesh, name: &str) -> anyhow::Result<proc::Proc> {
    let data = folder(mesh, name).to_string_lossy().into_owned();
    let args = ["run", "--data-dir", &data, "--link", mesh.link_address(), "--exit-with-stdin"];
    proc::Proc::start("chatcode-gateway", &args, &folder(mesh, &format!("{name}.log"))).await
}

#[tokio::test]
async fn a_machine_waits_for_a_person_survives_a_kill_and_is_let_in_with_its_labels() -> anyhow::Result<()> {
    let mesh = Mesh::start().await?;
    let operator = Operator::join(&mesh).await?;
    let token = operator.run(&["gateway", "token", "--approval", "--label", "site=attic"]).await?;
    let data = folder(&mesh, "attic");
    let mut first = Enrolling::start(&mesh, &data, &token).await?;
    let shown = first.fingerprint().await?;
    first.child.kill().await?;
    assert!(!data.join("identity").exists(), "nothing was granted yet");

    // The same command with the same token waits on with the same key.
    let mut again = Enrolling::start(&mesh, &data, &token).await?;
    assert_eq!(again.fingerprint().await?, shown);
    let waiting = operator.waiting().await?;
    assert_eq!(waiting["fingerprint"], shown.as_str(), "a person sees the same");
    assert_eq!((&waiting["address"], &waiting["os"]), (&"127.0.0.1".into(), &"linux".into()));
    assert_eq!(waiting["labels"]["site"], "attic");
    let none = operator.list(&["gateway", "ls"]).await?;
    assert_eq!(none.len(), 1, "only the machine of before is a member: {none:?}");

    operator.run(&["gateway", "approve", &shown]).await?;
    assert_eq!(again.ended().await?.0, Some(0));
    assert!(!data.join("enrolling.pem").exists(), "keys that are in use are not left aside");
    let daemon = start(&mesh, "attic").await?;
    let machines = operator.list(&["gateway", "ls"]).await?;
    let id = daemon.word("gateway")?;
    let machine = machines.iter().find(|one| one["id"] == id.as_str()).context("it is listed")?;
    assert_eq!((&machine["state"], &machine["labels"]["site"]), (&"online".into(), &"attic".into()));
    assert!(operator.run(&["ls"]).await?.contains("site=attic"), "people see labels too");
    Ok(())
}

#[tokio::test]
async fn a_machine_that_a_person_refuses_ends_with_clear_words_and_so_does_one_whose_token_is_taken_back()
-> anyhow::Result<()> {
    let mesh = Mesh::start().await?;
    let operator = Operator::join(&mesh).await?;
    for how in ["refuse", "take back"] {
        let token = operator.run(&["gateway", "token", "--approval"]).await?;
        let mut enrolling = Enrolling::start(&mesh, &folder(&mesh, how), &token).await?;
        enrolling.fingerprint().await?;
        let waiting = operator.waiting().await?;
        let word = |key: &str| waiting[key].as_str().unwrap_or_default().to_owned();
        if how == "refuse" {
            operator.run(&["gateway", "refuse", &word("id")]).await?;
        } else {
            operator.run(&["gateway", "token-revoke", &word("token")]).await?;
        }
        let (code, said) = enrolling.ended().await?;
        assert_eq!(code, Some(77), "{how}: {said}");
        assert!(said.contains("a person refused this machine"), "{how}: {said}");
        let refused = operator.run(&["gateway", "approve", &word("id")]).await;
        assert!(refused.is_err_and(|error| error.to_string().contains("no waiting machine")), "{how}");
    }
    Ok(())
}

#[tokio::test]
async fn tokens_are_listed_without_their_secret_and_taken_back() -> anyhow::Result<()> {
    let mesh = Mesh::start().await?;
    let operator = Operator::join(&mesh).await?;
    let token =
        operator.run(&["gateway", "token", "--uses", "3", "--ttl", "1h", "--from", "127.0.0.0/8"]).await?;
    let other = operator.run(&["gateway", "token"]).await?;
    let id = token.split('.').nth(1).context("a token has an id")?;
    let secret = token.split('.').nth(2).context("a token has a secret")?;
    let listed = operator.run(&["gateway", "tokens"]).await?;
    assert!(listed.contains(id) && listed.contains("0 of 3") && listed.contains("127.0.0.0/8"), "{listed}");
    assert!(!listed.contains(secret), "no secret");
    operator.run(&["gateway", "token-revoke", id]).await?;
    let listed = operator.list(&["gateway", "tokens"]).await?;
    assert_eq!(listed.len(), 1, "the other one stays good: {listed:?}");
    let mut refused = Enrolling::start(&mesh, &folder(&mesh, "late"), &token).await?;
    assert_eq!(soon("its end", refused.child.wait()).await??.code(), Some(77));
    let data = folder(&mesh, "good").to_string_lossy().into_owned();
    let args = ["enroll", "--data-dir", &data, "--core", mesh.grpc_address()];
    proc::run("chatcode-gateway", &args, &other).await?;
    let wrong = operator.run(&["gateway", "token", "--uses", "0"]).await;
    assert!(wrong.is_err_and(|error| error.to_string().contains("--uses is 0")));
    Ok(())
}

#[tokio::test]
async fn a_copied_identity_is_kept_out_while_the_original_lives_and_people_are_told() -> anyhow::Result<()> {
    let mut mesh = Mesh::start().await?;
    let operator = Operator::join(&mesh).await?;
    let page = mesh.page().await?;
    let mut terminal = Terminal::start(&page, &mesh.gateway_id()?, &["cat"]).await?;
    let copy = folder(&mesh, "copy").join("identity");
    std::fs::create_dir_all(&copy)?;
    for file in std::fs::read_dir(mesh.data_dir("gateway").join("identity"))? {
        let file = file?;
        std::fs::copy(file.path(), copy.join(file.file_name()))?;
    }
    for private in [copy.as_path(), copy.parent().context("has one")?] {
        use std::os::unix::fs::PermissionsExt as _;
        std::fs::set_permissions(private, std::fs::Permissions::from_mode(0o700))?;
    }
    let log = folder(&mesh, "copy.log");
    let mut second = Command::new(proc::program("chatcode-gateway")?)
        .args(["run", "--link", mesh.link_address(), "--data-dir"])
        .arg(folder(&mesh, "copy"))
        .stderr(std::fs::File::create(&log)?)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .kill_on_drop(true)
        .spawn()?;
    eventually("the copy is told why", async || {
        let said = std::fs::read_to_string(&log)?;
        Ok(said.contains("another live machine uses this").then_some(()))
    })
    .await?;
    let alarm = mesh.audit().await?.into_iter().find(|row| row.action == "link.duplicate");
    let alarm = alarm.context("the alarm is in the audit")?;
    assert_eq!((alarm.gateway, alarm.result), (mesh.gateway_id()?, pb::Code::DuplicateIdentity.into()));
    assert!(mesh.core.log().contains("two machines use this gateway's identity"));
    assert!(operator.run(&["gateway", "ls"]).await?.contains("used by two machines"));
    // A person has looked into it; what the copy did since is another alarm.
    second.kill().await?;
    let id = mesh.gateway_id()?;
    eventually("the alarm that stands is acknowledged", async || {
        let _ = operator.run(&["gateway", "acknowledge", &id]).await;
        Ok((!operator.run(&["gateway", "ls"]).await?.contains("used by two machines")).then_some(()))
    })
    .await?;
    assert!(mesh.audit().await?.iter().any(|row| row.action == "duplicate.acknowledged"));
    terminal.enter("untouched\n")?;
    terminal.sees("untouched\r\nuntouched\r\n").await?;
    assert_eq!(terminal.attachments, 1, "the original was not cut off for a moment");

    // A restart of the original after a crash is none.
    let alarms = async |mesh: &Mesh| -> anyhow::Result<usize> {
        Ok(mesh.audit().await?.iter().filter(|row| row.action == "link.duplicate").count())
    };
    let before = alarms(&mesh).await?;
    mesh.replace_gateway().await?;
    mesh.gateway_online().await?;
    assert_eq!(alarms(&mesh).await?, before);
    Ok(())
}
