//! How a cell looks, as SGR, OSC 8 and DECSCA.

use std::io::Write as _;

use crate::{
    cell::{Look, back, color, front},
    pool::{Extra, Link, Pool},
};

/// A look with nothing left to be looked up.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Shown {
    fg: u32,
    bg: u32,
    underline: u8,
    underline_color: u32,
    pub(super) link: Option<Link>,
}

impl Shown {
    pub(super) fn of(look: Look, pool: &Pool) -> Self {
        let has_extra = look.bg & back::HAS_EXTRA != 0;
        let extra = if has_extra { pool.extra(look.extra) } else { Extra::default() };
        Self::with(look, extra, pool)
    }

    /// A pen's: its extra attributes are there though they may not count.
    pub(super) fn with(look: Look, extra: Extra, pool: &Pool) -> Self {
        Self {
            fg: look.fg,
            bg: look.bg & !back::HAS_EXTRA,
            underline: extra.underline,
            underline_color: extra.color,
            link: pool.link(extra.link).cloned(),
        }
    }

    /// As the history keeps it.
    pub(super) fn kept(fg: u32, bg: u32, extra: Option<(u8, u32, Link)>) -> Self {
        let (underline, underline_color, link) = extra.unwrap_or_default();
        let link = Some(link).filter(|link| !link.uri.is_empty());
        Self { fg, bg: bg & !back::HAS_EXTRA, underline, underline_color, link }
    }

    /// Whether rows that scroll in would get a background colour.
    pub(super) const fn has_back(&self) -> bool {
        self.bg & color::MODE != 0
    }

    /// SGR of all, from any other look.
    pub(super) fn put(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(b"\x1b[");
        let flags = [
            (self.fg & front::BOLD, "1"),
            (self.bg & back::DIM, "2"),
            (self.bg & back::ITALIC, "3"),
            (self.fg & front::BLINK, "5"),
            (self.fg & front::INVERSE, "7"),
            (self.fg & front::INVISIBLE, "8"),
            (self.fg & front::STRIKETHROUGH, "9"),
            (self.bg & back::OVERLINE, "53"),
        ];
        out.push(b'0');
        for (_, sgr) in flags.iter().filter(|(flag, _)| *flag != 0) {
            let _ = write!(out, ";{sgr}");
        }
        put_color(out, self.fg, 30);
        put_color(out, self.bg, 40);
        if self.underline_color == color::UNDERLINE_DEFAULT {
            out.extend_from_slice(b";59");
        } else {
            put_color(out, self.underline_color, 50);
        }
        match self.underline {
            0 => {}
            1 => out.extend_from_slice(b";4"),
            style => _ = write!(out, ";4:{style}"),
        }
        out.push(b'm');
        if self.bg & back::PROTECTED != 0 {
            out.extend_from_slice(b"\x1b[1\"q");
        }
    }

    /// OSC 8.
    pub(super) fn put_link(&self, out: &mut Vec<u8>) {
        let link = self.link.clone().unwrap_or_default();
        let id = if link.id.is_empty() { String::new() } else { format!("id={}", link.id) };
        let _ = write!(out, "\x1b]8;{id};{}\x1b\\", link.uri);
    }
}

/// A colour; `base`: 30 for the foreground, 40 for the background, 50 for the
/// underline.
fn put_color(out: &mut Vec<u8>, packed: u32, base: u32) {
    let value = packed & 0xFF;
    match packed & color::MODE {
        color::ANSI if value < 8 => _ = write!(out, ";{}", base + value),
        color::ANSI => _ = write!(out, ";{}", base + 60 + (value & 7)),
        color::PALETTE => _ = write!(out, ";{};5;{value}", base + 8),
        color::RGB => {
            let [_, red, green, blue] = packed.to_be_bytes();
            let _ = write!(out, ";{};2;{red};{green};{blue}", base + 8);
        }
        _ => {}
    }
}
