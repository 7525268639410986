// Ranges, the actor "ranges".
//   sum(u8) -> u32

@group(0) @binding(0) var<storage, read_write> rk_state: array<u32>;
var<private> rk_message: array<u32, 1>;
var<private> rk_reply: array<u32, 2>;

fn rk_fault(kind: u32, site: u32) -> vec2<u32> {
    rk_reply[0] = kind;
    rk_reply[1] = site;
    return vec2<u32>(2u, 2u);
}

// sum
fn Ranges_sum(state: u32, instance: u32) -> vec2<u32> {
    var sum_v0: u32;
    var i_v1: u32;
    var i_v2: u32;
    var more_v3: bool;
    var i_v4: u32;
    var more_v5: bool;
    let msg_0 = extractBits(rk_message[0], 0u, 8u);
    // 184: let mut sum = 0;
    sum_v0 = 0u;
    // 185: for i in 0..msg {
    i_v1 = 0u;
    loop {
        let i_1 = i_v1;
        let r2 = (i_1 < msg_0);
        if (!r2) {
            break;
        }
        // 186: sum += i as u32;
        let r3 = i_1;
        let r4 = sum_v0;
        let r5 = (r4 + r3 < r4);
        if (r5) { return rk_fault(1u, 0u); } // arithmetic overflow
        let r6 = (r4 + r3);
        sum_v0 = r6;
        let r7 = i_v1;
        let r8 = ((r7 + 1u) & 0xffu);
        i_v1 = r8;
    }
    // 188: for i in (msg..= 255).rev() {
    more_v3 = true;
    i_v2 = 255u;
    loop {
        let r10 = more_v3;
        if (!r10) {
            break;
        }
        let i_11 = i_v2;
        // 189: sum ^= i as u32;
        let r12 = i_11;
        let r13 = sum_v0;
        let r14 = (r13 ^ r12);
        sum_v0 = r14;
        let r15 = i_v2;
        let r16 = (r15 != msg_0);
        more_v3 = r16;
        let r17 = ((r15 - 1u) & 0xffu);
        i_v2 = r17;
    }
    // 191: for i in (0..msg).step_by(3) {
    let r18 = (0u < msg_0);
    let r19 = ((msg_0 - 1u) & 0xffu);
    more_v5 = r18;
    i_v4 = 0u;
    loop {
        let r20 = more_v5;
        if (!r20) {
            break;
        }
        let i_21 = i_v4;
        // 192: sum += 2 * i as u32;
        let r22 = i_21;
        let r24 = (2u * r22);
        let r25 = sum_v0;
        let r26 = (r25 + r24 < r25);
        if (r26) { return rk_fault(1u, 2u); } // arithmetic overflow
        let r27 = (r25 + r24);
        sum_v0 = r27;
        let r28 = i_v4;
        let r29 = ((r19 - r28) & 0xffu);
        let r30 = r29;
        let r31 = (r30 >= 3u);
        more_v5 = r31;
        let r32 = ((r28 + 3u) & 0xffu);
        i_v4 = r32;
    }
    // 194: sum
    let r33 = sum_v0;
    rk_reply[0] = r33;
    return vec2<u32>(0x17u, 1u);
}

fn ringkernel_dispatch(state: u32, tag: u32, instance: u32) -> vec2<u32> {
    if (tag == 0x00000015u) { // u8
        return Ranges_sum(state, instance);
    }
    return rk_fault(8u, 0xffffffffu); // no handler for this message
}
