// The device runtime: joined behind an actor's handlers. One invocation handles one run, that is, the waiting messages of one
// instance in the order they were sent: requests out of the inbox, or, in another dispatch, what other kernels put into the mailbox.
// What handlers do beside answering is in `mesh.wgsl`, and how a mailbox is put in order in `mailbox.wgsl`.
//
// In front of this text stand the handlers, which declare rk_state, rk_message, rk_reply and ringkernel_dispatch, and what is
// generated of the actor: rk_rt_request_words, rk_rt_reply_words (words of a slot), rk_rt_reply_payload (payload
// words of a reply), rk_rt_stride (words of an instance's state), rk_rt_routes (how many routes), rk_rt_message_words (payload
// words of the message with a tag), rk_rt_copied, rk_rt_is_kept.
//
// Drivers that inline every function compile the handlers, with all that they send, once an entry point and call: so there is
// one entry point for both kinds of message, and little code in a send.

struct RkRtOutbox {
    // The words of a ControlBlock (32), then of a TelemetryBuffer (16), which live as long as the kernel. Then: 48 requests
    // finished; 49 how far the clock has come beyond the base; 50 replies to mail. The last two are 0 when a submission begins.
    counters: array<atomic<u32>, 64>,
    // Replies, one for each request slot, and behind those of the largest batch the ones to mail. Each has a header: tag, instance, who
    // asked (two words, the length in the upper half of the second), when (two), the request's sequence or the submission's mark, 0.
    slots: array<vec4<u32>>,
}

// A round: at most one run of each instance. 0: runs, or all ones for the mailbox; 1: instances; 2: where the slots begin; 3: how many
// slots earlier rounds have; 4: turns of the loop that finds out whether loops still turn; 5, 6: the clock's base; 7: how far ahead
// of the base a timestamp is believed; 8: the submission's mark; from 12: two words a run, its first slot and its length.
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

// A word of a message, counted from its header's first of six. In the inbox they lie three to a chunk of four; in a mailbox two
// others stand behind the header.
fn rk_rt_word(mail: bool, slot: u32, word: u32) -> u32 {
    if (mail) {
        return atomicLoad(&rk_rt_exchange[slot + word + select(0u, 2u, word >= 6u)]);
    }
    return rk_rt_inbox[slot + word + word / 3u];
}

// Where the message being handled lies: handlers read those of variable size in place, by `rk_in` (slots.wgsl or payloads.wgsl).
var<private> rk_rt_mail: bool;
var<private> rk_rt_slot: u32;

// What speaks against a message before any handler sees it: the kind of a fault, or 0.
fn rk_rt_objection(tag: u32, instance: u32, words: u32) -> u32 {
    if (tag == 0u) {
        return 9u;
    }
    if (instance >= rk_rt_inbox[1]) {
        return 10u;
    }
    let expected = rk_rt_message_words(tag, words);
    if (expected == 0xffffffffu) {
        return 8u;
    }
    return select(9u, 0u, expected == words);
}

// The answer to the message being handled. If that was handed on, it says so by its tag, which is 0. A fault needs one turn of
// the loop: where they are used up, there is one.
fn rk_rt_answer(index: u32, result: vec2<u32>, mark: u32) {
    let at = index * rk_rt_reply_words / 4u;
    let words = select(min(result.y, rk_rt_reply_payload), 0u, rk_rt_handed_on);
    let tag = select(result.x, 0u, rk_rt_handed_on);
    let time = rk_rt_tick();
    rk_rt_outbox.slots[at] = vec4<u32>(tag, rk_rt_instance, rk_rt_origin.x, rk_rt_origin.y | (words << 16u));
    rk_rt_outbox.slots[at + 1u] = vec4<u32>(time, mark, 0u);
    for (var word = 0u; word < words; word = word + 4u) {
        rk_rt_outbox.slots[at + 2u + word / 4u] =
            vec4<u32>(rk_reply[word], rk_reply[word + 1u], rk_reply[word + 2u], rk_reply[word + 3u]);
    }
}

@compute @workgroup_size(64)
fn ringkernel_main(@builtin(global_invocation_id) id: vec3<u32>) {
    let mail = rk_rt_inbox[0] == 0xffffffffu;
    rk_rt_me = rk_rt_table[0];
    rk_rt_base = vec2<u32>(rk_rt_inbox[5], rk_rt_inbox[6]);
    rk_rt_clock = atomicLoad(&rk_rt_outbox.counters[49]);
    let box = rk_rt_me.y;
    let order = box + rk_rt_box_header;
    let shape = rk_rt_table[2];
    var first = 0u;
    var end = 0u;
    var mine = 0u;
    if (mail) {
        let count = atomicLoad(&rk_rt_exchange[box + 3u]);
        if (id.x >= count) {
            return;
        }
        mine = atomicLoad(&rk_rt_exchange[order + 2u * id.x]);
        // The first of an instance's handles them all.
        if (id.x > 0u && atomicLoad(&rk_rt_exchange[order + 2u * id.x - 2u]) == mine) {
            return;
        }
        first = id.x;
        end = min(count, id.x + rk_rt_me.z);
    } else {
        if (id.x >= rk_rt_inbox[0]) {
            return;
        }
        first = rk_rt_inbox[12u + 2u * id.x];
        end = first + rk_rt_inbox[13u + 2u * id.x];
    }
    var finished = 0u;
    var errors = 0u;
    var dropped = 0u;
    var last_error = 0u;
    for (var index = first; index < end; index = index + 1u) {
        var slot = 0u;
        if (mail) {
            if (atomicLoad(&rk_rt_exchange[order + 2u * index]) != mine) {
                break;
            }
            slot = shape.w + (atomicLoad(&rk_rt_exchange[order + 2u * index + 1u]) & shape.z) * shape.y;
        } else {
            slot = rk_rt_inbox[2] + index * rk_rt_request_words;
        }
        for (var word = 0u; word < 6u; word = word + 1u) {
            rk_rt_head[word] = rk_rt_word(mail, slot, word);
        }
        let tag = rk_rt_head[0];
        let words = rk_rt_head[3] >> 16u;
        rk_rt_instance = rk_rt_head[1];
        rk_rt_origin = vec2<u32>(rk_rt_head[2], rk_rt_head[3] & 0xffffu);
        rk_rt_sent = vec2<u32>(rk_rt_head[4], rk_rt_head[5]);
        rk_rt_handed_on = false;
        rk_rt_observe(rk_rt_sent);
        let asked = rk_rt_is_asked();
        // What came by mail and is to be answered needs room for that; without, it stays with what follows it for the next submission.
        var answer = 0u;
        if (mail && asked) {
            answer = atomicAdd(&rk_rt_outbox.counters[50], 1u);
            if (answer >= rk_rt_table[4].x) {
                break;
            }
            answer = answer + rk_rt_me.w;
        }
        var result: vec2<u32>;
        let objection = rk_rt_objection(tag, rk_rt_instance, words);
        if (objection != 0u) {
            result = rk_rt_refuse(objection);
        } else {
            rk_rt_mail = mail;
            rk_rt_slot = slot;
            let copied = rk_rt_copied(tag, rk_rt_length(tag, words));
            for (var word = 0u; word < copied; word = word + 1u) {
                rk_message[word] = rk_rt_word(mail, slot, 6u + word);
            }
            result = ringkernel_dispatch(rk_rt_instance * rk_rt_stride, tag, rk_rt_instance);
            if (!rk_rt_loops_turn()) {
                result = rk_rt_refuse(12u);
            }
        }
        finished = finished + 1u;
        if (tag == 0u) {
            dropped = dropped + 1u;
        }
        if (result.x == 2u) {
            errors = errors + 1u;
            last_error = rk_reply[0];
        }
        var mark = rk_rt_inbox[8];
        if (mail) {
            atomicStore(&rk_rt_exchange[slot + 6u], 0u);
        } else {
            mark = rk_rt_inbox[slot + 3u];
            answer = rk_rt_inbox[3] + index;
        }
        // A message nobody waits for an answer to gets none.
        if (asked) {
            rk_rt_answer(answer, result, mark);
        }
    }
    // ControlBlock: messages_processed at byte 16, errors_encountered at 12. TelemetryBuffer (from word 32):
    // messages_processed at 0, messages_dropped at 8, error_code at 56.
    rk_rt_count(4u, finished);
    rk_rt_count(32u, finished);
    if (errors != 0u) {
        atomicAdd(&rk_rt_outbox.counters[3], errors);
        atomicStore(&rk_rt_outbox.counters[46], last_error);
    }
    if (dropped != 0u) {
        rk_rt_count(34u, dropped);
    }
    atomicMax(&rk_rt_outbox.counters[49], rk_rt_clock);
    if (mail) {
        atomicAdd(&rk_rt_exchange[box + 5u], finished);
    } else {
        atomicAdd(&rk_rt_outbox.counters[48], finished);
    }
}
