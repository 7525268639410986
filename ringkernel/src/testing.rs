//! Actors for this crate's tests, written out as the macros emit them.

use crate::__private::*;
use crate::Sent;
use ringkernel_backends::mesh::{Mesh, RouteInfo, TopicInfo};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// Lets a handler return that would not.
pub(crate) static RELEASE: AtomicBool = AtomicBool::new(false);

/// One handler for each way in which a handler can end.
#[derive(Default, Debug, PartialEq)]
pub(crate) struct Account {
    pub(crate) cents: i64,
    pub(crate) deposits: u32,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Deposit {
    pub(crate) cents: i64,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Balance {
    pub(crate) cents: i64,
    pub(crate) deposits: u32,
}

/// Panics in the way that its number says.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Misbehave(pub(crate) u32);

/// A message that `Account` has no handler for.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Stranger(pub(crate) u8);

macro_rules! device_type {
    ($name:ident { $($field:tt: $ty:ty),* } $(, tag $tag:literal)?) => {
        impl DeviceType for $name {
            const NAME: &'static str = stringify!($name);
            const SIZE: u32 = layout::of(&[$((<$ty>::SIZE, <$ty>::ALIGN)),*]).0;
            const ALIGN: u32 = layout::of(&[$((<$ty>::SIZE, <$ty>::ALIGN)),*]).1;
            fn encode(&self, out: &mut [u8]) {
                ($(copy(&self.$field),)*).encode(out)
            }
            #[inline]
            fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
                check_length::<Self>(bytes)?;
                let mut end = 0;
                Ok(Self { $($field: {
                    let at = u32::next_multiple_of(end, <$ty>::ALIGN);
                    end = at + <$ty>::SIZE;
                    let _ = end;
                    decode_field::<$ty>(bytes, at)?
                }),* })
            }
        }
        $(impl RingMessage for $name { const TAG: u32 = $tag; })?
    };
}

fn copy<T: Copy>(value: &T) -> T {
    *value
}

device_type!(Account { cents: i64, deposits: u32 });
device_type!(Deposit { cents: i64 }, tag 1001);
device_type!(Balance { cents: i64, deposits: u32 }, tag 1002);
device_type!(Misbehave { 0: u32 }, tag 1003);
device_type!(Stranger { 0: u8 }, tag 1004);

impl Account {
    fn deposit(&mut self, _ctx: &mut RingContext, msg: Deposit) -> Balance {
        self.cents += msg.cents;
        self.deposits += 1;
        Balance { cents: self.cents, deposits: self.deposits }
    }

    fn which(&mut self, ctx: &mut RingContext, _: ()) -> u32 {
        ctx.instance()
    }

    fn is_rich(&mut self, _ctx: &mut RingContext, above: bool) -> bool {
        (self.cents > 1_000_000) == above
    }

    fn misbehave(&mut self, _ctx: &mut RingContext, msg: Misbehave) {
        use std::hint::black_box as b;
        self.deposits += 1;
        match msg.0 {
            1 => drop(b(b(i64::MAX) + 1)),
            2 => drop(b(1 / b(0))),
            3 => drop(b(b(i32::MIN) % b(-1))),
            4 => drop(b(1u32 << b(32))),
            5 => drop(b([1, 2, 3][b(3)])),
            6 => panic!("case {}", b(6)),
            7 => drop(b(1.0f32.clamp(b(3.0), b(2.0)))),
            70 => drop(b(1i32.clamp(b(3), b(2)))),
            71 => assert_eq!((0..3).step_by(b(0)).count(), 0),
            72 => drop(b(b(0u32).ilog2())),
            60 => assert!(b(1) == 2, "one is not two"),
            61 => std::panic::panic_any(Grenade),
            62 => std::panic::resume_unwind(Box::new("went around the hook")),
            63 => drop(std::panic::catch_unwind(|| panic!("caught by the handler itself"))),
            // Acquire pairs with nothing: it only waits.
            99 => {
                while !RELEASE.load(Ordering::Acquire) {
                    std::thread::sleep(Duration::from_millis(1))
                }
            }
            // The default is to behave.
            _ => {}
        }
    }
}

struct Grenade;
impl Drop for Grenade {
    fn drop(&mut self) {
        panic!("a payload that panics when dropped");
    }
}

impl Actor for Account {
    const DESCRIPTOR: &'static KernelDescriptor = &DESCRIPTOR;
    fn dispatch(
        &mut self,
        ctx: &mut RingContext,
        tag: u32,
        payload: &[u8],
        reply: &mut [u8],
    ) -> Result<(u32, u32), FaultKind> {
        fn answer<R: RingMessage>(value: R, reply: &mut [u8]) -> Result<(u32, u32), FaultKind> {
            value.encode(&mut reply[..R::SIZE as usize]);
            Ok((R::TAG, R::SIZE))
        }
        fn decode<M: RingMessage>(payload: &[u8]) -> Result<M, FaultKind> {
            M::decode(payload).map_err(|_| FaultKind::Malformed)
        }
        match tag {
            Deposit::TAG => answer(self.deposit(ctx, decode(payload)?), reply),
            <()>::TAG => {
                decode::<()>(payload)?;
                answer(self.which(ctx, ()), reply)
            }
            bool::TAG => answer(self.is_rich(ctx, decode(payload)?), reply),
            Misbehave::TAG => {
                self.misbehave(ctx, decode(payload)?);
                answer((), reply)
            }
            _ => Err(FaultKind::UnknownMessage),
        }
    }
}

impl Handles<Deposit> for Account {
    type Reply = Balance;
}
impl Handles<()> for Account {
    type Reply = u32;
}
impl Handles<bool> for Account {
    type Reply = bool;
}
impl Handles<Misbehave> for Account {
    type Reply = ();
}

const fn handler<M: RingMessage, R: RingMessage>(name: &'static str) -> HandlerInfo {
    HandlerInfo {
        name,
        message: MessageInfo::fixed(M::NAME, M::TAG, M::SIZE),
        reply: MessageInfo::fixed(R::NAME, R::TAG, R::SIZE),
    }
}

static DESCRIPTOR: KernelDescriptor = KernelDescriptor {
    id: "account",
    actor: "Account",
    group: Group::Thread,
    state_size: Account::SIZE,
    state_align: Account::ALIGN,
    handlers: &[
        handler::<Deposit, Balance>("deposit"),
        handler::<(), u32>("which"),
        handler::<bool, bool>("is_rich"),
        handler::<Misbehave, ()>("misbehave"),
    ],
    sites: &[Site { file: "src/account.rs", line: 12, column: 9, message: "from the table" }],
    ptx: "",
    wgsl: "",
    wgsl_needs: Needs { int64: true, float64: false },
    native_only: None,
    native: native_shard::<Account>,
    default_state: DefaultProbe::<Account>::DEFAULT_STATE,
    mesh: Mesh::NONE,
};
inventory::submit! { Registration(&DESCRIPTOR) }

/// An actor without `Default`, whose state tells in which order its messages came.
#[derive(Debug, PartialEq)]
pub(crate) struct Bare {
    pub(crate) unit: u32,
}
device_type!(Bare { unit: u32 });

impl Actor for Bare {
    const DESCRIPTOR: &'static KernelDescriptor = &BARE;
    fn dispatch(
        &mut self,
        _: &mut RingContext,
        tag: u32,
        payload: &[u8],
        reply: &mut [u8],
    ) -> Result<(u32, u32), FaultKind> {
        if tag != u32::TAG {
            return Err(FaultKind::UnknownMessage);
        }
        let added = u32::decode(payload).map_err(|_| FaultKind::Malformed)?;
        self.unit = self.unit.wrapping_mul(31).wrapping_add(added);
        self.unit.encode(&mut reply[..4]);
        Ok((u32::TAG, 4))
    }
}

impl Handles<u32> for Bare {
    type Reply = u32;
}

static BARE: KernelDescriptor = KernelDescriptor {
    id: "bare",
    actor: "Bare",
    group: Group::Thread,
    state_size: Bare::SIZE,
    state_align: Bare::ALIGN,
    handlers: &[handler::<u32, u32>("add")],
    sites: &[],
    ptx: "",
    wgsl: "",
    wgsl_needs: Needs { int64: false, float64: false },
    native_only: None,
    native: native_shard::<Bare>,
    default_state: DefaultProbe::<Bare>::DEFAULT_STATE,
    mesh: Mesh::NONE,
};
inventory::submit! { Registration(&BARE) }

/// An actor that sends, forwards, gives out and publishes what it is told.
#[derive(Default, Debug, PartialEq)]
pub(crate) struct Clerk {
    /// How often its sends ended in which way.
    pub(crate) sent: [u32; 5],
}
device_type!(Clerk { sent: [u32; 5] });

/// What a clerk is to do.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Errand {
    pub(crate) instance: u32,
    pub(crate) value: u32,
}
device_type!(Errand { instance: u32, value: u32 }, tag 1005);

/// The same, and whoever gets it is to answer.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Delegate {
    pub(crate) instance: u32,
    pub(crate) value: u32,
}
device_type!(Delegate { instance: u32, value: u32 }, tag 1006);

/// To be given out so many times, numbered.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct GiveOut(pub(crate) u32);
device_type!(GiveOut { 0: u32 }, tag 1007);

/// To be published.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Announce(pub(crate) u32);
device_type!(Announce { 0: u32 }, tag 1008);

/// To be sent to oneself, so many times.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Again(pub(crate) u32);
device_type!(Again { 0: u32 }, tag 1009);

impl Clerk {
    fn note(&mut self, sent: Sent) -> u32 {
        self.sent[sent as usize] += 1;
        sent as u32
    }
}

impl Actor for Clerk {
    const DESCRIPTOR: &'static KernelDescriptor = &CLERK;
    fn dispatch(
        &mut self,
        ctx: &mut RingContext,
        tag: u32,
        payload: &[u8],
        reply: &mut [u8],
    ) -> Result<(u32, u32), FaultKind> {
        fn decode<M: RingMessage>(payload: &[u8]) -> Result<M, FaultKind> {
            M::decode(payload).map_err(|_| FaultKind::Malformed)
        }
        let answer = match tag {
            Errand::TAG => {
                let Errand { instance, value } = decode(payload)?;
                let sent = ctx.send::<Bare>(instance, value);
                self.note(sent)
            }
            Delegate::TAG => {
                let Delegate { instance, value } = decode(payload)?;
                let sent = ctx.forward::<Bare>(instance, value);
                self.note(sent)
            }
            GiveOut::TAG => {
                for number in 0..decode::<GiveOut>(payload)?.0 {
                    let sent = ctx.enqueue_output(number);
                    self.note(sent);
                    let sent = ctx.enqueue_output(Balance { cents: number.into(), deposits: number });
                    self.note(sent);
                }
                0
            }
            Again::TAG => match decode(payload)? {
                Again(0) => 0,
                Again(left) => {
                    let sent = ctx.send::<Clerk>(ctx.instance(), Again(left - 1));
                    self.note(sent)
                }
            },
            Announce::TAG => {
                let sent = ctx.publish_retained("news", decode::<Announce>(payload)?.0);
                self.note(sent)
            }
            _ => return Err(FaultKind::UnknownMessage),
        };
        answer.encode(&mut reply[..4]);
        Ok((u32::TAG, 4))
    }
}

impl Handles<Errand> for Clerk {
    type Reply = u32;
}
impl Handles<Delegate> for Clerk {
    type Reply = u32;
}
impl Handles<GiveOut> for Clerk {
    type Reply = u32;
}
impl Handles<Announce> for Clerk {
    type Reply = u32;
}

impl Handles<Again> for Clerk {
    type Reply = u32;
}

const fn message<M: RingMessage>() -> MessageInfo {
    MessageInfo::fixed(M::NAME, M::TAG, M::SIZE)
}

static CLERK: KernelDescriptor = KernelDescriptor {
    id: "clerk",
    actor: "Clerk",
    group: Group::Thread,
    state_size: Clerk::SIZE,
    state_align: Clerk::ALIGN,
    handlers: &[
        handler::<Errand, u32>("errand"),
        handler::<Delegate, u32>("delegate"),
        handler::<GiveOut, u32>("give_out"),
        handler::<Announce, u32>("announce"),
        handler::<Again, u32>("again"),
    ],
    sites: &[],
    ptx: "",
    wgsl: "",
    wgsl_needs: Needs { int64: false, float64: false },
    native: native_shard::<Clerk>,
    native_only: None,
    default_state: DefaultProbe::<Clerk>::DEFAULT_STATE,
    mesh: Mesh {
        routes: &[RouteInfo { id: "bare" }, RouteInfo { id: "clerk" }],
        topics: &[TopicInfo { name: "news" }],
        outgoing: &[message::<u32>(), message::<Balance>(), message::<Again>()],
        receives: &[],
    },
};
inventory::submit! { Registration(&CLERK) }
