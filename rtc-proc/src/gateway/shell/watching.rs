//! `/readyz` and `/metrics`, for whoever watches over Lumen: who may ask, and how often.
//!
//! Each answer costs the supervisor and every worker a question. So there are few at a time, and few a
//! second, whoever asks.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use axum::{
    Extension,
    extract::State,
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
};
use tokio::sync::Semaphore;

use super::{
    super::{
        exposition::{self, Exposition},
        observer::may_observe,
        quota::MessageBudget,
        readiness,
        refusal::Refusal,
    },
    app::App,
    entrance::Visit,
    routes::refuse,
};

/// Most answers that are being made.
const MOST_AT_ONCE: usize = 2;
/// So many answers at once, and one more after each interval.
const MOST: u32 = 10;
const INTERVAL: Duration = Duration::from_millis(500);

/// How much may be watched.
#[derive(Clone, Debug)]
pub(super) struct Watching {
    turns: Arc<Semaphore>,
    budget: Arc<Mutex<MessageBudget>>,
}

impl Watching {
    pub(super) fn new() -> Self {
        let budget = MessageBudget::of(Instant::now(), MOST, INTERVAL);
        Self { turns: Arc::new(Semaphore::new(MOST_AT_ONCE)), budget: Arc::new(Mutex::new(budget)) }
    }

    fn take(&self) -> bool {
        self.budget.lock().unwrap_or_else(PoisonError::into_inner).take(Instant::now())
    }
}

/// Whether a request may be answered now.
fn admit(app: &App, visit: &Visit, headers: &HeaderMap) -> Result<(), Refusal> {
    if !may_observe(&visit.asker, headers, app.metrics_token.as_ref()) {
        app.figures.metrics_refused.increment();
        return Err(refuse(app, Some(&visit.asker), Refusal::NotForYou));
    }
    app.watching.take().then_some(()).ok_or(Refusal::AskedTooOften)
}

/// Whether a browser that came now could get a picture.
pub(super) async fn ready(
    State(app): State<App>,
    Extension(visit): Extension<Visit>,
    headers: HeaderMap,
) -> Result<Response, Refusal> {
    admit(&app, &visit, &headers)?;
    // The semaphore is never closed.
    let _turn = app.watching.turns.acquire().await.map_err(|_| Refusal::Unavailable)?;
    let status = app.broker.overview().await.ok_or(Refusal::Unavailable)?;
    Ok(match readiness::judge(&status) {
        Ok(()) => "ready\n".into_response(),
        Err(reasons) => {
            (StatusCode::SERVICE_UNAVAILABLE, reasons.join("\n") + "\n").into_response()
        }
    })
}

/// The metrics of all workers.
pub(super) async fn metrics(
    State(app): State<App>,
    Extension(visit): Extension<Visit>,
    headers: HeaderMap,
) -> Result<Response, Refusal> {
    admit(&app, &visit, &headers)?;
    let _turn = app.watching.turns.acquire().await.map_err(|_| Refusal::Unavailable)?;
    let status = app.broker.overview().await.ok_or(Refusal::Unavailable)?;
    let mut exposition = Exposition::default();
    exposition.add_status(&status);
    let whose = status.sessions.iter().map(|session| Some(session.id));
    for session in std::iter::once(None).chain(whose) {
        // A session that has gone meanwhile has none.
        for (process, metrics) in app.broker.metrics(session).await.unwrap_or_default() {
            exposition.add(process, &metrics);
        }
    }
    Ok(([(header::CONTENT_TYPE, exposition::CONTENT_TYPE)], exposition.text()).into_response())
}
