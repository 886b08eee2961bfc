//! The task that owns the switchboards and the signalling links, one of each for every session:
//! browsers' tasks send it orders, and it sends them messages.
//!
//! INVARIANT: messages of a session's rtc go into that session's switchboard, which knows the
//! browsers of that session only. So no session can reach another session's viewers by naming their
//! peers.

use std::{
    collections::{BTreeMap, HashMap},
    future,
    time::Instant,
};

use futures::{StreamExt, stream::FuturesUnordered};
use lumen_ipc::{
    login::{Login, LoginId},
    message::signalling::{Reason, ToGateway, ToRtc},
    service::{AppState, RelayPair},
    text::counted,
    units::{PeerId, SessionId},
};
use lumen_ipc_runtime::{channel::ReceiveError, clock};
use tokio::{
    sync::{mpsc, oneshot},
    task::JoinSet,
    time::sleep_until,
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
    link::{Full, Happened, RtcLink},
};

/// Most orders that wait; beyond that, browsers' tasks wait.
const MOST_ORDERS: usize = 64;
/// Most messages that wait for one browser; one that does not read them is dismissed.
const MOST_UNREAD: usize = 16;

/// Orders of browsers' tasks and of the supervisor.
#[derive(Debug)]
enum Order {
    App { session: SessionId, state: AppState, told: oneshot::Sender<()> },
    Join { login: Login, joined: oneshot::Sender<Joined> },
    Said(Seat, FromBrowser),
    Leave(Seat),
    Lose(Seat),
    LoginRenewed(Seat, Login),
    LoginEnded(SessionId, LoginId),
    TellOthers(SessionId, LoginId, Reason),
    EndsSoon(SessionId, Option<u16>),
    ReplaceLink(SessionId, SignallingLink),
    ReplaceRelay,
}

/// One signalling WebSocket, unique among those of all sessions.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub(super) struct Seat {
    session: SessionId,
    browser: BrowserId,
}

/// A browser's place in the exchange.
#[derive(Debug)]
pub(super) struct Joined {
    pub(super) seat: Seat,
    /// Messages for the browser; the channel closes when the browser is dismissed.
    pub(super) messages: mpsc::Receiver<ToBrowser>,
}

/// Gives orders to the exchange. Its task ends when the last clone is dropped.
#[derive(Clone, Debug)]
pub(super) struct Orders(mpsc::Sender<Order>);

impl Orders {
    /// `None` when the exchange has ended.
    pub(super) async fn join(&self, login: Login) -> Option<Joined> {
        let (joined, answer) = oneshot::channel();
        self.give(Order::Join { login, joined }).await;
        answer.await.ok()
    }

    pub(super) async fn said(&self, seat: Seat, message: FromBrowser) {
        self.give(Order::Said(seat, message)).await;
    }

    /// Removes a browser that is done.
    pub(super) async fn leave(&self, seat: Seat) {
        self.give(Order::Leave(seat)).await;
    }

    /// Handles the loss of a browser's WebSocket.
    pub(super) async fn lose(&self, seat: Seat) {
        self.give(Order::Lose(seat)).await;
    }

    /// Updates a browser's login, which has been resumed.
    pub(super) async fn login_renewed(&self, seat: Seat, login: Login) {
        self.give(Order::LoginRenewed(seat, login)).await;
    }

    /// Ends a login and everything that its browsers have.
    pub(super) async fn login_ended(&self, session: SessionId, login: LoginId) {
        self.give(Order::LoginEnded(session, login)).await;
    }

    /// Shows a text on the pages of a session that have another login than this one.
    pub(super) async fn tell_others(&self, session: SessionId, login: LoginId, text: Reason) {
        self.give(Order::TellOthers(session, login, text)).await;
    }

    /// Tells the pages of a session that it ends after so many seconds unless somebody acts, or stays.
    pub(super) async fn ends_soon(&self, session: SessionId, seconds: Option<u16>) {
        self.give(Order::EndsSoon(session, seconds)).await;
    }

    /// Reaches the rtc of a session by this link from now on.
    pub(super) async fn replace_link(&self, session: SessionId, link: SignallingLink) {
        self.give(Order::ReplaceLink(session, link)).await;
    }

    /// Tells the state of the app of a session; returns when the messages are queued with the task
    /// of each of its browsers.
    pub(super) async fn app_is(&self, session: SessionId, state: AppState) {
        let (told, telling) = oneshot::channel();
        self.give(Order::App { session, state, told }).await;
        // Once the exchange has ended, there is nobody to tell.
        let _ = telling.await;
    }

    /// Handles the start of another relay process.
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
    desks: BTreeMap<SessionId, Desk>,
    orders: mpsc::Receiver<Order>,
    broker: Broker,
    /// Requests to the broker for relay credentials.
    mints: JoinSet<Minted>,
    /// Requests to the broker to start the app.
    starts: JoinSet<Option<(Seat, Reason)>>,
    /// Callers that wait until the messages before are queued with the browsers' tasks.
    telling: Vec<oneshot::Sender<()>>,
    browsers: HashMap<Seat, mpsc::Sender<ToBrowser>>,
    figures: Figures,
    summarise: Box<dyn Fn(String) + Send>,
}

/// The state of one session.
struct Desk {
    switchboard: Switchboard,
    link: Option<RtcLink>,
    /// Whether the session is over.
    over: bool,
}

impl Desk {
    fn new() -> Self {
        // An earlier gateway process numbered its peers from an earlier microsecond, and made fewer
        // than one in each: numbers do not repeat during the life of an rtc process.
        let switchboard = Switchboard::new(PeerId(clock::now().0));
        Self { switchboard, link: None, over: false }
    }

    fn is_of_use(&self) -> bool {
        self.switchboard.browsers() > 0 || self.link.is_some() || !self.over
    }

    fn put_in(&mut self, input: Input) {
        self.switchboard.handle_input(Instant::now(), input);
    }

    fn tell_rtc(&mut self, session: SessionId, message: ToRtc) {
        let Some(link) = &mut self.link else { return };
        if link.tell(Instant::now(), message) == Err(Full) {
            self.give_up_full(session);
        }
    }

    fn give_up_full(&mut self, session: SessionId) {
        let Some(link) = self.link.take() else { return };
        warn!(%session, "giving up the link: rtc does not read it");
        link.give_up_full();
        self.put_in(Input::LinkFull);
    }

    /// When the next timeout is due.
    fn deadline(&self) -> Option<Instant> {
        let link = self.link.as_ref().and_then(RtcLink::deadline);
        self.switchboard.poll_timeout().into_iter().chain(link).min()
    }
}

/// Relay credentials, if there are any.
struct Minted {
    seat: Seat,
    purpose: Purpose,
    pair: Option<RelayPair>,
}

/// Why the task woke up.
enum Woken {
    Refused(Seat, Reason),
    Minted(Minted),
    Order(Order),
    Link(SessionId, Happened),
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
            desks: BTreeMap::new(),
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
                Woken::Minted(Minted { seat, purpose, pair }) => {
                    self.put_in(seat.session, Input::Minted(seat.browser, purpose, pair));
                }
                Woken::Refused(seat, reason) => {
                    self.put_in(seat.session, Input::AppRefused(seat.browser, reason));
                }
                Woken::Order(order) => self.obey(order),
                Woken::Link(session, Happened::Heard(heard)) => self.hear(session, heard),
                Woken::Link(session, Happened::Sent(outcome)) => {
                    if let Some(link) = &mut self.desk(session).link {
                        link.sent(Instant::now(), outcome);
                    }
                }
                Woken::Timeout => self.time_has_come(),
                Woken::Over => return,
            }
            self.carry_out();
            for told in self.telling.drain(..) {
                // The caller may have gone.
                let _ = told.send(());
            }
            self.desks.retain(|_, desk| desk.is_of_use());
            self.report();
        }
    }

    async fn wait(&mut self) -> Woken {
        let deadline = self.desks.values().filter_map(Desk::deadline).min();
        let timeout = async {
            match deadline {
                Some(deadline) => sleep_until(deadline.into()).await,
                None => future::pending().await,
            }
        };
        let mut links: FuturesUnordered<_> = self
            .desks
            .iter()
            .filter_map(|(session, desk)| {
                let link = desk.link.as_ref()?;
                Some(async move { (*session, link.next().await) })
            })
            .collect();
        tokio::select! {
            // `join_next` fails only if the task panicked, which does not happen.
            Some(Ok(minted)) = self.mints.join_next() => Woken::Minted(minted),
            Some(Ok(Some((seat, reason)))) = self.starts.join_next() => {
                Woken::Refused(seat, reason)
            }
            order = self.orders.recv() => order.map_or(Woken::Over, Woken::Order),
            Some((session, happened)) = links.next() => Woken::Link(session, happened),
            () = timeout => Woken::Timeout,
        }
    }

    fn obey(&mut self, order: Order) {
        match order {
            Order::App { session, state, told } => {
                self.telling.push(told);
                self.desk(session).over = matches!(state, AppState::Over { .. });
                self.put_in(session, Input::App(state));
            }
            Order::Join { login, joined } => {
                let session = login.session;
                let browser = self.desk(session).switchboard.join(Instant::now(), login);
                let seat = Seat { session, browser };
                let (sender, messages) = mpsc::channel(MOST_UNREAD);
                self.browsers.insert(seat, sender);
                if joined.send(Joined { seat, messages }).is_err() {
                    self.let_go(Input::Left(browser), seat);
                }
            }
            Order::Said(seat, message) => {
                self.put_in(seat.session, Input::Said(seat.browser, message));
            }
            Order::Leave(seat) => self.let_go(Input::Left(seat.browser), seat),
            Order::Lose(seat) => self.let_go(Input::Lost(seat.browser), seat),
            Order::LoginRenewed(seat, login) => {
                self.put_in(seat.session, Input::LoginRenewed(seat.browser, login));
            }
            // The session's rtc may have no link yet. It is told when it has one.
            Order::LoginEnded(session, login) => {
                self.desk(session).put_in(Input::LoginEnded(login));
            }
            Order::EndsSoon(session, seconds) => self.put_in(session, Input::EndsSoon(seconds)),
            Order::TellOthers(session, login, text) => {
                self.put_in(session, Input::TellOthers(login, text));
            }
            Order::ReplaceLink(session, link) => match link.into_async() {
                Ok(end) => {
                    let desk = self.desk(session);
                    desk.link = Some(RtcLink::new(end));
                    desk.put_in(Input::LinkUp);
                }
                Err(error) => warn!(%session, %error, "cannot use the signalling link"),
            },
            Order::ReplaceRelay => self.put_in_all(|| Input::RelayReplaced),
        }
    }

    fn desk(&mut self, session: SessionId) -> &mut Desk {
        self.desks.entry(session).or_insert_with(Desk::new)
    }

    fn hear(&mut self, session: SessionId, received: Result<ToGateway, ReceiveError>) {
        let error = match received {
            Ok(message) => return self.put_in(session, Input::FromRtc(message)),
            Err(error) => error,
        };
        match error {
            ReceiveError::Closed => info!(%session, "rtc closed its link"),
            ReceiveError::Violation(violation) => {
                self.figures.link_violations.increment();
                warn!(%session, %violation, "giving up the link: rtc broke the contract");
            }
            ReceiveError::Empty | ReceiveError::Io(_) => {
                warn!(%session, %error, "giving up the signalling link");
            }
        }
        let desk = self.desk(session);
        desk.link = None;
        desk.put_in(Input::LinkDown);
    }

    fn time_has_come(&mut self) {
        let now = Instant::now();
        for (session, desk) in &mut self.desks {
            let is_full = |link: &RtcLink| link.deadline().is_some_and(|at| at <= now);
            if desk.link.as_ref().is_some_and(is_full) {
                desk.give_up_full(*session);
            }
            desk.put_in(Input::Timeout);
        }
    }

    fn let_go(&mut self, how: Input, seat: Seat) {
        self.browsers.remove(&seat);
        self.put_in(seat.session, how);
    }

    /// A session that is over and has no browsers left has been removed; input for it is dropped.
    fn put_in(&mut self, session: SessionId, input: Input) {
        if let Some(desk) = self.desks.get_mut(&session) {
            desk.put_in(input);
        }
    }

    fn put_in_all(&mut self, input: impl Fn() -> Input) {
        for desk in self.desks.values_mut() {
            desk.put_in(input());
        }
    }

    fn carry_out(&mut self) {
        for session in self.desks.keys().copied().collect::<Vec<_>>() {
            while let Some(output) =
                self.desks.get_mut(&session).and_then(|desk| desk.switchboard.poll_output())
            {
                self.obey_switchboard(session, output);
            }
        }
    }

    fn obey_switchboard(&mut self, session: SessionId, output: Output) {
        let seat = |browser| Seat { session, browser };
        match output {
            Output::StartApp(browser, _) => {
                let (broker, seat) = (self.broker.clone(), seat(browser));
                self.starts.spawn(async move {
                    let refusal = broker.start_app(session).await.err()?;
                    Some((seat, Reason::truncated(refusal.0.as_str())))
                });
            }
            // The browser's task sends what is queued, and closes the WebSocket.
            Output::Dismiss(browser) => drop(self.browsers.remove(&seat(browser))),
            Output::ToRtc(message) => {
                if let Some(desk) = self.desks.get_mut(&session) {
                    desk.tell_rtc(session, message);
                }
            }
            Output::ToBrowser(browser, message) => self.tell_browser(seat(browser), message),
            Output::Mint { browser, purpose, peer, .. } => {
                let (broker, seat) = (self.broker.clone(), seat(browser));
                self.mints.spawn(async move {
                    let pair = broker.mint(session, peer).await;
                    Minted { seat, purpose, pair }
                });
            }
        }
    }

    fn tell_browser(&mut self, seat: Seat, message: ToBrowser) {
        let Some(sender) = self.browsers.get(&seat) else { return };
        if sender.try_send(message).is_err() {
            // The browser's task sees its channel close and closes the WebSocket.
            self.let_go(Input::Lost(seat.browser), seat);
        }
    }

    fn report(&self) {
        let switchboards = || self.desks.values().map(|desk| &desk.switchboard);
        let browsers: usize = switchboards().map(Switchboard::browsers).sum();
        let peers: usize = switchboards().map(Switchboard::peers).sum();
        let figure = |count: usize| i64::try_from(count).unwrap_or(i64::MAX);
        self.figures.browsers.set(figure(browsers));
        self.figures.peers.set(figure(peers));
        let waiting = self.desks.values().filter(|desk| desk.link.is_none()).count();
        let rtc = match waiting {
            0 => String::new(),
            _ => format!(", {} waiting for rtc", counted(waiting, "session")),
        };
        let (browsers, peers) = (counted(browsers, "browser"), counted(peers, "peer"));
        (self.summarise)(format!("{browsers}, {peers}{rtc}"));
    }
}
