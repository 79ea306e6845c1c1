//! How many files and sockets a program may have open.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// As many as the service units allow; each WebSocket of an edge takes two.
const FILES: u64 = 65_536;

/// Raises the soft limit of open files towards the hard one, to at most
/// 65,536. For services only: a shell must keep the limit that it is used to,
/// since programs that call `select` break beyond 1,024.
pub fn raise_file_limit() {
    let limit = getrlimit(Resource::Nofile);
    let wanted = limit.maximum.unwrap_or(FILES).min(FILES);
    if limit.current.is_some_and(|current| current >= wanted) {
        return;
    }
    if let Err(error) = setrlimit(Resource::Nofile, Rlimit { current: Some(wanted), maximum: limit.maximum })
    {
        tracing::warn!(target: "chatcode", %error, "the limit of open files stays as it is");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limit_of_open_files_is_raised_and_never_lowered() {
        let before = getrlimit(Resource::Nofile);
        raise_file_limit();
        let after = getrlimit(Resource::Nofile);
        assert_eq!(after.maximum, before.maximum);
        assert!(after.current.unwrap_or(u64::MAX) >= before.current.unwrap_or(u64::MAX).min(FILES));
    }
}
