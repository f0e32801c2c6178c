//! Who a client is. Source: ZooKeeper 3.9, `DigestAuthenticationProvider`, `IPAuthenticationProvider`.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use sha1::{Digest, Sha1};
use std::net::SocketAddr;
use synod_types::Identity;

/// The identity that every connection has.
pub(crate) fn by_address(address: SocketAddr) -> Identity {
    Identity { scheme: "ip".into(), id: address.ip().to_canonical().to_string() }
}

/// What a client proves by an auth packet; the super user is two identities. `None`: unknown scheme or bad data.
pub(crate) fn by_proof(scheme: &str, proof: &[u8], super_digest: Option<&str>) -> Option<Vec<Identity>> {
    match scheme {
        "digest" => {
            let text = std::str::from_utf8(proof).ok()?;
            let (user, _) = text.split_once(':').unwrap_or((text, ""));
            let id = format!("{user}:{}", STANDARD.encode(Sha1::digest(proof)));
            let mut identities = Vec::new();
            if super_digest == Some(id.as_str()) {
                identities.push(Identity { scheme: "super".into(), id: String::new() });
            }
            identities.push(Identity { scheme: "digest".into(), id });
            Some(identities)
        }
        // Already known from the address; accepted like ZooKeeper's provider does.
        "ip" => Some(Vec::new()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digest_is_user_and_base64_of_sha1_of_both() {
        // The value that ZooKeeper's documentation of the super user gives for super:test.
        let expected = "super:D/InIHSb7yEEbrWz8b9l71RjZJU=";
        let known = by_proof("digest", b"super:test", Some(expected)).unwrap();
        assert_eq!(known[0].scheme, "super");
        assert_eq!(known[1].id, expected);
        assert_eq!(by_proof("digest", b"super:tesu", Some(expected)).unwrap().len(), 1);
        assert_eq!(by_proof("kerberos", b"x", None), None);
    }
}
