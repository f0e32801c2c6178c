//! The page of one run.

use super::{COPY, STYLE, badge, command, escape, fill, grouped};
use crate::run::{Explanation, Fact, FindingRow, RunReport, Verdict};
use std::fmt::Write;

const TEMPLATE: &str = include_str!("run.html");
const RUN_STYLE: &str = include_str!("run.css");
/// In this order; they share one scope.
const SCRIPTS: [&str; 8] = [
    include_str!("report.js"),
    include_str!("diagram.js"),
    include_str!("pointed.js"),
    include_str!("overview.js"),
    include_str!("past.js"),
    include_str!("panel.js"),
    include_str!("history.js"),
    include_str!("page.js"),
];

/// The page: verdict, explanation, findings, the space-time diagram and the history.
pub fn run_page(report: &RunReport) -> String {
    let script = format!("(() => {{\n{}\n}})();\n(() => {{\n{COPY}\n}})();", SCRIPTS.join("\n"));
    fill(
        TEMPLATE,
        &[
            ("title", &escape(&format!("{}: {}", report.title, words(report.verdict)))),
            ("style", &format!("{STYLE}{RUN_STYLE}")),
            ("verdict", &verdict(report)),
            ("why", &report.explanation.as_ref().map_or(String::new(), why)),
            ("findings", &findings(&report.findings)),
            ("data", &embedded(report)),
            ("script", &script),
        ],
    )
}

/// The report as JSON that no browser takes for the end of its element.
fn embedded(report: &RunReport) -> String {
    let json = serde_json::to_string(report).expect("reports have string keys and no foreign types");
    json.replace('<', "\\u003c")
}

fn words(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Held => "Held",
        Verdict::Unknown => "Unknown",
        Verdict::Liveness => "Liveness violated",
        Verdict::Safety => "Safety violated",
    }
}

fn verdict(report: &RunReport) -> String {
    let count = |n: u64, what: &str| format!("{} {what}{}", grouped(n), if n == 1 { "" } else { "s" });
    let mut facts = vec![
        report.profile.clone(),
        count(report.nodes.into(), "node"),
        count(report.clients.into(), "client"),
        count(report.operations.len() as u64, "operation"),
        count(report.faults.len() as u64, "fault"),
        format!("{:.3} s simulated", report.end_ns as f64 / 1e9),
    ];
    facts.extend(report.replay.as_ref().map(|replay| format!("replay: {replay}")));
    facts.retain(|fact| !fact.is_empty());
    format!(
        "<div class=\"verdict\">{}<span>{}</span></div>\n  <h1 class=\"sentence\">{}</h1>\n  {}\n  \
         <p class=\"run-facts soft\">{}</p>",
        badge(report.verdict, words(report.verdict)),
        escape(&report.title),
        escape(&report.sentence),
        command(&report.reproduce),
        escape(&facts.join(" · "))
    )
}

fn why(explanation: &Explanation) -> String {
    let mut html = String::from("<section class=\"why\" aria-label=\"Explanation\">\n");
    if !explanation.facts.is_empty() {
        html += "<div><h2>What contradicts what</h2><ol class=\"facts\">";
        for (at, Fact { at_ns, text, .. }) in explanation.facts.iter().enumerate() {
            let (time, text) = (*at_ns as f64 / 1e9, escape(text));
            let _ = write!(
                html,
                "<li><time>{time:.6} s</time><span><button data-fact=\"{at}\">{text}</button></span></li>"
            );
        }
        html += "</ol></div>\n";
    }
    html += "<div>";
    if !explanation.necessary.is_empty() {
        let _ = write!(html, "<h2>Necessary</h2>{}", causes("causes", &explanation.necessary));
    }
    if !explanation.irrelevant.is_empty() {
        let count = explanation.irrelevant.len();
        let list = causes("causes irrelevant", &explanation.irrelevant);
        let _ = write!(html, "<details><summary>{count} irrelevant</summary>{list}</details>");
    }
    html + "</div>\n</section>"
}

fn causes(class: &str, texts: &[String]) -> String {
    let items: String = texts.iter().map(|text| format!("<li>{}</li>", escape(text))).collect();
    format!("<ul class=\"{class}\">{items}</ul>")
}

fn findings(findings: &[FindingRow]) -> String {
    if findings.is_empty() {
        return String::new();
    }
    let mut html =
        format!("<section class=\"findings\" aria-label=\"Findings\"><h2>Findings: {}</h2><ol>", findings.len());
    for FindingRow { oracle, rule, object, severity, sentence, operations } in findings {
        let count = match operations.len() {
            0 => String::new(),
            1 => "1 operation".into(),
            n => format!("{n} operations"),
        };
        let _ = write!(
            html,
            "<li><button class=\"finding\" aria-pressed=\"false\">{}<span class=\"rule\">{}/{} <code class=\"soft\">{}\
             </code></span><span class=\"text\">{}</span><span class=\"count soft\">{count}</span></button></li>",
            badge(*severity, severity.word()),
            escape(oracle),
            escape(rule),
            escape(object),
            escape(sentence),
        );
    }
    html + "</ol></section>"
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run::{Event, Operation};

    fn report() -> RunReport {
        let hostile = "</script><script>alert(1)</script><!--<script>\u{2028}\"'&";
        RunReport {
            title: hostile.into(),
            verdict: Verdict::Safety,
            sentence: hostile.into(),
            reproduce: hostile.into(),
            replay: Some("exact".into()),
            events: vec![Event { text: hostile.into(), ..Event::default() }],
            operations: vec![Operation { request: hostile.into(), ..Operation::default() }],
            findings: vec![FindingRow { sentence: hostile.into(), object: hostile.into(), ..FindingRow::default() }],
            explanation: Some(Explanation {
                necessary: vec![hostile.into()],
                irrelevant: vec![hostile.into()],
                facts: vec![Fact { text: hostile.into(), ..Fact::default() }],
            }),
            ..RunReport::default()
        }
    }

    #[test]
    fn nothing_that_was_said_becomes_html() {
        let page = run_page(&report());
        assert_eq!(page.matches("<script").count(), 2, "the data and the code");
        assert_eq!(page.matches("</script").count(), 2);
        assert!(!page.contains("<!--"));
    }

    #[test]
    fn the_data_is_the_report() {
        let page = run_page(&report());
        let (_, rest) = page.split_once("id=\"report\">").unwrap();
        let (data, _) = rest.split_once("</script>").unwrap();
        assert_eq!(serde_json::from_str::<RunReport>(data).unwrap(), report());
    }

    #[test]
    fn the_verdict_is_first_and_nothing_is_loaded() {
        let mut held = report();
        (held.verdict, held.sentence) = (Verdict::Held, "all promises held".into());
        let page = run_page(&held);
        let body = &page[page.find("<body>").unwrap()..];
        let sentence = body.find("all promises held").unwrap();
        assert!(body[..sentence].contains("Held") && body.find("<section").unwrap() > sentence);
        assert!(page.contains("default-src 'none'"));
        for loads in ["src=", "@import", "url(", "http:", "https:", "fetch(", "XMLHttpRequest"] {
            assert!(!page.contains(loads), "{loads}");
        }
    }
}
