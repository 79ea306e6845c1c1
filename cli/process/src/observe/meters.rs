//! Meters in the words of Prometheus. Whoever counts keeps the handle: one count is one
//! atomic addition, without a lock or a look-up. Labels are words of the program's own
//! (`&'static str`), never what came from outside: so their number is bounded by the
//! source code.

use std::{
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeMetric as _, prometheus_text},
    metrics::{
        MetricType, counter::Counter as Count, family::Family, gauge::ConstGauge,
        histogram::Histogram as Buckets,
    },
    registry::Registry,
};

use crate::logging;

/// How the text of [`Meters::text`] is called in HTTP.
pub const CONTENT_TYPE: &str = prometheus_text::CONTENT_TYPE;

/// Buckets for what a person waits for, seconds: an echo, a call, a round trip.
pub const WAITS: &[f64] =
    &[0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];

/// Only goes up. Clones are the same counter.
#[derive(Clone, Debug, Default)]
pub struct Counter(Count);

impl Counter {
    /// One more.
    pub fn inc(&self) {
        self.0.inc();
    }

    /// So many more.
    pub fn add(&self, number: usize) {
        self.0.inc_by(number as u64);
    }

    /// How many by now.
    #[must_use]
    pub fn get(&self) -> u64 {
        self.0.get()
    }
}

/// How long things took. Clones are the same histogram.
#[derive(Clone, Debug)]
pub struct Histogram(Buckets);

impl Default for Histogram {
    fn default() -> Self {
        Self(Buckets::new(WAITS.iter().copied()))
    }
}

impl Histogram {
    /// Notes one.
    pub fn took(&self, time: Duration) {
        self.0.observe(time.as_secs_f64());
    }
}

/// Counters of one name, told apart by words of the program's own. Clones are the same.
#[derive(Clone, Debug)]
pub struct Counters<const N: usize> {
    keys: [&'static str; N],
    family: Family<[(&'static str, &'static str); N], Count>,
}

impl<const N: usize> Counters<N> {
    /// The counter of these words, in the order of the keys. A look-up: what counts often
    /// keeps it.
    #[must_use]
    pub fn of(&self, words: [&'static str; N]) -> Counter {
        let labels = std::array::from_fn(|at| (self.keys[at], words[at]));
        Counter(self.family.get_or_create_owned(&labels))
    }
}

/// All meters of one program. Clones are the same.
#[derive(Clone)]
pub struct Meters(Arc<Mutex<Registry>>);

impl fmt::Debug for Meters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Meters")
    }
}

impl Meters {
    /// The meters of `role`, all named `chatcode_ROLE_...`, with what every program tells:
    /// its version, its start, and lines of its log that were lost.
    #[must_use]
    pub fn new(role: &'static str, version: &'static str) -> Self {
        let meters = Self(Arc::new(Mutex::new(Registry::with_prefix(format!("chatcode_{role}")))));
        meters.read_each("build_info", "Always 1; the version of the program", "version", move || {
            vec![(version, 1.0)]
        });
        let started = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64();
        let help = "When the program started, in seconds since 1970";
        meters.read("start_time_seconds", help, move || started);
        let help = "Lines of the log that were lost since nobody read them in time";
        meters.read_count("log_lines_lost", help, logging::lost);
        meters
    }

    /// A counter; its name gets `_total`.
    #[must_use]
    pub fn counter(&self, name: &'static str, help: &'static str) -> Counter {
        let counter = Counter::default();
        self.show_counter(name, help, &counter);
        counter
    }

    /// The same for a counter that counts already.
    pub fn show_counter(&self, name: &'static str, help: &'static str, counter: &Counter) {
        self.lock().register(name, help, counter.0.clone());
    }

    /// Counters with labels of these keys; their name gets `_total`. Those of the words of
    /// `first` are there from the beginning, with 0, so that their first event is seen as
    /// a rise; at least one is.
    #[must_use]
    pub fn counters<const N: usize>(
        &self,
        name: &'static str,
        help: &'static str,
        keys: [&'static str; N],
        first: &[[&'static str; N]],
    ) -> Counters<N> {
        let family = Family::default();
        self.lock().register(name, help, family.clone());
        let counters = Counters { keys, family };
        for words in first {
            let _ = counters.of(*words);
        }
        counters
    }

    /// How long things took, in the buckets of [`WAITS`]; the name ends in `_seconds`.
    #[must_use]
    pub fn histogram(&self, name: &'static str, help: &'static str) -> Histogram {
        let histogram = Histogram::default();
        self.show_histogram(name, help, &histogram);
        histogram
    }

    /// The same for a histogram that is in use already.
    pub fn show_histogram(&self, name: &'static str, help: &'static str, histogram: &Histogram) {
        self.lock().register(name, help, histogram.0.clone());
    }

    /// A gauge that is read when somebody asks. `read` is quick and waits for nothing.
    pub fn read(
        &self,
        name: &'static str,
        help: &'static str,
        read: impl Fn() -> f64 + Send + Sync + 'static,
    ) {
        self.collect(name, help, MetricType::Gauge, Box::new(move |values| values(None, read())));
    }

    /// A gauge with one label, read when somebody asks.
    pub fn read_each(
        &self,
        name: &'static str,
        help: &'static str,
        key: &'static str,
        read: impl Fn() -> Vec<(&'static str, f64)> + Send + Sync + 'static,
    ) {
        let each = move |values: &mut Values<'_>| {
            read().into_iter().for_each(|(word, value)| values(Some((key, word)), value));
        };
        self.collect(name, help, MetricType::Gauge, Box::new(each));
    }

    /// A counter that is kept elsewhere, read when somebody asks; its name gets `_total`.
    pub fn read_count(
        &self,
        name: &'static str,
        help: &'static str,
        read: impl Fn() -> u64 + Send + Sync + 'static,
    ) {
        #[expect(clippy::cast_precision_loss, reason = "a count that is wrong by one in 2^53 is right")]
        let read = move |values: &mut Values<'_>| values(None, read() as f64);
        self.collect(name, help, MetricType::Counter, Box::new(read));
    }

    /// All of them as Prometheus reads them.
    #[must_use]
    pub fn text(&self) -> String {
        let mut text = String::new();
        // Writing into a string does not fail, nor does any of our collectors.
        let _ = prometheus_text::encode(&mut text, &self.lock());
        text
    }

    fn collect(&self, name: &'static str, help: &'static str, kind: MetricType, read: Reader) {
        let help = format!("{help}.");
        self.lock().register_collector(Box::new(Read { name, help, kind, read }));
    }

    fn lock(&self) -> MutexGuard<'_, Registry> {
        // No code panics while it holds the lock half way through a change.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What reads `of` for a gauge, and keeps it from nothing: the default when it is gone.
pub fn look<T, V: Default>(
    of: &Arc<T>,
    read: impl Fn(&T) -> V + Send + Sync + 'static,
) -> impl Fn() -> V + Send + Sync + 'static
where
    T: Send + Sync + 'static,
{
    let of = Arc::downgrade(of);
    move || of.upgrade().map(|of| read(&of)).unwrap_or_default()
}

/// Takes one value, with its label if it has one.
type Values<'a> = dyn FnMut(Option<(&'static str, &'static str)>, f64) + 'a;
/// Gives all values of one name.
type Reader = Box<dyn Fn(&mut Values<'_>) + Send + Sync>;

/// What is read when somebody asks.
struct Read {
    name: &'static str,
    help: String,
    kind: MetricType,
    read: Reader,
}

impl fmt::Debug for Read {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Read").field("name", &self.name).finish_non_exhaustive()
    }
}

impl Collector for Read {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let mut metric = encoder.encode_descriptor(self.name, &self.help, None, self.kind)?;
        let mut all = Ok(());
        (self.read)(&mut |label, value| {
            let one = match (label, self.kind) {
                (None, MetricType::Counter) => {
                    metric.encode_counter::<[(&str, &str); 0], f64, f64>(&value, None)
                }
                (None, _) => metric.encode_gauge(&value),
                (Some(label), _) => {
                    metric.encode_family(&[label]).and_then(|encoder| ConstGauge::new(value).encode(encoder))
                }
            };
            all = all.and(one);
        });
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_of_meter_is_told_by_its_name_with_its_unit_and_labels() {
        let meters = Meters::new("test", "1.2.3");
        let counter = meters.counter("things", "Things that were done");
        counter.inc();
        counter.add(2);
        meters.counters("ends", "Ends", ["code", "side"], &[["gone", "page"]]).of(["done", "page"]).inc();
        meters.histogram("wait_seconds", "Waits").took(Duration::from_millis(3));
        meters.read("now", "What is now", || 7.0);
        meters.read_each("each", "What each is", "state", || vec![("one", 1.0), ("two", 2.5)]);
        let text = meters.text();
        for line in [
            "# HELP chatcode_test_things_total Things that were done.",
            "# TYPE chatcode_test_things_total counter",
            "chatcode_test_things_total 3",
            "chatcode_test_ends_total{code=\"done\",side=\"page\"} 1",
            "chatcode_test_ends_total{code=\"gone\",side=\"page\"} 0",
            "# TYPE chatcode_test_wait_seconds histogram",
            "chatcode_test_wait_seconds_bucket{le=\"0.005\"} 1",
            "chatcode_test_wait_seconds_count 1",
            "# TYPE chatcode_test_now gauge",
            "chatcode_test_each{state=\"two\"} 2.5",
            "chatcode_test_build_info{version=\"1.2.3\"} 1.0",
            "# TYPE chatcode_test_log_lines_lost_total counter",
            "chatcode_test_log_lines_lost_total 0.0",
        ] {
            assert!(text.lines().any(|one| one == line), "{line} is not in\n{text}");
        }
        assert_eq!(counter.get(), 3);
    }
}
