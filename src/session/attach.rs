//! A viewer attaches: what is checked, what it gets, who is fenced.

use crate::{
    code::Refusal,
    limits, negotiate,
    pb::{self, Code},
};

use super::{ConnId, Session, Time, Who, attachment::Attachment, input::Number, protocol, shown};

/// Optional abilities of this holder. None yet: "screen" (snapshots, history)
/// is not among them.
const FEATURES: &[&str] = &[];

/// An attach that was found good.
struct Checked {
    version: u32,
    features: Vec<String>,
    viewer_id: [u8; 16],
    role: pb::Role,
    /// The viewer's number, when its id is known.
    known: Option<Number>,
    /// The viewer's place in this very output stream.
    resume: Option<u64>,
}

impl Session {
    /// A connection's first frame. `info` is the session as others see it; its
    /// size, name, epoch and viewers are set here.
    ///
    /// An older attachment of the same viewer id is closed with `FENCED`; its
    /// lease goes on.
    ///
    /// # Errors
    /// The connection is not attached; the shell sends Closing with the
    /// refusal: `UNSUPPORTED_VERSION`, `INVALID`, `FORBIDDEN` for another's
    /// viewer id, `LIMIT`, or `PROTOCOL` for a place that does not exist.
    pub fn handle_attach(
        &mut self,
        now: Time,
        conn: ConnId,
        who: Who,
        info: pb::Session,
        attach: pb::Attach,
    ) -> Result<(), Refusal> {
        let checked = self.check(conn, &who, &attach)?;
        let number = self.admit(now, &checked, who.principal, attach.input_settled)?;
        if checked.role == pb::Role::Writer && self.exit.is_none() {
            self.lease.take_if_free(number);
        }
        let attached = self.attached(&checked, number, info, attach.input_settled);
        self.attachments.push(Attachment::new(
            conn,
            shown(&who.display_name),
            attach.winsize,
            attach.window_bytes,
            attach.input_settled,
            attached,
            &self.log,
        ));
        if let Some(attachment) = self.attachments.last_mut() {
            attachment.pace.handle_backlog(now, attachment.backlog(&self.log));
        }
        self.viewers_changed();
        self.follow_lease(now);
        Ok(())
    }

    /// Changes nothing.
    fn check(&self, conn: ConnId, who: &Who, attach: &pb::Attach) -> Result<Checked, Refusal> {
        if self.place(conn).is_some() {
            return Err(protocol("attach comes once, as the first frame"));
        }
        let version = negotiate::version("attachment", limits::FRAME_VERSIONS, &attach.versions)?;
        let features = negotiate::features(FEATURES, &attach.features)?;
        let viewer_id = <[u8; 16]>::try_from(&attach.viewer_id[..]).map_err(|_| {
            Refusal::new(Code::Invalid, "the viewer id must be 16 random bytes; attach with a new one")
        })?;
        let known = self.input.find(&viewer_id, &who.principal)?;
        let is_here = known.is_some_and(|number| self.attachments.iter().any(|other| other.number == number));
        if !is_here && self.attachments.len() >= limits::VIEWERS_PER_SESSION {
            return Err(Refusal::new(
                Code::Limit,
                format!("{} viewers are attached already; close one and try again", limits::VIEWERS_PER_SESSION),
            ));
        }
        let resume = attach.resume.filter(|resume| resume.epoch == self.epoch).map(|resume| resume.offset);
        if let Some(offset) = resume.filter(|offset| *offset > self.log.end()) {
            return Err(protocol(&format!(
                "output is to go on at {offset}, but it ends at {}; attach without resume",
                self.log.end()
            )));
        }
        let both_write = who.role == pb::Role::Writer && attach.role() == pb::Role::Writer;
        let role = if both_write { pb::Role::Writer } else { pb::Role::Viewer };
        Ok(Checked { version, features, viewer_id, role, known, resume })
    }

    /// Gives the viewer its number, and fences the older attachment that has
    /// it.
    fn admit(&mut self, now: Time, checked: &Checked, principal: String, settled: u64) -> Result<Number, Refusal> {
        let Some(number) = checked.known else {
            // A viewer that was here and was forgotten gets a number beyond all
            // that it can have sent, and so learns that its input is unknown.
            let beyond = settled.saturating_add(limits::INPUT_UNCONFIRMED_BYTES as u64 + 1);
            let next = checked.resume.map_or(0, |_| beyond);
            return Ok(self.input.remember(checked.viewer_id, principal, next, self.lease.holder()));
        };
        if checked.resume.is_some() {
            self.input.settle(number, settled)?;
        }
        if let Some(place) = self.attachments.iter().position(|other| other.number == number) {
            let older = self.attachments[place].conn;
            self.remove(now, place);
            let words = "the same viewer has attached anew; this older connection ends";
            self.actions.closes.push_back((older, Refusal::new(Code::Fenced, words)));
        }
        self.input.set_away(number, None);
        self.lease.handle_attach(number);
        Ok(number)
    }

    fn attached(&self, checked: &Checked, number: Number, info: pb::Session, settled: u64) -> pb::Attached {
        let known = self.input.known(number);
        pb::Attached {
            version: checked.version,
            features: checked.features.clone(),
            epoch: self.epoch,
            offset: checked.resume.unwrap_or(0),
            live_offset: self.log.end(),
            input_offset: known.map_or(0, |known| known.next()),
            refused: known.map(|known| known.refused_from(settled).collect()).unwrap_or_default(),
            role: checked.role.into(),
            viewer: number,
            session: Some(pb::Session {
                winsize: Some(self.winsize()),
                name: self.name.clone(),
                epoch: self.epoch,
                viewers: self.viewers() + 1,
                ..info
            }),
            query_answerer: pb::QueryAnswerer::Writer.into(),
        }
    }
}
