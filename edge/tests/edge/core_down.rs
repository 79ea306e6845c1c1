//! A core that is away is said, with the time, and is found again.

use chatcode_proto::pb::{Code, FleetListRequest};

use crate::{
    house::{Ground, House, Running, run, soon},
    http::{call, frame, get},
    stub::Core,
    ws::Ws,
};

/// Waits until the edge says that the core is up, or down; its health then.
async fn health(edge: &Running, up: bool) -> serde_json::Value {
    soon(async {
        let mut tick = tokio::time::interval(std::time::Duration::from_millis(20));
        loop {
            tick.tick().await;
            let health = get(edge, "/api/health").await.json();
            if health["core"]["up"] == up {
                return health;
            }
        }
    })
    .await
}

#[tokio::test]
async fn a_core_that_goes_and_comes_is_said_with_the_time() {
    let House { ground, core, edge } = House::new().await;
    let up = health(&edge, true).await;
    assert!(up["core"]["rtt_us"].as_u64().expect("a number") > 0);
    let address = core.address;
    let mut ws = Ws::attached(&edge).await;
    ws.send("x").await;
    assert_eq!(ws.binary().await, "x");

    drop(core);
    let (code, reason) = ws.closed().await;
    assert_eq!(code, Code::CoreUnreachable.websocket(), "{reason}");
    let down = health(&edge, false).await;
    assert!(down["core"]["since_unix_ms"].as_u64() >= up["core"]["since_unix_ms"].as_u64());

    let mut ws = Ws::attached(&edge).await;
    assert_eq!(ws.closed().await.0, Code::CoreUnreachable.websocket());

    let house = House { core: Core::start(&ground.core, &address.to_string()).await, ground, edge };
    let again = health(&house.edge, true).await;
    assert!(again["core"]["since_unix_ms"].as_u64() >= down["core"]["since_unix_ms"].as_u64());
    let answer = call(&house, "/chatcode.v1.Fleet/List", &[], frame(&FleetListRequest::default())).await;
    assert_eq!(answer.code(), "none");
}

#[tokio::test]
async fn calls_without_a_core_are_refused_with_their_code_and_the_page_still_comes() {
    let House { ground, core, edge } = House::new().await;
    let token = core.seen.token.clone();
    let address = core.address;
    drop(core);
    health(&edge, false).await;
    // The helper wants a core for its cookie; this one is on another port.
    let elsewhere = Core::start(&ground.core, "127.0.0.1:0").await;
    assert_ne!(elsewhere.address, address);
    assert_eq!(elsewhere.seen.token, token);
    let house = House { ground, core: elsewhere, edge };
    let answer = call(&house, "/chatcode.v1.Fleet/List", &[], frame(&FleetListRequest::default())).await;
    assert_eq!((answer.status, answer.code().as_str()), (200, "core_unreachable"));
    assert_eq!(answer.headers["grpc-status"], "14");
    assert_eq!(get(&house.edge, "/").await.status, 200);
    assert_eq!(get(&house.edge, "/healthz").await.status, 200);
}

#[tokio::test]
async fn a_core_of_another_installation_is_no_core() {
    let (ours, theirs) = (Ground::new(), Ground::new());
    let core = Core::start(&theirs.core, "127.0.0.1:0").await;
    let edge = run(&ours.config(core.address.to_string())).await;
    let mut ws = Ws::attached(&edge).await;
    assert_eq!(ws.closed().await.0, Code::CoreUnreachable.websocket());
    assert_eq!(core.seen.count(), 0, "no ticket went to it");
}
