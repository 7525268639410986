//! From tokens to a [`Text`].

use super::lex::{Token, tokens};
use super::{Function, Init, Instruction, Operand, PtxError, Space, Statement, Text, Type, Variable};

type Result<T> = std::result::Result<T, PtxError>;

pub(super) fn parse(text: &str) -> Result<Text> {
    let tokens = tokens(text)?;
    let last = text.lines().count() as u32;
    let mut parser = Parser { tokens, at: 0, last };
    let mut text = Text::default();
    while parser.at < parser.tokens.len() {
        parser.directive(&mut text)?;
    }
    Ok(text)
}

struct Parser {
    tokens: Vec<(Token, u32)>,
    at: usize,
    /// The text's last line, for what is missing at its end.
    last: u32,
}

impl Parser {
    fn line(&self) -> u32 {
        self.tokens.get(self.at).map_or(self.last, |token| token.1)
    }

    fn error<T>(&self, what: impl Into<String>) -> Result<T> {
        Err(PtxError::new(self.line(), what))
    }

    fn peek(&self) -> Option<&Token> {
        self.tokens.get(self.at).map(|token| &token.0)
    }

    fn next(&mut self) -> Result<Token> {
        let Some((token, _)) = self.tokens.get(self.at) else {
            return self.error("the text ends in the middle");
        };
        self.at += 1;
        Ok(token.clone())
    }

    fn is(&self, mark: char) -> bool {
        self.peek() == Some(&Token::Mark(mark))
    }

    /// Takes a mark, if it is what comes.
    fn eat(&mut self, mark: char) -> bool {
        let found = self.is(mark);
        self.at += found as usize;
        found
    }

    fn expect(&mut self, mark: char) -> Result<()> {
        if self.eat(mark) {
            return Ok(());
        }
        match self.peek() {
            Some(token) => self.error(format!("`{mark}` is expected, not `{token}`")),
            None => self.error(format!("`{mark}` is missing at the end")),
        }
    }

    fn word(&mut self) -> Result<String> {
        match self.next()? {
            Token::Word(word) => Ok(word),
            token => {
                self.at -= 1;
                self.error(format!("a name is expected, not `{token}`"))
            }
        }
    }

    fn bits(&mut self) -> Result<u64> {
        match self.next()? {
            Token::Bits(bits) => Ok(bits),
            token => {
                self.at -= 1;
                self.error(format!("a number is expected, not `{token}`"))
            }
        }
    }

    /// An integer, perhaps with signs before it.
    fn integer(&mut self) -> Result<i64> {
        let mut negative = false;
        loop {
            if self.eat('-') {
                negative = !negative;
            } else if !self.eat('+') {
                break;
            }
        }
        let bits = self.bits()? as i64;
        Ok(if negative { bits.wrapping_neg() } else { bits })
    }

    /// What stands at the top of a text.
    fn directive(&mut self, text: &mut Text) -> Result<()> {
        let from = self.at;
        let Token::Dot(word) = self.next()? else {
            self.at -= 1;
            return self.error("a directive is expected");
        };
        match word.as_str() {
            // 8.4 is a decimal number to the lexer.
            "version" => match self.next()? {
                Token::Double(number) => {
                    let written = number.to_string();
                    let mut parts = written.split('.').map(|part| part.parse().unwrap_or(0));
                    text.version = (parts.next().unwrap_or(0), parts.next().unwrap_or(0));
                }
                _ => {
                    self.at -= 1;
                    return self.error("a version is expected");
                }
            },
            "target" => {
                text.target = self.word()?;
                while self.eat(',') {
                    self.word()?;
                }
            }
            "address_size" => {
                if self.bits()? != 64 {
                    self.at -= 1;
                    return self.error("addresses have 64 bits");
                }
            }
            "file" => {
                self.bits()?;
                self.next()?;
                while self.eat(',') {
                    self.bits()?;
                }
            }
            "pragma" => {
                self.next()?;
                self.expect(';')?;
            }
            _ => {
                self.at = from;
                self.definition(text)?;
            }
        }
        Ok(())
    }

    /// A function or a module variable, behind its linkage.
    fn definition(&mut self, text: &mut Text) -> Result<()> {
        let mut external = false;
        loop {
            let Token::Dot(word) = self.next()? else {
                self.at -= 1;
                return self.error("a directive is expected");
            };
            match word.as_str() {
                "visible" | "weak" => {}
                "extern" => external = true,
                "func" | "entry" => {
                    let function = self.function(word == "entry")?;
                    text.functions.push(function);
                    return Ok(());
                }
                _ => {
                    self.at -= 1;
                    self.variables(external, &mut |variable| text.variables.push(variable))?;
                    return Ok(());
                }
            }
        }
    }

    fn function(&mut self, entry: bool) -> Result<Function> {
        let line = self.line();
        let returns = if self.is('(') { self.parameters()? } else { Vec::new() };
        let name = self.word()?;
        let parameters = if self.is('(') { self.parameters()? } else { Vec::new() };
        // What a launch may look like, which the machine does not mind.
        while let Some(Token::Dot(word)) = self.peek() {
            match word.as_str() {
                "noreturn" => self.at += 1,
                "maxntid" | "reqntid" | "minnctapersm" | "maxnctapersm" | "maxnreg" => {
                    self.at += 1;
                    self.bits()?;
                    while self.eat(',') {
                        self.bits()?;
                    }
                }
                other => return self.error(format!("unknown directive .{other}")),
            }
        }
        let body = if self.eat(';') { None } else { Some(self.scope()?) };
        Ok(Function { name, entry, returns, parameters, body, line })
    }

    /// `(.param .b64 state, …)`
    fn parameters(&mut self) -> Result<Vec<Variable>> {
        self.expect('(')?;
        let mut all = Vec::new();
        while !self.eat(')') {
            if !all.is_empty() {
                self.expect(',')?;
            }
            let (space, align, ty) = self.kind()?;
            if space != Space::Param {
                return self.error("what functions take and give is .param here");
            }
            all.push(self.variable(space, align, ty, false)?);
        }
        Ok(all)
    }

    /// `.shared .align 16 .b8`
    fn kind(&mut self) -> Result<(Space, Option<u64>, Type)> {
        let (mut space, mut align) = (None, None);
        loop {
            let line = self.line();
            let Token::Dot(word) = self.next()? else {
                self.at -= 1;
                return self.error("a state space, alignment or type is expected");
            };
            match word.as_str() {
                "global" => space = Some(Space::Global),
                "const" => space = Some(Space::Const),
                "shared" => space = Some(Space::Shared),
                "local" => space = Some(Space::Local),
                "param" => space = Some(Space::Param),
                "align" => align = Some(self.bits()?),
                // Of a parameter: what it points to.
                "ptr" => {
                    if let Some(Token::Dot(word)) = self.peek()
                        && ["global", "const", "shared", "local"].contains(&word.as_str())
                    {
                        self.at += 1;
                    }
                }
                word => match (Type::named(word), space) {
                    (Some(ty), Some(space)) => return Ok((space, align, ty)),
                    _ => return Err(PtxError::new(line, format!("unknown directive .{word}"))),
                },
            }
        }
    }

    /// `a, b[16] = {…};`
    fn variables(&mut self, external: bool, out: &mut dyn FnMut(Variable)) -> Result<()> {
        let (space, align, ty) = self.kind()?;
        loop {
            out(self.variable(space, align, ty, external)?);
            if !self.eat(',') {
                return self.expect(';');
            }
        }
    }

    fn variable(&mut self, space: Space, align: Option<u64>, ty: Type, external: bool) -> Result<Variable> {
        let line = self.line();
        if ty == Type::Pred {
            return self.error("predicates live in registers");
        }
        let name = self.word()?;
        let mut count = Some(1u64);
        while self.eat('[') {
            if self.eat(']') {
                count = None;
                continue;
            }
            let size = self.bits()?;
            count = count.map(|count| count.saturating_mul(size));
            self.expect(']')?;
        }
        let mut init = Vec::new();
        if self.eat('=') {
            if !matches!(space, Space::Global | Space::Const) {
                return self.error("only .global and .const variables have first values");
            }
            self.initial(&mut init)?;
        }
        if count.is_none() && !init.is_empty() {
            count = Some(init.len() as u64);
        }
        if count.is_some_and(|count| init.len() as u64 > count) {
            return self.error(format!("`{name}` has more values than elements"));
        }
        let align = align.unwrap_or(ty.bytes() as u64);
        if !align.is_power_of_two() {
            return self.error(format!("an alignment of {align} bytes"));
        }
        Ok(Variable { name, space, ty, count, align, init, external, line })
    }

    fn initial(&mut self, init: &mut Vec<Init>) -> Result<()> {
        if self.eat('{') {
            while !self.eat('}') {
                self.initial(init)?;
                if !self.is('}') {
                    self.expect(',')?;
                }
            }
            return Ok(());
        }
        let operand = self.operand()?;
        init.push(match operand {
            Operand::Bits(bits) => Init::Bits(bits),
            Operand::Single(bits) => Init::Single(bits),
            Operand::Double(value) => Init::Double(value),
            Operand::Name(name) => Init::Address(name, 0),
            Operand::Sum(name, offset) => Init::Address(name, offset),
            _ => return self.error("a first value is a number or a variable"),
        });
        Ok(())
    }

    /// Statements between braces.
    fn scope(&mut self) -> Result<Vec<Statement>> {
        self.expect('{')?;
        let mut all = Vec::new();
        while !self.eat('}') {
            self.statement(&mut all)?;
        }
        Ok(all)
    }

    fn statement(&mut self, all: &mut Vec<Statement>) -> Result<()> {
        let line = self.line();
        match self.peek() {
            Some(Token::Mark('{')) => all.push(Statement::Scope(self.scope()?)),
            Some(Token::Dot(word)) => match word.as_str() {
                "reg" => {
                    self.at += 1;
                    all.push(self.registers(line)?);
                }
                "loc" => {
                    self.at += 1;
                    while matches!(self.peek(), Some(Token::Bits(_))) && self.line() == line {
                        self.at += 1;
                    }
                }
                "pragma" => {
                    self.at += 1;
                    self.next()?;
                    self.expect(';')?;
                }
                _ => self.variables(false, &mut |variable| all.push(Statement::Variable(variable)))?,
            },
            Some(Token::Word(word))
                if self.tokens.get(self.at + 1).is_some_and(|t| t.0 == Token::Mark(':')) =>
            {
                let label = word.clone();
                self.at += 2;
                all.push(Statement::Label(label, line));
            }
            _ => all.push(Statement::Instruction(self.instruction()?)),
        }
        Ok(())
    }

    fn registers(&mut self, line: u32) -> Result<Statement> {
        let ty = match self.next()? {
            Token::Dot(word) => Type::named(&word),
            _ => None,
        };
        let Some(ty) = ty else {
            self.at -= 1;
            return self.error("a register's type is expected");
        };
        let mut names = Vec::new();
        loop {
            let name = self.word()?;
            let mut count = None;
            if self.eat('<') {
                count = Some(self.bits()?.min(1 << 20) as u32);
                self.expect('>')?;
            }
            names.push((name, count));
            if !self.eat(',') {
                break;
            }
        }
        self.expect(';')?;
        Ok(Statement::Registers(ty, names, line))
    }

    fn instruction(&mut self) -> Result<Instruction> {
        let mut guard = None;
        if self.eat('@') {
            let negated = self.eat('!');
            guard = Some((self.word()?, negated));
        }
        let line = self.line();
        let name = self.word()?;
        let mut modifiers = Vec::new();
        while let Some(Token::Dot(word)) = self.peek() {
            modifiers.push(word.clone());
            self.at += 1;
        }
        let mut operands = Vec::new();
        while !self.eat(';') {
            if !operands.is_empty() {
                self.expect(',')?;
            }
            operands.push(self.operand()?);
        }
        Ok(Instruction { line, guard, name, modifiers, operands })
    }

    fn operand(&mut self) -> Result<Operand> {
        let negative = self.is('-');
        Ok(match self.next()? {
            Token::Mark('{') => Operand::Vector(self.list('}')?),
            Token::Mark('(') => Operand::List(self.list(')')?),
            Token::Mark('!') => Operand::Not(self.word()?),
            Token::Mark('[') => {
                let operand = match self.peek() {
                    Some(Token::Word(_)) => Operand::Address(Some(self.name()?), self.offset()?),
                    _ => Operand::Address(None, self.integer()?),
                };
                self.expect(']')?;
                operand
            }
            Token::Mark('-' | '+') => match self.peek() {
                Some(Token::Double(value)) => {
                    let value = *value;
                    self.at += 1;
                    Operand::Double(if negative { -value } else { value })
                }
                _ => {
                    let value = self.integer()?;
                    Operand::Bits(if negative { value.wrapping_neg() } else { value } as u64)
                }
            },
            Token::Mark('~') => Operand::Bits(!(self.integer()? as u64)),
            Token::Bits(bits) => Operand::Bits(bits),
            Token::Single(bits) => Operand::Single(bits),
            Token::Double(value) => Operand::Double(value),
            Token::Word(_) => {
                self.at -= 1;
                let name = self.name()?;
                if self.eat('|') {
                    Operand::Pair(name, self.word()?)
                } else if self.is('+') || self.is('-') {
                    Operand::Sum(name, self.offset()?)
                } else {
                    Operand::Name(name)
                }
            }
            token => {
                self.at -= 1;
                return self.error(format!("an operand is expected, not `{token}`"));
            }
        })
    }

    /// A name with its component: `%tid.x`.
    fn name(&mut self) -> Result<String> {
        let mut name = self.word()?;
        if let Some(Token::Dot(part)) = self.peek() {
            name = format!("{name}.{part}");
            self.at += 1;
        }
        Ok(name)
    }

    /// `+8`, `-8`, `+-8`, or nothing.
    fn offset(&mut self) -> Result<i64> {
        if self.is('+') || self.is('-') { self.integer() } else { Ok(0) }
    }

    fn list(&mut self, end: char) -> Result<Vec<Operand>> {
        let mut all = Vec::new();
        while !self.eat(end) {
            if !all.is_empty() {
                self.expect(',')?;
            }
            all.push(self.operand()?);
        }
        Ok(all)
    }
}
