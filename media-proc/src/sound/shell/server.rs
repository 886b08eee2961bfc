//! The session's sound server, and what listens to Lumen's sink in it.
//!
//! Everything that the library loads, reads or starts it does in [`Server::new`], before confinement: a
//! stream is made in a connection that leads nowhere, which is kept, so that later ones find each plugin
//! in memory. After that a connection is a granted descriptor, and what arrives over it. The thread on
//! which the library moves samples is ended again, and started when the confinement binds it, too.
//!
//! All callbacks run on this thread, inside [`Server::turn`]; they only note what happened.

use std::{
    cell::RefCell,
    io::{self, Cursor},
    mem::ManuallyDrop,
    os::{
        fd::{BorrowedFd, OwnedFd},
        unix::net::UnixStream,
    },
    rc::Rc,
    time::{Duration, Instant},
};

use lumen_ipc::{
    sound::{SAMPLE_RATE, SoundFormat, micros_of},
    units::MonotonicMicros,
};
use lumen_ipc_runtime::clock;
use pipewire::{
    context::ContextRc,
    core::CoreRc,
    main_loop::MainLoopRc,
    node::Node,
    properties::{PropertiesBox, properties},
    spa::{
        param::{
            ParamType,
            audio::{AudioFormat, AudioInfoRaw},
        },
        pod::{Object, Pod, Value, serialize::PodSerializer},
        utils::{Direction, SpaTypes, dict::DictRef},
    },
    stream::{Stream, StreamFlags, StreamListener, StreamRc, StreamState},
};

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::{
    defaults::{self, Defaults},
    ffi,
};
use crate::sound::packetiser::{Frame, Packetiser, bounds};

/// The sink's name, by which programs and people find it.
const SINK: &str = "lumen_capture";
/// The name of the stream that listens to it.
const EAR: &str = "lumen_ear";

/// Blocks that the sound server is asked to deliver: 10 ms, of which it makes what it can.
const LATENCY: &str = "480/48000";

/// Most frames that wait for the encoder: far more than one block holds.
const MOST_FRAMES: usize = 64;

/// How long the server may take to restore what the sink replaced.
const PARTING: Duration = Duration::from_millis(500);

/// The library, and the connection to the server while there is one.
pub struct Server {
    connection: Option<Connection>,
    /// What the next sink that this process makes belongs to.
    spare: Option<OwnedFd>,
    /// The sink, if this process made it. It outlives the connection.
    owner: Option<Owner>,
    said: Said,
    intake: Rc<RefCell<Intake>>,
    format: SoundFormat,
    library: ManuallyDrop<Library>,
}

/// The library with all that it has loaded. It stays until the process ends: to end its thread it would
/// signal it.
struct Library {
    /// Keeps every plugin in memory.
    _rehearsal: Connection,
    /// Where the rehearsal leads to.
    _nowhere: UnixStream,
    context: ContextRc,
    main_loop: MainLoopRc,
}

/// Dropped in this order: what hangs on the connection before the connection.
struct Connection {
    ear: Option<Ear>,
    defaults: Defaults,
    core: CoreRc,
}

/// The sink that this process made, and the connection to which it belongs.
struct Owner {
    _sink: Node,
    _core: CoreRc,
}

/// What the supervisor has to be told.
#[derive(Clone, Copy, Debug, Default)]
struct Said {
    made: bool,
    ready: bool,
    /// Whether it has been told that this connection's sink is ready.
    is_over: bool,
}

/// What listens to the sink.
struct Ear {
    _listener: StreamListener<Rc<RefCell<Intake>>>,
    _stream: StreamRc,
}

/// What callbacks note.
#[derive(Debug)]
struct Intake {
    packetiser: Packetiser,
    format: SoundFormat,
    frames: Vec<Frame>,
    listening: bool,
    lost: Option<String>,
    dropped: u64,
}

/// Why there is no sink.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    /// The library returned an error.
    #[error("the sound server's library refused")]
    Library(#[from] pipewire::Error),
    /// Without a connection to which it belongs no sink is made.
    #[error("there is no sink, and no connection for one was granted")]
    NoOwner,
    /// The format of samples cannot be said in its terms.
    #[error("cannot describe the format of samples")]
    Format,
    /// It is not complete.
    #[error("the plugin {0} of the sound server's library is missing")]
    Plugin(&'static str),
    /// A system call failed.
    #[error("the system refused")]
    System(#[from] io::Error),
}

impl std::fmt::Debug for Server {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { connection, intake, .. } = self;
        let connected = connection.is_some();
        f.debug_struct("Server").field("connected", &connected).field("intake", intake).finish()
    }
}

impl Server {
    /// Loads the library and all that it will need.
    ///
    /// # Errors
    /// When the library refuses, or lacks a plugin.
    pub fn new(format: SoundFormat) -> Result<Self, ServerError> {
        pipewire::init();
        let main_loop = MainLoopRc::new(None)?;
        ffi::enter(&main_loop);
        // Locking the memory of buffers would need a permission, and gains nothing.
        let properties = properties! { "mem.allow-mlock" => "false" };
        let context = ContextRc::new(&main_loop, Some(properties))?;
        let mixer = properties! { "library.name" => "audiomixer/libspa-audiomixer" };
        if !ffi::load_plugin(&context, c"audio.mixer.dsp", mixer.dict()) {
            return Err(ServerError::Plugin("audiomixer"));
        }
        let (near, far) = UnixStream::pair()?;
        // What becomes of the rehearsal is none of the server's.
        let aside = Rc::new(RefCell::new(Intake::new(format)));
        let mut rehearsal = Connection::new(&context, near.into(), &aside)?;
        rehearsal.listen(format, &aside)?;
        let library = Library { _rehearsal: rehearsal, _nowhere: far, context, main_loop };
        let intake = Rc::new(RefCell::new(Intake::new(format)));
        let server = Self {
            connection: None,
            spare: None,
            owner: None,
            said: Said::default(),
            intake,
            format,
            library: ManuallyDrop::new(library),
        };
        server.iterate();
        ffi::stop_data_thread(&server.library.context)?;
        Ok(server)
    }

    /// Starts the library's thread.
    ///
    /// # Errors
    /// When it does not run in time.
    pub fn start_thread(&self) -> io::Result<()> {
        ffi::start_data_thread(&self.library.context)
    }

    /// A sink that this process makes will belong to the connection `descriptor`.
    pub fn give_owner(&mut self, descriptor: OwnedFd) {
        self.spare = Some(descriptor);
    }

    /// Whether the sink has been made, since the last call.
    pub const fn take_made(&mut self) -> bool {
        std::mem::replace(&mut self.said.made, false)
    }

    /// Whether the sink has become ready, since the last call.
    pub const fn take_ready(&mut self) -> bool {
        std::mem::replace(&mut self.said.ready, false)
    }

    /// Finds or makes the sink in the server at the other end of `descriptor`.
    ///
    /// # Errors
    /// When the library refuses it.
    pub fn connect(&mut self, descriptor: OwnedFd) -> Result<(), ServerError> {
        self.connection = None;
        self.said.is_over = false;
        {
            let mut intake = self.intake.borrow_mut();
            intake.lost = None;
            intake.packetiser.rest();
        }
        self.connection = Some(Connection::new(&self.library.context, descriptor, &self.intake)?);
        Ok(())
    }

    /// The descriptor to poll for reading.
    #[must_use]
    pub fn interest(&self) -> BorrowedFd<'_> {
        self.library.main_loop.loop_().fd()
    }

    /// Handles what has happened. Returns why the connection is lost, once, if it is.
    pub fn turn(&mut self) -> Option<String> {
        self.iterate();
        if let Err(error) = self.follow() {
            self.intake.borrow_mut().lose(&error.to_string());
        }
        let lost = self.intake.borrow_mut().lost.take()?;
        self.connection.take().map(|_| lost)
    }

    /// Does what follows from what callbacks noted.
    fn follow(&mut self) -> Result<(), ServerError> {
        let Some(connection) = &mut self.connection else { return Ok(()) };
        connection.turn(self.format, &self.intake)?;
        if connection.defaults.is_chosen() && !self.said.is_over {
            (self.said.ready, self.said.is_over) = (true, true);
        }
        if connection.defaults.lacks_sink() {
            let descriptor = self.spare.take().ok_or(ServerError::NoOwner)?;
            let core = self.library.context.connect_fd_rc(descriptor, None)?;
            self.owner = Some(Owner { _sink: defaults::make_sink(&core, SINK)?, _core: core });
            self.said.made = true;
        }
        Ok(())
    }

    /// Whether there is a connection.
    #[must_use]
    pub const fn is_connected(&self) -> bool {
        self.connection.is_some()
    }

    /// Whether anybody listens: otherwise samples are dropped as they come.
    pub fn set_listening(&self, listening: bool) {
        self.intake.borrow_mut().listening = listening;
    }

    /// The frames that are complete.
    #[must_use]
    pub fn frames(&self) -> Vec<Frame> {
        std::mem::take(&mut self.intake.borrow_mut().frames)
    }

    /// The number of frames dropped because the encoder did not take them, since the last call.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        std::mem::take(&mut self.intake.borrow_mut().dropped)
    }

    /// Gives back what the sink replaced, and leaves.
    pub fn leave(&mut self) {
        let deadline = Instant::now() + PARTING;
        if let Some(connection) = &self.connection
            && connection.defaults.restore().is_ok()
        {
            self.iterate();
            while !connection.defaults.is_restored() && self.wait_until(deadline) {
                self.iterate();
            }
        }
        self.connection = None;
    }

    /// Waits for the server; returns whether anything came before `deadline`.
    fn wait_until(&self, deadline: Instant) -> bool {
        let left = deadline.saturating_duration_since(Instant::now());
        let is_late = left.is_zero();
        let Ok(left) = Timespec::try_from(left) else { return false };
        let mut interests = [PollFd::from_borrowed_fd(self.interest(), PollFlags::IN)];
        !is_late && matches!(poll(&mut interests, Some(&left)), Ok(1..))
    }

    fn iterate(&self) {
        ffi::iterate(&self.library.main_loop);
    }
}

impl Connection {
    fn new(
        context: &ContextRc,
        descriptor: OwnedFd,
        intake: &Rc<RefCell<Intake>>,
    ) -> Result<Self, ServerError> {
        let core = context.connect_fd_rc(descriptor, None)?;
        let defaults = Defaults::watch(&core, SINK, {
            let intake = Rc::clone(intake);
            move |reason| intake.borrow_mut().lose(reason)
        })?;
        Ok(Self { ear: None, defaults, core })
    }

    /// Does what follows from what callbacks noted.
    fn turn(
        &mut self,
        format: SoundFormat,
        intake: &Rc<RefCell<Intake>>,
    ) -> Result<(), ServerError> {
        self.defaults.turn()?;
        if self.ear.is_none() && self.defaults.has_sink() {
            self.listen(format, intake)?;
        }
        if self.defaults.has_lost_sink() {
            intake.borrow_mut().lose("the sink was removed");
        }
        Ok(())
    }

    /// Listens to the sink.
    fn listen(
        &mut self,
        format: SoundFormat,
        intake: &Rc<RefCell<Intake>>,
    ) -> Result<(), ServerError> {
        let stream = StreamRc::new(self.core.clone(), EAR, ear_properties())?;
        let listener = stream
            .add_local_listener_with_user_data(Rc::clone(intake))
            .state_changed(|_, intake, _, state| match state {
                StreamState::Error(reason) => intake.borrow_mut().lose(&reason),
                StreamState::Unconnected => intake.borrow_mut().lose("the stream was removed"),
                _ => {}
            })
            .process(|stream, intake| intake.borrow_mut().take_from(stream))
            .register()?;
        let format = describe(format)?;
        let pod = Pod::from_bytes(&format).ok_or(ServerError::Format)?;
        let flags = StreamFlags::MAP_BUFFERS | StreamFlags::AUTOCONNECT;
        stream.connect(Direction::Input, None, flags, &mut [pod])?;
        self.ear = Some(Ear { _listener: listener, _stream: stream });
        Ok(())
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.ear = None;
        // The listener of the core holds what this connection holds.
        self.defaults.forget();
    }
}

impl Intake {
    fn new(format: SoundFormat) -> Self {
        Self {
            packetiser: Packetiser::new(format),
            format,
            frames: Vec::new(),
            listening: false,
            lost: None,
            dropped: 0,
        }
    }

    /// Only the first reason counts.
    fn lose(&mut self, reason: &str) {
        self.lost.get_or_insert_with(|| reason.to_owned());
    }

    /// Takes every block that waits.
    fn take_from(&mut self, stream: &Stream) {
        while let Some(mut buffer) = stream.dequeue_buffer() {
            let Some(data) = buffer.datas_mut().first_mut() else { continue };
            let (offset, size) = (data.chunk().offset(), data.chunk().size());
            let Some(memory) = data.data() else { continue };
            let range = bounds(memory.len(), offset, size, self.format);
            self.take(memory.get(range).unwrap_or_default());
        }
    }

    /// Takes a block that ends now.
    fn take(&mut self, block: &[u8]) {
        if !self.listening {
            self.packetiser.rest();
            return;
        }
        let samples = block
            .chunks_exact(size_of::<f32>())
            .map(|bytes| f32::from_le_bytes(bytes.try_into().unwrap_or_default()));
        let lasts = micros_of((samples.len() / self.format.channels()) as u64);
        let captured = MonotonicMicros(clock::now().0.saturating_sub(lasts));
        let Self { packetiser, frames, dropped, .. } = self;
        packetiser.take(captured, samples, |frame| {
            if frames.len() < MOST_FRAMES {
                frames.push(frame);
            } else {
                *dropped += 1;
            }
        });
    }
}

/// A stream that hears what the sink plays, and nothing else. It does not keep the sink awake: while
/// nobody plays, the sound server wakes neither.
fn ear_properties() -> PropertiesBox {
    properties! {
        "media.type" => "Audio",
        "media.category" => "Capture",
        "node.name" => EAR,
        "node.description" => "Lumen",
        "node.dont-reconnect" => "true",
        "node.latency" => LATENCY,
        "node.passive" => "true",
        "stream.capture.sink" => "true",
        "target.object" => SINK
    }
}

/// The one format in which it is heard; the library converts from any other.
fn describe(format: SoundFormat) -> Result<Vec<u8>, ServerError> {
    let mut info = AudioInfoRaw::new();
    info.set_format(AudioFormat::F32LE);
    info.set_rate(SAMPLE_RATE);
    let mut position = [0; 64];
    match format {
        SoundFormat::OpusStereo => {
            info.set_channels(2);
            position[0] = pipewire::spa::sys::SPA_AUDIO_CHANNEL_FL;
            position[1] = pipewire::spa::sys::SPA_AUDIO_CHANNEL_FR;
        }
    }
    info.set_position(position);
    let object = Object {
        type_: SpaTypes::ObjectParamFormat.as_raw(),
        id: ParamType::EnumFormat.as_raw(),
        properties: info.into(),
    };
    PodSerializer::serialize(Cursor::new(Vec::new()), &Value::Object(object))
        .map(|(cursor, _)| cursor.into_inner())
        .map_err(|_| ServerError::Format)
}

/// The library's type for lists of properties.
pub(super) type Dict = DictRef;
