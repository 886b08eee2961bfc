//! Which commands in recipes and documents could fetch something that no list pins.

use std::{fs, path::Path};

use anyhow::{Context, Result};

use crate::sources::root;

/// The files besides the tests' scripts that hold commands.
const FILES: [&str; 5] = ["Makefile", ".ci/run", "README.md", "CONTRIBUTING.md", "tests/README.md"];

/// What cargo does only after it has chosen the versions of dependencies.
const RESOLVING: [&str; 8] = ["bench", "build", "check", "clippy", "doc", "install", "run", "test"];

/// Commands that leave a version open, each after its file.
pub(crate) fn open_commands() -> Result<Vec<String>> {
    let mut files: Vec<_> = FILES.iter().map(|file| root().join(file)).collect();
    scripts(&root().join("tests"), &mut files)?;
    let mut open = Vec::new();
    for file in files {
        let text = fs::read_to_string(&file).with_context(|| format!("{}", file.display()))?;
        let name = file.strip_prefix(root())?.display().to_string();
        let is_document = name.ends_with(".md");
        let found = commands(&text, is_document).into_iter().filter(|command| is_open(command));
        open.extend(found.map(|command| format!("{name}: {command}")));
    }
    Ok(open)
}

fn scripts(folder: &Path, files: &mut Vec<std::path::PathBuf>) -> Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let (path, name) = (entry.path(), entry.file_name());
        if name == "node_modules" || name == ".artifacts" || name == "target" {
            continue;
        }
        if entry.file_type()?.is_dir() {
            scripts(&path, files)?;
        } else if path.extension().is_some_and(|extension| extension == "sh") {
            files.push(path);
        }
    }
    Ok(())
}

/// The commands of a script, one for each line that is no comment, or of a document, which has them
/// between backticks.
fn commands(text: &str, is_document: bool) -> Vec<String> {
    let joined = text.replace("\\\n", " ");
    if is_document {
        return joined.split('`').skip(1).step_by(2).map(str::to_owned).collect();
    }
    let lines = joined.lines().filter(|line| !line.trim_start().starts_with('#'));
    lines.map(str::to_owned).collect()
}

fn is_open(line: &str) -> bool {
    line.split("&&").flat_map(|part| part.split("||")).any(is_open_alone)
}

fn is_open_alone(command: &str) -> bool {
    let words: Vec<&str> = command
        .split(|letter: char| letter.is_whitespace() || "'\"@;()".contains(letter))
        .filter(|word| !word.is_empty())
        .collect();
    // Printing a command does not run it.
    if words.iter().any(|word| ["echo", "require", "say", "step"].contains(word)) {
        return false;
    }
    let has = |program: &str, any: &[&str]| {
        let mut words = words.iter();
        let found = words.any(|word| names(word, program));
        found && words.any(|word| any.contains(word))
    };
    let cargo = has("cargo", &RESOLVING) && !has("cargo", &["--locked"]);
    let pip = has("pip", &["install"]) && !has("pip", &["--require-hashes"]);
    let npm = has("npm", &["i", "install", "update"]) || words.contains(&"npx");
    cargo || pip || npm
}

/// Whether `word` runs `program`: by its name, its path or a variable called like it.
fn names(word: &str, program: &str) -> bool {
    let word = word.rsplit('/').next().unwrap_or(word);
    let word = word.trim_start_matches(['$', '{']).trim_end_matches('}');
    word.strip_suffix(":-cargo").unwrap_or(word).eq_ignore_ascii_case(program)
}

#[test]
fn is_open_command_without_a_pin_is_found_and_with_one_is_not() {
    for open in [
        "@$(CARGO) build --release",
        "${CARGO:-cargo} build --quiet",
        "run cargo test --quiet \"${relay[@]}\"",
        "cargo install cargo-deny",
        "\"$venv/bin/pip\" install --quiet aiortc==1.16.0",
        "npm --prefix web install",
        "cargo fmt --all && cargo build",
    ] {
        assert!(is_open(open), "{open}");
    }
    for pinned in [
        "@$(CARGO) build --release --locked",
        "CARGO=$(CARGO) tests/vm/run.sh $(TESTS)",
        "cargo fmt --all --check",
        "step 'cargo clippy, warnings denied'",
        "\"$venv/bin/pip\" install --require-hashes --requirement list",
        "npm --prefix web ci && npm --prefix web run lint",
    ] {
        assert!(!is_open(pinned), "{pinned}");
    }
}
