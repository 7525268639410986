//! For tests: IR by hand, and the real tools that judge what comes out.

use crate::ir::*;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Every scalar.
pub(crate) const SCALARS: [Scalar; 11] = {
    use Scalar::*;
    [Bool, I8, I16, I32, I64, U8, U16, U32, U64, F32, F64]
};

/// A body under construction.
pub(crate) struct Build {
    body: Body,
}

impl Build {
    pub(crate) fn new() -> Self {
        let (regs, vars, locals, code) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        Self { body: Body { regs, vars, locals, labels: 0, index: Scalar::U64, code } }
    }

    /// Statements made by `f`, taken out of the body.
    pub(crate) fn nested(&mut self, f: impl FnOnce(&mut Self)) -> Vec<Stmt> {
        let outer = self.start();
        f(self);
        self.swap(outer)
    }

    /// Begins a list of statements; [`Build::swap`] ends it.
    pub(crate) fn start(&mut self) -> Vec<Stmt> {
        std::mem::take(&mut self.body.code)
    }

    /// Goes back to the list that `start` put away, and returns the finished one.
    pub(crate) fn swap(&mut self, outer: Vec<Stmt>) -> Vec<Stmt> {
        std::mem::replace(&mut self.body.code, outer)
    }

    pub(crate) fn push(&mut self, statement: Stmt) {
        self.body.code.push(statement);
    }

    pub(crate) fn reg(&mut self, ty: Scalar, expr: Expr) -> Operand {
        self.named(ty, None, expr)
    }

    pub(crate) fn named(&mut self, ty: Scalar, name: Option<&str>, expr: Expr) -> Operand {
        self.body.regs.push(RegInfo { ty, name: name.map(str::to_owned) });
        let reg = Reg(self.body.regs.len() as u32 - 1);
        self.push(Stmt::Let(reg, expr));
        Operand::Reg(reg)
    }

    pub(crate) fn effect(&mut self, ty: Scalar, effect: Effect) -> Operand {
        self.body.regs.push(RegInfo { ty, name: None });
        let reg = Reg(self.body.regs.len() as u32 - 1);
        self.push(Stmt::Effect(reg, effect));
        Operand::Reg(reg)
    }

    pub(crate) fn var(&mut self, ty: Scalar, name: &str) -> Var {
        self.body.vars.push(VarInfo { ty, name: name.into() });
        Var(self.body.vars.len() as u32 - 1)
    }

    pub(crate) fn local(&mut self, size: u32, name: &str) -> Root {
        self.body.locals.push(LocalInfo { size, align: 8, name: name.into() });
        Root::Local(Local(self.body.locals.len() as u32 - 1))
    }

    pub(crate) fn new_label(&mut self) -> Label {
        self.body.labels += 1;
        Label(self.body.labels - 1)
    }

    pub(crate) fn load(&mut self, ty: Scalar, root: Root, offset: u32) -> Operand {
        self.reg(ty, Expr::Load(place(root, offset)))
    }

    pub(crate) fn store(&mut self, root: Root, offset: u32, value: Operand) {
        self.push(Stmt::Store(place(root, offset), value));
    }

    pub(crate) fn check(&mut self, failed: Operand, kind: ringkernel_backends::abi::FaultKind) {
        self.push(Stmt::Check { failed, kind, site: SiteId(0) });
    }

    pub(crate) fn finish(mut self) -> Body {
        self.push(Stmt::Finish);
        self.body
    }

    /// The body as it stands.
    pub(crate) fn take(self) -> Body {
        self.body
    }
}

pub(crate) fn place(root: Root, offset: u32) -> Place {
    Place { root, offset, index: Vec::new() }
}

pub(crate) fn constant(ty: Scalar, bits: u64) -> Operand {
    Operand::Const(Const { ty, bits })
}

/// An actor whose handlers have these bodies; state, message and reply are 256 bytes each.
pub(crate) fn kernel(bodies: Vec<(&str, Body)>) -> Kernel {
    let layout = Layout { size: 256, align: 8 };
    let handler = |(i, (name, body)): (usize, (&str, Body))| Handler {
        name: name.into(),
        message: format!("Message{i}"),
        tag: 0x1000 + i as u32,
        message_layout: layout,
        reply: format!("Reply{i}"),
        reply_tag: 0x2000 + i as u32,
        reply_layout: layout,
        message_bools: if i == 0 { vec![5, 8] } else { Vec::new() },
        body,
    };
    Kernel {
        actor: "Subject".into(),
        id: "subject".into(),
        state: layout,
        handlers: bodies.into_iter().enumerate().map(handler).collect(),
        sites: vec![Site { file: "src/main.rs".into(), line: 7, column: 9, message: String::new() }],
        mesh: Mesh::default(),
    }
}

/// Each expression there is on operands of type `ty`, with the type of its value. `of(ty)` gives an operand; shifts and rotates get
/// `amount`.
pub(crate) fn every_expr(
    ty: Scalar,
    of: &mut dyn FnMut(Scalar) -> Operand,
    amount: Operand,
) -> Vec<(Scalar, Expr)> {
    use BinOp::*;
    let mut all = Vec::new();
    all.push((ty, Expr::Copy(of(ty))));
    let (int, float) = (ty.is_int(), ty.is_float());
    all.push((ty, if float { Expr::Unary(UnOp::Neg, of(ty)) } else { Expr::Unary(UnOp::Not, of(ty)) }));
    if int {
        all.push((ty, Expr::Unary(UnOp::Neg, of(ty))));
    }
    for op in [Add, Sub, Mul, Div, Rem, And, Or, Xor, Shl, Shr] {
        let legal = match op {
            Add | Sub | Mul | Div | Rem => int || float,
            And | Or | Xor => !float,
            Shl | Shr => int,
        };
        if legal {
            let second = if matches!(op, Shl | Shr) { amount } else { of(ty) };
            all.push((ty, Expr::Binary(op, of(ty), second)));
        }
    }
    for op in [CmpOp::Eq, CmpOp::Ne, CmpOp::Lt, CmpOp::Le, CmpOp::Gt, CmpOp::Ge] {
        all.push((Scalar::Bool, Expr::Compare(op, of(ty), of(ty))));
    }
    if int {
        for op in [OverflowOp::Add, OverflowOp::Sub, OverflowOp::Mul] {
            all.push((Scalar::Bool, Expr::Overflows(op, of(ty), of(ty))));
        }
        all.push((ty, Expr::MulHigh(of(ty), of(ty))));
    }
    for to in SCALARS {
        if to != Scalar::Bool && !(ty == Scalar::Bool && to.is_float()) {
            all.push((to, Expr::Cast(of(ty))));
        }
        if to != Scalar::Bool && ty != Scalar::Bool && to.bits() == ty.bits() {
            all.push((to, Expr::Bitcast(of(ty))));
        }
    }
    all.push((ty, Expr::Select { condition: of(Scalar::Bool), yes: of(ty), no: of(ty) }));
    use MathFn::*;
    let mut math = |to: Scalar, f: MathFn, operands: Vec<Operand>| all.push((to, Expr::Math(f, operands)));
    if int {
        for f in [CountOnes, LeadingZeros, TrailingZeros] {
            math(Scalar::U32, f, vec![of(ty)]);
        }
        for f in [ReverseBits, SwapBytes] {
            math(ty, f, vec![of(ty)]);
        }
        for f in [RotateLeft, RotateRight] {
            math(ty, f, vec![of(ty), amount]);
        }
        for f in [Min, Max] {
            math(ty, f, vec![of(ty), of(ty)]);
        }
    }
    if float {
        for f in [FloatAbs, Sqrt, Floor, Ceil, Trunc, Round, RoundTiesEven] {
            math(ty, f, vec![of(ty)]);
        }
        for f in [MinNum, MaxNum, CopySign] {
            math(ty, f, vec![of(ty), of(ty)]);
        }
        math(ty, MulAdd, vec![of(ty), of(ty), of(ty)]);
    }
    all
}

/// One handler a type, with every expression on registers, on a register and a constant, and on constants alone.
pub(crate) fn everything(skip: &[Scalar]) -> Kernel {
    let mut bodies = Vec::new();
    for ty in SCALARS.into_iter().filter(|ty| !skip.contains(ty)) {
        let mut b = Build::new();
        let flag = b.load(Scalar::Bool, Root::Message, 0);
        let (x, y) = (b.load(ty, Root::Message, 8), b.load(ty, Root::State, 16));
        let count = b.load(Scalar::U32, Root::Message, 24);
        let amount =
            b.reg(Scalar::U32, Expr::Binary(BinOp::Rem, count, constant(Scalar::U32, ty.bits() as u64)));
        for round in 0..4 {
            let mut n = 0;
            let one =
                if ty.is_float() { if ty.bits() == 32 { 0x4020_0000 } else { 0x4004 << 48 } } else { 1 };
            let fixed = constant(ty, one);
            let mut of = |wanted: Scalar| {
                n += 1;
                match (wanted == ty, round) {
                    (true, 0) => [x, y][n % 2],
                    (true, 1) => [x, fixed][n % 2],
                    (true, 2) => [fixed, y][n % 2],
                    (true, _) => fixed,
                    (false, 3) => constant(Scalar::Bool, 1),
                    (false, _) => flag,
                }
            };
            let amount = if round == 3 { constant(Scalar::U32, 3) } else { amount };
            for (to, expr) in every_expr(ty, &mut of, amount) {
                let skipped = |operand: Operand| match operand {
                    Operand::Const(c) => skip.contains(&c.ty),
                    Operand::Reg(_) => false,
                };
                let mut bad = skip.contains(&to);
                crate::ir_visit::expr_operands_mut(&mut expr.clone(), &mut |operand| {
                    bad |= skipped(*operand)
                });
                if !bad {
                    let value = b.reg(to, expr);
                    b.store(Root::Reply, 8 * to as u32, value);
                }
            }
        }
        bodies.push((ty.name(), b.finish()));
    }
    kernel(bodies)
}

/// Every scalar in every memory: at constant places, at places with indices, and as constants.
pub(crate) fn memory(skip: &[Scalar], index: Scalar) -> Kernel {
    let mut bodies = Vec::new();
    for ty in SCALARS.into_iter().filter(|ty| !skip.contains(ty)) {
        let mut b = Build::new();
        b.body.index = index;
        let local = b.local(64, "größe");
        let i = b.load(index, Root::Message, 0);
        let size = ty.bytes();
        for root in [Root::State, Root::Reply, local] {
            for offset in [0, size, 3 * size] {
                let value = b.load(ty, root, offset);
                b.store(root, offset + 4 * size, value);
                let at = |offset| Place {
                    root,
                    offset,
                    index: vec![(i, size), (constant(index, 2), size), (i, 3 * size)],
                };
                let value = b.reg(ty, Expr::Load(at(offset)));
                b.push(Stmt::Store(at(offset + size), value));
            }
            for bits in [0u64, 1, u64::MAX >> (64 - ty.bits())] {
                let bits = if ty == Scalar::Bool { bits & 1 } else { bits };
                b.store(root, 8, constant(ty, bits));
                let copy = b.reg(ty, Expr::Copy(constant(ty, bits)));
                b.store(root, 16, copy);
            }
            b.reg(ty, Expr::Load(Place { root: Root::Message, offset: 8, index: vec![(i, 8)] }));
        }
        bodies.push((ty.name(), b.finish()));
    }
    kernel(bodies)
}

/// Loops, blocks and jumps of every kind.
pub(crate) fn control() -> Kernel {
    use ringkernel_backends::abi::FaultKind;
    let u32_ = |bits| constant(Scalar::U32, bits);
    let mut b = Build::new();
    b.push(Stmt::Source { line: 3, text: "for i in 0..msg.n { …\n }".into() });
    let n = b.named(Scalar::U32, Some("n"), Expr::Load(place(Root::Message, 0)));
    let flag = b.load(Scalar::Bool, Root::Message, 4);
    let x = b.load(Scalar::F32, Root::Message, 8);
    let (i, total) = (b.var(Scalar::U32, "i"), b.var(Scalar::U32, "total"));
    let done = b.var(Scalar::Bool, "done");
    b.push(Stmt::Set(i, u32_(0)));
    b.push(Stmt::Set(total, u32_(0)));
    b.push(Stmt::Set(done, constant(Scalar::Bool, 0)));
    // outer: while i < n { 'block: { inner: loop { … } } } with a step that can fault
    let (outer, block, inner) = (b.new_label(), b.new_label(), b.new_label());
    let body = b.nested(|b| {
        let at = b.reg(Scalar::U32, Expr::Read(i));
        let go = b.reg(Scalar::Bool, Expr::Compare(CmpOp::Lt, at, n));
        b.push(Stmt::If { condition: go, then: vec![], otherwise: vec![Stmt::Break(outer)] });
        let held = b.nested(|b| {
            let looped = b.nested(|b| {
                let seven = b.reg(Scalar::Bool, Expr::Compare(CmpOp::Eq, at, u32_(7)));
                b.push(Stmt::If { condition: seven, then: vec![Stmt::Break(outer)], otherwise: vec![] });
                b.push(Stmt::If { condition: flag, then: vec![Stmt::Continue(outer)], otherwise: vec![] });
                let nan = b.reg(Scalar::Bool, Expr::Compare(CmpOp::Ge, x, x));
                b.push(Stmt::If {
                    condition: nan,
                    then: vec![Stmt::Break(inner)],
                    otherwise: vec![Stmt::Break(block)],
                });
            });
            b.push(Stmt::Loop { label: inner, body: looped, step: vec![] });
            let low = b.reg(Scalar::Bool, Expr::Compare(CmpOp::Lt, x, constant(Scalar::F32, 0x3f80_0000)));
            let then = b.nested(|b| {
                let sum = b.reg(Scalar::U32, Expr::Read(total));
                let sum = b.reg(Scalar::U32, Expr::Binary(BinOp::Add, sum, at));
                b.push(Stmt::Set(total, sum));
            });
            b.push(Stmt::If { condition: low, then, otherwise: vec![Stmt::Set(total, u32_(1))] });
        });
        b.push(Stmt::Block { label: block, body: held });
    });
    let step = b.nested(|b| {
        let at = b.reg(Scalar::U32, Expr::Read(i));
        let over = b.reg(Scalar::Bool, Expr::Overflows(OverflowOp::Add, at, u32_(1)));
        b.check(over, FaultKind::Overflow);
        let up = b.reg(Scalar::U32, Expr::Binary(BinOp::Add, at, u32_(1)));
        b.push(Stmt::Set(i, up));
    });
    b.push(Stmt::Loop { label: outer, body, step });
    // A loop whose step cannot fault, with a continue.
    let plain = b.new_label();
    let body = b.nested(|b| {
        let at = b.reg(Scalar::U32, Expr::Read(i));
        let stop = b.reg(Scalar::Bool, Expr::Compare(CmpOp::Eq, at, u32_(0)));
        b.push(Stmt::If { condition: stop, then: vec![Stmt::Break(plain)], otherwise: vec![] });
        b.push(Stmt::If { condition: flag, then: vec![Stmt::Continue(plain)], otherwise: vec![] });
        b.push(Stmt::Set(done, flag));
    });
    let step = b.nested(|b| {
        let at = b.reg(Scalar::U32, Expr::Read(i));
        let down = b.reg(Scalar::U32, Expr::Binary(BinOp::Sub, at, u32_(1)));
        b.push(Stmt::Set(i, down));
    });
    b.push(Stmt::Loop { label: plain, body, step });
    b.check(constant(Scalar::Bool, 0), FaultKind::Panic);
    let instance = b.reg(Scalar::U32, Expr::Instance);
    b.store(Root::Reply, 0, instance);
    let sum = b.reg(Scalar::U32, Expr::Read(total));
    b.store(Root::Reply, 4, sum);
    let done = b.reg(Scalar::Bool, Expr::Read(done));
    let then = b.nested(|b| b.push(Stmt::Finish));
    let otherwise = b.nested(|b| b.push(Stmt::Fault { kind: FaultKind::Panic, site: SiteId(0) }));
    b.push(Stmt::If { condition: done, then, otherwise });
    let control = b.take();

    // Code after checks that always fail.
    let mut b = Build::new();
    let x = b.load(Scalar::I32, Root::Message, 0);
    b.check(constant(Scalar::Bool, 1), FaultKind::DivisionByZero);
    let q = b.reg(Scalar::I32, Expr::Binary(BinOp::Div, x, constant(Scalar::I32, 0)));
    let q = b.reg(Scalar::I32, Expr::Binary(BinOp::Shl, q, constant(Scalar::U32, 40)));
    b.store(Root::Reply, 0, q);
    kernel(vec![("control", control), ("never", b.finish())])
}

/// Whether `RINGKERNEL_REQUIRE` (a comma-separated list) names the tool.
fn required(tool: &str) -> bool {
    std::env::var("RINGKERNEL_REQUIRE").is_ok_and(|list| list.split(',').any(|name| name.trim() == tool))
}

/// The real PTX assembler: `RINGKERNEL_PTXAS`, or one on the path, or the one of the pip package `nvidia-cuda-nvcc-cu12`.
///
/// Where there is none, says on stderr that `test` is skipped; under `RINGKERNEL_REQUIRE=ptxas`, panics.
pub(crate) fn ptxas(test: &str) -> Option<PathBuf> {
    let runs = |path: &Path| {
        let status = Command::new(path).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
        status.is_ok_and(|status| status.success())
    };
    let package = || {
        let find = "import nvidia.cuda_nvcc as p; print(list(p.__path__)[0] + '/bin/ptxas')";
        let output = Command::new("python3").args(["-c", find]).output().ok()?;
        Some(PathBuf::from(String::from_utf8(output.stdout).ok()?.trim()))
    };
    let found = match std::env::var_os("RINGKERNEL_PTXAS") {
        Some(path) => Some(PathBuf::from(path)).filter(|path| runs(path)),
        None => Some(PathBuf::from("ptxas")).filter(|p| runs(p)).or_else(|| package().filter(|p| runs(p))),
    };
    if found.is_none() {
        assert!(!required("ptxas"), "{test}: RINGKERNEL_REQUIRE names ptxas, and there is none");
        eprintln!("skipped: {test} (no ptxas: set RINGKERNEL_PTXAS, or pip install nvidia-cuda-nvcc-cu12)");
    }
    found
}

/// Assembles PTX for every architecture we promise.
pub(crate) fn assemble(ptxas: &Path, name: &str, text: &str) {
    for arch in ["sm_70", "sm_75", "sm_80", "sm_90"] {
        let file = std::env::temp_dir().join(format!("ringkernel-{}-{name}-{arch}.ptx", std::process::id()));
        std::fs::write(&file, text).expect("the temporary directory is writable");
        let object = file.with_extension("o");
        let output = Command::new(ptxas)
            .args(["-c", &format!("-arch={arch}"), "-o"])
            .args([&object, &file])
            .output()
            .expect("ptxas ran before");
        let log = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{name} for {arch} ({}):\n{log}", file.display());
        let _ = std::fs::remove_file(&file);
        let _ = std::fs::remove_file(&object);
    }
}

/// The functions of the runtime that the text calls, with nothing behind them.
fn stubs(wgsl: &super::wgsl::Wgsl) -> String {
    let in_place = "fn rk_in(word: u32) -> u32 {\n    return word;\n}\n";
    format!("{}{}", if wgsl.text.contains("rk_in(") { in_place } else { "" }, stubs_of_calls(wgsl))
}

fn stubs_of_calls(wgsl: &super::wgsl::Wgsl) -> &'static str {
    let all = include_str!("stubs.wgsl");
    let (narrow, _) = all.split_once("// With 64-bit integers:").expect("the file is in two parts");
    match (wgsl.text.contains("rk_out"), wgsl.int64) {
        (false, _) => "",
        (true, false) => narrow,
        (true, true) => all,
    }
}

/// Validates WGSL with no more capabilities than it says it needs.
pub(crate) fn validate(wgsl: &super::wgsl::Wgsl) {
    use naga::valid::{Capabilities, ValidationFlags, Validator};
    let text = format!("{}{}", wgsl.text, stubs(wgsl));
    let module = match naga::front::wgsl::parse_str(&text) {
        Ok(module) => module,
        Err(error) => panic!("{}\n{text}", error.emit_to_string(&text)),
    };
    let mut capabilities = Capabilities::empty();
    capabilities.set(Capabilities::SHADER_INT64, wgsl.int64);
    capabilities.set(Capabilities::FLOAT64, wgsl.float64);
    if let Err(error) = Validator::new(ValidationFlags::all(), capabilities).validate(&module) {
        panic!("{}\n{text}", error.emit_to_string(&text));
    }
}

/// Compares with a committed file of this crate; `RINGKERNEL_BLESS=1` writes it instead.
pub(crate) fn golden(file: &str, found: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(file);
    if std::env::var_os("RINGKERNEL_BLESS").is_some() {
        std::fs::create_dir_all(path.parent().expect("a file has a folder"))
            .expect("the source tree is writable");
        std::fs::write(&path, found).expect("the source tree is writable");
    }
    let expected = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(expected == found, "{file} differs (RINGKERNEL_BLESS=1 rewrites it); found:\n{found}");
}

mod tests {
    use super::*;
    use crate::emit::{ptx, wgsl};

    #[test]
    fn control_flow_is_printed_as_committed() {
        golden("src/emit/golden/control.ptx", &ptx::emit(&control()));
        golden("src/emit/golden/control.wgsl", &wgsl::emit(&control()).text);
    }

    #[test]
    fn ptxas_assembles_every_operation_on_every_type() {
        let Some(ptxas) = ptxas("ptxas_assembles_every_operation_on_every_type") else { return };
        assemble(&ptxas, "everything", &ptx::emit(&everything(&[])));
    }

    #[test]
    fn ptxas_assembles_every_access_to_every_memory() {
        let Some(ptxas) = ptxas("ptxas_assembles_every_access_to_every_memory") else { return };
        assemble(&ptxas, "memory", &ptx::emit(&memory(&[], Scalar::U64)));
        assemble(&ptxas, "memory32", &ptx::emit(&memory(&[], Scalar::U32)));
    }

    #[test]
    fn ptxas_assembles_every_jump() {
        let Some(ptxas) = ptxas("ptxas_assembles_every_jump") else { return };
        assemble(&ptxas, "control", &ptx::emit(&control()));
    }

    const WIDE: [Scalar; 3] = [Scalar::I64, Scalar::U64, Scalar::F64];

    #[test]
    fn naga_accepts_every_operation_on_every_type() {
        let all = wgsl::emit(&everything(&[]));
        assert!(all.int64 && all.float64);
        validate(&all);
        let narrow = wgsl::emit(&everything(&WIDE));
        assert!(!narrow.int64 && !narrow.float64, "{}", narrow.text);
        validate(&narrow);
    }

    #[test]
    fn naga_accepts_every_access_to_every_memory() {
        validate(&wgsl::emit(&memory(&[], Scalar::U64)));
        validate(&wgsl::emit(&memory(&[], Scalar::U32)));
        let narrow = wgsl::emit(&memory(&WIDE, Scalar::U32));
        assert!(!narrow.int64 && !narrow.float64);
        validate(&narrow);
    }

    #[test]
    fn naga_accepts_every_jump() {
        validate(&wgsl::emit(&control()));
    }
}
