//! The same source twice: compiled by rustc, and through the front end and the interpreter; random inputs must give the same
//! states, replies and faults.

use crate::emit::{self, testing};
use crate::front::{Options, compile};
use crate::ir::{Handler, Kernel};
use crate::ir_interp::{Deed, End, Machine};
use crate::program::{ConstDef, DefId, FnDef, Program, TypeDef, TypeRole};
use crate::{ir_print, ir_verify, passes};
use ringkernel_backends::abi::{FaultKind, tag};
use std::cell::Cell;
use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};

pub(super) mod context;

/// Random numbers that favour the ends of ranges.
pub(super) struct Random(u64);

impl Random {
    pub(super) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    pub(super) fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    fn bits(&mut self) -> u64 {
        let any = self.next();
        match self.next() >> 61 {
            0 => any,
            1 => any % 4,
            2 => (any % 8).wrapping_neg(),
            3 => any % 100,
            4 => 1u64 << (any % 64),
            5 => (1u64 << (any % 64)).wrapping_sub(1),
            6 => 1u64.wrapping_shl(any as u32).wrapping_neg(),
            _ => any % 20,
        }
    }
}

/// A value on the wire, by C's rules, written down a second time so that layouts are checked too.
pub(super) trait Wire: Sized + Clone {
    const ALIGN: usize;
    fn random(random: &mut Random) -> Self;
    /// Appends it, aligned and padded. Every NaN is the same one.
    fn put(&self, out: &mut Vec<u8>);
    fn get(bytes: &[u8], at: &mut usize) -> Self;

    fn bytes(&self) -> Vec<u8> {
        let mut out = Vec::new();
        self.put(&mut out);
        out
    }
}

pub(super) fn pad(out: &mut Vec<u8>, align: usize) {
    while !out.len().is_multiple_of(align) {
        out.push(0);
    }
}

macro_rules! wire_int {
    ($($t:ident)*) => {$(
        impl Wire for $t {
            const ALIGN: usize = size_of::<$t>();
            fn random(random: &mut Random) -> Self {
                random.bits() as $t
            }
            fn put(&self, out: &mut Vec<u8>) {
                pad(out, Self::ALIGN);
                out.extend(self.to_le_bytes());
            }
            fn get(bytes: &[u8], at: &mut usize) -> Self {
                *at = at.next_multiple_of(Self::ALIGN);
                *at += Self::ALIGN;
                <$t>::from_le_bytes(bytes[*at - Self::ALIGN..*at].try_into().unwrap())
            }
        }
    )*};
}
wire_int!(i8 i16 i32 i64 u8 u16 u32 u64);

macro_rules! wire_float {
    ($($t:ident)*) => {$(
        impl Wire for $t {
            const ALIGN: usize = size_of::<$t>();
            fn random(random: &mut Random) -> Self {
                match random.next() % 6 {
                    0 => [0.0, -0.0, 1.0, -1.0, 0.5, $t::INFINITY, $t::NEG_INFINITY, $t::NAN, $t::MAX, $t::MIN_POSITIVE, 1e10, -2.5]
                        [random.next() as usize % 12],
                    1 => $t::from_bits(random.next() as _),
                    2 => random.bits() as i64 as $t,
                    _ => (random.next() as i32 as $t) / 65536.0,
                }
            }
            fn put(&self, out: &mut Vec<u8>) {
                pad(out, Self::ALIGN);
                out.extend(if self.is_nan() { $t::NAN } else { *self }.to_le_bytes());
            }
            fn get(bytes: &[u8], at: &mut usize) -> Self {
                *at = at.next_multiple_of(Self::ALIGN);
                *at += Self::ALIGN;
                <$t>::from_le_bytes(bytes[*at - Self::ALIGN..*at].try_into().unwrap())
            }
        }
    )*};
}
wire_float!(f32 f64);

impl Wire for bool {
    const ALIGN: usize = 1;
    fn random(random: &mut Random) -> Self {
        random.next() >> 63 == 1
    }
    fn put(&self, out: &mut Vec<u8>) {
        out.push(*self as u8);
    }
    fn get(bytes: &[u8], at: &mut usize) -> Self {
        *at += 1;
        assert!(bytes[*at - 1] < 2, "a bool is 0 or 1");
        bytes[*at - 1] == 1
    }
}

impl Wire for () {
    const ALIGN: usize = 1;
    fn random(_: &mut Random) -> Self {}
    fn put(&self, _: &mut Vec<u8>) {}
    fn get(_: &[u8], _: &mut usize) -> Self {}
}

impl<T: Wire, const N: usize> Wire for [T; N] {
    const ALIGN: usize = T::ALIGN;
    fn random(random: &mut Random) -> Self {
        std::array::from_fn(|_| T::random(random))
    }
    fn put(&self, out: &mut Vec<u8>) {
        self.iter().for_each(|element| element.put(out));
    }
    fn get(bytes: &[u8], at: &mut usize) -> Self {
        std::array::from_fn(|_| T::get(bytes, at))
    }
}

thread_local! {
    static QUIET: Cell<bool> = const { Cell::new(false) };
}

/// Runs natively; a panic is a fault.
pub(super) fn native<T>(run: impl FnOnce() -> T) -> Result<T, FaultKind> {
    static HOOK: std::sync::Once = std::sync::Once::new();
    HOOK.call_once(|| {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            if !QUIET.get() {
                before(info);
            }
        }));
    });
    QUIET.set(true);
    let result = catch_unwind(AssertUnwindSafe(run));
    QUIET.set(false);
    result.map_err(|panic| {
        let text = panic
            .downcast_ref::<String>()
            .cloned()
            .or_else(|| panic.downcast_ref::<&str>().map(|s| s.to_string()))
            .unwrap_or_default();
        kind_of(&text)
    })
}

fn kind_of(text: &str) -> FaultKind {
    let table = [
        ("attempt to divide by zero", FaultKind::DivisionByZero),
        ("with a divisor of zero", FaultKind::DivisionByZero),
        ("attempt to divide with overflow", FaultKind::DivisionOverflow),
        ("remainder with overflow", FaultKind::DivisionOverflow),
        ("attempt to shift", FaultKind::ShiftOverflow),
        ("with overflow", FaultKind::Overflow),
        ("index out of bounds", FaultKind::IndexOutOfBounds),
        ("min <= max", FaultKind::InvalidArgument),
        ("min > max", FaultKind::InvalidArgument),
        ("step != 0", FaultKind::InvalidArgument),
        ("argument of integer", FaultKind::InvalidArgument),
    ];
    table.iter().find(|(part, _)| text.contains(part)).map_or(FaultKind::Panic, |(_, kind)| *kind)
}

/// The program that these tokens are: the first struct is the actor, a method whose second parameter is the context is a handler.
pub(super) fn program(types: &str, code: &str) -> Program {
    let file: syn::File = syn::parse_str(&format!("{types}\n{code}")).expect("the test's source parses");
    let mut uses: HashMap<String, DefId> = HashMap::new();
    for (i, item) in file.items.iter().enumerate() {
        let name = match item {
            syn::Item::Struct(item) => &item.ident,
            syn::Item::Fn(item) => &item.sig.ident,
            syn::Item::Const(item) => &item.ident,
            _ => continue,
        };
        uses.insert(name.to_string(), i as u64 + 1);
    }
    let mut program = Program {
        actor: 1,
        types: HashMap::new(),
        fns: HashMap::new(),
        consts: HashMap::new(),
        handlers: Vec::new(),
        methods: Vec::new(),
        impl_consts: Vec::new(),
        uses: uses.clone(),
    };
    for (i, item) in file.items.into_iter().enumerate() {
        let def = i as u64 + 1;
        let uses = uses.clone();
        match item {
            syn::Item::Struct(item) => {
                let role = if i == 0 {
                    TypeRole::Actor { id: "test".into() }
                } else {
                    TypeRole::Message { tag: tag::of_definition(&item.ident.to_string()) }
                };
                let fields = item.fields.iter().enumerate();
                let name =
                    |i: usize, f: &syn::Field| f.ident.as_ref().map_or(i.to_string(), |n| n.to_string());
                let fields = fields.map(|(i, f)| (name(i, f), f.ty.clone())).collect();
                let is_tuple = matches!(item.fields, syn::Fields::Unnamed(_));
                program.types.insert(def, TypeDef { def, name: item.ident, role, fields, is_tuple, uses });
            }
            syn::Item::Fn(item) => drop(program.fns.insert(def, FnDef { def, item, uses })),
            syn::Item::Const(item) => {
                let (ty, value) = (*item.ty, *item.expr);
                program.consts.insert(def, ConstDef { def, name: item.ident, ty, value, uses });
            }
            syn::Item::Impl(item) => {
                for item in item.items {
                    match item {
                        syn::ImplItem::Fn(item) => {
                            let handles = item.attrs.is_empty()
                                && quote::ToTokens::to_token_stream(&item.sig.inputs)
                                    .to_string()
                                    .contains("RingContext");
                            if handles { &mut program.handlers } else { &mut program.methods }.push(item);
                        }
                        syn::ImplItem::Const(item) => program.impl_consts.push(item),
                        _ => {}
                    }
                }
            }
            _ => {}
        }
    }
    program
}

/// Compiles, and verifies what comes out.
pub(super) fn kernel(program: &Program, options: Options) -> Kernel {
    let kernel = match compile(program, options) {
        Ok(kernel) => kernel,
        Err(mistakes) => {
            let texts: Vec<_> = mistakes.iter().map(|m| m.message.as_str()).collect();
            panic!("{options:?}:\n{}", texts.join("\n"));
        }
    };
    for handler in &kernel.handlers {
        let wrong = ir_verify::verify(&handler.body);
        assert!(wrong.is_empty(), "{}: {wrong:#?}\n{}", handler.name, ir_print::body(&handler.body));
    }
    kernel
}

/// One compilation of a handler, and how far it must agree with the native one.
struct Variant {
    options: Options,
    passes: bool,
    kernel: Kernel,
}

/// Every way to compile a program.
pub(super) struct Variants(Vec<Variant>);

/// One native run.
pub(super) struct Run {
    pub(super) before: Vec<u8>,
    pub(super) message: Vec<u8>,
    pub(super) after: Vec<u8>,
    pub(super) reply: Result<Vec<u8>, FaultKind>,
    pub(super) deeds: Vec<Deed>,
}

impl Variants {
    pub(super) fn of(program: &Program) -> Self {
        let mut variants = Vec::new();
        for (checked, usize_is_32) in [(true, false), (false, false), (true, true), (false, true)] {
            let options = Options { checked, usize_is_32 };
            let plain = kernel(program, options);
            let mut passed = plain.clone();
            passes::run(&mut passed);
            variants.push(Variant { options, passes: false, kernel: plain });
            variants.push(Variant { options, passes: true, kernel: passed });
        }
        Self(variants)
    }

    /// Compares one run of a handler with every variant; `canonical` reads a state or reply and writes it again.
    pub(super) fn compare(
        &self,
        name: &str,
        run: &Run,
        state: fn(&[u8]) -> Vec<u8>,
        reply: fn(&[u8]) -> Vec<u8>,
    ) {
        for variant in &self.0 {
            let Some(handler) = variant.kernel.handlers.iter().find(|h| h.name == name) else {
                panic!("no handler {name}");
            };
            variant.compare(handler, run, state, reply);
        }
    }
}

impl Variant {
    fn compare(
        &self,
        handler: &Handler,
        run: &Run,
        state: fn(&[u8]) -> Vec<u8>,
        reply: fn(&[u8]) -> Vec<u8>,
    ) {
        assert_eq!(self.kernel.state.size as usize, run.before.len(), "the state's size");
        assert_eq!(handler.message_layout.size as usize, run.message.len(), "the message's size");
        let native_checks = cfg!(debug_assertions);
        let by_profile = [FaultKind::Overflow, FaultKind::ShiftOverflow];
        let mut machine = Machine::new(&handler.body, &run.before, &run.message);
        let deeds = context::numbered(&run.deeds, &self.kernel);
        machine.reply = vec![0; handler.reply_layout.size as usize];
        let end = machine.run();
        let context = || {
            let (message, before) = (&run.message, &run.before);
            format!(
                "{} {:?} passes: {}\nmessage {message:?}\nstate {before:?}\nnative {:?}\nfound {end:?}\n{}",
                handler.name,
                self.options,
                self.passes,
                run.reply,
                ir_print::body(&handler.body)
            )
        };
        let fault = match end {
            End::Exhausted => return, // an endless loop for native too, or nearly
            End::Fault(FaultKind::UsizeTooNarrow, _) if self.options.usize_is_32 => return,
            End::Fault(kind, _) => Some(kind),
            End::Finished => None,
        };
        // A profile that is not the one this test was built in agrees as long as overflow plays no part.
        if self.options.checked != native_checks {
            let found = if self.options.checked { fault } else { run.reply.as_ref().err().copied() };
            let found = found.filter(|kind| by_profile.contains(kind) || handler.name.starts_with("debug"));
            if found.is_some() {
                return;
            }
        }
        assert_eq!(run.reply.as_ref().err().copied(), fault, "{}", context());
        assert_eq!(run.after, state(&machine.state), "states differ\n{}", context());
        assert_eq!(deeds, machine.world.deeds, "deeds differ\n{}", context());
        if let Ok(expected) = &run.reply {
            assert_eq!(expected, &reply(&machine.reply), "replies differ\n{}", context());
        }
    }
}

/// naga and, where there is one, ptxas accept what the emitters print, in both profiles.
pub(super) fn accepted(name: &str, program: &Program) {
    for checked in [true, false] {
        let mut wide = kernel(program, Options { checked, usize_is_32: false });
        let mut narrow = kernel(program, Options { checked, usize_is_32: true });
        passes::run(&mut wide);
        passes::run(&mut narrow);
        testing::validate(&emit::wgsl::emit(&narrow));
        let text = emit::ptx::emit(&wide);
        if let Some(ptxas) = testing::ptxas("device_compilers_accept_the_code") {
            testing::assemble(&ptxas, &format!("{name}-{checked}"), &text);
        }
    }
}

/// Compiles the handlers twice and compares them on random inputs.
macro_rules! actor {
    (
        $name:ident: $rounds:literal rounds;
        types { $( struct $T:ident { $( $f:ident : $ft:ty ),* $(,)? } )* }
        handlers { $( $h:ident($M:ty) -> $R:ty; )* }
        code { $($code:tt)* }
    ) => {
        #[allow(dead_code, unused_imports, unused_variables, clippy::all, arithmetic_overflow, unconditional_panic, unused_mut, unused_assignments, path_statements, unused_parens, double_negations)]
        mod $name {
            use super::super::harness::context::{HlcTimestamp, RingContext, Sent};
            use super::super::harness::{accepted, actor, Random, Run, Variants, Wire, native, pad, program};
            $(
                #[derive(Clone, Copy, Debug, PartialEq)]
                pub struct $T { $( $f: $ft ),* }
                impl Wire for $T {
                    const ALIGN: usize = {
                        let mut align = 1;
                        $( if <$ft as Wire>::ALIGN > align { align = <$ft as Wire>::ALIGN } )*
                        align
                    };
                    fn random(random: &mut Random) -> Self {
                        Self { $( $f: Wire::random(random) ),* }
                    }
                    fn put(&self, out: &mut Vec<u8>) {
                        pad(out, Self::ALIGN);
                        $( self.$f.put(out); )*
                        pad(out, Self::ALIGN);
                    }
                    fn get(bytes: &[u8], at: &mut usize) -> Self {
                        *at = at.next_multiple_of(Self::ALIGN);
                        let value = Self { $( $f: Wire::get(bytes, at) ),* };
                        *at = at.next_multiple_of(Self::ALIGN);
                        value
                    }
                }
            )*
            $($code)*

            fn again<T: Wire>(bytes: &[u8]) -> Vec<u8> {
                T::get(bytes, &mut 0).bytes()
            }

            actor!(@first $($T)*);

            pub(super) fn source() -> crate::program::Program {
                program(stringify!($( pub struct $T { $( $f: $ft ),* } )*), stringify!($($code)*))
            }

            #[test]
            fn device_compilers_accept_the_code() {
                accepted(stringify!($name), &source());
            }

            #[test]
            fn device_code_does_what_the_native_handler_does() {
                let variants = Variants::of(&source());
                let mut random = Random::new(7);
                $(
                    for _ in 0..$rounds {
                        let before = State::random(&mut random);
                        let message = <$M as Wire>::random(&mut random);
                        let mut state = before.clone();
                        let bytes = message.bytes();
                        let mut ctx = RingContext::default();
                        let reply = native(|| state.$h(&mut ctx, message));
                        let run = Run {
                            before: before.bytes(),
                            message: bytes,
                            after: state.bytes(),
                            reply: reply.map(|reply: $R| reply.bytes()),
                            deeds: ctx.deeds(),
                        };
                        variants.compare(stringify!($h), &run, again::<State>, again::<$R>);
                    }
                )*
            }
        }
    };
    (@first $First:ident $($rest:ident)*) => { type State = $First; };
}
pub(super) use actor;
