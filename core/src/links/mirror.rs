//! The directory of sessions follows each machine by one `Sessions.Watch` per
//! link, so that the core can show them also while the machine is away.

use std::{convert::Infallible, sync::Arc};

use chatcode_proto::{
    backoff::Backoff,
    code::Refusal,
    limits, metadata, name,
    pb::{
        Code, Session, SessionsWatchRequest, SessionsWatchResponse, sessions_client::SessionsClient,
        sessions_watch_response::Event,
    },
};
use prost::Message as _;
use tonic::{
    Request, Streaming,
    metadata::{MetadataValue, errors::InvalidMetadataValue},
};

use crate::{
    fleet::{hub::Sessions, registry::LiveLink},
    shared::Shared,
};

/// Watches for as long as it runs; a watch that ends is begun anew.
pub(super) async fn run(shared: Arc<Shared>, live: Arc<LiveLink>) -> Infallible {
    let (first, longest) = limits::RECONNECT;
    let mut pauses = Backoff::new(first, longest);
    loop {
        let refusal = follow(&shared, &live, &mut pauses).await;
        tracing::debug!(code = refusal.code.name(), "the watch of the sessions ended");
        let random = f64::from(u32::from_be_bytes(chatcode_certs::random::bytes())) / f64::from(u32::MAX);
        tokio::time::sleep(pauses.next(random)).await;
    }
}

/// One watch; returns why it ended.
async fn follow(shared: &Shared, live: &LiveLink, pauses: &mut Backoff) -> Refusal {
    let mut events = match open(shared, live).await {
        Ok(events) => events,
        Err(refusal) => return refusal,
    };
    // What comes before `synced` is the whole; what is not in it is gone.
    let mut whole = Some(Sessions::new());
    loop {
        let event = match events.message().await {
            Ok(Some(SessionsWatchResponse { event: Some(event) })) => event,
            Ok(Some(SessionsWatchResponse { event: None })) => continue,
            Ok(None) => return Refusal::new(Code::Done, "the watch ended"),
            Err(status) => return Refusal::from(&status),
        };
        // A newer link has its own mirror.
        if let Some(code) = live.ended() {
            return Refusal::new(code, "the link has ended");
        }
        let kept = match event {
            Event::Synced(_) => {
                pauses.reset();
                replace(shared, live, whole.take()).await
            }
            Event::Changed(session) => change(shared, live, whole.as_mut(), session).await,
            Event::Removed(id) => remove(shared, live, whole.as_mut(), &id).await,
        };
        if let Err(refusal) = kept {
            return refusal;
        }
    }
}

async fn open(shared: &Shared, live: &LiveLink) -> Result<Streaming<SessionsWatchResponse>, Refusal> {
    let mut client = SessionsClient::new(live.link.channel()).max_decoding_message_size(limits::UNARY_BYTES);
    let mut request = Request::new(SessionsWatchRequest {});
    let grant = MetadataValue::from_bytes(&shared.own_grant().encode_to_vec());
    request.metadata_mut().insert_bin(metadata::GRANT, grant);
    let gateway = live.gateway.to_string().parse();
    let gateway =
        gateway.map_err(|_: InvalidMetadataValue| Refusal::new(Code::Internal, "the id is no header"))?;
    request.metadata_mut().insert(metadata::GATEWAY, gateway);
    let response = client.watch(request).await.map_err(|status| Refusal::from(&status))?;
    Ok(response.into_inner())
}

async fn replace(shared: &Shared, live: &LiveLink, whole: Option<Sessions>) -> Result<(), Refusal> {
    let Some(whole) = whole else { return Ok(()) };
    let sessions: Vec<Session> = whole.values().cloned().collect();
    shared.store.replace_sessions(live.gateway, &sessions).await?;
    shared.hub.replace_sessions(live.gateway, whole);
    Ok(())
}

async fn change(
    shared: &Shared,
    live: &LiveLink,
    whole: Option<&mut Sessions>,
    session: Session,
) -> Result<(), Refusal> {
    let Ok(id) = session.id.parse() else {
        return Err(Refusal::new(Code::Invalid, "the gateway names a session that has no id"));
    };
    let session = shown(session);
    if let Some(whole) = whole {
        if whole.len() < limits::DIRECTORY_SESSIONS {
            whole.insert(id, session);
        }
        return Ok(());
    }
    let before = shared.hub.put_session(live.gateway, id, session.clone());
    if before.is_some_and(|before| before.lasts(&session)) {
        shared.store.put_session(live.gateway, &session).await?;
    }
    Ok(())
}

async fn remove(
    shared: &Shared,
    live: &LiveLink,
    whole: Option<&mut Sessions>,
    id: &str,
) -> Result<(), Refusal> {
    let Ok(id) = id.parse() else { return Ok(()) };
    if let Some(whole) = whole {
        whole.remove(&id);
        return Ok(());
    }
    shared.hub.remove_session(live.gateway, id);
    shared.store.forget_session(live.gateway, id).await?;
    Ok(())
}

/// What a machine tells of a session, made harmless and bounded for those who
/// read it.
fn shown(session: Session) -> Session {
    Session {
        name: name::display_safe(&session.name, limits::SESSION_NAME_CHARS),
        command: shown_command(&session.command, limits::SHOWN_COMMAND_BYTES),
        folder: cut(&session.folder, limits::SHOWN_FOLDER_BYTES),
        resume_command: shown_command(&session.resume_command, limits::SHOWN_RESUME_BYTES),
        ..session
    }
}

/// The beginning of a command, so many bytes: the whole is the machine's to keep.
fn shown_command(command: &[String], most: usize) -> Vec<String> {
    let mut room = most;
    let words = command.iter().take(limits::ARGUMENTS).map_while(|word| {
        let word = (room > 0).then(|| cut(word, room))?;
        room -= word.len();
        Some(word)
    });
    words.collect()
}

/// A text made harmless, and of it so many bytes.
fn cut(text: &str, most: usize) -> String {
    let mut safe = name::display_safe(text, most);
    safe.truncate(safe.floor_char_boundary(most));
    safe
}

/// `just fuzz facts`.
#[cfg(test)]
mod fuzz {
    use chatcode_fuzz::{Target, sight, size};
    use chatcode_proto::pb::HostFacts;

    use super::*;
    use crate::fleet::facts;

    const TARGET: Target = Target { name: "facts", words: WORDS, usual: 10_000, case };
    const WORDS: &[&[u8]] = &[
        &[0x0a, 0x04],
        &[0x12, 0x04],
        &[0x2a, 0x04],
        &[0x32, 0x04],
        &[0x6a, 0x04],
        b"\x1b[2J",
        b"\x1b]52;c;eA==\x07",
        b"\xe2\x80\xae",
        b"\xe2\x80\xa8",
        b"\xc2\x9b",
        b"\r\n",
        b"/home/ada",
        b"6f1c0a52-9d3e-4a37-8f0b-2f6f0d1c9b11",
        b"\0",
        b"\xff",
    ];

    #[test]
    fn whatever_a_machine_tells_of_itself_is_shown_harmless_and_bounded() {
        let session = Session {
            id: "6f1c0a52-9d3e-4a37-8f0b-2f6f0d1c9b11".into(),
            name: "build".into(),
            command: vec!["/bin/sh".into(), "-c".into(), "x".repeat(3000)],
            folder: "/home/ada".into(),
            resume_command: vec!["claude".into(), "--continue".into()],
            ..Default::default()
        };
        let host = HostFacts {
            hostname: "attic".into(),
            os: "linux".into(),
            arch: "x86_64".into(),
            user: "ada".into(),
            kernel: "6.1".into(),
        };
        chatcode_fuzz::run(&TARGET, vec![session.encode_to_vec(), host.encode_to_vec()]);
    }

    fn case(input: &[u8]) -> Vec<u64> {
        let session = Session::decode(input).map(|session| of_session(&shown(session)));
        let host = HostFacts::decode(input).map(|host| of_host(&facts::shown(&host)));
        vec![sight((session.ok(), host.ok()))]
    }

    fn of_session(session: &Session) -> (u32, u32) {
        // In the directory every session has an id.
        let kept = Session { id: "x".repeat(36), ..session.clone() };
        let bytes = kept.encoded_len();
        assert!(bytes <= limits::SESSION_BYTES, "a session of {bytes} bytes");
        let words = session.command.iter().chain(&session.resume_command);
        harmless(words.chain([&session.name, &session.folder]));
        (size(session.command.len()), size(session.resume_command.len()))
    }

    fn of_host(host: &HostFacts) -> u32 {
        let texts = [&host.hostname, &host.os, &host.arch, &host.user, &host.kernel];
        assert!(texts.iter().all(|text| text.chars().count() <= 253), "a fact of any length: see");
        harmless(texts);
        size(host.hostname.len())
    }

    fn harmless<'a>(texts: impl IntoIterator<Item = &'a String>) {
        for text in texts {
            let steers = text.chars().any(|c| c.is_control() || matches!(c, '\u{202e}' | '\u{2028}'));
            assert!(!steers, "a terminal is steered: {text:?}");
        }
    }
}
