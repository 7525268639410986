// Account, the actor "account".
//   deposit(Deposit) -> Balance
//   withdraw(Withdraw) -> bool

@group(0) @binding(0) var<storage, read_write> rk_state: array<u32>;
var<private> rk_message: array<u32, 2>;
var<private> rk_reply: array<u32, 4>;

fn rk_fault(kind: u32, site: u32) -> vec2<u32> {
    rk_reply[0] = kind;
    rk_reply[1] = site;
    return vec2<u32>(2u, 2u);
}

// deposit
fn Account_deposit(state: u32, instance: u32) -> vec2<u32> {
    // 39: self.cents += msg.cents;
    let r0 = bitcast<i64>(rk_u64(rk_message[0], rk_message[1]));
    let r1 = bitcast<i64>(rk_u64(rk_state[state], rk_state[state + 1u]));
    let r2 = rk_add_overflows_i64(r1, r0);
    if (r2) { return rk_fault(1u, 0u); } // arithmetic overflow
    let r3 = (r1 + r0);
    rk_state[state] = rk_low(bitcast<u64>(r3));
    rk_state[state + 1u] = rk_high(bitcast<u64>(r3));
    // 40: self.deposits += 1;
    let r4 = rk_state[state + 2u];
    let r5 = (r4 + 1u < r4);
    if (r5) { return rk_fault(1u, 1u); } // arithmetic overflow
    let r6 = (r4 + 1u);
    rk_state[state + 2u] = r6;
    // 41: Balance { cents: self.cents, deposits: self.deposits }
    rk_reply[0] = rk_low(bitcast<u64>(r3));
    rk_reply[1] = rk_high(bitcast<u64>(r3));
    rk_reply[2] = r6;
    return vec2<u32>(0xc7fb2692u, 4u);
}

// withdraw
fn Account_withdraw(state: u32, instance: u32) -> vec2<u32> {
    // 46: if msg.cents > self.cents {
    let r0 = bitcast<i64>(rk_u64(rk_message[0], rk_message[1]));
    let r1 = bitcast<i64>(rk_u64(rk_state[state], rk_state[state + 1u]));
    let r2 = (r0 > r1);
    if (r2) {
        // 47: return false;
        rk_reply[0] = insertBits(rk_reply[0], 0u, 0u, 8u);
        return vec2<u32>(0x10u, 1u);
    }
    // 49: self.cents -= msg.cents;
    let r5 = rk_sub_overflows_i64(r1, r0);
    if (r5) { return rk_fault(1u, 2u); } // arithmetic overflow
    let r6 = (r1 - r0);
    rk_state[state] = rk_low(bitcast<u64>(r6));
    rk_state[state + 1u] = rk_high(bitcast<u64>(r6));
    // 50: true
    rk_reply[0] = insertBits(rk_reply[0], 1u, 0u, 8u);
    return vec2<u32>(0x10u, 1u);
}

fn ringkernel_dispatch(state: u32, tag: u32, instance: u32) -> vec2<u32> {
    if (tag == 0x36bc48a5u) { // Deposit
        return Account_deposit(state, instance);
    }
    if (tag == 0x1861cd7bu) { // Withdraw
        return Account_withdraw(state, instance);
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

fn rk_add_overflows_i64(a: i64, b: i64) -> bool {
    let sum = a + b;
    return ((sum ^ a) & (sum ^ b)) < 0li;
}

fn rk_sub_overflows_i64(a: i64, b: i64) -> bool {
    let difference = a - b;
    return ((a ^ b) & (difference ^ a)) < 0li;
}
