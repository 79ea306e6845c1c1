//! The measure beside ours: the same shell on a plain PTY, read by blocking
//! calls.

use std::{
    fs::File,
    io::{Read, Write},
    os::fd::OwnedFd,
    process::Child,
};

use anyhow::bail;
use pty_process::blocking::{Command, open};

/// A shell on a plain PTY; killed when dropped.
pub(crate) struct Plain {
    pub(crate) pty: File,
    shell: Child,
}

impl Plain {
    pub(crate) fn start() -> anyhow::Result<Self> {
        let (pty, pts) = open()?;
        pty.resize(pty_process::Size::new(24, 80))?;
        let program = std::env::var("SHELL").unwrap_or_else(|_| "/bin/bash".to_owned());
        let shell = Command::new(program).env("TERM", "xterm-256color").spawn(pts)?;
        Ok(Self { pty: OwnedFd::from(pty).into(), shell })
    }
}

impl Drop for Plain {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.shell.kill();
        let _ = self.shell.wait();
    }
}

/// Types into a shell.
pub(crate) fn enter(mut shell: impl Write, text: &str) -> anyhow::Result<()> {
    Ok(shell.write_all(text.as_bytes())?)
}

/// Reads from a shell once; gives how many bytes came.
pub(crate) fn read(mut shell: impl Read, buffer: &mut [u8]) -> anyhow::Result<usize> {
    match shell.read(buffer)? {
        0 => bail!("the shell ended"),
        length => Ok(length),
    }
}

/// Reads until `text` was seen.
pub(crate) fn sees(mut shell: impl Read, text: &str) -> anyhow::Result<()> {
    let (mut seen, mut buffer) = (Vec::new(), [0; 4096]);
    while !seen.windows(text.len()).any(|window| window == text.as_bytes()) {
        let length = read(&mut shell, &mut buffer)?;
        seen.extend_from_slice(&buffer[..length]);
    }
    Ok(())
}
