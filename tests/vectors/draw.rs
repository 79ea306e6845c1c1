//! Draws scripts by chance: a holder and a screen that do what they may, and
//! now and then what they may not. What comes of it is what the rules say now.

use std::fmt::Write as _;

use rand::{Rng as _, SeedableRng as _, rngs::StdRng};

use crate::{
    json::{Json, Map, Said, json, one},
    player::Player,
};

const SCRIPTS: u64 = 36;
const STEPS: usize = 48;

/// A file of scripts.
pub(crate) fn scripts() -> String {
    let mut file = String::from("[\n");
    for seed in 1..=SCRIPTS {
        let steps: Vec<String> =
            Drawn::new(seed).steps().iter().map(|step| format!("      {step}")).collect();
        let _ = write!(
            file,
            "  {{\n    \"name\": \"drawn by {seed}\",\n    \"steps\": [\n{}\n    ]\n  }}{}\n",
            steps.join(",\n"),
            if seed == SCRIPTS { "" } else { "," }
        );
    }
    file + "]\n"
}

/// What the holder and the screen know.
struct Drawn {
    rng: StdRng,
    player: Player,
    now: u64,
    /// A connection is there, and its attachment stands.
    is_connected: bool,
    is_attached: bool,
    epoch: u64,
    /// The next output byte.
    next: u64,
    /// Output that is not on the screen.
    waiting: u64,
    /// The offset, the next part and the number of parts of a snapshot that has
    /// begun.
    part: Option<(Json, u64, Json)>,
    /// Input below this was confirmed; below the end of what was sent the
    /// holder has what it wants.
    confirmed: u64,
}

impl Drawn {
    fn new(seed: u64) -> Self {
        Self {
            rng: StdRng::seed_from_u64(seed),
            player: Player::new(&Json::Object(Map::new())),
            now: 0,
            is_connected: false,
            is_attached: false,
            epoch: 7,
            next: 0,
            waiting: 0,
            part: None,
            confirmed: 0,
        }
    }

    fn steps(mut self) -> Vec<Json> {
        (0..STEPS)
            .map(|_| {
                let (deed, value) = self.deed();
                let mut step = Map::from_iter([(deed.to_owned(), value)]);
                if self.chance(0.4) {
                    let most = if self.chance(0.1) { 7000 } else { 40 };
                    self.now += self.rng.random_range(0..most);
                    step.insert("at".to_owned(), self.now.into());
                }
                for asked in ["unconfirmed", "timeout", "writer"] {
                    if self.chance(0.1) {
                        step.insert(asked.to_owned(), Json::Null);
                    }
                }
                let outcome = self.player.play(&Json::Object(step.clone()));
                self.heed(&step, outcome.contains_key("fails"));
                step.extend(outcome);
                Json::Object(step)
            })
            .collect()
    }

    fn chance(&mut self, chance: f64) -> bool {
        self.rng.random_bool(chance)
    }

    fn within(&mut self, from: u64, to: u64) -> u64 {
        self.rng.random_range(from..=to.max(from))
    }

    fn deed(&mut self) -> (&'static str, Json) {
        if self.chance(0.25) {
            let count = if self.chance(0.15) { self.within(1, 400_000) } else { self.within(1, 9) };
            return ("type", count.into());
        }
        match self.rng.random_range(0..100) {
            0..5 => ("disconnect", true.into()),
            5..8 => ("wake", true.into()),
            8..12 => ("resize", json!([self.within(20, 22), 80_u64])),
            12..14 => ("take_lease", true.into()),
            14..16 => ("hand_over", self.within(0, 3).into()),
            16..17 => ("detach", true.into()),
            17..18 => ("snapshot", true.into()),
            18..19 => ("theme", json!([self.within(0, 2), 1_u64, 2_u64])),
            19..20 => ("history", self.within(0, 3).into()),
            20..32 if self.waiting > 0 => {
                let rendered = if self.chance(0.5) { self.waiting } else { self.within(1, self.waiting) };
                self.waiting -= rendered;
                ("rendered", rendered.into())
            }
            20..33 if !self.is_connected => ("attach", true.into()),
            _ if !self.is_connected => ("attach", true.into()),
            _ => ("frame", self.frame()),
        }
    }

    fn frame(&mut self) -> Json {
        if !self.is_attached && self.chance(0.9) {
            return one("attached", self.attached());
        }
        let sent = self.player.input_end;
        match self.rng.random_range(0..100) {
            0..30 if self.part.is_none() || self.chance(0.05) => {
                let offset = self.next + u64::from(self.chance(0.05));
                let longest = if self.chance(0.3) { 65_536 } else { 300 };
                one("output", json!([offset, self.within(1, longest)]))
            }
            30..34 => self.snapshot(),
            34..55 => {
                let beyond = if self.chance(0.1) { 1000 } else { 0 };
                one("confirmed", self.within(self.confirmed, sent + beyond))
            }
            55..63 => one("refused", self.refused()),
            63..85 => {
                let (writer, count) =
                    [(1, 1), (1, 1), (1, 2), (0, 1), (2, 2), (2, 1)][self.rng.random_range(0..6)];
                let viewers: Vec<u32> = (1..=count).collect();
                one("presence", json!([writer, viewers]))
            }
            85..96 => one("pong", self.within(self.player.pings.saturating_sub(1), self.player.pings)),
            96..97 => one("exited", json!([self.next, self.within(0, 2)])),
            97..98 => one("closing", "draining"),
            98..99 => one("newer", true),
            _ => one("unasked", "sealed"),
        }
    }

    /// The next part of the one that has begun, or the first of another.
    fn snapshot(&mut self) -> Json {
        let len = self.within(0, 300);
        if let Some((offset, part, parts)) = self.part.clone().filter(|_| self.rng.random_bool(0.9)) {
            return one("snapshot", json!([offset, len, part, parts]));
        }
        one("snapshot", json!([self.within(self.next, self.next + 90_000), len, 0_u64, self.within(1, 2)]))
    }

    fn attached(&mut self) -> Json {
        let mut fields = Map::new();
        let mut put = |name: &str, value: Json| fields.insert(name.to_owned(), value);
        let sent = self.player.input_end;
        match self.rng.random_range(0..100) {
            // Another life.
            0..12 => {
                (self.epoch, self.next, self.confirmed) = (self.epoch + 1, 0, 0);
                self.player.input_end = 0;
            }
            // It forgot the viewer.
            12..24 if sent > 0 => {
                self.confirmed = sent + 1_048_577;
                self.player.input_end = self.confirmed;
            }
            _ => self.player.input_end = self.rng.random_range(self.confirmed..=sent.max(self.confirmed)),
        }
        put("epoch", self.epoch.into());
        put("input", self.player.input_end.into());
        put("offset", (self.next + u64::from(self.rng.random_bool(0.05))).into());
        if self.rng.random_bool(0.1) {
            put("role", "viewer".into());
        }
        if self.rng.random_bool(0.3) {
            put("refused", [self.refused()].into());
        }
        Json::Object(fields)
    }

    fn refused(&mut self) -> Json {
        let from = self.within(self.confirmed, self.player.input_end);
        let beyond = u64::from(self.chance(0.1));
        let to = self.within(from, self.player.input_end + beyond);
        let code = if self.chance(0.8) { "not_writer" } else { "session_ended" };
        json!([from, to, code])
    }

    /// What the step has changed.
    fn heed(&mut self, step: &Map<String, Json>, has_failed: bool) {
        if step.contains_key("attach") || step.contains_key("disconnect") {
            (self.is_connected, self.is_attached, self.part) = (step.contains_key("attach"), false, None);
        }
        let Some(frame) = step.get("frame").filter(|_| !has_failed) else { return };
        if frame.get("attached").is_some() {
            self.is_attached = true;
        } else if !self.is_attached {
            // Nothing else counts.
        } else if let Some([_, len]) = frame.get("output").map(Said::list) {
            self.next += len.number();
            self.waiting += len.number();
        } else if let Some([offset, len, part, parts]) = frame.get("snapshot").map(Said::list) {
            self.waiting += len.number();
            self.part = (part.number() + 1 < parts.number())
                .then(|| (offset.clone(), part.number() + 1, parts.clone()));
            if self.part.is_none() {
                self.next = offset.number();
            }
        } else if let Some(offset) = frame.get("confirmed") {
            self.confirmed = offset.number().min(self.player.input_end);
        }
    }
}
