//! Requests and their answers.

use std::time::Duration;

use axum::{
    Extension, Router,
    body::{Body, to_bytes},
    extract::{
        Request, State,
        ws::{WebSocketUpgrade, rejection::WebSocketUpgradeRejection},
    },
    http::{HeaderMap, HeaderValue, Method, StatusCode, header},
    middleware::{self, Next},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use lumen_ipc::{
    message::signalling::Rights,
    service::{AuthMode, LoginRefusal},
    units::SessionId,
};
use lumen_ipc_runtime::log::RateLimit;
use serde::Serialize;
use tokio::time::timeout;
use tracing::{info, warn};

use super::{
    super::{
        assets::Asset,
        headers::harden,
        login,
        origin::{Host, Refused},
    },
    app::App,
    broker::LoginError,
    server::Client,
    socket,
};

/// How long the body of a login may take.
const BODY_PATIENCE: Duration = Duration::from_secs(5);

/// Every route.
pub(super) fn router(app: App) -> Router {
    Router::new()
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/login", post(log_in))
        .route("/api/session", get(session))
        .route("/ws/signal", get(signal))
        .fallback(asset)
        .layer(middleware::from_fn_with_state(app.clone(), judge_host))
        .layer(middleware::map_response(|mut response: Response| async {
            harden(response.headers_mut());
            response
        }))
        .with_state(app)
}

/// A refusal and its sentence.
struct Refusal(StatusCode, String);

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        (self.0, format!("{}\n", self.1)).into_response()
    }
}

impl From<Refused> for Refusal {
    fn from(refused: Refused) -> Self {
        let status = match refused {
            Refused::BadHost => StatusCode::BAD_REQUEST,
            Refused::ForeignOrigin | Refused::NotLoopback => StatusCode::FORBIDDEN,
        };
        Self(status, refused.to_string())
    }
}

/// Looks at the host before anything else is.
async fn judge_host(State(app): State<App>, mut request: Request, next: Next) -> Response {
    let host = match Host::of(request.headers()) {
        Ok(host) if app.auth == AuthMode::None && !host.is_loopback() => Err(Refused::NotLoopback),
        judged => judged,
    };
    match host {
        Ok(host) => {
            request.extensions_mut().insert(host);
            next.run(request).await
        }
        Err(refused) => refuse(&app, refused).into_response(),
    }
}

fn refuse(app: &App, refused: Refused) -> Refusal {
    app.figures.requests_refused.increment();
    static LIMIT: RateLimit = RateLimit::per_second(1);
    if LIMIT.allows() {
        warn!(suppressed = LIMIT.suppressed(), reason = %refused, "a request is refused");
    }
    refused.into()
}

async fn asset(request: Request) -> Response {
    let path = request.uri().path();
    let lasting = Asset::find_lasting(path).map(|asset| (asset, "max-age=31536000, immutable"));
    let Some((asset, caching)) = lasting.or_else(|| Some((Asset::find(path)?, "no-cache"))) else {
        return Refusal(StatusCode::NOT_FOUND, "There is nothing here.".to_owned()).into_response();
    };
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        return (StatusCode::METHOD_NOT_ALLOWED, [(header::ALLOW, "GET,HEAD")]).into_response();
    }
    let kept = [(header::ETAG, asset.etag), (header::CACHE_CONTROL, caching)];
    let known = request
        .headers()
        .get(header::IF_NONE_MATCH)
        .and_then(|tags| tags.to_str().ok())
        .is_some_and(|tags| asset.is_known_by(tags));
    if known {
        return (StatusCode::NOT_MODIFIED, kept).into_response();
    }
    (kept, [(header::CONTENT_TYPE, asset.content_type)], asset.bytes).into_response()
}

async fn log_in(
    State(app): State<App>,
    Extension(host): Extension<Host>,
    Extension(client): Extension<Client>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Response> {
    let origin =
        host.judge_origin(&headers).map_err(|refused| refuse(&app, refused).into_response())?;
    let content_type = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    if !content_type.is_some_and(login::is_json) {
        let sentence = "A login is application/json.".to_owned();
        return Err(Refusal(StatusCode::UNSUPPORTED_MEDIA_TYPE, sentence).into_response());
    }
    let token = read_login(body).await.map_err(IntoResponse::into_response)?;
    if app.auth == AuthMode::None {
        return Ok(StatusCode::NO_CONTENT.into_response());
    }
    match app.broker.authenticate(token, client.address).await {
        Ok(login) => {
            app.figures.logins.increment();
            info!("a browser logged in");
            let cookie = app.cookie.keep(&login.cookie, origin.secure).map_err(|error| {
                tracing::error!(%error, "the supervisor's cookie is no header value");
                StatusCode::INTERNAL_SERVER_ERROR.into_response()
            })?;
            Ok((StatusCode::NO_CONTENT, [(header::SET_COOKIE, cookie)]).into_response())
        }
        Err(error) => {
            app.figures.logins_refused.increment();
            static LIMIT: RateLimit = RateLimit::per_second(1);
            if LIMIT.allows() {
                let from = client.address.ip();
                warn!(suppressed = LIMIT.suppressed(), %from, reason = %error, "a login is refused");
            }
            Err(no_login(error))
        }
    }
}

async fn read_login(body: Body) -> Result<lumen_ipc::text::Secret, Refusal> {
    let bytes = timeout(BODY_PATIENCE, to_bytes(body, login::MAX_LOGIN_BYTES))
        .await
        .map_err(|_| Refusal(StatusCode::REQUEST_TIMEOUT, "The login took too long.".to_owned()))?
        .map_err(|_| {
            let sentence = format!("A login has at most {} bytes.", login::MAX_LOGIN_BYTES);
            Refusal(StatusCode::PAYLOAD_TOO_LARGE, sentence)
        })?;
    login::parse(&bytes).map_err(|error| Refusal(StatusCode::BAD_REQUEST, error.to_string()))
}

fn no_login(error: LoginError) -> Response {
    let retry_after = |seconds: u16| [(header::RETRY_AFTER, HeaderValue::from(seconds))];
    match error {
        LoginError::Refused(LoginRefusal::Wrong) => {
            Refusal(StatusCode::UNAUTHORIZED, error.to_string()).into_response()
        }
        LoginError::Refused(LoginRefusal::TooMany { retry_after_seconds }) => {
            let refusal = Refusal(StatusCode::TOO_MANY_REQUESTS, error.to_string());
            (retry_after(retry_after_seconds), refusal).into_response()
        }
        LoginError::Unavailable => {
            let refusal = Refusal(StatusCode::SERVICE_UNAVAILABLE, error.to_string());
            (retry_after(1), refusal).into_response()
        }
    }
}

/// What a browser is let in to.
#[derive(Clone, Copy, Debug)]
pub(super) struct Admitted {
    pub(super) rights: Rights,
    pub(super) session: SessionId,
}

/// What the browser of this request may do, and where.
async fn admit(app: &App, headers: &HeaderMap) -> Result<Admitted, Response> {
    if app.auth == AuthMode::None {
        return Ok(Admitted { rights: Rights { control: true }, session: SessionId::SOLE });
    }
    let wrong = LoginError::Refused(LoginRefusal::Wrong);
    let cookie = app.cookie.find(headers).ok_or_else(|| no_login(wrong))?;
    let login = app.broker.resume(cookie).await.map_err(no_login)?;
    Ok(Admitted { rights: login.rights, session: login.session })
}

/// What the page has to know.
#[derive(Serialize)]
struct Session<'hostname> {
    hostname: &'hostname str,
}

async fn session(
    State(app): State<App>,
    Extension(host): Extension<Host>,
    headers: HeaderMap,
) -> Result<Response, Response> {
    // Browsers send no Origin with a page's own GET; where there is one, it counts.
    if headers.contains_key(header::ORIGIN) {
        host.judge_origin(&headers).map_err(|refused| refuse(&app, refused).into_response())?;
    }
    admit(&app, &headers).await?;
    Ok(axum::Json(Session { hostname: app.hostname.as_str() }).into_response())
}

async fn signal(
    State(app): State<App>,
    Extension(host): Extension<Host>,
    Extension(client): Extension<Client>,
    headers: HeaderMap,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
) -> Result<Response, Response> {
    host.judge_origin(&headers).map_err(|refused| refuse(&app, refused).into_response())?;
    let admitted = admit(&app, &headers).await?;
    let upgrade = upgrade.map_err(IntoResponse::into_response)?;
    let serve = move |socket| socket::serve(socket, app, admitted, client);
    Ok(socket::limit(upgrade).on_upgrade(serve))
}
