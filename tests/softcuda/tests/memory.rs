//! Memory: what may be touched, first values, 16 bytes in one access, and what is refused when a text is loaded.

mod support;

use softcuda::machine::{Block, FaultKind, Launch, Memory, Module, Progress};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use support::{HEADER, Words, finish, launch};

/// The fault of one lane's instructions; `%base` is the address of four words.
fn fault(instructions: &str) -> FaultKind {
    let text = format!(
        ".visible .entry bad(.param .u64 words) {{
            .reg .b64 %base, %x; .reg .b32 %w; .reg .b128 %q; .reg .pred %p;
            .shared .align 16 .b8 box[16];
            .local .align 16 .b8 own[16];
            ld.param.u64 %base, [words];
            mov.u64 %x, 0;
            mov.u32 %w, 0;
            {instructions}
            ret; }}"
    );
    let memory = Words::new(&[0; 4]);
    finish(&launch(&text, 1, 0, &[memory.address()]), &memory, 3).expect_err(instructions).kind
}

#[test]
fn what_is_not_there_is_an_illegal_address() {
    for (instructions, offset) in [
        ("st.global.u32 [%base+32], %w;", None),
        ("st.global.u64 [%base+-8], %x;", None),
        ("ld.global.u32 %w, [%x];", Some(0)),
        ("ld.u32 %w, [%x+64];", Some(64)),
        ("ld.shared.u32 %w, [box+16];", None),
        ("ld.shared.u32 %w, [%w+-4];", None),
        ("st.local.u32 [%x+1000000], %w;", Some(1_000_000)),
        ("mov.u64 %x, box; cvta.shared.u64 %x, %x; ld.global.u32 %w, [%x];", None),
        ("red.global.add.u32 [%base+32], %w;", None),
        ("ld.relaxed.sys.global.b128 %q, [%base+32];", None),
        ("ld.global.v4.u32 {%w, %w, %w, %w}, [%base+32];", None),
        ("ld.param.u64 %x, [words+8];", None),
    ] {
        match (fault(instructions), offset) {
            (FaultKind::IllegalAddress(address), Some(offset)) => {
                assert_eq!(address, offset, "{instructions}")
            }
            (FaultKind::IllegalAddress(_), None) => {}
            (other, _) => panic!("{instructions}: {other}"),
        }
    }
}

#[test]
fn what_is_no_multiple_of_its_size_is_misaligned() {
    for instructions in [
        "st.global.u32 [%base+2], %w;",
        "ld.u64 %x, [%base+4];",
        "ld.global.v4.u32 {%w, %w, %w, %w}, [%base+8];",
        "st.relaxed.sys.global.b128 [%base+8], %q;",
        "atom.global.add.u64 %x, [%base+4], %x;",
        "st.local.u32 [own+1], %w;",
        "ld.shared.u16 %w, [box+1];",
    ] {
        assert!(matches!(fault(instructions), FaultKind::Misaligned(_)), "{instructions}");
    }
}

#[test]
fn a_lane_that_reaches_into_anothers_locals_is_told_so() {
    let text = ".visible .entry peek() {
            .local .align 8 .b8 own[8];
            .reg .b64 %x; .reg .b32 %low, %high, %w;
            mov.u64 %x, own;
            cvta.local.u64 %x, %x;
            st.u32 [%x], 5;
            mov.b64 {%low, %high}, %x;
            shfl.sync.idx.b32 %low, %low, 0, 31, 0xffffffff;
            shfl.sync.idx.b32 %high, %high, 0, 31, 0xffffffff;
            mov.b64 %x, {%low, %high};
            ld.u32 %w, [%x];
            ret; }";
    let fault = finish(&launch(text, 32, 0, &[]), &(), 1).unwrap_err();
    assert!(matches!(fault.kind, FaultKind::IllegalAddress(_)), "{fault}");
    assert!(fault.place.contains("ld.u32 %w, [%x];") && fault.place.contains("lane 1 of"), "{fault}");
}

#[test]
fn variables_have_their_first_values_and_the_launchs_shared_memory_comes_behind_the_static() {
    let text = format!(
        "{HEADER}
        .visible .global .align 8 .b8 bytes[6] = {{ 1, 2, 0xff }};
        .const .u32 table[4] = {{ 10, 20, -1 }};
        .global .u64 pointer = table+4;
        .global .f64 half = 0.5;
        .global .f32 one = 0f3F800000;
        .extern .shared .align 16 .b8 more[];
        .visible .entry read(.param .u64 words) {{
            .shared .align 4 .b32 own[3];
            .reg .b64 %base, %x; .reg .b32 %w, %u;
            ld.param.u64 %base, [words];
            ld.global.u64 %x, [pointer];
            ld.u32 %w, [%x];
            st.global.u32 [%base], %w;
            ld.const.u32 %w, [table+8];
            st.global.u32 [%base+4], %w;
            ld.global.u64 %x, [half];
            st.global.u64 [%base+8], %x;
            ld.global.f32 %w, [one];
            st.global.u32 [%base+16], %w;
            mov.u32 %w, more;
            mov.u32 %u, own;
            sub.u32 %w, %w, %u;
            st.global.u32 [%base+20], %w;
            st.shared.u32 [more+252], %w;
            mov.u32 %w, %dynamic_smem_size;
            st.global.u32 [%base+24], %w;
            ret;
        }}"
    );
    let module = Module::parse(&text).unwrap();
    let (address, bytes) = module.global("bytes").unwrap();
    assert!(bytes == 6 && address.is_multiple_of(8) && module.global("own").is_none());
    let entry = module.entry("read").unwrap();
    assert_eq!(entry.shared_bytes(), 12);
    let memory = Words::new(&[0; 4]);
    let params = memory.address().to_le_bytes().to_vec();
    let launch = Arc::new(Launch { entry, grid: [1; 3], block: [1; 3], shared_bytes: 256, params });
    finish(&launch, &memory, 1).unwrap();
    assert_eq!(memory.get(0), 20 | 0xffff_ffff << 32);
    assert_eq!(f64::from_bits(memory.get(1)), 0.5);
    assert_eq!(memory.get(2) as u32, 1f32.to_bits());
    assert!(memory.get(2) >> 32 >= 12 && memory.get(2) >> 32 & 15 == 0);
    assert_eq!(memory.get(3), 256);
}

/// Two blocks on two threads: one writes chunks whose words are equal, the other reads them until it has seen many, or two that differ.
#[test]
fn sixteen_bytes_are_never_seen_half_written() {
    let writer = ".visible .entry write(.param .u64 words) {
            .reg .b64 %base, %x; .reg .b128 %q; .reg .pred %p;
            ld.param.u64 %base, [words];
            mov.u64 %x, 0;
        NEXT:
            add.u64 %x, %x, 1;
            mov.b128 %q, {%x, %x};
            st.relaxed.sys.global.b128 [%base], %q;
            setp.lt.u64 %p, %x, 60000;
            @%p bra NEXT;
            ret; }";
    let reader = ".visible .entry read(.param .u64 words) {
            .reg .b64 %base, %x, %y, %torn, %seen, %last; .reg .b128 %q; .reg .pred %p;
            ld.param.u64 %base, [words];
            mov.u64 %torn, 0; mov.u64 %seen, 0; mov.u64 %last, 0;
        NEXT:
            ld.relaxed.sys.global.b128 %q, [%base];
            mov.b128 {%x, %y}, %q;
            setp.ne.u64 %p, %x, %y;
            @%p add.u64 %torn, %torn, 1;
            setp.ne.u64 %p, %x, %last;
            @%p add.u64 %seen, %seen, 1;
            mov.u64 %last, %x;
            setp.lt.u64 %p, %x, 60000;
            @%p bra NEXT;
            st.global.u64 [%base+16], %torn;
            st.global.u64 [%base+24], %seen;
            ret; }";
    // The two threads meet or they do not, on a busy machine; so again, until they have.
    let (begin, mut seen) = (Instant::now(), 0);
    while seen <= 100 && begin.elapsed() < Duration::from_secs(60) {
        let memory = Words::new(&[0; 4]);
        let (writer, reader) =
            (launch(writer, 1, 0, &[memory.address()]), launch(reader, 1, 0, &[memory.address()]));
        let done = AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                while Block::new(&reader, [0; 3], 1).run(&memory, u32::MAX) != Ok(Progress::Done) {}
                done.store(true, Ordering::Release);
            });
            scope.spawn(|| {
                // A last time with everything written, should the reader have come late.
                while !done.load(Ordering::Acquire) {
                    assert_eq!(Block::new(&writer, [0; 3], 2).run(&memory, u32::MAX), Ok(Progress::Done));
                }
            });
        });
        assert_eq!(memory.get(2), 0, "torn");
        seen += memory.get(3);
    }
    assert!(seen > 100, "{seen} values seen");
}

#[test]
fn atomics_of_many_blocks_on_many_threads_lose_nothing() {
    let text = ".visible .entry count(.param .u64 words) {
            .reg .b64 %base, %x; .reg .b32 %i; .reg .pred %p;
            ld.param.u64 %base, [words];
            mov.u32 %i, 0;
        NEXT:
            red.relaxed.sys.global.add.u32 [%base], 1;
            atom.global.add.u64 %x, [%base+8], 3;
            add.u32 %i, %i, 1;
            setp.lt.u32 %p, %i, 100;
            @%p bra NEXT;
            ret; }";
    let memory = Words::new(&[0; 2]);
    let launch = launch(text, 64, 0, &[memory.address()]);
    std::thread::scope(|scope| {
        for thread in 0..4u32 {
            let (memory, launch) = (&memory, &launch);
            scope.spawn(move || {
                (0..5).for_each(|n| finish(launch, memory, (10 * thread + n) as u64).unwrap())
            });
        }
    });
    assert_eq!(memory.all(), [128_000, 384_000]);
}

#[test]
fn what_the_machine_does_not_know_is_refused_when_it_is_loaded_with_its_line() {
    for (instruction, what) in [
        ("frobnicate.u32 %w, %w;", "unknown instruction frobnicate.u32: frobnicate.u32 %w, %w;"),
        ("add.rz.f32 %w, %w, %w;", "unknown instruction add.rz.f32"),
        ("add.ftz.f32 %w, %w, %w;", "unknown instruction add.ftz.f32"),
        ("div.approx.f32 %w, %w, %w;", "unknown instruction div.approx.f32"),
        ("cvt.f32.s32 %w, %w;", "unknown instruction cvt.f32.s32"),
        ("cvt.rn.s32.f32 %w, %w;", "unknown instruction cvt.rn.s32.f32"),
        ("ld.relaxed.global.u32 %w, [%x];", "unknown instruction ld.relaxed.global.u32"),
        ("ld.weird.global.u32 %w, [%x];", "unknown instruction ld.weird.global.u32"),
        ("ld.relaxed.sys.local.u32 %w, [%x];", "unknown instruction"),
        ("st.const.u32 [%x], %w;", "unknown instruction st.const.u32"),
        ("st.param.u64 [words], %x;", "unknown instruction st.param.u64"),
        ("shfl.idx.b32 %w, %w, 0, 31;", "unknown instruction shfl.idx.b32"),
        ("bar.red.popc.u32 %w, 0, %p;", "unknown instruction"),
        ("add.u32 %w, %x, %w;", "`%x` has 64 bits, not 32"),
        ("add.u64 %x, %x, %w;", "`%w` has 32 bits, not 64"),
        ("add.u32 %w, %nothing, %w;", "unknown name `%nothing`"),
        ("add.u32 %w, %w;", "2 operands, where there are 3"),
        ("add.u32 %tid.x, %w, %w;", "no register that can be written"),
        ("mov.u64 %x, %tid.x;", "does not have 64 bits"),
        ("mov.f32 %w, 1;", "no operand of 32 bits"),
        ("@%w add.u32 %w, %w, 1;", "`%w` is no predicate"),
        ("bra NOWHERE;", "a label of these braces"),
        ("{ INNER: } bra INNER;", "a label of these braces"),
        ("{ .reg .b32 %inner; } mov.u32 %inner, 0;", "no register that can be written"),
        ("call other;", "function `other` is defined nowhere"),
        ("call bad, (%x);", "takes 0 and gives 0"),
        ("ld.shared.u32 %w, [own];", "`own` is in another space"),
        ("ld.global.v4.u64 {%x, %x, %x, %x}, [%x];", "more than 16 bytes"),
        ("ld.global.v2.u32 {%w, %w, %w}, [%x];", "3 registers, where there are 2"),
    ] {
        let text = format!(
            "{HEADER}.visible .entry bad(.param .u64 words) {{\n .local .b32 own; .reg .b64 %x; .reg .b32 %w; .reg .pred %p;
            {instruction}\n ret; }}"
        );
        let error = Module::parse(&text).expect_err(instruction);
        assert!(error.line == 6 && error.what.contains(what), "{instruction}: {error}");
    }
    for (text, what) in [
        (".func b(); .func a() { call b; } .func b() { call a; }", "calls itself"),
        (".func a() { ret; } .func a() { ret; }", "defined twice"),
        (".extern .global .u32 x;", "defined nowhere"),
        (".entry e() { .reg .b32 %r, %r; }", "declared twice"),
        (".entry e() { L: L: ret; }", "there twice"),
        (".entry e() { .shared .align 256 .b32 x; }", "more than 128"),
    ] {
        let error = Module::parse(&format!("{HEADER}{text}")).map(|_| ()).err();
        assert!(error.as_ref().is_some_and(|error| error.what.contains(what)), "{text}: {error:?}");
    }
}

/// A writer that announces data by a flag, and a reader that waits for the flag: how often it found the flag without the data.
fn announced_too_early(announce: &str, in_order: bool) -> u32 {
    let writer = format!(
        ".visible .entry write(.param .u64 words) {{
            .reg .b64 %base, %x;
            ld.param.u64 %base, [words];
            st.global.u64 [%base], 1;
            {announce}
            mov.u64 %x, 0;
            ret; }}"
    );
    let text = launch(&writer, 1, 0, &[0]);
    (0..500)
        .filter(|seed| {
            let memory = Words::new(&[0, 0, 0]);
            let params = memory.address().to_le_bytes().to_vec();
            let launch = Arc::new(Launch { params, ..(*text).clone() });
            let block = Block::new(&launch, [0; 3], *seed);
            let mut block = if in_order { block.in_order() } else { block };
            // What another lane sees while the writer is at work.
            let watch = Watch { words: &memory, early: AtomicBool::new(false) };
            while block.run(&watch, 10) != Ok(Progress::Done) {}
            assert_eq!(memory.all()[..2], [1, 1], "in the end everything is there");
            watch.early.into_inner()
        })
        .count() as u32
}

/// Looks at the words whenever the machine asks whether it may touch one: as the last instruction of the writer does.
struct Watch<'a> {
    words: &'a Words,
    early: AtomicBool,
}

// SAFETY: it allows what `Words` allows.
unsafe impl Memory for Watch<'_> {
    fn allows(&self, address: u64, bytes: u64) -> bool {
        let early = self.words.get(1) == 1 && self.words.get(0) == 0;
        self.early.fetch_or(early, Ordering::AcqRel);
        self.words.allows(address, bytes)
    }
}

#[test]
fn a_flag_that_nothing_orders_behind_its_data_is_sometimes_seen_first() {
    let relaxed = "st.relaxed.sys.global.u64 [%base+8], 1; ld.global.u64 %x, [%base+16];";
    let released = "st.release.sys.global.u64 [%base+8], 1; ld.global.u64 %x, [%base+16];";
    let fenced = "fence.acq_rel.sys; st.relaxed.sys.global.u64 [%base+8], 1; ld.global.u64 %x, [%base+16];";
    let seldom = announced_too_early(relaxed, false);
    assert!(seldom > 20 && seldom < 300, "{seldom} of 500");
    assert_eq!(announced_too_early(relaxed, true), 0);
    assert_eq!(announced_too_early(released, false), 0);
    assert_eq!(announced_too_early(fenced, false), 0);
}

#[test]
fn a_warp_sees_its_own_stores_in_the_order_of_the_text() {
    let text = ".visible .entry own(.param .u64 words) {
            .reg .b64 %base, %x, %y, %bad; .reg .b32 %lane, %i; .reg .pred %p;
            ld.param.u64 %base, [words];
            mov.u32 %lane, %laneid;
            mad.wide.u32 %base, %lane, 16, %base;
            mov.u32 %i, 0; mov.u64 %bad, 0;
        NEXT:
            cvt.u64.u32 %x, %i;
            st.global.u64 [%base], %x;
            st.global.u32 [%base+8], %i;
            red.relaxed.sys.global.add.u64 [%base], 5;
            st.global.u8 [%base+8], 7;
            ld.global.u64 %y, [%base];
            sub.u64 %y, %y, 5;
            setp.ne.u64 %p, %x, %y;
            @%p add.u64 %bad, %bad, 1;
            ld.global.u8 %y, [%base+8];
            setp.ne.u64 %p, %y, 7;
            @%p add.u64 %bad, %bad, 1;
            add.u32 %i, %i, 1;
            setp.lt.u32 %p, %i, 2000;
            @%p bra NEXT;
            st.global.u64 [%base], %bad;
            ret; }";
    for seed in 0..5 {
        let memory = Words::new(&[0; 64]);
        finish(&launch(text, 32, 0, &[memory.address()]), &memory, seed).unwrap();
        assert!((0..32).all(|lane| memory.get(2 * lane) == 0));
    }
}

/// A reader that has looked at data before, waits for a flag, and looks again: how often it finds what was there before.
fn found_what_was_there_before(wait: &str, in_order: bool) -> u32 {
    let text = format!(
        ".visible .entry read(.param .u64 words) {{
            .reg .b64 %base, %x, %y; .reg .pred %p;
            ld.param.u64 %base, [words];
            ld.global.u64 %x, [%base];
            st.release.sys.global.u64 [%base+16], 1;
        WAIT:
            {wait}
            setp.eq.u64 %p, %y, 0;
            @%p bra WAIT;
            ld.global.u64 %x, [%base];
            st.global.u64 [%base+24], %x;
            ret; }}"
    );
    let template = launch(&text, 1, 0, &[0]);
    (0..500)
        .filter(|seed| {
            let memory = Words::new(&[5, 0, 0, 0]);
            let params = memory.address().to_le_bytes().to_vec();
            let launch = Arc::new(Launch { params, ..(*template).clone() });
            let block = Block::new(&launch, [0; 3], *seed);
            let mut block = if in_order { block.in_order() } else { block };
            while memory.get(2) == 0 {
                assert_eq!(block.run(&memory, 3), Ok(Progress::Ran));
            }
            memory.set(0, 6);
            memory.set(1, 1);
            assert_eq!(block.run(&memory, 1000), Ok(Progress::Done));
            memory.get(3) == 5
        })
        .count() as u32
}

#[test]
fn data_that_were_looked_at_before_and_not_acquired_are_sometimes_old() {
    let relaxed = "ld.relaxed.sys.global.u64 %y, [%base+8];";
    let acquired = "ld.acquire.sys.global.u64 %y, [%base+8];";
    let fenced = "ld.relaxed.sys.global.u64 %y, [%base+8]; fence.acq_rel.sys;";
    let seldom = found_what_was_there_before(relaxed, false);
    assert!(seldom > 20 && seldom < 300, "{seldom} of 500");
    assert_eq!(found_what_was_there_before(relaxed, true), 0);
    assert_eq!(found_what_was_there_before(acquired, false), 0);
    assert_eq!(found_what_was_there_before(fenced, false), 0);
}
