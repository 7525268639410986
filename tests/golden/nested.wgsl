// Nested, the actor "nested".
//   set(Set) -> Was

@group(0) @binding(0) var<storage, read_write> rk_state: array<u32>;
var<private> rk_message: array<u32, 6>;
var<private> rk_reply: array<u32, 6>;

fn rk_fault(kind: u32, site: u32) -> vec2<u32> {
    rk_reply[0] = kind;
    rk_reply[1] = site;
    return vec2<u32>(2u, 2u);
}

// set
fn Nested_set(state: u32, instance: u32) -> vec2<u32> {
    // 319: let was = Was { point: self.corners[msg.which as usize], flag: self.flag };
    let r0 = extractBits(rk_message[0], 0u, 8u);
    let r1 = r0;
    let r2 = (r1 >= 2u);
    if (r2) { return rk_fault(5u, 0u); } // index out of bounds
    let rk_byte2 = r1 * 16u + 8u;
    let rk_word1 = state + (rk_byte2 >> 2u);
    let r3 = extractBits(bitcast<i32>(rk_state[rk_word1]), (rk_byte2 & 3u) * 8u, 16u);
    let rk_word3 = state + r1 * 4u + 4u;
    let r4 = bitcast<i64>(rk_u64(rk_state[rk_word3], rk_state[rk_word3 + 1u]));
    let r5 = (extractBits(rk_state[state], 0u, 8u) != 0u);
    // 320: self.corners[msg.which as usize] = msg.to;
    let r9 = extractBits(bitcast<i32>(rk_message[2]), 0u, 16u);
    let rk_byte5 = r1 * 16u + 8u;
    let rk_word4 = state + (rk_byte5 >> 2u);
    rk_state[rk_word4] = insertBits(rk_state[rk_word4], bitcast<u32>(r9), (rk_byte5 & 3u) * 8u, 16u);
    let r10 = bitcast<i64>(rk_u64(rk_message[4], rk_message[5]));
    let rk_word6 = state + r1 * 4u + 4u;
    rk_state[rk_word6] = rk_low(bitcast<u64>(r10));
    rk_state[rk_word6 + 1u] = rk_high(bitcast<u64>(r10));
    // 321: self.pair = (msg.which, self.pair.1 + 1);
    let r12 = rk_state[state + 11u];
    let r13 = (r12 + 1u < r12);
    if (r13) { return rk_fault(1u, 2u); } // arithmetic overflow
    let r14 = (r12 + 1u);
    rk_state[state + 10u] = insertBits(rk_state[state + 10u], r0, 0u, 8u);
    rk_state[state + 11u] = r14;
    // 322: self.flag = !self.flag;
    let r15 = (extractBits(rk_state[state], 0u, 8u) != 0u);
    let r16 = !r15;
    rk_state[state] = insertBits(rk_state[state], select(0u, 1u, r16), 0u, 8u);
    // 323: was
    rk_reply[0] = insertBits(rk_reply[0], bitcast<u32>(r3), 0u, 16u);
    rk_reply[2] = rk_low(bitcast<u64>(r4));
    rk_reply[3] = rk_high(bitcast<u64>(r4));
    rk_reply[4] = insertBits(rk_reply[4], select(0u, 1u, r5), 0u, 8u);
    return vec2<u32>(0xf50ecb2cu, 6u);
}

fn ringkernel_dispatch(state: u32, tag: u32, instance: u32) -> vec2<u32> {
    if (tag == 0xe7805f92u) { // Set
        return Nested_set(state, instance);
    }
    return rk_fault(8u, 0xffffffffu); // no handler for this message
}

fn rk_u64(low: u32, high: u32) -> u64 {
    return u64(low) | (u64(high) << 32u);
}

fn rk_low(x: u64) -> u32 {
    return u32(x & 0xfffffffflu);
}

fn rk_high(x: u64) -> u32 {
    return u32(x >> 32u);
}
