//! How often one address may try to sign in, or begin to, so that nobody uses up
//! what the core grants to all pages of this edge.

use std::{net::IpAddr, num::NonZeroU32, time::Duration};

use chatcode_link::subscriber;
use chatcode_proto::{code::Refusal, limits, pb::Code};
use governor::{DefaultKeyedRateLimiter, Quota, clock::Clock as _};

/// Where a request came from, as its connection tells; in its extensions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Client(pub(crate) IpAddr);

/// A cause, and after which time another try may pass, where that is known.
#[derive(Debug)]
pub(crate) struct Refused {
    pub(crate) cause: Refusal,
    pub(crate) after: Option<Duration>,
}

impl From<Refusal> for Refused {
    fn from(cause: Refusal) -> Self {
        Self { cause, after: None }
    }
}

/// What was tried lately, by address.
#[derive(Debug)]
pub(crate) struct Tries {
    /// `None`: all addresses beyond [`limits::SIGN_IN_ADDRESSES`].
    tries: DefaultKeyedRateLimiter<Option<IpAddr>>,
}

impl Tries {
    /// So many in a minute for each address; at least one.
    pub(crate) fn per_minute(tries: u32) -> Self {
        let tries = NonZeroU32::new(tries).unwrap_or(NonZeroU32::MIN);
        Self { tries: DefaultKeyedRateLimiter::keyed(Quota::per_minute(tries)) }
    }

    /// Counts one try.
    ///
    /// # Errors
    /// `RATE_LIMITED`, and until when, when the address has none left; the try does
    /// not count.
    pub(crate) fn check(&self, Client(address): Client) -> Result<(), Refused> {
        if self.tries.len() >= limits::SIGN_IN_ADDRESSES {
            self.tries.retain_recent();
            self.tries.shrink_to_fit();
        }
        let own = (self.tries.len() < limits::SIGN_IN_ADDRESSES).then(|| subscriber(address));
        self.tries.check_key(&own).map_err(|until| {
            let message = "too much was tried from your address; wait a minute and try again";
            let cause = Refusal::new(Code::RateLimited, message);
            Refused { cause, after: Some(until.wait_time_from(self.tries.clock().now())) }
        })
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv6Addr;

    use super::*;

    fn client(text: &str) -> Client {
        Client(text.parse().expect("is an address"))
    }

    fn exhaust(tries: &Tries, client: Client) {
        for _ in 0..limits::SIGN_IN_PER_ADDRESS_PER_MINUTE {
            tries.check(client).expect("has tries left");
        }
        let refused = tries.check(client).expect_err("has none left");
        assert_eq!(refused.cause.code, Code::RateLimited);
        let longest = Duration::from_secs(60) / limits::SIGN_IN_PER_ADDRESS_PER_MINUTE;
        assert!(refused.after.is_some_and(|after| after > Duration::ZERO && after <= longest), "{refused:?}");
    }

    #[test]
    fn one_address_runs_dry_and_the_others_do_not_notice() {
        let tries = Tries::per_minute(limits::SIGN_IN_PER_ADDRESS_PER_MINUTE);
        exhaust(&tries, client("192.0.2.1"));
        tries.check(client("192.0.2.2")).expect("is another");
        assert!(tries.check(client("::ffff:192.0.2.1")).is_err(), "is the same");
        exhaust(&tries, client("2001:db8:1:2::1"));
        assert!(tries.check(client("2001:db8:1:2:ffff::9")).is_err(), "is the same subscriber");
        tries.check(client("2001:db8:1:3::1")).expect("is another");
    }

    #[test]
    fn addresses_beyond_the_limit_share_their_tries() {
        let tries = Tries::per_minute(limits::SIGN_IN_PER_ADDRESS_PER_MINUTE);
        let number = |n: usize| Client(Ipv6Addr::from_bits((n as u128) << 64).into());
        for n in 0..limits::SIGN_IN_ADDRESSES {
            tries.check(number(n)).expect("is new");
        }
        exhaust(&tries, client("192.0.2.1"));
        assert!(tries.check(client("192.0.2.2")).is_err(), "shares with the other");
        assert!(tries.tries.len() <= limits::SIGN_IN_ADDRESSES + 1);
    }
}
