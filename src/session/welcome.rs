//! How an attachment begins: who comes, what it has already, and what it is
//! sent first.

use super::{Attachment, ConnId, Screen, Session, Time, Who, bounded_snapshot, clamp_winsize};
use crate::{
    code::Refusal,
    id::ViewerId,
    limits, negotiate,
    pb::{self, Code},
};

/// Features of attachments that this program has.
const FEATURES: &[&str] = &[];

/// Where the output of an attachment begins.
struct Start {
    /// The first byte that the viewer misses.
    offset: u64,
    /// It gets a snapshot instead of the bytes from there.
    anew: bool,
}

/// How many viewers may be there before this one: guests never take the last places
/// from those who share with them.
fn places(who: &Who) -> usize {
    if who.principal.starts_with("guest/") {
        limits::VIEWERS_WITH_GUESTS
    } else {
        limits::VIEWERS_PER_SESSION
    }
}

impl<S: Screen> Session<S> {
    /// The first frame of a connection: attaches its viewer. A connection that
    /// has the same viewer id is fenced. `info` is the session as the viewer is
    /// told of it.
    ///
    /// # Errors
    /// The cause for which the shell closes the connection.
    pub fn handle_attach(
        &mut self,
        now: Time,
        conn: ConnId,
        who: Who,
        info: pb::Session,
        attach: pb::Attach,
    ) -> Result<(), Refusal> {
        let version = negotiate::version("attachment", limits::FRAME_VERSIONS, &attach.versions)?;
        let features = negotiate::features(FEATURES, &attach.features)?;
        let viewer = ViewerId::try_from(attach.viewer_id.as_ref())
            .map_err(|invalid| Refusal::new(Code::Invalid, invalid.to_string()))?;
        let start = self.start_of(attach.resume)?;
        let is_newcomer = !self.attachments.values().any(|one| one.viewer_id == viewer);
        let most = places(&who);
        if is_newcomer && self.attachments.len() >= most {
            let words = format!("{most} viewers are here already; close one of them");
            return Err(Refusal::new(Code::Limit, words));
        }
        let returns = attach.resume.is_some_and(|resume| resume.epoch == self.epoch);
        let attachments = &self.attachments;
        let is_here = |viewer| attachments.values().any(|one| one.viewer_id == viewer);
        let (input_offset, refused) =
            self.input.attach(now, viewer, &who.principal, attach.input_settled, returns, is_here)?;
        self.fence(viewer);

        let role = effective_role(who.role, attach.role());
        self.last_number += 1;
        let number = self.last_number;
        let winsize = attach.winsize.map(clamp_winsize);
        let mut attachment =
            Attachment::new(viewer, number, who, role, winsize, attach.window_bytes, start.offset);
        attachment.news.attached = Some(pb::Attached {
            version,
            features,
            epoch: self.epoch,
            offset: start.offset,
            live_offset: self.log.end(),
            input_offset,
            refused,
            role: role.into(),
            viewer: number,
            session: Some(info),
        });
        attachment.theme = attach.theme;
        attachment.news.titled = !self.title.is_empty();
        if start.anew {
            let data = bounded_snapshot(&self.screen, attach.history_lines);
            attachment.begin_snapshot(data, self.log.end(), self.winsize, false);
        }
        attachment.confirm(now, self.input.settled(viewer));
        // Whoever only looks in, by a phone say, must not change the size for the others.
        let is_alone = !self
            .attachments
            .values()
            .any(|other| other.viewer_id != viewer && other.role == pb::Role::Writer);
        self.attachments.insert(conn, attachment);
        self.lease.back(viewer);
        if role == pb::Role::Writer && !self.is_exited() {
            if is_alone {
                self.lease.claim(viewer);
            }
        } else if self.lease.is_held_by(viewer) {
            self.lease.free();
        }
        self.follow(viewer);
        self.presence_changed();
        Ok(())
    }

    /// The bytes from where the viewer is, or a snapshot: never both, never
    /// neither. Sizes are not kept with the bytes, so a viewer that may have
    /// missed one is drawn anew.
    fn start_of(&self, resume: Option<pb::Resume>) -> Result<Start, Refusal> {
        let (first, end) = (self.log.start(), self.log.end());
        match resume.filter(|resume| resume.epoch == self.epoch) {
            Some(resume) if resume.offset > end => Err(Refusal::new(
                Code::Protocol,
                format!("the output ends at {end}, nobody can have {}; attach anew", resume.offset),
            )),
            Some(pb::Resume { offset, redraw, .. }) => {
                let missed_size = self.resized_at.is_some_and(|at| at >= offset);
                let missed_much = offset < first || end - offset > limits::RESUME_BYTES;
                Ok(Start { offset, anew: redraw || missed_size || missed_much })
            }
            None => Ok(Start { offset: 0, anew: true }),
        }
    }

    /// Ends the older attachment of this viewer, if there is one.
    fn fence(&mut self, viewer: ViewerId) {
        let older = self.attachments.iter().find(|(_, one)| one.viewer_id == viewer).map(|(conn, _)| *conn);
        if let Some(conn) = older {
            self.attachments.remove(&conn);
            let refusal =
                Refusal::new(Code::Fenced, "the same viewer attached anew; this attachment is over");
            self.closes.push_back((conn, refusal));
        }
    }
}

/// The lesser of what was granted and what was asked for.
const fn effective_role(granted: pb::Role, asked: pb::Role) -> pb::Role {
    match (granted, asked) {
        (pb::Role::Writer, pb::Role::Writer) => pb::Role::Writer,
        _ => pb::Role::Viewer,
    }
}
