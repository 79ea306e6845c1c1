//! Where a request comes from: its connection, or what a proxy of ours says of it.
//!
//! `X-Forwarded-For` is believed only of proxies that the settings name, and read from
//! its end: each proxy appends whom it heard, so what stands before the first address
//! that is none of ours was written by whoever likes to. No other forwarded header is
//! read: which page this is, the settings say.

use std::net::{IpAddr, SocketAddr};

use chatcode_link::network::Network;
use chatcode_proto::limits;
use http::{HeaderMap, HeaderName};

/// Appended by each proxy on the way: the address that it was asked from.
const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// The proxies that are believed.
#[derive(Clone, Debug, Default)]
pub(crate) struct Proxies(Vec<Network>);

impl Proxies {
    /// These; none: nobody is believed.
    pub(crate) const fn new(trusted: Vec<Network>) -> Self {
        Self(trusted)
    }

    /// Where a request comes from that came from `peer` with these headers. What makes
    /// no sense counts for nothing: then it is the last address that is known.
    pub(crate) fn client(&self, peer: IpAddr, headers: &HeaderMap) -> IpAddr {
        let mut client = peer;
        if self.0.is_empty() {
            return client;
        }
        let lines: Vec<&str> =
            headers.get_all(FORWARDED_FOR).iter().map(|line| line.to_str().unwrap_or("?")).collect();
        let hops = lines.iter().rev().flat_map(|line| line.rsplit(','));
        for hop in hops.take(limits::FORWARDED_HOPS) {
            if !self.trusts(client) {
                break;
            }
            let Some(address) = address(hop.trim()) else { break };
            client = address;
        }
        client
    }

    fn trusts(&self, address: IpAddr) -> bool {
        self.0.iter().any(|network| network.contains(address))
    }
}

/// An address, as proxies write it: perhaps with a port, IPv6 perhaps in brackets.
fn address(text: &str) -> Option<IpAddr> {
    let bare = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(text);
    let parsed =
        bare.parse::<IpAddr>().or_else(|_| text.parse::<SocketAddr>().map(|with_port| with_port.ip()));
    parsed.ok().map(|address| address.to_canonical())
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn client(trusted: &[&str], peer: &str, lines: &[&str]) -> String {
        let proxies = Proxies::new(trusted.iter().map(|text| text.parse().expect("a network")).collect());
        let headers = lines
            .iter()
            .map(|line| (FORWARDED_FOR, HeaderValue::from_str(line).expect("a header")))
            .collect();
        proxies.client(peer.parse().expect("an address"), &headers).to_string()
    }

    #[test]
    fn what_a_stranger_says_of_itself_counts_for_nothing() {
        assert_eq!(client(&[], "192.0.2.1", &["198.51.100.7"]), "192.0.2.1");
        assert_eq!(client(&["10.0.0.0/8"], "192.0.2.1", &["198.51.100.7"]), "192.0.2.1");
    }

    #[test]
    fn the_last_address_that_is_none_of_our_proxies_is_whom_they_heard() {
        let ours: &[&str] = &["127.0.0.1", "10.0.0.0/8", "2001:db8::/32"];
        for (lines, expected) in [
            (&["198.51.100.7"][..], "198.51.100.7"),
            (&["6.6.6.6, 198.51.100.7"], "198.51.100.7"),
            (&["6.6.6.6, 198.51.100.7, 10.1.2.3"], "198.51.100.7"),
            (&["6.6.6.6", "198.51.100.7", "10.1.2.3"], "198.51.100.7"),
            (&["198.51.100.7:4711, 10.1.2.3:80"], "198.51.100.7"),
            (&["[2001:db9::1]:4711"], "2001:db9::1"),
            (&["2001:db9::1,2001:db8::9"], "2001:db9::1"),
            (&["::ffff:198.51.100.7"], "198.51.100.7"),
            // All of them are ours: the first of the way is.
            (&["10.9.9.9, 10.1.2.3"], "10.9.9.9"),
            (&[], "127.0.0.1"),
        ] {
            assert_eq!(client(ours, "127.0.0.1", lines), expected, "{lines:?}");
        }
    }

    #[test]
    fn what_makes_no_sense_ends_the_way_where_it_stands() {
        let ours: &[&str] = &["127.0.0.1", "10.0.0.0/8"];
        for (line, expected) in [
            ("", "127.0.0.1"),
            ("unknown", "127.0.0.1"),
            ("198.51.100.7, unknown", "127.0.0.1"),
            ("unknown, 10.1.2.3", "10.1.2.3"),
            ("198.51.100.7 10.1.2.3", "127.0.0.1"),
            ("http://198.51.100.7", "127.0.0.1"),
        ] {
            assert_eq!(client(ours, "127.0.0.1", &[line]), expected, "{line:?}");
        }
        let endless = vec!["10.0.0.1"; limits::FORWARDED_HOPS * 2].join(",");
        assert_eq!(client(ours, "127.0.0.1", &[&format!("198.51.100.7,{endless}")]), "10.0.0.1");
    }
}

/// `just fuzz forwarded`.
#[cfg(test)]
mod fuzz {
    use chatcode_fuzz::{Target, lines, sight};
    use http::HeaderValue;

    use super::*;

    const TARGET: Target = Target { name: "forwarded", words: WORDS, usual: 20_000, case };
    const WORDS: &[&[u8]] = &[
        b"10.0.0.1",
        b"10.1.2.3:80",
        b"127.0.0.1",
        b"198.51.100.7",
        b"198.51.100.7:4711",
        b"6.6.6.6",
        b"2001:db8::1",
        b"[2001:db9::1]:4711",
        b"[::1]",
        b"::ffff:10.0.0.1",
        b"unknown",
        b"_hidden",
        b",",
        b", ",
        b"\n",
        b" ",
        b":",
        b"\"",
        b"\xff",
    ];

    #[test]
    fn no_header_makes_a_stranger_of_anywhere_else() {
        chatcode_fuzz::run(&TARGET, Vec::new());
    }

    /// The first line is where the connection comes from, the others are headers.
    fn case(input: &[u8]) -> Vec<u64> {
        let lines = lines(input);
        let Some((peer, said)) = lines.split_first() else { return Vec::new() };
        let peer: IpAddr = peer.parse().unwrap_or(IpAddr::from([127, 0, 0, 1]));
        let networks = ["127.0.0.1", "10.0.0.0/8", "2001:db8::/32"].map(|text| text.parse().expect("is one"));
        let proxies = Proxies::new(networks.to_vec());
        let headers = of(said);
        assert_eq!(Proxies::default().client(peer, &headers), peer, "nobody is trusted, and is believed");
        let client = proxies.client(peer, &headers);
        if client != peer {
            assert!(proxies.trusts(peer), "a stranger is believed: {peer} says {client}");
            let mut hops = said.iter().flat_map(|line| line.split(','));
            assert!(hops.any(|hop| address(hop.trim()) == Some(client)), "nobody said {client}");
        }
        // What stands before the first address that is none of ours counts for nothing.
        if !proxies.trusts(client) {
            let longer = [&["6.6.6.6, 10.9.9.9, nonsense".to_owned()], said].concat();
            assert_eq!(proxies.client(peer, &of(&longer)), client, "the beginning is believed: see");
        }
        vec![sight((proxies.trusts(peer), proxies.trusts(client), client == peer, client.is_ipv6()))]
    }

    fn of(lines: &[String]) -> HeaderMap {
        let values = lines.iter().filter_map(|line| HeaderValue::from_str(line).ok());
        values.map(|value| (FORWARDED_FOR, value)).collect()
    }
}
