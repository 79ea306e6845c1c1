//! `chatcode up` for real: all programs, and what becomes of them.

use std::net::TcpStream;

use crate::support::{Folder, eventually, kill};
use rustix::process::Signal;

#[test]
fn two_live_side_by_side_and_each_tells_all_in_one_line() {
    let (one, other) = (Folder::new(), Folder::new());
    let ups = [one.up(), other.up()];
    for (folder, up) in [&one, &other].into_iter().zip(&ups) {
        let origin = up.word("origin");
        let secret =
            up.word("url").strip_prefix(&format!("{origin}/#login=")).expect("the URL is of the origin");
        assert_eq!(secret.len(), 43);
        assert_eq!(up.word("data_dir"), folder.path().to_str().expect("is text"));
        for listener in ["core", "link"] {
            assert!(!up.word(listener).ends_with(":0"), "{}", up.ready);
        }
        let listing: serde_json::Value =
            serde_json::from_str(&folder.prints(&["gateway", "ls", "--json"])).expect("is JSON");
        assert_eq!(listing["id"], up.word("gateway"));
        assert_eq!(listing["state"], "online");
    }
    assert_ne!(ups[0].word("origin"), ups[1].word("origin"));
    assert_ne!(ups[0].word("core"), ups[1].word("core"));
}

#[test]
fn a_second_one_on_the_same_folder_is_sent_away() {
    let folder = Folder::new();
    let _up = folder.up();
    let output = folder.run(&["up"]);
    assert_eq!(output.status.code(), Some(75));
    let words = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(words.contains("login-url"), "{words}");
    let url = folder.prints(&["login-url"]);
    assert!(url.contains("/#login="), "{url}");
}

#[test]
fn a_program_that_is_killed_comes_back_on_the_same_ports() {
    let folder = Folder::new();
    let up = folder.up();
    let page: std::net::SocketAddr =
        up.word("origin").replace("http://localhost", "127.0.0.1").parse().expect("an address");
    for role in ["edge", "core", "gateway"] {
        let program = format!("chatcode-{role}");
        let before = folder.pids(&program);
        assert_eq!(before.len(), 1, "{role}");
        kill(before[0], Signal::KILL);
        up.says(&format!("the {role} has ended (signal 9)"));
        up.says(&format!("the {role} runs again"));
        assert_ne!(folder.pids(&program), before);
    }
    eventually("the gateway's link", || {
        let output = folder.run(&["gateway", "ls", "--json"]);
        output.status.success()
            && serde_json::from_slice::<serde_json::Value>(&output.stdout)
                .is_ok_and(|listing| listing["state"] == "online")
    });
    TcpStream::connect(page).expect("the page is where it was");
}

#[test]
fn ctrl_c_ends_all_but_the_holders_and_the_next_one_finds_the_session() {
    let folder = Folder::new();
    let up = folder.up();
    folder.prints(&["new", "--name", "kept", "--", "sleep", "1000"]);
    let before = folder.session();
    let ports = ["origin", "core", "link", "gateway"].map(|key| up.word(key).to_owned());
    assert_eq!(up.interrupt(), Some(0));
    for role in ["core", "edge", "gateway"] {
        assert!(folder.pids(&format!("chatcode-{role}")).is_empty(), "the {role} lives on");
    }
    let away = folder.run(&["ls"]);
    assert_eq!(away.status.code(), Some(69), "nobody answers: {away:?}");

    let up = folder.up();
    assert_eq!(ports, ["origin", "core", "link", "gateway"].map(|key| up.word(key).to_owned()));
    let after = folder.session();
    assert_eq!((&after["id"], &after["state"]), (&before["id"], &"running".into()));
    assert!(up.took < std::time::Duration::from_secs(10), "a warm start took {:?}", up.took);
    folder.prints(&["end", "kept", "--force"]);
    eventually("the end of the session", || folder.session()["state"] != "running");
}

/// The second machine of the README went offline without a word when its `up`
/// was started again without the addresses.
#[test]
fn what_other_machines_dial_stays_where_it_is_and_is_said() {
    let folder = Folder::new();
    let wide = "0.0.0.0:0";
    let up = folder.up_with(&["--core-listen", wide, "--link-listen", wide]);
    let before = ["core", "link"].map(|key| up.word(key).to_owned());
    assert!(before.iter().all(|address| address.starts_with("0.0.0.0:")), "{before:?}");
    assert_eq!(up.interrupt(), Some(0));

    let up = folder.up_with(&[]);
    assert_eq!(before, ["core", "link"].map(|key| up.word(key).to_owned()));
    let said = up.says("other machines can reach this one");
    assert!(said.contains("--core-listen 127.0.0.1:0"), "{said}");
    assert_eq!(up.interrupt(), Some(0));

    let up = folder.up();
    assert!(up.word("core").starts_with("127.0.0.1:"), "{}", up.ready);
}

#[test]
fn an_address_that_cannot_be_had_ends_it_with_the_code_for_its_cause() {
    let folder = Folder::new();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = taken.local_addr().expect("an address").to_string();
    let output = folder.run(&["up", "--core-listen", &address]);
    assert_eq!(output.status.code(), Some(75), "{output:?}");
    // TEST-NET-1 belongs to no machine.
    let output = folder.run(&["up", "--listen", "192.0.2.1:7420"]);
    assert_eq!(output.status.code(), Some(78), "{output:?}");
}

#[test]
fn its_end_of_input_ends_it_too_when_asked() {
    let folder = Folder::new();
    // Standard input is /dev/null here.
    let output = folder.run(&["up", "--json", "--listen", "127.0.0.1:0", "--exit-with-stdin"]);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    // What was being started is killed, which the system does in its own time.
    eventually("the end of what was started", || folder.pids("chatcode-").is_empty());
}
