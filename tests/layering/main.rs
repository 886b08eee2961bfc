//! The shape of the workspace, checked from its sources and from `cargo metadata`: which crate may
//! depend on which, where `unsafe` may stand, how much the supervisor may pull in.
//!
//! Needs nothing but cargo. Each test reports every breach, not the first.

#![forbid(unsafe_code)]

mod circles;
mod claims;
mod messages;
mod packed;
mod recipes;
mod sources;
mod workspace;

use anyhow::{Context, Result};
use lumen_tests::measured;

use self::workspace::Workspace;

/// The two crates that everything else stands on.
const CONTRACT: &str = "lumen-ipc";
const RUNTIME: &str = "lumen-ipc-runtime";

/// The most packages that the supervisor may be built from, itself included. It holds privilege,
/// so every one of them is trusted with it. Raising this number is a decision of its own. Counted with the
/// features that any package of the workspace asks for: four of these are only built for build scripts.
const SUPERVISOR_BUDGET: usize = 96;

/// Crates of whose files none depend on each other in a circle.
const WITHOUT_CIRCLES: [&str; 2] = ["compositor-proc", "supervisor"];

/// Files that may hold `unsafe`, as house rules name them; every other crate file forbids it.
const UNSAFE_FILES: [&str; 5] = ["ffi.rs", "shm/guarded.rs", "shm/map.rs", "spawn.rs", "trap.rs"];

#[test]
fn arrows_point_from_processes_to_runtime_to_contract_only() -> Result<()> {
    // Everything that is neither is a process, or these tests, and may stand on both.
    let allowed = |package: &str| match package {
        CONTRACT => vec![],
        RUNTIME => vec![CONTRACT],
        _ => vec![CONTRACT, RUNTIME],
    };
    let mut breaches = Vec::new();
    for (package, arrows) in Workspace::read()?.inner_arrows() {
        let allowed = allowed(&package);
        let forbidden = arrows.into_iter().filter(|arrow| !allowed.contains(&arrow.as_str()));
        breaches.extend(forbidden.map(|arrow| format!("{package} → {arrow}")));
    }
    assert!(breaches.is_empty(), "{breaches:#?}");
    Ok(())
}

#[test]
fn every_message_of_a_picture_or_of_input_names_its_output_or_stream() -> Result<()> {
    let mut nameless = Vec::new();
    for link in ["desktop", "frames", "input", "packets"] {
        let path = format!("ipc/src/message/{link}.rs");
        let all = sources::of_processes()?;
        let source = all.iter().find(|source| source.path == path);
        let source = source.with_context(|| format!("there is no {path}"))?;
        let found = messages::nameless(&source.text)?;
        nameless.extend(found.into_iter().map(|message| format!("{link}: {message}")));
    }
    // A challenge is about a viewer's presence, wherever the viewer looks.
    nameless.retain(|message| message != "input: ToRtc");
    assert!(nameless.is_empty(), "what are these about? {nameless:#?}");
    Ok(())
}

#[test]
fn recipes_and_documents_fetch_only_what_a_list_pins() -> Result<()> {
    let open = recipes::open_commands()?;
    assert!(open.is_empty(), "--locked, --require-hashes or npm ci is missing: {open:#?}");
    Ok(())
}

#[test]
fn packages_of_both_kinds_have_the_same_files() -> Result<()> {
    let workspace = Workspace::read()?;
    let (deb, rpm) = (packed::deb(&workspace)?, packed::rpm(&workspace)?);
    assert_eq!(packed::as_an_rpm(&deb), rpm);
    Ok(())
}

#[test]
fn packages_have_every_program_unit_and_manual_page() -> Result<()> {
    let (workspace, relays) = (Workspace::read()?, Workspace::read_relays()?);
    let oidcs = Workspace::read_oidcs()?;
    let packed = packed::deb(&workspace)?;
    let mut lacking = packed::files_to_pack()?;
    let programs = workspace.programs_without(&["lumen-tests", "lumen-liar"]);
    lacking.extend(
        programs
            .iter()
            .chain(&relays.programs_without(&[]))
            .chain(&oidcs.programs_without(&[]))
            .map(|program| format!("target/release/{program}")),
    );
    assert!(lacking.len() > 20, "more is to be packed than {lacking:?}");
    lacking.retain(|source| !packed.iter().any(|file| file.source == *source));
    assert!(lacking.is_empty(), "supervisor/Cargo.toml packs none of {lacking:#?}");
    Ok(())
}

#[test]
fn packages_pack_what_is_there_and_keep_what_administrators_change() -> Result<()> {
    let workspace = Workspace::read()?;
    let mut wrong = packed::sources_that_are_not_there(&packed::deb(&workspace)?);
    wrong.extend(packed::sources_that_are_not_there(&packed::rpm(&workspace)?));
    for file in packed::deb(&workspace)?.iter().chain(&packed::rpm(&workspace)?) {
        if file.place.starts_with("etc/") != file.is_configuration {
            wrong.push(file.place.clone());
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    Ok(())
}

#[test]
fn supervisor_stays_within_its_dependency_budget() -> Result<()> {
    let tree = Workspace::read()?.tree_of("lumen-supervisor")?;
    let count = tree.len();
    assert!(count <= SUPERVISOR_BUDGET, "{count} packages: {tree:#?}");
    Ok(())
}

#[test]
fn supervisor_has_no_parser_of_what_browsers_and_apps_send() -> Result<()> {
    let tree = Workspace::read()?.tree_of("lumen-supervisor")?;
    for forbidden in ["axum", "hyper", "httparse", "rustls", "smithay", "str0m", "tungstenite"] {
        assert!(!tree.contains(forbidden), "the supervisor is built from {forbidden}");
    }
    Ok(())
}

#[test]
fn unsafe_stands_only_in_files_named_for_it() -> Result<()> {
    let named = |path: &str| UNSAFE_FILES.iter().any(|file| path.ends_with(file));
    let breaches: Vec<_> = sources::of_processes()?
        .into_iter()
        .filter(|source| source.has_unsafe() && !named(&source.path))
        .map(|source| source.path)
        .collect();
    assert!(breaches.is_empty(), "unsafe code in {breaches:#?}");
    Ok(())
}

#[test]
fn no_files_of_a_crate_depend_on_each_other_in_a_circle() -> Result<()> {
    let sources = sources::of_processes()?;
    for folder in WITHOUT_CIRCLES {
        let below = format!("{folder}/src/");
        let of_crate = |source: &sources::Source| {
            Some((source.path.strip_prefix(&below)?.to_owned(), source.text.clone()))
        };
        let files = sources.iter().filter_map(of_crate).collect();
        let read = circles::Crate::read("lib.rs", &files)?;
        assert!(read.arrows().len() > 10, "{folder} has more files than were read");
        let circles = read.circles();
        assert!(circles.is_empty(), "{folder}: {circles:#?}");
    }
    Ok(())
}

#[test]
fn compositor_reads_clocks_only_in_its_shell() -> Result<()> {
    const READINGS: [&str; 4] = ["Anchor::new", "Instant::now", "SystemTime::now", "clock::now"];
    let sources = sources::of_processes()?;
    let of_crate = |source: &sources::Source| {
        Some((source.path.strip_prefix("compositor-proc/src/")?.to_owned(), source.text.clone()))
    };
    let read = circles::Crate::read("lib.rs", &sources.iter().filter_map(of_crate).collect())?;
    let reads_clock = |path: &[String]| {
        let path = path.join("::");
        READINGS.iter().any(|reading| path.ends_with(reading))
    };
    let readings: Vec<_> = read.paths().filter(|(_, path)| reads_clock(path)).collect();
    let (shell, breaches): (Vec<_>, Vec<_>) =
        readings.into_iter().partition(|(file, _)| file.split('/').any(|part| part == "shell"));
    assert!(!shell.is_empty(), "the shell reads the clock in some other way");
    assert!(breaches.is_empty(), "{breaches:#?}");
    Ok(())
}

#[test]
fn every_module_opens_with_its_page() -> Result<()> {
    let breaches: Vec<_> = sources::all()?
        .into_iter()
        .filter(|source| !source.has_page())
        .map(|source| source.path)
        .collect();
    assert!(breaches.is_empty(), "no //! page at the top of {breaches:#?}");
    Ok(())
}

#[test]
fn every_main_is_short() -> Result<()> {
    let breaches: Vec<_> = sources::of_processes()?
        .into_iter()
        .filter(|source| source.is_main() && source.text.lines().count() > 60)
        .map(|source| source.path)
        .collect();
    assert!(breaches.is_empty(), "more than 60 lines in {breaches:#?}");
    Ok(())
}

#[test]
fn no_file_is_longer_than_800_lines() -> Result<()> {
    let breaches: Vec<_> = sources::all()?
        .into_iter()
        .filter(|source| source.text.lines().count() > 800)
        .map(|source| source.path)
        .collect();
    assert!(breaches.is_empty(), "split these: {breaches:#?}");
    Ok(())
}

#[test]
fn every_lint_exception_has_a_reason() -> Result<()> {
    let breaches: Vec<_> =
        sources::all()?.into_iter().flat_map(|source| source.exceptions_without_reason()).collect();
    assert!(breaches.is_empty(), "say why in {breaches:#?}");
    Ok(())
}

#[test]
fn every_package_inherits_the_workspace_lints() -> Result<()> {
    let breaches: Vec<_> = Workspace::read()?
        .manifests()
        .into_iter()
        .filter(|(_, manifest)| !manifest.contains("[lints]\nworkspace = true"))
        .map(|(package, _)| package)
        .collect();
    assert!(breaches.is_empty(), "no `[lints] workspace = true` in {breaches:#?}");
    Ok(())
}

/// The programs with a workspace of their own, and where that is.
fn apart() -> Result<[(&'static str, &'static str, Workspace); 2]> {
    Ok([
        ("lumen-oidc", "supervisor/oidc", Workspace::read_oidcs()?),
        ("lumen-turn", "turn-proc", Workspace::read_relays()?),
    ])
}

#[test]
fn programs_of_their_own_workspaces_stand_on_runtime_and_contract_only() -> Result<()> {
    for (program, _, workspace) in apart()? {
        let (local, linked) = (workspace.local(), workspace.tree_of(program)?);
        let stands_on: Vec<_> = local.intersection(&linked).map(String::as_str).collect();
        assert_eq!(stands_on, [CONTRACT, RUNTIME, program]);
    }
    Ok(())
}

#[test]
fn all_workspaces_have_the_same_versions_of_what_they_share() -> Result<()> {
    let main = Workspace::read()?.versions();
    let mut drifted = Vec::new();
    for (program, folder, workspace) in apart()? {
        let own = workspace.versions();
        let shared = own.iter().filter_map(|(key, own)| Some((key, own, main.get(key)?)));
        drifted.extend(shared.filter(|(_, own, others)| own != others).map(
            |((name, _), own, others)| {
                format!(
                    "{name} is {own:?} for {program} and {others:?} for the others: cargo update \
                     --manifest-path {folder}/Cargo.toml -p {name} --precise VERSION"
                )
            },
        ));
    }
    assert!(drifted.is_empty(), "{drifted:#?}");
    Ok(())
}

#[test]
fn all_workspaces_have_the_same_lints_and_profiles() {
    let main = include_str!("../../Cargo.toml");
    let relays = include_str!("../../turn-proc/Cargo.toml");
    let oidcs = include_str!("../../supervisor/oidc/Cargo.toml");
    // A section's lines, from its heading to the next empty one.
    let section = |manifest: &'static str, heading: &str| -> Vec<&'static str> {
        let lines = manifest.lines().skip_while(|line| *line != heading).skip(1);
        lines.take_while(|line| !line.is_empty()).collect()
    };
    for heading in ["[profile.dev]", "[profile.dev.package.\"*\"]", "[profile.release]"] {
        assert_eq!(section(relays, heading), section(main, heading), "{heading}");
    }
    // Its dependencies are not optimised while we develop; its manifest says why.
    for heading in ["[profile.dev]", "[profile.release]"] {
        assert_eq!(section(oidcs, heading), section(main, heading), "{heading}");
    }
    for kind in ["rust", "clippy"] {
        let of_all = section(main, &format!("[workspace.lints.{kind}]"));
        for own in [relays, oidcs] {
            assert_eq!(section(own, &format!("[lints.{kind}]")), of_all, "{kind}");
        }
        assert!(!of_all.is_empty());
    }
}

#[test]
fn every_test_that_the_claims_name_exists() -> Result<()> {
    let sources = sources::all()?;
    let named = claims::tests(include_str!("../CLAIMS.md"));
    assert!(named.len() > 100, "only {} tests are named", named.len());
    let missing: Vec<_> = named
        .into_iter()
        .filter(|test| {
            let function = format!("fn {test}(");
            !sources.iter().any(|source| source.text.contains(&function))
        })
        .collect();
    assert!(missing.is_empty(), "no test of this name: {missing:#?}");
    Ok(())
}

#[test]
fn every_attack_that_worked_once_is_closed_by_a_test_or_admitted() -> Result<()> {
    let attacks = claims::attacks(include_str!("../CLAIMS.md"))?;
    let security = include_str!("../../SECURITY.md");
    let (_, undefended) =
        security.split_once("\n## What is not defended\n").context("what is not defended")?;
    let breaches: Vec<_> =
        attacks.iter().filter_map(|attack| attack.check(undefended).err()).collect();
    for attack in &attacks {
        measured::note(&format!("attack that worked once, now {}", attack.now), attack.attack);
    }
    let open = attacks.iter().filter(|attack| attack.now != "closed").count();
    measured::note("attacks that worked once and are not closed for everybody", open);
    assert!(breaches.is_empty(), "{breaches:#?}");
    assert!(attacks.len() > 20, "only {} attacks are listed", attacks.len());
    Ok(())
}
