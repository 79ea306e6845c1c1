//! The life of a link after Welcome: heartbeats out, echoes in, orders from
//! the core.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use chatcode_certs::{MemberName, csr};
use chatcode_link::subscriber;
use chatcode_proto::{
    code::Refusal,
    limits, name,
    pb::{
        Code, Drain, GatewayControl, Heartbeat, HeartbeatEcho, LinkState, LinkTransport, RenewRefused,
        RenewRequest, Renewed, Revoked, core_control, gateway_control,
    },
};
use tokio::{
    sync::mpsc,
    time::{Instant, MissedTickBehavior},
};
use tonic::Streaming;

use crate::{
    caller, clock,
    fleet::registry::{LiveLink, Order},
    services::{
        certify::{certify, to_bytes, trust},
        renewal::{self, not_signed},
    },
    shared::Shared,
    store::audit::Entry,
};

/// Keeps one live link and writes it off at its end. Thousands of these do nothing but
/// beat, so what is rare (a row, a renewal) has its room only while it runs: its futures
/// are boxed.
pub(super) struct Heart {
    shared: Arc<Shared>,
    live: Arc<LiveLink>,
    outbound: mpsc::Sender<Box<core_control::Kind>>,
    address: SocketAddr,
    number: u64,
    last_rtt_us: u64,
    heard: Instant,
    /// When the gateway's certificate ends: the link does not outlive it.
    certificate_ends: Instant,
}

impl Heart {
    pub(super) fn new(
        shared: Arc<Shared>,
        live: Arc<LiveLink>,
        outbound: mpsc::Sender<Box<core_control::Kind>>,
        address: SocketAddr,
        certificate_ends: Instant,
    ) -> Self {
        let heard = Instant::now();
        Self { shared, live, outbound, address, number: 0, last_rtt_us: 0, heard, certificate_ends }
    }

    /// Beats until the link ends.
    pub(super) async fn beat(mut self, inbound: Streaming<GatewayControl>, orders: mpsc::Receiver<Order>) {
        Box::pin(self.note("link.up", Code::Done)).await;
        let code = self.live_on(inbound, orders).await;
        Box::pin(self.write_off(code)).await;
    }

    /// The link has ended: nobody is sent over it any more.
    async fn write_off(&self, code: Code) {
        let live = &self.live;
        let code = live.end(code);
        live.link.close(code, "the link has ended");
        if self.shared.links.remove(live.gateway, live.epoch) {
            if let Err(error) = self.shared.store.end_link(live.gateway, live.epoch, code).await {
                tracing::error!(error = &error as &dyn std::error::Error, "the end of the link is not kept");
            }
            self.shared.hub.change_gateway(live.gateway, |gateway| {
                // A newer link may have come since.
                if gateway.link_epoch != live.epoch {
                    return false;
                }
                if gateway.link_state() != LinkState::Revoked {
                    gateway.link_state = LinkState::Offline.into();
                    gateway.since_unix_ms = clock::unix_ms();
                }
                gateway.link_ended = code.into();
                gateway.link_transport = LinkTransport::Unspecified.into();
                gateway.link_rtt_us = 0;
                gateway.holder_rtt_us = 0;
                true
            });
        }
        self.shared.meters.links_ended.of([code.name()]).inc();
        tracing::info!(epoch = live.epoch, code = code.name(), "link down");
        self.note("link.down", code).await;
    }

    /// Returns why the link ends.
    async fn live_on(
        &mut self,
        mut inbound: Streaming<GatewayControl>,
        mut orders: mpsc::Receiver<Order>,
    ) -> Code {
        let mut beats = tokio::time::interval(limits::HEARTBEAT);
        beats.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let live = Arc::clone(&self.live);
        loop {
            tokio::select! {
                end = live.link.closed() => return end.code.unwrap_or(Code::GatewayOffline),
                () = live.dead().cancelled() => return live.ended().unwrap_or(Code::GatewayOffline),
                Some(order) = orders.recv() => if let Some(end) = self.obey(order).await {
                    return end;
                },
                () = tokio::time::sleep_until(self.heard + limits::LINK_SILENCE) => {
                    tracing::warn!("the gateway is silent");
                    return Code::Timeout;
                }
                () = tokio::time::sleep_until(self.certificate_ends) => {
                    tracing::warn!("the gateway's certificate has ended, and it asked for no other");
                    return Code::Unauthenticated;
                }
                _ = beats.tick() => self.send_beat(),
                message = inbound.message() => match message {
                    Ok(Some(GatewayControl { kind: Some(kind) })) => {
                        if let Some(end) = self.hear(kind).await {
                            return end;
                        }
                    }
                    Ok(Some(GatewayControl { kind: None })) => {}
                    Ok(None) => return Code::Done,
                    Err(status) => {
                        // The cause of a broken connection is told by itself.
                        if let Some(end) = live.link.close_reason() {
                            return end.code.unwrap_or(Code::GatewayOffline);
                        }
                        tracing::debug!(%status, "the control stream broke");
                        return Code::GatewayOffline;
                    }
                },
            }
        }
    }

    fn send_beat(&mut self) {
        self.number += 1;
        self.live.beat_sent(self.number);
        // A full queue means that the gateway takes nothing; its silence is
        // measured already.
        let beat = Heartbeat {
            number: self.number,
            core_sent_us: self.shared.monotonic_us(),
            last_rtt_us: self.last_rtt_us,
        };
        self.send(core_control::Kind::Heartbeat(beat));
    }

    fn send(&self, kind: core_control::Kind) {
        let _ = self.outbound.try_send(Box::new(kind));
    }

    /// Takes one message; `Some` when the link ends by it.
    async fn hear(&mut self, kind: gateway_control::Kind) -> Option<Code> {
        match kind {
            gateway_control::Kind::HeartbeatEcho(echo) => self.measure(&echo),
            gateway_control::Kind::RenewRequest(request) => Box::pin(self.renew(&request)).await,
            gateway_control::Kind::Trusts(trusts) => Box::pin(self.note_trust(&trusts.pins)).await,
            gateway_control::Kind::Goodbye(goodbye) => {
                return Some(match goodbye.code() {
                    Code::Unspecified => Code::Done,
                    code => code,
                });
            }
            gateway_control::Kind::Hello(_) => return Some(Code::Protocol),
        }
        None
    }

    /// The round trip of one heartbeat, without the time that the gateway sat
    /// on it.
    fn measure(&mut self, echo: &HeartbeatEcho) {
        let now = self.shared.monotonic_us();
        self.live.beat_echoed(echo.number);
        // Only the newest counts; an echo of one that was never sent is none.
        if echo.number != self.number || echo.core_sent_us > now {
            return;
        }
        self.heard = Instant::now();
        let held = echo.gateway_sent_us.saturating_sub(echo.gateway_received_us);
        let rtt = (now - echo.core_sent_us).saturating_sub(held).max(1);
        self.last_rtt_us = rtt;
        let holder = echo.holder_rtt_us;
        self.shared.meters.link_rtt.took(Duration::from_micros(rtt));
        if holder > 0 {
            self.shared.meters.holder_rtt.took(Duration::from_micros(holder));
        }
        self.shared.hub.change_gateway(self.live.gateway, |gateway| {
            let news = gateway.link_epoch == self.live.epoch
                && (differs(gateway.link_rtt_us, rtt) || differs(gateway.holder_rtt_us, holder));
            if news {
                (gateway.link_rtt_us, gateway.holder_rtt_us) = (rtt, holder);
            }
            news
        });
    }

    /// A new certificate of the same identity, for a new key; or the reason why
    /// there is none, for the gateway, the audit and the count.
    async fn renew(&mut self, request: &RenewRequest) {
        let refusal = match self.make(request).await {
            Ok(renewed) => {
                self.shared.meters.renewals.of([Code::Done.name()]).inc();
                self.send(core_control::Kind::Renewed(renewed));
                return self.shared.show_certificate(self.live.gateway).await;
            }
            Err(refusal) => refusal,
        };
        self.shared.meters.renewals.of([refusal.code.name()]).inc();
        // One that asks again and again costs no write.
        if refusal.code != Code::RateLimited {
            self.note_refused(&refusal).await;
        }
        let (code, message) =
            (refusal.code.into(), name::display_safe(&refusal.message, limits::MESSAGE_BYTES));
        self.send(core_control::Kind::RenewRefused(RenewRefused { code, message }));
    }

    async fn note_refused(&self, refusal: &Refusal) {
        tracing::warn!(code = refusal.code.name(), "a renewal is refused: {}", refusal.message);
        if let Err(error) = self.shared.store.note_failed_renewal(self.live.gateway.into()).await {
            tracing::error!(error = &error as &dyn std::error::Error, "a failed renewal is not counted");
        }
        self.shared.show_certificate(self.live.gateway).await;
        if self.shared.rates.refusals.check(&subscriber(self.address.ip())).is_ok() {
            let detail = refusal.message.clone();
            self.keep(&Entry { detail, ..self.act("link.renew", refusal.code) }).await;
        }
    }

    async fn make(&mut self, request: &RenewRequest) -> Result<Renewed, Refusal> {
        let gateway = self.live.gateway;
        self.shared.rates.renew.check(&gateway.into())?;
        let key =
            csr::verify(&request.csr).map_err(|error| Refusal::new(Code::Invalid, error.to_string()))?;
        let (issued, certificate) = certify(&self.shared, &MemberName::Gateway(gateway.into()), &key)
            .map_err(|error| not_signed(&error))?;
        let act = self.act("link.renew", Code::Done);
        if !self.shared.store.add_certificate(&certificate, &act).await? {
            return Err(caller::revoked());
        }
        self.certificate_ends = clock::instant(issued.not_after_unix_s);
        let trust = Some(trust(&self.shared.authority.trust()));
        Ok(Renewed { chain: to_bytes(&issued.chain), trust })
    }

    async fn note_trust(&self, pins: &[bytes::Bytes]) {
        let gateway = self.live.gateway.into();
        // As often as it may renew; it says so again at its next Hello.
        if self.shared.rates.renew.check(&gateway).is_err() {
            return;
        }
        let member = MemberName::Gateway(gateway);
        if let Err(refusal) = renewal::note(&self.shared, &member, pins).await {
            tracing::error!(code = refusal.code.name(), "what the gateway trusts is not noted");
        }
    }

    fn send_trust(&self) {
        self.send(core_control::Kind::Trust(trust(&self.shared.authority.trust())));
    }

    /// Tells the gateway and gives it a moment to go by itself; `Some` when the
    /// link ends by the order.
    async fn obey(&mut self, order: Order) -> Option<Code> {
        let (message, code, patience) = match order {
            Order::Beat => {
                self.send_beat();
                return None;
            }
            Order::Trust => {
                self.send_trust();
                return None;
            }
            Order::Revoke => {
                let message = "an administrator threw the machine out".to_owned();
                (core_control::Kind::Revoked(Revoked { message }), Code::Revoked, limits::REVOKED_FAREWELL)
            }
            Order::Drain { retry_after_ms } => {
                let drain = Drain { retry_after_ms };
                (core_control::Kind::Drain(drain), Code::Draining, drained_within())
            }
        };
        self.send(message);
        let _ = tokio::time::timeout(patience, self.live.link.closed()).await;
        Some(code)
    }

    async fn note(&self, action: &str, result: Code) {
        self.keep(&self.act(action, result)).await;
    }

    async fn keep(&self, entry: &Entry) {
        if let Err(error) = self.shared.store.audit(entry).await {
            let action = &entry.action;
            tracing::error!(error = &error as &dyn std::error::Error, action, "not in the audit");
        }
    }

    fn act(&self, action: &str, result: Code) -> Entry {
        Entry {
            gateway: self.live.gateway.to_string(),
            result,
            peer: self.address.to_string(),
            ..Entry::new(format!("gateway/{}", self.live.gateway), action)
        }
    }
}

/// Less than the time that the core has to stop, so that links that do not go
/// are still closed with their code.
fn drained_within() -> Duration {
    limits::SHUTDOWN / 2
}

/// Whether a round trip changed by more than an eighth: less is no news.
const fn differs(before: u64, now: u64) -> bool {
    before.abs_diff(now) > before / 8
}
