//! The directory of sessions follows what each machine tells by `Link.Directory`, so
//! that the core can show them also while the machine is away. What an event does is
//! boxed: thousands of these wait for one.

use chatcode_proto::{
    code::Refusal,
    limits, name,
    pb::{Code, Session, SessionsWatchResponse, sessions_watch_response::Event},
};
use tonic::Streaming;

use crate::{
    fleet::{hub::Sessions, registry::LiveLink},
    shared::Shared,
};

/// Follows until the gateway tells no more.
///
/// # Errors
/// When it speaks nonsense, the link has ended, or what it tells cannot be kept.
pub(super) async fn follow(
    shared: &Shared,
    live: &LiveLink,
    mut events: Streaming<SessionsWatchResponse>,
) -> Result<(), Refusal> {
    // What comes before `synced` is the whole; what is not in it is gone.
    let mut whole = Some(Sessions::new());
    while let Some(message) = events.message().await.map_err(|status| Refusal::from(&status))? {
        // A newer link has its own mirror.
        if let Some(code) = live.ended() {
            return Err(Refusal::new(code, "the link has ended"));
        }
        match message.event {
            Some(Event::Synced(_)) => Box::pin(replace(shared, live, whole.take())).await?,
            Some(Event::Changed(session)) => {
                Box::pin(change(shared, live, whole.as_mut(), session)).await?;
            }
            Some(Event::Removed(id)) => Box::pin(remove(shared, live, whole.as_mut(), &id)).await?,
            // An event of a later version.
            None => {}
        }
    }
    Ok(())
}

async fn replace(shared: &Shared, live: &LiveLink, whole: Option<Sessions>) -> Result<(), Refusal> {
    let Some(whole) = whole else { return Ok(()) };
    let sessions: Vec<Session> = whole.values().cloned().collect();
    shared.store.replace_sessions(live.gateway, &sessions).await?;
    if let Some(code) = live.ended() {
        return Err(Refusal::new(code, "the link has ended"));
    }
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
    use prost::Message as _;

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
