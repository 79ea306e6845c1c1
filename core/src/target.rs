//! What a call is for: read from its metadata and nowhere else.

use chatcode_proto::{
    code::Refusal,
    id::{GatewayId, SessionId},
    metadata,
    pb::{Code, Scope},
};
use http::HeaderMap;

/// The gateway and the session that a call names.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Target {
    /// The gateway, for the scopes GATEWAY and SESSION.
    pub gateway: Option<GatewayId>,
    /// The session, for the scope SESSION.
    pub session: Option<SessionId>,
}

impl Target {
    /// Reads what a call of this scope must name.
    ///
    /// # Errors
    /// `INVALID` when it is missing or there twice; `UNKNOWN_GATEWAY` or
    /// `UNKNOWN_SESSION` when it is no id at all.
    pub fn of(scope: Scope, headers: &HeaderMap) -> Result<Self, Refusal> {
        let gateway = || -> Result<_, Refusal> {
            let text = one(headers, metadata::GATEWAY)?;
            Ok(Some(text.parse().map_err(|_| unknown_gateway())?))
        };
        let session = || -> Result<_, Refusal> {
            let text = one(headers, metadata::SESSION)?;
            Ok(Some(text.parse().map_err(|_| unknown_session())?))
        };
        match scope {
            Scope::Unspecified | Scope::Core => Ok(Self::default()),
            Scope::Gateway => Ok(Self { gateway: gateway()?, session: None }),
            Scope::Session => Ok(Self { gateway: gateway()?, session: session()? }),
        }
    }

    /// The gateway as text; empty: none.
    #[must_use]
    pub fn gateway_text(&self) -> String {
        self.gateway.map(|id| id.to_string()).unwrap_or_default()
    }

    /// The session as text; empty: none.
    #[must_use]
    pub fn session_text(&self) -> String {
        self.session.map(|id| id.to_string()).unwrap_or_default()
    }
}

/// No such gateway, or not for this caller.
#[must_use]
pub fn unknown_gateway() -> Refusal {
    Refusal::new(Code::UnknownGateway, "no such machine; list the machines to see which there are")
}

/// No such session, or not for this caller.
#[must_use]
pub fn unknown_session() -> Refusal {
    Refusal::new(Code::UnknownSession, "no such session; list the sessions to see which there are")
}

fn one<'a>(headers: &'a HeaderMap, name: &str) -> Result<&'a str, Refusal> {
    let mut values = headers.get_all(name).iter();
    match (values.next().map(|value| value.to_str()), values.next()) {
        (Some(Ok(text)), None) => Ok(text),
        _ => Err(Refusal::new(Code::Invalid, format!("the call must name its target once in {name}"))),
    }
}

/// The text of a metadata value; empty: none.
#[must_use]
pub fn text<'a>(headers: &'a HeaderMap, name: &str) -> &'a str {
    headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        let mut map = HeaderMap::new();
        for (name, value) in pairs {
            map.append(*name, value.parse().expect("is a value"));
        }
        map
    }

    #[test]
    fn each_scope_reads_what_it_needs_and_nothing_else() {
        let (gateway, session) = (GatewayId::from_random([1; 16]), SessionId::from_random([2; 16]));
        let map =
            headers(&[(metadata::GATEWAY, &gateway.to_string()), (metadata::SESSION, &session.to_string())]);
        assert_eq!(Target::of(Scope::Core, &map), Ok(Target::default()));
        assert_eq!(Target::of(Scope::Gateway, &map), Ok(Target { gateway: Some(gateway), session: None }));
        let both = Target { gateway: Some(gateway), session: Some(session) };
        assert_eq!(Target::of(Scope::Session, &map), Ok(both));
    }

    #[test]
    fn a_target_that_is_missing_double_or_no_id_is_refused_with_its_code() {
        let id = GatewayId::from_random([1; 16]).to_string();
        let code =
            |scope, pairs: &[(&'static str, &str)]| Target::of(scope, &headers(pairs)).unwrap_err().code;
        assert_eq!(code(Scope::Gateway, &[]), Code::Invalid);
        assert_eq!(
            code(Scope::Gateway, &[(metadata::GATEWAY, &id), (metadata::GATEWAY, &id)]),
            Code::Invalid
        );
        assert_eq!(code(Scope::Gateway, &[(metadata::GATEWAY, "../etc")]), Code::UnknownGateway);
        assert_eq!(code(Scope::Session, &[(metadata::GATEWAY, &id)]), Code::Invalid);
        assert_eq!(
            code(Scope::Session, &[(metadata::GATEWAY, &id), (metadata::SESSION, "1")]),
            Code::UnknownSession
        );
    }
}
