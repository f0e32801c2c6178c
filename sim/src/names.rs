//! The names of one disk's files and directories: as processes see them, and as a power failure would leave them.
//!
//! A change of names is durable when its directory is synced. Until then a power failure keeps or loses each one on its
//! own, whatever became of those before it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

#[derive(Clone)]
pub(crate) struct Names {
    files: BTreeMap<PathBuf, u64>,
    dirs: BTreeSet<PathBuf>,
    durable_files: BTreeMap<PathBuf, u64>,
    durable_dirs: BTreeSet<PathBuf>,
    changes: Vec<Change>,
}

/// A change since the last sync of its directory.
#[derive(Clone)]
enum Change {
    Link(PathBuf, u64),
    Unlink(PathBuf),
    Rename(PathBuf, PathBuf, u64),
    Dir(PathBuf),
}

impl Change {
    fn path(&self) -> &Path {
        match self {
            Change::Link(path, _) | Change::Unlink(path) | Change::Dir(path) => path,
            Change::Rename(_, to, _) => to,
        }
    }

    fn file(&self) -> Option<u64> {
        match self {
            Change::Link(_, file) | Change::Rename(_, _, file) => Some(*file),
            Change::Unlink(_) | Change::Dir(_) => None,
        }
    }
}

fn parent(path: &Path) -> &Path {
    path.parent().unwrap_or(Path::new(""))
}

impl Names {
    /// The directories that are always there, and nothing in them.
    pub fn new() -> Names {
        let roots = || [PathBuf::new(), PathBuf::from("/")].into();
        Names {
            files: BTreeMap::new(),
            dirs: roots(),
            durable_files: BTreeMap::new(),
            durable_dirs: roots(),
            changes: Vec::new(),
        }
    }

    pub fn file(&self, path: &Path) -> Option<u64> {
        self.files.get(path).copied()
    }

    pub fn files(&self) -> impl Iterator<Item = (&Path, u64)> {
        self.files.iter().map(|(path, &file)| (path.as_path(), file))
    }

    pub fn has_dir(&self, path: &Path) -> bool {
        self.dirs.contains(path)
    }

    /// Whether something can get this name.
    pub fn has_room_for(&self, path: &Path) -> bool {
        self.has_dir(parent(path))
    }

    /// Names of the files in a directory.
    pub fn list(&self, dir: &Path) -> Vec<PathBuf> {
        let inside = self.files.keys().filter(|name| parent(name) == dir);
        inside.filter_map(|name| name.file_name()).map(PathBuf::from).collect()
    }

    pub fn make_dirs(&mut self, path: &Path) {
        let mut missing: Vec<&Path> = path.ancestors().filter(|dir| !self.dirs.contains(*dir)).collect();
        missing.reverse();
        for dir in missing {
            self.dirs.insert(dir.to_owned());
            self.changes.push(Change::Dir(dir.to_owned()));
        }
    }

    pub fn link(&mut self, path: PathBuf, file: u64) {
        self.files.insert(path.clone(), file);
        self.changes.push(Change::Link(path, file));
    }

    /// Whether there was such a name.
    pub fn unlink(&mut self, path: &Path) -> bool {
        let was = self.files.remove(path).is_some();
        if was {
            self.changes.push(Change::Unlink(path.to_owned()));
        }
        was
    }

    /// Whether there was such a name, and room for the other.
    pub fn rename(&mut self, from: PathBuf, to: PathBuf) -> bool {
        if !self.has_room_for(&to) {
            return false;
        }
        let Some(file) = self.files.remove(&from) else { return false };
        self.files.insert(to.clone(), file);
        self.changes.push(Change::Rename(from, to, file));
        true
    }

    /// Makes the changes in a directory durable.
    pub fn sync(&mut self, dir: &Path) {
        let changes = std::mem::take(&mut self.changes);
        let (now, later) = changes.into_iter().partition::<Vec<_>, _>(|change| parent(change.path()) == dir);
        self.changes = later;
        now.into_iter().for_each(|change| self.make_durable(change));
    }

    /// Makes everything durable.
    pub fn sync_all(&mut self) {
        self.changes.clear();
        (self.durable_files, self.durable_dirs) = (self.files.clone(), self.dirs.clone());
    }

    fn make_durable(&mut self, change: Change) {
        match change {
            Change::Link(path, file) => {
                self.durable_files.insert(path, file);
            }
            Change::Unlink(path) => {
                self.durable_files.remove(&path);
            }
            Change::Rename(from, to, file) => {
                if self.durable_files.get(&from) == Some(&file) {
                    self.durable_files.remove(&from);
                }
                self.durable_files.insert(to, file);
            }
            Change::Dir(path) => {
                self.durable_dirs.insert(path);
            }
        }
    }

    /// Number of changes that are not durable.
    pub fn unsynced(&self) -> usize {
        self.changes.len()
    }

    /// Power is gone: `keeps` decides for each change, in order. Gives the number of changes that are lost.
    pub fn lose(&mut self, mut keeps: impl FnMut() -> bool) -> u64 {
        let mut lost = 0;
        for change in std::mem::take(&mut self.changes) {
            if keeps() {
                self.make_durable(change);
            } else {
                lost += 1;
            }
        }
        // What lay in a directory that is gone is gone with it.
        let dirs = self.durable_dirs.clone();
        let has_parents = |path: &Path| path.ancestors().skip(1).all(|dir| dirs.contains(dir));
        self.durable_dirs.retain(|dir| has_parents(dir));
        self.durable_files.retain(|path, _| has_parents(path));
        (self.files, self.dirs) = (self.durable_files.clone(), self.durable_dirs.clone());
        lost
    }

    /// Files that a name leads to, now or after a power failure.
    pub fn named(&self) -> BTreeSet<u64> {
        let names = self.files.values().chain(self.durable_files.values()).copied();
        names.chain(self.changes.iter().filter_map(Change::file)).collect()
    }

    /// The same names, for files that have got other numbers.
    pub fn renumbered(mut self, numbers: &BTreeMap<u64, u64>) -> Names {
        self.files.retain(|_, file| {
            let new = numbers.get(file);
            *file = new.copied().unwrap_or(0);
            new.is_some()
        });
        self.sync_all();
        self
    }
}
