//! Cycles among the files of a crate: which file names what another defines.
//!
//! Reads tokens, not text, so comments and strings do not count. A name is followed through `pub
//! use` to the file that defines it, because a re-export is not a dependence. Code for tests only
//! does not count. Names imported by `*` count for the module that they come from.

use std::{
    collections::{BTreeMap, BTreeSet},
    str::FromStr,
};

use anyhow::{Context, Result};
use proc_macro2::{Delimiter, Group, TokenStream, TokenTree};

/// A path as written or, within a crate, from its root.
type Path = Vec<String>;

/// A crate's files by their paths below `src`, read as modules.
pub(crate) struct Crate {
    modules: BTreeMap<Path, Module>,
}

#[derive(Debug, Default)]
struct Module {
    /// Its file.
    file: String,
    imports: Vec<Import>,
    /// Paths in code.
    paths: BTreeSet<Path>,
    /// Single names in code.
    names: BTreeSet<String>,
}

#[derive(Debug)]
struct Import {
    path: Path,
    /// `None` for `*`.
    name: Option<String>,
    handed_on: bool,
}

impl Crate {
    /// Reads the modules that `root` (`lib.rs`, `main.rs`) declares, directly or not.
    pub(crate) fn read(root: &str, files: &BTreeMap<String, String>) -> Result<Self> {
        let mut all = Self { modules: BTreeMap::new() };
        all.read_file(Path::new(), root, files)?;
        Ok(all)
    }

    /// Each set of files that all depend on each other.
    pub(crate) fn circles(&self) -> Vec<BTreeSet<String>> {
        let arrows = self.arrows();
        let reach: BTreeMap<&String, BTreeSet<&String>> =
            arrows.keys().map(|file| (file, reached(&arrows, file))).collect();
        let mut circles = BTreeSet::new();
        for (file, reached) in &reach {
            let returns = |other: &&&String| reach.get(*other).is_some_and(|r| r.contains(file));
            let circle: BTreeSet<String> =
                reached.iter().filter(returns).map(|file| (*file).clone()).collect();
            if !circle.is_empty() {
                circles.insert(circle);
            }
        }
        circles.into_iter().collect()
    }

    /// Each file, with the paths in its code, as written.
    pub(crate) fn paths(&self) -> impl Iterator<Item = (&str, &Path)> {
        let modules = self.modules.values();
        modules.flat_map(|module| module.paths.iter().map(|path| (module.file.as_str(), path)))
    }

    /// Each file, with the files that define what it names.
    pub(crate) fn arrows(&self) -> BTreeMap<String, BTreeSet<String>> {
        let mut arrows: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for (place, module) in &self.modules {
            let targets = arrows.entry(module.file.clone()).or_default();
            let imports = module.imports.iter().filter(|import| {
                let used = import.name.as_ref().is_some_and(|name| module.names.contains(name));
                !import.handed_on || used
            });
            let named = imports.map(|import| &import.path).chain(&module.paths);
            let defined = named.filter_map(|path| self.definer(place, path, 0));
            targets.extend(defined.filter(|file| *file != module.file));
        }
        arrows
    }

    fn read_file(
        &mut self,
        place: Path,
        file: &str,
        files: &BTreeMap<String, String>,
    ) -> Result<()> {
        let text = files.get(file).with_context(|| format!("no file {file}"))?;
        let tokens =
            TokenStream::from_str(text).map_err(|error| anyhow::anyhow!("{file}: {error}"))?;
        let mut children = Vec::new();
        self.read_tokens(&place, file, tokens, &mut children);
        // A module's children are beside it if it is a root or `mod.rs`, else in a folder of its
        // name.
        for child in children {
            let flat = format!("{}.rs", child.join("/"));
            let folder = format!("{}/mod.rs", child.join("/"));
            let file = if files.contains_key(&flat) { flat } else { folder };
            self.read_file(child, &file, files)?;
        }
        Ok(())
    }

    fn read_tokens(
        &mut self,
        place: &Path,
        file: &str,
        tokens: TokenStream,
        children: &mut Vec<Path>,
    ) {
        self.modules.entry(place.clone()).or_default().file = file.to_owned();
        let tokens: Vec<TokenTree> = tokens.into_iter().collect();
        let mut at = 0;
        let mut handed_on = false;
        while let Some(token) = tokens.get(at) {
            match token {
                TokenTree::Punct(punct) if punct.as_char() == '#' => {
                    at += 1;
                    if let Some(TokenTree::Group(attribute)) = tokens.get(at) {
                        at += 1;
                        if is_for_tests(attribute) {
                            at = end_of_item(&tokens, at);
                        }
                    }
                    continue;
                }
                TokenTree::Ident(word) if word == "use" => {
                    let end = end_of_item(&tokens, at);
                    let tree = tokens.get(at + 1..end - 1).unwrap_or_default();
                    let mut imports = Vec::new();
                    read_use(&Path::new(), tree, handed_on, &mut imports);
                    self.modules.entry(place.clone()).or_default().imports.extend(imports);
                    at = end;
                    handed_on = false;
                    continue;
                }
                TokenTree::Ident(word) if word == "mod" => {
                    if let Some(TokenTree::Ident(name)) = tokens.get(at + 1) {
                        let mut child = place.clone();
                        child.push(name.to_string());
                        match tokens.get(at + 2) {
                            Some(TokenTree::Group(body)) => {
                                self.read_tokens(&child, file, body.stream(), children);
                            }
                            _ => children.push(child),
                        }
                        at += 3;
                        handed_on = false;
                        continue;
                    }
                }
                TokenTree::Ident(word) if word == "pub" => {
                    handed_on = true;
                    at += 1;
                    // `pub(crate)` and its like.
                    if matches!(tokens.get(at), Some(TokenTree::Group(group))
                        if group.delimiter() == Delimiter::Parenthesis)
                    {
                        at += 1;
                    }
                    continue;
                }
                TokenTree::Ident(_) => {
                    let (path, end) = read_path(&tokens, at);
                    let module = self.modules.entry(place.clone()).or_default();
                    match path.as_slice() {
                        [name] => drop(module.names.insert(name.clone())),
                        _ => {
                            module.names.extend(path.first().cloned());
                            module.paths.insert(path);
                        }
                    }
                    at = end;
                    handed_on = false;
                    continue;
                }
                TokenTree::Group(group) => {
                    self.read_tokens(place, file, group.stream(), children);
                }
                _ => {}
            }
            handed_on = false;
            at += 1;
        }
    }

    /// The file that defines what `path`, written in the module at `place`, names; `None` if it is
    /// not in this crate.
    fn definer(&self, place: &[String], path: &[String], depth: usize) -> Option<String> {
        let path = self.rooted(place, path)?;
        let known = (0..=path.len()).rev().find(|end| self.modules.contains_key(&path[..*end]))?;
        let module = self.modules.get(&path[..known])?;
        let Some((name, rest)) = path[known..].split_first() else {
            return Some(module.file.clone());
        };
        // Deeper than any chain of `pub use` that is not a cycle itself.
        let import = module.imports.iter().find(|import| import.name.as_ref() == Some(name));
        match import.filter(|_| depth < 16) {
            Some(import) => {
                let further: Path = import.path.iter().chain(rest).cloned().collect();
                self.definer(&path[..known], &further, depth + 1)
            }
            None => Some(module.file.clone()),
        }
    }

    /// The same path from the crate's root.
    fn rooted(&self, place: &[String], path: &[String]) -> Option<Path> {
        let mut base = place.to_vec();
        let mut rest = path;
        match path.first().map(String::as_str) {
            Some("crate") => {
                base.clear();
                rest = &path[1..];
            }
            Some("self") => rest = &path[1..],
            Some("super") => {
                while let Some((first, further)) = rest.split_first()
                    && first == "super"
                {
                    base.pop()?;
                    rest = further;
                }
            }
            Some(first) => {
                // A child module, or an imported name; anything else is from elsewhere.
                let mut child = base.clone();
                child.push(first.to_owned());
                let module = self.modules.get(place)?;
                let imported =
                    module.imports.iter().any(|import| import.name.as_deref() == Some(first));
                if !imported && !self.modules.contains_key(&child) {
                    return None;
                }
            }
            None => return None,
        }
        base.extend_from_slice(rest);
        Some(base)
    }
}

fn reached<'a>(
    arrows: &'a BTreeMap<String, BTreeSet<String>>,
    from: &String,
) -> BTreeSet<&'a String> {
    let mut seen = BTreeSet::new();
    let mut open: Vec<&String> = arrows.get(from).into_iter().flatten().collect();
    while let Some(file) = open.pop() {
        if seen.insert(file) {
            open.extend(arrows.get(file).into_iter().flatten());
        }
    }
    seen
}

/// Whether an attribute restricts an item to tests.
fn is_for_tests(attribute: &Group) -> bool {
    let text: String =
        attribute.stream().to_string().chars().filter(|char| !char.is_whitespace()).collect();
    text == "test" || text == "cfg(test)" || text.starts_with("cfg(all(test,")
}

/// The index after the item that begins at `at`, its attributes included.
fn end_of_item(tokens: &[TokenTree], at: usize) -> usize {
    let ends = |token: &TokenTree| match token {
        TokenTree::Punct(punct) => punct.as_char() == ';',
        TokenTree::Group(group) => group.delimiter() == Delimiter::Brace,
        _ => false,
    };
    let is_use = |tokens: &[TokenTree]| {
        tokens.iter().take(3).any(|token| matches!(token, TokenTree::Ident(word) if word == "use"))
    };
    let semicolon = |token: &TokenTree| matches!(token, TokenTree::Punct(p) if p.as_char() == ';');
    let rest = tokens.get(at..).unwrap_or_default();
    // The braces of a `use` do not end it.
    let length =
        if is_use(rest) { rest.iter().position(semicolon) } else { rest.iter().position(ends) };
    at + length.map_or(rest.len(), |length| length + 1)
}

/// What a tree of `use` imports.
fn read_use(before: &Path, tree: &[TokenTree], handed_on: bool, imports: &mut Vec<Import>) {
    let comma = |token: &TokenTree| matches!(token, TokenTree::Punct(p) if p.as_char() == ',');
    // A comma may follow the last branch.
    for branch in tree.split(comma).filter(|branch| !branch.is_empty()) {
        let mut path = before.clone();
        let mut name = None;
        let mut at = 0;
        while let Some(token) = branch.get(at) {
            match token {
                TokenTree::Ident(word) if word == "as" => {
                    name = branch.get(at + 1).map(ToString::to_string);
                    break;
                }
                TokenTree::Ident(word) if word == "self" && !path.is_empty() => {}
                TokenTree::Ident(word) => path.push(word.to_string()),
                TokenTree::Group(group) => {
                    let inner: Vec<TokenTree> = group.stream().into_iter().collect();
                    read_use(&path, &inner, handed_on, imports);
                    path.clear();
                }
                TokenTree::Punct(punct) if punct.as_char() == '*' => {
                    imports.push(Import { path: path.clone(), name: None, handed_on });
                    path.clear();
                }
                _ => {}
            }
            at += 1;
        }
        if let Some(last) = path.last() {
            let name = name.or_else(|| Some(last.clone()));
            imports.push(Import { path, name, handed_on });
        }
    }
}

/// The path that begins at `at`, and where it ends.
fn read_path(tokens: &[TokenTree], mut at: usize) -> (Path, usize) {
    let colon =
        |at: usize| matches!(tokens.get(at), Some(TokenTree::Punct(p)) if p.as_char() == ':');
    let mut path = Path::new();
    while let Some(TokenTree::Ident(word)) = tokens.get(at) {
        path.push(word.to_string());
        at += 1;
        if !(colon(at) && colon(at + 1)) {
            break;
        }
        at += 2;
    }
    (path, at)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn circles_of(files: &[(&str, &str)]) -> Vec<Vec<String>> {
        let files =
            files.iter().map(|(path, text)| ((*path).to_owned(), (*text).to_owned())).collect();
        let read = Crate::read("lib.rs", &files).expect("a crate");
        read.circles().into_iter().map(|circle| circle.into_iter().collect()).collect()
    }

    #[test]
    fn circle_of_imports_is_found() {
        let circle = circles_of(&[
            ("lib.rs", "mod one; mod two; mod three;"),
            ("one.rs", "use crate::two::Two; pub struct One(Two);"),
            ("two.rs", "use crate::{three::{self, Three,},}; pub struct Two(Three);"),
            ("three.rs", "pub struct Three; impl Three { fn one(_: &super::one::One) {} }"),
        ]);
        assert_eq!(circle, [["one.rs", "three.rs", "two.rs"]]);
    }

    #[test]
    fn circle_of_a_module_and_its_child_is_found_in_any_folder() {
        let circle = circles_of(&[
            ("lib.rs", "pub mod outer;"),
            ("outer/mod.rs", "mod inner; pub const SIZE: u8 = 1; fn run() { inner::run() }"),
            ("outer/inner.rs", "pub fn run() { let _ = super::SIZE; }"),
        ]);
        assert_eq!(circle, [["outer/inner.rs", "outer/mod.rs"]]);
    }

    #[test]
    fn circle_through_names_handed_on_is_that_of_their_definers() {
        let circle = circles_of(&[
            ("lib.rs", "mod front; mod back;"),
            ("front/mod.rs", "mod door; pub use self::door::Door;"),
            ("front/door.rs", "use crate::back; pub struct Door; fn f() { back::open() }"),
            ("back.rs", "use crate::front::Door as Gate; pub fn open() {} fn g(_: Gate) {}"),
        ]);
        assert_eq!(circle, [["back.rs", "front/door.rs"]]);
    }

    #[test]
    fn handing_on_what_is_used_at_home_is_a_dependence() {
        let circle = circles_of(&[
            ("lib.rs", "mod a;"),
            ("a/mod.rs", "mod b; pub use b::B; pub struct A; fn f(_: B) {}"),
            ("a/b.rs", "use super::A; pub struct B(A);"),
        ]);
        assert_eq!(circle, [["a/b.rs", "a/mod.rs"]]);
    }

    #[test]
    fn circle_of_an_inline_module_is_that_of_its_file() {
        let circle = circles_of(&[
            ("lib.rs", "mod a; mod b;"),
            ("a.rs", "pub mod inner { pub struct X(super::super::b::Y); }"),
            ("b.rs", "pub struct Y; fn f(_: crate::a::inner::X) {}"),
        ]);
        assert_eq!(circle, [["a.rs", "b.rs"]]);
    }

    #[test]
    fn comments_strings_tests_and_foreign_names_are_no_dependence() {
        let circles = circles_of(&[
            ("lib.rs", "mod a; mod b; use std::fmt;"),
            ("a.rs", "pub struct A; //! crate::b::B\n const S: &str = r#\"crate::b::B\"#;"),
            ("b.rs", "use crate::a::A; pub struct B(A); #[cfg(test)] mod tests;"),
            ("b/tests.rs", "use super::*;"),
            ("c.rs", "use crate::d::D;"),
        ]);
        assert_eq!(circles, Vec::<Vec<String>>::new());
        let in_tests = circles_of(&[
            ("lib.rs", "mod a; mod b;"),
            (
                "a.rs",
                "#[cfg(test)] use crate::b::{B, C}; #[cfg(test)] mod t { use crate::b::B; } pub struct A;",
            ),
            ("b.rs", "use crate::a::A; pub struct B(A);"),
        ]);
        assert_eq!(in_tests, Vec::<Vec<String>>::new());
    }
}
