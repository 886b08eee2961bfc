//! A page that scrolls: letters, a photograph's kind of colours beside them, and nothing of anybody's.

use lumen_ipc::units::FrameSize;

/// Rows by which it scrolls from picture to picture.
const STEP: usize = 3;

/// The page, in BGRX.
#[derive(Clone, Debug)]
pub struct Scene {
    size: FrameSize,
    pixels: Vec<u8>,
}

impl Scene {
    /// A page for pictures of this size, twice as high.
    #[must_use]
    pub fn new(size: FrameSize) -> Self {
        let (width, height) = (usize::from(size.width()), usize::from(size.height()) * 2);
        let pixel = |at: usize| {
            let (x, y) = (at % width, at / width);
            let chance = (x / 7 + y / 14 * 97 + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
            let stroke = chance >> ((y % 14 / 2) * 3 + x % 7 / 3) & 1 == 1;
            match (x * 3 > width * 2, stroke) {
                (true, _) => [(x * y / 9) as u8, (x + y) as u8, (y / 2) as u8, 0],
                (false, true) => [(chance >> 20) as u8 / 2, 30, 60, 0],
                (false, false) => [250, 250, 245, 0],
            }
        };
        Self { size, pixels: (0..width * height).flat_map(pixel).collect() }
    }

    /// The size of its pictures.
    #[must_use]
    pub const fn size(&self) -> FrameSize {
        self.size
    }

    /// The pixels of a picture, row after row.
    #[must_use]
    pub fn picture(&self, number: usize) -> &[u8] {
        let top = number * STEP % usize::from(self.size.height());
        let begin = top * self.size.stride_bytes();
        self.pixels.get(begin..begin + self.size.frame_bytes()).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_picture_is_whole_and_differs_from_the_one_before() {
        let size = FrameSize::nearest(64, 32);
        let scene = Scene::new(size);
        for number in 0..100 {
            assert_eq!(scene.picture(number).len(), size.frame_bytes());
            assert_ne!(scene.picture(number), scene.picture(number + 1));
        }
    }
}
