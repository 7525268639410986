//! Layouts against what rustc does with `#[repr(C)]`.

use super::*;
use crate::program::TypeRole;
use syn::parse_quote;

fn def(id: DefId, item: syn::ItemStruct, uses: &[(&str, DefId)]) -> TypeDef {
    TypeDef {
        def: id,
        name: item.ident.clone(),
        role: TypeRole::Device,
        is_tuple: matches!(item.fields, syn::Fields::Unnamed(_)),
        fields: item
            .fields
            .iter()
            .enumerate()
            .map(|(i, f)| (f.ident.as_ref().map_or(i.to_string(), |n| n.to_string()), f.ty.clone()))
            .collect(),
        uses: uses.iter().map(|(name, id)| ((*name).to_owned(), *id)).collect(),
    }
}

fn constant(id: DefId, item: syn::ItemConst, uses: &[(&str, DefId)]) -> ConstDef {
    ConstDef {
        def: id,
        name: item.ident,
        ty: *item.ty,
        value: *item.expr,
        uses: uses.iter().map(|(name, id)| ((*name).to_owned(), *id)).collect(),
    }
}

struct World {
    types: HashMap<DefId, TypeDef>,
    consts: HashMap<DefId, ConstDef>,
}

impl World {
    fn types(&self) -> Types<'_> {
        Types { types: &self.types, consts: &self.consts }
    }
}

fn world() -> World {
    let types = [
        def(1, parse_quote! { struct Point { x: f32, on: bool, y: f64 } }, &[]),
        def(2, parse_quote! { struct Pair(u8, m::Point, [u16; 3]); }, &[("m::Point", 1)]),
        def(
            3,
            parse_quote! { struct Grid { flags: [(bool, u32); N], tail: Pair } },
            &[("N", 10), ("Pair", 2)],
        ),
        def(4, parse_quote! { struct Empty; }, &[]),
    ];
    let consts = [
        constant(10, parse_quote! { const N: usize = 2 * HALF as usize; }, &[("HALF", 11)]),
        constant(11, parse_quote! { const HALF: u32 = (1 << 3) / 8; }, &[]),
    ];
    World {
        types: types.into_iter().map(|t| (t.def, t)).collect(),
        consts: consts.into_iter().map(|c| (c.def, c)).collect(),
    }
}

#[test]
fn structs_tuples_and_arrays_lie_as_c_would_lay_them() {
    #[repr(C)]
    struct Point {
        x: f32,
        on: bool,
        y: f64,
    }
    #[repr(C)]
    struct Pair(u8, Point, [u16; 3]);
    #[repr(C)]
    struct Flag(bool, u32);
    #[repr(C)]
    struct Grid {
        flags: [Flag; 2],
        tail: Pair,
    }
    use std::mem::{align_of, offset_of, size_of};
    let world = world();
    let types = world.types();
    let point = types.offsets(&world.types[&1]).unwrap();
    assert_eq!(
        (point.layout.size as usize, point.layout.align as usize),
        (size_of::<Point>(), align_of::<Point>())
    );
    assert_eq!(
        point.fields.iter().map(|o| *o as usize).collect::<Vec<_>>(),
        [offset_of!(Point, x), offset_of!(Point, on), offset_of!(Point, y)]
    );
    let pair = types.offsets(&world.types[&2]).unwrap();
    assert_eq!(pair.layout.size as usize, size_of::<Pair>());
    assert_eq!(pair.fields[2] as usize, offset_of!(Pair, 2));
    let grid = types.offsets(&world.types[&3]).unwrap();
    assert_eq!(grid.layout.size as usize, size_of::<Grid>());
    assert_eq!(grid.fields[1] as usize, offset_of!(Grid, tail));
    assert_eq!(types.offsets(&world.types[&4]).unwrap().layout, UNIT);
}

#[test]
fn every_bool_of_a_message_is_found() {
    let world = world();
    let uses = Uses::from([("Grid".to_owned(), 3)]);
    let found = world.types().bools(&parse_quote!(Grid), &uses).unwrap();
    assert_eq!(found, [0, 8, 16 + 8 + 4]);
}

#[test]
fn a_definition_spells_out_what_it_contains() {
    let world = world();
    assert_eq!(
        world.types().definition(&world.types[&3]).unwrap(),
        "Grid{flags:[(bool,u32);2],tail:Pair{0:u8,1:Point{x:f32,on:bool,y:f64},2:[u16;3]}}"
    );
}

#[test]
fn sizes_beyond_32_bits_and_unknown_types_are_reported() {
    let world = world();
    let uses = Uses::new();
    let error = world.types().layout(&parse_quote!([u64; 0x2000_0000]), &uses).unwrap_err();
    assert!(error.message.contains("4 GiB"), "{}", error.message);
    let error = world.types().layout(&parse_quote!(Missing), &uses).unwrap_err();
    assert!(error.deferred && error.message.contains("`Missing`"), "{}", error.message);
    let error = world.types().layout(&parse_quote!([u8; 2 - 3]), &uses).unwrap_err();
    assert!(error.deferred, "{}", error.message);
}
