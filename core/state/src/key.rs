//! How the tree's map orders znodes: by parent, then name. The key of `/a/b` is `/a NUL b`, that is the path with its
//! last slash replaced; the root's is a lone NUL. NUL is illegal in paths, so keys are unambiguous; siblings are
//! contiguous, and because NUL sorts before the slash every parent comes before its children.

use std::borrow::Borrow;
use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

/// The key of a znode. Short ones lie within the map's own memory: a search then compares without following a pointer
/// for each key, which is what it would spend its time on, and copying a shared part of the map is cheap.
#[derive(Clone)]
pub struct Key(Form);

#[derive(Clone)]
enum Form {
    Inline { len: u8, bytes: [u8; KEY_INLINE_MAX] },
    Heap(Arc<[u8]>),
}

/// Longest key that needs no heap. With length and tag it fills 40 bytes.
const KEY_INLINE_MAX: usize = 38;

impl Key {
    fn new(key: &[u8]) -> Key {
        match u8::try_from(key.len()) {
            Ok(len) if key.len() <= KEY_INLINE_MAX => {
                let mut bytes = [0; KEY_INLINE_MAX];
                bytes[..key.len()].copy_from_slice(key);
                Key(Form::Inline { len, bytes })
            }
            _ => Key(Form::Heap(Arc::from(key))),
        }
    }

    /// Sorts before every other key.
    pub fn least() -> Key {
        Key::new(&[])
    }

    pub fn bytes(&self) -> &[u8] {
        match &self.0 {
            Form::Inline { len, bytes } => &bytes[..usize::from(*len)],
            Form::Heap(bytes) => bytes,
        }
    }

    /// The znode's full path.
    pub fn path(&self) -> String {
        let slash = self.bytes().iter().position(|b| *b == 0);
        let mut bytes = self.bytes().to_vec();
        if let Some(slash) = slash {
            bytes[slash] = b'/';
        }
        text(bytes)
    }

    /// The part from a byte offset on, for names once the length of what is before them is known.
    pub fn text_from(&self, offset: usize) -> String {
        text(self.bytes()[offset..].to_vec())
    }
}

/// Keys are cut from strings at ASCII bytes, so the lossy arm is never taken.
fn text(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes).unwrap_or_else(|e| String::from_utf8_lossy(e.as_bytes()).into_owned())
}

impl From<&KeyBuf> for Key {
    fn from(buf: &KeyBuf) -> Key {
        Key::new(buf.bytes())
    }
}

impl Borrow<[u8]> for Key {
    fn borrow(&self) -> &[u8] {
        self.bytes()
    }
}

impl PartialEq for Key {
    fn eq(&self, other: &Key) -> bool {
        self.bytes() == other.bytes()
    }
}

impl Eq for Key {}

impl PartialOrd for Key {
    fn partial_cmp(&self, other: &Key) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Key {
    fn cmp(&self, other: &Key) -> Ordering {
        self.bytes().cmp(other.bytes())
    }
}

impl Hash for Key {
    fn hash<H: Hasher>(&self, hasher: &mut H) {
        self.bytes().hash(hasher);
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.path())
    }
}

/// Longest path that is looked up without the heap.
const INLINE_MAX: usize = 160;

/// A key on the stack, for looking up.
pub struct KeyBuf {
    inline: [u8; INLINE_MAX],
    heap: Vec<u8>,
    len: usize,
}

impl KeyBuf {
    /// `None` for a path without a slash, which no znode has.
    pub fn of(path: &str) -> Option<KeyBuf> {
        let slash = path.bytes().rposition(|b| b == b'/')?;
        Some(KeyBuf::joined(&path[..slash], &path[slash + 1..]))
    }

    /// What the keys of a znode's children begin with. For the root that is its own key.
    pub fn of_children(path: &str) -> KeyBuf {
        KeyBuf::joined(if path == "/" { "" } else { path }, "")
    }

    fn joined(parent: &str, name: &str) -> KeyBuf {
        let len = parent.len() + 1 + name.len();
        let mut buf = KeyBuf { inline: [0; INLINE_MAX], heap: Vec::new(), len };
        let bytes = if len <= INLINE_MAX {
            &mut buf.inline[..len]
        } else {
            buf.heap.resize(len, 0);
            &mut buf.heap[..]
        };
        bytes[..parent.len()].copy_from_slice(parent.as_bytes());
        bytes[parent.len() + 1..].copy_from_slice(name.as_bytes());
        buf
    }

    pub fn bytes(&self) -> &[u8] {
        if self.len <= INLINE_MAX { &self.inline[..self.len] } else { &self.heap }
    }
}
