//! The `macro_rules!` that holds a definition's tokens.

use super::paths::{Kind, Need, path_key};
use super::payload::{Definition, Payload};
use crate::location;
use crate::program::DefId;
use proc_macro2::{Ident, Span, TokenStream};
use quote::{ToTokens, format_ident, quote};
use std::collections::{HashMap, HashSet};
use std::sync::{Mutex, PoisonError};
use syn::ext::IdentExt;
use syn::parse::{Parse, ParseStream};
use syn::spanned::Spanned;
use syn::{LitStr, Path, Visibility, braced, bracketed};

/// A definition's identity: what it is and where it stands.
///
/// Definitions that one `macro_rules!` stamps out several times have the same tokens in the same place, so the same identity comes out
/// with a number added the second time.
pub fn identity(name: &Ident, tokens: &TokenStream) -> DefId {
    static SEEN: Mutex<Option<HashMap<DefId, u64>>> = Mutex::new(None);
    let place = location::of(name.span());
    let id = fnv64(&format!("{}:{}:{}:{name}:{tokens}", place.file, place.line, place.column));
    let mut seen = SEEN.lock().unwrap_or_else(PoisonError::into_inner);
    let times = seen.get_or_insert_default().entry(id).or_insert(0);
    *times += 1;
    id.wrapping_add(*times - 1)
}

/// FNV-1a, 64 bit (Fowler, Noll, Vo).
fn fnv64(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}

/// Emits the carrier of a definition whose tokens name `needs`: at once if there are none, else at the end of a chain through them.
pub fn emit(definition: &Definition, vis: &Visibility, needs: &[Path]) -> TokenStream {
    let Some((first, rest)) = needs.split_first() else {
        return carrier(
            &Payload { definitions: vec![definition.clone()] },
            matches!(vis, Visibility::Public(_)),
        );
    };
    let exported = if matches!(vis, Visibility::Public(_)) { quote!(exported) } else { quote!(local) };
    let keys = needs.iter().map(path_key);
    chain(
        first,
        rest,
        &quote!(::ringkernel::__private::__carry),
        &quote! { { #exported [#(#keys)*] #definition } },
    )
}

/// Calls the carriers of `first` and `rest`, then the macro at `last` with `state` and their payloads.
pub fn chain(first: &Path, rest: &[Path], last: &TokenStream, state: &TokenStream) -> TokenStream {
    let (first, rest) = (bare(first), rest.iter().map(bare));
    quote! { #first ! { [ #({ #rest })* { #last } ] #state } }
}

/// [`chain`] for a macro that uses functions and constants. Where one of those has no carrier, nothing of ours can explain rustc's "cannot
/// find macro"; so each is called by another name, `capped_needs_device_fn`, and the message says it all. What the end of
/// the chain emits stands in an anonymous constant.
pub fn explained_chain(first: &Path, needs: &[Need], last: &TokenStream, state: &TokenStream) -> TokenStream {
    let mut imports = TokenStream::new();
    let rest: Vec<Path> = needs
        .iter()
        .map(|Need { path, kind }| {
            let what = match kind {
                Kind::Type => return path.clone(),
                Kind::Fn => "device_fn",
                Kind::Const => "device_const",
            };
            let names: Vec<_> =
                path.segments.iter().map(|segment| segment.ident.unraw().to_string()).collect();
            let name = names.join("_");
            let span = path.span().resolved_at(Span::call_site());
            let alias = Ident::new(&format!("{name}_needs_{what}"), span);
            let path = bare(path);
            imports.extend(quote! { #[allow(unused_imports)] use #path as #alias; });
            alias.into()
        })
        .collect();
    let chain = chain(first, &rest, last, state);
    quote! {
        const _: () = {
            #imports
            #chain
        };
    }
}

/// A path without generic arguments, to be called as a macro.
fn bare(path: &Path) -> TokenStream {
    let leading = path.leading_colon;
    let names = path.segments.iter().map(|segment| &segment.ident);
    quote! { #leading #(#names)::* }
}

/// What the end of a chain is given: `[] {state} {payload} {payload} …`.
pub struct Collected<S> {
    /// What the start of the chain said.
    pub state: S,
    /// One payload a carrier, in the order asked.
    pub payloads: Vec<Payload>,
}

impl<S: Parse> Parse for Collected<S> {
    fn parse(input: ParseStream<'_>) -> syn::Result<Self> {
        let nobody;
        bracketed!(nobody in input);
        let _: TokenStream = nobody.parse()?;
        let state;
        braced!(state in input);
        let state = state.parse()?;
        let mut payloads = Vec::new();
        while !input.is_empty() {
            payloads.push(input.parse()?);
        }
        Ok(Self { state, payloads })
    }
}

/// The start of a chain that ends in a carrier.
pub struct CarryState {
    exported: bool,
    keys: Vec<String>,
    definition: Definition,
}

impl Parse for CarryState {
    fn parse(input: ParseStream<'_>) -> syn::Result<Self> {
        let exported = input.parse::<Ident>()? == "exported";
        let list;
        bracketed!(list in input);
        let mut keys = Vec::new();
        while !list.is_empty() {
            keys.push(list.parse::<LitStr>()?.value());
        }
        Ok(Self { exported, keys, definition: input.parse()? })
    }
}

/// The end of a chain: the carrier of a definition together with everything it leads to.
pub fn carry(collected: Collected<CarryState>) -> TokenStream {
    let Collected { state: CarryState { exported, keys, mut definition }, payloads } = collected;
    let uses = definition.uses_mut();
    for (key, payload) in keys.into_iter().zip(&payloads) {
        uses.insert(key, payload.root().id());
    }
    let mut present = HashSet::from([definition.id()]);
    let mut definitions = vec![definition];
    for nested in payloads.into_iter().flat_map(|payload| payload.definitions) {
        if present.insert(nested.id()) {
            definitions.push(nested);
        }
    }
    carrier(&Payload { definitions }, exported)
}

/// Waiting items, which is all that [`emit_state`] gets as its state.
pub struct Waiting(TokenStream);

impl Parse for Waiting {
    fn parse(input: ParseStream<'_>) -> syn::Result<Self> {
        input.parse().map(Self)
    }
}

/// The end of a chain whose items needed no tokens, only the certainty that there is a carrier.
pub fn emit_state(collected: Collected<Waiting>) -> TokenStream {
    collected.state.0
}

/// The `macro_rules!` and its second name.
fn carrier(payload: &Payload, exported: bool) -> TokenStream {
    let root = payload.root();
    let name = root.name();
    let bare_name = name.to_string();
    let bare_name = bare_name.trim_start_matches("r#");
    let macro_name = format_ident!("__ringkernel_{}_{:016x}", bare_name, root.id(), span = Span::call_site());
    let payload = payload.to_token_stream();
    let (export, vis) =
        if exported { (quote!(#[macro_export]), quote!(pub)) } else { (quote!(), quote!(pub(crate))) };
    quote! {
        #[doc(hidden)]
        #[allow(unused_macros, non_local_definitions)]
        #export
        macro_rules! #macro_name {
            ([{ $($next:tt)* } $($todo:tt)*] $($state:tt)*) => {
                $($next)* ! { [$($todo)*] $($state)* #payload }
            };
        }
        #[doc(hidden)]
        #[allow(unused_imports, unreachable_pub)]
        #vis use #macro_name as #name;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::program::{TypeDef, TypeRole, Uses};
    use syn::parse_quote;

    fn point() -> Definition {
        Definition::Type(TypeDef {
            def: 7,
            name: parse_quote!(Point),
            role: TypeRole::Device,
            fields: vec![("x".into(), parse_quote!(f32))],
            is_tuple: false,
            uses: Uses::new(),
        })
    }

    #[test]
    fn a_definition_that_names_nothing_is_carried_at_once() {
        let text = emit(&point(), &parse_quote!(pub), &[]).to_string();
        assert!(text.contains("macro_rules ! __ringkernel_Point_0000000000000007"), "{text}");
        assert!(text.contains("macro_export") && text.contains("pub use"), "{text}");
        let text = emit(&point(), &Visibility::Inherited, &[]).to_string();
        assert!(!text.contains("macro_export") && text.contains("pub (crate) use"), "{text}");
    }

    #[test]
    fn a_chain_asks_each_path_where_it_was_written_and_ends_in_carry() {
        let text = emit(&point(), &parse_quote!(pub), &[parse_quote!(m::A), parse_quote!(B)]).to_string();
        assert!(
            text.starts_with(
                "m :: A ! { [{ B } { :: ringkernel :: __private :: __carry }] { exported [\"m::A\" \"B\"]"
            ),
            "{text}"
        );
    }

    #[test]
    fn what_several_carriers_bring_is_embedded_once() {
        let collected: Collected<CarryState> = parse_quote! {
            []
            { exported ["m::A" "B"] { type 1u64 device [] Outer { a: m::A, b: B } } }
            { { type 2u64 device ["C" 4u64] A { c: C } } { type 4u64 device [] C { x: u8 } } }
            { { type 3u64 device ["C" 4u64] B { c: C } } { type 4u64 device [] C { x: u8 } } }
        };
        let text = carry(collected).to_string();
        assert_eq!(text.matches("type 4u64").count(), 1, "{text}");
        assert!(text.contains("type 1u64 device [\"B\" 3u64 \"m::A\" 2u64] Outer"), "{text}");
    }

    #[test]
    fn equal_definitions_in_one_place_are_told_apart() {
        let name: Ident = parse_quote!(Twin);
        let tokens = quote!(
            struct Twin;
        );
        assert_ne!(identity(&name, &tokens), identity(&name, &tokens));
    }
}
