//! Kernels that talk, through the public API, on every backend: what `docs/guarantees.md` promises, and that it is the same everywhere.
//!
//! A case is a function that launches small actors on a backend's runtime, lets them send, and says what their states and counters must be then.
//! `stage` is what cases stand on, `actors` whom they launch; then a file a subject.
//!
//! - `RINGKERNEL_PROGRAMS`: random programs a backend and case (12).
//! - `RINGKERNEL_REQUIRE`: backends whose absence is a failure.

#![allow(missing_docs, unreachable_pub)]

mod actors;
mod bursts;
mod changes;
mod clocks;
mod forwards;
mod full;
mod kept;
mod outlets;
mod random;
mod sends;
mod stage;

use actors::{First, Hoarder, Hub, Listener, Packer, Reader, Second, Speaker, Third, Writer};
use ringkernel::{Actor, RingKernel};
use ringkernel_backends::cuda::module_text;
use ringkernel_tests::machine::{BACKENDS, Collection, assemble, backend_name};
use stage::{Outcome, Stage};
use std::process::ExitCode;
use std::sync::{Arc, Mutex, PoisonError};

type Case = fn(&RingKernel) -> Outcome;

macro_rules! cases {
    ($($module:ident: $($case:ident),+;)+) => {
        [$($((stringify!($case), (|runtime| smol::block_on(async {
            let stage = Stage::new(runtime);
            let outcome = $module::$case(&stage).await;
            let ended = stage.end().await;
            outcome.and(ended)
        })) as Case)),+),+]
    };
}

fn main() -> ExitCode {
    let cases = cases! {
        sends: what_one_instance_sends_another_arrives_once_and_in_order,
            a_reply_goes_to_the_instance_that_sent_and_to_nobody_where_the_host_did,
            a_reply_to_a_reply_goes_to_who_sent_that,
            a_send_that_reaches_nobody_says_why;
        forwards: a_request_that_is_handed_on_is_answered_once_by_whoever_has_the_duty,
            a_fault_of_the_handler_that_a_request_was_handed_to_reaches_the_asker,
            a_request_that_waits_with_a_kernel_that_ends_is_failed;
        full: a_full_mailbox_that_rejects_says_full_and_keeps_what_it_has,
            a_sender_that_waits_for_room_gets_it_or_is_told_at_the_bound,
            a_mailbox_that_drops_the_oldest_counts_them_and_keeps_the_newest,
            what_spills_to_the_host_all_arrives_in_order,
            a_cycle_of_full_mailboxes_ends_and_nothing_is_lost;
        bursts: a_request_that_is_older_than_all_else_is_handled_before_what_came_after_it,
            bursts_into_mailboxes_of_any_size_arrive_once_in_order_or_are_counted;
        kept: what_spilled_and_only_a_handler_can_take_waits_and_requests_go_by_it,
            what_spilled_comes_behind_a_mailbox_that_waits_and_requests_go_by_it,
            what_a_kernel_of_another_device_sends_in_excess_waits_and_requests_go_by_it,
            one_that_waits_for_long_takes_the_room_of_one;
        changes: a_connection_leads_where_it_was_pointed_and_to_nobody_when_it_is_cut,
            a_receiver_that_ends_is_gone_and_the_next_takes_its_place,
            messages_wait_for_a_receiver_that_is_suspended,
            a_receiver_that_leaves_its_device_when_idle_is_reached_and_keeps_the_order,
            kernels_of_two_runtimes_talk_both_ways;
        outlets: outputs_come_in_their_instances_order_and_end_with_the_kernel,
            what_a_handler_publishes_reaches_handlers_and_the_host_in_order,
            an_actor_without_room_misses_publications_and_they_are_counted,
            a_message_without_a_handler_waits_until_it_is_asked_for;
        clocks: clocks_are_past_every_cause_from_handler_to_handler_and_back_to_the_host,
            a_clock_believes_a_timestamp_within_the_drift_bound_and_no_other;
        random: random_programs_leave_the_states_that_the_model_says,
            what_is_sent_in_parallel_is_handled_once_in_order_or_counted;
    };
    let mut tests = Collection::default();
    for backend in BACKENDS {
        // Kernels of one runtime find each other by id: one case at a time.
        let turn = Arc::new(Mutex::new(()));
        for (name, case) in cases {
            let turn = turn.clone();
            tests.add(format!("mesh_conformance::{name}::{}", backend_name(backend)), move |machine| {
                let runtime = machine.runtime(backend)?;
                let _turn = turn.lock().unwrap_or_else(PoisonError::into_inner);
                case(&runtime)
            });
        }
    }
    for descriptor in [
        Writer::DESCRIPTOR,
        Reader::DESCRIPTOR,
        First::DESCRIPTOR,
        Second::DESCRIPTOR,
        Third::DESCRIPTOR,
        Packer::DESCRIPTOR,
        Hoarder::DESCRIPTOR,
        Speaker::DESCRIPTOR,
        Listener::DESCRIPTOR,
        Hub::DESCRIPTOR,
        clocks::Runner::DESCRIPTOR,
        bursts::Mill::DESCRIPTOR,
        bursts::Bin::DESCRIPTOR,
    ] {
        tests.add(format!("mesh_conformance::device_code_assembles::{}", descriptor.id), move |machine| {
            assemble(&machine.ptxas()?, descriptor.id, &module_text(descriptor, 70), "sm_75")?;
            Ok(())
        });
    }
    tests.run()
}
