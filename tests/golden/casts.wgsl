// Casts, the actor "casts".
//   to_byte(f32) -> u8
//   to_float(i64) -> f32

@group(0) @binding(0) var<storage, read_write> rk_state: array<u32>;
var<private> rk_message: array<u32, 2>;
var<private> rk_reply: array<u32, 2>;

fn rk_fault(kind: u32, site: u32) -> vec2<u32> {
    rk_reply[0] = kind;
    rk_reply[1] = site;
    return vec2<u32>(2u, 2u);
}

// to_byte
fn Casts_to_byte(state: u32, instance: u32) -> vec2<u32> {
    let msg_0 = bitcast<f32>(rk_message[0]);
    // 133: msg as u8
    let r1 = min(rk_f32_to_u32(msg_0), 255u);
    rk_reply[0] = insertBits(rk_reply[0], r1, 0u, 8u);
    return vec2<u32>(0x15u, 1u);
}

// to_float
fn Casts_to_float(state: u32, instance: u32) -> vec2<u32> {
    let msg_0 = bitcast<i64>(rk_u64(rk_message[0], rk_message[1]));
    // 138: msg as i32 as f32
    let r1 = bitcast<i32>(rk_low(bitcast<u64>(msg_0)));
    let r2 = f32(r1);
    rk_reply[0] = bitcast<u32>(r2);
    return vec2<u32>(0x19u, 1u);
}

fn ringkernel_dispatch(state: u32, tag: u32, instance: u32) -> vec2<u32> {
    if (tag == 0x00000019u) { // f32
        return Casts_to_byte(state, instance);
    }
    if (tag == 0x00000014u) { // i64
        return Casts_to_float(state, instance);
    }
    return rk_fault(8u, 0xffffffffu); // no handler for this message
}

fn rk_u64(low: u32, high: u32) -> u64 {
    return u64(low) | (u64(high) << 32u);
}

fn rk_low(x: u64) -> u32 {
    return u32(x & 0xfffffffflu);
}

fn rk_is_nan_f32(x: f32) -> bool {
    return (bitcast<u32>(x) & 0x7fffffffu) > 0x7f800000u;
}

// As Rust's `as`: saturates, and a NaN is 0.
fn rk_f32_to_u32(x: f32) -> u32 {
    if (rk_is_nan_f32(x)) { return 0u; }
    if (x >= 4294967296.0f) { return 4294967295u; }
    if (x <= 0.0f) { return 0u; }
    return u32(x);
}
