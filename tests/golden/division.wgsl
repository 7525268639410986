// Division, the actor "division".
//   divide(Divide) -> i32

@group(0) @binding(0) var<storage, read_write> rk_state: array<u32>;
var<private> rk_message: array<u32, 2>;
var<private> rk_reply: array<u32, 2>;

fn rk_fault(kind: u32, site: u32) -> vec2<u32> {
    rk_reply[0] = kind;
    rk_reply[1] = site;
    return vec2<u32>(2u, 2u);
}

// divide
fn Division_divide(state: u32, instance: u32) -> vec2<u32> {
    // 116: msg.a / msg.b + msg.a % 10
    let r0 = bitcast<i32>(rk_message[0]);
    let r1 = bitcast<i32>(rk_message[1]);
    let r2 = (r1 == 0i);
    if (r2) { return rk_fault(2u, 0u); } // division by zero
    let r3 = (r1 == -1i);
    let r4 = (r0 == i32(-2147483648));
    let r5 = (r3 & r4);
    if (r5) { return rk_fault(3u, 0u); } // division overflow (MIN / -1)
    let r6 = (r0 / r1);
    let r8 = (r0 % 10i);
    let r9 = rk_add_overflows_i32(r6, r8);
    if (r9) { return rk_fault(1u, 0u); } // arithmetic overflow
    let r10 = (r6 + r8);
    rk_reply[0] = bitcast<u32>(r10);
    return vec2<u32>(0x13u, 1u);
}

fn ringkernel_dispatch(state: u32, tag: u32, instance: u32) -> vec2<u32> {
    if (tag == 0x4bc6f9a1u) { // Divide
        return Division_divide(state, instance);
    }
    return rk_fault(8u, 0xffffffffu); // no handler for this message
}

fn rk_add_overflows_i32(a: i32, b: i32) -> bool {
    let sum = a + b;
    return ((sum ^ a) & (sum ^ b)) < 0i;
}
