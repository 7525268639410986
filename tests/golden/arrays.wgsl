// Arrays, the actor "arrays".
//   count(Count) -> u32

@group(0) @binding(0) var<storage, read_write> rk_state: array<u32>;
var<private> rk_message: array<u32, 3>;
var<private> rk_reply: array<u32, 2>;

fn rk_fault(kind: u32, site: u32) -> vec2<u32> {
    rk_reply[0] = kind;
    rk_reply[1] = site;
    return vec2<u32>(2u, 2u);
}

// count
fn Arrays_count(state: u32, instance: u32) -> vec2<u32> {
    var i_v0: u32;
    var local_weights_0: array<u32, 5>;
    // 276: let weights = [1u32, 2, 3, 5, 8];
    local_weights_0[0] = 0x1u;
    local_weights_0[1] = 0x2u;
    local_weights_0[2] = 0x3u;
    local_weights_0[3] = 0x5u;
    local_weights_0[4] = 0x8u;
    // 277: for i in 0..5 {
    i_v0 = 0u;
    loop {
        let i_0 = i_v0;
        let r1 = (i_0 < 5u);
        if (!r1) {
            break;
        }
        // 278: self.bins[msg.items[i] as usize] += msg.weight * weights[i];
        let r2 = rk_message[2];
        let rk_word1 = i_0;
        let r4 = local_weights_0[rk_word1];
        let r5 = (rk_mul_high_u32(r2, r4) != 0u);
        if (r5) { return rk_fault(1u, 1u); } // arithmetic overflow
        let r6 = (r2 * r4);
        let rk_byte3 = i_0;
        let rk_word2 = (rk_byte3 >> 2u);
        let r8 = extractBits(rk_message[rk_word2], (rk_byte3 & 3u) * 8u, 8u);
        let r9 = r8;
        let r10 = (r9 >= 8u);
        if (r10) { return rk_fault(5u, 3u); } // index out of bounds
        let rk_word4 = state + r9;
        let r11 = rk_state[rk_word4];
        let r12 = (r11 + r6 < r11);
        if (r12) { return rk_fault(1u, 3u); } // arithmetic overflow
        let r13 = (r11 + r6);
        let rk_word5 = state + r9;
        rk_state[rk_word5] = r13;
        let r14 = i_v0;
        let r15 = (r14 + 1u);
        i_v0 = r15;
    }
    // 280: self.bins[0]
    let r16 = rk_state[state];
    rk_reply[0] = r16;
    return vec2<u32>(0x17u, 1u);
}

fn ringkernel_dispatch(state: u32, tag: u32, instance: u32) -> vec2<u32> {
    if (tag == 0x52c3fbfbu) { // Count
        return Arrays_count(state, instance);
    }
    return rk_fault(8u, 0xffffffffu); // no handler for this message
}

// The high half of a product, by 16-bit halves.
fn rk_mul_high_u32(a: u32, b: u32) -> u32 {
    let a0 = a & 0xffffu;
    let a1 = a >> 16u;
    let b0 = b & 0xffffu;
    let b1 = b >> 16u;
    let m = a1 * b0 + ((a0 * b0) >> 16u);
    let n = a0 * b1 + (m & 0xffffu);
    return a1 * b1 + (m >> 16u) + (n >> 16u);
}
