//! A session's graphics: the ladder, with the node that the next media gets and the marks of its trial.

use std::{io, os::fd::OwnedFd, path::Path, time::Instant};

use lumen_ipc::graphics::{EncoderUse, GraphicsStatus, Judgement, NodeUse};
use tracing::{info, warn};

use super::{
    render_node::{self, Marks},
    users::SessionUser,
};
use crate::{
    config::{EncoderChoice, SessionConfig},
    graphics::{Ladder, NoNode, Node, Turn},
    lifecycle::Verdict,
};

/// Who draws the picture of one session.
pub(crate) struct Graphics {
    ladder: Ladder,
    /// `None` without a node.
    marks: Option<(Node, Marks)>,
    /// The node, opened for the media that is being started: once for the driver that draws, and once more for one that
    /// encodes.
    opened: Vec<OwnedFd>,
}

impl Graphics {
    /// Looks for a node that `user` may use. Marks are kept in the directory `state`, under `label`.
    pub(crate) fn find(
        config: &SessionConfig,
        user: &SessionUser,
        (state, label): (Option<&Path>, &str),
    ) -> Self {
        let found = render_node::choose(&config.gpu, user).and_then(|node| {
            let unmarked = |why: &dyn std::fmt::Display| NoNode {
                path: Some(node.path.clone()),
                driver: node.driver.clone(),
                reason: format!(
                    "a trial that takes the machine down could not be remembered: {why}"
                ),
            };
            let state = state.ok_or_else(|| unmarked(&"no directory for state is known"))?;
            let marks = Marks::new(state, &node, label).map_err(|error| unmarked(&error))?;
            Ok((node, marks))
        });
        let (node, marks) = match found {
            Ok((node, marks)) => (Ok(node.clone()), Some((node, marks))),
            Err(none) => (Err(none), None),
        };
        let encode = match config.encoder {
            EncoderChoice::Auto => EncoderUse::IfWorth,
            EncoderChoice::Cpu => EncoderUse::Never,
            EncoderChoice::Vaapi => EncoderUse::Always,
        };
        let went_down = marks.as_ref().is_some_and(|(node, marks)| marks.are_left(node));
        let graphics =
            Self { ladder: Ladder::new(node, encode, went_down), marks, opened: Vec::new() };
        if went_down {
            warn!("the graphics processor is not used: {}", graphics.status().reason);
        }
        graphics
    }

    /// A media is about to be executed: opens the node for it, if it is to have one, and returns what it is
    /// told.
    pub(crate) fn prepare(&mut self) -> Option<NodeUse> {
        self.opened.clear();
        let turn = self.ladder.start()?;
        match self.open(&turn) {
            Ok(opened) => {
                self.opened = opened;
                Some(turn.told())
            }
            Err(error) => {
                let path = turn.node.path.display();
                warn!(%error, "{path} cannot be given to media; the processor draws");
                self.ladder.withheld(format!("it cannot be given to media: {error}"));
                self.unmark();
                None
            }
        }
    }

    fn open(&self, turn: &Turn) -> io::Result<Vec<OwnedFd>> {
        if let Some((_, marks)) = self.marks.as_ref().filter(|_| turn.mark) {
            marks.set()?;
        }
        let drivers = if turn.encode == EncoderUse::Never { 1 } else { 2 };
        (0..drivers).map(|_| render_node::open(&turn.node)).collect()
    }

    /// The node that the media which is being started gets.
    pub(crate) fn opened(&self) -> &[OwnedFd] {
        &self.opened
    }

    /// Media has been handed the node, and is the only one that has it.
    pub(crate) fn handed_over(&mut self) {
        self.opened.clear();
    }

    /// What media says about the node.
    pub(crate) fn judged(&mut self, judgement: Judgement) {
        match &judgement {
            Judgement::Draws { renderer, encoding } => {
                info!(%renderer, ?encoding, "media draws by a graphics processor")
            }
            Judgement::Declines { reason } => {
                warn!(%reason, "media cannot use the graphics processor; the processor draws");
            }
        }
        self.ladder.judged(judgement);
    }

    /// Media serves.
    pub(crate) fn ready(&mut self) {
        self.ladder.ready();
        self.unmark();
    }

    /// Media has ended.
    pub(crate) fn ended(&mut self, now: Instant, verdict: Verdict) {
        self.opened.clear();
        self.unmark();
        if let Some(reason) = self.ladder.ended(now, verdict) {
            warn!("media does less by the graphics processor from now on: {reason}");
        }
    }

    /// An administrator has media restarted.
    pub(crate) fn retry(&mut self) {
        if let Some((node, marks)) = &self.marks {
            marks.forget(node);
        }
        self.ladder.retry();
    }

    pub(crate) fn status(&self) -> GraphicsStatus {
        self.ladder.status()
    }

    fn unmark(&self) {
        if let Some((_, marks)) = &self.marks {
            marks.remove();
        }
    }
}
