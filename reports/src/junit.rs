//! A campaign as JUnit's XML, which every CI server shows: a test case for the campaign, one for each rule that was
//! broken, one for the rare states, one for each promoted plan, one for the canary.
//!
//! Source: the schema of Maven Surefire's reports, which Jenkins, GitLab and GitHub's test reporters read.

use crate::campaign::{Campaign, Failure};
use quick_xml::Writer;
use quick_xml::events::{BytesDecl, BytesText, Event};
use std::io;

const SUITE: &str = "synod-sim";

/// One test case.
struct Case {
    name: String,
    result: Result,
}

enum Result {
    Passed,
    Skipped(String),
    Failed { kind: String, message: String, text: String },
}

/// The XML.
pub fn junit(campaign: &Campaign) -> String {
    let mut writer = Writer::new_with_indent(Vec::new(), b' ', 2);
    write(&mut writer, campaign).expect("a vector takes all bytes");
    let mut text = String::from_utf8(writer.into_inner()).expect("the writer was given text");
    text.push('\n');
    text
}

fn cases(campaign: &Campaign) -> Vec<Case> {
    let mut cases = vec![Case { name: "campaign".into(), result: ran(campaign) }];
    for failure in &campaign.failures {
        cases.push(Case { name: failure.fingerprint.clone(), result: broken(failure) });
    }
    cases.push(Case { name: "sometimes points".into(), result: points(campaign) });
    for (name, held) in &campaign.promoted {
        let message = "a failure of the past is back".to_string();
        let result = if *held { Result::Passed } else { failed_with("promoted", message, String::new()) };
        cases.push(Case { name: format!("plan {name}"), result });
    }
    if let Some(failed) = campaign.canary {
        cases.push(Case { name: "canary".into(), result: canary(failed) });
    }
    cases
}

fn ran(campaign: &Campaign) -> Result {
    let Campaign { seeds, failed, unknown, .. } = campaign;
    if *seeds == 0 {
        return failed_with("empty", "no seed ran".into(), String::new());
    }
    match failed + unknown {
        0 => Result::Passed,
        _ => failed_with("seeds", format!("{seeds} seeds, {failed} failed, {unknown} unknown"), campaign.to_string()),
    }
}

fn broken(failure: &Failure) -> Result {
    let text = format!("{}\n\n{}\n\n{} seeds show it", failure.sentence, failure.reproduce, failure.seeds.max(1));
    failed_with(&failure.severity, failure.sentence.clone(), text)
}

fn points(campaign: &Campaign) -> Result {
    let missed = campaign.missed();
    let message = format!("{} of {} points not reached", missed.len(), campaign.sometimes.len());
    match missed.is_empty() {
        true => Result::Passed,
        false if campaign.must_reach_all() => failed_with("missed", message, missed.join("\n")),
        false => Result::Skipped(format!("{message} by {} seeds: {}", campaign.seeds, missed.join(", "))),
    }
}

fn canary(failed: bool) -> Result {
    match failed {
        true => Result::Passed,
        false => failed_with("canary", "the plan that must fail did not".into(), String::new()),
    }
}

fn failed_with(kind: &str, message: String, text: String) -> Result {
    Result::Failed { kind: kind.to_string(), message, text }
}

fn write(writer: &mut Writer<Vec<u8>>, campaign: &Campaign) -> io::Result<()> {
    let cases = cases(campaign);
    let count = |of: fn(&Result) -> bool| cases.iter().filter(|case| of(&case.result)).count().to_string();
    let failures = count(|result| matches!(result, Result::Failed { .. }));
    let skipped = count(|result| matches!(result, Result::Skipped(_)));
    let (tests, time) = (cases.len().to_string(), format!("{:.3}", campaign.wall_s));
    writer.write_event(Event::Decl(BytesDecl::new("1.0", Some("UTF-8"), None)))?;
    let totals =
        [("tests", &*tests), ("failures", &*failures), ("errors", "0"), ("skipped", &*skipped), ("time", &*time)];
    let suite = writer.create_element("testsuite").with_attribute(("name", SUITE)).with_attributes(totals);
    suite.write_inner_content(|writer| cases.iter().try_for_each(|case| write_case(writer, case, &time)))?;
    Ok(())
}

fn write_case(writer: &mut Writer<Vec<u8>>, case: &Case, time: &str) -> io::Result<()> {
    let name = legal(&case.name);
    // The campaign took the time; what it found took none of its own.
    let time = if case.name == "campaign" { time } else { "0" };
    let attributes = [("classname", SUITE), ("name", &*name), ("time", time)];
    let element = writer.create_element("testcase").with_attributes(attributes);
    match &case.result {
        Result::Passed => element.write_empty()?,
        Result::Skipped(message) => element.write_inner_content(|writer| {
            writer.create_element("skipped").with_attribute(("message", &*legal(message))).write_empty()?;
            Ok(())
        })?,
        Result::Failed { kind, message, text } => element.write_inner_content(|writer| {
            let attributes = [("type", legal(kind)), ("message", legal(message))];
            let failure = writer.create_element("failure");
            let failure = failure.with_attributes(attributes.iter().map(|(key, value)| (*key, value.as_str())));
            failure.write_text_content(BytesText::new(&legal(text)))?;
            Ok(())
        })?,
    };
    Ok(())
}

/// Without the characters that XML has no way to write, not even escaped; operations carry clients' bytes.
///
/// Source: XML 1.0, production 2 (Char).
fn legal(text: &str) -> String {
    let replaced = |c| match c {
        '\t' | '\n' | '\r' | ' '..='\u{fffd}' | '\u{10000}'.. => c,
        _ => '\u{fffd}',
    };
    text.chars().map(replaced).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::expect;
    use quick_xml::Reader;
    use quick_xml::events::BytesStart;

    fn example() -> Campaign {
        Campaign {
            seeds: 200,
            failed: 1,
            wall_s: 2.5,
            sometimes: [("raft.truncated".to_string(), 4), ("raft.<restored>".to_string(), 0)].into(),
            failures: vec![Failure {
                seed: 17,
                fingerprint: "watches/lost/\"k\"&<#>".into(),
                severity: "safety".into(),
                sentence: "read \u{0}\u{1b}'\"<&>]]> at 3 s\nnot 4 s".into(),
                seeds: 2,
                reproduce: "cargo sim replay 17".into(),
                ..Failure::default()
            }],
            ..Campaign::default()
        }
    }

    #[test]
    fn a_test_case_for_each_thing_that_can_fail() {
        let quiet = Campaign { failed: 0, failures: vec![], canary: Some(false), ..example() };
        expect![[r#"
            <?xml version="1.0" encoding="UTF-8"?>
            <testsuite name="synod-sim" tests="3" failures="1" errors="0" skipped="1" time="2.500">
              <testcase classname="synod-sim" name="campaign" time="2.500"/>
              <testcase classname="synod-sim" name="sometimes points" time="0">
                <skipped message="1 of 2 points not reached by 200 seeds: raft.&lt;restored&gt;"/>
              </testcase>
              <testcase classname="synod-sim" name="canary" time="0">
                <failure type="canary" message="the plan that must fail did not"></failure>
              </testcase>
            </testsuite>
        "#]]
        .assert_eq(&junit(&quiet));
        let thorough = Campaign { seeds: 10_000, canary: Some(true), ..quiet };
        expect![[r#"
            <?xml version="1.0" encoding="UTF-8"?>
            <testsuite name="synod-sim" tests="3" failures="1" errors="0" skipped="0" time="2.500">
              <testcase classname="synod-sim" name="campaign" time="2.500"/>
              <testcase classname="synod-sim" name="sometimes points" time="0">
                <failure type="missed" message="1 of 2 points not reached">raft.&lt;restored&gt;</failure>
              </testcase>
              <testcase classname="synod-sim" name="canary" time="0"/>
            </testsuite>
        "#]]
        .assert_eq(&junit(&thorough));
        assert!(junit(&Campaign::default()).contains("no seed ran"));
    }

    /// Reads the XML back: well-formed, the totals right, each character as it was.
    #[test]
    fn what_was_said_survives_xml() {
        let text = junit(&example());
        let mut reader = Reader::from_str(&text);
        let attribute = |element: &BytesStart, name: &str| {
            let attribute = element.try_get_attribute(name).unwrap().unwrap();
            quick_xml::escape::unescape(&attribute.value).unwrap().into_owned()
        };
        let (mut names, mut messages, mut totals) = (vec![], vec![], None);
        loop {
            match reader.read_event().unwrap() {
                Event::Start(e) | Event::Empty(e) => match e.name().as_ref() {
                    "testsuite" => totals = Some((attribute(&e, "tests"), attribute(&e, "failures"))),
                    "testcase" => names.push(attribute(&e, "name")),
                    "failure" => messages.push(attribute(&e, "message")),
                    _ => {}
                },
                Event::Eof => break,
                _ => {}
            }
        }
        assert_eq!(totals, Some(("3".into(), "2".into())));
        assert_eq!(names, ["campaign", "watches/lost/\"k\"&<#>", "sometimes points"]);
        assert_eq!(messages[0], "200 seeds, 1 failed, 0 unknown");
        assert_eq!(messages[1], "read \u{fffd}\u{fffd}'\"<&>]]> at 3 s\nnot 4 s");
        assert!(!text.contains(['\u{0}', '\u{1b}']));
    }
}
