//! Prost's codec with small first buffers. Tonic begins each direction of each call
//! with 8 KiB; of a link that does nothing that was a tenth of what it takes in the core.

use std::marker::PhantomData;

use prost::Message;
use tonic::codec::{BufferSettings, Codec};
use tonic_prost::{ProstDecoder, ProstEncoder};

/// Bytes that a direction of a call begins with; a larger message makes it grow.
const FIRST_BYTES: usize = 1024;
/// Bytes of messages that wait together, as tonic has it.
const TOGETHER_BYTES: usize = 32 * 1024;

/// The codec of all generated clients and servers: `T` goes out, `U` comes in.
#[derive(Clone, Copy, Debug)]
pub struct SmallProstCodec<T, U>(PhantomData<(T, U)>);

impl<T, U> Default for SmallProstCodec<T, U> {
    fn default() -> Self {
        Self(PhantomData)
    }
}

impl<T, U> Codec for SmallProstCodec<T, U>
where
    T: Message + Send + 'static,
    U: Message + Default + Send + 'static,
{
    type Encode = T;
    type Decode = U;
    type Encoder = ProstEncoder<T>;
    type Decoder = ProstDecoder<U>;

    fn encoder(&mut self) -> Self::Encoder {
        ProstEncoder::new(small())
    }

    fn decoder(&mut self) -> Self::Decoder {
        ProstDecoder::new(small())
    }
}

fn small() -> BufferSettings {
    BufferSettings::new(FIRST_BYTES, TOGETHER_BYTES)
}
