//! Which requests may be from our page: one exact origin, one exact host, and
//! what the browser itself says of the site that asks. No patterns, and no
//! forwarded headers: the configured origin is the only truth.

use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    str::FromStr,
};

use chatcode_proto::{code::Refusal, pb::Code};
use http::{
    HeaderMap, HeaderName, HeaderValue, Uri,
    header::{HOST, ORIGIN},
    uri::Authority,
};

/// What a browser says of who caused a request; older ones do not say it.
const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// The origin of the page as browsers spell it: scheme, host in lower case,
/// and a port unless it is the scheme's own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    text: String,
    scheme_bytes: usize,
}

/// The text is not an origin that a page can safely have.
#[derive(Debug, thiserror::Error)]
pub enum OriginError {
    /// Not of the form.
    #[error(
        "`{0}` is not an origin: write it as https://host or https://host:port, in lower case, and nothing behind it"
    )]
    Form(String),
    /// Browsers would send cookies in the clear.
    #[error("the origin `{0}` must begin with https://; only localhost may do without")]
    Plain(String),
}

impl Origin {
    /// Host and port, as the header `Host` has them.
    #[must_use]
    pub fn authority(&self) -> &str {
        &self.text[self.scheme_bytes + 3..]
    }

    /// Whether browsers reach the page through TLS.
    #[must_use]
    pub fn is_https(&self) -> bool {
        &self.text[..self.scheme_bytes] == "https"
    }

    /// The origin as text, as the header `Origin` has it.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The header `Origin` of our page.
    pub(crate) fn header(&self) -> Result<HeaderValue, Refusal> {
        HeaderValue::from_str(&self.text).map_err(|_| Refusal::new(Code::Internal, "the origin is not text"))
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl FromStr for Origin {
    type Err = OriginError;

    fn from_str(text: &str) -> Result<Self, OriginError> {
        let form = || OriginError::Form(text.to_owned());
        let (scheme, rest) = text.split_once("://").ok_or_else(form)?;
        let own_port = match scheme {
            "https" => 443,
            "http" => 80,
            _ => return Err(form()),
        };
        let authority: Authority = rest.parse().map_err(|_| form())?;
        let host = authority.host();
        if !is_host(host) || authority.as_str().contains('@') {
            return Err(form());
        }
        let port = match authority.as_str()[host.len()..].strip_prefix(':') {
            None if authority.as_str().len() == host.len() => None,
            Some(digits) => Some(digits.parse::<u16>().map_err(|_| form())?),
            None => return Err(form()),
        };
        if scheme == "http" && !is_this_machine(host) {
            return Err(OriginError::Plain(text.to_owned()));
        }
        let text = match port.filter(|port| *port != own_port) {
            Some(port) => format!("{scheme}://{host}:{port}"),
            None => format!("{scheme}://{host}"),
        };
        Ok(Self { text, scheme_bytes: scheme.len() })
    }
}

/// A name or an address as browsers spell it: in lower case, no pattern, and each
/// address in its one spelling.
fn is_host(host: &str) -> bool {
    if let Some(rest) = host.strip_prefix('[') {
        let inner = rest.strip_suffix(']').unwrap_or_default();
        let is_spelled = |ip: Ipv6Addr| ip.to_ipv4_mapped().is_none() && ip.to_string() == inner;
        return inner.parse().is_ok_and(is_spelled);
    }
    let is_plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '.' | '-' | '_');
    // What ends in a number is an address to browsers.
    let last = host.rsplit('.').next().unwrap_or_default();
    let is_number = last.starts_with("0x") || last.chars().all(|c| c.is_ascii_digit());
    host.chars().all(is_plain) && (!is_number || host.parse::<Ipv4Addr>().is_ok())
}

fn is_this_machine(host: &str) -> bool {
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost" || bare.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

/// Why a request is not from our page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stranger {
    /// The request was sent to another name: a wrong address, or DNS rebinding.
    Host,
    /// Another page, or no page, sent it.
    Origin,
    /// The browser says that another site caused it.
    Site,
}

/// Judges whether requests are from the page of one origin.
#[derive(Clone, Debug)]
pub struct Admission {
    origin: Origin,
}

impl Admission {
    /// Admits the page of `origin`.
    #[must_use]
    pub const fn new(origin: Origin) -> Self {
        Self { origin }
    }

    /// The origin that is admitted.
    #[must_use]
    pub const fn origin(&self) -> &Origin {
        &self.origin
    }

    /// For every request: it was sent to our name.
    ///
    /// # Errors
    /// [`Stranger::Host`] when the header `Host`, or the authority of HTTP/2, is
    /// missing, doubled, or not exactly ours.
    pub fn host(&self, uri: &Uri, headers: &HeaderMap) -> Result<(), Stranger> {
        let ours = self.origin.authority();
        let in_uri = uri.authority().map(Authority::as_str);
        let in_header = only(headers, &HOST).map_err(|()| Stranger::Host)?;
        let named = in_uri.or(in_header) == Some(ours);
        let agree = [in_uri, in_header].into_iter().flatten().all(|name| name == ours);
        if named && agree { Ok(()) } else { Err(Stranger::Host) }
    }

    /// For requests that change something, and for WebSockets: our page sent
    /// it.
    ///
    /// # Errors
    /// [`Stranger::Origin`] unless there is exactly one `Origin` and it is
    /// ours; [`Stranger::Site`] when the browser names another site.
    pub fn page(&self, headers: &HeaderMap) -> Result<(), Stranger> {
        if only(headers, &ORIGIN) != Ok(Some(self.origin.as_str())) {
            return Err(Stranger::Origin);
        }
        match only(headers, &SEC_FETCH_SITE) {
            Ok(None | Some("same-origin")) => Ok(()),
            _ => Err(Stranger::Site),
        }
    }
}

/// The value of a header that may be there once.
fn only<'h>(headers: &'h HeaderMap, name: &HeaderName) -> Result<Option<&'h str>, ()> {
    let mut values = headers.get_all(name).iter();
    match (values.next(), values.next()) {
        (None, _) => Ok(None),
        (Some(value), None) => value.to_str().map(Some).map_err(|_| ()),
        (Some(_), Some(_)) => Err(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn admission(origin: &str) -> Admission {
        Admission::new(origin.parse().expect("an origin"))
    }

    fn headers(of: &[(&'static str, &str)]) -> HeaderMap {
        of.iter()
            .map(|(name, value)| {
                (HeaderName::from_static(name), HeaderValue::from_str(value).expect("a header value"))
            })
            .collect()
    }

    #[test]
    fn only_the_exact_origin_is_our_page() {
        let ours = "https://good.example:8443";
        let admission = admission(ours);
        assert_eq!(admission.page(&headers(&[("origin", ours)])), Ok(()));
        for stranger in [
            "",
            "null",
            "https://good.example",
            "https://good.example:8444",
            "https://good.example:443",
            "http://good.example:8443",
            "https://good.example:8443.evil.test",
            "https://good.example.evil.test:8443",
            "https://evilgood.example:8443",
            "https://sub.good.example:8443",
            "https://GOOD.example:8443",
            "HTTPS://good.example:8443",
            "https://user@good.example:8443",
            "https://user:pw@good.example:8443",
            "https://good.example.:8443",
            "https://good.example:8443/",
            "https://good.example:8443 ",
            "https://good.example:8443, https://good.example:8443",
            "https://xn--good-example:8443",
            "wss://good.example:8443",
            "good.example:8443",
        ] {
            assert_eq!(
                admission.page(&headers(&[("origin", stranger)])),
                Err(Stranger::Origin),
                "{stranger:?}"
            );
        }
        assert_eq!(admission.page(&headers(&[])), Err(Stranger::Origin), "no origin");
        assert_eq!(
            admission.page(&headers(&[("origin", ours), ("origin", ours)])),
            Err(Stranger::Origin),
            "two origins"
        );
    }

    #[test]
    fn another_port_of_this_machine_is_another_page() {
        let admission = admission("http://localhost:4000");
        for stranger in
            ["http://localhost:4001", "http://127.0.0.1:4000", "http://localhost", "http://[::1]:4000"]
        {
            assert_eq!(
                admission.page(&headers(&[("origin", stranger)])),
                Err(Stranger::Origin),
                "{stranger}"
            );
        }
    }

    #[test]
    fn a_request_that_another_site_caused_is_refused_even_with_our_origin() {
        let ours = "http://localhost:4000";
        let admission = admission(ours);
        for (site, expected) in [
            ("same-origin", Ok(())),
            ("same-site", Err(Stranger::Site)),
            ("cross-site", Err(Stranger::Site)),
            ("none", Err(Stranger::Site)),
            ("", Err(Stranger::Site)),
        ] {
            assert_eq!(
                admission.page(&headers(&[("origin", ours), ("sec-fetch-site", site)])),
                expected,
                "{site:?}"
            );
        }
    }

    #[test]
    fn only_our_exact_host_is_answered() {
        let admission = admission("http://localhost:4000");
        let path = Uri::from_static("/");
        assert_eq!(admission.host(&path, &headers(&[("host", "localhost:4000")])), Ok(()));
        for host in [
            "attacker.test",
            "attacker.test:4000",
            "localhost",
            "localhost:4001",
            "localhost.:4000",
            "LOCALHOST:4000",
            "127.0.0.1:4000",
            "localhost:4000.attacker.test",
            "user@localhost:4000",
            "",
        ] {
            assert_eq!(admission.host(&path, &headers(&[("host", host)])), Err(Stranger::Host), "{host:?}");
        }
        assert_eq!(admission.host(&path, &headers(&[])), Err(Stranger::Host), "no host");
        let twice = headers(&[("host", "localhost:4000"), ("host", "localhost:4000")]);
        assert_eq!(admission.host(&path, &twice), Err(Stranger::Host), "two hosts");
    }

    #[test]
    fn the_authority_of_the_request_line_counts_as_much_as_the_header() {
        let admission = admission("https://good.example");
        let ours = Uri::from_static("https://good.example/");
        let other = Uri::from_static("https://attacker.test/");
        assert_eq!(admission.host(&ours, &headers(&[])), Ok(()), "HTTP/2 has no Host");
        assert_eq!(admission.host(&ours, &headers(&[("host", "good.example")])), Ok(()));
        assert_eq!(admission.host(&ours, &headers(&[("host", "attacker.test")])), Err(Stranger::Host));
        assert_eq!(admission.host(&other, &headers(&[("host", "good.example")])), Err(Stranger::Host));
    }

    #[test]
    fn an_origin_is_read_as_browsers_spell_it() {
        for (text, spelled) in [
            ("https://a.example", "https://a.example"),
            ("https://a.example:443", "https://a.example"),
            ("https://a.example:8443", "https://a.example:8443"),
            ("http://localhost:80", "http://localhost"),
            ("http://[::1]:4000", "http://[::1]:4000"),
            ("https://192.0.2.1:8443", "https://192.0.2.1:8443"),
            ("https://[2001:db8::1]", "https://[2001:db8::1]"),
        ] {
            let origin: Origin = text.parse().expect(text);
            assert_eq!(origin.as_str(), spelled);
        }
        for text in [
            "",
            "a.example",
            "ftp://a.example",
            "https://",
            "https://a.example/",
            "https://a.example/x",
            "https://A.example",
            "https://u@a.example",
            "https://a.example.",
            "https://a.example:",
            "https://a b",
            "https://a.example:99999",
            "https://*.example ",
            "https://*.example",
            "https://*",
            "https://a,b",
            "https://[::1",
            "https://[::01]",
            "https://[::ffff:192.0.2.1]",
            "https://127.1",
            "https://0x7f.1",
            "https://a.example.5",
            "http://a.example",
            "http://192.0.2.1",
        ] {
            assert!(text.parse::<Origin>().is_err(), "{text:?}");
        }
    }
}

/// `just fuzz origins`.
#[cfg(test)]
mod fuzz {
    use chatcode_fuzz::{Target, lines, sight};

    use super::*;

    const TARGET: Target = Target { name: "origins", words: WORDS, usual: 20_000, case };
    const OURS: &str = "https://good.example:8443";
    const WORDS: &[&[u8]] = &[
        b"origin: https://good.example:8443",
        b"host: good.example:8443",
        b"sec-fetch-site: same-origin",
        b"sec-fetch-site: cross-site",
        b"origin: null",
        b"https://",
        b"http://",
        b"localhost",
        b"[::1]",
        b"127.0.0.1",
        b"good.example",
        b".evil.test",
        b":8443",
        b":443",
        b":0",
        b":99999",
        b"@",
        b"/",
        b"?",
        b"#",
        b"*",
        b".",
        b"xn--",
        b"\n",
        b"\xc3\xa9",
    ];

    #[test]
    fn of_any_headers_only_those_of_the_one_page_are_admitted() {
        chatcode_fuzz::run(&TARGET, Vec::new());
    }

    /// Each line is a header, and is read as an origin too.
    fn case(input: &[u8]) -> Vec<u64> {
        let lines = lines(input);
        let mut headers = HeaderMap::new();
        for line in &lines {
            let Some((name, value)) = line.split_once(": ") else { continue };
            if let (Ok(name), Ok(value)) = (name.parse::<HeaderName>(), HeaderValue::from_str(value)) {
                headers.append(name, value);
            }
        }
        let mut sights: Vec<u64> = lines.iter().map(|line| sight(origin(line))).collect();
        sights.push(sight(judged(&headers)));
        sights
    }

    fn origin(text: &str) -> Option<bool> {
        let origin: Origin = text.parse().ok()?;
        assert_eq!(origin.as_str().parse().ok().as_ref(), Some(&origin), "an origin has two spellings: see");
        assert!(!origin.authority().contains(['/', '@', '?', '#', ' ', '*']), "no host: {text}");
        assert!(!text.chars().any(|c| c.is_ascii_uppercase()), "browsers spell it otherwise: {text}");
        let host = origin.authority();
        let is_here = host.starts_with("localhost") || host.starts_with("127.") || host.starts_with("[::1]");
        assert!(origin.is_https() || is_here, "cookies would go in the clear: {text}");
        Some(origin.is_https())
    }

    fn judged(headers: &HeaderMap) -> (bool, bool) {
        let admission = Admission::new(OURS.parse().expect("an origin"));
        let all = |name: &str| headers.get_all(name).iter().map(HeaderValue::as_bytes).collect::<Vec<_>>();
        let is_page = admission.page(headers).is_ok();
        let sites = all("sec-fetch-site");
        let is_own_site = sites.is_empty() || sites == [&b"same-origin"[..]];
        assert_eq!(is_page, all("origin") == [OURS.as_bytes()] && is_own_site, "another page is ours: see");
        let is_host = admission.host(&Uri::from_static("/"), headers).is_ok();
        assert_eq!(is_host, all("host") == [&b"good.example:8443"[..]], "another host is ours: see");
        (is_page, is_host)
    }
}
