//! A running edge reads its settings and its certificate again at SIGHUP.

use std::{fs, path::Path, process::Stdio};

use chatcode_certs::{Authority, Identity, MemberName, tls};
use chatcode_proto::{id::MemberId, limits};
use rustix::process::{Pid, Signal, kill_process};
use tokio::{
    io::{AsyncBufRead, AsyncBufReadExt as _, BufReader, Lines},
    net::TcpStream,
    process::Command,
};
use tokio_rustls::TlsConnector;

use crate::house::{Ground, soon};

/// The next line of the log that has these words.
async fn told(log: &mut Lines<impl AsyncBufRead + Unpin>, words: &str) -> String {
    loop {
        let line = soon(log.next_line()).await.expect("is read").expect("the edge runs");
        if line.contains(words) {
            return line;
        }
    }
}

/// The certificate that browsers see.
async fn shown(ground: &Ground, address: &str) -> Vec<u8> {
    let connector = TlsConnector::from(tls::core_client(&ground.edge, &[b"h2"]).expect("a config"));
    let name = ground.edge.trust_domain().core_dns().try_into().expect("a name");
    let stream = TcpStream::connect(address).await.expect("connects");
    let stream = soon(connector.connect(name, stream)).await.expect("TLS");
    stream.get_ref().1.peer_certificates().expect("there are some")[0].to_vec()
}

/// Another certificate of the core, which the edge shows to browsers here.
fn renewed(ground: &Ground) -> Identity {
    let authority = Authority::open_or_create(&ground.folder.path().join("ca")).expect("the CA");
    let name = MemberName::Core(MemberId::from_random([1; 16]));
    authority.identity(&name, limits::EDGE_CERTIFICATE).expect("an identity")
}

fn write(file: &Path, ground: &Ground, more: &str) {
    let pem = ground.folder.path().join("browser/identity.pem");
    let data = ground.folder.path().join("edge");
    let text = format!(
        "data_dir = {data:?}\ncore = \"127.0.0.1:1\"\norigin = \"https://code.example\"\n\
         tls_cert = {pem:?}\ntls_key = {pem:?}\n{more}"
    );
    fs::write(file, text).expect("is written");
}

#[tokio::test]
async fn a_reload_shows_the_new_certificate_and_a_bad_file_keeps_all_as_it_was() {
    let ground = Ground::new();
    let browser = ground.folder.path().join("browser");
    ground.core.save(&browser).expect("is saved");
    let file = ground.folder.path().join("edge.toml");
    write(&file, &ground, "");
    let mut child = Command::new(env!("CARGO_BIN_EXE_chatcode-edge"))
        .args(["run", "--config"])
        .arg(&file)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .expect("starts");
    let mut out = BufReader::new(child.stdout.take().expect("a pipe")).lines();
    let mut log = BufReader::new(child.stderr.take().expect("a pipe")).lines();
    let ready = soon(out.next_line()).await.expect("is read").expect("is ready");
    let ready: serde_json::Value = serde_json::from_str(&ready).expect("is JSON");
    let address = ready["listen"].as_str().expect("an address");
    let first = shown(&ground, address).await;
    let pid = Pid::from_raw(i32::try_from(child.id().expect("runs")).expect("a number")).expect("a process");
    let hang_up = || kill_process(pid, Signal::HUP).expect("is told");

    renewed(&ground).save(&browser).expect("is saved");
    write(&file, &ground, "trusted_proxies = [\"10.0.0.0/8\"]\nlisten = \"127.0.0.1:2\"\n");
    hang_up();
    let taken = told(&mut log, "the settings were read again").await;
    assert!(taken.ends_with(": trusted_proxies"), "{taken}");
    told(&mut log, "needs a restart: listen").await;
    let second = shown(&ground, address).await;
    assert_ne!(first, second, "the certificate is the new one");

    write(&file, &ground, "trusted_proxies = [\"a proxy\"]\n");
    hang_up();
    told(&mut log, "the settings stay as they were").await;
    told(&mut log, ":6: trusted_proxies[0]").await;
    assert_eq!(shown(&ground, address).await, second);
}
