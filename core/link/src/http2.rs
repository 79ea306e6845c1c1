//! The HTTP/2 settings of a channel, the same on every transport.

use chatcode_proto::limits;
use tonic::transport::Endpoint;

/// A channel's settings. The authority is the same everywhere, since the
/// connector knows where to go.
pub(crate) fn endpoint() -> Endpoint {
    Endpoint::from_static("https://core.chatcode.internal")
        .initial_stream_window_size(limits::HTTP2_STREAM_WINDOW)
        .initial_connection_window_size(limits::HTTP2_CONNECTION_WINDOW)
        .http2_adaptive_window(false)
        .max_frame_size(limits::HTTP2_FRAME_BYTES)
        .http2_max_header_list_size(limits::HEADER_BYTES)
        .buffer_size(limits::HTTP2_WAITING)
        .connect_timeout(limits::HANDSHAKE)
}
