//! A session that runs `yes`, and a client that reads all it can, on a thread of its
//! own: it takes nothing from the client beside it but the machine.

use std::{
    io::{Read, Write},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
        mpsc,
    },
    thread::JoinHandle,
    time::{Duration, Instant},
};

use anyhow::Context as _;
use chatcode_harness::{Page, Terminal};
use serde_json::{Value, json};

use crate::{
    figures::Row,
    plain::{enter, read},
};

/// How often a client that reads looks whether it is over.
const LOOK: Duration = Duration::from_millis(50);

/// A flood that runs; it ends with [`Self::end`].
pub(crate) struct Flood {
    shared: Arc<Shared>,
    reader: JoinHandle<anyhow::Result<()>>,
    begun: Instant,
}

#[derive(Default)]
struct Shared {
    over: AtomicBool,
    bytes: AtomicU64,
}

impl Shared {
    fn add(&self, count: usize) {
        self.bytes.fetch_add(count as u64, Ordering::Relaxed);
    }

    fn is_over(&self) -> bool {
        self.over.load(Ordering::Relaxed)
    }
}

/// What a flood was.
pub(crate) struct Flooded {
    mb_per_s: f64,
}

impl Flood {
    /// From a shell that is read by blocking calls.
    ///
    /// # Errors
    /// When its first bytes do not come.
    pub(crate) fn of<S: Send + 'static, T: 'static>(shell: S, io: fn(&S) -> &T) -> anyhow::Result<Self>
    where
        for<'a> &'a T: Read + Write,
    {
        Self::run(move |shared, flows| {
            enter(io(&shell), "yes\n")?;
            let mut buffer = vec![0; 1 << 16];
            while !shared.is_over() {
                shared.add(read(io(&shell), &mut buffer)?);
                // The other end is gone when it knows already.
                let _ = flows.try_send(());
            }
            Ok(())
        })
    }

    /// Through edge, core, gateway and holder.
    ///
    /// # Errors
    /// When its first bytes do not come.
    pub(crate) fn chain(page: &Page, gateway: &str) -> anyhow::Result<Self> {
        let (page, gateway) = (page.clone(), gateway.to_owned());
        Self::run(move |shared, flows| {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            runtime.block_on(async {
                let mut terminal = Terminal::start(&page, &gateway, &["yes"]).await?;
                let counter = Arc::clone(&shared);
                terminal.pour_into(move |bytes| {
                    counter.add(bytes.len());
                    // As above.
                    let _ = flows.try_send(());
                });
                while !shared.is_over() {
                    terminal.rest(LOOK).await?;
                }
                // Or it floods beside what is measured next.
                terminal.enter("\u{3}")?;
                terminal.until("the end of the flood", |terminal| terminal.exit.is_some()).await
            })
        })
    }

    fn run(
        read: impl FnOnce(Arc<Shared>, mpsc::SyncSender<()>) -> anyhow::Result<()> + Send + 'static,
    ) -> anyhow::Result<Self> {
        let shared = Arc::new(Shared::default());
        let (flows, flowing) = mpsc::sync_channel(1);
        let reader = std::thread::spawn({
            let shared = Arc::clone(&shared);
            move || read(shared, flows)
        });
        flowing.recv().context("the flood did not begin")?;
        Ok(Self { shared, reader, begun: Instant::now() })
    }

    /// Ends it, and tells what it was.
    ///
    /// # Errors
    /// What went wrong in it.
    pub(crate) fn end(self) -> anyhow::Result<Flooded> {
        let seconds = self.begun.elapsed().as_secs_f64();
        let bytes = self.shared.bytes.load(Ordering::Relaxed);
        self.shared.over.store(true, Ordering::Relaxed);
        self.reader.join().map_err(|_| anyhow::anyhow!("the flood's reader panicked"))??;
        Ok(Flooded { mb_per_s: bytes as f64 / seconds / 1e6 })
    }
}

impl Flooded {
    /// A row of `echo_flood` with these figures of the keys.
    pub(crate) fn row(&self, system: &str, mut keys: Value) -> Row {
        keys["flood_mb_per_s"] = json!(self.mb_per_s);
        Row::new("echo_flood", system, keys)
    }
}
