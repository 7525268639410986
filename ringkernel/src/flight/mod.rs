//! Where the replies to a batch of requests arrive: a block of [cells], one for each request under way.
//!
//! A single request takes an entry of the [slab](crate::pending) and gives it back, each by an exchange. A batch takes a flight once: its
//! request number `p` has cell `p % capacity` in lap `p / capacity`, which is what crosses the rings as its correlation. Whoever drains
//! counts the replies of a flight, and wakes and settles once for all it delivered. A kernel keeps its flights for the next batch.

mod cells;
mod sync {
    //! Where [`cells`](super::cells)' atomics come from. The model that loom runs has another of these.
    pub(crate) use futures::task::AtomicWaker;
    pub(crate) use std::sync::atomic::{AtomicU64, Ordering};
}

pub(crate) use cells::{Cells, Found, Reply, Settled, shape};
use ringkernel_backends::abi::Correlation;
use ringkernel_backends::abi::slot::PUBLISHED;
use std::ops::Deref;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::Waker;

/// Batches under way at once; further ones wait.
pub(crate) const FLIGHTS: usize = 64;
/// The most requests of a batch that are under way at once.
pub(crate) const MOST: usize = 1 << 16;
/// Set in the correlation index of a flight's requests: the slab has no such entries.
const MARK: u32 = 1 << 31;
/// Bits of a cell's number.
const CELL_BITS: u32 = 25;

// What stands for other things than requests is no cell.
const _: () = assert!((MARK | (FLIGHTS as u32 - 1) << CELL_BITS | (MOST as u32 - 1)) < PUBLISHED);

struct Flight {
    cells: Cells,
    /// The position the next holder begins at.
    next: AtomicU64,
}

/// The flights of one kernel.
pub(crate) struct Flights {
    table: [OnceLock<Box<Flight>>; FLIGHTS],
    /// Words of the largest reply.
    reply: usize,
    vacancy: event_listener::Event,
}

/// Which flight and cell a correlation names, if it names one.
#[inline]
pub(crate) fn named(correlation: Correlation) -> Option<(usize, u32)> {
    let index = correlation.index;
    (index & MARK != 0).then_some(((index >> CELL_BITS) as usize % FLIGHTS, index & ((1 << CELL_BITS) - 1)))
}

/// The cell of a flight that a correlation index names, if it names one of that flight.
#[inline]
pub(crate) fn cell_of(flight: usize, index: u32) -> Option<u32> {
    let cell = index ^ (MARK | (flight as u32) << CELL_BITS);
    (cell < MOST as u32).then_some(cell)
}

impl Flights {
    pub(crate) fn new(reply: usize) -> Self {
        Self { table: [const { OnceLock::new() }; FLIGHTS], reply, vacancy: event_listener::Event::new() }
    }

    /// Holds a flight of `cells` cells, or of what there is once all have been made; `None` when all are in use.
    pub(crate) fn hold(&self, cells: usize) -> Option<Held<'_>> {
        let capacity = cells.clamp(1, MOST).next_power_of_two();
        let make = || Box::new(Flight { cells: Cells::new(capacity, self.reply), next: AtomicU64::new(0) });
        for least in [capacity, 1] {
            for (number, flight) in self.table.iter().enumerate() {
                let flight = flight.get_or_init(make);
                if flight.cells.capacity() >= least && flight.cells.hold() {
                    return Some(Held { flight, number: number as u32 });
                }
            }
        }
        None
    }

    /// Notified when a flight can be held again.
    pub(crate) fn vacancy(&self) -> &event_listener::Event {
        &self.vacancy
    }

    /// Requests that wait for their reply.
    pub(crate) fn outstanding(&self) -> usize {
        self.made().map(|cells| cells.outstanding()).sum()
    }

    /// How many flights there are.
    #[cfg(test)]
    pub(crate) fn made_so_far(&self) -> usize {
        self.made().count()
    }

    fn made(&self) -> impl Iterator<Item = &Cells> {
        self.table.iter().map_while(|flight| flight.get()).map(|flight| &flight.cells)
    }

    /// A flight's cells.
    #[inline]
    pub(crate) fn cells(&self, flight: usize) -> Option<&Cells> {
        self.table.get(flight)?.get().map(|flight| &flight.cells)
    }

    /// Ends all waiting; the wakers of those who wait.
    pub(crate) fn close(&self) -> Vec<Waker> {
        let wakers = self.made().filter_map(|cells| cells.end()).collect();
        self.vacancy.notify(usize::MAX);
        wakers
    }
}

/// A flight that is held.
pub(crate) struct Held<'a> {
    flight: &'a Flight,
    number: u32,
}

impl Held<'_> {
    /// Where to begin.
    pub(crate) fn first(&self) -> u64 {
        // Relaxed: holding the flight acquired it.
        self.flight.next.load(Ordering::Relaxed)
    }

    /// What crosses the rings with the request of `position`.
    #[inline]
    pub(crate) fn correlation(&self, position: u64) -> Correlation {
        let (cell, generation) = self.flight.cells.place(position);
        Correlation { index: MARK | self.number << CELL_BITS | cell, generation }
    }

    /// Leaves it to the next holder, who begins at `position`. See [`Cells::let_go`].
    pub(crate) fn let_go(self, position: u64, watch: bool, ended: bool) -> (Settled, bool) {
        // Relaxed: letting go releases it.
        self.flight.next.store(position, Ordering::Relaxed);
        self.flight.cells.let_go(watch, ended)
    }
}

impl Deref for Held<'_> {
    type Target = Cells;
    #[inline]
    fn deref(&self) -> &Cells {
        &self.flight.cells
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// Where many replies are delivered in a row, a cell is told from everything else as it is where one is.
        #[test]
        fn a_cell_of_a_flight_is_what_a_correlation_names_and_nothing_else(
            flight in 0..FLIGHTS,
            index in prop_oneof![any::<u32>(), (0..FLIGHTS as u32, 0..MOST as u32).prop_map(|(flight, cell)| MARK | flight << CELL_BITS | cell)],
        ) {
            let named = named(Correlation { index, generation: 0 });
            let expected = named.filter(|(of, cell)| *of == flight && *cell < MOST as u32).map(|(_, cell)| cell);
            prop_assert_eq!(cell_of(flight, index), expected);
            if let Some((flight, cell)) = named.filter(|(_, cell)| *cell < MOST as u32) {
                prop_assert_eq!(cell_of(flight, index), Some(cell));
                prop_assert!(index < PUBLISHED);
            }
        }
    }
}
