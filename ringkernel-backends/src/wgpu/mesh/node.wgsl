// An actor that talks, as the compiler would write it (see tests.rs).
@group(0) @binding(0) var<storage, read_write> rk_state: array<u32>;
var<private> rk_message: array<u32, 3>;
var<private> rk_reply: array<u32, 6>;
var<private> rk_out: array<u32, 3>;

fn rk_fault(kind: u32, site: u32) -> vec2<u32> {
    rk_reply[0] = kind;
    rk_reply[1] = site;
    return vec2<u32>(2u, 2u);
}

// State: 0 messages, 1 the next number expected, 2 out of order, 3 sends that were not ok, 4 the next number to send.
fn Node_send(state: u32, instance: u32, tag: u32, left: u32) -> u32 {
    rk_out[0] = rk_state[state + 4u];
    rk_out[1] = left;
    let sent = rk_send(0u, instance, tag, 2u);
    if (sent == 0u) {
        rk_state[state + 4u] = rk_state[state + 4u] + 1u;
    } else {
        rk_state[state + 3u] = rk_state[state + 3u] + 1u;
    }
    return sent;
}

fn Node_note(state: u32) {
    rk_state[state] = rk_state[state] + 1u;
    if (rk_message[0] != rk_state[state + 1u]) {
        rk_state[state + 2u] = rk_state[state + 2u] + 1u;
    }
    rk_state[state + 1u] = rk_message[0] + 1u;
}

fn ringkernel_dispatch(state: u32, tag: u32, instance: u32) -> vec2<u32> {
    switch tag {
        case 2001u: { // Hop: goes on to the same instance of the next kernel.
            Node_note(state);
            if (rk_message[1] > 0u) {
                Node_send(state, instance, 2001u, rk_message[1] - 1u);
            }
            return vec2<u32>(1u, 0u);
        }
        case 2002u: { // Flood: so many messages with a tag to an instance; how they fared.
            let count = rk_message[0];
            let to = rk_message[1] & 0xffffu;
            let left = rk_message[1] >> 16u;
            let what = rk_message[2];
            var fared = array<u32, 5>(0u, 0u, 0u, 0u, 0u);
            for (var i = 0u; i < count; i = i + 1u) {
                let sent = Node_send(state, to, what, left);
                fared[sent] = fared[sent] + 1u;
            }
            for (var i = 0u; i < 5u; i = i + 1u) {
                rk_reply[i] = fared[i];
            }
            return vec2<u32>(3001u, 5u);
        }
        case 2003u: { // Get: the state.
            for (var i = 0u; i < 5u; i = i + 1u) {
                rk_reply[i] = rk_state[state + i];
            }
            return vec2<u32>(3001u, 5u);
        }
        case 2004u: { // Ball: back to where it came from, until nothing is left; then the host hears of it.
            rk_state[state] = rk_state[state] + 1u;
            if (rk_message[1] == 0u) {
                rk_out[0] = rk_state[state];
                rk_out[1] = rk_sender().x;
                rk_output(3002u, 2u);
                return vec2<u32>(1u, 0u);
            }
            rk_out[0] = 0u;
            rk_out[1] = rk_message[1] - 1u;
            if (rk_send_reply(2004u, 2u) != 0u) {
                rk_state[state + 3u] = rk_state[state + 3u] + 1u;
            }
            return vec2<u32>(1u, 0u);
        }
        case 2005u: { // Note.
            Node_note(state);
            return vec2<u32>(1u, 0u);
        }
        case 2006u: { // HandOn: an instance of the next kernel is to answer.
            rk_out[0] = rk_message[0] + 1u;
            rk_out[1] = 0u;
            rk_reply[0] = rk_forward(0u, rk_message[1], 2007u, 2u);
            return vec2<u32>(3003u, 1u);
        }
        case 2007u: { // Handed: the answer.
            rk_state[state] = rk_state[state] + 1u;
            rk_reply[0] = 2u * rk_message[0];
            return vec2<u32>(3003u, 1u);
        }
        case 2008u: { // Publish.
            rk_out[0] = rk_message[0];
            rk_out[1] = 0u;
            rk_reply[0] = rk_publish(0u, rk_message[1], 2005u, 2u);
            return vec2<u32>(3003u, 1u);
        }
        case 2009u: { // Take: a letter, if there is one.
            rk_reply[0] = rk_receive(0u, 2010u, 2u);
            rk_reply[1] = rk_out[0];
            return vec2<u32>(3004u, 2u);
        }
        case 2011u: { // Time: two ticks and when this was sent.
            let first = rk_rt_time(1u, vec2<u32>(0u));
            let second = rk_rt_time(1u, vec2<u32>(0u));
            let sent = rk_rt_time(3u, vec2<u32>(0u));
            rk_reply[0] = first.x;
            rk_reply[1] = first.y;
            rk_reply[2] = second.x;
            rk_reply[3] = second.y;
            rk_reply[4] = sent.x;
            rk_reply[5] = sent.y;
            return vec2<u32>(3005u, 6u);
        }
        default: { return rk_fault(8u, 0xffffffffu); }
    }
}
