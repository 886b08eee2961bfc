//! Who may see which desktop. The gateway asks, because it must not know the answer in advance.
//!
//! Decides: which desktop a token opens and with which rights, how long the resulting login lasts
//! (`logins`), and when it is ended. Trusts the gateway to name a browser's address, for penalties
//! only: a gateway that lies puts them on others, and a browser with the right token passes all the
//! same. Logins live here, so they survive the gateway's restart; what survives the host's restart
//! is in [`state`]. Credentials for the relay are minted here too ([`relay`]), and
//! input leases ([`leases`]).
//!
//! Signing in with a password takes several steps (`attempts`), which the shell makes: PAM runs in a
//! process of its own, `lumen-login`, and this module only learns what it says. Every other answer is
//! immediate. The shell makes each request wait for its own answer only, so one that needs a person
//! or another program delays no other.

mod attempts;
pub mod audit;
mod away;
pub mod connection;
pub mod desktops;
mod errands;
pub mod in_use;
pub mod leases;
pub mod limits;
mod logins;
mod not_begun;
mod recognition;
pub mod relay;
mod revocation;
mod secret;
pub mod state;
mod throttle;
pub mod visitors;
mod vouched;

use std::{
    collections::BTreeMap,
    net::{IpAddr, SocketAddr},
    time::Instant,
};

use lumen_ipc::{
    login::{Login, LoginId, LoginRefusal, Method, Rights, SignInMethod, SignedIn},
    message::{login::AccountName, session::TokenDigest},
    relay::UnixSeconds,
    service::AuthMode,
    text::Secret,
    units::SessionId,
};
use lumen_ipc_runtime::log::RateLimit;
use nix::unistd::Uid;

pub use attempts::AttemptId;
use attempts::Attempts;
use errands::Errands;
pub use errands::{Begun, ErrandId};
pub(crate) use leases::random_challenge;
pub use logins::Lifetimes;
use logins::{Logins, Origin};
use secret::Digest;
pub(crate) use secret::random_number;
pub use secret::{NoRandomness, Token};
use state::KeptLogin;
use throttle::Throttle;
use vouched::Vouched;

/// The only session.
const SESSION: SessionId = SessionId::SOLE;
/// The rights that a token gives, or that everybody has without authentication.
const FULL: Rights = Rights { control: true };

/// The login of every browser where no sign-in is required.
const OPEN: Login =
    Login { id: LoginId::OPEN, session: SESSION, rights: FULL, expires_in_seconds: None };

/// The access tokens, their logins, and the penalties for wrong tokens.
pub struct Access {
    mode: AuthMode,
    /// Whose browsers are let in where no sign-in is required.
    owners: Vec<Uid>,
    tokens: BTreeMap<SessionId, Digest>,
    /// Whose desktop each session is.
    users: BTreeMap<SessionId, Uid>,
    vouched: Vouched,
    logins: Logins,
    throttle: Throttle,
    attempts: Attempts,
    errands: Errands,
}

impl Access {
    /// No session, and no logins.
    #[must_use]
    pub fn new(mode: AuthMode, lifetimes: Lifetimes) -> Self {
        Self {
            mode,
            owners: Vec::new(),
            tokens: BTreeMap::new(),
            users: BTreeMap::new(),
            vouched: Vouched::default(),
            logins: Logins::new(lifetimes),
            throttle: Throttle::default(),
            attempts: Attempts::default(),
            errands: Errands::default(),
        }
    }

    /// How long logins last from now on, those that there are included.
    pub fn set_lifetimes(&mut self, lifetimes: Lifetimes) {
        self.logins.set_lifetimes(lifetimes);
    }

    /// Where no sign-in is required, lets in the browsers of these users.
    #[must_use]
    pub fn open_to(self, owners: Vec<Uid>) -> Self {
        Self { owners, ..self }
    }

    /// The logins as they are stored, where `unix` is the time at `now`.
    #[must_use]
    pub fn kept(&self, now: Instant, unix: UnixSeconds) -> Vec<KeptLogin> {
        self.logins.kept(now, unix)
    }

    /// Restores stored logins.
    pub fn restore(&mut self, now: Instant, unix: UnixSeconds, kept: &[KeptLogin]) {
        self.logins.restore(now, unix, kept);
    }

    /// Adds a session, which the token with this digest opens.
    pub fn open(&mut self, session: SessionId, token: TokenDigest) {
        self.tokens.insert(session, token.into());
    }

    /// Lets this user into a session by password.
    pub fn belongs_to(&mut self, session: SessionId, user: Uid) {
        self.users.insert(session, user);
    }

    /// Removes a session: neither its token nor its logins open anything any more.
    pub fn close(&mut self, session: SessionId) {
        self.tokens.remove(&session);
        self.users.remove(&session);
        self.vouched.ended(session);
        self.logins.end_of_session(session);
    }

    /// Signs a browser in. `owner` tells whose the browser's end of a connection is.
    ///
    /// # Errors
    /// [`LoginRefusal`] when the token is wrong, or too many wrong ones came from there; without a token,
    /// when the browser is another user's.
    pub fn begin(
        &mut self,
        now: Instant,
        method: &Method,
        from: IpAddr,
        owner: impl FnOnce(SocketAddr) -> Option<Uid>,
    ) -> Result<SignedIn, LoginRefusal> {
        match method {
            Method::Open(client) if self.mode == AuthMode::None => {
                let owner = owner(*client);
                if !owner.is_some_and(|owner| self.owners.contains(&owner)) {
                    return Err(other_user(owner));
                }
                Ok(SignedIn { login: OPEN, key: None })
            }
            Method::Token(token) => match self.opened_by(token) {
                Some(session) => {
                    let origin = Origin { method: SignInMethod::Token, from: from.to_canonical() };
                    let given = self.logins.give(now, session, FULL, origin);
                    let (login, key) = given.map_err(|_| LoginRefusal::Wrong)?;
                    Ok(SignedIn { login, key: Some(key) })
                }
                None => Err(self.wrong(now, from)),
            },
            // An account has its own way in, which takes longer.
            Method::Open(_) | Method::Password(_) | Method::Provider(_) | Method::Proxy(_) => {
                Err(self.wrong(now, from))
            }
        }
    }

    /// Begins an attempt to sign in with a password; returns the key with which its browser answers.
    ///
    /// # Errors
    /// [`LoginRefusal`] when passwords open nothing here, or when there are too many attempts.
    pub fn attempt(
        &mut self,
        now: Instant,
        from: IpAddr,
        account: &AccountName,
    ) -> Result<(AttemptId, Secret), LoginRefusal> {
        if self.mode != AuthMode::Password {
            return Err(self.wrong(now, from));
        }
        let begun = self.attempts.begin(now, from, account);
        begun.map_err(|refusal| refusal.refusal("no attempt to sign in can begin"))
    }

    /// An attempt asks its browser something. False if that attempt is over.
    pub fn ask(&mut self, attempt: AttemptId) -> bool {
        self.attempts.ask(attempt)
    }

    /// The attempt that a browser answers, if it has asked something.
    pub fn answer(&mut self, attempt: &Secret) -> Option<AttemptId> {
        self.attempts.answer(attempt)
    }

    /// The attempt that a browser gives up.
    pub fn abandon(&mut self, attempt: &Secret) -> Option<AttemptId> {
        self.attempts.abandon(attempt)
    }

    /// An attempt has failed.
    pub fn denied(&mut self, attempt: AttemptId) {
        self.attempts.fail(attempt);
    }

    /// An attempt has succeeded. False if that attempt is over.
    pub fn accepted(&mut self, attempt: AttemptId) -> bool {
        self.attempts.succeed(attempt).is_some()
    }

    /// The desktops of a user, the newest first.
    pub fn desktops_of(&self, user: Uid) -> impl Iterator<Item = SessionId> {
        let own = self.users.iter().rev().filter(move |(_, owner)| **owner == user);
        own.map(|(session, _)| *session)
    }

    /// The desktops of all users.
    pub fn desktops(&self) -> impl Iterator<Item = SessionId> {
        self.users.keys().copied()
    }

    /// Signs a browser in to a desktop of the user that it was accepted as.
    ///
    /// # Errors
    /// [`LoginRefusal`] when that is no desktop of this user, or there is no randomness for a key.
    pub fn enter(
        &mut self,
        now: Instant,
        (session, user): (SessionId, Uid),
        (method, account): (SignInMethod, &AccountName),
        from: IpAddr,
    ) -> Result<SignedIn, LoginRefusal> {
        if self.users.get(&session) != Some(&user) {
            return Err(LoginRefusal::NoDesktop);
        }
        let given =
            self.logins.give(now, session, FULL, Origin { method, from: from.to_canonical() });
        let (login, key) = given.map_err(|_| LoginRefusal::Denied)?;
        if method == SignInMethod::Proxy {
            self.vouched.came(session, account.clone());
        }
        Ok(SignedIn { login, key: Some(key) })
    }

    /// All logins to a session.
    #[must_use]
    pub fn logins_of(&self, session: SessionId) -> Vec<LoginId> {
        let open = self.mode == AuthMode::None && session == SESSION;
        self.logins.of_session(session).chain(open.then_some(LoginId::OPEN)).collect()
    }

    /// The logins that have ended since the last call, except those that ended with their session.
    pub fn take_ended(&mut self) -> Vec<(SessionId, LoginId)> {
        self.logins.take_ended()
    }

    /// Ends the login of a key; returns which one that was.
    pub fn sign_out(&mut self, key: &Secret) -> Option<(SessionId, LoginId)> {
        let (session, id, Origin { method, from }) = self.logins.take_back(key)?;
        tracing::info!(?method, %from, "a browser signed out");
        Some((session, id))
    }

    fn opened_by(&self, token: &Secret) -> Option<SessionId> {
        let digest = Digest::of(token);
        self.tokens.iter().find(|(_, known)| **known == digest).map(|(session, _)| *session)
    }

    fn wrong(&mut self, now: Instant, from: IpAddr) -> LoginRefusal {
        match self.throttle.wrong(now, from) {
            Ok(()) => LoginRefusal::Wrong,
            Err(refusal) => refusal.refusal(),
        }
    }
}

/// Refuses the browser of a user who is not let in without a token; `None` if nobody knows whose it is.
fn other_user(owner: Option<Uid>) -> LoginRefusal {
    static LIMIT: RateLimit = RateLimit::per_second(1);
    if LIMIT.allows() {
        let (suppressed, uid) = (LIMIT.suppressed(), owner.map(Uid::as_raw));
        tracing::warn!(suppressed, uid, "refused a browser of another user");
    }
    LoginRefusal::OtherUser
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    pub(super) const LIFETIMES: Lifetimes =
        Lifetimes { idle: Duration::from_secs(100), whole: Duration::from_secs(1000) };

    pub(super) fn digest(token: &str) -> TokenDigest {
        Digest::of(&Secret::new(token).expect("short enough")).into()
    }

    #[test]
    fn each_token_opens_its_own_session_and_a_session_that_is_gone_nothing() {
        let (mut access, now) = (access(), Instant::now());
        let other = SessionId(2);
        access.open(other, digest("other"));
        let signed_in = |access: &mut Access, token: &str| {
            access.begin(now, &with_token(token), browser(), nobody)
        };
        let first = signed_in(&mut access, "token").expect("right");
        let second = signed_in(&mut access, "other").expect("right");
        assert_eq!((first.login.session, second.login.session), (SESSION, other));
        access.close(other);
        assert_eq!(signed_in(&mut access, "other"), Err(LoginRefusal::Wrong));
        assert_eq!(access.resume(now, &second.key.expect("a key")), Err(LoginRefusal::Wrong));
        assert_eq!(access.resume(now, &first.key.expect("a key")), Ok(first.login));
    }

    pub(super) fn browser() -> IpAddr {
        "192.0.2.7".parse().expect("an address")
    }

    pub(super) fn access() -> Access {
        let mut access = Access::new(AuthMode::Token, LIFETIMES);
        access.open(SESSION, digest("token"));
        access
    }

    pub(super) fn with_token(text: &str) -> Method {
        Method::Token(Secret::new(text).expect("short enough"))
    }

    fn right(_: &Access) -> Method {
        with_token("token")
    }

    #[test]
    fn right_token_gives_a_key_that_resumes() {
        let (mut access, now) = (access(), Instant::now());
        let method = right(&access);
        let signed_in = access.begin(now, &method, browser(), nobody).expect("right token");
        let key = signed_in.key.expect("a key");
        assert_eq!(access.resume(now, &key), Ok(signed_in.login));
        assert_eq!(access.resume(now, &key), Ok(signed_in.login));
        assert_eq!(access.resume(now + LIFETIMES.idle, &key), Err(LoginRefusal::Wrong));
    }

    #[test]
    fn wrong_token_and_unknown_key_and_a_token_for_a_key_are_refused() {
        let (mut access, now) = (access(), Instant::now());
        let zeros = "0".repeat(64);
        let answer = access.begin(now, &with_token(&zeros), browser(), nobody);
        assert_eq!(answer, Err(LoginRefusal::Wrong));
        let unknown = Secret::new(zeros).expect("short enough");
        assert_eq!(access.resume(now, &unknown), Err(LoginRefusal::Wrong));
        let token = Secret::new("token").expect("short enough");
        assert_eq!(access.resume(now, &token), Err(LoginRefusal::Wrong));
    }

    /// The browser's end of a connection.
    fn client() -> SocketAddr {
        "127.0.0.1:40000".parse().expect("an address")
    }

    /// A kernel that does not tell whose a connection is.
    pub(super) fn nobody(_: SocketAddr) -> Option<Uid> {
        None
    }

    #[test]
    fn door_is_open_only_where_nobody_has_to_sign_in_and_to_its_owners_only() {
        let (now, open) = (Instant::now(), Method::Open(client()));
        let uid = |uid| Some(Uid::from_raw(uid));
        let owned_by = |owner: Option<Uid>| {
            move |asked| {
                assert_eq!(asked, client());
                owner
            }
        };
        let owners = [0, 1000].map(Uid::from_raw).to_vec();
        let mut closed = access().open_to(owners.clone());
        let answer = closed.begin(now, &open, browser(), owned_by(uid(0)));
        assert_eq!(answer, Err(LoginRefusal::Wrong));
        let mut access = Access::new(AuthMode::None, LIFETIMES).open_to(owners);
        for owner in [uid(0), uid(1000)] {
            let signed_in = access.begin(now, &open, browser(), owned_by(owner));
            let signed_in = signed_in.expect("it is open to that user");
            assert_eq!((signed_in.login.id, signed_in.key), (LoginId::OPEN, None));
        }
        for owner in [None, uid(1), uid(999), uid(1001), uid(u32::MAX)] {
            let answer = access.begin(now, &open, browser(), owned_by(owner));
            assert_eq!(answer, Err(LoginRefusal::OtherUser), "{owner:?}");
        }
        // A desktop that names nobody lets nobody in.
        let mut access = Access::new(AuthMode::None, LIFETIMES);
        let answer = access.begin(now, &open, browser(), owned_by(uid(0)));
        assert_eq!(answer, Err(LoginRefusal::OtherUser));
    }

    #[test]
    fn accepted_account_gets_into_its_own_desktop_only() {
        let (now, alice, bob) = (Instant::now(), Uid::from_raw(1000), Uid::from_raw(1001));
        let mut access = Access::new(AuthMode::Password, LIFETIMES);
        for (session, user) in [(SessionId(3), bob), (SessionId(7), alice)] {
            access.open(session, digest(&session.to_string()));
            access.belongs_to(session, user);
        }
        let name = AccountName::new("alice").expect("legal");
        let who = (SignInMethod::Password, &name);
        let begin = |access: &mut Access| access.attempt(now, browser(), &name).expect("few");
        let (attempt, _) = begin(&mut access);
        assert!(access.accepted(attempt) && !access.accepted(attempt), "it is over");
        assert_eq!(access.desktops_of(alice).collect::<Vec<_>>(), [SessionId(7)]);
        let signed_in =
            access.enter(now, (SessionId(7), alice), who, browser()).expect("her desktop");
        assert_eq!(signed_in.login.session, SessionId(7));
        let carol = Uid::from_raw(1002);
        for (session, user) in [(3, alice), (7, bob), (7, carol), (4, carol)] {
            let refused = access.enter(now, (SessionId(session), user), who, browser());
            assert_eq!(refused, Err(LoginRefusal::NoDesktop), "{session}");
        }
        access.close(SessionId(7));
        assert_eq!(access.desktops_of(alice).next(), None);
        assert!(access.enter(now, (SessionId(7), alice), who, browser()).is_err());
        let key = signed_in.key.expect("a key");
        assert_eq!(access.resume(now, &key), Err(LoginRefusal::Wrong));
    }

    #[test]
    fn password_opens_nothing_where_tokens_are_asked_for_and_a_token_where_passwords_are() {
        let (mut access, now) = (access(), Instant::now());
        let name = AccountName::new("alice").expect("legal");
        assert_eq!(access.attempt(now, browser(), &name).unwrap_err(), LoginRefusal::Wrong);
        let mut access = Access::new(AuthMode::Password, LIFETIMES);
        access.open(SESSION, digest("token"));
        assert!(access.begin(now, &with_token("token"), browser(), nobody).is_ok());
        let method = Method::Password(name);
        assert_eq!(access.begin(now, &method, browser(), nobody), Err(LoginRefusal::Wrong));
    }

    #[test]
    fn wrong_tokens_shut_nobody_out_who_has_the_right_one() {
        let (mut access, now) = (access(), Instant::now());
        let guess = with_token("guess");
        for _ in 0..5 {
            assert_eq!(access.begin(now, &guess, browser(), nobody), Err(LoginRefusal::Wrong));
        }
        let refusal = access.begin(now, &guess, browser(), nobody);
        assert_eq!(refusal, Err(LoginRefusal::TooMany { retry_after_seconds: 6 }));
        let strangers = (1..10_000_u32).map(|bits| IpAddr::V4(bits.into()));
        for stranger in strangers {
            let _ = access.begin(now, &guess, stranger, nobody);
        }
        let method = right(&access);
        for from in [browser(), "198.51.100.1".parse().expect("an address")] {
            assert!(access.begin(now, &method, from, nobody).is_ok(), "{from}");
        }
        let elsewhere = "198.51.100.2".parse().expect("an address");
        assert_eq!(access.begin(now, &guess, elsewhere, nobody), Err(LoginRefusal::Wrong));
    }

    #[test]
    fn signed_out_key_opens_nothing_and_says_which_login_ended() {
        let (mut access, now) = (access(), Instant::now());
        let method = right(&access);
        let signed_in = access.begin(now, &method, browser(), nobody).expect("right token");
        let key = signed_in.key.expect("a key");
        assert_eq!(access.sign_out(&key), Some((SESSION, signed_in.login.id)));
        assert_eq!(access.sign_out(&key), None);
        assert_eq!(access.resume(now, &key), Err(LoginRefusal::Wrong));
        assert!(access.begin(now, &method, browser(), nobody).is_ok(), "the token still opens");
    }
}
