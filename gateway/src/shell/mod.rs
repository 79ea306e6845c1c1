//! What a shell is started with: its user, its environment, its order.

pub(crate) mod environment;
pub(crate) mod order;
pub(crate) mod user;
