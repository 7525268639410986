// What the runtime defines and handlers call, with nothing behind it: so that tests can validate handlers alone.
fn rk_send(route: u32, instance: u32, tag: u32, words: u32) -> u32 {
    return rk_out[0] + route + instance + tag + words;
}

fn rk_forward(route: u32, instance: u32, tag: u32, words: u32) -> u32 {
    return rk_out[0] + route + instance + tag + words;
}

fn rk_send_reply(tag: u32, words: u32) -> u32 {
    return rk_out[0] + tag + words;
}

fn rk_output(tag: u32, words: u32) -> u32 {
    return rk_out[0] + tag + words;
}

fn rk_publish(topic: u32, retain: u32, tag: u32, words: u32) -> u32 {
    return rk_out[0] + topic + retain + tag + words;
}

fn rk_receive(route: u32, tag: u32, words: u32) -> u32 {
    rk_out[0] = route + tag + words;
    return 1u;
}

fn rk_sender() -> vec2<u32> {
    return vec2<u32>(rk_out[0], 1u);
}

// With 64-bit integers:
fn rk_clock(what: u32, seen: u64) -> u64 {
    return u64(what) + seen;
}
