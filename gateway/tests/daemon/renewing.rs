//! What the daemon makes of the core's words on its certificate and on trust.

use std::{process::Stdio, time::Duration};

use chatcode_certs::{Authority, Identity, csr};
use chatcode_link::renew;
use chatcode_proto::pb::{self, Code, core_control::Kind as FromCore, gateway_control::Kind as FromGateway};

use crate::{
    core::{LiveLink, TestCore, eventually},
    machine::{Daemon, Machine},
};

async fn next_request(link: &mut LiveLink) -> pb::RenewRequest {
    loop {
        if let FromGateway::RenewRequest(request) = link.heard().await.expect("the link lives") {
            return request;
        }
    }
}

async fn next_trusts(link: &mut LiveLink) -> pb::Trusts {
    loop {
        if let FromGateway::Trusts(trusts) = link.heard().await.expect("the link lives") {
            return trusts;
        }
    }
}

fn travels(list: &[impl AsRef<[u8]>]) -> Vec<bytes::Bytes> {
    list.iter().map(|der| bytes::Bytes::copy_from_slice(der.as_ref())).collect()
}

fn trust(authority: &Authority) -> pb::Trust {
    let trust = authority.trust();
    pb::Trust { roots: travels(&trust.roots), bridges: travels(&trust.bridges) }
}

fn heard(machine: &Machine) -> Daemon {
    let mut command = machine.command();
    command.stderr(Stdio::piped());
    Daemon::spawn(command)
}

fn kept(machine: &Machine) -> Identity {
    Identity::load(&machine.data().join("identity")).unwrap().unwrap()
}

#[tokio::test]
async fn a_refused_renewal_is_in_the_log_and_the_core_is_asked_again() {
    let core = TestCore::start();
    let machine = Machine::enrolled(&core);
    let short = core.authority.identity(kept(&machine).name(), Duration::from_secs(6)).unwrap();
    short.save(&machine.data().join("identity")).unwrap();
    let daemon = heard(&machine);
    let mut link = core.link().await;
    next_request(&mut link).await;
    let message = "the core could not\u{1b}[2J make one".to_owned();
    link.say(FromCore::RenewRefused(pb::RenewRefused { code: Code::Internal.into(), message })).await;

    let request = next_request(&mut link).await;
    let key = csr::verify(&request.csr).unwrap();
    let issued = core.authority.issue(short.name(), &key, Duration::from_secs(3600)).unwrap();
    let trust = Some(trust(&core.authority));
    link.say(FromCore::Renewed(pb::Renewed { chain: travels(&issued.chain), trust })).await;
    eventually("the new certificate is kept", async || {
        (*kept(&machine).serial() == issued.serial).then_some(())
    })
    .await;
    let said = daemon.stop_and_read().await;
    assert!(said.contains("the core gave no new certificate") && said.contains("internal"), "{said}");
    assert!(said.contains("make one") && !said.contains('\u{1b}'), "{said}");
}

#[tokio::test]
async fn a_root_that_a_trusted_one_has_signed_is_followed_and_confirmed_and_no_other() {
    let core = TestCore::start();
    let machine = Machine::enrolled(&core);
    let daemon = heard(&machine);
    let greeted = core.hello().await;
    assert_eq!(greeted.hello.trusts, renew::pins(&kept(&machine)));
    let mut link = greeted.welcome(1).await;
    let stranger = TestCore::start();
    stranger.authority.prepare_root().unwrap();
    let ours = trust(&core.authority);
    let mut forged = trust(&stranger.authority);
    link.say(FromCore::Trust(forged.clone())).await;
    forged.roots[0] = ours.roots[0].clone();
    link.say(FromCore::Trust(forged)).await;

    core.authority.prepare_root().unwrap();
    link.say(FromCore::Trust(trust(&core.authority))).await;
    let both: Vec<_> = core.authority.root_pins().iter().map(|pin| pin.to_vec()).collect();
    assert_eq!(next_trusts(&mut link).await.pins, both, "the first that it says is of the last");
    eventually("both roots are kept", async || (kept(&machine).roots().len() == 2).then_some(())).await;

    core.authority.roll_back_root().unwrap();
    link.say(FromCore::Trust(trust(&core.authority))).await;
    assert_eq!(next_trusts(&mut link).await.pins, both[..1]);
    eventually("the old one is kept", async || (kept(&machine).roots().len() == 1).then_some(())).await;
    let said = daemon.stop_and_read().await;
    assert_eq!(said.matches("is not believed").count(), 2, "{said}");
}
