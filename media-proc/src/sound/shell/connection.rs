//! One connection to the sound server: the sink and whether it is the default ([`Defaults`]), the stream
//! that listens to it, the links between them ([`Links`]), and the source of what viewers say ([`Microphone`]).
//! All of it but the sink ends with the connection.
//!
//! The sound server, its session manager and this process come, go and come again in any order, so each
//! step is taken as soon as what it needs is there, and again when that is replaced: the sink is made
//! when the server lists none, it is chosen in whatever settings the session manager brings, the stream
//! is made when the sink has ports, and links are made between the ports that there are. When a session
//! manager ends, sink and stream are made anew for the next one, which links nothing to such old ones.

use std::{cell::RefCell, io::Cursor, os::fd::OwnedFd, rc::Rc, time::Instant};

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
    defaults::{Before, Defaults},
    intake::Intake,
    links::Links,
    microphone::Microphone,
    server::{SINK, ServerError},
};
use crate::sound::{
    speech::Voices,
    wiring::{Ends, ObjectId},
};

/// The name of the stream that listens to the sink.
const EAR: &str = "lumen_ear";

/// Blocks that the sound server is asked for: 10 ms, of which it makes what it can.
pub(super) const LATENCY: &str = "480/48000";

/// Dropped in this order: what hangs on the connection before the connection.
pub(super) struct Connection {
    ear: Option<Ear>,
    microphone: Option<Microphone>,
    links: Links,
    defaults: Defaults,
    core: CoreRc,
}

/// What listens to the sink.
struct Ear {
    _listener: StreamListener<Rc<RefCell<Intake>>>,
    stream: StreamRc,
}

impl Connection {
    /// Begins to look for the sink in the server at the other end of `descriptor`.
    pub(super) fn new(
        context: &ContextRc,
        descriptor: OwnedFd,
        intake: &Rc<RefCell<Intake>>,
        before: Rc<RefCell<Before>>,
    ) -> Result<Self, ServerError> {
        let core = context.connect_fd_rc(descriptor, None)?;
        let defaults = Defaults::watch(&core, SINK, before, {
            let intake = Rc::clone(intake);
            move |reason| intake.borrow_mut().lose(reason)
        })?;
        let links = Links::watch(&core, [SINK, EAR])?;
        Ok(Self { ear: None, microphone: None, links, defaults, core })
    }

    /// Does what follows from what callbacks noted.
    pub(super) fn turn(
        &mut self,
        format: SoundFormat,
        intake: &Rc<RefCell<Intake>>,
    ) -> Result<(), ServerError> {
        self.defaults.turn()?;
        self.defaults.remove_stale_sink();
        if self.ear.is_none() && self.defaults.has_sink() {
            self.listen(format, intake)?;
        }
        self.links.turn(self.ends())?;
        if self.links.are_hopeless() {
            intake.borrow_mut().lose("the sink cannot be listened to");
        }
        if self.defaults.has_lost_sink() {
            intake.borrow_mut().lose("the sink was removed");
        }
        Ok(())
    }

    /// Makes the microphone, or removes it.
    pub(super) fn speak(
        &mut self,
        now: Instant,
        voices: &Rc<RefCell<Voices>>,
        intake: &Rc<RefCell<Intake>>,
    ) -> Result<(), ServerError> {
        let are_heard = voices.borrow().are_heard(now);
        if !are_heard {
            self.microphone = None;
        } else if self.microphone.is_none() {
            self.microphone = Some(Microphone::new(&self.core, voices, intake)?);
        }
        Ok(())
    }

    /// Makes a microphone whatever is said, so that the library has all that it needs for one.
    pub(super) fn rehearse(&mut self, intake: &Rc<RefCell<Intake>>) -> Result<(), ServerError> {
        self.microphone = Some(Microphone::new(&self.core, &Rc::default(), intake)?);
        Ok(())
    }

    /// Whether what programs play goes to the sink, and is heard.
    pub(super) fn is_ready(&self) -> bool {
        self.defaults.is_chosen() && self.ends().is_some_and(|ends| self.links.are_whole(ends))
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

    /// The sink and the stream, once the server knows both.
    fn ends(&self) -> Option<Ends> {
        let sink = ObjectId(self.defaults.sink()?);
        let ear = ObjectId(self.ear.as_ref()?.stream.node_id());
        (ear != UNKNOWN).then_some(Ends { sink, ear })
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
        // The session manager is not asked to link it: it gives up for good where it does not know the
        // sink yet.
        stream.connect(Direction::Input, None, StreamFlags::MAP_BUFFERS, &mut [pod])?;
        self.ear = Some(Ear { _listener: listener, stream });
        Ok(())
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.links.forget();
        (self.ear, self.microphone) = (None, None);
        // The listener of the core holds what this connection holds.
        self.defaults.forget();
    }
}

/// The number that a stream has which the server does not know yet (`PW_ID_ANY`).
const UNKNOWN: ObjectId = ObjectId(u32::MAX);

/// A stream that hears what the sink plays, and nothing else. It does not keep the sink awake: while
/// nobody plays, the sound server wakes neither.
fn ear_properties() -> PropertiesBox {
    properties! {
        "media.type" => "Audio",
        "media.category" => "Capture",
        "node.name" => EAR,
        "node.description" => "Lumen",
        "node.latency" => LATENCY,
        "node.passive" => "true",
        "stream.capture.sink" => "true"
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
    serialised(info)
}

/// A format in the library's terms.
pub(super) fn serialised(info: AudioInfoRaw) -> Result<Vec<u8>, ServerError> {
    let object = Object {
        type_: SpaTypes::ObjectParamFormat.as_raw(),
        id: ParamType::EnumFormat.as_raw(),
        properties: info.into(),
    };
    PodSerializer::serialize(Cursor::new(Vec::new()), &Value::Object(object))
        .map(|(cursor, _)| cursor.into_inner())
        .map_err(|_| ServerError::Format)
}
