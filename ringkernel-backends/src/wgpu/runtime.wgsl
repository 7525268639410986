// The device runtime: joined behind an actor's handlers. One invocation handles one run, that is, the waiting messages of one
// instance in the order they were sent.
//
// In front of this text stand the handlers, which declare rk_state, rk_message, rk_reply and ringkernel_dispatch, and the
// constants rk_rt_request_words, rk_rt_reply_words (words of a slot), rk_rt_reply_payload (payload words of a reply slot),
// rk_rt_stride (words of an instance's state) and rk_rt_message_words (payload words of the message with a tag).

struct RkRtOutbox {
    // The words of a ControlBlock (32), then of a TelemetryBuffer (16). They live as long as the kernel.
    counters: array<atomic<u32>, 48>,
    // Reply slots, one for each request slot.
    slots: array<u32>,
}

// A round: at most one run of each instance. 0: runs; 1: instances; 2: where the slots begin; 3: how many slots earlier rounds
// have; 4: turns of the loop that finds out whether loops still turn; from 8: two words a run, its first slot and its length.
@group(0) @binding(1) var<storage, read> rk_rt_inbox: array<u32>;
@group(0) @binding(2) var<storage, read_write> rk_rt_outbox: RkRtOutbox;

// The counter's low word; the word behind it is its high half.
fn rk_rt_count(word: u32, by: u32) {
    let before = atomicAdd(&rk_rt_outbox.counters[word], by);
    if (before + by < before) {
        atomicAdd(&rk_rt_outbox.counters[word + 1u], 1u);
    }
}

fn rk_rt_refuse(kind: u32) -> vec2<u32> {
    rk_reply[0] = kind;
    rk_reply[1] = 0xffffffffu;
    return vec2<u32>(2u, 2u);
}

// Whether loops still do what they say. A driver that rations an invocation's iterations ends every loop after one turn once
// they are used up. Where none does, the loop has no turns.
fn rk_rt_loops_turn() -> bool {
    var turns = 0u;
    for (var turn = 0u; turn < rk_rt_inbox[4]; turn = turn + 1u) {
        turns = turns + 1u;
    }
    return turns == rk_rt_inbox[4];
}

// Payload words lie three to a chunk of four, behind two chunks of header.
fn rk_rt_take(slot: u32, words: u32) {
    for (var word = 0u; word < words; word = word + 3u) {
        let chunk = slot + 8u + word / 3u * 4u;
        rk_message[word] = rk_rt_inbox[chunk];
        if (word + 1u < words) {
            rk_message[word + 1u] = rk_rt_inbox[chunk + 1u];
        }
        if (word + 2u < words) {
            rk_message[word + 2u] = rk_rt_inbox[chunk + 2u];
        }
    }
}

fn rk_rt_give(slot: u32, words: u32) {
    for (var word = 0u; word < words; word = word + 3u) {
        let chunk = slot + 8u + word / 3u * 4u;
        rk_rt_outbox.slots[chunk] = rk_reply[word];
        if (word + 1u < words) {
            rk_rt_outbox.slots[chunk + 1u] = rk_reply[word + 1u];
        }
        if (word + 2u < words) {
            rk_rt_outbox.slots[chunk + 2u] = rk_reply[word + 2u];
        }
    }
}

fn rk_rt_handle(slot: u32, tag: u32, instance: u32, words: u32) -> vec2<u32> {
    if (tag == 0u) {
        return rk_rt_refuse(9u);
    }
    if (instance >= rk_rt_inbox[1]) {
        return rk_rt_refuse(10u);
    }
    let expected = rk_rt_message_words(tag, words);
    if (expected == 0xffffffffu) {
        return rk_rt_refuse(8u);
    }
    if (expected != words) {
        return rk_rt_refuse(9u);
    }
    rk_rt_take(slot, words);
    let result = ringkernel_dispatch(instance * rk_rt_stride, tag, instance);
    if (!rk_rt_loops_turn()) {
        return rk_rt_refuse(12u);
    }
    return result;
}

@compute @workgroup_size(64)
fn ringkernel_main(@builtin(global_invocation_id) id: vec3<u32>) {
    if (id.x >= rk_rt_inbox[0]) {
        return;
    }
    let first = rk_rt_inbox[8u + 2u * id.x];
    let count = rk_rt_inbox[9u + 2u * id.x];
    var errors = 0u;
    var dropped = 0u;
    var last_error = 0u;
    for (var index = first; index < first + count; index = index + 1u) {
        let slot = rk_rt_inbox[2] + index * rk_rt_request_words;
        let tag = rk_rt_inbox[slot];
        let result = rk_rt_handle(slot, tag, rk_rt_inbox[slot + 1u], rk_rt_inbox[slot + 4u] >> 16u);
        if (tag == 0u) {
            dropped = dropped + 1u;
        }
        if (result.x == 2u) {
            errors = errors + 1u;
            last_error = rk_reply[0];
        }
        // A message nobody waits for an answer to gets none.
        if (rk_rt_inbox[slot + 2u] != 0xffffffffu) {
            let words = min(result.y, rk_rt_reply_payload);
            let sequence = rk_rt_inbox[slot + 3u];
            let reply = (rk_rt_inbox[3] + index) * rk_rt_reply_words;
            rk_rt_outbox.slots[reply] = result.x;
            rk_rt_outbox.slots[reply + 1u] = rk_rt_inbox[slot + 1u];
            rk_rt_outbox.slots[reply + 2u] = rk_rt_inbox[slot + 2u];
            rk_rt_outbox.slots[reply + 3u] = sequence;
            rk_rt_outbox.slots[reply + 4u] = (rk_rt_inbox[slot + 4u] & 0xffffu) | (words << 16u);
            rk_rt_outbox.slots[reply + 5u] = rk_rt_inbox[slot + 5u];
            rk_rt_outbox.slots[reply + 6u] = rk_rt_inbox[slot + 6u];
            rk_rt_outbox.slots[reply + 7u] = sequence;
            rk_rt_give(reply, words);
        }
    }
    // ControlBlock: messages_processed at byte 16, errors_encountered at 12. TelemetryBuffer (from word 32):
    // messages_processed at 0, messages_dropped at 8, error_code at 56.
    rk_rt_count(4u, count);
    rk_rt_count(32u, count);
    if (errors != 0u) {
        atomicAdd(&rk_rt_outbox.counters[3], errors);
        atomicStore(&rk_rt_outbox.counters[46], last_error);
    }
    if (dropped != 0u) {
        rk_rt_count(34u, dropped);
    }
}
