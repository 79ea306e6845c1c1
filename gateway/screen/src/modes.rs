//! The modes of a terminal.

use crate::key_flags::KeyFlags;

/// Which mouse events a program wants.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Mouse {
    #[default]
    None,
    X10,
    Vt200,
    Drag,
    Any,
}

impl Mouse {
    pub(crate) const fn mode(self) -> Option<u16> {
        match self {
            Self::None => None,
            Self::X10 => Some(9),
            Self::Vt200 => Some(1000),
            Self::Drag => Some(1002),
            Self::Any => Some(1003),
        }
    }
}

/// How mouse events are told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum MouseEncoding {
    #[default]
    Default,
    Sgr,
    SgrPixels,
}

impl MouseEncoding {
    pub(crate) const fn mode(self) -> Option<u16> {
        match self {
            Self::Default => None,
            Self::Sgr => Some(1006),
            Self::SgrPixels => Some(1016),
        }
    }
}

/// Modes that a soft reset sets back.
#[derive(Clone, Debug)]
pub(crate) struct Modes {
    pub(crate) insert: bool,
    pub(crate) application_cursor: bool,
    pub(crate) application_keypad: bool,
    pub(crate) bracketed_paste: bool,
    pub(crate) origin: bool,
    pub(crate) reverse_wrap: bool,
    pub(crate) focus: bool,
    pub(crate) synchronized: bool,
    pub(crate) wrap: bool,
    /// As DECSCUSR sets it: block, underline, bar; `None`: the user's own.
    pub(crate) cursor_shape: Option<u8>,
    pub(crate) cursor_blinks: Option<bool>,
    /// Of the normal screen.
    pub(crate) key_flags: KeyFlags,
    pub(crate) alternate_key_flags: KeyFlags,
}

impl Default for Modes {
    fn default() -> Self {
        Self {
            insert: false,
            application_cursor: false,
            application_keypad: false,
            bracketed_paste: false,
            origin: false,
            reverse_wrap: false,
            focus: false,
            synchronized: false,
            wrap: true,
            cursor_shape: None,
            cursor_blinks: None,
            key_flags: KeyFlags::default(),
            alternate_key_flags: KeyFlags::default(),
        }
    }
}
