//! The links between the sink and what listens to it, made and watched over one connection, with which
//! they end.

use std::{cell::RefCell, collections::BTreeSet, rc::Rc};

use pipewire::{
    core::{CoreRc, Listener as CoreListener},
    link::Link,
    properties::{PropertiesBox, properties},
    proxy::ProxyT,
    registry::{GlobalObject, Listener as RegistryListener, RegistryRc},
    types::ObjectType,
};

use super::server::Dict;
use crate::sound::wiring::{Ends, ObjectId, Pair, Port, Side, Wiring};

/// Most nodes whose ports are looked at: the sink, and what listens to it in this session and others of
/// the same user.
const MOST_NODES: usize = 64;

/// Makes the links.
pub(super) struct Links {
    state: Rc<RefCell<State>>,
    /// A link ends with what stands for it here.
    made: Vec<(Pair, Link)>,
    core: CoreRc,
    registry: Option<RegistryRc>,
    _registry_listener: Option<RegistryListener>,
    _core_listener: Option<CoreListener>,
}

/// What callbacks note.
struct State {
    names: [&'static str; 2],
    nodes: BTreeSet<u32>,
    wiring: Wiring,
    /// Which of this process's objects the server does not make.
    refused: Vec<u32>,
}

impl Links {
    /// Watches ports of the nodes of these names in the server of `core`.
    pub(super) fn watch(core: &CoreRc, names: [&'static str; 2]) -> Result<Self, pipewire::Error> {
        let state = Rc::new(RefCell::new(State {
            names,
            nodes: BTreeSet::new(),
            wiring: Wiring::default(),
            refused: Vec::new(),
        }));
        let registry = core.get_registry_rc()?;
        let (finder, loser) = (Rc::clone(&state), Rc::clone(&state));
        let registry_listener = registry
            .add_listener_local()
            .global(move |global| finder.borrow_mut().consider(global))
            .global_remove(move |object| loser.borrow_mut().removed(object))
            .register();
        let refused = Rc::clone(&state);
        let core_listener = core
            .add_listener_local()
            .error(move |id, _, _, _| refused.borrow_mut().refused.push(id))
            .register();
        Ok(Self {
            state,
            made: Vec::new(),
            core: core.clone(),
            registry: Some(registry),
            _registry_listener: Some(registry_listener),
            _core_listener: Some(core_listener),
        })
    }

    /// Makes the links that are due, once both ends are there.
    pub(super) fn turn(&mut self, ends: Option<Ends>) -> Result<(), pipewire::Error> {
        let due = {
            let State { wiring, refused, .. } = &mut *self.state.borrow_mut();
            for refused in std::mem::take(refused) {
                let link = self.made.iter().find(|(_, link)| link.upcast_ref().id() == refused);
                if let Some((pair, _)) = link {
                    wiring.refused(*pair);
                }
            }
            self.made.retain(|(pair, _)| wiring.expects(*pair));
            ends.map(|ends| (ends, wiring.due(ends)))
        };
        let Some((ends, due)) = due else { return Ok(()) };
        for pair in due {
            let link = self.core.create_object("link-factory", &link_properties(ends, pair))?;
            self.made.push((pair, link));
        }
        Ok(())
    }

    /// Whether everything that the sink plays is heard.
    pub(super) fn are_whole(&self, ends: Ends) -> bool {
        self.state.borrow().wiring.is_whole(ends)
    }

    /// Whether the server does not let them be.
    pub(super) fn are_hopeless(&self) -> bool {
        self.state.borrow().wiring.is_hopeless()
    }

    /// Drops what depends on the connection, before the connection.
    pub(super) fn forget(&mut self) {
        self.made.clear();
        self._core_listener = None;
        self._registry_listener = None;
        self.registry = None;
    }
}

impl State {
    fn consider(&mut self, global: &GlobalObject<&Dict>) {
        let Some(properties) = global.props else { return };
        match global.type_ {
            ObjectType::Node => {
                let is_ours =
                    properties.get("node.name").is_some_and(|it| self.names.contains(&it));
                if is_ours && self.nodes.len() < MOST_NODES {
                    self.nodes.insert(global.id);
                }
            }
            ObjectType::Port => {
                let port = port(properties).filter(|port| self.nodes.contains(&port.node.0));
                if let Some(port) = port {
                    self.wiring.port_added(ObjectId(global.id), port);
                }
            }
            ObjectType::Link => {
                let ports = number(properties, "link.output.port")
                    .zip(number(properties, "link.input.port"));
                if let Some((from, to)) = ports {
                    self.wiring.link_added(ObjectId(global.id), Pair { from, to });
                }
            }
            _ => {}
        }
    }

    fn removed(&mut self, object: u32) {
        self.nodes.remove(&object);
        self.wiring.removed(ObjectId(object));
    }
}

/// A port of a monitor or a stream; `None` for any other.
fn port(properties: &Dict) -> Option<Port> {
    let is_monitor = properties.get("port.monitor") == Some("true");
    let side = match properties.get("port.direction")? {
        "out" if is_monitor => Side::Monitor,
        "in" => Side::Input,
        _ => return None,
    };
    let channel = properties.get("audio.channel")?.to_owned();
    Some(Port { node: number(properties, "node.id")?, side, channel })
}

fn number(properties: &Dict, key: &str) -> Option<ObjectId> {
    properties.get(key)?.parse().ok().map(ObjectId)
}

/// A link that does not keep the sink awake: while nobody plays, the sound server wakes neither side.
fn link_properties(ends: Ends, pair: Pair) -> PropertiesBox {
    properties! {
        "link.output.node" => ends.sink.0.to_string(),
        "link.output.port" => pair.from.0.to_string(),
        "link.input.node" => ends.ear.0.to_string(),
        "link.input.port" => pair.to.0.to_string(),
        "link.passive" => "true"
    }
}
