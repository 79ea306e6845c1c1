//! Starts a holder: its spec on standard input, its answer on standard output.
//!
//! The holder is the daemon's child only in name: it leaves the daemon's
//! session by itself, and nothing here ends it when the daemon ends.

use std::{io, path::Path, process::Stdio};

use bytes::BytesMut;
use chatcode_proto::{
    code::Refusal,
    framing, limits,
    name::display_safe,
    pb::{self, Code},
};
use prost::Message as _;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    process::{Child, Command},
    time::timeout,
};

use crate::holder_client::{HolderError, accepted, read_message};

/// Starts `holder` for `spec`; the session's folder and the state folder
/// exist. The child has to be waited for.
///
/// # Errors
/// `SPAWN_FAILED` when the program, its shell or their folder could not be
/// started within [`limits::HOLDER_START`], `INVALID` when the spec is too
/// large; no process is left then.
pub(crate) async fn start(holder: &Path, spec: &pb::HolderSpec) -> Result<(Child, pb::Session), Refusal> {
    if spec.encoded_len() > limits::HOLDER_MESSAGE_BYTES {
        return Err(Refusal::new(
            Code::Invalid,
            "command and environment together are too large; shorten them",
        ));
    }
    // An empty environment: what the shell gets is in the spec, and the holder
    // itself needs none.
    let mut child = Command::new(holder)
        .env_clear()
        .current_dir("/")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|error| failed(format!("the holder's program could not be started ({error})")))?;
    let answer = timeout(limits::HOLDER_START, exchange(&mut child, spec)).await;
    if let Ok(Ok(session)) = answer {
        drop(child.stderr.take());
        return Ok((child, session));
    }
    let (ended, said) = post_mortem(child).await;
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
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    async fn code(program: &str) -> Code {
        let spec = pb::HolderSpec::default();
        start(Path::new(program), &spec).await.map(|_| ()).expect_err("does not start").code
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
        let error = start(&program, &pb::HolderSpec::default()).await.map(|_| ()).expect_err("dies");
        assert!(error.message.contains("signal: 11"), "{error}");
        let child = Command::new(&program).stderr(Stdio::piped()).spawn().expect("starts");
        assert_eq!(post_mortem(child).await.1, "why\u{fffd}");
    }

    #[tokio::test]
    async fn a_spec_beyond_the_limit_is_refused_before_anything_starts() {
        let folder = "x".repeat(limits::HOLDER_MESSAGE_BYTES);
        let spec = pb::HolderSpec { folder, ..Default::default() };
        let error = start(Path::new("/no/such/program"), &spec).await.map(|_| ()).expect_err("is refused");
        assert_eq!(error.code, Code::Invalid);
    }
}
