//! Logs go to standard error; standard output belongs to the program's answer.
//!
//! A thread of its own writes them: standard error may be a pipe that nobody
//! reads just now, or a terminal that is held by Ctrl-S, and neither may hold
//! up what the program serves. What does not fit is lost, and counted.

use std::{
    fs::File,
    io::{self, IsTerminal as _, Write},
    os::fd::AsFd,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicU64, Ordering},
        mpsc::{self, Receiver, SyncSender, TryRecvError},
    },
    thread,
};

use chatcode_proto::limits;
use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    pipe::PIPE_BUF,
};
use tracing_subscriber::{
    EnvFilter, Layer, layer::SubscriberExt as _, registry::LookupSpan, reload, util::SubscriberInitExt as _,
};

use crate::observe::trace::{self, TraceError};

/// What is logged unless `CHATCODE_LOG` says otherwise: our own news, and the
/// warnings of what we rest on.
const DEFAULT_FILTER: &str = "warn,chatcode=info";

/// Where this process writes once [`init_logging`] was called.
static QUEUE: OnceLock<Queue> = OnceLock::new();

/// Sets another filter; made by [`init_logging`].
static SET_FILTER: OnceLock<SetFilter> = OnceLock::new();

type SetFilter = Box<dyn Fn(EnvFilter) -> Result<(), reload::Error> + Send + Sync>;

/// Starts logging. `CHATCODE_LOG` holds a filter in the form of
/// `tracing_subscriber::EnvFilter`; `CHATCODE_LOG_FORMAT=json` writes one JSON
/// object per line. A second call changes nothing. At most
/// [`limits::LOG_LINES`] lines wait to be written.
pub fn init_logging(role: &str) {
    if tracing_subscriber::registry().with(lines()).try_init().is_ok() {
        tracing::debug!(target: "chatcode", role, "logging");
    }
}

/// The same, and spans of calls go to the collector at `otlp`, if there is one. In a
/// tokio runtime.
///
/// # Errors
/// [`TraceError`].
pub fn init_logging_and_traces(role: &'static str, otlp: Option<&str>) -> Result<(), TraceError> {
    let Some(address) = otlp else {
        init_logging(role);
        return Ok(());
    };
    let traces = trace::layer(role, address)?;
    tracing_subscriber::registry().with(lines()).with(traces).try_init().map_err(|_| TraceError::Late)?;
    tracing::info!(target: "chatcode", role, otlp = address, "calls are traced");
    Ok(())
}

/// The layer that writes lines.
fn lines<S>() -> impl Layer<S>
where
    S: tracing::Subscriber + for<'a> LookupSpan<'a>,
{
    let filter = EnvFilter::new(filter_of_environment().as_deref().unwrap_or(DEFAULT_FILTER));
    let (filter, handle) = reload::Layer::new(without_traces(filter));
    let _ = SET_FILTER.set(Box::new(move |filter| handle.reload(without_traces(filter))));
    // A log that cannot be written is lost. Complaining about it on the same
    // standard error would panic where nobody reads that any more.
    let layer = tracing_subscriber::fmt::layer()
        .with_writer(|| QUEUE.get_or_init(|| Queue::start(stderr())).clone())
        .log_internal_errors(false);
    let json = std::env::var("CHATCODE_LOG_FORMAT").is_ok_and(|format| format == "json");
    if json { layer.json().boxed() } else { layer.with_ansi(io::stderr().is_terminal()).boxed() }
        .with_filter(filter)
}

/// What only a collector gets is no line.
fn without_traces(filter: EnvFilter) -> EnvFilter {
    match format!("{}=off", trace::TARGET).parse() {
        Ok(off) => filter.add_directive(off),
        Err(_) => filter,
    }
}

/// Lines that were lost since the start.
pub(crate) fn lost() -> u64 {
    QUEUE.get().map_or(0, |queue| queue.lost.load(Ordering::Relaxed))
}

/// What `CHATCODE_LOG` says, if it says anything.
fn filter_of_environment() -> Option<String> {
    std::env::var("CHATCODE_LOG").ok().filter(|text| !text.is_empty())
}

/// Whether this is a filter.
///
/// # Errors
/// Why it is none.
pub fn check_filter(text: &str) -> Result<(), String> {
    EnvFilter::builder().parse(text).map(drop).map_err(|error| error.to_string())
}

/// Logs by this filter from now on, or without one by the usual filter; by
/// `CHATCODE_LOG` where that is set.
pub fn set_filter(text: Option<&str>) {
    let of_environment = filter_of_environment();
    let wanted = of_environment.as_deref().or(text).unwrap_or(DEFAULT_FILTER);
    let (Some(set), Ok(filter)) = (SET_FILTER.get(), EnvFilter::builder().parse(wanted)) else { return };
    if let Err(error) = set(filter) {
        tracing::warn!(target: "chatcode", %error, "the filter of the log stays as it is");
    }
}

/// Waits until all that was logged is written, [`limits::LOG_FLUSH`] at most: for
/// a process that is about to become another program.
pub fn flush() {
    last_line("");
}

/// Writes the last line of a program, empty for none, after all that was
/// logged, as far as that is written within [`limits::LOG_FLUSH`]. Does not wait
/// for a standard error that nobody reads.
pub(crate) fn last_line(line: &str) {
    if let Some(queue) = QUEUE.get() {
        queue.settle();
    }
    if !line.is_empty() {
        say_now(io::stderr(), line);
    }
}

/// Writes a line past the queue, whose thread may not have had its turn on a
/// busy machine. One that could not be written without waiting is lost, and what
/// is longer than a pipe takes at once is cut.
fn say_now(out: impl AsFd, line: &str) {
    let mut ready = [PollFd::new(&out, PollFlags::OUT)];
    let at_once = Timespec { tv_sec: 0, tv_nsec: 0 };
    if !poll(&mut ready, Some(&at_once)).is_ok_and(|ready| ready == 1) {
        return;
    }
    let Ok(out) = out.as_fd().try_clone_to_owned() else { return };
    let line = format!("{}\n", &line[..line.floor_char_boundary(PIPE_BUF - 1)]);
    let (done, written) = mpsc::sync_channel(1);
    // The thread of the log may fill the pipe before this does, and then nobody makes
    // room: the program ends all the same. Nobody is left to tell of what cannot be
    // written.
    let saying = move || {
        let _ = rustix::io::write(&out, line.as_bytes());
        let _ = done.try_send(());
    };
    if thread::Builder::new().name("last line".to_owned()).spawn(saying).is_ok() {
        let _ = written.recv_timeout(limits::LOG_FLUSH);
    }
}

/// Standard error itself: the lock around [`io::stderr`] would hold up others
/// while the thread waits to write.
fn stderr() -> Box<dyn Write + Send> {
    match io::stderr().as_fd().try_clone_to_owned() {
        Ok(file) => Box::new(File::from(file)),
        // It is closed, or no file can be opened any more.
        Err(_) => Box::new(io::stderr()),
    }
}

enum Entry {
    Line(Vec<u8>),
    /// Everything before is written when this is sent on.
    Written(SyncSender<()>),
}

/// The lines that wait to be written.
#[derive(Clone)]
struct Queue {
    entries: SyncSender<Entry>,
    /// Lines that were lost since the start.
    lost: Arc<AtomicU64>,
}

impl Queue {
    /// Begins to write to `out`, until the last clone is dropped. Without a
    /// thread all is lost.
    fn start(out: Box<dyn Write + Send>) -> Self {
        let (entries, waiting) = mpsc::sync_channel(limits::LOG_LINES);
        let lost = Arc::new(AtomicU64::new(0));
        let counted = Arc::clone(&lost);
        let _ = thread::Builder::new().name("log".to_owned()).spawn(move || write(out, &waiting, &counted));
        Self { entries, lost }
    }

    /// Waits until all is written, at most [`limits::LOG_FLUSH`].
    fn settle(&self) {
        let (done, written) = mpsc::sync_channel(1);
        // A queue that is full is not being read: nothing is worth waiting for.
        if self.entries.try_send(Entry::Written(done)).is_ok() {
            let _ = written.recv_timeout(limits::LOG_FLUSH);
        }
    }
}

/// One call is one line. Never fails, never waits.
impl Write for Queue {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        if self.entries.try_send(Entry::Line(line.to_vec())).is_err() {
            self.lost.fetch_add(1, Ordering::Relaxed);
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Writes what comes, and tells of lost lines when it has caught up.
fn write(mut out: Box<dyn Write + Send>, waiting: &Receiver<Entry>, lost: &AtomicU64) {
    let mut told = 0;
    loop {
        let entry = match waiting.try_recv() {
            Ok(entry) => entry,
            Err(TryRecvError::Disconnected) => return,
            Err(TryRecvError::Empty) => {
                let lost = lost.load(Ordering::Relaxed);
                if lost != told {
                    told = lost;
                    tracing::warn!(target: "chatcode", lost, "the log was not read in time; lines are lost");
                }
                let Ok(entry) = waiting.recv() else { return };
                entry
            }
        };
        match entry {
            // Nobody is left to tell of what cannot be written.
            Entry::Line(line) => _ = out.write_all(&line),
            Entry::Written(done) => _ = done.try_send(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{io::Read as _, time::Instant};

    use super::*;

    #[test]
    fn a_log_that_nobody_reads_holds_up_neither_the_program_nor_its_end() {
        let (mut reader, writer) = io::pipe().expect("a pipe");
        let same = writer.try_clone().expect("the same pipe");
        let queue = Queue::start(Box::new(writer));
        let line = [b'x'; 1024];
        let begun = Instant::now();
        for _ in 0..2 * limits::LOG_LINES {
            queue.clone().write_all(&line).expect("never fails");
        }
        queue.settle();
        say_now(&same, "the end");
        assert!(begun.elapsed() < 2 * limits::LOG_FLUSH + std::time::Duration::from_secs(2));
        let lost = usize::try_from(queue.lost.load(Ordering::Relaxed)).expect("is small");
        assert!(lost > 0 && lost <= limits::LOG_LINES + 1, "{lost}");
        drop((queue, same));
        let mut text = Vec::new();
        reader.read_to_end(&mut text).expect("goes on when it is read");
        assert!(text.len() >= limits::LOG_LINES * line.len(), "what waited was written");
    }

    #[test]
    fn the_last_line_is_written_after_all_others() {
        let (mut reader, writer) = io::pipe().expect("a pipe");
        let same = writer.try_clone().expect("the same pipe");
        let queue = Queue::start(Box::new(writer));
        queue.clone().write_all(b"first\n").expect("never fails");
        queue.settle();
        say_now(&same, "last");
        let mut text = [0; 11];
        reader.read_exact(&mut text).expect("is written");
        assert_eq!(&text, b"first\nlast\n");
    }

    #[test]
    fn the_last_line_is_said_also_where_the_thread_of_the_log_never_gets_its_turn() {
        let (entries, _waiting) = mpsc::sync_channel(limits::LOG_LINES);
        let queue = Queue { entries, lost: Arc::default() };
        queue.settle();
        let (mut reader, writer) = io::pipe().expect("a pipe");
        say_now(&writer, &format!("{}é", "x".repeat(PIPE_BUF - 2)));
        drop(writer);
        let mut text = String::new();
        reader.read_to_string(&mut text).expect("whole characters");
        assert_eq!(text.len(), PIPE_BUF - 1, "cut to what a pipe takes at once");
        assert!(text.ends_with("x\n"));
    }
}
