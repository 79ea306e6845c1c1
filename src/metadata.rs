//! How a call names its target and its right: gRPC metadata, never the body.

/// Prefix of all metadata of ours. The core removes what a client sent under
/// it, except the target.
pub const PREFIX: &str = "chatcode-";
/// The gateway that a call is for: a [`crate::id::GatewayId`] as text.
pub const GATEWAY: &str = "chatcode-gateway";
/// The session that a call is for: a [`crate::id::SessionId`] as text.
pub const SESSION: &str = "chatcode-session";
/// The link by which the page of a guest is in: with it the edge shows the core the
/// guest token of that link, and no account's. For edges only.
pub const GUEST: &str = "chatcode-guest";
/// The version of the program that calls, as it tells it; at most
/// [`crate::limits::VERSION_CHARS`] characters.
pub const VERSION: &str = "chatcode-version";
/// Whom a page takes its caller for, as in grants: a call of anybody else is refused.
/// Another tab may have signed somebody else in, whose cookie is this one's, too.
pub const EXPECT: &str = "chatcode-expect";
/// The [`crate::pb::Grant`] of a call, written by the core only.
pub const GRANT: &str = "chatcode-grant-bin";
/// Trailer with the name of the [`crate::pb::Code`].
pub const CODE: &str = "chatcode-code";
/// The full path of the method that attaches a viewer.
pub const ATTACH: &str = "/chatcode.v1.Terminal/Attach";
/// The full path of the method that watches the fleet.
pub const FLEET_WATCH: &str = "/chatcode.v1.Fleet/Watch";
/// The method of an export of the audit.
pub const AUDIT_EXPORT: &str = "/chatcode.v1.Audit/Export";
