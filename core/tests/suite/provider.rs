//! An OpenID provider of a test, and a GitHub: real HTTP on any port of this machine,
//! and tokens that are really signed.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
};

use aws_lc_rs::{
    rand::SystemRandom,
    signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _},
};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use bytes::Bytes;
use chatcode_core::config::provider::{GithubUrls, Preset, ProviderConfig};
use http::{Request, Response};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use serde_json::{Map, Value, json};
use sha2::{Digest as _, Sha256};
use tokio::net::TcpListener;
use tokio_util::task::AbortOnDropHandle;

/// What this installation is called there.
pub(crate) const CLIENT: &str = "chatcode";

/// How the provider behaves.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Way {
    #[default]
    Sound,
    /// Its keys are more than an answer may have.
    LargeKeys,
    /// Its keys are at another address.
    MovedKeys,
    /// It never answers a code.
    Silent,
    /// It signs nothing.
    Unsigned,
    /// It signs with a key that it does not publish.
    OtherKey,
    /// It names another issuer than it is.
    OtherIssuer,
    /// It promises to say whose its answers are (RFC 9207).
    SaysIssuer,
    /// It never says anything of itself.
    Mute,
    /// It publishes so many keys, the one that it signs with among them if there are any.
    Keys(usize),
}

/// What was asked, and what is answered.
#[derive(Debug, Default)]
struct Script {
    way: Way,
    claims: Map<String, Value>,
    userinfo: Map<String, Value>,
    /// The code that works once, and the challenge that its verifier has to fit.
    code: Option<(String, String)>,
    asked: Vec<String>,
}

/// A provider that runs until it is dropped.
pub(crate) struct Provider {
    pub(crate) issuer: String,
    script: Arc<Mutex<Script>>,
    _serving: AbortOnDropHandle<()>,
}

impl Provider {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let issuer = format!("http://{}", listener.local_addr().unwrap());
        let userinfo = object(json!({ "sub": "7" }));
        let script = Arc::new(Mutex::new(Script { userinfo, ..Script::default() }));
        let desk = Arc::new(Desk { issuer: issuer.clone(), script: script.clone(), keys: [key(), key()] });
        let serving = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let desk = desk.clone();
                tokio::spawn(async move {
                    let service = hyper::service::service_fn(move |request| {
                        let desk = desk.clone();
                        async move { Ok::<_, std::convert::Infallible>(desk.answer(request).await) }
                    });
                    let _ = hyper::server::conn::http1::Builder::new()
                        .serve_connection(TokioIo::new(stream), service)
                        .await;
                });
            }
        });
        Self { issuer, script, _serving: AbortOnDropHandle::new(serving) }
    }

    /// It in the configuration of a core.
    pub(crate) fn config(&self) -> ProviderConfig {
        ProviderConfig {
            id: "work".to_owned(),
            name: Some("Work".to_owned()),
            issuer: Some(self.issuer.clone()),
            client_id: CLIENT.to_owned(),
            ..ProviderConfig::default()
        }
    }

    /// It as a GitHub; the secret is in this file.
    pub(crate) fn github(&self, secret: std::path::PathBuf) -> ProviderConfig {
        let at = |path: &str| format!("{}{path}", self.issuer);
        ProviderConfig {
            id: "github".to_owned(),
            preset: Some(Preset::Github),
            client_id: CLIENT.to_owned(),
            client_secret_file: Some(secret),
            github: Some(GithubUrls {
                authorize: at("/authorize"),
                token: at("/github/token"),
                api: at("/api"),
            }),
            ..ProviderConfig::default()
        }
    }

    pub(crate) fn behave(&self, way: Way) {
        self.script.lock().unwrap().way = way;
    }

    /// What it says when it is asked who a person is, besides the token.
    pub(crate) fn tells(&self, userinfo: Value) {
        self.script.lock().unwrap().userinfo = object(userinfo);
    }

    /// The paths that it was asked for.
    pub(crate) fn asked(&self) -> Vec<String> {
        self.script.lock().unwrap().asked.clone()
    }

    /// A browser comes to `url` and its person agrees: the answer has these claims
    /// besides the usual ones; a null takes one away. Says code and state.
    pub(crate) fn agree(&self, url: &str, claims: Value) -> (String, String) {
        let query = query(url.split_once('?').unwrap().1);
        assert_eq!(query["code_challenge_method"], "S256");
        assert_eq!(query["client_id"], CLIENT);
        assert_eq!(query["response_type"], "code");
        assert!(query["redirect_uri"].contains("/auth/callback/"), "{url}");
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
        let mut all = object(json!({
            "iss": self.issuer, "aud": CLIENT, "sub": "7", "iat": now, "exp": now + 300, "name": "Ada",
        }));
        if let Some(nonce) = query.get("nonce") {
            all.insert("nonce".to_owned(), nonce.clone().into());
        }
        for (name, value) in object(claims) {
            if value.is_null() {
                all.remove(&name)
            } else {
                all.insert(name, value)
            };
        }
        let code = chatcode_certs::random::text_id();
        let mut script = self.script.lock().unwrap();
        script.claims = all;
        script.code = Some((code.clone(), query["code_challenge"].clone()));
        (code, query["state"].clone())
    }
}

struct Desk {
    issuer: String,
    script: Arc<Mutex<Script>>,
    /// The one that it publishes, and another.
    keys: [EcdsaKeyPair; 2],
}

impl Desk {
    async fn answer(&self, request: Request<Incoming>) -> Response<Full<Bytes>> {
        let path = request.uri().path().to_owned();
        let body = request.into_body().collect().await.unwrap().to_bytes();
        let way = {
            let mut script = self.script.lock().unwrap();
            script.asked.push(path.clone());
            script.way
        };
        match path.as_str() {
            "/.well-known/openid-configuration" if way == Way::Mute => std::future::pending().await,
            "/.well-known/openid-configuration" => json_of(&self.facts(way)),
            "/keys" if way == Way::LargeKeys => json_of(&json!({ "keys": [], "more": "x".repeat(1 << 20) })),
            "/keys" if way == Way::MovedKeys => {
                Response::builder().status(302).header("location", "/keys2").body(Full::default()).unwrap()
            }
            "/keys" => {
                let count = if let Way::Keys(count) = way { count } else { 1 };
                json_of(&json!({ "keys": vec![jwk(&self.keys[0]); count] }))
            }
            "/token" if way == Way::Silent => std::future::pending().await,
            "/token" => self.token(&body, way),
            "/userinfo" => json_of(&Value::Object(self.script.lock().unwrap().userinfo.clone())),
            "/github/token" => match self.trade(&body) {
                true => json_of(&json!({ "access_token": "at", "token_type": "bearer" })),
                false => json_of(&json!({ "error": "bad_verification_code" })),
            },
            "/api/user" => json_of(&json!({ "id": 7, "login": "ada", "name": null })),
            "/api/user/emails" => json_of(&self.script.lock().unwrap().claims["emails"]),
            _ => Response::builder().status(404).body(Full::default()).unwrap(),
        }
    }

    fn facts(&self, way: Way) -> Value {
        let at = |path: &str| format!("{}{path}", self.issuer);
        let issuer =
            if way == Way::OtherIssuer { "http://127.0.0.1:1".to_owned() } else { self.issuer.clone() };
        json!({
            "issuer": issuer,
            "authorization_endpoint": at("/authorize"),
            "token_endpoint": at("/token"),
            "userinfo_endpoint": at("/userinfo"),
            "jwks_uri": at("/keys"),
            "authorization_response_iss_parameter_supported": way == Way::SaysIssuer,
            "response_types_supported": ["code"],
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": ["ES256", "HS256", "none"],
        })
    }

    /// Whether the code is the one that works, shown by who has asked for it.
    fn trade(&self, body: &[u8]) -> bool {
        let form = query(std::str::from_utf8(body).unwrap());
        let Some((code, challenge)) = self.script.lock().unwrap().code.take() else { return false };
        let fits = URL_SAFE_NO_PAD.encode(Sha256::digest(form["code_verifier"].as_bytes()));
        form["code"] == code && fits == challenge
    }

    fn token(&self, body: &[u8], way: Way) -> Response<Full<Bytes>> {
        if !self.trade(body) {
            let error = json!({ "error": "invalid_grant" });
            let mut refused = json_of(&error);
            *refused.status_mut() = http::StatusCode::BAD_REQUEST;
            return refused;
        }
        let claims = Value::Object(self.script.lock().unwrap().claims.clone());
        let token = match way {
            Way::Unsigned => format!("{}.{}.", part(&json!({ "alg": "none" })), part(&claims)),
            Way::OtherKey => signed(&self.keys[1], &claims),
            _ => signed(&self.keys[0], &claims),
        };
        json_of(&json!({ "access_token": "at", "token_type": "Bearer", "id_token": token }))
    }
}

fn key() -> EcdsaKeyPair {
    EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap()
}

fn jwk(key: &EcdsaKeyPair) -> Value {
    let point = &key.public_key().as_ref()[1..];
    let text = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
    json!({
        "kty": "EC", "crv": "P-256", "alg": "ES256", "use": "sig", "kid": "1",
        "x": text(&point[..32]), "y": text(&point[32..]),
    })
}

fn signed(key: &EcdsaKeyPair, claims: &Value) -> String {
    let text = format!("{}.{}", part(&json!({ "alg": "ES256", "kid": "1" })), part(claims));
    let signature = key.sign(&SystemRandom::new(), text.as_bytes()).unwrap();
    format!("{text}.{}", URL_SAFE_NO_PAD.encode(signature))
}

fn part(value: &Value) -> String {
    URL_SAFE_NO_PAD.encode(value.to_string())
}

fn object(value: Value) -> Map<String, Value> {
    let Value::Object(map) = value else { panic!("{value} is no object") };
    map
}

fn json_of(value: &Value) -> Response<Full<Bytes>> {
    let body = Full::from(value.to_string());
    Response::builder().header("content-type", "application/json").body(body).unwrap()
}

/// The pairs of a query or form.
fn query(text: &str) -> HashMap<String, String> {
    let pairs = text.split('&').filter_map(|pair| pair.split_once('='));
    pairs.map(|(name, value)| (name.to_owned(), decoded(value))).collect()
}

fn decoded(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'+' => b' ',
            b'%' => {
                let hex: Vec<u8> = rest.by_ref().take(2).collect();
                u8::from_str_radix(std::str::from_utf8(&hex).unwrap(), 16).unwrap()
            }
            byte => byte,
        });
    }
    String::from_utf8(bytes).unwrap()
}
