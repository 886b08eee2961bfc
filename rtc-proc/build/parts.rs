//! Packs the client's modules into few files, the parts, so that a browser has a page's program after
//! one request and not after thirty, of which each costs it milliseconds and a round trip is never far.
//!
//! The first part has the page's entry point and whatever that imports; each module that is imported
//! later, by `import('…')`, begins a part of its own. A module lies in the first part that needs it,
//! once, because modules have state; later parts import it from there.
//!
//! A module becomes a function that is called once and returns what the module exports. What it imports
//! are constants at its head, so that names at the top of one module never meet those of another. The
//! client keeps to the few forms of `import` and `export` that this needs; any other is an error here.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// A file that the browser loads.
#[derive(Debug)]
pub(crate) struct Part {
    /// That of the module with which it begins, such as `page/main.js`.
    pub(crate) path: String,
    /// The program.
    pub(crate) text: String,
}

/// Packs the modules that `entry` needs, now or later.
///
/// `sources` has every module by its path, such as `page/main.js`; paths in it are relative to the
/// same folder.
///
/// # Errors
///
/// A sentence about the first module that is missing, imports itself indirectly, or has an `import` or
/// `export` of another form than the client uses.
pub(crate) fn pack(sources: &BTreeMap<String, String>, entry: &str) -> Result<Vec<Part>, String> {
    let mut modules = BTreeMap::new();
    for (path, source) in sources {
        modules.insert(path.as_str(), Module::parse(path, source)?);
    }
    let mut plan = Plan { modules: &modules, home: BTreeMap::new(), parts: Vec::new() };
    let mut entries = VecDeque::from([(entry.to_owned(), Vec::new())]);
    while let Some((entry, importers)) = entries.pop_front() {
        if !plan.home.contains_key(&entry) {
            entries.extend(plan.begin_part(&entry, importers)?);
        }
    }
    Ok(plan.parts.iter().map(|members| plan.write(members)).collect())
}

/// A module, taken apart.
struct Module {
    /// What it imports: the module's path, and the names in the notation of a destructuring pattern.
    imports: Vec<(String, String)>,
    /// The paths of the modules that it imports while it runs, in the order of its text.
    later: Vec<String>,
    /// The names that it exports.
    exports: Vec<String>,
    /// Its lines without `import` and `export`.
    body: Vec<String>,
}

impl Module {
    fn parse(path: &str, source: &str) -> Result<Self, String> {
        let mut module =
            Self { imports: Vec::new(), later: Vec::new(), exports: Vec::new(), body: Vec::new() };
        let mut lines = source.lines();
        while let Some(line) = lines.next() {
            let refused = || format!("{path}: the build cannot pack `{line}`");
            if line.starts_with("import ") {
                let mut statement = line.to_owned();
                while !statement.ends_with(';') {
                    statement.push_str(lines.next().ok_or_else(refused)?);
                }
                let (names, target) = imported(&statement).ok_or_else(refused)?;
                module.imports.push((resolved(path, target), names));
                continue;
            }
            module.later.extend(imported_later(line).map(|target| resolved(path, target)));
            if let Some(declaration) = line.strip_prefix("export ") {
                module.exports.push(declared(declaration).ok_or_else(refused)?.to_owned());
                module.body.push(declaration.to_owned());
            } else {
                module.body.push(line.to_owned());
            }
        }
        Ok(module)
    }
}

/// The pattern and the target of `import { a, b as c } from './module.js';`.
fn imported(statement: &str) -> Option<(String, &str)> {
    let (names, target) = statement.strip_prefix("import {")?.split_once("} from '")?;
    let names: Vec<_> = names.split(',').map(|name| name.trim().replace(" as ", ": ")).collect();
    Some((names.join(", ").trim_end_matches(", ").to_owned(), target.strip_suffix("';")?))
}

/// The name that a declaration gives to something that never changes. An exported variable would need
/// more than a copy of its value.
fn declared(declaration: &str) -> Option<&str> {
    let kinds = ["class ", "const ", "function ", "async function "];
    let rest = kinds.iter().find_map(|kind| declaration.strip_prefix(kind))?;
    let end =
        rest.find(|other: char| !other.is_ascii_alphanumeric() && other != '_' && other != '$');
    Some(&rest[..end.unwrap_or(rest.len())]).filter(|name| !name.is_empty())
}

/// The targets of `import('…')` in a line of code. Comments name modules so as well, for their types.
fn imported_later(line: &str) -> impl Iterator<Item = &str> {
    let comment = ["*", "/*", "//"].iter().any(|mark| line.trim_start().starts_with(mark));
    let rest = if comment { "" } else { line };
    rest.split("import('").skip(1).filter_map(|rest| Some(rest.split_once('\'')?.0))
}

/// The path of what `importer` calls `target`, such as `../core/keys.js`.
fn resolved(importer: &str, target: &str) -> String {
    let mut folders: Vec<_> = importer.split('/').collect();
    folders.pop();
    for step in target.split('/') {
        match step {
            "." => {}
            ".." => drop(folders.pop()),
            step => folders.push(step),
        }
    }
    folders.join("/")
}

/// What the part at `from` calls the part at `to`.
fn relative(from: &str, to: &str) -> String {
    let up = from.matches('/').count();
    format!("{}{to}", if up == 0 { "./".to_owned() } else { "../".repeat(up) })
}

/// What a module's exports are called: `core_held_keys` for `core/held-keys.js`. Names in the modules
/// themselves have no underscore between small letters.
fn constant(path: &str) -> String {
    path.trim_end_matches(".js").replace(['/', '-'], "_")
}

/// Which module lies where.
struct Plan<'m> {
    modules: &'m BTreeMap<&'m str, Module>,
    /// The part of each module, by its place in `parts`.
    home: BTreeMap<String, usize>,
    /// The modules of each part, each after those that it imports; the last one is the entry.
    parts: Vec<Vec<String>>,
}

impl Plan<'_> {
    /// Returns the modules that this part imports later, each with its importer, those of `entry` first.
    fn begin_part(
        &mut self,
        entry: &str,
        mut importers: Vec<String>,
    ) -> Result<Vec<(String, Vec<String>)>, String> {
        let mut members = Vec::new();
        self.place(entry, &mut members, &mut importers)?;
        let later = members.iter().rev().flat_map(|member| {
            let targets = self.modules[member.as_str()].later.iter();
            targets.map(|target| (target.clone(), vec![member.clone()]))
        });
        let later = later.collect();
        self.parts.push(members);
        Ok(later)
    }

    /// Adds a module to the part that is being made, unless it lies in one, after what it imports.
    fn place(
        &mut self,
        path: &str,
        members: &mut Vec<String>,
        importers: &mut Vec<String>,
    ) -> Result<(), String> {
        if self.home.contains_key(path) {
            return Ok(());
        }
        if importers.iter().any(|importer| importer == path) {
            return Err(format!("{path} imports itself: {}", importers.join(", ")));
        }
        let modules = self.modules;
        let Some(module) = modules.get(path) else {
            return Err(format!("there is no module {path} for {}", importers.join(", ")));
        };
        importers.push(path.to_owned());
        for (target, _) in &module.imports {
            self.place(target, members, importers)?;
        }
        importers.pop();
        self.home.insert(path.to_owned(), self.parts.len());
        members.push(path.to_owned());
        Ok(())
    }

    fn path_of(&self, part: usize) -> &str {
        self.parts[part].last().map_or("", String::as_str)
    }

    fn write(&self, members: &[String]) -> Part {
        let path = members.last().cloned().unwrap_or_default();
        let here = self.home[&path];
        let mut foreign: BTreeMap<usize, BTreeSet<String>> = BTreeMap::new();
        for (target, _) in members.iter().flat_map(|member| &self.modules[member.as_str()].imports)
        {
            foreign.entry(self.home[target]).or_default().insert(constant(target));
        }
        foreign.remove(&here);
        let mut text = String::new();
        for (part, names) in foreign {
            let names: Vec<_> = names.into_iter().collect();
            let file = relative(&path, self.path_of(part));
            text += &format!("import {{ {} }} from '{file}';\n", names.join(", "));
        }
        for member in members {
            self.write_module(member, &path, &mut text);
        }
        let names: Vec<_> = members.iter().map(|member| constant(member)).collect();
        text += &format!("export {{ {} }};\n", names.join(", "));
        Part { path, text }
    }

    /// Appends a module to the text of the part at `part`.
    fn write_module(&self, path: &str, part: &str, text: &mut String) {
        let module = &self.modules[path];
        *text += &format!("// {path}\nconst {} = (() => {{\n", constant(path));
        for (target, names) in &module.imports {
            *text += &format!("const {{ {names} }} = {};\n", constant(target));
        }
        for line in &module.body {
            let mut written = line.clone();
            for target in imported_later(line) {
                let meant = resolved(path, target);
                let file = relative(part, self.path_of(self.home[&meant]));
                let name = constant(&meant);
                written = written.replace(
                    &format!("import('{target}')"),
                    &format!("import('{file}').then((part) => part.{name})"),
                );
            }
            *text += &written;
            text.push('\n');
        }
        *text += &format!("return {{ {} }};\n}})();\n", module.exports.join(", "));
    }
}
