//! Commands that follow something for as long as a person looks: they come back by
//! themselves to a core that went away, and Ctrl-C ends them well.

use std::io;

use chatcode_process::out;
use chatcode_proto::{backoff::Backoff, code::Refusal, limits, pb::Code};
use tonic::Status;

use crate::{
    client::{Client, refused},
    print::{say, shown},
};

/// Does `once` again and again, with pauses, for as long as what ended it may pass.
/// The first time that it does not begin, it is not tried again. `begins`: what is said
/// when it does. `once` calls what it is given when it has begun, and says why it ended.
///
/// # Errors
/// When it is refused, when it does not begin at first, or standard output is closed.
pub(crate) async fn again_and_again(
    begins: &str,
    mut once: impl AsyncFnMut(&mut dyn FnMut()) -> io::Result<Refusal>,
) -> anyhow::Result<()> {
    let mut pauses = Backoff::new(limits::FOLLOW_FIRST, limits::FOLLOW_LONGEST);
    let mut has_begun = false;
    loop {
        let mut begun = false;
        let refusal = once(&mut || {
            say(&format!("{}; Ctrl-C ends it", if has_begun { "back" } else { begins }));
            (begun, has_begun) = (true, true);
        })
        .await?;
        let may_pass = refusal.code.is_transient() || refusal.code == Code::Done;
        if !has_begun || !may_pass {
            return Err(refused(&refusal));
        }
        if begun {
            pauses.reset();
            say(&format!("interrupted: {}; coming back by itself", shown(&refusal.message)));
        }
        tokio::time::sleep(pauses.next(rand::random())).await;
    }
}

/// Why a stream ended: its status, or none when the core has closed it well.
pub(crate) fn ended(client: &Client, status: Option<Status>) -> Refusal {
    match status {
        Some(status) => client.refusal(&status),
        None => Refusal::new(Code::Done, "the core has closed the connection"),
    }
}

/// Does it until Ctrl-C, or until nobody reads standard output any more; neither is an
/// error.
///
/// # Errors
/// Its own.
pub(crate) async fn until_interrupted(work: impl Future<Output = anyhow::Result<()>>) -> anyhow::Result<()> {
    tokio::select! {
        done = work => done,
        interrupted = tokio::signal::ctrl_c() => Ok(interrupted?),
        // Who waits for a line would wait for ever.
        () = out::reader_left() => Ok(()),
    }
}
