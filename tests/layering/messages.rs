//! Messages as their sources declare them: which of them name their output or stream.

use anyhow::{Context, Result, ensure};

/// Types of fields that name an output or a stream.
const NAMES: [&str; 2] = ["OutputId", "StreamId"];

/// A type of a message file: its name, and its body without comments.
struct Item<'text> {
    name: &'text str,
    is_enum: bool,
    body: &'text str,
}

/// The messages declared in `text`, the source of one link's, that name neither output nor stream.
pub(crate) fn nameless(text: &str) -> Result<Vec<String>> {
    let text = without_comments(text);
    let items = items(&text)?;
    let directions: Vec<_> = items.iter().filter(|item| item.name.starts_with("To")).collect();
    ensure!(!directions.is_empty(), "no message is stated");
    let mut nameless = Vec::new();
    for direction in directions {
        if !direction.is_enum {
            if !names_something(direction.body) {
                nameless.push(direction.name.to_owned());
            }
            continue;
        }
        for variant in parts(direction.body) {
            let name = variant.split(['(', '{']).next().unwrap_or_default().trim();
            let payload = variant.split(['(', ')']).nth(1).unwrap_or_default().trim();
            let within = items.iter().find(|item| item.name == payload && !item.is_enum);
            if !names_something(variant) && !within.is_some_and(|item| names_something(item.body)) {
                nameless.push(format!("{}::{name}", direction.name));
            }
        }
    }
    Ok(nameless)
}

fn names_something(body: &str) -> bool {
    parts(body.split_once('{').map_or(body, |(_, fields)| fields.trim_end_matches('}')))
        .iter()
        .filter_map(|field| field.split_once(':'))
        .any(|(_, kind)| NAMES.contains(&kind.trim()))
}

fn without_comments(text: &str) -> String {
    let code = text.lines().map(|line| line.split("//").next().unwrap_or_default());
    let code = code.filter(|line| !line.trim_start().starts_with("#["));
    code.collect::<Vec<_>>().join("\n")
}

/// Every `pub` structure with named fields and every `pub` enumeration.
fn items(text: &str) -> Result<Vec<Item<'_>>> {
    let mut items = Vec::new();
    for (is_enum, keyword) in [(true, "pub enum "), (false, "pub struct ")] {
        for (at, _) in text.match_indices(keyword) {
            let rest = text.get(at + keyword.len()..).unwrap_or_default();
            let end = rest.find(|c: char| !c.is_alphanumeric()).unwrap_or(rest.len());
            let (name, rest) = rest.split_at(end);
            if let Some(open) = rest.strip_prefix(" {") {
                let close = closing(open).with_context(|| format!("{name} has no end"))?;
                items.push(Item { name, is_enum, body: open.get(..close).unwrap_or_default() });
            }
        }
    }
    Ok(items)
}

/// The position of the brace that closes the one opened before `text`.
fn closing(text: &str) -> Option<usize> {
    let mut depth = 1_u32;
    text.char_indices().find_map(|(at, c)| {
        match c {
            '{' => depth += 1,
            '}' => depth -= 1,
            _ => {}
        }
        (depth == 0).then_some(at)
    })
}

/// Splits at commas outside of all brackets.
fn parts(body: &str) -> Vec<&str> {
    let mut depth = 0_i32;
    let parts = body.split(|c: char| {
        match c {
            '{' | '(' | '<' | '[' => depth += 1,
            '}' | ')' | '>' | ']' => depth -= 1,
            _ => {}
        }
        c == ',' && depth == 0
    });
    parts.map(str::trim).filter(|part| !part.is_empty()).collect()
}

#[test]
fn nameless_messages_are_found_in_every_form_they_have() -> Result<()> {
    let text = "
        pub enum ToMedia {
            /// A comment, with a comma: and an OutputId.
            Bare,
            Inline { output: OutputId, slot: SlotIndex },
            Lacking { slot: SlotIndex },
            Held(Held),
            Other(Other),
        }
        pub enum ToRtc {}
        pub struct ToCompositor {
            pub peer: PeerId,
        }
        pub struct Held {
            pub stream: StreamId,
        }
        pub struct Other {
            pub streams: Vec<StreamId>,
        }
    ";
    let expected = ["ToMedia::Bare", "ToMedia::Lacking", "ToMedia::Other", "ToCompositor"];
    assert_eq!(nameless(text)?, expected);
    Ok(())
}
