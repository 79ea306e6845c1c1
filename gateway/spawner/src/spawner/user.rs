//! The users of this machine. Read from `/etc/passwd` and from nowhere else, as
//! the daemon reads it: a static program has no part in the directories behind
//! it, and who root starts shells for does not hang on a network.

use std::fs;

use chatcode_proto::{code::Refusal, pb::Code};
use nix::unistd::{Gid, Uid};

const DATABASE: &str = "/etc/passwd";

/// What the spawner has to know of a user.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct User {
    /// The number.
    pub(crate) uid: Uid,
    /// The number of the login group.
    pub(crate) gid: Gid,
}

impl User {
    /// The user of this name.
    ///
    /// # Errors
    /// `SPAWN_FAILED`, when there is none, or the file cannot be read.
    pub(crate) fn named(name: &str) -> Result<Self, Refusal> {
        let failed = |words: String| Refusal::new(Code::SpawnFailed, words);
        let passwd = fs::read_to_string(DATABASE)
            .map_err(|error| failed(format!("{DATABASE} could not be read ({error}); try again")))?;
        Self::in_database(name, &passwd)
            .ok_or_else(|| failed(format!("{DATABASE} has no user {name}; correct the spawner's unit")))
    }

    /// The first row of this name counts (`man 5 passwd`), and only if it is whole.
    fn in_database(name: &str, passwd: &str) -> Option<Self> {
        let mut fields = passwd
            .lines()
            .map(|line| line.split(':'))
            .find_map(|mut fields| (fields.next() == Some(name)).then_some(fields))?;
        let (uid, gid) = (fields.nth(1)?, fields.next()?);
        Some(Self { uid: Uid::from_raw(number(uid)?), gid: Gid::from_raw(number(gid)?) })
    }
}

/// Digits and nothing else; the largest number is nobody's, since to the kernel it
/// means "leave as it is".
fn number(text: &str) -> Option<u32> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|number| digits && *number != u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PASSWD: &str = "root:x:0:0:root:/root:/bin/bash\n\
                          # a comment\n\
                          vibe:x:1000:1001:,,,:/home/vibe:/bin/bash\n\
                          vibe:x:0:0:again:/root:/bin/bash\n\
                          cut:x:7\n\
                          odd:x:+5:5::/:/bin/sh\n\
                          empty:x:::\n\
                          kept:x:4294967295:5::/:/bin/sh\n";

    fn named(name: &str) -> Option<(u32, u32)> {
        User::in_database(name, PASSWD).map(|user| (user.uid.as_raw(), user.gid.as_raw()))
    }

    #[test]
    fn the_first_row_of_a_name_tells_user_and_group() {
        assert_eq!(named("root"), Some((0, 0)));
        assert_eq!(named("vibe"), Some((1000, 1001)));
    }

    #[test]
    fn a_row_that_is_not_whole_is_nobody_and_never_root() {
        for name in ["cut", "odd", "empty", "kept", "", "# a comment", "vib", "ldap-user", "x"] {
            assert_eq!(named(name), None, "{name:?}");
        }
    }

    #[test]
    fn this_machine_has_root_and_the_refusal_names_who_is_missing() {
        assert!(User::named("root").expect("is there").uid.is_root());
        let refusal = User::named("no-such-user").expect_err("is nobody");
        assert_eq!(refusal.code, Code::SpawnFailed);
        assert!(refusal.message.contains("no-such-user"), "{}", refusal.message);
    }
}
