//! A supervisor that answers a gateway by a script.

use std::{
    net::{IpAddr, SocketAddr},
    os::unix::net::UnixStream,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use lumen_ipc::{
    lease::{self, Lease},
    login::{
        Login, LoginId, LoginNews, LoginRefusal, MAX_RETURN_BYTES, Method, Progress, Rights,
        SignIn, SignInMethod, SignedIn, Visitor,
    },
    message::{
        login::{AccountName, Answers, Prompt, Prompts, Style},
        oidc::OidcFailure,
    },
    process::ProcessId,
    service::{
        AppNews, AppState, Broker, HostStatus, Metric, Refusal, RelayCredentials, RelayPair,
    },
    text::{Secret, Text},
    units::{PeerId, SessionId},
    vouching::VoucherFault,
};
use lumen_ipc_runtime::rpc;
use tarpc::context::Context;
use tokio::sync::{mpsc, watch};

use super::{
    ACCOUNT, ATTEMPT, COOKIE, ELSEWHERE, ELSEWHERE_COOKIE, ERRAND, HALF, LIFE, LOGIN, OTHER_COOKIE,
    OTHER_LOGIN, PROVIDER, RENEWED_COOKIE, RETRY_AFTER, TOKEN, TOKEN_TOO_OFTEN, TOKEN_UNANSWERED,
};

/// The supervisor's side of the logins.
#[derive(Clone, Default)]
pub(crate) struct Logins {
    /// Whether the login of [`COOKIE`] has ended.
    pub(crate) ended: Arc<AtomicBool>,
    /// Whether it is another user's browsers that are let in without a login.
    pub(crate) is_open_to_others: Arc<AtomicBool>,
    /// The browser's end of the last connection that was to be let in without a login.
    pub(crate) opened: watch::Sender<Option<SocketAddr>>,
    /// How many sign-ins were begun.
    pub(crate) begun: watch::Sender<u32>,
    /// How often a login was resumed.
    pub(crate) resumed: watch::Sender<u32>,
    /// Whether it ends as soon as it has been resumed.
    pub(crate) ends_once_resumed: Arc<AtomicBool>,
    /// Whether its key is so old that another takes its place.
    pub(crate) is_old: Arc<AtomicBool>,
    /// How many sign-outs there were.
    pub(crate) signed_out: watch::Sender<u32>,
    /// Whether the answers to sign-outs are late.
    pub(crate) is_slow: watch::Sender<bool>,
    /// The newest news of logins.
    pub(crate) news: watch::Sender<Option<LoginNews>>,
    /// The pages that were reported last.
    pub(crate) visitors: watch::Sender<Vec<Visitor>>,
    /// The login that a page has ended.
    pub(crate) revoked: watch::Sender<Option<LoginId>>,
    /// Why headers that name accounts were not believed.
    pub(crate) distrusted: watch::Sender<Vec<VoucherFault>>,
}

/// Answers a gateway as this was set to.
#[derive(Clone)]
pub(super) struct Supervisor {
    /// Whether there is a relay to mint credentials for.
    pub(super) relay: bool,
    /// Receives the address of each login attempt.
    pub(super) tried: Option<mpsc::UnboundedSender<IpAddr>>,
    /// Receives what became of each granted certificate.
    pub(super) judge: Option<mpsc::UnboundedSender<(u32, Option<String>)>>,
    pub(super) app: watch::Receiver<AppNews>,
    /// The newest news that every page has been told.
    pub(super) told: watch::Sender<u32>,
    pub(super) logins: Logins,
    /// What those are told who watch over it.
    pub(super) overview: Option<HostStatus>,
    pub(super) metrics: Vec<(ProcessId, Vec<Metric>)>,
}

/// The supervisor's side of the app.
pub(crate) struct App {
    /// Its state.
    pub(crate) news: watch::Sender<AppNews>,
    /// The newest news that every page has been told.
    pub(crate) told: watch::Receiver<u32>,
}

impl Supervisor {
    pub(super) fn new(relay: bool) -> (Self, App) {
        let (news, app) = watch::channel(AppNews {
            number: 1,
            session: SessionId::SOLE,
            state: AppState::Running,
        });
        let (tell, told) = watch::channel(0);
        let logins = Logins::default();
        let broker = Self {
            relay,
            tried: None,
            judge: None,
            app,
            told: tell,
            logins,
            overview: None,
            metrics: Vec::new(),
        };
        (broker, App { news, told })
    }
}

fn done(signed_in: SignedIn) -> Progress {
    Progress::Done { signed_in, said: Prompts::default() }
}

impl Broker for Supervisor {
    async fn begin(
        self,
        _: Context,
        method: Method,
        from: IpAddr,
    ) -> Result<Progress, LoginRefusal> {
        let token = match method {
            Method::Open(client) => {
                self.logins.opened.send_replace(Some(client));
                if self.logins.is_open_to_others.load(Ordering::Relaxed) {
                    return Err(LoginRefusal::OtherUser);
                }
                let login = Login { expires_in_seconds: None, ..login(LoginId::OPEN) };
                return Ok(done(SignedIn { login, key: None }));
            }
            Method::Password(account) if account.as_str() == ACCOUNT => {
                let style = Style::Secret;
                let prompts = vec![Prompt { style, text: Text::truncated("Password: ") }];
                let prompts = Prompts::new(prompts).expect("one");
                let attempt = Secret::new(ATTEMPT).expect("short");
                return Ok(Progress::Asked { attempt, prompts });
            }
            Method::Proxy(account) if account.as_str() == ACCOUNT => {
                let key = Secret::new(format!("{COOKIE}{HALF}")).expect("short");
                return Ok(done(SignedIn { login: login(LOGIN), key: Some(key) }));
            }
            Method::Provider(callback) => {
                let url = Text::truncated(format!("{PROVIDER}?back={callback}"));
                return Ok(Progress::Away { attempt: Secret::new(ERRAND).expect("short"), url });
            }
            Method::Password(_) | Method::Proxy(_) => return Err(LoginRefusal::Denied),
            Method::Token(token) => token,
        };
        self.logins.begun.send_modify(|count| *count += 1);
        if let Some(tried) = &self.tried {
            tried.send(from).expect("the test listens");
        }
        match token.reveal() {
            TOKEN => {
                let key = Secret::new(format!("{COOKIE}{HALF}")).expect("short");
                Ok(done(SignedIn { login: login(LOGIN), key: Some(key) }))
            }
            TOKEN_TOO_OFTEN => Err(LoginRefusal::TooMany { retry_after_seconds: RETRY_AFTER }),
            TOKEN_UNANSWERED => std::future::pending().await,
            _ => Err(LoginRefusal::Wrong),
        }
    }

    async fn answer(
        self,
        _: Context,
        attempt: Secret,
        answers: Answers,
    ) -> Result<Progress, LoginRefusal> {
        let answers: Vec<&str> = answers.as_slice().iter().map(Secret::reveal).collect();
        match (attempt.reveal(), answers.as_slice()) {
            (ATTEMPT, ["right"]) => {
                let key = Secret::new(format!("{COOKIE}{HALF}")).expect("short");
                Ok(done(SignedIn { login: login(LOGIN), key: Some(key) }))
            }
            (ATTEMPT, ["right and old"]) => {
                let key = Secret::new(format!("{COOKIE}{HALF}")).expect("short");
                let signed_in = SignedIn { login: login(LOGIN), key: Some(key) };
                let text = Text::truncated("Your password expires in 3 days.");
                let said = vec![Prompt { style: Style::Error, text }];
                Ok(Progress::Done { signed_in, said: Prompts::new(said).expect("one") })
            }
            (ATTEMPT, ["elsewhere"]) => Err(LoginRefusal::NoDesktop),
            _ => Err(LoginRefusal::Denied),
        }
    }

    async fn returned(
        self,
        _: Context,
        attempt: Secret,
        query: Text<MAX_RETURN_BYTES>,
    ) -> Result<Progress, LoginRefusal> {
        match (attempt.reveal(), query.as_str()) {
            (ERRAND, "code=right&state=a") => {
                let key = Secret::new(format!("{COOKIE}{HALF}")).expect("short");
                Ok(done(SignedIn { login: login(LOGIN), key: Some(key) }))
            }
            (ERRAND, "code=nobody&state=a") => Err(LoginRefusal::Provider(OidcFailure::NoAccount)),
            _ => Err(LoginRefusal::Denied),
        }
    }

    async fn abandon(self, _: Context, attempt: Secret) {
        assert_eq!(attempt.reveal(), ATTEMPT);
    }

    async fn resume(
        self,
        _: Context,
        key: Secret,
        named: Option<AccountName>,
    ) -> Result<Login, LoginRefusal> {
        if named.is_some_and(|named| named.as_str() != ACCOUNT) {
            return Err(LoginRefusal::Wrong);
        }
        self.logins.resumed.send_modify(|count| *count += 1);
        let ended = match self.logins.ends_once_resumed.load(Ordering::Relaxed) {
            true => self.logins.ended.swap(true, Ordering::Relaxed),
            false => self.logins.ended.load(Ordering::Relaxed),
        };
        match cookie_of(&key) {
            COOKIE if !ended => Ok(login(LOGIN)),
            OTHER_COOKIE => Ok(login(OTHER_LOGIN)),
            ELSEWHERE_COOKIE => Ok(Login { session: ELSEWHERE, ..login(OTHER_LOGIN) }),
            _ => Err(LoginRefusal::Wrong),
        }
    }

    async fn keep(self, context: Context, key: Secret) -> Result<Login, LoginRefusal> {
        self.resume(context, key, None).await
    }

    async fn renew(self, _: Context, key: Secret) -> Option<Secret> {
        let is_due = cookie_of(&key) == COOKIE && self.logins.is_old.load(Ordering::Relaxed);
        is_due.then(|| Secret::new(format!("{RENEWED_COOKIE}{HALF}")).expect("short"))
    }

    async fn distrusted(self, _: Context, fault: VoucherFault, _: IpAddr) {
        self.logins.distrusted.send_modify(|all| all.push(fault));
    }

    async fn sign_out(self, _: Context, key: Secret) -> Option<(SessionId, LoginId)> {
        let Logins { ended, signed_out, is_slow, .. } = &self.logins;
        let login = (cookie_of(&key) == COOKIE && !ended.swap(true, Ordering::Relaxed))
            .then_some((SessionId::SOLE, LOGIN));
        signed_out.send_modify(|count| *count += 1);
        is_slow.subscribe().wait_for(|slow| !slow).await.expect("the sender lives as long as this");
        login
    }

    async fn mint_relay_credentials(
        self,
        _: Context,
        session: SessionId,
        peer: PeerId,
    ) -> Option<RelayPair> {
        let credentials = |party: &str| RelayCredentials {
            urls: vec![Text::truncated("turn:*:3478")],
            username: Text::truncated(format!("{party} {}", session.0)),
            password: Secret::new(peer.to_string()).expect("short"),
            lifetime_seconds: 3600,
        };
        self.relay.then(|| RelayPair { viewer: credentials("viewer"), rtc: credentials("rtc") })
    }
    async fn mint_lease(self, _: Context, key: Option<Secret>) -> Option<Lease> {
        let known = key.is_none_or(|key| cookie_of(&key) == COOKIE);
        known.then_some(lease::EXAMPLE.0)
    }

    async fn watch_app(mut self, _: Context, seen: u32) -> Option<AppNews> {
        self.told.send_replace(seen);
        self.app.wait_for(|news| news.number != seen).await.ok().map(|news| news.clone())
    }

    async fn watch_logins(self, _: Context, seen: u32) -> Option<LoginNews> {
        let is_new =
            |news: &Option<LoginNews>| news.as_ref().is_some_and(|news| news.number > seen);
        self.logins.news.subscribe().wait_for(is_new).await.ok().and_then(|news| news.clone())
    }

    async fn visited(self, _: Context, visitors: Vec<Visitor>) {
        self.logins.visitors.send_replace(visitors);
    }

    async fn sign_ins(self, _: Context, key: Secret) -> Option<(LoginId, Vec<SignIn>)> {
        let sign_in = |id| SignIn {
            id,
            session: SessionId::SOLE,
            method: SignInMethod::Token,
            from: [192, 0, 2, 7].into(),
            given_seconds: 60,
            used_seconds: 3,
            pages: 1,
        };
        (cookie_of(&key) == COOKIE).then(|| (LOGIN, vec![sign_in(LOGIN), sign_in(OTHER_LOGIN)]))
    }

    async fn revoke(self, _: Context, key: Secret, login: LoginId) -> bool {
        let known = cookie_of(&key) == COOKIE && login == OTHER_LOGIN;
        if known {
            self.logins.revoked.send_replace(Some(login));
        }
        known
    }

    async fn certificate_judged(self, _: Context, serial: u32, refused: Option<Text<256>>) {
        if let Some(judge) = &self.judge {
            judge.send((serial, refused.map(Text::into_string))).expect("the test listens");
        }
    }

    async fn overview(self, _: Context) -> HostStatus {
        self.overview.expect("the test has none")
    }

    async fn metrics(
        self,
        _: Context,
        session: Option<SessionId>,
    ) -> Vec<(ProcessId, Vec<Metric>)> {
        let whose = self.metrics.iter().filter(|(process, _)| process.session() == session);
        whose.cloned().collect()
    }

    async fn start_app(self, _: Context, session: SessionId) -> Result<(), Refusal> {
        Err(Refusal::because(format!("The app of desktop {} runs.", session.0)))
    }
}

/// The cookie of a key; empty if the other half is wrong.
fn cookie_of(key: &Secret) -> &str {
    key.reveal().strip_suffix(HALF).unwrap_or_default()
}

fn login(id: LoginId) -> Login {
    let rights = Rights { control: true };
    Login { id, session: SessionId::SOLE, rights, expires_in_seconds: Some(LIFE) }
}

/// Serves a supervisor in the way of the real one; returns the gateway's end of its broker link.
pub(super) fn supervisor(supervisor: Supervisor) -> UnixStream {
    let (ours, theirs) = UnixStream::pair().expect("socketpair");
    tokio::spawn(rpc::answer(ours.into(), supervisor.serve()));
    theirs
}
