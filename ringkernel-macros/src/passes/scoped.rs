//! A map whose changes are taken back at the end of a scope.

use std::collections::HashMap;
use std::hash::Hash;

/// See the module.
pub(super) struct Scoped<K, V> {
    map: HashMap<K, V>,
    /// What each change replaced, oldest first.
    log: Vec<(K, Option<V>)>,
}

/// A moment to go back to.
#[derive(Clone, Copy)]
pub(super) struct Mark(usize);

impl<K: Clone + Eq + Hash, V> Scoped<K, V> {
    pub(super) fn new() -> Self {
        Self { map: HashMap::new(), log: Vec::new() }
    }

    pub(super) fn get(&self, key: &K) -> Option<&V> {
        self.map.get(key)
    }

    pub(super) fn insert(&mut self, key: K, value: V) {
        let old = self.map.insert(key.clone(), value);
        self.log.push((key, old));
    }

    pub(super) fn remove(&mut self, key: K) {
        if let Some(old) = self.map.remove(&key) {
            self.log.push((key, Some(old)));
        }
    }

    /// Removes every key that the test picks.
    pub(super) fn remove_where(&mut self, test: impl Fn(&K) -> bool) {
        let keys: Vec<K> = self.map.keys().filter(|key| test(key)).cloned().collect();
        keys.into_iter().for_each(|key| self.remove(key));
    }

    pub(super) fn mark(&self) -> Mark {
        Mark(self.log.len())
    }

    /// Takes back everything since `mark`.
    pub(super) fn rewind(&mut self, mark: Mark) {
        while self.log.len() > mark.0 {
            match self.log.pop() {
                Some((key, Some(old))) => drop(self.map.insert(key, old)),
                Some((key, None)) => drop(self.map.remove(&key)),
                None => {}
            }
        }
    }
}
