//! Starts a holder: its spec on standard input, its answer on standard output.
//!
//! Nothing here ends it when the daemon ends: where it lives is the matter of
//! `keeping`.

use std::{io, path::Path};

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
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    process::Child,
    time::timeout,
};

use crate::{
    holder_client::{HolderError, accepted, read_message},
    keeping::Keeping,
};

/// Starts `holder` for `spec`; the session's folder and the state folder
/// exist. The child has to be waited for; none where the holder is not one.
///
/// # Errors
/// `SPAWN_FAILED` when the program, its shell or their folder could not be
/// started within [`limits::HOLDER_START`], `INVALID` when the spec is too
/// large; no process is left then.
pub(crate) async fn start(
    keeping: &Keeping,
    holder: &Path,
    session: &SessionId,
    spec: &pb::HolderSpec,
) -> Result<(Option<Child>, pb::Session), Refusal> {
    if spec.encoded_len() > limits::HOLDER_MESSAGE_BYTES {
        return Err(Refusal::new(
            Code::Invalid,
            "command and environment together are too large; shorten them",
        ));
    }
    let mut child = keeping
        .command(holder, session)
        .spawn()
        .map_err(|error| failed(format!("the holder's program could not be started ({error})")))?;
    let answer = timeout(limits::HOLDER_START, exchange(&mut child, spec)).await;
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

async fn exchange(child: &mut Child, spec: &pb::HolderSpec) -> Result<pb::Session, HolderError> {
    let (Some(mut stdin), Some(mut stdout)) = (child.stdin.take(), child.stdout.take()) else {
        return Err(HolderError::Io(io::Error::other("the child has no pipes")));
    };
    let mut out = BytesMut::new();
    framing::put(&mut out, spec);
    // A holder that refuses early may close its end; its answer says why.
    let written = stdin.write_all(&out).await;
    drop(stdin);
    let answer = read_message::<pb::HolderResponse>(&mut stdout, &mut BytesMut::new()).await?;
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
    use std::{os::unix::fs::PermissionsExt, process::Stdio};

    use tokio::process::Command;

    use super::*;

    async fn try_start(program: impl AsRef<Path>, spec: &pb::HolderSpec) -> Refusal {
        let id = SessionId::from_random([1; 16]);
        let started = start(&Keeping::Detached, program.as_ref(), &id, spec).await;
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
