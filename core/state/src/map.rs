//! The persistent ordered map: a clone is O(1), a change copies the path to what it touches if somebody else still
//! holds it. The only place that names the library, so that a tree of our own can take its place.
//!
//! `Hash` and `Eq` go by ordered iteration: equal maps may differ in the shape of their nodes.

use std::borrow::Borrow;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::ops::Bound;

/// An ordered map with structure sharing.
#[derive(Clone)]
pub struct Map<K, V> {
    inner: imbl::OrdMap<K, V>,
}

impl<K: Ord + Clone, V: Clone> Map<K, V> {
    pub fn new() -> Map<K, V> {
        Map { inner: imbl::OrdMap::new() }
    }

    pub fn len(&self) -> usize {
        self.inner.len()
    }

    pub fn get<Q: Ord + ?Sized>(&self, key: &Q) -> Option<&V>
    where
        K: Borrow<Q>,
    {
        self.inner.get(key)
    }

    /// Copies what is shared even when the caller then changes nothing.
    pub fn get_mut<Q: Ord + ?Sized>(&mut self, key: &Q) -> Option<&mut V>
    where
        K: Borrow<Q>,
    {
        self.inner.get_mut(key)
    }

    pub fn contains_key<Q: Ord + ?Sized>(&self, key: &Q) -> bool
    where
        K: Borrow<Q>,
    {
        self.inner.contains_key(key)
    }

    pub fn insert(&mut self, key: K, value: V) -> Option<V> {
        self.inner.insert(key, value)
    }

    pub fn remove<Q: Ord + ?Sized>(&mut self, key: &Q) -> Option<V>
    where
        K: Borrow<Q>,
    {
        self.inner.remove(key)
    }

    /// In ascending order.
    pub fn iter(&self) -> impl Iterator<Item = (&K, &V)> {
        self.inner.iter()
    }

    /// In ascending order, from a bound to the end.
    pub fn iter_from<'a, Q: Ord + ?Sized>(
        &'a self,
        from: Bound<&Q>,
    ) -> impl Iterator<Item = (&'a K, &'a V)> + use<'a, K, V, Q>
    where
        K: Borrow<Q>,
    {
        self.inner.range::<_, Q>((from, Bound::Unbounded))
    }

    pub fn into_iter(self) -> impl Iterator<Item = (K, V)> {
        self.inner.into_iter()
    }
}

impl<K: Ord + Clone, V: Clone + PartialEq> PartialEq for Map<K, V> {
    fn eq(&self, other: &Self) -> bool {
        self.inner.ptr_eq(&other.inner) || (self.len() == other.len() && self.iter().eq(other.iter()))
    }
}

impl<K: Ord + Clone, V: Clone + Eq> Eq for Map<K, V> {}

impl<K: Ord + Clone + Hash, V: Clone + Hash> Hash for Map<K, V> {
    fn hash<H: Hasher>(&self, hasher: &mut H) {
        hasher.write_usize(self.len());
        for entry in self.iter() {
            entry.hash(hasher);
        }
    }
}

impl<K: Ord + Clone + fmt::Debug, V: Clone + fmt::Debug> fmt::Debug for Map<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter()).finish()
    }
}
