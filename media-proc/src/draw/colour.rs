//! From RGB to luma and chroma, once for a graphics processor and once in plain numbers, from one table of
//! weights: the second is what the first is compared with.
//!
//! BT.601, limited range, chroma averaged over each 2×2 block, as in [`crate::convert`], which says why. All
//! numbers are integers below 2³¹, so both give the same results, bit for bit.

use super::gl::Channels;

/// Weights of red, green and blue in 65536ths, and what is added so that the result is rounded and has
/// its offset.
struct Weights {
    red: i32,
    green: i32,
    blue: i32,
    added: i32,
}

/// Luma of one pixel: offset 16.
const LUMA: Weights = Weights { red: 16_829, green: 33_039, blue: 6_416, added: 1_081_344 };
/// Blue-difference chroma of the sum of four pixels: offset 128.
const BLUE: Weights = Weights { red: -2_428, green: -4_768, blue: 7_196, added: 8_421_376 };
/// Red-difference chroma of the same.
const RED: Weights = Weights { red: 7_196, green: -6_026, blue: -1_170, added: 8_421_376 };

impl Weights {
    fn of(&self, [red, green, blue]: [i32; 3]) -> u8 {
        let sum = self.red * red + self.green * green + self.blue * blue + self.added;
        // Within 16 to 240 for every sum of colours.
        (sum >> 16) as u8
    }

    fn text(&self, colour: &str) -> String {
        let Self { red, green, blue, added } = self;
        format!(
            "float(({red} * {colour}.r + {green} * {colour}.g + {blue} * {colour}.b + {added}) >> 16)"
        )
    }
}

/// Luma of a colour.
#[must_use]
pub fn luma(colour: [u8; 3]) -> u8 {
    LUMA.of(colour.map(i32::from))
}

/// Both chroma samples, blue difference first, of four pixels.
#[must_use]
pub fn chroma(colours: [[u8; 3]; 4]) -> [u8; 2] {
    let sum = colours.into_iter().fold([0; 3], |sum: [i32; 3], colour| {
        std::array::from_fn(|channel| sum[channel] + i32::from(colour[channel]))
    });
    [BLUE.of(sum), RED.of(sum)]
}

/// The shader that makes luma (one channel) or chroma (two) of the pixels of a texture as large as the
/// picture. The parameters are where its last pixel is. Surfaces of whole macroblocks go on beyond the picture:
/// there its edge is repeated, which costs the fewest bits.
#[must_use]
pub fn shader(channels: Channels) -> String {
    let body = if channels == Channels::Two {
        let (blue, red) = (BLUE.text("sum"), RED.text("sum"));
        format!(
            "ivec2 place = ivec2(gl_FragCoord.xy) * 2;
             ivec3 sum = pixel(place) + pixel(place + ivec2(1, 0)) + pixel(place + ivec2(0, 1))
                 + pixel(place + ivec2(1, 1));
             result = vec4({blue} / 255.0, {red} / 255.0, 0.0, 1.0);"
        )
    } else {
        let luma = LUMA.text("colour");
        format!(
            "ivec3 colour = pixel(ivec2(gl_FragCoord.xy));
             result = vec4({luma} / 255.0, 0.0, 0.0, 1.0);"
        )
    };
    format!(
        "#version 300 es
         precision highp float;
         precision highp int;
         uniform highp sampler2D picture;
         uniform vec4 parameters;
         in vec2 place_of;
         out vec4 result;
         ivec3 pixel(ivec2 place) {{
             ivec2 there = min(place, ivec2(parameters.xy));
             return ivec3(texelFetch(picture, there, 0).rgb * 255.0 + 0.5);
         }}
         void main() {{ {body} }}"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn black_white_and_primaries_have_the_standards_samples() {
        // ITU-R BT.601-7, section 2.5.3, at eight bits.
        for (colour, expected) in [
            ([0, 0, 0], (16, [128, 128])),
            ([255, 255, 255], (235, [128, 128])),
            ([255, 0, 0], (81, [90, 240])),
            ([0, 255, 0], (145, [54, 34])),
            ([0, 0, 255], (41, [240, 110])),
        ] {
            assert_eq!((luma(colour), chroma([colour; 4])), expected, "{colour:?}");
        }
    }
}
