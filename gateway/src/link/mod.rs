//! The gateway's one link to the core: dialled, kept, dialled anew for as long
//! as the daemon lives or until the core says never again. When another way to
//! the core is the better one, the link moves there: the next one is live before
//! the last one ends.

mod better;
mod credentials;
mod dial;
mod directory;
mod end;
mod life;
mod ways;

use std::{path::PathBuf, sync::Arc, time::Duration};

use chatcode_certs::{Identity, MachineKey, random};
use chatcode_link::Target;
use chatcode_proto::{backoff::Backoff, code::Refusal, id::GatewayId, limits, name::display_safe, pb::Code};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use self::{
    credentials::Credentials,
    dial::Route,
    end::Outcome,
    life::{Greeting, Lasting, Life, Moved},
    ways::{Way, Ways, Went},
};
use crate::{
    sessions::Registry,
    shell::user::User,
    state::{LinkWord, Teller},
    update::Updates,
};

pub(crate) use self::dial::DialError;

/// What the daemon must stop for.
#[derive(Debug, thiserror::Error)]
#[error(
    "this gateway was revoked: {0}; to bring the machine back, enroll it anew (chatcode-gateway enroll --force)"
)]
pub struct Revoked(pub String);

/// What a daemon knows of itself and of its core.
#[derive(Debug)]
pub(crate) struct Me {
    pub(crate) identity: Identity,
    /// The durable key of the machine.
    pub(crate) machine: Option<MachineKey>,
    /// Where both are kept.
    pub(crate) home: PathBuf,
    /// The core's links: host and UDP port.
    pub(crate) link: String,
    /// Its gRPC listener.
    pub(crate) core: Option<Target>,
}

/// What a machine serves over its links.
#[derive(Debug)]
pub(crate) struct Serves {
    /// Its sessions.
    pub(crate) registry: Arc<Registry>,
    /// Its own programs.
    pub(crate) updates: Arc<Updates>,
    /// Whose shells they are.
    pub(crate) user: User,
}

/// Keeps the link.
#[derive(Debug)]
pub(crate) struct Keeper {
    route: Route,
    ways: Ways,
    /// The link that is moved to, and the one that it follows.
    moving: Option<Moved>,
    credentials: Credentials,
    /// When the last certificate was brought back.
    revived: Option<Instant>,
    greeting: Greeting,
    serves: Serves,
    gateway: GatewayId,
    teller: Teller,
}

impl Keeper {
    /// A keeper that has not dialled yet. Must be called inside a tokio runtime.
    ///
    /// # Errors
    /// No UDP port, or an identity that no TLS can be made of.
    pub(crate) fn new(me: Me, gateway: GatewayId, serves: Serves, teller: Teller) -> Result<Self, DialError> {
        let meters = serves.registry.meters.clone();
        let credentials = Credentials::new((me.identity, me.machine), me.home, me.core.clone(), meters)?;
        Ok(Self {
            route: Route::new(me.link, me.core, credentials.shown())?,
            ways: Ways::new(),
            moving: None,
            credentials,
            revived: None,
            greeting: Greeting { instance: random::bytes(), user: serves.user.name.clone(), epoch: 0 },
            serves,
            gateway,
            teller,
        })
    }

    /// Keeps the link until `stop`; `welcomed` is called at the first Welcome.
    ///
    /// # Errors
    /// [`Revoked`]: never come back.
    pub(crate) async fn run(
        mut self,
        stop: CancellationToken,
        welcomed: impl FnOnce(GatewayId),
    ) -> Result<(), Revoked> {
        let (first, longest) = limits::RECONNECT;
        let mut backoff = Backoff::new(first, longest);
        let mut welcomed = Some(welcomed);
        loop {
            let mut begun = None;
            let on_welcome = |gateway| {
                begun = Some(Instant::now());
                if let Some(welcomed) = welcomed.take() {
                    welcomed(gateway);
                }
            };
            let outcome = match self.once(&stop, on_welcome).await {
                Outcome::Ended(refusal) if refusal.code == Code::Unauthenticated => {
                    let answer = stop.run_until_cancelled(self.refused(refusal)).await;
                    answer.unwrap_or(Outcome::Stopped)
                }
                outcome => outcome,
            };
            if begun.is_some_and(|begun| begun.elapsed() >= limits::LINK_LASTED) {
                backoff.reset();
            }
            self.tell(&outcome);
            let pause = match outcome {
                Outcome::Stopped => return Ok(()),
                Outcome::Revoked(words) => {
                    self.teller.close().await;
                    return Err(Revoked(display_safe(&words, limits::MESSAGE_BYTES)));
                }
                Outcome::Moved(moved) => {
                    self.moving = Some(*moved);
                    continue;
                }
                Outcome::Revived => Duration::ZERO,
                Outcome::Drained(after) => after + after.mul_f64(rand::random()),
                Outcome::Ended(refusal) => pause(&refusal, &mut backoff),
            };
            tracing::info!(next_try_ms = pause.as_millis(), "the link is down");
            let resting = tokio::time::sleep(pause);
            if stop.run_until_cancelled(resting).await.is_none() {
                return Ok(());
            }
        }
    }

    /// Tells who asks on this machine what became of the link.
    fn tell(&self, outcome: &Outcome) {
        self.serves.registry.meters.links_ended.of([outcome.code().name()]).inc();
        match outcome {
            Outcome::Stopped | Outcome::Revived | Outcome::Moved(_) => {}
            Outcome::Revoked(words) => {
                self.teller.ended(LinkWord::Revoked, &Refusal::new(Code::Revoked, words.as_str()));
            }
            Outcome::Drained(_) => {
                let refusal = Refusal::new(Code::Draining, "the core asked to come back later");
                self.teller.ended(LinkWord::Connecting, &refusal);
            }
            Outcome::Ended(refusal) => self.teller.ended(LinkWord::Connecting, refusal),
        }
    }

    /// One link from dialling to its end, or until it moves.
    async fn once(&mut self, stop: &CancellationToken, on_welcome: impl FnOnce(GatewayId)) -> Outcome {
        let (link, before) = match self.moving.take() {
            Some(Moved { link, before }) => (link, Some(before)),
            None => match stop.run_until_cancelled(self.route.dial(&self.ways)).await {
                None => return Outcome::Stopped,
                Some(Ok(link)) => (link, None),
                Some(Err(refusal)) => return Outcome::of(refusal),
            },
        };
        let way = Way::of(&link);
        let mut begun = None;
        let welcomed = |gateway| {
            begun = Some(Instant::now());
            on_welcome(gateway);
        };
        let Serves { registry, updates, user } = &self.serves;
        let (route, teller, gateway) = (&self.route, &self.teller, self.gateway);
        let lasting = Lasting {
            greeting: &mut self.greeting,
            credentials: &mut self.credentials,
            ways: &mut self.ways,
        };
        let outcome = Life { link, way, route, registry, updates, user, gateway, teller }
            .live(before, lasting, stop, welcomed)
            .await;
        let went = Went { way, lived: begun.map(|begun| begun.elapsed()), code: outcome.code() };
        self.ways.went(&went, std::time::Instant::now());
        outcome
    }

    /// What follows when the core does not take the certificate: it has ended, or
    /// the core has forgotten it, and the durable key brings another one. Not
    /// again at once, if the core does not take that one either.
    async fn refused(&mut self, refusal: Refusal) -> Outcome {
        let is_new = self.revived.is_some_and(|revived| revived.elapsed() < limits::RECONNECT.1);
        if is_new {
            return Outcome::Ended(refusal);
        }
        tracing::warn!("the core does not take the certificate: {}", refusal.message);
        match self.credentials.revive().await {
            Ok(()) => {
                self.revived = Some(Instant::now());
                Outcome::Revived
            }
            Err(refusal) => Outcome::of(refusal),
        }
    }
}

/// How long to wait after a link that ended or did not come about.
fn pause(refusal: &Refusal, backoff: &mut Backoff) -> Duration {
    let words = display_safe(&refusal.message, limits::MESSAGE_BYTES);
    match refusal.code {
        Code::Fenced | Code::DuplicateIdentity => {
            tracing::warn!(
                "another live machine uses this gateway's identity ({words}); if you copied this machine or \
                 its data folder, enroll one of the two anew"
            );
            limits::FENCED_PAUSE + limits::FENCED_PAUSE.mul_f64(rand::random())
        }
        code => {
            let pause = backoff.next(rand::random());
            // What will not pass by itself is not asked for every moment.
            let hopeless = matches!(
                code,
                Code::UnsupportedVersion | Code::Unauthenticated | Code::BadToken | Code::Protocol
            );
            let pause = if hopeless { pause.max(limits::RECONNECT.1) } else { pause };
            tracing::warn!(code = code.name(), "no link to the core: {words}");
            pause
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pause_after(code: Code) -> Duration {
        let mut backoff = Backoff::new(limits::RECONNECT.0, limits::RECONNECT.1);
        pause(&Refusal::new(code, "why"), &mut backoff)
    }

    #[test]
    fn a_broken_link_is_dialled_again_soon_a_fenced_or_hopeless_one_late() {
        assert!(pause_after(Code::CoreUnreachable) <= limits::RECONNECT.0);
        assert!(pause_after(Code::UnsupportedVersion) >= limits::RECONNECT.1);
        for code in [Code::Fenced, Code::DuplicateIdentity] {
            let pause = pause_after(code);
            assert!((limits::FENCED_PAUSE..=limits::FENCED_PAUSE * 2).contains(&pause), "{pause:?}");
        }
    }
}
