// Panics, the actor "panics".
//   check(i32) -> i32

@group(0) @binding(0) var<storage, read_write> rk_state: array<u32>;
var<private> rk_message: array<u32, 1>;
var<private> rk_reply: array<u32, 2>;

fn rk_fault(kind: u32, site: u32) -> vec2<u32> {
    rk_reply[0] = kind;
    rk_reply[1] = site;
    return vec2<u32>(2u, 2u);
}

// check
fn Panics_check(state: u32, instance: u32) -> vec2<u32> {
    let msg_0 = bitcast<i32>(rk_message[0]);
    // 374: self.calls = self.calls.wrapping_add(1);
    let r1 = rk_state[state];
    let r2 = (r1 + 1u);
    rk_state[state] = r2;
    // 375: assert!(msg >= 0, "negative");
    let r4 = (msg_0 < 0i);
    if (r4) { return rk_fault(6u, 0u); } // panic
    // 376: if msg as u32 == ctx.instance() {
    let r5 = bitcast<u32>(msg_0);
    let r6 = instance;
    let r7 = (r5 == r6);
    if (r7) {
        // 377: panic!("that is me");
        return rk_fault(6u, 1u); // panic
    }
    // 379: msg
    rk_reply[0] = bitcast<u32>(msg_0);
    return vec2<u32>(0x13u, 1u);
}

fn ringkernel_dispatch(state: u32, tag: u32, instance: u32) -> vec2<u32> {
    if (tag == 0x00000013u) { // i32
        return Panics_check(state, instance);
    }
    return rk_fault(8u, 0xffffffffu); // no handler for this message
}
