//! Names of topics, and filters over them.
//!
//! The rules are MQTT's ([MQTT 5.0, section 4.7](https://docs.oasis-open.org/mqtt/mqtt/v5.0/os/mqtt-v5.0-os.html#_Toc3901241)), but that `*` is
//! another way to write `+`, that a name has at most [`MAX_LEVELS`] levels, and that a leading `$` means nothing.

use std::borrow::Borrow;
use std::fmt;
use std::ops::Deref;
use std::str::FromStr;
use std::sync::Arc;

/// The longest name or filter, in bytes of UTF-8.
pub const MAX_TOPIC_BYTES: usize = 65_535;
/// The most levels of a name or filter.
pub const MAX_LEVELS: usize = 128;

/// The name of a topic: levels, separated by `/`. What is published is published on one.
///
/// A level may be empty, so `a`, `/a` and `a/` are three topics. Upper and lower case differ. `+`, `*`, `#` and NUL cannot be part of a name.
///
/// ```
/// use ringkernel::pubsub::Topic;
///
/// let topic = Topic::new("sensors/7/temperature")?;
/// assert_eq!(topic.levels().collect::<Vec<_>>(), ["sensors", "7", "temperature"]);
/// assert_eq!(
///     Topic::new("sensors/#").unwrap_err().to_string(),
///     "`sensors/#` is not the name of a topic: the `#` at byte 8 belongs into filters only; write a level's name there"
/// );
/// # Ok::<(), ringkernel::pubsub::TopicError>(())
/// ```
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Topic(Arc<str>);

/// Which topics: a name in which `+` or `*` stands for exactly one level, whatever it is, and `#`, as the last level, for any number of them,
/// none included.
///
/// ```
/// use ringkernel::pubsub::TopicFilter;
///
/// let filter = TopicFilter::new("sensors/+/temperature")?;
/// assert!(filter.matches("sensors/7/temperature"));
/// assert!(!filter.matches("sensors/7/8/temperature"));
///
/// let all = TopicFilter::new("sensors/#")?;
/// assert!(all.matches("sensors/7/8/temperature") && all.matches("sensors"));
/// assert!(!all.matches("sensors_of_old"));
///
/// assert_eq!(
///     TopicFilter::new("sensors/#/temperature").unwrap_err().to_string(),
///     "`sensors/#/temperature` is not a filter of topics: the `#` at byte 8 is not the last level; write `sensors/#`, or `+` for one level"
/// );
/// # Ok::<(), ringkernel::pubsub::TopicError>(())
/// ```
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TopicFilter(Arc<str>);

/// Why a text is not the name of a topic, or not a filter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopicError {
    text: Box<str>,
    filter: bool,
    at: usize,
    problem: TopicProblem,
}

/// What is wrong with a name or a filter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum TopicProblem {
    /// It has no characters.
    Empty,
    /// It has more than [`MAX_TOPIC_BYTES`].
    TooLong,
    /// It has more than [`MAX_LEVELS`].
    TooManyLevels,
    /// It has a NUL character.
    Nul,
    /// A name has this wildcard.
    Wildcard(char),
    /// This wildcard shares its level with other characters.
    NotAlone(char),
    /// `#` is not the last level.
    NotLast,
}

impl TopicError {
    /// What was to be a topic or a filter.
    pub fn text(&self) -> &str {
        &self.text
    }
    /// The byte at which the problem begins.
    pub fn at(&self) -> usize {
        self.at
    }
    /// What it is.
    pub fn problem(&self) -> TopicProblem {
        self.problem
    }
}

/// As much of a text as an error shows.
const SHOWN: usize = 100;

impl fmt::Display for TopicError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = if self.filter { "a filter of topics" } else { "the name of a topic" };
        let at = self.at;
        // `at` is the first byte of a character, and the beginning of a level ends before it.
        let before = self.text.get(..at).unwrap_or_default();
        let level = before.rfind('/').map_or(0, |slash| slash + 1);
        let begin = before.get(..level).unwrap_or_default();
        write!(f, "`{}` is not {what}: ", Shortened(&self.text))?;
        match self.problem {
            TopicProblem::Empty => write!(f, "it is empty; write at least one character"),
            TopicProblem::TooLong => {
                let length = self.text.len();
                write!(f, "it has {length} bytes, and the most are {MAX_TOPIC_BYTES}; write shorter levels")
            }
            TopicProblem::TooManyLevels => {
                let levels = self.text.split('/').count();
                write!(f, "it has {levels} levels, and the most are {MAX_LEVELS}; join some of them")
            }
            TopicProblem::Nul => {
                write!(f, "the character at byte {at} is NUL; leave it away")
            }
            TopicProblem::Wildcard(c) => {
                write!(f, "the `{c}` at byte {at} belongs into filters only; write a level's name there")
            }
            TopicProblem::NotAlone(c) => {
                let rest = self.text.get(level..).unwrap_or_default();
                let after = if c == '#' { "" } else { rest.find('/').map_or("", |slash| &rest[slash..]) };
                let better = format!("{begin}{c}{after}");
                write!(f, "the `{c}` at byte {at} shares its level; write `{}` for any", Shortened(&better))
            }
            TopicProblem::NotLast => {
                let better = format!("{begin}#");
                write!(
                    f,
                    "the `#` at byte {at} is not the last level; write `{}`, or `+` for one level",
                    Shortened(&better)
                )
            }
        }
    }
}

impl std::error::Error for TopicError {}

/// The beginning of a text that is long.
struct Shortened<'a>(&'a str);

impl fmt::Display for Shortened<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = |c: char| if c.is_control() { char::REPLACEMENT_CHARACTER } else { c };
        match self.0.char_indices().nth(SHOWN) {
            Some((end, _)) => write!(f, "{}…", self.0[..end].chars().map(shown).collect::<String>()),
            None => write!(f, "{}", self.0.chars().map(shown).collect::<String>()),
        }
    }
}

/// Whether a level of a filter stands for any one level.
pub(super) fn is_one(level: &str) -> bool {
    matches!(level, "+" | "*")
}

/// Whether a level of a filter stands for any number of levels.
pub(super) fn is_rest(level: &str) -> bool {
    level == "#"
}

/// What is wrong with a text, and where.
fn check(text: &str, filter: bool) -> Result<(), TopicError> {
    let wrong = |at, problem| Err(TopicError { text: text.into(), filter, at, problem });
    if text.is_empty() {
        return wrong(0, TopicProblem::Empty);
    }
    if text.len() > MAX_TOPIC_BYTES {
        return wrong(0, TopicProblem::TooLong);
    }
    if text.split('/').count() > MAX_LEVELS {
        return wrong(0, TopicProblem::TooManyLevels);
    }
    let mut start = 0;
    for level in text.split('/') {
        let end = start + level.len();
        for (at, c) in level.char_indices() {
            match c {
                '\0' => return wrong(start + at, TopicProblem::Nul),
                '+' | '*' | '#' if !filter => return wrong(start + at, TopicProblem::Wildcard(c)),
                '+' | '*' | '#' if level.len() > 1 => return wrong(start + at, TopicProblem::NotAlone(c)),
                '#' if end != text.len() => return wrong(start + at, TopicProblem::NotLast),
                _ => {}
            }
        }
        start = end + 1;
    }
    Ok(())
}

impl Topic {
    /// Checks a name.
    ///
    /// # Errors
    /// [`TopicError`] says where it is wrong and what to write.
    pub fn new(name: impl AsRef<str>) -> Result<Self, TopicError> {
        let name = name.as_ref();
        check(name, false)?;
        Ok(Self(name.into()))
    }
}

impl TopicFilter {
    /// Checks a filter.
    ///
    /// # Errors
    /// [`TopicError`] says where it is wrong and what to write.
    pub fn new(filter: impl AsRef<str>) -> Result<Self, TopicError> {
        let filter = filter.as_ref();
        check(filter, true)?;
        Ok(Self(filter.into()))
    }

    /// Whether it matches a topic of this name.
    pub fn matches(&self, topic: &str) -> bool {
        let mut levels = topic.split('/');
        for wanted in self.levels() {
            if is_rest(wanted) {
                return true;
            }
            match levels.next() {
                Some(level) if is_one(wanted) || level == wanted => {}
                _ => return false,
            }
        }
        levels.next().is_none()
    }
}

macro_rules! text {
    ($name:ident) => {
        impl $name {
            /// The text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
            /// Its levels.
            pub fn levels(&self) -> impl Iterator<Item = &str> + Clone {
                self.0.split('/')
            }
        }
        impl Deref for $name {
            type Target = str;
            fn deref(&self) -> &str {
                &self.0
            }
        }
        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }
        // As maps look names up: both hash and compare as the text does.
        impl Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Debug::fmt(&self.0, f)
            }
        }
        impl FromStr for $name {
            type Err = TopicError;
            fn from_str(text: &str) -> Result<Self, TopicError> {
                Self::new(text)
            }
        }
    };
}
text!(Topic);
text!(TopicFilter);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_any_text_without_wildcards_and_nul() {
        for name in ["a", "/", "//", "/a", "a/", "a//b", "Ünï/ 1 /$SYS", "$"] {
            assert_eq!(Topic::new(name).unwrap().as_str(), name);
            assert!(TopicFilter::new(name).unwrap().matches(name), "{name}");
        }
    }

    #[test]
    fn an_error_says_where_it_is_and_what_to_write() {
        let topic = |text: &str| Topic::new(text).unwrap_err().to_string();
        let filter = |text: &str| TopicFilter::new(text).unwrap_err().to_string();
        assert_eq!(topic(""), "`` is not the name of a topic: it is empty; write at least one character");
        assert_eq!(filter(""), "`` is not a filter of topics: it is empty; write at least one character");
        assert!(topic("a/b+").contains("the `+` at byte 3 belongs into filters only"), "{}", topic("a/b+"));
        assert!(topic("*").contains("the `*` at byte 0 belongs into filters only"));
        assert!(topic("ä/\0").ends_with("the character at byte 3 is NUL; leave it away"));
        assert!(filter("a/b+/c").ends_with("the `+` at byte 3 shares its level; write `a/+/c` for any"));
        assert!(filter("a/b#").ends_with("the `#` at byte 3 shares its level; write `a/#` for any"));
        assert!(filter("##").ends_with("the `#` at byte 0 shares its level; write `#` for any"));
        assert!(filter("é*").ends_with("the `*` at byte 2 shares its level; write `*` for any"));
        assert!(filter("#/").ends_with("not the last level; write `#`, or `+` for one level"));
        let long = "x".repeat(MAX_TOPIC_BYTES + 1);
        assert!(
            topic(&long)
                .contains("x…` is not the name of a topic: it has 65536 bytes, and the most are 65535")
        );
        assert!(Topic::new(&long[1..]).is_ok());
        let deep = "/".repeat(MAX_LEVELS);
        assert!(filter(&deep).contains("it has 129 levels, and the most are 128"));
        assert!(Topic::new(&deep[1..]).is_ok());
        assert_eq!(
            TopicFilter::new("a/b#").map_err(|error| (error.at(), error.problem(), error.text().to_owned())),
            Err((3, TopicProblem::NotAlone('#'), "a/b#".to_owned()))
        );
    }

    #[test]
    fn wildcards_match_whole_levels() {
        let cases = [
            ("#", "a", true),
            ("#", "/", true),
            ("a/#", "a", true),
            ("a/#", "a/", true),
            ("a/#", "a/b/c", true),
            ("a/#", "ab", false),
            ("/#", "/a", true),
            ("/#", "a", false),
            ("+", "a", true),
            ("+", "/", false),
            ("+/+", "/", true),
            ("*/*", "/a", true),
            ("a/+", "a", false),
            ("a/+", "a/", true),
            ("a/+/#", "a", false),
            ("a/+/#", "a/b", true),
            ("a/*/c", "a//c", true),
            ("a", "a/", false),
            ("a/", "a", false),
            ("A", "a", false),
            ("#", "$x", true),
        ];
        for (filter, topic, matches) in cases {
            assert_eq!(TopicFilter::new(filter).unwrap().matches(topic), matches, "{filter} and {topic}");
        }
    }
}
