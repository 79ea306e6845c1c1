//! What a holder is started with, checked.

use std::{
    collections::BTreeMap,
    io::{self, Read},
    path::PathBuf,
};

use bytes::BytesMut;
use chatcode_proto::{
    code::Refusal,
    framing,
    id::SessionId,
    limits, name,
    pb::{self, Code},
};
use prost::Message as _;

/// The size of a terminal when none is asked for.
const DEFAULT_WINSIZE: pb::Winsize = pb::Winsize { rows: 24, cols: 80 };

/// A [`pb::HolderSpec`] that keeps its bounds.
#[derive(Debug)]
pub(crate) struct Spec {
    pub(crate) session: SessionId,
    pub(crate) name: String,
    pub(crate) program: String,
    pub(crate) arguments: Vec<String>,
    /// The first argument as the program sees it.
    pub(crate) arg0: String,
    pub(crate) folder: PathBuf,
    pub(crate) environment: BTreeMap<String, String>,
    pub(crate) winsize: pb::Winsize,
    pub(crate) created_unix_ms: u64,
    pub(crate) state_folder: PathBuf,
    pub(crate) log_bytes: usize,
    pub(crate) history_lines: u32,
    pub(crate) epoch: u64,
    pub(crate) shown_command: Vec<String>,
    /// The daemon's user, where it is another.
    pub(crate) daemon_uid: Option<u32>,
    pub(crate) restart: pb::RestartPolicy,
    pub(crate) shown_resume_command: Vec<String>,
    pub(crate) restarts: u32,
    pub(crate) boot_id: String,
}

impl Spec {
    /// Checks what the daemon sent.
    ///
    /// # Errors
    /// `INVALID`, with the field that is wrong.
    pub(crate) fn check(raw: pb::HolderSpec) -> Result<Self, Refusal> {
        let restart = raw.restart();
        let session = raw.session.parse().map_err(|_| invalid("the session id is not a UUID"))?;
        name::check("name", &raw.name, limits::SESSION_NAME_CHARS)?;
        let mut command = raw.command.into_iter();
        let program =
            command.next().filter(|p| !p.is_empty()).ok_or_else(|| invalid("the command is empty"))?;
        let arguments: Vec<String> = command.collect();
        if arguments.len() >= limits::ARGUMENTS {
            return Err(invalid("the command has too many arguments"));
        }
        let arg0 = if raw.arg0.is_empty() { program.clone() } else { raw.arg0 };
        for text in arguments.iter().chain([&program, &arg0, &raw.folder, &raw.state_folder]) {
            check_text("command or folder", text)?;
        }
        for (key, value) in &raw.environment {
            if key.is_empty() || key.len() > limits::ENVIRONMENT_NAME_BYTES || key.contains(['=', '\0']) {
                return Err(invalid("an environment variable has a bad name"));
            }
            if value.contains('\0') {
                return Err(invalid("an environment variable has a zero byte"));
            }
        }
        let log_bytes = raw.log_bytes as usize;
        if !limits::LOG_BYTES_RANGE.contains(&log_bytes) {
            return Err(invalid("the size of the output log is out of its range"));
        }
        if raw.history_lines > limits::HISTORY_LINES {
            return Err(invalid("the history is longer than a session may keep"));
        }
        if raw.epoch == 0 {
            return Err(invalid("the epoch is 0"));
        }
        Ok(Self {
            session,
            name: raw.name,
            program,
            arguments,
            arg0,
            folder: absolute("folder", raw.folder)?,
            environment: raw.environment,
            winsize: clamp(raw.winsize.unwrap_or(DEFAULT_WINSIZE)),
            created_unix_ms: raw.created_unix_ms,
            state_folder: absolute("state folder", raw.state_folder)?,
            log_bytes,
            history_lines: raw.history_lines,
            epoch: raw.epoch,
            shown_command: raw.shown_command,
            daemon_uid: raw.daemon_uid,
            restart,
            shown_resume_command: raw.shown_resume_command,
            restarts: raw.restarts,
            boot_id: raw.boot_id,
        })
    }
}

/// Reads one framed [`pb::HolderSpec`]; waits for all of it.
///
/// # Errors
/// I/O errors, an end before the whole message, `InvalidData` for anything
/// else than a spec.
pub(crate) fn read(source: &mut impl Read) -> io::Result<pb::HolderSpec> {
    let mut buffer = BytesMut::new();
    let mut chunk = [0; 4096];
    loop {
        let whole = framing::take(&mut buffer, limits::HOLDER_MESSAGE_BYTES)
            .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
        if let Some(message) = whole {
            return pb::HolderSpec::decode(message)
                .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error));
        }
        match source.read(&mut chunk) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(n) => buffer.extend_from_slice(&chunk[..n]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

/// The nearest size within the bounds.
pub(crate) fn clamp(size: pb::Winsize) -> pb::Winsize {
    pb::Winsize {
        rows: size.rows.clamp(*limits::ROWS.start(), *limits::ROWS.end()),
        cols: size.cols.clamp(*limits::COLS.start(), *limits::COLS.end()),
    }
}

fn absolute(what: &str, path: String) -> Result<PathBuf, Refusal> {
    let path = PathBuf::from(path);
    if path.is_absolute() { Ok(path) } else { Err(invalid(&format!("the {what} is not absolute"))) }
}

fn check_text(what: &str, text: &str) -> Result<(), Refusal> {
    if text.len() > limits::ARGUMENT_BYTES || text.contains('\0') {
        return Err(invalid(&format!("a {what} is too long or has a zero byte")));
    }
    Ok(())
}

fn invalid(why: &str) -> Refusal {
    Refusal::new(Code::Invalid, format!("the holder's spec was refused: {why}; daemon and holder must match"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn good() -> pb::HolderSpec {
        pb::HolderSpec {
            session: "6f1c0a52-9d3e-4a37-8f0b-2f6f0d1c9b11".into(),
            name: "build".into(),
            command: vec!["/bin/sh".into()],
            folder: "/".into(),
            state_folder: "/tmp".into(),
            log_bytes: 1024 * 1024,
            epoch: 7,
            ..Default::default()
        }
    }

    #[test]
    fn a_good_spec_passes_and_gets_the_default_size() {
        let spec = Spec::check(good()).expect("is good");
        assert_eq!(spec.arg0, "/bin/sh");
        assert_eq!(spec.winsize, DEFAULT_WINSIZE);
    }

    #[test]
    fn a_spec_out_of_its_bounds_is_refused() {
        type Spoil = fn(&mut pb::HolderSpec);
        let spoilt: &[Spoil] = &[
            |s| s.session = "x".into(),
            |s| s.history_lines = limits::HISTORY_LINES + 1,
            |s| s.name = "a\u{1b}b".into(),
            |s| s.command.clear(),
            |s| s.command = vec![String::new()],
            |s| s.command = vec!["x".into(); limits::ARGUMENTS + 1],
            |s| s.folder = "relative".into(),
            |s| s.state_folder = String::new(),
            |s| s.log_bytes = 1,
            |s| s.epoch = 0,
            |s| s.arg0 = "a\0b".into(),
            |s| drop(s.environment.insert("A=B".into(), String::new())),
        ];
        for (n, spoil) in spoilt.iter().enumerate() {
            let mut raw = good();
            spoil(&mut raw);
            assert_eq!(Spec::check(raw).expect_err(&n.to_string()).code, Code::Invalid, "{n}");
        }
    }

    #[test]
    fn sizes_are_cut_to_their_bounds() {
        assert_eq!(clamp(pb::Winsize { rows: 0, cols: 9999 }), pb::Winsize { rows: 1, cols: 1000 });
    }

    #[test]
    fn a_spec_that_ends_too_early_is_an_error() {
        let mut framed = BytesMut::new();
        framing::put(&mut framed, &good());
        assert!(read(&mut &framed[..framed.len() - 1]).is_err());
        assert_eq!(read(&mut &framed[..]).expect("is whole"), good());
        assert!(read(&mut &[0xff; 16][..]).is_err());
    }
}
