// Functions, the actor "functions".
//   draw(u32) -> u32

@group(0) @binding(0) var<storage, read_write> rk_state: array<u32>;
var<private> rk_message: array<u32, 1>;
var<private> rk_reply: array<u32, 2>;

fn rk_fault(kind: u32, site: u32) -> vec2<u32> {
    rk_reply[0] = kind;
    rk_reply[1] = site;
    return vec2<u32>(2u, 2u);
}

// draw
fn Functions_draw(state: u32, instance: u32) -> vec2<u32> {
    var step_v1: u32;
    var step_v2: u32;
    let msg_0 = rk_message[0];
    // 354: let mut other = msg;
    // 355: step(&mut self.seed, msg) ^ step(&mut other, self.seed)
    // 337: if salt == 0 {
    let r1 = (msg_0 == 0u);
    if (r1) {
        // 338: return *seed;
        let r2 = rk_state[state];
        step_v1 = r2;
    } else {
        // 340: *seed = seed.wrapping_mul(FACTOR).wrapping_add(salt);
        let r3 = rk_state[state];
        let r4 = (r3 * 1664525u);
        let r5 = (r4 + msg_0);
        rk_state[state] = r5;
        // 341: *seed >> 16
        let r7 = (r5 >> 16u);
        step_v1 = r7;
    }
    let r8 = step_v1;
    let salt_9 = rk_state[state];
    // 337: if salt == 0 {
    let r10 = (salt_9 == 0u);
    if (r10) {
        // 338: return *seed;
        step_v2 = msg_0;
    } else {
        // 340: *seed = seed.wrapping_mul(FACTOR).wrapping_add(salt);
        let r13 = (msg_0 * 1664525u);
        let r14 = (r13 + salt_9);
        // 341: *seed >> 16
        let r16 = (r14 >> 16u);
        step_v2 = r16;
    }
    let r17 = step_v2;
    let r18 = (r8 ^ r17);
    rk_reply[0] = r18;
    return vec2<u32>(0x17u, 1u);
}

fn ringkernel_dispatch(state: u32, tag: u32, instance: u32) -> vec2<u32> {
    if (tag == 0x00000017u) { // u32
        return Functions_draw(state, instance);
    }
    return rk_fault(8u, 0xffffffffu); // no handler for this message
}
