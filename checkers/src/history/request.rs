//! What clients ask and are answered.

use super::{Data, StatFields};
use serde::{Deserialize, Serialize};
use synod_types::{Acl, Identity, Stat};

/// A request of a client.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs)]
pub enum Request {
    Create(Create),
    Delete {
        path: String,
        version: i32,
    },
    SetData {
        path: String,
        data: Data,
        version: i32,
    },
    Exists {
        path: String,
        watch: bool,
    },
    GetData {
        path: String,
        watch: bool,
    },
    GetChildren {
        path: String,
        watch: bool,
    },
    Sync {
        path: String,
    },
    Multi {
        ops: Vec<MultiOp>,
    },
    OpenSession {
        timeout_ms: u32,
        last_zxid_seen: i64,
    },
    AttachSession {
        session: i64,
        password: Data,
        timeout_ms: u32,
        last_zxid_seen: i64,
    },
    CloseSession,
    Ping,
    SetWatches {
        relative_zxid: i64,
        data: Vec<String>,
        exist: Vec<String>,
        child: Vec<String>,
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        persistent: Vec<String>,
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        recursive: Vec<String>,
    },
    GetAcl {
        path: String,
    },
    SetAcl {
        path: String,
        #[serde(with = "acl_fields")]
        acl: Vec<Acl>,
        version: i32,
    },
    /// The ephemeral nodes of the session whose paths begin so.
    Ephemerals {
        prefix: String,
    },
    /// The number of nodes below one, at any depth.
    CountBelow {
        path: String,
    },
    /// Several reads of one moment.
    ReadMany {
        reads: Vec<Part>,
    },
    WhoAmI,
    /// A proof of who the client is: the identity of the scheme `digest` that it stands for.
    Auth {
        id: String,
    },
    /// A watch that stays.
    AddWatch {
        path: String,
        recursive: bool,
    },
    /// Whether there are watches of a kind (the protocol's number) on a path; `remove` drops them.
    Watching {
        path: String,
        kind: i32,
        remove: bool,
    },
}

/// One of several reads.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs)]
pub enum Part {
    Data { path: String },
    Children { path: String },
}

/// A new node.
#[derive(Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Create {
    /// As the client sent it: without the counter of a sequential node.
    pub path: String,
    /// Its data.
    pub data: Data,
    /// Dies with its session.
    #[serde(default)]
    pub ephemeral: bool,
    /// Gets a counter.
    #[serde(default)]
    pub sequential: bool,
    /// Removed by the server once its last child is gone.
    #[serde(default, skip_serializing_if = "is_false")]
    pub container: bool,
    /// Removed by the server when childless and unchanged for so long.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ttl_ms: Option<u64>,
    /// Its access control list; none is the one that lets everybody do everything.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "optional_acl")]
    pub acl: Option<Vec<Acl>>,
    /// Asked in the older way, whose answer has no stat.
    #[serde(default, skip_serializing_if = "is_false")]
    pub old: bool,
}

/// An operation inside a multi.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs)]
pub enum MultiOp {
    Create(Create),
    Delete { path: String, version: i32 },
    SetData { path: String, data: Data, version: i32 },
    Check { path: String, version: i32 },
}

/// The answer: a success with what it brought, or the code of an error. Most are successes: a box would save nothing.
#[allow(clippy::large_enum_variant)]
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs)]
pub enum Response {
    Ok(Reply),
    Error(i32),
}

/// What a success brought; what the reply did not have is absent.
#[derive(Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Reply {
    /// The final path of a create.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// The stat.
    #[serde(skip_serializing_if = "Option::is_none", with = "optional_stat")]
    pub stat: Option<Stat>,
    /// The data of a `GetData`; a null is empty.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub data: Option<Data>,
    /// The children, in any order.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub children: Option<Vec<String>>,
    /// The results of a multi, in order. A multi that failed is a success with error results, as on the wire.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub multi: Vec<MultiResult>,
    /// The session that was opened or attached.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub session: Option<Granted>,
    /// An access control list.
    #[serde(skip_serializing_if = "Option::is_none", with = "optional_acl")]
    pub acl: Option<Vec<Acl>>,
    /// Paths of nodes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub paths: Option<Vec<String>>,
    /// A number of nodes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub count: Option<i32>,
    /// Who the client is: scheme and name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub who: Option<Vec<(String, String)>>,
    /// The results of several reads, in order.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub many: Vec<Response>,
}

/// One result of a multi.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs)]
pub enum MultiResult {
    Created {
        path: String,
        #[serde(default, skip_serializing_if = "Option::is_none", with = "optional_stat")]
        stat: Option<Stat>,
    },
    Deleted,
    Set {
        #[serde(default, skip_serializing_if = "Option::is_none", with = "optional_stat")]
        stat: Option<Stat>,
    },
    Checked,
    /// 0 for those before the one that failed.
    Error(i32),
}

/// A session as the connect reply grants it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Granted {
    /// Its id.
    pub session: i64,
    /// Its secret.
    pub password: Data,
    /// The negotiated timeout.
    pub timeout_ms: u32,
}

fn is_false(value: &bool) -> bool {
    !value
}

impl Request {
    /// Whether it changes the tree.
    pub fn writes(&self) -> bool {
        matches!(
            self,
            Request::Create(_)
                | Request::Delete { .. }
                | Request::SetData { .. }
                | Request::SetAcl { .. }
                | Request::Multi { .. }
        )
    }

    /// Whether it reads the tree of the member it was sent to.
    pub fn reads(&self) -> bool {
        matches!(
            self,
            Request::Exists { .. }
                | Request::GetData { .. }
                | Request::GetChildren { .. }
                | Request::GetAcl { .. }
                | Request::Ephemerals { .. }
                | Request::CountBelow { .. }
                | Request::ReadMany { .. }
        )
    }

    /// The path it names, for sentences.
    pub fn path(&self) -> &str {
        match self {
            Request::Create(Create { path, .. })
            | Request::Delete { path, .. }
            | Request::SetData { path, .. }
            | Request::Exists { path, .. }
            | Request::GetData { path, .. }
            | Request::GetChildren { path, .. }
            | Request::Sync { path }
            | Request::GetAcl { path }
            | Request::SetAcl { path, .. }
            | Request::CountBelow { path }
            | Request::AddWatch { path, .. }
            | Request::Watching { path, .. } => path,
            Request::ReadMany { reads } => reads.first().map_or("several", Part::path),
            Request::Multi { ops } => ops.first().map_or("multi", MultiOp::path),
            _ => "session",
        }
    }

    /// Its name, for sentences.
    pub fn name(&self) -> &'static str {
        match self {
            Request::Create(_) => "create",
            Request::Delete { .. } => "delete",
            Request::SetData { .. } => "set",
            Request::Exists { .. } => "exists",
            Request::GetData { .. } => "get",
            Request::GetChildren { .. } => "children",
            Request::Sync { .. } => "sync",
            Request::Multi { .. } => "multi",
            Request::OpenSession { .. } => "open session",
            Request::AttachSession { .. } => "attach session",
            Request::CloseSession => "close session",
            Request::Ping => "ping",
            Request::SetWatches { .. } => "set watches",
            Request::GetAcl { .. } => "get acl",
            Request::SetAcl { .. } => "set acl",
            Request::Ephemerals { .. } => "ephemerals",
            Request::CountBelow { .. } => "count below",
            Request::ReadMany { .. } => "read many",
            Request::WhoAmI => "who am i",
            Request::Auth { .. } => "auth",
            Request::AddWatch { .. } => "add watch",
            Request::Watching { remove: false, .. } => "check watches",
            Request::Watching { remove: true, .. } => "remove watches",
        }
    }
}

impl Part {
    /// The path it names.
    pub fn path(&self) -> &str {
        match self {
            Part::Data { path } | Part::Children { path } => path,
        }
    }
}

impl MultiOp {
    /// The path it names.
    pub fn path(&self) -> &str {
        match self {
            MultiOp::Create(Create { path, .. })
            | MultiOp::Delete { path, .. }
            | MultiOp::SetData { path, .. }
            | MultiOp::Check { path, .. } => path,
        }
    }
}

mod optional_stat {
    use super::{Stat, StatFields};
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    pub fn serialize<S: Serializer>(stat: &Option<Stat>, serializer: S) -> Result<S::Ok, S::Error> {
        stat.as_ref().map(StatFields::from).serialize(serializer)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Stat>, D::Error> {
        Ok(Option::<StatFields>::deserialize(deserializer)?.map(Stat::from))
    }
}

/// An access control list in files: permissions, scheme, id of each entry.
mod acl_fields {
    use super::{Acl, Identity};
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    pub type Fields = Vec<(u32, String, String)>;

    pub fn fields(acl: &[Acl]) -> Fields {
        acl.iter().map(|a| (a.perms, a.identity.scheme.clone(), a.identity.id.clone())).collect()
    }

    pub fn list(fields: Fields) -> Vec<Acl> {
        fields.into_iter().map(|(perms, scheme, id)| Acl { perms, identity: Identity { scheme, id } }).collect()
    }

    pub fn serialize<S: Serializer>(acl: &[Acl], serializer: S) -> Result<S::Ok, S::Error> {
        fields(acl).serialize(serializer)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Acl>, D::Error> {
        Ok(list(Fields::deserialize(deserializer)?))
    }
}

mod optional_acl {
    use super::{Acl, acl_fields};
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    pub fn serialize<S: Serializer>(acl: &Option<Vec<Acl>>, serializer: S) -> Result<S::Ok, S::Error> {
        acl.as_deref().map(acl_fields::fields).serialize(serializer)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Vec<Acl>>, D::Error> {
        Ok(Option::<acl_fields::Fields>::deserialize(deserializer)?.map(acl_fields::list))
    }
}
