//! Carriers find their definitions wherever those stand: each struct here names another, which compiles only if the other's carrier was
//! found.

use ringkernel::{DeviceType, RingMessage, device_const, device_fn};
use ringkernel_tests::carried::{self as public, Part as PublicPart};

// Used before it is defined, under another name, through a module, and through a glob.
#[derive(RingMessage, Clone, Copy, Debug, PartialEq)]
struct First {
    later: Later,
    renamed: Renamed,
    by_path: m::inner::Deep,
    globbed: Globbed,
    sized: [u8; m::inner::SIZE + HERE],
    reexported: m::Reexported,
    crate_path: [crate::carriers::m::inner::Deep; 1],
}

use m::glob::*;
use m::inner::Deep as Renamed;

#[derive(DeviceType, Clone, Copy, Debug, PartialEq)]
struct Later(u32);

#[device_const]
const HERE: usize = m::inner::SIZE / 2;

mod m {
    pub(crate) mod inner {
        use ringkernel::{DeviceType, device_const};

        #[derive(DeviceType, Clone, Copy, Debug, PartialEq)]
        pub(crate) struct Deep {
            pub(crate) up: super::Up,
            pub(crate) x: f32,
        }

        #[device_const]
        pub(crate) const SIZE: usize = 4;

        #[derive(DeviceType, Clone, Copy, Debug, PartialEq)]
        pub(crate) struct Reexported(pub(crate) u8);
    }

    #[derive(ringkernel::DeviceType, Clone, Copy, Debug, PartialEq)]
    pub(crate) struct Up {
        pub(crate) flag: bool,
    }

    pub(crate) use inner::Reexported;

    pub(crate) mod glob {
        #[derive(ringkernel::DeviceType, Clone, Copy, Debug, PartialEq)]
        pub(crate) struct Globbed {
            pub(crate) value: i8,
        }
    }
}

/// Equal structs in different modules are different definitions.
mod twins {
    pub(crate) mod a {
        #[derive(ringkernel::DeviceType, Clone, Copy, Debug, PartialEq)]
        pub(crate) struct Twin {
            pub(crate) x: u8,
        }
    }
    pub(crate) mod b {
        #[derive(ringkernel::DeviceType, Clone, Copy, Debug, PartialEq)]
        pub(crate) struct Twin {
            pub(crate) x: u8,
        }
    }
    #[derive(ringkernel::RingMessage, Clone, Copy, Debug, PartialEq)]
    pub(crate) struct Both {
        pub(crate) a: a::Twin,
        pub(crate) b: b::Twin,
    }
}

macro_rules! point {
    ($name:ident, $field:ident: $ty:ty) => {
        #[derive(DeviceType, Clone, Copy, Debug, PartialEq)]
        struct $name {
            $field: $ty,
            fixed: [$ty; 2],
        }
    };
}
point!(Made, x: f32);
point!(MadeOfMade, x: Made);

macro_rules! hidden {
    ($module:ident) => {
        mod $module {
            #[derive(ringkernel::DeviceType, Clone, Copy, Debug, PartialEq)]
            pub(super) struct Stamped {
                pub(super) x: u8,
            }
        }
    };
}
hidden!(stamp_a);
hidden!(stamp_b);

#[derive(RingMessage, Clone, Copy, Debug, PartialEq)]
struct Stamps {
    foreign: PublicPart,
    also_foreign: [public::Part; ringkernel_tests::carried::COUNT],
    a: stamp_a::Stamped,
    b: stamp_b::Stamped,
    made: MadeOfMade,
}

#[device_fn]
fn scaled(x: f32, by: public::Part) -> f32 {
    if x > LIMIT { helper(x) } else { public::sum(by) as f32 * x }
}

#[device_const]
const LIMIT: f32 = 100.0;

#[device_fn]
fn helper(x: f32) -> f32 {
    x.min(LIMIT)
}

#[device_fn]
fn first(x: &mut [u32; 2], _: &Later) -> u32 {
    x[0] += 1;
    x[0]
}

#[test]
fn definitions_are_found_wherever_they_stand() {
    let deep = m::inner::Deep { up: m::Up { flag: true }, x: 1.5 };
    let first = First {
        later: Later(1),
        renamed: deep,
        by_path: deep,
        globbed: Globbed { value: -1 },
        sized: [7; 6],
        reexported: m::Reexported(3),
        crate_path: [deep],
    };
    let mut wire = vec![0; First::SIZE as usize];
    first.encode(&mut wire);
    assert_eq!(First::decode(&wire), Ok(first));
    let both = twins::Both { a: twins::a::Twin { x: 1 }, b: twins::b::Twin { x: 2 } };
    let mut wire = [0; 2];
    both.encode(&mut wire);
    assert_eq!(wire, [1, 2]);
}

#[test]
fn definitions_made_by_macros_are_found() {
    let made = Made { x: 1.0, fixed: [2.0, 3.0] };
    let part = PublicPart { x: [8, 9] };
    let stamps = Stamps {
        foreign: part,
        also_foreign: [part; 2],
        a: stamp_a::Stamped { x: 1 },
        b: stamp_b::Stamped { x: 2 },
        made: MadeOfMade { x: made, fixed: [made; 2] },
    };
    let mut wire = vec![0; Stamps::SIZE as usize];
    stamps.encode(&mut wire);
    assert_eq!(Stamps::decode(&wire), Ok(stamps));
}

#[test]
fn definitions_in_a_function_body_are_found() {
    #[derive(RingMessage, Clone, Copy, Debug, PartialEq)]
    struct Outer {
        inner: Inner,
        later: Later,
    }
    #[derive(DeviceType, Clone, Copy, Debug, PartialEq)]
    struct Inner {
        x: [u8; N],
    }
    #[device_const]
    const N: usize = 3;
    let outer = Outer { inner: Inner { x: [1, 2, 3] }, later: Later(4) };
    let mut wire = [0; 8];
    outer.encode(&mut wire);
    assert_eq!(wire, [1, 2, 3, 0, 4, 0, 0, 0]);
}

#[test]
fn device_functions_stay_functions() {
    let part = public::Part { x: [1, 2] };
    assert_eq!(scaled(2.0, part), 6.0);
    assert_eq!(scaled(200.0, part), 100.0);
    assert_eq!(first(&mut [4, 5], &Later(0)), 5);
    assert_eq!(public::Whole::SIZE, 4);
}
