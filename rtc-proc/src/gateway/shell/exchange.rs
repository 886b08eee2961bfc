//! The task that owns the switchboard and the signalling link: browsers' tasks send it orders, it
//! sends them messages.

use std::{
    collections::HashMap,
    future,
    time::{Duration, Instant},
};

use lumen_ipc::{
    link::LinkName,
    login::{Login, LoginId},
    message::signalling::{Reason, ToGateway, ToRtc},
    service::{AppState, RelayPair},
    text::counted,
    units::PeerId,
};
use lumen_ipc_runtime::{
    AsyncChannel,
    bootstrap::accuse,
    channel::{ReceiveError, SendError},
    clock,
};
use tokio::{
    sync::{mpsc, oneshot},
    task::JoinSet,
    time::{sleep_until, timeout},
};
use tracing::{info, warn};

use super::{
    super::{
        signal::{FromBrowser, ToBrowser},
        switchboard::{BrowserId, Input, Output, Purpose, Switchboard},
    },
    SignallingLink,
    broker::Broker,
    figures::Figures,
};

/// Orders that wait; more makes the browsers' tasks wait.
const MOST_ORDERS: usize = 64;
/// Messages that wait for one browser; one that does not read them is let go.
const MOST_UNREAD: usize = 16;
/// Rtc reads its link at once unless it is stuck.
const LINK_PATIENCE: Duration = Duration::from_secs(1);

/// What browsers' tasks and the supervisor ask for.
#[derive(Debug)]
enum Order {
    App { state: AppState, told: oneshot::Sender<()> },
    Join { login: Login, joined: oneshot::Sender<Joined> },
    Said(BrowserId, FromBrowser),
    Leave(BrowserId),
    LoginRenewed(BrowserId, Login),
    LoginEnded(LoginId),
    ReplaceLink(SignallingLink),
    ReplaceRelay,
}

/// A browser's place in the exchange.
#[derive(Debug)]
pub(super) struct Joined {
    pub(super) browser: BrowserId,
    /// What it is to be told; ends when the browser is let go.
    pub(super) messages: mpsc::Receiver<ToBrowser>,
}

/// Gives orders to the exchange. Its task ends when the last of these is dropped.
#[derive(Clone, Debug)]
pub(super) struct Orders(mpsc::Sender<Order>);

impl Orders {
    /// `None` when the exchange has ended.
    pub(super) async fn join(&self, login: Login) -> Option<Joined> {
        let (joined, answer) = oneshot::channel();
        self.give(Order::Join { login, joined }).await;
        answer.await.ok()
    }

    pub(super) async fn said(&self, browser: BrowserId, message: FromBrowser) {
        self.give(Order::Said(browser, message)).await;
    }

    pub(super) async fn leave(&self, browser: BrowserId) {
        self.give(Order::Leave(browser)).await;
    }

    /// A browser's login has been resumed, and is like this.
    pub(super) async fn login_renewed(&self, browser: BrowserId, login: Login) {
        self.give(Order::LoginRenewed(browser, login)).await;
    }

    /// A login has ended, and with it whatever its browsers have.
    pub(super) async fn login_ended(&self, login: LoginId) {
        self.give(Order::LoginEnded(login)).await;
    }

    pub(super) async fn replace_link(&self, link: SignallingLink) {
        self.give(Order::ReplaceLink(link)).await;
    }

    /// The app is like this; returns when every browser's task has it to tell.
    pub(super) async fn app_is(&self, state: AppState) {
        let (told, telling) = oneshot::channel();
        self.give(Order::App { state, told }).await;
        // An exchange that has ended has nobody to tell.
        let _ = telling.await;
    }

    /// The relay is another process from now on.
    pub(super) async fn replace_relay(&self) {
        self.give(Order::ReplaceRelay).await;
    }

    async fn give(&self, order: Order) {
        // The exchange ends only with the process.
        let _ = self.0.send(order).await;
    }
}

/// The task.
pub(super) struct Exchange {
    switchboard: Switchboard,
    link: Option<AsyncChannel<ToGateway, ToRtc>>,
    orders: mpsc::Receiver<Order>,
    broker: Broker,
    /// What is being asked of the broker.
    mints: JoinSet<Minted>,
    /// Starts of the app that are being asked for.
    starts: JoinSet<Option<(BrowserId, Reason)>>,
    /// Who waits until the browsers' tasks have what was put in before.
    telling: Vec<oneshot::Sender<()>>,
    browsers: HashMap<BrowserId, mpsc::Sender<ToBrowser>>,
    figures: Figures,
    summarise: Box<dyn Fn(String) + Send>,
}

/// Relay credentials, if there are any.
struct Minted {
    browser: BrowserId,
    purpose: Purpose,
    pair: Option<RelayPair>,
}

/// What the task woke up for.
enum Woken {
    Refused(BrowserId, Reason),
    Minted(Minted),
    Order(Order),
    Link(Result<ToGateway, ReceiveError>),
    Timeout,
    Over,
}

impl Exchange {
    pub(super) fn new(
        broker: Broker,
        figures: Figures,
        summarise: Box<dyn Fn(String) + Send>,
    ) -> (Self, Orders) {
        let (sender, orders) = mpsc::channel(MOST_ORDERS);
        let exchange = Self {
            // An earlier gateway process numbered its peers from an earlier microsecond, and made
            // fewer than one in each: numbers do not repeat within the life of an rtc process.
            switchboard: Switchboard::new(PeerId(clock::now().0)),
            link: None,
            orders,
            broker,
            mints: JoinSet::new(),
            starts: JoinSet::new(),
            telling: Vec::new(),
            browsers: HashMap::new(),
            figures,
            summarise,
        };
        (exchange, Orders(sender))
    }

    pub(super) async fn run(mut self) {
        loop {
            match self.wait().await {
                Woken::Minted(Minted { browser, purpose, pair }) => {
                    self.put_in(Input::Minted(browser, purpose, pair));
                }
                Woken::Refused(browser, reason) => self.put_in(Input::AppRefused(browser, reason)),
                Woken::Order(order) => self.obey(order),
                Woken::Link(received) => self.hear(received),
                Woken::Timeout => self.put_in(Input::Timeout),
                Woken::Over => return,
            }
            self.carry_out().await;
            for told in self.telling.drain(..) {
                // Whoever asked for it may have ended.
                let _ = told.send(());
            }
            self.report();
        }
    }

    async fn wait(&mut self) -> Woken {
        let deadline = self.switchboard.poll_timeout();
        let timeout = async {
            match deadline {
                Some(deadline) => sleep_until(deadline.into()).await,
                None => future::pending().await,
            }
        };
        let link = async {
            match &self.link {
                Some(link) => link.receive().await.map(|received| received.message),
                None => future::pending().await,
            }
        };
        tokio::select! {
            // An error would be a panic of the task, of which there is none.
            Some(Ok(minted)) = self.mints.join_next() => Woken::Minted(minted),
            Some(Ok(Some((browser, reason)))) = self.starts.join_next() => {
                Woken::Refused(browser, reason)
            }
            order = self.orders.recv() => order.map_or(Woken::Over, Woken::Order),
            received = link => Woken::Link(received),
            () = timeout => Woken::Timeout,
        }
    }

    fn obey(&mut self, order: Order) {
        match order {
            Order::App { state, told } => {
                self.telling.push(told);
                self.put_in(Input::App(state));
            }
            Order::Join { login, joined } => {
                let browser = self.switchboard.join(login);
                let (sender, messages) = mpsc::channel(MOST_UNREAD);
                self.browsers.insert(browser, sender);
                if joined.send(Joined { browser, messages }).is_err() {
                    self.let_go(browser);
                }
            }
            Order::Said(browser, message) => self.put_in(Input::Said(browser, message)),
            Order::Leave(browser) => self.let_go(browser),
            Order::LoginRenewed(browser, login) => {
                self.put_in(Input::LoginRenewed(browser, login));
            }
            Order::LoginEnded(login) => self.put_in(Input::LoginEnded(login)),
            Order::ReplaceLink(link) => match AsyncChannel::new(link) {
                Ok(link) => {
                    self.link = Some(link);
                    self.put_in(Input::LinkUp);
                }
                Err(error) => warn!(%error, "the signalling link is unusable"),
            },
            Order::ReplaceRelay => self.put_in(Input::RelayReplaced),
        }
    }

    fn hear(&mut self, received: Result<ToGateway, ReceiveError>) {
        let error = match received {
            Ok(message) => return self.put_in(Input::FromRtc(message)),
            Err(error) => error,
        };
        match error {
            ReceiveError::PeerGone => info!("rtc is gone; waiting for its successor"),
            ReceiveError::Violation(violation) => {
                self.figures.peer_violations.increment();
                accuse(LinkName::Signalling);
                warn!(%violation, "rtc broke the contract; its link is given up");
            }
            ReceiveError::Empty | ReceiveError::Io(_) => {
                warn!(%error, "the signalling link is given up");
            }
        }
        self.cut_link();
    }

    fn cut_link(&mut self) {
        self.link = None;
        self.put_in(Input::LinkDown);
    }

    fn let_go(&mut self, browser: BrowserId) {
        self.browsers.remove(&browser);
        self.put_in(Input::Left(browser));
    }

    fn put_in(&mut self, input: Input) {
        self.switchboard.handle_input(Instant::now(), input);
    }

    async fn carry_out(&mut self) {
        while let Some(output) = self.switchboard.poll_output() {
            match output {
                Output::StartApp(browser, session) => {
                    let broker = self.broker.clone();
                    self.starts.spawn(async move {
                        let refusal = broker.start_app(session).await.err()?;
                        Some((browser, Reason::truncated(refusal.0.as_str())))
                    });
                }
                // Its task sends what it has been given before, and closes the WebSocket.
                Output::Dismiss(browser) => drop(self.browsers.remove(&browser)),
                Output::ToRtc(message) => self.tell_rtc(message).await,
                Output::ToBrowser(browser, message) => self.tell_browser(browser, message),
                Output::Mint { browser, purpose, session, peer } => {
                    let broker = self.broker.clone();
                    self.mints.spawn(async move {
                        let pair = broker.mint(session, peer).await;
                        Minted { browser, purpose, pair }
                    });
                }
            }
        }
    }

    async fn tell_rtc(&mut self, message: ToRtc) {
        let Some(link) = &self.link else { return };
        match timeout(LINK_PATIENCE, link.send(&message, &[])).await {
            // The end is noticed by reading too, where everything rtc still said comes first.
            Ok(Ok(()) | Err(SendError::PeerGone)) => {}
            Ok(Err(error)) => warn!(%error, "a message to rtc is lost"),
            Err(_) => {
                warn!("rtc does not read its link, which is given up");
                self.cut_link();
            }
        }
    }

    fn tell_browser(&mut self, browser: BrowserId, message: ToBrowser) {
        let Some(sender) = self.browsers.get(&browser) else { return };
        if sender.try_send(message).is_err() {
            // Its task sees the end of its messages and closes the WebSocket.
            self.let_go(browser);
        }
    }

    fn report(&self) {
        let (browsers, peers) = (self.switchboard.browsers(), self.switchboard.peers());
        let figure = |count: usize| i64::try_from(count).unwrap_or(i64::MAX);
        self.figures.browsers.set(figure(browsers));
        self.figures.peers.set(figure(peers));
        let rtc = if self.link.is_some() { "" } else { ", waiting for rtc" };
        let (browsers, peers) = (counted(browsers, "browser"), counted(peers, "peer"));
        (self.summarise)(format!("{browsers}, {peers}{rtc}"));
    }
}
