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
    // The whole command is the machine's to keep; people see its beginning.
    let mut room = limits::SHOWN_COMMAND_BYTES;
    let words = session.command.iter().take(limits::ARGUMENTS).map_while(|word| {
        let word = (room > 0).then(|| name::display_safe(word, room))?;
        room = room.saturating_sub(word.chars().count());
        Some(word)
    });
    Session {
        name: name::display_safe(&session.name, limits::SESSION_NAME_CHARS),
        command: words.collect(),
        folder: name::display_safe(&session.folder, limits::SHOWN_FOLDER_BYTES),
        ..session
    }
}
