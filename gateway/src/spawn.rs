//! Starts a holder: its spec on standard input, its answer on standard output.
//!
//! Nothing here ends it when the daemon ends: where it lives is the matter of
//! `keeping`.

use bytes::BytesMut;
use chatcode_proto::{
    code::Refusal,
    framing,
    id::SessionId,
    limits,
    name::display_safe,
    pb::{self, Code},
};
use prost::Message as _;
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _},
    process::{Child, Command},
    time::timeout,
};

use crate::{
    config::Places,
    holder_client::{HolderError, accepted, read_message},
    keeping::{Keeping, Spawner, Way},
};

/// Starts a holder for `spec`; the session's folder and the state folder
/// exist, unless the spawner makes it. The child has to be waited for; none where the holder is not one.
///
/// # Errors
/// `SPAWN_FAILED` when the program, its shell or their folder could not be
/// started within [`limits::HOLDER_START`], `INVALID` when the spec is too
/// large; no process is left then.
pub(crate) async fn start(
    keeping: &Keeping,
    places: &Places,
    session: &SessionId,
    spec: &pb::HolderSpec,
) -> Result<(Option<Child>, pb::Session), Refusal> {
    if spec.encoded_len() > limits::HOLDER_MESSAGE_BYTES {
        return Err(Refusal::new(
            Code::Invalid,
            "command and environment together are too large; shorten them",
        ));
    }
    match keeping.way(places, session) {
        Way::Child(command) => run(keeping, command, session, spec).await,
        Way::Spawner(spawner) => Ok((None, ask(spawner, session, spec).await?)),
    }
}

/// Has the spawner start it.
async fn ask(spawner: &Spawner, session: &SessionId, spec: &pb::HolderSpec) -> Result<pb::Session, Refusal> {
    let asking = async {
        let (answers, order) = spawner.ask(session).await.map_err(HolderError::Refused)?;
        exchange(order, answers, spec).await
    };
    match timeout(limits::HOLDER_START, asking).await {
        Ok(Ok(begun)) => Ok(begun),
        Ok(Err(HolderError::Refused(refusal))) => Err(refusal),
        Ok(Err(error)) => Err(failed(format!("the new holder broke off: {error}"))),
        Err(_) => Err(failed(format!("the new holder did not answer within {:?}", limits::HOLDER_START))),
    }
}

/// Starts it, or what hands its own standard files to it.
async fn run(
    keeping: &Keeping,
    mut command: Command,
    session: &SessionId,
    spec: &pb::HolderSpec,
) -> Result<(Option<Child>, pb::Session), Refusal> {
    let mut child = command
        .spawn()
        .map_err(|error| failed(format!("the holder's program could not be started ({error})")))?;
    let (Some(stdin), Some(stdout)) = (child.stdin.take(), child.stdout.take()) else {
        return Err(Refusal::new(Code::Internal, "the holder has no pipes"));
    };
    let answer = timeout(limits::HOLDER_START, exchange(stdin, stdout, spec)).await;
    if let Ok(Ok(begun)) = answer {
        drop(child.stderr.take());
        return Ok((keeping.release(child).await, begun));
    }
    let (ended, said) = post_mortem(child).await;
    keeping.clear(session).await;
    let problem = match answer {
        Ok(Err(HolderError::Refused(refusal))) => refusal,
        Ok(Err(error)) => failed(format!("the new holder broke off ({ended}): {error}")),
        _ => failed(format!("the new holder did not answer within {:?}", limits::HOLDER_START)),
    };
    tracing::warn!(ended, said, code = problem.code.name(), "a holder did not start");
    Err(problem)
}

/// How a holder ended that did not start, and what it said on its standard
/// error. One that has closed its answer ends by itself, or is killed.
async fn post_mortem(mut child: Child) -> (String, String) {
    let stderr = child.stderr.take();
    if timeout(limits::HOLDER_FAREWELL, child.wait()).await.is_err() {
        // Fails only when it has ended already.
        let _ = child.start_kill();
    }
    let ended = child.wait().await.map_or_else(|error| error.to_string(), |status| status.to_string());
    let mut said = Vec::new();
    if let Some(stderr) = stderr {
        // A shell that it may have started can hold the pipe open.
        let mut stderr = stderr.take(limits::MESSAGE_BYTES as u64);
        let _ = timeout(limits::HOLDER_FAREWELL, stderr.read_to_end(&mut said)).await;
    }
    (ended, display_safe(&String::from_utf8_lossy(&said), limits::MESSAGE_BYTES))
}

async fn exchange(
    mut order: impl AsyncWrite + Unpin,
    mut answers: impl AsyncRead + Unpin,
    spec: &pb::HolderSpec,
) -> Result<pb::Session, HolderError> {
    let mut out = BytesMut::new();
    framing::put(&mut out, spec);
    // A holder that refuses early may close its end; its answer says why.
    let written = order.write_all(&out).await;
    drop(order);
    let answer = read_message::<pb::HolderResponse>(&mut answers, &mut BytesMut::new()).await?;
    match (answer, written) {
        (Some(answer), _) => accepted(answer),
        (None, Err(error)) => Err(HolderError::Io(error)),
        (None, Ok(())) => Err(HolderError::Silent),
    }
}

fn failed(message: String) -> Refusal {
    Refusal::new(Code::SpawnFailed, message)
}

#[cfg(test)]
mod tests {
    use std::{os::unix::fs::PermissionsExt, path::Path, process::Stdio};

    use super::*;

    async fn try_start(program: impl AsRef<Path>, spec: &pb::HolderSpec) -> Refusal {
        let id = SessionId::from_random([1; 16]);
        let (data, sessions) = ("/".into(), "/".into());
        let places = Places { data, sessions, holder: program.as_ref().into() };
        let started = start(&Keeping::Detached, &places, &id, spec).await;
        started.map(|_| ()).expect_err("does not start")
    }

    async fn code(program: &str) -> Code {
        try_start(program, &pb::HolderSpec::default()).await.code
    }

    #[tokio::test]
    async fn a_program_that_is_no_holder_is_a_failed_start() {
        assert_eq!(code("/no/such/program").await, Code::SpawnFailed);
        assert_eq!(code("/bin/false").await, Code::SpawnFailed);
        // Copies the spec back, which is no answer.
        assert_eq!(code("/bin/cat").await, Code::SpawnFailed);
    }

    #[tokio::test]
    async fn a_holder_that_dies_at_its_start_is_told_with_how_it_died() {
        let place = tempfile::tempdir().expect("a folder");
        let program = place.path().join("dies");
        std::fs::write(&program, "#!/bin/sh\necho why >&2\nkill -SEGV $$\n").expect("is written");
        std::fs::set_permissions(&program, PermissionsExt::from_mode(0o700)).expect("is set");
        let error = try_start(&program, &pb::HolderSpec::default()).await;
        assert!(error.message.contains("signal: 11"), "{error}");
        let child = Command::new(&program).stderr(Stdio::piped()).spawn().expect("starts");
        assert_eq!(post_mortem(child).await.1, "why\u{fffd}");
    }

    #[tokio::test]
    async fn a_spec_beyond_the_limit_is_refused_before_anything_starts() {
        let folder = "x".repeat(limits::HOLDER_MESSAGE_BYTES);
        let spec = pb::HolderSpec { folder, ..Default::default() };
        let error = try_start("/no/such/program", &spec).await;
        assert_eq!(error.code, Code::Invalid);
    }
}
