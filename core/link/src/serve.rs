//! The gRPC server with every HTTP/2 limit set.

use chatcode_proto::limits;
use tonic::transport::Server;

/// A server for connections that were accepted elsewhere (TCP with TLS, or the
/// streams of a link). Its `tcp_nodelay` does nothing with `serve_with_incoming`:
/// whoever accepts a TCP connection sets it.
#[must_use]
pub fn builder() -> Server {
    Server::builder()
        .accept_http1(false)
        .initial_stream_window_size(limits::HTTP2_STREAM_WINDOW)
        .initial_connection_window_size(limits::HTTP2_CONNECTION_WINDOW)
        .http2_adaptive_window(Some(false))
        .max_concurrent_streams(limits::HTTP2_STREAMS)
        .max_frame_size(limits::HTTP2_FRAME_BYTES)
        .http2_max_header_list_size(limits::HEADER_BYTES)
        .http2_max_pending_accept_reset_streams(Some(limits::HTTP2_RESETS))
        .http2_keepalive_interval(Some(limits::HTTP2_KEEPALIVE))
        .http2_keepalive_timeout(Some(limits::HTTP2_KEEPALIVE_TIMEOUT))
}

/// The same for the streams of a link: without HTTP/2 pings, since QUIC itself
/// notices a dead peer, and a ping per terminal would wake both ends for nothing.
#[must_use]
pub fn link_builder() -> Server {
    builder().http2_keepalive_interval(None)
}
