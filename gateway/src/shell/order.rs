//! An order for a session: a request that was checked, with all defaults
//! filled in. What the core let through is judged here anew.

use std::collections::BTreeMap;

use chatcode_proto::{
    code::Refusal,
    id::SessionId,
    limits, name,
    pb::{self, Code},
};

use super::user::{User, file_name};

/// The size of a terminal nobody gave a size.
const WINSIZE: pb::Winsize = pb::Winsize { rows: 24, cols: 80 };
/// Shown in place of what was cut from a long command.
const CUT: &str = "…";

/// What a session is started with.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Order {
    /// The id that the caller gave; without it one is made.
    pub(crate) id: Option<SessionId>,
    /// The name, never empty.
    pub(crate) name: String,
    /// The program and its arguments, never empty.
    pub(crate) command: Vec<String>,
    /// The first argument as the program sees it; empty: as in `command`.
    pub(crate) arg0: String,
    /// The command as people see it; empty for the login shell.
    pub(crate) shown_command: Vec<String>,
    /// The folder, absolute; made when it is missing.
    pub(crate) folder: String,
    /// What the caller adds to the environment.
    pub(crate) environment: BTreeMap<String, String>,
    /// The first size, within the limits.
    pub(crate) winsize: pb::Winsize,
    /// When it is started again.
    pub(crate) restart: pb::RestartPolicy,
    /// What a restart runs; empty: the command.
    pub(crate) resume_command: Vec<String>,
    /// The same as people see it.
    pub(crate) shown_resume_command: Vec<String>,
}

/// Checks a request and fills in what it leaves open for `user`.
///
/// # Errors
/// `INVALID`, with words that say what is wrong.
pub(crate) fn check(request: pb::SessionsCreateRequest, user: &User) -> Result<Order, Refusal> {
    let id = match request.session.as_str() {
        "" => None,
        text => Some(text.parse().map_err(|error| invalid(format!("the session's id is {error}")))?),
    };
    check_command(&request.command)?;
    let restart = pb::RestartPolicy::try_from(request.restart)
        .map_err(|_| invalid("the restart policy is not known here; update the gateway"))?;
    if !request.resume_command.is_empty() && restart == pb::RestartPolicy::Unspecified {
        return Err(invalid("a resume command needs a restart policy; choose one or leave it out"));
    }
    check_command(&request.resume_command)?;
    check_environment(&request.environment)?;
    let name = if request.name.is_empty() {
        default_name(&request.command, user)
    } else {
        name::check("session's name", &request.name, limits::SESSION_NAME_CHARS)?;
        request.name
    };
    let login = request.command.is_empty();
    Ok(Order {
        id,
        name,
        arg0: if login { user.login_arg0() } else { String::new() },
        shown_command: shown(&request.command, limits::SHOWN_COMMAND_BYTES),
        command: if login { vec![user.shell.clone()] } else { request.command },
        folder: folder(&request.folder, &user.home)?,
        environment: request.environment,
        winsize: winsize(request.winsize),
        restart,
        shown_resume_command: shown_resume(&request.resume_command),
        resume_command: request.resume_command,
    })
}

/// The name of a session that is renamed.
///
/// # Errors
/// `INVALID`.
pub(crate) fn check_name(text: &str) -> Result<(), Refusal> {
    name::check("session's name", text, limits::SESSION_NAME_CHARS)
}

fn invalid(message: impl Into<String>) -> Refusal {
    Refusal::new(Code::Invalid, message)
}

fn check_command(command: &[String]) -> Result<(), Refusal> {
    if command.len() > limits::ARGUMENTS {
        return Err(invalid(format!("the command has more than {} arguments", limits::ARGUMENTS)));
    }
    if command.first().is_some_and(String::is_empty) {
        return Err(invalid("the command's program is empty; leave the command out for the login shell"));
    }
    for argument in command {
        check_text("an argument of the command", argument)?;
    }
    Ok(())
}

fn check_environment(environment: &BTreeMap<String, String>) -> Result<(), Refusal> {
    if environment.len() > limits::ENVIRONMENT_VARIABLES {
        return Err(invalid(format!(
            "the environment has more than {} variables",
            limits::ENVIRONMENT_VARIABLES
        )));
    }
    for (name, value) in environment {
        let well_formed = !name.is_empty()
            && name.len() <= limits::ENVIRONMENT_NAME_BYTES
            && !name.starts_with(|c: char| c.is_ascii_digit())
            && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
        if !well_formed {
            return Err(invalid(format!(
                "a variable's name must be 1 to {} letters, digits or underscores and not begin with a digit",
                limits::ENVIRONMENT_NAME_BYTES
            )));
        }
        if name.starts_with("CHATCODE_") {
            return Err(invalid("variables that begin with CHATCODE_ are set by chatcode only"));
        }
        check_text("the value of a variable", value)?;
    }
    Ok(())
}

fn check_text(what: &str, text: &str) -> Result<(), Refusal> {
    if text.len() > limits::ARGUMENT_BYTES {
        return Err(invalid(format!("{what} is longer than {} bytes", limits::ARGUMENT_BYTES)));
    }
    if text.contains('\0') {
        return Err(invalid(format!("{what} has a NUL character")));
    }
    Ok(())
}

/// The folder as an absolute path; "~" is the home.
fn folder(text: &str, home: &str) -> Result<String, Refusal> {
    check_text("the folder", text)?;
    if text.chars().any(char::is_control) {
        return Err(invalid("the folder has control characters"));
    }
    if text.split('/').any(|part| part == "..") {
        return Err(invalid("the folder goes up by \"..\"; name it without"));
    }
    let absolute = match text.strip_prefix('~') {
        None if text.is_empty() => home.to_owned(),
        None if text.starts_with('/') => text.to_owned(),
        Some("") => home.to_owned(),
        Some(rest) if rest.starts_with('/') => format!("{}{rest}", home.trim_end_matches('/')),
        _ => return Err(invalid("the folder must be absolute or begin with \"~/\"")),
    };
    check_text("the folder", &absolute)?;
    Ok(absolute)
}

fn winsize(asked: Option<pb::Winsize>) -> pb::Winsize {
    let asked = asked.unwrap_or(WINSIZE);
    pb::Winsize {
        rows: asked.rows.clamp(*limits::ROWS.start(), *limits::ROWS.end()),
        cols: asked.cols.clamp(*limits::COLS.start(), *limits::COLS.end()),
    }
}

/// The program's name, or the shell's.
fn default_name(command: &[String], user: &User) -> String {
    let program = command.first().map_or(user.shell.as_str(), String::as_str);
    let shown = name::display_safe(file_name(program), limits::SESSION_NAME_CHARS);
    let shown = shown.trim();
    if shown.is_empty() { "session".to_owned() } else { shown.to_owned() }
}

/// The command without what makes it longer than a list can bear.
fn shown(command: &[String], most: usize) -> Vec<String> {
    let mut left = most - CUT.len();
    let mut shown = Vec::new();
    for argument in command {
        if argument.len() > left {
            let end = argument.floor_char_boundary(left);
            shown.push(format!("{}{CUT}", &argument[..end]));
            break;
        }
        left -= argument.len();
        shown.push(argument.clone());
    }
    shown
}

/// The same of a resume command: one text, since many empty arguments are long
/// in a list, too.
fn shown_resume(command: &[String]) -> Vec<String> {
    let text = command.join(" ");
    if text.is_empty() { Vec::new() } else { shown(&[text], limits::SHOWN_RESUME_BYTES) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn user() -> User {
        User { uid: 1000, name: "ada".into(), home: "/home/ada".into(), shell: "/bin/bash".into() }
    }

    fn request() -> pb::SessionsCreateRequest {
        pb::SessionsCreateRequest::default()
    }

    fn refused(request: pb::SessionsCreateRequest) {
        let error = check(request.clone(), &user()).expect_err("is refused");
        assert_eq!(error.code, Code::Invalid, "{request:?}");
    }

    #[test]
    fn an_empty_request_is_a_login_shell_in_the_home() {
        let order = check(request(), &user()).expect("is fine");
        assert_eq!((order.name.as_str(), order.folder.as_str()), ("bash", "/home/ada"));
        assert_eq!((order.command, order.arg0.as_str()), (vec!["/bin/bash".to_owned()], "-bash"));
        assert!(order.shown_command.is_empty());
        assert_eq!(order.winsize, WINSIZE);
    }

    #[test]
    fn a_command_names_its_session_and_is_no_login_shell() {
        let asked =
            pb::SessionsCreateRequest { command: vec!["/usr/bin/top".into(), "-d1".into()], ..request() };
        let order = check(asked, &user()).expect("is fine");
        assert_eq!((order.name.as_str(), order.arg0.as_str()), ("top", ""));
        assert_eq!(order.shown_command, ["/usr/bin/top", "-d1"]);
    }

    #[test]
    fn a_long_command_is_shown_cut_and_run_whole() {
        let asked =
            pb::SessionsCreateRequest { command: vec!["echo".into(), "é".repeat(2000)], ..request() };
        let order = check(asked.clone(), &user()).expect("is fine");
        assert_eq!(order.command, asked.command);
        let bytes: usize = order.shown_command.iter().map(String::len).sum();
        assert!(bytes <= limits::SHOWN_COMMAND_BYTES && order.shown_command[1].ends_with(CUT));
    }

    #[test]
    fn folders_are_absolute_or_in_the_home() {
        for (asked, made) in [("~", "/home/ada"), ("~/a b", "/home/ada/a b"), ("/srv/..x", "/srv/..x")] {
            let order = check(pb::SessionsCreateRequest { folder: asked.into(), ..request() }, &user());
            assert_eq!(order.expect("is fine").folder, made);
        }
        for bad in ["relative", "~root/x", "/srv/../etc", "..", "~/..", "/a\0b", "/a\nb"] {
            refused(pb::SessionsCreateRequest { folder: bad.into(), ..request() });
        }
        refused(pb::SessionsCreateRequest { folder: format!("/{}", "x".repeat(4096)), ..request() });
    }

    #[test]
    fn bad_names_ids_and_commands_are_refused() {
        refused(pb::SessionsCreateRequest { name: "a\u{1b}[2J".into(), ..request() });
        refused(pb::SessionsCreateRequest { name: "x".repeat(129), ..request() });
        refused(pb::SessionsCreateRequest { session: "../../etc".into(), ..request() });
        refused(pb::SessionsCreateRequest { command: vec![String::new()], ..request() });
        refused(pb::SessionsCreateRequest { command: vec!["a\0b".into()], ..request() });
        refused(pb::SessionsCreateRequest { command: vec!["x".into(); 65], ..request() });
        refused(pb::SessionsCreateRequest { command: vec!["x".repeat(4097)], ..request() });
    }

    #[test]
    fn a_resume_command_is_checked_as_a_command_shown_cut_and_needs_a_policy() {
        let restart = pb::RestartPolicy::OnBoot.into();
        let resume_command = vec!["claude".to_owned(), "x".repeat(500)];
        let asked = pb::SessionsCreateRequest { restart, resume_command, ..request() };
        let order = check(asked.clone(), &user()).expect("is fine");
        assert_eq!(
            (order.restart, order.resume_command),
            (pb::RestartPolicy::OnBoot, asked.resume_command.clone())
        );
        let shown = order.shown_resume_command.concat();
        assert!(shown.len() <= limits::SHOWN_RESUME_BYTES && shown.starts_with("claude x"), "{shown}");
        refused(pb::SessionsCreateRequest { restart: 0, ..asked.clone() });
        refused(pb::SessionsCreateRequest { restart: 99, ..asked.clone() });
        refused(pb::SessionsCreateRequest { resume_command: vec![String::new()], ..asked });
    }

    #[test]
    fn bad_variables_are_refused() {
        let long = "x".repeat(129);
        for name in ["", "A=B", "1A", "A B", "CHATCODE_SESSION", "CHATCODE_X", "ÄH", long.as_str()] {
            let environment = BTreeMap::from([(name.to_owned(), String::new())]);
            refused(pb::SessionsCreateRequest { environment, ..request() });
        }
        for value in ["a\0b".to_owned(), "x".repeat(4097)] {
            let environment = BTreeMap::from([("A".to_owned(), value)]);
            refused(pb::SessionsCreateRequest { environment, ..request() });
        }
        let environment = (0..65).map(|n| (format!("A{n}"), String::new())).collect();
        refused(pb::SessionsCreateRequest { environment, ..request() });
    }

    #[test]
    fn sizes_are_cut_to_the_limits() {
        let size = |rows, cols| winsize(Some(pb::Winsize { rows, cols }));
        assert_eq!(size(0, 0), pb::Winsize { rows: 1, cols: 1 });
        assert_eq!(size(u32::MAX, 5000), pb::Winsize { rows: 1000, cols: 1000 });
    }
}
