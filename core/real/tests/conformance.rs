//! The real world keeps the promises of the seam, and storage works on it.

use std::net::{IpAddr, Ipv4Addr};

#[test]
fn conforms() {
    let folder = tempfile::tempdir().expect("temporary folder");
    let path = folder.path().to_owned();
    synod_real::run(
        |env| async move { synod_env::conformance::all(env, &path, IpAddr::V4(Ipv4Addr::LOCALHOST)).await },
    );
}

#[test]
fn stores() {
    let folder = tempfile::tempdir().expect("temporary folder");
    let path = folder.path().to_owned();
    synod_real::run(|env| async move { synod_storage::suite::all(&env, &path, synod_types::Mutants::NONE).await });
}
