//! Which rows a caller may see: all, or those of the machines on which they may
//! read the audit. Rows that are about no machine are for those who may see all.

use std::sync::Arc;

use chatcode_proto::pb::{AuditRow, Permission};

use crate::{
    caller::{CallInfo, Caller},
    fleet::hub::Hub,
    people::Machine,
    shared::Shared,
};

/// What one caller may see.
#[derive(Clone, Debug)]
pub(super) struct View {
    caller: Caller,
    hub: Arc<Hub>,
}

impl View {
    pub(super) fn of(info: &CallInfo, shared: &Shared) -> Self {
        Self { caller: info.caller.clone(), hub: Arc::clone(&shared.hub) }
    }

    /// Whether the caller sees everything now.
    pub(super) fn is_whole(&self) -> bool {
        self.caller.may_everywhere(Permission::AuditRead)
    }

    /// Leaves the rows that the caller may see now.
    pub(super) fn only(&self, rows: &mut Vec<AuditRow>) {
        if self.is_whole() {
            return;
        }
        // Rows of one machine often follow each other.
        let mut last = (String::new(), false);
        rows.retain(|row| {
            if last.0 != row.gateway {
                last = (row.gateway.clone(), self.sees(&row.gateway));
            }
            last.1
        });
    }

    fn sees(&self, gateway: &str) -> bool {
        let Ok(id) = gateway.parse() else { return false };
        let labels = self.hub.labels(id);
        labels
            .is_some_and(|labels| self.caller.may_on(Permission::AuditRead, &Machine { id, labels: &labels }))
    }
}
