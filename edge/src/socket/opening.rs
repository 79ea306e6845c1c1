//! The first message of a WebSocket: which call it carries, and for whom.

use chatcode_proto::{
    code::Refusal,
    id::{GatewayId, SessionId},
    limits,
    metadata::{ATTACH, AUDIT_EXPORT, FLEET_WATCH, GATEWAY, SESSION},
    negotiate,
    pb::{Code, Open, Scope},
    rules::Rule,
};
use http::{
    HeaderMap, HeaderValue,
    header::{AUTHORIZATION, ORIGIN},
    uri::PathAndQuery,
};
use prost::Message as _;

use super::browser::{Browser, End, Incoming, Received};
use crate::{
    admit::Origin,
    cookie::{credential, is_secret},
};

/// The streaming methods that a page may call.
const METHODS: &[&str] = &[ATTACH, AUDIT_EXPORT, FLEET_WATCH];

/// A first message that makes sense. Whether the ticket does is the core's to
/// say.
#[derive(Debug)]
pub(super) struct Opening {
    /// The full method.
    pub(super) method: PathAndQuery,
    /// The gateway of the target; empty: none.
    pub(super) gateway: String,
    /// The session of the target; empty: none.
    pub(super) session: String,
    /// Whether the page sends many messages, or one.
    pub(super) many: bool,
    ticket: HeaderValue,
}

impl Opening {
    /// Waits for the first message and reads it.
    pub(super) async fn receive(browser: &Browser) -> Result<Self, End> {
        match browser.receive().await {
            Received::Message(bytes) => {
                let open = Open::decode(bytes)
                    .map_err(|_| Refusal::new(Code::Invalid, "the first message is not an Open"));
                open.and_then(Self::of).map_err(End::Refused)
            }
            Received::Ping(_) => {
                let refusal = Refusal::new(Code::Protocol, "the first message must be an Open, not a ping");
                Err(End::Refused(refusal))
            }
            Received::End(end) => Err(end),
        }
    }

    fn of(open: Open) -> Result<Self, Refusal> {
        negotiate::version("edge protocol", limits::EDGE_VERSIONS, &open.versions)?;
        let unknown = || Refusal::new(Code::UnknownMethod, "pages may not call this method here");
        let method = METHODS.iter().find(|known| **known == open.method).ok_or_else(unknown)?;
        let rule = Rule::of(method).ok_or_else(unknown)?;
        if rule.scope == Scope::Core && !(open.gateway.is_empty() && open.session.is_empty()) {
            return Err(Refusal::new(Code::Invalid, "this method has no target"));
        }
        if rule.scope != Scope::Core && open.gateway.parse::<GatewayId>().is_err() {
            return Err(Refusal::new(Code::UnknownGateway, "the gateway's id is not one"));
        }
        if rule.scope == Scope::Session && open.session.parse::<SessionId>().is_err() {
            return Err(Refusal::new(Code::UnknownSession, "the session's id is not one"));
        }
        if !is_secret(&open.ticket) {
            return Err(Refusal::new(Code::BadToken, "the ticket is not one"));
        }
        Ok(Self {
            method: PathAndQuery::from_static(method),
            ticket: credential("Ticket", &open.ticket)?,
            gateway: open.gateway,
            session: open.session,
            many: rule.client_streaming,
        })
    }

    /// The call's request: the ticket, the origin that it is bound to, and the
    /// target.
    pub(super) fn request(
        self,
        origin: &Origin,
        body: Incoming,
    ) -> Result<tonic::Request<Incoming>, Refusal> {
        let text = |value: &str| {
            HeaderValue::from_str(value).map_err(|_| Refusal::new(Code::Invalid, "the target is not text"))
        };
        let mut request = tonic::Request::new(body);
        let headers: &mut HeaderMap = request.metadata_mut().as_mut();
        headers.insert(AUTHORIZATION, self.ticket);
        headers.insert(ORIGIN, origin.header()?);
        for (name, value) in [(GATEWAY, self.gateway), (SESSION, self.session)] {
            if !value.is_empty() {
                headers.insert(name, text(&value)?);
            }
        }
        Ok(request)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn open() -> Open {
        Open {
            versions: vec![1],
            ticket: "t".repeat(43),
            method: ATTACH.to_owned(),
            gateway: GatewayId::from_random([1; 16]).to_string(),
            session: SessionId::from_random([2; 16]).to_string(),
        }
    }

    fn code(change: impl FnOnce(&mut Open)) -> Code {
        let mut open = open();
        change(&mut open);
        Opening::of(open).map_or_else(|refusal| refusal.code, |_| Code::Done)
    }

    #[test]
    fn each_fault_of_a_first_message_has_its_code() {
        assert_eq!(code(|_| {}), Code::Done);
        assert_eq!(code(|open| open.versions = vec![7]), Code::UnsupportedVersion);
        assert_eq!(code(|open| open.versions.clear()), Code::Invalid);
        assert_eq!(code(|open| open.method = "/chatcode.v1.Link/Control".to_owned()), Code::UnknownMethod);
        assert_eq!(code(|open| open.method.clear()), Code::UnknownMethod);
        assert_eq!(code(|open| open.gateway = "../x".to_owned()), Code::UnknownGateway);
        assert_eq!(code(|open| open.session = "x\r\nauthorization: y".to_owned()), Code::UnknownSession);
        assert_eq!(code(|open| open.ticket.push('x')), Code::BadToken);
        for method in [FLEET_WATCH, AUDIT_EXPORT] {
            assert_eq!(code(|open| open.method = method.to_owned()), Code::Invalid, "{method} has no target");
            let aimless = |open: &mut Open| {
                open.method = method.to_owned();
                open.gateway.clear();
                open.session.clear();
            };
            assert_eq!(code(aimless), Code::Done, "{method}");
        }
    }

    #[test]
    fn debug_does_not_show_the_ticket() {
        let opening = Opening::of(open()).expect("is right");
        assert!(!format!("{opening:?}").contains("tttt"));
    }
}

/// `just fuzz open`.
#[cfg(test)]
mod fuzz {
    use chatcode_fuzz::{Target, sight};

    use super::*;
    use crate::refuse;

    const TARGET: Target = Target { name: "open", words: WORDS, usual: 20_000, case };
    const WORDS: &[&[u8]] = &[
        &[0x0a, 0x01, 0x01],
        &[0x0a, 0x01, 0x09],
        &[0x08, 0x01],
        &[0x08, 0xff, 0xff, 0xff, 0xff, 0x0f],
        &[0x12, 0x2b],
        &[0x1a, 0x1c],
        &[0x22, 0x24],
        &[0x2a, 0x24],
        b"/chatcode.v1.Terminal/Attach",
        b"/chatcode.v1.Fleet/Watch",
        b"/chatcode.v1.Audit/Export",
        b"/chatcode.v1.Link/Control",
        b"6f1c0a52-9d3e-4a37-8f0b-2f6f0d1c9b11",
        b"ttttttttttttttttttttttttttttttttttttttttttt",
        b"\r\nauthorization: Bearer x",
        b"../",
        b"\0",
        b"\xff",
    ];
    /// What may be wrong with a first message.
    const CAUSES: &[Code] = &[
        Code::Invalid,
        Code::UnsupportedVersion,
        Code::UnknownMethod,
        Code::UnknownGateway,
        Code::UnknownSession,
        Code::BadToken,
    ];

    #[test]
    fn any_first_message_is_one_call_of_a_page_or_refused_with_its_cause() {
        let (gateway, session) = (GatewayId::from_random([1; 16]), SessionId::from_random([2; 16]));
        let open = |method: &str, gateway: String, session: String| {
            let (versions, ticket) = (vec![1], "t".repeat(43));
            Open { versions, ticket, method: method.to_owned(), gateway, session }.encode_to_vec()
        };
        let seeds = vec![
            open(ATTACH, gateway.to_string(), session.to_string()),
            open(FLEET_WATCH, String::new(), String::new()),
            open(AUDIT_EXPORT, String::new(), String::new()),
            open("/chatcode.v1.Link/Control", gateway.to_string(), String::new()),
        ];
        chatcode_fuzz::run(&TARGET, seeds);
    }

    fn case(input: &[u8]) -> Vec<u64> {
        let Ok(open) = Open::decode(input) else { return vec![0] };
        let (asked, ticket) = (open.method.clone(), open.ticket.clone());
        let target = (open.gateway.clone(), open.session.clone());
        match Opening::of(open) {
            Err(refusal) => {
                assert!(CAUSES.contains(&refusal.code), "another cause: {:?}", refusal.code);
                assert!(!shows(&refusal.message, &ticket), "a refusal shows the ticket: {}", refusal.message);
                let _ = refuse::http(&refusal);
                vec![sight((refusal.code.name(), asked.len().min(64)))]
            }
            Ok(opening) => {
                assert!(METHODS.contains(&asked.as_str()), "a page may not call it: {asked}");
                assert!(is_secret(&ticket), "no ticket at all: {ticket:?}");
                assert!(!shows(&format!("{opening:?}"), &ticket), "the ticket is shown: {opening:?}");
                let scope = Rule::of(&asked).map(|rule| rule.scope);
                assert_eq!(opening.method.path(), asked, "another method is called: see");
                assert_eq!((&opening.gateway, &opening.session), (&target.0, &target.1), "elsewhere: see");
                let is_target = (
                    opening.gateway.parse::<GatewayId>().is_ok(),
                    opening.session.parse::<SessionId>().is_ok(),
                );
                match scope {
                    Some(Scope::Session) => assert_eq!(is_target, (true, true), "no target: see"),
                    _ => assert_eq!(is_target, (false, false), "a target where there is none: see"),
                }
                vec![sight((asked, is_target))]
            }
        }
    }

    fn shows(words: &str, ticket: &str) -> bool {
        ticket.len() >= 16 && words.contains(ticket)
    }
}
