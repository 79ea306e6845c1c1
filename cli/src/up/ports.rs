//! Which ports `up` takes: those that were asked for, else those of the last
//! time, else a well-known one, else any.

use std::{
    io,
    net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, UdpSocket},
    path::Path,
};

use crate::home::typed;

/// Where the page is unless somebody is there already.
pub(super) const PAGE: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 7420);
/// Where the core and its links are unless told otherwise.
pub(super) const ANY: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

/// The address that was asked for cannot be had.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen at {address}; choose another address, or port 0 for any")]
pub(super) struct Taken {
    address: SocketAddr,
    /// Why.
    pub(super) source: io::Error,
}

/// The address to listen on: `asked`, or the `last` one, or `usual`, or any
/// port, whichever is the first that can be `had`. A port that was asked for by
/// number is taken or refused, and so is a last one beyond this machine, since
/// others dial it; port 0 means the last one of that host, or any.
///
/// # Errors
/// [`Taken`].
pub(super) fn choose(
    asked: Option<SocketAddr>,
    last: Option<SocketAddr>,
    usual: SocketAddr,
    had: impl Fn(SocketAddr) -> io::Result<()>,
) -> Result<SocketAddr, Taken> {
    let last = last.filter(|last| asked.is_none_or(|asked| asked.ip() == last.ip()));
    let demanded = asked.filter(|asked| asked.port() != 0);
    let demanded = demanded.or_else(|| last.filter(|last| asked.is_none() && !last.ip().is_loopback()));
    if let Some(address) = demanded {
        return had(address).map(|()| address).map_err(|source| Taken { address, source });
    }
    let home = asked.unwrap_or(usual);
    let candidates = [last, Some(home).filter(|home| home.port() != 0)];
    let any = SocketAddr::new(home.ip(), 0);
    Ok(candidates.into_iter().flatten().find(|address| had(*address).is_ok()).unwrap_or(any))
}

/// What is said when core or links listen beyond this machine; `None` when
/// neither does.
pub(super) fn beyond(core: SocketAddr, link: SocketAddr, data_dir: &Path) -> Option<String> {
    let wide: Vec<String> = [("core", core), ("links", link)]
        .into_iter()
        .filter(|(_, address)| !address.ip().is_loopback())
        .map(|(what, address)| format!("{what} at {address}"))
        .collect();
    (!wide.is_empty()).then(|| {
        let (wide, words) = (wide.join(", "), format!("up --core-listen {ANY} --link-listen {ANY}"));
        let home = typed(&words, data_dir);
        format!("chatcode: other machines can reach this one ({wide}); to listen here only: {home}")
    })
}

/// Listens on this TCP address and leaves it again.
///
/// # Errors
/// Why it cannot be had.
pub(super) fn try_tcp(address: SocketAddr) -> io::Result<()> {
    TcpListener::bind(address).map(drop)
}

/// Takes this UDP address and leaves it again.
///
/// # Errors
/// Why it cannot be had.
pub(super) fn try_udp(address: SocketAddr) -> io::Result<()> {
    UdpSocket::bind(address).map(drop)
}

/// The address by which this machine itself reaches a listener.
pub(super) fn from_here(address: SocketAddr) -> SocketAddr {
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(ip) if ip.is_unspecified() => IpAddr::V6(std::net::Ipv6Addr::LOCALHOST),
        ip => ip,
    };
    SocketAddr::new(ip, address.port())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> SocketAddr {
        text.parse().expect("is an address")
    }

    fn choice(asked: Option<&str>, last: Option<&str>, taken: &[&str]) -> Result<String, SocketAddr> {
        let taken: Vec<SocketAddr> = taken.iter().map(|text| address(text)).collect();
        let had = |one| if taken.contains(&one) { Err(io::ErrorKind::AddrInUse.into()) } else { Ok(()) };
        choose(asked.map(address), last.map(address), PAGE, had)
            .map(|chosen| chosen.to_string())
            .map_err(|taken| taken.address)
    }

    #[test]
    fn the_first_time_takes_the_usual_port_or_any() {
        assert_eq!(choice(None, None, &[]), Ok("127.0.0.1:7420".into()));
        assert_eq!(choice(None, None, &["127.0.0.1:7420"]), Ok("127.0.0.1:0".into()));
    }

    #[test]
    fn the_next_time_takes_the_port_of_the_last_or_falls_back() {
        let last = Some("127.0.0.1:4000");
        assert_eq!(choice(None, last, &[]), Ok("127.0.0.1:4000".into()));
        assert_eq!(choice(None, last, &["127.0.0.1:4000"]), Ok("127.0.0.1:7420".into()));
        assert_eq!(choice(Some("127.0.0.1:0"), last, &[]), Ok("127.0.0.1:4000".into()));
        assert_eq!(choice(Some("127.0.0.1:0"), last, &["127.0.0.1:4000"]), Ok("127.0.0.1:0".into()));
    }

    #[test]
    fn port_zero_of_another_host_does_not_take_the_last_one() {
        assert_eq!(choice(Some("0.0.0.0:0"), Some("127.0.0.1:4000"), &[]), Ok("0.0.0.0:0".into()));
    }

    #[test]
    fn a_wider_address_of_the_last_time_is_kept_whole_until_another_is_asked_for() {
        let last = Some("0.0.0.0:7421");
        assert_eq!(choice(None, last, &[]), Ok("0.0.0.0:7421".into()));
        assert_eq!(choice(None, last, &["0.0.0.0:7421"]), Err(address("0.0.0.0:7421")));
        assert_eq!(choice(Some("127.0.0.1:0"), last, &[]), Ok("127.0.0.1:0".into()));
        assert_eq!(choice(Some("0.0.0.0:0"), last, &["0.0.0.0:7421"]), Ok("0.0.0.0:0".into()));
    }

    #[test]
    fn listening_beyond_this_machine_is_said_with_the_way_back() {
        let data = Path::new("/srv/chat code");
        assert_eq!(beyond(ANY, ANY, data), None);
        let words = beyond(address("0.0.0.0:7421"), ANY, data).expect("is said");
        assert!(words.contains("core at 0.0.0.0:7421") && !words.contains("links"), "{words}");
        let home = "up --core-listen 127.0.0.1:0 --link-listen 127.0.0.1:0 --data-dir '/srv/chat code'";
        assert!(words.ends_with(home), "{words}");
    }

    #[test]
    fn a_port_that_was_asked_for_is_never_swapped_in_silence() {
        let asked = "127.0.0.1:5000";
        assert_eq!(choice(Some(asked), Some("127.0.0.1:4000"), &[]), Ok(asked.into()));
        assert_eq!(choice(Some(asked), None, &[asked]), Err(address(asked)));
    }

    #[test]
    fn a_listener_on_every_address_is_reached_on_loopback() {
        assert_eq!(from_here(address("0.0.0.0:5")), address("127.0.0.1:5"));
        assert_eq!(from_here(address("[::]:5")), address("[::1]:5"));
        assert_eq!(from_here(address("192.0.2.1:5")), address("192.0.2.1:5"));
    }
}
