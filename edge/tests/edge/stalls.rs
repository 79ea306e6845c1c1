//! A browser that does not read costs little and holds nobody up.

use std::sync::atomic::Ordering;

use chatcode_proto::limits;

use crate::{
    house::{House, eventually_still},
    ws::Ws,
};

/// Bytes that may wait for one stalled browser: the kernel's buffers at both
/// ends of both connections, the HTTP/2 window and the write buffer.
const IN_FLIGHT_BYTES: usize = 24 * 1024 * 1024;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stalled_browser_stops_its_own_flood_and_no_other() {
    let house = House::new().await;
    let mut stalled = Ws::attached(&house.edge).await;
    stalled.send("flood").await;
    let mut other = Ws::attached(&house.edge).await;

    let taken = eventually_still(|| house.core.seen.flooded.load(Ordering::Relaxed)).await;
    assert!(taken * limits::OUTPUT_BYTES < IN_FLIGHT_BYTES, "{taken} messages are in flight");

    for number in 0..200_u32 {
        other.send(number.to_be_bytes().to_vec()).await;
        assert_eq!(other.binary().await, number.to_be_bytes().as_slice());
    }
    let later = house.core.seen.flooded.load(Ordering::Relaxed);
    assert_eq!(later, taken, "nothing more was taken for the stalled one");

    // It wakes up and finds everything in order.
    assert_eq!(stalled.binary().await, "flood");
    for _ in 0..(2 * taken) {
        assert_eq!(stalled.binary().await.len(), limits::OUTPUT_BYTES);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stalled_browser_does_not_hold_up_the_end() {
    let house = House::new().await;
    let mut stalled = Ws::attached(&house.edge).await;
    stalled.send("flood").await;
    eventually_still(|| house.core.seen.flooded.load(Ordering::Relaxed)).await;
    let begun = std::time::Instant::now();
    house.edge.stop.cancel();
    crate::house::soon(house.edge.serving).await.expect("ends well");
    assert!(begun.elapsed() < limits::SHUTDOWN * 2, "{:?}", begun.elapsed());
}
