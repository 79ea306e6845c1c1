//! The services that the core answers by itself. Each learns who calls from
//! [`crate::caller::CallInfo`], which the gate gave to the call.

pub mod accounts;
pub mod admin;
pub mod api_tokens;
pub mod approval;
pub mod audit;
pub mod ca;
pub mod certify;
pub mod device;
pub mod devices;
pub mod enrollment;
pub mod fleet;
pub mod identities;
pub mod leaving;
pub mod members;
pub mod people;
pub mod renewal;
pub mod revival;
pub mod shares;
pub mod sign_in;
pub mod status;
pub mod tokens;
