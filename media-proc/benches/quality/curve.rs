//! What a coder makes of a content at several quantizers, and what it would make of it in between.

/// One quantizer: all of it per picture.
#[derive(Clone, Copy)]
pub(crate) struct Point {
    pub(crate) bits: f64,
    /// Decibels of SSIM.
    pub(crate) ssim: f64,
    /// Decibels of PSNR of text.
    pub(crate) text: Option<f64>,
    pub(crate) millis: f64,
}

/// Points from the finest quantizer to the coarsest.
pub(crate) struct Curve(pub(crate) Vec<Point>);

impl Curve {
    /// The point that takes `bits`, if that lies between two quantizers.
    pub(crate) fn at_bits(&self, bits: f64) -> Option<Point> {
        self.between(|point| point.bits.ln(), bits.ln())
    }

    /// The point whose SSIM is `ssim` decibels, if that lies between two quantizers.
    pub(crate) fn at_ssim(&self, ssim: f64) -> Option<Point> {
        self.between(|point| point.ssim, ssim)
    }

    fn between(&self, measure: impl Fn(&Point) -> f64, wanted: f64) -> Option<Point> {
        self.0.windows(2).find_map(|pair| {
            let [finer, coarser] = pair else { return None };
            let (most, least) = (measure(finer), measure(coarser));
            let share = (wanted - least) / (most - least);
            (most > least && (0.0..=1.0).contains(&share)).then(|| finer.mixed(coarser, share))
        })
    }
}

impl Point {
    fn mixed(&self, coarser: &Self, share: f64) -> Self {
        let mix = |finer: f64, coarser: f64| coarser + (finer - coarser) * share;
        Self {
            bits: mix(self.bits.ln(), coarser.bits.ln()).exp(),
            ssim: mix(self.ssim, coarser.ssim),
            text: self.text.zip(coarser.text).map(|(finer, coarser)| mix(finer, coarser)),
            millis: mix(self.millis, coarser.millis),
        }
    }
}
