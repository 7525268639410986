use super::*;
use crate::cuda::assembling::assembles;

const TEXTS: [(&str, &str); 6] = [
    ("empty", include_str!("empty.ptx")),
    ("add", include_str!("add.ptx")),
    ("ping", include_str!("ping.ptx")),
    ("drain", include_str!("drain.ptx")),
    ("feed", include_str!("feed.ptx")),
    ("stage", include_str!("stage.ptx")),
];

#[test]
fn every_baseline_assembles_for_every_target() {
    for (name, text) in TEXTS {
        assert!(text.is_ascii() && text.contains(&format!(".visible .entry {name}(")), "{name}");
        assembles(&format!("the_baseline_{name}_assembles_for_every_target"), |cc| {
            let text = for_device(text, cc);
            assert!(text.contains(&format!(".target sm_{cc}\n")), "{name}");
            text
        });
    }
}

/// On a GPU each baseline runs and checks itself; without one each says so.
#[test]
fn every_baseline_runs_where_there_is_a_gpu_and_says_where_there_is_none() {
    let outcomes = [
        launch_and_synchronize(0, 50).map(|times| times.sorted.len()),
        graph_launch_and_synchronize(0, 50).map(|times| times.sorted.len()),
        launch_with_copies(0, 50).map(|times| times.sorted.len()),
        four_launches(0, 1000, 50).map(|times| times.sorted.len()),
        ping_pong(0, 50).map(|times| times.sorted.len()),
        quiesce(0, 50).map(|times| times.sorted.len()),
        to_device(0, 2, 25).map(|result| result.messages as usize),
        to_host(0, 2, 25).map(|result| result.messages as usize),
    ];
    let required = std::env::var("RINGKERNEL_REQUIRE").unwrap_or_default();
    for outcome in outcomes {
        match outcome {
            Ok(count) => assert_eq!(count, 50),
            Err(DeviceError::Unavailable { reason, .. }) => {
                assert!(!required.split(',').any(|name| name == "cuda"), "{reason}");
                println!("skipped: every_baseline_runs_where_there_is_a_gpu: {reason}");
            }
            Err(error) => panic!("{error}"),
        }
    }
}

#[test]
fn batches_that_cannot_be_are_refused() {
    for batch in [0, MOST_EVENTS + 1] {
        assert!(matches!(four_launches(0, batch, 1), Err(DeviceError::Capacity { .. })), "{batch}");
    }
}

#[test]
fn rings_that_cannot_be_are_refused() {
    for (rings, count) in [(0, 1), (MOST_RINGS + 1, 1), (1, 0), (1, u32::MAX)] {
        assert!(matches!(to_device(0, rings, count), Err(DeviceError::Capacity { .. })), "{rings} {count}");
        assert!(matches!(to_host(0, rings, count), Err(DeviceError::Capacity { .. })), "{rings} {count}");
    }
}
