//! The session's microphone: a source in the sound server, while a viewer speaks.
//!
//! It is not there otherwise. Programs that record take what is there for a reason to offer it, or to begin:
//! a source that is always there would be recorded silence, and whoever uses the session could not tell by
//! its list of devices whether anybody can be heard. Programs follow a source that comes and goes, because
//! headsets do.

use std::{cell::RefCell, rc::Rc};

use lumen_ipc::sound::SAMPLE_RATE;
use pipewire::{
    core::CoreRc,
    properties::{PropertiesBox, properties},
    spa::{
        param::audio::{AudioFormat, AudioInfoRaw},
        pod::Pod,
        utils::Direction,
    },
    stream::{Stream, StreamFlags, StreamListener, StreamRc, StreamState},
};

use super::{
    connection::{LATENCY, serialised},
    intake::Intake,
    server::ServerError,
};
use crate::sound::speech::Voices;

/// The name of the source.
const NAME: &str = "lumen_microphone";

/// Most samples that are given at once: far more than a block has.
const MOST_SAMPLES: usize = 8192;

/// The source.
pub(super) struct Microphone {
    _listener: StreamListener<Data>,
    _stream: StreamRc,
}

/// What its callbacks use: what it gives, and where they say that the connection cannot go on.
type Data = (Rc<RefCell<Voices>>, Rc<RefCell<Intake>>);

impl Microphone {
    /// Makes it in the server of `core`. It gives what `voices` say. If the server removes it the connection is
    /// lost: in this one the number of what was removed stands for nothing else (`sound_gate` of the supervisor).
    pub(super) fn new(
        core: &CoreRc,
        voices: &Rc<RefCell<Voices>>,
        intake: &Rc<RefCell<Intake>>,
    ) -> Result<Self, ServerError> {
        let stream = StreamRc::new(core.clone(), NAME, source_properties())?;
        let listener = stream
            .add_local_listener_with_user_data((Rc::clone(voices), Rc::clone(intake)))
            .state_changed(|_, (_, intake), _, state| match state {
                StreamState::Error(reason) => intake.borrow_mut().lose(&reason),
                StreamState::Unconnected => intake.borrow_mut().lose("the microphone was removed"),
                _ => {}
            })
            .process(|stream, (voices, _)| give(stream, &mut voices.borrow_mut()))
            .register()?;
        let format = describe()?;
        let pod = Pod::from_bytes(&format).ok_or(ServerError::Format)?;
        stream.connect(Direction::Output, None, StreamFlags::MAP_BUFFERS, &mut [pod])?;
        Ok(Self { _listener: listener, _stream: stream })
    }
}

/// Fills the buffer that waits.
fn give(stream: &Stream, voices: &mut Voices) {
    let Some(mut buffer) = stream.dequeue_buffer() else { return };
    let requested = usize::try_from(buffer.requested()).unwrap_or(MOST_SAMPLES);
    let Some(data) = buffer.datas_mut().first_mut() else { return };
    let Some(memory) = data.data() else { return };
    let room = (memory.len() / size_of::<f32>()).min(MOST_SAMPLES);
    // A server that does not say how much it needs takes what fits.
    let count = if requested == 0 { room } else { requested.min(room) };
    let mut samples = vec![0.0; count];
    voices.fill(&mut samples);
    for (bytes, sample) in memory.chunks_exact_mut(size_of::<f32>()).zip(&samples) {
        bytes.copy_from_slice(&sample.to_le_bytes());
    }
    let chunk = data.chunk_mut();
    (*chunk.offset_mut(), *chunk.stride_mut()) = (0, size_of::<f32>() as i32);
    *chunk.size_mut() = (count * size_of::<f32>()) as u32;
}

/// A source that is preferred to others while it is there, because a viewer has switched it on.
fn source_properties() -> PropertiesBox {
    properties! {
        "media.type" => "Audio",
        "media.class" => "Audio/Source",
        "node.name" => NAME,
        "node.description" => "Lumen microphone",
        "node.virtual" => "true",
        "node.latency" => LATENCY,
        "priority.session" => "2500"
    }
}

/// The one format in which it gives; the library converts to any other.
fn describe() -> Result<Vec<u8>, ServerError> {
    let mut info = AudioInfoRaw::new();
    info.set_format(AudioFormat::F32LE);
    info.set_rate(SAMPLE_RATE);
    info.set_channels(1);
    let mut position = [0; 64];
    position[0] = pipewire::spa::sys::SPA_AUDIO_CHANNEL_MONO;
    info.set_position(position);
    serialised(info)
}
