//! A login by a device code where only the core and the pin of its root are known; the
//! person is a page of the test's own.

use std::{path::Path, process::Stdio};

use anyhow::{Context as _, ensure};
use chatcode_harness::{Mesh, Page, page::Target, proc, soon};
use chatcode_proto::pb;
use tokio::{
    io::{AsyncBufReadExt as _, BufReader},
    process::{Child, Command},
};

/// The command line of a person with a home of their own.
fn chatcode(home: &Path, arguments: &[&str]) -> anyhow::Result<Command> {
    let mut command = Command::new(proc::program("chatcode")?);
    command.args(arguments).env_clear().env("HOME", home).env("XDG_CONFIG_HOME", home).kill_on_drop(true);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    Ok(command)
}

/// The code that a login shows.
async fn code(login: &mut Child) -> anyhow::Result<String> {
    let mut lines = BufReader::new(login.stderr.take().context("is piped")?).lines();
    loop {
        let line = soon("the code", lines.next_line()).await??.context("it ended without a code")?;
        let word = line.trim();
        if word.len() == 9 && word.as_bytes()[4] == b'-' {
            return Ok(word.to_owned());
        }
    }
}

async fn decide(page: &Page, user_code: &str) -> anyhow::Result<()> {
    let request = pb::DevicesDecideRequest { user_code: user_code.to_owned(), approve: true };
    let answer = page.call("/chatcode.v1.Devices/Decide", &Target::default(), &request).await?;
    answer.decode::<pb::DevicesDecideResponse>()?;
    Ok(())
}

#[tokio::test]
async fn a_core_is_trusted_by_the_pin_of_its_root_or_by_a_file_of_roots_and_by_nothing_else()
-> anyhow::Result<()> {
    let mesh = Mesh::start().await?;
    let home = mesh.folder().join("home");
    std::fs::create_dir(&home)?;
    let core = mesh.grpc_address();
    let pin: String = mesh.admin.pins()[0].iter().map(|byte| format!("{byte:02x}")).collect();
    let roots = mesh.folder().join("roots.pem");
    std::fs::write(&roots, chatcode_certs::pem::certificates(mesh.admin.roots()))?;
    let roots = roots.to_string_lossy().into_owned();

    let other = "0".repeat(64);
    let refused = soon("the end", chatcode(&home, &["login", core, "--pin", &other])?.output()).await??;
    ensure!(!refused.status.success(), "{refused:?}");
    let words = String::from_utf8_lossy(&refused.stderr).into_owned();
    ensure!(words.contains("not the one that is meant"), "{words}");

    let page = mesh.page().await?;
    for (name, by) in [("pinned", ["--pin", pin.as_str()]), ("rooted", ["--roots", roots.as_str()])] {
        let arguments =
            [&["login", core, "--name", name, "--role", "viewer", "--ttl", "1h"][..], &by[..]].concat();
        let mut login = chatcode(&home, &arguments)?.spawn()?;
        decide(&page, &code(&mut login).await?).await?;
        let output = soon("the end of the login", login.wait_with_output()).await??;
        ensure!(output.status.success(), "{output:?}");
        let who = soon("whoami", chatcode(&home, &["whoami", "--json"])?.output()).await??;
        let who: serde_json::Value = serde_json::from_slice(&who.stdout)?;
        ensure!(who["context"] == name && who["role"] == "viewer" && who["core"] == core, "{who}");
    }
    Ok(())
}
