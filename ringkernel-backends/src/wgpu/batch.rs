//! A batch: the words of one dispatch, in and out.
//!
//! Requests cross the bus in the shape they have in a ring (see [`slot`]), sorted so that a run is contiguous. Replies come back with their words in a
//! row, behind a header. Where a run may
//! not be as long as it happens to be, it is cut, and the pieces go into *rounds*: dispatches that follow each other within one
//! submission, each with an inbox of its own.

use super::program::{COUNTER_WORDS, EXPORT_HEADER, HEADER};
use crate::abi::slot::{self, CHUNK_DATA_WORDS, PREFIX_WORDS, PUBLISHED, RELAY};
use crate::abi::{Consumer, Header, Ring, SlotShape, clock};

/// Words in front of a round's run table.
pub(super) const PREAMBLE: usize = 12;
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
    /// Where in it the round over the mailbox is.
    pub(super) mail: usize,
}

/// How batches of a kernel are made up.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Plan {
    pub(super) request: SlotShape,
    /// Words of a reply.
    pub(super) reply: usize,
    /// Words of what else comes back, and the most there can be of it; also the most replies to mail.
    pub(super) export: usize,
    pub(super) exports: usize,
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
        (rounds + 1) * (PREAMBLE + CHUNK + self.align) + 2 * self.window_words()
    }

    /// Words of the outbox: counters, a reply a message, and those to mail.
    pub(super) fn outbox_words(&self) -> usize {
        COUNTER_WORDS + (self.messages + self.exports) * self.reply
    }
}

impl Batch {
    /// Takes up to `limit` messages that wait, and arranges them; how many there were. `follow` may change what a slot says of where its payload is.
    pub(super) fn take(
        &mut self,
        plan: &Plan,
        consumer: &mut Consumer,
        ring: &Ring,
        limit: usize,
        buffer: &mut [u32],
        mut follow: impl FnMut(Header, &mut [u32]),
    ) -> usize {
        self.headers.clear();
        self.payloads.clear();
        self.starts.clear();
        self.sequence = slot::sequence(consumer.position());
        while self.headers.len() < limit
            && let Some(header) = consumer.pop(ring, buffer)
        {
            follow(header, buffer);
            self.starts.push(self.payloads.len());
            self.payloads.extend_from_slice(&buffer[..header.words as usize]);
            self.headers.push(header);
        }
        self.arrange(plan);
        self.headers.len()
    }

    /// Groups the messages by instance, each instance's in the order they arrived, and writes the inboxes.
    fn arrange(&mut self, plan: &Plan) {
        let Self { headers, payloads, order, starts, sequence, rounds, inbox, .. } = self;
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

    /// Makes it empty.
    pub(super) fn clear(&mut self) {
        self.headers.clear();
        self.order.clear();
        self.rounds.clear();
        self.inbox.clear();
    }

    /// Messages in the batch.
    pub(super) fn len(&self) -> usize {
        self.headers.len()
    }

    /// Reads the replies that came back (`slots`, from behind the counters, of `size` words each) into `replies`, in the order the
    /// requests arrived, and their payloads into `payloads`. `None` if the device did not write one that it had to.
    pub(super) fn replies(
        &self,
        slots: &[u32],
        size: usize,
        replies: &mut Vec<Reply>,
        payloads: &mut Vec<u32>,
    ) -> Option<()> {
        // Where each arrival's slot is.
        let mut places = vec![0; self.order.len()];
        for (index, &arrival) in self.order.iter().enumerate() {
            places[arrival as usize] = index;
        }
        for (request, index) in self.headers.iter().zip(places) {
            if !request.correlation.is_some() {
                continue;
            }
            let slot = slots.get(index * size..(index + 1) * size)?;
            let (answered, payload) = slot.split_at(HEADER);
            let sequence = self.sequence.wrapping_add(index as u32);
            let header = header_of(answered);
            let payload = payload.get(..header.words as usize)?;
            if answered[6] != sequence || header.correlation != request.correlation {
                return None;
            }
            // The rest of the header is the request's own.
            let header = Header { tag: header.tag, hlc: header.hlc, ..*request };
            push(header, [payload, &[]], replies, payloads);
        }
        Some(())
    }

    /// Appends a round over the mailbox, and says in every round when the submission is made, and which it is: its mark is in what it writes
    /// beside replies.
    pub(super) fn stamp(&mut self, plan: &Plan, moment: Moment, mark: u32) {
        let Self { inbox, rounds, mail, .. } = self;
        inbox.resize(inbox.len().next_multiple_of(plan.align), 0);
        *mail = inbox.len();
        let turns = if plan.rationed { TURNS } else { 0 };
        inbox.extend([MAIL, plan.instances, 0, 0, turns]);
        inbox.resize(*mail + PREAMBLE, 0);
        for start in rounds.iter().map(|round| round.start).chain([*mail]) {
            let words = [moment.base as u32, (moment.base >> 32) as u32, moment.ahead, mark];
            inbox[start + 5..start + 9].copy_from_slice(&words);
        }
    }
}

/// What stands for the number of runs where there are none, but a mailbox.
const MAIL: u32 = u32::MAX;

/// When a submission is made.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Moment {
    /// What its timestamps lie beyond.
    pub(super) base: u64,
    /// How far beyond that a timestamp may be and still be believed.
    pub(super) ahead: u32,
}

impl Moment {
    /// Now, for a clock whose last timestamp was `last`.
    pub(super) fn now(last: u64) -> Self {
        let now = clock::time_of_day();
        let base = now.max(last);
        Self {
            base,
            ahead: u32::try_from(now.saturating_add(clock::DRIFT).saturating_sub(base)).unwrap_or(u32::MAX),
        }
    }
}

/// Reads replies to mail (`slots`, of `size` words each) and appends them. `None` if one was not written by the submission with this mark.
pub(super) fn mailed(
    slots: &[u32],
    mark: u32,
    size: usize,
    replies: &mut Vec<Reply>,
    payloads: &mut Vec<u32>,
) -> Option<()> {
    for slot in slots.chunks_exact(size) {
        let (head, payload) = slot.split_at(HEADER);
        let header = header_of(head);
        let payload = payload.get(..header.words as usize).filter(|_| head[6] == mark)?;
        push(header, [payload, &[]], replies, payloads);
    }
    Some(())
}

/// Reads what handlers sent to the host (`slots`, of `size` words each) and appends it. What was not written whole, because the sender ran out of
/// loop iterations, is left out; `None` if there is another reason.
pub(super) fn exports(
    slots: &[u32],
    mark: u32,
    plan: &Plan,
    replies: &mut Vec<Reply>,
    payloads: &mut Vec<u32>,
) -> Option<()> {
    for slot in slots.chunks_exact(plan.export) {
        let mut header = header_of(slot);
        let Some(written) =
            slot.get(..EXPORT_HEADER + header.words as usize).filter(|slot| is_whole(slot, mark))
        else {
            if plan.rationed {
                continue;
            }
            return None;
        };
        let (head, payload) = written.split_at(EXPORT_HEADER);
        let mut prefix: &[u32] = &[];
        if matches!(header.correlation.index, RELAY | PUBLISHED) {
            prefix = &head[HEADER..];
            header.words += PREFIX_WORDS as u16;
        }
        push(header, [prefix, payload], replies, payloads);
    }
    Some(())
}

/// Whether a slot has its mark, and the sum over it.
fn is_whole(slot: &[u32], mark: u32) -> bool {
    slot[6] == mark && slot[7] == sum(slot)
}

/// The sum over a slot, as the device makes it: its own word counts as 2, and so does the one before, which changes.
pub(super) fn sum(slot: &[u32]) -> u32 {
    let words = slot.iter().enumerate().map(|(index, &word)| if matches!(index, 6 | 7) { 2 } else { word });
    words.fold(0x9e37_79b9u32, |sum, word| (sum.rotate_left(5) ^ word).wrapping_mul(0x0100_0193)) | 1
}

fn header_of(words: &[u32]) -> Header {
    Header::from_words([words[0], words[1], words[2], words[3], words[4], words[5]])
}

/// The tag of a reply that another kernel gives.
const HANDED_ON: u32 = 0;

fn push(header: Header, parts: [&[u32]; 2], replies: &mut Vec<Reply>, payloads: &mut Vec<u32>) {
    if header.tag == HANDED_ON {
        return;
    }
    let start = payloads.len();
    parts.into_iter().for_each(|part| payloads.extend(part));
    replies.push(Reply { header: Header { words: 0, ..header }, payload: start..payloads.len() });
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
        Plan {
            request: shape,
            reply: 10,
            export: 13,
            instances: 9,
            messages: 64,
            exports: 4,
            run: 64,
            rationed: false,
            align: 16,
        }
    };

    /// A batch of messages to these instances; each carries its arrival as payload.
    fn batch(plan: &Plan, instances: &[u32]) -> Batch {
        let port = Shapes { request: plan.request, reply: plan.request, first_position: 0 }.port(64);
        for (arrival, &instance) in instances.iter().enumerate() {
            let correlation = Correlation { index: arrival as u32, generation: 3 };
            let header = Header { tag: 300, instance, correlation, words: 0, hlc: 7 };
            port.requests.try_push(header, &(arrival as u32).to_le_bytes()).unwrap();
        }
        let mut batch = Batch::default();
        let mut consumer = port.requests.consumer();
        let count = batch.take(plan, &mut consumer, &port.requests, 64, &mut [0; 16], |_, _| ());
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
        let words = plan.reply;
        // As the device would: the slots in the order of the rounds, each answering with the request's payload.
        let mut slots = vec![0; 3 * words];
        for (index, (arrival, out)) in [1, 0, 2].into_iter().zip(slots.chunks_exact_mut(words)).enumerate() {
            let header = Header { tag: 400, words: 1, ..batch.headers[arrival] };
            out[..6].copy_from_slice(&header.to_words());
            out[6] = batch.sequence.wrapping_add(index as u32);
            out[8] = arrival as u32;
        }
        let (mut replies, mut payloads) = (Vec::new(), Vec::new());
        assert_eq!(batch.replies(&slots, plan.reply, &mut replies, &mut payloads), Some(()));
        for (arrival, reply) in replies.iter().enumerate() {
            assert_eq!((reply.header.tag, reply.header.correlation.index), (400, arrival as u32));
            assert_eq!(payloads[reply.payload.clone()], [arrival as u32]);
        }
        for damaged in [2, 3, 6] {
            let mut slots = slots.clone();
            slots[words + damaged] ^= 0x00ff_0000;
            assert_eq!(batch.replies(&slots, plan.reply, &mut replies, &mut payloads), None);
        }
    }
}
