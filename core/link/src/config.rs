//! How QUIC is set up: every limit explicit, BBR, only empty
//! datagrams, no one-directional streams.

use std::sync::Arc;

use aws_lc_rs::{hkdf, hmac};
use chatcode_proto::limits;
use quinn::{
    AckFrequencyConfig, ClientConfig, EndpointConfig, IdleTimeout, ServerConfig, TransportConfig, VarInt,
    congestion::BbrConfig,
    crypto::rustls::{QuicClientConfig, QuicServerConfig},
};

use crate::{LinkError, LinkKeys, connection_id::ConnectionIds};

/// Names the key of what a client proves its address by, which is made of the reset key.
const RETRY: &[u8] = b"chatcode retry token";

/// What both ends have in common. Only the dialer keeps the connection alive:
/// it is the one behind NAT, and one end is enough.
fn transport(is_dialer: bool) -> Result<Arc<TransportConfig>, LinkError> {
    let streams = if is_dialer { limits::LINK_STREAMS } else { limits::LINK_STREAMS_TO_CORE };
    let mut config = TransportConfig::default();
    let idle = IdleTimeout::try_from(limits::LINK_SILENCE).map_err(|e| LinkError::Tls(e.to_string()))?;
    config
        .max_concurrent_bidi_streams(VarInt::from_u32(streams))
        .max_concurrent_uni_streams(VarInt::from_u32(0))
        .stream_receive_window(VarInt::from_u32(limits::LINK_STREAM_WINDOW))
        .receive_window(VarInt::from_u32(limits::LINK_CONNECTION_WINDOW))
        .send_window(limits::LINK_SEND_WINDOW)
        .max_idle_timeout(Some(idle))
        .keep_alive_interval(is_dialer.then_some(limits::LINK_KEEPALIVE))
        .crypto_buffer_size(limits::LINK_CRYPTO_BYTES)
        // Nobody reads them: what came last is kept, and is empty.
        .datagram_receive_buffer_size(Some(limits::LINK_DATAGRAM_BYTES))
        .datagram_send_buffer_size(limits::LINK_DATAGRAM_BYTES)
        .time_threshold(limits::LINK_LOSS_ROUND_TRIPS)
        .ack_frequency_config(Some(acknowledgements()))
        // Cubic falls to a tenth of BBR's rate at 1 % loss.
        .congestion_controller_factory(Arc::new(BbrConfig::default()));
    Ok(Arc::new(config))
}

/// What each end asks of the other: a lone key or echo is acknowledged at once, and a
/// gap too, so that the sender knows soon what was lost. Of a flood every second packet
/// is, as ever.
fn acknowledgements() -> AckFrequencyConfig {
    let mut config = AckFrequencyConfig::default();
    config.max_ack_delay(Some(limits::LINK_ACK_DELAY)).reordering_threshold(VarInt::from_u32(1));
    config
}

pub(crate) fn server(tls: Arc<rustls::ServerConfig>, keys: &LinkKeys) -> Result<ServerConfig, LinkError> {
    let crypto = QuicServerConfig::try_from(tls).map_err(|e| LinkError::Tls(e.to_string()))?;
    let mut config = ServerConfig::with_crypto(Arc::new(crypto));
    config
        .transport_config(transport(false)?)
        // Who has proven its address to the core before waits on for the next one.
        .token_key(Arc::new(hkdf::Salt::new(hkdf::HKDF_SHA256, RETRY).extract(&keys.reset)))
        .migration(true)
        .max_incoming(limits::LINK_INCOMING)
        .incoming_buffer_size(limits::LINK_FIRST_BYTES)
        .incoming_buffer_size_total(limits::LINK_FIRST_BYTES_ALL);
    Ok(config)
}

pub(crate) fn client(tls: Arc<rustls::ClientConfig>) -> Result<ClientConfig, LinkError> {
    let crypto = QuicClientConfig::try_from(tls).map_err(|e| LinkError::Tls(e.to_string()))?;
    let mut config = ClientConfig::new(Arc::new(crypto));
    config.transport_config(transport(true)?);
    Ok(config)
}

/// The listener's half of noticing a restart: the same keys as before it.
pub(crate) fn endpoint(keys: &LinkKeys) -> EndpointConfig {
    let mut config = EndpointConfig::new(Arc::new(hmac::Key::new(hmac::HMAC_SHA256, &keys.reset)));
    let connection_id = keys.connection_id;
    config
        .cid_generator(move || Box::new(ConnectionIds::new(connection_id)))
        .min_reset_interval(limits::LINK_RESET_INTERVAL);
    config
}
