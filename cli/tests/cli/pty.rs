//! A terminal with a program in it: what a person types and sees.

use std::{
    fs::{File, OpenOptions},
    io::{Read as _, Write as _},
    process::{Child, Command},
    sync::{Arc, Condvar, Mutex},
    time::Instant,
};

use rustix::{
    pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt},
    termios::{Termios, Winsize, tcgetattr, tcsetwinsize},
};

use crate::support::{PATIENCE, program};

/// A terminal.
pub(crate) struct Pty {
    master: File,
    slave: File,
    seen: Arc<(Mutex<Vec<u8>>, Condvar)>,
}

impl Pty {
    /// A terminal of this size with nothing in it.
    pub(crate) fn new(rows: u16, cols: u16) -> Self {
        let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).expect("a terminal");
        grantpt(&master).expect("is ours");
        unlockpt(&master).expect("is ours");
        let name = ptsname(&master, Vec::new()).expect("has a name").into_string().expect("is text");
        let slave = OpenOptions::new().read(true).write(true).open(name).expect("opens");
        let pty = Self { master: master.into(), slave, seen: Arc::default() };
        pty.resize(rows, cols);
        let (mut output, seen) = (pty.master.try_clone().expect("another"), Arc::clone(&pty.seen));
        std::thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok(n @ 1..) = output.read(&mut buffer) {
                seen.0.lock().expect("is whole").extend_from_slice(&buffer[..n]);
                seen.1.notify_all();
            }
        });
        pty
    }

    /// Runs `command` in it, as its controlling terminal.
    pub(crate) fn run(&self, command: &Command) -> Child {
        let end = || self.slave.try_clone().expect("another");
        let mut inside = Command::new(program("setsid"));
        inside.arg("--ctty").arg(command.get_program()).args(command.get_args());
        inside.stdin(end()).stdout(end()).stderr(end());
        inside.spawn().expect("starts")
    }

    /// Gives it another size.
    pub(crate) fn resize(&self, rows: u16, cols: u16) {
        let size = Winsize { ws_row: rows, ws_col: cols, ws_xpixel: 0, ws_ypixel: 0 };
        tcsetwinsize(&self.master, size).expect("has a size");
    }

    /// Its modes.
    pub(crate) fn modes(&self) -> Termios {
        tcgetattr(&self.slave).expect("has modes")
    }

    /// Types.
    pub(crate) fn types(&self, keys: &str) {
        (&self.master).write_all(keys.as_bytes()).expect("takes keys");
    }

    /// All that it showed, as text.
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.seen.0.lock().expect("is whole")).into_owned()
    }

    /// Waits until it has shown `text`.
    pub(crate) fn shows(&self, text: &str) {
        let deadline = Instant::now() + PATIENCE;
        let mut seen = self.seen.0.lock().expect("is whole");
        // Every byte is read once: the program's output waits for the lock.
        let mut from = 0;
        while !seen[from..].windows(text.len()).any(|window| window == text.as_bytes()) {
            from = seen.len().saturating_sub(text.len());
            let left = deadline.saturating_duration_since(Instant::now());
            assert!(!left.is_zero(), "{text:?} was not shown but {:?}", String::from_utf8_lossy(&seen));
            seen = self.seen.1.wait_timeout(seen, left).expect("is whole").0;
        }
    }
}
