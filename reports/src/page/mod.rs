//! Pages for people: one self-contained HTML file each, which works from a disk, without network, in any browser.
//!
//! What matters most (verdict, sentence, reproduce line, explanation, findings) is in the HTML itself and needs no
//! JavaScript. A content security policy forbids the page to load or send anything. Everything that a run said is
//! escaped: operations carry clients' bytes, and those may well look like HTML.

mod campaign;
mod charts;
mod run;

pub use campaign::campaign_page;
pub use run::run_page;

use crate::run::Verdict;
use std::fmt::Write;

const STYLE: &str = include_str!("style.css");
const COPY: &str = include_str!("copy.js");

/// Text as HTML's text, also inside quoted attributes.
fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped += "&amp;",
            '<' => escaped += "&lt;",
            '>' => escaped += "&gt;",
            '"' => escaped += "&quot;",
            '\'' => escaped += "&#39;",
            c => escaped.push(c),
        }
    }
    escaped
}

/// Fills the `{{names}}` of a template, once: what is filled in is not searched again.
fn fill(template: &str, values: &[(&str, &str)]) -> String {
    let mut parts = template.split("{{");
    let mut page = parts.next().unwrap_or_default().to_string();
    for part in parts {
        let (name, rest) = part.split_once("}}").expect("templates close what they open");
        let (_, value) = values.iter().find(|(known, _)| *known == name).expect("templates name known values");
        page += value;
        page += rest;
    }
    page
}

/// A verdict in words and its tone.
fn badge(verdict: Verdict, words: &str) -> String {
    format!("<span class=\"badge {verdict}\">{}</span>", escape(words))
}

/// A command with its button.
fn command(line: &str) -> String {
    if line.is_empty() {
        return String::new();
    }
    format!(
        "<div class=\"reproduce\"><code tabindex=\"0\">{}</code><button class=\"button copy\">Copy</button>\
         <span class=\"copied\" role=\"status\"></span></div>",
        escape(line)
    )
}

/// A number with its thousands apart.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        let _ = write!(text, "{digit}");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn templates_are_filled_once() {
        assert_eq!(fill("<{{a}}|{{b}}>", &[("b", "{{a}}"), ("a", "1")]), "<1|{{a}}>");
        assert_eq!(escape("<a href='x'>\"&\""), "&lt;a href=&#39;x&#39;&gt;&quot;&amp;&quot;");
        assert_eq!([0, 999, 1000, 1234567].map(grouped), ["0", "999", "1,000", "1,234,567"]);
    }
}
