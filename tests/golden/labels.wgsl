// Labels, the actor "labels".
//   search(u32) -> u32

@group(0) @binding(0) var<storage, read_write> rk_state: array<u32>;
var<private> rk_message: array<u32, 1>;
var<private> rk_reply: array<u32, 2>;

fn rk_fault(kind: u32, site: u32) -> vec2<u32> {
    rk_reply[0] = kind;
    rk_reply[1] = site;
    return vec2<u32>(2u, 2u);
}

// search
fn Labels_search(state: u32, instance: u32) -> vec2<u32> {
    var tried_v0: u32;
    var found_v1: u32;
    var i_v2: u32;
    var rk_leave: u32;
    let msg_0 = rk_message[0];
    // 211: let mut tried = 0;
    tried_v0 = 0u;
    // 212: let found = 'outer: loop { let mut i = 0; while i < 10 { i += 1; tried += 1; if tried *...
    loop {
        // 213: let mut i = 0;
        i_v2 = 0u;
        // 214: while i < 10 {
        loop {
            let r1 = i_v2;
            let r2 = (r1 < 10u);
            if (!r2) {
                break;
            }
            // 215: i += 1;
            let r5 = (r1 + 1u);
            i_v2 = r5;
            // 216: tried += 1;
            let r6 = tried_v0;
            let r7 = (r6 + 1u < r6);
            if (r7) { return rk_fault(1u, 1u); } // arithmetic overflow
            let r8 = (r6 + 1u);
            tried_v0 = r8;
            // 217: if tried * i == msg {
            let r11 = (rk_mul_high_u32(r8, r5) != 0u);
            if (r11) { return rk_fault(1u, 2u); } // arithmetic overflow
            let r12 = (r8 * r5);
            let r13 = (r12 == msg_0);
            if (r13) {
                // 218: break 'outer tried;
                found_v1 = r8;
                rk_leave = 1u;
                break;
            }
            // 220: if tried > 1000 {
            let r16 = (r8 > 1000u);
            if (r16) {
                // 221: return 0;
                rk_reply[0] = 0x0u;
                return vec2<u32>(0x17u, 1u);
            }
            // 223: if tried % 7 == 0 {
            let r18 = (r8 % 7u);
            let r19 = (r18 == 0u);
            if (r19) {
                // 224: continue 'outer;
                rk_leave = 2u;
                break;
            }
        }
        if (rk_leave == 1u) {
            rk_leave = 0u;
            break;
        }
        if (rk_leave == 2u) {
            rk_leave = 0u;
            continue;
        }
    }
    let found_20 = found_v1;
    // 228: found
    rk_reply[0] = found_20;
    return vec2<u32>(0x17u, 1u);
}

fn ringkernel_dispatch(state: u32, tag: u32, instance: u32) -> vec2<u32> {
    if (tag == 0x00000017u) { // u32
        return Labels_search(state, instance);
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
