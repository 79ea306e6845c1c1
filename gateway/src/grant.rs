//! What the core says that a caller may do, read and enforced here.
//!
//! A gateway believes a grant because it came on its own link; it never
//! believes more: the scope must fit the call's target, the grant must not
//! have ended, and folders, commands and environments are judged by the
//! gateway itself.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use chatcode_proto::{
    code::Refusal,
    id::SessionId,
    limits, metadata,
    name::display_safe,
    pb::{self, Code},
};
use prost::Message as _;
use tonic::metadata::MetadataMap;

/// The core's clock, so that a machine whose own clock is wrong judges grants
/// rightly.
#[derive(Clone, Copy, Debug)]
pub(crate) struct CoreClock {
    unix_ms: u64,
    at: Instant,
}

impl CoreClock {
    /// A clock that shows `unix_ms` now, as the Welcome told it. 0 is taken
    /// for "not told"; then the machine's own clock counts.
    pub(crate) fn told(unix_ms: u64) -> Self {
        let unix_ms = if unix_ms == 0 { own_unix_ms() } else { unix_ms };
        Self { unix_ms, at: Instant::now() }
    }

    /// Now, in milliseconds since 1970 (UTC).
    pub(crate) fn unix_ms(self) -> u64 {
        let passed = u64::try_from(self.at.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.unix_ms.saturating_add(passed)
    }
}

/// This machine's clock, in milliseconds since 1970 (UTC).
pub(crate) fn own_unix_ms() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
    u64::try_from(now.as_millis()).unwrap_or(u64::MAX)
}

/// The grant of a call on the whole gateway.
///
/// # Errors
/// `UNAUTHENTICATED` without a grant or with an ended one, `INVALID` for one
/// that is not well formed, `FORBIDDEN` for one that is for a session.
pub(crate) fn of_gateway(metadata: &MetadataMap, clock: CoreClock) -> Result<pb::Grant, Refusal> {
    let grant = read(metadata, clock)?;
    if !grant.session.is_empty() {
        let words = "the call is for the whole gateway, its grant for one session";
        return Err(Refusal::new(Code::Forbidden, words));
    }
    Ok(grant)
}

/// The grant of a call on one session, and the session.
///
/// # Errors
/// As [`of_gateway`]; `INVALID` without exactly one target session, `FORBIDDEN`
/// when the grant is for another one.
pub(crate) fn of_session(
    metadata: &MetadataMap,
    clock: CoreClock,
) -> Result<(SessionId, pb::Grant), Refusal> {
    let grant = read(metadata, clock)?;
    let mut targets = metadata.get_all(metadata::SESSION).iter();
    let (Some(target), None) = (targets.next(), targets.next()) else {
        return Err(Refusal::new(
            Code::Invalid,
            "the call must name exactly one session in chatcode-session",
        ));
    };
    let target = target.to_str().unwrap_or_default();
    if grant.session != target {
        return Err(Refusal::new(Code::Forbidden, "the grant of the call is for another session"));
    }
    let id = target
        .parse()
        .map_err(|error| Refusal::new(Code::Invalid, format!("chatcode-session is {error}")))?;
    Ok((id, grant))
}

fn read(metadata: &MetadataMap, clock: CoreClock) -> Result<pb::Grant, Refusal> {
    let mut grants = metadata.get_all_bin(metadata::GRANT).iter();
    let (Some(value), None) = (grants.next(), grants.next()) else {
        return Err(Refusal::new(Code::Unauthenticated, "the call carries no grant of the core"));
    };
    let malformed = || Refusal::new(Code::Invalid, "the grant of the call is not well formed");
    let bytes = value.to_bytes().map_err(|_| malformed())?;
    let mut grant = pb::Grant::decode(bytes).map_err(|_| malformed())?;
    if grant.principal.is_empty()
        || grant.principal.len() > limits::PRINCIPAL_BYTES
        || grant.principal.chars().any(char::is_control)
        || grant.request_id.len() != 32
        || !grant.request_id.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
    {
        return Err(malformed());
    }
    if grant.expires_unix_ms <= clock.unix_ms() {
        return Err(Refusal::new(Code::Unauthenticated, "the grant of the call has ended; call again"));
    }
    grant.display_name = display_safe(&grant.display_name, limits::NAME_CHARS);
    Ok(grant)
}

#[cfg(test)]
mod tests {
    use tonic::metadata::MetadataValue;

    use super::*;

    const NOW: u64 = 1_700_000_000_000;

    fn session() -> SessionId {
        SessionId::from_random([7; 16])
    }

    fn grant(session: &str) -> pb::Grant {
        pb::Grant {
            request_id: "0123456789abcdef0123456789abcdef".into(),
            principal: "person/1".into(),
            display_name: "Ada".into(),
            role: pb::Role::Writer.into(),
            session: session.into(),
            expires_unix_ms: NOW + 60_000,
        }
    }

    fn metadata(grant: &pb::Grant, target: Option<&str>) -> MetadataMap {
        let mut map = MetadataMap::new();
        map.insert_bin(metadata::GRANT, MetadataValue::from_bytes(&grant.encode_to_vec()));
        if let Some(target) = target {
            map.insert(metadata::SESSION, target.parse().expect("is ascii"));
        }
        map
    }

    fn of_session_code(map: &MetadataMap) -> Code {
        of_session(map, CoreClock::told(NOW)).map(|_| ()).expect_err("is refused").code
    }

    #[test]
    fn a_grant_for_the_target_is_taken() {
        let id = session().to_string();
        let (target, grant) =
            of_session(&metadata(&grant(&id), Some(&id)), CoreClock::told(NOW)).expect("fits");
        assert_eq!((target, grant.principal.as_str()), (session(), "person/1"));
    }

    #[test]
    fn a_call_without_a_grant_is_refused() {
        assert_eq!(of_session_code(&MetadataMap::new()), Code::Unauthenticated);
    }

    #[test]
    fn a_grant_for_another_session_or_for_none_is_refused() {
        let (id, other) = (session().to_string(), SessionId::from_random([8; 16]).to_string());
        for granted in [other.as_str(), ""] {
            assert_eq!(of_session_code(&metadata(&grant(granted), Some(&id))), Code::Forbidden);
        }
        assert_eq!(of_session_code(&metadata(&grant(&id), None)), Code::Invalid);
    }

    #[test]
    fn a_session_s_grant_opens_nothing_else() {
        let id = session().to_string();
        let map = metadata(&grant(&id), None);
        assert_eq!(of_gateway(&map, CoreClock::told(NOW)).expect_err("is refused").code, Code::Forbidden);
        of_gateway(&metadata(&grant(""), None), CoreClock::told(NOW)).expect("fits");
    }

    #[test]
    fn an_ended_grant_is_refused_by_the_core_s_clock() {
        let id = session().to_string();
        let map = metadata(&grant(&id), Some(&id));
        assert!(of_session(&map, CoreClock::told(NOW + 59_000)).is_ok());
        let late = of_session(&map, CoreClock::told(NOW + 60_000)).expect_err("has ended");
        assert_eq!(late.code, Code::Unauthenticated);
    }

    #[test]
    fn malformed_grants_are_refused() {
        let id = session().to_string();
        for bad in [
            pb::Grant { principal: String::new(), ..grant(&id) },
            pb::Grant { principal: "x".repeat(limits::PRINCIPAL_BYTES + 1), ..grant(&id) },
            pb::Grant { principal: "a\u{1b}[2J".into(), ..grant(&id) },
            pb::Grant { request_id: "no".into(), ..grant(&id) },
        ] {
            assert_eq!(of_session_code(&metadata(&bad, Some(&id))), Code::Invalid);
        }
        let mut map = MetadataMap::new();
        map.insert_bin(metadata::GRANT, MetadataValue::from_bytes(b"\xff\xff\xff"));
        assert_eq!(of_session_code(&map), Code::Invalid);
    }

    #[test]
    fn a_name_that_could_steer_a_terminal_is_made_harmless() {
        let id = session().to_string();
        let named = pb::Grant { display_name: "a\u{1b}]0;x".into(), ..grant(&id) };
        let (_, read) = of_session(&metadata(&named, Some(&id)), CoreClock::told(NOW)).expect("fits");
        assert!(!read.display_name.contains('\u{1b}'));
    }
}

/// `just fuzz grants`.
#[cfg(test)]
mod fuzz {
    use chatcode_fuzz::{Target, sight};
    use tonic::metadata::{AsciiMetadataValue, MetadataValue};

    use super::*;

    const TARGET: Target = Target { name: "grants", words: WORDS, usual: 20_000, case };
    const NOW: u64 = 1_700_000_000_000;
    /// Between the session that a call names and the bytes of its grant.
    const END: u8 = b'\n';
    const WORDS: &[&[u8]] = &[
        b"07070707-0707-4707-8707-070707070707\n",
        b"07070707-0707-4707-8707-070707070707",
        b"0123456789abcdef0123456789abcdef",
        b"person/1",
        &[0x0a, 0x20],
        &[0x12, 0x08],
        &[0x2a, 0x24],
        &[0x08, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01],
        &[0x30, 0x80, 0x80],
        b"\x1b[2J",
        b"\n",
        b"../",
        b"\xff",
    ];

    #[test]
    fn any_grant_is_one_for_the_target_that_has_not_ended_or_refused() {
        let session = SessionId::from_random([7; 16]).to_string();
        let grant = pb::Grant {
            request_id: "0123456789abcdef0123456789abcdef".into(),
            principal: "person/1".into(),
            display_name: "Ada".into(),
            role: pb::Role::Writer.into(),
            session: session.clone(),
            expires_unix_ms: NOW * 2,
        };
        let of_all = pb::Grant { session: String::new(), ..grant.clone() };
        let ended = pb::Grant { expires_unix_ms: NOW, ..grant.clone() };
        let seed = |grant: &pb::Grant| [session.as_bytes(), &[END], &grant.encode_to_vec()].concat();
        chatcode_fuzz::run(&TARGET, vec![seed(&grant), seed(&of_all), seed(&ended)]);
    }

    fn case(input: &[u8]) -> Vec<u64> {
        let clock = CoreClock::told(NOW);
        let end = input.iter().position(|byte| *byte == END).unwrap_or(input.len());
        let (target, bytes) = (&input[..end], input.get(end + 1..).unwrap_or_default());
        let mut metadata = MetadataMap::new();
        if let Ok(target) = AsciiMetadataValue::try_from(target) {
            metadata.insert(metadata::SESSION, target);
        }
        metadata.insert_bin(metadata::GRANT, MetadataValue::from_bytes(bytes));
        let of_all = of_gateway(&metadata, clock).map(|grant| judged(&grant));
        let of_one = of_session(&metadata, clock).map(|(id, grant)| {
            judged(&grant);
            assert_eq!(grant.session, id.to_string(), "a grant for another session: see");
            assert_eq!(id.to_string().as_bytes(), target, "another session is meant: see");
        });
        assert!(of_all.is_err() || of_one.is_err(), "a grant is for one session and for all: see");
        let cause =
            |refused: Result<(), Refusal>| refused.map_or_else(|refusal| refusal.code.name(), |()| "");
        vec![sight((cause(of_all), cause(of_one)))]
    }

    fn judged(grant: &pb::Grant) {
        assert!(grant.expires_unix_ms > NOW, "a grant that has ended counts: see");
        assert!(
            !grant.principal.is_empty() && grant.principal.len() <= limits::PRINCIPAL_BYTES,
            "nobody: see"
        );
        let shown = [&grant.principal, &grant.display_name, &grant.request_id];
        assert!(!shown.into_iter().any(|text| text.chars().any(char::is_control)), "it steers a log: see");
        assert!(grant.display_name.chars().count() <= limits::NAME_CHARS, "a name of any length: see");
    }
}
