//! Where the corners of a layer come to lie, and which part of its buffer they show. Pure.

use lumen_ipc::{
    message::frames::{Crop, Place, Rect, Transform},
    units::FrameSize,
};

use super::gl::Corner;

/// The four corners of a rectangle, in the order of a strip of triangles.
const UNIT: [[f64; 2]; 4] = [[0.0, 0.0], [1.0, 0.0], [0.0, 1.0], [1.0, 1.0]];

/// The corners of a layer on a frame, which shows a part of a buffer of this width and height, or has none.
#[must_use]
pub fn corners(
    frame: FrameSize,
    place: Place,
    shown: Option<(Crop, Transform, (u16, u16))>,
) -> [Corner; 4] {
    let ((x, y), (width, height)) = (place.corner(), place.size());
    let (across, down) = (f64::from(frame.width()), f64::from(frame.height()));
    UNIT.map(|[u, v]| {
        let left = f64::from(x) + u * f64::from(width);
        let top = f64::from(y) + v * f64::from(height);
        let of = shown.map_or([0.0; 2], |(crop, transform, size)| {
            let ([u, v], [x, y, width, height]) = (turned([u, v], transform), crop.pixels());
            let (across, down) = (f64::from(size.0), f64::from(size.1));
            [((x + u * width) / across) as f32, ((y + v * height) / down) as f32]
        });
        // The first row of a frame is the lowest for OpenGL, and is read first.
        Corner { at: [(2.0 * left / across - 1.0) as f32, (2.0 * top / down - 1.0) as f32], of }
    })
}

/// Which part of an untransformed buffer is shown at a part of the layer, both from 0 to 1.
fn turned([u, v]: [f64; 2], transform: Transform) -> [f64; 2] {
    match transform {
        Transform::Normal => [u, v],
        Transform::Turned90 => [v, 1.0 - u],
        Transform::Turned180 => [1.0 - u, 1.0 - v],
        Transform::Turned270 => [1.0 - v, u],
        Transform::Mirrored => [1.0 - u, v],
        Transform::Mirrored90 => [v, u],
        Transform::Mirrored180 => [u, 1.0 - v],
        Transform::Mirrored270 => [1.0 - v, 1.0 - u],
    }
}

/// Whether a layer shows pixels of its buffer one by one, neither enlarged nor shrunk nor between two.
#[must_use]
pub fn is_exact(place: Place, crop: Crop, transform: Transform) -> bool {
    let [x, y, width, height] = crop.pixels();
    let (across, down) = match transform {
        Transform::Turned90
        | Transform::Turned270
        | Transform::Mirrored90
        | Transform::Mirrored270 => (height, width),
        Transform::Normal | Transform::Turned180 | Transform::Mirrored | Transform::Mirrored180 => {
            (width, height)
        }
    };
    let shown = place.size();
    (f64::from(shown.0), f64::from(shown.1)) == (across, down)
        && x.fract() == 0.0
        && y.fract() == 0.0
}

/// Whether a layer reaches into a part of the frame.
#[must_use]
pub fn reaches(place: Place, part: Rect) -> bool {
    let ((x, y), (width, height)) = (place.corner(), place.size());
    let meets = |start: i32, length: u32, from: u16, size: u16| {
        let (start, from) = (i64::from(start), i64::from(from));
        start < from + i64::from(size) && from < start + i64::from(length)
    };
    meets(x, width, part.x, part.width) && meets(y, height, part.y, part.height)
}

#[cfg(test)]
mod tests {
    use lumen_ipc::units::BufferSize;

    use super::*;

    fn size(width: u64, height: u64) -> BufferSize {
        BufferSize::new(width, height).expect("legal")
    }

    fn frame() -> FrameSize {
        FrameSize::new(64, 32).expect("legal")
    }

    #[test]
    fn layer_over_the_whole_frame_shows_all_of_its_buffer() {
        let place = Place::new(0, 0, 64, 32).expect("legal");
        let shown = Some((Crop::whole(size(64, 32)), Transform::Normal, (64, 32)));
        let corner = |at, of| Corner { at, of };
        let expected = [
            corner([-1.0, -1.0], [0.0, 0.0]),
            corner([1.0, -1.0], [1.0, 0.0]),
            corner([-1.0, 1.0], [0.0, 1.0]),
            corner([1.0, 1.0], [1.0, 1.0]),
        ];
        assert_eq!(corners(frame(), place, shown), expected);
    }

    #[test]
    fn crop_and_place_show_the_part_where_it_belongs() {
        let place = Place::new(-32, 16, 64, 16).expect("legal");
        let crop = Crop::new([32.0, 8.0, 16.0, 4.0], size(64, 16)).expect("inside");
        let [first, _, _, last] =
            corners(frame(), place, Some((crop, Transform::Normal, (64, 16))));
        assert_eq!((first.at, last.at), ([-2.0, 0.0], [0.0, 1.0]));
        assert_eq!((first.of, last.of), ([0.5, 0.5], [0.75, 0.75]));
    }

    #[test]
    fn each_transform_is_one_to_one_and_a_quarter_turn_four_times_is_none() {
        use Transform::*;
        let all = [
            Normal,
            Turned90,
            Turned180,
            Turned270,
            Mirrored,
            Mirrored90,
            Mirrored180,
            Mirrored270,
        ];
        let seen = |transform| UNIT.map(|corner| turned(corner, transform));
        for (number, one) in all.into_iter().enumerate() {
            let corners = seen(one);
            assert!(UNIT.iter().all(|corner| corners.contains(corner)), "{one:?}");
            assert!(all[..number].iter().all(|other| seen(*other) != corners), "{one:?}");
        }
        let four = (0..4).fold([0.25, 0.75], |place, _| turned(place, Turned90));
        assert_eq!(four, [0.25, 0.75]);
    }

    #[test]
    fn layer_is_exact_only_if_each_pixel_is_one_of_its_buffer() {
        let place = Place::new(3, 4, 20, 10).expect("legal");
        let crop =
            |x, width, height| Crop::new([x, 0.0, width, height], size(64, 64)).expect("inside");
        assert!(is_exact(place, crop(5.0, 20.0, 10.0), Transform::Mirrored));
        assert!(is_exact(place, crop(5.0, 10.0, 20.0), Transform::Turned90));
        assert!(!is_exact(place, crop(5.0, 20.0, 10.0), Transform::Turned90));
        assert!(!is_exact(place, crop(5.5, 20.0, 10.0), Transform::Normal));
        assert!(!is_exact(place, crop(5.0, 40.0, 20.0), Transform::Normal));
    }

    #[test]
    fn layer_reaches_into_what_it_covers_and_not_into_what_it_touches() {
        let place = Place::new(-8, 0, 16, 16).expect("legal");
        let part = |x| Rect { x, y: 0, width: 8, height: 8 };
        assert!(reaches(place, part(0)) && reaches(place, part(7)));
        assert!(!reaches(place, part(8)));
    }
}
