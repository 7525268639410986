//! Texts that are damaged: refused or understood, but never the end of the process.

use proptest::prelude::*;
use softcuda::machine::Module;

const TEXTS: [&str; 3] = [
    include_str!("../../../ringkernel-backends/tests/cuda/courier.ptx"),
    include_str!("../../../ringkernel-backends/src/cuda/baseline/drain.ptx"),
    include_str!("../../golden/functions.ptx"),
];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn a_text_with_words_missing_doubled_or_swapped_is_an_error_or_a_program(
        text in prop::sample::select(TEXTS.to_vec()),
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<prop::sample::Index>(), 0..5), 1..4),
    ) {
        let mut words: Vec<String> = text.split_inclusive([' ', ',', ';', '.', '\n']).map(String::from).collect();
        for (at, other, how) in damage {
            let (at, other) = (at.index(words.len()), other.index(words.len()));
            match how {
                0 => drop(words.remove(at)),
                1 => words.insert(at, words[other].clone()),
                2 => words.swap(at, other),
                3 => words[at] = "99999999999999999999".into(),
                _ => words[at] = "\u{e9}{[(<-".into(),
            }
        }
        let damaged = words.concat();
        if let Err(error) = Module::parse(&damaged) {
            prop_assert!(error.line as usize <= damaged.lines().count() && !error.what.is_empty());
        }
    }
}
