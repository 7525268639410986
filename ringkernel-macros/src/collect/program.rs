//! From the payloads at the end of a chain to the program that the front end compiles.

use super::definition::Types;
use super::payload::{Definition, Payload};
use crate::diag::Diagnostic;
use crate::program::{ConstDef, DefId, FnDef, TypeDef, TypeRole, Uses};
use ringkernel_backends::abi::tag;
use std::collections::HashMap;

/// Every definition that was collected, by identity.
#[derive(Default)]
pub struct Definitions {
    /// Structs.
    pub types: HashMap<DefId, TypeDef>,
    /// Free functions.
    pub fns: HashMap<DefId, FnDef>,
    /// Free constants.
    pub consts: HashMap<DefId, ConstDef>,
    /// What the paths that were asked lead to.
    pub uses: Uses,
}

impl Definitions {
    /// Gathers the payloads of the paths spelled `keys`, and gives each message its tag.
    pub fn gather(
        keys: impl IntoIterator<Item = String>,
        payloads: Vec<Payload>,
    ) -> Result<Self, Vec<Diagnostic>> {
        let mut all = Self::default();
        for (key, payload) in keys.into_iter().zip(payloads) {
            all.uses.insert(key, payload.root().id());
            for definition in payload.definitions {
                match definition {
                    Definition::Type(def) => drop(all.types.insert(def.def, def)),
                    Definition::Fn(def) => drop(all.fns.insert(def.def, def)),
                    Definition::Const(def) => drop(all.consts.insert(def.def, def)),
                }
            }
        }
        let mut errors = Vec::new();
        let mut tags = Vec::new();
        for def in all.types.values() {
            if matches!(def.role, TypeRole::Message { .. } | TypeRole::Variable { .. }) {
                match all.types().definition(def) {
                    Ok(text) => tags.push((def.def, tag::of_definition(&text))),
                    Err(error) => errors.push(error),
                }
            }
        }
        for (id, tag) in tags {
            if let Some(def) = all.types.get_mut(&id) {
                match &mut def.role {
                    TypeRole::Message { tag: place } | TypeRole::Variable { tag: place, .. } => *place = tag,
                    _ => {}
                }
            }
        }
        if errors.is_empty() { Ok(all) } else { Err(errors) }
    }

    fn types(&self) -> Types<'_> {
        Types { types: &self.types, consts: &self.consts }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use syn::parse_quote;

    #[test]
    fn messages_get_the_tag_of_their_canonical_text() {
        let payload: Payload = parse_quote! { {
            { type 1u64 message ["N" 3u64 "P" 2u64] Move { to: [P; N] } }
            { type 2u64 device [] Point { x: f32 } }
            { const 3u64 [] const N: usize = 2; }
        } };
        let all = Definitions::gather(["Move".to_owned()], vec![payload]).unwrap();
        assert_eq!(all.uses["Move"], 1);
        let tag = tag::of_definition("Move{to:[Point{x:f32};2]}");
        assert_eq!(all.types[&1].role, TypeRole::Message { tag });
    }
}
