//! Plays a script to a viewer, step by step.

use std::time::Duration;

use bytes::Bytes;
use chatcode_proto::{
    code::Refusal,
    limits,
    pb::{self, Code, client_frame, server_frame::Kind},
    viewer::{Event, Viewer},
};

use crate::json::{Json, Map, Said, json, one, read};

/// What came of a step, by the names of the README.
pub(crate) type Outcome = Map<String, Json>;

const OUTCOMES: &[&str] = &["tells", "fails", "takes", "sends", "unconfirmed", "timeout", "writer"];
/// Data that is longer is shown by its ends.
const SHOWN: usize = 32;

pub(crate) struct Player {
    viewer: Viewer,
    now: Duration,
    /// Behind the last input that was sent.
    pub(crate) input_end: u64,
    pub(crate) pings: u64,
}

impl Player {
    pub(crate) fn new(vector: &Json) -> Self {
        let viewer = vector.get("viewer");
        let role = viewer.and_then(|viewer| viewer.get("role")).map_or(pb::Role::Writer, role);
        let winsize = viewer.and_then(|viewer| viewer.get("winsize")).map(winsize);
        let viewer = Viewer::new([1; 16], role, winsize);
        let mut player = Self { viewer, now: Duration::ZERO, input_end: 0, pings: 0 };
        let before =
            ["{\"attach\":true}", "{\"frame\":{\"attached\":{}}}", "{\"frame\":{\"presence\":[1,[1]]}}"];
        let count = match vector.get("after").map(Said::text) {
            None => 0,
            Some("attach") => 2,
            Some("lease") => 3,
            Some(other) => panic!("nothing is called {other}"),
        };
        before.iter().take(count).for_each(|step| drop(player.play(&read(step))));
        player
    }

    /// What comes of the step; of the viewer's state, what the step asks for.
    pub(crate) fn play(&mut self, step: &Json) -> Outcome {
        let mut outcome = Outcome::new();
        let mut sends = Vec::new();
        self.now = step.get("at").map_or(self.now, |at| Duration::from_millis(at.number()));
        for (deed, value) in step.map() {
            match deed.as_str() {
                "at" => {}
                "frame" => match self.viewer.handle_frame(self.now, frame(value)) {
                    Ok(events) if events.is_empty() => {}
                    Ok(events) => {
                        let tells: Vec<Json> = events.into_iter().map(told).collect();
                        outcome.insert("tells".to_owned(), tells.into());
                    }
                    Err(Refusal { code, .. }) => {
                        outcome.insert("fails".to_owned(), code.name().into());
                    }
                },
                "attach" => {
                    let frame = self.viewer.attach();
                    sends.push(self.sent(frame));
                }
                "type" => {
                    let bytes = data(value);
                    let taken = self.viewer.push_input(&bytes);
                    if taken < bytes.len() {
                        outcome.insert("takes".to_owned(), (taken as u64).into());
                    }
                }
                "rendered" => self.viewer.handle_rendered(self.now, value.number() as usize),
                "resize" => self.viewer.resize(winsize(value)),
                "take_lease" => self.viewer.take_lease(),
                "hand_over" => self.viewer.hand_over(value.number() as u32),
                "detach" => self.viewer.detach(),
                "snapshot" => self.viewer.request_snapshot(),
                "history" => self.viewer.set_history_lines(value.number() as u32),
                "theme" => self.viewer.set_theme(theme(value)),
                "disconnect" => self.viewer.handle_disconnect(),
                "wake" => self.viewer.handle_timeout(self.now),
                other => assert!(OUTCOMES.contains(&other), "nothing is called {other}"),
            }
        }
        while let Some(frame) = self.viewer.poll_frame(self.now) {
            sends.push(self.sent(frame));
        }
        if !sends.is_empty() {
            outcome.insert("sends".to_owned(), sends.into());
        }
        let due = self.viewer.next_timeout().map(|due| due.as_millis() as u64);
        for (name, value) in [
            ("unconfirmed", json!(self.viewer.unconfirmed())),
            ("timeout", json!(due)),
            ("writer", json!(self.viewer.is_writer())),
        ] {
            if step.get(name).is_some() {
                outcome.insert(name.to_owned(), value);
            }
        }
        outcome
    }

    /// A frame as it is compared; what is as usual is left out of an attach.
    fn sent(&mut self, frame: pb::ClientFrame) -> Json {
        match frame.kind.unwrap_or_else(|| panic!("a frame without a kind")) {
            client_frame::Kind::Attach(attach) => one("attach", attached_with(&attach)),
            client_frame::Kind::Input(input) => {
                self.input_end = input.offset + input.data.len() as u64;
                one("input", json!([input.offset, shown(&input.data)]))
            }
            client_frame::Kind::Credit(credit) => {
                one("credit", json!([credit.rendered_bytes, credit.window_bytes]))
            }
            client_frame::Kind::Resize(resize) => one("resize", resize.winsize.map_or(Json::Null, size)),
            client_frame::Kind::HandOverLease(to) => one("hand_over", to.viewer),
            client_frame::Kind::Ping(ping) => {
                self.pings = ping.stamp;
                one("ping", ping.stamp)
            }
            client_frame::Kind::SnapshotRequest(request) => one("snapshot", request.history_lines),
            client_frame::Kind::Theme(theme) => one("theme", colours(theme)),
            client_frame::Kind::TakeLease(_) => "take_lease".into(),
            client_frame::Kind::Detach(_) => "detach".into(),
            other => panic!("a viewer never sends {other:?}"),
        }
    }
}

/// A step without what is done in it.
pub(crate) fn expected(step: &Json) -> Outcome {
    let outcomes = step.map().iter().filter(|(name, _)| OUTCOMES.contains(&name.as_str()));
    outcomes.map(|(name, value)| (name.clone(), value.clone())).collect()
}

fn attached_with(attach: &pb::Attach) -> Json {
    let mut fields = Map::new();
    let mut put = |name: &str, value: Json| fields.insert(name.to_owned(), value);
    if attach.role() != pb::Role::Writer {
        put("role", role_name(attach.role()));
    }
    if attach.input_settled != 0 {
        put("settled", attach.input_settled.into());
    }
    if attach.window_bytes != limits::WINDOW_MAX_BYTES {
        put("window", attach.window_bytes.into());
    }
    if let Some(resume) = attach.resume {
        let place = json!([resume.epoch, resume.offset]);
        put("resume", if resume.redraw { json!([resume.epoch, resume.offset, true]) } else { place });
    }
    if attach.history_lines != limits::DEFAULT_HISTORY_LINES {
        put("history", attach.history_lines.into());
    }
    if let Some(theme) = attach.theme {
        put("theme", colours(theme));
    }
    if let Some(winsize) = attach.winsize {
        put("winsize", size(winsize));
    }
    Json::Object(fields)
}

fn frame(frame: &Json) -> pb::ServerFrame {
    let (name, value) = frame.map().iter().next().unwrap_or_else(|| panic!("a frame without a kind"));
    let kind = match name.as_str() {
        "attached" => Kind::Attached(attached(value)),
        "output" => {
            let [offset, text] = value.list() else { panic!("no output: {value}") };
            Kind::Output(pb::Output { offset: offset.number(), data: data(text) })
        }
        "snapshot" => {
            let [offset, text, part, parts] = value.list() else { panic!("no snapshot: {value}") };
            let (part, parts) = (part.number() as u32, parts.number() as u32);
            let (offset, data) = (offset.number(), data(text));
            Kind::Snapshot(pb::Snapshot { offset, part, parts, data, ..Default::default() })
        }
        "confirmed" => Kind::InputConfirmed(pb::InputConfirmed { offset: value.number() }),
        "refused" => Kind::InputRefused(refused(value)),
        "presence" => {
            let [writer, viewers] = value.list() else { panic!("no presence: {value}") };
            let viewer = |number: &Json| pb::Viewer { viewer: number.number() as u32, ..Default::default() };
            let viewers = viewers.list().iter().map(viewer).collect();
            Kind::Presence(pb::Presence { viewers, writer: writer.number() as u32 })
        }
        "resized" => Kind::Resized(pb::Resized { winsize: Some(winsize(value)), offset: 0 }),
        "exited" => {
            let (offset, code) = pair(value);
            let exit = pb::Exit { code: code as _, ..Default::default() };
            Kind::Exited(pb::Exited { offset, exit: Some(exit) })
        }
        "pong" => Kind::Pong(pb::Pong { stamp: value.number() }),
        "closing" => Kind::Closing(pb::Closing { code: code(value), message: String::new() }),
        "titled" => {
            let [title, name] = value.list() else { panic!("no title: {value}") };
            Kind::Titled(pb::Titled { title: title.text().to_owned(), name: name.text().to_owned() })
        }
        "unasked" => match value.text() {
            "sealed" => Kind::Sealed(pb::Sealed::default()),
            other => panic!("no frame is called {other}"),
        },
        "newer" => return pb::ServerFrame { kind: None },
        other => panic!("no frame is called {other}"),
    };
    pb::ServerFrame { kind: Some(kind) }
}

fn attached(fields: &Json) -> pb::Attached {
    let number = |name: &str, usual: u64| fields.get(name).map_or(usual, Said::number);
    pb::Attached {
        version: number("version", 1) as u32,
        epoch: number("epoch", 7),
        offset: number("offset", 0),
        live_offset: number("live", 0),
        input_offset: number("input", 0),
        refused: fields.get("refused").map_or(&[][..], Said::list).iter().map(refused).collect(),
        role: fields.get("role").map_or(pb::Role::Writer, role).into(),
        viewer: number("viewer", 1) as u32,
        ..Default::default()
    }
}

fn told(event: Event) -> Json {
    match event {
        Event::Attached(attached) => one("attached", json!([attached.viewer, role_name(attached.role())])),
        Event::Output(data) => one("output", shown(&data)),
        Event::Snapshot(snapshot) => {
            let pb::Snapshot { offset, part, parts, data, .. } = snapshot;
            one("snapshot", json!([offset, part, parts, shown(&data)]))
        }
        Event::Reset => one("reset", Json::Null),
        Event::Presence(presence) => {
            let viewers: Vec<Json> = presence.viewers.iter().map(|one| one.viewer.into()).collect();
            one("presence", json!([presence.writer, viewers]))
        }
        Event::Resized(resized) => one("resized", resized.winsize.map_or(Json::Null, size)),
        Event::Exited(exited) => one("exited", exited.exit.map_or(0, |exit| exit.code as u64)),
        Event::Closing(closing) => one("closing", closing.code().name()),
        Event::InputRefused(range) => one("refused", json!([range.from, range.to, range.code().name()])),
        Event::InputUnknown { bytes } => one("unknown", bytes),
        Event::Rtt(rtt) => one("rtt", rtt.as_millis() as u64),
        Event::Titled(titled) => one("titled", json!([titled.title.as_str(), titled.name.as_str()])),
    }
}

fn pair(value: &Json) -> (u64, u64) {
    let [first, second] = value.list() else { panic!("no pair: {value}") };
    (first.number(), second.number())
}

fn winsize(value: &Json) -> pb::Winsize {
    let (rows, cols) = pair(value);
    pb::Winsize { rows: rows as u32, cols: cols as u32 }
}

fn size(winsize: pb::Winsize) -> Json {
    json!([winsize.rows, winsize.cols])
}

fn theme(value: &Json) -> pb::Theme {
    let [foreground, background, cursor] = value.list() else { panic!("no theme: {value}") };
    let colour = |value: &Json| value.number() as u32;
    pb::Theme { foreground: colour(foreground), background: colour(background), cursor: colour(cursor) }
}

fn colours(theme: pb::Theme) -> Json {
    json!([theme.foreground, theme.background, theme.cursor])
}

fn role(name: &Json) -> pb::Role {
    if name.text() == "viewer" { pb::Role::Viewer } else { pb::Role::Writer }
}

fn role_name(role: pb::Role) -> Json {
    if role == pb::Role::Viewer { "viewer".into() } else { "writer".into() }
}

fn code(name: &Json) -> i32 {
    Code::from_name(name.text()).unwrap_or_else(|| panic!("no code is called {name}")).into()
}

fn refused(value: &Json) -> pb::InputRefused {
    let [from, to, name] = value.list() else { panic!("no refusal: {value}") };
    pb::InputRefused { from: from.number(), to: to.number(), code: code(name) }
}

/// Text, or that many letters, a to z over and over.
fn data(value: &Json) -> Bytes {
    match value.as_u64() {
        Some(count) => (b'a'..=b'z').cycle().take(count as usize).collect(),
        None => Bytes::copy_from_slice(value.text().as_bytes()),
    }
}

fn shown(data: &[u8]) -> Json {
    let text = String::from_utf8_lossy(data);
    if text.len() <= SHOWN {
        return text.as_ref().into();
    }
    format!("{}..{} bytes..{}", &text[..4], text.len(), &text[text.len() - 4..]).as_str().into()
}
