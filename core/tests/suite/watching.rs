//! A watch of the audit that broke off, and goes on.

use chatcode_core::store::audit::Entry;
use chatcode_proto::pb::{
    AuditFilter, AuditWatchRequest, AuditWatchResponse, audit_client::AuditClient,
    audit_watch_response::Event,
};
use tonic::Streaming;

use crate::common::{TestCore, eventually};

/// What the next row is about.
async fn next(events: &mut Streaming<AuditWatchResponse>) -> String {
    loop {
        if let Some(Event::Row(row)) = events.message().await.unwrap().unwrap().event {
            return row.action;
        }
    }
}

#[tokio::test]
async fn a_watch_that_broke_off_goes_on_where_it_was_without_a_gap_and_tells_nothing_twice() {
    let core = TestCore::start().await;
    let admin = core.admin().await;
    let write = async |range: std::ops::Range<u32>| {
        for number in range {
            let who = if number % 2 == 0 { "robot" } else { "other" };
            core.shared.store.audit(&Entry::new(who, format!("act {number}"))).await.unwrap();
        }
    };
    write(0..40).await;
    let told = eventually("the rows are there", async || {
        core.audit().await.into_iter().find(|row| row.action == "act 20").map(|row| row.number)
    });
    let filter = Some(AuditFilter { principal: "robot".to_owned(), ..Default::default() });
    let request = AuditWatchRequest { filter: filter.clone(), from_number: told.await + 1 };
    let mut again = AuditClient::new(admin.clone()).watch(request).await.unwrap().into_inner();
    // What comes while the rows of before are told comes after them.
    write(40..60).await;
    for number in (22..60).step_by(2) {
        assert_eq!(next(&mut again).await, format!("act {number}"));
    }
    // Beyond the last row there is nothing to begin with but what comes.
    let request = AuditWatchRequest { filter, from_number: u64::MAX };
    let mut later = AuditClient::new(admin).watch(request).await.unwrap().into_inner();
    later.message().await.unwrap();
    write(60..61).await;
    assert_eq!(next(&mut later).await, "act 60");
}
