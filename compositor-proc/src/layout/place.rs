//! The place of a window, and how much it is shrunk. Pure.

use smithay::utils::{Logical, Point, Rectangle, Size};

/// The place of a window's content on the screen.
///
/// Content that does not fit its room is shown smaller, in its own proportions, so that all of it
/// is visible and reachable. It is never enlarged.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Place {
    /// The area that it covers on the screen.
    pub shown: Rectangle<i32, Logical>,
    /// The size of one of its pixels on the screen, above 0 and at most 1.
    pub shrink: f64,
}

impl Place {
    /// Centres `content` over `over`, moved and shrunk to fit into `room`.
    #[must_use]
    pub fn centred(
        content: Size<i32, Logical>,
        over: Rectangle<i32, Logical>,
        room: Rectangle<i32, Logical>,
    ) -> Self {
        let ratio = |room: i32, content: i32| f64::from(room.max(1)) / f64::from(content.max(1));
        let shrink = ratio(room.size.w, content.w).min(ratio(room.size.h, content.h)).min(1.0);
        let size: Size<i32, Logical> = if shrink < 1.0 {
            let length = |length: i32, room: i32| {
                ((f64::from(length) * shrink).round() as i32).clamp(1, room.max(1))
            };
            (length(content.w, room.size.w), length(content.h, room.size.h)).into()
        } else {
            content
        };
        let axis =
            |over_start: i32, over_length: i32, start: i32, room_length: i32, length: i32| {
                let middle = over_start + (over_length - length) / 2;
                middle.min(start + room_length - length).max(start)
            };
        let corner = Point::from((
            axis(over.loc.x, over.size.w, room.loc.x, room.size.w, size.w),
            axis(over.loc.y, over.size.h, room.loc.y, room.size.h, size.h),
        ));
        Self { shown: Rectangle::new(corner, size), shrink }
    }

    /// Converts a point of the screen into the content's pixels, from its top left corner.
    #[must_use]
    pub fn in_content(&self, at: Point<f64, Logical>) -> Point<f64, Logical> {
        (at - self.shown.loc.to_f64()).downscale(self.shrink)
    }

    /// Converts a rectangle of the screen into the content's pixels, from its top left corner.
    #[must_use]
    pub fn rectangle_in_content(&self, area: Rectangle<i32, Logical>) -> Rectangle<i32, Logical> {
        let corner = self.in_content(area.loc.to_f64());
        let size = area.size.to_f64().downscale(self.shrink);
        Rectangle::new(corner, size).to_i32_down()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn room() -> Rectangle<i32, Logical> {
        // Below a panel of 30 pixels.
        Rectangle::new((0, 30).into(), (800, 570).into())
    }

    #[test]
    fn small_content_is_centred_and_shown_as_it_is() {
        let place = Place::centred((640, 360).into(), room(), room());
        assert_eq!(place.shown, Rectangle::new((80, 135).into(), (640, 360).into()));
        assert!((place.shrink - 1.0).abs() < f64::EPSILON);
    }

    #[test]
    fn large_content_is_shown_whole_in_its_own_proportions() {
        let place = Place::centred((1600, 570).into(), room(), room());
        assert_eq!(place.shown, Rectangle::new((0, 172).into(), (800, 285).into()));
        assert_eq!(place.in_content((400.0, 182.0).into()), (800.0, 20.0).into());
    }

    #[test]
    fn rectangle_in_content_of_the_room_is_as_large_as_the_content_has_room_for() {
        let place = Place::centred((1600, 570).into(), room(), room());
        let area = place.rectangle_in_content(room());
        assert_eq!(area, Rectangle::new((0, -284).into(), (1600, 1140).into()));
    }

    proptest! {
        #[test]
        fn all_of_any_content_lies_in_its_room(
            width in 1..20_000, height in 1..20_000, x in -500..1500, y in -500..1500,
        ) {
            let over = Rectangle::new((x, y).into(), (300, 200).into());
            let place = Place::centred((width, height).into(), over, room());
            prop_assert!(room().contains_rect(place.shown), "{place:?}");
            prop_assert!(place.shrink > 0.0 && place.shrink <= 1.0);
        }
    }
}
