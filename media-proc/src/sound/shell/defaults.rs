//! Lumen's sink in the sound server, and the server's default sink: Lumen's while the session lasts,
//! what it was before afterwards.
//!
//! The sink belongs to a connection that the supervisor keeps open, and stays when this process dies:
//! programs that play to it notice nothing, while moving them to another sink and back costs some of
//! them their sound for good. The next sound worker finds it, and the last one removes it; where there
//! is no last one, because the whole session was killed, the server does.
//!
//! The session manager keeps which sink the user chose in the metadata object `default`, which it makes
//! when it starts and which ends with it; Lumen chooses its sink in each. Where the user chose none, it takes the sink of the highest priority, which is Lumen's. What was chosen before is
//! kept there, too, for the next sound worker.

use std::{cell::RefCell, collections::BTreeMap, rc::Rc};

use pipewire::{
    core::{CoreRc, Listener as CoreListener},
    metadata::{Metadata, MetadataListener},
    node::Node,
    properties::{PropertiesBox, properties},
    registry::{GlobalObject, Listener as RegistryListener, RegistryRc},
    spa::utils::result::AsyncSeq,
    types::ObjectType,
};

use super::server::Dict;

/// The key under which the chosen sink stands, and the type of its value.
const CHOSEN: &str = "default.configured.audio.sink";
const JSON: &str = "Spa:String:JSON";
/// The key under which Lumen keeps what stood there before.
const BEFORE: &str = "lumen.before.audio.sink";

/// Most ports of the sink that are counted. A server's own sinks have a few.
const MOST_PORTS: usize = 256;

/// Makes the sink, and watches which one is the default.
pub(super) struct Defaults {
    state: Rc<RefCell<State>>,
    core: CoreRc,
    registry: Option<RegistryRc>,
    _registry_listener: Option<RegistryListener>,
    _core_listener: Option<CoreListener>,
}

struct State {
    name: &'static str,
    sink: Sink,
    /// The sink's ports, without which the session manager does not know it yet, and their serials.
    ports: BTreeMap<u32, u64>,
    /// The question to which the answer comes when all that the server has is listed.
    listing: Option<AsyncSeq>,
    /// Found, but not bound yet.
    found: Option<GlobalObject<PropertiesBox>>,
    metadata: Option<(MetadataListener, Metadata)>,
    /// Its number and its serial.
    bound: Option<(u32, u64)>,
    /// Whether the session manager has ended that gave the ports.
    has_lost_manager: bool,
    before: Rc<RefCell<Before>>,
    progress: Progress,
    /// The question to which the answer comes when all is given back.
    restoring: Option<AsyncSeq>,
}

/// How far the sink is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Sink {
    /// Not seen yet.
    Unknown,
    /// There is none, and it has not been made.
    Missing,
    /// Asked for.
    Wanted,
    /// This object.
    There(u32),
    /// This object, whose removal was asked for.
    Given(u32),
    /// Somebody removed it.
    Removed,
}

/// What was chosen before, as its JSON; `None` for nothing. It outlives connections, because a session
/// manager forgets what Lumen noted.
#[derive(Debug, Default)]
pub(super) struct Before {
    /// By the user.
    chosen: Option<String>,
    /// By the user, as a sound worker noted that is gone.
    noted: Option<String>,
    /// Whether Lumen's is chosen; if not, then the user's.
    replaced: bool,
}

impl Before {
    fn value(&self) -> Option<&str> {
        self.chosen.as_deref().or(self.noted.as_deref())
    }
}

/// How far the choice is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Progress {
    /// No metadata yet.
    Searching,
    /// What was chosen before is being told.
    Asked(AsyncSeq),
    /// It has been told.
    Told,
    /// Our sink is chosen.
    Chosen,
}

impl Defaults {
    /// Watches in the server of `core`; `lost` is called when the connection breaks.
    pub(super) fn watch(
        core: &CoreRc,
        name: &'static str,
        before: Rc<RefCell<Before>>,
        lost: impl Fn(&str) + 'static,
    ) -> Result<Self, pipewire::Error> {
        let state = Rc::new(RefCell::new(State {
            name,
            sink: Sink::Unknown,
            ports: BTreeMap::new(),
            listing: None,
            found: None,
            metadata: None,
            bound: None,
            has_lost_manager: false,
            before,
            progress: Progress::Searching,
            restoring: None,
        }));
        let registry = core.get_registry_rc()?;
        let (finder, loser) = (Rc::clone(&state), Rc::clone(&state));
        let registry_listener = registry
            .add_listener_local()
            .global(move |global| finder.borrow_mut().consider(global))
            .global_remove(move |object| loser.borrow_mut().removed(object))
            .register();
        let told = Rc::clone(&state);
        let core_listener = core
            .add_listener_local()
            .done(move |_, answer| told.borrow_mut().told(answer))
            .error(move |id, _, _, message| {
                if id == pipewire::core::PW_ID_CORE {
                    lost(message);
                }
            })
            .register();
        state.borrow_mut().listing = Some(core.sync(0)?);
        Ok(Self {
            state,
            core: core.clone(),
            registry: Some(registry),
            _registry_listener: Some(registry_listener),
            _core_listener: Some(core_listener),
        })
    }

    /// Does what follows from what callbacks noted.
    pub(super) fn turn(&self) -> Result<(), pipewire::Error> {
        let mut state = self.state.borrow_mut();
        if state.bound.is_none() {
            // It ended with its session manager, or there was none.
            state.metadata = None;
            state.progress = Progress::Searching;
        }
        if let (Some(found), Some(registry)) = (state.found.take(), &self.registry)
            && state.bind(registry, &found)
        {
            // Everything that the object says of itself comes before the answer.
            state.progress = Progress::Asked(self.core.sync(0)?);
        }
        if state.progress == Progress::Told {
            state.choose();
        }
        Ok(())
    }

    /// Whether there is no sink, once.
    pub(super) fn lacks_sink(&self) -> bool {
        let mut state = self.state.borrow_mut();
        let is_missing = state.sink == Sink::Missing;
        if is_missing {
            state.sink = Sink::Wanted;
        }
        is_missing
    }

    /// Whether what programs play goes to the sink.
    pub(super) fn is_chosen(&self) -> bool {
        self.has_sink() && self.state.borrow().progress == Progress::Chosen
    }

    /// The sink's number, if there is one.
    pub(super) fn sink(&self) -> Option<u32> {
        match self.state.borrow().sink {
            Sink::There(object) => Some(object),
            Sink::Unknown | Sink::Missing | Sink::Wanted | Sink::Given(_) | Sink::Removed => None,
        }
    }

    /// Whether the session manager knows the sink, so that it can be listened to.
    pub(super) fn has_sink(&self) -> bool {
        self.sink().is_some() && !self.state.borrow().ports.is_empty()
    }

    /// Removes a sink whose ports another session manager gave it than the present one, so that another
    /// is made. `WirePlumber` 0.4 waits for ever for the ports of a node that has all of them already, and
    /// meanwhile links no program to anything.
    pub(super) fn remove_stale_sink(&self) {
        let mut state = self.state.borrow_mut();
        if let Sink::There(object) = state.sink
            && state.is_stale()
            && let Some(registry) = &self.registry
        {
            state.sink = Sink::Given(object);
            // Where the server refuses, it stays as it is.
            let _ = registry.destroy_global(object);
        }
    }

    /// Whether the sink was there, and is no more.
    pub(super) fn has_lost_sink(&self) -> bool {
        self.state.borrow().sink == Sink::Removed
    }

    /// Chooses what was chosen before, and removes the sink. The server has done so when
    /// [`Self::is_restored`]; of a connection that is closed earlier it forgets what it has not read.
    pub(super) fn restore(&self) -> Result<(), pipewire::Error> {
        let mut state = self.state.borrow_mut();
        let before = Rc::clone(&state.before);
        let before = before.borrow();
        if (before.replaced || state.progress == Progress::Chosen)
            && let Some((_, metadata)) = &state.metadata
        {
            metadata.set_property(0, CHOSEN, before.value().map(|_| JSON), before.value());
            metadata.set_property(0, BEFORE, None, None);
        }
        if let (Sink::There(object), Some(registry)) = (state.sink, &self.registry) {
            // The connection is closed next, whatever becomes of it.
            let _ = registry.destroy_global(object);
        }
        drop(before);
        state.restoring = Some(self.core.sync(0)?);
        Ok(())
    }

    /// Whether nothing is left to restore.
    pub(super) fn is_restored(&self) -> bool {
        self.state.borrow().restoring.is_none()
    }

    /// Drops what depends on the connection, before the connection.
    pub(super) fn forget(&mut self) {
        self.state.borrow_mut().metadata = None;
        self._core_listener = None;
        self._registry_listener = None;
        self.registry = None;
    }
}

impl State {
    fn consider(&mut self, global: &GlobalObject<&Dict>) {
        let Some(properties) = global.props else { return };
        match (&global.type_, self.sink) {
            (ObjectType::Metadata, _) if properties.get("metadata.name") == Some("default") => {
                self.found = Some(global.to_owned());
            }
            (ObjectType::Node, Sink::Unknown | Sink::Missing | Sink::Wanted)
                if properties.get("node.name") == Some(self.name) =>
            {
                self.sink = Sink::There(global.id);
            }
            (ObjectType::Port, Sink::There(object))
                if properties.get("node.id").and_then(|id| id.parse().ok()) == Some(object)
                    && self.ports.len() < MOST_PORTS =>
            {
                self.ports.insert(global.id, serial(properties));
            }
            _ => {}
        }
    }

    fn removed(&mut self, object: u32) {
        if matches!(self.sink, Sink::There(sink) | Sink::Given(sink) if sink == object) {
            self.sink = Sink::Removed;
        }
        self.ports.remove(&object);
        self.found = self.found.take_if(|found| found.id != object);
        if self.bound.take_if(|(bound, _)| *bound == object).is_some() {
            self.has_lost_manager = !self.ports.is_empty();
        }
    }

    /// Whether the session manager that gave the sink its ports has ended.
    fn is_stale(&self) -> bool {
        let newest = self.ports.values().max();
        let is_older = |manager: u64| newest.is_some_and(|port| *port < manager);
        self.has_lost_manager || self.bound.is_some_and(|(_, manager)| is_older(manager))
    }

    /// Binds the metadata; returns whether it could.
    fn bind(&mut self, registry: &RegistryRc, found: &GlobalObject<PropertiesBox>) -> bool {
        let Ok(metadata) = registry.bind::<Metadata, _>(found) else { return false };
        let before = Rc::clone(&self.before);
        let own = self.name;
        let listener = metadata
            .add_listener_local()
            .property(move |subject, key, _, value| {
                let mut before = before.borrow_mut();
                let value = value.map(str::to_owned);
                match (subject, key) {
                    // Our own choice is not the one before.
                    (0, Some(CHOSEN)) if value.as_ref().is_some_and(|it| it.contains(own)) => {
                        before.replaced = true;
                    }
                    (0, Some(CHOSEN)) => {
                        *before = Before { chosen: value, noted: None, replaced: false };
                    }
                    (0, Some(BEFORE)) => before.noted = value,
                    _ => {}
                }
                0
            })
            .register();
        self.metadata = Some((listener, metadata));
        self.bound = Some((found.id, found.props.as_ref().map_or(0, |it| serial(it.dict()))));
        true
    }

    fn told(&mut self, answer: AsyncSeq) {
        if self.listing == Some(answer) && self.sink == Sink::Unknown {
            self.sink = Sink::Missing;
        }
        if self.progress == Progress::Asked(answer) {
            self.progress = Progress::Told;
        }
        if self.restoring == Some(answer) {
            self.restoring = None;
        }
    }

    fn choose(&mut self) {
        if let Some((_, metadata)) = &self.metadata {
            let before = self.before.borrow().value().map(str::to_owned);
            metadata.set_property(0, BEFORE, before.as_ref().map(|_| JSON), before.as_deref());
            let value = format!("{{ \"name\": \"{}\" }}", self.name);
            metadata.set_property(0, CHOSEN, Some(JSON), Some(&value));
            self.progress = Progress::Chosen;
        }
    }
}

/// The number of an object among all that the server ever had; later ones have greater numbers.
fn serial(properties: &Dict) -> u64 {
    properties.get("object.serial").and_then(|serial| serial.parse().ok()).unwrap_or(0)
}

/// Makes the sink, over a connection to which it then belongs.
pub(super) fn make_sink(owner: &CoreRc, name: &str) -> Result<Node, pipewire::Error> {
    owner.create_object("adapter", &sink_properties(name))
}

/// A sink that is preferred to others, because it leads to the viewers, and that is no device. What it
/// plays is heard as loud as its own volume says.
fn sink_properties(name: &str) -> PropertiesBox {
    properties! {
        "factory.name" => "support.null-audio-sink",
        "media.class" => "Audio/Sink",
        "node.name" => name,
        "node.description" => "Lumen",
        "node.virtual" => "true",
        "audio.position" => "FL,FR",
        "monitor.channel-volumes" => "true",
        "priority.session" => "2000",
        "priority.driver" => "2000"
    }
}
