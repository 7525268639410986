// Narrow, the actor "narrow".
//   mix(Mix) -> i16

@group(0) @binding(0) var<storage, read_write> rk_state: array<u32>;
var<private> rk_message: array<u32, 1>;
var<private> rk_reply: array<u32, 2>;

fn rk_fault(kind: u32, site: u32) -> vec2<u32> {
    rk_reply[0] = kind;
    rk_reply[1] = site;
    return vec2<u32>(2u, 2u);
}

// mix
fn Narrow_mix(state: u32, instance: u32) -> vec2<u32> {
    // 91: self.sum = self.sum.wrapping_add(msg.a).rotate_left(3);
    let r0 = extractBits(rk_state[state], 0u, 8u);
    let r1 = extractBits(rk_message[0], 0u, 8u);
    let r2 = ((r0 + r1) & 0xffu);
    let r3 = (((r2 << 3u) | (r2 >> (8u - 3u))) & 0xffu);
    rk_state[state] = insertBits(rk_state[state], r3, 0u, 8u);
    // 92: self.low = self.low.min(msg.b >> 2) * 2;
    let r4 = extractBits(bitcast<i32>(rk_state[state]), 16u, 16u);
    let r5 = extractBits(bitcast<i32>(rk_message[0]), 16u, 16u);
    let r6 = (r5 >> 2u);
    let r7 = min(r4, r6);
    let r8 = ((r7 * 2i) != extractBits(r7 * 2i, 0u, 16u));
    if (r8) { return rk_fault(1u, 0u); } // arithmetic overflow
    let r9 = extractBits(r7 * 2i, 0u, 16u);
    rk_state[state] = insertBits(rk_state[state], bitcast<u32>(r9), 16u, 16u);
    // 93: self.low ^ self.sum as i16
    let r12 = bitcast<i32>(r3);
    let r13 = (r9 ^ r12);
    rk_reply[0] = insertBits(rk_reply[0], bitcast<u32>(r13), 0u, 16u);
    return vec2<u32>(0x12u, 1u);
}

fn ringkernel_dispatch(state: u32, tag: u32, instance: u32) -> vec2<u32> {
    if (tag == 0xdaf6c6cfu) { // Mix
        return Narrow_mix(state, instance);
    }
    return rk_fault(8u, 0xffffffffu); // no handler for this message
}
