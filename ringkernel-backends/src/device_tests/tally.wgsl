// Tally, as the compiler would write it (see tally.rs).
@group(0) @binding(0) var<storage, read_write> rk_state: array<u32>;
var<private> rk_message: array<u32, 20>;
var<private> rk_reply: array<u32, 20>;

const ADD = 3797852080u;
const TOTAL = 852492123u;
const BLOCK = 126978446u;
const FAIL = 1340737991u;

fn rk_fault(kind: u32, site: u32) -> vec2<u32> {
    rk_reply[0] = kind;
    rk_reply[1] = site;
    return vec2<u32>(2u, 2u);
}

fn Tally_total(state: u32) -> vec2<u32> {
    rk_reply[0] = rk_state[state];
    rk_reply[1] = rk_state[state + 1u];
    return vec2<u32>(TOTAL, 2u);
}

fn Tally_add(state: u32) -> vec2<u32> {
    let total = bitcast<i32>(rk_state[state]);
    let by = bitcast<i32>(rk_message[0]);
    let sum = total + by;
    if (((total ^ sum) & (by ^ sum)) < 0) {
        return rk_fault(1u, 0u);
    }
    rk_state[state] = bitcast<u32>(sum);
    rk_state[state + 1u] = rk_state[state + 1u] + 1u;
    return Tally_total(state);
}

fn Tally_rotate(instance: u32) -> vec2<u32> {
    for (var k = 0u; k < 20u; k++) {
        rk_reply[k] = rk_message[(k + 1u) % 20u] + instance;
    }
    return vec2<u32>(BLOCK, 20u);
}

fn Tally_fail(state: u32) -> vec2<u32> {
    rk_state[state + 1u] = rk_state[state + 1u] + 1u;
    return rk_fault(6u, 1u);
}

fn ringkernel_dispatch(state: u32, tag: u32, instance: u32) -> vec2<u32> {
    switch tag {
        case ADD: { return Tally_add(state); }
        case 1u: { return Tally_total(state); }
        case BLOCK: { return Tally_rotate(instance); }
        case FAIL: { return Tally_fail(state); }
        default: { return rk_fault(8u, 0xffffffffu); }
    }
}
