//! `docs/guarantees.md`: every promise names tests that fail without it, and every test it names is there.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};

fn docs() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs")
}

/// The links of a text: what is between the brackets, and where it leads.
fn links(text: &str) -> Vec<(&str, &str)> {
    let ends = text.match_indices("](").filter_map(|(at, _)| {
        let begin = text[..at].rfind('[')? + 1;
        let target = &text[at + 2..];
        Some((&text[begin..at], &target[..target.find(')')?]))
    });
    ends.collect()
}

/// The promises: list items, of every section but the last.
fn promises(page: &str) -> Vec<&str> {
    let promised = page.split("\n## Not promised").next().unwrap_or(page);
    promised.split("\n- ").skip(1).map(|item| item.split("\n\n").next().unwrap_or(item).trim_end()).collect()
}

/// Whether a file has a test of that name: a function that is one, or a name that its suite lists at run time.
fn has_test(file: &Path, text: &str, name: &str) -> bool {
    let function = text.match_indices(&format!("fn {name}(")).any(|(at, _)| {
        // Its attributes stand between it and what is before.
        let before = &text[..at];
        let begin = before.rfind("\n\n").map_or(0, |at| at + 1);
        before[begin..].contains("#[test]")
    });
    // `cases!` of a suite lists its functions; other suites write the name into a text.
    let listed = || {
        let suite = file.with_file_name("main.rs");
        let main = fs::read_to_string(suite).unwrap_or_default();
        let is_case = main.contains("cases!") && text.contains(&format!("async fn {name}("));
        let added = [format!("::{name}::"), format!("on(\"{name}\")")];
        (is_case && main.contains(name)) || added.iter().any(|added| text.contains(added))
    };
    function || listed()
}

#[test]
fn every_promise_names_a_test_and_every_test_it_names_is_there() {
    let page = fs::read_to_string(docs().join("guarantees.md")).expect("the page");
    let promises = promises(&page);
    assert!(promises.len() > 30, "{} promises", promises.len());
    let (mut files, mut wrong, mut tests) = (HashMap::new(), Vec::new(), 0);
    for promise in promises {
        let title = promise.lines().next().unwrap_or_default();
        let named: Vec<_> = links(promise).into_iter().filter(|(name, _)| name.starts_with('`')).collect();
        if named.is_empty() {
            wrong.push(format!("no test: {title}"));
        }
        for (name, target) in named {
            tests += 1;
            let (name, file) = (name.trim_matches('`'), docs().join(target));
            let text = files.entry(file.clone()).or_insert_with(|| fs::read_to_string(&file));
            match text {
                Ok(text) if has_test(&file, text, name) => {}
                Ok(_) => wrong.push(format!("{target} has no test {name}, of: {title}")),
                Err(error) => wrong.push(format!("{target}: {error}, of: {title}")),
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    println!("{tests} tests stand behind the page");
}

#[test]
fn every_other_link_of_the_page_leads_somewhere() {
    let page = fs::read_to_string(docs().join("guarantees.md")).expect("the page");
    for (_, target) in links(&page) {
        assert!(docs().join(target).exists(), "{target} is not there");
    }
}

#[test]
fn a_test_that_is_not_there_is_noticed() {
    let text = "#[test]\nfn there() {}\n\nfn helper() {}\n";
    let file = Path::new("nowhere/tests.rs");
    assert!(has_test(file, text, "there"));
    assert!(!has_test(file, text, "helper") && !has_test(file, text, "elsewhere"));
    let page = "# P\n- **One.** [`a`](../b.rs)\n- **Two.**\n\n## Not promised\n- three\n";
    assert_eq!(promises(page), ["**One.** [`a`](../b.rs)", "**Two.**"]);
    assert_eq!(links(page), [("`a`", "../b.rs")]);
}
