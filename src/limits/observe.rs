//! What a program tells of itself: metrics, readiness, traces.

use std::time::Duration;

/// Connections to the metrics of one program at once; one more is closed unread.
pub const OBSERVERS: usize = 16;
/// Time for one of them from its beginning to its end; then it is cut.
pub const OBSERVER: Duration = Duration::from_secs(10);
/// Bytes of the head of a request there; more is answered 431.
pub const OBSERVER_HEAD_BYTES: usize = 8192;
/// Time for the answer to whether a program is ready; then it is not.
pub const READINESS: Duration = Duration::from_secs(3);
/// Bytes of a metrics token, without white space around it.
pub const METRICS_TOKEN_BYTES: std::ops::RangeInclusive<usize> = 16..=1024;
/// Spans that wait for the collector; more are lost.
pub const SPANS: usize = 2048;
/// Spans that go to the collector at once.
pub const SPANS_AT_ONCE: usize = 512;
/// Time for the collector to take them; then they are lost.
pub const COLLECTOR: Duration = Duration::from_secs(5);
/// How long the end of a program may wait for the collector.
pub const COLLECTOR_LAST: Duration = Duration::from_secs(1);
/// Bytes of an address of a collector.
pub const COLLECTOR_ADDRESS_BYTES: usize = 256;
