//! The program itself: what it prints, and how it ends.

use std::path::PathBuf;
use std::process::{Command, Output};

const SHORT: &[&str] = &["--horizon", "8", "--operations", "300"];

fn sim(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_synod-sim")).args(arguments).output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// A file of this test process, gone afterwards.
struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str) -> Scratch {
        Scratch(std::env::temp_dir().join(format!("synod-sim-{}-{name}", std::process::id())))
    }

    fn path(&self) -> &str {
        self.0.to_str().unwrap()
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

#[test]
fn a_replay_is_the_same_text_every_time() {
    for seed in ["3", "6"] {
        let arguments = [&["replay", seed], SHORT].concat();
        let (one, other) = (sim(&arguments), sim(&arguments));
        assert_eq!(text(&one.stdout), text(&other.stdout));
        assert!(text(&one.stdout).contains("──── all faults are over ────"), "{}", text(&one.stdout));
        assert!(text(&one.stdout).contains(" leads in term 1"));
        assert!(text(&one.stdout).contains("\ntrace "));
    }
}

#[test]
fn a_plan_that_was_written_is_the_same_replay() {
    let file = Scratch::new("plan.json");
    let of_seed = sim(&[&["replay", "7", "--plan-out", file.path()], SHORT].concat());
    let of_plan = sim(&["replay", file.path()]);
    let trace = |output: &Output| text(&output.stdout).lines().find(|l| l.starts_with("trace ")).unwrap().to_string();
    assert_eq!(trace(&of_seed), trace(&of_plan));

    let plan = std::fs::read_to_string(&file.0).unwrap();
    let refused = |edited: String, why: &str| {
        assert_ne!(edited, plan, "the edit found nothing");
        std::fs::write(&file.0, edited).unwrap();
        let output = sim(&["replay", file.path()]);
        assert_eq!(output.status.code(), Some(64));
        assert!(text(&output.stderr).contains(why), "{}", text(&output.stderr));
    };
    refused(plan.replace("\"schema\": 1", "\"schema\": 999"), "schema 999, this program knows 1");
    refused(
        plan.replace("\"faults\": [", "\"faults\": [{\"at_ms\":1,\"for_ms\":0,\"what\":{\"flood\":{}}},"),
        "`flood`",
    );
    refused(plan.replace("\"nodes\":", "\"knots\":"), "`knots`");
}

#[test]
fn a_campaign_ends_with_its_count_and_writes_what_is_documented() {
    let file = Scratch::new("campaign.json");
    let output = sim(&[&["run", "--seeds", "2..5", "--json", file.path()], SHORT].concat());
    let printed = text(&output.stdout);
    assert!(printed.contains("\n3 seeds, "), "{printed}");
    let report: synod_reports::Campaign = serde_json::from_slice(&std::fs::read(&file.0).unwrap()).unwrap();
    assert_eq!((report.schema, report.seeds, report.first_seed), (1, 3, 2));
    let expected = report.failures.iter().map(|f| f.severity.as_str()).max();
    let code = match (report.failures.is_empty(), expected) {
        (true, _) => 0,
        (false, _) if report.failures.iter().any(|f| f.severity == "safety") => 1,
        (false, Some("liveness")) => 2,
        _ => 3,
    };
    assert_eq!(output.status.code(), Some(code), "{printed}");
}

#[test]
fn an_audit_compares_two_processes() {
    let output = sim(&[&["audit", "--seeds", "2"], SHORT].concat());
    assert_eq!(output.status.code(), Some(0), "{}{}", text(&output.stdout), text(&output.stderr));
}

#[cfg(unix)]
#[test]
fn an_audit_names_the_first_event_that_differs() {
    use std::os::unix::fs::PermissionsExt;
    // A program of another kind: one hash that nobody has, and a run of one event.
    let other = Scratch::new("other");
    let script = "#!/bin/sh\ncase $1 in hashes) echo 00ff;; events) echo 'an event of its own';; esac\n";
    std::fs::write(&other.0, script).unwrap();
    std::fs::set_permissions(&other.0, std::fs::Permissions::from_mode(0o755)).unwrap();
    let output = sim(&[&["audit", "--seeds", "1", "--binary", other.path()], SHORT].concat());
    let printed = text(&output.stdout);
    assert_eq!(output.status.code(), Some(4), "{printed}{}", text(&output.stderr));
    assert!(printed.contains("seed 0 went two ways in another process"), "{printed}");
    assert!(printed.contains("number 1:\n  one      SimEvent"), "{printed}");
    assert!(printed.contains("another  an event of its own"), "{printed}");
    assert!(printed.lines().last().unwrap().starts_with("cargo sim audit --seeds 0..1 --binary "), "{printed}");
}

#[test]
fn bad_arguments_are_told_from_failures() {
    for arguments in [
        &["run", "--seeds", "0"][..],
        &["run", "--seeds", "9..3"],
        &["run", "--nodes", "4"],
        &["run", "--for", "10"],
        &["run", "--mutant", "no.such"],
        &["run", "--seeds", "1", "--json", "/no/such/folder/x.json"],
        &["replay", "/no/such/plan.json"],
        &["mutants", "--only", "no.such"],
        &["check", "/no/such/history"],
        &["check", "--format", "prose", "x"],
        &["audit", "--seeds", "1", "--binary", "/no/such/program", "--horizon", "2", "--operations", "1"],
        &["model", "no-such-model"],
        &["fly"],
        &[],
    ] {
        let output = sim(arguments);
        assert_eq!(output.status.code(), Some(64), "{arguments:?}: {}", text(&output.stderr));
        assert!(!output.stderr.is_empty(), "{arguments:?}");
        assert!(output.stdout.is_empty(), "{arguments:?}");
    }
}

#[test]
fn every_command_has_an_example() {
    for command in ["run", "replay", "audit", "mutants", "check", "model"] {
        let output = sim(&[command, "--help"]);
        assert_eq!(output.status.code(), Some(0));
        assert!(text(&output.stdout).contains(&format!("Example: synod-sim {command}")), "{command}");
    }
}

#[test]
fn files_get_a_verdict_each() {
    let (good, bad) = (Scratch::new("good"), Scratch::new("bad"));
    let event =
        |kind: &str, value: &str| format!("{{:process 0, :type :{kind}, :f :get, :key \"k\", :value {value}}}\n");
    std::fs::write(&good.0, event("invoke", "nil") + &event("ok", "\"\"")).unwrap();
    std::fs::write(&bad.0, event("invoke", "nil") + &event("ok", "\"x\"")).unwrap();
    let held = sim(&["check", good.path()]);
    assert_eq!(held.status.code(), Some(0));
    assert!(text(&held.stdout).starts_with(&format!("{}: linearizable, 1 operations, ", good.path())));
    let broken = sim(&["check", "--format", "kv", good.path(), bad.path()]);
    assert_eq!(broken.status.code(), Some(1), "{}", text(&broken.stdout));
    assert!(text(&broken.stdout).contains(&format!("{}: violation, 1 operations, ", bad.path())));
    std::fs::write(&bad.0, "{:process").unwrap();
    let cut = sim(&["check", bad.path()]);
    assert_eq!(cut.status.code(), Some(64));
    assert!(text(&cut.stderr).contains(&format!("{}:1: ", bad.path())), "{}", text(&cut.stderr));
}

#[cfg(not(feature = "mutants"))]
#[test]
fn without_planted_bugs_the_table_says_why() {
    let output = sim(&["mutants"]);
    assert_eq!(output.status.code(), Some(64));
    assert!(text(&output.stderr).contains("without the feature `mutants`"));
}

#[cfg(feature = "mutants")]
#[test]
fn a_planted_bug_is_found_and_told() {
    let file = Scratch::new("kills.json");
    let output = sim(&["mutants", "--only", "sm.ephemeral_outlives_session", "--seeds", "5", "--json", file.path()]);
    let printed = text(&output.stdout);
    assert_eq!(output.status.code(), Some(0), "{printed}");
    assert!(printed.contains("1 of 1 killed within 5 seeds"), "{printed}");
    let table: synod_reports::KillTable = serde_json::from_slice(&std::fs::read(&file.0).unwrap()).unwrap();
    assert!(table.mutants[0].killed && !table.mutants[0].control);
    let replayed =
        sim(&["replay", &table.mutants[0].seed.unwrap().to_string(), "--mutant", "sm.ephemeral_outlives_session"]);
    assert_ne!(replayed.status.code(), Some(0));
    let printed = text(&replayed.stdout);
    let last = printed.lines().last().unwrap();
    assert!(
        last.starts_with("cargo sim replay ") && last.contains("--mutant sm.ephemeral_outlives_session  # "),
        "{last}"
    );
}
