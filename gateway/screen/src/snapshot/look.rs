//! How a cell looks, as SGR, OSC 8 and DECSCA.

use std::io::Write as _;

use crate::{
    cell::{Look, back, color, front},
    pool::{Extra, Link, Pool, UNDERLINE_WITHOUT_COLOR},
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
        let underline = underline_of(look.fg, extra.underline, extra.link != 0);
        Self { underline, ..Self::with(look, extra, pool) }
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
        let underline = underline_of(fg, underline, !link.uri.is_empty());
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
        if self.underline_color == UNDERLINE_WITHOUT_COLOR {
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

/// The underline that shows: a saved cursor may bring the flag back without the
/// shape, or take it away.
const fn underline_of(fg: u32, shape: u8, is_link: bool) -> u8 {
    match (fg & front::UNDERLINE != 0, shape) {
        (true, 0) => 1,
        (false, _) if is_link => 0,
        (_, shape) => shape,
    }
}

/// SGR of what differs between two looks, underline and extra attributes
/// aside.
pub(super) fn put_change(out: &mut Vec<u8>, from: Look, to: Look) {
    let mut change = |is: bool, was: bool, on: &str, off: &str| {
        if is != was {
            let _ = write!(out, "\x1b[{}m", if is { on } else { off });
        }
    };
    let weight = |look: Look| (look.fg & front::BOLD != 0, look.bg & back::DIM != 0);
    if weight(from) != weight(to) {
        change(true, false, "22", "");
        change(weight(to).0, false, "1", "");
        change(weight(to).1, false, "2", "");
    }
    for (flag, on, off) in [
        (front::BLINK, "5", "25"),
        (front::INVERSE, "7", "27"),
        (front::INVISIBLE, "8", "28"),
        (front::STRIKETHROUGH, "9", "29"),
    ] {
        change(to.fg & flag != 0, from.fg & flag != 0, on, off);
    }
    for (flag, on, off) in [(back::ITALIC, "3", "23"), (back::OVERLINE, "53", "55")] {
        change(to.bg & flag != 0, from.bg & flag != 0, on, off);
    }
    if (from.bg ^ to.bg) & back::PROTECTED != 0 {
        let on = u8::from(to.bg & back::PROTECTED != 0);
        let _ = write!(out, "\x1b[{on}\"q");
    }
    out.extend_from_slice(b"\x1b[39;49");
    put_color(out, to.fg, 30);
    put_color(out, to.bg, 40);
    out.push(b'm');
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
