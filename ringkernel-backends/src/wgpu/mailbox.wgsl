
// A mailbox before a dispatch over it: forgets what has been handled, sets the limit, and puts what is there in order, by instance and
// then by position.

const rk_rt_lanes = 256u;
// The most messages of a pass.
const rk_rt_most = 1024u;

// Instance and position, from the base.
var<workgroup> rk_rt_keys: array<vec2<u32>, rk_rt_most>;
var<workgroup> rk_rt_found: atomic<u32>;
var<workgroup> rk_rt_waiting: atomic<u32>;
var<workgroup> rk_rt_live: atomic<u32>;
var<workgroup> rk_rt_first: atomic<u32>;
var<workgroup> rk_rt_bits: array<atomic<u32>, 8>;
// How many messages have each digit; the bound so far, and how many more messages may lie before it.
var<workgroup> rk_rt_digits: array<atomic<u32>, rk_rt_lanes>;
var<workgroup> rk_rt_rank: vec2<u32>;
// The first position to look at, the tail, and whether to go on.
var<workgroup> rk_rt_window: vec3<u32>;

// Whether a message is whole. Where the oldest are dropped, two may have written to its slot; and where loops are rationed, the
// sender may have run out of them.
fn rk_rt_is_whole(slot: u32, size: u32) -> bool {
    let words = min(8u + (atomicLoad(&rk_rt_exchange[slot + 3u]) >> 16u), size);
    var sum = 0x9e3779b9u;
    for (var word = 0u; word < words; word = word + 1u) {
        sum = rk_rt_sum(sum, word, atomicLoad(&rk_rt_exchange[slot + word]));
    }
    return atomicLoad(&rk_rt_exchange[slot + 7u]) == (sum | 1u);
}

// Moves what lies in the last `span` places up to the tail, in order. A chunk of places at a time, from the tail on, and of each
// slot a word at a time: all of them are read before the first is written.
fn rk_rt_close_ranks(lane: u32, shape: vec4<u32>, tail: u32, span: u32) {
    var kept = 0u;
    for (var done = 0u; done < span; done = done + rk_rt_lanes) {
        if (lane < 8u) {
            atomicStore(&rk_rt_bits[lane], 0u);
        }
        workgroupBarrier();
        let place = tail - 1u - done - lane;
        let slot = shape.w + (place & shape.z) * shape.y;
        let live = done + lane < span && atomicLoad(&rk_rt_exchange[slot + 6u]) == 2u * place + 1u;
        if (live) {
            atomicOr(&rk_rt_bits[lane / 32u], 1u << (lane % 32u));
        }
        workgroupBarrier();
        var before = 0u;
        var all = 0u;
        for (var word = 0u; word < 8u; word = word + 1u) {
            let bits = atomicLoad(&rk_rt_bits[word]);
            all = all + countOneBits(bits);
            if (word < lane / 32u) {
                before = before + countOneBits(bits);
            } else if (word == lane / 32u) {
                before = before + countOneBits(bits & ((1u << (lane % 32u)) - 1u));
            }
        }
        let to = tail - 1u - kept - before;
        let there = shape.w + (to & shape.z) * shape.y;
        let moves = live && to != place;
        for (var word = 0u; word < shape.y; word = word + 1u) {
            var value = 0u;
            if (moves) {
                value = atomicLoad(&rk_rt_exchange[slot + word]);
            }
            storageBarrier();
            if (moves && word == 6u) {
                atomicStore(&rk_rt_exchange[slot + 6u], 0u);
                value = 2u * to + 1u;
            }
            storageBarrier();
            if (moves) {
                atomicStore(&rk_rt_exchange[there + word], value);
            }
            storageBarrier();
        }
        kept = kept + all;
        workgroupBarrier();
    }
}

// Whether a handler takes it by itself. Only what a kernel sent is kept for one that asks.
fn rk_rt_is_for_all(slot: u32) -> bool {
    let kernel = ((atomicLoad(&rk_rt_exchange[slot + 3u]) >> 14u) & 3u) == 1u;
    return !kernel || !rk_rt_is_kept(atomicLoad(&rk_rt_exchange[slot]));
}

// Where the oldest are dropped, what is not may be older than all else, wherever it lies. So a pass over more messages than it takes has to
// look at all of them first: what it takes lies before the result, as counted from the base. That is found digit by digit, the highest first.
fn rk_rt_bound(lane: u32, shape: vec4<u32>, base: u32, tail: u32) -> u32 {
    for (var place = lane; place <= shape.z; place = place + rk_rt_lanes) {
        let slot = shape.w + place * shape.y;
        let state = atomicLoad(&rk_rt_exchange[slot + 6u]);
        if ((state & 1u) == 0u) {
            continue;
        }
        if (!rk_rt_is_whole(slot, shape.y)) {
            atomicStore(&rk_rt_exchange[slot + 6u], 0u);
        } else if (rk_rt_is_for_all(slot)) {
            atomicMin(&rk_rt_first, ((state >> 1u) - base) & 0x7fffffffu);
            atomicAdd(&rk_rt_found, 1u);
        }
    }
    workgroupBarrier();
    if (lane == 0u) {
        rk_rt_rank = vec2<u32>(atomicLoad(&rk_rt_first), atomicLoad(&rk_rt_found));
        atomicStore(&rk_rt_found, 0u);
    }
    var rank = workgroupUniformLoad(&rk_rt_rank);
    if (rank.y <= rk_rt_most) {
        return 0xffffffffu;
    }
    let first = rank.x;
    let digits = (39u - countLeadingZeros(tail - base - first)) / 8u;
    rank.y = rk_rt_most;
    for (var digit = digits; digit > 0u; digit = digit - 1u) {
        let shift = 8u * (digit - 1u);
        atomicStore(&rk_rt_digits[lane], 0u);
        workgroupBarrier();
        for (var place = lane; place <= shape.z; place = place + rk_rt_lanes) {
            let slot = shape.w + place * shape.y;
            let state = atomicLoad(&rk_rt_exchange[slot + 6u]);
            let distance = (((state >> 1u) - base) & 0x7fffffffu) - first;
            let is_near = (distance ^ (rank.x - first)) >> shift >> 8u == 0u;
            if ((state & 1u) != 0u && is_near && rk_rt_is_for_all(slot)) {
                atomicAdd(&rk_rt_digits[(distance >> shift) & 0xffu], 1u);
            }
        }
        workgroupBarrier();
        if (lane == 0u) {
            var value = 0u;
            for (; value < 0xffu; value = value + 1u) {
                let here = atomicLoad(&rk_rt_digits[value]);
                if (here > rank.y) {
                    break;
                }
                rank.y = rank.y - here;
            }
            rk_rt_rank = vec2<u32>(rank.x + (value << shift), rank.y);
        }
        rank = workgroupUniformLoad(&rk_rt_rank);
    }
    return rank.x;
}

fn rk_rt_later(a: vec2<u32>, b: vec2<u32>) -> bool {
    return a.x > b.x || (a.x == b.x && a.y > b.y);
}

@compute @workgroup_size(256)
fn ringkernel_prepare(@builtin(local_invocation_index) lane: u32) {
    let box = rk_rt_table[0].y;
    let shape = rk_rt_table[2];
    let room = shape.z + 1u;
    let drops = ((rk_rt_table[1].x >> 2u) & 3u) == 1u;
    let many = drops && room > rk_rt_most;
    let check = (drops || rk_rt_inbox[4] != 0u) && !many;
    if (lane == 0u) {
        var head = atomicLoad(&rk_rt_exchange[box + 2u]);
        var tail = atomicLoad(&rk_rt_exchange[box]);
        let limit = atomicLoad(&rk_rt_exchange[box + 1u]);
        if (drops) {
            // What is further back has been replaced, if nobody waits for an answer.
            head = tail - room;
        } else if (i32(tail - limit) > 0) {
            tail = limit;
        }
        rk_rt_window = vec3<u32>(head, tail, 0u);
        atomicStore(&rk_rt_found, 0u);
        atomicStore(&rk_rt_waiting, 0u);
        atomicStore(&rk_rt_live, 0u);
    }
    let window = workgroupUniformLoad(&rk_rt_window);
    let head = window.x;
    let tail = window.y;
    let count = tail - head;
    // A slot has 31 bits of its position.
    let base = select(head, tail - 0x20000000u, drops);
    if (lane == 0u) {
        atomicStore(&rk_rt_first, tail - base);
    }
    workgroupBarrier();
    // What is handled later than others that came after it keeps the places behind it from being used again.
    if (!drops && count > select(room / 2u, 0u, room <= rk_rt_lanes)) {
        for (var chunk = 0u; chunk < count; chunk = chunk + rk_rt_lanes) {
            let place = head + chunk + lane;
            let slot = shape.w + (place & shape.z) * shape.y;
            if (chunk + lane < count && atomicLoad(&rk_rt_exchange[slot + 6u]) == 2u * place + 1u) {
                atomicMin(&rk_rt_first, chunk + lane);
                atomicAdd(&rk_rt_live, 1u);
            }
        }
        workgroupBarrier();
        if (lane == 0u) {
            rk_rt_window.x = atomicLoad(&rk_rt_first);
            rk_rt_window.z = atomicLoad(&rk_rt_live);
        }
        let found = workgroupUniformLoad(&rk_rt_window);
        if (count - found.x > found.z) {
            rk_rt_close_ranks(lane, shape, tail, count - found.x);
        }
        if (lane == 0u) {
            atomicStore(&rk_rt_first, tail - base);
            atomicStore(&rk_rt_live, 0u);
        }
        workgroupBarrier();
    }
    var bound = 0xffffffffu;
    if (many) {
        bound = rk_rt_bound(lane, shape, base, tail);
    }
    var seen = 0u;
    while (seen < count) {
        let place = seen + lane;
        if (place < count) {
            let slot = shape.w + ((head + place) & shape.z) * shape.y;
            let state = atomicLoad(&rk_rt_exchange[slot + 6u]);
            if ((state & 1u) != 0u && (drops || state == 2u * (head + place) + 1u)) {
                if (check && !rk_rt_is_whole(slot, shape.y)) {
                    atomicStore(&rk_rt_exchange[slot + 6u], 0u);
                } else {
                    let offset = ((state >> 1u) - base) & 0x7fffffffu;
                    atomicMin(&rk_rt_first, offset);
                    atomicAdd(&rk_rt_live, 1u);
                    if (rk_rt_is_for_all(slot)) {
                        atomicAdd(&rk_rt_waiting, 1u);
                        if (offset < bound) {
                            let index = atomicAdd(&rk_rt_found, 1u);
                            rk_rt_keys[index] = vec2<u32>(atomicLoad(&rk_rt_exchange[slot + 1u]), offset);
                        }
                    }
                }
            }
        }
        seen = seen + rk_rt_lanes;
        workgroupBarrier();
        if (lane == 0u) {
            // Only while all of the next part has room: a later message must not come before an earlier one.
            rk_rt_window.z = select(0u, 1u, !many && atomicLoad(&rk_rt_found) > rk_rt_most - rk_rt_lanes);
        }
        if (workgroupUniformLoad(&rk_rt_window).z != 0u) {
            break;
        }
    }
    if (lane == 0u) {
        rk_rt_window.z = atomicLoad(&rk_rt_found);
    }
    let found = workgroupUniformLoad(&rk_rt_window).z;
    // Bitonic: every step compares pairs at one distance.
    var padded = 1u;
    while (padded < found) {
        padded = padded * 2u;
    }
    for (var index = found + lane; index < padded; index = index + rk_rt_lanes) {
        rk_rt_keys[index] = vec2<u32>(0xffffffffu, 0xffffffffu);
    }
    workgroupBarrier();
    for (var block = 2u; block <= padded; block = block * 2u) {
        for (var distance = block / 2u; distance > 0u; distance = distance / 2u) {
            for (var index = lane; index < padded; index = index + rk_rt_lanes) {
                let other = index ^ distance;
                if (other > index) {
                    let a = rk_rt_keys[index];
                    let b = rk_rt_keys[other];
                    if (rk_rt_later(a, b) == ((index & block) == 0u)) {
                        rk_rt_keys[index] = b;
                        rk_rt_keys[other] = a;
                    }
                }
            }
            workgroupBarrier();
        }
    }
    let order = box + rk_rt_box_header;
    for (var index = lane; index < found; index = index + rk_rt_lanes) {
        let key = rk_rt_keys[index];
        atomicStore(&rk_rt_exchange[order + 2u * index], key.x);
        atomicStore(&rk_rt_exchange[order + 2u * index + 1u], base + key.y);
    }
    if (lane == 0u) {
        let first = base + atomicLoad(&rk_rt_first);
        let closed = atomicLoad(&rk_rt_exchange[box + 8u]) != 0u;
        atomicStore(&rk_rt_exchange[box], tail);
        atomicStore(&rk_rt_exchange[box + 1u], select(first + room, tail, closed));
        atomicStore(&rk_rt_exchange[box + 2u], first);
        atomicStore(&rk_rt_exchange[box + 3u], found);
        atomicStore(&rk_rt_exchange[box + 4u], tail);
        // Nobody has looked at the rest.
        atomicStore(&rk_rt_exchange[box + 9u], atomicLoad(&rk_rt_waiting) + count - min(seen, count));
        if (drops) {
            let there = atomicLoad(&rk_rt_live) + atomicLoad(&rk_rt_exchange[box + 5u]) + atomicLoad(&rk_rt_exchange[box + 6u]);
            atomicStore(&rk_rt_exchange[box + 7u], tail - there + atomicLoad(&rk_rt_exchange[box + 10u]));
        }
    }
}
