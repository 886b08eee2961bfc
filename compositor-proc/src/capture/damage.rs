//! Converts the renderer's damage into that of the `frames` link. Pure.

use lumen_ipc::{
    message::frames::{Damage, Rect},
    units::FrameSize,
};
use smithay::utils::{Physical, Rectangle};

/// The changed parts of a frame of `size`: `rects` clipped to the frame, or their bounding box if a
/// message cannot carry so many. `None` if none of them lies in the frame.
#[must_use]
pub fn damage_of(rects: &[Rectangle<i32, Physical>], size: FrameSize) -> Option<Damage> {
    let frame = Rectangle::from_size((i32::from(size.width()), i32::from(size.height())).into());
    let inside = rects.iter().filter_map(|rect| rect.intersection(frame));
    let mut parts: Vec<Rect> = inside.clone().filter_map(rect_of).collect();
    if parts.len() > Damage::MAX_RECTS {
        parts = inside.reduce(Rectangle::merge).and_then(rect_of).into_iter().collect();
    }
    if parts.is_empty() {
        return None;
    }
    // Cannot fail: the rectangles are few, not empty, and inside the frame.
    Damage::new(parts).ok()
}

/// `None` for an empty rectangle; inside a frame no coordinate exceeds 4096.
fn rect_of(rect: Rectangle<i32, Physical>) -> Option<Rect> {
    let side = |length: i32| u16::try_from(length).ok();
    let whole = Rect {
        x: side(rect.loc.x)?,
        y: side(rect.loc.y)?,
        width: side(rect.size.w)?,
        height: side(rect.size.h)?,
    };
    (whole.width > 0 && whole.height > 0).then_some(whole)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn size() -> FrameSize {
        FrameSize::new(640, 480).expect("legal size")
    }

    fn rect(x: i32, y: i32, width: i32, height: i32) -> Rectangle<i32, Physical> {
        Rectangle::new((x, y).into(), (width, height).into())
    }

    #[test]
    fn damage_of_rect_across_the_edge_is_cut() {
        let damage = damage_of(&[rect(-10, 470, 20, 20)], size());
        let part = Rect { x: 0, y: 470, width: 10, height: 10 };
        assert_eq!(damage, Damage::new(vec![part]).ok());
    }

    #[test]
    fn damage_of_nothing_inside_is_none() {
        assert_eq!(damage_of(&[rect(640, 0, 5, 5), rect(3, 3, 0, 9)], size()), None);
    }

    #[test]
    fn damage_of_too_many_rects_is_their_bounding_box() {
        let many: Vec<_> = (0..100).map(|index| rect(index * 2, index, 1, 1)).collect();
        let whole = Rect { x: 0, y: 0, width: 199, height: 100 };
        assert_eq!(damage_of(&many, size()), Damage::new(vec![whole]).ok());
    }

    proptest! {
        #[test]
        fn damage_of_anything_lies_in_the_frame_and_covers_what_did(
            rects in prop::collection::vec((-700..700, -700..700, 0..1500, 0..1500), 0..150)
        ) {
            let rects: Vec<_> =
                rects.into_iter().map(|(x, y, width, height)| rect(x, y, width, height)).collect();
            let parts = damage_of(&rects, size()).map(Vec::from).unwrap_or_default();
            let damage = Damage::new(parts.clone()).expect("legal damage");
            prop_assert!(damage.rects_within(size()).is_ok());
            for part in rects.iter().filter_map(|part| part.intersection(rect(0, 0, 640, 480))) {
                let covered = parts.iter().any(|whole| {
                    rect(whole.x.into(), whole.y.into(), whole.width.into(), whole.height.into())
                        .contains_rect(part)
                });
                prop_assert!(covered || part.size.w == 0 || part.size.h == 0);
            }
        }
    }
}
