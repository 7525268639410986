//! A statement's tokens as one short line, spaced about as rustfmt would.

use proc_macro2::{Delimiter, Spacing, TokenStream, TokenTree};
use quote::ToTokens;

/// At most this many characters.
const LIMIT: usize = 90;

/// One line of text; what is in braces after a header (`if … {`) is left out.
pub(super) fn one_line(tokens: &impl ToTokens) -> String {
    let mut printer = Printer { out: String::new(), glue: true };
    printer.stream(tokens.to_token_stream(), true);
    let text = printer.out;
    if text.chars().count() <= LIMIT {
        return text;
    }
    let mut short: String = text.chars().take(LIMIT - 3).collect();
    short.truncate(short.trim_end().len());
    short.push_str("...");
    short
}

struct Printer {
    out: String,
    /// Whether the next token follows without a space.
    glue: bool,
}

impl Printer {
    fn word(&mut self, text: &str) {
        if !self.glue && !self.out.is_empty() {
            self.out.push(' ');
        }
        self.out.push_str(text);
        self.glue = false;
    }

    fn stream(&mut self, tokens: TokenStream, top: bool) {
        let tokens: Vec<TokenTree> = tokens.into_iter().collect();
        let header = top && starts_block(&tokens);
        for (i, token) in tokens.iter().enumerate() {
            let previous = i.checked_sub(1).map(|i| &tokens[i]);
            match token {
                TokenTree::Group(group) => {
                    let (open, close) = match group.delimiter() {
                        Delimiter::Parenthesis => ("(", ")"),
                        Delimiter::Bracket => ("[", "]"),
                        Delimiter::Brace => {
                            self.word("{");
                            if header {
                                return;
                            }
                            self.stream(group.stream(), false);
                            self.word("}");
                            continue;
                        }
                        Delimiter::None => ("", ""),
                    };
                    if matches!(previous, Some(TokenTree::Ident(word)) if !is_keyword(&word.to_string()))
                        || matches!(previous, Some(TokenTree::Group(g)) if g.delimiter() != Delimiter::Brace)
                        || matches!(previous, Some(TokenTree::Punct(p)) if p.as_char() == '!')
                    {
                        self.glue = true;
                    }
                    self.word(open);
                    self.glue = true;
                    self.stream(group.stream(), false);
                    self.glue = true;
                    self.word(close);
                }
                TokenTree::Punct(punct) => self.punct(punct.as_char(), punct.spacing(), previous),
                other => self.word(&other.to_string()),
            }
        }
    }

    fn punct(&mut self, c: char, spacing: Spacing, previous: Option<&TokenTree>) {
        let after_operand = match previous {
            Some(TokenTree::Ident(word)) => !is_keyword(&word.to_string()),
            Some(TokenTree::Literal(_) | TokenTree::Group(_)) => true,
            _ => false,
        };
        let joined = matches!(previous, Some(TokenTree::Punct(p)) if p.spacing() == Spacing::Joint);
        match c {
            '.' | '?' | ',' | ';' => {
                self.glue = true;
                self.word(&c.to_string());
                self.glue = matches!(c, '.' | '?');
            }
            ':' => {
                self.glue = true;
                self.word(":");
                // `::` binds both sides, a single `:` is followed by a space.
                self.glue = spacing == Spacing::Joint || joined;
            }
            '\'' => {
                self.word("'");
                self.glue = true;
            }
            '!' if after_operand && spacing == Spacing::Alone => {
                self.glue = true;
                self.word("!");
                self.glue = true;
            }
            c => {
                if joined {
                    self.glue = true;
                }
                self.word(&c.to_string());
                self.glue = spacing == Spacing::Joint || (!after_operand && !joined && "&*-!|".contains(c));
            }
        }
    }
}

/// Whether the first brace at the top level opens a block whose contents are statements of their own.
fn starts_block(tokens: &[TokenTree]) -> bool {
    let first = tokens.iter().find_map(|t| match t {
        TokenTree::Ident(word) => Some(word.to_string()),
        TokenTree::Group(group) if group.delimiter() == Delimiter::Brace => Some("{".into()),
        _ => None,
    });
    let block = ["if", "while", "for", "loop", "match", "{"];
    let label = matches!(tokens.first(), Some(TokenTree::Punct(p)) if p.as_char() == '\'');
    label
        || first.is_some_and(|word| block.contains(&word.as_str()))
        || tokens.windows(2).any(|pair| {
            matches!(&pair[0], TokenTree::Punct(p) if p.as_char() == '=')
                && matches!(&pair[1], TokenTree::Ident(word) if block.contains(&word.to_string().as_str()))
        })
}

fn is_keyword(word: &str) -> bool {
    ["as", "break", "const", "else", "for", "if", "in", "let", "loop", "match", "mut", "return", "while"]
        .contains(&word)
}

#[cfg(test)]
mod tests {
    use super::one_line;
    use quote::quote;

    #[test]
    fn a_statement_is_spaced_as_it_was_written() {
        for text in [
            "self.cents += msg.cents;",
            "let x: [u32; 4] = [0; 4];",
            "let y = -a.b(1, &mut c[i]) * 2;",
            "x = f32::MAX >> (1 + 2);",
            "return m::helper(*r, !flag);",
            "assert!(x <= 3, \"no\");",
        ] {
            let tokens: proc_macro2::TokenStream = text.parse().unwrap();
            assert_eq!(one_line(&tokens), text);
        }
        assert_eq!(one_line(&quote!(if a < b { c() } else { d() })), "if a < b {");
        assert_eq!(one_line(&quote!(let v = match x { 1 => 2, _ => 3 };)), "let v = match x {");
    }
}
