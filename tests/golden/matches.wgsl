// Matches, the actor "matches".
//   classify(i32) -> i32

@group(0) @binding(0) var<storage, read_write> rk_state: array<u32>;
var<private> rk_message: array<u32, 1>;
var<private> rk_reply: array<u32, 2>;

fn rk_fault(kind: u32, site: u32) -> vec2<u32> {
    rk_reply[0] = kind;
    rk_reply[1] = site;
    return vec2<u32>(2u, 2u);
}

// classify
fn Matches_classify(state: u32, instance: u32) -> vec2<u32> {
    let msg_0 = bitcast<i32>(rk_message[0]);
    // 245: match msg {
    let r1 = (msg_0 == 0i);
    if (r1) {
        rk_reply[0] = 0x0u;
    } else {
        let r2 = (msg_0 == 1i);
        let r3 = (msg_0 == 2i);
        let r4 = (r2 | r3);
        if (r4) {
            rk_reply[0] = 0x1u;
        } else {
            let r5 = (msg_0 >= 3i);
            let r6 = (msg_0 <= 99i);
            let r7 = (r5 & r6);
            if (r7) {
                rk_reply[0] = bitcast<u32>(msg_0);
            } else {
                let r10 = (msg_0 >> 31u);
                let r11 = (r10 & 1i);
                let r12 = (msg_0 + r11);
                let r13 = (r12 & -2i);
                let r8 = (msg_0 - r13);
                let r9 = (r8 == 0i);
                if (r9) {
                    rk_reply[0] = 0x2u;
                } else {
                    rk_reply[0] = 0xffffffffu;
                }
            }
        }
    }
    return vec2<u32>(0x13u, 1u);
}

fn ringkernel_dispatch(state: u32, tag: u32, instance: u32) -> vec2<u32> {
    if (tag == 0x00000013u) { // i32
        return Matches_classify(state, instance);
    }
    return rk_fault(8u, 0xffffffffu); // no handler for this message
}
