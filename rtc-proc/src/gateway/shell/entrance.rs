//! The checks of every request before it is routed: who makes it, whether the quota allows it, and
//! which path of the site it is for.

use std::sync::Arc;

use axum::{
    body::HttpBody as _,
    extract::{Request, State},
    http::{HeaderValue, StatusCode, Uri, Version, header, uri::PathAndQuery},
    middleware::Next,
    response::{IntoResponse, Response},
};
use lumen_ipc::{login::LoginId, message::login::AccountName, service::AuthMode, tls::Tls};

use super::{
    super::{
        forwarded::Asker,
        origin::Host,
        path::{self, Place},
        quota,
        refusal::{Quoted, Refusal},
        voucher,
    },
    app::App,
    routes::refuse,
    server::Client,
};

/// For a year browsers do not go to this name without TLS (RFC 6797). Said only where the administrator has
/// named a certificate, and never of this machine's own name, which other servers have, too.
const BY_TLS_ONLY: HeaderValue = HeaderValue::from_static("max-age=31536000");

/// A request that passed the checks.
#[derive(Clone, Debug)]
pub(super) struct Visit {
    pub(super) asker: Asker,
    /// For whose account it is made, as a trusted proxy says, if it says so.
    pub(super) account: Option<AccountName>,
    /// Whether the request contained the page's path.
    named: bool,
    /// Its place among the connections: its own, or a share of a proxy's.
    place: Arc<quota::Place>,
}

impl Visit {
    /// Counts against a login from now on, and not against the address it comes from.
    ///
    /// # Errors
    /// [`Refusal::TooManyConnections`] when the login has its share already.
    pub(super) fn belongs_to(&self, login: LoginId) -> Result<(), Refusal> {
        self.place.belongs_to(login).then_some(()).ok_or(Refusal::TooManyConnections)
    }

    /// Keeps its place while it is answered; for whoever has read the request's body.
    pub(super) fn answering(&self) -> quota::Answering<'_> {
        self.place.answering()
    }

    /// The path under which the browser sees the page. A proxy that is not trusted may have
    /// stripped it: then the cookie must be valid for every path of the host.
    pub(super) fn cookie_path<'app>(&self, app: &'app App) -> &'app str {
        match self.named || self.asker.sender.trusted {
            true => app.front_door.base.as_str(),
            false => "/",
        }
    }
}

/// Lets a request in, or refuses it.
pub(super) async fn enter(State(app): State<App>, mut request: Request, next: Next) -> Response {
    let Some(client) = request.extensions().get::<Client>().cloned() else {
        tracing::error!("a request without a connection");
        return StatusCode::INTERNAL_SERVER_ERROR.into_response();
    };
    let asker = match asker(&mut request, &client, &app) {
        Ok(asker) => asker,
        Err(refusal) => return refuse(&app, None, refusal).into_response(),
    };
    let account = match voucher::named(request.headers(), client.door, app.voucher.as_deref()) {
        Ok(account) => account,
        Err(fault) => {
            app.broker.distrusted(fault, asker.source);
            return refuse(&app, Some(&asker), Refusal::Distrusted(fault)).into_response();
        }
    };
    let by_tls_only = app.tls == Tls::Given && client.secured && !asker.host.is_loopback();
    let mut response = admit(app, (client, asker, account), request, next).await;
    if by_tls_only {
        response.headers_mut().insert(header::STRICT_TRANSPORT_SECURITY, BY_TLS_ONLY);
    }
    response
}

/// Who makes a request.
fn asker(request: &mut Request, client: &Client, app: &App) -> Result<Asker, Refusal> {
    if request.version() == Version::HTTP_2 {
        let uri = request.uri().clone();
        Host::settle(&uri, request.headers_mut())?;
    }
    Asker::of(request.headers(), (client.sender, client.secured), &app.front_door.trusted)
}

async fn admit(
    app: App,
    (client, asker, account): (Client, Asker, Option<AccountName>),
    mut request: Request,
    next: Next,
) -> Response {
    if app.auth == AuthMode::None && !asker.host.is_loopback() {
        let host = Quoted::new(&asker.host.to_string());
        return refuse(&app, Some(&asker), Refusal::NotLoopback { host }).into_response();
    }
    // A client that is not a proxy has a place of its own.
    let place = match client.sender.trusted {
        false => Arc::clone(&client.place),
        true => match app.connections.share(asker.source) {
            Some(share) => Arc::new(share),
            None => return crowded(&app, &asker),
        },
    };
    let base = &app.front_door.base;
    let named = match path::find(base, request.uri().path()) {
        Place::Below => return to(base.as_str(), request.uri().query()),
        Place::Inside { named, path } => {
            if let Some(inner) = inner(request.uri(), path) {
                *request.uri_mut() = inner;
            }
            named
        }
    };
    // A request whose body is to come asks for nothing yet; whoever reads the body notes when it does.
    let _answering = request.body().is_end_stream().then(|| place.answering());
    // A proxy's connection is not idle for as long.
    let _carrying = client.sender.trusted.then(|| client.place.answering());
    let visit = Visit { asker: asker.clone(), account, named, place: Arc::clone(&place) };
    request.extensions_mut().insert(visit);
    if !client.sender.trusted {
        return next.run(request).await;
    }
    tokio::select! {
        response = next.run(request) => response,
        () = place.displaced() => crowded(&app, &asker),
    }
}

fn crowded(app: &App, asker: &Asker) -> Response {
    app.figures.connections_refused.increment();
    refuse(app, Some(asker), Refusal::TooManyConnections).into_response()
}

/// The URI with another path. The query stays.
fn inner(uri: &Uri, path: &str) -> Option<Uri> {
    let text = match uri.query() {
        Some(query) => format!("{path}?{query}"),
        None => path.to_owned(),
    };
    Some(Uri::from(PathAndQuery::try_from(text).ok()?))
}

/// Redirects a browser to a path, with its query.
fn to(path: &str, query: Option<&str>) -> Response {
    let target = match query {
        Some(query) => format!("{path}?{query}"),
        None => path.to_owned(),
    };
    // A base path is letters and slashes, and the query was legal in the request line.
    let location = HeaderValue::try_from(target).unwrap_or(HeaderValue::from_static("/"));
    (StatusCode::PERMANENT_REDIRECT, [(header::LOCATION, location)]).into_response()
}
