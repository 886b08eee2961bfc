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
    io,
    mem::ManuallyDrop,
    os::{
        fd::{BorrowedFd, OwnedFd},
        unix::net::UnixStream,
    },
    rc::Rc,
    time::{Duration, Instant},
};

use lumen_ipc::sound::SoundFormat;
use pipewire::{
    context::ContextRc, core::CoreRc, main_loop::MainLoopRc, node::Node, properties::properties,
    spa::utils::dict::DictRef,
};
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::{
    connection::Connection,
    defaults::{self, Before},
    ffi,
    intake::Intake,
};
use crate::sound::{packetiser::Frame, speech::Voices};

/// The sink's name, by which programs and people find it.
pub(super) const SINK: &str = "lumen_capture";

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
    before: Rc<RefCell<Before>>,
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

/// The sink that this process made, and the connection to which it belongs.
struct Owner {
    _sink: Node,
    _core: CoreRc,
}

/// How far this process has come.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Reach {
    /// There is no connection to a sound server.
    Nothing,
    /// There is one, but what programs play does not reach this process yet.
    Server,
    /// What programs play is heard here.
    Sink,
}

/// What the supervisor has to be told.
#[derive(Clone, Copy, Debug, Default)]
struct Said {
    made: bool,
    ready: bool,
    /// Whether it has been told that this connection's sink is ready.
    is_over: bool,
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
        let mut rehearsal = Connection::new(&context, near.into(), &aside, Rc::default())?;
        rehearsal.listen(format, &aside)?;
        rehearsal.rehearse(&aside)?;
        let library = Library { _rehearsal: rehearsal, _nowhere: far, context, main_loop };
        let intake = Rc::new(RefCell::new(Intake::new(format)));
        let server = Self {
            connection: None,
            spare: None,
            owner: None,
            said: Said::default(),
            intake,
            before: Rc::default(),
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
        self.intake.borrow_mut().begin();
        let (context, before) = (&self.library.context, Rc::clone(&self.before));
        self.connection = Some(Connection::new(context, descriptor, &self.intake, before)?);
        Ok(())
    }

    /// Makes the session's microphone, or removes it.
    pub fn speak(&mut self, now: Instant, voices: &Rc<RefCell<Voices>>) {
        let Some(connection) = &mut self.connection else { return };
        if let Err(error) = connection.speak(now, voices, &self.intake) {
            self.intake.borrow_mut().lose(&error.to_string());
        }
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
        let lost = self.intake.borrow_mut().take_lost()?;
        self.connection.take().map(|_| lost)
    }

    /// Does what follows from what callbacks noted.
    fn follow(&mut self) -> Result<(), ServerError> {
        let Some(connection) = &mut self.connection else { return Ok(()) };
        connection.turn(self.format, &self.intake)?;
        if connection.is_ready() && !self.said.is_over {
            (self.said.ready, self.said.is_over) = (true, true);
        }
        if connection.lacks_sink() {
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

    /// How far this process has come.
    #[must_use]
    pub fn reach(&self) -> Reach {
        match &self.connection {
            None => Reach::Nothing,
            Some(connection) if connection.is_ready() => Reach::Sink,
            Some(_) => Reach::Server,
        }
    }

    /// Whether anybody listens: otherwise samples are dropped as they come.
    pub fn set_listening(&self, listening: bool) {
        self.intake.borrow_mut().listen(listening);
    }

    /// The frames that are complete.
    #[must_use]
    pub fn frames(&self) -> Vec<Frame> {
        self.intake.borrow_mut().take_frames()
    }

    /// The number of frames dropped because the encoder did not take them, since the last call.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.intake.borrow_mut().take_dropped()
    }

    /// Gives back what the sink replaced, and leaves.
    pub fn leave(&mut self) {
        let deadline = Instant::now() + PARTING;
        if let Some(connection) = &self.connection
            && connection.restore().is_ok()
        {
            self.iterate();
            while !connection.is_restored() && self.wait_until(deadline) {
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

/// The library's type for lists of properties.
pub(super) type Dict = DictRef;
