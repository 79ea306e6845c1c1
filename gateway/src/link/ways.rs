//! Which way to the core is tried first, and when another is looked for: pure
//! rules, the time passed in.

use std::time::{Duration, Instant};

use chatcode_link::Link;
use chatcode_proto::{backoff::Backoff, limits, pb::Code};

/// A way to the core.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    /// QUIC, over UDP.
    Quic,
    /// TLS over TCP.
    Tcp,
}

impl Way {
    /// What a link runs over.
    pub(super) fn of(link: &Link) -> Self {
        if link.is_over_tcp() { Self::Tcp } else { Self::Quic }
    }

    /// For people and programs.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Quic => "quic",
            Self::Tcp => "tcp",
        }
    }
}

/// How a link went.
#[derive(Clone, Copy, Debug)]
pub(super) struct Went {
    pub(super) way: Way,
    /// How long it lived from its Welcome; `None`: it got none.
    pub(super) lived: Option<Duration>,
    /// Why it ended.
    pub(super) code: Code,
}

/// What is known of the ways.
#[derive(Debug)]
pub(super) struct Ways {
    /// Until when TCP is tried first.
    udp_avoided: Option<Instant>,
    probes: Backoff,
}

impl Ways {
    pub(super) const fn new() -> Self {
        let (first, longest) = limits::LINK_UDP_PROBE;
        Self { udp_avoided: None, probes: Backoff::new(first, longest) }
    }

    /// The way that is tried alone for [`limits::LINK_TCP_AFTER`], before the other
    /// one is tried beside it.
    pub(super) fn first(&self, now: Instant) -> Way {
        if self.udp_avoided.is_some_and(|until| now < until) { Way::Tcp } else { Way::Quic }
    }

    /// Learns from the end of a link. A handshake takes few and small packets, so
    /// a way may look open and be none.
    pub(super) fn went(&mut self, went: &Went, now: Instant) {
        if went.way == Way::Tcp {
            return;
        }
        let silent = matches!(went.code, Code::Timeout);
        let never = went.lived.is_none() && matches!(went.code, Code::Timeout | Code::CoreUnreachable);
        if silent || never {
            self.udp_avoided = Some(now + limits::LINK_UDP_AVOIDED);
        } else {
            self.udp_avoided = None;
        }
        if went.lived.is_some_and(|lived| lived >= limits::LINK_UDP_PROBE.1) {
            self.probes.reset();
        }
    }

    /// How long a link over TCP stands before QUIC is tried beside it; longer each
    /// time. `random` is drawn evenly from 0 to 1.
    pub(super) fn probe(&mut self, random: f64) -> Duration {
        self.probes.next(0.5 + random / 2.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn quic(lived: Option<u64>, code: Code) -> Went {
        Went { way: Way::Quic, lived: lived.map(Duration::from_secs), code }
    }

    #[test]
    fn tcp_is_first_for_a_while_after_quic_fell_silent_or_never_came_about() {
        let now = Instant::now();
        for went in
            [quic(Some(100), Code::Timeout), quic(None, Code::CoreUnreachable), quic(None, Code::Timeout)]
        {
            let mut ways = Ways::new();
            assert_eq!(ways.first(now), Way::Quic);
            ways.went(&went, now);
            assert_eq!(ways.first(now), Way::Tcp, "{went:?}");
            assert_eq!(ways.first(now + limits::LINK_UDP_AVOIDED), Way::Quic, "{went:?}");
        }
    }

    #[test]
    fn a_core_that_ends_a_link_says_nothing_against_its_way() {
        let now = Instant::now();
        let mut ways = Ways::new();
        for code in [Code::Draining, Code::CoreUnreachable, Code::Fenced] {
            ways.went(&quic(Some(1), code), now);
            assert_eq!(ways.first(now), Way::Quic, "{code:?}");
        }
        ways.went(&quic(None, Code::Timeout), now);
        ways.went(&Went { way: Way::Tcp, lived: Some(Duration::ZERO), code: Code::Draining }, now);
        assert_eq!(ways.first(now), Way::Tcp, "what TCP does says nothing of UDP");
    }

    #[test]
    fn quic_is_looked_for_less_and_less_often_until_it_lasted() {
        let mut ways = Ways::new();
        let pauses: Vec<u64> = (0..7).map(|_| ways.probe(1.0).as_secs()).collect();
        assert_eq!(pauses, [30, 60, 120, 240, 480, 600, 600]);
        assert_eq!(ways.probe(0.0).as_secs(), 300);
        ways.went(&quic(Some(599), Code::Timeout), Instant::now());
        assert_eq!(ways.probe(1.0).as_secs(), 600);
        ways.went(&quic(Some(600), Code::Timeout), Instant::now());
        assert_eq!(ways.probe(1.0).as_secs(), 30);
    }
}
