//! A struct whose values have no one size: what makes it one, what it may hold, and every reason to refuse.

use super::fields::{Field, Struct, strip_groups};
use super::paths::path_key;
use crate::diag::Diagnostic;
use quote::ToTokens;
use syn::spanned::Spanned;
use syn::{Data, DeriveInput, Expr, Fields, GenericArgument, Ident, Member, PathArguments, Type, TypePath};

/// A generic type that a message of variable size may hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Holder {
    /// `Vec<T>`
    Vec,
    /// `Option<T>`
    Option,
}

impl Holder {
    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Vec => "Vec",
            Self::Option => "Option",
        }
    }
}

/// `Vec<T>` and `Option<T>`: which, and of what.
pub fn held(path: &TypePath) -> Option<(Holder, &Type)> {
    let last = path.path.segments.last()?;
    let holder = match last.ident.to_string().as_str() {
        "Vec" => Holder::Vec,
        "Option" => Holder::Option,
        _ => return None,
    };
    Some((holder, only_argument(last)?))
}

/// `String`.
pub fn is_string(path: &TypePath) -> bool {
    path.path.segments.last().is_some_and(|last| last.ident == "String" && last.arguments.is_none())
}

/// The `T` of `Name<T>`.
pub fn only_argument(segment: &syn::PathSegment) -> Option<&Type> {
    let PathArguments::AngleBracketed(arguments) = &segment.arguments else { return None };
    match arguments.args.iter().collect::<Vec<_>>()[..] {
        [GenericArgument::Type(ty)] => Some(ty),
        _ => None,
    }
}

/// `T` of `&Archived<T>`, which is how a handler takes a message of variable size.
pub fn archived(ty: &Type) -> Option<Type> {
    let Type::Reference(reference) = ty else { return None };
    let Type::Path(path) = strip_groups(&reference.elem) else { return None };
    let last = path.path.segments.last().filter(|last| last.ident == "Archived" && path.qself.is_none())?;
    only_argument(last).filter(|_| reference.mutability.is_none()).map(strip_groups)
}

/// Whether the struct says, or shows by a field, that its values have no one size.
pub fn is_variable(input: &DeriveInput) -> bool {
    let Data::Struct(data) = &input.data else { return false };
    input.attrs.iter().any(|attr| attr.path().is_ident("message"))
        || data.fields.iter().any(|field| varies(&field.ty))
}

fn varies(ty: &Type) -> bool {
    match strip_groups(ty) {
        Type::Path(path) => held(&path).is_some() || is_string(&path),
        Type::Array(array) => varies(&array.elem),
        Type::Tuple(tuple) => tuple.elems.iter().any(varies),
        _ => false,
    }
}

/// What `#[message(…)]` says.
#[derive(Default)]
pub struct Limits {
    /// `max_bytes = …`
    pub max: Option<Expr>,
    /// `inline_bytes = …`
    pub inline: Option<Expr>,
}

/// Reads `#[message(max_bytes = …, inline_bytes = …)]`.
pub fn limits(input: &DeriveInput, errors: &mut Vec<Diagnostic>) -> Limits {
    let mut found = Limits::default();
    for attr in input.attrs.iter().filter(|attr| attr.path().is_ident("message")) {
        let parsed = attr.parse_nested_meta(|meta| {
            let place = match () {
                () if meta.path.is_ident("max_bytes") => &mut found.max,
                () if meta.path.is_ident("inline_bytes") => &mut found.inline,
                () => {
                    let message = "`#[message(…)]` takes `max_bytes = …`, the most bytes of a message, and `inline_bytes = …`, the most of \
                                   what a slot carries";
                    return Err(meta.error(message));
                }
            };
            *place = Some(meta.value()?.parse::<Expr>()?);
            Ok(())
        });
        if let Err(error) = parsed {
            errors.push(error.into());
        } else if found.max.is_none() {
            errors.push(Diagnostic::new(attr.span(), "say how many bytes: `#[message(max_bytes = 4096)]`"));
        }
    }
    found
}

/// Reads a derive's input. With mistakes, the struct that comes back has no fields.
pub fn read(input: &DeriveInput) -> (Struct, Vec<Diagnostic>) {
    let (mut errors, mut fields, mut is_tuple) = (Vec::new(), Vec::new(), false);
    match &input.data {
        Data::Struct(data) => {
            is_tuple = matches!(data.fields, Fields::Unnamed(_));
            for (i, field) in data.fields.iter().enumerate() {
                let ty = strip_groups(&field.ty);
                check(&ty, &input.ident, &mut errors);
                let index = syn::Index { index: i as u32, span: ty.span() };
                let member = field.ident.clone().map_or(Member::Unnamed(index), Member::Named);
                fields.push(Field { member, ty });
            }
        }
        Data::Enum(data) => errors.push(Diagnostic::new(
            data.enum_token.span,
            "an enum cannot be part of a message yet: write a struct with an `Option` for each case",
        )),
        Data::Union(data) => errors.push(Diagnostic::new(
            data.union_token.span,
            "a union cannot be part of a message: write a struct with the bits as a `u32` or `u64`",
        )),
    }
    if !input.generics.params.is_empty() {
        errors.push(Diagnostic::new(
            input.generics.span(),
            "a message has one layout, so it cannot be generic: write one struct for each set of arguments",
        ));
    } else if let Some(clause) = &input.generics.where_clause {
        errors.push(Diagnostic::new(clause.span(), "a message cannot have a `where` clause: remove it"));
    }
    if !errors.is_empty() {
        fields.clear();
    }
    (Struct { name: input.ident.clone(), vis: input.vis.clone(), fields, is_tuple }, errors)
}

fn check(ty: &Type, owner: &Ident, errors: &mut Vec<Diagnostic>) {
    let Type::Path(path) = ty else {
        return match ty {
            Type::Array(array) => check(&strip_groups(&array.elem), owner, errors),
            Type::Tuple(tuple) if tuple.elems.len() <= 8 => {
                tuple.elems.iter().for_each(|elem| check(&strip_groups(elem), owner, errors));
            }
            Type::Reference(reference) => errors.push(Diagnostic::new(
                ty.span(),
                format!(
                    "a message owns what it holds, for it leaves where the reference leads to: write `{}`",
                    match &*reference.elem {
                        Type::Slice(slice) => format!("Vec<{}>", slice.elem.to_token_stream()),
                        Type::Path(path) if path.path.is_ident("str") => "String".into(),
                        elem => elem.to_token_stream().to_string(),
                    }
                ),
            )),
            _ => errors.push(Diagnostic::new(
                ty.span(),
                "a field of a message of variable size is a scalar, `String`, `Vec<T>`, `Option<T>`, an array, a tuple of up to eight, or a \
                 struct with `#[derive(Payload)]`",
            )),
        };
    };
    let mut refuse = |message: String| errors.push(Diagnostic::new(ty.span(), message));
    let name = path.path.segments.last().map(|last| last.ident.to_string()).unwrap_or_default();
    if path.path.get_ident().is_some_and(|i| i == "Self") || path.path.is_ident(owner) {
        return refuse(format!("`{owner}` contains itself, which no device could follow"));
    }
    if let Some((_, part)) = held(path) {
        return check(&strip_groups(part), owner, errors);
    }
    match name.as_str() {
        "usize" => refuse("`usize` has another width on each device: use `u32` or `u64`".into()),
        "isize" => refuse("`isize` has another width on each device: use `i32` or `i64`".into()),
        "u128" | "i128" => refuse(format!("devices have no `{name}`: use two `u64` fields, or `[u64; 2]`")),
        "char" => refuse("devices have no `char`: use `u32` and `char::from_u32`".into()),
        "VecDeque" | "HashSet" | "BTreeSet" | "LinkedList" => {
            refuse(format!("`{name}` has no layout that devices know: use a `Vec`"))
        }
        "HashMap" | "BTreeMap" => {
            refuse(format!("`{name}` has no layout that devices know: use a `Vec` of pairs"))
        }
        "Box" | "Rc" | "Arc" | "Cow" => {
            refuse(format!("`{name}` points into host memory: own the value itself"))
        }
        "Result" => refuse("a `Result` cannot be part of a message yet: use two `Option`s".into()),
        _ if path.path.segments.iter().any(|segment| !segment.arguments.is_none()) => refuse(format!(
            "`{}` is generic; what a message may hold is `Vec<T>`, `Option<T>`, and structs with `#[derive(Payload)]`",
            path_key(&path.path)
        )),
        _ => {}
    }
}

/// Calls for every `Vec` in a type, with the type of its elements.
pub fn elements(ty: &Type, call: &mut impl FnMut(&Type)) {
    match ty {
        Type::Path(path) => {
            if let Some((holder, part)) = held(path) {
                if holder == Holder::Vec {
                    call(part);
                }
                elements(part, call);
            }
        }
        Type::Array(array) => elements(&array.elem, call),
        Type::Tuple(tuple) => tuple.elems.iter().for_each(|elem| elements(elem, call)),
        Type::Group(group) => elements(&group.elem, call),
        Type::Paren(paren) => elements(&paren.elem, call),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use syn::parse_quote;

    fn errors(input: DeriveInput) -> Vec<String> {
        read(&input).1.into_iter().map(|error| error.message).collect()
    }

    #[test]
    fn a_field_or_the_attribute_makes_a_message_variable() {
        for (input, variable) in [
            (parse_quote! { struct A { a: u32, b: [f32; 3], c: Point } }, false),
            (parse_quote! { struct A { a: Vec<u32> } }, true),
            (parse_quote! { struct A { a: std::string::String } }, true),
            (parse_quote! { struct A { a: [(u8, Option<u8>); 2] } }, true),
            (parse_quote! { #[message(max_bytes = 100)] struct A { a: Section } }, true),
        ] {
            assert_eq!(is_variable(&input), variable, "{}", input.to_token_stream());
        }
        let mut errors = Vec::new();
        let limited: DeriveInput = parse_quote! { #[message(max_bytes = 2 * KIB)] struct A { a: String } };
        assert_eq!(limits(&limited, &mut errors).max, Some(parse_quote!(2 * KIB)));
        assert!(errors.is_empty());
        for (input, part) in [
            (parse_quote! { #[message(size = 1)] struct A; }, "`max_bytes = …`"),
            (parse_quote! { #[message()] struct A; }, "how many bytes"),
        ] {
            let mut errors = Vec::new();
            assert!(limits(&input, &mut errors).max.is_none());
            assert!(errors.len() == 1 && errors[0].message.contains(part), "{errors:?}");
        }
    }

    #[test]
    fn every_bad_field_gets_its_own_advice_at_once() {
        let found = errors(parse_quote! {
            struct A { a: Vec<usize>, b: Option<&'static [u8]>, c: HashMap<u32, u32>, d: Box<u32>, e: Vec<A>, f: &'static str, g: Other<u8>,
                h: Vec<Option<(String, m::Part)>> }
        });
        let says = [
            "`u32` or `u64`",
            "`Vec<u8>`",
            "of pairs",
            "itself",
            "contains itself",
            "`String`",
            "is generic",
        ];
        assert_eq!(found.len(), says.len(), "{found:#?}");
        for (message, part) in found.iter().zip(says) {
            assert!(message.contains(part), "{message}");
        }
    }

    #[test]
    fn handlers_take_an_archive_by_shared_reference() {
        assert_eq!(archived(&parse_quote!(&ringkernel::Archived<m::Post>)), Some(parse_quote!(m::Post)));
        for other in
            [parse_quote!(&mut Archived<Post>), parse_quote!(Archived<Post>), parse_quote!(&ArchivedPost)]
        {
            assert_eq!(archived(&other), None);
        }
    }
}
