// Floats, the actor "floats".
//   observe(Observe) -> f32

@group(0) @binding(0) var<storage, read_write> rk_state: array<u32>;
var<private> rk_message: array<u32, 2>;
var<private> rk_reply: array<u32, 2>;

fn rk_fault(kind: u32, site: u32) -> vec2<u32> {
    rk_reply[0] = kind;
    rk_reply[1] = site;
    return vec2<u32>(2u, 2u);
}

// observe
fn Floats_observe(state: u32, instance: u32) -> vec2<u32> {
    // 164: let weight = self.weight + msg.weight;
    let r0 = bitcast<f32>(rk_state[state + 1u]);
    let r1 = bitcast<f32>(rk_message[1]);
    let weight_2 = (r0 + r1);
    // 165: self.mean = (self.mean * self.weight + msg.value * msg.weight) / weight;
    let r3 = bitcast<f32>(rk_state[state]);
    let r5 = (r3 * r0);
    let r6 = bitcast<f32>(rk_message[0]);
    let r8 = (r6 * r1);
    let r9 = (r5 + r8);
    let r10 = (r9 / weight_2);
    rk_state[state] = bitcast<u32>(r10);
    // 166: self.weight = weight;
    rk_state[state + 1u] = bitcast<u32>(weight_2);
    // 167: self.mean.mul_add(2.0, 1.0).sqrt()
    let r12 = fma(r10, 2.0f, 1.0f);
    let r13 = sqrt(r12);
    rk_reply[0] = bitcast<u32>(r13);
    return vec2<u32>(0x19u, 1u);
}

fn ringkernel_dispatch(state: u32, tag: u32, instance: u32) -> vec2<u32> {
    if (tag == 0x7d92453cu) { // Observe
        return Floats_observe(state, instance);
    }
    return rk_fault(8u, 0xffffffffu); // no handler for this message
}
