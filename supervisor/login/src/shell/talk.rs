//! The conversation of PAM's modules with the person who signs in, over the link.

use std::{
    ffi::{CStr, CString},
    time::Instant,
};

use lumen_ipc::message::login::{Prompts, Style, ToLeader, ToSupervisor};
use pam_client2::{ConversationHandler, ErrorCode};
use tracing::warn;

use super::link::{Link, Lost};
use crate::{pace::Pace, transcript::Transcript};

/// The conversation.
#[derive(Debug)]
pub(super) struct Talk {
    pub(super) link: Link,
    pub(super) pace: Pace,
    transcript: Transcript,
    /// Why nobody answers any more.
    silence: Option<Silence>,
}

/// Why a conversation is over.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Silence {
    /// The account has been accepted, and the person is not asked any more.
    Accepted,
    /// The host has closed the link or broken the contract.
    Gone,
    /// It took too long.
    TooSlow,
}

impl Talk {
    pub(super) fn new(link: Link, pace: Pace) -> Self {
        Self { link, pace, transcript: Transcript::default(), silence: None }
    }

    /// Why nobody answers any more, if so.
    pub(super) const fn silence(&self) -> Option<Silence> {
        self.silence
    }

    /// The account has been accepted: what was said last is passed on, and nothing is asked any more.
    pub(super) fn conclude(&mut self) {
        if let Some(rest) = self.transcript.rest() {
            self.pass_on(rest);
        }
        self.silence.get_or_insert(Silence::Accepted);
    }

    fn pass_on(&mut self, prompts: Prompts) {
        if let Err(error) = self.link.send(&ToSupervisor::Said(prompts), &[]) {
            warn!(%error, "cannot pass on what PAM says");
            self.silence = Some(Silence::Gone);
        }
    }

    fn ask(&mut self, style: Style, question: &CStr) -> Result<CString, ErrorCode> {
        if self.silence.is_none() {
            let prompts = self.transcript.ask(style, question.to_bytes());
            self.pass_on(prompts);
        }
        if self.silence.is_some() {
            return Err(ErrorCode::CONV_ERR);
        }
        let answer = self.answer();
        self.pace.answered(Instant::now());
        answer.ok_or(ErrorCode::CONV_ERR)
    }

    /// Waits for the answer to the only question that is open.
    fn answer(&mut self) -> Option<CString> {
        match self.link.receive(self.pace.deadline()) {
            Ok(ToLeader::Answers(answers)) => match answers.as_slice() {
                // One with a zero in it is no password of any module's; it counts as a wrong one.
                [answer] => return CString::new(answer.reveal()).ok(),
                answers => warn!(count = answers.len(), "the host sent another number of answers"),
            },
            Ok(_) => warn!("the host sent something else than an answer"),
            Err(Lost::TooSlow) => {
                self.silence = Some(Silence::TooSlow);
                return None;
            }
            Err(Lost::Closed) => {}
            Err(error) => warn!(%error, "the link to the host is lost"),
        }
        self.silence = Some(Silence::Gone);
        None
    }
}

impl ConversationHandler for Talk {
    fn prompt_echo_on(&mut self, prompt: &CStr) -> Result<CString, ErrorCode> {
        self.ask(Style::Visible, prompt)
    }

    fn prompt_echo_off(&mut self, prompt: &CStr) -> Result<CString, ErrorCode> {
        self.ask(Style::Secret, prompt)
    }

    fn text_info(&mut self, message: &CStr) {
        self.transcript.say(Style::Info, message.to_bytes());
    }

    fn error_msg(&mut self, message: &CStr) {
        self.transcript.say(Style::Error, message.to_bytes());
    }
}
