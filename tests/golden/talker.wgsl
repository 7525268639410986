// Talker, the actor "talker".
//   order(Order) -> Tally
//   relay(u32) -> u64
//   collect(u8) -> Tally

@group(0) @binding(0) var<storage, read_write> rk_state: array<u32>;
var<private> rk_message: array<u32, 6>;
var<private> rk_reply: array<u32, 2>;
var<private> rk_out: array<u32, 6>;

fn rk_fault(kind: u32, site: u32) -> vec2<u32> {
    rk_reply[0] = kind;
    rk_reply[1] = site;
    return vec2<u32>(2u, 2u);
}

// order
fn Talker_order(state: u32, instance: u32) -> vec2<u32> {
    var local_sent_1: array<u32, 6>;
    var local_sent_2: array<u32, 6>;
    let r0 = rk_u64(rk_message[0], rk_message[1]);
    let r1 = (extractBits(rk_message[2], 0u, 8u) != 0u);
    let r2 = bitcast<i32>(rk_message[3]);
    // 432: order.at = ctx.tick();
    let r4 = rk_clock(1u, 0lu);
    // 433: if ctx.forward::< Ledger > (neighbour(ctx), order).is_ok() {
    // 425: ctx.instance() ^ 1
    let r5 = instance;
    let r6 = (r5 ^ 1u);
    local_sent_1[2] = insertBits(local_sent_1[2], 0u, 8u, 8u);
    local_sent_1[2] = insertBits(local_sent_1[2], 0u, 16u, 16u);
    local_sent_1[0] = rk_low(r0);
    local_sent_1[1] = rk_high(r0);
    local_sent_1[2] = insertBits(local_sent_1[2], select(0u, 1u, r1), 0u, 8u);
    local_sent_1[3] = bitcast<u32>(r2);
    local_sent_1[4] = rk_low(r4);
    local_sent_1[5] = rk_high(r4);
    rk_out[0] = local_sent_1[0];
    rk_out[1] = local_sent_1[1];
    rk_out[2] = local_sent_1[2];
    rk_out[3] = local_sent_1[3];
    rk_out[4] = local_sent_1[4];
    rk_out[5] = local_sent_1[5];
    let r11 = rk_forward(0u, r6, 0xad7173c1u, 6u);
    let r12 = (r11 == 0u);
    if (r12) {
        // 434: return Tally { orders: 0 };
        rk_reply[0] = 0x0u;
        return vec2<u32>(0x3dcccf4au, 1u);
    }
    // 436: self.refused += 1;
    let r13 = rk_state[state];
    let r14 = (r13 + 1u < r13);
    if (r14) { return rk_fault(1u, 0u); } // arithmetic overflow
    let r15 = (r13 + 1u);
    rk_state[state] = r15;
    // 437: match ctx.send_to_kernel("spare", order) {
    local_sent_2[2] = insertBits(local_sent_2[2], 0u, 8u, 8u);
    local_sent_2[2] = insertBits(local_sent_2[2], 0u, 16u, 16u);
    local_sent_2[0] = rk_low(r0);
    local_sent_2[1] = rk_high(r0);
    local_sent_2[2] = insertBits(local_sent_2[2], select(0u, 1u, r1), 0u, 8u);
    local_sent_2[3] = bitcast<u32>(r2);
    local_sent_2[4] = rk_low(r4);
    local_sent_2[5] = rk_high(r4);
    rk_out[0] = local_sent_2[0];
    rk_out[1] = local_sent_2[1];
    rk_out[2] = local_sent_2[2];
    rk_out[3] = local_sent_2[3];
    rk_out[4] = local_sent_2[4];
    rk_out[5] = local_sent_2[5];
    let r20 = rk_send(1u, 0u, 0xad7173c1u, 6u);
    let r21 = (r20 == 0u);
    if (!r21) {
        let r22 = (r20 == 1u);
        if (r22) {
            let r24 = (r15 + 1u < r15);
            if (r24) { return rk_fault(1u, 1u); } // arithmetic overflow
            let r25 = (r15 + 1u);
            rk_state[state] = r25;
        } else {
            let r27 = (r15 + 2u < r15);
            if (r27) { return rk_fault(1u, 2u); } // arithmetic overflow
            let r28 = (r15 + 2u);
            rk_state[state] = r28;
        }
    }
    // 442: Tally { orders: self.refused }
    let r29 = rk_state[state];
    rk_reply[0] = r29;
    return vec2<u32>(0x3dcccf4au, 1u);
}

// relay
fn Talker_relay(state: u32, instance: u32) -> vec2<u32> {
    var and_v0: bool;
    var local_sent_0: array<u32, 1>;
    var local_sent_1: array<u32, 6>;
    var local_sent_2: array<u32, 1>;
    var local_sent_3: array<u32, 1>;
    var local_sent_5: array<u32, 1>;
    var local_sent_6: array<u32, 2>;
    let n_0 = rk_message[0];
    // 447: let _ = ctx.send::< Self > (n, n + 1);
    let r1 = (n_0 + 1u < n_0);
    if (r1) { return rk_fault(1u, 3u); } // arithmetic overflow
    let r2 = (n_0 + 1u);
    local_sent_0[0] = r2;
    rk_out[0] = local_sent_0[0];
    let r3 = rk_send(2u, n_0, 0x17u, 1u);
    // 448: let first: Sent = ctx.send::< Ledger > (n, Order { id: 7, urgent: true, cents: -1, at:...
    local_sent_1[2] = insertBits(local_sent_1[2], 0u, 8u, 8u);
    local_sent_1[2] = insertBits(local_sent_1[2], 0u, 16u, 16u);
    local_sent_1[0] = 0x7u;
    local_sent_1[1] = 0x0u;
    local_sent_1[2] = insertBits(local_sent_1[2], 1u, 0u, 8u);
    local_sent_1[3] = 0xffffffffu;
    let r4 = rk_clock(3u, 0lu);
    local_sent_1[4] = rk_low(r4);
    local_sent_1[5] = rk_high(r4);
    rk_out[0] = local_sent_1[0];
    rk_out[1] = local_sent_1[1];
    rk_out[2] = local_sent_1[2];
    rk_out[3] = local_sent_1[3];
    rk_out[4] = local_sent_1[4];
    rk_out[5] = local_sent_1[5];
    let first_5 = rk_send(0u, n_0, 0xad7173c1u, 6u);
    // 450: if first != Sent::Ok && ctx.send_to_instance("ledger", n, true).is_full() {
    let r6 = (first_5 != 0u);
    and_v0 = r6;
    if (r6) {
        local_sent_2[0] = insertBits(local_sent_2[0], 0u, 8u, 8u);
        local_sent_2[0] = insertBits(local_sent_2[0], 0u, 16u, 16u);
        local_sent_2[0] = insertBits(local_sent_2[0], 1u, 0u, 8u);
        rk_out[0] = local_sent_2[0];
        let r7 = rk_send(3u, n_0, 0x10u, 1u);
        let r8 = (r7 == 1u);
        and_v0 = r8;
    }
    let r9 = and_v0;
    if (r9) {
        // 451: self.refused += 1;
        let r10 = rk_state[state];
        let r11 = (r10 + 1u < r10);
        if (r11) { return rk_fault(1u, 4u); } // arithmetic overflow
        let r12 = (r10 + 1u);
        rk_state[state] = r12;
    }
    // 453: if ctx.has_sender() {
    let r13 = (rk_sender().y != 0u);
    if (r13) {
        // 454: let _ = ctx.reply(ctx.sender_instance());
        let r15 = rk_sender().x;
        local_sent_3[0] = r15;
        rk_out[0] = local_sent_3[0];
        let r17 = rk_send_reply(0x17u, 1u);
    }
    // 456: let seen = HlcTimestamp::from_u64(u64::from(n));
    let seen_18 = u64(n_0);
    // 457: if ctx.update_clock(seen) > self.last {
    let r19 = rk_clock(2u, seen_18);
    let r20 = rk_u64(rk_state[state + 2u], rk_state[state + 3u]);
    let r21 = (r19 > r20);
    if (r21) {
        // 458: self.last = ctx.now();
        let r22 = rk_clock(0u, 0lu);
        rk_state[state + 2u] = rk_low(r22);
        rk_state[state + 3u] = rk_high(r22);
    }
    // 460: let _ = ctx.enqueue_output(());
    let r23 = rk_output(0x1u, 0u);
    // 461: let _ = ctx.publish("talk/orders", Tally { orders: n });
    local_sent_5[0] = n_0;
    rk_out[0] = local_sent_5[0];
    let r24 = rk_publish(0u, 0u, 0x3dcccf4au, 1u);
    // 462: if ctx.publish_retained("talk/last", self.last).is_gone() {
    let r25 = rk_u64(rk_state[state + 2u], rk_state[state + 3u]);
    local_sent_6[0] = rk_low(r25);
    local_sent_6[1] = rk_high(r25);
    rk_out[0] = local_sent_6[0];
    rk_out[1] = local_sent_6[1];
    let r26 = rk_publish(1u, 1u, 0xf6629ceeu, 2u);
    let r27 = (r26 > 1u);
    if (r27) {
        // 463: self.refused += 1;
        let r28 = rk_state[state];
        let r29 = (r28 + 1u < r28);
        if (r29) { return rk_fault(1u, 5u); } // arithmetic overflow
        let r30 = (r28 + 1u);
        rk_state[state] = r30;
    }
    // 465: self.last.micros() + self.last.counter()
    let r32 = (r25 >> 12u);
    let r34 = (r25 & 4095lu);
    let r36 = (r32 + r34);
    rk_reply[0] = rk_low(r36);
    rk_reply[1] = rk_high(r36);
    return vec2<u32>(0x18u, 2u);
}

// collect
fn Talker_collect(state: u32, instance: u32) -> vec2<u32> {
    var orders_v0: u32;
    var more_v1: u32;
    var local_received_0: array<u32, 6>;
    var local_received_1: array<u32, 1>;
    let most_0 = extractBits(rk_message[0], 0u, 8u);
    // 470: let mut orders = 0;
    orders_v0 = 0u;
    // 471: while let Some(order) = ctx.try_receive_from_kernel::< Order > ("spare") {
    loop {
        // 471: while let Some(order) = ctx.try_receive_from_kernel::< Order > ("spare") {
        let r1 = rk_receive(1u, 0xad7173c1u, 6u);
        if (r1 != 0u) {
            local_received_0[0] = rk_out[0];
            local_received_0[1] = rk_out[1];
            local_received_0[2] = rk_out[2];
            local_received_0[3] = rk_out[3];
            local_received_0[4] = rk_out[4];
            local_received_0[5] = rk_out[5];
        }
        let r2 = (r1 != 0u);
        if (r2) {
            // 472: if order.urgent {
            let r4 = (extractBits(local_received_0[2], 0u, 8u) != 0u);
            if (r4) {
                // 473: self.last = order.at;
                let r5 = rk_u64(local_received_0[4], local_received_0[5]);
                rk_state[state + 2u] = rk_low(r5);
                rk_state[state + 3u] = rk_high(r5);
            }
            // 475: orders += 1;
            let r6 = orders_v0;
            let r7 = (r6 + 1u < r6);
            if (r7) { return rk_fault(1u, 7u); } // arithmetic overflow
            let r8 = (r6 + 1u);
            orders_v0 = r8;
            // 476: if orders == u32::from(most) {
            let r10 = most_0;
            let r11 = (r8 == r10);
            if (r11) {
                // 477: break;
                break;
            }
        } else {
            break;
        }
    }
    // 480: let more = match ctx.try_receive_from_kernel::< u32 > ("counter") {
    let r12 = rk_receive(4u, 0x17u, 1u);
    if (r12 != 0u) {
        local_received_1[0] = rk_out[0];
    }
    let r13 = (r12 != 0u);
    let n_14 = local_received_1[0];
    let r16 = (n_14 == 0u);
    let r17 = (r13 & r16);
    if (r17) {
        more_v1 = 1u;
    } else {
        if (r13) {
            more_v1 = n_14;
        } else {
            more_v1 = 0u;
        }
    }
    let more_19 = more_v1;
    // 485: Tally { orders: orders + more }
    let r20 = orders_v0;
    let r21 = (r20 + more_19 < r20);
    if (r21) { return rk_fault(1u, 8u); } // arithmetic overflow
    let r22 = (r20 + more_19);
    rk_reply[0] = r22;
    return vec2<u32>(0x3dcccf4au, 1u);
}

fn ringkernel_dispatch(state: u32, tag: u32, instance: u32) -> vec2<u32> {
    if (tag == 0xad7173c1u) { // Order
        if (extractBits(rk_message[2], 0u, 8u) > 1u) {
            return rk_fault(9u, 0xffffffffu); // malformed message
        }
        return Talker_order(state, instance);
    }
    if (tag == 0x00000017u) { // u32
        return Talker_relay(state, instance);
    }
    if (tag == 0x00000015u) { // u8
        return Talker_collect(state, instance);
    }
    return rk_fault(8u, 0xffffffffu); // no handler for this message
}

fn rk_u64(low: u32, high: u32) -> u64 {
    return u64(low) | (u64(high) << 32u);
}

fn rk_low(x: u64) -> u32 {
    return u32(x & 0xfffffffflu);
}

fn rk_high(x: u64) -> u32 {
    return u32(x >> 32u);
}
