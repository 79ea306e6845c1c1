//! Says to systemd that a service serves, where its unit waits for that
//! (`Type=notify`): one datagram, as sd_notify(3) describes it.

use std::{
    ffi::OsStr,
    io,
    os::unix::{ffi::OsStrExt as _, net::UnixDatagram},
};

/// Tells whoever started this program as a service, if it wants to be told.
pub(crate) fn serving() {
    let Some(socket) = std::env::var_os("NOTIFY_SOCKET").filter(|name| !name.is_empty()) else { return };
    if let Err(error) = say(&socket, b"READY=1") {
        // Without it systemd ends the service after a while: the reason has to stand somewhere.
        tracing::error!(%error, socket = %socket.display(), "systemd was not told that the service is ready");
    }
}

fn say(socket: &OsStr, words: &[u8]) -> io::Result<()> {
    let sender = UnixDatagram::unbound()?;
    #[cfg(target_os = "linux")]
    if let Some(name) = socket.as_bytes().strip_prefix(b"@") {
        use std::os::{linux::net::SocketAddrExt as _, unix::net::SocketAddr};
        return sender.send_to_addr(words, &SocketAddr::from_abstract_name(name)?).map(drop);
    }
    sender.send_to(words, socket).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn systemd_hears_one_word_at_a_path() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("notify");
        let systemd = UnixDatagram::bind(&path).expect("binds");
        say(path.as_os_str(), b"READY=1").expect("is heard");
        let mut heard = [0; 64];
        let length = systemd.recv(&mut heard).expect("hears");
        assert_eq!(&heard[..length], b"READY=1");
        drop(systemd);
        assert!(say(path.as_os_str(), b"READY=1").is_err(), "nobody is there");
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn systemd_hears_one_word_at_an_abstract_name() {
        use std::os::{linux::net::SocketAddrExt as _, unix::net::SocketAddr};
        let name = format!("chatcode-notify-{}", std::process::id());
        let address = SocketAddr::from_abstract_name(&name).expect("a name");
        let systemd = UnixDatagram::bind_addr(&address).expect("binds");
        say(OsStr::new(&format!("@{name}")), b"READY=1").expect("is heard");
        let mut heard = [0; 64];
        let length = systemd.recv(&mut heard).expect("hears");
        assert_eq!(&heard[..length], b"READY=1");
    }
}
