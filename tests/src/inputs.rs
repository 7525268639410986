//! Messages to ask with: every edge value, and random ones.

use proptest::arbitrary::any;
use proptest::strategy::{BoxedStrategy, Just, Strategy, Union};
use std::fmt;

/// A scalar with values worth trying always.
pub trait Edges: Copy + fmt::Debug + 'static {
    /// 0, MIN, MAX, -1, NaN and their like.
    fn edges() -> Vec<Self>;
    /// Any value, with a leaning to small ones and to the edges.
    fn random() -> BoxedStrategy<Self>;
}

fn leaning<T: Edges>(any: BoxedStrategy<T>, small: BoxedStrategy<T>) -> BoxedStrategy<T> {
    let edges = Union::new(T::edges().into_iter().map(Just)).boxed();
    Union::new_weighted(vec![(4, any), (3, small), (1, edges)]).boxed()
}

macro_rules! integer_edges {
    ($($ty:ident: [$($more:expr),*]),+ $(,)?) => {$(
        impl Edges for $ty {
            fn edges() -> Vec<Self> {
                let mut all = vec![0, 1, 2, 3, 7, 10, $ty::MAX, $ty::MAX - 1, $ty::MIN, $ty::MIN + 1, $ty::MAX / 3, $($more),*];
                all.sort_unstable();
                all.dedup();
                all
            }
            fn random() -> BoxedStrategy<Self> {
                #[allow(unused_comparisons)]
                let low = if $ty::MIN < 0 { (0 as $ty).wrapping_sub(40) } else { 0 };
                leaning(any::<$ty>().boxed(), (low..=40).boxed())
            }
        }
    )+};
}

integer_edges!(
    i8: [-1, -2, -7, 0x55],
    i16: [-1, -2, -7, 255, 256, -129],
    i32: [-1, -2, -7, 255, 65_535, 65_536, -32_769, 1 << 24, 0x5555_5555],
    i64: [-1, -2, -7, 1 << 31, 1 << 32, -(1 << 31) - 1, (1 << 53) + 1, 0x5555_5555_5555_5555],
    u8: [0x80, 0x55, 31, 32],
    u16: [255, 256, 0x8000, 0x5555],
    u32: [255, 256, 65_535, 65_536, 0x8000_0000, 0x7fff_ffff, (1 << 24) + 1],
    u64: [1 << 31, 1 << 32, u32::MAX as u64, 1 << 63, (1 << 53) + 1],
);

impl Edges for bool {
    fn edges() -> Vec<Self> {
        vec![false, true]
    }
    fn random() -> BoxedStrategy<Self> {
        any::<bool>().boxed()
    }
}

macro_rules! float_edges {
    ($($ty:ident, $bits:ident, [$($more:expr),*]);+ $(;)?) => {$(
        impl Edges for $ty {
            fn edges() -> Vec<Self> {
                let smallest = $ty::from_bits(1);
                let largest_subnormal = $ty::from_bits($ty::MIN_POSITIVE.to_bits() - 1);
                vec![
                    0.0, -0.0, 1.0, -1.0, 0.5, -0.5, 1.5, 2.5, -2.5, 3.0, 0.1, $ty::EPSILON, 1.0 + $ty::EPSILON,
                    $ty::MIN_POSITIVE, smallest, -smallest, largest_subnormal, $ty::MAX, $ty::MIN,
                    $ty::INFINITY, $ty::NEG_INFINITY, $ty::NAN, -$ty::NAN,
                    // around the ends of the integers, where casts saturate
                    127.5, 128.0, 255.5, 256.0, -128.5, -129.0, 65_535.5, 65_536.0, 2_147_483_648.0, -2_147_483_904.0,
                    4_294_967_296.0, (1u128 << 63) as $ty, -9.3e18, (1u128 << 64) as $ty, $($more),*
                ]
            }
            fn random() -> BoxedStrategy<Self> {
                let bits = any::<$bits>().prop_map($ty::from_bits).boxed();
                let small = (-1000i32..=1000, 1i32..=16).prop_map(|(a, b)| a as $ty / b as $ty).boxed();
                leaning(bits, small)
            }
        }
    )+};
}

float_edges!(
    f32, u32, [8_388_607.5, 8_388_609.0, 16_777_215.0, 2_147_483_520.0];
    f64, u64, [4_503_599_627_370_495.5, 9_007_199_254_740_991.0, 2_147_483_647.5, 1e300, 1e-300, 3.4028235677973366e38];
);

/// What a handler is asked with.
pub struct Inputs<M> {
    /// Always.
    pub edges: Vec<M>,
    /// As many of these as `RINGKERNEL_CASES` says.
    pub random: BoxedStrategy<M>,
}

/// Messages made of one scalar.
pub fn one<A: Edges, M: fmt::Debug + 'static>(make: fn(A) -> M) -> Inputs<M> {
    Inputs { edges: A::edges().into_iter().map(make).collect(), random: A::random().prop_map(make).boxed() }
}

/// Messages made of two scalars: every pair of edges.
pub fn two<A: Edges, B: Edges, M: fmt::Debug + 'static>(make: fn(A, B) -> M) -> Inputs<M> {
    let mut edges = Vec::new();
    for a in A::edges() {
        edges.extend(B::edges().into_iter().map(|b| make(a, b)));
    }
    Inputs { edges, random: (A::random(), B::random()).prop_map(move |(a, b)| make(a, b)).boxed() }
}

/// Messages made of three scalars: the edges in step, and shifted against each other.
pub fn three<A: Edges, B: Edges, C: Edges, M: fmt::Debug + 'static>(make: fn(A, B, C) -> M) -> Inputs<M> {
    let (a, b, c) = (A::edges(), B::edges(), C::edges());
    let most = a.len().max(b.len()).max(c.len());
    let mut edges = Vec::new();
    for (db, dc) in [(0, 0), (1, 0), (0, 1), (1, 2), (3, 1), (5, 8)] {
        edges.extend((0..most).map(|i| make(a[i % a.len()], b[(i + db) % b.len()], c[(i + dc) % c.len()])));
    }
    let random = (A::random(), B::random(), C::random()).prop_map(move |(a, b, c)| make(a, b, c)).boxed();
    Inputs { edges, random }
}

/// Messages of any strategy, with some that are always sent.
pub fn of<M: fmt::Debug + 'static>(edges: Vec<M>, random: impl Strategy<Value = M> + 'static) -> Inputs<M> {
    Inputs { edges, random: random.boxed() }
}

/// Any array, by its element's leaning.
pub fn array<T: Edges, const N: usize>() -> BoxedStrategy<[T; N]> {
    proptest::collection::vec(T::random(), N).prop_map(|items| std::array::from_fn(|i| items[i])).boxed()
}
