//! One browser's signalling WebSocket.

use std::time::{Duration, Instant};

use axum::extract::ws::{CloseFrame, Message, WebSocket, WebSocketUpgrade, close_code};
use lumen_ipc::{
    login::{Login, Visitor},
    text::Secret,
};
use lumen_ipc_runtime::log::RateLimit;
use tokio::{
    sync::mpsc,
    task::JoinSet,
    time::{MissedTickBehavior, interval, sleep_until, timeout},
};
use tokio_tungstenite::tungstenite;
use tracing::warn;

use super::{
    super::{
        quota::MessageBudget,
        signal::{self, FromBrowser, MAX_SIGNAL_BYTES, PageLease, ToBrowser},
        tenure::Tenure,
    },
    app::{App, drained},
    broker::LoginError,
    connection::Carried,
    entrance::Visit,
    exchange::{Joined, Seat},
    routes::Admitted,
    server::Client,
};

/// How often browsers are pinged. Two missing answers end the WebSocket.
const PING_INTERVAL: Duration = Duration::from_secs(25);
const MOST_SILENCE: Duration = Duration::from_secs(60);
/// How long sending one message to a browser may take.
const SEND_PATIENCE: Duration = Duration::from_secs(10);
/// Size of one read; most messages are a few kilobytes.
const READ_BUFFER: usize = 8 * 1024;

/// Why the gateway closes a WebSocket.
#[derive(Debug)]
struct Ending {
    code: u16,
    reason: &'static str,
}

const MALFORMED: Ending = Ending { code: close_code::INVALID, reason: "not a signalling message" };
const OVERSIZE: Ending = Ending { code: close_code::SIZE, reason: "the message is too long" };
const NOT_TEXT: Ending = Ending { code: close_code::UNSUPPORTED, reason: "messages are text" };
const TOO_FAST: Ending = Ending { code: close_code::POLICY, reason: "too many messages" };
const BROKEN: Ending = Ending { code: close_code::PROTOCOL, reason: "broken WebSocket frame" };
const UNREAD: Ending = Ending { code: close_code::POLICY, reason: "messages were not read" };
const LOGIN_ENDED: Ending = Ending { code: close_code::POLICY, reason: "the login has ended" };
const RESTART: Ending = Ending { code: close_code::RESTART, reason: "the server restarts" };

/// Bounds the memory for one WebSocket. Twice the limit is read before the connection is cut, so
/// that a slightly oversized message gets its close code instead of a reset.
pub(super) fn limit(upgrade: WebSocketUpgrade) -> WebSocketUpgrade {
    upgrade
        .max_message_size(2 * MAX_SIGNAL_BYTES)
        .max_frame_size(2 * MAX_SIGNAL_BYTES)
        .read_buffer_size(READ_BUFFER)
}

/// Serves a WebSocket until either side closes it. `places` are its places among the connections.
pub(super) async fn serve(
    mut socket: WebSocket,
    app: App,
    admitted: Admitted,
    places: (Client, Visit, Carried),
) {
    let Admitted { login, key } = admitted;
    let joined = app.exchange.join(login).await;
    let Some(Joined { seat, mut messages }) = joined else { return };
    let _present = app.attendance.enter(visitor(&login, &places.1));
    let mut tenure = Tenure::new(Instant::now(), &login);
    let (mut renewals, mut leases) = (JoinSet::new(), JoinSet::new());
    let mut login_ended = false;
    let mut draining = app.draining.clone();
    let mut budget = MessageBudget::new(Instant::now());
    let mut heard = Instant::now();
    let mut pings = interval(PING_INTERVAL);
    pings.set_missed_tick_behavior(MissedTickBehavior::Delay);
    pings.reset();
    let mut farewell = Farewell::Lost;
    // `None`: the browser has closed the WebSocket or is gone.
    let ending = loop {
        tokio::select! {
            received = socket.recv() => {
                heard = Instant::now();
                match take_in(&app, seat, received, &mut budget).await {
                    Ok(Heard::Something) => {}
                    Ok(Heard::LeaseWanted) => ask_lease(&mut leases, &app, key.clone()),
                    Ok(Heard::End(how)) => {
                        farewell = how;
                        break None;
                    }
                    Err(ending) => {
                        farewell = Farewell::Done;
                        break Some(ending);
                    }
                }
            }
            message = messages.recv() => match message {
                None if login_ended => break Some(LOGIN_ENDED),
                None => break Some(UNREAD),
                Some(message) if send(&mut socket, &message).await => {
                    login_ended = message == ToBrowser::LoginEnded {};
                }
                Some(_) => break None,
            },
            () = due(&tenure), if renewals.is_empty() => {
                // Only a login that never ends has no key, and it is never due.
                let Some(key) = key.clone() else { continue };
                let broker = app.broker.clone();
                renewals.spawn(async move { broker.keep(key).await });
            }
            Some(Ok(renewed)) = renewals.join_next() => match renewed {
                Ok(login) => {
                    if tenure.resumed(Instant::now(), &login) {
                        app.exchange.login_renewed(seat, login).await;
                    }
                }
                Err(LoginError::Unavailable) if !tenure.unanswered(Instant::now()) => {}
                Err(_) => app.exchange.login_ended(login.session, login.id).await,
            },
            Some(Ok(lease)) = leases.join_next() => {
                if !send(&mut socket, &ToBrowser::Lease { lease }).await {
                    break None;
                }
            }
            _ = pings.tick() => {
                if is_gone(&mut socket, heard).await {
                    break None;
                }
            }
            () = drained(&mut draining) => {
                tell_last(&mut socket, &mut messages).await;
                break Some(RESTART);
            }
        }
    };
    match farewell {
        Farewell::Done => app.exchange.leave(seat).await,
        Farewell::Lost => app.exchange.lose(seat).await,
    }
    key.into_iter().for_each(|key| leave_idle(&app, key));
    if let Some(ending) = ending {
        say_goodbye(socket, &app, &ending).await;
    }
    drop(places);
}

fn visitor(login: &Login, visit: &Visit) -> Visitor {
    let from = visit.asker.source.to_canonical();
    Visitor { session: login.session, login: login.id, from }
}

/// Asks the supervisor for a lease, unless it is being asked. The page asks again if it gets none.
fn ask_lease(asked: &mut JoinSet<Option<PageLease>>, app: &App, key: Option<Secret>) {
    let broker = app.broker.clone();
    if asked.is_empty() {
        asked.spawn(async move { broker.mint_lease(key).await.map(PageLease::from) });
    }
}

/// The login is idle from now on. Keeping it does not revive one that has ended.
fn leave_idle(app: &App, key: Secret) {
    let broker = app.broker.clone();
    tokio::spawn(async move { broker.keep(key).await });
}

/// Whether a browser has been silent for too long, or cannot be pinged.
async fn is_gone(socket: &mut WebSocket, heard: Instant) -> bool {
    heard.elapsed() > MOST_SILENCE || !send_frame(socket, Message::Ping(Default::default())).await
}

/// Waits until the login must be resumed.
async fn due(tenure: &Tenure) {
    match tenure.deadline() {
        Some(at) => sleep_until(at.into()).await,
        None => std::future::pending().await,
    }
}

/// Sends what is queued, which may say that there is nothing to come back to.
async fn tell_last(socket: &mut WebSocket, messages: &mut mpsc::Receiver<ToBrowser>) {
    while let Ok(message) = messages.try_recv() {
        if !send(socket, &message).await {
            return;
        }
    }
}

/// How a WebSocket ends.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Farewell {
    /// The browser is done, or must be, and so is its peer.
    Done,
    /// The connection broke or something in between closed it: the browser may come back to its
    /// peer.
    Lost,
}

/// The result of waiting for a browser.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Heard {
    Something,
    LeaseWanted,
    End(Farewell),
}

async fn take_in(
    app: &App,
    seat: Seat,
    received: Option<Result<Message, axum::Error>>,
    budget: &mut MessageBudget,
) -> Result<Heard, Ending> {
    let message = match received {
        None => return Ok(Heard::End(Farewell::Lost)),
        Some(Ok(message)) => message,
        Some(Err(error)) => return ending_of(error).map_or(Ok(Heard::End(Farewell::Lost)), Err),
    };
    if !budget.take(Instant::now()) {
        return Err(TOO_FAST);
    }
    match message {
        Message::Text(text) if text.len() > MAX_SIGNAL_BYTES => Err(OVERSIZE),
        Message::Text(text) => {
            match signal::parse(&text).map_err(|_| MALFORMED)? {
                FromBrowser::Lease {} => return Ok(Heard::LeaseWanted),
                message => app.exchange.said(seat, message).await,
            }
            Ok(Heard::Something)
        }
        Message::Binary(_) => Err(NOT_TEXT),
        Message::Ping(_) | Message::Pong(_) => Ok(Heard::Something),
        // The page sends this code when it is done. A proxy or a browser that closes by itself
        // sends another code, or none.
        Message::Close(Some(frame)) if frame.code == close_code::NORMAL => {
            Ok(Heard::End(Farewell::Done))
        }
        Message::Close(_) => Ok(Heard::End(Farewell::Lost)),
    }
}

/// What to close with after an error; `None` when nobody is there to be told.
fn ending_of(error: axum::Error) -> Option<Ending> {
    let error = error.into_inner();
    match error.downcast_ref::<tungstenite::Error>()? {
        tungstenite::Error::Capacity(_) => Some(OVERSIZE),
        tungstenite::Error::Utf8(_) => Some(MALFORMED),
        tungstenite::Error::Protocol(
            tungstenite::error::ProtocolError::ResetWithoutClosingHandshake,
        ) => None,
        tungstenite::Error::Protocol(_) => Some(BROKEN),
        _ => None,
    }
}

async fn say_goodbye(mut socket: WebSocket, app: &App, ending: &Ending) {
    if ending.code != close_code::RESTART && ending.reason != LOGIN_ENDED.reason {
        app.figures.signals_refused.increment();
        static LIMIT: RateLimit = RateLimit::per_second(1);
        if LIMIT.allows() {
            let reason = ending.reason;
            warn!(suppressed = LIMIT.suppressed(), reason, "closed a browser's signalling");
        }
    }
    let frame = CloseFrame { code: ending.code, reason: ending.reason.into() };
    send_frame(&mut socket, Message::Close(Some(frame))).await;
    // Waits for the browser's answer: closing at once would reset the connection while it still
    // sends, and the reset would overtake the close frame.
    let answered = async { while let Some(Ok(_)) = socket.recv().await {} };
    // A browser that does not answer is cut off.
    let _ = timeout(Duration::from_secs(1), answered).await;
}

/// Returns whether it was sent.
async fn send(socket: &mut WebSocket, message: &ToBrowser) -> bool {
    match message.to_json() {
        Ok(text) => send_frame(socket, Message::Text(text.into())).await,
        Err(error) => {
            tracing::error!(%error, "cannot encode a signalling message");
            false
        }
    }
}

async fn send_frame(socket: &mut WebSocket, frame: Message) -> bool {
    matches!(timeout(SEND_PATIENCE, socket.send(frame)).await, Ok(Ok(())))
}
