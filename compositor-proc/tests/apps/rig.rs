//! A compositor with the test at the other end of every link, all in one thread: turns the shell
//! and reads the links until a condition holds.

use std::{
    cell::RefCell,
    collections::{BTreeMap, HashMap},
    fs::File,
    os::unix::{fs::FileExt, net::UnixStream},
    time::{Duration, Instant},
};

use lumen_compositor::shell::{Compositor, Shell};
use lumen_ipc::{
    demand::OutputDemand,
    lease::{Challenge, PROOF_INTERVAL},
    link::{Generation, LinkName},
    message::{
        desktop::{self, Statement},
        frames::{
            self, BufferAnnounced, BufferMemory, FrameReady, FrameReleased, Layers, Picture,
            ToMedia,
        },
        grants::ToWorker,
        input::{self, Action},
        presence,
        transfer::{self, ClipboardPolicy},
    },
    service::{CompositorConfig, Keymap, MetricValue},
    units::{Fps, FrameSize, OutputId, OutputSize, PeerId, SlotIndex},
};
use lumen_ipc_runtime::{
    bootstrap::Grant,
    channel::{Channel, ReceiveError},
    link_end::Reports,
    shm::SharedView,
};

#[path = "page.rs"]
pub(crate) mod page;

/// Longer than any expected event takes, on the busiest machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);
/// How long "nothing comes" is observed.
pub(crate) const QUIET: Duration = Duration::from_millis(150);
/// One viewer.
pub(crate) const PEER: PeerId = PeerId(1);
/// Viewers who have a lease, from 0 on.
const VIEWERS: u64 = 16;

type MediaEnd = Channel<ToMedia, frames::ToCompositor>;
type InputEnd = Channel<input::ToRtc, input::ToCompositor>;
type TransferEnd = Channel<transfer::ToRtc, transfer::ToCompositor>;
type PresenceEnd = Channel<presence::ToGamepad, presence::ToCompositor>;
type DesktopEnd = Channel<desktop::ToRtc, desktop::ToCompositor>;

/// The compositor and its surroundings.
pub(crate) struct Rig {
    pub(crate) shell: Shell,
    pub(crate) media: Option<MediaEnd>,
    pub(crate) input: Option<InputEnd>,
    /// What the page of each viewer who has acted knows.
    pages: RefCell<BTreeMap<PeerId, Page>>,
    pub(crate) desktop: Option<DesktopEnd>,
    pub(crate) transfer: Option<TransferEnd>,
    /// Only where a test attaches gamepad.
    pub(crate) presence: Option<PresenceEnd>,
    /// The demand that media sends to each compositor.
    pub(crate) demand: OutputDemand,
    pub(crate) frames: Vec<FrameReady>,
    pub(crate) told: Vec<Statement>,
    pub(crate) said: Vec<transfer::ToRtc>,
    buffers: HashMap<SlotIndex, (BufferAnnounced, Pixels)>,
    /// Slots that were retired.
    pub(crate) retired: Vec<SlotIndex>,
}

/// What a viewer's page knows of its lease.
struct Page {
    challenge: Challenge,
    proved: Option<Instant>,
}

/// How media reads a buffer.
enum Pixels {
    Mapped(SharedView),
    File(File),
}

/// A rig past its first frame, the empty desktop.
pub(crate) fn rig_past_its_first_frame() -> Rig {
    let mut rig = Rig::new();
    rig.frame_after(0);
    rig.release();
    rig
}

impl Rig {
    /// A desktop of 640x480 at 60 frames a second, with every link attached.
    pub(crate) fn new() -> Self {
        Self::sized(FrameSize::new(640, 480).expect("legal size"), 60)
    }

    /// A desktop whose clipboard follows `policy`.
    pub(crate) fn with_clipboard(clipboard: ClipboardPolicy) -> Self {
        Self::configured(&CompositorConfig { clipboard, ..Self::config() })
    }

    /// The default configuration of a desktop.
    pub(crate) fn config() -> CompositorConfig {
        CompositorConfig {
            size: FrameSize::new(640, 480).expect("legal size"),
            max_fps: Fps::new(60).expect("legal rate"),
            keymap: Keymap::default(),
            clipboard: ClipboardPolicy::Both,
        }
    }

    /// A desktop of `size` at `fps` frames a second, with every link attached.
    pub(crate) fn sized(size: FrameSize, fps: u64) -> Self {
        let max_fps = Fps::new(fps).expect("legal rate");
        Self::configured(&CompositorConfig { size, max_fps, ..Self::config() })
    }

    /// A desktop with every link attached.
    pub(crate) fn configured(config: &CompositorConfig) -> Self {
        let compositor = Compositor::new(config).expect("a desktop");
        let mut rig = Self {
            shell: Shell::new(compositor).expect("a shell"),
            media: None,
            input: None,
            pages: RefCell::default(),
            desktop: None,
            transfer: None,
            presence: None,
            demand: OutputDemand { watched: true, size: None },
            frames: Vec::new(),
            told: Vec::new(),
            said: Vec::new(),
            buffers: HashMap::new(),
            retired: Vec::new(),
        };
        rig.lease();
        rig.attach_media();
        rig.attach_input();
        rig.attach_desktop();
        rig.attach_transfer();
        rig
    }

    pub(crate) fn attach_media(&mut self) {
        self.attach_silent_media();
        self.demand();
    }

    /// Attaches a media that has not been told what is wanted.
    pub(crate) fn attach_silent_media(&mut self) {
        let (ours, theirs) = Channel::pair().expect("socketpair");
        self.grant(LinkName::Frames, theirs);
        self.media = Some(ours);
        self.buffers.clear();
    }

    /// Replaces the compositor with a new one, with new ends of every link.
    pub(crate) fn restart(&mut self) {
        let compositor = Compositor::new(&Self::config()).expect("a desktop");
        self.shell = Shell::new(compositor).expect("a shell");
        self.lease();
        self.attach_media();
        self.attach_input();
        self.attach_desktop();
        self.attach_transfer();
    }

    pub(crate) fn attach_input(&mut self) {
        let (ours, theirs) = Channel::pair().expect("socketpair");
        self.grant(LinkName::Input, theirs);
        self.input = Some(ours);
        self.pages.borrow_mut().values_mut().for_each(|page| page.proved = None);
    }

    pub(crate) fn attach_desktop(&mut self) {
        let (ours, theirs) = Channel::pair().expect("socketpair");
        self.grant(LinkName::Desktop, theirs);
        self.desktop = Some(ours);
    }

    pub(crate) fn attach_gamepad(&mut self) {
        let (ours, theirs) = Channel::pair().expect("socketpair");
        self.grant(LinkName::Presence, theirs);
        self.presence = Some(ours);
    }

    pub(crate) fn attach_transfer(&mut self) {
        let (ours, theirs) = Channel::pair().expect("socketpair");
        self.grant(LinkName::Transfer, theirs);
        self.transfer = Some(ours);
    }

    fn grant<In, Out>(&mut self, link: LinkName, end: Channel<In, Out>)
    where
        In: lumen_ipc::codec::Message,
        Out: lumen_ipc::codec::Message,
    {
        let descriptor = end.into_descriptor();
        let grant = Grant {
            what: ToWorker::LinkEnd { link, generation: Generation(1) },
            descriptor,
            reports: Reports::default(),
        };
        self.shell.grant(grant).expect("a link end");
    }

    /// Gives every viewer a lease.
    fn lease(&mut self) {
        self.pages.borrow_mut().clear();
        let leases: Vec<_> = (0..VIEWERS).map(|peer| page::lease(PeerId(peer))).collect();
        self.shell.compositor().set_leases(&leases);
    }

    /// Proves that a viewer is there, as its page does.
    pub(crate) fn prove(&self, peer: PeerId) {
        let lease = page::lease(peer);
        let mut pages = self.pages.borrow_mut();
        let page = pages.entry(peer).or_insert(Page { challenge: lease.challenge, proved: None });
        if page.proved.is_some_and(|at| at.elapsed() < PROOF_INTERVAL) {
            return;
        }
        let proof = page::answer(&lease, page.challenge);
        page.proved = Some(Instant::now());
        page.challenge = page::next(&lease, page.challenge);
        self.send(OutputId::PRIMARY, peer, Action::Proved(proof));
    }

    /// The app's end of a connection.
    pub(crate) fn connect(&mut self) -> UnixStream {
        let (ours, theirs) = UnixStream::pair().expect("socketpair");
        self.shell.compositor().accept(theirs);
        ours
    }

    /// Sends a viewer's action.
    pub(crate) fn act(&self, action: Action) {
        self.act_as(PEER, action);
    }

    /// Sends an action of one of several viewers.
    pub(crate) fn act_as(&self, peer: PeerId, action: Action) {
        self.act_on(OutputId::PRIMARY, peer, action);
    }

    /// Sends a viewer's action on one of several outputs.
    pub(crate) fn act_on(&self, output: OutputId, peer: PeerId, action: Action) {
        self.prove(peer);
        self.send(output, peer, action);
    }

    /// Sends what rtc says a viewer does, without a proof that the viewer is there.
    pub(crate) fn send(&self, output: OutputId, peer: PeerId, action: Action) {
        let input = self.input.as_ref().expect("rtc is there");
        input.send(&input::ToCompositor { peer, output, action }, &[]).expect("room");
    }

    /// One turn of the shell; then reads all links.
    pub(crate) fn turn(&mut self, patience: Duration) {
        self.shell.turn(Some(patience)).expect("the loop turns");
        self.take_frames();
        self.take_told();
        self.take_said();
    }

    fn take_said(&mut self) {
        let Some(transfer) = &self.transfer else { return };
        while let Ok(received) = transfer.receive() {
            self.said.push(received.message);
        }
    }

    fn take_frames(&mut self) {
        let Some(media) = &self.media else { return };
        loop {
            match media.receive() {
                Ok(received) => match received.message {
                    ToMedia::BufferAnnounced(buffer) => {
                        let descriptor =
                            received.descriptors.into_iter().next().expect("one descriptor");
                        let bytes = stride(buffer.memory) * usize::from(buffer.size.height());
                        let pixels = match buffer.memory {
                            BufferMemory::Shared { .. } => Pixels::Mapped(
                                SharedView::map(descriptor, bytes).expect("sealed and large"),
                            ),
                            BufferMemory::App { .. } | BufferMemory::Dmabuf { .. } => {
                                Pixels::File(descriptor.into())
                            }
                        };
                        let before = self.buffers.insert(buffer.slot, (buffer, pixels));
                        assert!(before.is_none(), "{buffer:?} is announced again");
                    }
                    ToMedia::BufferRetired { slot, .. } => {
                        assert!(self.buffers.remove(&slot).is_some(), "{slot} was not announced");
                        self.retired.push(slot);
                    }
                    ToMedia::FrameReady(frame) => self.frames.push(frame),
                },
                Err(ReceiveError::Empty | ReceiveError::Closed) => return,
                Err(error) => panic!("{error}"),
            }
        }
    }

    fn take_told(&mut self) {
        let Some(desktop) = &self.desktop else { return };
        while let Ok(received) = desktop.receive() {
            assert_eq!(received.message.output, OutputId::PRIMARY);
            self.told.push(received.message.statement);
        }
    }

    /// Sends media's release of the last frame.
    pub(crate) fn release(&self) {
        let frame = self.frames.last().expect("a frame");
        let released = FrameReleased { output: frame.output, sequence: frame.sequence };
        self.tell(frames::ToCompositor::FrameReleased(released));
    }

    pub(crate) fn tell(&self, message: frames::ToCompositor) {
        self.media.as_ref().expect("media is there").send(&message, &[]).expect("room");
    }

    /// Turns until a frame after the first `count` has come, and returns it.
    pub(crate) fn frame_after(&mut self, count: usize) -> FrameReady {
        self.until(|rig| rig.frames.len() > count);
        self.frames[count].clone()
    }

    /// Turns until `condition` holds.
    pub(crate) fn until(&mut self, mut condition: impl FnMut(&mut Self) -> bool) {
        let end = Instant::now() + PATIENCE;
        while !condition(self) {
            assert!(Instant::now() < end, "the condition never holds");
            self.turn(Duration::from_millis(5));
        }
    }

    /// Turns for a while.
    pub(crate) fn wait_quietly(&mut self) {
        let end = Instant::now() + QUIET;
        while Instant::now() < end {
            self.turn(end.saturating_duration_since(Instant::now()));
        }
    }

    /// A pixel of the last frame as 0xRRGGBB.
    pub(crate) fn pixel(&self, x: usize, y: usize) -> u32 {
        let (buffer, pixels) = &self.buffers[&self.slot()];
        let at = y * stride(buffer.memory) + x * 4;
        let mut pixel = [0; 4];
        match (pixels, buffer.memory) {
            (Pixels::Mapped(view), _) => pixel.copy_from_slice(&view.bytes()[at..at + 4]),
            (Pixels::File(file), BufferMemory::App { offset_bytes, .. }) => {
                let at = u64::from(offset_bytes) + at as u64;
                file.read_exact_at(&mut pixel, at).expect("the app's pixels");
            }
            (Pixels::File(_), _) => panic!("it is mapped, or no file"),
        }
        u32::from_le_bytes(pixel) & 0xff_ffff
    }

    /// The slot of the last frame.
    pub(crate) fn slot(&self) -> SlotIndex {
        match &self.frames.last().expect("a frame").picture {
            Picture::Drawn(slot) => *slot,
            Picture::Layers(layers) => panic!("the frame is not drawn: {layers:?}"),
        }
    }

    /// The layers of the last frame.
    pub(crate) fn layers(&self) -> &Layers {
        match &self.frames.last().expect("a frame").picture {
            Picture::Layers(layers) => layers,
            Picture::Drawn(slot) => panic!("the frame is drawn, in slot {slot}"),
        }
    }

    /// The buffers that media has, in the order of their slots.
    pub(crate) fn announced(&self) -> impl Iterator<Item = BufferAnnounced> {
        let mut buffers: Vec<_> = self.buffers.values().map(|(buffer, _)| *buffer).collect();
        buffers.sort_by_key(|buffer| buffer.slot);
        buffers.into_iter()
    }

    /// The memory of the last frame's buffer.
    pub(crate) fn memory(&self) -> BufferMemory {
        self.buffers[&self.slot()].0.memory
    }

    /// Whether the last frame was drawn by the compositor.
    pub(crate) fn is_drawn(&self) -> bool {
        matches!(self.memory(), BufferMemory::Shared { .. })
    }

    /// Sends whether anybody watches.
    pub(crate) fn watch(&mut self, watched: bool) {
        self.demand.watched = watched;
        self.demand();
    }

    /// Sends the wanted size of the output.
    pub(crate) fn want(&mut self, size: OutputSize) {
        self.demand.size = Some(size);
        self.demand();
    }

    fn demand(&self) {
        let (output, demand) = (OutputId::PRIMARY, self.demand);
        self.tell(frames::ToCompositor::DemandChanged { output, demand });
    }

    pub(crate) fn counter(&mut self, name: &str) -> u64 {
        match self.metric(name) {
            MetricValue::Counter(value) => value,
            other => panic!("{other:?} is no counter"),
        }
    }

    /// How many values a histogram has, and their sum.
    pub(crate) fn histogram(&mut self, name: &str) -> (u64, u64) {
        match self.metric(name) {
            MetricValue::Histogram(values) => (values.counts.iter().sum(), values.sum),
            other => panic!("{other:?} is no histogram"),
        }
    }

    fn metric(&mut self, name: &str) -> MetricValue {
        let metrics = self.shell.compositor().state.metrics.registry.snapshot();
        let metric = metrics.into_iter().find(|metric| metric.name.as_str() == name);
        metric.expect("a metric of this name").value
    }
}

/// Bytes from one row of a buffer to the next.
fn stride(memory: BufferMemory) -> usize {
    match memory {
        BufferMemory::App { stride_bytes, .. } | BufferMemory::Shared { stride_bytes } => {
            stride_bytes as usize
        }
        BufferMemory::Dmabuf { planes, .. } => planes.first().stride_bytes.value() as usize,
    }
}
