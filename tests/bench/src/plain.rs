//! The measure beside ours: the same shell on a plain PTY, read by blocking
//! calls.

use std::io::{Read as _, Write as _};

use anyhow::ensure;
use pty_process::blocking::{Command, Pty};

/// A shell on a plain PTY.
pub(crate) struct Plain {
    pty: Pty,
    child: std::process::Child,
}

impl Plain {
    pub(crate) fn start() -> anyhow::Result<Self> {
        let (pty, pts) = pty_process::blocking::open()?;
        pty.resize(pty_process::Size::new(24, 80))?;
        let shell = std::env::var("SHELL").unwrap_or_else(|_| "/bin/bash".to_owned());
        let child = Command::new(shell).env("TERM", "xterm-256color").spawn(pts)?;
        Ok(Self { pty, child })
    }

    pub(crate) fn enter(&mut self, text: &str) -> anyhow::Result<()> {
        Ok(self.pty.write_all(text.as_bytes())?)
    }

    /// Reads once; gives how many bytes came.
    pub(crate) fn read(&mut self, buffer: &mut [u8]) -> anyhow::Result<usize> {
        let length = self.pty.read(buffer)?;
        ensure!(length > 0, "the PTY ended");
        Ok(length)
    }

    /// Reads until `text` was seen.
    pub(crate) fn sees(&mut self, text: &str) -> anyhow::Result<()> {
        let (mut seen, mut buffer) = (Vec::new(), [0; 4096]);
        while !seen.windows(text.len()).any(|window| window == text.as_bytes()) {
            let length = self.read(&mut buffer)?;
            seen.extend_from_slice(&buffer[..length]);
        }
        Ok(())
    }
}

impl Drop for Plain {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
