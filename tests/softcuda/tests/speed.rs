//! How fast the machine is: a floor far below what is to be expected, and the figures in the output (`--nocapture`).

mod support;

use softcuda::machine::{Block, Progress};
use std::time::Instant;
use support::{Words, launch};

/// Millions of instructions of a warp and of lanes in a second.
fn speed(what: &str, text: &str, lanes: u32) -> f64 {
    let memory = Words::new(&[0; 64]);
    let launch = launch(text, lanes, 0, &[memory.address()]);
    let mut block = Block::new(&launch, [0; 3], 1);
    assert_eq!(block.run(&memory, 10_000), Ok(Progress::Ran));
    let (instructions, start) = (2_000_000, Instant::now());
    assert_eq!(block.run(&memory, instructions), Ok(Progress::Ran));
    let warp = instructions as f64 / start.elapsed().as_secs_f64() / 1e6;
    println!(
        "{what}: {warp:.1} million instructions of a warp a second, {:.0} of lanes",
        warp * lanes as f64
    );
    warp * lanes as f64
}

#[test]
fn a_lane_executes_millions_of_instructions_a_second_alone_with_others_and_apart_from_them() {
    let arithmetic = ".visible .entry a(.param .u64 words) {
            .reg .b32 %a, %b, %c; .reg .pred %p;
            mov.u32 %a, %laneid; mov.u32 %b, 1; mov.u32 %c, 0;
        NEXT:
            mad.lo.u32 %a, %a, 1664525, 1013904223;
            xor.b32 %b, %b, %a;
            shr.u32 %c, %b, 5;
            add.u32 %c, %c, %b;
            setp.ne.u32 %p, %c, %a;
            selp.u32 %b, %c, %b, %p;
            bra NEXT; }";
    let memory = ".visible .entry m(.param .u64 words) {
            .reg .b64 %base; .reg .b32 %a, %b; .reg .pred %p;
            ld.param.u64 %base, [words];
            mov.u32 %a, %laneid;
            mad.wide.u32 %base, %a, 8, %base;
        NEXT:
            ld.global.u32 %a, [%base];
            add.u32 %a, %a, 1;
            st.global.u32 [%base], %a;
            bra NEXT; }";
    // As the resident loop looks for its next message.
    let polling = ".visible .entry p(.param .u64 words) {
            .reg .b64 %base, %a, %b; .reg .b32 %w<4>, %i, %v; .reg .b128 %q; .reg .pred %p;
            ld.param.u64 %base, [words];
            mov.u32 %i, 0;
        NEXT:
            ld.relaxed.sys.global.b128 %q, [%base];
            mov.b128 {%a, %b}, %q;
            mov.b64 {%w0, %w1}, %a;
            mov.b64 {%w2, %w3}, %b;
            setp.ne.u32 %p, %w3, 0;
            vote.sync.ballot.b32 %v, %p, 0xffffffff;
            setp.ne.u32 %p, %v, 0;
            @%p ret;
            add.u32 %i, %i, 1;
            bra NEXT; }";
    // Every lane for itself.
    let apart = ".visible .entry d(.param .u64 words) {
            .reg .b32 %a, %n; .reg .pred %p;
            mov.u32 %a, %laneid;
        NEXT:
            mov.u32 %n, %a;
        COUNT:
            sub.u32 %n, %n, 1;
            setp.ge.s32 %p, %n, 0;
            @%p bra COUNT;
            bra NEXT; }";
    // A quarter of what it is to be, for machines that do other things meanwhile.
    let floor = 5.0;
    for (what, text) in [("arithmetic", arithmetic), ("memory", memory), ("polling", polling)] {
        assert!(speed(what, text, 32) > floor, "{what}");
    }
    assert!(speed("one lane", arithmetic, 1) > floor);
    // Here an instruction is seldom one of all lanes.
    assert!(speed("apart", apart, 32) > floor);
}
