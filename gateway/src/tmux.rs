//! The machine's own tmux: which sessions its server has, and how a session
//! opens one of them.

use std::{env, process::Stdio};

use chatcode_proto::{limits, name, pb};
use tokio::{
    io::{AsyncRead, AsyncReadExt as _},
    process::Command,
    time::timeout,
};

use crate::shell::{environment::LAST_PATH, user::User};

/// What is asked for; the name comes last, since it may hold spaces.
const FORMAT: &str = "#{session_windows} #{session_attached} #{session_created} #{session_name}";

/// The sessions of the tmux server of `user`; none where there is no tmux, no
/// server, or no answer within [`limits::TMUX`]. Dropping the future ends the
/// question.
pub(crate) async fn sessions(user: &User) -> Vec<pb::TmuxSession> {
    let answer = timeout(limits::TMUX, ask(user)).await;
    let text = answer.ok().and_then(Result::ok).unwrap_or_default();
    listed(&text)
}

fn listed(text: &[u8]) -> Vec<pb::TmuxSession> {
    String::from_utf8_lossy(text).lines().filter_map(session).take(limits::TMUX_SESSIONS).collect()
}

async fn ask(user: &User) -> std::io::Result<Vec<u8>> {
    let mut command = Command::new("tmux");
    command.args(["list-sessions", "-F", FORMAT]).env_clear();
    command.env("PATH", env::var_os("PATH").unwrap_or_else(|| LAST_PATH.into()));
    command.env("HOME", &user.home).env("LANG", "C.UTF-8");
    if let Some(folder) = env::var_os("TMUX_TMPDIR") {
        command.env("TMUX_TMPDIR", folder);
    }
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null()).kill_on_drop(true);
    let mut child = command.spawn()?;
    let text = match child.stdout.take() {
        Some(stdout) => whole_lines(stdout).await?,
        None => Vec::new(),
    };
    child.wait().await?;
    Ok(text)
}

/// What is said, as far as [`limits::TMUX_BYTES`] go; a name that is cut there would
/// be another's.
async fn whole_lines(said: impl AsyncRead + Unpin) -> std::io::Result<Vec<u8>> {
    let mut text = Vec::new();
    said.take(limits::TMUX_BYTES as u64 + 1).read_to_end(&mut text).await?;
    if text.len() > limits::TMUX_BYTES {
        text.truncate(limits::TMUX_BYTES);
        text.truncate(text.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1));
    }
    Ok(text)
}

fn session(line: &str) -> Option<pb::TmuxSession> {
    let mut fields = line.splitn(4, ' ');
    let mut number = || fields.next()?.parse::<u64>().ok();
    let (windows, clients, created) = (number()?, number()?, number()?);
    let name = fields.next()?;
    name::check("name", name, limits::SESSION_NAME_CHARS).ok()?;
    Some(pb::TmuxSession {
        name: name.to_owned(),
        windows: u32::try_from(windows).ok()?,
        clients: u32::try_from(clients).ok()?,
        created_unix_ms: created.checked_mul(1000)?,
        // Exactly this one, not one whose name begins with it.
        command: ["tmux", "attach-session", "-t", &format!("={name}")].map(str::to_owned).to_vec(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_tmux_is_a_session_with_its_command() {
        let found = session("3 1 1795680000 my work").expect("is one");
        assert_eq!((found.windows, found.clients, found.created_unix_ms), (3, 1, 1_795_680_000_000));
        assert_eq!(found.command, ["tmux", "attach-session", "-t", "=my work"]);
    }

    #[test]
    fn what_is_no_session_is_left_out() {
        for line in
            ["", "no server running on /tmp/tmux-0/default", "1 1 x", "1 1 9", "1 1 9 ", "1 1 9 a\u{1b}b"]
        {
            assert_eq!(session(line), None, "{line:?}");
        }
    }

    #[test]
    fn of_more_tmux_sessions_than_the_limit_the_first_are_told() {
        let lines: String = (0..=limits::TMUX_SESSIONS).map(|number| format!("1 0 9 s{number}\n")).collect();
        let told = listed(lines.as_bytes());
        assert_eq!(told.len(), limits::TMUX_SESSIONS);
        assert_eq!(told.last().map(|session| session.name.as_str()), Some("s63"));
    }

    #[tokio::test]
    async fn of_an_answer_of_tmux_beyond_its_bytes_the_whole_lines_before_count() {
        let said = |name: &str| {
            format!("1 0 9 first\n{}\n1 0 9 {name}\n", "x".repeat(limits::TMUX_BYTES - 12 - 1 - 6 - 3))
        };
        let heard = async |text: String| {
            let told = listed(&whole_lines(text.as_bytes()).await.expect("is read"));
            told.into_iter().map(|session| session.name).collect::<Vec<_>>()
        };
        assert_eq!(said("ab").len(), limits::TMUX_BYTES);
        assert_eq!(heard(said("ab")).await, ["first", "ab"]);
        assert_eq!(heard(said("abc")).await, ["first"], "it is not the one that is named ab");
    }
}
