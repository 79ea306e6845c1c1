//! The whole chain with real processes: core, edge, gateway and holders on
//! ports of their own, driven as a page, an administrator and strangers would.

mod attach;
mod enroll;
mod faults;
mod link;
mod login;
mod networks;
mod observe;
mod people;
mod reflect;
mod refuse;
mod renew;
mod restore;
mod rotate;
mod silence;
mod survive;
mod update;
mod versions;
