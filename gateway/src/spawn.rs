//! Starts a holder: its spec on standard input, its answer on standard output.
//!
//! The holder is the daemon's child only in name: it leaves the daemon's
//! session by itself, and nothing here ends it when the daemon ends.

use std::{io, path::Path, process::Stdio};

use bytes::BytesMut;
use chatcode_proto::{
    code::Refusal,
    framing, limits,
    pb::{self, Code},
};
use prost::Message as _;
use tokio::{
    io::AsyncWriteExt as _,
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
        .stderr(Stdio::null())
        .spawn()
        .map_err(|error| failed(format!("the holder's program could not be started ({error})")))?;
    let answer = timeout(limits::HOLDER_START, exchange(&mut child, spec)).await;
    let problem = match answer {
        Ok(Ok(session)) => return Ok((child, session)),
        Ok(Err(HolderError::Refused(refusal))) => refusal,
        Ok(Err(error)) => failed(format!("the new holder broke off: {error}")),
        Err(_) => failed(format!("the new holder did not answer within {:?}", limits::HOLDER_START)),
    };
    // Fails only when it has ended already.
    let _ = child.start_kill();
    let ended = child.wait().await;
    tracing::warn!(?ended, code = problem.code.name(), "a holder did not start");
    Err(problem)
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
    async fn a_spec_beyond_the_limit_is_refused_before_anything_starts() {
        let folder = "x".repeat(limits::HOLDER_MESSAGE_BYTES);
        let spec = pb::HolderSpec { folder, ..Default::default() };
        let error = start(Path::new("/no/such/program"), &spec).await.map(|_| ()).expect_err("is refused");
        assert_eq!(error.code, Code::Invalid);
    }
}
