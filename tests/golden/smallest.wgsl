// Smallest, the actor "smallest".
//   ping(u32) -> ()

@group(0) @binding(0) var<storage, read_write> rk_state: array<u32>;
var<private> rk_message: array<u32, 1>;
var<private> rk_reply: array<u32, 2>;

fn rk_fault(kind: u32, site: u32) -> vec2<u32> {
    rk_reply[0] = kind;
    rk_reply[1] = site;
    return vec2<u32>(2u, 2u);
}

// ping
fn Smallest_ping(state: u32, instance: u32) -> vec2<u32> {
    return vec2<u32>(0x1u, 0u);
}

fn ringkernel_dispatch(state: u32, tag: u32, instance: u32) -> vec2<u32> {
    if (tag == 0x00000017u) { // u32
        return Smallest_ping(state, instance);
    }
    return rk_fault(8u, 0xffffffffu); // no handler for this message
}
