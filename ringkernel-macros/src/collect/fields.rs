//! A struct whose values cross the bus: what the derives read, and every reason to refuse.

use crate::collect::definition::is_timestamp;
use crate::collect::paths::path_key;
use crate::collect::variable::{self, Holder};
use crate::diag::Diagnostic;
use crate::front::HLC;
use crate::ir::Scalar;
use proc_macro2::{Ident, Span, TokenStream};
use quote::{ToTokens, quote_spanned};
use syn::spanned::Spanned;
use syn::{Data, DeriveInput, Fields, Member, Type, TypePath, Visibility};

/// One field.
pub struct Field {
    /// How `self.` reaches it.
    pub member: Member,
    /// Its type, without the invisible groups that `macro_rules!` leaves.
    pub ty: Type,
}

/// A struct that passed every check, or the part of it that did.
pub struct Struct {
    /// Its name.
    pub name: Ident,
    /// Its visibility.
    pub vis: Visibility,
    /// Its fields in order.
    pub fields: Vec<Field>,
    /// `struct A(…);`
    pub is_tuple: bool,
}

/// Reads a derive's input. With mistakes, the struct that comes back holds the good fields only: enough for stub impls.
pub fn read(input: &DeriveInput) -> (Struct, Vec<Diagnostic>) {
    let mut errors = Vec::new();
    let mut fields = Vec::new();
    let mut is_tuple = false;
    match &input.data {
        Data::Struct(data) => {
            is_tuple = matches!(data.fields, Fields::Unnamed(_));
            for (i, field) in data.fields.iter().enumerate() {
                let ty = strip_groups(&field.ty);
                let before = errors.len();
                check_type(&ty, &input.ident, &mut errors);
                let member = field.ident.clone().map_or_else(
                    || Member::Unnamed(syn::Index { index: i as u32, span: ty.span() }),
                    Member::Named,
                );
                if errors.len() == before {
                    fields.push(Field { member, ty });
                }
            }
        }
        Data::Enum(data) => errors.push(Diagnostic::new(
            data.enum_token.span,
            format!(
                "an enum cannot cross to a device yet: write a struct with a `u32` that says which case it is, \
                 `struct {} {{ kind: u32, … }}`",
                input.ident
            ),
        )),
        Data::Union(data) => errors.push(Diagnostic::new(
            data.union_token.span,
            "a union cannot cross to a device: write a struct with the bits as a `u32` or `u64`",
        )),
    }
    if !input.generics.params.is_empty() {
        errors.push(Diagnostic::new(
            input.generics.span(),
            "a device type has one layout, so it cannot be generic: write one struct for each set of arguments",
        ));
    } else if let Some(clause) = &input.generics.where_clause {
        errors.push(Diagnostic::new(clause.span(), "a device type cannot have a `where` clause: remove it"));
    }
    for attr in input.attrs.iter().filter(|attr| attr.path().is_ident("repr")) {
        let mut packed = false;
        let _ = attr.parse_nested_meta(|meta| {
            packed |= meta.path.is_ident("packed");
            if meta.input.peek(syn::token::Paren) {
                meta.parse_nested_meta(|_| Ok(())).or(Ok(()))
            } else {
                Ok(())
            }
        });
        if packed {
            errors.push(Diagnostic::new(
                attr.span(),
                "a device type cannot be packed: remove `packed` (values are packed field by field when they are sent)",
            ));
        }
    }
    let fields = if errors.is_empty() { fields } else { Vec::new() };
    (Struct { name: input.ident.clone(), vis: input.vis.clone(), fields, is_tuple }, errors)
}

/// Removes the invisible groups and parentheses around types, which `macro_rules!` fragments leave behind.
pub fn strip_groups(ty: &Type) -> Type {
    match ty {
        Type::Group(group) => strip_groups(&group.elem),
        Type::Paren(paren) => strip_groups(&paren.elem),
        Type::Array(array) => {
            let mut array = array.clone();
            array.elem = Box::new(strip_groups(&array.elem));
            Type::Array(array)
        }
        Type::Tuple(tuple) => {
            let mut tuple = tuple.clone();
            for elem in &mut tuple.elems {
                *elem = strip_groups(elem);
            }
            Type::Tuple(tuple)
        }
        other => other.clone(),
    }
}

/// Says what is wrong with a field's type, as far as tokens tell.
fn check_type(ty: &Type, owner: &Ident, errors: &mut Vec<Diagnostic>) {
    let mut refuse = |span: Span, message: String| errors.push(Diagnostic::new(span, message));
    match ty {
        Type::Path(path) if path.qself.is_some() => refuse(
            ty.span(),
            "an associated type cannot be a field of a device type: write the type it stands for".into(),
        ),
        Type::Path(path) => {
            let Some(last) = path.path.segments.last() else { return };
            let name = last.ident.to_string();
            if path.path.get_ident().is_some_and(|i| i == "Self") || path.path.is_ident(owner) {
                return refuse(ty.span(), format!("`{owner}` contains itself, so it would have no size"));
            }
            if let Some(advice) = advice(&name, path.path.segments.len()) {
                return refuse(ty.span(), advice);
            }
            if path.path.segments.iter().any(|segment| !segment.arguments.is_none()) {
                refuse(
                    ty.span(),
                    format!(
                        "`{}` is generic; a field of a device type is a scalar, an array, a tuple, or a struct with \
                         `#[derive(DeviceType)]`",
                        path_key(&path.path)
                    ),
                );
            }
        }
        Type::Array(array) => check_type(&array.elem, owner, errors),
        Type::Tuple(tuple) => {
            if tuple.elems.len() > 8 {
                refuse(
                    ty.span(),
                    "a tuple in a device type has at most 8 parts: write a struct with `#[derive(DeviceType)]`".into(),
                );
            }
            for elem in &tuple.elems {
                check_type(elem, owner, errors);
            }
        }
        Type::Reference(reference) => refuse(
            ty.span(),
            format!(
                "a reference to host memory means nothing on a device: own the value (`{}`)",
                match &*reference.elem {
                    Type::Slice(slice) => format!("[{}; N]", text(&slice.elem)),
                    Type::Path(path) if path.path.is_ident("str") => "[u8; N]".into(),
                    elem => text(elem),
                }
            ),
        ),
        Type::Ptr(_) => {
            refuse(ty.span(), "a pointer to host memory means nothing on a device: own the value".into());
        }
        Type::Slice(slice) => refuse(
            ty.span(),
            format!("a device type has a fixed size: write an array, `[{}; N]`", text(&slice.elem)),
        ),
        _ => refuse(
            ty.span(),
            "a field of a device type is a scalar (`bool`, `i8` … `i64`, `u8` … `u64`, `f32`, `f64`), an array, a tuple, or a \
             struct with `#[derive(DeviceType)]`"
                .into(),
        ),
    }
}

/// What to write instead of a type from std that people reach for.
fn advice(name: &str, segments: usize) -> Option<String> {
    if segments == 1 && Scalar::from_name(name).is_some() {
        return None;
    }
    let text = match name {
        "usize" => "`usize` has another width on each device: use `u32` or `u64`".to_owned(),
        "isize" => "`isize` has another width on each device: use `i32` or `i64`".to_owned(),
        "u128" | "i128" => format!(
            "devices have no `{name}`: use two `u64` fields, or `[u64; 2]`"
        ),
        "char" => "devices have no `char`: use `u32` and `char::from_u32`".to_owned(),
        "String" | "str" => format!(
            "`{name}` is not of a fixed size: use `[u8; N]` and a `u32` length (a message may hold one, and so may part of one, with \
             `#[derive(Payload)]`)"
        ),
        "Vec" => "`Vec` is not of a fixed size: use an array, `[T; N]`, and a `u32` length (a message may hold one, and so may part of one, \
                  with `#[derive(Payload)]`)"
            .into(),
        "VecDeque" | "HashMap" | "HashSet" | "BTreeMap" | "BTreeSet" => {
            format!("`{name}` lives in host memory: use an array, `[T; N]`, and a `u32` length")
        }
        "Box" | "Rc" | "Arc" | "Cow" => format!("`{name}` points into host memory: own the value itself"),
        "Option" => "an `Option` cannot be part of state or of a fixed layout yet: use a `bool` field that says whether the value is there (a message may \
                     hold one, and so may part of one, with `#[derive(Payload)]`)"
            .into(),
        "Result" => "a `Result` cannot cross to a device yet: use a `u32` code beside the value".into(),
        "Cell" | "RefCell" | "Mutex" | "RwLock" => {
            format!("an actor handles one message at a time, so its state needs no `{name}`: use the value itself")
        }
        "Duration" | "Instant" | "SystemTime" => {
            format!("`{name}` has no fixed layout: use a `u64` of nanoseconds")
        }
        _ => return None,
    };
    Some(text)
}

/// A type as short text for a message.
fn text(ty: &Type) -> String {
    ty.to_token_stream().to_string().replace(" :: ", "::").replace(" ;", ";")
}

/// The type with every primitive name spelled `::core::primitive::…`, so that an alias of the same name cannot pass for it.
pub fn with_true_primitives(ty: &Type) -> TokenStream {
    match ty {
        Type::Path(path) if variable::is_string(path) => {
            quote_spanned! { ty.span() => ::std::string::String }
        }
        Type::Path(path) if variable::held(path).is_some() => with_true_holder(path),
        Type::Path(path) => match path.path.get_ident() {
            Some(ident) if Scalar::from_name(&ident.to_string()).is_some() => {
                quote_spanned! { ident.span() => ::core::primitive::#ident }
            }
            _ if is_timestamp(ty) => {
                let name = Ident::new(HLC, ty.span());
                quote_spanned! { ty.span() => ::ringkernel::__private::#name }
            }
            _ => ty.to_token_stream(),
        },
        Type::Array(array) => {
            let (elem, len) = (with_true_primitives(&array.elem), &array.len);
            quote_spanned! { ty.span() => [#elem; #len] }
        }
        Type::Tuple(tuple) => {
            let elems = tuple.elems.iter().map(with_true_primitives);
            quote_spanned! { ty.span() => (#(#elems,)*) }
        }
        _ => ty.to_token_stream(),
    }
}

/// The same for `Vec<T>` and `Option<T>`.
fn with_true_holder(path: &TypePath) -> TokenStream {
    let Some((holder, part)) = variable::held(path) else { return path.to_token_stream() };
    let part = with_true_primitives(part);
    match holder {
        Holder::Vec => quote_spanned! { path.span() => ::std::vec::Vec<#part> },
        Holder::Option => quote_spanned! { path.span() => ::core::option::Option<#part> },
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
    fn scalars_arrays_tuples_and_named_structs_are_fields() {
        let (def, errors) = read(&parse_quote! {
            pub struct A { a: i64, b: [[f32; 3]; N], c: (bool, m::Point), d: Point }
        });
        assert!(errors.is_empty());
        assert_eq!(def.fields.len(), 4);
        assert!(self::errors(parse_quote! { struct A; }).is_empty());
        assert!(self::errors(parse_quote! { struct A(u8, f64); }).is_empty());
    }

    #[test]
    fn every_bad_field_gets_its_own_advice_at_once() {
        let found = errors(parse_quote! {
            struct A<'a> { a: usize, b: String, c: &'a [u8], d: Option<u32>, e: *const u8, f: Vec<i32>, g: A, h: u32 }
        });
        let says =
            ["`u32` or `u64`", "[u8; N]", "[u8; N]", "`bool`", "pointer", "[T; N]", "itself", "generic"];
        assert_eq!(found.len(), says.len(), "{found:#?}");
        for (message, part) in found.iter().zip(says) {
            assert!(message.contains(part), "{message}");
        }
    }

    #[test]
    fn enums_unions_generics_and_packed_structs_are_refused() {
        for (input, part) in [
            (parse_quote! { enum E { A, B } }, "a struct with a `u32`"),
            (parse_quote! { union U { a: u32 } }, "union"),
            (parse_quote! { struct G<T> { a: u32 } }, "generic"),
            (parse_quote! { #[repr(C, packed(2))] struct P { a: u32 } }, "packed"),
        ] {
            let found = errors(input);
            assert!(found.len() == 1 && found[0].contains(part), "{found:#?}");
        }
    }

    #[test]
    fn invisible_groups_are_removed_at_every_depth() {
        let group = |ty: Type| {
            Type::Group(syn::TypeGroup { group_token: Default::default(), elem: Box::new(ty), attrs: vec![] })
        };
        let inner = group(parse_quote!(f32));
        let mut array: syn::TypeArray = parse_quote!([u8; 4]);
        array.elem = Box::new(inner);
        assert_eq!(strip_groups(&group(Type::Array(array))), parse_quote!([f32; 4]));
    }
}
