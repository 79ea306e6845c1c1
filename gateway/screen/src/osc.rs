//! OSC: titles, colours, links. All others pass by: the clipboard (OSC 52) is
//! the page's business, and nothing is ever read from it.

use crate::{
    cell::Cell,
    pool::{Extra, Link},
    terminal::Terminal,
};

/// Characters of a title.
pub(crate) const TITLE_CHARS: usize = 256;
/// The numbers of colours that are none of the 256.
pub(crate) const FOREGROUND: u16 = 256;
const BACKGROUND: u16 = 257;
const CURSOR: u16 = 258;
/// The number of our own sequence.
pub(crate) const OWN: u32 = 7717;

impl Terminal {
    pub(crate) fn operating_system_command(&mut self, number: u32, text: &str, bell: bool) {
        match number {
            0 | 2 => {
                self.raw_title = text.chars().take(TITLE_CHARS).collect();
                self.title = self.raw_title.chars().filter(|c| !c.is_control()).collect();
            }
            4 => self.indexed_colors(text, bell),
            8 => self.hyperlink(text),
            10..=12 => self.special_colors(FOREGROUND + (number - 10) as u16, text, bell),
            104 if text.is_empty() => self.palette.retain(|index, _| *index >= FOREGROUND),
            104 => {
                for index in text.split(';').filter_map(index) {
                    self.palette.remove(&index);
                }
            }
            OWN => self.own_command(text),
            110..=112 => _ = self.palette.remove(&(FOREGROUND + (number - 110) as u16)),
            _ => {}
        }
    }

    fn indexed_colors(&mut self, text: &str, bell: bool) {
        let mut slots = text.split(';');
        while let (Some(slot), Some(spec)) = (slots.next(), slots.next()) {
            if let Some(index) = index(slot) {
                self.color_slot(index, spec, bell);
            }
        }
    }

    fn special_colors(&mut self, first: u16, text: &str, bell: bool) {
        for (index, spec) in (first..=CURSOR).zip(text.split(';')) {
            self.color_slot(index, spec, bell);
        }
    }

    fn color_slot(&mut self, index: u16, spec: &str, bell: bool) {
        if spec == "?" {
            self.answer_color(index, bell);
        } else if let Some(color) = parse_color(spec) {
            self.palette.insert(index, color);
        }
    }

    /// The colour of a slot as a program would see it.
    pub(crate) fn color_of(&self, index: u16) -> [u8; 3] {
        let own = match index {
            FOREGROUND => self.theme.foreground,
            BACKGROUND => self.theme.background,
            CURSOR => self.theme.cursor,
            index => standard_color(index as u8),
        };
        self.palette.get(&index).copied().unwrap_or(own)
    }

    /// What a snapshot says by no other sequence; see `docs/terminal.md`.
    fn own_command(&mut self, text: &str) {
        let (cols, rows, look) = (self.cols, self.rows, self.look());
        let buffer = self.buffer();
        let x = buffer.x;
        match text {
            "w" => buffer.row().wrapped = true,
            "e" if x < cols => buffer.row().erase(x, x + 1, Cell::null(look)),
            _ => {
                let place = text.strip_prefix("c;").and_then(|place| place.split_once(';'));
                let (x, y) = place.map_or((None, None), |(x, y)| (decimal(x), decimal(y)));
                if let (Some(x), Some(y)) = (x.filter(|x| *x <= cols + 1), y.filter(|y| *y < rows)) {
                    (buffer.x, buffer.y) = (x, y);
                }
            }
        }
    }

    fn hyperlink(&mut self, text: &str) {
        let Some((params, uri)) = text.split_once(';') else { return };
        let link = if !uri.is_empty() {
            let id = params.trim().split(':').find_map(|param| param.strip_prefix("id="));
            self.pool.link_id(Link { id: id.unwrap_or_default().to_owned(), uri: uri.to_owned() })
        } else if params.trim().is_empty() {
            0
        } else {
            return;
        };
        self.set_extra(Extra { link, ..self.pen_extra }, true);
    }
}

fn index(slot: &str) -> Option<u16> {
    let is_number = !slot.is_empty() && slot.bytes().all(|byte| byte.is_ascii_digit());
    slot.parse::<u8>().ok().filter(|_| is_number).map(u16::from)
}

/// A number of at most nine digits, without a sign.
fn decimal(text: &str) -> Option<usize> {
    let is_number = text.len() <= 9 && text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|_| is_number)
}

/// A colour as X11 writes it: `rgb:R/G/B` with one to four digits each, or
/// `#RGB` with as many.
fn parse_color(spec: &str) -> Option<[u8; 3]> {
    let spec = spec.to_ascii_lowercase();
    let parts: Vec<&str> = if let Some(rest) = spec.strip_prefix("rgb:") {
        rest.split('/').collect()
    } else {
        let rest = spec.strip_prefix('#').filter(|rest| rest.is_ascii() && rest.len() % 3 == 0)?;
        let each = rest.len() / 3;
        (0..3).map(|part| rest.get(part * each..(part + 1) * each).unwrap_or_default()).collect()
    };
    let is_scaled = spec.starts_with("rgb:");
    let [red, green, blue] = <[&str; 3]>::try_from(parts).ok()?;
    if red.len() != green.len() || red.len() != blue.len() || !(1..=4).contains(&red.len()) {
        return None;
    }
    let part = |digits: &str| {
        let value = u32::from_str_radix(digits, 16).ok().filter(|_| !digits.starts_with('+'))?;
        let most = (1 << (4 * digits.len())) - 1;
        Some(if is_scaled {
            ((value * 510 + most) / (2 * most)) as u8
        } else {
            match digits.len() {
                1 => (value << 4) as u8,
                length => (value >> (4 * (length - 2))) as u8,
            }
        })
    };
    Some([part(red)?, part(green)?, part(blue)?])
}

/// xterm's own colours: 16 named, a cube of 216, and 24 greys.
fn standard_color(index: u8) -> [u8; 3] {
    const NAMED: [u32; 16] = [
        0x2E_34_36, 0xCC_00_00, 0x4E_9A_06, 0xC4_A0_00, 0x34_65_A4, 0x75_50_7B, 0x06_98_9A, 0xD3_D7_CF,
        0x55_57_53, 0xEF_29_29, 0x8A_E2_34, 0xFC_E9_4F, 0x72_9F_CF, 0xAD_7F_A8, 0x34_E2_E2, 0xEE_EE_EC,
    ];
    match index {
        0..=15 => {
            let [_, red, green, blue] = NAMED[usize::from(index)].to_be_bytes();
            [red, green, blue]
        }
        16..=231 => {
            let level = |n: u8| if n == 0 { 0 } else { 55 + 40 * n };
            let n = index - 16;
            [level(n / 36), level(n / 6 % 6), level(n % 6)]
        }
        _ => [8 + 10 * (index - 232); 3],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_colour_is_read_in_every_form_of_x11() {
        assert_eq!(parse_color("rgb:f/8/0"), Some([255, 136, 0]));
        assert_eq!(parse_color("rgb:FF/80/00"), Some([255, 128, 0]));
        assert_eq!(parse_color("rgb:ffff/8080/0000"), Some([255, 128, 0]));
        assert_eq!(parse_color("#f80"), Some([240, 128, 0]));
        assert_eq!(parse_color("#ff8000"), Some([255, 128, 0]));
        assert_eq!(parse_color("#fff888000"), Some([255, 136, 0]));
        for wrong in ["", "red", "rgb:1/2", "rgb:12/3/4", "#12", "#1234", "rgb:x/y/z", "#ä1"] {
            assert_eq!(parse_color(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn the_standard_colours_are_the_cube_and_the_greys() {
        assert_eq!(standard_color(16), [0, 0, 0]);
        assert_eq!(standard_color(231), [255, 255, 255]);
        assert_eq!(standard_color(208), [255, 135, 0]);
        assert_eq!(standard_color(232), [8, 8, 8]);
        assert_eq!(standard_color(255), [238, 238, 238]);
    }

    #[test]
    fn a_question_beside_colours_is_answered_and_the_colours_are_set() {
        let mut model = crate::Model::new(chatcode_proto::pb::Winsize { rows: 2, cols: 9 }, 0);
        model.feed(b"\x1b]4;1;#102030;2;?;3;#405060\x1b\\");
        assert_eq!(model.take_answers(), b"\x1b]4;2;rgb:4e4e/9a9a/0606\x1b\\");
        model.feed(b"\x1b]10;?;#708090\x07");
        assert_eq!(model.take_answers(), b"\x1b]10;rgb:e6e6/e6e6/e6e6\x07");
        model.feed(b"\x1b]4;1;?\x07\x1b]4;3;?\x07\x1b]11;?\x07");
        let set =
            b"\x1b]4;1;rgb:1010/2020/3030\x07\x1b]4;3;rgb:4040/5050/6060\x07\x1b]11;rgb:7070/8080/9090\x07";
        assert_eq!(String::from_utf8_lossy(&model.take_answers()), String::from_utf8_lossy(set));
    }
}
