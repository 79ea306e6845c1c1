//! `chatcode attach` in a real terminal.

use crate::{
    pty::Pty,
    support::{Folder, eventually, kill},
};
use rustix::process::Signal;

#[test]
fn a_session_is_typed_into_and_the_terminal_comes_back_as_it_was() {
    let folder = Folder::new();
    let _up = folder.up();
    folder.prints(&["new", "--name", "work", "--", "bash", "--norc"]);
    let pty = Pty::new(30, 100);
    let before = pty.modes();
    let mut attach = pty.run(&folder.chatcode(&["attach", "work"]));
    pty.shows("bash");
    assert_ne!(format!("{before:?}"), format!("{:?}", pty.modes()), "the terminal is raw");
    pty.types("echo sum-$((40 + 2)); stty size\r");
    pty.shows("sum-42");
    pty.shows("30 100");
    pty.resize(25, 90);
    pty.types("while ! stty size | grep -q '25 90'; do sleep 0.05; done; echo resized-$((1 + 1))\r");
    pty.shows("resized-2");
    pty.types("printf '\\e[>1u\\e[?u'; read -rsd u keys; echo keys-${keys#??}\r");
    pty.shows("\x1b[>1u");
    pty.shows("keys-?1");
    assert!(!pty.text().contains("\x1b[?u"), "the holder answers, not this terminal: {:?}", pty.text());
    let copies = "printf '\\e]52;c;aGk=\\a'; echo copied-$((1 + 1))\r";
    pty.types(copies);
    pty.shows("copied-2");
    assert!(!pty.text().contains("\x1b]52;"), "its clipboard is not written: {:?}", pty.text());
    pty.types("\r~?");
    pty.shows("this help");
    pty.types("~.");
    assert_eq!(attach.wait().expect("ends").code(), Some(0));
    pty.shows("left work");
    let text = pty.text();
    let (_, after) = text.rsplit_once("\x1b[>1u").expect("was shown");
    assert!(after.contains("\x1b[?1049l\x1b7\x1b[?47h\x1b[<99u\x1b[=0u\x1b[?47l"), "{after:?}");
    assert!(after.contains("\x1b[?2004l\x1b[?2031l\x1b[<99u\x1b[=0u"), "{after:?}");
    assert_eq!(format!("{before:?}"), format!("{:?}", pty.modes()), "its modes are back");
    assert_eq!(folder.session()["state"], "running");

    let mut attach = pty.run(&folder.chatcode(&["attach", "--clipboard", "work"]));
    pty.types(copies);
    pty.shows("\x1b]52;c;aGk=\x07");
    pty.types("\r~.");
    assert_eq!(attach.wait().expect("ends").code(), Some(0));
}

#[test]
fn it_survives_the_daemon_and_the_core_with_every_number_once() {
    let folder = Folder::new();
    let up = folder.up();
    folder.prints(&["new", "--name", "count", "--", "bash", "--norc"]);
    let pty = Pty::new(30, 100);
    let mut attach = pty.run(&folder.chatcode(&["attach", "count"]));
    pty.shows("bash");
    pty.types("for i in $(seq 300); do echo number $i; sleep 0.02; done; echo all told; exit 3\r");
    for (role, number) in [("gateway", 30), ("core", 100)] {
        pty.shows(&format!("number {number}\r\n"));
        kill(folder.pids(&format!("chatcode-{role}"))[0], Signal::KILL);
        up.says(&format!("the {role} runs again"));
    }
    pty.shows("\nall told");
    assert_eq!(attach.wait().expect("ends").code(), Some(3), "the exit code of the shell");
    let text = pty.text();
    let numbers: Vec<u32> =
        text.split("number ").filter_map(|part| part.split("\r\n").next()?.parse().ok()).collect();
    assert_eq!(numbers, (1..=300).collect::<Vec<_>>());
}

/// A machine that hangs gives no error: the person once looked at a still
/// screen without a word.
#[test]
fn a_session_that_goes_silent_is_said_so_and_comes_back() {
    let folder = Folder::new();
    let _up = folder.up();
    folder.prints(&["new", "--name", "work", "--", "bash", "--norc"]);
    let pty = Pty::new(30, 100);
    let mut attach = pty.run(&folder.chatcode(&["attach", "work"]));
    pty.shows("bash");
    let gateway = folder.pids("chatcode-gateway")[0];
    kill(gateway, Signal::STOP);
    pty.types("echo sum-$((40 + 2))\r");
    pty.shows("it comes back by itself");
    kill(gateway, Signal::CONT);
    pty.shows("sum-42\r\n");
    pty.types("exit\r");
    assert_eq!(attach.wait().expect("ends").code(), Some(0));
    assert_eq!(pty.text().matches("sum-42\r\n").count(), 1, "typed once: {:?}", pty.text());
}

/// Makes the session `work` of this script, in a folder of its own; it is
/// started again after a crash.
fn restarting(folder: &Folder, script: &str) {
    let work = folder.path().join("work").display().to_string();
    let new = ["new", "--name", "work", "--restart", "on-crash", "--folder", &work, "--", "sh", "-c", script];
    folder.prints(&new);
}

#[test]
fn a_session_that_is_started_again_goes_on_in_the_same_terminal() {
    let folder = Folder::new();
    let _up = folder.up();
    let counts = "echo >> lives; echo life-$(wc -l < lives); exec bash --norc";
    restarting(&folder, counts);
    let pty = Pty::new(30, 100);
    let mut attach = pty.run(&folder.chatcode(&["attach", "work"]));
    pty.shows("life-1");
    pty.types("kill -9 $$\r");
    pty.shows("work is over: exited, signal 9; its policy starts it again");
    pty.shows("the session was started anew");
    pty.shows("life-2");
    folder.holders().into_iter().for_each(|pid| kill(pid, Signal::KILL));
    pty.shows("work is over: lost, its holder vanished; restarted once; its policy starts it again");
    pty.shows("life-3");
    pty.types("exit 4\r");
    assert_eq!(attach.wait().expect("ends").code(), Some(4), "an exit code is no crash");
    assert_eq!(pty.text().matches("its policy starts it again").count(), 2);
    assert_eq!(pty.text().matches("was started anew").count(), 2);
}

#[test]
fn who_does_not_want_to_wait_for_a_restart_leaves_with_ctrl_c() {
    let folder = Folder::new();
    let _up = folder.up();
    let crash = "test -e go || read go; touch go; kill -9 $$";
    restarting(&folder, crash);
    let pty = Pty::new(30, 100);
    let mut attach = pty.run(&folder.chatcode(&["attach", "work"]));
    eventually("a viewer", || folder.session()["viewers"] == 1);
    pty.types("\r");
    // The pauses grow: the third is long enough to leave in.
    eventually("a third wait", || pty.text().matches("Ctrl-C leaves").count() == 3);
    pty.types("\x03");
    assert_eq!(attach.wait().expect("ends").code(), Some(128 + 9), "how the shell ended");
    pty.shows("work has ended: signal 9");
}

#[test]
fn a_reader_does_not_type_and_a_signal_gives_the_terminal_back() {
    let folder = Folder::new();
    let _up = folder.up();
    folder.prints(&["new", "--name", "look", "--", "bash", "--norc"]);
    let pty = Pty::new(30, 100);
    let before = pty.modes();
    let mut attach = pty.run(&folder.chatcode(&["attach", "--read-only", "look"]));
    pty.shows("bash");
    pty.types("echo typed\r");
    pty.shows("read-only");
    kill(i32::try_from(attach.id()).expect("is a pid"), Signal::TERM);
    assert_eq!(attach.wait().expect("ends").code(), Some(0));
    assert_eq!(format!("{before:?}"), format!("{:?}", pty.modes()));
    assert!(!pty.text().contains("echo typed"), "{:?}", pty.text());
}

#[test]
fn without_a_terminal_or_a_session_it_says_so() {
    let folder = Folder::new();
    let missing = folder.run(&["attach", "x"]);
    assert_eq!(missing.status.code(), Some(78), "not enrolled: {missing:?}");
    let _up = folder.up();
    let unknown = folder.run(&["attach", "nothing"]);
    assert_eq!(unknown.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&unknown.stderr).contains("no session is called nothing"), "{unknown:?}");
    folder.prints(&["new", "--name", "here", "--", "sleep", "1000"]);
    let piped = folder.run(&["attach", "here"]);
    assert!(String::from_utf8_lossy(&piped.stderr).contains("needs a terminal"), "{piped:?}");
}
