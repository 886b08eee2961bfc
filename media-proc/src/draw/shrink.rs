//! A smaller picture, once by a graphics processor and once in plain numbers. Each pixel is the mean of the area that
//! it covers, as in [`crate::convert::Reduced`], which does the same with samples.
//!
//! All numbers are integers below 2³²: 255 times the pixels of the largest frame.

use lumen_ipc::units::FrameSize;

/// The shader that makes the smaller picture. The parameters are both sizes, that of the texture first.
pub const SHADER: &str = "#version 300 es
    precision highp float;
    precision highp int;
    uniform highp sampler2D picture;
    uniform vec4 parameters;
    in vec2 place_of;
    out vec4 result;
    void main() {
        ivec2 from = ivec2(parameters.xy);
        ivec2 to = ivec2(parameters.zw);
        ivec2 begin = ivec2(gl_FragCoord.xy) * from;
        ivec2 end = begin + from;
        ivec2 first = begin / to;
        ivec2 last = (end - 1) / to;
        uvec3 sum = uvec3(0u);
        for (int y = first.y; y <= last.y; y++) {
            int high = min(end.y, (y + 1) * to.y) - max(begin.y, y * to.y);
            for (int x = first.x; x <= last.x; x++) {
                int wide = min(end.x, (x + 1) * to.x) - max(begin.x, x * to.x);
                uvec3 pixel = uvec3(texelFetch(picture, ivec2(x, y), 0).rgb * 255.0 + 0.5);
                sum += uint(wide * high) * pixel;
            }
        }
        uint area = uint(from.x) * uint(from.y);
        result = vec4(vec3((sum + area / 2u) / area) / 255.0, 1.0);
    }";

/// The parameters.
#[must_use]
pub fn parameters(from: FrameSize, to: FrameSize) -> [f32; 4] {
    [from.width(), from.height(), to.width(), to.height()].map(f32::from)
}

/// A pixel of the smaller picture.
#[must_use]
pub fn mean(
    (from, to): (FrameSize, FrameSize),
    (x, y): (u16, u16),
    colour_at: &dyn Fn(u16, u16) -> [u8; 3],
) -> [u8; 3] {
    let (columns, rows) = (
        covered(x, from.width().into(), to.width().into()),
        covered(y, from.height().into(), to.height().into()),
    );
    let mut sum = [0_u32; 3];
    for (y, high) in &rows {
        for (x, wide) in &columns {
            let colour = colour_at(*x, *y);
            sum.iter_mut().zip(colour).for_each(|(sum, one)| *sum += wide * high * u32::from(one));
        }
    }
    let area = u32::from(from.width()) * u32::from(from.height());
    // A mean of bytes is a byte.
    sum.map(|sum| ((sum + area / 2) / area) as u8)
}

/// What one place covers of a longer side: each place there, and how much of it.
fn covered(at: u16, from: u32, to: u32) -> Vec<(u16, u32)> {
    let begin = u32::from(at) * from;
    let end = begin + from;
    let part = |place: u32| {
        let wide = end.min((place + 1) * to) - begin.max(place * to);
        (place as u16, wide) // of a side of at most 4096
    };
    (begin / to..=(end - 1) / to).map(part).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mean_weighs_by_what_is_covered() {
        let sizes = (FrameSize::nearest(64, 64), FrameSize::nearest(48, 48));
        // The first covers one and a third in each direction.
        let colour = |x: u16, y: u16| if (x, y) == (0, 0) { [144, 0, 255] } else { [0, 0, 255] };
        assert_eq!(mean(sizes, (0, 0), &colour), [81, 0, 255]);
        assert_eq!(mean(sizes, (1, 0), &colour), [0, 0, 255]);
        assert_eq!(mean(sizes, (47, 47), &|x, _| [x as u8; 3]), [63; 3]);
    }
}
