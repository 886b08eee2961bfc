//! Requests and their responses.

use std::time::Duration;

use axum::{
    Extension, Router,
    body::{Body, to_bytes},
    extract::{
        Request, State,
        ws::{WebSocketUpgrade, rejection::WebSocketUpgradeRejection},
    },
    http::{
        HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header, header::InvalidHeaderValue,
    },
    middleware,
    response::{IntoResponse, Response},
    routing::{get, post},
};
use lumen_ipc::{
    login::{Login, LoginRefusal, MAX_CALLBACK_BYTES, Method as SignIn, Progress, SignedIn},
    message::login::Prompts,
    service::AuthMode,
    text::{Secret, Text},
    units::SessionId,
};
use lumen_ipc_runtime::log::RateLimit;
use serde::Serialize;
use tokio::time::timeout;
use tracing::{info, warn};

use super::{
    super::{
        assets::{Asset, takes_gzip},
        forwarded::Asker,
        halves::{Halves, PROTOCOL},
        headers::harden,
        login::{self, Wish},
        refusal::{REFUSAL, Refusal},
    },
    app::App,
    broker::LoginError,
    entrance::{Visit, enter},
    server::Client,
    sign_ins, socket, watching,
};

/// How to sign in, if not by a token.
const SIGN_IN: HeaderName = HeaderName::from_static("lumen-sign-in");
/// What to call the identity provider by which one may sign in, as in a URL: a header has no other letters.
const PROVIDER: HeaderName = HeaderName::from_static("lumen-provider");
/// How long the body of a login may take.
const BODY_PATIENCE: Duration = Duration::from_secs(5);

/// Every route.
pub(super) fn router(app: App) -> Router {
    let inside = Router::new()
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/readyz", get(watching::ready))
        .route("/metrics", get(watching::metrics))
        .route("/login", post(log_in))
        // Browsers send `Origin` only with requests that may change something: so the client posts.
        .route("/api/session", get(session).post(session))
        .route("/api/sign-out", post(sign_out))
        .route("/api/sign-ins", post(sign_ins::list))
        .route("/api/sign-ins/revoke", post(sign_ins::revoke))
        // HTTP/2 opens a WebSocket by CONNECT (RFC 8441).
        .route("/ws/signal", get(signal).connect(signal))
        .fallback(asset)
        .with_state(app.clone());
    // The entrance's checks run before routing.
    Router::new().fallback_service(inside).layer(middleware::from_fn_with_state(app, enter)).layer(
        middleware::map_response(|mut response: Response| async {
            harden(response.headers_mut());
            response
        }),
    )
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let word = HeaderValue::from_static(self.word());
        let mut response = (self.status(), [(REFUSAL, word)], format!("{self}\n")).into_response();
        let headers = response.headers_mut();
        if let Some(seconds) = self.retry_after_seconds() {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        if self == Self::NoUpgrade {
            headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
        }
        response
    }
}

impl From<LoginError> for Refusal {
    fn from(error: LoginError) -> Self {
        match error {
            LoginError::Refused(LoginRefusal::TooMany { retry_after_seconds }) => {
                Self::TooManyAttempts { retry_after_seconds }
            }
            LoginError::Refused(LoginRefusal::Denied) => Self::Denied,
            LoginError::Refused(LoginRefusal::InUse) => Self::DesktopInUse,
            LoginError::Refused(LoginRefusal::NoDesktop) => Self::NoDesktop,
            LoginError::Refused(LoginRefusal::Provider(failure)) => Self::NoIdentity(failure),
            LoginError::Refused(LoginRefusal::NotStarted) => Self::NotStarted,
            LoginError::Refused(LoginRefusal::TooManyOwn { most }) => {
                Self::TooManyOwnDesktops { most }
            }
            LoginError::Refused(LoginRefusal::TooManyInAll { .. }) => Self::TooManyDesktops,
            LoginError::Refused(LoginRefusal::OtherUser) => Self::OtherUser,
            LoginError::Refused(LoginRefusal::Wrong) => Self::WrongToken,
            LoginError::Unavailable => Self::Unavailable,
        }
    }
}

/// Counts and logs a request that is refused for its form, and not because nobody is logged in.
pub(super) fn refuse(app: &App, asker: Option<&Asker>, refusal: Refusal) -> Refusal {
    app.figures.requests_refused.increment();
    static LIMIT: RateLimit = RateLimit::per_second(1);
    if LIMIT.allows() {
        let suppressed = LIMIT.suppressed();
        let from = asker.map(|asker| asker.source.to_string()).unwrap_or_default();
        let advice = refusal.for_the_log();
        warn!(suppressed, from, "refused a request: {refusal}{advice}");
    }
    refusal
}

async fn asset(request: Request) -> Response {
    let path = request.uri().path();
    let lasting = Asset::find_lasting(path).map(|asset| (asset, "max-age=31536000, immutable"));
    let Some((asset, caching)) = lasting.or_else(|| Some((Asset::find(path)?, "no-cache"))) else {
        return Refusal::NotFound.into_response();
    };
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        return (StatusCode::METHOD_NOT_ALLOWED, [(header::ALLOW, "GET,HEAD")]).into_response();
    }
    let text_of = |name| request.headers().get(name).and_then(|value| value.to_str().ok());
    let packed = text_of(header::ACCEPT_ENCODING).is_some_and(takes_gzip);
    let form = if packed { asset.gzip } else { asset.plain };
    let kept = [
        (header::ETAG, form.etag),
        (header::CACHE_CONTROL, caching),
        (header::VARY, "Accept-Encoding"),
    ];
    if text_of(header::IF_NONE_MATCH).is_some_and(|tags| asset.is_known_by(tags)) {
        return (StatusCode::NOT_MODIFIED, kept).into_response();
    }
    let content_type = [(header::CONTENT_TYPE, asset.content_type)];
    let encoding = packed.then_some([(header::CONTENT_ENCODING, "gzip")]);
    (kept, content_type, encoding, form.bytes).into_response()
}

async fn log_in(
    State(app): State<App>,
    Extension(visit): Extension<Visit>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Refusal> {
    let asker = &visit.asker;
    let origin =
        asker.judge_origin(&headers).map_err(|refusal| refuse(&app, Some(asker), refusal))?;
    let content_type = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    if !content_type.is_some_and(login::is_json) {
        return Err(Refusal::LoginType);
    }
    let wish = read_login(body).await?;
    let _answering = visit.answering();
    if app.auth == AuthMode::None {
        return Ok(StatusCode::NO_CONTENT.into_response());
    }
    let from = asker.source;
    let progress = match wish {
        Wish::Token(token) => app.broker.begin(SignIn::Token(token), from).await,
        Wish::Account(account) => app.broker.begin(SignIn::Password(account), from).await,
        Wish::Answer(attempt, answers) => app.broker.answer(attempt, answers).await,
        Wish::Provider => {
            let callback = callback(&headers, visit.cookie_path(&app))?;
            app.broker.begin(SignIn::Provider(callback), from).await
        }
        Wish::Returned(attempt, query) => app.broker.returned(attempt, query).await,
        Wish::Proxy => {
            let account = visit.account.clone();
            let account = account.ok_or_else(|| refuse(&app, Some(asker), Refusal::NobodyNamed))?;
            app.broker.begin(SignIn::Proxy(account), from).await
        }
        Wish::Abandon(attempt) => {
            app.broker.abandon(attempt).await?;
            return Ok(StatusCode::NO_CONTENT.into_response());
        }
    };
    match progress {
        Ok(Progress::Asked { attempt, prompts }) => {
            let question = axum::Json(login::Question::new(&attempt, &prompts));
            Ok((StatusCode::ACCEPTED, question).into_response())
        }
        Ok(Progress::Away { attempt, url }) => {
            let visit = axum::Json(login::Visit::new(&attempt, url.as_str()));
            Ok((StatusCode::ACCEPTED, visit).into_response())
        }
        Ok(Progress::Done { signed_in: SignedIn { key, login }, said }) => {
            app.figures.logins.increment();
            info!(%from, "a browser logged in");
            let Some(key) = key else { return Ok(StatusCode::NO_CONTENT.into_response()) };
            let (session, place) = (login.session, (visit.cookie_path(&app), origin.secure));
            let mut response = hand_out(&app, (session, &key, &said), place);
            for old in app.cookie.surplus(&headers, session) {
                // A path that was legal in the cookie above is legal here.
                let Ok(forgotten) = app.cookie.forget(old, place.0, place.1) else { continue };
                response.headers_mut().append(header::SET_COOKIE, forgotten);
            }
            Ok(response)
        }
        Err(error) => {
            app.figures.logins_refused.increment();
            static LIMIT: RateLimit = RateLimit::per_second(1);
            if LIMIT.allows() {
                warn!(suppressed = LIMIT.suppressed(), %from, reason = %error, "refused a login");
            }
            Err(error.into())
        }
    }
}

/// The address of the page that asks, to which an identity provider sends its browser back. Its origin has been judged.
fn callback(headers: &HeaderMap, base: &str) -> Result<Text<MAX_CALLBACK_BYTES>, Refusal> {
    let origin = headers.get(header::ORIGIN).and_then(|origin| origin.to_str().ok());
    Text::new(format!("{}{base}", origin.unwrap_or_default())).map_err(|_| Refusal::BadLogin)
}

/// The part of a login that the page keeps.
#[derive(Serialize)]
struct Kept<'half> {
    key: &'half str,
    /// What was said when the account was accepted.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    said: Vec<login::Shown<'half>>,
}

/// Gives a browser the halves of its key: one as a cookie, the other to the page.
fn hand_out(
    app: &App,
    (session, key, said): (SessionId, &Secret, &Prompts),
    (path, secure): (&str, bool),
) -> Response {
    let Ok(Halves { cookie, stored }) = Halves::of(session, key)
        .inspect_err(|error| tracing::error!(%error, "cannot let a browser in"))
    else {
        return StatusCode::INTERNAL_SERVER_ERROR.into_response();
    };
    let kept = axum::Json(Kept { key: stored.reveal(), said: login::shown(said) });
    with_cookie(app.cookie.keep(session, &cookie, path, secure), kept)
}

/// A response, and what to do with the cookie.
fn with_cookie(
    cookie: Result<HeaderValue, InvalidHeaderValue>,
    answer: impl IntoResponse,
) -> Response {
    match cookie {
        Ok(cookie) => ([(header::SET_COOKIE, cookie)], answer).into_response(),
        Err(error) => {
            tracing::error!(%error, "the supervisor's cookie is not a legal header value");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}

/// Ends a browser's login, and everything that depends on it, in every window.
async fn sign_out(
    State(app): State<App>,
    Extension(visit): Extension<Visit>,
    headers: HeaderMap,
) -> Result<Response, Refusal> {
    let asker = &visit.asker;
    let origin =
        asker.judge_origin(&headers).map_err(|refusal| refuse(&app, Some(asker), refusal))?;
    let Some((session, key)) = Halves::joined(&app.cookie, &headers) else {
        return Ok(StatusCode::NO_CONTENT.into_response());
    };
    if end_login(&app, key).await? {
        info!(from = %asker.source, "a browser signed out");
    }
    let forgotten = app.cookie.forget(session, visit.cookie_path(&app), origin.secure);
    Ok(with_cookie(forgotten, StatusCode::NO_CONTENT))
}

/// Ends the login of a key, if there is one; returns whether there was. It completes even if the
/// page does not wait: the broker ends a login only once, and the exchange must be told.
async fn end_login(app: &App, key: Secret) -> Result<bool, LoginError> {
    let (broker, exchange) = (app.broker.clone(), app.exchange.clone());
    let ending = tokio::spawn(async move {
        let login = broker.sign_out(key).await?;
        if let Some((session, login)) = login {
            exchange.login_ended(session, login).await;
        }
        Ok(login.is_some())
    });
    // The task fails only when the gateway ends.
    ending.await.unwrap_or(Err(LoginError::Unavailable))
}

async fn read_login(body: Body) -> Result<Wish, Refusal> {
    let bytes = timeout(BODY_PATIENCE, to_bytes(body, login::MAX_LOGIN_BYTES))
        .await
        .map_err(|_| Refusal::LoginTooSlow)?
        .map_err(|_| Refusal::LoginTooLong)?;
    login::parse(&bytes)
}

/// The proof by which a browser was admitted.
#[derive(Clone, Debug)]
pub(super) struct Admitted {
    pub(super) login: Login,
    /// The key with which to resume the login; `None` where nobody has to sign in.
    pub(super) key: Option<Secret>,
}

/// What the browser of this request may do, and in which session.
async fn admit(
    app: &App,
    (client, visit): (&Client, &Visit),
    headers: &HeaderMap,
) -> Result<Admitted, Refusal> {
    if app.auth == AuthMode::None {
        let method = SignIn::Open(client.end.ok_or(Refusal::OtherUser)?);
        let begun = app.broker.enter(method, visit.asker.source).await;
        let SignedIn { login, key } =
            begun.inspect_err(|_| app.figures.logins_refused.increment())?;
        visit.belongs_to(login.id)?;
        return Ok(Admitted { login, key });
    }
    let (_, key) = Halves::joined(&app.cookie, headers).ok_or(Refusal::LoginNeeded)?;
    let named = visit.account.clone();
    let login = app.broker.resume(key.clone(), named).await.map_err(|error| match error {
        LoginError::Refused(LoginRefusal::Wrong) => Refusal::LoginNeeded,
        other => other.into(),
    })?;
    visit.belongs_to(login.id)?;
    Ok(Admitted { login, key: Some(key) })
}

/// What the page has to know.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Session<'hostname> {
    hostname: &'hostname str,
    /// Whether there is a login to sign out of.
    signed_in: bool,
}

async fn session(
    State(app): State<App>,
    Extension(visit): Extension<Visit>,
    Extension(client): Extension<Client>,
    method: Method,
    headers: HeaderMap,
) -> Result<Response, Refusal> {
    // Browsers send no `Origin` with a page's own GET; if there is one, it counts.
    let origin = match method == Method::POST || headers.contains_key(header::ORIGIN) {
        true => {
            let (asker, judged) = (&visit.asker, visit.asker.judge_origin(&headers));
            Some(judged.map_err(|refusal| refuse(&app, Some(asker), refusal))?)
        }
        false => None,
    };
    let Admitted { key, login } = match admit(&app, (&client, &visit), &headers).await {
        Ok(admitted) => admitted,
        // The page shows the form for it.
        Err(Refusal::LoginNeeded) if app.auth == AuthMode::Password => {
            let way = if visit.account.is_some() { "proxy" } else { "password" };
            let way = [(SIGN_IN, HeaderValue::from_static(way))];
            let provider =
                app.provider.as_deref().map(|name| [(PROVIDER, in_header(name.as_str()))]);
            return Ok((way, provider, Refusal::LoginNeeded).into_response());
        }
        Err(refusal) => return Err(refusal),
    };
    let session = Session { hostname: app.hostname.as_str(), signed_in: key.is_some() };
    let renewed = match (origin, key) {
        (Some(origin), Some(key)) => renew(&app, login.session, key, (&visit, origin.secure)).await,
        _ => None,
    };
    Ok((renewed, axum::Json(session)).into_response())
}

/// The cookie with another half of the browser's key, if the one that it has is old.
async fn renew(
    app: &App,
    session: SessionId,
    key: Secret,
    (visit, secure): (&Visit, bool),
) -> Option<[(HeaderName, HeaderValue); 1]> {
    let key = app.broker.renew(key).await?;
    let halves = Halves::of(session, &key);
    let halves =
        halves.inspect_err(|error| tracing::error!(%error, "cannot renew a cookie")).ok()?;
    let cookie = app.cookie.keep(session, &halves.cookie, visit.cookie_path(app), secure);
    Some([(header::SET_COOKIE, cookie.ok()?)])
}

/// A text as it is written in a URL (RFC 3986, section 2.1).
fn in_header(text: &str) -> HeaderValue {
    let escaped: String = text.bytes().fold(String::new(), |mut escaped, byte| {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' => {
                escaped.push(byte.into());
            }
            _ => escaped.push_str(&format!("%{byte:02X}")),
        }
        escaped
    });
    HeaderValue::try_from(escaped).expect("letters, digits and signs")
}

async fn signal(
    State(app): State<App>,
    Extension(visit): Extension<Visit>,
    Extension(client): Extension<Client>,
    headers: HeaderMap,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
) -> Result<Response, Refusal> {
    let asker = &visit.asker;
    asker.judge_origin(&headers).map_err(|refusal| refuse(&app, Some(asker), refusal))?;
    let admitted = admit(&app, (&client, &visit), &headers).await?;
    let upgrade = upgrade.map_err(|_| refuse(&app, Some(asker), Refusal::NoUpgrade))?;
    let carried = client.sockets.carry().ok_or(Refusal::TooManyConnections)?;
    client.place.keep();
    let serve = move |socket| socket::serve(socket, app, admitted, (client, visit, carried));
    Ok(socket::limit(upgrade).protocols([PROTOCOL]).on_upgrade(serve))
}
