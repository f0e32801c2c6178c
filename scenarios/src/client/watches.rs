//! Watches a client believes it has.

use std::collections::BTreeSet;
use synod_checkers::history::WatchKind;

/// Their paths, by kind.
#[derive(Default)]
pub(super) struct Watches {
    pub data: BTreeSet<String>,
    pub exist: BTreeSet<String>,
    pub child: BTreeSet<String>,
    pub persistent: BTreeSet<String>,
    pub recursive: BTreeSet<String>,
}

impl Watches {
    pub fn fired(&mut self, kind: WatchKind, path: &str) {
        match kind {
            WatchKind::ChildrenChanged => drop(self.child.remove(path)),
            WatchKind::Created | WatchKind::DataChanged => {
                self.data.remove(path);
                self.exist.remove(path);
            }
            WatchKind::Deleted => {
                self.data.remove(path);
                self.exist.remove(path);
                self.child.remove(path);
            }
        }
    }

    pub fn is_empty(&self) -> bool {
        let all = [&self.data, &self.exist, &self.child, &self.persistent, &self.recursive];
        all.iter().all(|set| set.is_empty())
    }

    /// The server was asked to drop watches of a kind.
    pub fn removed(&mut self, path: &str, kind: i32) {
        let sets = [
            (1, &mut self.child),
            (2, &mut self.data),
            (2, &mut self.exist),
            (4, &mut self.persistent),
            (5, &mut self.recursive),
        ];
        for (of, set) in sets {
            if kind == of || kind == 3 {
                set.remove(path);
            }
        }
    }
}
