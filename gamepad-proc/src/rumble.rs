//! The effects that programs put on one device, and the resulting motion of the motors. Pure: takes
//! the programs' requests and the time, returns the orders to the viewer's pad.
//!
//! Effects are those of `linux/input.h`: uploaded with an id, then played and stopped by id, under
//! a common gain. The effects that play are summed up, as the kernel's own emulation does
//! (`drivers/input/ff-memless.c`); envelopes are left out, because browsers have none.
//!
//! INVARIANT: whatever programs do, the pad is sent at most one order per [`INTERVAL`], and an
//! order is renewed before it expires.

use std::time::{Duration, Instant};

/// Most effects on a device.
pub const EFFECTS: usize = 16;
/// The least time between two orders to a pad.
pub const INTERVAL: Duration = Duration::from_millis(15);
/// The longest order, so that a pad does not shake for ever when orders stop because a worker died.
pub const LONGEST: Duration = Duration::from_secs(5);
/// How long before its end an order is renewed.
const AHEAD: Duration = Duration::from_secs(1);

/// An effect, reduced to what two motors can do.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Effect {
    /// The heavy motor.
    pub strong: u16,
    /// The light motor.
    pub weak: u16,
    /// How long it lasts; zero means until it is stopped.
    pub length: Duration,
    /// The delay between the play request and the start.
    pub delay: Duration,
}

/// A number of an effect, below [`EFFECTS`].
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct EffectId(usize);

impl EffectId {
    /// Wraps `id` if it is legal.
    #[must_use]
    pub fn new(id: impl TryInto<usize>) -> Option<Self> {
        id.try_into().ok().filter(|id| *id < EFFECTS).map(Self)
    }
}

/// A program's request to a device.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Request {
    /// Store an effect.
    Upload(EffectId, Effect),
    /// Erase an effect.
    Erase(EffectId),
    /// Play an effect so many times; zero stops it.
    Play(EffectId, u32),
    /// Scale all effects: the largest number is full strength.
    Gain(u16),
}

/// What the motors do from now on, until the next order or until `millis` have passed.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Order {
    /// The heavy motor.
    pub strong: u16,
    /// The light motor.
    pub weak: u16,
    /// The longest duration.
    pub millis: u16,
}

#[derive(Clone, Copy, Debug, PartialEq)]
struct Playing {
    from: Instant,
    /// `None` for ever.
    until: Option<Instant>,
}

/// All effects of a device.
#[derive(Debug)]
pub struct Rumble {
    effects: [Option<Effect>; EFFECTS],
    playing: [Option<Playing>; EFFECTS],
    gain: u16,
    /// The last order's motors, and until when they run.
    told: (u16, u16),
    expires: Instant,
    /// When the next order may be given.
    free: Instant,
}

impl Rumble {
    /// No effects, motors at rest.
    #[must_use]
    pub const fn new(now: Instant) -> Self {
        Self {
            effects: [None; EFFECTS],
            playing: [None; EFFECTS],
            gain: u16::MAX,
            told: (0, 0),
            expires: now,
            free: now,
        }
    }

    /// Takes a program's request.
    pub fn handle(&mut self, now: Instant, request: Request) {
        match request {
            Request::Upload(EffectId(id), effect) => {
                set(&mut self.effects, id, Some(effect));
                // A playing effect continues with the new parameters, from its start.
                if let Some(Some(playing)) = self.playing.get_mut(id) {
                    playing.until = end(playing.from, effect, 1);
                }
            }
            Request::Erase(EffectId(id)) => {
                set(&mut self.effects, id, None);
                set(&mut self.playing, id, None);
            }
            Request::Play(EffectId(id), 0) => set(&mut self.playing, id, None),
            Request::Play(EffectId(id), times) => {
                let effect = self.effects.get(id).copied().flatten().unwrap_or(FORGOTTEN);
                set(&mut self.effects, id, Some(effect));
                let from = now + effect.delay;
                let until = end(from, effect, times);
                set(&mut self.playing, id, Some(Playing { from, until }));
            }
            Request::Gain(gain) => self.gain = gain,
        }
    }

    /// Another pad holds the slot, which has received no order.
    pub const fn pad_changed(&mut self) {
        self.told = (0, 0);
    }

    /// The order to send to the pad, if any.
    pub fn poll_order(&mut self, now: Instant) -> Option<Order> {
        for playing in &mut self.playing {
            if playing.is_some_and(|it| it.until.is_some_and(|until| until <= now)) {
                *playing = None;
            }
        }
        let motors = self.motors(now);
        let renew = motors != (0, 0) && self.expires <= now + AHEAD;
        let stale = motors != self.told || (renew && self.outlasts(now));
        if !stale || now < self.free {
            return None;
        }
        let left = self.left(now);
        self.told = motors;
        self.free = now + INTERVAL;
        self.expires = now + left;
        if motors == (0, 0) {
            return Some(Order::default());
        }
        // Rounded up: a pad that runs a millisecond too long is told to stop; one that stopped too
        // early would stutter. `LONGEST` fits.
        let millis = u16::try_from(left.as_nanos().div_ceil(1_000_000)).unwrap_or(u16::MAX);
        Some(Order { strong: motors.0, weak: motors.1, millis: millis.max(1) })
    }

    /// When to call [`Rumble::poll_order`].
    #[must_use]
    pub fn deadline(&self, now: Instant) -> Option<Instant> {
        let due = if self.motors(now) == self.told {
            let renew = (self.told != (0, 0)).then(|| self.expires - AHEAD);
            let change = self.next_change(now);
            // An effect that ends with its order needs no renewal.
            [change, renew.filter(|_| self.outlasts(now))].into_iter().flatten().min()
        } else {
            Some(now)
        };
        due.map(|at| at.max(self.free))
    }

    /// Whether an effect plays on after the last order ends.
    fn outlasts(&self, now: Instant) -> bool {
        self.on(now).any(|playing| playing.until.is_none_or(|until| until > self.expires))
    }

    /// The time until all playing effects end, limited to the longest order.
    fn left(&self, now: Instant) -> Duration {
        let left = |playing: &Playing| playing.until.map_or(LONGEST, |until| until - now);
        self.on(now).map(left).max().unwrap_or_default().min(LONGEST)
    }

    fn on(&self, now: Instant) -> impl Iterator<Item = &Playing> {
        self.playing.iter().flatten().filter(move |playing| playing.from <= now)
    }

    fn motors(&self, now: Instant) -> (u16, u16) {
        let on = self.playing.iter().zip(&self.effects).filter_map(|(playing, effect)| {
            let playing = playing.as_ref()?;
            let over = playing.until.is_some_and(|until| until <= now);
            effect.as_ref().filter(|_| playing.from <= now && !over)
        });
        let (strong, weak) = on.fold((0_u32, 0_u32), |(strong, weak), effect| {
            (strong + u32::from(effect.strong), weak + u32::from(effect.weak))
        });
        let share = |sum: u32| {
            let scaled = u64::from(sum) * u64::from(self.gain) / u64::from(u16::MAX);
            u16::try_from(scaled).unwrap_or(u16::MAX)
        };
        (share(strong), share(weak))
    }

    /// When the next effect begins or ends.
    fn next_change(&self, now: Instant) -> Option<Instant> {
        let changes = self.playing.iter().flatten();
        let changes = changes.flat_map(|playing| [Some(playing.from), playing.until]);
        changes.flatten().filter(|at| *at > now).min()
    }
}

/// Stands for an effect that was uploaded to a predecessor of this process and died with it.
const FORGOTTEN: Effect = Effect {
    strong: 0x8000,
    weak: 0x8000,
    length: Duration::from_millis(250),
    delay: Duration::ZERO,
};

/// When an effect that begins at `from` has been played so many times; `None` for never.
fn end(from: Instant, effect: Effect, times: u32) -> Option<Instant> {
    let (length, delay) = (effect.length, effect.delay);
    let gaps = delay.saturating_mul(times.saturating_sub(1));
    let all = length.saturating_mul(times).saturating_add(gaps);
    // A time beyond the range of an instant counts as never, too.
    (!length.is_zero()).then(|| from.checked_add(all)).flatten()
}

fn set<T>(list: &mut [Option<T>; EFFECTS], id: usize, value: Option<T>) {
    if let Some(place) = list.get_mut(id) {
        *place = value;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SHORT: Effect = Effect {
        strong: 0x4000,
        weak: 0x2000,
        length: Duration::from_millis(300),
        delay: Duration::ZERO,
    };

    fn id(id: usize) -> EffectId {
        EffectId::new(id).expect("legal")
    }

    struct Device {
        rumble: Rumble,
        now: Instant,
    }

    impl Device {
        fn new() -> Self {
            let now = Instant::now();
            Self { rumble: Rumble::new(now), now }
        }

        fn ask(&mut self, request: Request) {
            self.rumble.handle(self.now, request);
        }

        fn order(&mut self) -> Option<(u16, u16, u16)> {
            let order = self.rumble.poll_order(self.now);
            order.map(|order| (order.strong, order.weak, order.millis))
        }

        /// Follows the deadlines for `millis`; returns every order with its time in milliseconds.
        fn run(&mut self, millis: u64) -> Vec<(u128, (u16, u16, u16))> {
            let (start, end) = (self.now, self.now + Duration::from_millis(millis));
            let mut orders = Vec::new();
            orders.extend(self.order().map(|order| (0, order)));
            while let Some(at) = self.rumble.deadline(self.now).filter(|at| *at <= end) {
                assert!(at > self.now, "stands still at {:?}: {:?}", self.now, self.rumble);
                self.now = at;
                orders.extend(self.order().map(|order| ((at - start).as_millis(), order)));
            }
            self.now = end;
            orders
        }
    }

    #[test]
    fn played_effect_is_told_once_with_its_length_and_ends() {
        let mut device = Device::new();
        device.ask(Request::Upload(id(0), SHORT));
        assert_eq!(device.run(1000), []);
        device.ask(Request::Play(id(0), 1));
        let orders = device.run(1000);
        assert_eq!(orders, [(0, (0x4000, 0x2000, 300)), (300, (0, 0, 0))]);
        assert_eq!(device.rumble.deadline(device.now), None);
    }

    #[test]
    fn stopped_and_erased_effects_stop_the_motors() {
        for stop in [Request::Play(id(1), 0), Request::Erase(id(1))] {
            let mut device = Device::new();
            device.ask(Request::Upload(id(1), SHORT));
            device.ask(Request::Play(id(1), 1));
            device.run(100);
            device.ask(stop);
            assert_eq!(device.run(1000), [(0, (0, 0, 0))]);
        }
    }

    #[test]
    fn endless_effect_is_told_again_before_the_pad_stops() {
        let mut device = Device::new();
        device.ask(Request::Upload(id(0), Effect { length: Duration::ZERO, ..SHORT }));
        device.ask(Request::Play(id(0), 1));
        let order = (0x4000, 0x2000, 5000);
        assert_eq!(device.run(9000), [(0, order), (4000, order), (8000, order)]);
    }

    #[test]
    fn repeated_and_delayed_effect_lasts_as_long_as_all_of_it() {
        let mut device = Device::new();
        let effect = Effect { delay: Duration::from_millis(50), ..SHORT };
        device.ask(Request::Upload(id(0), effect));
        device.ask(Request::Play(id(0), 2));
        assert_eq!(device.run(2000), [(50, (0x4000, 0x2000, 650)), (700, (0, 0, 0))]);
    }

    #[test]
    fn effects_add_up_to_the_most_and_gain_scales_them() {
        let mut device = Device::new();
        let loud = Effect { strong: 0xc000, ..SHORT };
        for number in [0, 1] {
            device.ask(Request::Upload(id(number), loud));
            device.ask(Request::Play(id(number), 1));
        }
        assert_eq!(device.order(), Some((0xffff, 0x4000, 300)));
        device.ask(Request::Gain(0x8000));
        device.now += INTERVAL;
        assert_eq!(device.order(), Some((0xc000, 0x2000, 285)));
    }

    #[test]
    fn effect_of_a_predecessor_is_felt_at_least() {
        let mut device = Device::new();
        device.ask(Request::Play(id(3), 1));
        assert_eq!(device.order(), Some((0x8000, 0x8000, 250)));
    }

    #[test]
    fn another_pad_is_told_what_goes_on() {
        let mut device = Device::new();
        device.ask(Request::Upload(id(0), SHORT));
        device.ask(Request::Play(id(0), 1));
        device.run(100);
        device.rumble.pad_changed();
        assert_eq!(device.order(), Some((0x4000, 0x2000, 200)));
    }

    fn request() -> impl Strategy<Value = Request> {
        let number = || (0..EFFECTS).prop_map(id);
        let millis = || (0..70_000_u64).prop_map(Duration::from_millis);
        let effect = (any::<u16>(), any::<u16>(), millis(), millis())
            .prop_map(|(strong, weak, length, delay)| Effect { strong, weak, length, delay });
        prop_oneof![
            (number(), effect).prop_map(|(id, effect)| Request::Upload(id, effect)),
            number().prop_map(Request::Erase),
            (number(), prop_oneof![0..3_u32, any::<u32>()])
                .prop_map(|(id, times)| Request::Play(id, times)),
            any::<u16>().prop_map(Request::Gain),
        ]
    }

    proptest! {
        #[test]
        fn any_requests_are_told_no_faster_than_the_interval_and_end_as_told(
            requests in prop::collection::vec((request(), 0..400_u64), 0..60),
        ) {
            let mut device = Device::new();
            let mut last = None;
            for (request, pause) in requests {
                device.ask(request);
                let began = device.now;
                for (at, (strong, weak, millis)) in device.run(pause) {
                    let at = began + Duration::from_millis(at.try_into().expect("small"));
                    if let Some(last) = last {
                        // Times are rounded down to milliseconds here.
                        prop_assert!(at + Duration::from_millis(1) >= last + INTERVAL);
                    }
                    last = Some(at);
                    prop_assert!(u128::from(millis) <= LONGEST.as_millis());
                    prop_assert_eq!((strong, weak) == (0, 0), millis == 0);
                }
            }
            for number in 0..EFFECTS {
                device.ask(Request::Erase(id(number)));
            }
            device.run(100);
            prop_assert_eq!(device.rumble.told, (0, 0));
            prop_assert_eq!(device.rumble.deadline(device.now), None);
        }
    }
}
