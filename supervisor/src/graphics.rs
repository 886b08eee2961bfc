//! Who draws a session's picture: which rung of the ladder its media is on, why not a better one, and
//! when a better one is tried again. Pure.
//!
//! Media descends by itself where it finds out in time that it cannot draw ([`Judgement::Declines`]).
//! What it cannot report decides this module from outside: a media that ends twice within a minute
//! while it has the node gets it no more, and nor does one whose machine went down during the first
//! trial. It is tried again when an administrator restarts media, never by itself: so no driver can
//! take the picture away again and again.

use std::{
    collections::VecDeque,
    path::PathBuf,
    time::{Duration, Instant},
};

use lumen_ipc::{
    graphics::{EncoderUse, Encoding, GraphicsStatus, Judgement, NodeUse, Rung},
    process::ExitCode,
    text::Text,
};

use crate::lifecycle::Verdict;

/// So many ends within [`WINDOW`] are the driver's fault.
const MOST_ENDS: usize = 2;
/// How long an end counts.
const WINDOW: Duration = Duration::from_secs(60);

/// A device node through which media can use a graphics processor.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Node {
    /// Its path.
    pub path: PathBuf,
    /// The kernel's number of the device.
    pub number: u64,
    /// The kernel's driver.
    pub driver: String,
    /// Whether nothing but drawing by the processor can be expected of it.
    pub software: bool,
}

/// No node can be used.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct NoNode {
    /// The path of the best of those that cannot.
    pub path: Option<PathBuf>,
    /// Its driver in the kernel.
    pub driver: String,
    /// Why not, as a clause.
    pub reason: String,
}

/// Whether a driver is of use, on a node that was `named` or one that was merely found; `Ok(true)` if
/// the processor does its work.
///
/// # Errors
/// Why it is not, as a clause.
pub fn suits(driver: &str, named: bool) -> Result<bool, &'static str> {
    match driver {
        // It allocates memory in common with a display that the kernel's tests have: nothing draws for it
        // but Mesa by the processor.
        "vgem" if named => Ok(true),
        "vgem" | "vkms" => Err("there is no graphics processor behind its driver"),
        "nvidia" => {
            Err("NVIDIA's own driver works only in processes that may open its other devices, \
             and cannot encode by VA-API")
        }
        _ => Ok(false),
    }
}

/// The ladder of one session.
#[derive(Debug)]
pub struct Ladder {
    node: Result<Node, NoNode>,
    /// Why the node is not used, if it is not.
    descended: Option<String>,
    /// Whether the media that runs has the node.
    in_use: bool,
    /// Whether a media has been ready with it.
    proven: bool,
    /// Whether it is to encode, too.
    encode: EncoderUse,
    renderer: Option<Text<96>>,
    /// What encodes, as far as media has said so.
    encoding: Option<Encoding>,
    /// What a media found that was to find out what encodes better. It takes a while, so its successors are told.
    found: Option<Encoding>,
    ends: VecDeque<Instant>,
}

/// What the next media gets.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Turn {
    /// The node.
    pub node: Node,
    /// Whether this is the first trial, before which a mark must be on the disk: it may take the machine
    /// down.
    pub mark: bool,
    /// Whether it is to encode, too.
    pub encode: EncoderUse,
}

impl Turn {
    /// What media is told about it.
    #[must_use]
    pub const fn told(&self) -> NodeUse {
        NodeUse { software: self.node.software, encode: self.encode }
    }
}

impl Ladder {
    /// The ladder of a machine with this node, which is to `encode`, too, or only to draw. `went_down` says that
    /// the machine went down while a media first tried it.
    #[must_use]
    pub fn new(node: Result<Node, NoNode>, encode: EncoderUse, went_down: bool) -> Self {
        let descended = went_down.then(|| {
            "the machine went down while it was tried; `lumen restart media` tries it again"
                .to_owned()
        });
        Self {
            node,
            descended,
            in_use: false,
            proven: false,
            encode,
            renderer: None,
            encoding: None,
            found: None,
            ends: VecDeque::new(),
        }
    }

    /// A media is about to start: what it gets, or nothing.
    pub fn start(&mut self) -> Option<Turn> {
        (self.in_use, self.renderer, self.encoding) = (false, None, None);
        let node = self.node.as_ref().ok().filter(|_| self.descended.is_none())?.clone();
        self.in_use = true;
        Some(Turn { node, mark: !self.proven, encode: self.told() })
    }

    /// What a media is told about encoding.
    const fn told(&self) -> EncoderUse {
        match (self.encode, &self.found) {
            (EncoderUse::IfWorth, Some(Encoding::Vaapi { .. })) => EncoderUse::Always,
            (EncoderUse::IfWorth, Some(Encoding::Processor { .. })) => EncoderUse::Never,
            (told, _) => told,
        }
    }

    /// The node could not be handed over, for this reason.
    pub fn withheld(&mut self, reason: String) {
        self.in_use = false;
        self.descended = Some(reason);
    }

    /// The media that runs has tried the node.
    pub fn judged(&mut self, judgement: Judgement) {
        if !self.in_use {
            return;
        }
        match judgement {
            Judgement::Draws { renderer, encoding } => {
                let encoding = with_reason_of(self.found.take(), encoding);
                if self.encode == EncoderUse::IfWorth {
                    self.found = Some(encoding.clone());
                }
                (self.renderer, self.encoding) = (Some(renderer), Some(encoding));
            }
            Judgement::Declines { reason } => self.withheld(reason.into_string()),
        }
    }

    /// The media that runs serves.
    pub fn ready(&mut self) {
        self.proven |= self.in_use;
    }

    /// The media that ran has ended; returns why its successor does without the node, if that is new.
    pub fn ended(&mut self, now: Instant, verdict: Verdict) -> Option<&str> {
        if !std::mem::take(&mut self.in_use) || !may_be_the_drivers(verdict) {
            return None;
        }
        self.ends.retain(|end| now.saturating_duration_since(*end) < WINDOW);
        self.ends.push_back(now);
        if self.ends.len() < MOST_ENDS {
            return None;
        }
        self.ends.clear();
        let reason = format!(
            "media ended {MOST_ENDS} times within a minute while it drew, the last time it {verdict}; `lumen \
             restart media` tries it again"
        );
        (self.renderer, self.encoding) = (None, None);
        Some(self.descended.insert(reason))
    }

    /// An administrator has media restarted, and so wants everything tried again.
    pub fn retry(&mut self) {
        (self.descended, self.found) = (None, None);
        self.ends.clear();
    }

    /// The state, for `lumen status`.
    #[must_use]
    pub fn status(&self) -> GraphicsStatus {
        let (path, driver, missing) = match &self.node {
            Ok(node) => (Some(&node.path), &node.driver, None),
            Err(none) => (none.path.as_ref(), &none.driver, Some(&none.reason)),
        };
        let reason = missing.or(self.descended.as_ref());
        let drawn = reason.is_none() && self.in_use;
        let (encoder, unencoded) = match self.encoding.clone().filter(|_| drawn) {
            Some(Encoding::Vaapi { driver, reason }) => (driver, reason),
            Some(Encoding::Processor { reason }) => (Text::default(), reason),
            None => (Text::default(), Text::default()),
        };
        GraphicsStatus {
            rung: if drawn { Rung::Drawn } else { Rung::Processor },
            node: Text::truncated(path.map_or_else(String::new, |path| path.display().to_string())),
            driver: Text::truncated(driver.clone()),
            renderer: self.renderer.clone().unwrap_or_default(),
            encoder,
            reason: match (reason, drawn) {
                (Some(reason), _) => Text::truncated(reason.clone()),
                (None, true) => unencoded,
                (None, false) => Text::truncated("media does not run".to_owned()),
            },
        }
    }
}

/// What media says of its encoder, with the reason that one before `found`, if it is still as that found it.
fn with_reason_of(found: Option<Encoding>, said: Encoding) -> Encoding {
    match (found, said) {
        (
            Some(Encoding::Vaapi { driver: before, reason: found }),
            Encoding::Vaapi { driver, reason },
        ) if reason.as_str().is_empty() && before == driver => {
            Encoding::Vaapi { driver, reason: found }
        }
        (Some(Encoding::Processor { reason: found }), Encoding::Processor { reason })
            if reason.as_str().is_empty() =>
        {
            Encoding::Processor { reason: found }
        }
        (_, said) => said,
    }
}

/// Whether a driver in media can be why it ended so.
fn may_be_the_drivers(verdict: Verdict) -> bool {
    match verdict {
        Verdict::Killed(_) => true,
        Verdict::NotSpawned => false,
        Verdict::Exited(code) => !matches!(
            ExitCode::from_number(code),
            Some(
                ExitCode::LinkViolation
                    | ExitCode::NotSupervised
                    | ExitCode::Ok
                    | ExitCode::SupervisorGone
                    | ExitCode::Usage
                    | ExitCode::WrongBuild
            )
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HUNG: Verdict = Verdict::Exited(ExitCode::GpuHung.number() as i32);

    fn node() -> Node {
        Node {
            path: PathBuf::from("/dev/dri/renderD128"),
            number: 226 << 8 | 128,
            driver: "i915".to_owned(),
            software: false,
        }
    }

    fn draws() -> Judgement {
        let encoding = Encoding::Processor { reason: Text::default() };
        Judgement::Draws { renderer: Text::truncated("Mesa"), encoding }
    }

    fn vaapi(reason: &str) -> Encoding {
        let driver = Text::truncated("Mesa Gallium");
        Encoding::Vaapi { driver, reason: Text::truncated(reason) }
    }

    /// A ladder whose first media draws.
    fn drawing() -> Ladder {
        let mut ladder = Ladder::new(Ok(node()), EncoderUse::Never, false);
        assert_eq!(
            ladder.start(),
            Some(Turn { node: node(), mark: true, encode: EncoderUse::Never })
        );
        ladder.judged(draws());
        ladder.ready();
        ladder
    }

    fn rung(ladder: &Ladder) -> (u8, String) {
        let status = ladder.status();
        (status.rung.number(), status.reason.into_string())
    }

    #[test]
    fn media_that_draws_is_on_the_second_rung_and_named() {
        let status = drawing().status();
        assert_eq!((status.rung, status.reason.as_str()), (Rung::Drawn, ""));
        assert_eq!((status.driver.as_str(), status.renderer.as_str()), ("i915", "Mesa"));
    }

    #[test]
    fn what_encodes_is_named_and_why_the_graphics_processor_does_not() {
        let mut ladder = Ladder::new(Ok(node()), EncoderUse::Always, false);
        assert_eq!(ladder.start().map(|turn| turn.told().encode), Some(EncoderUse::Always));
        let renderer = Text::truncated("Mesa");
        let reason = Text::truncated("libva.so.2 cannot be loaded");
        let encoding = Encoding::Processor { reason: reason.clone() };
        ladder.judged(Judgement::Draws { renderer: renderer.clone(), encoding });
        let status = ladder.status();
        assert_eq!(
            (status.rung, status.encoder.as_str(), status.reason),
            (Rung::Drawn, "", reason)
        );
        let encoding = vaapi("");
        ladder.judged(Judgement::Draws { renderer, encoding });
        let status = ladder.status();
        assert_eq!((status.encoder.as_str(), status.reason.as_str()), ("Mesa Gallium", ""));
        ladder.ended(Instant::now(), HUNG);
        assert_eq!(ladder.status().encoder.as_str(), "");
    }

    #[test]
    fn what_encodes_better_is_found_out_once_and_again_after_a_restart_by_hand() {
        let better = "VA-API keeps the processor busy for less";
        let worse = |reason| Encoding::Processor { reason: Text::truncated(reason) };
        let cases = [
            (vaapi(better), EncoderUse::Always, vaapi(""), better),
            (worse("it is slower"), EncoderUse::Never, worse(""), "it is slower"),
            // It has become worse meanwhile.
            (vaapi(better), EncoderUse::Always, worse("it fails"), "it fails"),
        ];
        for (found, told, said, why) in cases {
            let mut ladder = Ladder::new(Ok(node()), EncoderUse::IfWorth, false);
            let mut media = |encoding: &Encoding| {
                let turn = ladder.start().expect("it is still used");
                let (renderer, encoding) = (Text::truncated("Mesa"), encoding.clone());
                ladder.judged(Judgement::Draws { renderer, encoding });
                ladder.ready();
                (turn.told().encode, ladder.status().reason.into_string())
            };
            assert_eq!(media(&found).0, EncoderUse::IfWorth);
            assert_eq!(media(&said), (told, why.to_owned()));
            ladder.retry();
            assert_eq!(ladder.start().map(|turn| turn.encode), Some(EncoderUse::IfWorth));
        }
    }

    #[test]
    fn machine_without_a_node_is_on_the_last_rung_and_says_why() {
        let none = NoNode { reason: "there is none".to_owned(), ..NoNode::default() };
        let mut ladder = Ladder::new(Err(none), EncoderUse::Never, false);
        assert_eq!(ladder.start(), None);
        assert_eq!(rung(&ladder), (3, "there is none".to_owned()));
        ladder.retry();
        assert_eq!((ladder.start(), rung(&ladder).0), (None, 3));
    }

    #[test]
    fn media_that_declines_does_without_until_it_is_restarted_by_hand() {
        let mut ladder = drawing();
        ladder.judged(Judgement::Declines { reason: Text::truncated("it draws wrong") });
        assert_eq!(rung(&ladder), (3, "it draws wrong".to_owned()));
        ladder.ended(Instant::now(), Verdict::Killed(9));
        assert_eq!(ladder.start(), None);
        ladder.judged(draws());
        assert_eq!(rung(&ladder).0, 3, "a media without the node has nothing to judge");
        ladder.retry();
        assert!(ladder.start().is_some());
    }

    #[test]
    fn second_end_within_a_minute_descends_and_later_ones_do_not() {
        for verdict in [HUNG, Verdict::Killed(6), Verdict::Exited(77)] {
            for (apart, descends) in [(59, true), (61, false)] {
                let (mut ladder, now) = (drawing(), Instant::now());
                assert_eq!(ladder.ended(now, verdict), None);
                assert!(ladder.start().is_some_and(|turn| !turn.mark), "proven");
                let reason = ladder.ended(now + Duration::from_secs(apart), verdict);
                assert_eq!(reason.is_some(), descends, "{verdict}, {apart} s");
                assert_eq!(ladder.start().is_none(), descends);
            }
        }
    }

    #[test]
    fn end_that_no_driver_can_cause_never_descends() {
        let (mut ladder, now) = (drawing(), Instant::now());
        let mut end = |verdict| {
            assert_eq!(ladder.ended(now, verdict), None, "{verdict}");
            assert!(ladder.start().is_some());
        };
        for code in [ExitCode::Ok, ExitCode::LinkViolation, ExitCode::SupervisorGone] {
            (0..3).for_each(|_| end(Verdict::Exited(code.number().into())));
        }
        (0..3).for_each(|_| end(Verdict::NotSpawned));
    }

    #[test]
    fn media_that_dies_for_ever_costs_two_ends_and_no_loop() {
        let (mut ladder, now) = (drawing(), Instant::now());
        let with_node = (0..100).filter(|_| {
            ladder.ended(now, HUNG);
            ladder.start().is_some()
        });
        assert_eq!(with_node.count(), 1);
    }

    #[test]
    fn first_trial_is_marked_until_a_media_has_been_ready() {
        let mut ladder = Ladder::new(Ok(node()), EncoderUse::Never, false);
        assert!(ladder.start().is_some_and(|turn| turn.mark));
        ladder.ended(Instant::now(), Verdict::Killed(11));
        assert!(ladder.start().is_some_and(|turn| turn.mark));
        ladder.ready();
        ladder.ended(Instant::now() + WINDOW, Verdict::Exited(0));
        assert!(ladder.start().is_some_and(|turn| !turn.mark));
    }

    #[test]
    fn machine_that_went_down_does_without_until_media_is_restarted_by_hand() {
        let mut ladder = Ladder::new(Ok(node()), EncoderUse::Never, true);
        assert_eq!(ladder.start(), None);
        assert!(rung(&ladder).1.contains("went down"));
        ladder.retry();
        assert!(ladder.start().is_some_and(|turn| turn.mark));
    }

    #[test]
    fn drivers_without_a_processor_of_their_own_are_for_those_who_name_them() {
        assert_eq!((suits("i915", false), suits("amdgpu", true)), (Ok(false), Ok(false)));
        assert_eq!((suits("vgem", true), suits("vgem", false).is_err()), (Ok(true), true));
        assert!(suits("nvidia", true).is_err() && suits("vkms", true).is_err());
    }
}
