//! Channels to viewers at the relay: four bytes before each datagram instead of a whole message.
//!
//! A channel is requested when its viewer is first heard of, and used once the relay has agreed.
//! INVARIANT: a number belongs to one peer and a peer has one number, for as long as the relay may
//! remember either (RFC 8656, section 12: five minutes beyond the binding's lifetime).

use std::{
    net::SocketAddr,
    ops::RangeInclusive,
    time::{Duration, Instant},
};

/// Channel numbers (RFC 8656, section 12).
const NUMBERS: RangeInclusive<u16> = 0x4000..=0x4FFF;
/// How long a binding lasts (RFC 8656, section 12).
const LIFETIME: Duration = Duration::from_secs(600);
/// How long before its end a channel in use is renewed.
const MARGIN: Duration = Duration::from_secs(60);
/// Most channels; further datagrams travel as indications. As many as there may be viewers, and as
/// many again that returned from another address.
const MOST: usize = 32;

/// A channel number and its peer.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Channel {
    pub(super) number: u16,
    pub(super) peer: SocketAddr,
}

/// All channels of an allocation.
#[derive(Debug, Default)]
pub(super) struct Channels {
    slots: Vec<Slot>,
    taken: u16,
}

#[derive(Debug)]
struct Slot {
    channel: Channel,
    /// When the relay was last asked for it: it may know the channel from then on, even if its
    /// answer was lost.
    asked: Instant,
    /// How long the relay knows it; `None` until it agrees.
    bound_until: Option<Instant>,
    used: Instant,
}

impl Channels {
    /// The channel to request, after data from `peer`.
    pub(super) fn hear(&mut self, now: Instant, peer: SocketAddr) -> Option<Channel> {
        if let Some(slot) = self.slots.iter_mut().find(|slot| slot.channel.peer == peer) {
            slot.used = now;
            let refused = slot.bound_until.is_none() && slot.asked + MARGIN <= now;
            return refused.then(|| slot.ask(now));
        }
        self.forget(now);
        let number = NUMBERS.start() + self.taken;
        if self.slots.len() >= MOST || !NUMBERS.contains(&number) {
            return None;
        }
        self.taken += 1;
        let channel = Channel { number, peer };
        self.slots.push(Slot { channel, asked: now, bound_until: None, used: now });
        Some(channel)
    }

    /// The relay agreed.
    pub(super) fn bound(&mut self, now: Instant, channel: Channel) {
        if let Some(slot) = self.slots.iter_mut().find(|slot| slot.channel == channel) {
            slot.bound_until = Some(now + LIFETIME);
        }
    }

    /// The relay refused or did not answer; the peer is reached by indications.
    pub(super) fn failed(&mut self, channel: Channel) {
        if let Some(slot) = self.slots.iter_mut().find(|slot| slot.channel == channel) {
            slot.bound_until = None;
        }
    }

    /// The channel number of `peer`.
    pub(super) fn number_of(&mut self, now: Instant, peer: SocketAddr) -> Option<u16> {
        let slot = self.slots.iter_mut().find(|slot| slot.channel.peer == peer)?;
        slot.used = now;
        slot.bound_until.filter(|until| now < *until).map(|_| slot.channel.number)
    }

    /// The peer of channel `number`.
    pub(super) fn peer_of(&mut self, now: Instant, number: u16) -> Option<SocketAddr> {
        let slot = self.slots.iter_mut().find(|slot| slot.channel.number == number)?;
        slot.used = now;
        Some(slot.channel.peer)
    }

    /// Channels to renew; drops unused ones.
    pub(super) fn due(&mut self, now: Instant) -> Vec<Channel> {
        self.forget(now);
        let due = self.slots.iter_mut().filter(|slot| slot.renewal().is_some_and(|at| at <= now));
        due.map(|slot| {
            // Not again before this renewal has had its time.
            slot.bound_until = slot.bound_until.map(|until| until.max(now + 2 * MARGIN));
            slot.ask(now)
        })
        .collect()
    }

    /// When to call [`Channels::due`].
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.slots.iter().filter_map(Slot::renewal).min()
    }

    /// Drops channels that neither we nor the relay can use any more.
    fn forget(&mut self, now: Instant) {
        self.slots
            .retain(|slot| now < slot.used + LIFETIME || now < slot.asked + LIFETIME + MARGIN);
    }
}

impl Slot {
    fn ask(&mut self, now: Instant) -> Channel {
        self.asked = now;
        self.channel
    }

    /// When to renew it, if it is used until then.
    fn renewal(&self) -> Option<Instant> {
        let at = self.bound_until? - MARGIN;
        (at < self.used + LIFETIME).then_some(at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peer(port: u16) -> SocketAddr {
        ([203, 0, 113, 1], port).into()
    }

    #[test]
    fn channel_is_asked_for_once_and_used_when_bound() {
        let now = Instant::now();
        let mut channels = Channels::default();
        let channel = channels.hear(now, peer(1)).expect("a channel");
        assert_eq!(channels.hear(now, peer(1)), None);
        assert_eq!(channels.number_of(now, peer(1)), None);
        channels.bound(now, channel);
        assert_eq!(channels.number_of(now, peer(1)), Some(channel.number));
        assert_eq!(channels.peer_of(now, channel.number), Some(peer(1)));
        assert_eq!(channels.peer_of(now, channel.number + 1), None);
    }

    #[test]
    fn channel_in_use_is_renewed_before_its_end_and_an_idle_one_forgotten() {
        let now = Instant::now();
        let mut channels = Channels::default();
        let channel = channels.hear(now, peer(1)).expect("a channel");
        channels.bound(now, channel);
        let renewal = now + LIFETIME - MARGIN;
        assert_eq!(channels.deadline(), Some(renewal));
        assert_eq!(channels.due(renewal), [channel]);
        channels.bound(renewal, channel);
        assert_eq!(channels.due(renewal), []);
        assert_eq!(channels.deadline(), None, "nobody has used it since");
        assert_eq!(channels.due(renewal + LIFETIME + MARGIN), []);
        assert_eq!(channels.peer_of(renewal, channel.number), None);
    }

    #[test]
    fn channel_that_the_relay_may_still_use_is_known() {
        let now = Instant::now();
        let mut channels = Channels::default();
        let channel = channels.hear(now, peer(1)).expect("a channel");
        channels.bound(now, channel);
        let renewed = now + LIFETIME - MARGIN;
        assert_eq!(channels.due(renewed), [channel]);
        channels.bound(renewed, channel);
        let last = renewed + LIFETIME - Duration::from_secs(1);
        assert_eq!(channels.due(last), []);
        assert_eq!(channels.peer_of(last, channel.number), Some(peer(1)));
        assert_eq!(channels.deadline(), Some(last + Duration::from_secs(1) - MARGIN), "used again");
    }

    #[test]
    fn refused_channel_is_asked_for_again_after_a_while() {
        let now = Instant::now();
        let mut channels = Channels::default();
        let channel = channels.hear(now, peer(1)).expect("a channel");
        channels.failed(channel);
        assert_eq!(channels.hear(now, peer(1)), None);
        assert_eq!(channels.hear(now + MARGIN, peer(1)), Some(channel));
        assert_eq!(channels.hear(now + MARGIN, peer(1)), None);
    }

    #[test]
    fn number_is_never_given_to_another_peer() {
        let now = Instant::now();
        let mut channels = Channels::default();
        let first = channels.hear(now, peer(1)).expect("a channel");
        let later = now + LIFETIME + MARGIN;
        let second = channels.hear(later, peer(2)).expect("a channel");
        assert_ne!(first.number, second.number);
    }
}
