//! x264, libvpx, the converter and the guard of an app's memory do all that media asks of them while it is
//! confined: a call outside the policy would end this process. Not a `#[test]`, because confinement
//! applies to the whole process and cannot be undone.

use std::os::fd::OwnedFd;

use anyhow::{Context, ensure};
use lumen_ipc::{
    process::Worker,
    units::{Fps, FrameSize, Kbps},
    video::VideoFormat,
};
use lumen_ipc_runtime::{confine, shm::GuardedView};
use lumen_media::{
    convert::{Frame, MacroblockMap, Planes},
    effort::Effort,
    policy,
    video::{Encoder, Picture, PictureKind, Quantizer},
};

fn main() -> anyhow::Result<()> {
    let short = memfd::MemfdOptions::default().create("short")?.into_file();
    short.set_len(1)?;
    confine::confine(&policy::policy(), Worker::Media.binary()).context("confinement")?;
    // A desktop, a smaller one and the largest: each size opens an encoder anew.
    for (width, height) in [(1920, 1080), (640, 360), (4096, 2304)] {
        for format in VideoFormat::ALL {
            let encoded = encode(format, FrameSize::new(width, height)?);
            encoded.with_context(|| format!("{format} after confinement"))?;
        }
    }
    torn(short.into()).context("after confinement")
}

/// Reads memory that ends within its first page.
fn torn(short: OwnedFd) -> anyhow::Result<()> {
    const BYTES: usize = 1 << 20;
    let view = GuardedView::map(short, 0, BYTES)?;
    ensure!(view.bytes().iter().all(|byte| *byte == 0), "memory that is gone is not empty");
    ensure!(view.is_torn(), "nobody noticed");
    Ok(())
}

fn encode(format: VideoFormat, size: FrameSize) -> anyhow::Result<()> {
    let pixels = vec![100; size.frame_bytes()];
    let frame = Frame::new(&pixels, size.stride_bytes(), size)?;
    let (mut planes, changed) = (Planes::new(size), MacroblockMap::whole(size));
    planes.update(frame, &changed)?;
    let mut encoder = Encoder::open(format, size, Fps::clamped(60), Kbps::clamped(8000))?;
    for kind in
        [PictureKind::Key, PictureKind::Predicted, PictureKind::Moved(64), PictureKind::Fresh]
    {
        let quantizer = Quantizer::FINEST;
        for effort in [Effort::Quick, Effort::Thorough, Effort::Thrifty] {
            let picture = Picture { planes: &planes, changed: &changed, kind, quantizer, effort };
            ensure!(!encoder.encode(picture)?.bytes.is_empty(), "nothing came out for {size}");
        }
    }
    Ok(())
}
