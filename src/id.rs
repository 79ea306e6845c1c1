//! Ids, each a type of its own so that they cannot be mixed up.

use std::{fmt, str::FromStr};

use uuid::Uuid;

/// The text is not the id it should be: a UUID in lower case with hyphens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not an id: it must be a UUID in lower case, such as 6f1c0a52-9d3e-4a37-8f0b-2f6f0d1c9b11")]
pub struct InvalidId;

macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Uuid);

        impl $name {
            /// The id of 16 random bytes; version and variant bits are set.
            #[must_use]
            pub const fn from_random(bytes: [u8; 16]) -> Self {
                Self(uuid::Builder::from_random_bytes(bytes).into_uuid())
            }

            /// The first eight digits, for logs and narrow places.
            #[must_use]
            pub fn short(&self) -> String {
                self.to_string()[..8].to_owned()
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.as_hyphenated().fmt(f)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}({})", stringify!($name), self)
            }
        }

        impl FromStr for $name {
            type Err = InvalidId;
            fn from_str(text: &str) -> Result<Self, InvalidId> {
                let uuid = Uuid::try_parse(text).map_err(|_| InvalidId)?;
                let id = Self(uuid);
                // One spelling only, since ids are compared as text in
                // metadata and file names.
                if id.to_string() == text { Ok(id) } else { Err(InvalidId) }
            }
        }
    };
}

id!(
    /// A machine that was enrolled.
    GatewayId
);
id!(
    /// One shell, one PTY, one log.
    SessionId
);
id!(
    /// Anything that was enrolled: gateway, edge or administrator.
    MemberId
);

impl From<MemberId> for GatewayId {
    /// A gateway's member id is its gateway id.
    fn from(id: MemberId) -> Self {
        Self(id.0)
    }
}

impl From<GatewayId> for MemberId {
    fn from(id: GatewayId) -> Self {
        Self(id.0)
    }
}

/// Names a viewer across its reconnects: 16 random bytes made by the viewer.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ViewerId([u8; 16]);

impl ViewerId {
    /// The id of these bytes.
    #[must_use]
    pub const fn new(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// The bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }
}

impl TryFrom<&[u8]> for ViewerId {
    type Error = InvalidViewerId;
    fn try_from(bytes: &[u8]) -> Result<Self, InvalidViewerId> {
        bytes.try_into().map(Self).map_err(|_| InvalidViewerId)
    }
}

impl fmt::Debug for ViewerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ViewerId({:02x}{:02x}..)", self.0[0], self.0[1])
    }
}

/// The viewer id does not have 16 bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a viewer id has 16 bytes")]
pub struct InvalidViewerId;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_survives_its_text() {
        let id = SessionId::from_random([7; 16]);
        assert_eq!(id.to_string().parse(), Ok(id));
    }

    #[test]
    fn only_one_spelling_is_an_id() {
        let text = SessionId::from_random([0xab; 16]).to_string();
        for other in [
            text.to_uppercase(),
            text.replace('-', ""),
            format!("{{{text}}}"),
            format!("{text} "),
            "../../etc/passwd".to_owned(),
            String::new(),
        ] {
            assert_eq!(other.parse::<SessionId>(), Err(InvalidId), "{other:?}");
        }
    }
}
