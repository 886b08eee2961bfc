//! Pages that are hidden, and what is made for them.

use super::*;

const HIDDEN: [u8; 2] = [0x0e, 0];
const SHOWN: [u8; 2] = [0x0e, 1];

/// Lets the viewers receive a few pictures and counts those of each.
fn received(house: &mut House) -> Vec<usize> {
    let count = |house: &House| -> Vec<_> {
        house.viewers.iter().map(|(_, viewer)| viewer.frames.len()).collect()
    };
    let before = count(house);
    for keyframe in [true, false, false] {
        house.show(keyframe);
        house.run(Duration::from_millis(50));
    }
    count(house).iter().zip(before).map(|(after, before)| after - before).collect()
}

#[test]
fn hidden_page_is_no_watcher_and_gets_no_pictures_until_it_is_shown() {
    let mut house = House::new();
    let viewer = house.join(1, CONTROL);
    assert_eq!(received(&mut house), [3]);
    house.send(viewer, &HIDDEN);
    assert_eq!(house.watchers, 0);
    assert_eq!(received(&mut house), [0]);
    let before = house.keyframes;
    house.send(viewer, &SHOWN);
    assert_eq!((house.watchers, house.keyframes), (1, before + 1));
    assert_eq!(received(&mut house), [3]);
}

#[test]
fn hidden_page_takes_nothing_from_those_that_are_shown() {
    let mut house = House::new();
    let hidden = house.join(1, Rights { control: false });
    house.join(2, CONTROL);
    house.send(hidden, &HIDDEN);
    let keyframes = house.keyframes;
    assert_eq!((received(&mut house), house.watchers), (vec![0, 3], 1));
    assert_eq!(house.keyframes, keyframes, "nobody waits for a keyframe");
    // It cannot follow in the midst of the others' pictures.
    house.send(hidden, &SHOWN);
    assert_eq!((house.watchers, house.keyframes), (2, keyframes + 1));
    let before = house.viewers[hidden].1.frames.len();
    house.show(false);
    house.run(Duration::from_millis(50));
    assert_eq!(house.viewers[hidden].1.frames.len(), before);
    assert_eq!(received(&mut house), [3, 3]);
}

#[test]
fn page_that_says_so_again_and_again_gets_no_more_keyframes_than_one_that_asks() {
    let mut house = House::new();
    let viewer = house.join(1, CONTROL);
    house.show(true);
    let before = house.keyframes;
    for _ in 0..100 {
        house.send(viewer, &HIDDEN);
        house.send(viewer, &SHOWN);
        house.send(viewer, &SHOWN);
        house.show(true);
        house.run(Duration::from_millis(140));
    }
    let ordered = house.keyframes - before;
    assert!((8..=14).contains(&ordered), "{ordered} keyframes in twenty seconds");
}
