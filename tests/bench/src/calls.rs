//! `calls`: what a unary call of a page costs, and what its row in the audit adds: the
//! core writes it down before it does anything.

use std::time::Instant;

use anyhow::ensure;
use chatcode_harness::{Page, page::Target};
use chatcode_proto::pb::{AccountsWhoAmIRequest, FleetListRequest, FleetRevokeTokenRequest};
use prost::Message;

use crate::figures::{Row, percentiles};

const SAMPLES: usize = 500;
const WARM_UP: usize = 20;

/// A call that needs nothing, one that is judged, and one that is judged and written.
pub(crate) async fn chain(page: &Page) -> anyhow::Result<Vec<Row>> {
    let revoke = FleetRevokeTokenRequest { id: "0000000000000000".to_owned() };
    Ok(vec![
        row(page, "known caller", "/chatcode.v1.Accounts/WhoAmI", &AccountsWhoAmIRequest {}, "done").await?,
        row(page, "permission", "/chatcode.v1.Fleet/List", &FleetListRequest::default(), "done").await?,
        // Taking back what there is not: that it was let in and that it was refused are two
        // rows, and nothing else is done.
        row(page, "two audit rows", "/chatcode.v1.Fleet/RevokeToken", &revoke, "invalid").await?,
    ])
}

async fn row(
    page: &Page,
    name: &str,
    method: &str,
    message: &impl Message,
    ends: &str,
) -> anyhow::Result<Row> {
    let mut took = Vec::with_capacity(SAMPLES);
    for sample in 0..WARM_UP + SAMPLES {
        let sent = Instant::now();
        let answer = page.call(method, &Target::default(), message).await?;
        if sample >= WARM_UP {
            took.push(sent.elapsed());
        }
        ensure!(answer.code() == ends, "{method}: {answer:?}");
    }
    Ok(Row::new("calls", name, percentiles(took)))
}
