//! The shared clock against `uhlc`, and causality over random graphs of messages.

use super::last::Last;
use super::sync::AtomicU64;
use proptest::prelude::*;
use ringkernel_backends::abi::clock::{DRIFT, is_credible, merge, physical, stamp};
use std::cell::Cell;
use std::time::Duration;

thread_local! {
    /// What `uhlc` takes for the time of day.
    static NOW: Cell<u64> = const { Cell::new(0) };
}

/// Another implementation, Zenoh's. Its 64 bits are in units of 2^-32 s and not of 2^-12 us, which nothing in its rules depends on; and in a time of day
/// the lower 4 bits are zero, as 12 of ours are. So the same numbers are given to both.
fn uhlc() -> uhlc::HLC {
    // The drift bound in its unit. As a duration it is rounded up by less than 5 units.
    let nanos = (DRIFT as u128 * 1_000_000_000).div_ceil(1 << 32) as u64;
    let clock = || uhlc::NTP64(NOW.get());
    uhlc::HLCBuilder::new().with_clock(clock).with_max_delta(Duration::from_nanos(nanos)).build()
}

#[derive(Clone, Debug)]
enum Step {
    Tick,
    /// Of a timestamp so far from the time of day, or from the last one.
    See {
        from_last: bool,
        ahead: i64,
    },
}

fn step() -> impl Strategy<Value = (i64, Step)> {
    let drift = DRIFT as i64;
    let ahead = prop_oneof![
        -5..5i64,
        -20_000..20_000i64,
        (-1..=1i64).prop_map(|micros| micros << 12),
        (drift - 10_000)..=drift,
        (drift + 10)..(drift + 10_000),
        (-2 * drift)..(2 * drift),
    ];
    let step = prop_oneof![
        2 => Just(Step::Tick),
        3 => (any::<bool>(), ahead).prop_map(|(from_last, ahead)| Step::See { from_last, ahead })
    ];
    // The time of day stands still, goes on, and now and then is set back.
    let passes = prop_oneof![4 => Just(0i64), 3 => 1..20i64, 1 => 0..1_000_000i64, 1 => -1_000..0i64];
    (passes, step)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn the_clock_gives_what_uhlc_gives(steps in prop::collection::vec(step(), 1..200)) {
        let (ours, theirs) = (Last(AtomicU64::new(0)), uhlc());
        let mut micros = 1_700_000_000_000_000u64;
        for (passes, step) in steps {
            micros = micros.saturating_add_signed(passes);
            let now = physical(micros);
            NOW.set(now);
            match step {
                Step::Tick => {}
                Step::See { from_last, ahead } => {
                    let seen = if from_last { ours.get() } else { now }.saturating_add_signed(ahead);
                    // Not within the other's rounding of the bound, wherever it was counted from.
                    let seen = if seen.abs_diff(now.saturating_add(DRIFT)) <= 10 { now } else { seen };
                    let believed = theirs.update_with_timestamp(&uhlc::Timestamp::new(uhlc::NTP64(seen), *theirs.get_id()));
                    prop_assert_eq!(believed.is_ok(), is_credible(seen, now));
                    // As the host's clock does: see `Hlc::update`.
                    if is_credible(seen, now) {
                        let (last, merged) = (ours.get(), ours.merge(seen, now));
                        prop_assert_eq!(merged, merge(last, seen, now));
                        // There, to have seen something is an event, which takes a timestamp unless it is the time of day; here it is none.
                        if merged > now {
                            ours.stamp(now, 1);
                        }
                    }
                }
            }
            let last = ours.get();
            let given = ours.stamp(now, 1);
            prop_assert_eq!(given, stamp(now, last));
            prop_assert_eq!(given, theirs.new_timestamp().get_time().as_u64());
        }
    }
}

/// A node of a random graph: a clock, and its own idea of the time of day.
struct Node {
    last: Last,
    skew: i64,
    /// The events of each node that happened before its next.
    before: Vec<usize>,
}

#[derive(Clone, Debug)]
struct Event {
    stamp: u64,
    node: usize,
    /// As in [`Node`], after the event: a vector clock.
    before: Vec<usize>,
}

/// What happens at a node: to which other it sends, if to any, and how much time goes by, and how its own clock is set; when messages arrive, by
/// how many steps later.
type Happening = (prop::sample::Index, Option<prop::sample::Index>, u64, usize, Option<i64>);

fn happening() -> impl Strategy<Value = Happening> {
    let (passes, delay) =
        (prop_oneof![Just(0u64), 0..30u64, 0..100_000u64], prop_oneof![Just(0usize), 0..20usize]);
    let set = prop_oneof![9 => Just(None), 1 => any::<i64>().prop_map(Some)];
    (
        any::<prop::sample::Index>(),
        prop::option::weighted(0.7, any::<prop::sample::Index>()),
        passes,
        delay,
        set,
    )
}

/// Lets it happen, with skews of no more than `most` microseconds either way. Gives the events, and for each node the largest timestamp
/// less the latest time of day there.
fn run(nodes: usize, most: i64, happenings: &[Happening]) -> (Vec<Event>, Vec<i64>) {
    let skew = |seed: i64| seed.wrapping_mul(0x5851_f42d_4c95_7f2d).rem_euclid(2 * most + 1) - most;
    let mut all: Vec<Node> = (0..nodes)
        .map(|number| Node {
            last: Last(AtomicU64::new(0)),
            skew: skew(number as i64 + 1),
            before: vec![0; nodes],
        })
        .collect();
    let mut micros = 1_700_000_000_000_000u64;
    let mut on_their_way: Vec<(usize, usize, u64, Vec<usize>)> = Vec::new();
    let (mut events, mut latest, mut ahead) = (Vec::new(), vec![0; nodes], vec![i64::MIN; nodes]);
    for (number, (node, to, passes, delay, set)) in happenings.iter().enumerate() {
        micros += passes;
        let here = node.index(nodes);
        if let Some(seed) = set {
            all[here].skew = skew(*seed);
        }
        let node = &mut all[here];
        let now = physical(micros.saturating_add_signed(node.skew));
        latest[here] = now.max(latest[here]);
        // What has arrived is seen first.
        on_their_way.retain(|(to, when, stamp, before)| {
            let arrives = *to == here && *when <= number;
            if arrives {
                node.last.merge(*stamp, now);
                node.before.iter_mut().zip(before).for_each(|(ours, theirs)| *ours = (*ours).max(*theirs));
            }
            !arrives
        });
        node.before[here] += 1;
        let stamp = node.last.stamp(now, 1);
        ahead[here] = ahead[here].max(stamp as i64 - latest[here] as i64);
        events.push(Event { stamp, node: here, before: node.before.clone() });
        if let Some(to) = to {
            on_their_way.push((to.index(nodes), number + delay, stamp, node.before.clone()));
        }
    }
    (events, ahead)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn what_happened_before_has_the_smaller_timestamp(
        nodes in 2..7usize, most in prop::sample::select(vec![0, 3, 1000, 249_000]),
        happenings in prop::collection::vec(happening(), 2..150)
    ) {
        let (events, ahead) = run(nodes, most, &happenings);
        for (at, a) in events.iter().enumerate() {
            for b in &events[at + 1..] {
                // The vector clocks say whether a is among the causes of b.
                if b.before[a.node] >= a.before[a.node] {
                    prop_assert!(a.stamp < b.stamp, "{:?} {:?}", a, b);
                }
            }
        }
        // No clock is further ahead of its own time of day than the largest difference of two, but for what it counted.
        let bound = ((2 * most) << 12) + events.len() as i64;
        prop_assert!(ahead.iter().all(|&ahead| ahead <= bound), "{:?}", ahead);
    }

    #[test]
    fn no_clock_is_led_further_ahead_than_the_drift_bound_however_wrong_the_others_are(
        nodes in 2..7usize, most in prop::sample::select(vec![600_000, 3_600_000_000]),
        happenings in prop::collection::vec(happening(), 2..150)
    ) {
        let (events, ahead) = run(nodes, most, &happenings);
        prop_assert!(ahead.iter().all(|&ahead| ahead <= (DRIFT as i64) + events.len() as i64), "{:?}", ahead);
        for node in 0..nodes {
            let stamps = events.iter().filter(|event| event.node == node).map(|event| event.stamp);
            prop_assert!(stamps.is_sorted_by(|a, b| a < b));
        }
    }
}
