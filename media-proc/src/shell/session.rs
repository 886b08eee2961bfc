//! One desktop's picture on its way from the compositor to rtc.
//!
//! [`Session::turn`] does all work that is due at an instant and returns when more is due. When the
//! compositor or rtc closes a link or breaks the contract, only that link ends: the other is still
//! served, and the supervisor brings a new end.

use std::{
    os::fd::BorrowedFd,
    time::{Duration, Instant},
};

use lumen_ipc::{
    graphics::{EncoderUse, Encoding, Rung},
    link::LinkName,
    message::packets::{FrameStamps, VideoPacket},
    service::MediaConfig,
    units::{FrameSize, Kbps, OutputId},
};
use lumen_ipc_runtime::{clock, log::RateLimit, metrics::Registry, trim_heap};
use tracing::{debug, info, trace, warn};

pub(super) use super::source::Failure;
use super::{
    Broken,
    drawing::Drawing,
    encoders::{Encoders, NoEncoding},
    figures::Figures,
    held::Held,
    outlet::{Delivery, Outlet, Packets},
    screen::{Frames, Screen, Taken},
    source::{PictureError, bring, describe},
    tuning::{Desk, Told},
};
use crate::{
    convert::Reduced,
    effort::Efforts,
    ladder::Ladder,
    motion::{Memory, Relation},
    pacing::{Budget, Pacing, Step, Work},
    rate::{self, Kind, Rate},
    video::{Encoder, PictureKind, vaapi::Device},
};

/// Everything that serves one desktop.
#[derive(Debug)]
pub(super) struct Session {
    screen: Screen,
    outlet: Outlet,
    desk: Desk,
    pacing: Pacing,
    rate: Rate,
    efforts: Efforts,
    ladder: Ladder,
    /// The picture as it is encoded, if that is smaller than the screen.
    reduced: Option<Reduced>,
    encoder: Held,
    encoders: Encoders,
    /// Motion detection's memory of the picture encoded last.
    memory: Memory,
    /// The demand when the desk was last read; `None` before rtc's first.
    told: Option<Told>,
    figures: Figures,
    /// The values the last summary was made of.
    summarised: Option<(Option<FrameSize>, FrameSize, &'static str, u16, Kbps)>,
}

impl Session {
    /// Serves with `encoder` until a frame of another size arrives.
    pub(super) fn new(
        config: &MediaConfig,
        encoder: Encoder,
        outlet: Outlet,
        desk: Desk,
        now: Instant,
    ) -> Self {
        let figures = Figures::new(Registry::default());
        figures.graphics_rung.set(Rung::Processor.number().into());
        figures.target.set(config.bitrate.value().into());
        figures.fps_limit.set(config.max_fps.value().into());
        Self {
            screen: Screen::new(OutputId::PRIMARY),
            outlet,
            desk,
            pacing: Pacing::new(),
            rate: Rate::new(config.bitrate, config.max_fps, now),
            efforts: Efforts::new(Duration::from_micros(config.max_fps.interval_micros())),
            ladder: Ladder::new(config.max_fps),
            reduced: None,
            encoder: (encoder, None).into(),
            encoders: Encoders::new(config),
            memory: Memory::default(),
            told: None,
            figures,
            summarised: None,
        }
    }

    pub(super) fn registry(&self) -> Registry {
        self.figures.registry.clone()
    }

    pub(super) const fn desk(&self) -> &Desk {
        &self.desk
    }

    pub(super) fn frames_interest(&self) -> Option<(BorrowedFd<'_>, bool)> {
        self.screen.interest()
    }

    pub(super) fn packets_interest(&self) -> Option<(BorrowedFd<'_>, bool)> {
        self.outlet.interest()
    }

    pub(super) fn packets_writable(&mut self) {
        self.outlet.writable();
    }

    /// Lets frames of layers be drawn from now on. Before the first turn.
    pub(super) fn draw_with(&mut self, drawing: Drawing) {
        let rung = if drawing.shares() { Rung::Encoded } else { Rung::Drawn };
        self.figures.graphics_rung.set(rung.number().into());
        self.screen.draw_with(drawing);
    }

    /// Lets the graphics processor encode from now on, if that is to be, and says in which way. Before the
    /// first turn, and before rtc is told which formats there are.
    ///
    /// # Errors
    /// It does not encode, and the processor goes on.
    pub(super) fn encode_with(
        &mut self,
        device: Device,
        drawing: &mut Drawing,
        told: EncoderUse,
    ) -> Result<Encoding, NoEncoding> {
        let wanted = (self.encoder.size(), told);
        let (opened, encoding) = self.encoders.encode_with(device, drawing, wanted)?;
        self.encoder = opened.into();
        self.outlet.offer(Encoder::formats(true));
        Ok(encoding)
    }

    /// Takes the link end of a new compositor.
    pub(super) fn attach_frames(&mut self, end: Frames) {
        self.screen.attach(end);
    }

    /// Takes the link end of a new rtc, which has received nothing yet.
    pub(super) fn attach_packets(&mut self, end: Packets) {
        let attached = self.outlet.attach(end);
        self.pacing.key_needed();
        self.packets_outcome(attached);
    }

    /// Stops encoding.
    pub(super) fn end(&mut self) {
        self.outlet.retire();
    }

    /// Does all work that is due, and says when more is due without an event.
    ///
    /// # Errors
    /// [`Failure`]: no picture can be encoded.
    pub(super) fn turn(&mut self, now: Instant) -> Result<Option<Instant>, Failure> {
        if let Some(told) = self.desk.take() {
            self.meet(now, told);
        }
        let told = self.screen.tell();
        self.frames_outcome(told);
        let reports = self.outlet.receive();
        self.packets_outcome(reports);
        self.screen.set_lazy(self.encoder.is_drawn_into());
        let frames = match self.screen.receive(&self.figures) {
            Err(Broken::Drawing(error)) => return Err(Failure::Drawing(error)),
            frames => frames,
        };
        if let Some(taken) = self.frames_outcome(frames) {
            self.note(now, taken);
        }
        self.pacing.set_outlet(self.outlet.is_open());
        self.climb(now);
        let budget = self.budget();
        match self.pacing.step(now, budget) {
            Step::Wait(until) => Ok(until),
            Step::Encode(work) => {
                self.encode(now, work)?;
                // Look again at once: time has passed, and a frame may have arrived.
                Ok(Some(now))
            }
        }
    }

    /// When the network has room for which work.
    fn budget(&mut self) -> Budget {
        let shown = self.screen.picture().map(|shown| &shown.changed);
        let (changed, total) = shown.map_or((0, 0), |map| (map.changed(), map.total()));
        let encoded = (changed as f64 * self.ladder.rung().reduction.part()).ceil() as usize;
        let affordable_at = self.rate.affordable_at(encoded);
        // What a viewer types never waits for the frame rate.
        let due = self.ladder.due().filter(|_| !rate::is_small(changed, total));
        Budget {
            change_at: due.map_or(affordable_at, |due| due.max(affordable_at)),
            refinement_at: self.rate.refinable_at(),
        }
    }

    /// Goes to the rung of the ladder that the network carries.
    fn climb(&mut self, now: Instant) {
        let before = self.ladder.number();
        self.ladder.consider(now, self.rate.target());
        if self.ladder.number() != before {
            self.on_rung();
        }
    }

    fn on_rung(&mut self) {
        let rung = self.ladder.rung();
        self.rate.set_fps(rung.fps);
        self.figures.rung.set(self.ladder.number() as i64);
        self.figures.fps_limit.set(rung.fps.value().into());
        debug!(number = self.ladder.number(), ?rung, "what gives way when bits are short");
    }

    /// The summary for `lumen status`, if it changed.
    pub(super) fn new_summary(&mut self) -> Option<String> {
        let size = self.screen.picture().map(|shown| shown.size);
        let (watchers, target) = (self.watchers(), self.rate.target());
        let (encoded, encoder) = (self.encoder.size(), self.encoder.name());
        let state = (size, encoded, encoder, watchers, target);
        if self.summarised == Some(state) {
            return None;
        }
        self.summarised = Some(state);
        let picture = match size {
            None => "no picture yet".to_owned(),
            Some(size) if size == encoded => size.to_string(),
            Some(size) => format!("{size} sent as {encoded}"),
        };
        Some(format!("{picture}, {encoder}, at most {target} kbit/s, {watchers} watching"))
    }

    /// Acts on a changed demand.
    fn meet(&mut self, now: Instant, told: Told) {
        let earlier = self.told.replace(told);
        if earlier == Some(told) {
            return;
        }
        let (before, demand) = (earlier.map(|earlier| earlier.demand), told.demand);
        if before.is_none_or(|before| before.bitrate != demand.bitrate) {
            self.rate.set_target(now, demand.bitrate);
            self.figures.target.set(self.rate.target().value().into());
        }
        let watched = demand.watchers > 0;
        if watched != before.is_some_and(|before| before.watchers > 0) {
            info!(watched, "whether anybody watches changed");
        }
        if watched {
            // While the compositor draws.
            self.encoder.make_ready(&self.encoders, self.screen.parts().1);
        }
        self.screen.want(demand.of_output());
        self.figures.watchers.set(demand.watchers.into());
        self.pacing.set_watched(watched);
        let another = demand.format.is_some_and(|format| format != self.encoder.format());
        let joined = before.is_none_or(|before| demand.watchers > before.watchers);
        if another || earlier.is_none_or(|earlier| told.asks_for_key_since(&earlier)) {
            self.pacing.key_asked(joined);
        }
    }

    fn watchers(&self) -> u16 {
        self.told.map_or(0, |told| told.demand.watchers)
    }

    fn note(&mut self, now: Instant, taken: Taken) {
        if taken.anew {
            self.pacing.key_needed();
            self.ladder.forget();
        }
        if taken.rests {
            self.rest();
        }
        if taken.changed {
            self.pacing.screen_changed(now);
            self.ladder.changed(now);
        }
    }

    /// Gives back what only pictures need, until the compositor draws the next one.
    fn rest(&mut self) {
        info!("nobody watches: memory for pictures is given back");
        self.encoder.give_back(&self.encoders);
        self.screen.rest();
        (self.reduced, self.memory) = (None, Memory::default());
        self.pacing.picture_lost();
        self.outlet.rest();
        trim_heap();
    }

    fn encode(&mut self, now: Instant, work: Work) -> Result<(), Failure> {
        match self.try_encode(now, work) {
            Ok(Delivery::Sent) => {}
            Ok(Delivery::Dropped) => {
                self.figures.packets_dropped.increment();
                self.pacing.dropped();
            }
            Err(PictureError::Failed(error)) => return Err(error),
            Err(PictureError::Link(broken)) => {
                self.pacing.key_needed();
                self.packets_outcome(Err::<(), _>(broken));
            }
        }
        Ok(())
    }

    fn try_encode(&mut self, now: Instant, work: Work) -> Result<Delivery, PictureError> {
        self.fit(work);
        let (Some(shown), mut drawing) = self.screen.parts() else { return Ok(Delivery::Sent) };
        let (whole, times) = (shown.size, shown.times);
        let size = self.ladder.rung().reduction.of(whole);
        // A picture of another size refers to none before.
        let work = if size == self.encoder.size() { work } else { Work::Key };
        // Another format begins with a keyframe, which may have to wait.
        let wanted = self.told.and_then(|told| told.demand.format).filter(|_| work == Work::Key);
        let format = wanted.unwrap_or_else(|| self.encoder.format());
        let opened = self.encoder.of(&self.encoders, (format, size), drawing.as_deref_mut());
        let (encoder, surfaces) = opened?;
        let begun = clock::now();
        let kept = (&mut self.reduced, &mut self.memory);
        let brought = bring((&mut *shown, drawing), surfaces, kept, size, &self.figures);
        let (source, relation) = brought.map_err(Failure::Drawing)?;
        // Drawing and reading back, which are watched by themselves, are over.
        let _watched = self.encoders.encoding();
        let has_moved = matches!(relation, Relation::Moved(_));
        // A smaller picture moves by parts of a row.
        let is_whole = size == whole;
        let relation = if has_moved && !is_whole { Relation::Altered } else { relation };
        let (kind, mut ask) = describe(work, relation, source.changed());
        // A thrifty picture refers to the one before, even if it seems to have nothing in common with it.
        if kind == PictureKind::Fresh && self.efforts.is_thrifty() {
            ask.kind = Kind::Change;
        }
        let mut quantizer = self.rate.choose(now, ask);
        let effort = self.efforts.choose(now, kind, quantizer);
        let encoded = source.encode(encoder, kind, (quantizer, effort));
        let mut unit = encoded.map_err(Failure::Encode)?;
        if self.rate.refuses(ask, quantizer, unit.bytes.len()) {
            self.figures.refused.increment();
            self.rate.refused(ask, quantizer, unit.bytes.len());
            ask.kind = Kind::Key;
            quantizer = self.rate.choose(now, ask);
            let encoded = source.encode(encoder, PictureKind::Key, (quantizer, effort));
            unit = encoded.map_err(Failure::Encode)?;
        }
        let encoded = clock::now();
        let (length, direct) = (unit.bytes.len(), unit.direct);
        if direct && kind == PictureKind::Fresh {
            ask.kind = Kind::Fresh;
        }
        self.rate.encoded(now, ask, quantizer, length);
        if !direct {
            let took = Duration::from_micros(encoded.since(begun));
            self.efforts.encoded(now, effort, took);
        }
        if has_moved {
            self.ladder.moved(now);
        } else if work == Work::Change {
            self.ladder.encoded(now, quantizer, length);
        }
        self.pacing.encoded(now, work, self.rate.is_final());
        let packet = |stream, span| VideoPacket {
            stream,
            span,
            format,
            keyframe: unit.key,
            sequence: times.sequence,
            size,
            stamps: FrameStamps {
                committed: times.committed,
                rendered: times.rendered,
                taken: times.taken,
                converted: times.converted,
                encoded,
            },
        };
        let delivery = self.outlet.send(unit.bytes, packet)?;
        shown.changed.clear();
        trace!(?work, quantizer = quantizer.value(), length, "encoded a picture");
        self.figures.count(work, direct, length, encoded.since(begun));
        self.figures.describe((size, format), quantizer, effort);
        Ok(delivery)
    }

    /// Goes to the rung of the ladder that this work needs.
    fn fit(&mut self, work: Work) {
        let before = self.ladder.number();
        match work {
            Work::Change => {}
            Work::Key => {
                let Some(shown) = self.screen.picture() else { return };
                let part = self.ladder.rung().reduction.part();
                let total = shown.changed.total() as f64 * part;
                let bits = self.rate.least_of_key(total as usize);
                self.ladder.begin(bits, self.rate.target());
            }
            Work::Refinement => self.ladder.rest(),
        }
        if self.ladder.number() != before {
            self.on_rung();
        }
    }

    fn frames_outcome<T>(&mut self, outcome: Result<T, Broken>) -> Option<T> {
        outcome
            .map_err(|broken| {
                self.screen.detach(&broken);
                self.report(LinkName::Frames, &broken);
            })
            .ok()
    }

    fn packets_outcome<T>(&mut self, outcome: Result<T, Broken>) -> Option<T> {
        outcome
            .map_err(|broken| {
                self.outlet.detach(&broken);
                self.report(LinkName::Packets, &broken);
            })
            .ok()
    }

    fn report(&self, link: LinkName, broken: &Broken) {
        static LIMIT: RateLimit = RateLimit::per_second(4);
        if matches!(broken, Broken::Gone) {
            info!(%link, "the other side closed the link; waiting for its successor");
            return;
        }
        if matches!(broken, Broken::Violation(_)) {
            self.figures.link_violations.increment();
        }
        if LIMIT.allows() {
            warn!(%link, %broken, suppressed = LIMIT.suppressed(), "closed a link end");
        }
    }
}
