//! What is known of all viewers' networks together.

use super::*;

#[test]
fn networks_are_counted_once_and_the_slowest_is_named() {
    let mut house = House::new();
    assert_eq!(house.peers.take_networks().least_bps, None);
    house.join(1, CONTROL);
    house.join(2, CONTROL);
    for picture in 0..60 {
        house.show(picture == 0);
        house.run(Duration::from_millis(16));
    }
    let networks = house.peers.take_networks();
    assert!(networks.least_bps.is_some_and(|bps| bps >= 8_000_000), "{networks:?}");
    assert!(networks.arrived > 60, "{networks:?}");
    let others = (networks.lost, networks.limited_by_loss, networks.limited_by_queue);
    assert_eq!((others, networks.behind), ((0, 0, 0), 0));
    assert_eq!(house.peers.take_networks().arrived, 0);
}
