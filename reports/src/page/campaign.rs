//! The page of a campaign: what failed, and what the seeds covered; the second is what a green one is worth.

use super::charts::{bars, curve};
use super::{COPY, STYLE, badge, command, escape, fill, grouped};
use crate::campaign::{Campaign, Failure};
use crate::growth::Growth;
use crate::run::Verdict;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

const TEMPLATE: &str = include_str!("campaign.html");
const CAMPAIGN_STYLE: &str = include_str!("campaign.css");

/// The page: verdict, failures with their reproduce lines, coverage, times.
pub fn campaign_page(campaign: &Campaign) -> String {
    let sections = [
        failures(campaign),
        figures(campaign),
        coverage(campaign),
        times(campaign),
        counts(campaign),
        origins(campaign),
    ];
    let (verdict, words) = verdict(campaign);
    let head = format!(
        "<div class=\"verdict\">{}<span>{}</span></div>\n  <h1 class=\"sentence\">{}</h1>",
        badge(verdict, words),
        escape(&range(campaign)),
        escape(&sentence(campaign))
    );
    fill(
        TEMPLATE,
        &[
            ("title", &escape(&format!("{}: {words}", range(campaign)))),
            ("style", &format!("{STYLE}{CAMPAIGN_STYLE}")),
            ("verdict", &head),
            ("sections", &sections.join("\n")),
            ("script", &format!("(() => {{\n{COPY}\n}})();")),
        ],
    )
}

// -- the verdict

/// The campaign's verdict: that of its seeds, or that it is worth nothing.
fn verdict(campaign: &Campaign) -> (Verdict, &'static str) {
    match campaign.verdict() {
        Verdict::Safety => (Verdict::Safety, "Safety violated"),
        Verdict::Liveness => (Verdict::Liveness, "Liveness violated"),
        _ if campaign.canary == Some(false) => (Verdict::Unknown, "Blind"),
        Verdict::Unknown => (Verdict::Unknown, "Unknown"),
        Verdict::Held if campaign.seeds == 0 => (Verdict::Unknown, "Empty"),
        Verdict::Held if campaign.must_reach_all() && !campaign.missed().is_empty() => {
            (Verdict::Unknown, "Points missed")
        }
        Verdict::Held => (Verdict::Held, "Held"),
    }
}

fn range(campaign: &Campaign) -> String {
    let end = campaign.ranges().last().map_or(campaign.first_seed, |last| last.end);
    match campaign.shards.len() {
        0 => format!("seeds {}..{end}", campaign.first_seed),
        shards => format!("seeds {}..{end} in {shards} shards", campaign.first_seed),
    }
}

fn sentence(campaign: &Campaign) -> String {
    let Campaign { seeds, failed, unknown, failures, .. } = campaign;
    let mut text = match (failed, unknown) {
        _ if *seeds == 0 => return "no seed ran".into(),
        (0, 0) => format!("all promises held in {}", many(*seeds, "seed")),
        (0, _) => format!("{} of {} could not be judged", grouped(*unknown), many(*seeds, "seed")),
        (_, 0) => format!("{} of {} failed", grouped(*failed), many(*seeds, "seed")),
        (..) => format!("{} of {} failed, {} unknown", grouped(*failed), many(*seeds, "seed"), grouped(*unknown)),
    };
    match failures.len() {
        0 => {}
        1 => text += ", all in the same way",
        n => _ = write!(text, ", in {n} different ways"),
    }
    let again = campaign.broken_again();
    if !again.is_empty() {
        let _ = write!(text, "; back again: {}", again.join(", "));
    }
    if campaign.canary == Some(false) {
        text += "; but the plan that must fail did not, so failures would not be seen";
    }
    let missed = campaign.missed();
    if campaign.must_reach_all() && !missed.is_empty() {
        let _ = write!(text, "; never reached: {}", missed.join(", "));
    }
    text
}

/// A number and what it counts.
fn many(number: u64, what: &str) -> String {
    format!("{} {what}{}", grouped(number), if number == 1 { "" } else { "s" })
}

// -- what failed

fn failures(campaign: &Campaign) -> String {
    if campaign.failures.is_empty() {
        return String::new();
    }
    let items: String = campaign.failures.iter().map(failure).collect();
    format!("<section aria-label=\"Failures\"><h2>Failures</h2><ol class=\"failures\">{items}</ol></section>")
}

fn failure(failure: &Failure) -> String {
    let severity = match failure.severity.as_str() {
        "safety" => Verdict::Safety,
        "liveness" => Verdict::Liveness,
        _ => Verdict::Unknown,
    };
    format!(
        "<li class=\"{severity}\"><div class=\"rule\">{}<span>{}/{}</span><span>seed {}, {} in all</span></div>\
         <p class=\"said\">{}</p>{}{}</li>",
        badge(severity, severity.word()),
        escape(&failure.oracle),
        escape(&failure.rule),
        failure.seed,
        many(failure.seeds.max(1), "seed"),
        escape(&failure.sentence),
        command(&failure.reproduce),
        failure.page.as_ref().map_or(String::new(), |page| {
            format!("<p class=\"diagram\"><a href=\"{}\">How it happened</a></p>", escape(page))
        })
    )
}

// -- figures

fn figures(campaign: &Campaign) -> String {
    let real_time = campaign.simulated_s / campaign.wall_s.max(1e-9);
    let memory = campaign.rss_mb.end.map_or("?".into(), |mb| format!("{mb:.0} <small>MB</small>"));
    let after = campaign.rss_mb.after_100.map_or(String::new(), |mb| format!(" ({mb:.0} after 100 seeds)"));
    let took_effect = campaign.faults.values().filter(|hits| **hits > 0).count();
    let reached = campaign.sometimes.len() - campaign.missed().len();
    let acknowledged = campaign.operations_acknowledged;
    let mut all = vec![
        (format!("{:.1}", campaign.seeds_per_s), "seeds a second".to_string(), false),
        (
            format!("{} <small>h</small>", hours(campaign.simulated_s)),
            format!("simulated, {real_time:.0} × real time"),
            false,
        ),
        (grouped(acknowledged.total), format!("operations, median {} a seed", grouped(acknowledged.median)), false),
        (
            of(took_effect, campaign.faults.len()),
            "kinds of faults took effect".into(),
            took_effect < campaign.faults.len(),
        ),
        (of(reached, campaign.sometimes.len()), "points reached".into(), reached < campaign.sometimes.len()),
        (format!("{:.0} <small>%</small>", campaign.checker_share * 100.0), "of the time spent checking".into(), false),
        (memory, format!("memory at the end{after}"), false),
    ];
    if campaign.lawfully_stuck > 0 {
        all.push((grouped(campaign.lawfully_stuck), "lawfully stuck: the damage forbids progress".into(), false));
    }
    if !campaign.promoted.is_empty() {
        let (plans, broken) = (campaign.promoted.len(), campaign.broken_again().len());
        all.push((of(plans - broken, plans), "promoted plans held".into(), broken > 0));
    }
    if let Some(failed) = campaign.canary {
        let told = if failed { ("failed", "canary, as it must") } else { ("silent", "canary: it had to fail") };
        all.push((told.0.into(), told.1.into(), !failed));
    }
    let figure = |(value, name, is_alarm): &(String, String, bool)| {
        let class = if *is_alarm { " class=\"alarm\"" } else { "" };
        format!("<div{class}><dt>{}</dt><dd>{value}</dd></div>", escape(name))
    };
    format!("<dl class=\"figures\">{}</dl>", all.iter().map(figure).collect::<String>())
}

fn hours(seconds: f64) -> String {
    let hours = seconds / 3600.0;
    if hours < 10.0 { format!("{hours:.2}") } else { grouped(hours.round() as u64) }
}

fn of(part: usize, whole: usize) -> String {
    format!("{part} <small>of {whole}</small>")
}

// -- charts

fn coverage(campaign: &Campaign) -> String {
    let curves = [("Abstract states", &campaign.states), ("Points", &campaign.points)];
    let drawn: String =
        curves.iter().filter(|(_, growth)| growth.distinct() > 0).map(|(name, g)| growth(campaign, name, g)).collect();
    if drawn.is_empty() {
        return String::new();
    }
    format!(
        "<section aria-label=\"Coverage\"><h2>Coverage over seeds</h2><div class=\"charts\">{drawn}</div></section>"
    )
}

fn growth(campaign: &Campaign, name: &str, growth: &Growth) -> String {
    let label = format!("{name} over seeds: {} distinct", growth.distinct());
    let last_new = campaign.seeds - campaign.seeds_after(growth.last_new_seed).min(campaign.seeds);
    let caption = format!("{} distinct", grouped(growth.distinct()));
    let chart = curve(&label, &growth.points, Some(last_new));
    figure(name, &caption, &chart, &campaign.outlook(growth))
}

fn times(campaign: &Campaign) -> String {
    let operations = ("operations a seed".to_string(), campaign.operations.clone());
    let all = campaign.liveness.clone().into_iter().chain([operations]).filter(|(_, histogram)| histogram.count() > 0);
    let drawn: String = all
        .map(|(name, h)| {
            let caption = format!("{} values", grouped(h.count()));
            figure(&capitalised(&name), &caption, &bars(&format!("{name}: {h}"), &h), &h.to_string())
        })
        .collect();
    if drawn.is_empty() {
        return String::new();
    }
    format!("<section aria-label=\"Distributions\"><h2>Distributions</h2><div class=\"charts\">{drawn}</div></section>")
}

fn figure(name: &str, caption: &str, chart: &str, note: &str) -> String {
    format!(
        "<figure><figcaption><b>{}</b><span>{}</span></figcaption>{chart}<p>{}</p></figure>",
        escape(name),
        escape(caption),
        escape(note)
    )
}

fn capitalised(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map_or(String::new(), |first| first.to_uppercase().chain(chars).collect())
}

// -- tables

fn counts(campaign: &Campaign) -> String {
    let Campaign { faults, sometimes, .. } = campaign;
    let faults = table("Faults", ["took effect as", "", "times"], faults.iter().map(|(k, n)| (k, None, *n)), "never");
    let points = sometimes.iter().map(|(k, n)| (k, None, *n));
    let points = table("Points", ["rare state", "", "reached"], points, "not reached");
    format!("<div class=\"halves\">{faults}{points}</div>")
}

/// What the plans asked for, and beside it where the seeds come from.
fn origins(campaign: &Campaign) -> String {
    let Campaign { faults_planned, faults_held_back, .. } = campaign;
    let of = |counts: &BTreeMap<String, u64>, kind: &str| counts.get(kind).copied().unwrap_or(0);
    let kinds: BTreeSet<&String> = faults_planned.keys().chain(faults_held_back.keys()).collect();
    let held_back = if faults_held_back.is_empty() { "" } else { "held back" };
    let told = |kind| if held_back.is_empty() { None } else { Some(of(faults_held_back, kind)) };
    let plans = kinds.into_iter().map(|kind| (kind, told(kind), of(faults_planned, kind)));
    let plans = table("Plans", ["kind of fault", held_back, "done"], plans, "never");
    let mut note = String::new();
    if !held_back.is_empty() {
        note += "<p class=\"note\">Held back: the disks of too many members would have lost what they held, so that acknowledged \
                 writes could be lost lawfully; or nothing was there to be damaged. Bars are logarithmic.</p>";
    }
    format!("<div class=\"halves\"><div>{plans}{note}</div><div>{}{}</div></div>", profiles(campaign), shards(campaign))
}

/// A section with a table of names, perhaps a number beside each, and counts; nothing without rows. What never
/// happened is first: it is what to look at. The others are by name.
fn table<'a>(
    title: &str,
    [name, beside, counted]: [&str; 3],
    rows: impl Iterator<Item = (&'a String, Option<u64>, u64)>,
    zero: &str,
) -> String {
    let (never, happened): (Vec<_>, Vec<_>) = rows.partition(|(_, _, hits)| *hits == 0);
    let most = happened.iter().map(|(_, _, hits)| *hits).max().unwrap_or(0);
    if never.is_empty() && happened.is_empty() {
        return String::new();
    }
    let number = |text: &str| format!("<th scope=\"col\" class=\"number\">{text}</th>");
    let beside = if beside.is_empty() { String::new() } else { number(beside) };
    let rows: String =
        never.into_iter().chain(happened).map(|(name, n, hits)| row(name, n, hits, most, zero)).collect();
    format!(
        "<section aria-label=\"{title}\"><h2>{title}</h2><table class=\"counts\"><thead><tr><th scope=\"col\">{name}</th>\
         {beside}{}<th class=\"meter\"></th></tr></thead><tbody>{rows}</tbody></table></section>",
        number(counted)
    )
}

fn row(name: &str, beside: Option<u64>, hits: u64, most: u64, zero: &str) -> String {
    let class = if hits == 0 { " class=\"never\"" } else { "" };
    let beside = beside.map_or(String::new(), |n| format!("<td class=\"number\">{}</td>", grouped(n)));
    let told = if hits == 0 { zero.to_string() } else { grouped(hits) };
    // Counts differ by orders of magnitude: the meter's length is their logarithm's.
    let share = 100.0 * ((hits + 1) as f64).log2() / ((most + 1) as f64).log2().max(1.0);
    format!(
        "<tr{class}><td>{}</td>{beside}<td class=\"number\">{told}</td><td class=\"meter\"><span><i style=\"width:{share:.0}%\">\
         </i></span></td></tr>",
        escape(name)
    )
}

fn profiles(campaign: &Campaign) -> String {
    if campaign.profiles.is_empty() {
        return String::new();
    }
    let part = |(_, seeds): (&String, &u64)| format!("<i style=\"flex:{seeds}\"></i>");
    let key = |(name, seeds): (&String, &u64)| format!("<li><i></i>{} {}</li>", escape(name), grouped(*seeds));
    format!(
        "<section aria-label=\"Profiles\"><h2>Profiles</h2><div class=\"split\" aria-hidden=\"true\">{}</div>\
         <ul class=\"keys\">{}</ul></section>",
        campaign.profiles.iter().map(part).collect::<String>(),
        campaign.profiles.iter().map(key).collect::<String>()
    )
}

fn shards(campaign: &Campaign) -> String {
    if campaign.shards.is_empty() {
        return String::new();
    }
    let mut html = String::from(
        "<section aria-label=\"Shards\"><h2>Shards</h2><table class=\"counts\"><thead><tr><th scope=\"col\">seeds</th>\
         <th scope=\"col\" class=\"number\">failed</th><th scope=\"col\" class=\"number\">seconds</th></tr></thead><tbody>",
    );
    for shard in &campaign.shards {
        let range = shard.range();
        let _ = write!(
            html,
            "<tr><td>{}..{}</td><td class=\"number\">{}</td><td class=\"number\">{:.0}</td></tr>",
            range.start, range.end, shard.failed, shard.wall_s
        );
    }
    html += "</tbody></table>";
    for gap in campaign.gaps() {
        let _ = write!(html, "<p class=\"note\">Seeds {}..{} did not run.</p>", gap.start, gap.end);
    }
    html + "</section>"
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::campaign::Shard;

    fn head(campaign: &Campaign) -> String {
        format!("{}: {}", verdict(campaign).1, sentence(campaign))
    }

    #[test]
    fn the_sentence_says_what_counts() {
        let green = Campaign { seeds: 10_000, ..Campaign::default() };
        assert_eq!(head(&green), "Held: all promises held in 10,000 seeds");
        let missed_by = |c: &Campaign| Campaign { sometimes: [("raft.rare".to_string(), 0)].into(), ..c.clone() };
        let missed = missed_by(&green);
        assert_eq!(head(&missed), "Points missed: all promises held in 10,000 seeds; never reached: raft.rare");
        assert_eq!(head(&Campaign { seeds: 9_999, ..missed }), "Held: all promises held in 9,999 seeds");
        let blind = Campaign { canary: Some(false), ..green.clone() };
        assert!(
            head(&blind).starts_with("Blind: all promises held in 10,000 seeds; but the plan that must fail did not")
        );
        assert_eq!(head(&Campaign::default()), "Empty: no seed ran");
        let back = Campaign { promoted: [("lost-vote".to_string(), false)].into(), ..green.clone() };
        assert_eq!(head(&back), "Held: all promises held in 10,000 seeds; back again: lost-vote");
        let calm = Campaign { profiles: [("calm".to_string(), 10_000)].into(), ..missed_by(&green) };
        assert_eq!(head(&calm), "Held: all promises held in 10,000 seeds");
        let failure = |severity: &str| Failure { severity: severity.into(), ..Failure::default() };
        let red = Campaign { failed: 7, unknown: 1, failures: vec![failure("unknown"), failure("liveness")], ..green };
        assert_eq!(head(&red), "Liveness violated: 7 of 10,000 seeds failed, 1 unknown, in 2 different ways");
    }

    #[test]
    fn nothing_that_was_said_becomes_html() {
        let hostile = "</style><script>alert(1)</script>\"'".to_string();
        let failure = Failure {
            fingerprint: hostile.clone(),
            oracle: hostile.clone(),
            rule: hostile.clone(),
            severity: hostile.clone(),
            sentence: hostile.clone(),
            reproduce: hostile.clone(),
            page: Some(hostile.clone()),
            ..Failure::default()
        };
        let counts: BTreeMap<String, u64> = [(hostile.clone(), 1)].into();
        let mut histogram = crate::Histogram::new(&hostile);
        histogram.record(7);
        let page = campaign_page(&Campaign {
            seeds: 20_000,
            failures: vec![failure],
            faults: counts.clone(),
            faults_planned: counts.clone(),
            faults_held_back: counts.clone(),
            promoted: [(hostile.clone(), false)].into(),
            sometimes: [(hostile.clone(), 0)].into(),
            profiles: counts,
            liveness: [(hostile, histogram)].into(),
            shards: vec![Shard::default()],
            ..Campaign::default()
        });
        assert_eq!(page.matches("<script").count(), 1);
        assert_eq!(page.matches("</style").count(), 1);
    }

    #[test]
    fn a_page_of_a_campaign_without_counts() {
        let page = campaign_page(&Campaign { seeds: 3, ..Campaign::default() });
        assert!(page.contains("all promises held in 3 seeds") && !page.contains("NaN"));
    }
}
