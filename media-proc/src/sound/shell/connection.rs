//! One connection to the sound server: the sink and whether it is the default ([`Defaults`]), and the
//! stream that listens to it. All of it but the sink ends with the connection.

use std::{cell::RefCell, io::Cursor, os::fd::OwnedFd, rc::Rc};

use lumen_ipc::sound::{SAMPLE_RATE, SoundFormat};
use pipewire::{
    context::ContextRc,
    core::CoreRc,
    properties::{PropertiesBox, properties},
    spa::{
        param::{
            ParamType,
            audio::{AudioFormat, AudioInfoRaw},
        },
        pod::{Object, Pod, Value, serialize::PodSerializer},
        utils::{Direction, SpaTypes},
    },
    stream::{StreamFlags, StreamListener, StreamRc, StreamState},
};

use super::{
    defaults::Defaults,
    intake::Intake,
    server::{SINK, ServerError},
};

/// The name of the stream that listens to the sink.
const EAR: &str = "lumen_ear";

/// Blocks that the sound server is asked to deliver: 10 ms, of which it makes what it can.
const LATENCY: &str = "480/48000";

/// Dropped in this order: what hangs on the connection before the connection.
pub(super) struct Connection {
    ear: Option<Ear>,
    defaults: Defaults,
    core: CoreRc,
}

/// What listens to the sink.
struct Ear {
    _listener: StreamListener<Rc<RefCell<Intake>>>,
    _stream: StreamRc,
}

impl Connection {
    /// Begins to look for the sink in the server at the other end of `descriptor`.
    pub(super) fn new(
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
    pub(super) fn turn(
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

    /// Whether what programs play goes to the sink.
    pub(super) fn is_ready(&self) -> bool {
        self.defaults.is_chosen()
    }

    /// Whether there is no sink, once.
    pub(super) fn lacks_sink(&self) -> bool {
        self.defaults.lacks_sink()
    }

    /// Gives back what the sink replaced, and removes it.
    pub(super) fn restore(&self) -> Result<(), ServerError> {
        Ok(self.defaults.restore()?)
    }

    /// Whether nothing is left to restore.
    pub(super) fn is_restored(&self) -> bool {
        self.defaults.is_restored()
    }

    /// Listens to the sink.
    pub(super) fn listen(
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
