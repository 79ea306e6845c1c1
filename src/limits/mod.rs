//! Every bound of chatcode: value, unit, reason, and what happens beyond it.
//! No limit stands anywhere else, and no library default counts as one.
//! One room for each part of the way; all names stand here.

mod audit;
mod call;
mod devices;
mod edge;
mod enroll;
mod fleet;
mod frames;
mod identity;
mod link;
mod machine;
mod observe;
mod people;
mod providers;
mod release;
mod session;
mod shares;
mod up;
mod words;

pub use self::{
    audit::*, call::*, devices::*, edge::*, enroll::*, fleet::*, frames::*, identity::*, link::*, machine::*,
    observe::*, people::*, providers::*, release::*, session::*, shares::*, up::*, words::*,
};

// How the bounds hang together; a change that breaks one does not compile.
const _: () = assert!(OUTPUT_BYTES + 1024 <= SERVER_FRAME_BYTES);
const _: () = assert!(INPUT_BYTES + 1024 <= CLIENT_FRAME_BYTES);
const _: () = assert!(WINDOW_MAX_BYTES < HTTP2_STREAM_WINDOW);
const _: () = assert!(WINDOW_MAX_BYTES < LINK_STREAM_WINDOW);
const _: () = assert!(HTTP2_STREAM_WINDOW <= HTTP2_CONNECTION_WINDOW);
const _: () = assert!(WINDOW_MAX_BYTES as usize <= WEBSOCKET_WRITE_BYTES);
const _: () = assert!(OUTPUT_BYTES < HTTP2_FRAME_BYTES as usize);
// A list of all that there may be is one answer.
const _: () = assert!(SESSIONS_PER_GATEWAY + ENDED_SESSIONS <= DIRECTORY_SESSIONS);
const _: () = assert!(DIRECTORY_SESSIONS * SESSION_BYTES <= UNARY_BYTES);
const _: () = assert!(FLEET_PAGE * GATEWAY_BYTES + 64 <= UNARY_BYTES);
// An edge at its limits, with what it needs besides, leaves room for others.
const _: () = assert!(WEBSOCKETS + WEBSOCKETS_REFUSED + HTTP_REQUESTS <= CORE_CONNECTIONS);
const _: () = assert!(CORE_ANONYMOUS_PER_ADDRESS < CORE_ANONYMOUS);
// Those who wait for approval leave room for others, and their call is answered
// in time.
const _: () = assert!(PENDING_GATEWAYS < CORE_ANONYMOUS_PER_ADDRESS);
const _: () = assert!(PENDING_CALL.as_secs() < UNARY_DEADLINE.as_secs());
// A provider that is slow is told of before its caller gives up.
const _: () = assert!(PROVIDER_SIGN_IN.as_secs() < UNARY_DEADLINE.as_secs());
const _: () = assert!(PROVIDER_ANSWER.as_secs() < PROVIDER_SIGN_IN.as_secs());
const _: () = assert!(CORE_HANDSHAKES_PER_ADDRESS < CORE_HANDSHAKES);
const _: () = assert!(GATEWAYS <= LINK_INCOMING);
const _: () = assert!(LINK_INCOMING_PER_ADDRESS < LINK_INCOMING);
const _: () = assert!(LINK_TURN.as_secs() < HANDSHAKE.as_secs());
// Nobody who stalls takes another's share of a window.
const _: () = assert!(32 * LINK_STREAM_WINDOW <= LINK_CONNECTION_WINDOW);
const _: () = assert!(HTTP2_STREAM_WINDOW <= LINK_STREAM_WINDOW);
const _: () = assert!(UNARY_BYTES < HTTP2_STREAM_WINDOW as usize);
const _: () = assert!(LINK_UNARY_WINDOW / HTTP2_STREAM_WINDOW == HTTP2_STREAMS);
// A session is told in one message, and what is told waits in front of a heartbeat for
// less than the silence that ends a link, at 64 kbit/s too.
const _: () = assert!(SESSION_BYTES + 1024 <= CONTROL_BYTES);
const _: () = assert!(LINK_CONTROL_WINDOW as u64 * 8 / 64_000 < LINK_SILENCE.as_secs());
const _: () = assert!(LINK_SEND_WINDOW <= LINK_CONNECTION_WINDOW as u64);
// A passkey's answer, in JSON within JSON, is one request of a page.
const _: () = assert!(2 * PASSKEY_JSON_BYTES <= HTTP_BODY_BYTES);
const _: () = assert!(VIEWER_SILENCE.as_secs() > 2 * PING.as_secs());
const _: () = assert!(WEBSOCKET_SILENCE.as_secs() >= 3 * WEBSOCKET_PING.as_secs());
const _: () = assert!(WEBSOCKET_CLOSE.as_secs() < SHUTDOWN.as_secs());
const _: () = assert!(READINESS.as_secs() < OBSERVER.as_secs());
const _: () = assert!(SPANS_AT_ONCE <= SPANS);

#[cfg(test)]
mod tests {
    use prost::Message as _;

    use super::*;
    use crate::pb;

    /// Text of so many characters, each as long as can be.
    fn long(chars: usize) -> String {
        "\u{10ffff}".repeat(chars)
    }

    fn largest_session() -> pb::Session {
        let mut command = vec![String::new(); ARGUMENTS - 1];
        command.push("x".repeat(SHOWN_COMMAND_BYTES));
        pb::Session {
            id: "x".repeat(36),
            name: long(SESSION_NAME_CHARS),
            state: i32::MAX,
            created_unix_ms: u64::MAX,
            command,
            folder: "x".repeat(SHOWN_FOLDER_BYTES),
            winsize: Some(pb::Winsize { rows: *ROWS.end(), cols: *COLS.end() }),
            exit: Some(pb::Exit {
                code: -1,
                signal: -1,
                duration_ms: u64::MAX,
                ended_unix_ms: u64::MAX,
                out_of_memory: true,
            }),
            viewers: u32::MAX,
            epoch: u64::MAX,
            lost_reason: i32::MAX,
            restart: i32::MAX,
            resume_command: vec!["x".repeat(SHOWN_RESUME_BYTES)],
            restarts: u32::MAX,
            restarts_over: true,
        }
    }

    fn largest_gateway() -> pb::Gateway {
        pb::Gateway {
            id: "x".repeat(36),
            name: long(NAME_CHARS),
            link_state: i32::MAX,
            since_unix_ms: u64::MAX,
            link_ended: i32::MAX,
            link_rtt_us: u64::MAX,
            holder_rtt_us: u64::MAX,
            host: Some(pb::HostFacts {
                hostname: long(253),
                os: long(NAME_CHARS),
                arch: long(NAME_CHARS),
                user: long(NAME_CHARS),
                kernel: long(NAME_CHARS),
            }),
            program_version: long(NAME_CHARS),
            enrolled_unix_ms: u64::MAX,
            link_epoch: u64::MAX,
            labels: largest_labels(),
            duplicate_unix_ms: u64::MAX,
            duplicate_hostname: long(NAME_CHARS),
            duplicate_address: "x".repeat(64),
            certificate: Some(pb::GatewayCertificate {
                not_after_unix_ms: u64::MAX,
                renewed_unix_ms: u64::MAX,
                failures: u32::MAX,
            }),
            link_transport: i32::MAX,
        }
    }

    fn largest_labels() -> std::collections::BTreeMap<String, String> {
        let key = |number: usize| format!("{number:0width$}", width = LABEL_KEY_CHARS);
        (0..LABELS).map(|number| (key(number), "x".repeat(LABEL_VALUE_CHARS))).collect()
    }

    #[test]
    fn the_largest_lists_are_within_the_limit_of_an_answer() {
        let sessions = pb::SessionsListResponse { sessions: vec![largest_session(); DIRECTORY_SESSIONS] };
        assert!(sessions.encoded_len() <= UNARY_BYTES, "{}", sessions.encoded_len());
        let gateways = vec![largest_gateway(); FLEET_PAGE];
        let gateways = pb::FleetListResponse { gateways, next: "x".repeat(36) };
        assert!(gateways.encoded_len() <= UNARY_BYTES, "{}", gateways.encoded_len());
        let token = pb::TokenInfo {
            id: "x".repeat(64),
            kind: i32::MAX,
            name: long(NAME_CHARS),
            expires_unix_ms: u64::MAX,
            uses: u32::MAX,
            used: u32::MAX,
            labels: largest_labels(),
            approval: true,
            network: "x".repeat(NETWORK_CHARS),
            created_unix_ms: u64::MAX,
            created_by: "x".repeat(PRINCIPAL_BYTES),
        };
        let tokens = pb::FleetListTokensResponse { tokens: vec![token; JOIN_TOKENS] };
        assert!(tokens.encoded_len() <= UNARY_BYTES, "{}", tokens.encoded_len());
        let row = pb::AuditRow {
            number: u64::MAX,
            unix_ms: u64::MAX,
            principal: "x".repeat(PRINCIPAL_BYTES),
            action: "x".repeat(64),
            gateway: "x".repeat(36),
            session: "x".repeat(36),
            result: i32::MAX,
            request_id: "x".repeat(32),
            peer: "x".repeat(64),
            detail: "x".repeat(256),
            hash: vec![0; 32].into(),
        };
        let rows =
            pb::AuditListResponse { rows: vec![row.clone(); AUDIT_ROWS_MOST as usize], next: u64::MAX };
        assert!(rows.encoded_len() <= UNARY_BYTES, "{}", rows.encoded_len());
        let rows = pb::AuditRows { rows: vec![row; AUDIT_EXPORT_ROWS as usize] };
        let part = pb::AuditExportResponse { part: Some(pb::audit_export_response::Part::Rows(rows)) };
        assert!(part.encoded_len() <= UNARY_BYTES, "{}", part.encoded_len());
        let member = pb::AdminMember {
            id: "x".repeat(36),
            kind: i32::MAX,
            name: long(NAME_CHARS),
            enrolled_unix_ms: u64::MAX,
            created_by: "x".repeat(PRINCIPAL_BYTES),
            not_after_unix_ms: u64::MAX,
            revoked_unix_ms: u64::MAX,
            own: true,
            connections: u32::MAX,
            version: long(VERSION_CHARS),
        };
        let members = vec![member; MEMBERS_PAGE as usize];
        let members = pb::AdminListMembersResponse { members, next: "x".repeat(36) };
        assert!(members.encoded_len() <= UNARY_BYTES, "{}", members.encoded_len());
    }

    fn largest_place() -> Option<pb::Place> {
        let (key, value) = ("x".repeat(LABEL_KEY_CHARS), "x".repeat(LABEL_VALUE_CHARS));
        Some(pb::Place { place: Some(pb::place::Place::Label(pb::PlaceLabel { key, value })) })
    }

    #[test]
    fn the_largest_lists_of_people_are_within_the_limit_of_an_answer() {
        let id = "x".repeat(36);
        let person = pb::Person {
            id: id.clone(),
            display_name: long(NAME_CHARS),
            email: long(EMAIL_CHARS),
            suspended_unix_ms: u64::MAX,
            created_unix_ms: u64::MAX,
        };
        let people = pb::PeopleListResponse { people: vec![person; PEOPLE_PAGE as usize], next: id.clone() };
        assert!(people.encoded_len() <= UNARY_BYTES, "{}", people.encoded_len());
        let team = pb::Team {
            id: id.clone(),
            name: long(NAME_CHARS),
            external_group: long(EXTERNAL_GROUP_CHARS),
            members: vec![id.clone(); PEOPLE as usize],
            created_unix_ms: u64::MAX,
        };
        let teams = pb::PeopleListTeamsResponse { teams: vec![team; TEAMS_PAGE as usize], next: id.clone() };
        assert!(teams.encoded_len() <= UNARY_BYTES, "{}", teams.encoded_len());
        let binding = pb::Binding {
            id: id.clone(),
            holder: Some(pb::binding::Holder::Person(id.clone())),
            role: i32::MAX,
            place: largest_place(),
            created_unix_ms: u64::MAX,
            created_by: "x".repeat(PRINCIPAL_BYTES),
        };
        let bindings = vec![binding; BINDINGS_PAGE as usize];
        let bindings = pb::PeopleListBindingsResponse { bindings, next: id.clone() };
        assert!(bindings.encoded_len() <= UNARY_BYTES, "{}", bindings.encoded_len());
        let token = pb::ApiToken {
            id: id.clone(),
            person: id,
            name: long(NAME_CHARS),
            role: i32::MAX,
            place: largest_place(),
            created_unix_ms: u64::MAX,
            expires_unix_ms: u64::MAX,
            used_unix_ms: u64::MAX,
            revoked_unix_ms: u64::MAX,
            created_by: "x".repeat(PRINCIPAL_BYTES),
        };
        let tokens = pb::PeopleListApiTokensResponse { tokens: vec![token; API_TOKENS_OF_PERSON as usize] };
        assert!(tokens.encoded_len() <= UNARY_BYTES, "{}", tokens.encoded_len());
    }
}
