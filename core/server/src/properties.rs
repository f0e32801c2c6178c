//! Java's properties format, in which ZooKeeper's configuration is written. Source: Java 17, `Properties.load`.

/// Pairs of key and value in the order of the text; of a key that comes twice the last counts, which is the reader's
/// business.
///
/// # Errors
/// An incomplete `\u` escape.
pub fn parse(text: &str) -> Result<Vec<(String, String)>, String> {
    let mut pairs = Vec::new();
    let mut lines = text.split(['\n', '\r']).enumerate();
    while let Some((number, line)) = lines.next() {
        let mut logical = line.trim_start_matches(BLANKS).to_string();
        if logical.is_empty() || logical.starts_with(['#', '!']) {
            continue;
        }
        // An odd number of backslashes at the end joins the next line, less its leading blanks.
        while logical.bytes().rev().take_while(|b| *b == b'\\').count() % 2 == 1 {
            logical.pop();
            match lines.next() {
                Some((_, next)) => logical.push_str(next.trim_start_matches(BLANKS)),
                None => break,
            }
        }
        let (key, value) = split(&logical);
        let unescape = |part| unescape(part).map_err(|e| format!("line {}: {e}", number + 1));
        pairs.push((unescape(key)?, unescape(value)?));
    }
    Ok(pairs)
}

const BLANKS: [char; 3] = [' ', '\t', '\u{c}'];

/// Key and value, still escaped: the key ends at the first `=`, `:` or blank that no backslash protects.
fn split(line: &str) -> (&str, &str) {
    let mut escaped = false;
    let end = line.find(|c: char| {
        let ends = !escaped && (c == '=' || c == ':' || BLANKS.contains(&c));
        escaped = !escaped && c == '\\';
        ends
    });
    let Some(end) = end else { return (line, "") };
    let rest = line[end..].trim_start_matches(BLANKS);
    let value = rest.strip_prefix(['=', ':']).unwrap_or(rest);
    (&line[..end], value.trim_start_matches(BLANKS))
}

fn unescape(text: &str) -> Result<String, String> {
    let mut plain = String::with_capacity(text.len());
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        if c != '\\' {
            plain.push(c);
            continue;
        }
        match chars.next() {
            Some('t') => plain.push('\t'),
            Some('n') => plain.push('\n'),
            Some('r') => plain.push('\r'),
            Some('f') => plain.push('\u{c}'),
            Some('u') => {
                let digits: String = chars.by_ref().take(4).collect();
                let code = u32::from_str_radix(&digits, 16).ok().filter(|_| digits.len() == 4);
                let code = code.ok_or_else(|| format!("escape `\\u{digits}` has not four hexadecimal digits"))?;
                plain.push(char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER));
            }
            Some(other) => plain.push(other),
            None => {}
        }
    }
    Ok(plain)
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[track_caller]
    fn check(text: &str, expected: &[(&str, &str)]) {
        let found = parse(text).unwrap();
        let found: Vec<_> = found.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn separators() {
        check(
            "a=1\nb:2\nc 3\nd = 4\ne\t:\t5\nf\n",
            &[("a", "1"), ("b", "2"), ("c", "3"), ("d", "4"), ("e", "5"), ("f", "")],
        );
        check("a==b\nserver.1=h:1:2;3\r\n", &[("a", "=b"), ("server.1", "h:1:2;3")]);
        check("trailing = blanks stay  \n", &[("trailing", "blanks stay  ")]);
    }

    #[test]
    fn comments_and_joined_lines() {
        check("# a=1\n  ! b=2\n\n   c=3\n", &[("c", "3")]);
        check("a=1,\\\n    2,\\\r    3\nb=x\\\\\nc=y\\", &[("a", "1,2,3"), ("b", "x\\"), ("c", "y")]);
    }

    #[test]
    fn escapes() {
        check("a\\ b\\=c=d\\te\\u0041\\q", &[("a b=c", "d\teAq")]);
        assert_eq!(parse("x=1\na=\\u12").unwrap_err(), "line 2: escape `\\u12` has not four hexadecimal digits");
    }
}
