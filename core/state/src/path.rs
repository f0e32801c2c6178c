//! Which strings are paths. Source: ZooKeeper 3.9, `PathUtils`.

/// Whether a znode may have this path.
pub fn valid(path: &str) -> bool {
    let Some(rest) = path.strip_prefix('/') else { return false };
    if rest.is_empty() {
        return true;
    }
    rest.split('/').all(|segment| !matches!(segment, "" | "." | "..")) && rest.chars().all(legal)
}

/// Control characters, the private use area and the specials are not. ZooKeeper looks at UTF-16 units and forbids
/// surrogates, thus all beyond the basic plane.
fn legal(c: char) -> bool {
    !matches!(c, '\0'..='\u{1f}' | '\u{7f}'..='\u{9f}' | '\u{e000}'..='\u{f8ff}' | '\u{fff0}'..)
}

/// The path of the node above; the root is its own parent.
pub fn parent(path: &str) -> &str {
    match path.rfind('/') {
        Some(0) | None => "/",
        Some(slash) => &path[..slash],
    }
}

/// Nodes that cannot be deleted.
pub fn system(path: &str) -> bool {
    matches!(path, "/" | "/zookeeper" | "/zookeeper/config" | "/zookeeper/quota")
}
