//! Bounds the number of damage rectangles of a surface. Pure.

use smithay::{utils::Rectangle, wayland::compositor::Damage};

/// Most rectangles that are kept separate. Apps send some dozens.
pub const MOST_RECTANGLES: usize = 128;

/// Merges `damage` into one rectangle of each kind if there are too many.
pub fn coarsen(damage: &mut Vec<Damage>) {
    if damage.len() <= MOST_RECTANGLES {
        return;
    }
    let surface = damage.iter().filter_map(|part| match part {
        Damage::Surface(rectangle) => Some(*rectangle),
        Damage::Buffer(_) => None,
    });
    let buffer = damage.iter().filter_map(|part| match part {
        Damage::Buffer(rectangle) => Some(*rectangle),
        Damage::Surface(_) => None,
    });
    let surface = surface.reduce(around).map(Damage::Surface);
    let buffer = buffer.reduce(around).map(Damage::Buffer);
    *damage = surface.into_iter().chain(buffer).collect();
}

/// The smallest rectangle around both. Apps send the largest integer for "everything", so sums of
/// coordinates can overflow.
fn around<Kind>(one: Rectangle<i32, Kind>, other: Rectangle<i32, Kind>) -> Rectangle<i32, Kind> {
    if one.is_empty() {
        return other;
    }
    if other.is_empty() {
        return one;
    }
    let axis = |start: (i32, i32), length: (i32, i32)| {
        let first = start.0.min(start.1);
        let end = |start: i32, length: i32| i64::from(start) + i64::from(length);
        let last = end(start.0, length.0).max(end(start.1, length.1));
        let length = i32::try_from(last - i64::from(first)).unwrap_or(i32::MAX);
        (first, length)
    };
    let (x, width) = axis((one.loc.x, other.loc.x), (one.size.w, other.size.w));
    let (y, height) = axis((one.loc.y, other.loc.y), (one.size.h, other.size.h));
    Rectangle::new((x, y).into(), (width, height).into())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use smithay::utils::{Buffer, Logical};

    use super::*;

    fn surface(x: i32, y: i32, width: i32, height: i32) -> Damage {
        Damage::Surface(Rectangle::<i32, Logical>::new((x, y).into(), (width, height).into()))
    }

    fn buffer(x: i32, y: i32, width: i32, height: i32) -> Damage {
        Damage::Buffer(Rectangle::<i32, Buffer>::new((x, y).into(), (width, height).into()))
    }

    fn edges(damage: &Damage) -> (bool, [i64; 4]) {
        let edges = |x: i32, y: i32, width: i32, height: i32| {
            let [x, y, width, height] = [x, y, width, height].map(i64::from);
            [x, y, x + width, y + height]
        };
        match damage {
            Damage::Surface(part) => {
                (true, edges(part.loc.x, part.loc.y, part.size.w, part.size.h))
            }
            Damage::Buffer(part) => {
                (false, edges(part.loc.x, part.loc.y, part.size.w, part.size.h))
            }
        }
    }

    #[test]
    fn coarsen_leaves_what_apps_state_as_it_is() {
        let mut damage: Vec<Damage> =
            (0..128).map(|index| buffer(index, 2 * index, 1, 1)).collect();
        coarsen(&mut damage);
        assert_eq!(damage.len(), MOST_RECTANGLES);
    }

    #[test]
    fn coarsen_of_everything_is_everything() {
        let mut damage: Vec<Damage> = (0..200).map(|_| surface(0, 0, i32::MAX, i32::MAX)).collect();
        damage.push(surface(-5, 7, 1, 1));
        coarsen(&mut damage);
        let all = [-5, 0, i64::from(i32::MAX) - 5, i64::from(i32::MAX)];
        assert_eq!(damage.iter().map(edges).collect::<Vec<_>>(), [(true, all)]);
    }

    proptest! {
        #[test]
        fn coarsen_covers_all_that_was_damaged_in_few_rectangles(
            parts in prop::collection::vec(
                (any::<bool>(), -5000..5000, -5000..5000, 0..5000, 0..5000), 0..400,
            )
        ) {
            let make = |&(is_surface, x, y, width, height): &(bool, i32, i32, i32, i32)| {
                if is_surface { surface(x, y, width, height) } else { buffer(x, y, width, height) }
            };
            let before: Vec<Damage> = parts.iter().map(make).collect();
            let mut after: Vec<Damage> = parts.iter().map(make).collect();
            coarsen(&mut after);
            prop_assert!(after.len() <= MOST_RECTANGLES);
            for (kind, [left, top, right, bottom]) in before.iter().map(edges) {
                let covered = after.iter().map(edges).any(|(of, part)| {
                    of == kind
                        && part[0] <= left && part[1] <= top && part[2] >= right && part[3] >= bottom
                });
                prop_assert!(covered || left == right || top == bottom);
            }
        }
    }
}
