//! What PAM's modules say and ask, until it is passed on. Pure.
//!
//! INVARIANT: a stranger reads nothing that was said without a question. A module says things about an account
//! before anybody has proved to own it ("locked after 3 failures"), and what is said before a refusal would
//! tell one failure from another. So messages wait for the next question, or for the account's acceptance.

use lumen_ipc::{
    message::login::{MOST_PROMPTS, Prompt, Prompts, Style},
    text::Text,
    visible::visible_lines,
};

/// Messages that wait.
#[derive(Debug, Default)]
pub struct Transcript {
    said: Vec<Prompt>,
}

impl Transcript {
    /// A module says something. Of too many messages the newest are kept, and there is room for a question.
    pub fn say(&mut self, style: Style, bytes: &[u8]) {
        if self.said.len() + 1 >= MOST_PROMPTS {
            self.said.remove(0);
        }
        self.said.push(prompt(style, bytes));
    }

    /// A module asks something: what to pass on.
    pub fn ask(&mut self, style: Style, bytes: &[u8]) -> Prompts {
        self.said.push(prompt(style, bytes));
        self.take()
    }

    /// What to pass on once the account is accepted, if anything.
    pub fn rest(&mut self) -> Option<Prompts> {
        (!self.said.is_empty()).then(|| self.take())
    }

    fn take(&mut self) -> Prompts {
        let said = std::mem::take(&mut self.said);
        Prompts::new(said).expect("`say` keeps fewer than the limit, and one question follows")
    }
}

fn prompt(style: Style, bytes: &[u8]) -> Prompt {
    Prompt { style, text: Text::truncated(visible_lines(&String::from_utf8_lossy(bytes))) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(prompts: &Prompts) -> Vec<&str> {
        prompts.as_slice().iter().map(|prompt| prompt.text.as_str()).collect()
    }

    #[test]
    fn messages_wait_for_the_next_question_or_the_end() {
        let mut transcript = Transcript::default();
        transcript.say(Style::Info, b"one");
        transcript.say(Style::Error, b"two");
        let asked = transcript.ask(Style::Secret, b"Password: ");
        assert_eq!(texts(&asked), ["one", "two", "Password: "]);
        assert_eq!(asked.as_slice().iter().filter(|prompt| prompt.style.asks()).count(), 1);
        assert_eq!(transcript.rest(), None);
        transcript.say(Style::Info, b"three");
        assert_eq!(transcript.rest().as_ref().map(texts), Some(vec!["three"]));
    }

    #[test]
    fn module_that_talks_without_end_still_gets_its_question_through() {
        let mut transcript = Transcript::default();
        for number in 0..1000 {
            transcript.say(Style::Info, number.to_string().as_bytes());
        }
        let asked = transcript.ask(Style::Visible, &[b'x'; 10_000]);
        assert_eq!(asked.as_slice().len(), MOST_PROMPTS);
        let last = asked.as_slice().last().expect("a question");
        assert_eq!((last.style, last.text.as_str().len()), (Style::Visible, 512));
    }

    #[test]
    fn bytes_that_are_no_text_and_controls_are_made_visible() {
        let mut transcript = Transcript::default();
        let asked = transcript.ask(Style::Visible, b"a\xffb\x1b[2J");
        let text = asked.as_slice()[0].text.as_str();
        assert!(!text.contains('\u{1b}') && text.starts_with('a'), "{text:?}");
    }
}
