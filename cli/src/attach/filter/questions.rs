//! Which sequences make a terminal answer, write its clipboard or leave what ours can do, and what is
//! left of those that do something else besides. All of them come whole and
//! without control characters.

use std::borrow::Cow;

/// A sequence of ESC with its intermediates: what passes of it.
pub(super) fn escape(intermediates: &[u8], last: u8) -> Option<Vec<u8>> {
    match (intermediates, last) {
        // DECID.
        ([], b'Z') => None,
        // Another encoding would make controls of letters. What else they do: ASCII in G0.
        ([b'%'], b'@' | b'G') => Some(b"\x0f\x1b(B".to_vec()),
        ([b'%', ..], _) => None,
        _ if intermediates.len() > 2 => None,
        _ => Some([b"\x1b", intermediates, &[last]].concat()),
    }
}

/// The parts of what stands before a final byte: prefix, parameters and
/// intermediates; `None` for a sequence that is none of any terminal.
fn parts(head: &[u8]) -> Option<(Option<u8>, &[u8], &[u8])> {
    let (prefix, rest) = match head.split_first() {
        Some((prefix @ b'<'..=b'?', rest)) => (Some(*prefix), rest),
        _ => (None, head),
    };
    let place = rest.iter().position(|byte| *byte < 0x30).unwrap_or(rest.len());
    let (parameters, intermediates) = rest.split_at(place);
    let is_one = parameters.iter().all(|byte| *byte < b'<')
        && intermediates.iter().all(|byte| *byte < 0x30)
        && intermediates.len() <= 2;
    is_one.then_some((prefix, parameters, intermediates))
}

/// Whether a control sequence may pass.
pub(super) fn csi_passes(head: &[u8], last: u8) -> bool {
    let Some((prefix, parameters, intermediates)) = parts(head) else { return false };
    let asks = match (prefix, intermediates, last) {
        // DA 1, 2, 3.
        (None | Some(b'>' | b'='), [], b'c') => true,
        // DSR, also the cursor's position; `>` turns a key mode off.
        (prefix, [], b'n') => prefix != Some(b'>'),
        // XTVERSION; kitty keyboard; graphics; key modes.
        (Some(b'>'), [], b'q') | (Some(b'?'), [], b'u' | b'S' | b'm') => true,
        // Reports of the window. A number beyond all bounds is another one somewhere.
        (None, [], b't') => {
            first_number(parameters).is_none_or(|number| matches!(number, 11 | 13..=16 | 18..=21))
        }
        // DECREQTPARM.
        (None, [], b'x') => true,
        // What our screens do not have: VT52, which has no way back of its own here, and key codes of Windows'
        // console, in which nobody would find the keys that leave.
        (Some(b'?'), [], b'l') if has_number(parameters, 2) => true,
        (Some(b'?'), [], b'h') if has_number(parameters, 9001) => true,
        // DECRQM; DECRQTSR and DECRQUPSS; DECRQPSR; DECRQCRA and a macro, which may hold any of these;
        // DECRQDE; DECRQLP; XTREPORTSGR and XTREPORTCOLORS.
        (_, [.., b'$'], b'p' | b'u' | b'w')
        | (_, [.., b'&'], b'u')
        | (_, [.., b'*'], b'y' | b'z')
        | (_, [.., b'"'], b'v')
        | (_, [.., b'\''], b'|')
        | (_, [.., b'#'], b'|' | b'R') => true,
        _ => false,
    };
    !asks
}

/// The first parameter, 0 where there is none; `None` if it is beyond 65,535.
fn first_number(parameters: &[u8]) -> Option<u16> {
    let first = parameters.split(|byte| matches!(byte, b';' | b':')).next().unwrap_or_default();
    if first.is_empty() { Some(0) } else { number(first) }
}

/// Whether one of the parameters is this.
fn has_number(parameters: &[u8], wanted: u16) -> bool {
    parameters.split(|byte| *byte == b';').any(|digits| number(digits) == Some(wanted))
}

fn number(digits: &[u8]) -> Option<u16> {
    std::str::from_utf8(digits)
        .ok()
        .filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()))?
        .parse()
        .ok()
}

/// Whether a DCS may pass: of all of them only sixel images draw and never answer.
pub(super) fn dcs_passes(head: &[u8], last: u8) -> bool {
    matches!((parts(head), last), (Some((None, _, [])), b'q'))
}

/// What passes of an OSC's number and text. Of one that is not whole, more may
/// come than could be judged, so that it passes only where its beginning is enough.
pub(super) fn osc(body: &[u8], is_whole: bool, clipboard: bool) -> Option<Vec<u8>> {
    let place = body.iter().position(|byte| *byte == b';').unwrap_or(body.len());
    let number = number(&body[..place])?;
    let text = &body[place..];
    if text.is_empty() && !is_whole {
        return None;
    }
    let passes = osc_text(number, text, is_whole, clipboard)?;
    Some([number.to_string().as_bytes(), &passes].concat())
}

/// `text`: empty, or `;` and what is behind it.
fn osc_text(number: u16, text: &[u8], is_whole: bool, clipboard: bool) -> Option<Cow<'_, [u8]>> {
    let slots: Vec<&[u8]> = text.split(|byte| *byte == b';').skip(1).collect();
    let asks = slots.iter().any(|slot| is_question(slot));
    let passes = match number {
        // Titles, folder, link, notification, prompt marks: free text.
        0 | 1 | 2 | 7 | 8 | 9 | 133 | 777 => true,
        4 | 10 | 11 | 12 if asks => {
            return is_whole.then(|| colours_alone(number, &slots)).flatten().map(Cow::Owned);
        }
        52 => clipboard && !asks && slots.get(1).is_some_and(|data| is_whole || !data.is_empty()),
        // What xterm allows; kitty's files and its clipboard, which answer whatever is asked of them.
        60 | 61 | 5113 | 5522 => false,
        1337 => slots.first().is_some_and(|verb| verb_passes(verb, clipboard)),
        _ => is_whole && !asks,
    };
    passes.then_some(Cow::Borrowed(text))
}

/// Whether a verb of iTerm2 neither asks nor writes the clipboard.
fn verb_passes(verb: &[u8], clipboard: bool) -> bool {
    let is = |head: &&[u8]| verb.get(..head.len()).is_some_and(|begin| begin.eq_ignore_ascii_case(head));
    let asks = [&b"Report"[..], b"Request", b"Capabilities"].iter().any(is);
    !asks && (clipboard || !is(&&b"Copy"[..]))
}

/// Whether a part of an OSC asks for something, in any of the ways of terminals:
/// `?`, `?name`, `name=?`, or whether a notification is still there.
fn is_question(part: &[u8]) -> bool {
    part.trim_ascii().starts_with(b"?")
        || [&b"=?"[..], b"p=alive"].iter().any(|word| part.windows(word.len()).any(|at| at == *word))
}

/// The colours that are set, without those that are asked for; nothing when
/// none is set.
fn colours_alone(number: u16, slots: &[&[u8]]) -> Option<Vec<u8>> {
    let kept: Vec<&[u8]> = if number == 4 {
        slots.chunks_exact(2).filter(|slot| !is_question(slot[1])).flatten().copied().collect()
    } else {
        // An empty place keeps the colour that it stands for.
        slots.iter().map(|slot| if is_question(slot) { b"" } else { *slot }).collect()
    };
    let sets = kept.iter().any(|slot| !slot.is_empty());
    sets.then(|| [&b";"[..], &kept.join(&b';')].concat())
}

/// What passes of an APC, or of its beginning: kitty's graphics, told to be
/// silent about what has become of them.
pub(super) fn apc(text: &[u8], is_whole: bool) -> Option<Vec<u8>> {
    let text = text.strip_prefix(b"G")?;
    let end_of_keys = text.iter().position(|byte| *byte == b';');
    let place = end_of_keys.or_else(|| is_whole.then_some(text.len()))?;
    let (keys, payload) = text.split_at(place);
    let mut passes = b"Gq=2".to_vec();
    for key in keys.split(|byte| *byte == b',').filter(|key| !key.is_empty()) {
        if key == b"a=q" {
            return None;
        }
        if !key.starts_with(b"q=") {
            passes.push(b',');
            passes.extend_from_slice(key);
        }
    }
    passes.extend_from_slice(payload);
    Some(passes)
}
