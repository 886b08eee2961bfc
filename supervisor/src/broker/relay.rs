//! Relay credentials: minted for one peer when the gateway asks, and worthless after some hours.
//!
//! Decides: who gets credentials, for how long, and how often. The relay keeps no list: it has the
//! same secret and recomputes what was minted ([`lumen_ipc::relay`]). Trusts the gateway to ask for
//! peers that have logged in; one that lies gets credentials that reach nobody but the session's
//! own rtc, and a limited number of them a minute.

use std::{
    collections::BTreeMap,
    net::IpAddr,
    time::{Duration, Instant},
};

use hmac::{Hmac, Mac};
use lumen_ipc::{
    relay::{Grantee, Party, SECRET_BYTES, UnixSeconds, Username, password},
    service::{RelayCredentials, RelayPair},
    text::Text,
    units::{PeerId, SessionId},
};
use sha2::Sha256;
use zeroize::Zeroizing;

use super::{
    secret::{NoRandomness, random_number},
    throttle::{Allowance, Meter},
};

/// How long credentials last: as long as somebody looks at a desktop without a pause.
const LIFETIME: Duration = Duration::from_secs(8 * 60 * 60);
/// Credentials that a session can get at once, and the time after which it can get one more. The
/// gateway limits each browser; this limits a gateway that does not.
const MINTS: Allowance = Allowance { most: 600, refill: Duration::from_millis(100) };
/// Longest name of a relay that still fits in the field of a URL.
pub const MOST_NAME_BYTES: usize = 220;
/// Stands for the host name under which a browser found the page.
const PAGE_HOST: &str = "*";

/// Where the relay can be reached.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct RelayRoutes {
    /// The public address of this host, if the administrator named one.
    pub public: Option<IpAddr>,
    /// The port for UDP and TCP.
    pub port: u16,
    /// The port for TLS, if there is a certificate.
    pub secured: Option<u16>,
    /// The port that it shares with the gateway, if there is one.
    pub shared: Option<u16>,
    /// The relay's name for TLS on the shared port; at most [`MOST_NAME_BYTES`] long.
    pub name: Option<Text<253>>,
}

impl RelayRoutes {
    /// The URLs for a browser, the best first: the cheapest before those that pass the most
    /// firewalls.
    #[must_use]
    pub fn urls(&self) -> Vec<Text<256>> {
        let plain = match self.public {
            Some(IpAddr::V4(address)) => address.to_string(),
            Some(IpAddr::V6(address)) => format!("[{address}]"),
            None => PAGE_HOST.to_owned(),
        };
        // A certificate is issued for a name, hardly ever for an address.
        let secured = self.name.as_ref().map_or(PAGE_HOST, Text::as_str);
        let port = self.port;
        let mut urls = vec![
            format!("turn:{plain}:{port}?transport=udp"),
            format!("turn:{plain}:{port}?transport=tcp"),
        ];
        urls.extend(self.secured.map(|port| format!("turns:{secured}:{port}?transport=tcp")));
        if let Some(shared) = self.shared {
            urls.push(format!("turn:{PAGE_HOST}:{shared}?transport=tcp"));
            let secured = |name| format!("turns:{name}:{shared}?transport=tcp");
            urls.extend(self.name.iter().map(secured));
        }
        urls.into_iter().map(Text::truncated).collect()
    }

    /// The URL for rtc. It uses the address in its configuration; this one is for people.
    fn near(&self) -> Vec<Text<256>> {
        vec![Text::truncated(format!("turn:localhost:{}?transport=udp", self.port))]
    }
}

/// The secret of a host's relay, and the mint's limits.
pub struct RelayMint {
    secret: Zeroizing<[u8; SECRET_BYTES]>,
    routes: RelayRoutes,
    serial: u64,
    /// How much each session has used.
    meters: BTreeMap<SessionId, Meter>,
}

impl RelayMint {
    /// Makes a new secret.
    ///
    /// # Errors
    /// [`NoRandomness`] when the kernel gives none.
    pub fn new(routes: RelayRoutes) -> Result<Self, NoRandomness> {
        let mut secret = Zeroizing::new([0; SECRET_BYTES]);
        getrandom::fill(secret.as_mut_slice()).map_err(NoRandomness)?;
        Self::with_secret(secret, routes)
    }

    /// Uses the relay's earlier secret, so that earlier credentials remain valid.
    ///
    /// # Errors
    /// [`NoRandomness`] when the kernel gives none.
    pub fn with_secret(
        secret: Zeroizing<[u8; SECRET_BYTES]>,
        routes: RelayRoutes,
    ) -> Result<Self, NoRandomness> {
        // The serials of this host and of earlier ones with the same secret almost certainly
        // differ.
        Ok(Self { secret, routes, serial: random_number()?, meters: BTreeMap::new() })
    }

    /// The secret, for the relay only.
    #[must_use]
    pub fn secret(&self) -> &[u8; SECRET_BYTES] {
        &self.secret
    }

    /// Credentials for `peer` and for rtc on its behalf; `None` when the limit is reached.
    pub fn mint(
        &mut self,
        now: Instant,
        unix: UnixSeconds,
        session: SessionId,
        peer: PeerId,
    ) -> Option<RelayPair> {
        let spent = MINTS.spend(self.meters.get(&session).copied(), now).ok()?;
        self.meters.insert(session, spent);
        self.serial = self.serial.wrapping_add(1);
        let expires = UnixSeconds(unix.0.saturating_add(LIFETIME.as_secs()));
        let of = |party| {
            let grantee = Grantee { session, party, peer };
            Username { expires, grantee, serial: self.serial }
        };
        Some(RelayPair {
            viewer: self.credentials(of(Party::Viewer), self.routes.urls()),
            rtc: self.credentials(of(Party::Rtc), self.routes.near()),
        })
    }

    /// Removes a session that is gone, whose number no other will get.
    pub fn forget(&mut self, session: SessionId) {
        self.meters.remove(&session);
    }

    fn credentials(&self, username: Username, urls: Vec<Text<256>>) -> RelayCredentials {
        let username = username.to_string();
        let mut tag = <Hmac<Sha256> as Mac>::new_from_slice(self.secret.as_slice())
            .expect("a key of an HMAC has any length");
        tag.update(username.as_bytes());
        let tag = Zeroizing::new(tag.finalize().into_bytes().into());
        RelayCredentials {
            urls,
            username: Text::new(username).expect("the contract's limit is the longest username"),
            password: password(&tag),
            lifetime_seconds: u32::try_from(LIFETIME.as_secs()).unwrap_or(u32::MAX),
        }
    }
}

#[cfg(test)]
mod tests {
    use lumen_ipc::relay::{EXAMPLE, MAX_LIFETIME_SECONDS};

    use super::*;

    const SESSION: SessionId = SessionId::SOLE;

    const UNIX: UnixSeconds = UnixSeconds(1_800_000_000);

    fn routes() -> RelayRoutes {
        RelayRoutes { public: None, port: 3478, secured: None, shared: Some(8080), name: None }
    }

    fn mint() -> RelayMint {
        RelayMint::new(routes()).expect("random")
    }

    fn minted(mint: &mut RelayMint, peer: u64) -> RelayPair {
        mint.mint(Instant::now(), UNIX, SESSION, PeerId(peer)).expect("within the rate")
    }

    fn texts(urls: &[Text<256>]) -> Vec<&str> {
        urls.iter().map(Text::as_str).collect()
    }

    #[test]
    fn credentials_of_the_example_are_what_the_contract_says() {
        let (secret, username, password) = EXAMPLE;
        let mut mint = mint();
        mint.secret = Zeroizing::new(secret);
        let made = mint.credentials(username.parse().expect("well formed"), Vec::new());
        assert_eq!((made.username.as_str(), made.password.reveal()), (username, password));
    }

    #[test]
    fn mint_names_peer_party_and_expiry_and_the_two_reach_each_other() {
        let pair = minted(&mut mint(), 17);
        let read = |credentials: &RelayCredentials| {
            Username::accept(credentials.username.as_str(), UNIX).expect("in time")
        };
        let (viewer, rtc) = (read(&pair.viewer), read(&pair.rtc));
        assert_eq!((viewer.grantee.party, viewer.grantee.peer), (Party::Viewer, PeerId(17)));
        assert_eq!(viewer.expires.0 - UNIX.0, u64::from(pair.viewer.lifetime_seconds));
        assert!(viewer.grantee.may_reach(&rtc.grantee) && rtc.grantee.may_reach(&viewer.grantee));
        assert_ne!(pair.viewer.password, pair.rtc.password);
        assert!(LIFETIME.as_secs() <= MAX_LIFETIME_SECONDS);
    }

    #[test]
    fn mint_twice_for_one_peer_gives_two_credentials() {
        let mut mint = mint();
        assert_ne!(minted(&mut mint, 17).viewer.username, minted(&mut mint, 17).viewer.username);
    }

    #[test]
    fn mint_faster_than_allowed_gives_nothing_until_time_has_passed() {
        let (mut mint, now) = (mint(), Instant::now());
        let mut ask = |at| mint.mint(at, UNIX, SESSION, PeerId(1));
        assert_eq!((0..1000).filter(|_| ask(now).is_some()).count(), 600);
        assert!(ask(now + Duration::from_millis(90)).is_none());
        assert!(ask(now + Duration::from_millis(100)).is_some());
        assert!(mint.mint(now, UNIX, SessionId(2), PeerId(1)).is_some(), "another session's");
    }

    #[test]
    fn urls_name_every_way_the_best_first() {
        let all = RelayRoutes {
            public: Some("203.0.113.5".parse().expect("an address")),
            secured: Some(5349),
            name: Some(Text::truncated("relay.example.org")),
            ..routes()
        };
        assert_eq!(
            texts(&all.urls()),
            [
                "turn:203.0.113.5:3478?transport=udp",
                "turn:203.0.113.5:3478?transport=tcp",
                "turns:relay.example.org:5349?transport=tcp",
                "turn:*:8080?transport=tcp",
                "turns:relay.example.org:8080?transport=tcp",
            ]
        );
    }

    #[test]
    fn urls_without_anything_configured_use_the_pages_host() {
        assert_eq!(
            texts(&routes().urls()),
            ["turn:*:3478?transport=udp", "turn:*:3478?transport=tcp", "turn:*:8080?transport=tcp"]
        );
        let unshared = RelayRoutes { shared: None, ..routes() };
        assert_eq!(
            texts(&unshared.urls()),
            ["turn:*:3478?transport=udp", "turn:*:3478?transport=tcp"]
        );
        let v6 = RelayRoutes { public: "2001:db8::7".parse().ok(), ..routes() };
        assert_eq!(v6.urls()[0].as_str(), "turn:[2001:db8::7]:3478?transport=udp");
    }

    #[test]
    fn longest_name_fits_its_address() {
        let name = Some(Text::truncated("n".repeat(MOST_NAME_BYTES)));
        let urls =
            RelayRoutes { name, secured: Some(65535), shared: Some(65535), ..routes() }.urls();
        assert!(urls.iter().skip(1).all(|url| url.as_str().ends_with("?transport=tcp")));
    }

    #[test]
    fn longest_username_fits_its_field() {
        for party in [Party::Rtc, Party::Viewer] {
            let grantee = Grantee { session: SessionId(u32::MAX), party, peer: PeerId(u64::MAX) };
            let username = Username { expires: UnixSeconds(u64::MAX), grantee, serial: u64::MAX };
            let told = mint().credentials(username, Vec::new()).username;
            assert_eq!(told.as_str().parse(), Ok(username));
        }
    }
}
