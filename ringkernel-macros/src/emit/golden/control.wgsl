// Subject, the actor "subject".
//   control(Message0) -> Reply0
//   never(Message1) -> Reply1

@group(0) @binding(0) var<storage, read_write> rk_state: array<u32>;
var<private> rk_message: array<u32, 64>;
var<private> rk_reply: array<u32, 64>;

fn rk_fault(kind: u32, site: u32) -> vec2<u32> {
    rk_reply[0] = kind;
    rk_reply[1] = site;
    return vec2<u32>(2u, 2u);
}

// control
fn Subject_control(state: u32, instance: u32) -> vec2<u32> {
    var i_v0: u32;
    var total_v1: u32;
    var done_v2: bool;
    var rk_leave: u32;
    // 3: for i in 0..msg.n { ?  }
    let n_0 = rk_message[0];
    let r1 = (extractBits(rk_message[1], 0u, 8u) != 0u);
    let r2 = bitcast<f32>(rk_message[2]);
    i_v0 = 0u;
    total_v1 = 0u;
    done_v2 = false;
    loop {
        let r3 = i_v0;
        let r4 = (r3 < n_0);
        if (!r4) {
            break;
        }
        loop {
            loop {
                let r5 = (r3 == 7u);
                if (r5) {
                    rk_leave = 1u;
                    break;
                }
                if (r1) {
                    rk_leave = 2u;
                    break;
                }
                let r6 = !rk_is_nan_f32(r2);
                if (r6) {
                    break;
                } else {
                    rk_leave = 3u;
                    break;
                }
            }
            if (rk_leave == 3u) {
                rk_leave = 0u;
                break;
            }
            if (rk_leave != 0u) { break; }
            let r7 = (r2 < 1.0f);
            if (r7) {
                let r8 = total_v1;
                let r9 = (r8 + r3);
                total_v1 = r9;
            } else {
                total_v1 = 1u;
            }
            break;
        }
        if (rk_leave == 1u) {
            rk_leave = 0u;
            break;
        }
        if (rk_leave == 2u) {
            rk_leave = 0u;
            let r10 = i_v0;
            let r11 = (r10 + 1u < r10);
            if (r11) { return rk_fault(1u, 0u); } // arithmetic overflow
            let r12 = (r10 + 1u);
            i_v0 = r12;
            continue;
        }
        let r10 = i_v0;
        let r11 = (r10 + 1u < r10);
        if (r11) { return rk_fault(1u, 0u); } // arithmetic overflow
        let r12 = (r10 + 1u);
        i_v0 = r12;
    }
    loop {
        let r13 = i_v0;
        let r14 = (r13 == 0u);
        if (r14) {
            break;
        }
        if (r1) {
            continue;
        }
        done_v2 = r1;
        continuing {
            let r15 = i_v0;
            let r16 = (r15 - 1u);
            i_v0 = r16;
        }
    }
    let r17 = instance;
    rk_reply[0] = r17;
    let r18 = total_v1;
    rk_reply[1] = r18;
    let r19 = done_v2;
    if (r19) {
        return vec2<u32>(0x2000u, 64u);
    } else {
        return rk_fault(6u, 0u); // panic
    }
    return vec2<u32>(0u, 0u);
}

// never
fn Subject_never(state: u32, instance: u32) -> vec2<u32> {
    let r0 = bitcast<i32>(rk_message[0]);
    if (true) { return rk_fault(2u, 0u); } // division by zero
    let r1 = (r0 / 1i);
    let r2 = (r1 << 0u);
    rk_reply[0] = bitcast<u32>(r2);
    return vec2<u32>(0x2001u, 64u);
}

fn ringkernel_dispatch(state: u32, tag: u32, instance: u32) -> vec2<u32> {
    if (tag == 0x00001000u) { // Message0
        if (extractBits(rk_message[1], 8u, 8u) > 1u) {
            return rk_fault(9u, 0xffffffffu); // malformed message
        }
        if (extractBits(rk_message[2], 0u, 8u) > 1u) {
            return rk_fault(9u, 0xffffffffu); // malformed message
        }
        return Subject_control(state, instance);
    }
    if (tag == 0x00001001u) { // Message1
        return Subject_never(state, instance);
    }
    return rk_fault(8u, 0xffffffffu); // no handler for this message
}

fn rk_is_nan_f32(x: f32) -> bool {
    return (bitcast<u32>(x) & 0x7fffffffu) > 0x7f800000u;
}
