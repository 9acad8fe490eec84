//! `#[derive(Labels)]` for enums without fields, written with the compiler's own `proc_macro` alone.

use proc_macro::{Delimiter, TokenStream, TokenTree};

/// Gives an enum without fields `label()`, the lowercase name of a variant, and `ALL`, every variant in order.
#[proc_macro_derive(Labels)]
pub fn derive_labels(input: TokenStream) -> TokenStream {
    let Some((name, variants)) = read_enum(input) else {
        return "compile_error!(\"Labels can be derived for enums without fields\");"
            .parse()
            .expect("a macro call is valid Rust");
    };
    let arms: String = variants
        .iter()
        .map(|variant| format!("Self::{variant} => {:?},", variant.to_lowercase()))
        .collect();
    let all: String = variants
        .iter()
        .map(|variant| format!("Self::{variant},"))
        .collect();
    let count = variants.len();
    format!(
        "impl {name} {{
            /// Every variant, in the order of the declaration.
            pub const ALL: [Self; {count}] = [{all}];

            /// The name of this variant in lowercase.
            pub fn label(self) -> &'static str {{ match self {{ {arms} }} }}
        }}"
    )
    .parse()
    .expect("the generated impl is valid Rust")
}

fn read_enum(input: TokenStream) -> Option<(String, Vec<String>)> {
    let mut tokens = input.into_iter();
    tokens.find(|token| matches!(token, TokenTree::Ident(word) if word.to_string() == "enum"))?;
    let TokenTree::Ident(name) = tokens.next()? else {
        return None;
    };
    let TokenTree::Group(body) = tokens.next()? else {
        return None;
    };
    let mut variants = Vec::new();
    for token in body.stream() {
        match token {
            TokenTree::Ident(variant) => variants.push(variant.to_string()),
            TokenTree::Punct(mark) if matches!(mark.as_char(), ',' | '#') => {}
            TokenTree::Group(attribute) if attribute.delimiter() == Delimiter::Bracket => {}
            _ => return None,
        }
    }
    Some((name.to_string(), variants))
}
