//! Where what comes out of a reply ring goes: to a single request, to a cell of a flight, or (what is no reply of this kernel's own) to
//! [`mesh`](crate::mesh).

use crate::flight::{self, Cells, FLIGHTS};
use crate::lane::{Row, STEP, Sink};
use crate::live::LiveKernel;
use crate::mesh::Gathered;
use ringkernel_backends::abi::ring::{LINE_PAIRS, LINE_WORDS, Payload, prefetch};
use ringkernel_backends::abi::slot::{GENERATION_MASK, OUTPUT, PUBLISHED};
use ringkernel_backends::abi::{Correlation, Header};
use std::sync::MutexGuard;
use std::sync::atomic::{AtomicU64, Ordering};

/// What one drain of a ring delivers.
pub(crate) struct Delivery<'a> {
    live: &'a LiveKernel,
    shard: usize,
    /// Whether cells are likely to be in another core's cache: that of whoever asks, who does not drain himself.
    far: bool,
    /// The flight that got the last reply: the next is likely to be for the same.
    last: Option<(usize, &'a Cells)>,
    /// The flights that got replies, a bit each, and how many.
    touched: u64,
    counts: [u32; FLIGHTS],
    /// What handlers gave out, if there was any.
    outputs: Option<MutexGuard<'a, Gathered>>,
}

impl<'a> Delivery<'a> {
    #[inline]
    pub(crate) fn to(live: &'a LiveKernel, shard: usize) -> Self {
        Self { live, shard, far: true, last: None, touched: 0, counts: [0; FLIGHTS], outputs: None }
    }

    /// [`to`](Self::to), where the drainer waits for replies to what he asked, and so had their cells in his hands.
    #[inline]
    pub(crate) fn to_asker(live: &'a LiveKernel, shard: usize) -> Self {
        Self { far: false, ..Self::to(live, shard) }
    }

    /// Delivers the reply to a single request.
    // Not inlined, so that a flight's replies are delivered from registers.
    #[inline(never)]
    fn deliver_one(&self, header: Header, payload: Payload<'_>, words: &mut [u32]) {
        payload.copy_to(words);
        let words = &words[..payload.words().min(words.len())];
        self.live.answer_one(header.correlation, header.tag, words);
    }

    /// Keeps what a handler gave out until the drainer flushes.
    #[inline(never)]
    fn gather(&mut self, header: Header, payload: &Payload<'_>) {
        let outlets = &self.live.outlets;
        if self.outputs.is_none() {
            self.outputs = outlets.gathered(self.shard);
        }
        if let Some(gathered) = &mut self.outputs {
            outlets.gather(gathered, header, payload);
        }
    }

    /// Keeps what handlers gave out of one type, as long as it lies in a row.
    #[inline(never)]
    fn gather_row(&mut self, tag: u32, row: &mut Row<'_>) {
        let outlets = &self.live.outlets;
        if self.outputs.is_none() {
            self.outputs = outlets.gathered(self.shard);
        }
        let Some(chunk) = self.outputs.as_mut().and_then(|gathered| outlets.chunk(gathered, tag)) else {
            return;
        };
        // Here, for the compiler to keep it in registers.
        let mut here = *row;
        let mut any = true;
        while any {
            here.fetch();
            chunk.extend((0..STEP).map_while(|_| {
                let small =
                    here.look().filter(|(header, _)| header.tag == tag && is_output(header.correlation));
                any = small.is_some();
                if any {
                    here.advance();
                }
                small
            }));
        }
        *row = here;
    }

    /// Delivers replies to one flight, as long as they lie in a row.
    #[inline(never)]
    fn deliver_row(&mut self, flight: usize, row: &mut Row<'_>) {
        // Who has a reply finds what came before it.
        self.hand_over();
        let Some(cells) = self.live.flights.cells(flight) else { return };
        let far = self.far || cells.are_many();
        let mut count = 0;
        let mut here = *row;
        'row: loop {
            if here.fetch() && far {
                let cells_soon = here.soon().filter_map(|index| flight::cell_of(flight, index));
                cells_soon.filter_map(|cell| cells.state(cell)).for_each(prefetch);
            }
            for _ in 0..STEP {
                let Some((header, pairs)) = here.look() else { break 'row };
                let Correlation { index, generation } = header.correlation;
                let Some(cell) = flight::cell_of(flight, index) else { break 'row };
                if generation & !GENERATION_MASK != 0 {
                    break 'row;
                }
                let shape = flight::shape(header.tag, header.words.into());
                count += u32::from(cells.deliver(cell, generation, shape, |places| put_three(pairs, places)));
                here.advance();
            }
        }
        *row = here;
        if count > 0 {
            self.touched |= 1 << flight;
            self.counts[flight] += count;
        }
    }

    /// Hands over what was kept.
    #[inline(never)]
    fn hand_over(&mut self) {
        if let Some(mut gathered) = self.outputs.take() {
            self.live.outlets.hand_over(&mut gathered);
        }
    }

    /// Delivers what is neither.
    #[cold]
    fn deliver_other(&self, header: Header, payload: Payload<'_>, words: &mut [u32]) {
        payload.copy_to(words);
        self.live.arrived(self.shard, header, &words[..payload.words().min(words.len())]);
    }
}

/// Puts the words of a reply where its cell has them, as many as there is room for.
#[inline(always)]
fn put(payload: &Payload<'_>, pairs: &[AtomicU64]) {
    for (group, three) in (0..payload.words().div_ceil(LINE_WORDS)).zip(pairs.chunks(LINE_PAIRS)) {
        put_three(payload.six(group), three);
    }
}

/// Puts so much of it there as there is room for.
#[inline(always)]
fn put_three([a, b, c]: [u64; LINE_PAIRS], places: &[AtomicU64]) {
    // Relaxed: see `Cells::deliver`.
    let store = |place: &AtomicU64, pair| place.store(pair, Ordering::Relaxed);
    match places {
        [x, y, rest @ ..] => {
            store(x, a);
            store(y, b);
            rest.first().into_iter().for_each(|z| store(z, c));
        }
        [x] => store(x, a),
        [] => {}
    }
}

/// Whether a reply is to a request of the kernel's own: no mark above the generation, and an index of a slab or a flight.
#[inline]
fn is_own(correlation: Correlation) -> bool {
    correlation.generation & !GENERATION_MASK == 0 && correlation.index < PUBLISHED
}

/// Whether a handler gave it out.
#[inline]
fn is_output(correlation: Correlation) -> bool {
    correlation.generation & !GENERATION_MASK == 0 && correlation.index == OUTPUT
}

impl Sink for Delivery<'_> {
    #[inline]
    fn takes_rows(&self, correlation: Correlation) -> bool {
        is_output(correlation) || (is_own(correlation) && flight::named(correlation).is_some())
    }

    #[inline]
    fn take(&mut self, row: &mut Row<'_>, first: Header) {
        if is_output(first.correlation) {
            self.gather_row(first.tag, row);
        } else if let Some((flight, _)) = flight::named(first.correlation) {
            self.deliver_row(flight, row);
        }
    }

    #[inline]
    fn deliver(&mut self, header: Header, payload: Payload<'_>, words: &mut [u32]) {
        if !is_own(header.correlation) {
            if is_output(header.correlation) {
                return self.gather(header, &payload);
            }
            self.hand_over();
            return self.deliver_other(header, payload, words);
        }
        if self.outputs.is_some() {
            // Who has a reply finds what came before it.
            self.hand_over();
        }
        if let Some((flight, cell)) = flight::named(header.correlation) {
            let cells = match self.last {
                Some((last, cells)) if last == flight => cells,
                _ => {
                    let Some(cells) = self.live.flights.cells(flight) else { return };
                    self.last = Some((flight, cells));
                    cells
                }
            };
            let shape = flight::shape(header.tag, payload.words());
            if cells.deliver(cell, header.correlation.generation, shape, |pairs| put(&payload, pairs)) {
                self.touched |= 1 << flight;
                self.counts[flight] += 1;
            }
            return;
        }
        self.deliver_one(header, payload, words);
    }

    #[inline]
    fn expect(&self, index: u32) {
        let cell = Correlation { index, generation: 0 };
        if let (Some((_, cells)), Some((_, cell))) = (self.last, flight::named(cell)) {
            cells.state(cell).into_iter().for_each(prefetch);
        }
    }

    #[inline]
    fn flush(&mut self) {
        self.hand_over();
        while self.touched != 0 {
            let flight = self.touched.trailing_zeros() as usize;
            self.touched &= self.touched - 1;
            let count = std::mem::take(&mut self.counts[flight]) as usize;
            if let Some(cells) = self.live.flights.cells(flight) {
                self.live.settled(cells.settle(count));
            }
        }
    }
}
