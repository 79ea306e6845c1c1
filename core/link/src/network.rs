//! Networks in the notation of RFC 4632 and RFC 4291: `192.0.2.0/24`.

use std::{
    fmt,
    net::{IpAddr, Ipv6Addr},
    str::FromStr,
};

/// Bits before the IPv4 address in an IPv6 address that stands for one.
const MAPPED_BITS: u8 = 96;

/// Some addresses that begin alike.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network {
    address: IpAddr,
    prefix: u8,
}

/// The text is no network.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a network is an address, or its beginning and a length, such as 192.0.2.0/24 or 2001:db8::/32")]
pub struct InvalidNetwork;

impl Network {
    /// Whether the address is one of them. An IPv4 address that came over IPv6
    /// (`::ffff:a.b.c.d`) counts as IPv4.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        let (mine, bits) = number(self.address);
        let (other, other_bits) = number(address.to_canonical());
        bits == other_bits && masked(mine, bits, self.prefix) == masked(other, bits, self.prefix)
    }
}

/// The address as a number, and its bits.
fn number(address: IpAddr) -> (u128, u8) {
    match address {
        IpAddr::V4(v4) => (u32::from(v4).into(), 32),
        IpAddr::V6(v6) => (v6.into(), Ipv6Addr::BITS as u8),
    }
}

/// The first `prefix` of the `bits` of a number.
fn masked(number: u128, bits: u8, prefix: u8) -> u128 {
    number.checked_shr(u32::from(bits - prefix)).unwrap_or(0)
}

impl FromStr for Network {
    type Err = InvalidNetwork;

    fn from_str(text: &str) -> Result<Self, InvalidNetwork> {
        let (address, prefix) = text.split_once('/').map_or((text, None), |(a, p)| (a, Some(p)));
        let address: IpAddr = address.parse().map_err(|_| InvalidNetwork)?;
        let (number, bits) = number(address);
        let prefix = match prefix {
            None => bits,
            Some(prefix) if prefix.bytes().all(|byte| byte.is_ascii_digit()) => {
                prefix.parse().map_err(|_| InvalidNetwork)?
            }
            Some(_) => return Err(InvalidNetwork),
        };
        // Bits behind the prefix are a mistake of whoever wrote it.
        let rest = u32::from(bits.checked_sub(prefix).ok_or(InvalidNetwork)?);
        let is_plain = masked(number, bits, prefix).checked_shl(rest).unwrap_or(0) == number;
        if !is_plain {
            return Err(InvalidNetwork);
        }
        // `::ffff:a.b.c.d` is IPv4, as it is where an address is looked for.
        let mapped = address.is_ipv6().then(|| address.to_canonical()).filter(IpAddr::is_ipv4);
        Ok(mapped.map_or(Self { address, prefix }, |address| {
            let prefix = prefix.saturating_sub(MAPPED_BITS);
            Self { address, prefix }
        }))
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.prefix)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_in_the_networks_that_it_begins_like() {
        for (network, inside, outside) in [
            ("192.0.2.0/24", "192.0.2.255", "192.0.3.0"),
            ("192.0.2.7", "192.0.2.7", "192.0.2.6"),
            ("0.0.0.0/0", "203.0.113.9", "::1"),
            ("10.0.0.0/8", "::ffff:10.1.2.3", "11.0.0.0"),
            ("::ffff:10.0.0.0/104", "10.1.2.3", "11.0.0.0"),
            ("::ffff:192.0.2.7", "192.0.2.7", "::ffff:192.0.2.6"),
            ("2001:db8::/32", "2001:db8:ffff::1", "2001:db9::1"),
            ("::/0", "2001:db8::1", "10.0.0.1"),
            ("::1", "::1", "::2"),
        ] {
            let network: Network = network.parse().unwrap();
            assert!(network.contains(inside.parse().unwrap()), "{network} {inside}");
            assert!(!network.contains(outside.parse().unwrap()), "{network} {outside}");
            assert_eq!(network.to_string().parse(), Ok(network));
        }
    }

    #[test]
    fn what_is_no_network_is_refused() {
        for bad in
            ["", "host", "192.0.2.0/33", "192.0.2.1/24", "192.0.2.0/", "192.0.2.0/+8", "::/129", "::1/64"]
        {
            assert_eq!(bad.parse::<Network>(), Err(InvalidNetwork), "{bad}");
        }
    }
}
