//! The program itself: what it prints, and how it ends.

use std::path::PathBuf;
use std::process::{Command, Output, Stdio};
use std::time::Duration;

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
        assert!(text(&one.stdout).contains(" leads in term "));
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
    refused(plan.replace("\"schema\": 2", "\"schema\": 999"), "schema 999, this program knows 2");
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

/// A folder of this test process, gone afterwards.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Folder {
        let path = std::env::temp_dir().join(format!("synod-sim-{}-{name}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Folder(path)
    }

    fn path(&self, name: &str) -> String {
        self.0.join(name).to_str().unwrap().to_string()
    }

    fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.0.join(name)).unwrap()
    }

    fn campaign(&self, name: &str) -> synod_reports::Campaign {
        synod_reports::Campaign::parse(&self.read(name)).unwrap()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Without what depends on the machine and its load.
fn timeless(campaign: synod_reports::Campaign) -> synod_reports::Campaign {
    let (wall_s, seeds_per_s, checker_share) = (0.0, 0.0, 0.0);
    synod_reports::Campaign { wall_s, seeds_per_s, checker_share, rss_mb: Default::default(), ..campaign }
}

#[test]
fn a_campaign_has_a_page_and_a_report_for_machines() {
    let folder = Folder::new("reports");
    let (json, junit, html) = (folder.path("c.json"), folder.path("c.xml"), folder.path("c.html"));
    let output = sim(&[&["run", "--seeds", "3", "--json", &json, "--junit", &junit, "--html", &html], SHORT].concat());
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stdout));
    let (page, xml, campaign) = (folder.read("c.html"), folder.read("c.xml"), folder.campaign("c.json"));
    assert!(page.contains("all promises held in 3 seeds") && page.contains("Time to leader"), "{page}");
    assert!(xml.contains("<testcase classname=\"synod-sim\" name=\"campaign\""), "{xml}");
    assert_eq!(campaign.canary, cfg!(feature = "mutants").then_some(true));
    assert_eq!(xml.contains("name=\"canary\""), cfg!(feature = "mutants"));
    assert_eq!(campaign.profiles.values().sum::<u64>(), 3);
    assert!(campaign.states.distinct() > 10 && campaign.points.distinct() > 3, "{campaign}");
    assert!(campaign.faults.keys().chain(campaign.sometimes.keys()).all(|name| !name.starts_with("held back")));
    assert_eq!(campaign.operations.count(), 3);
    assert!(text(&output.stdout).contains("distinct abstract states: "), "{}", text(&output.stdout));
    #[cfg(not(feature = "mutants"))]
    assert!(text(&output.stderr).contains("the canary was not run"));
}

#[test]
fn a_run_has_a_page() {
    let file = Scratch::new("run.html");
    let output = sim(&[&["replay", "3", "--html", file.path()], SHORT].concat());
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stdout));
    let page = std::fs::read_to_string(&file.0).unwrap();
    assert!(page.contains("cargo sim replay 3 --horizon 8 --operations 300"));
    assert!(page.contains("\"kind\":\"heartbeat\"") && page.contains("\"role\":\"leader\""));
}

#[test]
fn shards_make_the_report_of_the_whole() {
    let folder = Folder::new("shards");
    let whole = folder.path("whole.json");
    sim(&[&["run", "--seeds", "2..7", "--json", &whole], SHORT].concat());
    let parts: Vec<String> = (1..=2).map(|part| folder.path(&format!("part-{part}.json"))).collect();
    for (part, json) in (1..).zip(&parts) {
        let shard = format!("{part}/2");
        sim(&[&["run", "--seeds", "2..7", "--shard", &shard, "--json", json], SHORT].concat());
    }
    let (json, junit, html) = (folder.path("merged.json"), folder.path("merged.xml"), folder.path("merged.html"));
    let merge = ["merge", &parts[1], &parts[0], "--json", &json, "--junit", &junit, "--html", &html];
    let output = sim(&merge);
    let (whole, merged) = (folder.campaign("whole.json"), folder.campaign("merged.json"));
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    assert!(text(&output.stdout).contains("\n5 seeds, 0 failed, 0 unknown"), "{}", text(&output.stdout));
    assert_eq!((merged.first_seed, merged.seeds, merged.shards.len(), merged.gaps()), (2, 5, 2, vec![]));
    assert_eq!((merged.faults, merged.sometimes), (whole.faults, whole.sometimes));
    assert_eq!((merged.liveness, merged.profiles, merged.canary), (whole.liveness, whole.profiles, whole.canary));
    assert!(folder.read("merged.html").contains("in 2 shards") && folder.read("merged.xml").contains("<testsuite "));

    let one = sim(&["merge", &parts[0]]);
    assert_eq!(one.status.code(), Some(3), "the other shard is missing");
    assert!(text(&one.stdout).contains("shards: 1, seeds 4..7 not run"), "{}", text(&one.stdout));

    let both = sim(&["merge", &parts[0], &json]);
    assert_eq!(both.status.code(), Some(64));
    let told = text(&both.stderr);
    assert!(
        told.contains("seeds 2..4 and 2..4 overlap: ") && told.contains(&parts[0]) && told.contains(&json),
        "{told}"
    );
    std::fs::write(&parts[0], &folder.read("part-1.json")[..200]).unwrap();
    let cut = sim(&["merge", &parts[0], &parts[1]]);
    assert_eq!(cut.status.code(), Some(64));
    assert!(text(&cut.stderr).contains("part-1.json: read campaign: EOF while parsing"), "{}", text(&cut.stderr));
    assert!(text(&cut.stderr).contains(" at line "), "{}", text(&cut.stderr));
    std::fs::write(&parts[0], folder.read("part-2.json").replacen("\"schema\": 1", "\"schema\": 9", 1)).unwrap();
    let newer = sim(&["merge", &parts[0], &parts[1]]);
    assert_eq!(newer.status.code(), Some(64));
    assert!(text(&newer.stderr).contains("part-1.json: read campaign: schema 9, this program knows 1"));
}

#[cfg(unix)]
#[test]
fn a_campaign_that_was_killed_goes_on_where_it_stopped() {
    let folder = Folder::new("resumed");
    let (json, file) = (folder.path("c.json"), folder.path("c.checkpoint"));
    let whole = [&["run", "--seeds", "120", "--json", &json], SHORT].concat();
    let resumed = [&whole[..], &["--resume", &file]].concat();
    let is_begun = || std::fs::read_to_string(&file).is_ok_and(|text| text.contains("end_seed"));
    let slowly = [&resumed[..], &["--jobs", "1"]].concat();
    // Plans that were kept come first, and the machine may be busy: longer, until it has done a seed.
    let mut patience = Duration::from_millis(250);
    let part = loop {
        let binary = env!("CARGO_BIN_EXE_synod-sim");
        let mut child = Command::new(binary).args(&slowly).stdout(Stdio::null()).spawn().unwrap();
        while !is_begun() {
            std::thread::sleep(Duration::from_millis(20));
        }
        std::thread::sleep(patience);
        let killed = Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
        assert!(killed.success());
        // Not finished, so it cannot tell.
        assert_eq!(child.wait().unwrap().code(), Some(3));
        let part = folder.campaign("c.json");
        if part.seeds > 0 {
            break part;
        }
        patience *= 2;
    };
    assert!(part.seeds < 120, "{}", part.seeds);
    let output = sim(&resumed);
    let by_parts = folder.campaign("c.json");
    assert_eq!(by_parts.seeds, 120, "{}{}", text(&output.stdout), text(&output.stderr));
    // Complete: there is nothing left to do.
    assert_eq!(sim(&resumed).status.code(), output.status.code());
    assert_eq!(timeless(folder.campaign("c.json")), timeless(by_parts.clone()));
    assert_eq!(sim(&whole).status.code(), output.status.code());
    assert_eq!(timeless(folder.campaign("c.json")), timeless(by_parts));

    let checkpoint = folder.read("c.checkpoint");
    let refused = |text: &str, arguments: &[&str], why: &str| {
        std::fs::write(&file, text).unwrap();
        let output = sim(arguments);
        let told = self::text(&output.stderr);
        assert_eq!(output.status.code(), Some(64), "{told}");
        assert!(told.contains(why), "{told}");
    };
    refused(&checkpoint, &["run", "--seeds", "121", "--resume", &file], "it is of --seeds 0..120 --horizon 8");
    refused(&checkpoint[..checkpoint.len() - 20], &resumed, "EOF while parsing");
    refused(&checkpoint.replacen("\"schema\":1", "\"schema\":2", 1), &resumed, "schema 2, this program knows 1");
    let at = checkpoint.find("\"first\":[0,\"").unwrap() + 12;
    let other = format!("{}0000{}", &checkpoint[..at], &checkpoint[at + 4..]);
    refused(&other, &resumed, "in this program: begin anew");
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
    assert!(printed.lines().last().unwrap().starts_with("cargo sim audit --seeds 0..1 --horizon 8 "), "{printed}");
}

#[test]
fn bad_arguments_are_told_from_failures() {
    for arguments in [
        &["run", "--seeds", "0"][..],
        &["run", "--seeds", "9..3"],
        &["run", "--seeds", "0..4", "--seeds", "2..6"],
        &["run", "--shard", "0/3"],
        &["run", "--shard", "4/3"],
        &["run", "--shard", "2"],
        &["run", "--seeds", "2", "--shard", "1/3"],
        &["run", "--seeds", "1", "--resume", "/no/such/folder/x.checkpoint"],
        &["run", "--seeds", "1", "--html", "/no/such/folder/x.html"],
        &["merge"],
        &["merge", "/no/such/campaign.json"],
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
    for command in
        ["run", "merge", "replay", "shrink", "explain", "promote", "diff", "audit", "mutants", "check", "model"]
    {
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
fn what_failed_has_a_page_of_its_own() {
    let folder = Folder::new("failed");
    let (json, html) = (folder.path("c.json"), folder.path("c.html"));
    let bug = ["--mutant", "raft.ack_before_durable"];
    let output = sim(&[&["run", "--seeds", "6", "--json", &json, "--html", &html], &bug[..], SHORT].concat());
    assert_eq!(output.status.code(), Some(1), "{}", text(&output.stdout));
    let campaign = folder.campaign("c.json");
    let page = campaign.failures[0].page.clone().unwrap();
    assert_eq!(page, format!("c-seed-{}.html", campaign.failures[0].seed));
    assert!(folder.read("c.html").contains(&format!("href=\"{page}\"")));
    assert!(folder.read(&page).contains(">Safety violated<"));
    // As the report of a shard it fails the whole.
    assert_eq!(sim(&["merge", &json]).status.code(), Some(1));
}

#[cfg(feature = "mutants")]
#[test]
fn a_planted_bug_is_found_and_told() {
    let file = Scratch::new("kills.json");
    let output = sim(&["mutants", "--only", "watch.fires_twice", "--seeds", "20", "--json", file.path()]);
    let printed = text(&output.stdout);
    assert_eq!(output.status.code(), Some(0), "{printed}");
    assert!(printed.contains("1 of 1 killed within 20 seeds"), "{printed}");
    let table: synod_reports::KillTable = serde_json::from_slice(&std::fs::read(&file.0).unwrap()).unwrap();
    assert!(table.mutants[0].killed && !table.mutants[0].control);
    let replayed = sim(&["replay", &table.mutants[0].seed.unwrap().to_string(), "--mutant", "watch.fires_twice"]);
    assert_ne!(replayed.status.code(), Some(0));
    let printed = text(&replayed.stdout);
    let last = printed.lines().last().unwrap();
    assert!(last.starts_with("cargo sim replay ") && last.contains("--mutant watch.fires_twice  # "), "{last}");
}
