//! The keys that one login has had: the browser's cookie changes from time to time, and so does its key, of which
//! the page's half stays.
//!
//! A new key is offered, and the present one stays good until the browser has shown the new one: the answer with
//! the new cookie may be lost. From then on requests that were on their way may still show the former key, and after
//! that nobody but a page that was admitted with it, by its socket. A request with a former key comes from a browser
//! that was copied, or from the copy: which of them, nobody can tell, and so the login ends (RFC 9700, section
//! 4.14.2, has the same for tokens).

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

use super::super::secret::Digest;

/// How long requests on their way may show a former key.
const ON_ITS_WAY: Duration = Duration::from_secs(60);

/// Most former keys that are known. Pages that were opened earlier ask for a sign-in.
const MOST_FORMER: usize = 16;

/// The keys of a login.
#[derive(Clone, Debug)]
pub(super) struct Chain {
    present: Digest,
    /// Since when the present one has been it.
    since: Instant,
    /// The one that was offered, until the browser shows it.
    offered: Option<Digest>,
    /// Those before, the last one at the end, and until when requests may show it.
    former: VecDeque<(Digest, Instant)>,
}

/// What a key of a chain is good for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Standing {
    /// Any request.
    Good,
    /// Pages that were admitted with it; a request with it is a copy's, or the copied browser's.
    Former,
}

impl Chain {
    /// A chain of one key that a browser has had since then, and perhaps of one that it was offered.
    pub(super) const fn new(present: Digest, since: Instant, offered: Option<Digest>) -> Self {
        Self { present, since, offered, former: VecDeque::new() }
    }

    /// The present key.
    pub(super) const fn present(&self) -> Digest {
        self.present
    }

    /// The key that was offered.
    pub(super) const fn offered(&self) -> Option<Digest> {
        self.offered
    }

    /// Since when the present key has been it.
    pub(super) const fn since(&self) -> Instant {
        self.since
    }

    /// All keys.
    pub(super) fn keys(&self) -> impl Iterator<Item = Digest> {
        let former = self.former.iter().map(|(key, _)| *key);
        former.chain([self.present]).chain(self.offered)
    }

    /// A browser shows one of the keys. Returns what it is good for, and the key that has been forgotten for it.
    pub(super) fn show(&mut self, now: Instant, key: Digest) -> (Standing, Option<Digest>) {
        if self.offered == Some(key) {
            self.former.push_back((self.present, now + ON_ITS_WAY));
            (self.present, self.since, self.offered) = (key, now, None);
            let surplus = self.former.len() > MOST_FORMER;
            let forgotten = if surplus { self.former.pop_front() } else { None };
            return (Standing::Good, forgotten.map(|(key, _)| key));
        }
        let is_good = |(former, until): &(Digest, Instant)| *former == key && now < *until;
        let good = self.present == key || self.former.iter().any(is_good);
        (if good { Standing::Good } else { Standing::Former }, None)
    }

    /// Whether the present key is so old that another is offered.
    pub(super) fn is_due(&self, now: Instant, age: Duration) -> bool {
        now.saturating_duration_since(self.since) >= age
    }

    /// Offers a key. Returns the one that was offered before and never shown, which counts no more.
    pub(super) const fn offer(&mut self, key: Digest) -> Option<Digest> {
        self.offered.replace(key)
    }
}

#[cfg(test)]
mod tests {
    use lumen_ipc::text::Secret;

    use super::*;

    fn digest(text: &str) -> Digest {
        Digest::of(&Secret::new(text).expect("short"))
    }

    #[test]
    fn key_stays_good_until_the_next_is_shown_and_a_little_longer() {
        let start = Instant::now();
        let (one, two) = (digest("one"), digest("two"));
        let mut chain = Chain::new(one, start, None);
        assert_eq!(chain.offer(two), None);
        let later = start + Duration::from_secs(10_000);
        assert_eq!(chain.show(later, one), (Standing::Good, None), "the answer was lost");
        assert_eq!(chain.show(later, two), (Standing::Good, None));
        assert_eq!(chain.show(later + ON_ITS_WAY / 2, one), (Standing::Good, None), "on its way");
        assert_eq!(chain.show(later + ON_ITS_WAY, one), (Standing::Former, None));
        assert_eq!(chain.show(later + ON_ITS_WAY, two), (Standing::Good, None));
        assert_eq!((chain.present(), chain.since()), (two, later));
    }

    #[test]
    fn key_that_was_offered_again_takes_the_place_of_the_one_never_shown() {
        let start = Instant::now();
        let mut chain = Chain::new(digest("one"), start, None);
        chain.offer(digest("lost"));
        assert_eq!(chain.offer(digest("two")), Some(digest("lost")));
        assert_eq!(chain.keys().count(), 2);
        assert!(chain.is_due(start + Duration::from_secs(5), Duration::from_secs(5)));
        chain.show(start + Duration::from_secs(5), digest("two"));
        assert!(!chain.is_due(start + Duration::from_secs(9), Duration::from_secs(5)));
    }

    #[test]
    fn former_keys_are_bounded_and_the_first_is_forgotten() {
        let now = Instant::now();
        let key = |number: usize| digest(&number.to_string());
        let mut chain = Chain::new(key(0), now, None);
        for number in 1..=MOST_FORMER + 1 {
            chain.offer(key(number));
            let forgotten = chain.show(now, key(number)).1;
            assert_eq!(forgotten, (number > MOST_FORMER).then(|| key(0)), "{number}");
        }
        assert_eq!(chain.keys().count(), MOST_FORMER + 1);
    }
}
