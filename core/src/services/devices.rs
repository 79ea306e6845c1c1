//! Logins of programs by a device code (RFC 8628): a program shows a user code, a
//! person approves it at a page, and the program fetches an API token of theirs.

use std::{sync::Arc, time::Instant};

use chatcode_certs::{ApiToken, random, secret, secret::Secret};
use chatcode_link::subscriber;
use chatcode_proto::{
    code::Refusal,
    limits,
    name::display_safe,
    pb::{
        Code, DeviceState, DevicesBeginRequest, DevicesBeginResponse, DevicesDecideRequest,
        DevicesDecideResponse, DevicesLookRequest, DevicesLookResponse, DevicesPollRequest,
        DevicesPollResponse, PersonRole, devices_server::Devices,
    },
};
use tonic::{Request, Response, Status};

use crate::{
    caller::{CallInfo, Standing},
    people::Rights,
    services::{accounts::at_page, api_tokens, people::fresh},
    shared::Shared,
    store::{
        devices::{Asked, Decision, Polled},
        people::Person,
        sign_ins::SecretHash,
    },
};

/// The letters of user codes: consonants, so that they are no words and none looks
/// like a digit (RFC 8628, 6.1).
const LETTERS: &[u8; 20] = b"BCDFGHJKLMNPQRSTVWXZ";

/// `service Devices`.
#[derive(Clone, Debug)]
pub struct DevicesService {
    shared: Arc<Shared>,
}

impl DevicesService {
    /// The service over what the core shares.
    #[must_use]
    pub const fn new(shared: Arc<Shared>) -> Self {
        Self { shared }
    }

    /// The refusal of a user code under which nothing waits; it counts.
    fn wrong(&self, info: &CallInfo) -> Refusal {
        if let Err(limited) = self.shared.rates.user_codes.check(&info.caller.principal()) {
            return limited;
        }
        let words = "nothing waits under this code; it was decided, its ten minutes are over, or it is mistyped. \
                     Look at the code that the program shows, or run `chatcode login` again";
        Refusal::new(Code::BadToken, words)
    }

    /// The most that a token of this person may do.
    fn highest(&self, person: &Person) -> PersonRole {
        self.shared.directory.with(&person.id, |given| Rights { given, bounds: None }.highest())
    }
}

#[tonic::async_trait]
impl Devices for DevicesService {
    async fn begin(
        &self,
        request: Request<DevicesBeginRequest>,
    ) -> Result<Response<DevicesBeginResponse>, Status> {
        let info = CallInfo::of(&request)?;
        without_certificate(&info)?;
        let address = subscriber(info.peer.address.ip());
        self.shared.rates.devices.check(&address)?;
        let asked = asked(&info, request.into_inner())?;
        let (device, user_code) = (Secret::generate(), new_user_code());
        let hashes = (&device.hash(), &hash_of(&user_code));
        let begun = self.shared.store.add_device(hashes, &asked, &address.to_string()).await;
        if begun.map_err(Refusal::from)?.is_none() {
            let words = "too many logins from this address wait for a person; let one of them be decided, or try again in ten minutes";
            return Err(Refusal::new(Code::RateLimited, words).into());
        }
        Ok(Response::new(DevicesBeginResponse {
            device_code: device.expose().to_string(),
            user_code: shown(&user_code),
            verification_uri: self.shared.sign_in.origin().unwrap_or_default().to_owned(),
            expires_in_s: seconds(limits::DEVICE),
            interval_s: seconds(limits::DEVICE_POLL),
            installation: self.shared.installation().to_owned(),
            roots: self.shared.own.identity().roots().iter().map(|der| der.to_vec().into()).collect(),
        }))
    }

    async fn poll(
        &self,
        request: Request<DevicesPollRequest>,
    ) -> Result<Response<DevicesPollResponse>, Status> {
        let info = CallInfo::of(&request)?;
        without_certificate(&info)?;
        let unknown = || {
            let words = "this login is not known (any more), or its token was fetched already; log in again";
            Refusal::new(Code::BadToken, words)
        };
        let address = subscriber(info.peer.address.ip());
        let Ok(device) = Secret::from_text(&request.into_inner().device_code) else {
            self.shared.rates.devices_unknown.check(&address)?;
            return Err(unknown().into());
        };
        let secret = ApiToken::generate();
        let shared = Arc::clone(&self.shared);
        let (hash, id, act) = (secret.hash(), fresh(), info.act("api_token.created"));
        let device = device.hash();
        // Carried through also when the caller goes away half-way.
        let work =
            self.shared.tasks.spawn(async move { shared.store.poll_device(&device, (&id, hash), act).await });
        let polled = work.await.map_err(|_| Refusal::new(Code::Internal, "the login broke off"))?;
        let state = |state: DeviceState| DevicesPollResponse { state: state.into(), ..Default::default() };
        Ok(Response::new(match polled.map_err(Refusal::from)? {
            Polled::Unknown => {
                self.shared.rates.devices_unknown.check(&address)?;
                return Err(unknown().into());
            }
            Polled::Pending if self.shared.rates.device_polls.comes(device, Instant::now()) => {
                state(DeviceState::Pending)
            }
            Polled::Pending => state(DeviceState::SlowDown),
            Polled::Expired => state(DeviceState::Expired),
            Polled::Denied => state(DeviceState::Denied),
            Polled::Approved { token, display_name } => DevicesPollResponse {
                state: DeviceState::Approved.into(),
                secret: secret.expose().to_string(),
                token: Some(*token),
                display_name,
            },
        }))
    }

    async fn look(
        &self,
        request: Request<DevicesLookRequest>,
    ) -> Result<Response<DevicesLookResponse>, Status> {
        let info = CallInfo::of(&request)?;
        let (person, _) = at_page(&info)?;
        let code = typed(&request.get_ref().user_code);
        let found = match &code {
            Some(code) => self.shared.store.waiting_device(&hash_of(code)).await.map_err(Refusal::from)?,
            None => None,
        };
        let (Some(code), Some(waiting)) = (code, found) else { return Err(self.wrong(&info).into()) };
        Ok(Response::new(DevicesLookResponse {
            user_code: shown(&code),
            role: waiting.asked.role.min(self.highest(person)).into(),
            program: waiting.asked.program,
            hostname: waiting.asked.hostname,
            address: waiting.asked.address,
            ttl_s: waiting.asked.ttl_s,
            asked_unix_ms: waiting.asked_ms,
            expires_unix_ms: waiting.expires_ms,
        }))
    }

    async fn decide(
        &self,
        request: Request<DevicesDecideRequest>,
    ) -> Result<Response<DevicesDecideResponse>, Status> {
        let info = CallInfo::of(&request)?;
        let (person, _) = at_page(&info)?;
        let DevicesDecideRequest { user_code, approve } = request.get_ref();
        let Some(code) = typed(user_code) else { return Err(self.wrong(&info).into()) };
        let hash = hash_of(&code);
        let Some(waiting) = self.shared.store.waiting_device(&hash).await.map_err(Refusal::from)? else {
            return Err(self.wrong(&info).into());
        };
        let role = approve.then(|| waiting.asked.role.min(self.highest(person)));
        if role == Some(PersonRole::Unspecified) {
            let words =
                "you have no role here, so a program of yours could do nothing; ask an administrator for one";
            return Err(Refusal::new(Code::Forbidden, words).into());
        }
        let act = info.act(if *approve { "device.approved" } else { "device.denied" });
        let decision = Decision { user_code: hash, role, person: &person.id, act };
        if !self.shared.store.decide_device(decision).await.map_err(Refusal::from)? {
            return Err(self.wrong(&info).into());
        }
        Ok(Response::new(DevicesDecideResponse {}))
    }
}

/// Refuses members: they need no login, and who comes through an edge would be
/// counted and shown under the edge's address.
fn without_certificate(info: &CallInfo) -> Result<(), Refusal> {
    match info.peer.who {
        Standing::Anonymous => Ok(()),
        _ => {
            let words = "a login is for programs without a certificate; call the core without one";
            Err(Refusal::new(Code::Forbidden, words))
        }
    }
}

/// What a program asks for, made harmless.
fn asked(info: &CallInfo, wanted: DevicesBeginRequest) -> Result<Asked, Refusal> {
    let role = match PersonRole::try_from(wanted.role) {
        Ok(PersonRole::Unspecified) => PersonRole::Operator,
        Ok(role) => role,
        Err(_) => {
            return Err(Refusal::new(Code::Invalid, "no such role; it is viewer, operator, admin or owner"));
        }
    };
    let ttl_s = match wanted.ttl_s {
        0 => seconds(limits::DEVICE_TOKEN),
        other => seconds(api_tokens::life(other)?),
    };
    let named = |text: &str, otherwise: &str| {
        let text = display_safe(text.trim(), limits::DEVICE_NAME_CHARS);
        if text.is_empty() { otherwise.to_owned() } else { text.trim().to_owned() }
    };
    Ok(Asked {
        program: named(&wanted.program, "a program"),
        hostname: named(&wanted.hostname, "a machine without a name"),
        address: info.peer.address.ip().to_canonical().to_string(),
        role,
        ttl_s,
    })
}

fn new_user_code() -> String {
    let mut code = String::new();
    while code.len() < limits::USER_CODE_CHARS {
        // Bytes beyond the last whole round would make some letters likelier.
        let round = u8::try_from(256 / LETTERS.len() * LETTERS.len()).unwrap_or(u8::MAX);
        let drawn = random::bytes::<{ limits::USER_CODE_CHARS }>();
        let letters = drawn.into_iter().filter(|byte| *byte < round);
        let letters = letters.map(|byte| char::from(LETTERS[usize::from(byte) % LETTERS.len()]));
        code.extend(letters.take(limits::USER_CODE_CHARS - code.len()));
    }
    code
}

/// The letters of a user code as a person typed it; `None` for what is none.
fn typed(text: &str) -> Option<String> {
    if text.chars().count() > limits::USER_CODE_TYPED_CHARS {
        return None;
    }
    let letters: String =
        text.chars().filter(|c| !matches!(c, '-' | ' ')).map(|c| c.to_ascii_uppercase()).collect();
    let is_code = letters.len() == limits::USER_CODE_CHARS && letters.bytes().all(|c| LETTERS.contains(&c));
    is_code.then_some(letters)
}

/// As people see it: "BCDF-GHJK".
fn shown(code: &str) -> String {
    let (first, second) = code.split_at(code.len() / 2);
    format!("{first}-{second}")
}

fn hash_of(user_code: &str) -> SecretHash {
    secret::hash(user_code.as_bytes())
}

fn seconds(time: std::time::Duration) -> u32 {
    u32::try_from(time.as_secs()).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_code_is_read_as_people_type_it_and_nothing_else_is_one() {
        let code = new_user_code();
        let text = shown(&code);
        assert_eq!((text.len(), text.as_bytes()[4]), (9, b'-'), "{text}");
        for way in [text.clone(), text.to_lowercase(), text.replace('-', ""), text.replace('-', " - ")] {
            assert_eq!(typed(&way), Some(code.clone()), "{way}");
        }
        for wrong in ["", "BCDF-GHJ", "BCDF-GHJKL", "ACDF-GHJK", "BCDF-GH1K", "BCDF-GHJÉ", &"-".repeat(40)] {
            assert_eq!(typed(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn every_letter_is_drawn_and_no_two_codes_are_the_same() {
        let codes: std::collections::BTreeSet<String> = (0..200).map(|_| new_user_code()).collect();
        assert_eq!(codes.len(), 200);
        let letters: std::collections::BTreeSet<char> = codes.iter().flat_map(|code| code.chars()).collect();
        assert_eq!(letters.len(), LETTERS.len());
    }
}

/// `just fuzz user-codes`.
#[cfg(test)]
mod fuzz {
    use chatcode_fuzz::{Target, lines, sight};

    use super::*;

    const TARGET: Target = Target { name: "user-codes", words: WORDS, usual: 10_000, case };
    const WORDS: &[&[u8]] =
        &[b"BCDF-GHJK", b"bcdfghjk", b"ZZZZ", b"-", b" ", b"A", b"1", b"\n", b"\xc3\x89", b"\xc5\xbf"];

    #[test]
    fn any_text_is_one_user_code_or_none() {
        chatcode_fuzz::run(&TARGET, Vec::new());
    }

    fn case(input: &[u8]) -> Vec<u64> {
        lines(input).iter().map(|text| sight(one(text))).collect()
    }

    fn one(text: &str) -> bool {
        let Some(code) = typed(text) else { return false };
        assert_eq!(code.len(), limits::USER_CODE_CHARS, "a code of another length: {code}");
        assert!(code.bytes().all(|letter| LETTERS.contains(&letter)), "a letter of none: {code}");
        assert_eq!(typed(&shown(&code)), Some(code.clone()), "a code is shown as another: see");
        assert!(text.chars().count() <= limits::USER_CODE_TYPED_CHARS, "a text of any length: see");
        true
    }
}
