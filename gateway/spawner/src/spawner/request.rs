//! Who asks, and for which session.

use std::{io::Read as _, os::unix::net::UnixStream};

use chatcode_proto::{
    code::Refusal,
    framing,
    id::SessionId,
    limits,
    pb::{self, Code},
};
use nix::{
    sys::socket::{getsockopt, sockopt::PeerCredentials},
    unistd::Uid,
};
use prost::Message as _;

/// Whether the peer runs as the daemon's user, as the kernel tells.
///
/// # Errors
/// `FORBIDDEN`.
pub(crate) fn check_peer(daemon: &UnixStream, wanted: Uid) -> Result<(), Refusal> {
    let peer = getsockopt(daemon, PeerCredentials)
        .map_err(|error| refused(&format!("the kernel does not tell who asks ({error})")))?;
    if peer.uid() == wanted.as_raw() {
        return Ok(());
    }
    Err(refused(&format!("user {} asks, and only user {wanted} is served", peer.uid())))
}

fn refused(why: &str) -> Refusal {
    Refusal::new(Code::Forbidden, format!("{why}; see --daemon-user in the spawner's unit"))
}

/// Reads the one request, and nothing beyond it: what follows is the holder's.
///
/// # Errors
/// `INVALID` for what is no request, or comes too slowly.
pub(crate) fn read(mut daemon: &UnixStream) -> Result<SessionId, Refusal> {
    let broken = |error: std::io::Error| invalid(&format!("no request came ({error})"));
    daemon.set_read_timeout(Some(limits::HOLDER_HELLO)).map_err(broken)?;
    let mut head = [0; framing::HEAD];
    daemon.read_exact(&mut head).map_err(broken)?;
    let length = usize::try_from(u32::from_be_bytes(head)).unwrap_or(usize::MAX);
    if length > limits::SPAWNER_REQUEST_BYTES {
        return Err(invalid(&format!("the request is announced with {length} bytes")));
    }
    let mut message = vec![0; length];
    daemon.read_exact(&mut message).map_err(broken)?;
    // The holder waits as long as it likes.
    daemon.set_read_timeout(None).map_err(broken)?;
    let request =
        pb::SpawnerRequest::decode(message.as_slice()).map_err(|_| invalid("the message is no request"))?;
    request.session.parse().map_err(|error| invalid(&format!("the session is {error}")))
}

fn invalid(why: &str) -> Refusal {
    Refusal::new(Code::Invalid, format!("{why}; daemon and spawner must match"))
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use bytes::BytesMut;

    use super::*;

    fn told(bytes: &[u8]) -> Result<SessionId, Refusal> {
        let (mut daemon, spawner) = UnixStream::pair().expect("a pair");
        daemon.write_all(bytes).expect("is written");
        drop(daemon);
        read(&spawner)
    }

    fn request(session: &str) -> BytesMut {
        let mut framed = BytesMut::new();
        framing::put(&mut framed, &pb::SpawnerRequest { session: session.into() });
        framed
    }

    #[test]
    fn the_request_is_read_to_its_last_byte_and_no_further() {
        let id = SessionId::from_random([9; 16]);
        let mut sent = request(&id.to_string());
        sent.extend_from_slice(b"the order");
        let (mut daemon, mut spawner) = UnixStream::pair().expect("a pair");
        daemon.write_all(&sent).expect("is written");
        drop(daemon);
        assert_eq!(read(&spawner).expect("is one"), id);
        let mut rest = String::new();
        spawner.read_to_string(&mut rest).expect("is read");
        assert_eq!(rest, "the order");
    }

    #[test]
    fn what_is_no_id_is_refused_before_anything_is_made_of_it() {
        for session in ["", "../../etc", "a b", "6F1C0A52-9D3E-4A37-8F0B-2F6F0D1C9B11", "x.service --uid=0"] {
            assert_eq!(told(&request(session)).expect_err(session).code, Code::Invalid);
        }
    }

    #[test]
    fn garbage_a_length_beyond_the_limit_and_an_early_end_are_refused() {
        for bytes in [&[0xff; 64][..], &[0, 0, 0, 3, 0xff, 0xff, 0xff], &[0, 0, 0, 9, 1], b""] {
            assert_eq!(told(bytes).expect_err("is no request").code, Code::Invalid);
        }
    }

    #[test]
    fn only_the_daemon_s_user_is_served() {
        let (_daemon, spawner) = UnixStream::pair().expect("a pair");
        check_peer(&spawner, Uid::effective()).expect("is the test itself");
        let other = Uid::from_raw(Uid::effective().as_raw() + 1);
        assert_eq!(check_peer(&spawner, other).expect_err("is another").code, Code::Forbidden);
    }
}
