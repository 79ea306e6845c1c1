//! Names in certificates: `spiffe://<trust domain>/<kind>/<id>`.

use std::{fmt, str::FromStr};

use chatcode_proto::id::MemberId;

const SUFFIX: &str = ".chatcode.internal";
const INSTALLATION_CHARS: usize = 8;

/// Names one installation: `<installation>.chatcode.internal`, where the
/// installation is 8 lower-case hex digits.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TrustDomain(String);

/// The text is not a trust domain.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a trust domain: it is 8 lower-case hex digits and `.chatcode.internal`")]
pub struct InvalidTrustDomain;

impl TrustDomain {
    /// A new one.
    #[must_use]
    pub fn generate() -> Self {
        Self(format!("{:08x}{SUFFIX}", u32::from_be_bytes(crate::random::bytes())))
    }

    /// The trust domain of an installation: 8 lower-case hex digits.
    ///
    /// # Errors
    /// When the text is none.
    pub fn of_installation(text: &str) -> Result<Self, InvalidTrustDomain> {
        format!("{text}{SUFFIX}").parse()
    }

    /// The 8 hex digits that name the installation.
    #[must_use]
    pub fn installation(&self) -> &str {
        &self.0[..INSTALLATION_CHARS]
    }

    /// The name by which clients dial the core, whatever its address.
    #[must_use]
    pub fn core_dns(&self) -> String {
        format!("core.{}", self.0)
    }
}

impl FromStr for TrustDomain {
    type Err = InvalidTrustDomain;

    fn from_str(text: &str) -> Result<Self, InvalidTrustDomain> {
        let installation = text.strip_suffix(SUFFIX).ok_or(InvalidTrustDomain)?;
        let hex = |c: u8| matches!(c, b'0'..=b'9' | b'a'..=b'f');
        if installation.len() == INSTALLATION_CHARS && installation.bytes().all(hex) {
            Ok(Self(text.to_owned()))
        } else {
            Err(InvalidTrustDomain)
        }
    }
}

impl fmt::Display for TrustDomain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for TrustDomain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TrustDomain({})", self.0)
    }
}

/// Who a certificate names: the kind of member and its id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum MemberName {
    /// A core: meets everyone. The only kind that may be a server.
    Core(MemberId),
    /// A gateway: a machine with sessions.
    Gateway(MemberId),
    /// An edge: translates browsers.
    Edge(MemberId),
    /// An administrator's program.
    Admin(MemberId),
}

/// The text is not the name of a member.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a member's name: it is spiffe://<trust domain>/<core, gateway, edge or admin>/<id>")]
pub struct InvalidMemberName;

impl MemberName {
    /// "core", "gateway", "edge" or "admin".
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Core(_) => "core",
            Self::Gateway(_) => "gateway",
            Self::Edge(_) => "edge",
            Self::Admin(_) => "admin",
        }
    }

    /// The id.
    #[must_use]
    pub const fn id(&self) -> MemberId {
        match self {
            Self::Core(id) | Self::Gateway(id) | Self::Edge(id) | Self::Admin(id) => *id,
        }
    }

    /// The URI that stands in the certificate.
    #[must_use]
    pub fn uri(&self, trust_domain: &TrustDomain) -> String {
        format!("spiffe://{trust_domain}/{}/{}", self.kind(), self.id())
    }

    /// Reads a URI; one spelling only, nothing before or after.
    ///
    /// # Errors
    /// When it is anything else.
    pub fn from_uri(uri: &str) -> Result<(TrustDomain, Self), InvalidMemberName> {
        let rest = uri.strip_prefix("spiffe://").ok_or(InvalidMemberName)?;
        let mut parts = rest.split('/');
        let (Some(domain), Some(kind), Some(id), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(InvalidMemberName);
        };
        let domain = domain.parse().map_err(|_| InvalidMemberName)?;
        let id = id.parse().map_err(|_| InvalidMemberName)?;
        let name = match kind {
            "core" => Self::Core(id),
            "gateway" => Self::Gateway(id),
            "edge" => Self::Edge(id),
            "admin" => Self::Admin(id),
            _ => return Err(InvalidMemberName),
        };
        Ok((domain, name))
    }
}

impl fmt::Display for MemberName {
    /// "gateway/6f1c0a52-..", as in principals and logs.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.kind(), self.id())
    }
}

/// The serial number of a certificate: hex digits in lower case without
/// leading zero bytes.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Serial(String);

impl Serial {
    pub(crate) fn from_bytes(bytes: &[u8]) -> Self {
        let first = bytes.iter().position(|byte| *byte != 0).unwrap_or(bytes.len());
        Self(bytes[first..].iter().map(|byte| format!("{byte:02x}")).collect())
    }

    /// The hex digits.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Serial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Serial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Serial({})", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "6f1c0a52-9d3e-4a37-8f0b-2f6f0d1c9b11";

    #[test]
    fn a_name_survives_its_uri() {
        let domain: TrustDomain = "0a1b2c3d.chatcode.internal".parse().unwrap();
        let id = ID.parse().unwrap();
        for name in
            [MemberName::Core(id), MemberName::Gateway(id), MemberName::Edge(id), MemberName::Admin(id)]
        {
            assert_eq!(MemberName::from_uri(&name.uri(&domain)), Ok((domain.clone(), name)));
        }
        assert_eq!((domain.installation(), domain.core_dns()), ("0a1b2c3d", format!("core.{domain}")));
        assert!(TrustDomain::generate().to_string().parse::<TrustDomain>().is_ok());
    }

    #[test]
    fn only_one_spelling_is_a_name() {
        let good = format!("spiffe://0a1b2c3d.chatcode.internal/gateway/{ID}");
        assert!(MemberName::from_uri(&good).is_ok());
        for bad in [
            good.replace("spiffe", "SPIFFE"),
            good.replace("spiffe", "https"),
            good.replace("0a1b2c3d", "0A1B2C3D"),
            good.replace("0a1b2c3d", "0a1b2c3"),
            good.replace("0a1b2c3d.", "x.0a1b2c3d."),
            good.replace(".internal", ".internal:443"),
            good.replace(".internal", ".internal.evil.example"),
            good.replace("gateway", "Gateway"),
            good.replace("gateway", "root"),
            good.replace("gateway/", "gateway//"),
            good.replace("gateway/", "core/../gateway/"),
            good.replace("6f1c", "6F1C"),
            format!("{good}/"),
            format!("{good}?x"),
            format!("{good}#x"),
            format!(" {good}"),
            format!("{good}\0"),
            String::new(),
        ] {
            assert_eq!(MemberName::from_uri(&bad), Err(InvalidMemberName), "{bad:?}");
        }
    }
}
