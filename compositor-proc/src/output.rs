//! The output, and how often it may change its size. [`Resizing`] is pure.

use std::time::{Duration, Instant};

use lumen_ipc::units::{Fps, FrameSize, OutputId, OutputSize};
use smithay::{
    output::{Mode, Output, PhysicalProperties, Scale as Announced, Subpixel},
    reexports::wayland_server::protocol::wl_surface::WlSurface,
    utils::{Logical, Rectangle, Scale, Transform},
    wayland::{
        compositor::{SurfaceData, send_surface_state},
        fractional_scale::with_fractional_scale,
    },
};

/// The output as apps see it.
#[derive(Debug)]
pub struct DesktopOutput {
    /// Its id on links.
    pub id: OutputId,
    /// The Wayland global.
    pub wayland: Output,
    /// Its size.
    pub size: OutputSize,
    /// Its next size.
    pub resizing: Resizing,
    max_fps: Fps,
}

impl DesktopOutput {
    /// An output of `size` that announces a refresh rate of `max_fps` to apps.
    #[must_use]
    pub fn new(size: OutputSize, max_fps: Fps) -> Self {
        let wayland = Output::new(
            "LUMEN-1".to_owned(),
            PhysicalProperties {
                size: (0, 0).into(),
                subpixel: Subpixel::Unknown,
                make: "Lumen".to_owned(),
                model: "Browser".to_owned(),
            },
        );
        let (id, resizing) = (OutputId::PRIMARY, Resizing::default());
        let mut output = Self { id, wayland, size, resizing, max_fps };
        output.set_size(size);
        output
    }

    /// Changes the output's size and tells apps.
    pub fn set_size(&mut self, size: OutputSize) {
        let mode = Mode {
            size: (i32::from(size.pixels.width()), i32::from(size.pixels.height())).into(),
            // In millihertz, as required by wl_output.
            refresh: i32::from(self.rate_of(size.pixels).value()) * 1000,
        };
        let old = self.wayland.current_mode();
        // Apps that only know integer scales are told the next larger one: content drawn too finely
        // is scaled down, which looks better than the reverse.
        let scale = match size.scale.whole() {
            Some(whole) => Announced::Integer(whole.into()),
            None => Announced::Fractional(size.scale.factor()),
        };
        let place = (0, 0).into();
        self.wayland.change_current_state(
            Some(mode),
            Some(Transform::Normal),
            Some(scale),
            Some(place),
        );
        self.wayland.set_preferred(mode);
        if let Some(old) = old.filter(|old| *old != mode) {
            self.wayland.delete_mode(old);
        }
        self.size = size;
    }

    /// The highest frame rate at its size.
    #[must_use]
    pub fn rate(&self) -> Fps {
        self.rate_of(self.size.pixels)
    }

    /// The rate that decoders can handle at this size, which limits the encoder.
    fn rate_of(&self, size: FrameSize) -> Fps {
        self.max_fps.min(size.fastest())
    }

    /// Its rectangle in logical pixels.
    #[must_use]
    pub fn rectangle(&self) -> Rectangle<i32, Logical> {
        Rectangle::from_size(self.size.logical().into())
    }

    /// Frame pixels for each logical pixel.
    #[must_use]
    pub fn scale(&self) -> Scale<f64> {
        self.size.scale.factor().into()
    }

    /// Sends a surface its preferred scale.
    pub fn advise(&self, surface: &WlSurface, states: &SurfaceData) {
        let whole = self.wayland.current_scale().integer_scale();
        send_surface_state(surface, states, whole, Transform::Normal);
        with_fractional_scale(states, |scale| {
            scale.set_preferred_scale(self.size.scale.factor());
        });
    }
}

/// Bounds how often the output changes its size, however fast a viewer drags its window: every size
/// costs new buffers, a keyframe, and a redraw by every app.
#[derive(Debug, Default)]
pub struct Resizing {
    wanted: Option<OutputSize>,
    last: Option<Instant>,
}

impl Resizing {
    /// Least time between two sizes.
    pub const PAUSE: Duration = Duration::from_millis(200);

    /// Sets the wanted size; `None` keeps the current one.
    pub const fn want(&mut self, size: Option<OutputSize>) {
        self.wanted = size;
    }

    /// When [`Resizing::take`] returns a size; `None` when none is wanted.
    #[must_use]
    pub fn due(&self, now: Instant) -> Option<Instant> {
        self.wanted.map(|_| self.last.map_or(now, |last| (last + Self::PAUSE).max(now)))
    }

    /// The size to change to at `now`, if any.
    pub fn take(&mut self, now: Instant, current: OutputSize) -> Option<OutputSize> {
        if self.due(now)? > now {
            return None;
        }
        let size = self.wanted.take().filter(|size| *size != current)?;
        self.last = Some(now);
        Some(size)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use lumen_ipc::units::Scale;

    fn size(width: u32) -> OutputSize {
        OutputSize::nearest(width, 480, Scale::ONE)
    }

    #[test]
    fn output_of_more_pixels_than_decoders_keep_up_with_at_its_rate_is_slower() {
        let rate = |width, height, fps| {
            let size = OutputSize::nearest(width, height, Scale::ONE);
            let fps = Fps::clamped(fps);
            let output = DesktopOutput::new(size, fps);
            let announced = output.wayland.current_mode().map(|mode| mode.refresh);
            assert_eq!(announced, Some(i32::from(output.rate().value()) * 1000));
            output.rate().value()
        };
        assert_eq!(rate(1920, 1080, 60), 60);
        assert_eq!(rate(3840, 2160, 60), 60);
        assert_eq!(rate(4096, 2304, 60), 56);
        assert_eq!(rate(3840, 2160, 240), 64);
    }

    #[test]
    fn take_first_size_comes_at_once_and_the_last_of_many_after_the_pause() {
        let now = Instant::now();
        let mut resizing = Resizing::default();
        resizing.want(Some(size(640)));
        assert_eq!(resizing.take(now, size(320)), Some(size(640)));
        resizing.want(Some(size(642)));
        resizing.want(Some(size(644)));
        assert_eq!(resizing.take(now, size(640)), None);
        assert_eq!(resizing.due(now), Some(now + Resizing::PAUSE));
        assert_eq!(resizing.take(now + Resizing::PAUSE, size(640)), Some(size(644)));
        assert_eq!(resizing.due(now), None);
    }

    #[test]
    fn take_of_the_current_size_changes_nothing() {
        let mut resizing = Resizing::default();
        resizing.want(Some(size(640)));
        assert_eq!(resizing.take(Instant::now(), size(640)), None);
    }

    #[test]
    fn take_of_the_same_pixels_at_another_scale_is_a_change() {
        let mut resizing = Resizing::default();
        let finer = OutputSize::nearest(640, 480, Scale::nearest(2.0));
        resizing.want(Some(finer));
        assert_eq!(resizing.take(Instant::now(), size(640)), Some(finer));
    }

    #[test]
    fn size_that_is_wanted_no_longer_is_not_taken() {
        let mut resizing = Resizing::default();
        resizing.want(Some(size(640)));
        resizing.want(None);
        assert_eq!(resizing.due(Instant::now()), None);
    }
}
