//! Who draws a session's picture: which rung of the ladder its media is on, why not a better one, and
//! when a better one is tried again. Pure.
//!
//! Media descends by itself where it finds out in time that it cannot draw ([`Judgement::Declines`]), or not
//! encode what it has drawn. What it cannot report decides this module from outside: of a media that ends twice within
//! a minute while it encodes what it draws, or tries to, the next one only draws by the node; one that ends so while it
//! only draws gets the node no more, and nor does one whose machine went down during the first
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
    /// Why it does not encode any more, if it does not.
    only_draws: Option<String>,
    /// Whether the media that runs has the node.
    in_use: bool,
    /// Whether its end was asked for, and so says nothing of the driver, however it ends.
    dismissed: bool,
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
            only_draws: None,
            in_use: false,
            dismissed: false,
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
        (self.in_use, self.dismissed) = (false, false);
        (self.renderer, self.encoding) = (None, None);
        let node = self.node.as_ref().ok().filter(|_| self.descended.is_none())?.clone();
        self.in_use = true;
        Some(Turn { node, mark: !self.proven, encode: self.told() })
    }

    /// What a media is told about encoding.
    const fn told(&self) -> EncoderUse {
        match (self.encode, &self.found) {
            _ if self.only_draws.is_some() => EncoderUse::Never,
            (EncoderUse::IfWorth, Some(Encoding::InPlace { .. } | Encoding::Vaapi { .. })) => {
                EncoderUse::Always
            }
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

    /// The media that ran has ended; returns why its successor does less by the node, if that is new.
    pub fn ended(&mut self, now: Instant, verdict: Verdict) -> Option<&str> {
        let counts = std::mem::take(&mut self.in_use) && !std::mem::take(&mut self.dismissed);
        if !counts || !may_be_the_drivers(verdict) {
            return None;
        }
        self.ends.retain(|end| now.saturating_duration_since(*end) < WINDOW);
        self.ends.push_back(now);
        if self.ends.len() < MOST_ENDS {
            return None;
        }
        self.ends.clear();
        // What has not been judged has been tried as far as it was told.
        let encoded = match self.encoding {
            Some(Encoding::InPlace { .. } | Encoding::Vaapi { .. }) => true,
            Some(Encoding::Processor { .. }) => false,
            None => self.told() != EncoderUse::Never,
        };
        (self.renderer, self.encoding) = (None, None);
        let (done, descent) = match encoded {
            true => ("drew and encoded by it", &mut self.only_draws),
            false => ("drew", &mut self.descended),
        };
        let reason = format!(
            "media ended {MOST_ENDS} times within a minute while it {done}, the last time it {verdict}; `lumen \
             restart media` tries it again"
        );
        Some(descent.insert(reason))
    }

    /// An administrator has media restarted, and so wants everything tried again. One that does not end in time is
    /// killed, which is not the driver's fault.
    pub fn retry(&mut self) {
        self.dismissed = self.in_use;
        (self.descended, self.only_draws, self.found) = (None, None, None);
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
        let mut rung = if drawn { Rung::Drawn } else { Rung::Processor };
        let (encoder, unencoded) = match self.encoding.clone().filter(|_| drawn) {
            Some(Encoding::InPlace { driver, reason }) => {
                rung = Rung::Encoded;
                (driver, reason)
            }
            Some(Encoding::Vaapi { driver, reason }) => (driver, reason),
            Some(Encoding::Processor { reason }) => {
                let only_draws = self.only_draws.as_ref();
                (Text::default(), only_draws.map_or(reason, |why| Text::truncated(why.clone())))
            }
            None => (Text::default(), Text::default()),
        };
        GraphicsStatus {
            rung,
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
            Some(Encoding::InPlace { driver: before, reason: found }),
            Encoding::InPlace { driver, reason },
        ) if reason.as_str().is_empty() && before == driver => {
            Encoding::InPlace { driver, reason: found }
        }
        (
            Some(Encoding::Vaapi { driver: before, reason: found }),
            Encoding::Vaapi { driver, .. },
        ) if before == driver => Encoding::Vaapi { driver, reason: found },
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
mod tests;
