//! One connection of an attachment, from its first frame to its break.

use std::time::Duration;

use chatcode_proto::{
    code::Refusal,
    limits,
    pb::{ClientFrame, Code, ServerFrame},
};
use tokio::{sync::mpsc, time::Instant};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Status, Streaming};

use super::view::{End, Happened, View};
use crate::client::{Client, target};

/// Frames that wait for the connection; more wait in the rules.
const FRAMES: usize = 8;
/// How long leaving waits until the holder knows.
const GOODBYE: Duration = Duration::from_millis(500);

/// How a connection ended.
pub(super) enum Outcome {
    /// The attachment is over.
    End(End),
    /// The connection is; another may come.
    Broken(Refusal),
}

/// Attaches, and carries frames both ways until the connection or the attachment
/// ends.
pub(super) async fn run(client: &Client, view: &mut View) -> Outcome {
    let (frames, receiver) = mpsc::channel(FRAMES);
    // The first frame waits in the channel before the call begins.
    let _ = frames.try_send(view.viewer.attach());
    let request =
        target(Request::new(ReceiverStream::new(receiver)), &view.target.gateway, &view.target.session);
    let request = match request {
        Ok(request) => request,
        Err(error) => return Outcome::Broken(Refusal::new(Code::Invalid, error.to_string())),
    };
    let mut terminal = client.terminal();
    let call = tokio::time::timeout(limits::UNARY_DEADLINE, terminal.attach(request));
    tokio::pin!(call);
    let stream = loop {
        tokio::select! {
            called = &mut call => match called {
                Ok(Ok(response)) => break response.into_inner(),
                Ok(Err(status)) => return Outcome::Broken(client.refusal(&status)),
                Err(_) => return Outcome::Broken(Refusal::new(Code::Timeout, "the session did not answer in time")),
            },
            end = view.person() => if let Some(end) = end { return Outcome::End(end) },
        }
    };
    converse(client, view, stream, &frames).await
}

/// What woke the conversation.
#[expect(clippy::large_enum_variant, reason = "one at a time, on the stack, for every output frame")]
enum Woken {
    Frame(ServerFrame),
    /// The call is over, well or with a status.
    Ended(Option<Box<Status>>),
    Person(Happened),
    /// A frame can be sent again.
    Room,
    Timer,
    /// Nothing came for too long, not even the answer to a ping.
    Silence,
}

async fn converse(
    client: &Client,
    view: &mut View,
    mut stream: Streaming<ServerFrame>,
    frames: &mpsc::Sender<ClientFrame>,
) -> Outcome {
    let mut heard = Instant::now();
    loop {
        let is_full = send_ready(view, frames);
        let timer = view.viewer.next_timeout().map(|time| view.moment(time));
        let has_room = view.has_room();
        if !has_room {
            // Frames wait for this terminal; the silence is ours.
            heard = Instant::now();
        }
        let woken = tokio::select! {
            frame = stream.message(), if has_room => match frame {
                Ok(Some(frame)) => Woken::Frame(frame),
                Ok(None) => Woken::Ended(None),
                Err(status) => Woken::Ended(Some(Box::new(status))),
            },
            happened = view.happens() => Woken::Person(happened),
            _ = frames.reserve(), if is_full => Woken::Room,
            () = tokio::time::sleep_until(timer.unwrap_or_else(Instant::now)), if timer.is_some() => Woken::Timer,
            () = tokio::time::sleep_until(heard + limits::VIEWER_SILENCE), if has_room => Woken::Silence,
        };
        match woken {
            Woken::Frame(frame) => match view.viewer.handle_frame(view.now(), frame) {
                Ok(events) => {
                    heard = Instant::now();
                    events.into_iter().for_each(|event| view.show(event));
                    if let Some(exit) = view.take_exit() {
                        return Outcome::End(End::Exited(exit));
                    }
                }
                Err(refusal) => return Outcome::Broken(refusal),
            },
            Woken::Ended(status) => return over(client, view, status.as_deref()),
            Woken::Person(happened) => {
                if let Some(end) = view.handle(happened) {
                    view.viewer.detach();
                    send_ready(view, frames);
                    // The last frame goes out while the answer is waited for.
                    let goodbye = async { while let Ok(Some(_)) = stream.message().await {} };
                    let _ = tokio::time::timeout(GOODBYE, goodbye).await;
                    return Outcome::End(end);
                }
            }
            Woken::Timer => view.viewer.handle_timeout(view.now()),
            Woken::Room => {}
            Woken::Silence => return Outcome::Broken(Refusal::new(Code::Timeout, "the session went silent")),
        }
    }
}

/// Hands ready frames to the connection; gives whether it takes no more.
fn send_ready(view: &mut View, frames: &mpsc::Sender<ClientFrame>) -> bool {
    loop {
        let Ok(place) = frames.try_reserve() else { return !frames.is_closed() };
        match view.viewer.poll_frame(view.now()) {
            Some(frame) => place.send(frame),
            None => return false,
        }
    }
}

/// The call has ended before the shell: with the holder's word, or without one.
fn over(client: &Client, view: &mut View, status: Option<&Status>) -> Outcome {
    if let Some(refusal) = view.take_closing() {
        return Outcome::Broken(refusal);
    }
    Outcome::Broken(match status {
        Some(status) => client.refusal(status),
        None => Refusal::new(Code::Done, "the connection was closed"),
    })
}
