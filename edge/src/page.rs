//! The files of the page, embedded at build time, and the headers that keep it
//! to itself.

use axum::{
    body::Body,
    extract::Request,
    response::{IntoResponse as _, Response},
};
use bytes::Bytes;
use chatcode_proto::{code::Refusal, name::is_provider_id, pb::Code};
use http::{
    HeaderMap, HeaderName, HeaderValue, StatusCode,
    header::{
        CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG, IF_NONE_MATCH, REFERRER_POLICY,
        STRICT_TRANSPORT_SECURITY, X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
    },
};

use crate::{cookie::is_link, refuse};

/// One file of the page.
struct Asset {
    /// Its path in the URL, such as "/index.html".
    path: &'static str,
    /// Its content type.
    mime: &'static str,
    /// SHA-256 of its bytes, quoted.
    etag: &'static str,
    /// Its name holds a hash of its content, so it never changes.
    immutable: bool,
    /// Its content.
    bytes: &'static [u8],
}

include!(concat!(env!("OUT_DIR"), "/page.rs"));

/// What the page may load and do. Scripts, styles and fonts only from here,
/// connections only to here, frames and forms never, nothing inline.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; \
    connect-src 'self'; img-src 'self' data: blob:; \
    font-src 'self'; manifest-src 'self'; worker-src 'self'; frame-ancestors 'none'; base-uri 'none'; \
    form-action 'none'; require-trusted-types-for 'script'";

/// Sets the headers that every answer carries.
pub(crate) fn protect(headers: &mut HeaderMap, https: bool) {
    for (name, value) in [
        (CONTENT_SECURITY_POLICY, POLICY),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (REFERRER_POLICY, "no-referrer"),
        (X_FRAME_OPTIONS, "DENY"),
        (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
        (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
        (HeaderName::from_static("permissions-policy"), "camera=(), geolocation=(), microphone=()"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    if https {
        headers.insert(STRICT_TRANSPORT_SECURITY, HeaderValue::from_static("max-age=31536000"));
    }
}

/// Below this, each identity provider has an address to send a browser back to: the
/// page itself, which takes the answer out of the address and posts it from our own site.
const CALLBACK: &str = "/auth/callback/";

/// Below this, each link has the page of its guests.
const GUEST: &str = "/s/";

/// The file that the path names; "/" is the index.
pub(crate) fn answer(request: &Request) -> Response {
    let path = match request.uri().path() {
        "/" => "/index.html",
        path if path.strip_prefix(CALLBACK).is_some_and(is_provider_id) => "/index.html",
        path if path.strip_prefix(GUEST).is_some_and(is_link) => "/index.html",
        path => path,
    };
    let Ok(found) = ASSETS.binary_search_by(|asset| asset.path.cmp(path)) else {
        return refuse::json(
            StatusCode::NOT_FOUND,
            &Refusal::new(Code::UnknownMethod, "there is nothing here"),
        );
    };
    let asset = &ASSETS[found];
    let cache = if asset.immutable { "public, max-age=31536000, immutable" } else { "no-cache" };
    let known =
        request.headers().get(IF_NONE_MATCH).is_some_and(|tag| tag.as_bytes() == asset.etag.as_bytes());
    let mut response = if known {
        StatusCode::NOT_MODIFIED.into_response()
    } else {
        Response::new(Body::from(Bytes::from_static(asset.bytes)))
    };
    let headers = response.headers_mut();
    headers.insert(CACHE_CONTROL, HeaderValue::from_static(cache));
    headers.insert(ETAG, HeaderValue::from_static(asset.etag));
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(asset.mime));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    fn get(path: &str, tag: Option<&str>) -> Response {
        let mut request = Request::new(Body::empty());
        *request.uri_mut() = path.parse().expect("a path");
        if let Some(tag) = tag {
            request.headers_mut().insert(IF_NONE_MATCH, tag.parse().expect("a tag"));
        }
        answer(&request)
    }

    #[test]
    fn every_file_is_found_under_its_path_and_not_sent_twice() {
        assert!(ASSETS.is_sorted_by_key(|asset| asset.path));
        for asset in ASSETS {
            let first = get(asset.path, None);
            assert_eq!(first.status(), StatusCode::OK, "{}", asset.path);
            let tag = first.headers()[ETAG].to_str().expect("is text").to_owned();
            assert_eq!(get(asset.path, Some(&tag)).status(), StatusCode::NOT_MODIFIED, "{}", asset.path);
        }
    }

    #[test]
    fn the_root_is_the_index_and_it_is_asked_for_each_time() {
        let index = get("/", None);
        assert_eq!(index.status(), StatusCode::OK);
        assert_eq!(index.headers()[CACHE_CONTROL], "no-cache");
        assert_eq!(index.headers()[CONTENT_TYPE], "text/html; charset=utf-8");
    }

    #[test]
    fn an_identity_provider_sends_a_browser_back_to_the_page_and_nowhere_else() {
        let back = get("/auth/callback/works?code=c&state=in.s", None);
        assert_eq!(back.status(), StatusCode::OK);
        assert_eq!(back.headers()[CONTENT_TYPE], "text/html; charset=utf-8");
        for path in [
            "/auth/callback",
            "/auth/callback/",
            "/auth/callback/works/",
            "/auth/callback/https://attacker.test",
            "/auth",
            "//auth/callback/works",
        ] {
            assert_eq!(get(path, None).status(), StatusCode::NOT_FOUND, "{path}");
        }
    }

    #[test]
    fn no_path_leads_out_of_the_page() {
        for path in
            ["/../Cargo.toml", "/.sources", "/%2e%2e/Cargo.toml", "//etc/passwd", "/assets/", "/index"]
        {
            assert_eq!(get(path, None).status(), StatusCode::NOT_FOUND, "{path}");
        }
    }

    #[test]
    fn the_policy_allows_no_inline_script_and_no_stranger() {
        let scripts = POLICY.split("; ").find(|part| part.starts_with("script-src")).expect("is there");
        assert_eq!(scripts, "script-src 'self'");
        assert!(!POLICY.contains("unsafe-eval") && !POLICY.contains("http"));
    }
}

/// `just fuzz paths`.
#[cfg(test)]
mod fuzz {
    use chatcode_fuzz::{Target, lines, sight};
    use http::{Uri, header::LOCATION};

    use super::*;

    const TARGET: Target = Target { name: "paths", words: WORDS, usual: 10_000, case };
    const WORDS: &[&[u8]] = &[
        b"/",
        b"//",
        b"/index.html",
        b"/auth/callback/",
        b"/auth/callback/works",
        b"/s/",
        b"0a1b2c3d-0000-4000-8000-000000000000",
        b"?code=c&state=s",
        b"?next=https://attacker.test",
        b"#login=x",
        b"..",
        b"%2e%2e",
        b"%2f",
        b"\\",
        b"https://attacker.test",
        b"@",
        b":",
        b"\n",
        b"\0",
        b"\xc3\xa9",
    ];

    #[test]
    fn any_path_is_a_file_of_the_page_or_nothing_and_leads_nowhere_else() {
        chatcode_fuzz::run(&TARGET, Vec::new());
    }

    fn case(input: &[u8]) -> Vec<u64> {
        lines(input).iter().filter_map(|line| line.parse().ok()).map(one).collect()
    }

    fn one(uri: Uri) -> u64 {
        let path = uri.path().to_owned();
        let mut request = Request::new(Body::empty());
        *request.uri_mut() = uri;
        let response = answer(&request);
        assert!(!response.headers().contains_key(LOCATION), "a way elsewhere: {path}");
        let kind = match response.status() {
            StatusCode::NOT_FOUND => "none",
            StatusCode::OK if ASSETS.iter().any(|asset| asset.path == path) => "file",
            StatusCode::OK => {
                let is_back = path.strip_prefix("/auth/callback/").is_some_and(is_provider_id);
                let is_guest = path.strip_prefix("/s/").is_some_and(is_link);
                assert!(path == "/" || is_back || is_guest, "the page at another address: {path}");
                assert_eq!(response.headers()[CONTENT_TYPE], "text/html; charset=utf-8", "see");
                "page"
            }
            other => panic!("another answer than a file or none: {other}"),
        };
        sight((kind, path.matches('/').count().min(8)))
    }
}
