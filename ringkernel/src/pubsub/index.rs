//! Many filters at once: which of them match a topic.
//!
//! A tree of levels. A topic walks down it and is at no more than the nodes of its depth, wherever wildcards lead to, so finding takes
//! no longer than there are filters that begin alike.

use super::topic::{TopicFilter, is_one, is_rest};
use std::collections::HashMap;

/// Values, each under a filter.
#[derive(Debug)]
pub(crate) struct Index<T> {
    root: Node<T>,
    count: usize,
}

#[derive(Debug)]
struct Node<T> {
    /// The levels below, by name.
    named: HashMap<Box<str>, Node<T>>,
    /// Below any one level. Filters have at most `MAX_LEVELS`, so this is no deep recursion.
    one: Option<Box<Node<T>>>,
    /// Of the filters that end here,
    here: Vec<T>,
    /// and of those that end in a `#` after here.
    rest: Vec<T>,
}

impl<T> Default for Node<T> {
    fn default() -> Self {
        Self { named: HashMap::new(), one: None, here: Vec::new(), rest: Vec::new() }
    }
}

impl<T> Default for Index<T> {
    fn default() -> Self {
        Self { root: Node::default(), count: 0 }
    }
}

impl<T> Node<T> {
    fn is_empty(&self) -> bool {
        self.named.is_empty() && self.one.is_none() && self.here.is_empty() && self.rest.is_empty()
    }

    fn remove<'a>(
        &mut self,
        mut levels: impl Iterator<Item = &'a str>,
        which: &mut dyn FnMut(&T) -> bool,
    ) -> Option<T> {
        let mut take = |from: &mut Vec<T>| from.iter().position(&mut *which).map(|at| from.remove(at));
        let Some(level) = levels.next() else { return take(&mut self.here) };
        if is_rest(level) {
            return take(&mut self.rest);
        }
        if is_one(level) {
            let node = self.one.as_mut()?;
            let removed = remove_boxed(node, &mut levels, which);
            if node.is_empty() {
                self.one = None;
            }
            return removed;
        }
        let node = self.named.get_mut(level)?;
        let removed = remove_boxed(node, &mut levels, which);
        if node.is_empty() {
            self.named.remove(level);
        }
        removed
    }
}

/// [`Node::remove`], by a reference to the iterator: else each level would have a type of its own.
fn remove_boxed<T>(
    node: &mut Node<T>,
    levels: &mut dyn Iterator<Item = &str>,
    which: &mut dyn FnMut(&T) -> bool,
) -> Option<T> {
    node.remove(levels, which)
}

impl<T> Index<T> {
    /// Puts a value under a filter.
    pub(crate) fn insert(&mut self, filter: &TopicFilter, value: T) {
        let mut node = &mut self.root;
        self.count += 1;
        for level in filter.levels() {
            if is_rest(level) {
                return node.rest.push(value);
            }
            node = if is_one(level) {
                node.one.get_or_insert_default()
            } else {
                node.named.entry(level.into()).or_default()
            };
        }
        node.here.push(value);
    }

    /// Takes the first value that is `which` from under a filter.
    pub(crate) fn remove(&mut self, filter: &TopicFilter, mut which: impl FnMut(&T) -> bool) -> Option<T> {
        let removed = self.root.remove(filter.levels(), &mut which);
        self.count -= usize::from(removed.is_some());
        removed
    }

    /// Calls with every value whose filter matches the topic.
    pub(crate) fn each_match<'a>(&'a self, topic: &str, mut call: impl FnMut(&'a T)) {
        // The nodes that the levels so far lead to.
        let (mut at, mut next) = (vec![&self.root], Vec::new());
        for level in topic.split('/') {
            for node in at.drain(..) {
                node.rest.iter().for_each(&mut call);
                next.extend(node.named.get(level));
                next.extend(node.one.as_deref());
            }
            std::mem::swap(&mut at, &mut next);
        }
        for node in at {
            node.rest.iter().chain(&node.here).for_each(&mut call);
        }
    }

    /// Calls with every value.
    pub(crate) fn each<'a>(&'a self, mut call: impl FnMut(&'a T)) {
        let mut nodes = vec![&self.root];
        while let Some(node) = nodes.pop() {
            node.here.iter().chain(&node.rest).for_each(&mut call);
            nodes.extend(node.named.values());
            nodes.extend(node.one.as_deref());
        }
    }

    /// How many values there are.
    pub(crate) fn len(&self) -> usize {
        self.count
    }
}

#[cfg(test)]
#[path = "index_tests.rs"]
mod tests;
