//! The fault points of a member: places where the simulator lets happen what is allowed and never happens by itself.
//! Each of them costs nothing in production (`Env::buggify`) and none may break a promise of the engine. What is
//! replicated has none: `state`, `consensus` and `replica` do not know the world.

/// Their names, sorted; those of `storage` included.
pub const FAULT_POINTS: &[&str] = &[
    "node.appended_late",
    "node.chunk_refused",
    "node.chunk_unread",
    "node.client_dropped",
    "node.client_read_cut",
    "node.client_write_cut",
    "node.flush_late",
    "node.link_closed",
    "node.link_in_closed",
    "node.link_in_parts",
    "node.log_late",
    "node.redial_late",
    "node.restore_late",
    "node.snapshot_abandoned",
    "node.snapshot_written_twice",
    "node.start_late",
    "node.timer_late",
    "storage.flush_in_parts",
    "storage.open_half_done",
    "storage.open_late",
    "storage.open_refused",
    "storage.retire_late",
    "storage.retire_never",
    "storage.roll_early",
    "storage.snapshot_sync_early",
    "storage.spare_lost",
    "storage.sync_twice",
];

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::fs;
    use std::path::Path;

    /// The names in one file: of the calls on `env`, and of the functions that pass a name on.
    fn named_in(source: &str, found: &mut BTreeSet<String>) {
        for name in source.split('"').skip(1).step_by(2) {
            let point = name.strip_prefix("node.").or(name.strip_prefix("storage."));
            let calls = ["buggify(", "buggify_below(", "buggify_pause(", "refuse(env, ", "cut(&shared, "];
            if point.is_some() && calls.iter().any(|call| source.contains(&format!("{call}\"{name}\""))) {
                found.insert(name.to_owned());
            }
        }
    }

    #[test]
    fn every_fault_point_is_listed_and_every_listed_one_is_there() {
        let core = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        let mut found = BTreeSet::new();
        let mut calls = 0;
        for room in fs::read_dir(core).expect("core").flatten() {
            let mut folders = vec![room.path().join("src")];
            while let Some(folder) = folders.pop() {
                for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
                    let path = entry.path();
                    if path.is_dir() {
                        folders.push(path);
                    } else if !path.ends_with("fault_points.rs") && room.file_name() != "env" {
                        let source = fs::read_to_string(&path).unwrap_or_default();
                        let own = source.matches("buggify").count();
                        calls += own;
                        let may = room.file_name() == "node" || room.file_name() == "storage";
                        assert!(may || own == 0, "{}: fault points belong into node and storage", path.display());
                        named_in(&source, &mut found);
                    }
                }
            }
        }
        assert_eq!(found.into_iter().collect::<Vec<_>>(), super::FAULT_POINTS);
        // Two functions pass on the names that they are given, each for two points.
        assert_eq!(calls, super::FAULT_POINTS.len() - 2, "a fault point without a literal name, or one name twice");
    }
}
