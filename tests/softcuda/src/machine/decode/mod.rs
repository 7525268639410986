//! From a module's text to a program: names become registers and addresses, instructions operations.
//!
//! What is not known is refused here, with its line: an instruction, a modifier, a type that an instruction does not have, an operand of
//! another width. This file has scopes, variables and functions; `operands` what instructions take, and
//! `instruction` the instructions (with `access` for those that touch memory and `together` for those that lanes execute together).

mod access;
mod instruction;
mod operands;
mod together;

use super::memory::{Store, has_128};
use super::program::{Base, Flag, Instr, NOWHERE, Op, Program, Reg, Special, Start};
use crate::ptx::{Function, Init, PtxError, Space, Statement, Text, Type, Variable};
use std::collections::HashMap;

pub(super) type Result<T> = std::result::Result<T, PtxError>;

/// What a name stands for.
#[derive(Clone, Copy, Debug)]
enum Symbol {
    Register(Reg, u32),
    Predicate(u32),
    /// An address in its space, in which it has so many bytes.
    Memory(Base, u64, u64),
}

/// The names of a pair of braces.
#[derive(Default)]
struct Scope {
    symbols: HashMap<String, Symbol>,
    labels: HashMap<String, u32>,
}

/// A function's places in a lane's window, where it begins, and where its callers' places in the text are kept.
struct Callee {
    returns: Vec<(u32, u32)>,
    parameters: Vec<(u32, u32)>,
    pc: u32,
    back: Reg,
    /// Whom it calls, and where.
    calls: Vec<(usize, u32)>,
    line: u32,
}

struct Decoder {
    program: Program,
    scopes: Vec<Scope>,
    constants: HashMap<u64, Reg>,
    specials: HashMap<Special, Reg>,
    /// Functions with a body, by name and in order.
    names: HashMap<String, usize>,
    callees: Vec<Callee>,
    /// Where labels are, and where they were first asked for.
    labels: Vec<Option<u32>>,
    /// Of the function at hand: its index, and whether it is an entry.
    current: usize,
    entry: bool,
    shared: u64,
    local: u64,
}

/// Decodes a text, of which `source` is the whole.
pub(super) fn decode(text: &Text, source: &str) -> Result<Program> {
    let program = Program {
        lines: source.lines().map(str::to_string).collect(),
        widths: vec![0],
        preds: NOWHERE + 1,
        ..Program::default()
    };
    let mut decoder = Decoder {
        program,
        scopes: vec![Scope::default()],
        constants: HashMap::new(),
        specials: HashMap::new(),
        names: HashMap::new(),
        callees: Vec::new(),
        labels: Vec::new(),
        current: 0,
        entry: false,
        shared: 0,
        local: 0,
    };
    decoder.module(text)?;
    Ok(decoder.program)
}

fn aligned(at: u64, align: u64) -> u64 {
    at.next_multiple_of(align.max(1))
}

/// The bytes of all static `.shared` variables here, behind `at`; the same walk as the decoder's own.
fn shared_bytes(statements: &[Statement], mut at: u64) -> u64 {
    for statement in statements {
        match statement {
            Statement::Scope(inner) => at = shared_bytes(inner, at),
            Statement::Variable(variable) if variable.space == Space::Shared && variable.count.is_some() => {
                at = aligned(at, variable.align) + variable.bytes();
            }
            _ => {}
        }
    }
    at
}

/// Offsets and sizes of parameters behind `at`, and where they end.
fn layout(variables: &[Variable], mut at: u64) -> Result<(Vec<(u32, u32)>, u64)> {
    let mut places = Vec::new();
    for variable in variables {
        at = aligned(at, variable.align);
        let end = at.saturating_add(variable.bytes());
        if end > u16::MAX as u64 || variable.count.is_none() {
            return Err(PtxError::new(variable.line, format!("`{}` has no size or too much", variable.name)));
        }
        places.push((at as u32, variable.bytes() as u32));
        at = end;
    }
    Ok((places, at))
}

impl Decoder {
    fn module(&mut self, text: &Text) -> Result<()> {
        let bodies = || text.functions.iter().filter_map(|function| function.body.as_deref());
        let modules: Vec<_> = text.variables.iter().cloned().map(Statement::Variable).collect();
        let shared = bodies().fold(shared_bytes(&modules, 0), |at, body| shared_bytes(body, at));
        // A launch's own comes last. Its alignment is at most a chunk's.
        let dynamic = aligned(shared, 128);
        if dynamic > 1 << 24 {
            return Err(PtxError::new(0, format!("{shared} bytes of shared memory")));
        }
        (self.program.shared, self.program.dynamic) = (shared as u32, dynamic as u32);
        self.globals(text)?;
        for variable in text.variables.iter().filter(|v| !matches!(v.space, Space::Global | Space::Const)) {
            self.variable(variable)?;
        }
        for function in text.functions.iter().filter(|function| function.body.is_some()) {
            self.announce(function)?;
        }
        let defined: Vec<_> = text.functions.iter().filter(|function| function.body.is_some()).collect();
        for (index, function) in defined.into_iter().enumerate() {
            self.function(index, function)?;
        }
        self.refuse_recursion()?;
        for instr in &mut self.program.code {
            match &mut instr.op {
                // A scope's labels are all numbered when it begins, and a branch takes none but those.
                Op::Branch { to } => *to = self.labels[*to as usize].unwrap_or(0),
                Op::Call { to, .. } => *to = self.callees[*to as usize].pc,
                _ => {}
            }
        }
        self.program.local = aligned(self.local, 128) as u32;
        Ok(())
    }

    /// Module variables in memory: their places, then their first values.
    fn globals(&mut self, text: &Text) -> Result<()> {
        let all = || text.variables.iter().filter(|v| matches!(v.space, Space::Global | Space::Const));
        let mut offsets = Vec::new();
        let mut end = 0;
        for variable in all() {
            if variable.external || variable.count.is_none() {
                return Err(PtxError::new(variable.line, format!("`{}` is defined nowhere", variable.name)));
            }
            end = aligned(end, variable.align);
            offsets.push(end);
            end = end.saturating_add(variable.bytes());
            if end > 1 << 30 || variable.align > 128 {
                return Err(PtxError::new(variable.line, format!("`{}` is too large", variable.name)));
            }
        }
        self.program.data = Store::new(end, || 0);
        let start = self.program.data.start();
        for (variable, offset) in all().zip(&offsets) {
            let (address, bytes) = (start + offset, variable.bytes());
            let symbol = Symbol::Memory(Base::Global, address, bytes);
            self.program.globals.insert(variable.name.clone(), (address, bytes));
            self.define(&variable.name, symbol, variable.line)?;
        }
        for (variable, offset) in all().zip(&offsets) {
            for (index, init) in variable.init.iter().enumerate() {
                let value = match (init, variable.ty) {
                    (Init::Bits(bits), ty) if !ty.is_float() => *bits,
                    (Init::Single(bits), Type::F32) => *bits as u64,
                    (Init::Double(value), Type::F32) => (*value as f32).to_bits() as u64,
                    (Init::Double(value), Type::F64) => value.to_bits(),
                    (Init::Address(name, more), Type::U64 | Type::B64) => {
                        let Some((address, _)) = self.program.globals.get(name) else {
                            return Err(PtxError::new(variable.line, format!("unknown variable `{name}`")));
                        };
                        address.wrapping_add(*more as u64)
                    }
                    _ => return Err(PtxError::new(variable.line, "a first value of another type")),
                };
                let size = variable.ty.bytes();
                self.program.data.put(offset + index as u64 * size as u64, value, size.min(8));
            }
        }
        Ok(())
    }

    /// A function's own places, before anybody calls it.
    fn announce(&mut self, function: &Function) -> Result<()> {
        let mut callee = Callee {
            returns: Vec::new(),
            parameters: Vec::new(),
            pc: 0,
            back: self.register(32),
            calls: Vec::new(),
            line: function.line,
        };
        if !function.entry {
            let mut end = self.local;
            (callee.returns, end) = layout(&function.returns, end)?;
            (callee.parameters, end) = layout(&function.parameters, end)?;
            self.local = end;
        } else if !function.returns.is_empty() {
            return Err(PtxError::new(function.line, format!("entry `{}` returns something", function.name)));
        }
        if self.names.insert(function.name.clone(), self.callees.len()).is_some() {
            return Err(PtxError::new(function.line, format!("`{}` is defined twice", function.name)));
        }
        self.callees.push(callee);
        Ok(())
    }

    fn function(&mut self, index: usize, function: &Function) -> Result<()> {
        let pc = self.program.code.len() as u32;
        self.callees[index].pc = pc;
        self.program.functions.push((pc, function.name.clone()));
        (self.current, self.entry) = (index, function.entry);
        self.scopes.push(Scope::default());
        if function.entry {
            let (params, end) = layout(&function.parameters, 0)?;
            for (variable, (offset, bytes)) in function.parameters.iter().zip(&params) {
                let symbol = Symbol::Memory(Base::Param, *offset as u64, *bytes as u64);
                self.define(&variable.name, symbol, variable.line)?;
            }
            let name = function.name.clone();
            self.program.entries.push(Start { name, pc, params, param_bytes: end as u32 });
        } else {
            let callee = &self.callees[index];
            let places: Vec<_> = callee.returns.iter().chain(&callee.parameters).copied().collect();
            let variables = function.returns.iter().chain(&function.parameters);
            for (variable, (offset, bytes)) in variables.zip(places) {
                let symbol = Symbol::Memory(Base::Local, offset as u64, bytes as u64);
                self.define(&variable.name, symbol, variable.line)?;
            }
        }
        self.statements(function.body.as_deref().unwrap_or_default())?;
        // Who runs off the end returns.
        let back = self.callees[index].back;
        let op = if function.entry { Op::Exit } else { Op::Return { back } };
        let line = self.program.code.last().map_or(function.line, |instr| instr.line);
        self.program.code.push(Instr { op, guard: Flag::ALWAYS, line });
        self.scopes.pop();
        Ok(())
    }

    /// The statements of a pair of braces, whose labels can be named before they come.
    fn statements(&mut self, statements: &[Statement]) -> Result<()> {
        self.scopes.push(Scope::default());
        for statement in statements {
            if let Statement::Label(name, line) = statement {
                let number = self.labels.len() as u32;
                self.labels.push(None);
                let scope = self.scopes.last_mut().map(|scope| &mut scope.labels);
                if scope.is_some_and(|labels| labels.insert(name.clone(), number).is_some()) {
                    return Err(PtxError::new(*line, format!("label `{name}` is there twice")));
                }
            }
        }
        for statement in statements {
            match statement {
                Statement::Label(name, _) => {
                    let at = self.program.code.len() as u32;
                    if let Some(number) = self.scopes.last().and_then(|scope| scope.labels.get(name)) {
                        self.labels[*number as usize] = Some(at);
                    }
                }
                Statement::Registers(ty, names, line) => self.registers(*ty, names, *line)?,
                Statement::Variable(variable) => self.variable(variable)?,
                Statement::Scope(inner) => self.statements(inner)?,
                Statement::Instruction(instruction) => self.instruction(instruction)?,
            }
        }
        self.scopes.pop();
        Ok(())
    }

    fn define(&mut self, name: &str, symbol: Symbol, line: u32) -> Result<()> {
        let Some(scope) = self.scopes.last_mut() else { return Ok(()) };
        if scope.symbols.insert(name.to_string(), symbol).is_some() {
            return Err(PtxError::new(line, format!("`{name}` is declared twice")));
        }
        Ok(())
    }

    fn registers(&mut self, ty: Type, names: &[(String, Option<u32>)], line: u32) -> Result<()> {
        for (name, count) in names {
            for index in 0..count.unwrap_or(1) {
                let symbol = if ty == Type::Pred {
                    self.program.preds += 1;
                    Symbol::Predicate(self.program.preds - 1)
                } else {
                    Symbol::Register(self.register(ty.bits()), ty.bits())
                };
                match count {
                    Some(_) => self.define(&format!("{name}{index}"), symbol, line)?,
                    None => self.define(name, symbol, line)?,
                }
            }
        }
        Ok(())
    }

    /// A new register, two for 128 bits.
    fn register(&mut self, bits: u32) -> Reg {
        let reg = self.program.widths.len() as Reg;
        for _ in 0..bits.div_ceil(64) {
            self.program.widths.push(bits.min(64) as u8);
        }
        reg
    }

    fn constant(&mut self, value: u64) -> Reg {
        if let Some(reg) = self.constants.get(&value) {
            return *reg;
        }
        let reg = self.register(64);
        self.program.constants.push((reg, value));
        self.constants.insert(value, reg);
        reg
    }

    fn special(&mut self, special: Special) -> Reg {
        if let Some(reg) = self.specials.get(&special) {
            return *reg;
        }
        let reg = self.register(32);
        self.program.specials.push((reg, special));
        self.specials.insert(special, reg);
        reg
    }

    /// A variable of a function, or of the module in no memory that outlives a launch.
    fn variable(&mut self, variable: &Variable) -> Result<()> {
        let no = |what: &str| Err(PtxError::new(variable.line, format!("`{}`: {what}", variable.name)));
        if variable.align > 128 {
            return no("an alignment of more than 128 bytes");
        }
        let symbol = match (variable.space, variable.count) {
            (Space::Shared, None) if variable.external => {
                Symbol::Memory(Base::Shared, self.program.dynamic as u64, 0)
            }
            (_, None) => return no("an array without a size"),
            (Space::Shared, Some(_)) => {
                let at = aligned(self.shared, variable.align);
                self.shared = at + variable.bytes();
                Symbol::Memory(Base::Shared, at, variable.bytes())
            }
            (Space::Local | Space::Param, Some(_)) => {
                let at = aligned(self.local, variable.align);
                self.local = at.saturating_add(variable.bytes());
                if self.local > 1 << 20 {
                    return no("more than a MiB of local memory");
                }
                Symbol::Memory(Base::Local, at, variable.bytes())
            }
            (Space::Global | Space::Const, Some(_)) => return no("a variable of the module, in a function"),
        };
        self.define(&variable.name, symbol, variable.line)
    }

    /// Functions have one place for each of their registers and locals, so none may begin again before it has ended.
    fn refuse_recursion(&self) -> Result<()> {
        // 0 not seen, 1 on the way, 2 done.
        fn visit(callees: &[Callee], at: usize, seen: &mut [u8]) -> Result<()> {
            seen[at] = 1;
            for (to, line) in &callees[at].calls {
                match seen[*to] {
                    0 => visit(callees, *to, seen)?,
                    1 => {
                        let what =
                            format!("a function that calls itself (it begins in line {})", callees[*to].line);
                        return Err(PtxError::new(*line, what));
                    }
                    _ => {}
                }
            }
            seen[at] = 2;
            Ok(())
        }
        let mut seen = vec![0; self.callees.len()];
        for index in 0..self.callees.len() {
            if seen[index] == 0 {
                visit(&self.callees, index, &mut seen)?;
            }
        }
        Ok(())
    }

    /// What moves 16 bytes at once needs a processor that does.
    fn require_128(&self, line: u32) -> Result<()> {
        if has_128() {
            return Ok(());
        }
        Err(PtxError::new(line, "this processor cannot move 16 bytes in one access"))
    }
}
