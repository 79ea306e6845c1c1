//! Signals: what the holder is told by them, and that the shell starts with
//! none ignored and none blocked.

use std::{
    io::{self, Read as _},
    os::{
        fd::{AsFd, BorrowedFd},
        unix::net::UnixStream,
    },
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use nix::sys::signal::SigSet;
use signal_hook::{consts::signal as sig, flag, low_level::pipe};

/// Every signal that a parent may have ignored and a shell or its programs
/// care about. An ignored signal stays ignored across exec, a handled one is
/// reset to its default: so each gets a handler that only sets a flag. This
/// also keeps the holder alive when its terminal hangs up or is interrupted.
const SHELL_SIGNALS: &[i32] = &[
    sig::SIGHUP,
    sig::SIGINT,
    sig::SIGQUIT,
    sig::SIGPIPE,
    sig::SIGALRM,
    sig::SIGTERM,
    sig::SIGUSR1,
    sig::SIGUSR2,
    sig::SIGCHLD,
    sig::SIGCONT,
    sig::SIGTSTP,
    sig::SIGTTIN,
    sig::SIGTTOU,
    sig::SIGURG,
    sig::SIGXCPU,
    sig::SIGXFSZ,
    sig::SIGVTALRM,
    sig::SIGPROF,
    sig::SIGWINCH,
    sig::SIGIO,
    sig::SIGSYS,
    sig::SIGTRAP,
];

/// The signals that the loop waits for.
#[derive(Debug)]
pub(crate) struct Signals {
    wake: UnixStream,
    child: Arc<AtomicBool>,
    terminate: Arc<AtomicBool>,
}

impl Signals {
    /// Unblocks every signal and handles those above. Must run before the
    /// shell is started.
    ///
    /// # Errors
    /// I/O errors.
    pub(crate) fn install() -> io::Result<Self> {
        let ignored = Arc::new(AtomicBool::new(false));
        let (child, terminate) = (Arc::default(), Arc::default());
        for &signal in SHELL_SIGNALS {
            let told = match signal {
                sig::SIGCHLD => &child,
                sig::SIGTERM => &terminate,
                _ => &ignored,
            };
            flag::register(signal, Arc::clone(told))?;
        }
        let (wake, waker) = UnixStream::pair()?;
        wake.set_nonblocking(true)?;
        pipe::register(sig::SIGCHLD, waker.try_clone()?)?;
        pipe::register(sig::SIGTERM, waker)?;
        // The mask is inherited across exec, and std leaves it as it is.
        SigSet::empty().thread_set_mask()?;
        Ok(Self { wake, child, terminate })
    }

    /// Takes what woke the loop.
    pub(crate) fn drain(&mut self) {
        let mut bytes = [0; 64];
        while matches!(self.wake.read(&mut bytes), Ok(n) if n > 0) {}
    }

    /// Whether a child has changed since the last call.
    pub(crate) fn child_changed(&self) -> bool {
        self.child.swap(false, Ordering::Relaxed)
    }

    /// Whether the holder was told to end since the last call.
    pub(crate) fn told_to_end(&self) -> bool {
        self.terminate.swap(false, Ordering::Relaxed)
    }
}

impl AsFd for Signals {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.wake.as_fd()
    }
}
