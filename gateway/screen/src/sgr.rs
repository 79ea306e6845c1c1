//! SGR: how the next characters look (ECMA-48 8.3.117, with the forms of
//! ITU-T T.416 for colours and of kitty for underlines).

use crate::{
    cell::{back, color, front},
    params::Params,
    pool::{Extra, Underline},
    terminal::Terminal,
};

impl Terminal {
    pub(crate) fn sgr(&mut self, params: &Params) {
        let count = params.values().len();
        let mut at = 0;
        while at < count {
            let value = params.values()[at];
            match value {
                0 => self.plain(),
                1 => self.pen.fg |= front::BOLD,
                2 => self.pen.bg |= back::DIM,
                3 => self.pen.bg |= back::ITALIC,
                4 => {
                    let style = params.subs(at).first().copied().unwrap_or(1);
                    self.underline(style);
                }
                5 => self.pen.fg |= front::BLINK,
                7 => self.pen.fg |= front::INVERSE,
                8 => self.pen.fg |= front::INVISIBLE,
                9 => self.pen.fg |= front::STRIKETHROUGH,
                21 => self.underline(2),
                22 => {
                    self.pen.fg &= !front::BOLD;
                    self.pen.bg &= !back::DIM;
                }
                23 => self.pen.bg &= !back::ITALIC,
                24 => self.underline(0),
                25 => self.pen.fg &= !front::BLINK,
                27 => self.pen.fg &= !front::INVERSE,
                28 => self.pen.fg &= !front::INVISIBLE,
                29 => self.pen.fg &= !front::STRIKETHROUGH,
                30..=37 => set(&mut self.pen.fg, color::ANSI | (value - 30) as u32),
                39 => set(&mut self.pen.fg, color::DEFAULT),
                40..=47 => set(&mut self.pen.bg, color::ANSI | (value - 40) as u32),
                49 => set(&mut self.pen.bg, color::DEFAULT),
                38 | 48 | 58 => at += self.color(params, at),
                53 => self.pen.bg |= back::OVERLINE,
                55 => self.pen.bg &= !back::OVERLINE,
                59 => self.set_extra(Extra { color: color::UNDERLINE_DEFAULT, ..self.pen_extra }, true),
                90..=97 => set(&mut self.pen.fg, color::ANSI | (value - 90) as u32 | 8),
                100..=107 => set(&mut self.pen.bg, color::ANSI | (value - 100) as u32 | 8),
                _ => {}
            }
            at += 1;
        }
    }

    /// SGR 0. A link is none of its.
    fn plain(&mut self) {
        (self.pen.fg, self.pen.bg) = (0, 0);
        self.set_extra(Extra { underline: 0, color: 0, ..self.pen_extra }, true);
    }

    fn underline(&mut self, style: i32) {
        let style = Underline::try_from(style).ok().filter(|style| *style <= 5).unwrap_or(1);
        self.pen.fg |= front::UNDERLINE;
        if style == 0 {
            self.pen.fg &= !front::UNDERLINE;
        }
        self.set_extra(Extra { underline: style, ..self.pen_extra }, true);
    }

    /// SGR 38, 48 and 58; gives how many more parameters it took.
    fn color(&mut self, params: &Params, at: usize) -> usize {
        let (fields, taken) = color_fields(params, at);
        let target = fields[0];
        let old = match target {
            38 => self.pen.fg,
            48 => self.pen.bg,
            _ => self.pen_extra.color,
        };
        let byte = |field: usize| (fields[field] & 0xFF) as u32;
        let new = match fields[1] {
            2 => color::RGB | byte(3) << 16 | byte(4) << 8 | byte(5),
            5 => color::PALETTE | byte(3),
            _ => old & color::MASK,
        };
        match target {
            38 => set(&mut self.pen.fg, new),
            48 => set(&mut self.pen.bg, new),
            _ => self.set_extra(Extra { color: new, ..self.pen_extra }, false),
        }
        taken
    }
}

/// A colour as `[target, mode, space, value, value, value]`, however it was
/// written, and how many parameters it took beyond the first.
fn color_fields(params: &Params, at: usize) -> ([i32; 6], usize) {
    let mut fields = [0, 0, -1, 0, 0, 0];
    let values = &params.values()[at..];
    // Where the colour space is left out, what follows moves on by one.
    let mut space = 0;
    let mut taken = 0;
    loop {
        fields[taken + space] = values[taken];
        let subs = params.subs(at + taken);
        if !subs.is_empty() {
            for (index, sub) in subs.iter().enumerate() {
                if fields[1] == 5 {
                    space = 1;
                }
                let Some(field) = fields.get_mut(taken + index + 1 + space) else { break };
                *field = *sub;
                if index + 1 + taken + 1 + space >= fields.len() {
                    break;
                }
            }
            break;
        }
        if (fields[1] == 5 && taken + space >= 2) || (fields[1] == 2 && taken + space >= 5) {
            break;
        }
        if fields[1] != 0 {
            space = 1;
        }
        taken += 1;
        if taken >= values.len() || taken + space >= fields.len() {
            break;
        }
    }
    for field in &mut fields[2..] {
        if *field == -1 {
            *field = 0;
        }
    }
    (fields, taken)
}

fn set(field: &mut u32, new: u32) {
    *field = *field & !color::MASK | new;
}
