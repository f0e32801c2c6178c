//! Records and back. That a restored state equals the original is tested over random ones.

use crate::world::{World, acl, create_with};
use synod_state::{RestoreError, State};
use synod_types::Mutants;
use synod_types::record::Record;
use synod_types::version::CLUSTER_VERSION;
use synod_types::znode::CreateMode;

fn some() -> Vec<Record> {
    let mut world = World::new();
    for path in ["/b", "/a", "/a/x"] {
        world.create(path).unwrap();
    }
    world.create_as("/a/e", CreateMode::Ephemeral).unwrap();
    world.write(create_with("/l", Some(vec![acl(1, "digest", "u:h")]))).unwrap();
    world.state.records().collect()
}

fn restore(records: Vec<Record>) -> Result<State, RestoreError> {
    State::restore(records.into_iter(), Mutants::NONE)
}

#[test]
fn records_come_in_a_fixed_order() {
    let records = some();
    let kinds: String = records
        .iter()
        .map(|record| match record {
            Record::Header(_) => 'h',
            Record::Session(_) => 's',
            Record::Acl(_) => 'a',
            Record::Znode(_) => 'z',
        })
        .collect();
    assert_eq!(kinds, "hsaaazzzzzzzzz");
    let paths = records.iter().filter_map(|r| if let Record::Znode(z) = r { Some(z.path.as_str()) } else { None });
    let expected = ["/", "/a", "/b", "/l", "/zookeeper", "/a/e", "/a/x", "/zookeeper/config", "/zookeeper/quota"];
    assert_eq!(paths.collect::<Vec<_>>(), expected);
    assert!(restore(records).is_ok());
}

#[test]
fn equal_states_give_equal_records_whatever_their_history() {
    let (mut one, mut other) = (World::new(), World::new());
    for n in 0..200 {
        one.create(&format!("/{n:03}")).unwrap();
        other.create(&format!("/{n:03}")).unwrap();
    }
    let copy = one.state.clone();
    one.create("/more").unwrap();
    assert_eq!(copy, other.state);
    assert!(copy.records().eq(other.state.records()));
}

#[test]
fn whatever_is_missing_doubled_or_moved_is_noticed() {
    let whole = some();
    for n in 0..whole.len() {
        let mut records = whole.clone();
        let gone = records.remove(n);
        assert!(restore(records.clone()).is_err(), "without record {n}");
        records.insert(n, gone.clone());
        records.insert(n, gone);
        assert!(restore(records).is_err(), "record {n} twice");
        let mut records = whole.clone();
        let next = (n + 1) % records.len();
        records.swap(n, next);
        // Which number a list has does not matter, only which list a node has; two unused ones may trade places.
        assert!(restore(records).is_err(), "record {n} after the next");
    }
    assert_eq!(restore(vec![]), Err(RestoreError::NoHeader));
}

#[test]
fn whatever_is_altered_is_noticed() {
    let whole = some();
    for n in 0..whole.len() {
        let mut records = whole.clone();
        match &mut records[n] {
            Record::Header(header) => header.index.0 += 1,
            Record::Session(session) => session.owner.connection += 1,
            Record::Acl(list) => *list = list.iter().map(|a| acl(a.perms ^ 8, "digest", "v:h")).collect(),
            Record::Znode(znode) => znode.pzxid.0 += 1,
        }
        let error = restore(records);
        assert!(matches!(error, Err(RestoreError::Digest { .. })), "record {n}: {error:?}");
    }
    let altered = |change: &dyn Fn(&mut synod_types::record::ZnodeRecord)| {
        let mut records = whole.clone();
        let Some(Record::Znode(znode)) = records.last_mut() else { panic!() };
        change(znode);
        restore(records).unwrap_err()
    };
    assert!(matches!(altered(&|z| z.data = None), RestoreError::Digest { .. }));
    assert!(matches!(altered(&|z| z.acl = 77), RestoreError::NoAcl { acl: 77, .. }));
    assert!(matches!(altered(&|z| z.path = "/zookeeper/z/q".into()), RestoreError::Orphan(_)));
    assert!(matches!(altered(&|z| z.path = "/zookeeper//q".into()), RestoreError::Path(_)));
    assert!(matches!(altered(&|z| z.path = "/zookeeper/r".into()), RestoreError::Digest { .. }));
}

#[test]
fn a_version_that_nobody_knows_is_refused() {
    for version in [0, CLUSTER_VERSION + 1] {
        let mut records = some();
        let Record::Header(header) = &mut records[0] else { panic!() };
        header.version = version;
        assert_eq!(restore(records), Err(RestoreError::Version(version)));
    }
}
