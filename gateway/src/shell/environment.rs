//! The whole environment of a shell, from an allow-list.
//!
//! Nothing else of the daemon's environment reaches a shell, so no token, key
//! or path of ours is ever in it; the daemon has no secret in its environment
//! in the first place (a join token comes on standard input).

use std::{collections::BTreeMap, ffi::OsString};

use chatcode_proto::id::SessionId;

use super::user::User;

/// What passes from the daemon's environment as it is; and every `LC_*`.
const PASSED: &[&str] = &["PATH", "LANG", "TZ", "TMPDIR", "TMUX_TMPDIR", "XDG_RUNTIME_DIR"];
/// The search path when the daemon has none.
pub(crate) const LAST_PATH: &str = "/usr/local/bin:/usr/bin:/bin";
/// The locale when the daemon has none: a terminal in a browser is UTF-8.
const LAST_LANG: &str = "C.UTF-8";

/// The environment of a shell of `user`: the allow-list from `daemon`, then
/// what describes the terminal, then what the caller `asked` for (checked
/// before), last the session's id, which nobody can replace.
pub(crate) fn of_shell(
    user: &User,
    daemon: impl IntoIterator<Item = (OsString, OsString)>,
    pass_ssh_agent: bool,
    asked: &BTreeMap<String, String>,
    session: &SessionId,
) -> BTreeMap<String, String> {
    let passes = |name: &str| {
        PASSED.contains(&name) || name.starts_with("LC_") || (pass_ssh_agent && name == "SSH_AUTH_SOCK")
    };
    let mut shell: BTreeMap<String, String> = daemon
        .into_iter()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .filter(|(name, value)| passes(name) && !value.is_empty())
        .collect();
    if !["LANG", "LC_ALL", "LC_CTYPE"].iter().any(|name| shell.contains_key(*name)) {
        shell.insert("LANG".to_owned(), LAST_LANG.to_owned());
    }
    shell.entry("PATH".to_owned()).or_insert_with(|| LAST_PATH.to_owned());
    let fixed = [
        ("HOME", user.home.as_str()),
        ("USER", &user.name),
        ("LOGNAME", &user.name),
        ("SHELL", &user.shell),
        ("TERM", "xterm-256color"),
        ("COLORTERM", "truecolor"),
    ];
    shell.extend(fixed.map(|(name, value)| (name.to_owned(), value.to_owned())));
    shell.extend(asked.iter().map(|(name, value)| (name.clone(), value.clone())));
    shell.insert("CHATCODE_SESSION".to_owned(), session.to_string());
    shell
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(daemon: &[(&str, &str)], ssh: bool, asked: &[(&str, &str)]) -> BTreeMap<String, String> {
        let user =
            User { uid: 1000, name: "ada".into(), home: "/home/ada".into(), shell: "/bin/bash".into() };
        of_shell(
            &user,
            daemon.iter().map(|(n, v)| (n.into(), v.into())),
            ssh,
            &asked.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect(),
            &SessionId::from_random([1; 16]),
        )
    }

    #[test]
    fn nothing_passes_that_is_not_on_the_list() {
        let daemon = [
            ("CHATCODE_TOKEN", "secret"),
            ("AWS_SECRET_ACCESS_KEY", "secret"),
            ("LD_PRELOAD", "/evil.so"),
            ("SSH_AUTH_SOCK", "/agent"),
            ("LC_TIME", "de_DE.UTF-8"),
            ("PATH", "/bin"),
        ];
        let names: Vec<String> = shell(&daemon, false, &[]).into_keys().collect();
        assert_eq!(
            names,
            [
                "CHATCODE_SESSION",
                "COLORTERM",
                "HOME",
                "LANG",
                "LC_TIME",
                "LOGNAME",
                "PATH",
                "SHELL",
                "TERM",
                "USER"
            ]
        );
        assert_eq!(shell(&daemon, true, &[])["SSH_AUTH_SOCK"], "/agent");
    }

    #[test]
    fn the_caller_s_variables_win_over_the_daemon_s_but_not_over_the_session_s_id() {
        let made = shell(&[("PATH", "/bin")], false, &[("PATH", "/mine"), ("CHATCODE_SESSION", "no")]);
        assert_eq!(made["PATH"], "/mine");
        assert_ne!(made["CHATCODE_SESSION"], "no");
    }

    #[test]
    fn a_bare_daemon_still_makes_a_usable_shell() {
        let made = shell(&[], false, &[]);
        assert_eq!((made["PATH"].as_str(), made["LANG"].as_str()), (LAST_PATH, LAST_LANG));
        assert_eq!(shell(&[("LC_ALL", "C")], false, &[]).get("LANG"), None);
    }
}
