//! The user whose shells are started: the one the daemon runs as, or the one
//! that the spawner starts them for.

use std::{ffi::OsString, fs, path::Path};

/// The shell where neither the environment nor the password database names
/// one that is there.
const LAST_SHELL: &str = "/bin/sh";

/// A user's name, home and login shell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct User {
    /// The number.
    pub(crate) uid: u32,
    /// The login name.
    pub(crate) name: String,
    /// The home folder, absolute.
    pub(crate) home: String,
    /// The login shell, absolute.
    pub(crate) shell: String,
}

impl User {
    /// The user of this process: from the environment where it says, else from
    /// the password database.
    pub(crate) fn current() -> Self {
        let passwd = fs::read_to_string("/etc/passwd").unwrap_or_default();
        let variable = |name: &str| std::env::var_os(name).map(OsString::into_string).and_then(Result::ok);
        let is_program = |path: &str| Path::new(path).is_file();
        Self::from_parts(rustix::process::getuid().as_raw(), &passwd, variable, is_program)
    }

    /// A user of the password database, as it says.
    pub(crate) fn named(name: &str) -> Option<Self> {
        let passwd = fs::read_to_string("/etc/passwd").ok()?;
        Self::named_in(name, &passwd, |path| Path::new(path).is_file())
    }

    fn named_in(name: &str, passwd: &str, is_program: impl Fn(&str) -> bool) -> Option<Self> {
        let row = passwd.lines().map(Row::of).find(|row| row.name == name && !name.is_empty())?;
        Some(Self::from_parts(row.uid?, passwd, |_| None, is_program))
    }

    fn from_parts(
        uid: u32,
        passwd: &str,
        variable: impl Fn(&str) -> Option<String>,
        is_program: impl Fn(&str) -> bool,
    ) -> Self {
        let row = passwd.lines().map(Row::of).find(|row| row.uid == Some(uid)).unwrap_or_default();
        let absolute = |text: &String| text.starts_with('/') && !text.contains('\0');
        let word = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
        Self {
            uid,
            name: word(row.name).or_else(|| variable("USER")).unwrap_or_else(|| uid.to_string()),
            home: variable("HOME")
                .filter(absolute)
                .or_else(|| word(row.home).filter(absolute))
                .unwrap_or_else(|| "/".to_owned()),
            shell: [variable("SHELL"), word(row.shell)]
                .into_iter()
                .flatten()
                .find(|shell| absolute(shell) && is_program(shell))
                .unwrap_or_else(|| LAST_SHELL.to_owned()),
        }
    }

    /// The shell as a login shell sees itself: "-bash".
    pub(crate) fn login_arg0(&self) -> String {
        format!("-{}", file_name(&self.shell))
    }
}

/// The last part of a path, for names and arg0.
pub(crate) fn file_name(path: &str) -> &str {
    path.rsplit('/').find(|part| !part.is_empty()).unwrap_or(path)
}

/// One row of the password database (`man 5 passwd`).
#[derive(Default)]
struct Row<'a> {
    name: &'a str,
    uid: Option<u32>,
    home: &'a str,
    shell: &'a str,
}

impl<'a> Row<'a> {
    fn of(line: &'a str) -> Self {
        let mut fields = line.split(':');
        let mut field = |n| fields.nth(n).unwrap_or_default();
        Self { name: field(0), uid: field(1).parse().ok(), home: field(2), shell: field(0) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PASSWD: &str =
        "root:x:0:0:root:/root:/bin/bash\nada:x:1000:1000:Ada,,,:/home/ada:/usr/bin/zsh\nbroken\n";

    fn user(uid: u32, variables: &[(&str, &str)], programs: &[&str]) -> User {
        User::from_parts(
            uid,
            PASSWD,
            |name| variables.iter().find(|(n, _)| *n == name).map(|(_, v)| (*v).to_owned()),
            |path| programs.contains(&path),
        )
    }

    #[test]
    fn the_password_database_tells_what_the_environment_does_not() {
        let ada = user(1000, &[], &["/usr/bin/zsh"]);
        assert_eq!((ada.name.as_str(), ada.home.as_str()), ("ada", "/home/ada"));
        assert_eq!((ada.shell.as_str(), ada.login_arg0().as_str()), ("/usr/bin/zsh", "-zsh"));
    }

    #[test]
    fn the_environment_wins_where_it_makes_sense() {
        let set = [("HOME", "/srv/ada"), ("SHELL", "/bin/fish")];
        let ada = user(1000, &set, &["/bin/fish", "/usr/bin/zsh"]);
        assert_eq!((ada.home.as_str(), ada.shell.as_str()), ("/srv/ada", "/bin/fish"));
        let odd = user(1000, &[("HOME", "relative"), ("SHELL", "/gone")], &["/usr/bin/zsh"]);
        assert_eq!((odd.home.as_str(), odd.shell.as_str()), ("/home/ada", "/usr/bin/zsh"));
    }

    #[test]
    fn another_user_is_as_the_database_says_whatever_the_environment() {
        let ada = User::named_in("ada", PASSWD, |path| path == "/usr/bin/zsh").expect("is there");
        assert_eq!((ada.uid, ada.home.as_str(), ada.shell.as_str()), (1000, "/home/ada", "/usr/bin/zsh"));
        assert_eq!(User::named_in("bob", PASSWD, |_| true), None);
        assert_eq!(User::named_in("", PASSWD, |_| true), None);
    }

    #[test]
    fn a_user_that_nobody_knows_still_gets_a_shell() {
        let nobody = user(4242, &[], &[]);
        assert_eq!(
            nobody,
            User { uid: 4242, name: "4242".into(), home: "/".into(), shell: "/bin/sh".into() }
        );
    }
}
