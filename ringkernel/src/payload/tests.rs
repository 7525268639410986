use super::*;
use crate::expansion::Definition;
use crate::prelude::*;
use proptest::prelude::*;
use ringkernel_backends::abi::tag;

#[derive(RingMessage, Clone, Debug, PartialEq)]
#[message(max_bytes = 8192)]
pub(super) struct Post {
    pub(super) id: u64,
    pub(super) title: String,
    pub(super) tags: Vec<u32>,
    pub(super) at: Option<Point>,
    pub(super) sections: Vec<Section>,
    pub(super) flags: [Option<bool>; 3],
    pub(super) pair: (u8, Vec<i64>),
}

#[derive(DeviceType, Payload, Clone, Debug, PartialEq)]
pub(super) struct Point {
    pub(super) x: f32,
    pub(super) y: f64,
}

#[derive(Payload, Clone, Debug, PartialEq)]
pub(super) struct Section {
    pub(super) heading: Option<String>,
    pub(super) lines: Vec<String>,
}

pub(super) fn post() -> impl Strategy<Value = Post> {
    use proptest::collection::vec;
    let text = || ".{0,20}";
    let number = proptest::num::f64::NORMAL;
    let point = proptest::option::of((any::<i16>(), number).prop_map(|(x, y)| Point { x: x.into(), y }));
    let section = (proptest::option::of(text()), proptest::collection::vec(text(), 0..4))
        .prop_map(|(heading, lines)| Section { heading, lines });
    (
        any::<u64>(),
        text(),
        vec(any::<u32>(), 0..20),
        point,
        vec(section, 0..4),
        any::<[Option<bool>; 3]>(),
        (any::<u8>(), vec(any::<i64>(), 0..5)),
    )
        .prop_map(|(id, title, tags, at, sections, flags, pair)| Post {
            id,
            title,
            tags,
            at,
            sections,
            flags,
            pair,
        })
}

fn bytes_of(post: &Post) -> Vec<u8> {
    post.with_bytes(<[u8]>::to_vec).unwrap()
}

proptest! {
    #[test]
    fn every_message_survives_alone_or_behind_zeros_and_wherever_it_lies(post in post(), shift in 0usize..8) {
        let archive = bytes_of(&post);
        prop_assert_eq!(archive.len() % 8, 0);
        prop_assert_eq!(&Post::decode(&archive).unwrap(), &post);
        let mut padded = vec![0xa5; Post::SIZE as usize];
        post.encode(&mut padded);
        prop_assert_eq!(&Post::decode(&padded).unwrap(), &post);
        let mut moved = vec![0; shift];
        moved.extend(&archive);
        prop_assert_eq!(&Post::decode(&moved[shift..]).unwrap(), &post);
        access::<Post, _>(&archive, |read| {
            assert_eq!((read.id.to_native(), read.title.as_str()), (post.id, &*post.title));
            assert_eq!(read.tags.iter().map(|tag| tag.to_native()).collect::<Vec<_>>(), post.tags);
            assert_eq!(read.at.as_ref().map(|at| at.y.to_native()), post.at.map(|at| at.y));
            assert_eq!(read.sections.len(), post.sections.len());
        })
        .unwrap();
    }

    #[test]
    fn bytes_that_are_no_archive_are_refused_or_read_and_never_more(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        // A value that comes out is a value: whatever it is, it can be sent again.
        if let Ok(read) = Post::decode(&bytes) {
            // (By its bytes, for no NaN equals itself.)
            let again = bytes_of(&read);
            prop_assert_eq!(bytes_of(&Post::decode(&again).unwrap()), again);
        }
    }

    #[test]
    fn an_archive_that_was_tampered_with_is_refused_or_read_and_never_more(
        post in post(),
        changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
        cut in 0usize..64,
    ) {
        let mut bytes = bytes_of(&post);
        for (at, value) in changes {
            let at = at.index(bytes.len());
            bytes[at] = value;
        }
        bytes.truncate(bytes.len() - (cut * 8).min(bytes.len()) * usize::from(cut % 4 == 0));
        if let Ok(read) = Post::decode(&bytes) {
            // What was changed may make it larger than it was (one part may now lie where two things refer to), but not without bound.
            let _ = read.with_bytes(|again| assert_eq!(bytes_of(&Post::decode(again).unwrap()), again));
        }
    }
}

fn plain() -> Post {
    Post {
        id: 1,
        title: "a title that is not short".into(),
        tags: vec![1, 2, 3],
        at: None,
        sections: Vec::new(),
        flags: [None; 3],
        pair: (0, Vec::new()),
    }
}

#[test]
fn lengths_offsets_tags_and_text_are_checked() {
    let archive = bytes_of(&plain());
    let root = archive.len() - size_of::<Archived<Post>>();
    type A = Archived<Post>;
    let change = |at: usize, bytes: &[u8]| {
        let mut changed = archive.clone();
        changed[at..at + bytes.len()].copy_from_slice(bytes);
        Post::decode(&changed).map(drop).map_err(|error| error.type_name)
    };
    use std::mem::offset_of;
    assert_eq!(change(root, &[9]), Ok(()));
    let tags = root + offset_of!(A, tags);
    for (at, bytes) in [
        // The vector's offset: out of the archive, to an odd address, onto the root itself.
        (tags, 4096i32.to_le_bytes()),
        (tags, (-4096i32).to_le_bytes()),
        (tags, (-7i32).to_le_bytes()),
        (tags, 0i32.to_le_bytes()),
        // Its length.
        (tags + 4, u32::MAX.to_le_bytes()),
        (tags + 4, 1000u32.to_le_bytes()),
        // The text, which begins the archive, and its length.
        (0, [0xff; 4]),
        (root + offset_of!(A, title), [0xbf, 0xff, 0, 0]),
        // A tag of an option, and a `bool`.
        (root + offset_of!(A, at), [7, 0, 0, 0]),
        (root + offset_of!(A, flags), [1, 2, 0, 0]),
    ] {
        assert_eq!(change(at, &bytes), Err("Post"), "{bytes:?} at {at}");
    }
    for length in (0..archive.len()).filter(|length| length % 8 != 0) {
        assert!(Post::decode(&archive[..length]).is_err());
    }
}

#[test]
fn a_message_that_is_too_large_says_how_large_and_what_would_do() {
    let mut post = plain();
    post.tags = vec![0; 2000];
    let length = bytes_of(&post).len() as u64;
    assert!((8000..=8192).contains(&length));
    post.tags = vec![0; 3000];
    let error = post.with_bytes(|_| unreachable!()).unwrap_err();
    assert_eq!(error, PayloadTooLarge { message: "Post", bytes: length + 4000, most: 8192 });
    assert_eq!(
        error.to_string(),
        format!(
            "this `Post` takes {} bytes, and 8192 are allowed: send less at a time, or raise `#[message(max_bytes = …)]` (where no \
             payload arena is at hand, `inline_bytes`)",
            length + 4000
        )
    );
    // To the byte.
    #[derive(RingMessage)]
    #[message(max_bytes = 64)]
    struct Few {
        bytes: Vec<u8>,
    }
    assert_eq!(Few { bytes: vec![7; 56] }.with_bytes(<[u8]>::len), Ok(64));
    assert_eq!(Few { bytes: vec![7; 57] }.with_bytes(<[u8]>::len).map_err(|error| error.bytes), Err(72));
}

#[test]
fn the_tag_is_the_hash_of_the_definition() {
    let point = "Point{x:f32,y:f64}";
    let text = format!(
        "Post{{id:u64,title:String,tags:Vec<u32>,at:Option<{point}>,sections:Vec<Section{{heading:Option<String>,lines:Vec<String>}}>,\
         flags:[Option<bool>;3],pair:(u8,Vec<i64>)}}"
    );
    assert_eq!(Post::TAG, tag::of_definition(&text));
    assert_eq!(<Point as Payload>::DEFINITION, <Point as DeviceType>::DEFINITION);
    assert!(matches!(<Vec<u8>>::DEFINITION, Definition::Of { name: "Vec", .. }));
}

/// What archives look like in memory, which the compiler relies on.
#[test]
fn archives_have_the_layout_that_devices_know() {
    #[derive(RingMessage)]
    struct Layout {
        a: u8,
        b: Option<u64>,
        c: Vec<u16>,
        d: String,
        e: Option<bool>,
        f: (u8, f64),
        g: Option<Vec<u8>>,
    }
    use std::mem::offset_of;
    type A = Archived<Layout>;
    assert_eq!(
        [
            offset_of!(A, a),
            offset_of!(A, b),
            offset_of!(A, c),
            offset_of!(A, d),
            offset_of!(A, e),
            offset_of!(A, f),
            offset_of!(A, g)
        ],
        [0, 8, 24, 32, 40, 48, 64]
    );
    assert_eq!((size_of::<A>(), align_of::<A>()), (80, 8));
    let value = Layout {
        a: 1,
        b: Some(0x0102_0304_0506_0708),
        c: vec![0x1112, 0x2122],
        d: "short".into(),
        e: Some(true),
        f: (9, 1.5),
        g: None,
    };
    let bytes = value.with_bytes(<[u8]>::to_vec).unwrap();
    let root = bytes.len() - 80;
    assert_eq!(&bytes[..4], [0x12, 0x11, 0x22, 0x21]);
    let expected: [(usize, &[u8]); 9] = [
        (0, &[1]),
        (8, &[1]),
        (16, &[8, 7, 6, 5, 4, 3, 2, 1]),
        (24, &(-(root as i32 + 24)).to_le_bytes()),
        (28, &2u32.to_le_bytes()),
        (32, b"short\xff\xff\xff"),
        (40, &[1, 1]),
        (48, &[9]),
        (56, &1.5f64.to_le_bytes()),
    ];
    for (at, expected) in expected {
        assert_eq!(&bytes[root + at..][..expected.len()], expected, "at {at}");
    }
    assert_eq!(bytes[root + 64], 0);
    // Text of nine bytes and more lies outside: the length's lowest six bits, `10`, the rest; then where it is, from the string on.
    let long = Layout { d: "x".repeat(100), ..value };
    let bytes = long.with_bytes(<[u8]>::to_vec).unwrap();
    let root = bytes.len() - 80;
    let (length, offset) = (&bytes[root + 32..][..4], &bytes[root + 36..][..4]);
    assert_eq!(length, ((100u32 & 0x3f) | 0x80 | (100 & !0x3f) << 2).to_le_bytes());
    let at = (root as i32 + 32 + i32::from_le_bytes(offset.try_into().unwrap())) as usize;
    assert_eq!(&bytes[at..at + 100], "x".repeat(100).as_bytes());
}
