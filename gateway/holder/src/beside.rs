//! Work beside the loop, on a thread of its own: a slow disk must not hold up
//! keys.

use std::{io, thread::JoinHandle};

/// One piece of work at most, and what came of it.
#[derive(Debug, Default)]
pub(crate) struct Beside {
    thread: Option<JoinHandle<io::Result<()>>>,
}

impl Beside {
    /// Whether a piece of work goes on.
    pub(crate) fn is_busy(&self) -> bool {
        self.thread.as_ref().is_some_and(|thread| !thread.is_finished())
    }

    /// Begins `work` once the piece before is done, whose result is given as
    /// [`Self::finish`] does. Without a thread to be had it is done here.
    ///
    /// # Errors
    /// Of the piece before, or of work that was done here.
    pub(crate) fn begin(
        &mut self,
        work: impl Fn() -> io::Result<()> + Clone + Send + 'static,
    ) -> io::Result<()> {
        let before = self.finish();
        let begun = std::thread::Builder::new().name("beside".to_owned()).spawn(work.clone());
        match begun {
            Ok(thread) => self.thread = Some(thread),
            Err(_) => work()?,
        }
        before
    }

    /// Waits for the end of the work; gives what came of it, once.
    ///
    /// # Errors
    /// Of the work.
    pub(crate) fn finish(&mut self) -> io::Result<()> {
        let Some(thread) = self.thread.take() else { return Ok(()) };
        thread.join().unwrap_or_else(|_| Err(io::Error::other("its thread panicked")))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex, mpsc};

    use super::*;

    #[test]
    fn one_piece_goes_on_at_once_and_its_end_is_told_once() {
        let mut beside = Beside::default();
        assert!(!beside.is_busy() && beside.finish().is_ok());
        let (go, wait) = mpsc::channel::<()>();
        let wait = Arc::new(Mutex::new(wait));
        let work = move || {
            let _ = wait.lock().expect("is whole").recv();
            Err(io::Error::other("the disk is full"))
        };
        beside.begin(work).expect("nothing was before");
        assert!(beside.is_busy());
        drop(go);
        let (done, is_done) = mpsc::channel();
        let told = beside.begin(move || done.send(()).map_err(io::Error::other));
        assert_eq!(told.expect_err("of the first").to_string(), "the disk is full");
        is_done.recv().expect("the second went on nevertheless");
        beside.finish().expect("it was well");
        assert!(!beside.is_busy() && beside.finish().is_ok());
    }
}
