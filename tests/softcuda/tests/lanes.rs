//! Lanes: how they part and meet, what they do together, and what becomes of those that never can.

mod support;

use proptest::prelude::*;
use softcuda::machine::{Block, FaultKind, Progress};
use support::{Words, finish, launch};

/// Runs instructions on 32 lanes, each with a word of input in `%in` and one of output from `%out`, for several seeds.
fn lanes(instructions: &str, inputs: &[u32; 32], check: impl Fn(&[u64])) {
    let text = format!(
        ".visible .entry lanes(.param .u64 words) {{
            .reg .b64 %base, %at, %wide;
            .reg .b32 %lane, %in, %out, %t, %u, %i, %mask;
            .reg .pred %p, %q;
            ld.param.u64 %base, [words];
            mov.u32 %lane, %laneid;
            mad.wide.u32 %at, %lane, 8, %base;
            ld.global.u32 %in, [%at];
            mov.u32 %out, 0;
            {instructions}
        STORE:
            cvt.u64.u32 %wide, %out;
            st.global.u64 [%at+256], %wide;
            ret;
        }}"
    );
    for seed in 0..8 {
        let mut words: Vec<u64> = inputs.iter().map(|input| *input as u64).collect();
        words.resize(64, 0);
        let memory = Words::new(&words);
        finish(&launch(&text, 32, 0, &[memory.address()]), &memory, seed)
            .unwrap_or_else(|fault| panic!("{fault}"));
        check(&memory.all()[32..]);
    }
}

fn numbers() -> [u32; 32] {
    std::array::from_fn(|lane| lane as u32)
}

#[test]
fn lanes_that_part_at_branches_and_loop_differently_often_all_end_with_their_own_result() {
    let collatz = "
        LOOP:
            setp.le.u32 %p, %in, 1;
            @%p bra STORE;
            add.u32 %out, %out, 1;
            and.b32 %t, %in, 1;
            setp.eq.u32 %p, %t, 0;
            @%p bra EVEN;
            mad.lo.u32 %in, %in, 3, 1;
            bra LOOP;
        EVEN:
            shr.u32 %in, %in, 1;
            bra LOOP;";
    lanes(collatz, &numbers(), |found| {
        for lane in 0..32u64 {
            let (mut n, mut steps) = (lane, 0);
            while n > 1 {
                n = if n % 2 == 0 { n / 2 } else { 3 * n + 1 };
                steps += 1;
            }
            assert_eq!(found[lane as usize], steps);
        }
    });
}

#[test]
fn a_lane_that_spins_on_another_of_its_warp_lets_it_go_on() {
    // Lane n waits until lane n + 1 has written; the last one waits for nobody.
    let chain = "
            setp.eq.u32 %p, %lane, 31;
            @%p bra WRITE;
        SPIN:
            ld.relaxed.sys.global.u32 %t, [%at+264];
            setp.eq.u32 %p, %t, 0;
            @%p bra SPIN;
        WRITE:
            add.u32 %out, %lane, 100;";
    lanes(chain, &numbers(), |found| {
        assert_eq!(found[..32], std::array::from_fn::<u64, 32, _>(|lane| lane as u64 + 100));
    });
}

#[test]
fn a_lock_that_lanes_of_one_warp_take_in_turns_counts_right() {
    let text = ".visible .entry lock(.param .u64 words) {
            .reg .b64 %base;
            .reg .b32 %t, %old;
            .reg .pred %p;
            ld.param.u64 %base, [words];
        TAKE:
            atom.acquire.gpu.global.cas.b32 %old, [%base], 0, 1;
            setp.ne.u32 %p, %old, 0;
            @%p bra TAKE;
            ld.global.u32 %t, [%base+8];
            add.u32 %t, %t, 1;
            st.global.u32 [%base+8], %t;
            st.release.gpu.global.u32 [%base], 0;
            ret;
        }";
    for seed in 0..20 {
        let memory = Words::new(&[0, 0]);
        finish(&launch(text, 96, 0, &[memory.address()]), &memory, seed).unwrap();
        assert_eq!(memory.get(1), 96);
    }
}

#[test]
fn a_barrier_of_the_warp_brings_lanes_together_that_come_by_different_ways() {
    // What lanes write before the barrier, every lane reads behind it; two barriers in the text, one mask.
    let text = ".visible .entry meet(.param .u64 words) {
            .shared .align 4 .b32 box[32];
            .reg .b64 %base, %wide;
            .reg .b32 %lane, %at, %t, %n;
            .reg .pred %p;
            mov.u32 %lane, %laneid;
            shl.b32 %at, %lane, 2;
            mov.u32 %t, box;
            add.u32 %at, %at, %t;
            and.b32 %t, %lane, 1;
            setp.eq.u32 %p, %t, 0;
            @%p bra EVEN;
            mov.u32 %n, 50;
        COUNT:
            sub.u32 %n, %n, 1;
            setp.ne.u32 %p, %n, 0;
            @%p bra COUNT;
            st.shared.u32 [%at], %lane;
            bar.warp.sync 0xffffffff;
            bra READ;
        EVEN:
            st.shared.u32 [%at], %lane;
            bar.warp.sync 0xffffffff;
        READ:
            xor.b32 %at, %at, 124;
            ld.shared.u32 %t, [%at];
            ld.param.u64 %base, [words];
            mad.wide.u32 %base, %lane, 8, %base;
            cvt.u64.u32 %wide, %t;
            st.global.u64 [%base], %wide;
            ret;
        }";
    for seed in 0..50 {
        let memory = Words::new(&[99; 32]);
        finish(&launch(text, 32, 0, &[memory.address()]), &memory, seed).unwrap();
        assert_eq!(memory.all(), (0..32).map(|lane| lane ^ 31).collect::<Vec<u64>>());
    }
}

#[test]
fn lanes_that_have_ended_are_not_waited_for() {
    let leave = "
            setp.lt.u32 %p, %lane, 7;
            @%p ret;
            setp.gt.u32 %q, %in, 20;
            vote.sync.ballot.b32 %out, %q, 0xffffffff;";
    lanes(leave, &numbers(), |found| {
        assert!(found[..7].iter().all(|out| *out == 0));
        assert!(found[7..32].iter().all(|out| *out == 0xffe0_0000));
    });
}

#[test]
fn votes_of_two_masks_at_one_place_are_two_votes() {
    let votes = "
            and.b32 %t, %lane, 1;
            setp.eq.u32 %p, %t, 0;
            selp.u32 %mask, 0x55555555, 0xaaaaaaaa, %p;
            setp.lt.u32 %q, %in, 8;
            vote.sync.ballot.b32 %out, %q, %mask;
            vote.sync.all.pred %p, %q, %mask;
            vote.sync.any.pred %q, !%q, %mask;
            selp.u32 %t, 256, 0, %p;
            or.b32 %out, %out, %t;
            selp.u32 %t, 512, 0, %q;
            or.b32 %out, %out, %t;";
    lanes(votes, &numbers(), |found| {
        for pair in found.chunks(2) {
            assert_eq!(pair, [512 | 0x55, 512 | 0xaa]);
        }
    });
}

#[test]
fn what_waits_for_what_never_comes_is_a_fault_and_not_a_hang() {
    for (instructions, kind, place) in [
        // Half the warp at one vote, half at another.
        (
            "setp.lt.u32 %p, %lane, 16;
             @%p bra LOW;
             vote.sync.any.pred %q, %p, 0xffffffff;
             bra STORE;
             LOW: vote.sync.any.pred %q, %p, 0xffffffff;",
            FaultKind::BarrierDeadlock,
            "vote.sync.any.pred",
        ),
        // Some at the block's barrier, some at a barrier of the warp.
        (
            "setp.lt.u32 %p, %lane, 16;
             @%p bra LOW;
             bar.sync 0;
             bra STORE;
             LOW: bar.warp.sync 0xffffffff;",
            FaultKind::BarrierDeadlock,
            "bar.sync 0",
        ),
        ("bar.warp.sync 0xfffffffe;", FaultKind::Misuse, "lane 0 of warp 0"),
        ("bar.sync 16;", FaultKind::Misuse, "bar.sync 16"),
        ("setp.eq.u32 %p, %lane, 9; @%p trap;", FaultKind::Trap, "lane 9 of warp 0"),
    ] {
        let text = format!(
            ".visible .entry stuck() {{ .reg .b32 %lane; .reg .pred %p, %q; mov.u32 %lane, %laneid;
             {instructions}
             STORE: ret; }}"
        );
        for seed in 0..10 {
            let launch = launch(&text, 32, 0, &[]);
            let mut block = Block::new(&launch, [2, 0, 0], seed);
            let fault = block.run(&(), 10_000).expect_err(instructions);
            assert_eq!(fault.kind, kind, "{fault}");
            assert!(fault.place.contains("line ") && fault.place.contains("block (2, 0, 0)"), "{fault}");
            assert!(fault.place.contains(place), "{fault}");
            assert_eq!(block.run(&(), 1), Err(fault), "dead it stays");
        }
    }
}

#[test]
fn a_barrier_of_the_block_holds_all_warps_and_counts_those_that_ended_as_come() {
    // Every thread adds to a sum; behind the barrier all see the whole. A warp of each block leaves before.
    let text = ".visible .entry sums(.param .u64 words) {
            .shared .align 4 .b32 sum;
            .reg .b64 %base, %wide;
            .reg .b32 %thread, %t;
            .reg .pred %p;
            mov.u32 %thread, %tid.x;
            setp.ge.u32 %p, %thread, 96;
            @%p ret;
            setp.eq.u32 %p, %thread, 0;
            @%p st.shared.u32 [sum], 0;
            bar.sync 0;
            red.shared.add.u32 [sum], %thread;
            barrier.sync 1, 96;
            ld.shared.u32 %t, [sum];
            ld.param.u64 %base, [words];
            mad.wide.u32 %base, %thread, 8, %base;
            cvt.u64.u32 %wide, %t;
            st.global.u64 [%base], %wide;
            ret;
        }";
    for seed in 0..30 {
        let memory = Words::new(&[0; 96]);
        finish(&launch(text, 128, 0, &[memory.address()]), &memory, seed).unwrap();
        assert_eq!(memory.all(), vec![95 * 96 / 2; 96]);
    }
}

#[test]
fn a_block_whose_lanes_all_nap_says_for_how_long() {
    let text = ".visible .entry nap() { nanosleep.u32 20000000; ret; }";
    let mut block = Block::new(&launch(text, 64, 0, &[]), [0; 3], 1);
    let Ok(Progress::Asleep(time)) = block.run(&(), 100) else { panic!("it runs") };
    assert!(time.as_millis() >= 10 && time.as_millis() <= 20, "{time:?}");
    std::thread::sleep(time);
    assert_eq!(block.run(&(), 100), Ok(Progress::Done));
}

#[test]
fn seeds_vary_the_order_and_one_seed_repeats_it() {
    let text = ".visible .entry race(.param .u64 words) {
            .reg .b64 %base; .reg .b32 %t; .reg .pred %p;
            ld.param.u64 %base, [words];
            mov.u32 %t, %tid.x;
            st.global.u32 [%base], %t;
            ret;
        }";
    let order = |seed| {
        let memory = Words::new(&[0]);
        finish(&launch(text, 128, 0, &[memory.address()]), &memory, seed).unwrap();
        memory.get(0)
    };
    let first: Vec<u64> = (0..40).map(order).collect();
    assert_eq!(first, (0..40).map(order).collect::<Vec<_>>());
    let mut different = first.clone();
    different.sort_unstable();
    different.dedup();
    assert!(different.len() > 10, "{first:?}");
}

/// `shfl.sync` of 32 lanes, as the ISA's text has it.
fn shuffled(how: &str, values: &[u32; 32], lane: i32, b: u32, c: u32) -> (u32, bool) {
    let (segment, clamp, b) = ((c >> 8 & 31) as i32, (c & 31) as i32, (b & 31) as i32);
    let (most, least) = (lane & segment | clamp & !segment, lane & segment);
    let (j, good) = match how {
        "up" => (lane - b, lane - b >= most),
        "down" => (lane + b, lane + b <= most),
        "bfly" => (lane ^ b, lane ^ b <= most),
        _ => (least | b & !segment, least | b & !segment <= most),
    };
    let j = if good { j } else { lane };
    (values[j as usize], good)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn shuffles_votes_matches_and_reductions_are_as_the_isa_says(
        values in prop::array::uniform32(0u32..9),
        b in 0u32..32,
        clamp in 0u32..32,
        segment in prop::sample::select(vec![0u32, 16, 24, 28, 30]),
    ) {
        for how in ["up", "down", "bfly", "idx"] {
            let c = segment << 8 | clamp;
            let text = format!(
                "shfl.sync.{how}.b32 %out|%p, %in, {b}, {c}, -1;
                 selp.u32 %t, 65536, 0, %p;
                 or.b32 %out, %out, %t;"
            );
            lanes(&text, &values, |found| for (lane, found) in found.iter().enumerate() {
                let (value, good) = shuffled(how, &values, lane as i32, b, c);
                assert_eq!(*found, value as u64 | (good as u64) << 16, "{how} lane {lane}");
            });
        }
        lanes("match.any.sync.b32 %out, %in, -1;", &values, |found| for (lane, found) in found.iter().enumerate() {
            let same = (0..32).filter(|other| values[*other] == values[lane]).fold(0, |m, l| m | 1u64 << l);
            assert_eq!(*found, same);
        });
        lanes("shr.u32 %in, %in, 3; match.all.sync.b32 %out|%p, %in, -1;", &values, |found| {
            let all = values.iter().all(|value| value >> 3 == values[0] >> 3);
            assert!(found[..32].iter().all(|mask| *mask == if all { 0xffff_ffff } else { 0 }));
        });
        let sum: u32 = values.iter().sum();
        let least = values.iter().min().copied().unwrap_or(0);
        lanes("redux.sync.add.u32 %out, %in, -1; redux.sync.min.s32 %t, %in, -1;
               shl.b32 %t, %t, 16; or.b32 %out, %out, %t;", &values, |found| {
            assert!(found[..32].iter().all(|value| *value == (sum | least << 16) as u64));
        });
        let yes = (0..32).filter(|lane| values[*lane] > 4).fold(0, |m, l| m | 1u64 << l);
        lanes("setp.gt.u32 %p, %in, 4; vote.sync.ballot.b32 %out, %p, -1;", &values, |found| {
            assert!(found[..32].iter().all(|value| *value == yes));
        });
    }
}

#[test]
fn a_call_keeps_its_lanes_apart_and_brings_everyone_back_to_its_caller() {
    let text = "
        .func (.param .b32 result) twice(.param .b32 number) {
            .reg .b32 %n;
            ld.param.b32 %n, [number];
            add.u32 %n, %n, %n;
            st.param.b32 [result], %n;
            ret;
        }
        .func (.param .b32 result) down(.param .b32 number) {
            .reg .b32 %n, %t;
            .reg .pred %p;
            .local .align 4 .b32 kept[2];
            ld.param.b32 %n, [number];
            st.local.u32 [kept+4], %n;
            setp.gt.u32 %p, %n, 3;
            @%p bra LARGE;
            st.param.b32 [result], 1000;
            ret;
        LARGE:
            { .param .b32 a_; .param .b32 r_;
              st.param.b32 [a_], %n;
              call (r_), twice, (a_);
              ld.param.b32 %n, [r_]; }
            ld.local.u32 %t, [kept+4];
            mad.lo.u32 %n, %t, 100, %n;
            st.param.b32 [result], %n;
            ret;
        }
        .visible .entry calls(.param .u64 words) {
            .reg .b64 %base, %wide;
            .reg .b32 %lane, %t, %u;
            .reg .pred %p;
            mov.u32 %lane, %laneid;
            { .param .b32 a_; .param .b32 r_;
              st.param.b32 [a_], %lane;
              call (r_), down, (a_);
              ld.param.b32 %t, [r_]; }
            and.b32 %u, %lane, 1;
            setp.eq.u32 %p, %u, 0;
            @%p bra STORE;
            { .param .b32 a_; .param .b32 r_;
              st.param.b32 [a_], %t;
              call (r_), twice, (a_);
              ld.param.b32 %t, [r_]; }
        STORE:
            ld.param.u64 %base, [words];
            mad.wide.u32 %base, %lane, 8, %base;
            cvt.u64.u32 %wide, %t;
            st.global.u64 [%base], %wide;
            ret;
        }";
    for seed in 0..20 {
        let memory = Words::new(&[0; 32]);
        finish(&launch(text, 32, 0, &[memory.address()]), &memory, seed).unwrap();
        for lane in 0..32 {
            let down = if lane > 3 { 102 * lane } else { 1000 };
            let expected = if lane % 2 == 0 { down } else { 2 * down };
            assert_eq!(memory.get(lane as usize), expected);
        }
    }
}
