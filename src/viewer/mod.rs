//! The rules of a session, the viewer's end. (to come)
