//! One vocabulary of causes with its three spellings: gRPC status, QUIC
//! application code, WebSocket close code.

use crate::pb::Code;

/// gRPC status codes by number (<https://grpc.io/docs/guides/status-codes/>).
mod grpc {
    pub(super) const OK: i32 = 0;
    pub(super) const UNKNOWN: i32 = 2;
    pub(super) const INVALID_ARGUMENT: i32 = 3;
    pub(super) const DEADLINE_EXCEEDED: i32 = 4;
    pub(super) const NOT_FOUND: i32 = 5;
    pub(super) const PERMISSION_DENIED: i32 = 7;
    pub(super) const RESOURCE_EXHAUSTED: i32 = 8;
    pub(super) const FAILED_PRECONDITION: i32 = 9;
    pub(super) const ABORTED: i32 = 10;
    pub(super) const OUT_OF_RANGE: i32 = 11;
    pub(super) const UNIMPLEMENTED: i32 = 12;
    pub(super) const INTERNAL: i32 = 13;
    pub(super) const UNAVAILABLE: i32 = 14;
    pub(super) const UNAUTHENTICATED: i32 = 16;
}

/// One row: the code, its name on the wire, its gRPC status.
type Row = (Code, &'static str, i32);

/// All codes that are ever sent.
pub const TABLE: &[Row] = &[
    (Code::Done, "done", grpc::OK),
    (Code::Invalid, "invalid", grpc::INVALID_ARGUMENT),
    (Code::Protocol, "protocol", grpc::INVALID_ARGUMENT),
    (Code::UnsupportedVersion, "unsupported_version", grpc::FAILED_PRECONDITION),
    (Code::TooLarge, "too_large", grpc::OUT_OF_RANGE),
    (Code::Unauthenticated, "unauthenticated", grpc::UNAUTHENTICATED),
    (Code::Forbidden, "forbidden", grpc::PERMISSION_DENIED),
    (Code::BadToken, "bad_token", grpc::UNAUTHENTICATED),
    (Code::BadOrigin, "bad_origin", grpc::PERMISSION_DENIED),
    (Code::Revoked, "revoked", grpc::PERMISSION_DENIED),
    (Code::UnknownMethod, "unknown_method", grpc::UNIMPLEMENTED),
    (Code::UnknownGateway, "unknown_gateway", grpc::NOT_FOUND),
    (Code::UnknownSession, "unknown_session", grpc::NOT_FOUND),
    (Code::GatewayOffline, "gateway_offline", grpc::UNAVAILABLE),
    (Code::CoreUnreachable, "core_unreachable", grpc::UNAVAILABLE),
    (Code::HolderUnreachable, "holder_unreachable", grpc::UNAVAILABLE),
    (Code::SessionEnded, "session_ended", grpc::FAILED_PRECONDITION),
    (Code::Fenced, "fenced", grpc::ABORTED),
    (Code::NotWriter, "not_writer", grpc::PERMISSION_DENIED),
    (Code::InputGap, "input_gap", grpc::OUT_OF_RANGE),
    (Code::Limit, "limit", grpc::RESOURCE_EXHAUSTED),
    (Code::RateLimited, "rate_limited", grpc::RESOURCE_EXHAUSTED),
    (Code::Draining, "draining", grpc::UNAVAILABLE),
    (Code::Timeout, "timeout", grpc::DEADLINE_EXCEEDED),
    (Code::SpawnFailed, "spawn_failed", grpc::FAILED_PRECONDITION),
    (Code::Internal, "internal", grpc::INTERNAL),
    (Code::DuplicateIdentity, "duplicate_identity", grpc::FAILED_PRECONDITION),
    (Code::StepUpRequired, "step_up_required", grpc::PERMISSION_DENIED),
    (Code::LastOwner, "last_owner", grpc::FAILED_PRECONDITION),
    (Code::Unwritable, "unwritable", grpc::UNAVAILABLE),
    (Code::OtherBrowser, "other_browser", grpc::FAILED_PRECONDITION),
    (Code::ProviderUnreachable, "provider_unreachable", grpc::UNAVAILABLE),
];

/// First WebSocket close code of ours; RFC 6455 section 7.4.2 leaves 4000 to
/// 4999 to applications.
const WEBSOCKET_BASE: u16 = 4000;

impl Code {
    /// The name that travels in the trailer `chatcode-code`.
    #[must_use]
    pub fn name(self) -> &'static str {
        row(self).map_or("unspecified", |(_, name, _)| name)
    }

    /// The code of a name; `None` for a name that is not in the table.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        TABLE.iter().find(|(_, known, _)| *known == name).map(|(code, ..)| *code)
    }

    /// The number of the gRPC status.
    #[must_use]
    pub fn grpc_status(self) -> i32 {
        row(self).map_or(grpc::UNKNOWN, |(.., status)| *status)
    }

    /// The application code of a QUIC close, reset or stop.
    #[must_use]
    pub fn quic(self) -> u32 {
        self as i32 as u32
    }

    /// The code of a QUIC application code.
    #[must_use]
    pub fn from_quic(code: u64) -> Option<Self> {
        i32::try_from(code).ok().and_then(|n| Self::try_from(n).ok()).filter(|c| *c != Self::Unspecified)
    }

    /// The close code of a WebSocket: 1000 for done, else 4000 and the number.
    #[must_use]
    pub fn websocket(self) -> u16 {
        match self {
            Self::Done => 1000,
            other => WEBSOCKET_BASE + other as i32 as u16,
        }
    }

    /// Whether the same call may succeed later without a change by the caller.
    #[must_use]
    pub fn is_transient(self) -> bool {
        matches!(
            self,
            Self::GatewayOffline
                | Self::CoreUnreachable
                | Self::HolderUnreachable
                | Self::ProviderUnreachable
                | Self::RateLimited
                | Self::Draining
                | Self::Timeout
                | Self::Internal
                | Self::Limit
                | Self::Unwritable
        )
    }
}

fn row(code: Code) -> Option<&'static Row> {
    TABLE.iter().find(|(known, ..)| *known == code)
}

/// A refusal with its cause and words for people: what happened, why, and what
/// to do next.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message} ({})", code.name())]
pub struct Refusal {
    /// The cause.
    pub code: Code,
    /// For people; at most 256 bytes, no secrets, no control characters.
    pub message: String,
}

impl Refusal {
    /// A refusal with this cause and these words.
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        Self { code, message: message.into() }
    }
}

#[cfg(feature = "grpc")]
mod status {
    use tonic::{Status, metadata::MetadataValue};

    use super::{Code, Refusal};
    use crate::metadata;

    impl From<Refusal> for Status {
        /// The status with the code in the trailer `chatcode-code`.
        fn from(refusal: Refusal) -> Self {
            let mut status = Self::new(tonic::Code::from_i32(refusal.code.grpc_status()), refusal.message);
            status.metadata_mut().insert(metadata::CODE, MetadataValue::from_static(refusal.code.name()));
            status
        }
    }

    impl From<&Status> for Refusal {
        /// The cause as the peer named it; a status without our trailer gets
        /// the nearest code.
        fn from(status: &Status) -> Self {
            let named =
                status.metadata().get(metadata::CODE).and_then(|v| v.to_str().ok()).and_then(Code::from_name);
            let code = named.unwrap_or(match status.code() {
                tonic::Code::Ok => Code::Done,
                tonic::Code::InvalidArgument => Code::Invalid,
                tonic::Code::DeadlineExceeded | tonic::Code::Cancelled => Code::Timeout,
                tonic::Code::PermissionDenied => Code::Forbidden,
                tonic::Code::Unauthenticated => Code::Unauthenticated,
                tonic::Code::ResourceExhausted => Code::Limit,
                tonic::Code::OutOfRange => Code::TooLarge,
                tonic::Code::Unimplemented => Code::UnknownMethod,
                _ => Code::Internal,
            });
            Self::new(code, status.message())
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_code_of_the_schema_has_one_row() {
        let in_table: BTreeSet<i32> = TABLE.iter().map(|(code, ..)| *code as i32).collect();
        let in_schema: BTreeSet<i32> = (1..1000).filter(|n| Code::try_from(*n).is_ok()).collect();
        assert_eq!(in_table, in_schema);
        assert_eq!(TABLE.len(), in_table.len());
    }

    #[test]
    fn every_spelling_leads_back_to_its_code() {
        for (code, name, _) in TABLE {
            assert_eq!(Code::from_name(name), Some(*code));
            assert_eq!(Code::from_quic(u64::from(code.quic())), Some(*code));
            assert_eq!(code.as_str_name(), format!("CODE_{}", name.to_uppercase()));
        }
        let close: BTreeSet<u16> = TABLE.iter().map(|(code, ..)| code.websocket()).collect();
        assert_eq!(close.len(), TABLE.len(), "close codes are distinct");
        assert_eq!(Code::from_quic(0), None);
        assert_eq!(Code::from_quic(u64::MAX), None);
    }
}
