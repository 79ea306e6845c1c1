//! Where the core's TCP listener is, and the proxy on the way there.

use std::{fmt, io, sync::Arc};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use chatcode_proto::limits;
use http::{HeaderValue, Uri};
use hyper_util::client::legacy::connect::{HttpConnector, proxy::Tunnel};
use socket2::{SockRef, TcpKeepalive};
use tokio::net::TcpStream;
use tower::{Service as _, ServiceExt as _};
use zeroize::Zeroizing;

/// `host:port`, reached straight or by a proxy. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Target {
    address: Arc<str>,
    proxy: Option<Arc<Proxy>>,
}

impl Target {
    /// The same place, by this proxy.
    #[must_use]
    pub fn by(self, proxy: Option<Arc<Proxy>>) -> Self {
        Self { proxy, ..self }
    }

    /// `host:port`.
    #[must_use]
    pub fn address(&self) -> &str {
        &self.address
    }

    /// A TCP connection to it. A key never waits for the answer to the one before
    /// it, and an end that is gone is noticed, also on an idle connection.
    pub(crate) async fn connect(&self) -> io::Result<TcpStream> {
        let tcp = match &self.proxy {
            None => TcpStream::connect(&*self.address).await?,
            Some(proxy) => proxy.connect(&self.address).await?,
        };
        prepare(&tcp)?;
        Ok(tcp)
    }
}

impl From<&str> for Target {
    fn from(address: &str) -> Self {
        Self { address: address.into(), proxy: None }
    }
}

impl From<&String> for Target {
    fn from(address: &String) -> Self {
        Self::from(address.as_str())
    }
}

impl From<&Self> for Target {
    fn from(target: &Self) -> Self {
        target.clone()
    }
}

/// What every TCP connection of ours gets at its beginning.
pub(crate) fn prepare(tcp: &TcpStream) -> io::Result<()> {
    tcp.set_nodelay(true)?;
    let every = limits::LINK_TCP_KEEPALIVE;
    let socket = SockRef::from(tcp);
    socket
        .set_tcp_keepalive(&TcpKeepalive::new().with_time(every).with_interval(every / 3).with_retries(3))?;
    #[cfg(target_os = "linux")]
    socket.set_tcp_user_timeout(Some(every))?;
    Ok(())
}

/// An HTTP proxy that makes tunnels (`CONNECT`, RFC 9110 section 9.3.6). TLS goes
/// through it from end to end: it sees addresses and sizes, never what is in them.
pub struct Proxy {
    uri: Uri,
    authorization: Option<HeaderValue>,
}

/// Why a text is no proxy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProxyError {
    /// Not `http://host:port`.
    #[error("a proxy is written http://HOST:PORT, or http://USER:PASSWORD@HOST:PORT in a file of its own")]
    Form,
    /// TLS to the proxy itself.
    #[error("a proxy is spoken to by http:// only; what goes through it is encrypted from end to end anyway")]
    Scheme,
    /// User or password that cannot be sent.
    #[error("user or password of the proxy hold a character that cannot be sent; write it as %XX")]
    Credentials,
}

impl Proxy {
    /// Reads `http://[USER:PASSWORD@]HOST:PORT`; user and password may have `%XX`
    /// in them.
    ///
    /// # Errors
    /// [`ProxyError`], which names nothing of the text.
    pub fn parse(text: &str) -> Result<Self, ProxyError> {
        let (scheme, rest) = text.trim().split_once("://").ok_or(ProxyError::Form)?;
        if !scheme.eq_ignore_ascii_case("http") {
            return Err(ProxyError::Scheme);
        }
        let rest = rest.trim_end_matches('/');
        let (user, place) = match rest.rsplit_once('@') {
            Some((user, place)) => (Some(user), place),
            None => (None, rest),
        };
        let uri: Uri = format!("http://{place}").parse().map_err(|_| ProxyError::Form)?;
        let is_place = uri.host().is_some_and(|host| !host.is_empty())
            && uri.port_u16().is_some_and(|port| port != 0)
            && uri.path() == "/"
            && uri.query().is_none();
        if !is_place {
            return Err(ProxyError::Form);
        }
        Ok(Self { uri, authorization: user.map(authorization).transpose()? })
    }

    /// `host:port` of the proxy, for people.
    #[must_use]
    pub fn place(&self) -> &str {
        self.uri.authority().map_or("", |authority| authority.as_str())
    }

    async fn connect(&self, address: &str) -> io::Result<TcpStream> {
        let to: Uri = format!("https://{address}").parse().map_err(io::Error::other)?;
        let mut tunnel = Tunnel::new(self.uri.clone(), HttpConnector::new());
        if let Some(authorization) = &self.authorization {
            tunnel = tunnel.with_auth(authorization.clone());
        }
        let made = async { tunnel.ready().await?.call(to).await };
        match tokio::time::timeout(limits::HANDSHAKE, made).await {
            Ok(Ok(tcp)) => Ok(tcp.into_inner()),
            Ok(Err(error)) => Err(io::Error::other(format!("by the proxy {}: {error}", self.place()))),
            Err(_) => Err(io::Error::other(format!("the proxy {} does not answer", self.place()))),
        }
    }
}

impl fmt::Debug for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Proxy").field("place", &self.place()).finish_non_exhaustive()
    }
}

/// `Basic` (RFC 7617); hidden where headers are printed.
fn authorization(user: &str) -> Result<HeaderValue, ProxyError> {
    let plain = Zeroizing::new(decoded(user).ok_or(ProxyError::Credentials)?);
    if plain.iter().any(u8::is_ascii_control) {
        return Err(ProxyError::Credentials);
    }
    let basic = Zeroizing::new(format!("Basic {}", STANDARD.encode(&*plain)));
    let mut value = HeaderValue::from_str(&basic).map_err(|_| ProxyError::Credentials)?;
    value.set_sensitive(true);
    Ok(value)
}

/// The bytes of a text with `%XX` in it (RFC 3986, section 2.1).
fn decoded(text: &str) -> Option<Vec<u8>> {
    let (mut out, mut bytes) = (Vec::with_capacity(text.len()), text.bytes());
    while let Some(byte) = bytes.next() {
        if byte != b'%' {
            out.push(byte);
            continue;
        }
        let digit =
            |byte: Option<u8>| char::from(byte?).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
        out.push(digit(bytes.next())? << 4 | digit(bytes.next())?);
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_proxy_is_a_host_and_a_port_and_its_password_is_never_shown() {
        let proxy = Proxy::parse("http://user:p%40ss@proxy.example:3128/\n").unwrap();
        assert_eq!(proxy.place(), "proxy.example:3128");
        assert_eq!(proxy.authorization.as_ref().unwrap().as_bytes(), b"Basic dXNlcjpwQHNz");
        let shown = format!("{proxy:?}");
        assert!(!shown.contains("p@ss") && !shown.contains("dXNl"), "{shown}");
        assert!(Proxy::parse("http://[::1]:3128").unwrap().authorization.is_none());
    }

    #[test]
    fn what_is_no_proxy_is_refused_without_repeating_it() {
        for (text, why) in [
            ("", ProxyError::Form),
            ("proxy:3128", ProxyError::Form),
            ("http://proxy", ProxyError::Form),
            ("http://proxy:0", ProxyError::Form),
            ("http://proxy:3128/path", ProxyError::Form),
            ("http://:3128", ProxyError::Form),
            ("https://proxy:3128", ProxyError::Scheme),
            ("socks5://proxy:1080", ProxyError::Scheme),
            ("http://user:%0a@proxy:3128", ProxyError::Credentials),
            ("http://user:%zz@proxy:3128", ProxyError::Credentials),
        ] {
            assert_eq!(Proxy::parse(text).unwrap_err(), why, "{text:?}");
        }
    }
}
