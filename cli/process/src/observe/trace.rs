//! Traces of calls, not of frames, as OpenTelemetry has them: each call is a span at each
//! hop, and all of one call are one trace (W3C `traceparent`). They go to a collector on
//! this machine, by OTLP over gRPC; what it does not take in time is lost.
//!
//! The spans have a target of their own, which the log never shows; without a collector
//! nobody makes them.

use std::{net::IpAddr, sync::OnceLock, time::Duration};

use chatcode_proto::{limits, pb::Code};
use http::{HeaderMap, HeaderName, HeaderValue, Uri};
use opentelemetry::{
    KeyValue,
    propagation::{Extractor, Injector, TextMapPropagator as _},
    trace::{Status, TracerProvider as _},
};
use opentelemetry_otlp::{ExporterBuildError, SpanExporter, WithExportConfig as _};
use opentelemetry_sdk::{
    Resource,
    propagation::TraceContextPropagator,
    trace::{BatchConfigBuilder, BatchSpanProcessor, SdkTracerProvider, SpanExporter as Exporter},
};
use tracing::Span;
use tracing_opentelemetry::OpenTelemetrySpanExt as _;
use tracing_subscriber::{Layer, filter::filter_fn, registry::LookupSpan};

/// The target of the spans of calls.
pub(crate) const TARGET: &str = "chatcode::trace";

/// The headers by which a trace goes from hop to hop.
pub const HEADERS: [&str; 3] = ["traceparent", "tracestate", "baggage"];

/// Where the spans of this process go; for its end.
static PROVIDER: OnceLock<SdkTracerProvider> = OnceLock::new();

/// Why there can be no traces.
#[derive(Debug, thiserror::Error)]
pub enum TraceError {
    /// The setting names no collector on this machine.
    #[error(
        "otlp = {0:?} is no collector on this machine; name one as http://127.0.0.1:4317, which sends on what it gets over TLS"
    )]
    Address(String),
    /// The library cannot make an exporter.
    #[error("traces cannot be sent to the collector")]
    Exporter(#[from] ExporterBuildError),
    /// The program logs already.
    #[error("the log was begun before the traces")]
    Late,
}

/// Whether `address` is a collector that traces may go to.
///
/// # Errors
/// [`TraceError::Address`].
pub(crate) fn check(address: &str) -> Result<(), TraceError> {
    if is_on_this_machine(address) {
        return Ok(());
    }
    Err(TraceError::Address(address.chars().take(limits::COLLECTOR_ADDRESS_BYTES).collect()))
}

/// The layer that sends the spans of calls of `role` to the collector at `address`. In a
/// tokio runtime.
///
/// # Errors
/// [`TraceError`].
pub(crate) fn layer<S>(role: &'static str, address: &str) -> Result<impl Layer<S>, TraceError>
where
    S: tracing::Subscriber + for<'a> LookupSpan<'a>,
{
    check(address)?;
    let provider = provider(role, exporter(address)?);
    let tracer = provider.tracer("chatcode");
    PROVIDER.set(provider).map_err(|_| TraceError::Late)?;
    let layer = tracing_opentelemetry::layer()
        .with_tracer(tracer)
        .with_location(false)
        .with_threads(false)
        .with_target(false)
        .with_tracked_inactivity(false);
    Ok(layer.with_filter(filter_fn(|facts| facts.is_span() && facts.target() == TARGET)))
}

/// What sends spans to the collector at `address`. In a tokio runtime.
fn exporter(address: &str) -> Result<SpanExporter, ExporterBuildError> {
    SpanExporter::builder().with_tonic().with_endpoint(address).with_timeout(limits::COLLECTOR).build()
}

/// Gathers the spans of `role` for the exporter, [`limits::SPANS`] at most.
fn provider(role: &'static str, exporter: impl Exporter + 'static) -> SdkTracerProvider {
    let batches = BatchConfigBuilder::default()
        .with_max_queue_size(limits::SPANS)
        .with_max_export_batch_size(limits::SPANS_AT_ONCE)
        .with_scheduled_delay(Duration::from_secs(1))
        .build();
    let resource = Resource::builder_empty()
        .with_service_name(format!("chatcode-{role}"))
        .with_attribute(KeyValue::new("service.version", env!("CARGO_PKG_VERSION")))
        .build();
    SdkTracerProvider::builder()
        .with_span_processor(BatchSpanProcessor::builder(exporter).with_batch_config(batches).build())
        .with_resource(resource)
        .build()
}

/// Sends what waits, [`limits::COLLECTOR_LAST`] at most. For the end of a program.
pub(crate) async fn finish() {
    if let Some(provider) = PROVIDER.get().cloned() {
        send_last(provider).await;
    }
}

async fn send_last(provider: SdkTracerProvider) {
    // It waits for a thread of the library, which needs this runtime to go on.
    let last = tokio::task::spawn_blocking(move || provider.shutdown_with_timeout(limits::COLLECTOR_LAST));
    let _ = tokio::time::timeout(limits::COLLECTOR_LAST, last).await;
}

/// One call at this hop; it lasts until the last clone of the span is dropped. `from` has
/// the headers of a hop that is trusted to say which trace it belongs to; without them, or
/// where they say nothing, the call begins one.
#[must_use]
pub fn call(method: &str, from: Option<&HeaderMap>) -> Span {
    let span = tracing::info_span!(target: TARGET, "call", otel.name = method, otel.kind = "server");
    if !span.is_disabled()
        && let Some(headers) = from
    {
        let parent = TraceContextPropagator::new().extract(&Read(headers));
        // Fails only for a span that has begun, and nobody has entered this one.
        let _ = span.set_parent(parent);
    }
    span
}

/// Notes by which id the logs of all hops name the call.
pub fn named(span: &Span, request_id: &str) {
    if !span.is_disabled() {
        span.set_attribute("chatcode.request_id", request_id.to_owned());
    }
}

/// Notes how the call ended.
pub fn ended(span: &Span, code: Code) {
    if span.is_disabled() {
        return;
    }
    span.set_attribute("chatcode.code", code.name());
    if code != Code::Done {
        span.set_status(Status::error(code.name()));
    }
}

/// Names the trace of `span` in the headers of the call to the next hop. What they said of
/// another is gone.
pub fn pass_on(span: &Span, headers: &mut HeaderMap) {
    for name in HEADERS {
        headers.remove(name);
    }
    if !span.is_disabled() {
        TraceContextPropagator::new().inject_context(&span.context(), &mut Write(headers));
    }
}

struct Read<'a>(&'a HeaderMap);

impl Extractor for Read<'_> {
    fn get(&self, key: &str) -> Option<&str> {
        self.0.get(key)?.to_str().ok()
    }

    fn keys(&self) -> Vec<&str> {
        self.0.keys().map(HeaderName::as_str).collect()
    }
}

struct Write<'a>(&'a mut HeaderMap);

impl Injector for Write<'_> {
    fn set(&mut self, key: &str, value: String) {
        if let (Ok(name), Ok(value)) = (HeaderName::try_from(key), HeaderValue::try_from(value))
            && !value.is_empty()
        {
            self.0.insert(name, value);
        }
    }
}

/// Spans name people's sessions: they leave this machine over TLS only, which is the
/// collector's.
fn is_on_this_machine(address: &str) -> bool {
    let Ok(uri) = address.parse::<Uri>() else { return false };
    let host = uri.host().unwrap_or_default().trim_matches(['[', ']']);
    let is_here =
        host.eq_ignore_ascii_case("localhost") || host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback());
    uri.scheme_str() == Some("http")
        && is_here
        && uri.port().is_some()
        && address.len() <= limits::COLLECTOR_ADDRESS_BYTES
}

#[cfg(test)]
mod tests {
    use std::{
        net::TcpListener,
        sync::{
            Arc, Mutex,
            atomic::{AtomicUsize, Ordering},
            mpsc,
        },
        time::Instant,
    };

    use opentelemetry::trace::Tracer as _;
    use opentelemetry_sdk::{error::OTelSdkResult, trace::SpanData};

    use super::*;

    /// A collector that takes the first spans only when it is told to.
    #[derive(Clone, Debug)]
    struct Slow(Arc<Hold>);

    #[derive(Debug, Default)]
    struct Hold {
        began: Mutex<Option<mpsc::Sender<usize>>>,
        go_on: Mutex<Option<mpsc::Receiver<()>>>,
        taken: AtomicUsize,
    }

    impl Slow {
        /// It, what it says of the first spans that it gets, and what lets it go on.
        fn new() -> (Self, mpsc::Receiver<usize>, mpsc::Sender<()>) {
            let (began, first) = mpsc::channel();
            let (release, go_on) = mpsc::channel();
            let hold =
                Hold { began: Mutex::new(Some(began)), go_on: Mutex::new(Some(go_on)), ..Hold::default() };
            (Self(Arc::new(hold)), first, release)
        }
    }

    impl Exporter for Slow {
        fn export(&self, batch: Vec<SpanData>) -> impl Future<Output = OTelSdkResult> + Send {
            if let Some(began) = self.0.began.lock().expect("nobody panicked").take() {
                began.send(batch.len()).expect("is waited for");
            }
            if let Some(go_on) = self.0.go_on.lock().expect("nobody panicked").take() {
                // Its other end may be gone.
                let _ = go_on.recv();
            }
            self.0.taken.fetch_add(batch.len(), Ordering::Relaxed);
            std::future::ready(Ok(()))
        }
    }

    #[test]
    fn spans_beyond_those_that_may_wait_for_the_collector_are_lost_and_hold_nobody_up() {
        let (collector, first, release) = Slow::new();
        let provider = provider("test", collector.clone());
        let tracer = provider.tracer("test");
        drop(tracer.start("first"));
        let first = first.recv().expect("the collector is asked");
        for _ in 0..limits::SPANS + 100 {
            drop(tracer.start("another"));
        }
        drop(release);
        provider.shutdown().expect("ends");
        assert_eq!(collector.0.taken.load(Ordering::Relaxed), first + limits::SPANS);
    }

    #[tokio::test]
    async fn the_end_of_a_program_waits_for_a_collector_no_longer_than_the_limit() {
        let (collector, first, release) = Slow::new();
        let provider = provider("test", collector.clone());
        drop(provider.tracer("test").start("a call"));
        assert_eq!(first.recv(), Ok(1));
        let begun = Instant::now();
        send_last(provider).await;
        let took = begun.elapsed();
        assert!(took >= limits::COLLECTOR_LAST && took < 5 * limits::COLLECTOR_LAST, "{took:?}");
        drop(release);
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn spans_that_a_collector_does_not_take_in_time_are_lost() {
        // The kernel takes the connection, and nobody speaks on it.
        let silent = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = format!("http://{}", silent.local_addr().expect("is bound"));
        let provider = provider("test", exporter(&address).expect("an exporter"));
        drop(provider.tracer("test").start("a call"));
        let begun = Instant::now();
        let flushed = tokio::task::spawn_blocking(move || provider.force_flush()).await.expect("ends");
        let took = begun.elapsed();
        flushed.expect_err("nobody took it");
        let nearly = limits::COLLECTOR - Duration::from_millis(500);
        assert!(took >= nearly && took < 3 * limits::COLLECTOR, "{took:?}");
    }

    #[test]
    fn only_a_collector_on_this_machine_is_told() {
        for good in ["http://127.0.0.1:4317", "http://localhost:4317", "http://[::1]:4317/"] {
            assert!(is_on_this_machine(good), "{good}");
        }
        for bad in [
            "",
            "127.0.0.1:4317",
            "http://127.0.0.1",
            "http://collector.example.org:4317",
            "http://192.0.2.1:4317",
            "https://127.0.0.1:4317",
            "http://localhost.example.org:4317",
        ] {
            assert!(!is_on_this_machine(bad), "{bad}");
        }
    }

    #[test]
    fn without_a_collector_no_header_of_a_trace_goes_on() {
        let mut headers = HeaderMap::new();
        headers.insert("traceparent", HeaderValue::from_static("00-1-2-01"));
        headers.insert("tracestate", HeaderValue::from_static("a=b"));
        let span = call("/chatcode.v1.Fleet/List", Some(&headers));
        pass_on(&span, &mut headers);
        assert!(headers.is_empty());
    }
}
