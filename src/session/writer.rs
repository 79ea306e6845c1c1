//! Who types, what that decides, and what all are told of it.

use super::{Attachment, ConnId, Screen, Session};
use crate::{
    code::Refusal,
    id::ViewerId,
    pb::{self, Code},
};

impl<S: Screen> Session<S> {
    pub(super) fn handle_take_lease(&mut self, conn: ConnId) -> Result<(), Refusal> {
        let Some(attachment) = self.attachments.get(&conn) else {
            return Ok(());
        };
        if attachment.role != pb::Role::Writer {
            return Err(Refusal::new(
                Code::NotWriter,
                "this attachment may only look; ask for the right to type",
            ));
        }
        let viewer = attachment.viewer_id;
        if !self.lease.is_held_by(viewer) {
            self.give_lease(viewer);
        }
        Ok(())
    }

    pub(super) fn handle_hand_over(&mut self, conn: ConnId, to: u32) {
        let is_writer =
            self.attachments.get(&conn).is_some_and(|attachment| self.lease.is_held_by(attachment.viewer_id));
        if !is_writer {
            return;
        }
        if to == 0 {
            self.lease.free();
            self.presence_changed();
            return;
        }
        let next = self.attachments.values().find(|one| one.number == to && one.role == pb::Role::Writer);
        if let Some(viewer) = next.map(|next| next.viewer_id) {
            self.give_lease(viewer);
        }
    }

    /// The attachment that holds the lease, when it is here.
    pub(super) fn writer(&self) -> Option<&Attachment> {
        let writer = self.lease.writer()?;
        self.attachments.values().find(|attachment| attachment.viewer_id == writer)
    }

    pub(super) fn give_lease(&mut self, viewer: ViewerId) {
        self.lease.give(viewer);
        self.follow(viewer);
        self.presence_changed();
    }

    /// The PTY takes the size of this viewer's terminal if it holds the lease.
    pub(super) fn follow_size_of(&mut self, viewer: ViewerId) {
        if !self.lease.is_held_by(viewer) {
            return;
        }
        let size = self.attachments.values().find(|one| one.viewer_id == viewer).and_then(|one| one.winsize);
        if let Some(size) = size {
            self.resize.wish((size != self.winsize).then_some(size));
        }
    }

    /// Programs are told the colours of this viewer's terminal if it holds the
    /// lease.
    pub(super) fn follow_theme_of(&mut self, viewer: ViewerId) {
        let here = self.attachments.values().find(|one| one.viewer_id == viewer);
        if self.lease.is_held_by(viewer)
            && let Some(attachment) = here
        {
            self.screen.set_theme(attachment.theme);
        }
    }

    /// What the one who types decides: the size and the colours.
    pub(super) fn follow(&mut self, viewer: ViewerId) {
        self.follow_size_of(viewer);
        self.follow_theme_of(viewer);
    }

    /// Somebody came or went, or the lease moved: tells everybody who is here
    /// and who types.
    pub(super) fn presence_changed(&mut self) {
        let writer = self.lease.writer();
        self.input.end_paste_of_others(writer);
        self.presence = pb::Presence {
            viewers: self
                .attachments
                .values()
                .map(|one| pb::Viewer {
                    viewer: one.number,
                    display_name: one.display_name.clone(),
                    role: one.role.into(),
                })
                .collect(),
            writer: match (self.writer(), writer) {
                (Some(writer), _) => writer.number,
                // Away for a moment: nobody else may type, and all see why.
                (None, Some(_)) => self.presence.writer,
                (None, None) => 0,
            },
        };
        self.changed = true;
        self.attachments.values_mut().for_each(|attachment| attachment.news.presence = true);
    }
}
