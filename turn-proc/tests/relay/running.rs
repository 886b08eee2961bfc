//! A relay on real loopback sockets, on a thread of its own.

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, UdpSocket},
    ops::ControlFlow,
    os::fd::{AsFd, BorrowedFd},
    sync::mpsc,
    thread::JoinHandle,
};

use anyhow::Result;
use lumen_ipc::message::handover::{ToGateway, ToTurn};
use lumen_ipc_runtime::{channel::Channel, link_end::LinkEnd, metrics::Registry, wake::Waker};
use lumen_turn::{
    address::OwnAddresses,
    auth::credential::RelaySecret,
    quota::{Rate, StrangerRates},
    relay::{Relay, RelayConfig, allocation::AllocationLimits},
    shell::{ConnectionLimits, Handover, Overseer, Server, Sockets, now, server_config},
};

use crate::client::{REALM, SECRET};

/// A running relay, stopped when dropped.
pub(crate) struct Running {
    pub(crate) udp: SocketAddr,
    pub(crate) tcp: SocketAddr,
    pub(crate) tls: SocketAddr,
    orders: mpsc::Sender<Order>,
    waker: Waker,
    thread: Option<JoinHandle<()>>,
    pub(crate) registry: Registry,
}

/// What a test tells a running relay to do.
enum Order {
    HandOver(Handover),
    Stop,
}

/// Passes orders to the relay's thread.
struct Boss {
    orders: mpsc::Receiver<Order>,
    waker: Waker,
}

impl AsFd for Boss {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.waker.as_fd()
    }
}

impl Overseer for Boss {
    fn heed(&mut self, server: &mut Server) -> ControlFlow<()> {
        self.waker.acknowledge();
        while let Ok(order) = self.orders.try_recv() {
            match order {
                Order::HandOver(link) => server.hand_over_from(link).unwrap(),
                Order::Stop => return ControlFlow::Break(()),
            }
        }
        ControlFlow::Continue(())
    }
}

#[derive(Default)]
pub(crate) struct Setup {
    pub(crate) rates: StrangerRates,
    pub(crate) connections: ConnectionLimits,
}

/// Limits so high that loopback tests, all from one source, do not reach them.
pub(crate) fn patient() -> Setup {
    let plenty = Rate { per_second: 100_000, burst: 100_000 };
    let rates =
        StrangerRates { source: plenty, datagrams: plenty, streams: plenty, attempts: plenty };
    let connections =
        ConnectionLimits { opened: plenty, opened_by_all: plenty, ..Default::default() };
    Setup { rates, connections }
}

impl Running {
    pub(crate) fn start(setup: Setup) -> Result<Self> {
        Self::start_on(IpAddr::V4(Ipv4Addr::LOCALHOST), setup)
    }

    pub(crate) fn start_on(ip: IpAddr, setup: Setup) -> Result<Self> {
        let any = SocketAddr::new(ip, 0);
        let (udp, tcp, tls) =
            (UdpSocket::bind(any)?, TcpListener::bind(any)?, TcpListener::bind(any)?);
        let addresses = (udp.local_addr()?, tcp.local_addr()?, tls.local_addr()?);
        let certified = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()])?;
        let chain = certified.cert.pem();
        let key = certified.signing_key.serialize_pem();
        let registry = Registry::default();
        let config = RelayConfig {
            own: OwnAddresses::new(&[ip])?,
            realm: REALM.to_owned(),
            secret: RelaySecret::new(&SECRET),
            rates: setup.rates,
            limits: AllocationLimits::default(),
        };
        let relay = Relay::new(config, &registry, now())?;
        let sockets = Sockets { datagrams: vec![udp], streams: vec![tcp], secured: vec![tls] };
        let tls_config = server_config(chain.as_bytes(), key.as_bytes())?;
        let waker = Waker::new()?;
        let (orders, received) = mpsc::channel();
        let mut boss = Boss { orders: received, waker: waker.clone() };
        let counted = registry.clone();
        let thread = std::thread::Builder::new().name("relay".to_owned()).spawn(move || {
            Server::new(sockets, relay, Some(tls_config), setup.connections, &counted)
                .and_then(|mut server| server.run(&mut boss))
                .unwrap();
        })?;
        let (udp, tcp, tls) = addresses;
        Ok(Self { udp, tcp, tls, orders, waker, thread: Some(thread), registry })
    }

    /// Gives the relay its end of a link to a gateway.
    pub(crate) fn hand_over(&self, link: Channel<ToTurn, ToGateway>) -> Result<()> {
        let link = Handover::from(LinkEnd::from(link));
        self.orders.send(Order::HandOver(link))?;
        self.waker.wake();
        Ok(())
    }

    pub(crate) fn figure(&self, name: &str) -> i64 {
        use lumen_ipc::service::MetricValue;
        let metrics = self.registry.snapshot();
        let metric = metrics.iter().find(|metric| metric.name.as_str() == name);
        match metric.map(|metric| &metric.value) {
            Some(MetricValue::Counter(count)) => i64::try_from(*count).unwrap(),
            Some(MetricValue::Gauge(value)) => *value,
            _ => panic!("no figure called {name}"),
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // A relay that has failed receives no orders.
        let _ = self.orders.send(Order::Stop);
        self.waker.wake();
        if let Some(thread) = self.thread.take() {
            thread.join().unwrap();
        }
    }
}
