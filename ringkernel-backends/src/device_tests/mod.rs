//! One suite for every device: what a [`Device`](crate::kernel::Device) and its kernels promise, whatever runs them.
//!
//! `tally.rs` is an actor as the compiler would describe it, `host.rs` the least host that can talk to one, and `suite.rs`
//! the promises. A device's own tests stamp the suite with [`device_suite!`](crate::device_tests).

mod host;
mod suite;
mod tally;

#[cfg(feature = "wgpu")]
pub(crate) use host::Calls;
pub(crate) use host::{Host, Reply, spec_of, wait_until};
pub(crate) use suite::*;
pub(crate) use tally::*;

/// One `#[test]` a promise, for the device that `$device` makes; where that is `None`, the test has said why and is skipped.
macro_rules! device_suite {
    ($device:expr; $($name:ident)*) => { $(
        #[test]
        fn $name() {
            if let Some(device) = $device(stringify!($name)) {
                $crate::device_tests::$name(&device);
            }
        }
    )* };
    ($device:expr) => {
        $crate::device_tests::device_suite! { $device;
            a_request_is_answered_with_its_own_correlation
            messages_larger_than_one_line_arrive_whole_both_ways
            one_instance_handles_its_messages_in_the_order_sent
            every_one_of_many_instances_keeps_its_own_state
            initial_state_is_per_instance_and_can_be_read_back
            states_are_copied_in_bulk_both_ways_and_go_on_from_what_was_written
            faults_answer_the_asker_and_roll_nothing_back
            slots_that_cannot_be_believed_are_refused
            an_instance_that_does_not_exist_is_refused
            tells_are_counted_and_never_answered
            a_deactivated_kernel_keeps_messages_waiting
            a_kernel_launched_inactive_waits_for_activation
            termination_is_idempotent_and_final
            termination_works_while_both_rings_are_full
            a_full_reply_ring_holds_replies_back_and_loses_none
            counters_equal_the_messages_sent
            two_kernels_run_side_by_side
            a_dropped_kernel_lets_go_of_its_host
            a_launch_that_makes_no_sense_is_an_error
        }
    };
}
pub(crate) use device_suite;
