//! Tokens.

use super::PtxError;

/// A token; what is a word or a number, without what surrounds it.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Token {
    /// `name`, `%name`, `$name`; `_`, too.
    Word(String),
    /// `.name`, with its parts that are joined by `::`; without the dot.
    Dot(String),
    /// An integer's 64 bits.
    Bits(u64),
    /// `0f…`
    Single(u32),
    /// `0d…` and decimal numbers.
    Double(f64),
    /// `"…"`
    Text(String),
    /// Anything else, a character each.
    Mark(char),
}

impl std::fmt::Display for Token {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Token::Word(word) => f.write_str(word),
            Token::Dot(word) => write!(f, ".{word}"),
            Token::Bits(bits) => write!(f, "{bits}"),
            Token::Single(bits) => write!(f, "0f{bits:08X}"),
            Token::Double(value) => write!(f, "{value}"),
            Token::Text(text) => write!(f, "{text:?}"),
            Token::Mark(mark) => write!(f, "{mark}"),
        }
    }
}

/// All tokens of a text, each with its line.
pub(super) fn tokens(text: &str) -> Result<Vec<(Token, u32)>, PtxError> {
    let mut lexer = Lexer { bytes: text.as_bytes(), text, at: 0, line: 1 };
    let mut all = Vec::with_capacity(text.len() / 4);
    while let Some(token) = lexer.next()? {
        all.push(token);
    }
    Ok(all)
}

struct Lexer<'a> {
    bytes: &'a [u8],
    text: &'a str,
    at: usize,
    line: u32,
}

fn starts(byte: u8) -> bool {
    byte.is_ascii_alphabetic() || matches!(byte, b'_' | b'%' | b'$')
}

fn goes_on(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'$')
}

impl<'a> Lexer<'a> {
    fn peek(&self, ahead: usize) -> u8 {
        self.bytes.get(self.at + ahead).copied().unwrap_or(0)
    }

    fn error<T>(&self, what: impl Into<String>) -> Result<T, PtxError> {
        Err(PtxError::new(self.line, what))
    }

    fn take(&mut self, good: impl Fn(u8) -> bool) -> &'a str {
        let from = self.at;
        while self.at < self.bytes.len() && good(self.bytes[self.at]) {
            self.at += 1;
        }
        // Only ASCII was passed, so both ends are boundaries.
        self.text.get(from..self.at).unwrap_or_default()
    }

    /// Blanks and comments.
    fn skip(&mut self) -> Result<(), PtxError> {
        loop {
            match (self.peek(0), self.peek(1)) {
                (b'\n', _) => {
                    self.line += 1;
                    self.at += 1;
                }
                (b' ' | b'\t' | b'\r', _) => self.at += 1,
                (b'/', b'/') => {
                    while self.at < self.bytes.len() && self.bytes[self.at] != b'\n' {
                        self.at += 1;
                    }
                }
                (b'/', b'*') => {
                    let Some(end) = self.bytes[self.at + 2..].windows(2).position(|two| two == b"*/") else {
                        return self.error("a comment without its end");
                    };
                    let comment = &self.bytes[self.at..self.at + 2 + end];
                    self.line += comment.iter().filter(|byte| **byte == b'\n').count() as u32;
                    self.at += end + 4;
                }
                _ => return Ok(()),
            }
        }
    }

    fn next(&mut self) -> Result<Option<(Token, u32)>, PtxError> {
        self.skip()?;
        if self.at >= self.bytes.len() {
            return Ok(None);
        }
        let (line, first) = (self.line, self.peek(0));
        let token = if starts(first) {
            self.at += 1;
            let rest = self.take(goes_on);
            Token::Word(format!("{}{rest}", first as char))
        } else if first == b'.' && (starts(self.peek(1)) || self.peek(1).is_ascii_digit()) {
            self.at += 1;
            let mut word = self.take(goes_on).to_string();
            while self.peek(0) == b':' && self.peek(1) == b':' {
                self.at += 2;
                word.push_str("::");
                word.push_str(self.take(goes_on));
            }
            Token::Dot(word)
        } else if first.is_ascii_digit() {
            self.number()?
        } else if first == b'"' {
            self.at += 1;
            let text = self.take(|byte| byte != b'"' && byte != b'\n').to_string();
            if self.peek(0) != b'"' {
                return self.error("a string without its end");
            }
            self.at += 1;
            Token::Text(text)
        } else if first.is_ascii_graphic() {
            self.at += 1;
            Token::Mark(first as char)
        } else {
            return self.error("a character that is not ASCII, which no PTX text has");
        };
        Ok(Some((token, line)))
    }

    fn number(&mut self) -> Result<Token, PtxError> {
        let kind = if self.peek(0) == b'0' { self.peek(1) } else { 0 };
        let radix = match kind {
            b'f' | b'F' | b'd' | b'D' => {
                self.at += 2;
                let digits = self.take(|byte| byte.is_ascii_hexdigit());
                let single = matches!(kind, b'f' | b'F');
                let bits = u64::from_str_radix(digits, 16).ok();
                return match bits {
                    Some(bits) if single && digits.len() == 8 => Ok(Token::Single(bits as u32)),
                    Some(bits) if !single && digits.len() == 16 => Ok(Token::Double(f64::from_bits(bits))),
                    _ => self.error(format!("not a float: 0{}{digits}", kind as char)),
                };
            }
            b'x' | b'X' => 16,
            b'b' | b'B' => 2,
            b'0'..=b'7' => 8,
            _ => 10,
        };
        if matches!(radix, 16 | 2) {
            self.at += 2;
        }
        let digits = self.take(|byte| byte.is_ascii_hexdigit() && (radix == 16 || byte.is_ascii_digit()));
        if radix != 16 && radix != 2 && matches!(self.peek(0), b'.' | b'e' | b'E') {
            let start = self.at - digits.len();
            self.take(|byte| byte == b'.' || byte.is_ascii_digit());
            if matches!(self.peek(0), b'e' | b'E') {
                self.at += 1;
                if matches!(self.peek(0), b'+' | b'-') {
                    self.at += 1;
                }
                self.take(|byte| byte.is_ascii_digit());
            }
            let text = &self.text[start..self.at];
            return match text.parse() {
                Ok(value) => Ok(Token::Double(value)),
                Err(_) => self.error(format!("not a number: {text}")),
            };
        }
        let Ok(bits) = u64::from_str_radix(digits, radix) else {
            return self.error(format!("not a number of 64 bits: {digits}"));
        };
        if matches!(self.peek(0), b'U' | b'u') {
            self.at += 1;
        }
        Ok(Token::Bits(bits))
    }
}
