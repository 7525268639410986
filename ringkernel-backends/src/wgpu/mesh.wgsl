
// What a handler does beside answering. Payloads go through an array, rk_out, that stands in front of this text.
//
// The *exchange* is one buffer for all kernels of a device that reach each other. A *box* in it takes what is sent: a kernel's mailbox,
// or what a kernel has for the host. Its header:
//   0 tail, which sends move, and which may run past the limit   1 limit: sends from here on find no room   2 head
//   3 messages in the order   4 end of what lay here when the last pass began   5 taken out   6 sends that were told it is full
//   7 dropped   8 whether earlier messages wait outside for room   9 messages to be handled, in the order or not   10 of 6, those that took no place
// Behind a mailbox's header stands the order (two words a message: instance, position), and then the slots. A slot:
//   0 tag   1 instance   2, 3 who sent it, the length in the upper half of 3   4, 5 when
//   6 twice its position + 1 while a mailbox holds it, else 0; for the host the submission's mark   7 a sum over it, or the lock,
//   where the oldest are dropped   8 the payload; for the host behind three words that the host wants to know
// Limits and heads stand still while handlers run.

@group(0) @binding(3) var<storage, read_write> rk_rt_exchange: array<atomic<u32>>;
// This kernel's place:
//   0: its number, its mailbox or 0, the most messages of the mailbox that an invocation handles, the most messages of a batch
//   1, 2: its mailbox as a receiver; how many peers in place of what goes through the host
//   3, 4: the box for the host, as a receiver; in place of instances how much it holds, which is also how many replies to mail there may be
//   from 5: a receiver a route; then for each topic its key, whether the host has it, the first subscriber's place, how many;
//   then a receiver a peer, by number; then for each subscriber its instance and where what it missed is counted, and a receiver
// A receiver: kind (0 nobody, 1 a mailbox, 2 through the host) and what becomes of what does not fit (bits 2, 3: 0 refused, 1 the
// oldest is dropped, 2 it goes through the host, 3 refused without a trace: a kernel does not drop what it is about to handle
// itself, but a tail beyond the limit will be taken for messages that replaced others) and its number (from bit 8); its box; where what goes to it through the host is
// counted; how much of that has arrived. Then: instances; words of a slot; slots less one; where they begin.
@group(0) @binding(4) var<storage, read> rk_rt_table: array<vec4<u32>>;

const rk_rt_box_header = 16u;

var<private> rk_rt_me: vec4<u32>;
// The message being handled: for whom, who sent it, when.
var<private> rk_rt_instance: u32;
var<private> rk_rt_origin: vec2<u32>;
var<private> rk_rt_sent: vec2<u32>;
// Whether another is to answer it.
var<private> rk_rt_handed_on: bool;
// The clock: a base, and how far it is beyond.
var<private> rk_rt_base: vec2<u32>;
var<private> rk_rt_clock: u32;
// What is about to be written.
var<private> rk_rt_head: array<u32, 11>;

// Whether somebody waits for an answer.
fn rk_rt_is_asked() -> bool {
    let who = rk_rt_origin.y >> 14u;
    return who == 2u || (who == 0u && rk_rt_origin.x != 0xffffffffu);
}

// The clock has seen a timestamp.
fn rk_rt_observe(seen: vec2<u32>) {
    let low = seen.x - rk_rt_base.x;
    let high = seen.y - rk_rt_base.y - select(0u, 1u, seen.x < rk_rt_base.x);
    // One before the base wraps, and is then too far ahead like one that is.
    if (high == 0u && low <= rk_rt_inbox[7]) {
        rk_rt_clock = max(rk_rt_clock, low);
    }
}

fn rk_rt_now() -> vec2<u32> {
    let low = rk_rt_base.x + rk_rt_clock;
    return vec2<u32>(low, rk_rt_base.y + select(0u, 1u, low < rk_rt_clock));
}

fn rk_rt_tick() -> vec2<u32> {
    rk_rt_clock = rk_rt_clock + 1u;
    return rk_rt_now();
}

// What: 0 look, 1 tick, 2 see a timestamp, 3 when the message was sent.
fn rk_rt_time(what: u32, seen: vec2<u32>) -> vec2<u32> {
    if (what == 3u) {
        return rk_rt_sent;
    }
    if (what == 2u) {
        rk_rt_observe(seen);
    }
    rk_rt_clock = rk_rt_clock + select(0u, 1u, what != 0u);
    return rk_rt_now();
}

// Which instance sent the message being handled; the second word is 1 if a kernel's did.
fn rk_sender() -> vec2<u32> {
    let kernel = (rk_rt_origin.y >> 14u) == 1u;
    return vec2<u32>(select(0u, rk_rt_origin.x, kernel), select(0u, 1u, kernel));
}

fn rk_rt_myself() -> vec2<u32> {
    return vec2<u32>(rk_rt_instance, rk_rt_me.x | 0x4000u);
}

// Sends `rk_out` to the receiver at this place of the table. What goes through the host has this kind there, and tells it `known`.
fn rk_rt_post(place: u32, instance: u32, tag: u32, words: u32, origin: vec2<u32>, kind: u32, known: vec2<u32>) -> u32 {
    let to = rk_rt_table[place];
    var shape = rk_rt_table[place + 1u];
    let way = to.x & 3u;
    if (way == 0u) {
        return 2u;
    }
    if (way == 1u && instance >= shape.x) {
        return 3u;
    }
    let policy = (to.x >> 2u) & 3u;
    var box = to.y;
    // What went through the host must not be overtaken.
    var through_host = way == 2u || (policy == 2u && atomicLoad(&rk_rt_exchange[to.z]) != to.w);
    var position = 0u;
    var reserved = false;
    let time = rk_rt_tick();
    // Where the oldest are dropped, two may want to write to one slot, and one has to wait; it gives up in the end, for nobody is promised
    // to get on.
    for (var turn = 0u; turn < 1024u; turn = turn + 1u) {
        if (!reserved) {
            if (through_host) {
                box = rk_rt_table[3].y;
                shape = rk_rt_table[4];
            }
            position = atomicAdd(&rk_rt_exchange[box], 1u);
            if ((policy != 1u || through_host) && i32(position - atomicLoad(&rk_rt_exchange[box + 1u])) >= 0) {
                if (policy == 2u && !through_host) {
                    through_host = true;
                    continue;
                }
                if (policy == 3u) {
                    atomicSub(&rk_rt_exchange[box], 1u);
                    atomicAdd(&rk_rt_exchange[box + 10u], 1u);
                }
                break;
            }
            reserved = true;
        }
        let slot = shape.w + (position & shape.z) * shape.y;
        if (policy == 1u && !through_host) {
            let sum = atomicLoad(&rk_rt_exchange[slot + 7u]);
            if (sum == 2u || !atomicCompareExchangeWeak(&rk_rt_exchange[slot + 7u], sum, 2u).exchanged) {
                continue;
            }
            let there = atomicLoad(&rk_rt_exchange[slot + 6u]);
            if (there != 0u) {
                let older = i32(2u * position + 1u - there) < 0;
                // What somebody waits for the answer to is not dropped.
                let asked = ((atomicLoad(&rk_rt_exchange[slot + 3u]) >> 14u) & 3u) == 2u;
                if (older || asked) {
                    atomicStore(&rk_rt_exchange[slot + 7u], sum);
                    if (older && (origin.y >> 14u) != 2u) {
                        return 0u;
                    }
                    break;
                }
            }
        }
        rk_rt_head[0] = tag;
        rk_rt_head[1] = instance;
        rk_rt_head[2] = select(origin.x, kind, through_host);
        rk_rt_head[3] = select(origin.y, 0u, through_host) | (words << 16u);
        rk_rt_head[4] = time.x;
        rk_rt_head[5] = time.y;
        rk_rt_head[6] = select(2u * position + 1u, rk_rt_inbox[8], through_host);
        rk_rt_head[7] = 2u;
        let handed_over = kind == 0xfffffffdu;
        rk_rt_head[8] = select(known.x, to.x >> 8u, handed_over);
        rk_rt_head[9] = select(known.y, origin.x, handed_over);
        rk_rt_head[10] = select(0u, origin.y, handed_over);
        // What is longer than a slot is no message of the receiver's, and its length says so when it arrives.
        let gap = select(8u, 11u, through_host);
        let all = min(gap + words, shape.y);
        var sum = 0x9e3779b9u;
        for (var word = 0u; word < all; word = word + 1u) {
            var value: u32;
            if (word < gap) {
                value = rk_rt_head[word];
            } else {
                value = rk_out[word - gap];
            }
            sum = rk_rt_sum(sum, word, value);
            atomicStore(&rk_rt_exchange[slot + word], value);
        }
        atomicStore(&rk_rt_exchange[slot + 7u], sum | 1u);
        if (through_host) {
            atomicAdd(&rk_rt_exchange[to.z], 1u);
        }
        return 0u;
    }
    atomicAdd(&rk_rt_exchange[to.y + 6u], 1u);
    return 1u;
}

// A sum tells whether two writers met in a slot. Its own word counts as 2, and the one before, which changes with the slot's place, too.
fn rk_rt_sum(sum: u32, word: u32, value: u32) -> u32 {
    return (((sum << 5u) | (sum >> 27u)) ^ select(value, 2u, word == 6u || word == 7u)) * 0x01000193u;
}

fn rk_send(route: u32, instance: u32, tag: u32, words: u32) -> u32 {
    return rk_rt_post(5u + 2u * route, instance, tag, words, rk_rt_myself(), 0xfffffffdu, vec2<u32>(0u));
}

fn rk_send_reply(tag: u32, words: u32) -> u32 {
    if ((rk_rt_origin.y >> 14u) != 1u) {
        return 4u;
    }
    let number = rk_rt_origin.y & 0x3fffu;
    let peers = 5u + 2u * rk_rt_routes + rk_rt_topics;
    var low = 0u;
    let count = rk_rt_table[1].z;
    var high = count;
    while (low < high) {
        let middle = (low + high) / 2u;
        if ((rk_rt_table[peers + 2u * middle].x >> 8u) < number) {
            low = middle + 1u;
        } else {
            high = middle;
        }
    }
    let place = peers + 2u * low;
    if (low >= count || (rk_rt_table[place].x >> 8u) != number) {
        return 2u;
    }
    return rk_rt_post(place, rk_rt_origin.x, tag, words, rk_rt_myself(), 0xfffffffdu, vec2<u32>(0u));
}

fn rk_forward(route: u32, instance: u32, tag: u32, words: u32) -> u32 {
    var origin = rk_rt_origin;
    if (rk_rt_handed_on && rk_rt_is_asked()) {
        // The answer is one, so only one may give it.
        return 4u;
    }
    if ((origin.y >> 14u) == 0u && origin.x != 0xffffffffu) {
        origin.y = rk_rt_me.x | 0x8000u;
    }
    let sent = rk_rt_post(5u + 2u * route, instance, tag, words, origin, 0xfffffffdu, vec2<u32>(0u));
    if (sent == 0u) {
        rk_rt_handed_on = true;
    }
    return sent;
}

fn rk_output(tag: u32, words: u32) -> u32 {
    return rk_rt_post(3u, rk_rt_instance, tag, words, vec2<u32>(0u), 0xfffffffeu, vec2<u32>(0u));
}

fn rk_publish(topic: u32, retain: u32, tag: u32, words: u32) -> u32 {
    let about = rk_rt_table[5u + 2u * rk_rt_routes + topic];
    var sent = 0u;
    // The host comes first, if it wants to know.
    for (var index = select(1u, 0u, (about.y | retain) != 0u); index <= about.w; index = index + 1u) {
        var place = 3u;
        var who = vec2<u32>(rk_rt_instance, 0u);
        if (index > 0u) {
            place = about.z + 3u * index - 2u;
            who = rk_rt_table[place - 1u].xy;
        }
        let known = vec2<u32>(about.x, retain);
        if (rk_rt_post(place, who.x, tag, words, rk_rt_myself(), select(0xfffffffdu, 0xfffffffcu, index == 0u), known) == 1u) {
            atomicAdd(&rk_rt_exchange[who.y], 1u);
            sent = 1u;
        }
    }
    return sent;
}

// Takes the oldest message with this tag that this route's kernel sent to this instance, of those that lay here when the pass began.
fn rk_receive(route: u32, tag: u32, words: u32) -> u32 {
    let from_whom = rk_rt_table[5u + 2u * route].x;
    let box = rk_rt_me.y;
    if ((from_whom & 3u) == 0u || box == 0u) {
        return 0u;
    }
    let who = (from_whom >> 8u) | 0x4000u | (words << 16u);
    let shape = rk_rt_table[2];
    let end = atomicLoad(&rk_rt_exchange[box + 4u]);
    let head = atomicLoad(&rk_rt_exchange[box + 2u]);
    let room = shape.z + 1u;
    // Further back there are at most messages that are to be answered.
    for (var position = select(head, end - room, end - head > room); position != end; position = position + 1u) {
        let slot = shape.w + (position & shape.z) * shape.y;
        if (atomicLoad(&rk_rt_exchange[slot + 6u]) == 2u * position + 1u
            && atomicLoad(&rk_rt_exchange[slot]) == tag
            && atomicLoad(&rk_rt_exchange[slot + 1u]) == rk_rt_instance
            && atomicLoad(&rk_rt_exchange[slot + 3u]) == who) {
            for (var word = 0u; word < words; word = word + 1u) {
                rk_out[word] = atomicLoad(&rk_rt_exchange[slot + 8u + word]);
            }
            rk_rt_observe(vec2<u32>(atomicLoad(&rk_rt_exchange[slot + 4u]), atomicLoad(&rk_rt_exchange[slot + 5u])));
            atomicStore(&rk_rt_exchange[slot + 6u], 0u);
            atomicAdd(&rk_rt_exchange[box + 5u], 1u);
            return 1u;
        }
    }
    return 0u;
}
