//! One link from Hello to its end: `Link.Control`, and what runs beside it.

use std::{
    sync::{Arc, OnceLock},
    time::{Duration, Instant},
};

use chatcode_link::Link;
use chatcode_proto::{
    code::Refusal,
    id::GatewayId,
    limits,
    name::display_safe,
    pb::{
        self, Code, CoreControl, GatewayControl, core_control::Kind as FromCore,
        gateway_control::Kind as FromGateway, link_client::LinkClient,
    },
};
use tokio::{
    sync::mpsc,
    time::{error::Elapsed, timeout},
};
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::{sync::CancellationToken, task::AbortOnDropHandle};
use tonic::{Streaming, transport::Channel};

use super::{
    better,
    credentials::Credentials,
    dial::Route,
    directory,
    end::Outcome,
    ways::{Way, Ways},
};
use crate::{
    grant::CoreClock, host, serve, sessions::Registry, shell::user::User, state::Teller, update::Updates,
};

/// The shortest silence that a core may ask a gateway to give up after: it
/// must not be shorter than a heartbeat on a bad line.
const SILENCE_SHORTEST: Duration = Duration::from_secs(1);

/// What the daemon says of itself on every link.
#[derive(Debug)]
pub(super) struct Greeting {
    /// Names this run of the daemon.
    pub(super) instance: [u8; 16],
    /// The user whose shells are started.
    pub(super) user: String,
    /// The epoch of the last link; 0: none.
    pub(super) epoch: u64,
}

impl Greeting {
    fn hello(&self, credentials: &Credentials) -> pb::Hello {
        pb::Hello {
            versions: limits::LINK_VERSIONS.to_vec(),
            features: Vec::new(),
            boot_id: host::boot_id(),
            epoch: self.epoch,
            program_version: env!("CARGO_PKG_VERSION").to_owned(),
            host: Some(host::facts(&self.user)),
            instance: self.instance.to_vec().into(),
            trusts: credentials.trusts().pins,
        }
    }
}

/// A link that was dialled. The connection closes when this is dropped.
pub(super) struct Life<'a> {
    pub(super) link: Link,
    pub(super) way: Way,
    pub(super) route: &'a Route,
    pub(super) registry: &'a Arc<Registry>,
    pub(super) updates: &'a Arc<Updates>,
    pub(super) user: &'a User,
    pub(super) gateway: GatewayId,
    pub(super) teller: &'a Teller,
}

/// What outlasts a link, and learns from it.
pub(super) struct Lasting<'a> {
    pub(super) greeting: &'a mut Greeting,
    pub(super) credentials: &'a mut Credentials,
    pub(super) ways: &'a mut Ways,
}

/// The control call: what goes out, what comes in.
struct Control {
    /// For the other calls on the same HTTP/2 connection.
    client: LinkClient<Channel>,
    outbox: mpsc::Sender<GatewayControl>,
    inbox: Streaming<CoreControl>,
}

/// What a welcomed link is kept by.
struct Live {
    control: Control,
    services: Services,
    /// How long the core may be silent.
    silence: Duration,
    clock: CoreClock,
}

/// A better link, and the one that it takes the place of.
#[derive(Debug)]
pub(super) struct Moved {
    pub(super) link: Link,
    pub(super) before: Before,
}

/// A link that serves its calls until the next one is live. Dropped, it closes.
pub(super) struct Before {
    _link: Link,
    _control: Control,
    _services: Services,
}

impl std::fmt::Debug for Before {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Before").finish_non_exhaustive()
    }
}

/// The services of a live link, and what tells its sessions, running until dropped.
struct Services {
    server: AbortOnDropHandle<Result<(), tonic::transport::Error>>,
    _directory: AbortOnDropHandle<()>,
    draining: CancellationToken,
}

impl Drop for Services {
    /// Ends the request of the directory, which would keep its call.
    fn drop(&mut self) {
        self.draining.cancel();
    }
}

impl Life<'_> {
    /// Says Hello and lives until the link ends or moves; from the Welcome on it
    /// takes the place of the one `before`.
    pub(super) async fn live(
        self,
        before: Option<Before>,
        lasting: Lasting<'_>,
        stop: &CancellationToken,
        on_welcome: impl FnOnce(GatewayId),
    ) -> Outcome {
        let Lasting { greeting, credentials, ways } = lasting;
        let greeted = match stop.run_until_cancelled(self.greet(greeting, credentials)).await {
            Some(greeted) => greeted,
            None => {
                self.link.close(Code::Done, "the gateway stops");
                // The process ends next, and with it all that is not sent yet.
                let _ = timeout(limits::GOODBYE, self.route.told()).await;
                return Outcome::Stopped;
            }
        };
        let (control, welcome) = match greeted {
            Ok(greeted) => greeted,
            Err(outcome) => return outcome,
        };
        greeting.epoch = welcome.epoch;
        tracing::info!(
            epoch = welcome.epoch,
            name = display_safe(&welcome.name, limits::NAME_CHARS),
            core = %self.link.remote_address(),
            over = self.way.name(),
            "link up"
        );
        drop(before);
        // The queue is nearly empty, and a core that hears nothing asks again.
        if let Some(trusts) = credentials.follow(welcome.trust.as_ref()) {
            let _ = control.outbox.try_send(GatewayControl { kind: Some(FromGateway::Trusts(trusts)) });
        }
        self.registry.meters.links_up.inc();
        let clock = CoreClock::told(welcome.server_unix_ms);
        let services = self.serve(clock, control.client.clone());
        self.teller.online(&welcome.name, self.way.name());
        on_welcome(self.gateway);
        let better = better::look(self.route, ways, self.link.clone());
        let live = Live { control, services, silence: silence(&welcome), clock };
        self.keep(live, credentials, better, stop).await
    }

    /// From the Hello to the Welcome, within [`limits::HELLO`].
    async fn greet(
        &self,
        greeting: &Greeting,
        credentials: &Credentials,
    ) -> Result<(Control, pb::Welcome), Outcome> {
        let (outbox, messages) = mpsc::channel(limits::CONTROL_QUEUE);
        // The queue is new and empty.
        let _ =
            outbox.try_send(GatewayControl { kind: Some(FromGateway::Hello(greeting.hello(credentials))) });
        let mut client = LinkClient::new(self.link.channel())
            .max_decoding_message_size(limits::CONTROL_BYTES)
            .max_encoding_message_size(limits::CONTROL_BYTES);
        let greeting = async {
            let mut inbox = client.control(ReceiverStream::new(messages)).await?.into_inner();
            let first = inbox.message().await?;
            Ok::<_, tonic::Status>((inbox, first))
        };
        let first = match timeout(limits::HELLO, greeting).await {
            Err(_) => return Err(self.give_up(Code::Timeout, "the core sent no Welcome in time")),
            Ok(Err(status)) => return Err(Outcome::of_call(Some(status), &self.link).await),
            Ok(Ok(first)) => first,
        };
        let (inbox, message) = first;
        match message.and_then(|message| message.kind) {
            Some(FromCore::Welcome(welcome)) => {
                self.judge(&welcome).map_err(|wrong| self.give_up(wrong.code, &wrong.message))?;
                Ok((Control { client, outbox, inbox }, welcome))
            }
            Some(FromCore::Revoked(revoked)) => Err(Outcome::Revoked(revoked.message)),
            Some(FromCore::Drain(drain)) => Err(Outcome::Drained(drained(&drain))),
            Some(_) => Err(self.give_up(Code::Protocol, "the core's first message was no Welcome")),
            None => Err(Outcome::of_call(None, &self.link).await),
        }
    }

    fn judge(&self, welcome: &pb::Welcome) -> Result<(), Refusal> {
        if !limits::LINK_VERSIONS.contains(&welcome.version) {
            let words = format!("the core chose link version {}, which was not offered", welcome.version);
            return Err(Refusal::new(Code::UnsupportedVersion, words));
        }
        if welcome.gateway != self.gateway.to_string() || welcome.epoch == 0 {
            return Err(Refusal::new(Code::Protocol, "the core's Welcome is for somebody else"));
        }
        Ok(())
    }

    fn serve(&self, clock: CoreClock, client: LinkClient<Channel>) -> Services {
        let draining = CancellationToken::new();
        let served = (Arc::clone(self.registry), Arc::clone(self.updates));
        let serving = serve::run(self.link.clone(), served, self.user.clone(), clock, draining.clone());
        let telling = directory::tell(client, Arc::clone(self.registry), draining.clone());
        Services {
            server: AbortOnDropHandle::new(tokio::spawn(serving)),
            _directory: AbortOnDropHandle::new(tokio::spawn(telling)),
            draining,
        }
    }

    /// Echoes heartbeats, renews the certificate and obeys orders until the link
    /// ends, or another way is better.
    async fn keep(
        self,
        live: Live,
        credentials: &mut Credentials,
        better: impl Future<Output = Link>,
        stop: &CancellationToken,
    ) -> Outcome {
        let Live { mut control, mut services, silence, clock } = live;
        let mut better = std::pin::pin!(better);
        loop {
            let heard = tokio::select! {
                message = timeout(silence, control.inbox.message()) => self.heard(message).await,
                end = self.link.closed() => Err(Outcome::of_link(end)),
                () = stop.cancelled() => {
                    if !self.leave(control, services, Code::Done, "the gateway stops").await {
                        // The process ends next, and with it all that is not sent yet.
                        let _ = timeout(limits::GOODBYE, self.route.told()).await;
                    }
                    return Outcome::Stopped;
                }
                request = credentials.renewal(clock) => {
                    let request = GatewayControl { kind: Some(FromGateway::RenewRequest(request)) };
                    if control.outbox.try_send(request).is_err() {
                        return self.give_up(Code::Timeout, "the link takes no messages");
                    }
                    continue;
                }
                link = &mut better => {
                    tracing::info!(core = %link.remote_address(), "the link moves to a better way");
                    let before = Before { _link: self.link, _control: control, _services: services };
                    return Outcome::Moved(Box::new(Moved { link, before }));
                }
                _ = &mut services.server => Err(self.give_up(Code::Internal, "the services of the link ended")),
            };
            match heard {
                Err(outcome) => return outcome,
                Ok(Some(FromCore::Heartbeat(beat))) => {
                    if control.outbox.try_send(self.echo(&beat, monotonic_us())).is_err() {
                        return self.give_up(Code::Timeout, "the link takes no messages");
                    }
                    self.registry.measure();
                }
                Ok(Some(FromCore::Drain(drain))) => {
                    self.leave(control, services, Code::Draining, "drained").await;
                    return Outcome::Drained(drained(&drain));
                }
                Ok(Some(FromCore::Revoked(revoked))) => {
                    self.link.close(Code::Revoked, "understood");
                    return Outcome::Revoked(revoked.message);
                }
                Ok(Some(FromCore::Welcome(_))) => {
                    return self.give_up(Code::Protocol, "the core sent a second Welcome");
                }
                Ok(Some(FromCore::Renewed(renewed))) => self.tell(&control, credentials.take(&renewed)),
                Ok(Some(FromCore::Trust(trust))) => self.tell(&control, credentials.follow(Some(&trust))),
                Ok(Some(FromCore::RenewRefused(refused))) => {
                    self.registry.meters.renewals_refused.inc();
                    credentials.refused(&refused);
                }
                // A kind of a later version.
                Ok(None) => {}
            }
        }
    }

    /// What the core said, or what follows from its silence or the call's end.
    async fn heard(
        &self,
        message: Result<Result<Option<CoreControl>, tonic::Status>, Elapsed>,
    ) -> Result<Option<FromCore>, Outcome> {
        match message {
            Ok(Ok(Some(message))) => Ok(message.kind),
            Ok(Ok(None)) => Err(Outcome::of_call(None, &self.link).await),
            Ok(Err(status)) => Err(Outcome::of_call(Some(status), &self.link).await),
            Err(_) => Err(self.give_up(Code::Timeout, "the core was silent for too long")),
        }
    }

    /// Tells the core what is trusted now, when that has changed. One that does not
    /// hear it learns it at the next Hello.
    fn tell(&self, control: &Control, trusts: Option<pb::Trusts>) {
        let Some(trusts) = trusts else { return };
        if control.outbox.try_send(GatewayControl { kind: Some(FromGateway::Trusts(trusts)) }).is_err() {
            tracing::warn!(core = %self.link.remote_address(), "the core was not told what is trusted");
        }
    }

    /// Ends the link from this side.
    fn give_up(&self, code: Code, why: &str) -> Outcome {
        self.link.close(code, why);
        Outcome::Ended(Refusal::new(code, why))
    }

    fn echo(&self, beat: &pb::Heartbeat, came_us: u64) -> GatewayControl {
        let echo = pb::HeartbeatEcho {
            number: beat.number,
            core_sent_us: beat.core_sent_us,
            gateway_received_us: came_us,
            gateway_sent_us: monotonic_us(),
            holder_rtt_us: self.registry.slowest_us(),
        };
        GatewayControl { kind: Some(FromGateway::HeartbeatEcho(echo)) }
    }

    /// Ends the link in order: streaming calls are told to come back, others
    /// come to their end, then the goodbye. Holders are not touched. Says whether the
    /// core has read it.
    async fn leave(&self, mut control: Control, mut services: Services, code: Code, why: &str) -> bool {
        services.draining.cancel();
        if timeout(limits::SHUTDOWN, &mut services.server).await.is_err() {
            tracing::warn!("calls that did not end are cut");
        }
        let goodbye = GatewayControl { kind: Some(FromGateway::Goodbye(pb::Goodbye { code: code.into() })) };
        let mut is_read = false;
        if control.outbox.try_send(goodbye).is_ok() {
            drop(control.outbox);
            // The core closes the link when it has read it.
            let heard = async { while let Ok(Some(_)) = control.inbox.message().await {} };
            is_read = timeout(limits::GOODBYE, heard).await.is_ok();
            if !is_read {
                tracing::debug!("the core did not answer the goodbye");
            }
        }
        self.link.close(code, why);
        is_read
    }
}

/// How long the core may be silent; it may only ask for less than we bear.
fn silence(welcome: &pb::Welcome) -> Duration {
    match welcome.silence_ms {
        0 => limits::LINK_SILENCE,
        asked => Duration::from_millis(asked.into()).clamp(SILENCE_SHORTEST, limits::LINK_SILENCE),
    }
}

fn drained(drain: &pb::Drain) -> Duration {
    Duration::from_millis(drain.retry_after_ms.into()).min(limits::DRAIN_LONGEST)
}

/// Microseconds of this daemon's monotonic clock.
fn monotonic_us() -> u64 {
    static BEGUN: OnceLock<Instant> = OnceLock::new();
    u64::try_from(BEGUN.get_or_init(Instant::now).elapsed().as_micros()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_core_may_shorten_the_silence_and_never_lengthen_it() {
        let asked = |silence_ms| silence(&pb::Welcome { silence_ms, ..Default::default() });
        assert_eq!(asked(0), limits::LINK_SILENCE);
        assert_eq!(asked(u32::MAX), limits::LINK_SILENCE);
        assert_eq!(asked(2000), Duration::from_secs(2));
        assert_eq!(asked(1), SILENCE_SHORTEST);
    }

    #[test]
    fn a_drain_never_sends_away_for_longer_than_the_limit() {
        assert_eq!(drained(&pb::Drain { retry_after_ms: u32::MAX }), limits::DRAIN_LONGEST);
    }
}
