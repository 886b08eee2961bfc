//! The bridge as a client of one compositor: reports what is copied there, and offers there what is copied
//! elsewhere.
//!
//! It speaks two equivalent protocols: `ext-data-control-v1`, and its predecessor
//! `wlr-data-control-unstable-v1`, the only one that older desktops have. Of the latter it uses version 1,
//! which lacks the primary selection.

use std::{
    io,
    os::{
        fd::{AsFd, BorrowedFd, OwnedFd},
        unix::net::UnixStream,
    },
};

use wayland_client::{
    Connection, Dispatch, DispatchError, EventQueue, Proxy, QueueHandle,
    backend::WaylandError,
    event_created_child,
    protocol::{
        wl_callback::{self, WlCallback},
        wl_registry::{self, WlRegistry},
        wl_seat::{self, WlSeat},
    },
};
use wayland_protocols::ext::data_control::v1::client::{
    ext_data_control_device_v1::{self, ExtDataControlDeviceV1},
    ext_data_control_manager_v1::{self, ExtDataControlManagerV1},
    ext_data_control_offer_v1::{self, ExtDataControlOfferV1},
    ext_data_control_source_v1::{self, ExtDataControlSourceV1},
};
use wayland_protocols_wlr::data_control::v1::client::{
    zwlr_data_control_device_v1::{self, ZwlrDataControlDeviceV1},
    zwlr_data_control_manager_v1::{self, ZwlrDataControlManagerV1},
    zwlr_data_control_offer_v1::{self, ZwlrDataControlOfferV1},
    zwlr_data_control_source_v1::{self, ZwlrDataControlSourceV1},
};

use crate::{
    bridge::hub::Content,
    selections::{BRIDGE_MARK, TEXT_NAMES},
};

/// An event of a side.
#[derive(Debug)]
pub(super) enum News {
    /// An app there pastes the bridge's offer, and reads the text from this pipe.
    Asked(OwnedFd),
    /// Its clipboard can be used from now on.
    Joined,
    /// Its clipboard has this content now, or is empty.
    Selected(Option<Content>),
    /// It has handled everything sent before [`Side::sync`] with this number.
    Synced(u32),
    /// Its clipboard cannot be used.
    Useless,
}

/// The number of the first sync, which ends the list of globals.
const GLOBALS: u32 = 0;

/// Why the connection to a side ended.
#[derive(Debug, thiserror::Error)]
pub(super) enum Over {
    /// The connection failed.
    #[error(transparent)]
    Wayland(#[from] WaylandError),
    /// A message was invalid.
    #[error(transparent)]
    Dispatch(#[from] DispatchError),
    /// There was no connection.
    #[error(transparent)]
    Connect(#[from] wayland_client::ConnectError),
}

/// A compositor.
pub(super) struct Side {
    connection: Connection,
    queue: EventQueue<Clipboard>,
    clipboard: Clipboard,
    wants_to_send: bool,
}

/// Its clipboard, as the bridge sees it.
#[derive(Default)]
struct Clipboard {
    seat: Option<WlSeat>,
    manager: Option<Manager>,
    device: Option<Device>,
    /// An offer whose names are still arriving.
    arriving: Option<(Offer, Content)>,
    selected: Option<Offer>,
    source: Option<Source>,
    news: Vec<News>,
}

impl Side {
    /// Becomes a client over `stream`.
    pub(super) fn new(stream: UnixStream) -> Result<Self, Over> {
        Ok(Self::of(Connection::from_socket(stream)?))
    }

    /// Becomes a client over the connection that was granted (`WAYLAND_SOCKET`).
    pub(super) fn granted() -> Result<Self, Over> {
        Ok(Self::of(Connection::connect_to_env()?))
    }

    fn of(connection: Connection) -> Self {
        let queue = connection.new_event_queue();
        let (display, handle) = (connection.display(), queue.handle());
        display.get_registry(&handle, ());
        // The answer comes after the last global.
        display.sync(&handle, GLOBALS);
        Self { connection, queue, clipboard: Clipboard::default(), wants_to_send: false }
    }

    /// The connection's descriptor, for polling.
    pub(super) fn descriptor(&self) -> BorrowedFd<'_> {
        self.connection.as_fd()
    }

    /// Whether unsent messages wait for room in the socket.
    pub(super) const fn wants_to_send(&self) -> bool {
        self.wants_to_send
    }

    /// Sends what is queued.
    pub(super) fn flush(&mut self) -> Result<(), Over> {
        self.wants_to_send = match self.connection.flush() {
            Ok(()) => false,
            Err(WaylandError::Io(error)) if error.kind() == io::ErrorKind::WouldBlock => true,
            Err(error) => return Err(error.into()),
        };
        Ok(())
    }

    /// Reads and handles what has arrived.
    pub(super) fn read(&mut self) -> Result<Vec<News>, Over> {
        if let Some(guard) = self.queue.prepare_read() {
            match guard.read() {
                Ok(_) => {}
                Err(WaylandError::Io(error)) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(error.into()),
            }
        }
        self.queue.dispatch_pending(&mut self.clipboard)?;
        Ok(std::mem::take(&mut self.clipboard.news))
    }

    /// Offers text.
    pub(super) fn offer(&mut self) {
        self.clipboard.offer(&self.queue.handle());
    }

    /// Offers nothing.
    pub(super) fn clear(&self) {
        if let Some(device) = &self.clipboard.device {
            device.set_selection(None);
        }
    }

    /// Asks for `News::Synced` once all earlier requests are handled. `number` is not [`GLOBALS`].
    pub(super) fn sync(&self, number: u32) {
        self.connection.display().sync(&self.queue.handle(), number);
    }

    /// Asks the app that copied there to write its text of this name to `pipe`.
    pub(super) fn ask(&self, name: &str, pipe: BorrowedFd<'_>) {
        if let Some(offer) = &self.clipboard.selected {
            offer.receive(name.to_owned(), pipe);
        }
    }
}

impl Clipboard {
    fn offer(&mut self, handle: &QueueHandle<Self>) {
        let (Some(manager), Some(device)) = (&self.manager, &self.device) else { return };
        let source = manager.create_data_source(handle);
        TEXT_NAMES.into_iter().chain([BRIDGE_MARK]).for_each(|name| source.offer(name.to_owned()));
        device.set_selection(Some(&source));
        // The previous source is destroyed when it is cancelled.
        self.source = Some(source);
    }

    fn begin(&mut self, handle: &QueueHandle<Self>) {
        let device = self.manager.as_ref().zip(self.seat.as_ref());
        self.device = device.map(|(manager, seat)| manager.get_data_device(seat, handle));
        self.news.push(if self.device.is_some() { News::Joined } else { News::Useless });
    }

    fn arrives(&mut self, offer: Offer) {
        if let Some((old, _)) = self.arriving.replace((offer, Content::default())) {
            old.destroy();
        }
    }

    fn named(&mut self, offer: &Offer, name: &str) {
        if let Some((arriving, content)) = &mut self.arriving
            && arriving == offer
        {
            content.add(name);
        }
    }

    /// Takes the offer whose names were arriving, if it is this one.
    fn arrived(&mut self, offer: &Offer) -> Option<(Offer, Content)> {
        self.arriving.take_if(|(arriving, _)| arriving == offer)
    }

    fn select(&mut self, offer: Option<Offer>) {
        let arrived = offer.and_then(|offer| self.arrived(&offer));
        let (selected, content) = arrived.unzip();
        if let Some(old) = std::mem::replace(&mut self.selected, selected) {
            old.destroy();
        }
        self.news.push(News::Selected(content));
    }

    fn cancelled(&mut self, source: &Source) {
        self.source.take_if(|ours| ours == source);
        source.destroy();
    }

    fn asked(&mut self, source: &Source, pipe: OwnedFd) {
        // A request for a source that was replaced meanwhile gets an end of file.
        if self.source.as_ref() == Some(source) {
            self.news.push(News::Asked(pipe));
        }
    }
}

/// One type for both protocols' objects, and one handler for both.
macro_rules! speaks {
    ($($protocol:ident {
        $manager:ident, $devices:ident $device:ident, $offers:ident $offer:ident,
        $sources:ident $source:ident, $managers:ident
    })*) => {
        enum Manager { $($protocol($manager)),* }
        enum Device { $($protocol($device)),* }
        #[derive(PartialEq)]
        enum Offer { $($protocol($offer)),* }
        #[derive(PartialEq)]
        enum Source { $($protocol($source)),* }

        impl Manager {
            fn create_data_source(&self, handle: &QueueHandle<Clipboard>) -> Source {
                match self {
                    $(Self::$protocol(it) => Source::$protocol(it.create_data_source(handle, ()))),*
                }
            }

            fn get_data_device(&self, seat: &WlSeat, handle: &QueueHandle<Clipboard>) -> Device {
                match self {
                    $(Self::$protocol(it) => {
                        Device::$protocol(it.get_data_device(seat, handle, ()))
                    }),*
                }
            }
        }

        impl Device {
            fn set_selection(&self, source: Option<&Source>) {
                match (self, source) {
                    $((Self::$protocol(it), Some(Source::$protocol(source))) => {
                        it.set_selection(Some(source));
                    })*
                    $((Self::$protocol(it), None) => it.set_selection(None),)*
                    // Cannot happen: both come from the same manager.
                    _ => {}
                }
            }
        }

        impl Offer {
            fn receive(&self, name: String, pipe: BorrowedFd<'_>) {
                match self { $(Self::$protocol(it) => it.receive(name, pipe)),* }
            }

            fn destroy(&self) {
                match self { $(Self::$protocol(it) => it.destroy()),* }
            }
        }

        impl Source {
            fn offer(&self, name: String) {
                match self { $(Self::$protocol(it) => it.offer(name)),* }
            }

            fn destroy(&self) {
                match self { $(Self::$protocol(it) => it.destroy()),* }
            }
        }

        $(
            silent!($manager, $managers);

            impl Dispatch<$device, ()> for Clipboard {
                fn event(
                    clipboard: &mut Self,
                    _: &$device,
                    event: $devices::Event,
                    (): &(),
                    _: &Connection,
                    _: &QueueHandle<Self>,
                ) {
                    match event {
                        $devices::Event::DataOffer { id } => {
                            clipboard.arrives(Offer::$protocol(id));
                        }
                        $devices::Event::Selection { id } => {
                            clipboard.select(id.map(Offer::$protocol));
                        }
                        $devices::Event::PrimarySelection { id: Some(id) } => {
                            clipboard.arrived(&Offer::$protocol(id.clone()));
                            id.destroy();
                        }
                        $devices::Event::Finished => clipboard.news.push(News::Useless),
                        _ => {}
                    }
                }

                event_created_child!(Clipboard, $device, [
                    $devices::EVT_DATA_OFFER_OPCODE => ($offer, ()),
                ]);
            }

            impl Dispatch<$offer, ()> for Clipboard {
                fn event(
                    clipboard: &mut Self,
                    offer: &$offer,
                    event: $offers::Event,
                    (): &(),
                    _: &Connection,
                    _: &QueueHandle<Self>,
                ) {
                    if let $offers::Event::Offer { mime_type } = event {
                        clipboard.named(&Offer::$protocol(offer.clone()), &mime_type);
                    }
                }
            }

            impl Dispatch<$source, ()> for Clipboard {
                fn event(
                    clipboard: &mut Self,
                    source: &$source,
                    event: $sources::Event,
                    (): &(),
                    _: &Connection,
                    _: &QueueHandle<Self>,
                ) {
                    let source = Source::$protocol(source.clone());
                    match event {
                        $sources::Event::Send { fd, .. } => clipboard.asked(&source, fd),
                        $sources::Event::Cancelled => clipboard.cancelled(&source),
                        _ => {}
                    }
                }
            }
        )*
    };
}

/// Objects whose events are ignored.
macro_rules! silent {
    ($object:ident, $module:ident) => {
        impl Dispatch<$object, ()> for Clipboard {
            fn event(
                _: &mut Self,
                _: &$object,
                _: $module::Event,
                (): &(),
                _: &Connection,
                _: &QueueHandle<Self>,
            ) {
            }
        }
    };
}

speaks! {
    Ext {
        ExtDataControlManagerV1, ext_data_control_device_v1 ExtDataControlDeviceV1,
        ext_data_control_offer_v1 ExtDataControlOfferV1,
        ext_data_control_source_v1 ExtDataControlSourceV1, ext_data_control_manager_v1
    }
    Wlr {
        ZwlrDataControlManagerV1, zwlr_data_control_device_v1 ZwlrDataControlDeviceV1,
        zwlr_data_control_offer_v1 ZwlrDataControlOfferV1,
        zwlr_data_control_source_v1 ZwlrDataControlSourceV1, zwlr_data_control_manager_v1
    }
}

silent!(WlSeat, wl_seat);

impl Dispatch<WlRegistry, ()> for Clipboard {
    fn event(
        clipboard: &mut Self,
        registry: &WlRegistry,
        event: wl_registry::Event,
        (): &(),
        _: &Connection,
        handle: &QueueHandle<Self>,
    ) {
        let wl_registry::Event::Global { name, interface, .. } = event else { return };
        if interface == WlSeat::interface().name {
            clipboard.seat.get_or_insert_with(|| registry.bind(name, 1, handle, ()));
        } else if interface == ExtDataControlManagerV1::interface().name {
            clipboard.manager = Some(Manager::Ext(registry.bind(name, 1, handle, ())));
        } else if interface == ZwlrDataControlManagerV1::interface().name {
            let bind = || Manager::Wlr(registry.bind(name, 1, handle, ()));
            clipboard.manager.get_or_insert_with(bind);
        }
    }
}

impl Dispatch<WlCallback, u32> for Clipboard {
    fn event(
        clipboard: &mut Self,
        _: &WlCallback,
        _: wl_callback::Event,
        number: &u32,
        _: &Connection,
        handle: &QueueHandle<Self>,
    ) {
        match *number {
            GLOBALS => clipboard.begin(handle),
            number => clipboard.news.push(News::Synced(number)),
        }
    }
}
