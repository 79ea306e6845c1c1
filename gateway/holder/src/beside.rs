//! Work beside the loop, on a thread of its own: a slow disk must not hold up
//! keys.

use std::{
    io::{self, PipeReader},
    os::fd::{AsFd as _, BorrowedFd},
    sync::mpsc::{Receiver, TryRecvError, channel},
    thread,
};

/// One piece of work at most, and what came of it.
#[derive(Debug, Default)]
pub(crate) struct Beside {
    work: Option<Work>,
}

#[derive(Debug)]
enum Work {
    /// The other end of the pipe is closed when the thread ends.
    GoesOn(Receiver<io::Result<()>>, PipeReader),
    /// There was no thread to be had.
    WasDoneHere(io::Result<()>),
}

impl Beside {
    /// Begins `work`; what went on before, if anything did, is told no more.
    /// Without a thread to be had it is done here.
    pub(crate) fn begin(&mut self, work: impl Fn() -> io::Result<()> + Clone + Send + 'static) {
        let begun = begin(work.clone());
        self.work = Some(begun.unwrap_or_else(|_| Work::WasDoneHere(work())));
    }

    /// What came of the work, once, when it has ended; waits for nothing.
    pub(crate) fn poll_end(&mut self) -> Option<io::Result<()>> {
        match self.work.take()? {
            Work::WasDoneHere(end) => Some(end),
            Work::GoesOn(end, bell) => match end.try_recv() {
                Ok(end) => Some(end),
                Err(TryRecvError::Disconnected) => Some(Err(io::Error::other("its thread panicked"))),
                Err(TryRecvError::Empty) => {
                    self.work = Some(Work::GoesOn(end, bell));
                    None
                }
            },
        }
    }

    /// Hangs up when work ends that goes on.
    pub(crate) fn bell(&self) -> Option<BorrowedFd<'_>> {
        match &self.work {
            Some(Work::GoesOn(_, bell)) => Some(bell.as_fd()),
            Some(Work::WasDoneHere(_)) | None => None,
        }
    }
}

fn begin(work: impl Fn() -> io::Result<()> + Send + 'static) -> io::Result<Work> {
    let (bell, rope) = io::pipe()?;
    let (tell, end) = channel();
    thread::Builder::new().name("beside".to_owned()).spawn(move || {
        let _rope = rope;
        let _ = tell.send(work());
    })?;
    Ok(Work::GoesOn(end, bell))
}

#[cfg(test)]
mod tests {
    use std::{
        io::Read as _,
        sync::{Arc, Mutex},
    };

    use super::*;

    #[test]
    fn nobody_waits_for_work_and_its_end_rings_and_is_told_once() {
        let mut beside = Beside::default();
        assert!(beside.poll_end().is_none() && beside.bell().is_none());
        let (go, wait) = channel::<()>();
        let wait = Arc::new(Mutex::new(wait));
        beside.begin(move || {
            let _ = wait.lock().expect("is whole").recv();
            Err(io::Error::other("the disk is full"))
        });
        assert!(beside.poll_end().is_none(), "it goes on");
        let bell = beside.bell().expect("it will ring").try_clone_to_owned().expect("a copy");
        drop(go);
        assert_eq!(PipeReader::from(bell).read(&mut [0]).expect("hangs up"), 0);
        let end = beside.poll_end().expect("it has ended");
        assert_eq!(end.expect_err("of the work").to_string(), "the disk is full");
        assert!(beside.poll_end().is_none() && beside.bell().is_none());
    }
}
