//! What the tests of the machine share: memory, and running a program to its end.
#![allow(dead_code, reason = "every test uses a part of it")]

use softcuda::machine::{Block, Fault, Launch, Memory, Module, Progress};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Words of memory that device code may touch.
pub(crate) struct Words(Vec<Chunk>);

#[repr(align(16))]
struct Chunk([AtomicU64; 2]);

impl Words {
    pub(crate) fn new(words: &[u64]) -> Self {
        let chunk = |pair: &[u64]| {
            Chunk([AtomicU64::new(pair[0]), AtomicU64::new(pair.get(1).copied().unwrap_or(0))])
        };
        Self(words.chunks(2).map(chunk).collect())
    }

    pub(crate) fn address(&self) -> u64 {
        self.0.as_ptr().expose_provenance() as u64
    }

    pub(crate) fn get(&self, index: usize) -> u64 {
        self.0[index / 2].0[index % 2].load(Ordering::Acquire)
    }

    pub(crate) fn set(&self, index: usize, value: u64) {
        self.0[index / 2].0[index % 2].store(value, Ordering::Release);
    }

    pub(crate) fn all(&self) -> Vec<u64> {
        (0..2 * self.0.len()).map(|index| self.get(index)).collect()
    }
}

// SAFETY: it allows its own words, which live as long as it does, and are atomics for everybody.
unsafe impl Memory for Words {
    fn allows(&self, address: u64, bytes: u64) -> bool {
        let end = self.address() + 16 * self.0.len() as u64;
        address >= self.address() && address + bytes <= end
    }

    fn range(&self, address: u64, bytes: u64) -> Option<(u64, u64)> {
        let start = self.address();
        self.allows(address, bytes).then_some((start, start + 16 * self.0.len() as u64))
    }
}

pub(crate) const HEADER: &str = ".version 8.4\n.target sm_90\n.address_size 64\n";

/// A launch of the first entry of a text behind the header; parameters of 64 bits.
pub(crate) fn launch(text: &str, threads: u32, shared_bytes: u32, params: &[u64]) -> Arc<Launch> {
    let text = format!("{HEADER}{text}");
    {
        use std::hash::*;
        let mut h = std::collections::hash_map::DefaultHasher::new();
        text.hash(&mut h);
    }
    let module = Module::parse(&text).unwrap_or_else(|error| {
        panic!("{error}: {}", text.lines().nth(error.line.max(1) as usize - 1).unwrap_or_default())
    });
    let name = module.entries().next().expect("an entry").to_string();
    let entry = module.entry(&name).expect("it is there");
    let params = params.iter().flat_map(|word| word.to_le_bytes()).collect();
    Arc::new(Launch { entry, grid: [1, 1, 1], block: [threads, 1, 1], shared_bytes, params })
}

/// Runs a block to its end, a few instructions at a time.
pub(crate) fn finish(launch: &Arc<Launch>, memory: &dyn Memory, seed: u64) -> Result<(), Fault> {
    let mut block = Block::new(launch, [0; 3], seed);
    for _ in 0..2_000_000 {
        match block.run(memory, 1 + (seed % 100) as u32)? {
            Progress::Ran => {}
            Progress::Asleep(time) => std::thread::sleep(time),
            Progress::Done => return Ok(()),
        }
    }
    panic!("it does not end");
}

/// Three operands a lane, in `%a`, `%b`, `%c` (`%wa` … and `%ha` … their low 32 and 16 bits); what the instructions leave in `%d`.
pub(crate) fn compute(instructions: &str, inputs: &[[u64; 3]]) -> Vec<u64> {
    assert!(inputs.len() <= 1024);
    let text = format!(
        ".visible .entry compute(.param .u64 in, .param .u64 out, .param .u64 count) {{
            .reg .b64 %a, %b, %c, %d, %x, %y, %l<4>;
            .reg .b32 %wa, %wb, %wc, %w, %i, %w<4>;
            .reg .b16 %ha, %hb, %hc, %h;
            .reg .pred %p, %q;
            mov.u32 %i, %tid.x;
            cvt.u64.u32 %x, %i;
            ld.param.u64 %y, [count];
            setp.ge.u64 %p, %x, %y;
            @%p bra END;
            ld.param.u64 %x, [in];
            mad.wide.u32 %x, %i, 24, %x;
            ld.global.u64 %a, [%x];
            ld.global.u64 %b, [%x+8];
            ld.global.u64 %c, [%x+16];
            cvt.u32.u64 %wa, %a;
            cvt.u32.u64 %wb, %b;
            cvt.u32.u64 %wc, %c;
            cvt.u16.u64 %ha, %a;
            cvt.u16.u64 %hb, %b;
            cvt.u16.u64 %hc, %c;
            {instructions}
            ld.param.u64 %x, [out];
            mad.wide.u32 %x, %i, 8, %x;
            st.global.u64 [%x], %d;
        END:
            ret;
        }}"
    );
    let mut words: Vec<u64> = inputs.iter().flatten().copied().collect();
    let out = words.len();
    words.extend(vec![0; inputs.len()]);
    let memory = Words::new(&words);
    let address = memory.address();
    let params = [address, address + 8 * out as u64, inputs.len() as u64];
    let threads = (inputs.len() as u32).next_multiple_of(32);
    finish(&launch(&text, threads, 0, &params), &memory, 7).unwrap_or_else(|fault| panic!("{fault}"));
    memory.all()[out..out + inputs.len()].to_vec()
}
