//! What the edge shows to those who run it: gauges of what it is at this moment, and
//! whether it is ready.

use std::sync::Arc;

use chatcode_process::observe::{Readiness, look};
use chatcode_proto::limits;

use crate::app::App;

/// Adds what is read at the moment of the question to the meters of `app`.
pub(crate) fn show(app: &Arc<App>) {
    let meters = &app.meters.all;
    meters.read(
        "sockets",
        "WebSockets that are open",
        look(app, |of| number(limits::WEBSOCKETS.saturating_sub(of.sockets.places.available_permits()))),
    );
    meters.read(
        "requests_running",
        "HTTP requests that are being answered",
        look(app, |of| number(limits::HTTP_REQUESTS.saturating_sub(of.requests.available_permits()))),
    );
    meters.read(
        "core_up",
        "Whether the core answered the last probe: 1 or 0",
        look(app, |of| f64::from(u8::from(of.upstream.health().up))),
    );
    let help = "When the edge's certificate for the core ends, in seconds since 1970";
    meters.read(
        "certificate_end_seconds",
        help,
        look(app, |of| {
            #[expect(clippy::cast_precision_loss, reason = "seconds are exact up to 2^53")]
            let end = of.identity.identity().validity_unix_s().end as f64;
            end
        }),
    );
}

/// Whether the edge can do its duty: it is not stopping, and the core answers.
pub(crate) fn ready(app: &Arc<App>) -> Readiness {
    let app = Arc::clone(app);
    Box::pin(async move {
        if app.sockets.drain.is_cancelled() {
            return Err("the edge stops".to_owned());
        }
        if app.upstream.health().up { Ok(()) } else { Err("the core does not answer".to_owned()) }
    })
}

#[expect(clippy::cast_precision_loss, reason = "no such number reaches 2^53")]
const fn number(count: usize) -> f64 {
    count as f64
}
