//! The sign-ins to a desktop: what a page is told of them, and ending one. The supervisor decides both.

use std::time::Duration;

use axum::{
    Extension,
    body::{Body, to_bytes},
    extract::State,
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
};
use lumen_ipc::{
    login::{LoginEvent, LoginNews},
    message::signalling::Reason,
    text::Secret,
};
use tokio::time::{sleep, timeout};
use tracing::info;

use super::{
    super::{
        halves::Halves,
        login,
        refusal::Refusal,
        sign_ins::{self, Listed, MAX_REVOKE_BYTES},
    },
    app::App,
    broker::Broker,
    entrance::Visit,
    exchange::Orders,
    routes::refuse,
};

/// How long the body of a request may take.
const BODY_PATIENCE: Duration = Duration::from_secs(5);
/// How long to wait before asking for news again.
const NEWS_PAUSE: Duration = Duration::from_secs(1);

/// Lists the sign-ins to the desktop of a page.
pub(super) async fn list(
    State(app): State<App>,
    Extension(visit): Extension<Visit>,
    headers: HeaderMap,
) -> Result<Response, Refusal> {
    let key = key_of(&app, &visit, &headers)?;
    let (own, all) = app.broker.sign_ins(key).await?.ok_or(Refusal::LoginNeeded)?;
    Ok(axum::Json(Listed::new(own, &all)).into_response())
}

/// Ends one of them.
pub(super) async fn revoke(
    State(app): State<App>,
    Extension(visit): Extension<Visit>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Refusal> {
    let key = key_of(&app, &visit, &headers)?;
    let content_type = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    if !content_type.is_some_and(login::is_json) {
        return Err(Refusal::LoginType);
    }
    let body = timeout(BODY_PATIENCE, to_bytes(body, MAX_REVOKE_BYTES)).await;
    let body = body.map_err(|_| Refusal::LoginTooSlow)?.map_err(|_| Refusal::LoginTooLong)?;
    let meant = sign_ins::parse(&body)?;
    if !app.broker.revoke(key, meant).await? {
        return Err(Refusal::NotFound);
    }
    info!(from = %visit.asker.source, "a page ended another sign-in");
    Ok(StatusCode::NO_CONTENT.into_response())
}

fn key_of(app: &App, visit: &Visit, headers: &HeaderMap) -> Result<Secret, Refusal> {
    let asker = &visit.asker;
    asker.judge_origin(headers).map_err(|refusal| refuse(app, Some(asker), refusal))?;
    let (_, key) = Halves::joined(&app.cookie, headers).ok_or(Refusal::LoginNeeded)?;
    Ok(key)
}

/// Carries out what becomes of logins, for ever: what ended ends, and pages are told of new ones.
pub(super) async fn watch(broker: Broker, orders: Orders) {
    let mut seen = 0;
    loop {
        let Some(LoginNews { number, event }) = broker.watch_logins(seen).await else {
            // The link is being replaced, or there was no news for an hour.
            sleep(NEWS_PAUSE).await;
            continue;
        };
        seen = number;
        match event {
            LoginEvent::EndsSoon { session, seconds } => orders.ends_soon(session, seconds).await,
            LoginEvent::Ended { session, login } => orders.login_ended(session, login).await,
            LoginEvent::Given { session, login, method, from } => {
                let text = sign_ins::told(method, from);
                orders.tell_others(session, login, Reason::truncated(text)).await;
            }
        }
    }
}
