//! Runs every lesson as a process of its own and checks what it says.

use std::path::PathBuf;
use std::process::Command;

/// The compiled example, which cargo puts beside this test.
fn example(name: &str) -> PathBuf {
    let test = std::env::current_exe().expect("the path of this test");
    let profile = test.parent().and_then(|deps| deps.parent()).expect("target/<profile>/deps/<test>");
    let path = profile.join("examples").join(name).with_extension(std::env::consts::EXE_EXTENSION);
    assert!(path.exists(), "{} is not built: run `cargo test -p ringkernel-examples`", path.display());
    path
}

/// What an example prints, run to a good end.
fn output(name: &str, arguments: &[&str]) -> String {
    let output = Command::new(example(name)).args(arguments).output().expect("the example starts");
    let (stdout, stderr) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{name} ended with {}\n{stdout}\n{stderr}", output.status);
    stdout.into_owned()
}

#[track_caller]
fn has(text: &str, parts: &[&str]) {
    for part in parts {
        assert!(text.contains(part), "{part:?} is not in:\n{text}");
    }
}

#[test]
fn quickstart_runs_on_the_best_backend_and_says_which_and_why() {
    let said = output("quickstart", &[]);
    has(&said, &["using ", "1250 cents after 1 deposit, on ", "6300 cents after 102 deposits"]);
    has(&said, &["the device has processed 102 messages"]);
}

#[test]
fn lifecycle_walks_every_path_and_messages_wait_for_a_suspended_kernel() {
    let said = output("lifecycle", &[]);
    has(
        &said,
        &["launched:     Active, counts to 1", "suspended:    Deactivated", "did not answer within 50ms"],
    );
    has(&said, &["snapshot:     total 1", "resumed:      Active, counts to 1111", "not started:  Launched"]);
    has(
        &said,
        &["activated:    Active, counts to 10", "again:        cannot activate", "terminated:   Terminated"],
    );
    has(&said, &["shut down:    Terminated"]);
}

#[test]
fn dynamic_handle_sends_and_receives_by_name() {
    let said = output("dynamic_handle", &[]);
    has(
        &said,
        &[
            "averager (Averager, 1 handler)",
            "there is no kernel `avenger`",
            "mean of 1: 1\n",
            "mean of 2: 1.5\n",
            "mean of 3: 3\n",
        ],
    );
    has(&said, &["nothing: ", "does not handle `u64`"]);
}

#[test]
fn many_instances_keep_their_states_apart() {
    let said = output("many_instances", &[]);
    has(
        &said,
        &["100000 thermostats on ", "room: 99999, heat: true, switched: 1", "heat: false, switched: 2"],
    );
    has(
        &said,
        &[
            "no instance 100000",
            "2000 rooms answered, 0 of them heat",
            "600 of the first thousand rooms heat",
        ],
    );
}

#[test]
fn batches_hand_over_many_messages_and_stream_their_replies() {
    let said = output("batches", &[]);
    has(&said, &["64 turnstiles on ", "100000 visitors entered; the last ticket was seen at 1 turnstile"]);
    has(
        &said,
        &["valid: true", "nobody enters without a ticket", "1000 of the first thousand tickets are valid"],
    );
}

#[test]
fn backends_agree_on_every_answer() {
    let said = output("backends", &[]);
    has(&said, &["8 x d6: Rolled", "3 x d0: division by zero", "10000 x d2: Rolled"]);
    if cfg!(feature = "wgpu") && std::env::var("RINGKERNEL_REQUIRE").is_ok_and(|list| list.contains("wgpu")) {
        has(&said, &["on WebGPU", "the same 6 answers"]);
    }
}

#[test]
fn request_reply_prints_a_line_for_each_way_to_ask() {
    let said = output("request_reply", &["--quick"]);
    has(&said, &["p50, us", "CPU ask (", "CPU ask_blocking ("]);
}

#[test]
fn inspect_prints_the_device_code() {
    let said = output("inspect", &[]);
    has(
        &said,
        &[
            "==== PTX of `window`",
            ".visible .func",
            "ringkernel_dispatch",
            "==== WGSL of `window`",
            "fn ringkernel_dispatch",
        ],
    );
    has(
        &said,
        &["==== MSL of `window`", if cfg!(feature = "wgpu") { "metal_stdlib" } else { "not available" }],
    );
    assert!(!output("inspect", &["wgsl"]).contains("PTX of"));
}

#[test]
fn restore_ends_in_good_order_and_goes_on_where_it_stopped() {
    let said = output("restore", &[]);
    has(&said, &["ended:     Terminated, then kernel `electricity_meter` is terminated"]);
    has(
        &said,
        &["image:     10000 meters of 16 bytes", "meter 7:   Meter { watt_hours: 6, readings: 3, peak: 3 }"],
    );
    has(
        &said,
        &[
            "goes on:   Bill { watt_hours: 106, readings: 4 }",
            "replaced:  Meter { watt_hours: 0, readings: 0",
        ],
    );
    has(&said, &["damaged:   the state image is damaged", "cut short: the state image has 1000 bytes"]);
}

#[test]
fn ping_pong_is_played_while_there_are_two() {
    let said = output("ping_pong", &[]);
    has(&said, &["alone, the ball is played: false", "what `pinger` sends to `ponger` goes to Some("]);
    has(
        &said,
        &["1000 strokes on ", "the pinger returned 500 of them", "alone again, the ball is played: false"],
    );
}

#[test]
fn pipeline_is_answered_by_its_last_stage_or_by_the_one_that_cannot_go_on() {
    let said = output("pipeline", &[]);
    has(&said, &["number: 1, cents: 1260, stopped_at: 0", "number: 0, cents: 0, stopped_at: 1"]);
    has(&said, &["500 invoices, numbered in the order of the orders: true"]);
    has(&said, &["`intake` handled 502 messages", "`billing` handled 501 messages"]);
    has(&said, &["number: 0, cents: 0, stopped_at: 2", "number: 502, cents: 1155, stopped_at: 0"]);
}

#[test]
fn ring_of_actors_passes_every_token_on_and_none_overtakes() {
    let said = output("ring_of_actors", &[]);
    has(&said, &["1000 actors in a ring on ", "token 8 has come to actor 999"]);
    has(&said, &["32000 messages", "passed 32000, refused 0, overtaken 0"]);
}

#[test]
fn pub_sub_reaches_who_has_subscribed_and_counts_what_is_missed() {
    let said = output("pub_sub", &[]);
    has(&said, &["from before it subscribed: Setting { target: 20.0 }", "house/cellar/temperature: Reading"]);
    has(&said, &["in the cellar 12 degrees; another: None", "Switched { room: 0, heats: false }"]);
    has(&said, &["28 degrees, after 8 that it missed", "then Some(29.0)\nthen None"]);
}

#[test]
fn hlc_ordering_puts_causes_before_effects() {
    let said = output("hlc_ordering", &[]);
    has(&said, &["host, shop, host: in order: true", "300 events arrived, the first of step 2"]);
    has(&said, &["sorted, 100 of 100 orders were", "no actor gave a timestamp twice: true"]);
    has(
        &said,
        &["0.1 s ahead is believed: true", "an hour ahead is believed: false", "that is believed is 500ms"],
    );
}

#[test]
fn variable_payloads_are_read_where_they_lie_and_have_a_limit() {
    let said = output("variable_payloads", &[]);
    has(
        &said,
        &["Logged { metres: 1540, longest: 1200, note_bytes: 11, cents: 0 }", "note_bytes: 0, cents: 450 }"],
    );
    has(
        &said,
        &["metres: 20100, longest: 200, note_bytes: 17,", "refused: a `Trip` of 12", "and 1024 are allowed"],
    );
    has(&said, &["503 trips, 369140 metres, 450 cents"]);
}

#[test]
fn backpressure_loses_no_message_without_a_word() {
    let said = output("backpressure", &[]);
    has(&said, &["reject: Outcome { sent: 4, full: 6 }", "it got 4 notes, from 0 to 3"]);
    has(&said, &["  4 wait in", "  6 were refused, 0 discarded"]);
    // On CUDA the receiver itself discards, if it is active.
    if said.contains("on CUDA") {
        has(&said, &["drop the oldest: Outcome { sent: 4, full: 6 }"]);
    } else {
        has(&said, &["drop the oldest: Outcome { sent: 10, full: 0 }", "  0 were refused, 6 discarded"]);
        has(&said, &["it got 4 notes, from 6 to 9"]);
    }
    has(&said, &["spill: Outcome { sent: 10, full: 0 }", "  10 wait in", "it got 10 notes, from 0 to 9"]);
    has(&said, &["6 notes are refused", "has found some"]);
}

#[test]
fn cross_backend_sends_asks_and_replies_from_one_device_to_another() {
    let said = output("cross_backend", &[]);
    has(
        &said,
        &["not connected, 0 samples are sent", "connected, messages go ", "the collector has 1000 samples"],
    );
    has(&said, &["Total { samples: 1000, sum: 4500, in_order: true }", "disconnected, 0 samples are sent"]);
}
