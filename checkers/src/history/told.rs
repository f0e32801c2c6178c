//! How creates and answers are told: what they do not have is not told either.

use super::{Create, Reply};
use std::fmt::{Debug, DebugStruct, Formatter, Result};

fn put<T: Debug>(told: &mut DebugStruct<'_, '_>, name: &str, value: Option<&T>) {
    if let Some(value) = value {
        told.field(name, value);
    }
}

fn some<T>(list: &Vec<T>) -> Option<&Vec<T>> {
    Some(list).filter(|list| !list.is_empty())
}

impl Debug for Create {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        let Create { path, data, ephemeral, sequential, container, ttl_ms, acl, old } = self;
        let mut told = f.debug_struct("Create");
        told.field("path", path).field("data", data);
        for (name, is) in [("ephemeral", ephemeral), ("sequential", sequential), ("container", container), ("old", old)]
        {
            put(&mut told, name, Some(is).filter(|is| **is));
        }
        put(&mut told, "ttl_ms", ttl_ms.as_ref());
        put(&mut told, "acl", acl.as_ref());
        told.finish()
    }
}

impl Debug for Reply {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        let Reply { path, stat, data, children, multi, session, acl, paths, count, who, many } = self;
        let mut told = f.debug_struct("Reply");
        put(&mut told, "path", path.as_ref());
        put(&mut told, "stat", stat.as_ref());
        put(&mut told, "data", data.as_ref());
        put(&mut told, "children", children.as_ref());
        put(&mut told, "multi", some(multi));
        put(&mut told, "session", session.as_ref());
        put(&mut told, "acl", acl.as_ref());
        put(&mut told, "paths", paths.as_ref());
        put(&mut told, "count", count.as_ref());
        put(&mut told, "who", who.as_ref());
        put(&mut told, "many", some(many));
        told.finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_absent_is_not_told() {
        assert_eq!(format!("{:?}", Reply::default()), "Reply");
        let reply = Reply { count: Some(3), paths: Some(Vec::new()), ..Reply::default() };
        assert_eq!(format!("{reply:?}"), "Reply { paths: [], count: 3 }");
        let create = Create { path: "/a".into(), sequential: true, ..Create::default() };
        assert_eq!(format!("{create:?}"), r#"Create { path: "/a", data: "", sequential: true }"#);
    }
}
