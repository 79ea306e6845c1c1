//! The rules of a session, the holder's end. (to come)
