//! The filter of one and the tree of many, against a matcher that has nothing in common with them.

use super::*;
use proptest::prelude::*;

/// Matches by characters, without ever splitting a text into levels: the filter is read as a regular expression, `+` and `*` as `[^/]*`, a `#` at
/// the end as `.*`, and `/#` at the end as `(/.*)?`.
fn oracle(filter: &[u8], topic: &[u8]) -> bool {
    match filter {
        [] => topic.is_empty(),
        b"#" | b"/#" if topic.is_empty() => true,
        b"#" => true,
        // What stands for a level takes none, or one byte more, of it.
        [b'+' | b'*', rest @ ..] => {
            oracle(rest, topic) || matches!(topic, [byte, left @ ..] if *byte != b'/' && oracle(filter, left))
        }
        [byte, rest @ ..] => matches!(topic, [first, left @ ..] if first == byte && oracle(rest, left)),
    }
}

/// Few different levels, so that much matches: empty ones, ones that begin alike, and one of more than one byte a character.
fn level() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec!["", "", "a", "a", "ab", "b", "ä", "$"])
}

fn topic() -> impl Strategy<Value = String> {
    prop::collection::vec(level(), 1..6)
        .prop_map(|levels| levels.join("/"))
        .prop_filter("not empty", |t| !t.is_empty())
}

fn filter() -> impl Strategy<Value = String> {
    let level = prop_oneof![3 => level(), 1 => Just("+"), 1 => Just("*")];
    (prop::collection::vec(level, 0..5), any::<bool>())
        .prop_map(|(mut levels, rest)| {
            if rest {
                levels.push("#");
            }
            levels.join("/")
        })
        .prop_filter("not empty", |filter| !filter.is_empty())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn a_filter_matches_what_its_regular_expression_does(filter in filter(), topics in prop::collection::vec(topic(), 20)) {
        let checked = TopicFilter::new(&filter).unwrap();
        for topic in topics {
            prop_assert_eq!(
                checked.matches(&topic), oracle(filter.as_bytes(), topic.as_bytes()), "{} and {}", filter, topic
            );
        }
    }

    #[test]
    fn a_filter_matches_the_topics_made_from_it(filter in filter(), fill in prop::collection::vec(level(), 8)) {
        // Every wildcard is replaced by levels that it stands for.
        let mut fill = fill.into_iter();
        let mut levels: Vec<&str> = Vec::new();
        for level in filter.split('/') {
            match level {
                "+" | "*" => levels.push(fill.next().unwrap_or("x")),
                "#" => levels.extend(fill.by_ref().take(2)),
                level => levels.push(level),
            }
        }
        let topic = levels.join("/");
        let exact = topic.is_empty() && filter == "#";
        prop_assert!(exact || TopicFilter::new(&filter).unwrap().matches(&topic), "{} and {}", filter, topic);
    }

    #[test]
    fn the_tree_finds_what_each_filter_by_itself_does(
        steps in prop::collection::vec((filter(), any::<bool>()), 1..40), topics in prop::collection::vec(topic(), 20)
    ) {
        let (mut index, mut list) = (Index::default(), Vec::new());
        for (number, (filter, remove)) in steps.into_iter().enumerate() {
            let filter = TopicFilter::new(filter).unwrap();
            index.insert(&filter, number);
            list.push((filter, number));
            if remove {
                let (filter, number) = list.swap_remove(number * 7 % list.len());
                prop_assert_eq!(index.remove(&filter, |value| *value == number), Some(number));
                prop_assert_eq!(index.remove(&filter, |value| *value == number), None);
            }
        }
        let mut all = Vec::new();
        index.each(|&number| all.push(number));
        prop_assert_eq!((index.len(), all.len()), (list.len(), list.len()));
        for topic in &topics {
            let mut found = Vec::new();
            index.each_match(topic, |&number| found.push(number));
            found.sort_unstable();
            let mut expected: Vec<_> = list.iter().filter(|(f, _)| f.matches(topic)).map(|&(_, number)| number).collect();
            expected.sort_unstable();
            prop_assert_eq!(found, expected, "{}", topic);
        }
        for (filter, number) in list {
            prop_assert_eq!(index.remove(&filter, |value| *value == number), Some(number));
        }
        prop_assert!(index.root.is_empty(), "what was removed leaves nothing behind");
    }

    #[test]
    fn any_text_is_taken_or_refused_with_words(text in "[a+*#/\u{0}ä]{0,12}") {
        let (topic, filter) = (crate::pubsub::Topic::new(&text), TopicFilter::new(&text));
        for error in [topic.err(), filter.err()].into_iter().flatten() {
            prop_assert!(error.to_string().contains("is not"));
            prop_assert!(text.is_char_boundary(error.at()));
        }
    }
}

#[test]
fn a_topic_of_as_many_levels_as_there_may_be_is_found_under_as_many_wildcards() {
    use crate::pubsub::topic::MAX_LEVELS;
    let mut index = Index::default();
    let all = |level: &str| [level; MAX_LEVELS].join("/");
    index.insert(&TopicFilter::new(all("+")).unwrap(), 1);
    index.insert(&TopicFilter::new(all("a")).unwrap(), 2);
    let mut found = Vec::new();
    index.each_match(&all("a"), |&number| found.push(number));
    found.sort_unstable();
    assert_eq!(found, [1, 2]);
}
