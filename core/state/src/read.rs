//! Questions about the applied state, and who may ask them. Source: ZooKeeper 3.9, `FinalRequestProcessor`.

use crate::State;
use crate::acl;
use crate::znode::Znode;
use bytes::Bytes;
use synod_types::znode::perms;
use synod_types::{Acl, ErrorCode, Identity, SessionId, Stat};

/// A question.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Query {
    /// A node's stat.
    Exists { path: String },
    /// Its data and stat.
    GetData { path: String },
    /// Its children's names and its stat.
    GetChildren { path: String },
    /// Its access control list and stat.
    GetAcl { path: String },
    /// The paths of a session's ephemeral nodes that begin with `prefix`; an empty one or `/` means all.
    Ephemerals { session: SessionId, prefix: String },
    /// The number of nodes below a node, at any depth.
    AllChildrenNumber { path: String },
}

/// The answer.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Answer {
    /// To `Exists`.
    Stat(Stat),
    /// To `GetData`.
    Data { data: Option<Bytes>, stat: Stat },
    /// To `GetChildren`; names in ascending order.
    Children { children: Vec<String>, stat: Stat },
    /// To `GetAcl`. Without ADMIN the secrets of the digest scheme are hidden.
    Acl { acl: Vec<Acl>, stat: Stat },
    /// To `Ephemerals`, in ascending order.
    Paths(Vec<String>),
    /// To `AllChildrenNumber`.
    Count(i32),
}

impl State {
    /// Answers from the applied state.
    ///
    /// # Errors
    /// `NoNode`, `NoAuth`.
    pub fn read(&self, query: &Query, identities: &[Identity]) -> Result<Answer, ErrorCode> {
        let permitted = |path: &str, perms: u32| -> Result<&Znode, ErrorCode> {
            let node = self.tree.node(path).ok_or(ErrorCode::NoNode)?;
            if node.acl.permits(perms, identities) { Ok(node) } else { Err(ErrorCode::NoAuth) }
        };
        match query {
            Query::Exists { path } => permitted(path, perms::READ).map(|node| Answer::Stat(node.stat())),
            Query::GetData { path } => {
                permitted(path, perms::READ).map(|node| Answer::Data { data: node.data.clone(), stat: node.stat() })
            }
            Query::GetChildren { path } => {
                let stat = permitted(path, perms::READ)?.stat();
                let mut children = Vec::with_capacity(stat.num_children.max(0) as usize);
                children.extend(self.tree.children(path));
                Ok(Answer::Children { children, stat })
            }
            Query::GetAcl { path } => {
                let node = permitted(path, perms::READ | perms::ADMIN)?;
                let all = node.acl.permits(perms::ADMIN, identities);
                let entries = node.acl.entries();
                Ok(Answer::Acl { acl: if all { entries.to_vec() } else { acl::masked(entries) }, stat: node.stat() })
            }
            Query::Ephemerals { session, prefix } => {
                let mut paths = self.tree.ephemerals(*session);
                if !matches!(prefix.trim(), "" | "/") {
                    paths.retain(|path| path.starts_with(prefix.as_str()));
                }
                Ok(Answer::Paths(paths))
            }
            Query::AllChildrenNumber { path } => {
                permitted(path, perms::READ)?;
                Ok(Answer::Count(i32::try_from(self.tree.descendants(path)).unwrap_or(i32::MAX)))
            }
        }
    }
}
