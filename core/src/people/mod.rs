//! The rules of who may do what, without a store, a clock or a socket: roles,
//! places, and what both together give.

mod place;
mod rights;
mod role;
pub mod vouched;

pub use self::{
    place::{Machine, Place},
    rights::{Given, Rights},
    role::{ROLES, is_for_machines, least, permissions, role_of, role_text},
};
