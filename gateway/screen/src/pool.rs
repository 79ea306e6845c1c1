//! What cells name by number: extra attributes, links, and characters that
//! consist of several code points.

use std::collections::HashMap;

use crate::cell::{Cell, ExtraId};

/// Bytes of all links that the screen shows; text beyond it is no link.
pub(crate) const LINK_BYTES: usize = 1024 * 1024;
/// Bytes of one link's address; a longer one is no link.
pub(crate) const LINK_LENGTH: usize = 4096;
/// Code points of one character; more combining ones are dropped.
pub(crate) const CHARACTER_CODES: usize = 16;
/// Entries before the first look for those that nobody names any more.
const FIRST_SWEEP: usize = 1024;

/// The shape of an underline, as SGR 4 numbers it; 0: none.
pub(crate) type Underline = u8;

/// Attributes that few cells have.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Extra {
    pub(crate) underline: Underline,
    /// The colour of the underline.
    pub(crate) color: u32,
    /// The number of a link; 0: none.
    pub(crate) link: u32,
}

impl Extra {
    /// Whether it changes how a cell looks. A link always does.
    pub(crate) const fn counts(self) -> bool {
        self.underline != 0 || self.link != 0
    }
}

/// A hyperlink (OSC 8).
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Link {
    /// The program's own name of it; may be empty.
    pub(crate) id: String,
    pub(crate) uri: String,
}

/// The entries. Numbers stay valid until [`Pool::sweep`].
#[derive(Debug)]
pub(crate) struct Pool {
    extras: Entries<Extra>,
    links: Entries<Link>,
    texts: Entries<Box<str>>,
    link_bytes: usize,
    sweep_at: usize,
    sweep_bytes: usize,
}

impl Pool {
    pub(crate) fn new() -> Self {
        Self {
            extras: Entries::default(),
            links: Entries::default(),
            texts: Entries::default(),
            link_bytes: 0,
            sweep_at: FIRST_SWEEP,
            sweep_bytes: LINK_BYTES / 4,
        }
    }

    pub(crate) fn extra(&self, id: ExtraId) -> Extra {
        self.extras.get(id).copied().unwrap_or_default()
    }

    pub(crate) fn extra_id(&mut self, extra: Extra) -> ExtraId {
        if extra == Extra::default() { 0 } else { self.extras.id(extra) }
    }

    pub(crate) fn link(&self, id: u32) -> Option<&Link> {
        self.links.get(id)
    }

    /// The number of a link; 0 when it is too long or there are too many.
    pub(crate) fn link_id(&mut self, link: Link) -> u32 {
        let bytes = link.id.len() + link.uri.len();
        if bytes > LINK_LENGTH || self.link_bytes + bytes > LINK_BYTES {
            return 0;
        }
        let known = self.links.len();
        let id = self.links.id(link);
        if self.links.len() > known {
            self.link_bytes += bytes;
        }
        id
    }

    pub(crate) fn text(&self, id: u32) -> &str {
        self.texts.get(id).map_or("", |text| text)
    }

    pub(crate) fn text_id(&mut self, text: &str) -> u32 {
        self.texts.id(text.into())
    }

    /// The characters of a cell, which need `place` when there is but one.
    pub(crate) fn characters<'a>(&'a self, cell: Cell, place: &'a mut [u8; 4]) -> &'a str {
        match (cell.text(), char::from_u32(cell.code())) {
            (Some(id), _) => self.text(id),
            (None, Some(c)) if cell.has_content() => c.encode_utf8(place),
            _ => "",
        }
    }

    /// Puts another code point to a cell.
    pub(crate) fn join(&mut self, cell: &mut Cell, c: char) {
        let mut text = self.characters(*cell, &mut [0; 4]).to_owned();
        if text.is_empty() {
            *cell = Cell::of(u32::from(c), 1, cell.look);
        } else if text.chars().count() < CHARACTER_CODES {
            text.push(c);
            cell.set_text(self.text_id(&text));
        }
    }

    /// Whether there is much that nobody may name any more.
    pub(crate) fn wants_sweep(&self) -> bool {
        self.extras.len().max(self.texts.len()) > self.sweep_at || self.link_bytes > self.sweep_bytes
    }

    /// Keeps what `cells` and `pen` name, and gives it new numbers.
    pub(crate) fn sweep<'a>(&mut self, cells: impl Iterator<Item = &'a mut Cell>, pen: &mut Extra) {
        let mut kept = Self::new();
        for cell in cells {
            if cell.look.extra != 0 {
                let extra = self.extra(cell.look.extra);
                let link = kept.take_link(self, extra.link);
                cell.look.extra = kept.extra_id(Extra { link, ..extra });
            }
            if let Some(text) = cell.text() {
                cell.set_text(kept.text_id(self.text(text)));
            }
        }
        pen.link = kept.take_link(self, pen.link);
        kept.sweep_at = FIRST_SWEEP.max(2 * kept.extras.len().max(kept.texts.len()));
        kept.sweep_bytes = (LINK_BYTES / 4).max(2 * kept.link_bytes);
        *self = kept;
    }

    fn take_link(&mut self, from: &Self, id: u32) -> u32 {
        from.link(id).map_or(0, |link| self.link_id(link.clone()))
    }
}

/// Values by number, from 1.
#[derive(Debug)]
struct Entries<T> {
    values: Vec<T>,
    ids: HashMap<T, u32>,
}

impl<T> Default for Entries<T> {
    fn default() -> Self {
        Self { values: Vec::new(), ids: HashMap::new() }
    }
}

impl<T: Clone + Eq + std::hash::Hash> Entries<T> {
    fn len(&self) -> usize {
        self.values.len()
    }

    fn get(&self, id: u32) -> Option<&T> {
        self.values.get((id as usize).checked_sub(1)?)
    }

    fn id(&mut self, value: T) -> u32 {
        if let Some(id) = self.ids.get(&value) {
            return *id;
        }
        self.values.push(value.clone());
        let id = self.values.len() as u32;
        self.ids.insert(value, id);
        id
    }
}
