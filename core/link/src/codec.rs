//! Messages that are passed on unopened: bytes in, the same bytes out. What an
//! old middle does not know goes through untouched.

use bytes::{Buf as _, BufMut as _, Bytes};
use tonic::{
    Status,
    codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder},
};

/// A codec of whole gRPC messages as [`Bytes`].
#[derive(Clone, Copy, Debug, Default)]
pub struct OpaqueCodec;

/// Writes the bytes of a message.
#[derive(Clone, Copy, Debug, Default)]
pub struct OpaqueEncoder;

/// Reads the bytes of a message; a slice of what was received, no copy.
#[derive(Clone, Copy, Debug, Default)]
pub struct OpaqueDecoder;

impl Codec for OpaqueCodec {
    type Encode = Bytes;
    type Decode = Bytes;
    type Encoder = OpaqueEncoder;
    type Decoder = OpaqueDecoder;

    fn encoder(&mut self) -> OpaqueEncoder {
        OpaqueEncoder
    }

    fn decoder(&mut self) -> OpaqueDecoder {
        OpaqueDecoder
    }
}

impl Encoder for OpaqueEncoder {
    type Item = Bytes;
    type Error = Status;

    fn encode(&mut self, message: Bytes, into: &mut EncodeBuf<'_>) -> Result<(), Status> {
        into.put(message);
        Ok(())
    }
}

impl Decoder for OpaqueDecoder {
    type Item = Bytes;
    type Error = Status;

    fn decode(&mut self, from: &mut DecodeBuf<'_>) -> Result<Option<Bytes>, Status> {
        Ok(Some(from.copy_to_bytes(from.remaining())))
    }
}
