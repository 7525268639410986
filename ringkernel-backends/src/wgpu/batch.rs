//! A batch: the words of one dispatch, in and out.
//!
//! Slots cross the bus in the shape they have in a ring (see [`slot`]), sorted so that a run is contiguous. Where a run may
//! not be as long as it happens to be, it is cut, and the pieces go into *rounds*: dispatches that follow each other within one
//! submission, each with an inbox of its own.

use super::program::COUNTER_WORDS;
use crate::abi::slot::{self, CHUNK_DATA_WORDS, HEADER_CHUNKS};
use crate::abi::{Consumer, Header, Ring, SlotShape};

/// Words in front of a round's run table.
const PREAMBLE: usize = 8;
/// Turns of the loop with which the device finds out whether loops still turn.
const TURNS: u32 = 3;
/// Words of a chunk.
const CHUNK: usize = CHUNK_DATA_WORDS + 1;

/// What was taken from the request ring, and what is to be done with it. Reused from dispatch to dispatch.
#[derive(Default)]
pub(super) struct Batch {
    /// In the order they arrived.
    headers: Vec<Header>,
    /// Their payloads, one behind the other.
    payloads: Vec<u32>,
    /// For each slot of the inbox, which arrival it holds.
    order: Vec<u32>,
    /// For each arrival, where its payload begins.
    starts: Vec<usize>,
    /// Sequence of the first slot; the others' follow. It tells this dispatch's replies from those of the ones before.
    sequence: u32,
    pub(super) rounds: Vec<Round>,
    /// What is uploaded: the inboxes of the rounds.
    pub(super) inbox: Vec<u32>,
}

/// How batches of a kernel are made up.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Plan {
    pub(super) request: SlotShape,
    pub(super) reply: SlotShape,
    pub(super) instances: u32,
    /// The most messages of a batch.
    pub(super) messages: usize,
    /// The most messages of one invocation.
    pub(super) run: usize,
    /// Whether the driver rations loops.
    pub(super) rationed: bool,
    /// Rounds' inboxes begin at multiples of this, in words.
    pub(super) align: usize,
}

/// One dispatch.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Round {
    /// The first word of its inbox.
    pub(super) start: usize,
    /// Its invocations.
    pub(super) runs: usize,
}

/// A reply on its way to the ring: its header, and where its payload is.
#[derive(Debug, PartialEq)]
pub(super) struct Reply {
    pub(super) header: Header,
    pub(super) payload: std::ops::Range<usize>,
}

impl Plan {
    /// The most words that a round sees, from its first on.
    pub(super) fn window_words(&self) -> usize {
        PREAMBLE + 2 * self.messages + CHUNK + self.messages * self.request.bytes() / 4
    }

    /// Words of the inbox: room for the window behind every place where a round can begin.
    pub(super) fn inbox_words(&self) -> usize {
        let rounds = self.messages.div_ceil(self.run);
        rounds * (PREAMBLE + CHUNK + self.align) + 2 * self.window_words()
    }

    /// The words an outbox of so many slots takes.
    pub(super) fn outbox_words(&self, slots: usize) -> usize {
        COUNTER_WORDS + slots * self.reply.bytes() / 4
    }
}

impl Batch {
    /// Takes up to `limit` messages that wait, and arranges them; how many there were.
    pub(super) fn take(
        &mut self,
        plan: &Plan,
        consumer: &mut Consumer,
        ring: &Ring,
        limit: usize,
        buffer: &mut [u32],
    ) -> usize {
        self.headers.clear();
        self.payloads.clear();
        self.starts.clear();
        self.sequence = slot::sequence(consumer.position());
        while self.headers.len() < limit
            && let Some(header) = consumer.pop(ring, buffer)
        {
            self.starts.push(self.payloads.len());
            self.payloads.extend_from_slice(&buffer[..header.words as usize]);
            self.headers.push(header);
        }
        self.arrange(plan);
        self.headers.len()
    }

    /// Groups the messages by instance, each instance's in the order they arrived, and writes the inboxes.
    fn arrange(&mut self, plan: &Plan) {
        let Self { headers, payloads, order, starts, sequence, rounds, inbox } = self;
        let instance = |arrival: u32| headers[arrival as usize].instance;
        order.clear();
        order.extend(0..headers.len() as u32);
        // Both sorts are stable: an instance's messages stay in order.
        order.sort_by_key(|&arrival| instance(arrival));
        let mut round_of = vec![0; order.len()];
        for run in order.chunk_by(|&a, &b| instance(a) == instance(b)) {
            for (k, &arrival) in run.iter().enumerate() {
                round_of[arrival as usize] = k / plan.run;
            }
        }
        order.sort_by_key(|&arrival| round_of[arrival as usize]);

        inbox.clear();
        rounds.clear();
        let words = plan.request.bytes() / 4;
        let mut earlier = 0;
        for round in order.chunk_by(|&a, &b| round_of[a as usize] == round_of[b as usize]) {
            inbox.resize(inbox.len().next_multiple_of(plan.align), 0);
            let start = inbox.len();
            inbox.resize(start + PREAMBLE, 0);
            let mut first = 0;
            for run in round.chunk_by(|&a, &b| instance(a) == instance(b)) {
                inbox.extend([first, run.len() as u32]);
                first += run.len() as u32;
            }
            let runs = (inbox.len() - start - PREAMBLE) / 2;
            let slots_at = (inbox.len() - start).next_multiple_of(CHUNK);
            inbox.resize(start + slots_at + round.len() * words, 0);
            let turns = if plan.rationed { TURNS } else { 0 };
            let preamble = [runs as u32, plan.instances, slots_at as u32, earlier, turns];
            inbox[start..start + preamble.len()].copy_from_slice(&preamble);
            for (&arrival, out) in round.iter().zip(inbox[start + slots_at..].chunks_exact_mut(words)) {
                let (header, from) = (headers[arrival as usize], starts[arrival as usize]);
                let payload = &payloads[from..from + header.words as usize];
                write_slot(out, header, payload, sequence.wrapping_add(earlier));
                earlier += 1;
            }
            rounds.push(Round { start, runs });
        }
    }

    /// Messages in the batch.
    pub(super) fn len(&self) -> usize {
        self.headers.len()
    }

    /// Reads the reply slots that came back (`slots`, from behind the counters) into `replies`, in the order the requests arrived,
    /// and their payloads into `payloads`. `None` if the device did not write one that it had to.
    pub(super) fn replies(
        &self,
        slots: &[u32],
        shape: SlotShape,
        replies: &mut Vec<Reply>,
        payloads: &mut Vec<u32>,
    ) -> Option<()> {
        replies.clear();
        payloads.clear();
        let words = shape.bytes() / 4;
        // Where each arrival's slot is.
        let mut places = vec![0; self.order.len()];
        for (index, &arrival) in self.order.iter().enumerate() {
            places[arrival as usize] = index;
        }
        for (request, index) in self.headers.iter().zip(places) {
            if !request.correlation.is_some() {
                continue;
            }
            let slot = slots.get(index * words..(index + 1) * words)?;
            let sequence = self.sequence.wrapping_add(index as u32);
            let answered = Header::from_words([slot[0], slot[1], slot[2], slot[4], slot[5], slot[6]]);
            let count = answered.words as usize;
            let written = slot[3] == sequence && slot[7] == sequence;
            if !written || answered.correlation != request.correlation || count > shape.payload_words() {
                return None;
            }
            let start = payloads.len();
            let chunks = slot[HEADER_CHUNKS * CHUNK..].chunks_exact(CHUNK);
            payloads.extend(chunks.flat_map(|chunk| &chunk[..CHUNK_DATA_WORDS]).take(count));
            // The rest of the header is the request's own.
            let header = Header { tag: answered.tag, ..*request };
            replies.push(Reply { header, payload: start..start + count });
        }
        Some(())
    }
}

fn write_slot(out: &mut [u32], header: Header, payload: &[u32], sequence: u32) {
    let header = header.to_words();
    let data = header.chunks(CHUNK_DATA_WORDS).chain(payload.chunks(CHUNK_DATA_WORDS));
    for (chunk, data) in out.chunks_exact_mut(CHUNK).zip(data) {
        chunk[..data.len()].copy_from_slice(data);
        chunk[CHUNK_DATA_WORDS] = sequence;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::abi::Correlation;
    use crate::host::Shapes;

    const PLAN: Plan = {
        let shape = SlotShape::for_payload(8).unwrap();
        Plan { request: shape, reply: shape, instances: 9, messages: 64, run: 64, rationed: false, align: 16 }
    };

    /// A batch of messages to these instances; each carries its arrival as payload.
    fn batch(plan: &Plan, instances: &[u32]) -> Batch {
        let port = Shapes { request: plan.request, reply: plan.reply, first_position: 0 }.port(64);
        for (arrival, &instance) in instances.iter().enumerate() {
            let correlation = Correlation { index: arrival as u32, generation: 3 };
            let header = Header { tag: 300, instance, correlation, words: 0, hlc: 7 };
            port.requests.try_push(header, &(arrival as u32).to_le_bytes()).unwrap();
        }
        let mut batch = Batch::default();
        let mut consumer = port.requests.consumer();
        let count = batch.take(plan, &mut consumer, &port.requests, 64, &mut [0; 16]);
        assert_eq!(count, instances.len());
        assert!(batch.inbox.len() + plan.window_words() <= plan.inbox_words());
        batch
    }

    /// For each round, its runs as (instance, arrivals).
    fn rounds(batch: &Batch, plan: &Plan) -> Vec<Vec<(u32, Vec<u32>)>> {
        let words = plan.request.bytes() / 4;
        let round = |round: &Round| {
            assert_eq!(round.start % plan.align, 0);
            let inbox = &batch.inbox[round.start..];
            assert_eq!(inbox[0] as usize, round.runs);
            let slot = |k: u32| &inbox[inbox[2] as usize + k as usize * words..];
            let run = |run: usize| {
                let (first, count) = (inbox[PREAMBLE + 2 * run], inbox[PREAMBLE + 2 * run + 1]);
                (slot(first)[1], (first..first + count).map(|k| slot(k)[8]).collect())
            };
            (0..round.runs).map(run).collect()
        };
        batch.rounds.iter().map(round).collect()
    }

    #[test]
    fn a_batch_is_one_round_of_runs_in_the_order_of_arrival() {
        let batch = batch(&PLAN, &[5, 2, 5, 5, 0, 2]);
        let expected = vec![(0, vec![4]), (2, vec![1, 5]), (5, vec![0, 2, 3])];
        assert_eq!(rounds(&batch, &PLAN), [expected]);
    }

    #[test]
    fn runs_that_are_too_long_go_on_in_the_next_round() {
        let plan = Plan { run: 2, ..PLAN };
        let batch = batch(&plan, &[5, 2, 5, 5, 5, 2, 5]);
        let expected = [vec![(2, vec![1, 5]), (5, vec![0, 2])], vec![(5, vec![3, 4])], vec![(5, vec![6])]];
        assert_eq!(rounds(&batch, &plan), expected);
    }

    #[test]
    fn an_empty_batch_has_no_rounds() {
        assert!(batch(&PLAN, &[]).rounds.is_empty());
    }

    #[test]
    fn replies_come_out_in_the_order_of_arrival_and_only_if_they_were_written() {
        let plan = Plan { run: 1, ..PLAN };
        let batch = batch(&plan, &[5, 2, 5]);
        let words = plan.reply.bytes() / 4;
        // As the device would: the slots in the order of the rounds, each answering with the request's payload.
        let mut slots = vec![0; 3 * words];
        for (index, (arrival, out)) in [1, 0, 2].into_iter().zip(slots.chunks_exact_mut(words)).enumerate() {
            let header = Header { tag: 400, words: 1, ..batch.headers[arrival] };
            write_slot(out, header, &[arrival as u32], batch.sequence.wrapping_add(index as u32));
        }
        let (mut replies, mut payloads) = (Vec::new(), Vec::new());
        assert_eq!(batch.replies(&slots, plan.reply, &mut replies, &mut payloads), Some(()));
        for (arrival, reply) in replies.iter().enumerate() {
            assert_eq!((reply.header.tag, reply.header.correlation.index), (400, arrival as u32));
            assert_eq!(payloads[reply.payload.clone()], [arrival as u32]);
        }
        for damaged in [3, 7, 2, 4] {
            let mut slots = slots.clone();
            slots[words + damaged] ^= 0x00ff_0000;
            assert_eq!(batch.replies(&slots, plan.reply, &mut replies, &mut payloads), None);
        }
    }
}
