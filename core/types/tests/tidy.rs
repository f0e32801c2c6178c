//! The rules of the house that no compiler holds: who may import whom, and what `core` must not mention.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// Rooms of `core` and what each may import beside `types`.
const CORE: &[(&str, &[&str])] = &[
    ("types", &[]),
    ("env", &[]),
    ("wire", &[]),
    ("consensus", &[]),
    ("state", &[]),
    ("storage", &["env", "wire"]),
    ("replica", &["consensus", "state"]),
    ("zookeeper", &["replica", "wire", "env"]),
    ("node", &["replica", "storage", "wire", "env", "zookeeper"]),
    ("real", &["env"]),
    ("server", &["real", "node"]),
];

/// The rooms around it.
const AROUND: &[(&str, &[&str])] = &[
    ("sim", &["env"]),
    ("checkers", &[]),
    ("reports", &[]),
    ("models", &["consensus", "state", "replica"]),
    // Of storage it takes the suite that every disk passes.
    ("scenarios", &["sim", "node", "wire", "env", "storage", "models", "checkers", "reports"]),
];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// Names of the house's crates among a manifest's dependencies, those of tests apart.
fn imports(manifest: &Path) -> BTreeSet<String> {
    let text = fs::read_to_string(manifest).unwrap_or_else(|e| panic!("read {}: {e}", manifest.display()));
    let mut section = "";
    let mut found = BTreeSet::new();
    for line in text.lines() {
        if line.starts_with('[') {
            section = line;
        } else if section == "[dependencies]"
            && let Some(rest) = line.strip_prefix("synod-")
        {
            found.insert(rest.split(['.', ' ', '=']).next().unwrap_or_default().to_string());
        }
    }
    found
}

fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.ends_with("src/tests") {
            continue;
        }
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|e| e == "rs") {
            found.push(path);
        }
    }
}

#[test]
fn rooms_import_only_what_they_may() {
    let rooms = CORE.iter().map(|(room, may)| (format!("core/{room}"), *may));
    let rooms: BTreeMap<String, &[&str]> =
        rooms.chain(AROUND.iter().map(|(room, may)| (room.to_string(), *may))).collect();
    for (room, may) in &rooms {
        for import in imports(&root().join(room).join("Cargo.toml")) {
            assert!(import == "types" || may.contains(&import.as_str()), "{room} must not import {import}");
        }
    }
    let listed: BTreeSet<_> = CORE.iter().map(|(room, _)| room.to_string()).collect();
    let present: BTreeSet<_> = fs::read_dir(root().join("core"))
        .expect("core")
        .flatten()
        .filter(|e| e.path().is_dir())
        .map(|e| e.file_name().to_string_lossy().into_owned())
        .collect();
    assert_eq!(listed, present, "a room of core without a rule, or a rule without a room");
}

#[test]
fn production_has_no_simulator_and_no_planted_bugs() {
    for room in ["server", "real", "node", "replica", "storage", "state", "consensus", "wire", "zookeeper", "env"] {
        let manifest = root().join("core").join(room).join("Cargo.toml");
        let text = fs::read_to_string(&manifest).expect("manifest");
        let dependencies = text.split("[dependencies]").nth(1).unwrap_or_default();
        let dependencies = dependencies.split("\n[").next().unwrap_or_default();
        assert!(!dependencies.contains("madsim"), "{room} links madsim");
        assert!(!dependencies.contains("mutants"), "{room} plants bugs by default");
        assert!(!text.contains("default = [\"mutants\""), "{room} plants bugs by default");
    }
}

#[test]
fn core_keeps_its_hands_off_the_world() {
    // The lints of `core/clippy.toml` know calls; these are for what they cannot see.
    let banned = ["thread_local!", "static mut", "lazy_static", "OnceLock", "tokio::select! {\n        r"];
    let mut files = Vec::new();
    for (room, _) in CORE.iter().filter(|(room, _)| !matches!(*room, "real" | "server")) {
        sources(&root().join("core").join(room).join("src"), &mut files);
    }
    for file in files {
        let text = fs::read_to_string(&file).expect("source");
        for word in banned {
            assert!(!text.contains(word), "{}: {word}", file.display());
        }
        for (at, _) in text.match_indices("select! {") {
            let rest = text[at + "select! {".len()..].trim_start();
            assert!(rest.starts_with("biased;"), "{}: a select! without biased", file.display());
        }
    }
}
