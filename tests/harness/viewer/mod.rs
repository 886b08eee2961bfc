//! A native viewer: logs in, shakes hands and receives pictures as a browser does, without the
//! weight of one. Built on str0m; its thread serves the connection until it is dropped.

mod http;
mod peer;
mod presence;
mod signalling;

use std::{
    io::{PipeWriter, Write},
    net::SocketAddr,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        mpsc::{Receiver, Sender, channel},
    },
    thread::JoinHandle,
    time::Instant,
};

use anyhow::{Context, Result, ensure};
use lumen_ipc::message::pads::PadReport;

pub use self::{
    http::{Reply, SignedIn, get, login, post},
    presence::PageLease,
    signalling::{FromGateway, Handshake, Signalling},
};
use crate::{patience::wait_for, rig::Rig};

/// The data channel that keeps its messages in order.
pub const INPUT: &str = "input";
/// The data channel that may lose some.
pub const MOTION: &str = "motion";
/// The data channel of gamepads, which loses none and keeps no order.
pub const PADS: &str = "pads";

/// One received access unit.
#[derive(Clone, Copy, Debug)]
pub struct ReceivedFrame {
    /// When its last packet was there.
    pub at: Instant,
    /// Its length in bytes.
    pub bytes: usize,
    /// Whether a decoder can start with it.
    pub keyframe: bool,
}

/// What a viewer has seen so far.
#[derive(Debug, Default)]
pub struct Seen {
    /// Whether ICE and DTLS have succeeded, every data channel is open, and input counts.
    pub connected: bool,
    /// Every frame.
    pub frames: Vec<ReceivedFrame>,
    /// The access units of frames from when this was set on, for whoever decodes them.
    pub kept: Option<Vec<Vec<u8>>>,
    /// The session description it was answered with.
    pub answer: String,
    /// What takes its peer up again, by another WebSocket of the same login.
    pub ticket: String,
    /// Every message on the data channels.
    pub messages: Vec<Vec<u8>>,
    /// Why the connection is over, if it is.
    pub closed: Option<String>,
}

/// A connected viewer.
#[derive(Debug)]
pub struct Viewer {
    seen: Arc<Mutex<Seen>>,
    orders: Sender<Order>,
    bell: PipeWriter,
    thread: Option<JoinHandle<()>>,
}

/// What a viewer decodes.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Codec {
    /// H.264 only.
    #[default]
    H264,
    /// VP8 only.
    Vp8,
}

/// What the viewer's thread is told.
enum Order {
    Leave,
    Send { channel: &'static str, message: Vec<u8> },
    SendRaw { text: String },
}

/// The thread's ends of what it shares with its [`Viewer`].
struct Desk {
    seen: Arc<Mutex<Seen>>,
    orders: Receiver<Order>,
}

impl Desk {
    fn seen(&self) -> MutexGuard<'_, Seen> {
        lock(&self.seen)
    }
}

impl Viewer {
    /// Logs in to `rig` with its token and starts to watch.
    ///
    /// # Errors
    /// When it is not let in.
    pub fn join(rig: &Rig) -> Result<Self> {
        Self::with_token(rig.address(), rig.token())
    }

    /// Logs in with a token and starts to watch.
    ///
    /// # Errors
    /// When it is not let in.
    pub fn with_token(address: SocketAddr, token: &str) -> Result<Self> {
        Self::with_login(address, &login(address, token)?.signed_in()?)
    }

    /// Starts to watch with an earlier login.
    ///
    /// # Errors
    /// When it is not let in.
    pub fn with_login(address: SocketAddr, login: &SignedIn) -> Result<Self> {
        Self::watching(address, login, Codec::default())
    }

    /// The same with what it decodes.
    ///
    /// # Errors
    /// When it is not let in.
    pub fn watching(address: SocketAddr, login: &SignedIn, codec: Codec) -> Result<Self> {
        let signalling = Signalling::open(Handshake::of(address).signed_in(login))?;
        let seen = Arc::default();
        let (orders, receiver) = channel();
        let (bell_reader, bell) = std::io::pipe()?;
        let desk = Desk { seen: Arc::clone(&seen), orders: receiver };
        let peer = peer::Peer::new(signalling, bell_reader, desk, codec)?;
        let thread = std::thread::Builder::new().name("viewer".into()).spawn(move || peer.run())?;
        Ok(Self { seen, orders, bell, thread: Some(thread) })
    }

    /// What it has seen so far.
    pub fn seen(&self) -> MutexGuard<'_, Seen> {
        lock(&self.seen)
    }

    /// Waits for a frame after the first `count`, and returns it.
    ///
    /// # Errors
    /// When none comes.
    pub fn wait_for_frame(&self, count: usize) -> Result<ReceivedFrame> {
        wait_for(&format!("frame {} arrives", count + 1), || self.seen().frames.get(count).copied())
            .with_context(|| format!("seen: {:?}", self.seen()))
    }

    /// Waits until the data channels are open.
    ///
    /// # Errors
    /// When they never are, or the connection is over before.
    pub fn wait_until_connected(&self) -> Result<()> {
        let connected = wait_for("the viewer is connected", || {
            let seen = self.seen();
            let over = seen.closed.is_some().then_some(false);
            seen.connected.then_some(true).or(over)
        });
        let connected = connected.with_context(|| format!("seen: {:?}", self.seen()))?;
        ensure!(connected, "over before it was connected; seen: {:?}", self.seen());
        Ok(())
    }

    /// Waits until the connection is over, and says why.
    ///
    /// # Errors
    /// When it stays.
    pub fn wait_until_closed(&self) -> Result<String> {
        wait_for("the connection is closed", || self.seen().closed.clone())
    }

    /// Sends a message on a data channel, after a proof that the viewer is there if one is due.
    ///
    /// # Errors
    /// When the viewer has ended.
    pub fn send(&self, channel: &'static str, message: &[u8]) -> Result<()> {
        self.order(Order::Send { channel, message: message.to_vec() })
    }

    /// Sends a text frame on the signalling connection.
    ///
    /// # Errors
    /// When the viewer has ended.
    pub fn signal(&self, text: &str) -> Result<()> {
        self.order(Order::SendRaw { text: text.to_owned() })
    }

    /// Presses or releases a key, by its evdev code.
    ///
    /// # Errors
    /// When the viewer has ended.
    pub fn key(&self, code: u16, down: bool) -> Result<()> {
        let [high, low] = code.to_be_bytes();
        self.send(INPUT, &[1, high, low, u8::from(down)])
    }

    /// Tells all of a gamepad; its first state plugs it in.
    ///
    /// # Errors
    /// When the viewer has ended.
    pub fn pad(&self, pad: u8, sequence: u16, state: &PadReport) -> Result<()> {
        let mut message = vec![9, pad];
        message.extend(sequence.to_be_bytes());
        message.extend(state.buttons.to_be_bytes());
        message.extend(state.sticks.map(i16::to_be_bytes).concat());
        message.extend(state.triggers);
        self.send(PADS, &message)
    }

    /// Unplugs a gamepad.
    ///
    /// # Errors
    /// When the viewer has ended.
    pub fn unplug_pad(&self, pad: u8, sequence: u16) -> Result<()> {
        let [high, low] = sequence.to_be_bytes();
        self.send(PADS, &[10, pad, high, low])
    }

    fn order(&self, order: Order) -> Result<()> {
        self.orders.send(order).ok().context("the viewer has ended")?;
        (&self.bell).write_all(&[1]).context("waking the viewer")
    }
}

impl Drop for Viewer {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.order(Order::Leave);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// A viewer's thread that panicked has failed its test already.
fn lock(seen: &Mutex<Seen>) -> MutexGuard<'_, Seen> {
    seen.lock().unwrap_or_else(PoisonError::into_inner)
}
