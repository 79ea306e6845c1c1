//! Messages on a byte stream: four bytes of length, big endian, then the
//! message. Used on the holder's socket.

use bytes::{Buf as _, BufMut as _, Bytes, BytesMut};

/// Bytes of the length before each message.
pub const HEAD: usize = 4;

/// The peer announced a message beyond the limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a message of {announced} bytes was announced, {allowed} are allowed")]
pub struct TooLarge {
    /// What the peer announced, bytes.
    pub announced: usize,
    /// What is allowed, bytes.
    pub allowed: usize,
}

/// Takes the next whole message off the front of `buffer`; `None` until it is
/// there. The length is judged before a byte of the message is waited for.
///
/// # Errors
/// [`TooLarge`]; the stream cannot be used any more.
pub fn take(buffer: &mut BytesMut, allowed: usize) -> Result<Option<Bytes>, TooLarge> {
    let Some(head) = buffer.first_chunk::<HEAD>() else { return Ok(None) };
    let announced = u32::from_be_bytes(*head) as usize;
    if announced > allowed {
        return Err(TooLarge { announced, allowed });
    }
    if buffer.len() < HEAD + announced {
        buffer.reserve(HEAD + announced - buffer.len());
        return Ok(None);
    }
    buffer.advance(HEAD);
    Ok(Some(buffer.split_to(announced).freeze()))
}

/// Appends `message` with its length to `buffer`.
pub fn put(buffer: &mut BytesMut, message: &impl prost::Message) {
    let length = message.encoded_len();
    buffer.reserve(HEAD + length);
    buffer.put_u32(u32::try_from(length).unwrap_or(u32::MAX));
    message.encode_raw(buffer);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pb;

    #[test]
    fn messages_come_out_as_they_went_in_however_the_stream_is_cut() {
        let mut stream = BytesMut::new();
        for stamp in [0, 1, u64::MAX] {
            put(&mut stream, &pb::Ping { stamp });
        }
        for cut in 0..stream.len() {
            let (mut seen, mut buffer) = (Vec::new(), BytesMut::new());
            for part in [&stream[..cut], &stream[cut..]] {
                buffer.extend_from_slice(part);
                while let Some(message) = take(&mut buffer, 64).expect("is small") {
                    seen.push(<pb::Ping as prost::Message>::decode(message).expect("is a ping").stamp);
                }
            }
            assert_eq!(seen, [0, 1, u64::MAX], "cut at {cut}");
        }
    }

    #[test]
    fn a_length_beyond_the_limit_is_refused_before_anything_is_kept() {
        let mut buffer = BytesMut::from(&[0xff, 0xff, 0xff, 0xff][..]);
        let error = take(&mut buffer, 64).unwrap_err();
        assert_eq!(error, TooLarge { announced: 0xffff_ffff, allowed: 64 });
        assert!(buffer.capacity() < 1024);
    }
}
