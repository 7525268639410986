//! A table whose places are used again, each with a count that tells the uses apart.

/// Entries by index and generation. A generation is never 0.
#[derive(Debug)]
pub(super) struct Entries<T> {
    places: Vec<Place<T>>,
    free: Vec<u32>,
    most: u32,
}

#[derive(Debug)]
struct Place<T> {
    generation: u32,
    entry: Option<T>,
}

impl<T> Entries<T> {
    /// With room for so many.
    pub(super) fn new(most: u32) -> Self {
        Self { places: Vec::new(), free: Vec::new(), most }
    }

    /// Whether there is no place left.
    pub(super) fn is_full(&self) -> bool {
        self.free.is_empty() && self.places.len() >= self.most as usize
    }

    /// Puts an entry in; its index and generation. `None` if it is full.
    pub(super) fn insert(&mut self, entry: T) -> Option<(u32, u32)> {
        if self.is_full() {
            return None;
        }
        let index = self.free.pop().unwrap_or_else(|| {
            self.places.push(Place { generation: 0, entry: None });
            self.places.len() as u32 - 1
        });
        let place = &mut self.places[index as usize];
        place.generation = place.generation.wrapping_add(1).max(1);
        place.entry = Some(entry);
        Some((index, place.generation))
    }

    /// The entry there, if it is of this generation.
    pub(super) fn get(&self, index: u32, generation: u32) -> Option<&T> {
        let place = self.places.get(index as usize).filter(|place| place.generation == generation)?;
        place.entry.as_ref()
    }

    /// Takes it out, if `wanted` says so.
    pub(super) fn remove_if(
        &mut self,
        index: u32,
        generation: u32,
        wanted: impl FnOnce(&T) -> bool,
    ) -> Option<T> {
        let place = self.places.get_mut(index as usize).filter(|place| place.generation == generation)?;
        let entry = place.entry.take_if(|entry| wanted(entry))?;
        self.free.push(index);
        Some(entry)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::HashMap;

    proptest! {
        #[test]
        fn an_entry_is_found_under_its_own_index_and_generation_only(
            steps in proptest::collection::vec((any::<bool>(), any::<prop::sample::Index>()), 0..200),
            most in 1u32..20,
        ) {
            let mut entries = Entries::new(most);
            let mut model = HashMap::new();
            let mut given: Vec<(u32, u32)> = Vec::new();
            for (n, (insert, which)) in steps.into_iter().enumerate() {
                if insert {
                    prop_assert_eq!(entries.is_full(), model.len() == most as usize);
                    match entries.insert(n) {
                        Some(place) => {
                            prop_assert!(place.1 > 0 && !given.contains(&place));
                            given.push(place);
                            model.insert(place, n);
                        }
                        None => prop_assert_eq!(model.len(), most as usize),
                    }
                } else if !given.is_empty() {
                    let place = given[which.index(given.len())];
                    let there = model.get(&place).copied();
                    prop_assert_eq!(entries.remove_if(place.0, place.1, |_| false), None);
                    prop_assert_eq!(entries.remove_if(place.0, place.1, |_| true), there);
                    model.remove(&place);
                }
                for place in &given {
                    prop_assert_eq!(entries.get(place.0, place.1), model.get(place));
                }
            }
        }
    }
}
